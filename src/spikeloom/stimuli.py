"""Injected currents as functions of time: steps and ramps, which add up to any protocol of an experiment."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from .errors import ParameterError

_ROUNDING = 1e-12  # of a time


class Stimulus(ABC):
    """A current as a function of time; ``a + b`` is their sum. Plain numbers in the unit of the model's input."""

    @abstractmethod
    def __call__(self, times: Any) -> np.ndarray:
        """Values ``[T]`` at ``times`` ``[T]`` in ms."""

    @abstractmethod
    def breaks(self) -> tuple[float, ...]:
        """Times in ms at which the current or its slope jumps, ascending: where an adaptive solver must stop."""

    def __add__(self, other: Stimulus) -> Stimulus:
        return Sum((self, other))


@dataclasses.dataclass(frozen=True)
class Steps(Stimulus):
    """Piecewise constant: ``(time, value)`` pairs, each value holding from its time (ms) on; ``before`` the first.

    >>> Steps((10.0, 14.0), (60.0, 0.0))(np.array([9.0, 10.0, 59.0, 60.0])).tolist()
    [0.0, 14.0, 14.0, 0.0]
    """

    changes: tuple[tuple[float, float], ...]
    before: float

    def __init__(self, *changes: tuple[float, float], before: float = 0.0) -> None:
        if not all(isinstance(change, (tuple, list)) and len(change) == 2 for change in changes):
            mend = "Such as Steps((10.0, 14.0), (60.0, 0.0))."
            raise ParameterError("a step current", got=changes, expected="pairs (time in ms, value)", mend=mend)
        if not all(map(_finite, (before, *(number for change in changes for number in change)))):
            raise ParameterError("a step current", got=changes, expected="finite numbers")
        times = [time for time, _ in changes]
        if times != sorted(set(times)):
            raise ParameterError("times of a step current", got=times, expected="ascending times in ms")
        object.__setattr__(self, "changes", tuple(changes))
        object.__setattr__(self, "before", before)

    def __call__(self, times: Any) -> np.ndarray:
        values = np.array([self.before, *(value for _, value in self.changes)])
        return values[np.searchsorted([_begun(time) for time in self.breaks()], np.asarray(times), side="right")]

    def breaks(self) -> tuple[float, ...]:
        return tuple(time for time, _ in self.changes)


@dataclasses.dataclass(frozen=True)
class Ramp(Stimulus):
    """Grows by ``slope`` per ms from ``start`` to ``stop`` (ms), 0 before and after.

    >>> Ramp(slope=0.5, start=10.0, stop=20.0)(np.array([0.0, 10.0, 14.0, 20.0])).tolist()
    [0.0, 0.0, 2.0, 0.0]
    """

    slope: float
    start: float = 0.0
    stop: float = math.inf

    def __post_init__(self) -> None:
        given = (self.slope, self.start, 0.0 if self.stop == math.inf else self.stop)
        if not all(map(_finite, given)) or self.stop < self.start:
            raise ParameterError("a ramp", got=repr(self), expected="finite numbers, start before stop")

    def __call__(self, times: Any) -> np.ndarray:
        t = np.asarray(times, dtype=float)
        inside = (t >= _begun(self.start)) & (t < _begun(self.stop))
        return np.where(inside, self.slope * np.maximum(t - self.start, 0.0), 0.0)

    def breaks(self) -> tuple[float, ...]:
        return tuple(t for t in (self.start, self.stop) if math.isfinite(t))


def _finite(number: object) -> bool:
    return isinstance(number, (int, float, np.number)) and not isinstance(number, bool) and math.isfinite(number)


def _begun(time: float) -> float:
    """``time`` but for rounding: 3 steps of 0.15 ms are a little less than 0.45 ms in floating point."""
    return time - _ROUNDING * abs(time) if math.isfinite(time) else time


@dataclasses.dataclass(frozen=True)
class Sum(Stimulus):
    """The sum of stimuli."""

    parts: tuple[Stimulus, ...]

    def __call__(self, times: Any) -> np.ndarray:
        return np.sum([part(times) for part in self.parts], axis=0)

    def breaks(self) -> tuple[float, ...]:
        return tuple(sorted({time for part in self.parts for time in part.breaks()}))


def pulses(*windows: tuple[float, float], amplitude: float, baseline: float = 0.0) -> Steps:
    """``amplitude`` within each ``(start, stop)`` window (ms), ``baseline`` elsewhere.

    >>> pulses((10.0, 12.0), amplitude=20.0).changes
    ((10.0, 20.0), (12.0, 0.0))
    """
    changes = [change for start, stop in windows for change in ((start, amplitude), (stop, baseline))]
    return Steps(*changes, before=baseline)


__all__ = ["Ramp", "Steps", "Stimulus", "Sum", "pulses"]
