"""One step of a population, as a task of the driver: what arrived is added, neurons step, spikes are listed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence

import numpy as np

from ...lang.analysis import replace
from ...lang.canonical import canonical
from ...lang.dialects.dialect import Dialect
from ...lang.dialects.numba import lanes_dialect, lanes_imports
from ...lang.emit import identifier, statements
from ...lang.expr import Expr, lift, rebuilt, topological
from ...lang.graph import Graph
from ...lang.idioms import contracted, fused
from ..cache import load
from ..program import NEXT, SHOWN, SPIKE, STATE
from ..scan.plan import forward_plan

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
    """A population before its next step: arrays by the step's names, and its spike lists (None: it never fires)."""

    text: str
    states: dict[str, np.ndarray]
    constants: dict[str, np.ndarray]
    arrivals: dict[str, Arrival]
    shown: dict[str, np.ndarray]
    lists: Lists | None

    @property
    def size(self) -> int:
        return next(iter(self.states.values())).shape[-1]


def advance_task(population: Stepped, label: str, strict: bool = False) -> tuple[int, np.ndarray]:
    """Address of the task that steps ``population``, and its table."""
    p = population
    kinds = tuple((n, "taken" if a.taken else "read") for n, a in p.arrivals.items())
    single = tuple(n for n, c in p.constants.items() if c.size == 1)
    precision = "f32" if next(iter(p.states.values())).dtype == np.float32 else "f64"
    positive = frozenset(n for n, c in p.constants.items() if (c > 0.0).all())
    text = advance_source(p.text, kinds, single, tuple(p.shown), precision, label, strict, positive)
    parts = 0 if p.lists is None else p.lists.counts.shape[1]
    head = [p.size, parts, 0, 0, 0, 0, 0, 0]
    if p.lists is not None:
        head[2:5] = p.lists.slots, p.lists.neurons.ctypes.data, p.lists.counts.ctypes.data
    entries = [array.ctypes.data for array in (*p.states.values(), *p.constants.values(), *p.shown.values())]
    for arrival in p.arrivals.values():
        entries += [arrival.rows.ctypes.data, len(arrival.rows), arrival.first]
    return _address(text), np.array([*head, *entries], np.int64)


@functools.lru_cache(maxsize=256)
def _address(text: str) -> int:
    return load(text).task.address


@functools.lru_cache(maxsize=256)
def advance_source(
    text: str, arrivals: tuple[tuple[str, str], ...], single: Sequence[str], shown: Sequence[str], precision: str,
    label: str, strict: bool, positive: frozenset[str] = frozenset(),
) -> str:  # fmt: skip
    """The module of one task. ``arrivals`` are (stream, "taken" or "read"); ``single`` the constants of one number,
    ``positive`` those that are above 0."""
    names = tuple(n.removeprefix(SHOWN) for n in shown)
    graph = forward_plan(text, names).forward
    fires = SPIKE in graph.outputs
    stepped = Stepping.of(graph, positive, strict)
    states = [n for n in Graph.parse(text).inputs if n.startswith(STATE)]
    constants = [n for n in graph.inputs if n.startswith("c") and n[1:].isdigit()]
    each = [n for n in (*states, *(n for n, _ in arrivals)) if n in graph.inputs]
    each += [n for n in constants if n not in single]
    rows = {NEXT + n[len(STATE) :]: n for n in states} | {n: n for n in shown}
    body = [f"{precision} = {identifier(states[0])}_all.number"]
    body += [f"{identifier(n)} = {identifier(n)}_all[m]" for n in each]
    body += stepped.lines(rows, lanes_dialect(precision))
    cleared = [f"{identifier(n)}_all[m] = {precision}(0.0)" for n, kind in arrivals if kind == "taken"]
    body[-1:-1] = cleared  # before what is returned
    kind = {"f32": "float32", "f64": "float64"}[precision]
    arrays, received = (*states, *constants, *shown), tuple(n for n, _ in arrivals)
    singles = tuple(n for n in constants if n in single)
    imports = lanes_imports(stepped.everything, precision)
    return "\n".join(_Module(label, kind, arrays, received, singles, fires).lines(imports, body, strict))


@dataclasses.dataclass(frozen=True, eq=False)
class Stepping:
    """What a step computes: ``outputs`` by name, what they are where no neighbour ``fired``, and that condition."""

    outputs: dict[str, Expr]
    quiet: dict[str, Expr]
    fired: Expr | None

    @classmethod
    def of(cls, graph: Graph, positive: frozenset[str], strict: bool) -> Stepping:
        """Of a step whose outputs are next states, what is shown, and spikes."""
        names, found = list(graph.outputs), fused(list(graph.outputs.values()))
        asked = [Expr("gt", (found[names.index(SPIKE)], lift(0.0)))] if SPIKE in names else []
        found = canonical(decided(compared([*found, *asked], positive)))
        # Before the quiet ones are made of it: what is fused then does not hang on whether a neighbour fired.
        found = found if strict else contracted(found)
        quiet = _without(found, found[-1]) if asked else found
        found = canonical([*found, *quiet])
        outputs = {n: e for n, e in zip(names, found, strict=False) if n != SPIKE}
        quietly = {n: e for n, e in zip(names, found[len(quiet) :], strict=False) if n != SPIKE}
        return cls(outputs, quietly, found[len(quiet) - 1] if asked else None)

    @property
    def everything(self) -> list[Expr]:
        """All that is computed."""
        return [*self.outputs.values(), *self.quiet.values(), *([] if self.fired is None else [self.fired])]

    def lines(self, rows: dict[str, str], dialect: Dialect) -> list[str]:
        """Text that computes and stores, output by output into its row, and returns who fired."""
        either = {n for n, e in self.outputs.items() if e is not self.quiet[n]}
        wanted = {identifier(n) + "_new": e for n, e in self.outputs.items()}
        wanted |= {identifier(n) + "_quiet": self.quiet[n] for n in sorted(either)}
        wanted |= {} if self.fired is None else {"fired": self.fired}

        def stores(chosen: Iterable[str], kind: str) -> list[str]:
            return [f"{identifier(rows[n])}_all[m] = {identifier(n)}_{kind}" for n in chosen]

        lines = [*statements(wanted, dialect), *stores([n for n in self.outputs if n not in either], "new")]
        if self.fired is None:
            return [*lines, "return None"]
        lines.append("word = bits(fired)")
        if either:
            chosen = [n for n in self.outputs if n in either]
            lines.append("with either(word) as (some, none):")
            for block, kind in (("some", "new"), ("none", "quiet")):
                lines += [f"    with {block}:", *(f"        {line}" for line in stores(chosen, kind))]
        return [*lines, "return word"]


def _without(outputs: Sequence[Expr], fired: Expr) -> list[Expr]:
    """``outputs`` where the condition ``fired`` does not hold."""
    return rebuilt(outputs, lambda e, args: args[2] if e.op == "where" and e.args[0] is fired else None)


def compared(outputs: Sequence[Expr], positive: frozenset[str]) -> list[Expr]:
    """``outputs`` in which a spike is v >= threshold, where it was (v - threshold) c >= 0 with c above 0.

    Only a surrogate needs the distance. The sign of a difference is exact, so the spikes are the same.

    >>> from spikeloom.lang import math as m
    >>> from spikeloom.lang.expr import symbol
    >>> v, c = symbol("v"), symbol("c0")
    >>> [str(e) for e in compared([m.fire((v - 1.0) * c)], frozenset({"c0"}))]
    ['where((v >= 1), 1, 0)']
    """
    new: dict[int, Expr] = {}
    for expr in topological(outputs):
        if expr.op != "fire" or expr.args[0].op != "mul":
            continue
        factors = [a for a in expr.args[0].args if not (a.op == "symbol" and a.data in positive)]
        if len(factors) == 1 and factors[0].op == "sub":
            new[id(expr)] = Expr("where", (Expr("ge", factors[0].args), lift(1.0), lift(0.0)))
    return replace(outputs, new)


def decided(outputs: Sequence[Expr]) -> list[Expr]:
    """``outputs`` in which whether a 1 was chosen is asked of the conditions, and not of the number.

    >>> from spikeloom.lang import math as m
    >>> from spikeloom.lang.expr import symbol
    >>> v, rest = symbol("v"), symbol("rest")
    >>> spike = m.where(rest > 0.0, 0.0, m.where(v >= 1.0, 1.0, 0.0))
    >>> [str(e) for e in decided([m.where(spike > 0.0, 0.0, v)])]
    ['where((not((rest > 0)) & (v >= 1)), 0, v)']
    >>> [str(e) for e in decided([m.select(m.where(v >= 1.0, 1.0, 0.0), 0.0, v), m.select(m.fire(v), 0.0, v)])]
    ['where((v >= 1), 0, v)', 'where((v >= 0), 0, v)']
    """

    def answered(expr: Expr, args: tuple[Expr, ...]) -> Expr | None:
        asks = expr.op == "select" or (expr.op == "gt" and (args[1].op, args[1].data) == ("const", 0.0))
        answer = _chosen(args[0]) if asks else None
        if not isinstance(answer, Expr):
            return None
        return Expr("where", (answer, *args[1:])) if expr.op == "select" else answer

    return rebuilt(outputs, answered)


def _chosen(expr: Expr) -> Expr | bool | None:
    """When the number, chosen from 0 and 1, is 1; None where it is another."""
    if expr.op == "const":
        return {0.0: False, 1.0: True}.get(float(expr.data)) if isinstance(expr.data, (int, float)) else None
    if expr.op == "detach":
        return _chosen(expr.args[0])
    if expr.op == "fire":
        return Expr("ge", (expr.args[0], lift(0.0)))
    if expr.op != "where":
        return None
    condition, one, other = expr.args[0], _chosen(expr.args[1]), _chosen(expr.args[2])
    if one is True and other is False:
        return condition
    if one is False and isinstance(other, Expr):
        return ~condition & other
    return condition & one if isinstance(one, Expr) and other is False else None


@dataclasses.dataclass(frozen=True)
class _Module:
    """The text around the body of the loop over neurons."""

    label: str
    kind: str
    arrays: tuple[str, ...]
    received: tuple[str, ...]
    singles: tuple[str, ...]
    fires: bool

    def lines(self, imports: Sequence[str], body: Sequence[str], strict: bool) -> list[str]:
        everything = ", ".join(f"{identifier(n)}_all" for n in (*self.arrays, *self.received))
        each = ", ".join(f"{identifier(n)}_all" for n in (*self.arrays, *self.received) if n not in self.singles)
        given = ", ".join(["m", each, *map(identifier, self.singles)])
        return [
            f'"""{self.label}: one step of a population, {self.kind}. Generated by spikeloom; edits are not used."""',
            "import numba",
            "from numba.types import CPointer, float32, float64, int32, int64, void",
            "from spikeloom.kernels.compiler import options",
            *(["from spikeloom.lang.dialects.numba_lanes import bits, either"] if self.fires else []),
            *(["from spikeloom.lang.dialects.numba_rows import lowest_bit"] if self.fires else []),
            "from spikeloom.lang.dialects.numba_threads import pointer",
            *imports,
            f"HOW = {{**options(strict={strict}), 'cache': False}}",
            "",
            f"def step({given}):  # of neighbours, as values",
            *(f"    {line}" for line in body),
            "",
            f"step_{_LANES}, step_1 = on_lanes({_LANES}, step), on_lanes(1, step)",
            "",
            "@numba.njit(**HOW)",  # without a signature it is compiled only where the task is not in the cache
            f"def advance(begin, end, listed, {everything}):",
            *(f"    {identifier(n)} = {identifier(n)}_all[0]" for n in self.singles),
            f"    count, whole = 0, end - (end - begin) % {_LANES}",
            f"    for m in range(begin, whole, {_LANES}):",
            f"        word = step_{_LANES}({given})",
            *(_LISTING if self.fires else []),
            "    for m in range(whole, end):",
            f"        word = step_1({given})",
            *(_LISTING if self.fires else []),
            "    return count",
            "",
            f"@numba.cfunc(void(int64, int64, int64, int64, CPointer(int64)), **options(strict={strict}))",
            "def task(begin, end, step, part, table):  # size, parts, slots, lists, counts; arrays; arrivals",
            "    width, slot = table[0], 0",
            *(["    slot = step % table[2]"] if self.fires else []),
            "    listed = pointer(table[3] + 4 * (slot * width + begin), int32)" if self.fires else "    listed = 0",
            *_unpacked(self.arrays, self.received, self.kind),
            f"    count = advance(begin, end, listed, {everything})",
            *(["    pointer(table[4], int64)[8 * (slot * table[1] + part)] = count"] if self.fires else []),
            "",
        ]


_LISTING = [
    "        while word != 0:",
    "            listed[count] = m + lowest_bit(word)",
    "            count += 1",
    "            word &= word - 1",
]


def _unpacked(arrays: Sequence[str], arrivals: Sequence[str], kind: str) -> list[str]:
    lines = [f"    {identifier(n)}_all = pointer(table[{_HEAD + k}], {kind})" for k, n in enumerate(arrays)]
    size = {"float32": 4, "float64": 8}[kind]
    for k, n in enumerate(arrivals):
        at = _HEAD + len(arrays) + 3 * k
        row = f"((step - table[{at + 2}]) % table[{at + 1}]) * width"
        lines.append(f"    {identifier(n)}_all = pointer(table[{at}] + {size} * {row}, {kind})")
    return lines


__all__ = ["Arrival", "Lists", "Stepped", "advance_task"]
