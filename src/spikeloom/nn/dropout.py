"""Dropout whose mask stays the same over time."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..errors import ParameterError, StateError
from .layer import Layer, checked_parts, checked_sequence
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
        empty = isinstance(state, Mapping) and not state  # as evaluation leaves it
        checked_parts(state, [] if empty else ["mask"], "Dropout")
        if not self.training or self.p == 0:
            return x, State() if state is None else state
        shape = (*x.shape[1:3], *(1 for _ in x.shape[3:])) if self.whole_channels else tuple(x.shape[1:])
        mask = self._fitting(state["mask"], x, shape) if state else self._drawn(x, shape)
        return x * mask, State(mask=mask)

    def _drawn(self, x: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.bernoulli(torch.full(shape, 1 - self.p, dtype=x.dtype, device=x.device)) / (1 - self.p)

    def _fitting(self, mask: torch.Tensor, x: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        got = f"{tuple(mask.shape)} {mask.dtype} on {mask.device}"
        expected = f"{shape} {x.dtype} on {x.device}"
        if got != expected:  # a mask of one sample would be broadcast over the batch without a word
            mend = "Start a new batch with state=None, or keep the batch size, dtype and device."
            raise StateError("Dropout: the mask in the state", got=got, expected=expected, mend=mend)
        return mask

    def extra_repr(self) -> str:
        return f"p={self.p}"
