"""What a simulation recorded."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from ..errors import ModelError, did_you_mean


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Spikes:
    """Which entries of an array ``[T + 1]`` or ``[T + 1, N]`` hold a spike: eight bytes a spike, none for silence.

    ``flat`` counts through the array in C order and ascends.

    >>> spikes = Spikes.of(np.array([[False, False], [True, False], [True, True]]))
    >>> spikes.steps.tolist(), spikes.neurons.tolist(), [t.tolist() for t in spikes.trains()]
    ([1, 2, 2], [0, 0, 1], [[1, 2], [2]])
    """

    flat: np.ndarray
    shape: tuple[int, ...]

    @staticmethod
    def of(fired: np.ndarray) -> Spikes:
        """The spikes of a dense array of booleans."""
        return Spikes(np.flatnonzero(fired), fired.shape)

    def __len__(self) -> int:
        return len(self.flat)

    @property
    def steps(self) -> np.ndarray:
        """Index along the first axis of each spike, ascending."""
        return self.flat if len(self.shape) == 1 else self.flat // self.shape[1]

    @property
    def neurons(self) -> np.ndarray:
        """Neuron of each spike."""
        return np.zeros_like(self.flat) if len(self.shape) == 1 else self.flat % self.shape[1]

    def trains(self) -> list[np.ndarray]:
        """The steps in which each neuron fired."""
        if len(self.shape) == 1:
            return [self.flat]
        neurons = self.neurons
        order = np.argsort(neurons, kind="stable")
        counts = np.bincount(neurons, minlength=self.shape[1])
        return np.split(self.steps[order], np.cumsum(counts)[:-1])

    def dense(self) -> np.ndarray:
        """The array of booleans."""
        fired = np.zeros(self.shape, dtype=bool)
        fired.reshape(-1)[self.flat] = True
        return fired


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """What :func:`simulate` recorded.

    ``times`` ``[T + 1]`` in ms starts at 0; states have shape ``[T + 1]``, or ``[T + 1, N]`` for N neurons;
    ``spikes`` says in which entries a spike was made. A spike is stamped with the end of its step: the first grid
    point at which the threshold had been reached. Solvers off the grid give the true times: ``located``, one array
    per neuron.
    """

    times: np.ndarray
    states: Mapping[str, np.ndarray]
    spikes: Spikes
    units: Mapping[str, str]
    located: Sequence[np.ndarray] | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.states:
            raise ModelError(f"state {name!r} was not recorded", mend=did_you_mean(name, self.states))
        return self.states[name]

    @functools.cached_property
    def fired(self) -> np.ndarray:
        """``spikes`` as booleans, ``[T + 1]`` or ``[T + 1, N]``: made at the first look, a byte an entry."""
        return self.spikes.dense()

    def single(self) -> Trace:
        """The first neuron of several, as a trace of one."""
        states = {name: values[:, 0] for name, values in self.states.items()}
        flat = self.spikes.steps[self.spikes.neurons == 0]
        return dataclasses.replace(self, states=states, spikes=Spikes(flat, self.spikes.shape[:1]))

    def __repr__(self) -> str:
        """
        >>> import spikeloom as sl
        >>> sl.simulate(sl.LIF(tau=10.0), 2.0, 20.0, 0.1)
        Trace(v: 200 steps of 0.1 ms, 2 spikes)
        """
        step = f"{len(self.times) - 1} steps of {self.times[1] - self.times[0]:.4g} ms"
        neurons = f", {self.spikes.shape[1]} neurons" if len(self.spikes.shape) > 1 else ""
        return f"Trace({', '.join(self.states) or 'no states'}: {step}{neurons}, {len(self.spikes.flat)} spikes)"

    def names(self) -> list[str]:
        """Recorded states."""
        return list(self.states)

    @property
    def spike_times(self) -> Any:
        """Spike times in ms: an array, or a list with one array per neuron."""
        trains = [self.times[train] for train in self.spikes.trains()] if self.located is None else list(self.located)
        return trains[0] if len(self.spikes.shape) == 1 else trains

    def rates(self, start: float = 0.0) -> Any:
        """Mean rate in Hz from the intervals between the spikes after ``start`` ms; 0 with fewer than two spikes.

        A number, or an array ``[N]``.
        """
        single = len(self.spikes.shape) == 1
        trains = [self.spike_times] if single else self.spike_times
        late = [t[t > start] for t in trains]
        found = np.array([1000.0 * (len(t) - 1) / (t[-1] - t[0]) if len(t) > 1 else 0.0 for t in late])
        return float(found[0]) if single else found


__all__ = ["Spikes", "Trace"]
