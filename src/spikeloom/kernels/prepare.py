"""Evaluate a program's prepared constants: once per run, in float64, with gradients to the parameters."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch

from ..lang.evaluate import evaluate
from ..models.base import NeuronModel
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
    with torch.no_grad():
        return tuple(_compute(program, model.values, dt, features, dtype, device))


def _compute(
    program: Program,
    values: Mapping[str, Any],
    dt: float,
    features: Features,
    dtype: torch.dtype,
    device: torch.device,
) -> list[torch.Tensor]:
    numbers = {name: torch.as_tensor(value).to(device, torch.float64) for name, value in values.items()}
    numbers["dt"] = torch.tensor(dt, dtype=torch.float64, device=device)
    found = evaluate(program.prepare, numbers, {"propagator": _Propagator()})
    return [_laid_out(torch.as_tensor(c, dtype=torch.float64, device=device), features).to(dtype) for c in found]


def _laid_out(value: torch.Tensor, features: Features) -> torch.Tensor:
    if value.numel() == 1:
        return value.reshape(1)
    return value.broadcast_to(features).reshape(-1)


class _Propagator:
    """Entries of matrix exponentials; each matrix is exponentiated once however many entries are asked for."""

    def __init__(self) -> None:
        self._done: dict[tuple[int, ...], tuple[torch.Tensor, tuple[Any, ...]]] = {}

    def __call__(self, index: tuple[int, int], *entries: Any) -> torch.Tensor:
        key = tuple(map(id, entries))
        if key not in self._done:
            size = round(len(entries) ** 0.5)
            tensors = torch.broadcast_tensors(*(torch.as_tensor(e, dtype=torch.float64) for e in entries))
            matrix = torch.stack(tensors, dim=-1).unflatten(-1, (size, size))
            self._done[key] = (
                torch.linalg.matrix_exp(matrix),
                entries,
            )  # entries stay alive, so ids stay unique
        return self._done[key][0][..., index[0], index[1]]
