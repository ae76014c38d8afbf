"""Spikes of a group over a stretch of time."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class SpikeTrains:
    """Spikes of ``size`` neurons between ``begin`` and ``end`` (ms): ``neurons[k]`` fired at ``times[k]``.

    ``times`` ascend; of the same time neurons ascend.

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
        cls, steps: np.ndarray, neurons: np.ndarray, dt: float, size: int, begin: float, end: float
    ) -> SpikeTrains:
        """From the steps in which spikes fell, in order; a spike belongs to the end of its step."""
        return cls((steps + 1) * dt, neurons, size, begin, end)

    def __len__(self) -> int:
        return len(self.times)

    def of(self, neuron: int) -> np.ndarray:
        """Times of one neuron's spikes."""
        return self.times[self.neurons == neuron]

    def window(self, begin: float, end: float) -> SpikeTrains:
        """The spikes after ``begin`` and up to ``end``."""
        a, b = np.searchsorted(self.times, [begin, end], side="right")
        return SpikeTrains(self.times[a:b], self.neurons[a:b], self.size, begin, end)

    def counts(self) -> np.ndarray:
        """Spikes of each neuron."""
        return np.bincount(self.neurons, minlength=self.size)

    def rates(self) -> np.ndarray:
        """Rate of each neuron in Hz."""
        return self.counts() / (self.end - self.begin) * 1e3

    def rate(self) -> float:
        """Mean rate in Hz."""
        return float(len(self) / self.size / (self.end - self.begin) * 1e3)

    def select(self, neurons: Any) -> SpikeTrains:
        """The spikes of some neurons, which keep their numbers."""
        kept = np.isin(self.neurons, np.asarray(neurons))
        return dataclasses.replace(self, times=self.times[kept], neurons=self.neurons[kept])


__all__ = ["SpikeTrains"]
