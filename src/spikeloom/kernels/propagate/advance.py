"""One step of a population, as a task of the driver: what arrived is added, neurons step, spikes are listed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from ...lang.dialects.numba import lanes_dialect, lanes_imports
from ...lang.emit import identifier
from ...lang.graph import Graph
from ..cache import load
from ..program import NEXT, SHOWN, SPIKE, STATE
from ..scan.plan import forward_plan
from .decays import EVERY, Decay, in_units, unit_of
from .naps import Nap, Sleepers
from .stepping import Stepping

_HEAD = 8
_LANES = 8  # neurons that are asked at once whether one of them fired


@dataclasses.dataclass(frozen=True, eq=False)
class Arrival:
    """What a population receives: ``rows`` [slots, N], of which step t takes row ``(t - first) % slots``.

    ``taken`` rows are set to zero, for what arrives when the row's turn comes again.
    """

    rows: np.ndarray
    taken: bool
    first: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Lists:
    """Spikes of a population in the latest steps: ``neurons`` [slots, N] int32, ``counts`` [slots, parts] int64.

    Part p writes from its first neuron's place on; its counts lie eight numbers apart from those of the next, on a line
    of the cache of their own. Of step t the row is ``t % slots``. Where spikes have times of their
    own, ``ahead`` [slots, N] float64 says how many ms before the end of the step each was.
    """

    neurons: np.ndarray
    counts: np.ndarray
    ahead: np.ndarray | None = None

    @property
    def slots(self) -> int:
        return len(self.neurons)


@dataclasses.dataclass(frozen=True, eq=False)
class Stepped:
    """A population before its next step: arrays by the step's names, the constants that are ``positive``, its spike
    lists (None: it never fires), who naps (None: every neuron is asked), and states in units that decay with them."""

    text: str
    states: dict[str, np.ndarray]
    constants: dict[str, np.ndarray]
    positive: frozenset[str]
    arrivals: dict[str, Arrival]
    shown: dict[str, np.ndarray]
    lists: Lists | None
    sleepers: Sleepers | None = None
    decays: dict[str, Decay] = dataclasses.field(default_factory=dict[str, Decay])

    @property
    def size(self) -> int:
        return next(iter(self.states.values())).shape[-1]


def advance_task(population: Stepped, label: str, strict: bool = False) -> tuple[int, np.ndarray]:
    """Address of the task that steps ``population``, and its table."""
    p = population
    kinds = tuple((n, "taken" if a.taken else "read") for n, a in p.arrivals.items())
    single = tuple(n for n, c in p.constants.items() if c.size == 1)
    precision = "f32" if next(iter(p.states.values())).dtype == np.float32 else "f64"
    shape = Shape(p.text, kinds, single, tuple(p.shown), precision, strict, p.positive, tuple(p.decays))
    parts = 0 if p.lists is None else p.lists.counts.shape[1]
    head = [p.size, parts, 0, 0, 0, 0, 0, 0]
    if p.lists is not None:
        head[2:5] = p.lists.slots, p.lists.neurons.ctypes.data, p.lists.counts.ctypes.data
    arrays = [*p.states.values(), *p.constants.values(), *p.shown.values(), *(d.units for d in p.decays.values())]
    if p.sleepers is not None:
        head[5] = p.sleepers.first
        arrays += p.sleepers.arrays
    entries = [array.ctypes.data for array in arrays]
    for arrival in p.arrivals.values():
        entries += [arrival.rows.ctypes.data, len(arrival.rows), arrival.first]
    return _address(advance_source(shape, label, p.sleepers is not None)), np.array([*head, *entries], np.int64)


@functools.lru_cache(maxsize=256)
def _address(text: str) -> int:
    return load(text).task.address


def naps(text: str, shown: tuple[str, ...], positive: frozenset[str], strict: bool) -> Nap | None:
    """How neurons of a step nap, if they do."""
    return _stepping(Shape(text, shown=shown, strict=strict, positive=positive), True)[1].nap


@dataclasses.dataclass(frozen=True)
class Shape:
    """What the text of a task depends on. ``arrivals`` are (stream, "taken" or "read"); ``single`` the constants of one
    number, ``positive`` those that are above 0; ``decays`` are the states in units that decay."""

    text: str
    arrivals: tuple[tuple[str, str], ...] = ()
    single: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    precision: str = "f32"
    strict: bool = False
    positive: frozenset[str] = frozenset()
    decays: tuple[str, ...] = ()


@functools.lru_cache(maxsize=256)
def _stepping(shape: Shape, napping: bool) -> tuple[Graph, Stepping]:
    graph = forward_plan(shape.text, tuple(n.removeprefix(SHOWN) for n in shape.shown)).forward
    kept = {n: e for n, e in graph.outputs.items() if n not in {NEXT + d.removeprefix(STATE) for d in shape.decays}}
    scaled = dict(zip(kept, in_units(list(kept.values()), shape.decays), strict=True))
    return graph, Stepping.of(scaled, shape.positive, shape.strict, napping)


@functools.lru_cache(maxsize=256)
def advance_source(shape: Shape, label: str, napping: bool = False) -> str:
    """The module of one task."""
    graph, stepped = _stepping(shape, napping)
    states = [n for n in Graph.parse(shape.text).inputs if n.startswith(STATE)]
    constants = [n for n in graph.inputs if n.startswith("c") and n[1:].isdigit()]
    each = [n for n in (*states, *(n for n, _ in shape.arrivals)) if n in graph.inputs]
    each += [n for n in constants if n not in shape.single]
    rows = {NEXT + n[len(STATE) :]: n for n in states} | {n: n for n in shape.shown}
    body = [f"{shape.precision} = {identifier(states[0])}_all.number"]
    body += [f"{identifier(n)} = {identifier(n)}_all[m]" for n in each]
    body += stepped.lines(rows, lanes_dialect(shape.precision))
    cleared = [f"{identifier(n)}_all[m] = {shape.precision}(0.0)" for n, kind in shape.arrivals if kind == "taken"]
    body[-1:-1] = cleared  # before what is returned
    kind = {"f32": "float32", "f64": "float64"}[shape.precision]
    units, received = tuple(map(unit_of, shape.decays)), tuple(n for n, _ in shape.arrivals)
    arrays = (*states, *constants, *shape.shown, *units)
    singles = (*(n for n in constants if n in shape.single), *units)
    imports = lanes_imports(stepped.everything, shape.precision)
    module = _Module(label, kind, arrays, received, singles, SPIKE in graph.outputs, stepped.nap, shape.decays)
    return "\n".join(module.lines(imports, body, shape.strict))


@dataclasses.dataclass(frozen=True)
class _Module:
    """The text around the body of the loop over neurons."""

    label: str
    kind: str
    arrays: tuple[str, ...]
    received: tuple[str, ...]
    singles: tuple[str, ...]
    fires: bool
    nap: Nap | None
    decays: tuple[str, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        return () if self.nap is None else tuple(f"{n}.kept" for n in self.nap.held)

    def lines(self, imports: Sequence[str], body: Sequence[str], strict: bool) -> list[str]:
        rows = (*self.arrays, *self.kept, *self.received)
        everything = ", ".join(f"{identifier(n)}_all" for n in rows)
        each = ", ".join(f"{identifier(n)}_all" for n in rows if n not in self.singles)
        sleep = [] if self.nap is None else ["now", "until"]
        lists = ["listed"] if self.nap is None else ["listed", "now", "places", "ring"]
        lists += ["place"] if self.decays else []
        units = tuple(map(unit_of, self.decays))
        given = ", ".join(["m", each, *map(identifier, self.singles), *sleep])
        listing = [] if not self.fires else _LISTING if self.nap is None else _napping(self.nap)
        return [
            f'"""{self.label}: one step of a population, {self.kind}. Generated by spikeloom; edits are not used."""',
            "import numba",
            "from numba.types import CPointer, float32, float64, int32, int64, void",
            "from spikeloom.kernels.compiler import options",
            *(["from spikeloom.lang.dialects.numba_lanes import bits, either"] if self.fires else []),
            *(["from spikeloom.lang.dialects.numba_rows import lowest_bit"] if self.fires else []),
            "from spikeloom.lang.dialects.numba_threads import pointer",
            *imports,
            *(["from spikeloom.lang.dialects.numba_lanes import select"] if self.nap is not None else []),
            f"HOW, ONE = {{**options(strict={strict}), 'cache': False}}, {self.kind}(1)",
            "",
            f"def step({given}):  # of neighbours, as values",
            *(f"    {line}" for line in body),
            "",
            f"step_{_LANES}, step_1 = on_lanes({_LANES}, step), on_lanes(1, step)",
            "",
            "@numba.njit(**HOW)",  # without a signature it is compiled only where the task is not in the cache
            f"def advance(begin, end, {', '.join(lists)}, {everything}):",
            *(f"    {identifier(n)} = {identifier(n)}_all[{'place' if n in units else 0}]" for n in self.singles),
            *([] if self.nap is None else _waking(self.nap)),
            f"    count, whole = 0, end - (end - begin) % {_LANES}",
            f"    for m in range(begin, whole, {_LANES}):",
            f"        word = step_{_LANES}({given})",
            *listing,
            "    for m in range(whole, end):",
            f"        word = step_1({given})",
            *listing,
            *([] if self.nap is None else ["    places[0], places[1] = first, asleep"]),
            *_renewed(self.decays),
            "    return count",
            "",
            f"@numba.cfunc(void(int64, int64, int64, int64, CPointer(int64)), **options(strict={strict}))",
            "def task(begin, end, step, part, table):  # size, parts, slots, lists, counts, first; arrays; arrivals",
            "    width, slot = table[0], 0",
            *(["    slot = step % table[2]"] if self.fires else []),
            "    listed = pointer(table[3] + 4 * (slot * width + begin), int32)" if self.fires else "    listed = 0",
            *([f"    place = step % {EVERY}"] if self.decays else []),
            *self._unpacked(),
            f"    count = advance(begin, end, {', '.join(lists)}, {everything})",
            *(["    pointer(table[4], int64)[8 * (slot * table[1] + part)] = count"] if self.fires else []),
            "",
        ]

    def _unpacked(self) -> list[str]:
        lines, at = [f"    {identifier(n)}_all = pointer(table[{_HEAD + k}], {self.kind})"
                     for k, n in enumerate(self.arrays)], _HEAD + len(self.arrays)  # fmt: skip
        if self.nap is not None:
            lines.append(f"    now, places = {self.kind}(step - table[5]), pointer(table[{at}] + 64 * part, int64)")
            lines.append(f"    ring = pointer(table[{at + 1}] + 4 * begin, int32)")
            kept = enumerate(self.kept, at + 2)
            lines += [f"    {identifier(n)}_all = pointer(table[{k}], {self.kind})" for k, n in kept]
            at += 2 + len(self.kept)
        size = {"float32": 4, "float64": 8}[self.kind]
        for n in self.received:
            row = f"((step - table[{at + 2}]) % table[{at + 1}]) * width"
            lines.append(f"    {identifier(n)}_all = pointer(table[{at}] + {size} * {row}, {self.kind})")
            at += 3
        return lines


def _renewed(decays: Sequence[str]) -> list[str]:
    """States come back to their own units before the next ones begin."""
    if not decays:
        return []
    rows = [(f"{identifier(n)}_all", f"{identifier(unit_of(n))}_all") for n in decays]
    again = [f"            {row}[m] *= {unit}[{EVERY}]" for row, unit in rows]
    return [f"    if place == {EVERY - 1}:", "        for m in range(begin, end):", *again]


_LISTING = [
    "        while word != 0:",
    "            listed[count] = m + lowest_bit(word)",
    "            count += 1",
    "            word &= word - 1",
]


def _waking(nap: Nap) -> list[str]:
    """Who wakes in this step is at the beginning of the ring."""
    timer = f"{identifier(nap.timer)}_all"
    return [
        f"    until = now + {identifier(nap.steps)} + ONE",
        "    first, asleep, room = places[0], places[1], end - begin",
        f"    while asleep > 0 and {timer}[ring[first]] <= now:",
        "        m = ring[first]",
        *(f"        {identifier(n)}_all[m] = {identifier(n)}_kept_all[m]" for n in nap.held),
        "        first, asleep = first + 1 if first + 1 < room else 0, asleep - 1",
    ]


def _napping(nap: Nap) -> list[str]:
    """Who fired falls asleep; who did not, but seemed to, naps until another step."""
    return [
        "        while word != 0:",
        "            one = m + lowest_bit(word)",
        "            word &= word - 1",
        f"            if {identifier(nap.timer)}_all[one] == until:",
        "                last = first + asleep",
        "                ring[last if last < room else last - room] = one",
        "                listed[count] = one",
        "                count, asleep = count + 1, asleep + 1",
    ]


__all__ = ["Arrival", "Lists", "Shape", "Stepped", "advance_source", "advance_task", "naps"]
