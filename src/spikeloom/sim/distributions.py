"""Random weights, delays, parameters and initial values: each number depends on a key and its place, and no more."""

from __future__ import annotations

import abc
import dataclasses
import math

import numpy as np
import torch

from ..errors import ParameterError
from ..kernels.random import draw_by_key


class Distribution(abc.ABC):
    """What numbers are drawn from."""

    def draw(self, key: int, count: int) -> np.ndarray:
        """``count`` numbers, float64; the k-th depends on ``key`` and k alone."""
        return self.shaped(key, count)

    @abc.abstractmethod
    def shaped(self, key: int, count: int) -> np.ndarray:
        """The numbers."""


@dataclasses.dataclass(frozen=True)
class _Uniform(Distribution):
    low: float
    high: float

    def shaped(self, key: int, count: int) -> np.ndarray:
        return self.low + (self.high - self.low) * (1.0 - _numbers("uniform", key, count))


@dataclasses.dataclass(frozen=True)
class _Normal(Distribution):
    mean: float
    sd: float
    low: float
    high: float

    def shaped(self, key: int, count: int) -> np.ndarray:
        if self.low == -math.inf and self.high == math.inf:
            return self.mean + self.sd * _numbers("normal", key, count)
        # By inversion of the distribution between the bounds: one number each, none is thrown away.
        from scipy.special import ndtr, ndtri

        a, b = (ndtr((bound - self.mean) / self.sd) for bound in (self.low, self.high))
        found = self.mean + self.sd * ndtri(a + (b - a) * (1.0 - _numbers("uniform", key, count)))
        return np.clip(found, self.low, self.high)


@dataclasses.dataclass(frozen=True)
class _LogNormal(Distribution):
    mean: float
    sd: float

    def shaped(self, key: int, count: int) -> np.ndarray:
        variance = math.log1p((self.sd / self.mean) ** 2)
        return np.exp(math.log(self.mean) - 0.5 * variance + math.sqrt(variance) * _numbers("normal", key, count))


@dataclasses.dataclass(frozen=True)
class _Gamma(Distribution):
    mean: float
    sd: float

    def shaped(self, key: int, count: int) -> np.ndarray:
        from scipy.special import gammaincinv

        shape = (self.mean / self.sd) ** 2
        return gammaincinv(shape, 1.0 - _numbers("uniform", key, count)) * (self.mean / shape)


def uniform(low: float, high: float) -> Distribution:
    """Evenly from [low, high). Raises ParameterError unless both are finite and low <= high.

    >>> bool(2.0 <= uniform(2.0, 3.0).draw(key=1, count=5).min())
    True
    """
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ParameterError("uniform", got=f"{low} to {high}", expected="finite bounds, the lower one first")
    return _Uniform(float(low), float(high))


def normal(mean: float, sd: float, *, low: float = -math.inf, high: float = math.inf) -> Distribution:
    """Normal; between ``low`` and ``high`` truncated: as if drawn again until it falls between them.

    Raises ParameterError for a negative ``sd`` and bounds with nothing between them.

    >>> bool(normal(1.5, 0.75, low=0.1).draw(key=1, count=1000).min() >= 0.1)
    True
    """
    _check_positive("normal", mean, sd, positive_mean=False)
    if not low < high or (sd == 0.0 and not low <= mean <= high):
        raise ParameterError("normal", got=f"bounds {low} to {high}", expected="a range that numbers can fall into")
    return _Normal(float(mean), float(sd), float(low), float(high)) if sd > 0.0 else _Uniform(float(mean), float(mean))


def lognormal(mean: float, sd: float) -> Distribution:
    """Log-normal with this mean and standard deviation of the numbers themselves (not of their logarithms)."""
    _check_positive("lognormal", mean, sd)
    return _LogNormal(float(mean), float(sd))


def gamma(mean: float, sd: float) -> Distribution:
    """Gamma with this mean and standard deviation: the shape is (mean / sd)²."""
    _check_positive("gamma", mean, sd)
    if sd == 0.0:
        raise ParameterError("gamma", got="sd 0", expected="sd > 0")
    return _Gamma(float(mean), float(sd))


def _check_positive(label: str, mean: float, sd: float, *, positive_mean: bool = True) -> None:
    if not (math.isfinite(mean) and math.isfinite(sd) and sd >= 0.0 and (mean > 0.0 or not positive_mean)):
        expected = "finite numbers, sd >= 0" + (", mean > 0" if positive_mean else "")
        raise ParameterError(label, got=f"mean {mean}, sd {sd}", expected=expected)


def _numbers(kind: str, key: int, count: int) -> np.ndarray:
    return draw_by_key(kind, key, 0, 1, count, torch.empty(0, dtype=torch.float64)).numpy()[0]


__all__ = ["Distribution", "gamma", "lognormal", "normal", "uniform"]
