"""Recorders: states of chosen neurons at regular times."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from ..errors import ModelError, ParameterError, did_you_mean
from .groups import Population


@final
class Recorder:
    """``state`` of ``neurons`` (indices; None: all) of ``population`` after every ``every``-th step.

    Raises ModelError for an unknown state, ParameterError for neurons that there are not.
    """

    def __init__(self, population: Population, state: str, neurons: Any = None, every: int = 1) -> None:
        if state not in population.model.states:
            what = f"population {population.name} has no state {state!r} to record"
            raise ModelError(what, mend=did_you_mean(state, population.model.states))
        chosen = np.arange(population.size) if neurons is None else np.unique(np.asarray(neurons))
        if chosen.size and (chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= population.size):
            what, expected = f"neurons of {population.name} to record", f"whole numbers from 0 to {population.size - 1}"
            raise ParameterError(what, got=f"{chosen.min()} to {chosen.max()}", expected=expected)
        if not (isinstance(every, int) and every >= 1):
            raise ParameterError("every", got=every, expected="a whole number of steps, at least 1")
        self.population, self.state, self.every = population, state, every
        self.neurons = np.ascontiguousarray(chosen, np.int64)

    def room(self, first: int, steps: int, dtype: np.dtype[Any]) -> np.ndarray:
        """An array for the samples of ``steps`` steps from ``first`` on."""
        return np.empty(((first + steps) // self.every - first // self.every, len(self.neurons)), dtype)

    def times(self, first: int, steps: int, dt: float) -> np.ndarray:
        """Times in ms of these samples: a sample shows what is at the end of its step."""
        return np.arange(first // self.every + 1, (first + steps) // self.every + 1) * (self.every * dt)


__all__ = ["Recorder"]
