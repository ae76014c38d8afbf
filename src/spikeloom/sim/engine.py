"""The state of a running network, and what moves it on."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Iterator

import numpy as np

from ..errors import BackendError, NonFiniteError
from ..kernels.backends import choose, note_kernel
from ..kernels.memory import aligned
from ..kernels.program import SHOWN, STATE, STREAM
from ..kernels.propagate import reference, sources, times
from ..kernels.propagate.advance import Arrival, Stepped, advance_task
from ..kernels.propagate.deliver import Delivery, Wires, deliver_task
from ..kernels.propagate.drive import Task, drive, own_task
from ..kernels.propagate.naps import Sleepers
from ..kernels.propagate.times import AHEAD
from ..kernels.random import key_of
from .balance import Balance
from .build import BuiltPopulation, Parts, build_population, slots_of, window_of, wires
from .card import Card, Host
from .chunk import Chunk
from .decaying import Decaying
from .groups import Group, PoissonGroup, Population, SpikeSource
from .plastic import PlasticEdges
from .plastic_run import PlasticRun
from .recorders import EdgeRecorder, Recorder
from .spike_log import SpikeLog

_ROWS = 1 << 22  # numbers that a chunk may take for a current that changes
_DRAWN = 20.0  # operations for a random number
_LOGGED = 1 << 27  # spikes that a chunk has room for, of addresses: memory is taken where spikes are written


class Engine:
    """Arrays of a network, which :meth:`run` moves on. ``step`` counts; spikes are those of any number of threads."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.step = parts, 0
        self.wires: dict[str, Wires] = {p.name: wires(p, parts.dtype) for p in parts.projections}
        plastic = [p for p in parts.projections if p.plasticity is not None]
        self.plastic = {p.name: PlasticEdges(p, self.wires[p.name], parts.dtype) for p in plastic}
        self.wires |= {name: edges.wires for name, edges in self.plastic.items()}
        self.window = window_of(self.wires)
        self.populations: dict[str, BuiltPopulation] = {
            g.name: build_population(parts, g, self.wires) for g in parts.groups if isinstance(g, Population)
        }
        for built in self.populations.values():
            self.wires |= {} if built.located is None else built.located.wires
        # Spikes of the latest steps, by group and step modulo slots: what is under way.
        self.recent: dict[str, list[np.ndarray]] = {
            g.name: [np.empty(0, np.int32)] * self._slots(g) for g in parts.groups
        }
        # Of spikes with times of their own, how long before the end of its step each was, alike.
        self.ahead = {g.name: [np.empty(0)] * len(self.recent[g.name]) for g in parts.groups if _timed(g)}
        self.memories = {p.name: memory for p in parts.projections if (memory := p.memory(parts.dtype)) is not None}
        self._given = {g.name: g.by_step(parts.dt) for g in parts.groups if isinstance(g, SpikeSource)}
        self._splits: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}
        self._balances: dict[int, Balance] = {}
        self._rooms: dict[tuple[str, str], np.ndarray] = {}
        self._card: Card | None = None  # where a GPU runs the network; what it holds is then newer than the arrays here
        self.exact: dict[str, np.ndarray] = {}  # what is under way there, to the last bit
        self.couplings = [(c, c.means(parts.dtype)) for c in parts.couplings]
        self.decaying = Decaying(self.populations)

    def _slots(self, group: Group) -> int:
        needed = (edges.slots(group, self.window) for edges in self.plastic.values())
        return max([slots_of(group, self.parts, self.wires, self.window), *needed])

    def most_steps(self) -> int:
        """How many steps a chunk may have."""
        groups, changing = self.parts.groups, any(i.function is not None for i in self.parts.injections)
        logged = min(_LOGGED * (1 + self.rest(g)) // g.size for g in groups)
        return max(1, min(logged, min(_ROWS // g.size for g in groups) if changing else 1 << 20, 1 << 20))

    def rest(self, group: Group) -> int:
        """For how many steps at least there is no spike of a neuron after one."""
        return self.populations[group.name].rest if group.name in self.populations else 0

    def cost(self, group: Group) -> float:
        """About how many operations a step of a neuron is; what a spike costs, only a run can tell."""
        if isinstance(group, SpikeSource):
            return 0.1
        return 1.0 + (self.populations[group.name].text.count("\n") if group.name in self.populations else _DRAWN)

    def run(self, steps: int, threads: int, recorders: list[Recorder | EdgeRecorder]) -> Chunk:
        """Move on by ``steps`` steps, at most :meth:`most_steps`, on ``threads`` threads."""
        backend = choose(self.parts.device).name
        if backend == "gpu":
            return self._run_on_card(steps, recorders)
        self.come_home()
        threads = 1 if backend == "reference" else threads
        balance, began = self._balances.setdefault(threads, Balance(threads)), time.perf_counter()
        compiled = backend != "reference"
        self.decaying.keep(compiled and not choose("cpu").strict, self.step)
        chunk = _Run(self, steps, balance, recorders, compiled)
        try:
            tasks, prepared = list(chunk.tasks()), time.perf_counter()
            if compiled:
                waited = drive(tasks, self.step, steps, self.window, threads)
                balance.note(time.perf_counter() - prepared, waited, prepared - began)
            else:
                reference.drive([task.reference for task in tasks], self.step, steps)
        except BaseException:  # no memory, or a thread cannot start, and so none began
            chunk.wake(0)
            raise
        found = chunk.harvest()
        self.step += steps
        self._check()
        for kind in ("propagate", *(["naps"] if chunk.sleepers else []), *(["plastic"] if self.plastic else [])):
            note_kernel(f"{kind}/{backend}")
        return found

    def home(self) -> None:
        """Bring what a card holds into the arrays here; the card keeps it too."""
        if self._card is not None:
            self.exact = self._card.home()

    def come_home(self, exact: dict[str, np.ndarray] | None = None) -> None:
        """Go on from the arrays here, and from what was under way on a card (``exact``), if this is known."""
        if exact is None:
            self.home()
        self._card, self.exact = None, exact or {}

    def _run_on_card(self, steps: int, recorders: list[Recorder | EdgeRecorder]) -> Chunk:
        if self.plastic or self.ahead:
            what = "plasticity of weights" if self.plastic else "spike times between the points of the grid"
            mend = 'Run it on the CPU: sl.backend("cpu").'
            raise BackendError(f"{what} in networks: no kernels for a GPU", got="the gpu backend", mend=mend)
        if self._card is None:
            self.decaying.keep(False, self.step)
            host = Host(self.parts, self.wires, self.window, self.populations, self.recent, self.memories, self._given,
                        self.couplings)  # fmt: skip
            self._card = Card(host, self.step, self.exact)
        of_neurons = [r for r in recorders if isinstance(r, Recorder)]
        spikes, samples = self._card.run(steps, of_neurons, choose("cuda").strict)
        chunk = Chunk(self.step, steps, spikes, samples)
        self.step += steps
        self._check()
        note_kernel("propagate/gpu")
        return chunk

    def split(self, projection: str, bounds: np.ndarray) -> np.ndarray:
        """Where each part's targets begin in each row, kept for the next chunk."""
        key = projection, len(bounds)
        if key not in self._splits or not np.array_equal(self._splits[key][0], bounds):
            self._splits[key] = bounds, self.wires[projection].split(bounds)
        return self._splits[key][1]

    def room(self, group: str, count: int, dtype: type[np.generic] = np.int32) -> np.ndarray:
        """Where the spikes of a chunk, or their times, are written, [count]: the same memory in every chunk.

        New memory costs each thread milliseconds when it first writes there, while the others wait.
        """
        key = group, np.dtype(dtype).name
        if len(self._rooms.get(key, ())) < count:
            self._rooms[key] = np.empty(count, dtype)
        return self._rooms[key][:count]

    def given(self, group: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and neurons of a source of known spikes."""
        return self._given[group]

    def _check(self) -> None:
        for name, built in self.populations.items():
            if built.located is not None:
                built.located.check()
            for state, values in built.states.items():
                if not np.isfinite(values).all():
                    neuron = int(np.flatnonzero(~np.isfinite(values))[0])
                    what = f"population {name}: state {state.removeprefix(STATE)} of neuron {neuron} is not finite"
                    mend = "Take a smaller dt, or look for input that grows without bound."
                    raise NonFiniteError(what, got=values[neuron], expected="finite numbers", mend=mend)
        for edges in self.plastic.values():
            edges.check_finite()


def _timed(group: Group) -> bool:
    return isinstance(group, Population) and group.timed


class _Run:
    """The tasks of one chunk, and the arrays they work on."""

    def __init__(
        self, engine: Engine, steps: int, balance: Balance, recorders: list[Recorder | EdgeRecorder], compiled: bool
    ) -> None:
        self.engine, self.steps, self.threads, self.first = engine, steps, balance.threads, engine.step
        self._recorders = recorders
        self._strict = choose("cpu").strict
        self._drawn: dict[str, dict[str, np.ndarray]] = {name: {} for name in engine.populations}
        self._held = {n: engine.parts.held(b.population, self.first, steps) for n, b in engine.populations.items()}
        groups = engine.parts.groups
        bounds = balance.bounds(*(g.size for g in groups), costs=[engine.cost(g) for g in groups])
        self.bounds = dict(zip((g.name for g in groups), bounds, strict=True))
        self._logs = {g.name: self._log(g) for g in engine.parts.groups}
        self.lists = {name: log.lists for name, log in self._logs.items()}
        self._samples = [r.room(self.first, steps, engine.parts.dtype) for r in recorders]
        of_neurons = [r for r in recorders if isinstance(r, Recorder)]
        self._shown = {(r.population.name, r.state): np.zeros(r.population.size, engine.parts.dtype)
                       for r in of_neurons if r.state in r.population.model.peak()}  # fmt: skip
        self._shown |= {(name, AHEAD): np.zeros(self.lists[name].neurons.shape[1], engine.parts.dtype)
                        for name in engine.ahead if engine.populations[name].located is None}  # fmt: skip
        sides = {name: (lists, self.bounds[name]) for name, lists in self.lists.items()}
        self._plastic = {
            name: PlasticRun(edges, sides[edges.projection.pre.name], sides[edges.projection.post.name], self._strict)
            for name, edges in engine.plastic.items()
        }
        self.sleepers = self._napping() if compiled else {}

    def _napping(self) -> dict[str, Sleepers]:
        """Neurons that nap in this chunk, of populations at whose held states nobody looks."""
        coupled = [(c.source, c.source.given_model.membrane) for c, _ in self.engine.couplings]
        looked_at = [(r.owner, r.state) for r in self._recorders] + coupled
        found = dict[str, Sleepers]()
        for name, built in self.engine.populations.items():
            seen = {STATE + state for owner, state in looked_at if owner is built.population}
            shown = tuple(SHOWN + state for owner, state in self._shown if owner == name)
            nap = built.nap(shown, self._strict)
            if nap is None or seen & nap.states:
                continue
            sleepers = Sleepers.of(nap, built.states, built.constants, self.bounds[name], self.first)
            found |= {} if sleepers is None else {name: sleepers}
        return found

    def wake(self, steps: int) -> None:
        """Give back the states of neurons that nap, after so many steps."""
        for sleepers in self.sleepers.values():
            sleepers.wake(steps)

    def harvest(self) -> Chunk:
        """What happened, with the spikes that are under way put back into the engine."""
        self.wake(self.steps)
        for recorder, rows in zip(self._recorders, self._samples, strict=True):
            decay = self.engine.decaying.of(recorder.owner).get(STATE + recorder.state)
            if decay is not None:
                rows[:] = decay.plain(rows, recorder.steps(self.first, self.steps))
        for name, log in self._logs.items():
            log.put_back(self.engine.recent[name], self.engine.ahead.get(name))
        for plastic in self._plastic.values():
            plastic.harvest()
        found = {name: log.spikes() for name, log in self._logs.items()}
        spikes = {name: (steps, neurons) for name, (steps, neurons, _) in found.items()}
        ahead = {name: before for name, (_, _, before) in found.items() if before is not None}
        return Chunk(self.first, self.steps, spikes, self._samples, ahead)

    def _log(self, group: Group) -> SpikeLog:
        recent, ahead = self.engine.recent[group.name], self.engine.ahead.get(group.name)
        most = -(-self.steps // (1 + self.engine.rest(group)))
        room = functools.partial(self.engine.room, group.name, most * group.size)
        stamps = None if ahead is None else room(np.float64)
        return SpikeLog(recent, ahead, self.bounds[group.name], self.first, self.steps, room(np.int32), stamps)

    def tasks(self) -> Iterator[Task]:
        """In the order of a step: random numbers, what arrives before it, neurons and sources, what is added after."""
        built = self.engine.populations
        for name, population in built.items():
            yield from self._noise(name, population)
        yield from self._arrivals(after=False)
        couplings = list(self._couplings())
        yield from couplings
        # Where neurons look at each other's voltage, nobody may step before all have looked.
        wait = bool(couplings)
        for group in self.engine.parts.groups:
            if isinstance(group, Population):
                yield dataclasses.replace(self._advance(group.name, built[group.name]), meet=wait)
                wait = False
                if (group.name, AHEAD) in self._shown:
                    given = self.lists[group.name], self._shown[group.name, AHEAD]
                    yield Task(*times.stamp_task(*given), self.bounds[group.name], times.stamp(*given), receives=False)
            else:
                yield self._source(group)
        yield from self._arrivals(after=True)
        for plastic in self._plastic.values():
            yield from plastic.after()
        for log in self._logs.values():
            yield from log.tasks()
        for recorder, rows in zip(self._recorders, self._samples, strict=True):
            if isinstance(recorder, EdgeRecorder):
                yield self._plastic[recorder.projection.name].sample(recorder, rows, self.first)
                continue
            name = recorder.population.name
            state = self._shown.get((name, recorder.state), built[name].states[STATE + recorder.state])
            given = state, recorder.neurons, rows, recorder.every, self.first
            bounds = np.searchsorted(recorder.neurons, self.bounds[name]).astype(np.int64)
            yield own_task(*sources.sample_task(*given), bounds, reference.sample(*given))

    def _noise(self, name: str, built: BuiltPopulation) -> Iterator[Task]:
        for purpose in built.program.random:
            rows = aligned((1, built.population.size), self.engine.parts.dtype)
            self._drawn[name][STREAM + purpose] = rows
            kind = purpose.partition(".")[0]
            key = key_of(self.engine.parts.seed, f"{name}/{purpose}")
            yield own_task(*sources.noise_task(kind, rows, key), self.bounds[name], reference.noise(kind, rows, key))
        parts, held = self.engine.parts, self._held[name]
        for n in parts.noises:
            if n.population is built.population:
                given, rows = held[n.into], aligned((1, built.population.size), parts.dtype)
                key = key_of(parts.seed, n.name)
                task = given, rows, n.sd.astype(parts.dtype), key, n.steps, self.first
                bounds = self.bounds[name]
                yield own_task(*sources.noise_current_task(*task), bounds, reference.noise_current(*task))
                held[n.into] = rows

    def _arrivals(self, after: bool) -> Iterator[Task]:
        parts = self.engine.parts
        for p in parts.projections:
            target = self.engine.populations[p.post.name]
            if (p.port in target.added) == after:
                bounds = self.bounds[p.post.name]
                lists, sources_of = self.lists[p.pre.name], self.bounds[p.pre.name]
                if target.located is not None:
                    yield target.located.collect(p, lists, sources_of, bounds)
                    continue
                split, memory = self.engine.split(p.name, bounds), self.engine.memories.get(p.name)
                if p.name in self._plastic:
                    yield self._plastic[p.name].deliver(target.rows(p.port), split)
                    continue
                decay = self.engine.decaying.of(p.post).get(STATE + target.added.get(p.port, ""))
                shares, rows = None if decay is None else decay.shares, target.rows(p.port)
                delivery = Delivery(lists, sources_of, self.engine.wires[p.name], rows, split, memory, shares)
                yield Task(*deliver_task(delivery), bounds, reference.deliver(delivery), fires=False)
        for d in parts.drives:
            target = self.engine.populations[d.population.name]
            if (d.port in target.added) == after:
                means = d.rate.per_step(parts.dt, self.first, self.steps)
                weights, key = d.weights.astype(parts.dtype), key_of(parts.seed, f"{d.name}/poisson")
                rows, bounds = target.rows(d.port), self.bounds[d.population.name]
                if d.rate.function is None and means.size == 1 and sources.tabulated(float(means[0, 0])):
                    address, numbers, table = sources.poisson_task(rows, float(means[0, 0]), weights, key)
                    yield own_task(address, numbers, bounds, reference.poisson(rows, weights, key, table))
                else:
                    given = rows, means, weights, key, self.first
                    yield own_task(*sources.varying_poisson_task(*given), bounds, reference.varying_poisson(*given))

    def _couplings(self) -> Iterator[Task]:
        for number, (c, rows_by_target) in enumerate(self.engine.couplings):
            others, target = self.engine.populations[c.source.name], self.engine.populations[c.target.name]
            source, rows = others.states[STATE + c.source.given_model.membrane], target.coupled[c.input]
            given = *rows_by_target, source, rows
            bounds, meet = self.bounds[c.target.name], number == 0
            yield Task(*sources.coupling_task(*given), bounds, reference.coupling(*given), meet, fires=False)

    def _advance(self, name: str, built: BuiltPopulation) -> Task:
        if built.located is not None:
            held = {into: Arrival(rows, False, self.first) for into, rows in self._held[name].items()}
            shown = {state: row for (owner, state), row in self._shown.items() if owner == name}
            given = built.states, built.rings, held, shown, self.lists[name], self.bounds[name]
            return built.located.advance(*given)
        arrivals = {STREAM + port: Arrival(rows, True) for port, rows in built.rings.items()}
        arrivals |= {STREAM + into: Arrival(rows, False, self.first) for into, rows in self._held[name].items()}
        arrivals |= {stream: Arrival(rows, False) for stream, rows in self._drawn[name].items()}
        arrivals |= {STREAM + input: Arrival(rows, False) for input, rows in built.coupled.items()}
        shown = {SHOWN + state: row for (owner, state), row in self._shown.items() if owner == name}
        lists = self.lists[name] if built.program.fires else None
        sleepers = self.sleepers.get(name)
        decays = self.engine.decaying.of(built.population)
        stepped = Stepped(
            built.text, built.states, built.constants, built.positive, arrivals, shown, lists, sleepers, decays
        )
        label = type(built.population.given_model).__name__
        found = advance_task(stepped, label, self._strict)
        return Task(*found, self.bounds[name], reference.advance(stepped), receives=False)

    def _source(self, group: Group) -> Task:
        lists, bounds, parts = self.lists[group.name], self.bounds[group.name], self.engine.parts
        if isinstance(group, PoissonGroup):
            chances = group.rate.per_step(parts.dt, self.first, self.steps)
            group.check(float(chances.max()))
            keys = key_of(parts.seed, f"{group.name}/own"), key_of(parts.seed, f"{group.name}/common")
            found = sources.chance_task(lists, chances, keys, group.correlation, self.first)
            reference_of = reference.chance(lists, chances, keys, group.correlation, self.first)
            return Task(*found, bounds, reference_of, receives=False)
        steps, neurons = self.engine.given(group.name)
        starts = np.searchsorted(steps, np.arange(self.first, self.first + self.steps + 1)).astype(np.int64)
        found = sources.given_task(lists, starts, neurons, self.first)
        return Task(*found, bounds, reference.given(lists, starts, neurons, self.first), receives=False)


__all__ = ["Chunk", "Engine"]
