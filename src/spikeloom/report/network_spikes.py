"""Spikes as a page holds them: for each population one text, about two to three bytes a spike."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterable, Mapping

import numpy as np

from ..sim.spike_trains import SpikeTrains

_MOST = 16_000_000  # spikes on a page; of more only every second (third, ...) neuron's are
_FINER = 64  # ticks of a step where spikes do not lie on the grid of steps
_LAST = 2**31 - 1  # tick that a page can hold
_ON_GRID = 1e-3  # of a step


@dataclasses.dataclass(frozen=True)
class PackedSpikes:
    """``text`` holds ``count`` spikes of the neurons 0, ``every``, 2 ``every`` ... of ``size``; a tick is ``tick`` ms.

    Spike (k, n), which lies k ticks after the beginning and is the n-th of ``rows`` neurons, is the number
    k rows + n. The numbers ascend; their differences, the first from 0, are written in base 128, lowest digit first,
    with 128 added to all digits but the last (LEB128), and these bytes in base 64.
    """

    text: str
    count: int
    size: int
    every: int
    tick: float

    @property
    def rows(self) -> int:
        """How many neurons are shown."""
        return -(-self.size // self.every)


def tick_of(spikes: Iterable[SpikeTrains], dt: float, every: int = 1) -> float:
    """The tick (ms) for groups on one page, of which every ``every``-th neuron is shown.

    It is a step of ``dt`` where all spikes lie on the grid of steps, else a 64th of it. Longer records take twice, four
    times ... that: the last tick fits in 32 bits.

    >>> on, off = (SpikeTrains.of_arrays([t], [0], 1, 0.0, 50.0) for t in (30.0, 30.03))
    >>> tick_of([on], 0.5), tick_of([on, off], 0.5)
    (0.5, 0.0078125)
    """
    tick, last = dt, 0.0
    for trains in spikes:
        steps = _shown(trains, every)[0] / dt
        last = max(last, float(steps.max(initial=0.0)))
        if steps.size and np.abs(steps - np.rint(steps)).max() >= _ON_GRID:
            tick = dt / _FINER
    while last * (dt / tick) > _LAST:
        tick *= 2.0
    return tick


def pack(trains: SpikeTrains, dt: float, every: int = 1, tick: float | None = None) -> PackedSpikes:
    """Pack the spikes of every ``every``-th neuron in ticks of ``tick`` ms (None: those of :func:`tick_of`).

    Times are exact where they are whole ticks.

    >>> trains = SpikeTrains.of_arrays([0.1, 0.1, 30.0], [1, 2, 0], 4, 0.0, 50.0)
    >>> packed = pack(trains, 0.1)
    >>> list(base64.b64decode(packed.text)), packed.count, packed.tick
    ([5, 1, 170, 9], 3, 0.1)
    """
    tick = tick_of([trains], dt, every) if tick is None else tick
    (after, shown), rows = _shown(trains, every), -(-trains.size // every)
    numbers = np.rint(after / tick).astype(np.int64) * rows + shown
    numbers.sort()  # rounding may have made ties of what was in another order
    data = _digits(np.diff(numbers, prepend=0))
    return PackedSpikes(base64.b64encode(data.tobytes()).decode(), len(numbers), trains.size, every, tick)


def unpack(packed: PackedSpikes) -> tuple[np.ndarray, np.ndarray]:
    """Ticks after the beginning, and neurons, in order: what a browser reads.

    >>> ticks, neurons = unpack(pack(SpikeTrains.of_arrays([0.1, 30.0], [2, 0], 4, 0.0, 50.0), 0.1))
    >>> ticks.tolist(), neurons.tolist()
    ([1, 300], [2, 0])
    """
    data = np.frombuffer(base64.b64decode(packed.text), np.uint8).astype(np.int64)
    ends = np.flatnonzero(data < 128)
    begins = np.concatenate([[0], ends[:-1] + 1]) if ends.size else ends
    places = np.arange(len(data)) - np.repeat(begins, ends - begins + 1)
    values = np.add.reduceat((data & 127) << (7 * places), begins) if ends.size else begins
    numbers = np.cumsum(values)
    return numbers // packed.rows, numbers % packed.rows * packed.every


def thinning(spikes: Mapping[str, SpikeTrains], most: int = _MOST) -> int:
    """k where a page holds the spikes of every k-th neuron only; 1 where it holds all."""
    return max(1, -(-sum(len(trains) for trains in spikes.values()) // most))


def as_json(value: object) -> str:
    """JSON that can stand within a script element."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")


def _shown(trains: SpikeTrains, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Times after the beginning, and rows, of the spikes of every ``every``-th neuron."""
    kept = trains.neurons % every == 0
    return trains.times[kept] - trains.begin, trains.neurons[kept] // every


def _digits(differences: np.ndarray) -> np.ndarray:
    lengths = np.ones(len(differences), np.int64)
    for power in range(7, 63, 7):
        lengths += differences >= 1 << power
    begins = np.cumsum(lengths) - lengths
    data = np.empty(int(lengths.sum()), np.uint8)
    for place in range(int(lengths.max(initial=0))):
        some = np.flatnonzero(lengths > place)
        digit = (differences[some] >> (7 * place)) & 127
        data[begins[some] + place] = digit + 128 * (lengths[some] > place + 1)
    return data


__all__ = ["PackedSpikes", "as_json", "pack", "thinning", "tick_of", "unpack"]
