"""Delays and weights that follow from the length of an edge."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ParameterError, ShapeError
from ..units import one
from .distributions import Distribution
from .edges import Edges, Side
from .geometry import checked_periods, distances
from .numbers import numbers_of, of_array


@dataclasses.dataclass(frozen=True)
class _PerDistance(Distribution):
    function: Callable[[np.ndarray], Any]
    offset: Distribution | float
    periodic: tuple[float, ...] | None
    kind = "uniform"

    def shaped(self, numbers: np.ndarray) -> np.ndarray:
        mend = "Use it for the weight= or delay= of a connection."
        raise ParameterError("per_distance", got="what has no length", expected="edges", mend=mend)

    def along(self, key: int, edges: Edges, pre: Side, post: Side) -> np.ndarray:
        length = distances("per_distance", edges, pre, post, self.periodic)
        found = numbers_of(of_array(self.function, length, "per_distance", "distances [E]"), one, "per_distance")
        if found.shape != length.shape:
            expected = f"[{len(length)}], one number for each distance"
            raise ShapeError("per_distance: the function gives", got=found.shape, expected=expected)
        offset = self.offset
        return found + (offset.along(key, edges, pre, post) if isinstance(offset, Distribution) else offset)


def per_distance(
    slope: float | Callable[[np.ndarray], Any], offset: float | Distribution = 0.0, *, periodic: Any = None
) -> Distribution:
    """``offset + slope d`` for an edge of length d; a function instead of ``slope`` gives ``offset + function(d)``.

    A delay at a speed of 0.3 mm/ms with 0.5 ms at the synapse is ``per_distance(1 / 0.3, 0.5)``, for positions in mm.
    The function takes distances [E] and gives as many numbers. ``offset`` may be a distribution. ``periodic`` as in
    :func:`within_distance`. Raises ParameterError where the groups have no positions, ShapeError where these differ in
    their dimensions.

    >>> line = Side(3, np.array([[0.0], [1.0], [3.0]]))
    >>> edges = Edges(np.array([0, 2, 2, 2]), np.array([1, 2], np.int32))
    >>> per_distance(2.0, 0.5).along(1, edges, line, line).tolist()
    [2.5, 6.5]
    """
    if callable(slope):
        function = slope
    elif isinstance(slope, (int, float, np.number)) and np.isfinite(slope):
        function = _Line(float(slope))
    else:
        raise ParameterError("per_distance: slope", got=slope, expected="a finite number or a function of distances")
    if not isinstance(offset, Distribution):
        if not (isinstance(offset, (int, float, np.number)) and np.isfinite(offset)):
            raise ParameterError("per_distance: offset", got=offset, expected="a finite number or a distribution")
        offset = float(offset)
    return _PerDistance(function, offset, checked_periods("per_distance", periodic))


@dataclasses.dataclass(frozen=True)
class _Line:
    slope: float

    def __call__(self, length: np.ndarray) -> np.ndarray:
        return self.slope * length


__all__ = ["per_distance"]
