"""Connection rules by distance: neurons have positions, and near ones are connected more often."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ..errors import ParameterError
from ..kernels.connect.distance import by_distance
from ..units import Quantity
from .edges import Edges, Rule, Side
from .geometry import apart, checked_periods, periods_of, places
from .rules import flag, probability

_ROUNDING = 1e-9  # of a length: 0.3 apart on a lattice of 0.1 is not farther than 0.3
_SAMPLE = 100_000  # pairs by which the number of edges is estimated


@dataclasses.dataclass(frozen=True)
class _ByDistance(Rule):
    label: str
    form: str
    scale: float
    p: float
    cutoff: float
    periodic: tuple[float, ...] | None
    autapses: bool

    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        sides = places(self.label, pre, post)
        periods = periods_of(self.label, self.periodic, sides[0].shape[1])
        how = self.form, self.scale, self.p, self.cutoff * (1.0 + _ROUNDING)
        return Edges(*by_distance(sides, periods, how, same and not self.autapses, key))

    def expected(self, pre: Side, post: Side) -> float:
        a, b = places(self.label, pre, post)
        # Pairs that no regular order of the positions resonates with.
        k = np.arange(min(_SAMPLE, 10 * pre.size * post.size))
        first, second = (((k + 1) * share % 1.0) for share in (0.7548776662466927, 0.5698402909980532))
        length = apart(
            a[(first * pre.size).astype(np.int64)], b[(second * post.size).astype(np.int64)],
            periods_of(self.label, self.periodic, a.shape[1]),
        )  # fmt: skip
        x = length / self.scale
        shape = {"within": np.ones_like(x), "gaussian": np.exp(-0.5 * x * x), "exponential": np.exp(-x)}[self.form]
        return float(self.p * np.mean(shape * (length <= self.cutoff * (1.0 + _ROUNDING))) * pre.size * post.size)


def within_distance(radius: float, *, p: float = 1.0, periodic: Any = None, autapses: bool = True) -> Rule:
    """Pairs at most ``radius`` apart, each with probability ``p``.

    Positions are those of the populations, in whatever unit they were given. ``periodic`` makes space a ring or torus:
    its length, or one for each dimension. Raises ParameterError for a radius that is not above 0, and, when groups are
    connected, where one has no positions; ShapeError for positions of different dimensions.

    >>> line = Side(4, np.array([[0.0], [1.0], [2.0], [3.0]]))
    >>> within_distance(1.0, autapses=False).edges(line, line, True, key=1).targets.tolist()
    [1, 0, 2, 1, 3, 2]
    >>> within_distance(1.0, periodic=4.0, autapses=False).edges(line, line, True, key=1).targets.tolist()
    [1, 3, 0, 2, 1, 3, 0, 2]
    """
    return _by_distance("within_distance", "within", 1.0, p, radius, periodic, autapses)


def gaussian_distance(
    sd: float, *, p: float = 1.0, cutoff: float = math.inf, periodic: Any = None, autapses: bool = True
) -> Rule:
    """Pairs at distance d with probability ``p exp(-d² / (2 sd²))``, none beyond ``cutoff``.

    Options and errors as in :func:`within_distance`.

    >>> here = Side(2, np.zeros((2, 3)))
    >>> gaussian_distance(50.0, p=0.5).expected(here, here)
    2.0
    """
    return _by_distance("gaussian_distance", "gaussian", sd, p, cutoff, periodic, autapses)


def exponential_distance(
    scale: float, *, p: float = 1.0, cutoff: float = math.inf, periodic: Any = None, autapses: bool = True
) -> Rule:
    """Pairs at distance d with probability ``p exp(-d / scale)``, none beyond ``cutoff``.

    Options and errors as in :func:`within_distance`.

    >>> here = Side(2, np.zeros((2, 3)))
    >>> exponential_distance(50.0, p=0.5).expected(here, here)
    2.0
    """
    return _by_distance("exponential_distance", "exponential", scale, p, cutoff, periodic, autapses)


def _by_distance(label: str, form: str, scale: float, p: float, cutoff: float, periodic: Any, autapses: bool) -> Rule:
    names = {"within": ("scale", "radius"), "gaussian": ("sd", "cutoff"), "exponential": ("scale", "cutoff")}[form]
    for name, length in zip(names, (scale, cutoff), strict=True):
        if isinstance(length, bool) or not (isinstance(length, (int, float, np.number)) and length > 0.0):
            mend = "Leave out the unit: it is that of the positions." if isinstance(length, Quantity) else ""
            raise ParameterError(f"{label}: {name}", got=repr(length), expected="a length above 0", mend=mend)
    if not math.isfinite(scale):
        raise ParameterError(f"{label}: {names[0]}", got=scale, expected="a finite length")
    how = probability(label, p), float(cutoff), checked_periods(label, periodic)
    return _ByDistance(label, form, float(scale), *how, flag(f"{label}: autapses", autapses))


__all__ = ["exponential_distance", "gaussian_distance", "within_distance"]
