"""Spikes of a group in the steps of a chunk: lists of the latest, for those who receive them, and all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, MutableSequence, Sequence

import numpy as np

from ..kernels.memory import aligned
from ..kernels.propagate import reference, sources, times
from ..kernels.propagate.advance import Lists
from ..kernels.propagate.drive import Task, own_task
from ..kernels.propagate.merge import merged


class SpikeLog:
    """``lists`` begin with the spikes of ``recent`` steps, and of each how long ``ahead`` it was; parts of the group
    are between ``bounds``. All of the ``steps`` from ``first`` on go to ``log`` [most * N], of each neuron at most
    ``most``, and their times to ``stamps``, where they have some."""

    def __init__(
        self, recent: Sequence[np.ndarray], ahead: Sequence[np.ndarray] | None, bounds: np.ndarray,
        first: int, steps: int, log: np.ndarray, stamps: np.ndarray | None,
    ) -> None:  # fmt: skip
        self.bounds, self.first, self.steps = bounds, first, steps
        parts, shape = len(bounds) - 1, (len(recent), int(bounds[-1]))
        counts = aligned((len(recent), parts, 8), np.dtype(np.int64))[..., 0]
        self.lists = Lists(np.empty(shape, np.int32), counts, None if ahead is None else np.empty(shape))
        for slot, neurons in enumerate(recent):
            places = np.searchsorted(neurons, bounds)
            for part, (a, b) in enumerate(itertools.pairwise(places)):
                mine = slice(bounds[part], bounds[part] + b - a)
                self.lists.neurons[slot, mine], counts[slot, part] = neurons[a:b], b - a
                if ahead is not None and self.lists.ahead is not None:
                    self.lists.ahead[slot, mine] = ahead[slot][a:b]
        self._log, self._stamps = log, stamps
        self._cursors, self._stamped = (np.zeros((parts, 8), np.int64) for _ in range(2))
        self._made = np.zeros((parts, steps), np.int64).T

    def tasks(self) -> Iterator[Task]:
        """What keeps the spikes of a step."""
        given = self.lists, self._log, self._cursors, self._made, self.first
        yield own_task(*sources.log_task(*given), self.bounds, reference.log(*given))
        if self._stamps is not None:
            stamped = self.lists, self._stamps, self._stamped
            yield own_task(*times.log_times_task(*stamped), self.bounds, times.log_times(*stamped))

    def put_back(self, recent: MutableSequence[np.ndarray], ahead: MutableSequence[np.ndarray] | None) -> None:
        """The spikes of the latest steps, as they were given."""
        end, slots = self.first + self.steps, self.lists.slots
        for slot in (step % slots for step in range(max(self.first, end - slots), end)):
            mine = [slice(b, b + c) for b, c in zip(self.bounds[:-1], self.lists.counts[slot], strict=True)]
            recent[slot] = np.concatenate([self.lists.neurons[slot, m] for m in mine])
            if ahead is not None and self.lists.ahead is not None:
                ahead[slot] = np.concatenate([self.lists.ahead[slot, m] for m in mine])

    def spikes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Step and neuron of every spike in order, and how long before the end of its step it was (None: at it)."""
        begins = self.bounds[:-1] * (len(self._log) // int(self.bounds[-1]))
        return merged(self._log, self._stamps, begins, self._made.T, self.first)


__all__ = ["SpikeLog"]
