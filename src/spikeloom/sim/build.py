"""From a network's description to arrays: programs, constants, initial states, edges in the form kernels take."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..errors import ModelError
from ..kernels import prepare
from ..kernels.memory import aligned
from ..kernels.program import STATE, STREAM, Program, constants_of, program
from ..kernels.propagate.advance import naps
from ..kernels.propagate.decays import Decay, decay_of
from ..kernels.propagate.deliver import Wires
from ..kernels.propagate.drive import LEAD
from ..kernels.propagate.naps import Nap
from ..kernels.propagate.times import interpolated
from ..kernels.random import key_of
from ..kernels.step import whole_steps
from ..lang.analysis import replace
from ..lang.canonical import canonical
from ..lang.expr import symbol, topological
from ..lang.graph import Graph
from ..models.base import NeuronModel
from ..models.synapses import GapJunction
from ..solvers import Interpolated, Located
from ..surrogates import ATan
from .coupling import Coupling
from .distributions import Distribution
from .groups import Group, Population
from .inputs import Drive, Injection, NoiseCurrent
from .located import LocatedPopulation, check_located, check_solver
from .ports import added_state, check_sign, mechanism_at, with_synapses
from .projection import Projection

LONGEST_WINDOW = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """What a network is made of."""

    dt: float
    seed: int
    dtype: np.dtype[Any]
    groups: Sequence[Group]
    projections: Sequence[Projection]
    drives: Sequence[Drive]
    injections: Sequence[Injection]
    noises: Sequence[NoiseCurrent]
    couplings: Sequence[Coupling]
    device: str = "cpu"

    def into(self, population: Population) -> list[Projection]:
        """Projections that end at ``population``."""
        return [p for p in self.projections if p.post is population]

    def currents(self, population: Population) -> list[str]:
        """Inputs of ``population`` that currents or noise go into."""
        both = (*self.injections, *self.noises)
        return list(dict.fromkeys(i.into for i in both if i.population is population))

    def held(self, population: Population, first: int, steps: int) -> dict[str, np.ndarray]:
        """The sum of the currents of some steps by input, [1, N] or [steps, N]; noise is not among them."""
        rows = {into: np.zeros((1, population.size)) for into in self.currents(population)}
        for i in self.injections:
            if i.population is population:
                rows[i.into] = rows[i.into] + i.rows(self.dt, first, steps)
        return {into: np.ascontiguousarray(found, self.dtype) for into, found in rows.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class BuiltPopulation:
    """A population as arrays. ``rings`` are what arrives in steps to come, by port; ``added`` says to which state the
    weights of a port are simply added; ``coupled`` are means of other neurons' voltages, by input. ``located`` is there
    where spikes arrive within steps. ``decays`` are states that compiled kernels keep in units that decay with them."""

    population: Population
    program: Program
    text: str
    constants: dict[str, np.ndarray]
    states: dict[str, np.ndarray]
    rings: dict[str, np.ndarray]
    added: dict[str, str]
    coupled: dict[str, np.ndarray]
    located: LocatedPopulation | None = None
    decays: dict[str, Decay] = dataclasses.field(default_factory=dict[str, Decay])

    def counts(self, state: str) -> bool:
        """Whether ``state`` is a time that is left, counted in steps."""
        return self.located is None and self.population.model.states[state].timer

    def rows(self, port: str) -> np.ndarray:
        """Where the weights of a port are added, [slots, N]."""
        return self.states[STATE + self.added[port]][None] if port in self.added else self.rings[port]

    @functools.cached_property
    def positive(self) -> frozenset[str]:
        """Constants that are above 0 for every neuron."""
        return frozenset(n for n, c in self.constants.items() if (c > 0.0).all())

    @functools.cached_property
    def rest(self) -> int:
        """For how many steps at least there is no spike of a neuron after one."""
        nap = self.nap((), strict=True)
        return 0 if nap is None else int(self.constants[nap.steps].min())

    def nap(self, shown: tuple[str, ...], strict: bool) -> Nap | None:
        """How neurons nap after their spikes, if they do and kernels show no more than the states ``shown``."""
        if not self.program.fires or self.located is not None:
            return None
        return naps(self.text, shown, self.positive, strict)


def wires(projection: Projection, dtype: np.dtype[Any]) -> Wires:
    """The edges of ``projection`` as kernels take them."""
    edges, weights, steps = projection.kept, projection.weights_as(dtype), projection.steps
    check_sign(mechanism_at(projection.post.model, projection.port), projection.name, weights)
    delay = int(steps.min()) if steps.size else 1
    lags = None
    if steps.size > 1 and int(steps.max()) != delay:
        longest = int(steps.max()) - delay
        lags = (steps - delay).astype(np.uint8 if longest < 256 else np.uint16)
    return Wires(edges.starts, edges.targets, weights, delay, lags)


def build_population(parts: Parts, population: Population, found: dict[str, Wires]) -> BuiltPopulation:
    """The arrays of ``population`` in its initial state."""
    size, dtype = population.size, parts.dtype
    couplings = [c for c in parts.couplings if c.target is population]
    gaps = {c.port: GapJunction(g=c.total()) for c in couplings}
    model = with_synapses(population.given_model, {**population.synapses, **gaps})
    incoming, driven = parts.into(population), [d.port for d in parts.drives if d.population is population]
    located, solver = None, population.solver
    if isinstance(solver, Located):
        located = _located(parts, population, solver, found)
        incoming = []  # whose spikes arrive within steps, and in no ring
    ports = dict.fromkeys([*(p.port for p in incoming), *driven])
    rings, added = dict[str, np.ndarray](), dict[str, str]()
    for port in ports:
        lagged = [found[p.name].lags for p in incoming if p.port == port and p.plasticity is None]
        longest = max((int(lags.max()) for lags in lagged if lags is not None and lags.size), default=0)
        state = added_state(model, port) if longest == 0 and located is None else None
        if state is None:
            rings[port] = aligned((longest + 1, size), dtype)
        else:
            added[port] = state
    held = parts.currents(population)
    if both := [into for into in held if into in rings]:
        mend = "Give the model a second input for one of them."
        raise ModelError(f"{population.name}: currents and spikes into one input", got=both[0], mend=mend)
    coupled = {c.input: aligned((1, size), dtype) for c in couplings}
    base = solver.base if isinstance(solver, Interpolated | Located) else solver
    made = program(model, base, ATan(), (*rings, *held, *coupled))
    if isinstance(solver, Interpolated) and made.fires:
        made = interpolated(made, model, solver)
    like = torch.empty(0, dtype=torch.float32 if dtype == np.float32 else torch.float64)
    given = prepare.constants(made, model, {}, parts.dt, (size,), like)
    constants = {n: c.numpy().copy() for n, c in zip(constants_of(made.step), given, strict=True)}
    text, constants = merged(made.text, constants)
    decays = _decays(dtype, text, constants, [added[p] for p in added if p not in driven and _only_added(incoming, p)])
    return BuiltPopulation(population, made, text, constants, _initial(parts, population, model), rings, added, coupled,
                           located, decays)  # fmt: skip


def _only_added(incoming: Sequence[Projection], port: str) -> bool:
    """Whether weights are all that goes into ``port``."""
    return all(p.plasticity is None for p in incoming if p.port == port)


def _decays(
    dtype: np.dtype[Any], text: str, constants: dict[str, np.ndarray], states: Sequence[str]
) -> dict[str, Decay]:  # fmt: skip
    shares = {STATE + s: decay_of(text, STATE + s, constants) for s in states}
    return {s: Decay.of(share, dtype) for s, share in shares.items() if share is not None}


def _located(parts: Parts, population: Population, solver: Located, found: dict[str, Wires]) -> LocatedPopulation:
    projections, drives = parts.into(population), [d.port for d in parts.drives if d.population is population]
    check_solver(population.name, population.model, solver)
    coupled = any(c.target is population for c in parts.couplings)
    check_located(population, projections, [*drives, *(p.port for p in projections)], coupled, parts.dtype)
    return LocatedPopulation(population, projections, list(dict.fromkeys(drives)), found, parts.dt)


def merged(text: str, constants: dict[str, np.ndarray]) -> tuple[str, dict[str, np.ndarray]]:
    """The step with constants of equal value made one, which lets some of its branches fall together.

    A synapse decays alike whether its neuron is refractory or not, but by numbers prepared on two ways.

    >>> merged("in a c0 c1\\n%0 = mul a c0\\n%1 = mul a c1\\nnext = %1", {"c0": np.ones(1), "c1": np.ones(1)})[0]
    'in a c0\\n%0 = mul a c0\\nnext = %0'
    """
    step, first = Graph.parse(text), dict[tuple[bytes, int], str]()
    names = {n: first.setdefault((c.tobytes(), c.size), n) for n, c in constants.items()}
    kept = {n: c for n, c in constants.items() if names[n] == n}
    leaves = {str(e.data): e for e in topological(step.outputs.values()) if e.op == "symbol"}
    new = {id(e): symbol(names[n]) for n, e in leaves.items() if names.get(n, n) != n}
    outputs = dict(zip(step.outputs, canonical(replace(list(step.outputs.values()), new)), strict=True))
    inputs = [n for n in step.inputs if n not in constants or n in kept]
    return Graph.make(outputs, inputs).text(), kept


def _initial(parts: Parts, population: Population, model: NeuronModel) -> dict[str, np.ndarray]:
    values: dict[str, Any] = {**model.initial_values(), **population.initial}
    states: dict[str, np.ndarray] = {}
    for name, value in values.items():
        if isinstance(value, Distribution):
            value = value.draw(key_of(parts.seed, f"{population.name}/initial {name}"), population.size)
            population.check_initial(name, value)
        numbers = np.broadcast_to(np.asarray(value, np.float64), (population.size,))
        if model.states[name].timer and not isinstance(population.solver, Located):
            numbers = whole_steps(numbers, parts.dt)
        states[STATE + name] = aligned(numbers.shape, parts.dtype)
        states[STATE + name][:] = numbers
    return states


def window_of(found: dict[str, Wires]) -> int:
    """Steps for which threads need not meet: the shortest delay."""
    return min([LONGEST_WINDOW, *(w.delay for w in found.values())])


def slots_of(group: Group, parts: Parts, found: dict[str, Wires], window: int) -> int:
    """For how many steps the spikes of ``group`` are kept."""
    return max([0, *(_kept(p, found[p.name]) for p in parts.projections if p.pre is group)]) + window + LEAD


def _kept(projection: Projection, wires: Wires) -> int:
    """For how many steps a spike is looked up: to its first target, or to its last where spikes arrive within steps."""
    located = isinstance(projection.post.solver, Located) and wires.lags is not None
    return wires.delay + (int(wires.lags.max(initial=0)) if located and wires.lags is not None else 0)


__all__ = ["LONGEST_WINDOW", "STREAM", "BuiltPopulation", "Parts", "build_population", "slots_of", "window_of", "wires"]
