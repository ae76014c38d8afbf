"""Each pair with one probability: geometric skips over the columns of a row (Devroye 1986, chapter X.2)."""

from __future__ import annotations

import dataclasses

import numpy as np

from .rows import bits_of, kernel, over_rows, starts_of


@dataclasses.dataclass(frozen=True)
class Block:
    """``rows`` (first, end) and ``columns`` (first, end) whose pairs are drawn with probability ``chance``."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    chance: float
    key: int


def bernoulli(rows: int, columns: int, chance: float, without_self: bool, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Each of ``rows`` x ``columns`` pairs with probability ``chance``, as rows: starts [rows + 1], columns [E].

    A random number an edge is drawn, and all of them twice: to count, and to fill. ``without_self`` leaves pairs (k, k)
    out.
    """
    return bernoulli_blocks(rows, [[Block((0, rows), (0, columns), chance, key)]], without_self)


def bernoulli_blocks(rows: int, strips: list[list[Block]], without_self: bool) -> tuple[np.ndarray, np.ndarray]:
    """The same for blocks: ``strips`` from left to right, each of blocks that share their columns."""
    places = np.zeros((len(strips), rows), np.int64)
    _fill(strips, places, without_self, None)
    starts = starts_of(places.sum(axis=0))
    places = starts[:-1] + (np.cumsum(places, axis=0) - places)
    found = np.empty(int(starts[-1]), np.int32)
    _fill(strips, places, without_self, found)
    return starts, found


def _fill(strips: list[list[Block]], places: np.ndarray, without_self: bool, found: np.ndarray | None) -> None:
    run = kernel(_TEXT, 8, 2)
    to = 0 if found is None else found.ctypes.data
    for strip, of_row in zip(strips, places, strict=True):
        at = of_row.ctypes.data
        for block in strip:
            (first, end), (left, right) = block.rows, block.columns
            if block.chance == 0.0 or first == end or left == right:
                continue
            scale = bits_of(1.0 / np.log1p(-block.chance) if block.chance < 1.0 else -0.0)
            how = left, right, scale, int(without_self), block.key, int(found is not None), at, to

            def piece(low: int, high: int, first: int = first, how: tuple[int, ...] = how) -> None:
                run(first + low, first + high, *how)

            over_rows(piece, end - first, int(block.chance * (right - left)))


# Filling 0 counts: places[row] becomes the number of edges in the row. Filling 1 writes them from places[row] on.
_TEXT = """
@numba.cfunc(void(*[int64] * 8, CPointer(int64), CPointer(int32)), **options(strict=True))
def run(begin, end, left, right, bits, without_self, key, filling, places, found):
    scale = bitcast(bits)
    columns = right - left
    skips = row_buffer(float64(0), 32)
    for row in range(begin, end):
        place = places[row] if filling else 0
        column, pair = -1, int64(0)  # a plain 0 would have everything that takes it compiled for literals too
        while column < columns:
            rest = columns - column
            pairs = rest if rest < 16 else 16
            uniforms(key, row, pair, pairs, skips)
            pair += pairs
            for k in range(2 * pairs):
                skips[k] = log_f64(skips[k]) * scale
            for k in range(2 * pairs):
                column = columns if skips[k] >= float(columns) else column + 1 + int64(skips[k])
                if column < columns and not (without_self and left + column == row):
                    if filling:
                        found[place] = left + column
                    place += 1
        if not filling:
            places[row] = place
"""

__all__ = ["Block", "bernoulli", "bernoulli_blocks"]
