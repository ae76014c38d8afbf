"""Pairs with a probability that falls with their distance."""

from __future__ import annotations

import math

import numpy as np

from .rows import bits_of, kernel, over_rows, starts_of

_FORMS = {"within": 0, "gaussian": 1, "exponential": 2}
# Farther away the chance is below that of the smallest random number, 2^-53.
_REACH = {"within": math.inf, "gaussian": math.sqrt(2.0 * 53.0 * math.log(2.0)), "exponential": 53.0 * math.log(2.0)}


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
    cutoff = min(cutoff, _REACH[form] * scale)
    rows, columns = (len(x) for x in positions)
    a, b = (np.ascontiguousarray(x.T, np.float64) for x in positions)
    run = kernel(_TEXT, 12, 5)
    numbers = (bits_of(scale), bits_of(p), bits_of(cutoff), int(without_self), key)
    periods = np.ascontiguousarray(periods, np.float64)
    space = (a.ctypes.data, b.ctypes.data, periods.ctypes.data)

    def draw(filling: int, places: np.ndarray, to: int) -> None:
        shape = rows, columns, len(a), _FORMS[form], *numbers, filling
        over_rows(lambda low, high: run(low, high, *shape, *space, places.ctypes.data, to), rows, columns)

    places = np.zeros(rows, np.int64)
    draw(0, places, 0)
    starts = starts_of(places)
    found = np.empty(int(starts[-1]), np.int32)
    draw(1, starts, found.ctypes.data)
    return starts, found


# Positions are [dimensions, rows] and [dimensions, columns]. 64 columns at a time are looked at, most often in vain.
_TEXT = """
@numba.cfunc(
    void(*[int64] * 12, *[CPointer(float64)] * 3, CPointer(int64), CPointer(int32)), **options(strict=True)
)
def run(
    begin, end, rows, columns, dimensions, form, scale_bits, p_bits, cutoff_bits, without_self, key, filling,
    pre, post, periods, places, found,
):
    p, cutoff = bitcast(p_bits), bitcast(cutoff_bits)
    factor = 1.0 / bitcast(scale_bits)
    farthest = cutoff * cutoff
    certain = form == 0 and p == 1.0
    squares, numbers = row_buffer(float64(0), 64), row_buffer(float64(0), 64)
    for k in range(64):
        numbers[k] = 0.0
    for row in range(begin, end):
        place = places[row] if filling else 0
        for first in range(0, columns, 64):
            width = min(64, columns - first)
            for k in range(64):
                squares[k] = 0.0
            for d in range(dimensions):
                here, at, period = pre[d * rows + row], d * columns + first, periods[d]
                inverse = 1.0 / period if period > 0.0 else 0.0
                for k in range(width):
                    apart = abs(post[at + k] - here)
                    # Adding and taking away 1.5 * 2^52 rounds to a whole number.
                    apart -= period * ((apart * inverse + 6755399441055744.0) - 6755399441055744.0)
                    squares[k] += apart * apart
            near = 0
            for k in range(width):
                near += int64(squares[k] <= farthest)
            if near == 0:
                continue
            if not certain:
                uniforms(key, row, first // 2, (width + 1) // 2, numbers)
                # A number below p f(d) is one that is below p when it is divided by f(d).
                if form == 1:
                    for k in range(width):
                        numbers[k] /= exp_f64(-0.5 * squares[k] * factor * factor)
                elif form == 2:
                    for k in range(width):
                        numbers[k] /= exp_f64(-math.sqrt(squares[k]) * factor)
            for k in range(width):
                if squares[k] <= farthest and numbers[k] <= p and not (without_self and first + k == row):
                    if filling:
                        found[place] = first + k
                    place += 1
        if not filling:
            places[row] = place
"""

__all__ = ["by_distance"]
