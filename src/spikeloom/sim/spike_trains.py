"""Spikes of a group over a stretch of time."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, final

import numpy as np

from ..errors import ParameterError, ShapeError
from ..units import Quantity, ms
from .numbers import MOST, array_of, numbers_of, said, time_of, whole


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SpikeTrains:
    """Spikes of ``size`` neurons after ``begin`` and up to ``end`` (ms): ``neurons[k]`` fired at ``times[k]``.

    ``times`` (float64 [K], ms) ascend; of the same time ``neurons`` (int32 [K]) ascend. The two arrays are taken as
    they are: spikes in any order, from a file or another simulator, go through :meth:`of_arrays`, which checks them.

    >>> trains = SpikeTrains.from_steps(np.array([9, 19]), np.array([2, 0]), 0.1, 3, 0.0, 10.0)
    >>> trains.times.tolist(), len(trains), trains.rates().tolist()
    ([1.0, 2.0], 2, [100.0, 0.0, 100.0])
    """

    times: np.ndarray
    neurons: np.ndarray
    size: int
    begin: float
    end: float

    @classmethod
    def from_steps(
        cls, steps: np.ndarray, neurons: np.ndarray, dt: float, size: int, begin: float, end: float,
        ahead: np.ndarray | None = None,
    ) -> SpikeTrains:  # fmt: skip
        """From the steps in which spikes fell, in order; a spike is at the end of its step, or ``ahead`` ms before."""
        if ahead is None:
            return cls((steps + 1) * dt, neurons, size, begin, end)
        times = np.maximum((steps + 1) * dt - ahead, steps * dt)
        order = np.lexsort((neurons, times))
        return cls(times[order], neurons[order], size, begin, end)

    @classmethod
    def of_arrays(
        cls, times: Any, neurons: Any, size: int, begin: float | Quantity, end: float | Quantity
    ) -> SpikeTrains:
        """From times in ms and neurons in any order, both [K].

        Raises ShapeError where they differ in length, ParameterError for what is no number, for neurons that there are
        not, times outside, and a ``size`` of more than 2147483647.

        >>> SpikeTrains.of_arrays([2.0, 1.0], [0, 1], 2, 0.0, 10.0).neurons.tolist()
        [1, 0]
        """
        size = whole(size, "size", 1, MOST)
        first, last = _stretch(begin, end)
        at, who = numbers_of(times, ms, "times of spikes"), array_of(neurons)
        expected = f"whole numbers from 0 to {size - 1}"
        if who.size and who.dtype.kind not in "iu":
            raise ParameterError("neurons of spikes", got=said(neurons), expected=expected)
        if at.ndim != 1 or at.shape != who.shape:
            raise ShapeError("times and neurons of spikes", got=f"{at.shape} and {who.shape}", expected="twice [K]")
        if who.size and (who.min() < 0 or who.max() >= size):
            raise ParameterError("neurons of spikes", got=f"{who.min()} to {who.max()}", expected=expected)
        outside = ~((at >= first) & (at <= _past(last)))  # also what is not a number
        if outside.any():
            expected = f"times from {first:g} to {last:g} ms"
            raise ParameterError("times of spikes", got=f"{at[outside][0]:g} ms", expected=expected)
        order = np.lexsort((who, at))
        return cls(at[order], who[order].astype(np.int32), size, first, last)

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        return f"<SpikeTrains: {len(self):,} spikes of {self.size:,} neurons, {self.begin:g} to {self.end:g} ms>"

    @property
    def duration(self) -> float:
        """The length of the observation in ms."""
        return self.end - self.begin

    def of(self, neuron: int) -> np.ndarray:
        """Times of one neuron's spikes. For those of many, see :meth:`by_neuron`."""
        return self.times[self.neurons == whole(neuron, "neuron", 0, self.size - 1)]

    def by_neuron(self) -> tuple[np.ndarray, np.ndarray]:
        """Times sorted by neuron [K], and where each neuron's begin in them [size + 1].

        >>> times, starts = SpikeTrains.of_arrays([1.0, 2.0, 3.0], [1, 0, 1], 2, 0.0, 4.0).by_neuron()
        >>> times[starts[1] : starts[2]].tolist()
        [1.0, 3.0]
        """
        order = np.argsort(self.neurons, kind="stable")
        starts = np.zeros(self.size + 1, np.int64)
        np.cumsum(self.counts(), out=starts[1:])
        return self.times[order], starts

    def window(self, begin: float | Quantity, end: float | Quantity) -> SpikeTrains:
        """The spikes after ``begin`` and up to ``end``, as an observation of that length.

        Raises ParameterError for a window that is empty or reaches beyond the observation, where nobody looked.
        """
        begin, end = _stretch(begin, end)
        if begin == end or begin < self.begin - slack(self.begin) or end > _past(self.end):
            expected = f"a stretch within {self.begin:g} to {self.end:g} ms"
            raise ParameterError("a window of spikes", got=f"{begin:g} to {end:g} ms", expected=expected)
        # A time is a whole number of steps but for rounding: 3 * 0.1 belongs to a window that ends at 0.3.
        a = np.searchsorted(self.times, _past(begin), side="right") if begin > _past(self.begin) else 0
        b = np.searchsorted(self.times, _past(end), side="right")
        return SpikeTrains(self.times[a:b], self.neurons[a:b], self.size, begin, end)

    def counts(self) -> np.ndarray:
        """Spikes of each neuron, int64 [size]."""
        return np.bincount(self.neurons, minlength=self.size)

    def rates(self) -> np.ndarray:
        """Rate of each neuron in Hz, [size]; NaN where nobody looked for any time."""
        return self.counts() / (self.duration or math.nan) * 1e3

    def rate(self) -> float:
        """Mean rate of a neuron in Hz; NaN where nobody looked for any time."""
        return float(len(self) / self.size / (self.duration or math.nan) * 1e3)

    def select(self, neurons: Any) -> SpikeTrains:
        """The spikes of some neurons (indices [K], a slice or a mask [size]), numbered from 0 in the order given.

        Raises ParameterError for neurons that there are not, and for none or twice the same, ShapeError for a table.

        >>> SpikeTrains.of_arrays([1.0, 2.0, 3.0], [0, 1, 2], 3, 0.0, 4.0).select([2, 0]).neurons.tolist()
        [1, 0]
        """
        chosen = _chosen(neurons, self.size)
        numbers = np.full(self.size, -1, np.int32)
        numbers[chosen] = np.arange(len(chosen))
        if not len(chosen) or np.count_nonzero(numbers >= 0) < len(chosen):
            raise ParameterError("neurons to select", got=said(neurons), expected="at least one, each once")
        named = numbers[self.neurons]
        kept = named >= 0
        times, renamed = self.times[kept], named[kept]
        if (np.diff(chosen) < 0).any():  # another order: of the same time neurons have to ascend again
            order = np.lexsort((renamed, times))
            times, renamed = times[order], renamed[order]
        return SpikeTrains(times, renamed, len(chosen), self.begin, self.end)


def slack(time: Any) -> Any:
    """By how much rounding may move a time (or times) in ms that is a whole number of steps."""
    return 1e-9 + 1e-12 * abs(time)


def require_trains(trains: Any) -> None:
    """Raise ParameterError for anything but spike trains."""
    if not isinstance(trains, SpikeTrains):
        mend = 'Take those of a group: result.spikes["name"], or SpikeTrains.of_arrays(...).'
        raise ParameterError("spike trains", got=type(trains).__name__, expected="SpikeTrains", mend=mend)


def _past(time: float) -> float:
    return time + slack(time)


def _stretch(begin: Any, end: Any) -> tuple[float, float]:
    label = "a stretch of time"
    try:
        first, last = time_of(begin, label), time_of(end, label)
    except ParameterError:
        got, expected = f"{said(begin)} to {said(end)}", "two numbers in ms, both finite"
        raise ParameterError(label, got=got, expected=expected) from None
    if first > last:
        raise ParameterError(label, got=f"{first:g} to {last:g} ms", expected="an end that is not before its begin")
    return first, last


def _chosen(neurons: Any, size: int) -> np.ndarray:
    """The neurons that indices, a slice or a mask name."""
    label, where = "neurons to select", neurons
    if not isinstance(neurons, slice):
        where = array_of(neurons)
        if where.ndim > 1:
            mend = "Take np.flatnonzero(mask) for np.where(mask)."
            raise ShapeError(label, got=where.shape, expected="indices [K] or a mask [size]", mend=mend)
        if where.size == 0:
            where = np.empty(0, np.int64)
        if where.dtype.kind not in ("biu" if where.ndim else "iu"):
            raise ParameterError(label, got=said(neurons), expected="whole numbers, a slice or a mask")
    try:
        return np.atleast_1d(np.arange(size)[where])
    except (IndexError, TypeError, ValueError) as error:
        raise ParameterError(label, got=str(error), expected=f"indices below {size} or a mask [{size}]") from None


__all__ = ["SpikeTrains", "require_trains", "slack"]
