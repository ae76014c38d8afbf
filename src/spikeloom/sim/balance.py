"""How many neurons each thread takes: as many as it gets through while the others do theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

_ALIGN = 16  # neurons: a part begins on a whole cache line, and random numbers come in pairs
_UNEVEN = 0.04  # of a thread's share: less is noise
_LEAST = 0.5  # of an equal share, that a thread keeps
_PATIENCE = 20.0  # times what it took to cut all rows of edges anew, before they may be again
_TIME, _NOTES = 0.25, 5  # seconds and notes before shares change: for less, they would follow what is over at once


@final
class Balance:
    """Shares of ``threads``, by how long they waited for each other: spikes do not depend on who makes them.

    Cores that are shared with others, as those of virtual machines are, differ in speed for seconds. Threads wait for
    the slowest.

    >>> balance = Balance(2)
    >>> balance.bounds(1000)[0].tolist()
    [0, 512, 1000]
    >>> for _ in range(5):
    ...     balance.note(0.1, np.array([0.05, 0.0]))  # the first was through with its half in half of the time
    >>> balance.bounds(1000)[0].tolist()
    [0, 672, 1000]
    """

    def __init__(self, threads: int) -> None:
        self._shares = np.full(threads, 1.0 / threads)
        self._wanted: list[np.ndarray] = []  # by each note since the last change
        self._cost = self._since = 0.0  # seconds that the last change took, and since then
        self._changed = False

    @property
    def threads(self) -> int:
        """How many there are."""
        return len(self._shares)

    def bounds(self, *sizes: int, costs: Sequence[float] = ()) -> list[np.ndarray]:
        """Which neurons of groups of such ``sizes`` each thread has, [threads + 1] of each group.

        Threads take groups one after the other, and share those on which their shares meet: what a spike costs for a
        group, however few its targets are there, the fewest threads pay. ``costs`` are what one neuron of each takes
        (default: all the same).

        >>> [b.tolist() for b in Balance(2).bounds(6400, 1600, 2000)], [b.tolist() for b in Balance(2).bounds(10, 10)]
        ([[0, 5008, 6400], [0, 0, 1600], [0, 0, 2000]], [[0, 10, 10], [0, 0, 10]])
        """
        weights = np.array([size * cost for size, cost in zip(sizes, costs or [1.0] * len(sizes), strict=True)])
        ends, starts = np.cumsum(self._shares) * weights.sum(), np.cumsum(weights) - weights
        found: list[np.ndarray] = []
        for size, weight, start in zip(sizes, weights, starts, strict=True):
            own = np.clip((ends - start) / weight, 0.0, 1.0) * size
            bounds = np.zeros(len(ends) + 1, np.int64)
            bounds[1:] = np.minimum(-(-(own - 1e-6) // _ALIGN) * _ALIGN, size)
            bounds[-1] = size
            found.append(bounds)
        return found

    def note(self, seconds: float, waited: np.ndarray, preparing: float = 0.0) -> None:
        """Threads took ``seconds``, of which each ``waited`` [threads]; ``preparing`` is what came before."""
        self._cost, self._changed = preparing if self._changed else self._cost, False
        self._since += seconds
        if self.threads == 1:
            return
        speeds = self._shares / np.maximum(seconds - waited, 1e-3 * seconds)
        self._wanted.append(speeds / speeds.sum())
        if len(self._wanted) < _NOTES or self._since < max(_TIME, _PATIENCE * self._cost):
            return
        shares = _at_least(np.median(self._wanted, axis=0), _LEAST / self.threads)
        self._wanted, self._since = [], 0.0
        if np.abs(shares / self._shares - 1.0).max() > _UNEVEN:
            self._shares, self._changed = shares, True


def _at_least(shares: np.ndarray, least: float) -> np.ndarray:
    """``shares`` that add up to 1, none below ``least``; what goes beyond it is cut down to what is left."""
    raised = np.maximum(shares / shares.sum(), least)
    more = raised - least
    return raised - more * (raised.sum() - 1.0) / more.sum()


__all__ = ["Balance"]
