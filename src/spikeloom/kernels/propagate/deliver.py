"""Delivery of spikes along the edges of a projection, as a task of the driver.

Edges are rows by source, the targets of a row ascending, so that each thread's own targets are one stretch of every
row. A target receives in the order of the steps, then of the sources, then of the row, whatever the threads: sums come
out the same to the last bit.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from ..cache import load
from .advance import Lists
from .decays import EVERY
from .release import Lines, Memory, release_lines

_HEAD = 15
_TOGETHER = 64  # spikes that are looked up together
_AHEAD = 6  # spikes from one whose row is asked for to the one that is delivered


@dataclasses.dataclass(frozen=True, eq=False)
class Wires:
    """The edges of a projection: ``starts`` int64 [sources + 1], ``targets`` int32 or uint16 [E].

    ``weights`` [1] or [E] in the precision of the receiving rows; ``delay`` in steps, at least 1, is that of all edges,
    or the shortest where ``lags`` (uint8 or uint16 [E]) say how many steps more each takes.
    """

    starts: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    delay: int
    lags: np.ndarray | None = None

    @functools.cached_property
    def whole(self) -> int:
        """How many targets there are where every row has them all, once each, so that nobody need look; else 0."""
        width = int(self.starts[1]) if len(self.starts) > 1 else 0
        if self.targets.size != width * (len(self.starts) - 1) or (np.diff(self.starts) != width).any():
            return 0
        every = np.arange(width)
        return width if all((self.targets[at : at + width] == every).all() for at in self.starts[:-1]) else 0

    def by_delay(self) -> np.ndarray:
        """Places of the edges [E] when those of each source come in the order of their lags, then of their targets."""
        assert self.lags is not None
        sources = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        return np.lexsort((self.targets, self.lags, sources))

    def split(self, bounds: np.ndarray) -> np.ndarray:
        """Where each part's stretch of each row begins, [sources * parts + 1]; targets ``bounds`` [parts + 1]."""
        parts, sources = len(bounds) - 1, len(self.starts) - 1
        if parts == 1:
            return self.starts
        found = np.empty(sources * parts + 1, np.int64)
        found[-1] = self.starts[-1]
        arrays = (self.starts, self.targets, bounds, found)
        table = np.array([parts, *(a.ctypes.data for a in arrays)], np.int64)
        _splitter(self.targets.dtype.name)(0, sources, 0, 0, table.ctypes.data)
        return found


@dataclasses.dataclass(frozen=True, eq=False)
class Delivery:
    """Spikes of ``lists``, part p's from ``sources`` [parts + 1] on, along ``wires`` into ``rows`` [slots, targets].

    Step t receives in row ``t % slots``, with ``lags`` in later ones. ``split`` is that of the targets' bounds.
    ``memory`` says what each edge remembers (None: all of a spike arrives always). ``shares`` [EVERY] are by what a
    weight is multiplied after each of so many steps, where rows are in units of their own.
    """

    lists: Lists
    sources: np.ndarray
    wires: Wires
    rows: np.ndarray
    split: np.ndarray
    memory: Memory | None = None
    shares: np.ndarray | None = None


def deliver_task(delivery: Delivery) -> tuple[int, np.ndarray]:
    """Address of the task that delivers, and its table."""
    d, w = delivery, delivery.wires
    lag = "none" if w.lags is None else {1: "uint8", 2: "uint16"}[w.lags.itemsize]
    precision = {4: "float32", 8: "float64"}[d.rows.itemsize]
    weights = "one" if w.weights.size == 1 else "each"
    remembered = ("", ()) if d.memory is None else (d.memory.text, d.memory.single)
    head = [
        d.lists.counts.shape[1], d.lists.slots, d.lists.neurons.shape[1], w.delay, len(d.rows), d.rows.shape[1],
        d.lists.neurons.ctypes.data, d.lists.counts.ctypes.data, d.sources.ctypes.data, d.split.ctypes.data,
        w.targets.ctypes.data, w.weights.ctypes.data, 0 if w.lags is None else w.lags.ctypes.data, d.rows.ctypes.data,
        0 if d.shares is None else d.shares.ctypes.data,
    ]  # fmt: skip
    entries = [] if d.memory is None else d.memory.entries
    whole = w.lags is None and d.memory is None and w.whole == d.rows.shape[1]
    target = "all" if whole else w.targets.dtype.name
    shared = d.shares is not None
    return _address(precision, weights, lag, remembered, target, shared), np.array([*head, *entries], np.int64)


@functools.lru_cache(maxsize=64)
def _address(
    precision: str, weights: str, lag: str, remembered: tuple[str, tuple[str, ...]], target: str, shared: bool
) -> int:  # fmt: skip
    return load(deliver_source(precision, weights, lag, remembered, target, shared)).task.address


def deliver_source(
    precision: str, weights: str = "one", lag: str = "none", remembered: tuple[str, tuple[str, ...]] = ("", ()),
    target: str = "int32", shared: bool = False,
) -> str:  # fmt: skip
    """The module of one task: ``weights`` is "one" or "each", ``lag`` is "none", "uint8" or "uint16"; ``remembered`` is
    the step of an edge as text, and which of its parameters are one number; ``target`` is the type of targets, or "all"
    where every row has all of them and nothing is remembered or late; ``shared`` where rows are in units of their
    own."""
    memory = release_lines(*remembered, precision, _HEAD) if remembered[0] else Lines()
    bits = {"float32": 4, "float64": 8}[precision]
    kind = "int32" if target == "all" else target
    label = f"weights {weights}, lag {lag}{', with memory' if memory.inside else ''}"
    weight = ("weight" if weights == "one" else f"weights[{{0}}]{' * share' if shared else ''}") + memory.fraction
    return "\n".join(
        [
            f'"""Delivery of spikes: {precision}, {label}. Generated by spikeloom; edits are not used."""',
            "import numba",
            "from numba.types import CPointer, float32, float64, int32, int64, uint8, uint16, void",
            "from spikeloom.kernels.compiler import options",
            "from spikeloom.lang.dialects.numba_intrinsics import bitcast",
            "from spikeloom.lang.dialects.numba_threads import pointer, prefetch, scratch",
            *memory.imports,
            "",
            "@numba.cfunc(void(int64, int64, int64, int64, CPointer(int64)), **options(strict=True))",
            "def task(begin, end, step, part, table):",
            "    parts, slots, sources = table[0], table[1], table[2]",
            "    delay, rows, width = table[3], table[4], table[5]",
            "    listed, counts = pointer(table[6], int32), pointer(table[7], int64)",
            "    bounds, split = pointer(table[8], int64), pointer(table[9], int64)",
            f"    targets, weights = pointer(table[10], {kind}), pointer(table[11], {precision})",
            *([f"    lags = pointer(table[12], {lag})"] if lag != "none" else []),
            "    slot, row = (step - delay) % slots, step % rows",
            f"    ring = pointer(table[13], {precision})",
            f"    now = pointer(table[13] + {bits} * row * width, {precision})",
            *([f"    share = pointer(table[14], {precision})[(step + 1) % {EVERY}]"] if shared else []),
            *([f"    weight = weights[0]{' * share' if shared else ''}"] if weights == "one" else []),
            *(f"    {line}" for line in memory.unpacked),
            *(f"    {line}" for line in _TAKEN),
            *(f"        {line}" for line in (["for k in range(taken):"] if target == "all" else _ahead(kind))),
            "            low, high = split[places[k]], split[places[k] + 1]",
            *(f"            {line}" for line in _row(weight, lag, memory, target == "all")),
            "",
        ]
    )


# Spikes of all parts, up to some at once: where their stretches begin is asked for while they are gathered, as memory
# answers later than a short row takes.
_TAKEN = [
    "left = 0",
    "if begin < end:  # else none of the targets are this thread's",
    "    for other in range(parts):",
    "        left += counts[8 * (slot * parts + other)]",
    f"places = scratch({_TOGETHER}, int64)",
    "other, at, last = -1, 0, 0",
    "while left > 0:",
    f"    taken = min(left, {_TOGETHER})",
    "    left -= taken",
    "    for k in range(taken):",
    "        while at == last:",
    "            other += 1",
    "            at = slot * sources + bounds[other]",
    "            last = at + counts[8 * (slot * parts + other)]",
    "        places[k] = int64(listed[at]) * parts + part",
    "        prefetch(split, places[k])",
    "        at += 1",
]


def _ahead(kind: str) -> list[str]:
    """A loop over spikes that asks for the stretch of a later one."""
    line = {"int32": 16, "uint16": 32}[kind]  # targets in a line of the cache
    return [
        f"for k in range(-{_AHEAD}, taken):",
        f"    if k + {_AHEAD} < taken:",
        f"        soon, past = split[places[k + {_AHEAD}]], split[places[k + {_AHEAD}] + 1]",
        "        prefetch(targets, soon)",
        f"        prefetch(targets, soon + {line})",
        f"        if past - soon > {line}:",
        f"            prefetch(targets, soon + {2 * line})",
        f"            prefetch(targets, soon + {3 * line})",
        "    if k < 0:",
        "        continue",
    ]


def _row(weight: str, lag: str, memory: Lines, whole: bool) -> list[str]:
    """The edges from ``low`` to ``high``; ``weight`` has a place for an edge's number."""
    if whole:
        return ["for m in range(end - begin):", f"    now[begin + m] += {weight.format('low + m')}"]
    if lag == "none" and not memory.inside:
        # Four targets are read at once, which is as exact: they are added to one after another.
        return [
            "whole = low + ((high - low) & -4)",
            "for e in range(low, whole, 4):",
            "    a, b, c, d = targets[e], targets[e + 1], targets[e + 2], targets[e + 3]",
            *(f"    now[{t}] += {weight.format(f'e + {k}')}" for k, t in enumerate("abcd")),
            "for e in range(whole, high):",
            f"    now[targets[e]] += {weight.format('e')}",
        ]
    if lag == "none":
        add = [f"now[targets[e]] += {weight.format('e')}"]
    else:
        add = [
            "later = row + int64(lags[e])",
            "later = later - rows if later >= rows else later",
            f"ring[later * width + int64(targets[e])] += {weight.format('e')}",
        ]
    return ["for e in range(low, high):", *(f"    {line}" for line in [*memory.inside, *add])]


_SPLIT = '''"""Stretches of rows. Generated by spikeloom; edits are not used."""
import numba
from numba.types import CPointer, int32, int64, uint16, void
from spikeloom.kernels.compiler import options
from spikeloom.lang.dialects.numba_threads import pointer


@numba.cfunc(void(int64, int64, int64, int64, CPointer(int64)), **options(strict=True))
def task(begin, end, step, part, table):  # parts, starts, targets, bounds, found
    parts, starts, targets = table[0], pointer(table[1], int64), pointer(table[2], KIND)
    bounds, found = pointer(table[3], int64), pointer(table[4], int64)
    for source in range(begin, end):
        found[source * parts] = starts[source]
        for p in range(1, parts):
            low, high = found[source * parts + p - 1], starts[source + 1]
            while low < high:
                middle = (low + high) // 2
                if targets[middle] < bounds[p]:
                    low = middle + 1
                else:
                    high = middle
            found[source * parts + p] = low
'''


@functools.cache
def _splitter(target: str) -> Callable[..., None]:
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4, ctypes.c_void_p)(
        load(_SPLIT.replace("KIND", target)).task.address
    )


__all__ = ["Delivery", "Wires", "deliver_task"]
