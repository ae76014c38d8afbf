"""One step of a population whose spikes arrive, cross and reset between the points of the grid, as a task."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from ..cache import load
from .advance import Arrival, Lists
from .events import Events
from .exact_step import ExactStep

SNAP = 1e-9  # of a step: a refractory time that ends this close to an event or a step ends with it


@dataclasses.dataclass(frozen=True, eq=False)
class ExactStepped:
    """A population before its next step. ``states`` [N] are in the order of the model, timers among them in ms.

    ``held`` are rows of inputs by name, ``rows`` [1, N] by port what arrives at the end of a step beside ``events``;
    ``shown`` [N] what recorders see of the states of ``step.peaks``. ``twice`` int32 [N] marks a neuron that would
    have fired a second time in a step. ``series`` are the number of terms and the longest time for them (ms).
    """

    step: ExactStep
    states: Mapping[str, np.ndarray]
    held: Mapping[str, Arrival]
    rows: Mapping[str, np.ndarray]
    shown: Mapping[str, np.ndarray]
    events: Events
    lists: Lists
    twice: np.ndarray
    dt: float
    series: tuple[int, float]


def exact_task(p: ExactStepped, label: str) -> tuple[int, np.ndarray]:
    """Address of the task that steps ``p``, and its table."""
    step, ahead = p.step, p.lists.ahead
    assert ahead is not None
    single = tuple(c.size == 1 for c in step.constants)
    text = exact_source(step, single, (tuple(p.held), tuple(p.rows), tuple(p.shown)), label)
    moments = np.array([p.dt, p.series[1]], np.float64).view(np.int64)
    head = [
        len(p.twice), p.lists.counts.shape[1], p.lists.slots, p.lists.neurons.ctypes.data, p.lists.counts.ctypes.data,
        ahead.ctypes.data, p.twice.ctypes.data, p.series[0], *moments.tolist(), *p.events.addresses,
    ]  # fmt: skip
    arrays = [p.states[n] for n in (*step.moving, *step.timers)]
    entries = [a.ctypes.data for a in (*arrays, *step.constants, *p.rows.values(), *p.shown.values())]
    for arrival in p.held.values():
        entries += [arrival.rows.ctypes.data, len(arrival.rows), arrival.first]
    return _address(text), np.array([*head, *entries], np.int64)


@functools.lru_cache(maxsize=64)
def _address(text: str) -> int:
    return load(text).task.address


@functools.lru_cache(maxsize=64)
def exact_source(step: ExactStep, single: tuple[bool, ...], streams: tuple[tuple[str, ...], ...], label: str) -> str:
    """The module of one task; ``streams`` are the inputs that are held, the ports with rows, the states shown."""
    held, rows, shown = streams
    states, count = len(step.moving), len(step.constants)
    width = states + len(step.timers)
    arrays = _Arrays(15)
    names = [arrays.unpack(f"s{k}") for k in range(width)]
    constants = [arrays.unpack(f"c{k}") for k in range(count)]
    arriving = [arrays.unpack(f"r{k}") for k in range(len(rows))]
    tops = [arrays.unpack(f"p{k}") for k in range(len(shown))]
    inputs = [arrays.unpack_row(f"x{k}") for k in range(len(held))]
    loads = [f"y[{k}] = s{k}[m]" if k < states else f"left[{k - states}] = s{k}[m]" for k in range(width)]
    loads += [f"c[{k}] = c{k}[m]" for k in range(count) if not single[k]]
    loads += [f"x[{step.inputs.index(n)}] = x{k}[m]" for k, n in enumerate(held)]
    loads += [f"row[{k}] = r{k}[m]" for k in range(len(rows))] + [f"r{k}[m] = 0.0" for k in range(len(rows))]
    busy = [f"left[{k}] > 0.0" for k in range(len(step.timers))] + [f"row[{k}] != 0.0" for k in range(len(rows))]
    stores = [f"s{k}[m] = y[{k}]" if k < states else f"s{k}[m] = left[{k - states}]" for k in range(width)]
    stores += ["$TOP"] if shown else []
    stores += [
        f"p{k}[m] = z[{step.peaks.index(n)}] if fired >= 0.0 else y[{step.moving.index(n)}]"
        for k, n in enumerate(shown)
    ]
    ends = [f"arrive({step.ports.index(n)}, y, left, row[{k}], held, c)" for k, n in enumerate(rows)]
    own = step.parts()
    stores = [line for store in stores for line in (own["TOP"] if store == "$TOP" else [store])]
    unpack = [*names, *constants, *arriving, *tops, *inputs, *(f"c[{k}] = c{k}[0]" for k in range(count) if single[k])]
    parts = {
        **own, "LABEL": [label], "UNPACK": unpack, "ENDS": ends, "LOADS": loads, "STORES": stores,
        "BUSY": [" or ".join(["events > 0", *busy, "blocked(left, c)"])],
    }  # fmt: skip
    numbers = {
        "STATES": states, "TIMERS": len(step.timers), "INPUTS": len(step.inputs), "CONSTANTS": count,
        "ROWS": len(rows), "RESETS": step.resets, "WIDTH": max(width, len(step.peaks)), "SNAP": SNAP,
    }  # fmt: skip
    return _filled(parts, {n: str(v) for n, v in numbers.items()})


class _Arrays:
    """Where the addresses of arrays stand in the table, one behind the other."""

    def __init__(self, first: int) -> None:
        self.next = first

    def unpack(self, name: str) -> str:
        self.next += 1
        return f"{name} = pointer(table[{self.next - 1}], float64)"

    def unpack_row(self, name: str) -> str:
        at, self.next = self.next, self.next + 3
        return f"{name} = pointer(table[{at}] + 8 * size * ((step - table[{at + 2}]) % table[{at + 1}]), float64)"


def _filled(parts: Mapping[str, Sequence[str]], numbers: Mapping[str, str]) -> str:
    lines: list[str] = []
    for line in _SOURCE.split("\n"):
        word = line.strip().strip("$")
        if line.strip().startswith("$") and word in parts:
            lines += [line[: len(line) - len(line.lstrip())] + inner for inner in parts[word]]
            continue
        for name, value in numbers.items():
            line = line.replace(f"${name}$", value)
        lines.append(line.replace("$LABEL$", parts["LABEL"][0]).replace("$BUSY$", parts["BUSY"][0]))
    return "\n".join(lines)


_SOURCE = '''"""$LABEL$: one step off the grid of a population. Generated by spikeloom; edits are not used."""
import math
import numba
from numba.types import CPointer, float64, int32, int64, void
from spikeloom.kernels.compiler import options
from spikeloom.lang.dialects.numba_intrinsics import bitcast
from spikeloom.lang.dialects.numba_threads import pointer, scratch
$IMPORTS
f64 = float64
HOW = {**options(strict=True), 'cache': False}
STATES, TIMERS, RESETS = $STATES$, $TIMERS$, $RESETS$

@numba.njit(**HOW)
def slope(y, x, c, held, f):
    if held:
        $SLOPE_HELD
    else:
        $SLOPE


@numba.njit(**HOW)
def level(y, c):
    $LEVEL


@numba.njit(**HOW)
def rate(y, f, c):
    $RATE


@numba.njit(**HOW)
def blocked(left, c):
    $BLOCKED


@numba.njit(**HOW)
def spike(y, left, c):
    $RESET


@numba.njit(**HOW)
def arrive(port, y, left, amount_given, held, c):
    $ARRIVE


@numba.njit(**HOW)
def series(f, h, terms, held, c, d):
    for a in range(STATES):
        d[a] = h * f[a]
    for k in range(1, terms):
        at, by_factor = STATES * (k - 1), h / (k + 1.0)
        if held:
            $TURN_HELD
        else:
            $TURN


@numba.njit(**HOW)
def along(y, d, terms, s, z):  # the states after the part s of the time of the series
    for a in range(STATES):
        total = d[STATES * (terms - 1) + a]
        for k in range(terms - 2, -1, -1):
            total = total * s + d[STATES * k + a]
        z[a] = y[a] + s * total


@numba.njit(**HOW)
def crossing(y, f, x, d, terms, c, z, g):  # the part of the time at which the level reaches 0; -1 where it does not
    begin = level(y, c)
    if RESETS and begin >= 0.0:
        return 0.0
    along(y, d, terms, 1.0, z)
    end = level(z, c)
    if begin >= 0.0 or not (end >= 0.0 or rate(y, f, c) > 0.0):
        return -1.0
    low, high, top = 0.0, 1.0, end < 0.0
    if top:
        slope(z, x, c, False, g)
        if not rate(z, g, c) < 0.0:
            return -1.0
    for look in range(2):  # first for the top, if there is one, then for the crossing before it
        if look == 0 and not top:
            continue
        while True:
            middle = 0.5 * (low + high)
            if not low < middle < high:
                break
            along(y, d, terms, middle, z)
            if look == 0:
                slope(z, x, c, False, g)
                before = rate(z, g, c) > 0.0
            else:
                before = level(z, c) < 0.0
            if before:
                low = middle
            else:
                high = middle
        if look == 0:
            along(y, d, terms, high, z)
            if not level(z, c) >= 0.0:
                return -1.0
            low = 0.0
    return high


@numba.njit(**HOW)
def through(y, left, x, row, c, dt, terms, longest, at, last, ahead, amounts, ports, f, g, d, z):
    """The time of the spike in this step (-1: none; infinity: there are two)."""
    now, fired, waited, ends = 0.0, -1.0, False, $ROWS$ > 0
    while True:
        until = dt if at == last else min(dt, dt - ahead[at])
        while now < until:
            held = blocked(left, c)
            stop = until
            for t in range(TIMERS):
                if left[t] > 0.0 and now + left[t] < stop - $SNAP$ * dt:
                    stop = now + left[t]
            stop = min(stop, now + longest)
            h = stop - now
            slope(y, x, c, held, f)
            series(f, h, terms, held, c, d)
            part = -1.0 if held else crossing(y, f, x, d, terms, c, z, g)
            if part >= 0.0:
                stop = min(now + part * h, stop)
            along(y, d, terms, part if part >= 0.0 else 1.0, z)
            for a in range(STATES):
                y[a] = z[a]
            for t in range(TIMERS):
                rest = left[t] - (stop - now)
                left[t] = rest if rest > $SNAP$ * dt else 0.0
            if part >= 0.0:
                if fired >= 0.0:
                    return math.inf
                fired = stop
                spike(y, left, c)
            now, waited = stop, held
        if at < last or ends:
            below, held = level(y, c) < 0.0, waited or blocked(left, c)
            while at < last and min(dt, dt - ahead[at]) <= until:
                arrive(ports[at], y, left, amounts[at], held, c)
                at += 1
            if until >= dt and at == last:
                $ENDS
                ends = False
            if not held and (RESETS or below) and level(y, c) >= 0.0:
                if fired >= 0.0:
                    return math.inf
                fired = now
                spike(y, left, c)
            waited = False
        if until >= dt and at == last:
            return fired


@numba.njit(**HOW)
def quiet(y, x, c, f, g, z):
    """Whether a step without events is without a spike, too; its end is then in z."""
    slope(y, x, c, False, f)
    $WHOLE
    begin, end = level(y, c), level(z, c)
    if begin >= 0.0:
        return not RESETS
    if not end < 0.0:
        return False
    if rate(y, f, c) > 0.0:
        slope(z, x, c, False, g)
        return rate(z, g, c) >= 0.0
    return True


@numba.cfunc(void(int64, int64, int64, int64, CPointer(int64)), **options(strict=True))
def task(begin, end, step, part, table):  # size, parts, slots; lists; twice; series; events; arrays
    size, slot = table[0], step % table[2]
    listed = pointer(table[3] + 4 * (slot * size + begin), int32)
    before = pointer(table[5] + 8 * (slot * size + begin), float64)
    twice, terms, dt, longest = pointer(table[6], int32), table[7], bitcast(table[8]), bitcast(table[9])
    firsts, filled, ahead = pointer(table[10], int64), pointer(table[11], int64), pointer(table[12], float64)
    amounts, ports = pointer(table[13], float64), pointer(table[14], int32)
    y, f = scratch($WIDTH$, float64), scratch($WIDTH$, float64)
    g, z = scratch($WIDTH$, float64), scratch($WIDTH$, float64)
    left, x, c = scratch($TIMERS$ + 1, float64), scratch($INPUTS$ + 1, float64), scratch($CONSTANTS$ + 1, float64)
    d, row = scratch(($STATES$ + 30) * $STATES$, float64), scratch($ROWS$ + 1, float64)
    for k in range($INPUTS$):
        x[k] = 0.0
    $UNPACK
    count = 0
    for m in range(begin, end):
        events, fired = filled[m], -1.0
        $LOADS
        # Within a step longer than the fastest time constant a neuron may rise and fall unseen: it is taken in pieces.
        if not ($BUSY$) and dt <= longest and quiet(y, x, c, f, g, z):
            for a in range(STATES):
                y[a] = z[a]
        else:
            at, filled[m] = firsts[m], 0
            fired = through(y, left, x, row, c, dt, terms, longest, at, at + events, ahead, amounts, ports, f, g, d, z)
            if fired == math.inf:
                twice[m] = 1
            elif fired >= 0.0:
                listed[count] = m
                before[count] = max(dt - fired, 0.0)
                count += 1
        $STORES
    pointer(table[4], int64)[8 * (slot * table[1] + part)] = count
'''

__all__ = ["SNAP", "ExactStepped", "exact_source", "exact_task"]
