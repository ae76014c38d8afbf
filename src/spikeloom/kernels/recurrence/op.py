"""The recurrence with its gradients, as torch sees it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch

from ..backends import note_kernel
from ..operators import no_second_derivative
from ..program import SPIKE
from ..scan.op import Layout, contiguous, empty, layout_of, summed_over_batch
from ..scan.plan import ADJOINT
from ..spike_linear.op import weight_gradient_op
from . import cpu

DENSE = 0.25  # density of spikes from which on the weight gradient is a dense product
Tensors = Sequence[torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Call:
    """What decides on the kernels: the step's text, recorded states, and flags of wanted gradients, as in a scan."""

    text: str
    recorded: str
    wanted: tuple[bool, ...]
    label: str

    @property
    def layout(self) -> Layout:
        return layout_of(self.text, self.recorded, self.wanted)

    @property
    def stream(self) -> str:
        """The stream that spikes come back into, the only one."""
        return self.layout.streams[0]

    @property
    def how(self) -> cpu.How:
        return self.label, False, self.stream


@dataclasses.dataclass(frozen=True)
class Before:
    """What comes back at the first step: packed spikes, and numbers ``[M]`` that are added to what they bring."""

    words: torch.Tensor
    counts: torch.Tensor
    added: torch.Tensor


def forward(
    call: Call, x: torch.Tensor, weight: torch.Tensor, before: Before, states: Tensors, constants: Tensors
) -> list[torch.Tensor]:
    """Rows ``[T, M]``, final states ``[M]``, what backward needs, and the spikes before each step and after the last
    one, as words ``[(T + 1) * B, W]`` and counts."""
    layout, (steps, batch, size) = call.layout, x.shape
    shape = steps, batch * size
    rows = [empty(x, shape) for _ in layout.rows]
    finals = [s.clone(memory_format=torch.contiguous_format) for s in states]
    kinds = [torch.uint8 if n in layout.plan.conditions else x.dtype for n in layout.saved]
    saved = [*(empty(x, shape, kind) for kind in kinds), *(empty(x, shape) for _ in layout.needed_streams)]
    words, counts = (empty(x, (steps * batch + batch, *t.shape[1:]), t.dtype) for t in (before.words, before.counts))
    words[:batch], counts[:batch] = before.words, before.counts
    names = [*layout.constants, *layout.rows, *layout.finals, *layout.saved, *layout.needed_streams]
    arrays = dict(zip(names, [*(c.contiguous() for c in constants), *rows, *finals, *saved], strict=True))
    cpu.forward(
        layout.plan, arrays, contiguous(x), before.added.contiguous(), weight.contiguous(), (words, counts), call.how
    )
    note_kernel(f"recurrence/cpu/{call.label}/forward")
    return [*rows, *finals, *saved, words, counts]


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
    arrays |= {ADJOINT + n: _row(n, g) for n, g in zip(layout.rows, grads[:split], strict=True)}
    arrays |= dict(zip([*layout.saved, *layout.needed_streams], saved, strict=True))
    arrays |= {n: c.contiguous() for n, c in zip(layout.constants, constants, strict=True)}
    arrays |= {ADJOINT + call.stream: given}
    arrays |= {ADJOINT + n: g for n, g in zip(layout.wanted_constants, sums, strict=True)}
    cpu.backward(layout.plan, arrays, weight.contiguous(), steps, batch, call.how)
    note_kernel(f"recurrence/cpu/{call.label}/backward")
    shapes = dict(zip(layout.constants, constants, strict=True))
    reduced = [summed_over_batch(s, shapes[n]) for n, s in zip(layout.wanted_constants, sums, strict=True)]
    return [given.view(shape), *carried, *reduced]


def _row(name: str, grad: torch.Tensor) -> torch.Tensor:
    """A gradient that is the same in every step, as that of a sum over time, is read as one row."""
    return contiguous(grad[0]) if name == SPIKE and grad.stride(0) == 0 and len(grad) else contiguous(grad)


def weight_gradient(words: torch.Tensor, counts: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
    """The sum over steps of ``g_t^T s_{t-1}`` for ``g`` ``[T, B, N]`` and packed spikes."""
    rows, size = grad.flatten(0, 1), grad.shape[2]
    words, counts = words[: len(rows)], counts[: len(rows)]
    if int(counts.numpy().sum()) < DENSE * rows.numel():
        return weight_gradient_op(words, counts, rows, size)[0]
    bits = np.unpackbits(words.numpy().view(np.uint8), axis=1, count=size, bitorder="little")
    return rows.T @ torch.from_numpy(bits).to(grad.dtype)


class _Recurrence(torch.autograd.Function):
    """The forward pass; its gradient is a function of its own, so that a derivative of it can be refused."""

    @staticmethod
    def forward(
        ctx: Any, call: Call, x: torch.Tensor, spikes: torch.Tensor | None, added: torch.Tensor, weight: torch.Tensor,
        words: torch.Tensor, counts: torch.Tensor, *rest: torch.Tensor,
    ) -> Any:  # fmt: skip
        layout, split = call.layout, len(call.layout.states)
        outputs = forward(call, x, weight, Before(words, counts, added), rest[:split], rest[split:])
        differentiable = len(layout.rows) + len(layout.finals)
        ctx.save_for_backward(*outputs[differentiable:], weight, *rest[split:])
        ctx.set_materialize_grads(False)
        ctx.call, ctx.shape = call, x.shape
        ctx.shapes = [o.shape for o in outputs[:differentiable]]
        return tuple(outputs[:differentiable])

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor | None) -> Any:
        call, tensors = ctx.call, ctx.saved_tensors
        split = len(call.layout.saved) + len(call.layout.needed_streams)
        weight = tensors[split + 2]
        filled = [weight.new_zeros(shape) if g is None else g for g, shape in zip(grads, ctx.shapes, strict=True)]
        found = iter(_differentiated(call, ctx.shape, ctx.needs_input_grad[4], len(filled), *filled, *tensors))
        by_input, by_weight = next(found), next(found)
        states = [next(found) for _ in call.layout.states]
        constants = [next(found) if n in call.layout.wanted_constants else None for n in call.layout.constants]
        by_spikes = by_input[0] @ weight if ctx.needs_input_grad[2] else None
        return None, by_input, by_spikes, by_input[0].flatten(), by_weight, None, None, *states, *constants


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: Call, shape: torch.Size, to_weight: bool, count: int, *tensors: torch.Tensor) -> Any:
        split = count + len(call.layout.saved) + len(call.layout.needed_streams)
        words, counts, weight, *constants = tensors[split:]
        given, *rest = backward(call, tensors[:count], tensors[count:split], weight, constants, shape)
        by_weight = weight_gradient(words, counts, given) if to_weight else None
        return given, by_weight, *rest

    backward = staticmethod(no_second_derivative("the fused recurrence"))


_differentiated = cast(Callable[..., tuple[torch.Tensor, ...]], _Gradient.apply)  # torch gives it no type
differentiable = cast(Callable[..., tuple[torch.Tensor, ...]], _Recurrence.apply)
