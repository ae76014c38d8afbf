"""Dropout whose mask stays the same over time."""

from __future__ import annotations

import torch

from ..errors import ParameterError
from .layer import Layer, checked_sequence
from .state import State


class Dropout(Layer):
    """Zeroes each feature of each sample with probability ``p`` for the *whole* sequence, and scales the rest.

    The mask is part of the state, so that stepping through a sequence uses one mask as well. In evaluation it
    passes everything on. With ``whole_channels`` a mask value covers all but the first feature axis.

    >>> layer = Dropout(0.5)
    >>> y, state = layer(torch.ones(3, 1, 8))
    >>> bool((y[0] == y[2]).all())
    True
    """

    def __init__(self, p: float = 0.5, *, whole_channels: bool = False) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ParameterError("Dropout: p", got=p, expected="0 <= p < 1")
        self.p, self.whole_channels = p, whole_channels

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        checked_sequence(x, "Dropout")
        if not self.training or self.p == 0:
            return x, State() if state is None else state
        mask = state["mask"] if state else self._mask(x)
        return x * mask, State(mask=mask)

    def _mask(self, x: torch.Tensor) -> torch.Tensor:
        shape = [*x.shape[1:3], *(1 for _ in x.shape[3:])] if self.whole_channels else x.shape[1:]
        return torch.bernoulli(torch.full(tuple(shape), 1 - self.p, dtype=x.dtype, device=x.device)) / (1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"
