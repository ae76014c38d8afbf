"""Contenders take turns: what a busy machine does in one round it does to all of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import BenchError
from .process import Contender

Say = Callable[[str], None]


def take_turns(
    contenders: Sequence[Contender], rounds: int, action: str, say: Say
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """The answers of each contender in ``rounds`` rounds, and why those that failed did."""
    found: dict[str, list[dict[str, Any]]] = {c.label: [] for c in contenders}
    failed: dict[str, str] = {}
    for round_ in range(rounds):
        # Each finds the caches as another one left them.
        for contender in contenders[:: -1 if round_ % 2 else 1]:
            if contender.label in failed:
                continue
            say(f"round {round_ + 1} of {rounds}: {contender.label}")
            try:
                found[contender.label].append(contender.ask(action))
            except BenchError as error:
                failed[contender.label] = str(error)
    return {label: answers for label, answers in found.items() if label not in failed}, failed


def middle_ratio(values: Iterable[float], base: Iterable[float]) -> float:
    """The median of ratios within rounds.

    >>> middle_ratio([2.0, 30.0, 2.0], [1.0, 10.0, 4.0])
    2.0
    """
    return statistics.median(a / b for a, b in zip(values, base, strict=True))


def fastest(walls: Mapping[str, Sequence[float]]) -> str:
    """The one with the smallest median; "" where there is none.

    >>> fastest({"a": [3.0, 1.0, 1.0], "b": [2.0, 2.0, 2.0]}), fastest({})
    ('a', '')
    """
    return min(walls, key=lambda label: statistics.median(walls[label]), default="")


def spread_text(values: Sequence[float], digits: int = 3) -> str:
    """Median and range.

    >>> spread_text([0.123456, 0.2, 1550.0])
    '0.2 (0.123 to 1550)'
    """
    middle, low, high = (
        f"{v:.0f}" if v >= 10**digits else f"{v:.{digits}g}"
        for v in (statistics.median(values), min(values), max(values))
    )
    return f"{middle} ({low} to {high})"


def seconds_text(seconds: float) -> str:
    """A time with three digits.

    >>> [seconds_text(s) for s in (0.0123, 4.2, 110.4)]
    ['12.3 ms', '4.2 s', '110 s']
    """
    return f"{1e3 * seconds:.3g} ms" if seconds < 1.0 else f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"
