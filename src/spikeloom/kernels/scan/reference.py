"""The scan, one torch operation at a time: any device, any number of derivatives."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ...lang.evaluate import evaluate
from ...lang.expr import Expr
from ...lang.graph import Graph
from ..prepare import where_in
from ..program import DISTANCE, NEXT, SHOWN, SLOPE, SPIKE, STATE


def run(
    step: Graph, streams: Mapping[str, torch.Tensor], states: Mapping[str, torch.Tensor],
    constants: Mapping[str, torch.Tensor], recorded: Sequence[str],
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:  # fmt: skip
    """Rows (``spike``, ``shown.*``) ``[T, B, N]`` and final states ``[B, N]`` of the step repeated over time."""
    names = [
        *(NEXT + s for s in states),
        *([SPIKE] if SPIKE in step.outputs else []),
        *(SHOWN + r for r in recorded),
    ]
    outputs = [step.outputs[n] for n in names]
    slope = step.outputs.get(SLOPE)
    dtype = next(iter(states.values())).dtype
    operations: dict[str, Callable[..., Any]] = {"where": functools.partial(where_in, dtype)}
    if slope is not None:
        operations["fire"] = functools.partial(_Fire.apply, slope)
    current = {STATE + n: v for n, v in states.items()}
    rows: dict[str, list[torch.Tensor]] = {n: [] for n in names[len(states) :]}
    # Slicing x[t] under autograd would write a full-size gradient for every step; unbind writes one.
    unbound = {n: x.unbind(0) for n, x in streams.items()}
    steps = len(next(iter(unbound.values())))
    for t in range(steps):
        values = {**current, **constants, **{n: x[t] for n, x in unbound.items()}}
        found = [_like(v, current) for v in evaluate(outputs, values, operations)]
        current = dict(zip(current, found, strict=False))
        for name, value in zip(rows, found[len(states) :], strict=True):
            rows[name].append(value)
    return {n: _stacked(r, current) for n, r in rows.items()}, {n[len(STATE) :]: v for n, v in current.items()}


def _like(value: Any, current: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """A row may be the same number for all neurons, for instance after a reset to a value."""
    pattern = next(iter(current.values()))
    return torch.as_tensor(value, dtype=pattern.dtype, device=pattern.device).expand_as(pattern)


def _stacked(rows: list[torch.Tensor], current: Mapping[str, torch.Tensor]) -> torch.Tensor:
    pattern = next(iter(current.values()))
    return torch.stack(rows) if rows else pattern.new_zeros((0, *pattern.shape))


class _Fire(torch.autograd.Function):
    """A spike whose derivative is the surrogate's expression ``slope``; differentiable again."""

    @staticmethod
    def forward(ctx: Any, slope: Expr, distance: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(distance)
        ctx.slope = slope
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[None, torch.Tensor]:  # type: ignore[override]
        (distance,) = ctx.saved_tensors
        return None, grad * evaluate([ctx.slope], {DISTANCE: distance})[0]
