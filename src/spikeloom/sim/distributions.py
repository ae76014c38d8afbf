"""Random weights, delays, parameters and initial values: each number depends on a key and its place, and no more."""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import Any

import numpy as np
import torch

from ..errors import ParameterError
from ..kernels.random import draw_by_key
from .edges import Edges, Side

_ROW = 2**16  # numbers under one counter of the generator
_CHUNK = 16 * _ROW  # numbers that are made together: what is drawn on the way stays small


class Distribution(abc.ABC):
    """What numbers are drawn from: a way to turn the generator's numbers of some ``kind`` into those of its own.

    ``kind`` is ``"uniform"`` (numbers in (0, 1]), ``"normal"`` or ``"exponential"`` (mean 1).
    """

    kind: str

    @abc.abstractmethod
    def shaped(self, numbers: np.ndarray) -> np.ndarray:
        """The numbers drawn, float64, from the generator's, one each."""

    def draw(self, key: int, count: int, first: int = 0) -> np.ndarray:
        """Numbers ``first`` to ``first + count - 1``, float64; number k depends on ``key`` and k alone.

        >>> whole = uniform(0.0, 1.0).draw(key=7, count=10)
        >>> bool((uniform(0.0, 1.0).draw(key=7, count=4, first=6) == whole[6:]).all())
        True
        """
        found = np.empty(count)
        for low in range(0, count, _CHUNK):
            high = min(low + _CHUNK, count)
            found[low:high] = self.shaped(_numbers(self.kind, key, first + low, high - low))
        return found

    def along(self, key: int, edges: Edges, pre: Side, post: Side) -> np.ndarray:
        """One number for each of ``edges``, float64 [E]."""
        return self.draw(key, len(edges.targets))


@dataclasses.dataclass(frozen=True)
class _Uniform(Distribution):
    low: float
    high: float
    kind = "uniform"

    def shaped(self, numbers: np.ndarray) -> np.ndarray:
        return self.low + (self.high - self.low) * (1.0 - numbers)


@dataclasses.dataclass(frozen=True)
class _Normal(Distribution):
    mean: float
    sd: float
    kind = "normal"

    def shaped(self, numbers: np.ndarray) -> np.ndarray:
        return self.mean + self.sd * numbers


@dataclasses.dataclass(frozen=True)
class _Truncated(Distribution):
    """Normal between bounds, by inversion of the distribution there: one number each, none is thrown away."""

    mean: float
    sd: float
    low: float
    high: float
    kind = "uniform"

    def shaped(self, numbers: np.ndarray) -> np.ndarray:
        from scipy.special import ndtri

        low, high, sign = self._tail()
        found = self.mean + sign * self.sd * ndtri(low + (high - low) * (1.0 - numbers))
        return np.clip(found, self.low, self.high)

    def _tail(self) -> tuple[float, float, float]:
        """Chances below the bounds, and 1; or of the mirrored ones, and -1, where those keep more digits."""
        from scipy.special import ndtr

        a, b = ((bound - self.mean) / self.sd for bound in (self.low, self.high))
        low, high, sign = (a, b, 1.0) if a <= 0.0 else (-b, -a, -1.0)
        return float(ndtr(low)), float(ndtr(high)), sign

    def __post_init__(self) -> None:
        low, high, _ = self._tail()
        if not low < high:
            got = f"bounds {self.low} to {self.high} around mean {self.mean}, sd {self.sd}"
            raise ParameterError("normal", got=got, expected="a range that numbers can fall into")


@dataclasses.dataclass(frozen=True)
class _LogNormal(Distribution):
    mean: float
    sd: float
    kind = "normal"

    def shaped(self, numbers: np.ndarray) -> np.ndarray:
        variance = math.log1p((self.sd / self.mean) ** 2)
        return np.exp(math.log(self.mean) - 0.5 * variance + math.sqrt(variance) * numbers)


@dataclasses.dataclass(frozen=True)
class _Gamma(Distribution):
    mean: float
    sd: float
    kind = "uniform"

    def shaped(self, numbers: np.ndarray) -> np.ndarray:
        from scipy.special import gammaincinv

        shape = (self.mean / self.sd) ** 2
        return gammaincinv(shape, 1.0 - numbers) * (self.mean / shape)


@dataclasses.dataclass(frozen=True)
class _Clipped(Distribution):
    inner: Distribution
    low: float
    high: float
    kind: str

    def shaped(self, numbers: np.ndarray) -> np.ndarray:
        return np.clip(self.inner.shaped(numbers), self.low, self.high)

    def along(self, key: int, edges: Edges, pre: Side, post: Side) -> np.ndarray:
        return np.clip(self.inner.along(key, edges, pre, post), self.low, self.high)


def uniform(low: float, high: float) -> Distribution:
    """Evenly between ``low`` and ``high``. Raises ParameterError unless both are finite and low <= high.

    >>> bool(2.0 <= uniform(2.0, 3.0).draw(key=1, count=5).min())
    True
    """
    low, high = _number("uniform: low", low), _number("uniform: high", high)
    if low > high:
        raise ParameterError("uniform", got=f"{low} to {high}", expected="the lower bound first")
    return _Uniform(low, high)


def normal(mean: float, sd: float, *, low: float = -math.inf, high: float = math.inf) -> Distribution:
    """Normal; with ``low`` or ``high`` truncated: as if drawn again until it falls between them (NEST's ``redraw``).

    :func:`clipped` sets numbers outside to the bounds instead, which piles them up there. Raises ParameterError for a
    negative ``sd`` and bounds with nothing between them.

    >>> bool(normal(1.5, 0.75, low=0.1).draw(key=1, count=1000).min() >= 0.1)
    True
    """
    mean, sd = _moments("normal", mean, sd)
    low, high = (_number(f"normal: {n}", v, infinite=True) for n, v in (("low", low), ("high", high)))
    if not low < high or (sd == 0.0 and not low <= mean <= high):
        raise ParameterError("normal", got=f"bounds {low} to {high}", expected="a range that numbers can fall into")
    unbounded = low == -math.inf and high == math.inf
    return _Normal(mean, sd) if sd == 0.0 or unbounded else _Truncated(mean, sd, low, high)


def lognormal(mean: float, sd: float) -> Distribution:
    """Log-normal with this mean and standard deviation of the numbers themselves (not of their logarithms).

    Raises ParameterError unless mean > 0 and sd >= 0.

    >>> bool(lognormal(1.0, 0.5).draw(key=1, count=1000).min() > 0.0)
    True
    """
    return _LogNormal(*_moments("lognormal", mean, sd, positive=True))


def gamma(mean: float, sd: float) -> Distribution:
    """Gamma with this mean and standard deviation: the shape is (mean / sd)².

    Raises ParameterError unless both are above 0.

    >>> bool(gamma(1.0, 0.5).draw(key=1, count=1000).min() > 0.0)
    True
    """
    mean, sd = _moments("gamma", mean, sd, positive=True)
    if sd == 0.0:
        raise ParameterError("gamma", got="sd 0", expected="sd > 0")
    return _Gamma(mean, sd)


def clipped(inner: Distribution, low: float = -math.inf, high: float = math.inf) -> Distribution:
    """``inner`` with numbers below ``low`` set to it, and above ``high`` alike. Raises ParameterError if low > high.

    >>> clipped(normal(0.0, 1.0), low=0.0).draw(key=1, count=1000).min()
    np.float64(0.0)
    """
    if not isinstance(inner, Distribution):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ParameterError("clipped", got=repr(inner), expected="a distribution such as sl.sim.normal(1.5, 0.75)")
    low, high = (_number(f"clipped: {n}", v, infinite=True) for n, v in (("low", low), ("high", high)))
    if low > high:
        raise ParameterError("clipped", got=f"{low} to {high}", expected="the lower bound first")
    return _Clipped(inner, low, high, inner.kind)


def _moments(label: str, mean: float, sd: float, *, positive: bool = False) -> tuple[float, float]:
    mean, sd = _number(f"{label}: mean", mean), _number(f"{label}: sd", sd)
    if sd < 0.0 or (positive and mean <= 0.0):
        expected = "sd >= 0" + (", mean > 0" if positive else "")
        raise ParameterError(label, got=f"mean {mean}, sd {sd}", expected=expected)
    return mean, sd


def _number(label: str, value: Any, *, infinite: bool = False) -> float:
    """A plain number; the unit is that of what it is drawn for."""
    plain = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not plain or math.isnan(value) or (math.isinf(value) and not infinite):
        mend = "Leave out the unit: numbers are in that of what they are drawn for."
        raise ParameterError(label, got=value, expected="a finite number", mend="" if plain else mend)
    return float(value)


def _numbers(kind: str, key: int, first: int, count: int) -> np.ndarray:
    row, before = divmod(first, _ROW)
    rows, like = -(-(before + count) // _ROW), torch.empty(0, dtype=torch.float64)
    found = draw_by_key(kind, key, row, rows, min(_ROW, before + count), like)
    return found.numpy().reshape(-1)[before : before + count]


__all__ = ["Distribution", "clipped", "gamma", "lognormal", "normal", "uniform"]
