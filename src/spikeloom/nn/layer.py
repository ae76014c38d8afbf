"""What every stateful layer promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch

from ..errors import ShapeError
from .state import State


class Layer(torch.nn.Module, ABC):
    """A module over sequences: ``y, state = layer(x, state=None)`` with ``x`` of shape ``[T, B, ...]``.

    Nothing is kept on the module between calls: the state goes in and comes out.
    """

    @abstractmethod
    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State | None]:
        """Run over the sequence ``x`` from ``state`` (None: from the beginning)."""

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, Any]:
        return super().__call__(*args, **kwargs)


def checked_sequence(x: torch.Tensor, layer: str) -> None:
    """Raise ShapeError unless ``x`` looks like ``[T, B, ...]``."""
    if not isinstance(x, torch.Tensor):
        raise ShapeError(f"{layer}: the input", got=type(x).__name__, expected="a tensor [T, B, ...]")
    if x.dim() < 2:
        mend = "For a single step, add the time axis: x.unsqueeze(0)."
        raise ShapeError(f"{layer}: the input", got=f"shape {tuple(x.shape)}", expected="[T, B, ...]", mend=mend)


def over_time(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A module without state, called once on ``T * B`` samples; batch norm so averages over time and batch."""
    return module(x.flatten(0, 1)).unflatten(0, x.shape[:2])
