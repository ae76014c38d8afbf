"""A ring lattice whose edges are drawn anew with some probability (Watts & Strogatz 1998)."""

from __future__ import annotations

import numpy as np

from .rows import bits_of, kernel, over_rows


def rewired_ring(size: int, neighbours: int, chance: float, key: int) -> np.ndarray:
    """Targets of each of ``size`` neurons, ascending, [size, neighbours]; ``neighbours`` is even and below ``size``.

    Neuron k starts with its ``neighbours`` nearest on the ring. Each edge, in turn, is redirected with probability
    ``chance`` to a neuron drawn evenly among those that k does not reach yet, k itself left out.
    """
    found = np.empty((size, neighbours), np.int32)
    run = kernel(_TEXT, 6, 2)

    def piece(low: int, high: int) -> None:
        stamps = np.zeros(size, np.int32)
        run(low, high, size, neighbours, bits_of(chance), key, stamps.ctypes.data, found.ctypes.data)
        found[low:high].sort(axis=1)

    over_rows(piece, size, neighbours)
    return found


# stamps[column] is row + 1 where the row reaches the column.
_TEXT = """

@numba.cfunc(void(*[int64] * 6, *[CPointer(int32)] * 2), **options(strict=True))
def run(begin, end, size, neighbours, bits, key, stamps, found):
    chance = bitcast(bits)
    for row in range(begin, end):
        at, draws = row * neighbours, 0
        for k in range(neighbours):
            step = k // 2 + 1
            column = (row + (step if k % 2 == 0 else size - step)) % size
            found[at + k] = column
            stamps[column] = row + 1
        stamps[row] = row + 1
        for k in range(neighbours):
            one, two = uniform_pair(key, row, draws)
            draws += 1
            if one <= chance and neighbours < size - 1:
                while True:
                    one, two = uniform_pair(key, row, draws)
                    draws += 1
                    column = int64((1.0 - one) * size)
                    if stamps[column] != row + 1:
                        break
                stamps[found[at + k]] = 0
                found[at + k] = column
                stamps[column] = row + 1
"""

__all__ = ["rewired_ring"]
