"""Rows with a given number of partners, evenly drawn, equal ones or distinct ones."""

from __future__ import annotations

import numpy as np
import torch

from .rows import kernel, over_rows, starts_of

_ALIGN = 64  # what over_blocks divides by


def incoming(
    sources: int, counts: np.ndarray, without_self: bool, distinct: bool, key: int
) -> tuple[np.ndarray, np.ndarray]:
    """``counts[t]`` of ``sources`` for each target t, as rows by source: starts [sources + 1], targets [E] ascending.

    What a target draws depends on ``key`` and t. All is drawn twice, to count and to fill, so that no second array of
    edges is needed. Blocks of targets write into parts of the rows of their own, in order.
    """
    targets, total = len(counts), int(counts.sum())
    counts = np.ascontiguousarray(counts, np.int32)
    blocks = max(1, min(torch.get_num_threads(), targets, total // (8 * max(sources, 1))))
    places = np.zeros((blocks, sources), np.int64)
    run = kernel(_CHOOSE + _INCOMING, 7, 5)
    longest = int(counts.max(initial=0))

    def draw(filling: int, to: int) -> None:
        def piece(low: int, high: int) -> None:
            stamps, own = np.zeros(sources if distinct else 0, np.int32), np.empty(longest + 1, np.int32)
            for block in range(low // _ALIGN, high // _ALIGN):
                first, end = (targets * b // blocks for b in (block, block + 1))
                how = sources, int(without_self), int(distinct), key, filling
                arrays = counts, stamps, own, places[block]
                run(first, end, *how, *(a.ctypes.data for a in arrays), to)

        over_rows(piece, blocks * _ALIGN, total // (blocks * _ALIGN) + 1)

    draw(0, 0)
    starts = starts_of(places.sum(axis=0))
    places = starts[:-1] + (np.cumsum(places, axis=0) - places)
    found = np.empty(total, np.int32)
    draw(1, found.ctypes.data)
    return starts, found


def outgoing(rows: int, columns: int, count: int, without_self: bool, distinct: bool, key: int) -> np.ndarray:
    """``count`` of ``columns`` for each row, ascending, [rows, count]."""
    found = np.empty((rows, count), np.int32)
    run = kernel(_CHOOSE + _OUTGOING, 7, 3)

    def piece(low: int, high: int) -> None:
        stamps, own = np.zeros(columns if distinct else 0, np.int32), np.empty(count + 1, np.int32)
        how = columns, count, int(without_self), int(distinct), key
        run(low, high, *how, stamps.ctypes.data, own.ctypes.data, found.ctypes.data)
        found[low:high].sort(axis=1)

    over_rows(piece, rows, count)
    return found


def spread(total: int, rows: int, most: int | None, key: int) -> np.ndarray:
    """How many of ``total`` pairs, evenly drawn, fall into each of ``rows``, int32 [rows].

    ``most`` is the number of pairs of a row where no pair is drawn twice, else None. As if balls were drawn from an urn
    and, with ``most``, not put back.
    """
    counts = np.zeros(rows, np.int32)
    rest = total if most is None else min(total, rows * most - total)
    kernel(_SPREAD, 4, 1)(rest, rows, 0 if most is None else most, key, counts.ctypes.data)
    if most is not None and rest < total:  # those left out were drawn
        return (most - counts).astype(np.int32)
    return counts


# Distinct ones by Floyd's algorithm (Bentley & Floyd 1987): one number for each, none is drawn again. A number below n
# is the upper half of n times 64 random bits (complemented: the larger a uniform number, the smaller it is here).
# stamps[column] is row + 1 where the row has drawn the column. ``to`` has room for one number more.
_CHOOSE = """

@numba.njit(error_model="numpy")
def below(high, low, most):
    flipped = (uint64(0xFFFFFFFF) - low) * most
    return int32(((uint64(0xFFFFFFFF) - high) * most + (flipped >> uint64(32))) >> uint64(32))


@numba.njit(error_model="numpy")
def choose(key, row, count, columns, without_self, distinct, stamps, to):
    there = columns - without_self
    if distinct:
        first, more = uint64(there - count + 1), uint64(1)
    else:
        first, more = uint64(there), uint64(0)
    for pair in range((count + 1) // 2):
        c0, c1, c2, c3 = block(key, row, pair)
        most = first + uint64(2 * pair) * more
        to[2 * pair] = below(c0, c1, most)
        to[2 * pair + 1] = below(c2, c3, most + more)
    if distinct:
        for k in range(count):
            column = int64(to[k])
            if stamps[column] == row + 1:
                column = there - count + k
                to[k] = column
            stamps[column] = row + 1
    if without_self:
        for k in range(count):
            to[k] += int32(to[k] >= row)

"""

_INCOMING = """
@numba.cfunc(void(*[int64] * 7, *[CPointer(int32)] * 3, CPointer(int64), CPointer(int32)), **options(strict=True))
def run(begin, end, sources, without_self, distinct, key, filling, counts, stamps, own, places, found):
    for target in range(begin, end):
        count = int64(counts[target])
        choose(key, target, count, sources, without_self, distinct, stamps, own)
        if filling:
            for k in range(count):
                source = own[k]
                place = places[source]
                found[place] = target
                places[source] = place + 1
        else:
            for k in range(count):
                places[own[k]] += 1
"""

_OUTGOING = """
@numba.cfunc(void(*[int64] * 7, *[CPointer(int32)] * 3), **options(strict=True))
def run(begin, end, columns, count, without_self, distinct, key, stamps, own, found):
    for row in range(begin, end):
        choose(key, row, count, columns, without_self, distinct, stamps, own)
        for k in range(count):
            found[row * count + k] = own[k]
"""

# A row is kept with the share of its pairs that is still there, which makes every pair equally likely.
_SPREAD = """
@numba.cfunc(void(*[int64] * 4, CPointer(int32)), **options(strict=True))
def run(total, rows, most, key, counts):
    numbers = row_buffer(float64(0), 64)
    drawn, pair = 0, 0
    while drawn < total:
        pairs = min(32, total - drawn)
        uniforms(key, 0, pair, pairs, numbers)
        pair += pairs
        for k in range(pairs):
            row = int64((1.0 - numbers[2 * k]) * rows)
            if drawn < total and (most == 0 or (1.0 - numbers[2 * k + 1]) * most < most - counts[row]):
                counts[row] += 1
                drawn += 1
"""

__all__ = ["incoming", "outgoing", "spread"]
