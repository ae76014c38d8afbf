"""Two networks as plain loops, on edges drawn by spikeloom's rules."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import spikeloom as sl

from . import plain_loops
from .timed import actions

DT = 0.1


def load() -> dict[str, str]:
    """What takes part in the numbers."""
    import numba

    sl.sim.Network(dt=DT, seed=1)
    return {"numba": numba.__version__}


def warm(spec: dict[str, Any]) -> None:
    """Compile with a small network."""
    NETWORKS[spec["network"]](250)[0](0, 1)


def start(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Build."""
    begun = time.perf_counter()
    advance, synapses = NETWORKS[spec["network"]](spec["n"])
    facts = {"build": time.perf_counter() - begun, "synapses": synapses}
    at = [0]

    def run(ms: float) -> int:
        steps = round(ms / DT)
        at[0] += steps
        return advance(at[0] - steps, steps)

    return facts, actions(spec, run)


def cuba(n: int) -> tuple[Callable[[int, int], int], int]:
    """Neurons with two exponential currents; a delay of one step."""
    starts, targets, split = _edges(n, 64, 16, 0.02 if n == 4000 else None)
    weights = np.full(len(targets), 1.62, np.float32)
    weights[starts[split] :] = -9.0
    m, e, i = (np.exp(-DT / tau) for tau in (20.0, 5.0, 10.0))
    transfer = [tau / (tau - 20.0) * (x - m) for tau, x in ((5.0, e), (10.0, i))]
    constants = tuple(np.float32(x) for x in (-49.0, m, *transfer, e, i, -50.0, -60.0, 50))
    v = np.random.default_rng(1).uniform(-60.0, -50.0, n).astype(np.float32)
    rise, fall, left = (np.zeros(n, np.float32) for _ in range(3))
    lists, counts = np.zeros((2, n), np.int32), np.zeros(2, np.int64)

    def advance(first: int, steps: int) -> int:
        network = v, rise, fall, left, constants, split, starts, targets, weights
        return plain_loops.run_cuba(first, steps, 1, *network, lists, counts)

    return advance, len(targets)


def brunel(n: int) -> tuple[Callable[[int, int], int], int]:
    """Neurons whose membrane jumps, with Poisson input; a delay of 15 steps."""
    starts, targets, split = _edges(n, n * 8 // 100, n * 2 // 100, None)
    weights = np.full(len(targets), 0.1 * 12500 / n, np.float32)
    weights[starts[split] :] = -0.5 * 12500 / n
    constants = tuple(np.float32(x) for x in (np.exp(-DT / 20.0), 20.0, 10.0, 20, 0.1))
    v, arriving, left = (np.zeros(n, np.float32) for _ in range(3))
    table, generator = plain_loops.poisson_table(2.0), np.array([88172645463325252], np.uint64)
    lists, counts = np.zeros((16, n), np.int32), np.zeros(16, np.int64)

    def advance(first: int, steps: int) -> int:
        network = v, arriving, left, constants, table, generator, starts, targets, weights
        return plain_loops.run_brunel(first, steps, 15, *network, lists, counts)

    return advance, len(targets)


def _edges(n: int, excitatory: int, inhibitory: int, p: float | None) -> tuple[np.ndarray, np.ndarray, int]:
    split, parts = n * 4 // 5, []
    for key, (size, count) in enumerate(((split, excitatory), (n - split, inhibitory))):
        rule = sl.sim.fixed_in_degree(min(count, size - 1)) if p is None else sl.sim.fixed_probability(p)
        parts.append(rule.edges(sl.sim.Side(size), sl.sim.Side(n), False, key))
    starts = np.concatenate([parts[0].starts, parts[1].starts[1:] + parts[0].starts[-1]])
    return starts, np.concatenate([edges.targets for edges in parts]), split


NETWORKS = {"cuba": cuba, "brunel": brunel}
