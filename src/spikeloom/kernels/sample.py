"""Which rows are looked at first, to find out at little cost whether an input is dense."""

from __future__ import annotations

import math


def stride_of(rows: int, sample: int, period: int) -> int:
    """From one of about ``sample`` rows to the next, without a common factor with ``period``.

    Rows repeat by channels or by samples of a batch: with a common factor some of them would never be seen.

    >>> stride_of(16384, 64, 32), stride_of(12800, 64, 12800), stride_of(10, 64, 10)
    (255, 199, 1)
    """
    return next(stride for stride in range(max(rows // sample, 1), 0, -1) if math.gcd(stride, period) == 1)


__all__ = ["stride_of"]
