"""Populations whose spikes arrive, cross and reset at their exact times: what they need beside their states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from ..errors import ModelError, ParameterError
from ..kernels.program import STATE
from ..kernels.propagate.advance import Arrival, Lists
from ..kernels.propagate.deliver import Wires
from ..kernels.propagate.drive import Task
from ..kernels.propagate.events import Collected, Events, by_delay, collect, collect_task
from ..kernels.propagate.exact_advance import ExactStepped, exact_task
from ..kernels.propagate.exact_reference import exact
from ..kernels.propagate.exact_step import exact_step, require_exact, series_length
from ..models.base import NeuronModel
from ..solvers import Exact, Located
from .groups import Population
from .projection import Projection


@final
class LocatedPopulation:
    """Equations of ``population``, and room for what arrives in a step along ``projections``.

    ``rows`` are the ports that drives reach. ``wires`` are the edges in the order in which they are looked up.
    """

    def __init__(
        self, population: Population, projections: Sequence[Projection], rows: Sequence[str],
        found: Mapping[str, Wires], dt: float,
    ) -> None:  # fmt: skip
        self._population, self._dt = population, dt
        self._ports = list(dict.fromkeys([*rows, *(p.port for p in projections)]))
        model = population.model
        self._model: NeuronModel = model
        self._step, self._series = exact_step(model, self._ports, population.size, dt), series_length(model, dt)
        self.wires = {p.name: by_delay(found[p.name]) for p in projections}
        self._events = Events.room(population.size, list(self.wires.values()))
        self._twice = np.zeros(population.size, np.int32)

    def collect(self, projection: Projection, lists: Lists, sources: np.ndarray, bounds: np.ndarray) -> Task:
        """Looks up what arrives along ``projection`` in a step."""
        port = self._ports.index(projection.port)
        given = Collected(lists, sources, self.wires[projection.name], self._events, port)
        return Task(*collect_task(given), bounds, collect(given), fires=False)

    def advance(
        self, states: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray], held: Mapping[str, Arrival],
        shown: Mapping[str, np.ndarray], lists: Lists, bounds: np.ndarray,
    ) -> Task:  # fmt: skip
        """Steps the population: ``states`` by their names in a step, the others by the model's."""
        own = {n.removeprefix(STATE): values for n, values in states.items()}
        given = ExactStepped(
            self._step, own, held, rows, shown, self._events, lists, self._twice, self._dt, self._series
        )
        label = type(self._population.given_model).__name__
        return Task(*exact_task(given, label), bounds, exact(given, self._model), receives=False)

    def check(self) -> None:
        """Raise ParameterError where a neuron would have fired twice in a step."""
        if self._twice.any():
            neuron, name = int(np.flatnonzero(self._twice)[0]), self._population.name
            self._twice[:] = 0
            what = f"population {name}: neuron {neuron} fires twice within a step of {self._dt:g} ms"
            mend = (
                "Take a smaller dt; spike times do not depend on it. A single jump of two thresholds under "
                'reset_mechanism="subtract" makes two spikes at once at any dt: take a smaller weight.'
            )
            raise ParameterError(what, got="two spikes", expected="at most one spike in a step", mend=mend)


def check_solver(name: str, model: NeuronModel, solver: Located) -> None:
    """Raise ModelError where a population ``name`` of ``model`` cannot locate its spikes."""
    if solver.base is not None and solver.base != Exact():
        what, mend = f"population {name}: networks locate spikes on exact solutions", "Use sl.solvers.Interpolated()."
        raise ModelError(what, got=repr(solver), expected="sl.solvers.Located()", mend=mend)
    require_exact(model)


def check_located(
    population: Population, projections: Sequence[Projection], ports: Sequence[str], coupled: bool, dtype: np.dtype[Any]
) -> None:
    """Raise ModelError or ParameterError where something reaches ``population`` that has no exact time."""
    name, mend = population.name, "Use sl.solvers.Interpolated(), or no solver."
    if dtype != np.float64:
        mend_dtype = 'Make it by sl.sim.Network(dtype="float64").'
        what = f"population {name}: exact spike times need float64"
        raise ParameterError(what, got=dtype.name, expected="float64", mend=mend_dtype)
    if coupled:
        raise ModelError(f"population {name}: gap junctions act from step to step, Located() does not", mend=mend)
    for p in projections:
        if p.plasticity is not None or p.release is not None:
            got = repr(p.plasticity) if p.release is None else p.release.synapse
            what = f"{p.name}: plasticity counts in steps, and {name} receives spikes between them"
            raise ModelError(what, got=got, expected="connections that do not change", mend=mend)
    if inputs := [port for port in ports if port in population.model.inputs]:
        what = f"population {name}: an input is held for a step, and spikes arrive within"
        raise ModelError(what, got=inputs[0], expected="a state or a port", mend=mend)


__all__ = ["LocatedPopulation", "check_located", "check_solver"]
