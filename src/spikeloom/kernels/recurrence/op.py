"""The recurrence with its gradients, as torch sees it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch

from ..backends import note_kernel
from ..operators import no_second_derivative
from ..scan.op import Layout, empty, layout_of, summed_over_batch
from ..scan.plan import ADJOINT
from .engines import Before, Engine, How

Tensors = Sequence[torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Call:
    """What decides on the kernels: the step's text, recorded states, and flags of wanted gradients, as in a scan,
    and whose kernels they are."""

    text: str
    recorded: str
    wanted: tuple[bool, ...]
    label: str
    engine: Engine

    @property
    def layout(self) -> Layout:
        return layout_of(self.text, self.recorded, self.wanted)

    @property
    def stream(self) -> str:
        """The stream that spikes come back into, the only one."""
        return self.layout.streams[0]

    @property
    def how(self) -> How:
        return self.label, False, self.stream


def forward(
    call: Call, x: torch.Tensor, weight: torch.Tensor, before: Before, states: Tensors, constants: Tensors
) -> list[torch.Tensor]:
    """Rows ``[T, M]``, final states ``[M]``, what backward needs, and the spikes as the engine keeps them."""
    layout, (steps, batch, size) = call.layout, x.shape
    shape = steps, batch * size
    rows = [empty(x, shape) for _ in layout.rows]
    finals = [s.clone(memory_format=torch.contiguous_format) for s in states]
    kinds = [torch.uint8 if n in layout.plan.conditions else x.dtype for n in layout.saved]
    saved = [*(empty(x, shape, kind) for kind in kinds), *(empty(x, shape) for _ in layout.needed_streams)]
    names = [*layout.constants, *layout.rows, *layout.finals, *layout.saved, *layout.needed_streams]
    arrays = dict(zip(names, [*(c.contiguous() for c in constants), *rows, *finals, *saved], strict=True))
    kept = call.engine.forward(layout.plan, arrays, x, before, weight, call.how)
    note_kernel(f"recurrence/{call.engine.name}/{call.label}/forward")
    return [*rows, *finals, *saved, *kept]


def backward(
    call: Call,
    grads: Sequence[torch.Tensor],
    saved: Tensors,
    weight: torch.Tensor,
    constants: Tensors,
    shape: torch.Size,
) -> list[torch.Tensor]:
    """Adjoints of the total input ``[T, B, N]``, the initial states ``[M]`` and the wanted constants."""
    layout, (steps, batch, size) = call.layout, shape
    width, split = batch * size, len(layout.rows)
    carried = [g.clone(memory_format=torch.contiguous_format) for g in grads[split:]]
    given = empty(weight, (steps, width))
    sums = [carried[0].new_zeros(width, dtype=torch.float64) for _ in layout.wanted_constants]
    arrays = {ADJOINT + n: g for n, g in zip(layout.states, carried, strict=True)}
    arrays |= {ADJOINT + n: call.engine.row(n, g) for n, g in zip(layout.rows, grads[:split], strict=True)}
    arrays |= dict(zip([*layout.saved, *layout.needed_streams], saved, strict=True))
    arrays |= {n: c.contiguous() for n, c in zip(layout.constants, constants, strict=True)}
    arrays |= {ADJOINT + call.stream: given}
    arrays |= {ADJOINT + n: g for n, g in zip(layout.wanted_constants, sums, strict=True)}
    call.engine.backward(layout.plan, arrays, weight, steps, batch, call.how)
    note_kernel(f"recurrence/{call.engine.name}/{call.label}/backward")
    shapes = dict(zip(layout.constants, constants, strict=True))
    reduced = [summed_over_batch(s, shapes[n]) for n, s in zip(layout.wanted_constants, sums, strict=True)]
    return [given.view(shape), *carried, *reduced]


class _Recurrence(torch.autograd.Function):
    """The forward pass; its gradient is a function of its own, so that a derivative of it can be refused."""

    @staticmethod
    def forward(
        ctx: Any, call: Call, before: Before, x: torch.Tensor, spikes: torch.Tensor | None,
        added: torch.Tensor | None, weight: torch.Tensor, *rest: torch.Tensor,
    ) -> Any:  # fmt: skip
        layout, split = call.layout, len(call.layout.states)
        outputs = forward(call, x, weight, before, rest[:split], rest[split:])
        differentiable = len(layout.rows) + len(layout.finals)
        ctx.save_for_backward(*outputs[differentiable:], weight, *rest[split:])
        ctx.set_materialize_grads(False)
        ctx.call, ctx.shape = call, x.shape
        ctx.shapes = [o.shape for o in outputs[:differentiable]]
        return tuple(outputs[:differentiable])

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor | None) -> Any:
        call, tensors, needed = ctx.call, ctx.saved_tensors, ctx.needs_input_grad
        weight = tensors[-1 - len(call.layout.constants)]
        filled = [weight.new_zeros(shape) if g is None else g for g, shape in zip(grads, ctx.shapes, strict=True)]
        found = iter(_differentiated(call, ctx.shape, needed[5], len(filled), *filled, *tensors))
        by_input, by_weight = next(found), next(found)
        states = [next(found) for _ in call.layout.states]
        constants = [next(found) if n in call.layout.wanted_constants else None for n in call.layout.constants]
        by_spikes = by_input[0] @ weight if needed[3] else None
        by_added = by_input[0].flatten() if needed[4] else None
        return None, None, by_input, by_spikes, by_added, by_weight, *states, *constants


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: Call, shape: torch.Size, to_weight: bool, count: int, *tensors: torch.Tensor) -> Any:
        grads, first = tensors[:count], count + len(call.layout.saved) + len(call.layout.needed_streams)
        last = len(tensors) - 1 - len(call.layout.constants)
        weight, *constants = tensors[last:]
        given, *rest = backward(call, grads, tensors[count:first], weight, constants, shape)
        by_weight = call.engine.weight_gradient(tensors[first:last], given) if to_weight else None
        return given, by_weight, *rest

    backward = staticmethod(no_second_derivative("the fused recurrence"))


_differentiated = cast(Callable[..., tuple[torch.Tensor, ...]], _Gradient.apply)  # torch gives it no type
differentiable = cast(Callable[..., tuple[torch.Tensor, ...]], _Recurrence.apply)
