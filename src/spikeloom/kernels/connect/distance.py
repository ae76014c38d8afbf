"""Pairs with a probability that falls with their distance."""

from __future__ import annotations

import numpy as np

from .rows import bits_of, kernel, over_rows, starts_of

FORMS = {"within": 0, "gaussian": 1, "exponential": 2}


def by_distance(
    positions: tuple[np.ndarray, np.ndarray], periods: np.ndarray, how: tuple[str, float, float, float],
    without_self: bool, key: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Rows of pairs at distance d, with probability ``p f(d / scale)`` up to ``cutoff``: starts and columns.

    ``how`` is (form, scale, p, cutoff); f(x) is 1 (within), exp(-x^2 / 2) (gaussian) or exp(-x) (exponential).
    ``positions`` are float64 [rows, dimensions] and [columns, dimensions]; ``periods`` are the lengths after which the
    space repeats, 0 where it does not. The random number of a pair depends on ``key`` and the pair.
    """
    form, scale, p, cutoff = how
    a, b = (np.ascontiguousarray(x, np.float64) for x in positions)
    rows, columns = len(a), len(b)
    run = kernel(_TEXT, 11, 5)
    numbers = (bits_of(scale), bits_of(p), bits_of(cutoff), int(without_self), key)
    periods = np.ascontiguousarray(periods, np.float64)
    space = (a.ctypes.data, b.ctypes.data, periods.ctypes.data)

    def draw(filling: int, places: np.ndarray, to: int) -> None:
        shape = columns, a.shape[1], FORMS[form], *numbers, filling
        over_rows(lambda low, high: run(low, high, *shape, *space, places.ctypes.data, to), rows, columns)

    places = np.zeros(rows, np.int64)
    draw(0, places, 0)
    starts = starts_of(places)
    found = np.empty(int(starts[-1]), np.int32)
    draw(1, starts, found.ctypes.data)
    return starts, found


_TEXT = """

@numba.cfunc(
    void(*[int64] * 11, *[CPointer(float64)] * 3, CPointer(int64), CPointer(int32)), **options(strict=True)
)
def run(
    begin, end, columns, dimensions, form, scale_bits, p_bits, cutoff_bits, without_self, key, filling,
    pre, post, periods, places, found,
):
    p, cutoff = bitcast(p_bits), bitcast(cutoff_bits)
    factor = 1.0 / bitcast(scale_bits)
    farthest = cutoff * cutoff
    for row in range(begin, end):
        place = places[row] if filling else 0
        drawn, one, two = -1, 0.0, 0.0
        for column in range(columns):
            square = 0.0
            for d in range(dimensions):
                apart = abs(post[column * dimensions + d] - pre[row * dimensions + d])
                period = periods[d]
                if period > 0.0:
                    apart = abs(apart - period * math.floor(apart / period + 0.5))
                square += apart * apart
            if square > farthest or (without_self and column == row):
                continue
            chance = p
            if form == 1:
                chance = p * math.exp(-0.5 * square * factor * factor)
            elif form == 2:
                chance = p * math.exp(-math.sqrt(square) * factor)
            if chance < 1.0:
                if drawn != column // 2:
                    drawn = column // 2
                    one, two = uniform_pair(key, row, drawn)
                if (one if column % 2 == 0 else two) > chance:
                    continue
            if filling:
                found[place] = column
            place += 1
        if not filling:
            places[row] = place
"""

__all__ = ["FORMS", "by_distance"]
