"""What arrives in a population at times of its own: spikes looked up when they are due, sorted by time for each target.

A spike in step t that was ``ahead`` ms before the step's end arrives, a delay of d steps later, as long before the end
of step t + d. So what is under way is what lists of spikes hold, and the events of a step live within the step only.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from ..cache import load
from .advance import Lists
from .deliver import Wires


@dataclasses.dataclass(frozen=True, eq=False)
class Events:
    """Events of a step. Target n has ``counts[n]``, from ``starts[n]`` on: earlier ones first, ties as they came.

    ``ahead`` are ms before the end of the step, ``amounts`` what arrives, ``ports`` where.
    """

    starts: np.ndarray
    counts: np.ndarray
    ahead: np.ndarray
    amounts: np.ndarray
    ports: np.ndarray

    @staticmethod
    def room(size: int, wires: Sequence[Wires]) -> Events:
        """Room for one event of every edge, which is the most that a step has: pages that are not used cost nothing."""
        degrees = np.zeros(size, np.int64)
        for w in wires:
            degrees += np.bincount(w.targets, minlength=size)
        starts = np.concatenate([[0], np.cumsum(degrees)]).astype(np.int64)
        edges = int(starts[-1])
        return Events(starts, np.zeros(size, np.int64), np.empty(edges), np.empty(edges), np.empty(edges, np.int32))

    @property
    def addresses(self) -> tuple[int, ...]:
        arrays = (self.starts, self.counts, self.ahead, self.amounts, self.ports)
        return tuple(a.ctypes.data for a in arrays)


def by_delay(wires: Wires) -> Wires:
    """The same edges, those of a source in the order of their delays and then of their targets."""
    if wires.lags is None:
        return wires
    order = wires.by_delay()
    weights = wires.weights[order] if wires.weights.size > 1 else wires.weights
    return Wires(wires.starts, wires.targets[order], weights, wires.delay, wires.lags[order])


@dataclasses.dataclass(frozen=True, eq=False)
class Collected:
    """Spikes of ``lists``, part p's from ``sources`` [parts + 1] on, along ``wires`` (:func:`by_delay`) as ``events``
    at ``port``."""

    lists: Lists
    sources: np.ndarray
    wires: Wires
    events: Events
    port: int

    @functools.cached_property
    def lags(self) -> np.ndarray:
        """The delays that there are, in steps more than the shortest."""
        found = np.zeros(1) if self.wires.lags is None else np.unique(self.wires.lags)
        return found.astype(np.int64)


def collect_task(collected: Collected) -> tuple[int, np.ndarray]:
    """Address of the task that looks up what arrives in a step, and its table."""
    c, w = collected, collected.wires
    lag = "none" if w.lags is None else w.lags.dtype.name
    ahead = 0 if c.lists.ahead is None else c.lists.ahead.ctypes.data
    table = [
        c.lists.counts.shape[1], c.lists.slots, c.lists.neurons.shape[1], w.delay, c.port, len(c.lags),
        c.lists.neurons.ctypes.data, c.lists.counts.ctypes.data, ahead, c.sources.ctypes.data, w.starts.ctypes.data,
        w.targets.ctypes.data, w.weights.ctypes.data, 0 if w.lags is None else w.lags.ctypes.data, c.lags.ctypes.data,
        *c.events.addresses, w.weights.size > 1,
    ]  # fmt: skip
    return _address(w.targets.dtype.name, lag), np.array(table, np.int64)


def collect(collected: Collected) -> Callable[[int], None]:
    """:func:`collect_task` in plain Python, on one thread."""
    c, w, events = collected, collected.wires, collected.events

    def run(step: int) -> None:
        for lag in c.lags.tolist():
            slot = (step - w.delay - lag) % c.lists.slots
            for k in range(c.lists.counts[slot, 0]):
                source = c.lists.neurons[slot, k]
                before = 0.0 if c.lists.ahead is None else c.lists.ahead[slot, k]
                for e in range(w.starts[source], w.starts[source + 1]):
                    if w.lags is None or w.lags[e] == lag:
                        _put(events, w.targets[e], (before, w.weights[e if w.weights.size > 1 else 0], c.port))

    return run


def _put(events: Events, target: int, event: tuple[float, float, int]) -> None:
    first = events.starts[target]
    last = first + events.counts[target]
    place = first + int(np.searchsorted(-events.ahead[first:last], -event[0], side="right"))
    for array, value in zip((events.ahead, events.amounts, events.ports), event, strict=True):
        array[place + 1 : last + 1] = array[place:last].copy()
        array[place] = value
    events.counts[target] += 1


@functools.cache
def _address(target: str, lag: str) -> int:
    return load(collect_source(target, lag)).task.address


def collect_source(target: str, lag: str) -> str:
    """The module of one task: the types of targets and of lags ("none": all delays are alike)."""
    key = "targets[middle]" if lag == "none" else "lags[middle] * size + targets[middle]"
    lags = "" if lag == "none" else f"    lags = pointer(table[13], {lag})\n"
    return _SOURCE.replace("KIND", target).replace("KEY", key).replace("LAGS\n", lags)


_SOURCE = '''"""Events of a step: targets KIND, by KEY. Generated by spikeloom; edits are not used."""
import numba
from numba.types import CPointer, float64, int32, int64, uint8, uint16, void
from spikeloom.kernels.compiler import options
from spikeloom.lang.dialects.numba_threads import pointer


@numba.cfunc(void(int64, int64, int64, int64, CPointer(int64)), **options(strict=True))
def task(begin, end, step, part, table):
    parts, slots, sources, delay, port = table[0], table[1], table[2], table[3], table[4]
    listed, counts, timed = pointer(table[6], int32), pointer(table[7], int64), table[8] != 0
    before, bounds, starts = pointer(table[8], float64), pointer(table[9], int64), pointer(table[10], int64)
    targets, weights, many = pointer(table[11], KIND), pointer(table[12], float64), table[20]
    delays = pointer(table[14], int64)
    firsts, filled = pointer(table[15], int64), pointer(table[16], int64)
    ahead, amounts, ports = pointer(table[17], float64), pointer(table[18], float64), pointer(table[19], int32)
LAGS
    size = int64(1) << 32
    for d in range(table[5]):
        lag = delays[d]
        slot = (step - delay - lag) % slots
        for other in range(parts):
            at = slot * sources + bounds[other]
            for k in range(at, at + counts[8 * (slot * parts + other)]):
                source = int64(listed[k])
                time = before[k] if timed else 0.0
                wanted, low, high = lag * size + begin, starts[source], starts[source + 1]
                while low < high:
                    middle = (low + high) // 2
                    if int64(KEY) < wanted:
                        low = middle + 1
                    else:
                        high = middle
                wanted, e, last = lag * size + end, low, starts[source + 1]
                while e < last:
                    middle = e
                    if int64(KEY) >= wanted:
                        break
                    target = int64(targets[e])
                    first = firsts[target]
                    place = first + filled[target]
                    while place > first and ahead[place - 1] < time:
                        ahead[place], amounts[place] = ahead[place - 1], amounts[place - 1]
                        ports[place] = ports[place - 1]
                        place -= 1
                    ahead[place], amounts[place], ports[place] = time, weights[e * many], port
                    filled[target] += 1
                    e += 1
'''

__all__ = ["Collected", "Events", "by_delay", "collect", "collect_task"]
