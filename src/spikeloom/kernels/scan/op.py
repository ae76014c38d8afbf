"""The scan as a torch operator: many steps of a neuron in one call, forward and backward."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch

from ...lang.graph import Graph
from ..backends import note_kernel
from ..memory import uninitialised
from ..operators import LIBRARY, no_second_derivative, operator
from ..program import NEEDED, NEXT, SHOWN, SPIKE, STATE, STREAM, constants_of
from .plan import ADJOINT, Plan, forward_plan, training_plan

Tensors = list[torch.Tensor]
Make = Callable[..., torch.Tensor]


class Layout:
    """Names and places of an operator's arguments, read from the step's text and the flags that travel with it."""

    def __init__(self, text: str, recorded: str, wanted: tuple[bool, ...]) -> None:
        step = Graph.parse(text)
        self.states = [n for n in step.inputs if n.startswith(STATE)]
        self.streams = [n for n in step.inputs if n.startswith(STREAM)]
        self.constants = constants_of(step)
        self.recorded = tuple(r for r in recorded.split(",") if r)
        self.rows = [*([SPIKE] if SPIKE in step.outputs else []), *(SHOWN + r for r in self.recorded)]
        self.finals = [NEXT + n[len(STATE) :] for n in self.states]
        self.marks = [NEEDED] if NEEDED in step.outputs else []
        self.training = bool(wanted)
        flags = list(wanted) or [False] * (len(self.streams) + len(self.constants))
        self.wanted_streams = [n for n, w in zip(self.streams, flags, strict=False) if w]
        self.wanted_constants = [n for n, w in zip(self.constants, flags[len(self.streams) :], strict=True) if w]
        split = len(self.streams)
        self.plan: Plan = (
            training_plan(text, self.recorded, tuple(flags[:split]), tuple(flags[split:]))
            if self.training
            else forward_plan(text, self.recorded)
        )
        self.saved = self.plan.saved
        self.needed_streams = [n for n in self.streams if n in self.plan.backward.inputs]


@functools.lru_cache(maxsize=1024)
def _layout(text: str, recorded: str, wanted: tuple[bool, ...]) -> Layout:
    return Layout(text, recorded, wanted)


def layout_of(text: str, recorded: str, wanted: Sequence[bool]) -> Layout:
    """The (cached) layout of an operator call."""
    return _layout(text, recorded, tuple(wanted))


def _scan(
    streams: Sequence[torch.Tensor], states: Sequence[torch.Tensor], constants: Sequence[torch.Tensor],
    text: str, recorded: str, wanted: Sequence[bool], label: str, backend: str, strict: bool,
) -> list[torch.Tensor]:  # fmt: skip
    """Streams ``[T, M]``, states ``[M]``, constants ``[1]`` or ``[N]`` with M a multiple of N; ``wanted`` flags the
    streams and constants that need gradients (empty: no gradients). Returns rows, final states, saved rows, and bytes
    where the text says ``needed``; spikes have the first stream's type, all else the states'."""
    layout = layout_of(text, recorded, wanted)
    outputs = _allocate(layout, streams[0], states, empty)
    for final, initial in zip(outputs[len(layout.rows) :], states, strict=False):
        final.copy_(initial)
    width = states[0].numel()
    names = [*layout.streams, *layout.constants, *layout.rows, *layout.finals, *layout.saved, *layout.marks]
    inputs = [*(contiguous(x) for x in streams), *(_per_lane(c, width) for c in constants)]
    arrays = dict(zip(names, [*inputs, *outputs], strict=True))
    kernels = _implementation(backend)
    kernels.forward(layout.plan, streams[0].shape[0], arrays, label, strict)
    note_kernel(f"scan/{backend}/{label}/forward")
    return outputs


def _fake_scan(
    streams: Sequence[torch.Tensor], states: Sequence[torch.Tensor], constants: Sequence[torch.Tensor],
    text: str, recorded: str, wanted: Sequence[bool], label: str, backend: str, strict: bool,
) -> list[torch.Tensor]:  # fmt: skip
    return _allocate(layout_of(text, recorded, wanted), streams[0], states, _imagined)


def _allocate(layout: Layout, stream: torch.Tensor, states: Sequence[torch.Tensor], make: Make) -> Tensors:
    rows = [make(states[0], stream.shape, stream.dtype if n == SPIKE else None) for n in layout.rows]
    finals = [make(s, s.shape) for s in states]
    kinds = [torch.uint8 if n in layout.plan.conditions else states[0].dtype for n in layout.saved]
    kinds += [torch.uint8 for _ in layout.marks]
    return [*rows, *finals, *(make(states[0], stream.shape, kind) for kind in kinds)]


def _imagined(like: torch.Tensor, shape: Sequence[int], dtype: torch.dtype | None = None) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype or like.dtype, device=like.device)


def empty(like: torch.Tensor, shape: Sequence[int], dtype: torch.dtype | None = None) -> torch.Tensor:
    """Uninitialised memory for outputs; tests replace it by memory full of NaN."""
    return uninitialised(shape, dtype or like.dtype, like.device)


def contiguous(x: torch.Tensor) -> torch.Tensor:
    return x if x.is_contiguous() else empty(x, x.shape, x.dtype).copy_(x)


def _scan_backward(
    grad_rows: Sequence[torch.Tensor], grad_finals: Sequence[torch.Tensor], saved: Sequence[torch.Tensor],
    streams: Sequence[torch.Tensor], constants: Sequence[torch.Tensor], kinds: str, steps: int,
    text: str, recorded: str, wanted: Sequence[bool], label: str, backend: str, strict: bool,
) -> list[torch.Tensor]:  # fmt: skip
    """Adjoints of states ``[M]``, wanted streams ``[T, M]`` (of the types that ``kinds`` names) and wanted constants
    (in their own shape)."""
    layout = layout_of(text, recorded, wanted)
    width = grad_finals[0].numel()
    carried = [g.clone(memory_format=torch.contiguous_format) for g in grad_finals]
    given = [empty(carried[0], (steps, width), kind) for kind in _kinds(kinds)]
    sums = [carried[0].new_zeros(width, dtype=torch.float64) for _ in layout.wanted_constants]
    arrays = {ADJOINT + n: g for n, g in zip(layout.states, carried, strict=True)}
    arrays |= {ADJOINT + n: contiguous(g) for n, g in zip(layout.rows, grad_rows, strict=True)}
    arrays |= dict(zip(layout.saved, saved, strict=True))
    arrays |= {n: contiguous(x) for n, x in zip(layout.needed_streams, streams, strict=True)}
    arrays |= {n: _per_lane(c, width) for n, c in zip(layout.constants, constants, strict=True)}
    arrays |= {ADJOINT + n: g for n, g in zip(layout.wanted_streams, given, strict=True)}
    arrays |= {ADJOINT + n: g for n, g in zip(layout.wanted_constants, sums, strict=True)}
    _implementation(backend).backward(layout.plan, steps, arrays, label, strict)
    note_kernel(f"scan/{backend}/{label}/backward")
    shapes = dict(zip(layout.constants, constants, strict=True))
    reduced = [summed_over_batch(s, shapes[n]) for n, s in zip(layout.wanted_constants, sums, strict=True)]
    return [*carried, *given, *reduced]


def _fake_scan_backward(
    grad_rows: Sequence[torch.Tensor], grad_finals: Sequence[torch.Tensor], saved: Sequence[torch.Tensor],
    streams: Sequence[torch.Tensor], constants: Sequence[torch.Tensor], kinds: str, steps: int,
    text: str, recorded: str, wanted: Sequence[bool], label: str, backend: str, strict: bool,
) -> list[torch.Tensor]:  # fmt: skip
    layout = layout_of(text, recorded, wanted)
    shapes = dict(zip(layout.constants, constants, strict=True))
    given = [grad_finals[0].new_empty((steps, grad_finals[0].numel()), dtype=kind) for kind in _kinds(kinds)]
    return [
        *(torch.empty_like(g) for g in grad_finals),
        *given,
        *(torch.empty_like(shapes[n]) for n in layout.wanted_constants),
    ]


@functools.lru_cache(maxsize=64)
def _kinds(names: str) -> list[torch.dtype]:
    return [getattr(torch, name.removeprefix("torch.")) for name in names.split(",") if name]


def _per_lane(constant: torch.Tensor, width: int) -> torch.Tensor:
    return constant.contiguous() if constant.numel() == 1 else constant.repeat(width // max(constant.numel(), 1))


def summed_over_batch(sums: torch.Tensor, constant: torch.Tensor) -> torch.Tensor:
    """Sum over the batch in float64 and in a fixed order, so that threads do not change parameter gradients."""
    per_neuron = sums.reshape(-1, constant.numel()) if constant.numel() > 1 else sums.reshape(-1, 1)
    if per_neuron.device.type == "cpu":
        total = torch.from_numpy(np.add.reduce(per_neuron.numpy(), axis=0))
    else:
        total = per_neuron.sum(0)
    return total.to(constant.dtype).reshape(constant.shape)


class _Scan(torch.autograd.Function):
    """The operator with a gradient: torch's own wrapping of a list of tensors costs a third of a small call."""

    @staticmethod
    def forward(ctx: Any, how: tuple[Any, ...], counts: tuple[int, int], *tensors: torch.Tensor) -> Any:
        layout, split = layout_of(*how[:3]), sum(counts)
        streams, constants = tensors[: counts[0]], tensors[split:]
        outputs = _below_autograd(streams, tensors[counts[0] : split], constants, *how)
        kept = [x for n, x in zip(layout.streams, streams, strict=True) if n in layout.needed_streams]
        differentiable = len(layout.rows) + len(layout.finals)
        ctx.save_for_backward(*outputs[differentiable : differentiable + len(layout.saved)], *kept, *constants)
        ctx.mark_non_differentiable(*outputs[differentiable:])
        ctx.set_materialize_grads(False)  # or each saved row would get a gradient of zeros, as large as itself
        ctx.how, ctx.steps = how, streams[0].shape[0]
        wanted = [x for n, x in zip(layout.streams, streams, strict=True) if n in layout.wanted_streams]
        ctx.kinds = ",".join(str(x.dtype) for x in wanted)
        ctx.shapes = [(o.dtype, o.shape, o.device) for o in outputs[:differentiable]]
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor | None) -> Any:
        layout, tensors = layout_of(*ctx.how[:3]), ctx.saved_tensors
        split = len(layout.saved) + len(layout.needed_streams)
        filled = [
            torch.zeros(shape, dtype=dtype, device=device) if g is None else g.to(dtype)
            for g, (dtype, shape, device) in zip(grads, ctx.shapes, strict=False)
        ]
        rows, finals = filled[: len(layout.rows)], filled[len(layout.rows) :]
        saved, streams, constants = tensors[: len(layout.saved)], tensors[len(layout.saved) : split], tensors[split:]
        found = iter(scan_backward_op(rows, finals, saved, streams, constants, ctx.kinds, ctx.steps, *ctx.how))
        by_state = [next(found) for _ in layout.states]
        by_stream = [next(found) if n in layout.wanted_streams else None for n in layout.streams]
        by_constant = [next(found) if n in layout.wanted_constants else None for n in layout.constants]
        return None, None, *by_stream, *by_state, *by_constant


_differentiated = cast(Callable[..., tuple[torch.Tensor, ...]], _Scan.apply)  # torch gives it no type


def _below_autograd(*arguments: Any) -> Tensors:
    with torch._C._AutoDispatchBelowAutograd():  # type: ignore[reportPrivateUsage]  # no public name does this
        return scan_op(*arguments)


def _scan_autograd(streams: Tensors, states: Tensors, constants: Tensors, *how: Any) -> Tensors:
    if not how[2]:  # no gradients are wanted
        return _below_autograd(streams, states, constants, *how)
    return list(_differentiated(how, (len(streams), len(states)), *streams, *states, *constants))


_HOW = "str text, str recorded, bool[] wanted, str label, str backend, bool strict"
scan_op = operator(
    f"scan(Tensor[] streams, Tensor[] states, Tensor[] constants, {_HOW}) -> Tensor[]", _scan, _fake_scan
)
LIBRARY.impl("scan", _scan_autograd, "Autograd")
scan_backward_op = operator(
    "scan_backward(Tensor[] grad_rows, Tensor[] grad_finals, Tensor[] saved, Tensor[] streams, Tensor[] constants, "
    f"str kinds, int steps, {_HOW}) -> Tensor[]",
    _scan_backward, _fake_scan_backward, no_second_derivative("the fused scan"),
)  # fmt: skip


def _implementation(backend: str) -> Any:
    if backend == "cpu":
        from . import cpu

        return cpu
    from . import gpu

    return gpu
