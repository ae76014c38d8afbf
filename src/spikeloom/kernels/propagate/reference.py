"""The tasks of the driver in plain Python and torch, on one thread: what the compiled ones must equal.

Each function returns what a task does in a step. They work on the same arrays, so that the two can be exchanged.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ...lang.evaluate import evaluate
from ...lang.graph import Graph
from .. import philox
from ..program import CONSTANT, NEXT, SHOWN, SPIKE, STATE
from ..scan import reference as scan
from .advance import Lists, Stepped
from .deliver import Delivery
from .release import Memory

Step = Callable[[int], None]


def drive(tasks: Sequence[Step], first: int, steps: int) -> None:
    """Run ``steps`` steps from ``first`` on, each task in its order."""
    for step in range(first, first + steps):
        for task in tasks:
            task(step)


_parsed = functools.lru_cache(maxsize=256)(Graph.parse)  # every chunk makes its tasks anew


def _words(key: int, step: int, pair: int) -> tuple[int, int, int, int]:
    a, b, c, d = philox.block.plain(*(np.uint64(n & 0xFFFFFFFFFFFFFFFF) for n in (key, step, pair)))
    return int(a), int(b), int(c), int(d)


def _uniform(key: int, step: int, pair: int) -> tuple[float, float]:
    a, b, c, d = _words(key, step, pair)
    return ((a << 32 | b) // 2048 + 1) * 2.0**-53, ((c << 32 | d) // 2048 + 1) * 2.0**-53


def _random(kind: str, key: int, step: int, pair: int) -> tuple[float, float]:
    one, two = _uniform(key, step, pair)
    if kind == "normal":
        radius, angle = math.sqrt(-2.0 * math.log(one)), 2.0 * math.pi * two
        return radius * math.cos(angle), radius * math.sin(angle)
    return (-math.log(one), -math.log(two)) if kind == "exponential" else (one, two)


def _list(lists: Lists, step: int, fired: np.ndarray) -> None:
    slot = step % lists.slots
    lists.counts[slot, 0] = len(fired)
    lists.neurons[slot, : len(fired)] = fired


def _listed(lists: Lists, step: int) -> np.ndarray:
    slot = step % lists.slots
    return lists.neurons[slot, : lists.counts[slot, 0]]


def advance(p: Stepped) -> Step:
    """Neurons step: see :func:`~spikeloom.kernels.propagate.advance.advance_task`."""
    recorded = tuple(n.removeprefix(SHOWN) for n in p.shown)

    def run(step: int) -> None:
        constants = {n: torch.from_numpy(c) for n, c in p.constants.items() if n.startswith(CONSTANT)}
        streams: dict[str, torch.Tensor] = {}
        for name, arrival in p.arrivals.items():
            row = arrival.rows[(step - arrival.first) % len(arrival.rows)]
            streams[name] = torch.from_numpy(row.copy())[None, None]
            if arrival.taken:
                row[:] = 0.0
        any_state = next(iter(p.states.values()))
        streams = streams or {"x.none": torch.zeros(1, 1, len(any_state), dtype=torch.from_numpy(any_state).dtype)}
        before = {n.removeprefix(STATE): torch.from_numpy(v.copy())[None] for n, v in p.states.items()}
        rows, final = scan.run(_parsed(p.text), streams, before, constants, recorded)
        for name, value in final.items():
            p.states[STATE + name.removeprefix(NEXT)][:] = value[0].numpy()
        for name, row in p.shown.items():
            row[:] = rows[name][0, 0].numpy()
        if p.lists is not None:
            _list(p.lists, step, np.flatnonzero(rows[SPIKE][0, 0].numpy() > 0))

    return run


def deliver(d: Delivery) -> Step:
    """Spikes arrive, one edge after another: see :func:`~spikeloom.kernels.propagate.deliver.deliver_task`."""
    if d.memory is not None:
        return _releasing(d, d.memory)

    def run(step: int) -> None:
        for source in _listed(d.lists, step - d.wires.delay):
            for e in range(d.wires.starts[source], d.wires.starts[source + 1]):
                _add(d, step, e, 1.0)

    return run


def _add(d: Delivery, step: int, e: int, fraction: float) -> None:
    w = d.wires
    lag = 0 if w.lags is None else int(w.lags[e])
    weight = w.weights[e if w.weights.size > 1 else 0]
    d.rows[(step + lag) % len(d.rows), w.targets[e]] += weight * d.rows.dtype.type(fraction)


def _releasing(d: Delivery, memory: Memory) -> Step:
    graph = _parsed(memory.text)

    def run(step: int) -> None:
        for source in _listed(d.lists, step - d.wires.delay):
            for e in range(d.wires.starts[source], d.wires.starts[source + 1]):
                values: dict[str, Any] = {f"s.{n}": float(s[e]) for n, s in memory.states.items()}
                values |= {f"p.{n}": float(p[e if p.size > 1 else 0]) for n, p in memory.parameters.items()}
                values["elapsed"] = (step - int(memory.latest[e])) * memory.dt
                numbers = {n: torch.tensor(v, dtype=torch.float64) for n, v in values.items()}
                found = dict(zip(graph.outputs, evaluate(list(graph.outputs.values()), numbers), strict=True))
                for name, state in memory.states.items():
                    state[e] = float(found[f"next.{name}"])
                memory.latest[e] = step
                _add(d, step, e, float(found["fraction"]))

    return run


def noise(kind: str, rows: np.ndarray, key: int) -> Step:
    """Random numbers of one kind."""

    def run(step: int) -> None:
        for pair in range((rows.shape[1] + 1) // 2):
            both = _random(kind, key, step, pair)
            rows[0, 2 * pair : 2 * pair + 2] = both[: rows.shape[1] - 2 * pair]

    return run


def noise_current(given: np.ndarray, rows: np.ndarray, sd: np.ndarray, key: int, every: int, first: int) -> Step:
    """A current with normal numbers that change every so many steps."""

    def run(step: int) -> None:
        for m in range(rows.shape[1]):
            drawn = rows.dtype.type(_random("normal", key, step // every, m // 2)[m % 2])
            rows[0, m] = given[step - first if len(given) > 1 else 0, m] + sd[m if sd.size > 1 else 0] * drawn

    return run


def poisson(rows: np.ndarray, weights: np.ndarray, key: int, table: np.ndarray) -> Step:
    """Poisson input by the table of :func:`~spikeloom.kernels.propagate.sources.poisson_task`."""

    def run(step: int) -> None:
        now = rows[step % len(rows)]
        for m in range(len(now)):
            words = _words(key, step, m // 4)
            k = int(np.searchsorted(table[256:], words[m % 4], side="right"))
            now[m] += now.dtype.type(k) * weights[m if weights.size > 1 else 0]

    return run


def varying_poisson(rows: np.ndarray, means: np.ndarray, weights: np.ndarray, key: int, first: int) -> Step:
    """Poisson input by summing probabilities, large means in pieces."""

    def run(step: int) -> None:
        now = rows[step % len(rows)]
        for m in range(len(now)):
            mean = float(means[step - first if len(means) > 1 else 0, m if means.shape[1] > 1 else 0])
            k = pieces = 0
            while mean > 0.0:
                left = _uniform(key, step, m // 2 + (pieces << 40))[m % 2]
                piece = min(mean, 500.0)
                mean, pieces, n = mean - piece, pieces + 1, 0
                p = total = math.exp(-piece)
                while left > total and n < 2000:
                    n += 1
                    p *= piece / n
                    total += p
                k += n
            now[m] += now.dtype.type(k) * weights[m if weights.size > 1 else 0]

    return run


def chance(lists: Lists, chances: np.ndarray, keys: tuple[int, int], correlation: float, first: int) -> Step:
    """Sources that fire with their chance."""

    def run(step: int) -> None:
        fired: list[int] = []
        common = _uniform(keys[1], step, 0)[0]
        for m in range(lists.neurons.shape[1]):
            p = float(chances[step - first if len(chances) > 1 else 0, m if chances.shape[1] > 1 else 0])
            drawn = _uniform(keys[0], step, m // 2)[m % 2]
            if (common <= p / correlation and drawn <= correlation) if correlation > 0.0 else drawn <= p:
                fired.append(m)
        _list(lists, step, np.array(fired, np.int32))

    return run


def given(lists: Lists, starts: np.ndarray, neurons: np.ndarray, first: int) -> Step:
    """Sources whose spikes are known."""
    return lambda step: _list(lists, step, neurons[starts[step - first] : starts[step - first + 1]])


def log(lists: Lists, into: np.ndarray, cursors: np.ndarray, made: np.ndarray, first: int) -> Step:
    """Spikes are kept."""

    def run(step: int) -> None:
        fired, done = _listed(lists, step), cursors[0, 0]
        into[done : done + len(fired)] = fired
        cursors[0, 0] += len(fired)
        made[step - first, 0] = len(fired)

    return run


def sample(state: np.ndarray, chosen: np.ndarray, rows: np.ndarray, every: int, first: int) -> Step:
    """States are kept."""

    def run(step: int) -> None:
        if (step + 1) % every == 0:
            rows[(step + 1) // every - 1 - first // every] = state[chosen]

    return run


def coupling(starts: np.ndarray, others: np.ndarray, shares: np.ndarray, source: np.ndarray, rows: np.ndarray) -> Step:
    """Means of partners' voltages."""

    def run(step: int) -> None:
        for m in range(rows.shape[1]):
            edges = range(starts[m], starts[m + 1])
            rows[0, m] = sum((shares[e] * source[others[e]] for e in edges), rows.dtype.type(0))

    return run
