"""A network on a GPU: its arrays there, the launches of a run, and the way back into the engine's arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import numpy as np
import torch

from ..errors import NonFiniteError
from ..kernels.program import SHOWN, STATE, STREAM
from ..kernels.propagate import gpu, sources
from ..kernels.propagate.deliver import Wires
from ..kernels.propagate.gpu import Launch
from ..kernels.propagate.gpu_advance import Drive, Shape, advance_source
from ..kernels.propagate.gpu_deliver import deliver_source
from ..kernels.propagate.gpu_sources import chance_source, coupling_source, sample_source
from ..kernels.propagate.release import Memory
from ..kernels.random import key_of
from .build import BuiltPopulation, Parts
from .coupling import Coupling
from .groups import Group, PoissonGroup, Population, SpikeSource
from .inputs import Drive as Input
from .projection import Projection
from .recorders import Recorder

_BLOCK = 128  # neurons of a program
_ROW = 256  # edges of a row that a program takes at a time
_PROGRAMS = 256  # that share the spikes of a step
_SPLITS = 8  # programs that share a row, at most
_ROOM = 62  # bits of the sum of all that can arrive at once
_RELEASED = 256.0  # of a weight that an edge with a memory may release
_SMALL = 100  # a float32 holds 2**-100 and 2**100 times a usual weight


@dataclasses.dataclass(frozen=True, eq=False)
class Host:
    """The engine's arrays, which a card takes over and gives back; ``given`` are known spikes, by group."""

    parts: Parts
    wires: Mapping[str, Wires]
    window: int
    populations: Mapping[str, BuiltPopulation]
    recent: dict[str, list[np.ndarray]]
    memories: Mapping[str, Memory]
    given: Mapping[str, tuple[np.ndarray, np.ndarray]]
    couplings: Sequence[tuple[Coupling, tuple[np.ndarray, np.ndarray, np.ndarray]]]


@dataclasses.dataclass(frozen=True, eq=False)
class Fired:
    """Spikes of a group on the card, by row (``back`` steps before a run's first step are there): ``neurons`` from
    ``places`` [rows] on, ``counts`` [rows] of them in any order."""

    neurons: torch.Tensor
    places: torch.Tensor
    counts: torch.Tensor
    back: int


@final
class Card:
    """All that a network is, on a GPU. What it holds is newer than the engine's arrays until :meth:`home`.

    Raises BackendError where there is no card.
    """

    def __init__(self, host: Host, step: int, exact: Mapping[str, np.ndarray]) -> None:
        self.host, self.step = host, step
        self.device, self.interpreted = gpu.device()
        self.window = 1 if host.couplings else host.window
        self.states = {n: {s: self._copy(v) for s, v in b.states.items()} for n, b in host.populations.items()}
        self.constants = {n: {c: self.to(v) for c, v in b.constants.items()} for n, b in host.populations.items()}
        self.coupled = {n: {c: self._copy(v) for c, v in b.coupled.items()} for n, b in host.populations.items()}
        self.edges = {n: (self.to(w.starts), self.to(w.targets), self.to(w.weights),
                          *([] if w.lags is None else [self.to(w.lags)])) for n, w in host.wires.items()}  # fmt: skip
        self.memory = {n: (self._copy(m.latest), {s: self._copy(v) for s, v in m.states.items()},
                           [self.to(p) for p in m.parameters.values()]) for n, m in host.memories.items()}  # fmt: skip
        self.shares = [tuple(map(self.to, rows)) for _, rows in host.couplings]
        self.units = {key: self._unit(*key) for key in self._ringed()}
        self.rings = {key: self._ring(*key, exact) for key in self.units}
        self.trouble = torch.zeros(1, dtype=torch.int32, device=self.device)
        self.late = {g.name: self._late(g) for g in host.parts.groups if not isinstance(g, SpikeSource)}

    # -- there

    def to(self, values: np.ndarray) -> torch.Tensor:
        """``values`` on the card."""
        return torch.from_numpy(np.require(values, requirements=["C", "W"])).to(self.device)

    def _copy(self, values: np.ndarray) -> torch.Tensor:
        return self.to(values.copy())

    def _ringed(self) -> Iterator[tuple[str, str]]:
        """Population and port of every ring."""
        for name, built in self.host.populations.items():
            for port in dict.fromkeys(p.port for p in self.host.parts.into(built.population)):
                yield name, port

    def _unit(self, name: str, port: str) -> int:
        """The k of ``2**k`` units to a weight of 1: the most that can arrive at once stays below 2**62 units."""
        most = 0.0
        for p in self.host.parts.into(self.host.populations[name].population):
            wires = self.host.wires[p.name]
            if p.port == port and wires.targets.size:
                largest = float(np.abs(wires.weights).max())
                most += largest * _most(wires.targets) * (_RELEASED if p.name in self.host.memories else 1.0)
        whole = _ROOM - int(np.ceil(np.log2(most))) if most > 0.0 else 0
        return min(max(whole, -_SMALL), _SMALL)

    def _longest(self, name: str, port: str) -> int:
        rings = self.host.populations[name].rings
        return len(rings[port]) - 1 if port in rings else 0

    def _ring(self, name: str, port: str, exact: Mapping[str, np.ndarray]) -> torch.Tensor:
        longest, built = self._longest(name, port), self.host.populations[name]
        ring = np.zeros((longest + self.window, built.population.size), np.int64)
        if f"exact/{name}/{port}" in exact:
            ring[:] = exact[f"exact/{name}/{port}"]
        elif longest:
            for step in range(self.step, self.step + longest):
                row = built.rings[port][step % (longest + 1)].astype(np.float64)
                ring[step % len(ring)] = np.ldexp(row, self.units[name, port])
        return self.to(ring)

    def _late(self, group: Group) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of the latest spikes, the oldest first, and how many there are."""
        recent = self.host.recent[group.name]
        slots = len(recent)
        neurons, counts = np.zeros((slots, group.size), np.int32), np.zeros(slots, np.int32)
        for k in range(slots):
            row = recent[(self.step - slots + k) % slots]
            neurons[k, : len(row)], counts[k] = row, len(row)
        return self.to(neurons), self.to(counts)

    # -- running

    def run(
        self, steps: int, recorders: Sequence[Recorder], strict: bool
    ) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
        """Move on by ``steps``: spikes (step, neuron) by group, and samples by recorder."""
        run = _Run(self, steps, recorders, strict)
        clock = torch.full((2,), self.step, dtype=torch.int64, device=self.device)
        gpu.drive(run.launches, clock, steps, self.window, self.interpreted)
        for name in self.late:
            fired = run.fired[name]
            rows = fired.neurons.view(len(fired.counts), -1)
            self.late[name] = rows[steps:].clone(), fired.counts[steps:].clone()
        self.step += steps
        self._check()
        return run.spikes(), [rows.cpu().numpy() for rows in run.samples]

    def _check(self) -> None:
        states = [values for found in self.states.values() for values in found.values()]
        fine = torch.stack([torch.isfinite(values).all() for values in states]) if states else torch.ones(1)
        if bool(self.trouble):
            what = "an edge with short-term plasticity released a number that cannot be"
            raise NonFiniteError(what, got="more than 256 or no number", expected="a part of its weight")
        if not bool(fine.all()):
            self.home()

    def home(self) -> dict[str, np.ndarray]:
        """Bring everything into the engine's arrays. Returns what is under way to the last bit, by name."""
        exact: dict[str, np.ndarray] = {}
        for name, built in self.host.populations.items():
            for state, values in self.states[name].items():
                built.states[state][:] = values.cpu().numpy()
        for (name, port), ring in self.rings.items():
            if longest := self._longest(name, port):
                rows, home = ring.cpu().numpy(), self.host.populations[name].rings[port]
                exact[f"exact/{name}/{port}"] = rows.copy()
                home[:] = 0.0
                for step in range(self.step, self.step + longest):
                    row = rows[step % len(rows)].astype(np.float64)
                    home[step % len(home)] = np.ldexp(row, -self.units[name, port])
        for name, (latest, states, _) in self.memory.items():
            memory = self.host.memories[name]
            memory.latest[:] = latest.cpu().numpy()
            for state, values in states.items():
                memory.states[state][:] = values.cpu().numpy()
        for name, (neurons, counts) in self.late.items():
            slots = len(counts)
            for k, (row, count) in enumerate(zip(neurons.cpu().numpy(), counts.cpu().numpy(), strict=True)):
                self.host.recent[name][(self.step - slots + k) % slots] = np.sort(row[:count])
        for name, (steps, neurons) in self.host.given.items():
            slots = len(self.host.recent[name])
            for step in range(self.step - slots, self.step):
                self.host.recent[name][step % slots] = neurons[slice(*np.searchsorted(steps, (step, step + 1)))]
        return exact


def _most(targets: np.ndarray) -> int:
    """How many edges the neuron has that has most."""
    counts, piece = np.zeros(int(targets.max()) + 1, np.int64), 1 << 24
    for begin in range(0, len(targets), piece):
        counts += np.bincount(targets[begin : begin + piece], minlength=len(counts))
    return int(counts.max())


@final
class _Run:
    """The launches of one run of some steps, and the arrays that they fill."""

    def __init__(self, card: Card, steps: int, recorders: Sequence[Recorder], strict: bool) -> None:
        self.card, self.steps, self.first, self.strict = card, steps, card.step, strict
        self.parts = card.host.parts
        self.fired = {g.name: self._fired(g) for g in self.parts.groups}
        dtype = torch.float32 if self.parts.dtype == np.float32 else torch.float64
        self.dtype, self.precision = dtype, "f32" if dtype == torch.float32 else "f64"
        self._recorders = recorders
        self._traces = {(r.population.name, r.state): self._zeros(card.window, r.population.size) for r in recorders}
        self.samples = [card.to(r.room(self.first, steps, self.parts.dtype)) for r in recorders]
        self.launches = list(self._all())

    def spikes(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Steps and neurons of each group, in order."""
        found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for group in self.parts.groups:
            if isinstance(group, SpikeSource):
                steps, neurons = self.card.host.given[group.name]
                part = slice(*np.searchsorted(steps, (self.first, self.first + self.steps)))
                found[group.name] = steps[part], neurons[part]
                continue
            fired = self.fired[group.name]
            counts = fired.counts[fired.back :]
            rows = fired.neurons.view(len(fired.counts), -1)[fired.back :]
            there = torch.arange(group.size, device=rows.device) < counts[:, None]
            steps = torch.arange(self.steps, device=rows.device).repeat_interleave(counts)
            keys = torch.sort(steps * group.size + rows[there]).values.cpu().numpy()
            found[group.name] = keys // group.size + self.first, (keys % group.size).astype(np.int32)
        return found

    def _zeros(self, *shape: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        return torch.zeros(shape, dtype=self.dtype if dtype is None else dtype, device=self.card.device)

    def _fired(self, group: Group) -> Fired:
        back = len(self.card.host.recent[group.name])
        rows = back + self.steps
        if isinstance(group, SpikeSource):
            steps, neurons = self.card.host.given[group.name]
            places = np.searchsorted(steps, np.arange(self.first - back, self.first + self.steps + 1)).astype(np.int64)
            neurons = neurons if neurons.size else np.zeros(1, np.int32)
            counts = np.diff(places).astype(np.int32)
            to = self.card.to
            return Fired(to(neurons), to(places[:-1].copy()), to(counts), back)
        neurons = torch.empty((rows, group.size), dtype=torch.int32, device=self.card.device)
        counts = self._zeros(rows, dtype=torch.int32)
        neurons[:back], counts[:back] = self.card.late[group.name]
        places = torch.arange(rows, device=self.card.device) * group.size
        return Fired(neurons.view(-1), places, counts, back)

    def _all(self) -> Iterator[Launch]:
        """In the order of a window: what arrives, what neurons feel of each other, neurons and sources, samples."""
        for p in self.parts.projections:
            if len(self.card.host.wires[p.name].targets):
                yield self._deliver(p)
        for (coupling, _), rows in zip(self.card.host.couplings, self.card.shares, strict=True):
            yield self._couple(coupling, rows)
        for group in self.parts.groups:
            if isinstance(group, Population):
                yield self._advance(group, self.card.host.populations[group.name])
            elif isinstance(group, PoissonGroup):
                yield self._chance(group)
        for recorder, rows in zip(self._recorders, self.samples, strict=True):
            if rows.numel():
                trace = self._traces[recorder.population.name, recorder.state]
                tensors = self._numbers(recorder.every, recorder.population.size), trace
                chosen = self.card.to(recorder.neurons)
                yield self._launch(sample_source(), "sample", rows.shape[1], (*tensors, chosen, rows), "grid")

    def _launch(self, source: str, name: str, width: int, tensors: tuple[torch.Tensor, ...], way: Any) -> Launch:
        return Launch(source, name, (-(-width // _BLOCK), 1), width, tensors, _BLOCK, way, self.strict)

    def _numbers(self, *values: int) -> torch.Tensor:
        return self.card.to(np.array([*values, 0], np.int64))

    def _reals(self, *values: float) -> torch.Tensor:
        return self.card.to(np.array([*values, 0.0], np.float64))

    def _deliver(self, p: Projection) -> Launch:
        card, wires, fired = self.card, self.card.host.wires[p.name], self.fired[p.pre.name]
        memory, ring = card.host.memories.get(p.name), card.rings[p.post.name, p.port]
        starts, targets, weights, *lags = card.edges[p.name]
        many = wires.weights.size > 1
        numbers = self._numbers(wires.delay, fired.back, len(ring))
        reals = self._reals(2.0 ** card.units[p.post.name, p.port], self.parts.dt)
        tensors = [numbers, reals, fired.neurons, fired.places, fired.counts, starts, targets, weights, *lags, ring]
        if memory is None:
            source = deliver_source(self.precision, many, bool(lags))
        else:
            source = deliver_source(self.precision, many, bool(lags), memory.text, memory.single)
            latest, states, parameters = card.memory[p.name]
            tensors += [card.trouble, latest, *states.values(), *parameters]
        longest = -(-len(targets) // max(1, p.pre.size))
        splits = max(1, min(_SPLITS, -(-longest // _ROW)))
        grid = 1 if card.interpreted else min(_PROGRAMS, p.pre.size), 1 if card.interpreted else splits
        # What an edge remembers changes from step to step: one after the other.
        way = "grid" if memory is None else "each"
        return Launch(source, "deliver", grid, p.post.size, tuple(tensors), _ROW, way, self.strict)

    def _couple(self, c: Coupling, rows: tuple[torch.Tensor, ...]) -> Launch:
        source = self.card.states[c.source.name][STATE + c.source.given_model.membrane]
        most = self._numbers(int(torch.diff(rows[0]).max()))
        tensors = most, *rows, source, self.card.coupled[c.target.name][c.input]
        return self._launch(coupling_source(), "coupling", c.target.size, tensors, "loop")

    def _chance(self, group: PoissonGroup) -> Launch:
        chances, fired = group.rate.per_step(self.parts.dt, self.first, self.steps), self.fired[group.name]
        group.check(float(chances.max()))
        keys = (key_of(self.parts.seed, f"{group.name}/{which}") for which in ("own", "common"))
        numbers = self._numbers(fired.back, *keys, len(chances) > 1, chances.shape[1] > 1)
        tensors = numbers, self._reals(group.correlation), self.card.to(chances), fired.neurons, fired.counts
        return self._launch(chance_source(), "chance", group.size, tensors, "grid")

    def _advance(self, group: Population, built: BuiltPopulation) -> Launch:
        card, name = self.card, group.name
        drives = [(d, *self._drive(d)) for d in self.parts.drives if d.population is group]
        held = {STREAM + i: card.to(rows) for i, rows in self.parts.held(group, self.first, self.steps).items()}
        noises = [n for n in self.parts.noises if n.population is group]
        traced = {self._traced(group, state): trace for (n, state), trace in self._traces.items() if n == name}
        rings = {port: ring for (owner, port), ring in card.rings.items() if owner == name}
        shape = Shape(
            built.text, self.precision, tuple(rings), tuple(built.added.items()),
            tuple(Drive(d.port, bits) for d, bits, _, _ in drives), tuple(held),
            tuple(STREAM + n.into for n in noises), tuple(STREAM + purpose for purpose in built.program.random),
            tuple(STREAM + n for n in built.coupled),
            frozenset(n for n, c in built.constants.items() if c.size == 1), tuple(traced),
        )  # fmt: skip
        fired = self.fired[name]
        numbers = [fired.back, *(len(ring) for ring in rings.values()), *(len(rows) for rows in held.values())]
        numbers += [key_of(self.parts.seed, f"{name}/{purpose}") for purpose in built.program.random]
        numbers += [x for n in noises for x in (key_of(self.parts.seed, n.name), n.sd.size > 1, n.steps)]
        numbers += [number for _, _, found, _ in drives for number in found]
        arrays = [card.states[name][n] for n in shape.states] + [card.constants[name][n] for n in shape.constants]
        arrays += [*held.values(), *card.coupled[name].values(), *traced.values(), *rings.values()]
        arrays += [card.to(n.sd.astype(self.parts.dtype)) for n in noises]
        arrays += [array for *_, found in drives for array in found]
        arrays += [fired.neurons, fired.counts] if shape.fires else []
        reals = self._reals(*(2.0 ** -card.units[name, port] for port in rings))
        source = advance_source(shape, type(group.given_model).__name__)
        return self._launch(source, "advance", group.size, (self._numbers(*numbers), reals, *arrays), "loop")

    def _traced(self, group: Population, state: str) -> str:
        return (SHOWN if state in group.model.peak() else STATE) + state

    def _drive(self, d: Input) -> tuple[int, list[int], list[torch.Tensor]]:
        """Bits of its table, numbers and arrays of the kernel."""
        means, key = (
            d.rate.per_step(self.parts.dt, self.first, self.steps),
            key_of(self.parts.seed, f"{d.name}/poisson"),
        )
        weights = self.card.to(d.weights.astype(self.parts.dtype))
        changing, each = len(means) > 1, means.shape[1] > 1
        if d.rate.function is None and not each and sources.tabulated(float(means[0, 0])):
            table = sources.probabilities(float(means[0, 0]))
            bits = len(table).bit_length()
            table = np.concatenate([table, np.full(2**bits - 1 - len(table), 1 << 32)]).astype(np.int64)
            return bits, [key, weights.numel() > 1, 0, 0, 0, 0], [self.card.to(table), weights]
        summed = sources.summed(float(means.max()))
        return 0, [key, weights.numel() > 1, changing, each, *summed], [self.card.to(means), weights]


__all__ = ["Card", "Host"]
