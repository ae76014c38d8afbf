"""A network: groups, connections and input, run in steps of dt."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import torch

from ..errors import ModelError, ParameterError, StateError, did_you_mean
from ..kernels.backends import choose
from ..kernels.random import checked_seed
from ..kernels.scan.scan import checked_dt
from ..models.base import NeuronModel
from ..models.mechanism import Mechanism
from ..models.synapses import GapJunction
from ..plasticity import Plasticity
from ..solvers import Solver
from ..storage.checkpoint import load_checkpoint, save_checkpoint
from ..units import Quantity, ms, plain
from .build import Parts
from .by_name import ByName
from .coupling import Coupling, check_contact, couple
from .edges import Rule
from .engine import Chunk, Engine
from .groups import Group, PoissonGroup, Population, SpikeSource, require_own
from .inputs import Drive, Injection, Noise, NoiseCurrent, Poisson
from .interrupt import stopped_by_ctrl_c
from .memory import check_memory, memory_needed
from .numbers import scalar
from .pace import Pace, numbers_of_threads
from .plastic_rule import check_rule
from .ports import arrival_units, check_sign, mechanism_at, port_name
from .projection import Projection, Receptor, checked_numbers
from .recorders import EdgeRecorder, Recorder
from .release import release_of, split
from .result import Result, gathered
from .spike_writer import SpikeWriter
from .state import arrays_of, fingerprint, restore

_MOST_STEPS = 2**31 - 1  # of a run: edges that remember keep the step of a spike in 32 bits

Progress = Callable[[float, float, float], None]


@final
class Network:
    """A sparse network that is simulated by passing spikes along its connections.

    Times are in ms; a step is ``dt``. A spike belongs to the end of its step. It reaches its targets ``delay`` later,
    at the end of that step's integration, just before the threshold is looked at. Spikes are the same to the last bit
    for any number of threads and for any splitting of a run into runs. All random numbers follow from ``seed`` and the
    names of the objects, so that a new population changes nobody else's.

    A network runs where ``device`` says: "cpu", or "cuda" for a GPU. ``sl.backend("gpu")`` takes one to a GPU as well.

    Raises ParameterError for a ``dt`` that is no positive time, another ``dtype`` or ``device``.

    >>> import spikeloom as sl
    >>> net = Network(dt=0.1, seed=1)
    >>> cells = net.population(sl.LIF(tau=20.0, reset_mechanism="value"), 100, name="cells")
    >>> _ = net.inject(cells, 1.5)
    >>> result = net.run(100.0)
    >>> len(result.spikes["cells"])     # 1.5 pA x 1 GOhm crosses 1 mV every 20 ln 3 = 22 ms
    400
    """

    def __init__(
        self, dt: float | Quantity = 0.1, seed: int = 0, dtype: Literal["float32", "float64"] = "float32",
        device: Literal["cpu", "cuda"] = "cpu",
    ) -> None:  # fmt: skip
        self.dt = checked_dt(scalar(dt))
        if device not in ("cpu", "cuda"):
            raise ParameterError("device", got=repr(device), expected='"cpu" or "cuda"')
        self.device = device
        if dtype not in ("float32", "float64"):
            raise ParameterError("dtype", got=repr(dtype), expected='"float32" or "float64"')
        self.seed, self.dtype = checked_seed(scalar(seed)), np.dtype(dtype)
        self.groups: dict[str, Group] = ByName("group", {})
        self.projections: dict[str, Projection] = ByName("connection", {})
        self._couplings: dict[str, tuple[Coupling, ...]] = {}
        self._drives: list[Drive] = []
        self._injections: list[Injection] = []
        self._noises: list[NoiseCurrent] = []
        self._recorders: list[Recorder | EdgeRecorder] = []
        self._engine: Engine | None = None
        self._paces = dict[tuple[Any, ...], Pace]()  # what earlier runs found out about speeds

    def __repr__(self) -> str:
        neurons, edges = sum(g.size for g in self.groups.values()), [*self.projections, *self._couplings]
        held = f"{neurons:,} neurons in {len(self.groups)} groups, {len(edges)} connections"
        return f"<Network of {held}, dt {self.dt:g} ms, at {self.time:g} ms>"

    # -- building

    def population(
        self, model: NeuronModel, size: int, name: str, *, solver: Solver | None = None, positions: Any = None
    ) -> Population:
        """``size`` neurons of ``model``.

        With ``sl.solvers.Located()`` spikes arrive, cross and reset at their exact times, whatever dt is; that is for
        linear models and networks of float64. Raises ParameterError for a name that is taken and sizes below 1; what
        has no exact time raises ModelError when the network is prepared.
        """
        return self._add(Population(self._new(name), size, model, solver, positions))

    def poisson(
        self, rate: Any, size: int, name: str, *, correlation: float = 0.0, positions: Any = None
    ) -> PoissonGroup:
        """``size`` sources of Poisson spikes, to be connected; see :class:`PoissonGroup`."""
        return self._add(PoissonGroup(self._new(name), size, rate, correlation, positions))

    def spikes(self, times: Any, neurons: Any, size: int, name: str, *, positions: Any = None) -> SpikeSource:
        """``size`` sources that fire at given times; see :class:`SpikeSource`."""
        return self._add(SpikeSource(self._new(name), size, times, neurons, positions))

    def connect(
        self, pre: Group, post: Population, rule: Rule, *, weight: Any = None, delay: Any = None,
        synapse: Mechanism | None = None, into: str | None = None, vary: Mapping[str, Any] | None = None,
        plasticity: Plasticity | None = None, name: str | None = None,
    ) -> Projection:  # fmt: skip
        """Connect ``pre`` to ``post`` by ``rule``, such as ``sl.sim.fixed_probability(0.02)``.

        ``weight`` (in the unit of what it reaches) and ``delay`` (ms) are numbers, arrays with one value for each edge,
        or distributions; delays are rounded to whole steps, of which there must be one at least. ``synapse`` is what a
        spike starts in the target, such as ``sl.Exponential(tau=5.0)``: connections with an equal synapse share it.
        ``into`` names a state or port of the model instead, or the synapse; or an input, which then holds the weights
        for one step: the step that ends when they arrive. By default a spike makes the membrane jump, or reaches the
        one port that the model has itself.

        A synapse with short-term plasticity, such as ``sl.TsodyksMarkram(sl.Exponential(tau=3.0))``, gives every edge a
        memory of its own; its parameters may ``vary`` between edges, as in
        ``vary={"u_release": sl.sim.normal(0.5, 0.25, low=0.01)}``. A :class:`~spikeloom.GapJunction` couples both sides
        of every edge; its weights are conductances, and it takes no delay.

        ``plasticity`` is a rule by which spikes change the weights, such as ``sl.STDP(w_max=2.0)``: each edge then has
        its own. Spikes are delivered with the weight that they leave.

        Raises ModelError for a port that there is not and for ``pre`` that never fires, ParameterError for weights and
        delays that cannot be.
        """
        self._check_own(pre, post)
        if not isinstance(post, Population):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ModelError(f"{post.name} receives no spikes", got=type(post).__name__, expected="a population")
        if not isinstance(rule, Rule):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ParameterError("rule", got=repr(rule), expected="one such as sl.sim.fixed_probability(0.1)")
        label = self._free(f"{pre.name} to {post.name}") if name is None else name
        self._check_new(label, {**self.projections, **self._couplings})
        weight, delay = checked_numbers(label, rule, weight, delay, self.dt)
        if isinstance(synapse, GapJunction):
            how = {"into": into, "vary": vary, "plasticity": plasticity, "delay": delay}
            check_contact(label, synapse, how)
            made, self._couplings[label] = couple(label, pre, post, rule, weight, (self.dt, self.seed))
            return made
        if isinstance(pre, Population) and not pre.fires:
            raise ModelError(f"{pre.name} never fires", got=type(pre.given_model).__name__, expected="a spiking model")
        course, releasing = split(synapse)
        release = None if releasing is None else release_of(releasing, {} if vary is None else vary)
        if vary and release is None:
            raise ParameterError("vary", got=sorted(vary), expected="a synapse with short-term plasticity")
        port = port_name(post.given_model, post.synapses, course, into)
        if port not in {*post.given_model.targets, *post.synapses} and course is not None:
            post.synapses[port] = course
        if plasticity is not None:
            check_rule(label, plasticity, release, arrival_units(post.model)[port])
        receptor = Receptor(port, post.synapses.get(port), release, plasticity)
        made = Projection(label, pre, post, rule, receptor, (weight, delay), (self.dt, self.seed))
        self.projections[label] = made
        return made

    def drive(self, population: Population, stimulus: Poisson, *, weight: Any, into: str | None = None) -> None:
        """Give every neuron Poisson spikes of its own: ``net.drive(exc, sl.sim.poisson(8000.0), weight=0.1)``."""
        self._check_own(population, kind=Population)
        if not isinstance(stimulus, Poisson):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ParameterError("stimulus", got=repr(stimulus), expected="sl.sim.poisson(rate)")
        port = port_name(population.given_model, population.synapses, None, into)
        label = self._free(f"poisson into {population.name}", [d.name for d in self._drives])
        unit = arrival_units(population.model)[port]
        self._drives.append(Drive(label, population, stimulus, weight, port, unit))

    def inject(self, population: Population, current: Any, *, into: str | None = None) -> None:
        """Feed a current into an input of the model (by default its first): a number, [N], a function of the time, or
        ``sl.sim.noise``.

        Several add up. Raises ModelError where the model has no such input, ParameterError for what is no current.
        """
        self._check_own(population, kind=Population)
        inputs = population.given_model.inputs
        if into is None and not inputs:
            raise ModelError(f"{type(population.given_model).__name__} declares no input", mend="Use connect or drive.")
        into = next(iter(inputs)) if into is None else into
        if into not in inputs:
            raise ModelError(f"population {population.name} has no input {into!r}", mend=did_you_mean(into, inputs))
        if isinstance(current, Noise):
            label = self._free(f"noise into {into} of {population.name}", [n.name for n in self._noises])
            self._noises.append(NoiseCurrent(label, population, current, into, inputs[into].unit, self.dt))
        else:
            self._injections.append(Injection(population, current, into, inputs[into].unit))

    def record(
        self, population: Population | Projection, state: str, *, neurons: Any = None, edges: Any = None, every: int = 1
    ) -> None:
        """Record ``state`` of ``neurons`` (indices; None: all) after every ``every``-th step. Spikes always are.

        Columns of the record are the neurons in ascending order, as its ``neurons`` says. A second record of a state,
        with another ``every``, is named after it: "v every 10".

        Of connections with plasticity ``net.record(connection, "w", edges=[0, 1], every=1000)`` records weights; the
        result has them under the connection's name.
        """
        if isinstance(population, Projection):
            self._check_own(population.pre, population.post)
            if population.name in self.groups:
                raise ParameterError(f"{population.name} is a group and a connection", mend="Give it another name=.")
            self._recorders.append(EdgeRecorder(population, state, edges, every))
            return
        self._check_own(population, kind=Population)
        if edges is not None:
            raise ParameterError("edges of a population", got=repr(population), mend="Use neurons=.")
        self._recorders.append(Recorder(population, state, neurons, every))

    # -- running

    @property
    def inputs(self) -> tuple[Drive | Injection | NoiseCurrent, ...]:
        """What was given by :meth:`drive` and :meth:`inject`."""
        return *self._drives, *self._injections, *self._noises

    @property
    def gap_junctions(self) -> dict[str, Projection]:
        """The connections that are gap junctions, by name; :attr:`projections` has all others."""
        return {name: halves[0].projection for name, halves in self._couplings.items()}

    @property
    def time(self) -> float:
        """How far the network has run, in ms."""
        return 0.0 if self._engine is None else self._engine.step * self.dt

    def memory(self) -> float:
        """Bytes that the network will need, about; :meth:`run` refuses what is not there."""
        return memory_needed(self._parts())

    def prepare(self) -> None:
        """Draw the connections now and not when the network first runs; it cannot be changed from then on.

        Raises ParameterError where it needs more memory than there is, and for what cannot be built.
        """
        self._built()

    def run(
        self, duration: float | Quantity, *, threads: int | None = None, progress: Progress | None = None,
        spikes: SpikeWriter | None = None,
    ) -> Result:  # fmt: skip
        """Run on for ``duration`` ms, rounded to whole steps, and return what happened.

        ``threads`` changes the speed and nothing else (None: one, or torch's number, whichever turns out to be faster
        while it runs; more than 16 are taken only where there are as many cores). ``progress`` is called with simulated
        ms, all of them, and the seconds since the start. Ctrl-C ends the run after the step it is in; the result then
        is what there was up to it (``complete`` is False), and the network can run on.
        ``spikes`` takes the spikes of a run that has too many of them for the memory; the result then has none.

        Raises NonFiniteError where a state leaves the finite numbers, ParameterError for what cannot be built,
        FileError where ``spikes`` cannot be written: the network then can run on into the same file.
        """
        length: Any = scalar(plain(duration, ms, "duration"))
        known = isinstance(length, (int, float)) and not isinstance(length, bool)
        if not (known and self.dt <= length <= _MOST_STEPS * self.dt):
            expected = f"a time from dt = {self.dt:g} ms to {_MOST_STEPS:g} steps of it"
            raise ParameterError("duration", got=repr(duration), expected=expected)
        if not (progress is None or callable(progress)):
            expected = "a function of simulated ms, all of them, and seconds"
            raise ParameterError("progress", got=repr(progress), expected=expected)
        if not (spikes is None or isinstance(spikes, SpikeWriter)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ParameterError("spikes", got=repr(spikes), expected="a sl.sim.SpikeWriter(path)")
        steps, began = round(length / self.dt), time.perf_counter()
        engine = self._built()
        backend = choose(self.device).name
        neurons = sum(g.size for g in self.groups.values())
        numbers = numbers_of_threads(threads, neurons) if backend == "cpu" else [1]
        pace = self._paces.setdefault((backend, *numbers), Pace(numbers))
        found: list[Chunk] = []
        first = engine.step
        if spikes is not None:
            synapses = sum(len(w.targets) for w in engine.wires.values())
            spikes.start({g.name: g.size for g in self.groups.values()}, self.dt, first, synapses, list(engine.ahead))
        with stopped_by_ctrl_c() as stop:
            while engine.step < first + steps and not stop():
                workers, count = pace.next(min(first + steps - engine.step, engine.most_steps()))
                start = time.perf_counter()
                chunk = engine.run(count, workers, self._recorders)
                if spikes is not None:
                    chunk = spikes.append(chunk)
                found.append(chunk)
                pace.note(workers, count, time.perf_counter() - start)
                if progress is not None:
                    progress((engine.step - first) * self.dt, steps * self.dt, time.perf_counter() - began)
        complete = engine.step == first + steps
        if not complete:
            warnings.warn(f"stopped at {engine.step * self.dt:g} ms; the result ends there", stacklevel=2)
        took = time.perf_counter() - began
        result = gathered(engine, found, self._recorders, (first, engine.step), complete, took)
        return result if spikes is None else dataclasses.replace(result, spikes={})

    def save(self, path: Path | str) -> Path:
        """Write the whole state of the network (neurons, spikes under way, what synapses remember); return the path.

        ``path`` is a file that ends in ``.json``, or a folder, in which it becomes ``checkpoint.json``.
        Written as a whole or not at all, verified by SHA-256 when it is read. Raises FileError where it cannot be
        written: what was there before is then still there.
        """
        engine = self._built()
        arrays = {name: torch.from_numpy(values) for name, values in arrays_of(engine).items()}
        return save_checkpoint(path, arrays, {"step": engine.step, "network": fingerprint(engine)})

    def restore(self, path: Path | str) -> None:
        """Go on from a state that :meth:`save` wrote, on any number of threads: spikes are those of an unbroken run.

        The network has to be built as it was then: by the same calls, with the same seed. Functions of time (of rates
        and currents) are not compared. Raises FileError for a file that is missing or damaged, StateError for the state
        of another network; the network is then as it was.
        """
        engine = self._built()
        stored = load_checkpoint(path)
        if stored.meta.get("network") != fingerprint(engine):
            mend = "Build the network by the same calls, with the same seed and dt."
            raise StateError(f"{path} is the state of another network", mend=mend)
        step, arrays = stored.meta["step"], {name: t.numpy() for name, t in stored.tensors.items()}
        restore(engine, step, arrays)

    def _built(self) -> Engine:
        if self._engine is None:
            if not self.groups:
                raise ParameterError("the network is empty", mend="Add a population first.")
            parts = self._parts()
            check_memory(parts)
            for d in parts.drives:
                check_sign(mechanism_at(d.population.model, d.port), d.name, d.weights)
            self._engine = Engine(parts)
            for group in self.groups.values():
                if isinstance(group, Population):
                    group.built = True
        return self._engine

    def _parts(self) -> Parts:
        return Parts(
            self.dt, self.seed, self.dtype, list(self.groups.values()), list(self.projections.values()), self._drives,
            self._injections, self._noises, [half for halves in self._couplings.values() for half in halves],
            self.device,
        )  # fmt: skip

    # -- names

    def _add(self, group: Any) -> Any:
        self.groups[group.name] = group
        return group

    def _new(self, name: str) -> str:
        self._check_new(name, self.groups)
        return name

    def _check_new(self, name: str, taken: Any) -> None:
        self._check_open()
        if not (isinstance(name, str) and name):  # pyright: ignore[reportUnnecessaryIsInstance]
            what = "name of a group" if taken is self.groups else "name of a connection"
            raise ParameterError(what, got=repr(name), expected="a text that is not empty")
        if name in taken:
            mend = "Names are unique: random numbers follow from them."
            raise ParameterError(f"the name {name!r} is taken", mend=mend)

    def _free(self, base: str, taken: Any = None) -> str:
        known, name, number = {**self.projections, **self._couplings} if taken is None else taken, base, 1
        while name in known:
            number += 1
            name = f"{base} ({number})"
        return name

    def _check_open(self) -> None:
        if self._engine is not None:
            mend = "Build the whole network first; make a new one to change it."
            raise ParameterError("the network has run and cannot be changed", mend=mend)

    def _check_own(self, *groups: Group, kind: type[Group] = Group) -> None:
        self._check_open()
        for group in groups:
            require_own(group, self.groups, kind)


__all__ = ["Network"]
