"""Plain single-purpose loops for two networks: the yardstick of a general engine.

Each is one compiled function for one model on one thread, with float32 states, exact updates, rows of targets by source
and a ring of spike lists for the one delay. It has no other features, so an engine that comes near it has lost nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_BLOCK = 64


@njit(nogil=True, fastmath=True)
def _lif_step(v: Any, rise: Any, fall: Any, left: Any, constants: Any, fired: Any) -> Any:
    """LIF neurons with two exponential currents; returns how many fired, and lists them."""
    rest, decay, by_rise, by_fall, keep_rise, keep_fall, threshold, reset, refractory = constants
    count = 0
    for base in range(0, v.size, _BLOCK):
        # Slices and an index from zero: else the index could be negative for all the compiler knows, and it would not
        # vectorise.
        size = min(_BLOCK, v.size - base)
        vb, lb = v[base : base + size], left[base : base + size]
        rb, fb = rise[base : base + size], fall[base : base + size]
        hit = np.int32(0)
        for k in range(size):
            new = rest + (vb[k] - rest) * decay + rb[k] * by_rise + fb[k] * by_fall
            new = vb[k] if lb[k] > np.float32(0) else new
            lb[k] = max(lb[k] - np.float32(1), np.float32(0))
            vb[k] = new
            rb[k] *= keep_rise
            fb[k] *= keep_fall
            hit |= np.int32(new >= threshold)
        if hit:
            for k in range(size):
                if vb[k] >= threshold:
                    fired[count] = base + k
                    count += 1
                    vb[k] = reset
                    lb[k] = refractory
    return count


@njit(nogil=True, fastmath=True)
def _deliver(row: Any, weights: Any, into: Any) -> None:
    for e in range(row.size):
        into[row[e]] += weights[e]


@njit(nogil=True, fastmath=True)
def run_cuba(
    first: int, steps: int, delay: int, v: Any, rise: Any, fall: Any, left: Any, constants: Any, excitatory: int,
    starts: Any, targets: Any, weights: Any, lists: Any, counts: Any,
) -> Any:  # fmt: skip
    """Spikes of ``steps`` steps; a source below ``excitatory`` adds to one current, the others to the other."""
    slots, total = lists.shape[0], 0
    for step in range(first, first + steps):
        slot = (step - delay) % slots
        for k in range(counts[slot]):
            source = lists[slot, k]
            low, high = starts[source], starts[source + 1]
            _deliver(targets[low:high], weights[low:high], rise if source < excitatory else fall)
        # Decaying currents become denormal numbers, which are slow: they are cut to zero now and then.
        if step % 256 == 0:
            for k in range(v.size):
                rise[k] = rise[k] if abs(rise[k]) > 1e-30 else np.float32(0)
                fall[k] = fall[k] if abs(fall[k]) > 1e-30 else np.float32(0)
        slot = step % slots
        counts[slot] = _lif_step(v, rise, fall, left, constants, lists[slot])
        total += counts[slot]
    return total


@njit(nogil=True, fastmath=True)
def run_brunel(
    first: int, steps: int, delay: int, v: Any, arriving: Any, left: Any, constants: Any, table: Any, generator: Any,
    starts: Any, targets: Any, weights: Any, lists: Any, counts: Any,
) -> Any:  # fmt: skip
    """The same with jumps of the membrane, and Poisson input from a 16-bit table on a xorshift generator."""
    decay, threshold, reset, refractory, outside = constants
    slots, total, word = lists.shape[0], 0, generator[0]
    for step in range(first, first + steps):
        slot = (step - delay) % slots
        for k in range(counts[slot]):
            source = lists[slot, k]
            low, high = starts[source], starts[source + 1]
            _deliver(targets[low:high], weights[low:high], arriving)
        slot, count = step % slots, 0
        for k in range(v.size):
            word ^= word << np.uint64(13)
            word ^= word >> np.uint64(7)
            word ^= word << np.uint64(17)
            new = v[k] * decay + arriving[k] + outside * np.float32(table[(word >> np.uint64(40)) & np.uint64(65535)])
            arriving[k] = np.float32(0)
            if left[k] > np.float32(0):
                left[k] -= np.float32(1)
            else:
                v[k] = new
                if new >= threshold:
                    v[k] = reset
                    left[k] = refractory
                    lists[slot, count] = k
                    count += 1
        counts[slot] = count
        total += count
    generator[0] = word
    return total


def poisson_table(mean: float) -> np.ndarray:
    """Numbers of a Poisson distribution at 65536 even steps of its cumulative probability."""
    from scipy.stats import poisson

    return poisson.ppf((np.arange(65536) + 0.5) / 65536, mean).astype(np.uint8)
