"""Where a solution reaches the threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import brentq

from ..kernels.field import vector_field
from ..models.base import NeuronModel
from .flows import Piece

_RELATIVE = 8.9e-16  # the smallest that brentq takes


class Crossing:
    """Finds the first time in a piece of a solution at which the threshold quantity is >= 0.

    A crossing up and down again within one piece is found by the quantity's rate: where it rises at the start and
    falls at the end, there is a top between.
    """

    def __init__(self, model: NeuronModel) -> None:
        s, _ = model.symbols()
        self.fires = model.threshold(s) is not None
        self.resets = self.fires and any(not model.states[name].timer for name in model.reset(s))
        self._field = vector_field(model)
        self._level: float | None = None

    def above(self, y: Sequence[float]) -> bool:
        """Whether the threshold quantity is >= 0."""
        return self.fires and self._field.threshold(y) >= 0.0

    def forget(self) -> None:
        """The states have been changed since the last piece."""
        self._level = None

    def first(self, piece: Piece, left: Sequence[float]) -> float | None:
        """The time of the first crossing, counted as ``piece`` does; None where there is none.

        A model with a reset fires where it is above its threshold from the start, too; one without, only where it
        comes from below.
        """
        if not self.fires:
            return None
        field = self._field.waiting(left) if any(left) else self._field
        begin = field.threshold(piece.begin) if self._level is None else self._level
        if begin >= 0.0 and self.resets:
            return piece.start
        self._level, rate = map(float, field.crossing(piece.end, piece.x(piece.stop)))
        if begin >= 0.0:
            return None

        def level(time: float) -> float:
            return field.threshold(piece.at(time))

        def slope(time: float) -> float:
            return float(field.crossing(piece.at(time), piece.x(time))[1])

        if self._level >= 0.0:
            return _root(level, piece.start, piece.stop)
        if rate < 0.0 and slope(piece.start) > 0.0:
            top = _zero(slope, piece.start, piece.stop)
            if level(top) >= 0.0:
                return _root(level, piece.start, top)
        return None


def _zero(function: Callable[[float], float], low: float, high: float) -> float:
    return float(brentq(function, low, high, xtol=1e-16 * (high - low), rtol=_RELATIVE, maxiter=500))  # type: ignore[arg-type]


def _root(level: Callable[[float], float], low: float, high: float) -> float:
    """A root of ``level``, which is < 0 at ``low`` and >= 0 at ``high``, from the side where it is >= 0."""
    root = _zero(level, low, high)
    step = float(np.spacing(root))
    while root < high and level(root) < 0.0:
        root, step = min(root + step, high), 2.0 * step
    return root


__all__ = ["Crossing"]
