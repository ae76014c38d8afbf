"""Evaluate a program's prepared constants: once per run, in float64, with gradients to the parameters."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..lang import math as m
from ..lang.evaluate import evaluate
from ..models.base import NeuronModel
from .exponential import matrix_exponential
from .program import Program

Features = tuple[int, ...]


def constants(
    program: Program,
    model: NeuronModel,
    learned: Mapping[str, torch.Tensor],
    dt: float,
    features: Features,
    like: torch.Tensor,
) -> list[torch.Tensor]:
    """The constants of ``program``, each with one value or one per neuron, in the dtype and on the device of ``like``.

    ``learned`` replaces parameters of ``model`` by tensors that broadcast to ``features``.
    """
    if not learned:
        return list(_fixed(program, model, dt, features, like.dtype, like.device))
    return _compute(program, {**model.values, **learned}, dt, features, like.dtype, like.device)


@functools.lru_cache(maxsize=256)
def _fixed(
    program: Program,
    model: NeuronModel,
    dt: float,
    features: Features,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[torch.Tensor, ...]:
    # Made in inference mode, the cached tensors could never again take part in training.
    with torch.inference_mode(False), torch.no_grad():
        return tuple(_compute(program, model.values, dt, features, dtype, device))


def _compute(
    program: Program,
    values: Mapping[str, Any],
    dt: float,
    features: Features,
    dtype: torch.dtype,
    device: torch.device,
) -> list[torch.Tensor]:
    numbers = {name: to_tensor(value, torch.float64, device) for name, value in values.items()}
    numbers["dt"] = torch.tensor(dt, dtype=torch.float64, device=device)
    where = functools.partial(where_in, torch.float64)
    operations = {"propagator": _Propagator(device), "where": where, "div": _quotient}
    found = evaluate(program.prepare, numbers, operations)
    return [_laid_out(torch.as_tensor(c, dtype=torch.float64, device=device), features).to(dtype) for c in found]


def to_tensor(
    value: float | np.ndarray | torch.Tensor, dtype: torch.dtype, device: torch.device | None = None
) -> torch.Tensor:
    """A parameter's value as a tensor; a model's arrays are read-only, which torch would warn of."""
    return torch.as_tensor(np.array(value) if isinstance(value, np.ndarray) else value, dtype=dtype, device=device)


def where_in(dtype: torch.dtype, condition: torch.Tensor | bool, x: Any, y: Any) -> Any:
    """``where`` between two literals too, which torch on its own would round to its default dtype."""
    if isinstance(x, float) and isinstance(y, float) and isinstance(condition, torch.Tensor):
        x = torch.tensor(x, dtype=dtype, device=condition.device)
    return m.where(condition, x, y)


def _quotient(a: Any, b: Any) -> Any:
    """``a / b``, whose gradient is 0 and not NaN where b is 0: only a branch that is not taken can divide by that."""
    if not (isinstance(b, torch.Tensor) and b.requires_grad):
        return a / b
    if b.device.type == "cpu" and bool(b.detach().all()):  # a GPU would have to be waited for
        return a / b
    zero = b == 0.0
    return torch.where(zero, (a / b).detach(), a / torch.where(zero, 1.0, b))


def _laid_out(value: torch.Tensor, features: Features) -> torch.Tensor:
    if value.numel() == 1:
        return value.reshape(1)
    return value.broadcast_to(features).reshape(-1)


class _Propagator:
    """Entries of matrix exponentials; each matrix is exponentiated once however many entries are asked for."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._done: dict[tuple[int, ...], tuple[torch.Tensor, tuple[Any, ...]]] = {}

    def __call__(self, index: tuple[int, int], *entries: Any) -> torch.Tensor:
        key = tuple(map(id, entries))
        if key not in self._done:
            size = round(len(entries) ** 0.5)
            tensors = [torch.as_tensor(e, dtype=torch.float64, device=self._device) for e in entries]
            # torch declares no types for broadcast_tensors
            flat = torch.stack(torch.broadcast_tensors(*tensors), -1)  # pyright: ignore[reportUnknownArgumentType]
            matrix = flat.reshape(*flat.shape[:-1], size, size)
            self._done[key] = (
                matrix_exponential(matrix),
                entries,
            )  # entries stay alive, so ids stay unique
        return self._done[key][0][..., index[0], index[1]]
