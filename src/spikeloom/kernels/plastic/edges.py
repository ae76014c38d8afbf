"""Plastic edges as arrays: weights, what each edge remembers, traces of the neurons on both sides."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

WEIGHT = "w"


@dataclasses.dataclass(frozen=True)
class Steps:
    """What happens to an edge as texts of :class:`~spikeloom.lang.graph.Graph`, with inputs ``s.NAME``, ``p.NAME`` and
    the times since the last event, ``elapsed.pre``, ``elapsed.post`` and ``elapsed.edge`` (ms); outputs ``next.NAME``.

    ``pre`` and ``post`` change an edge, ``pre_traces`` and ``post_traces`` the neurons, ``periodic`` an edge.
    """

    pre: str
    post: str
    pre_traces: str
    post_traces: str
    periodic: str
    parameters: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class History:
    """The latest spikes of each source, as its edges need them: where delays differ, some are still on their way.

    ``steps`` int32 [sources, room] in which it fired (-1: the begin), ``values`` [sources, room] of each trace after
    it, ``heads`` int32 [sources] the place of the newest.
    """

    heads: np.ndarray
    steps: np.ndarray
    values: Mapping[str, np.ndarray]

    @property
    def room(self) -> int:
        return self.steps.shape[-1]

    def copies(self, parts: int) -> History:
        """One for each part, which all follow the same spikes; the first one is this one itself."""
        if parts == 1:
            return self

        def several(array: np.ndarray) -> np.ndarray:
            return np.repeat(array[None], parts, axis=0)

        return History(several(self.heads), several(self.steps), {n: several(v) for n, v in self.values.items()})

    def take(self, copies: History) -> None:
        """Go on from what :meth:`copies` gave."""
        if copies is not self:
            for mine, theirs in zip(self.arrays(), copies.arrays(), strict=True):
                mine[...] = theirs[0]

    def arrays(self) -> list[np.ndarray]:
        return [self.heads, self.steps, *self.values.values()]


@dataclasses.dataclass(frozen=True, eq=False)
class Traces:
    """Traces of the targets: ``values`` [targets] by name as they were in step ``latest`` int32 [targets]."""

    latest: np.ndarray
    values: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Incoming:
    """The edges of each target: ``edges[starts[t] : starts[t + 1]]``, and their ``sources``; int32, starts int64."""

    starts: np.ndarray
    edges: np.ndarray
    sources: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Plastic:
    """Edges that change, beside their :class:`~spikeloom.kernels.propagate.deliver.Wires`.

    The edges of a source are in the order of their delays, those of one delay in the order of their targets.
    ``states`` [E] by name; ``latest`` int32 [E] is the step of an edge's last event where its states move in between.
    A spike of a target reaches its edges ``back`` steps later, twice the dendritic part of the delay, in the steps in
    which their spikes arrive. ``period`` is in steps (0: none), ``dt`` in ms.
    """

    steps: Steps
    parameters: np.ndarray
    states: Mapping[str, np.ndarray]
    latest: np.ndarray | None
    history: History
    traces: Traces
    incoming: Incoming
    back: int
    period: int
    dt: float


__all__ = ["WEIGHT", "History", "Incoming", "Plastic", "Steps", "Traces"]
