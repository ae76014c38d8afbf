"""How many steps the next chunk of a run should have, and on how many threads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, final

import torch

from .numbers import whole

_WORTH_A_THREAD = 500  # neurons
_MOST_THREADS = max(16, os.cpu_count() or 1)  # more would do little but wait for each other
_FIRST = 32  # steps
_TIME = 0.1  # seconds that a chunk should take, so that progress and Ctrl-C are seen
_GROWTH = 4  # from one chunk to the next, at most
_TRIED_AGAIN = 16  # chunks after which a number of threads that was slower gets another chance


@final
class Pace:
    """Chooses among numbers of threads by trying them: results are the same, so it may change its mind in a run.

    On a busy machine threads that meet in every step wait for each other's turn on a core, and one alone is faster.

    >>> pace = Pace([1, 2], first=10)
    >>> pace.note(1, 10, 5.0)       # the first chunk loads kernels: it does not count
    >>> pace.note(1, 10, 0.01)
    >>> pace.next(1000)
    (2, 10)
    >>> pace.note(2, 10, 0.001)
    >>> pace.next(1000)             # two threads were ten times as fast
    (2, 40)
    """

    def __init__(self, threads: Sequence[int], first: int = _FIRST) -> None:
        self._speeds: dict[int, float] = dict.fromkeys(threads, 0.0)  # steps per second, 0 where not tried
        self._sizes: dict[int, int] = dict.fromkeys(threads, first)
        self._ages: dict[int, int] = dict.fromkeys(threads, 0)
        self._warm = False

    def next(self, most: int) -> tuple[int, int]:
        """Threads and steps of the next chunk, which may have at most ``most`` steps."""
        untried = [n for n, speed in self._speeds.items() if not speed]
        old = [n for n, age in self._ages.items() if age >= _TRIED_AGAIN]
        chosen = (untried or old or [max(self._speeds, key=self._speeds.__getitem__)])[0]
        return chosen, min(self._sizes[chosen], most)

    def note(self, threads: int, steps: int, seconds: float) -> None:
        """A chunk of ``steps`` took ``seconds``."""
        if not self._warm:
            self._warm = True
            return
        speed = steps / max(seconds, 1e-6)
        self._speeds[threads] = speed
        self._sizes[threads] = max(1, min(_GROWTH * self._sizes[threads], int(speed * _TIME)))
        self._ages = {n: 0 if n == threads else age + 1 for n, age in self._ages.items()}


def numbers_of_threads(given: Any, neurons: int) -> list[int]:
    """The numbers of threads to choose among: the one that is ``given``, or (None) those that may be the fastest.

    >>> numbers_of_threads(3, neurons=10), numbers_of_threads(None, neurons=10)
    ([3], [1])
    """
    if given is not None:
        return [min(whole(given, "threads", 1, 1024), _MOST_THREADS)]
    many = min(torch.get_num_threads(), neurons // _WORTH_A_THREAD)
    return [1, many] if many > 1 else [1]


__all__ = ["Pace", "numbers_of_threads"]
