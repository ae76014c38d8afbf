"""Recorders: states of chosen neurons at regular times."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from ..errors import ModelError, ParameterError, did_you_mean
from ..kernels.plastic.edges import WEIGHT
from ..units import Unit, synaptic_weight
from .groups import Population
from .numbers import array_of, whole
from .projection import Projection

_MOST_STEPS = 2**53  # from one sample to the next: beyond, times in float64 are no whole steps


class _Recorder:
    """``state`` of the members ``neurons`` of ``owner`` after every ``every``-th step."""

    def __init__(self, owner: Population | Projection, state: str, neurons: np.ndarray, every: int) -> None:
        self.owner, self.state, self.every = owner, state, whole(every, "every", 1, _MOST_STEPS)
        self.neurons = np.ascontiguousarray(neurons, np.int64)

    def room(self, first: int, steps: int, dtype: np.dtype[Any]) -> np.ndarray:
        """An array for the samples of ``steps`` steps from ``first`` on."""
        return np.empty(((first + steps) // self.every - first // self.every, len(self.neurons)), dtype)

    def steps(self, first: int, steps: int) -> np.ndarray:
        """Before which step each of these samples is: it shows what is at the end of the one before."""
        return np.arange(first // self.every + 1, (first + steps) // self.every + 1) * self.every

    def times(self, first: int, steps: int, dt: float) -> np.ndarray:
        """Times in ms of these samples."""
        return self.steps(first, steps) // self.every * (self.every * dt)


@final
class Recorder(_Recorder):
    """``state`` of ``neurons`` (indices; None: all) of ``population`` after every ``every``-th step.

    Raises ModelError for an unknown state, ParameterError for neurons that there are not.
    """

    def __init__(self, population: Population, state: str, neurons: Any = None, every: int = 1) -> None:
        if not isinstance(state, str) or state not in population.model.states:  # pyright: ignore[reportUnnecessaryIsInstance]
            what = f"population {population.name} has no state {state!r} to record"
            mend = "" if isinstance(state, str) else "Record one state at a time, by its name. "
            raise ModelError(what, mend=mend + did_you_mean(state, population.model.states))
        what = f"neurons of {population.name} to record"
        super().__init__(population, state, _chosen(what, neurons, population.size), every)
        self.population = population

    @property
    def unit(self) -> Unit:
        return self.population.model.states[self.state].unit


@final
class EdgeRecorder(_Recorder):
    """The weight ``"w"`` or another state of ``edges`` (None: all) of a projection with a plasticity rule.

    Edges are numbered as in ``projection.edges``. Raises ModelError for a state that there is not, or that moves
    between events, ParameterError for edges that there are not and for weights that never change.
    """

    def __init__(self, projection: Projection, state: str, edges: Any = None, every: int = 1) -> None:
        rule = projection.plasticity
        if rule is None:
            raise ParameterError(f"weights of {projection.name} never change", mend="They are projection.weights.")
        known = [WEIGHT, *(n for n in rule.states if rule.side_of(n) == "edge")]
        if state not in known:
            raise ModelError(f"{projection.name} has no state {state!r} to record", mend=did_you_mean(state, known))
        if state in rule.derivative(rule.symbols()):
            what = f"{state} of {projection.name} moves between spikes, and is known only when there is one"
            raise ModelError(what, expected=f"one of {', '.join(known)} that does not")
        super().__init__(
            projection, state, _chosen(f"edges of {projection.name} to record", edges, projection.size), every
        )
        self.projection = projection

    @property
    def unit(self) -> Unit:
        rule, weight = self.projection.plasticity, self.projection.unit
        declared = synaptic_weight if rule is None or self.state == WEIGHT else rule.states[self.state].unit
        return weight if declared is synaptic_weight else declared


def _chosen(what: str, given: Any, size: int) -> np.ndarray:
    chosen = np.arange(size) if given is None else np.unique(array_of(given))
    if chosen.size and (chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= size):
        got = f"{chosen.min()} to {chosen.max()}" if chosen.dtype.kind in "iuf" else repr(given)
        raise ParameterError(what, got=got, expected=f"whole numbers from 0 to {size - 1}, or None for all")
    return chosen


__all__ = ["EdgeRecorder", "Recorder"]
