"""Plastic edges in one chunk of a run: the tasks of the driver, and what they leave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import numpy as np

from ..kernels.plastic import reference
from ..kernels.plastic.edges import WEIGHT
from ..kernels.plastic.tasks import deliver_task, look_back_task, periodic_task
from ..kernels.propagate import reference as plain
from ..kernels.propagate import sources
from ..kernels.propagate.advance import Lists
from ..kernels.propagate.drive import Task, own_task
from .plastic import PlasticEdges
from .recorders import EdgeRecorder


@final
class PlasticRun:
    """Tasks over ``edges`` for ``pre`` and ``post``, the spike lists of both sides with the bounds of their parts."""

    def __init__(
        self, edges: PlasticEdges, pre: tuple[Lists, np.ndarray], post: tuple[Lists, np.ndarray], strict: bool
    ) -> None:
        self.edges, self._pre, self._post, self._strict = edges, pre, post, strict
        self._history = edges.plastic.history.copies(len(pre[1]) - 1)
        self._recorded: list[tuple[np.ndarray, np.ndarray]] = []

    def deliver(self, rows: np.ndarray, split: np.ndarray) -> Task:
        """Presynaptic spikes arrive in ``rows``."""
        (lists, bounds), e = self._pre, self.edges
        found = deliver_task(lists, bounds, e.wires, e.plastic, self._history, rows, split, self._strict)
        return Task(*found, self._post[1], reference.deliver(lists, e.wires, e.plastic, rows), fires=False)

    def after(self) -> Iterator[Task]:
        """What comes after the neurons of a step: what happens once in a while, then postsynaptic spikes."""
        (lists, bounds), e = self._post, self.edges
        if e.plastic.period:
            found = periodic_task(e.wires, e.plastic, self._strict)
            yield Task(*found, bounds, reference.periodic(e.wires, e.plastic), fires=False)
        found = look_back_task(lists, e.wires, e.plastic, self._history, self._strict)
        yield Task(*found, bounds, reference.look_back(lists, e.wires, e.plastic), fires=False)

    def sample(self, recorder: EdgeRecorder, rows: np.ndarray, first: int) -> Task:
        """Samples of ``recorder``; each part has those of its own targets."""
        e = self.edges
        places = e.places(recorder.neurons)
        order = np.argsort(e.wires.targets[places], kind="stable")
        self._recorded.append((rows, np.argsort(order, kind="stable")))
        state = e.wires.weights if recorder.state == WEIGHT else e.plastic.states[recorder.state]
        given = state, np.ascontiguousarray(places[order], np.int64), rows, recorder.every, first
        bounds = np.searchsorted(e.wires.targets[places[order]], self._post[1]).astype(np.int64)
        return own_task(*sources.sample_task(*given), bounds, plain.sample(*given))

    def harvest(self) -> None:
        """Put back what every part had for itself, and samples into the order of the edges."""
        self.edges.plastic.history.take(self._history)
        for rows, inverse in self._recorded:
            rows[...] = rows[:, inverse]


__all__ = ["PlasticRun"]
