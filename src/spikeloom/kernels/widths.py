"""How many outputs a kernel sums up at once, in registers."""

from __future__ import annotations

WIDEST = 64
CACHE = 2**18  # bytes: half of a small second-level cache


def width_of(outputs: int, rows: int) -> int:
    """A power of two, such that ``rows`` float32 numbers of each output stay in the cache."""
    fitting = max(CACHE // (4 * max(rows, 1)), 16)
    return min(WIDEST, power_of_two(outputs), 1 << (fitting.bit_length() - 1))


def power_of_two(number: int) -> int:
    """The smallest one that is at least ``number``, and 8.

    >>> power_of_two(3), power_of_two(9)
    (8, 16)
    """
    return 1 << (max(number, 8) - 1).bit_length()


__all__ = ["CACHE", "WIDEST", "power_of_two", "width_of"]
