"""A way to turn samples into gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Found:
    """What was met on the way: the output ``y`` [T, B, C] without a graph, and the means of loss and penalty."""

    y: torch.Tensor
    loss: float
    penalty: float = 0.0


class Way(ABC):
    """Computes the gradients of a network's parameters: in this process, or together with others."""

    @abstractmethod
    def add(self, x: torch.Tensor, labels: torch.Tensor, share: float, last: bool) -> Found:
        """Add ``share`` times the gradient of the mean loss over ``x`` [T, B, ...] to the parameters' ``grad``.

        After the ``last`` call of a step, ``grad`` is the mean over all processes. Raises :class:`NonFiniteError` when
        the loss or a state is not finite.
        """

    @abstractmethod
    def share_buffers(self) -> None:
        """Give all processes the buffers of the first."""
