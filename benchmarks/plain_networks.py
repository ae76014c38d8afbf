"""Plain single-purpose loops for two networks: the yardstick of benchmarks/networks.py.

Each is one compiled function for one model on one thread, with float32 states, exact updates, rows of targets by source
and a ring of spike lists for the one delay. It has no other features, so an engine that comes near it has lost nothing.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_BLOCK = 64


@njit(nogil=True, fastmath=True)
def _lif_step(v, rise, fall, left, constants, fired):
    """LIF neurons with two exponential currents; returns how many fired, and lists them."""
    rest, decay, by_rise, by_fall, keep_rise, keep_fall, threshold, reset, refractory = constants
    count = 0
    for base in range(0, v.size, _BLOCK):
        top = min(base + _BLOCK, v.size)
        hit = np.int32(0)
        for k in range(base, top):
            new = rest + (v[k] - rest) * decay + rise[k] * by_rise + fall[k] * by_fall
            new = v[k] if left[k] > np.float32(0) else new
            left[k] = max(left[k] - np.float32(1), np.float32(0))
            v[k] = new
            rise[k] *= keep_rise
            fall[k] *= keep_fall
            hit |= np.int32(new >= threshold)
        if hit:
            for k in range(base, top):
                if v[k] >= threshold:
                    fired[count] = k
                    count += 1
                    v[k] = reset
                    left[k] = refractory
    return count


@njit(nogil=True, fastmath=True)
def run_cuba(first, steps, delay, excitatory, state, constants, starts, targets, weights, lists, counts):
    """Spikes of ``steps`` steps; a source below ``excitatory`` adds to one current, the others to the other."""
    v, rise, fall, left = state
    slots, total = lists.shape[0], 0
    for step in range(first, first + steps):
        slot = (step - delay) % slots
        for k in range(counts[slot]):
            source = lists[slot, k]
            for e in range(starts[source], starts[source + 1]):
                if source < excitatory:
                    rise[targets[e]] += weights[e]
                else:
                    fall[targets[e]] += weights[e]
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
def run_brunel(first, steps, delay, state, constants, table, generator, starts, targets, weights, lists, counts):
    """The same with jumps of the membrane, and Poisson input from a 16-bit table on a xorshift generator."""
    v, arriving, left = state
    decay, threshold, reset, refractory, outside = constants
    slots, total, word = lists.shape[0], 0, generator[0]
    for step in range(first, first + steps):
        slot = (step - delay) % slots
        for k in range(counts[slot]):
            source = lists[slot, k]
            for e in range(starts[source], starts[source + 1]):
                arriving[targets[e]] += weights[e]
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
