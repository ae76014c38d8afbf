"""One step of a population, as a task of the driver: what arrived is added, neurons step, spikes are listed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from ...lang.analysis import replace
from ...lang.dialects.numba import function_imports, kernel_dialect
from ...lang.emit import identifier, statements
from ...lang.expr import Expr, lift, topological
from ...lang.graph import Graph
from ...lang.idioms import fused
from ..cache import load
from ..program import NEXT, SHOWN, SPIKE, STATE
from ..scan.plan import forward_plan

_HEAD = 8
_BLOCK = 256  # neurons: more are looked through where one of them fired, fewer cost more beside what they compute


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
    found = decided(compared(fused(list(graph.outputs.values())), positive))
    graph = Graph(graph.inputs, dict(zip(graph.outputs, found, strict=True)))
    states = [n for n in Graph.parse(text).inputs if n.startswith(STATE)]
    constants = [n for n in graph.inputs if n.startswith("c") and n[1:].isdigit()]
    fires = SPIKE in graph.outputs
    body = statements({identifier(n) + "_new": e for n, e in graph.outputs.items()}, kernel_dialect(precision))
    each = [n for n in (*states, *(n for n, _ in arrivals)) if n in graph.inputs]
    each += [n for n in constants if n not in single]
    loads = [f"{identifier(n)} = {identifier(n)}_all[m]" for n in each]
    stores = [f"{identifier(n)}_all[m] = {identifier(NEXT + n[len(STATE) :])}_new" for n in states]
    stores += [f"{identifier(n)}_all[m] = {identifier(n)}_new" for n in shown]
    stores += [f"{identifier(n)}_all[m] = {precision}(0.0)" for n, kind in arrivals if kind == "taken"]
    if fires:
        stores += ["fired[m - base] = spike_new", f"hits = int32(hits | int32(spike_new > {precision}(0.0)))"]
    kind = {"f32": "float32", "f64": "float64"}[precision]
    arrays = (*states, *constants, *shown)
    received = tuple(n for n, _ in arrivals)
    singles = tuple(n for n in constants if n in single)
    lines = [*loads, *body, *stores]
    imports = function_imports(graph.outputs.values(), precision)
    return "\n".join(_Module(label, kind, arrays, received, singles, fires).lines(imports, lines, strict))


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
    """
    zero = ("const", 0.0)
    asked = [e for e in topological(outputs) if e.op == "gt" and (e.args[1].op, e.args[1].data) == zero]
    answers = {id(expr): _chosen(expr.args[0]) for expr in asked}
    return replace(outputs, {number: answer for number, answer in answers.items() if isinstance(answer, Expr)})


def _chosen(expr: Expr) -> Expr | bool | None:
    """When the number, chosen from 0 and 1, is 1; None where it is another."""
    if expr.op == "const":
        return {0.0: False, 1.0: True}.get(float(expr.data)) if isinstance(expr.data, (int, float)) else None
    if expr.op == "detach":
        return _chosen(expr.args[0])
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
        everything = [f"{identifier(n)}_all" for n in (*self.arrays, *self.received)]
        parameters = ", ".join(["begin, end, listed, fired", *everything])
        return [
            f'"""{self.label}: one step of a population, {self.kind}. Generated by spikeloom; edits are not used."""',
            "import math",
            "import numba",
            "import numpy as np",
            "from numba.types import CPointer, float32, float64, int32, int64, void",
            "from spikeloom.kernels.compiler import options",
            *(["from spikeloom.lang.dialects.numba_rows import lowest_bit, ones_and_others"] if self.fires else []),
            "from spikeloom.lang.dialects.numba_threads import pointer, scratch",
            *imports,
            f"{'f32' if self.kind == 'float32' else 'f64'} = {self.kind}",
            f"HOW = {{**options(strict={strict}), 'cache': False}}",
            "",
            "@numba.njit(**HOW)",  # without a signature it is compiled only where the task is not in the cache
            f"def advance({parameters}):",
            *(f"    {identifier(n)} = {identifier(n)}_all[0]" for n in self.singles),
            "    count = 0",
            f"    for base in range(begin, end, {_BLOCK}):",
            f"        top = base + {_BLOCK} if base + {_BLOCK} < end else end",
            "        hits = int32(0)",
            "        for m in range(base, top):",
            *(f"            {line}" for line in body),
            *(_LISTING if self.fires else []),
            "    return count",
            "",
            f"@numba.cfunc(void(int64, int64, int64, int64, CPointer(int64)), **options(strict={strict}))",
            "def task(begin, end, step, part, table):  # size, parts, slots, lists, counts; arrays; arrivals",
            "    width, slot = table[0], 0",
            *(["    slot = step % table[2]"] if self.fires else []),
            "    listed = pointer(table[3] + 4 * (slot * width + begin), int32)",
            f"    fired = scratch({_BLOCK}, {self.kind})",
            *_unpacked(self.arrays, self.received, self.kind),
            f"    count = advance({parameters})",
            *(["    pointer(table[4], int64)[8 * (slot * table[1] + part)] = count"] if self.fires else []),
            "",
        ]


_LISTING = [
    f"        for m in range(top - base, {_BLOCK}):",
    "            fired[m] = 0",  # of the last block, which may be shorter
    "        if hits != 0:",
    f"            for low in range(0, {_BLOCK}, 64):",
    "                word = ones_and_others(fired, low)[0]",
    "                while word != 0:",
    "                    listed[count] = base + low + lowest_bit(word)",
    "                    count += 1",
    "                    word &= word - 1",
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
