"""What comes from outside, as tasks of the driver: random numbers, Poisson input, spikes that are given, recorders."""

from __future__ import annotations

import functools

import numpy as np

from ..cache import load
from .advance import Lists

_LARGEST_TABLE = 100.0  # spikes a step; beyond, the table of probabilities would outgrow the cache
_DIGITS = 32


def noise_task(kind: str, rows: np.ndarray, key: int) -> tuple[int, np.ndarray]:
    """Fills ``rows`` [1, N] with random numbers of ``kind`` (normal, uniform, exponential) in every step."""
    return _address("noise", _precision(rows), kind), _table(rows.ctypes.data, key)


def noise_current_task(
    given: np.ndarray, rows: np.ndarray, sd: np.ndarray, key: int, every: int, first: int = 0
) -> tuple[int, np.ndarray]:
    """``rows`` [1, N] are those of ``given`` [1 or steps, N] plus normal numbers times ``sd`` [1] or [N].

    The numbers change at steps that are multiples of ``every``. ``given`` may be ``rows``.
    """
    numbers = _table(rows.ctypes.data, key, given.ctypes.data, first, len(given) > 1, rows.shape[1], sd.ctypes.data,
                     sd.size > 1, every)  # fmt: skip
    return _address("noise_current", _precision(rows), "normal"), numbers


def poisson_task(rows: np.ndarray, mean: float, weights: np.ndarray, key: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Adds ``weights`` [1] or [N] times a Poisson number of ``mean`` to each neuron's row of ``rows`` [slots, N].

    By inversion of a table: one 32-bit number a draw, so probabilities are exact to 2.3e-10. Returns the task, its
    table, and the table of probabilities, which must be kept.
    """
    probabilities = _inverse(mean)
    numbers = _table(rows.ctypes.data, key, len(rows), rows.shape[1], weights.ctypes.data, weights.size > 1,
                     probabilities.ctypes.data)  # fmt: skip
    return _address("poisson", _precision(rows), ""), numbers, probabilities


def varying_poisson_task(
    rows: np.ndarray, means: np.ndarray, weights: np.ndarray, key: int, first: int = 0
) -> tuple[int, np.ndarray]:
    """The same with ``means`` [1, N], one for each neuron, or [steps, 1], of which step t takes ``t - first``."""
    numbers = _table(rows.ctypes.data, key, len(rows), rows.shape[1], weights.ctypes.data, weights.size > 1,
                     means.ctypes.data, first, len(means) > 1, means.shape[1] > 1)  # fmt: skip
    return _address("varying_poisson", _precision(rows), ""), numbers


def chance_task(
    lists: Lists, chances: np.ndarray, keys: tuple[int, int], correlation: float, first: int = 0
) -> tuple[int, np.ndarray]:
    """Each neuron fires with its chance; ``chances`` [1, N] float64, or [steps, N or 1] from step ``first`` on.

    With a ``correlation`` c above 0, all copy the spikes of one common train of chance p/c, each with probability c,
    so that the counts of two neurons have that correlation (Kuhn, Aertsen & Rotter 2003, their multiple interaction
    process). ``chances`` then must be at most c.
    """
    share = np.array([correlation], np.float64).view(np.int64)[0]
    numbers = _table(*_of(lists), *keys, chances.ctypes.data, first, len(chances) > 1, chances.shape[1] > 1, share)
    return _address("chance", "float64", ""), numbers


def given_task(lists: Lists, starts: np.ndarray, neurons: np.ndarray, first: int = 0) -> tuple[int, np.ndarray]:
    """Spikes that are known: those of step t are ``neurons[starts[t - first] : starts[t - first + 1]]``, ascending."""
    numbers = _table(*_of(lists), starts.ctypes.data, neurons.ctypes.data, first)
    return _address("given", "float64", ""), numbers


def log_task(
    lists: Lists, log: np.ndarray, cursors: np.ndarray, made: np.ndarray, first: int = 0
) -> tuple[int, np.ndarray]:
    """Copies the spikes of each step: to ``log`` [most * N], part p's from ``most`` times its first neuron on, where
    ``most`` is how often a neuron may fire.

    ``cursors`` int64 [parts, 8] counts them, ``made`` int64 [steps, parts] those of each step, a
    part's behind each other.
    """
    arrays = (log.ctypes.data, cursors.ctypes.data, made.ctypes.data)
    numbers = _table(*_of(lists), *arrays, first, len(made), len(log) // lists.neurons.shape[1])
    return _address("log", "float64", ""), numbers


def sample_task(
    state: np.ndarray, chosen: np.ndarray, rows: np.ndarray, every: int, first: int = 0
) -> tuple[int, np.ndarray]:
    """Copies ``state`` of the ``chosen`` int64 [K] neurons to ``rows`` [samples, K] after every ``every``-th step.

    The bounds of this task are places among the chosen.
    """
    numbers = _table(state.ctypes.data, chosen.ctypes.data, rows.ctypes.data, len(chosen), every, first)
    return _address("sample", _precision(state), ""), numbers


def coupling_task(
    starts: np.ndarray, others: np.ndarray, shares: np.ndarray, source: np.ndarray, rows: np.ndarray
) -> tuple[int, np.ndarray]:
    """For each target the mean of the sources' state: ``rows[0, i] = sum(shares[e] * source[others[e]])``."""
    numbers = _table(starts.ctypes.data, others.ctypes.data, shares.ctypes.data, source.ctypes.data, rows.ctypes.data)
    return _address("coupling", _precision(rows), ""), numbers


def tabulated(mean: float) -> bool:
    """Whether :func:`poisson_task` can take this mean."""
    return mean <= _LARGEST_TABLE


def probabilities(mean: float) -> np.ndarray:
    """``P(X <= k)`` of a Poisson number by k, in units of 2**-32."""
    from scipy.stats import poisson

    most = int(poisson.isf(2.0 ** -(_DIGITS + 2), mean)) + 2
    cumulative = np.ceil(poisson.cdf(np.arange(most), mean) * 2.0**_DIGITS).astype(np.int64)
    cumulative[-1] = 2**_DIGITS
    return cumulative


def summed(mean: float) -> tuple[int, int]:
    """Into how many pieces of at most 500 a ``mean`` falls, and up to which number probabilities must be summed."""
    from scipy.stats import poisson

    pieces = int(np.ceil(mean / 500.0))
    return pieces, min(2000, int(poisson.isf(2.0**-53, min(mean, 500.0))) + 2) if pieces else 1


@functools.lru_cache(maxsize=64)
def _inverse(mean: float) -> np.ndarray:
    """First a guide of 256 entries (the smallest k to try), then the :func:`probabilities`."""
    cumulative = probabilities(mean)
    guide = np.searchsorted(cumulative, np.arange(256, dtype=np.int64) << (_DIGITS - 8), side="right")
    return np.concatenate([guide, cumulative]).astype(np.int64)


def _of(lists: Lists) -> tuple[int, ...]:
    neurons, counts = lists.neurons, lists.counts
    return neurons.ctypes.data, counts.ctypes.data, lists.slots, neurons.shape[1], counts.shape[1]


def _precision(array: np.ndarray) -> str:
    return {4: "float32", 8: "float64"}[array.itemsize]


def _table(*entries: int) -> np.ndarray:
    return np.array(entries, np.int64)


@functools.cache
def _address(name: str, precision: str, kind: str) -> int:
    return load(task_source(name, precision, kind)).task.address


def task_source(name: str, precision: str, kind: str = "") -> str:
    """The module of one task."""
    body = _SOURCES[name].replace("REAL", precision).replace("KIND", kind)
    head = f'"""Task of a network: {name} {kind} {precision}. Generated by spikeloom; edits are not used."""'
    imports = _IMPORTS + (f"from spikeloom.kernels.philox import {kind}s\n" if kind else "")
    return f"{head}\n{imports}\n\n{_DECORATOR}\n{body}"


_IMPORTS = """import math
import numba
import numpy as np
from numba.types import CPointer, float32, float64, int32, int64, uint32, void
from spikeloom.kernels.compiler import options
from spikeloom.kernels.philox import uniform_pair, words
from spikeloom.lang.dialects.numba_intrinsics import bitcast
from spikeloom.lang.dialects.numba_threads import pointer, scratch
"""
_DECORATOR = "@numba.cfunc(void(int64, int64, int64, int64, CPointer(int64)), **options(strict=True))"

_SOURCES = {
    "noise": """def task(begin, end, step, part, table):
    rows = pointer(table[0], REAL)
    drawn = scratch(64, float64)
    for pair in range((begin + 1) // 2, (end + 1) // 2, 32):
        KINDs(table[1], step, pair, min(32, (end + 1) // 2 - pair), drawn)
        for m in range(2 * pair, min(end, 2 * pair + 64)):
            rows[m] = REAL(drawn[m - 2 * pair])
""",
    "noise_current": """def task(begin, end, step, part, table):
    rows, given = pointer(table[0], REAL), pointer(table[2], REAL)
    sd, many, every = pointer(table[6], REAL), table[7], table[8]
    one = sd[0]
    row = (step - table[3]) * table[4] * table[5]
    drawn = scratch(64, float64)
    for pair in range((begin + 1) // 2, (end + 1) // 2, 32):
        KINDs(table[1], step // every, pair, min(32, (end + 1) // 2 - pair), drawn)
        top = min(end, 2 * pair + 64)
        if many:
            for m in range(2 * pair, top):
                rows[m] = given[row + m] + sd[m] * REAL(drawn[m - 2 * pair])
        else:
            for m in range(2 * pair, top):
                rows[m] = given[row + m] + one * REAL(drawn[m - 2 * pair])
""",
    "poisson": """def task(begin, end, step, part, table):
    width, row = table[3], step % table[2]
    now, weights = pointer(table[0], REAL), pointer(table[4], REAL)
    many, row = table[5], row * width
    guide = pointer(table[6], int64)
    drawn = scratch(64, uint32)
    for base in range(begin, end, 64):
        words(table[1], step, base // 4, min(16, (end - base + 3) // 4), drawn)
        for m in range(base, min(base + 64, end)):
            word = int64(drawn[m - base])
            k = guide[word >> 24]
            while word >= guide[256 + k]:
                k += 1
            now[row + m] += REAL(k) * weights[m * many]
""",
    "varying_poisson": """def task(begin, end, step, part, table):
    width, row = table[3], (step % table[2]) * table[3]
    now, weights, many = pointer(table[0], REAL), pointer(table[4], REAL), table[5]
    means, at, each = pointer(table[6], float64), (step - table[7]) * table[8], table[9]
    for pair in range((begin + 1) // 2, (end + 1) // 2):
        one, two = uniform_pair(table[1], step, pair)
        for half in range(2):
            m = 2 * pair + half
            if m >= end:
                break
            mean = means[at + m * each]
            left = one if half == 0 else two
            k, pieces = 0, 0
            while mean > 0.0:  # large means in pieces of at most 500, whose exp(-mean) is a normal number
                piece = min(mean, 500.0)
                mean -= piece
                p = math.exp(-piece)
                total, n = p, 0
                while left > total and n < 2000:
                    n += 1
                    p *= piece / n
                    total += p
                k += n
                pieces += 1
                if mean > 0.0:
                    left, other = uniform_pair(table[1], step, pair + (pieces << 40))
                    left = left if half == 0 else other
            now[row + m] += REAL(k) * weights[m * many]
""",
    "chance": """def task(begin, end, step, part, table):
    slots, width, parts = table[2], table[3], table[4]
    slot = step % slots
    listed, counts = pointer(table[0] + 4 * (slot * width + begin), int32), pointer(table[1], int64)
    chances, at, each = pointer(table[7], float64), (step - table[8]) * table[9], table[10]
    share, count = bitcast(table[11]), 0
    if not each:
        at = step - table[8] if table[9] else 0
    else:
        at = at * width
    common, _ = uniform_pair(table[6], step, 0)
    for pair in range((begin + 1) // 2, (end + 1) // 2):
        one, two = uniform_pair(table[5], step, pair)
        for half in range(2):
            m = 2 * pair + half
            if m < end:
                chance = chances[at + m * each]
                drawn = one if half == 0 else two
                fires = drawn <= chance
                if share > 0.0:
                    fires = common <= chance / share and drawn <= share
                if fires:
                    listed[count] = m
                    count += 1
    counts[8 * (slot * parts + part)] = count
""",
    "given": """def task(begin, end, step, part, table):
    slots, width, parts = table[2], table[3], table[4]
    slot = step % slots
    listed, counts = pointer(table[0] + 4 * (slot * width + begin), int32), pointer(table[1], int64)
    starts, neurons, at = pointer(table[5], int64), pointer(table[6], int32), step - table[7]
    count = 0
    for k in range(starts[at], starts[at + 1]):
        if begin <= neurons[k] < end:
            listed[count] = neurons[k]
            count += 1
    counts[8 * (slot * parts + part)] = count
""",
    "log": """def task(begin, end, step, part, table):
    slots, width, parts, at, steps, most = table[2], table[3], table[4], step - table[8], table[9], table[10]
    slot = step % slots
    listed, counts = pointer(table[0] + 4 * (slot * width + begin), int32), pointer(table[1], int64)
    log = pointer(table[5] + 4 * most * begin, int32)
    cursors, made = pointer(table[6], int64), pointer(table[7], int64)
    count, done = counts[8 * (slot * parts + part)], cursors[8 * part]
    for k in range(count):
        log[done + k] = listed[k]
    cursors[8 * part] = done + count
    made[part * steps + at] = count
""",
    "sample": """def task(begin, end, step, part, table):
    every, count, since = table[4], table[3], step - table[5]
    if (step + 1) % every == 0:
        state, chosen, rows = pointer(table[0], REAL), pointer(table[1], int64), pointer(table[2], REAL)
        at = ((step + 1) // every - 1 - table[5] // every) * count
        for k in range(begin, end):
            rows[at + k] = state[chosen[k]]
""",
    "coupling": """def task(begin, end, step, part, table):
    starts, others, shares = pointer(table[0], int64), pointer(table[1], int32), pointer(table[2], REAL)
    source, rows = pointer(table[3], REAL), pointer(table[4], REAL)
    for m in range(begin, end):
        total = REAL(0.0)
        for e in range(starts[m], starts[m + 1]):
            total += shares[e] * source[others[e]]
        rows[m] = total
""",
}

__all__ = [
    "chance_task", "coupling_task", "given_task", "log_task", "noise_current_task", "noise_task", "poisson_task",
    "probabilities", "sample_task", "summed", "tabulated", "varying_poisson_task",
]  # fmt: skip
