"""Whether networks do the same: their rates, within what statistics allow."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

_SIGMAS = 4.0


def disagreements(rates: Mapping[str, Sequence[float]], spread: float, scheme: float) -> dict[str, str]:
    """The contenders whose rate differs from that of the first one by more than statistics allow, and by how much.

    ``rates`` holds one rate for each round. Each contender has drawn connections of its own: that makes ``spread`` (a
    share of the rate) for each. Rounds of one network add the standard error of their mean; ``scheme`` (a share of the
    rate) is what different integration may make. A difference of four standard deviations is allowed.

    >>> disagreements({"a": [10.0, 10.2], "b": [10.1, 10.3], "c": [14.0, 14.1]}, spread=0.01, scheme=0.0)
    {'c': 'fires at 14.05 Hz, not at 10.1 Hz (allowed: 0.82 Hz)'}
    """
    (_, first), *others = rates.items()
    found: dict[str, str] = {}
    for label, own in others:
        expected, rate = statistics.fmean(first), statistics.fmean(own)
        typical = (expected + rate) / 2
        variance = 2 * (spread * typical) ** 2 + _error(first) ** 2 + _error(own) ** 2
        allowed = scheme * typical + _SIGMAS * math.sqrt(variance)
        if not abs(rate - expected) <= allowed:
            found[label] = f"fires at {rate:.4g} Hz, not at {expected:.4g} Hz (allowed: {allowed:.2g} Hz)"
    return found


def _error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
