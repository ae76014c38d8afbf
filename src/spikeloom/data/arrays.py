"""Labelled samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import NonFiniteError, ShapeError


@dataclass(frozen=True)
class Labelled:
    """``x`` [N, ...] float32 and ``y`` [N] int64, of equal length; values are finite.

    >>> Labelled(np.zeros((3, 64), np.float32), np.arange(3)).take(np.array([2])).y
    array([2])
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.y.ndim != 1 or len(self.x) != len(self.y):
            raise ShapeError(
                "samples and labels do not fit",
                got=f"{self.x.shape} and {self.y.shape}",
                expected="[N, ...] and [N]",
            )
        if not np.isfinite(self.x).all():
            raise NonFiniteError("the samples hold NaN or infinity")

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: NDArray[np.int64]) -> Labelled:
        """The samples at ``index``."""
        return Labelled(self.x[index], self.y[index])
