"""Connections whose weights change: a rule traced into text, and its edges as arrays."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from ..errors import NonFiniteError, ParameterError
from ..kernels.plastic.edges import WEIGHT, History, Incoming, Plastic, Traces
from ..kernels.propagate.deliver import Wires
from ..kernels.propagate.drive import LEAD
from ..lang.graph import Graph
from ..models.synapses import NMDA, Conductance
from ..plasticity import Plasticity
from .groups import Group
from .plastic_rule import moves, traced
from .ports import mechanism_at
from .projection import Delay, Projection


class PlasticEdges:
    """The edges of a projection with a plasticity rule, while the network runs.

    ``wires`` and ``plastic`` are what kernels take; they are in an order of their own, by source, delay and target:
    edge k of theirs is edge ``order[k]`` of the projection (None: the same order).
    """

    def __init__(self, projection: Projection, wires: Wires, dtype: np.dtype[Any]) -> None:
        rule = projection.plasticity
        assert rule is not None
        self.projection = projection
        self._steps = traced(rule)
        back = 2 * _dendritic(projection)
        order = None if wires.lags is None else wires.by_delay()
        weights = np.array(np.broadcast_to(wires.weights, wires.targets.shape))
        self.order = order
        self._check(rule, weights)
        if order is None:
            self.wires = Wires(wires.starts, wires.targets, weights, wires.delay)
        else:
            assert wires.lags is not None
            self.wires = Wires(wires.starts, wires.targets[order], weights[order], wires.delay, wires.lags[order])
        self.initial = zlib.crc32(self.wires.weights.tobytes())  # of the weights before anything happened
        self.plastic = self._arrays(rule, back, dtype)
        projection.live = self

    def values(self, name: str = WEIGHT) -> np.ndarray:
        """A copy of the weights, or of another state of each edge, in the order of the projection's edges."""
        mine = self.wires.weights if name == WEIGHT else self.plastic.states[name]
        if self.order is None:
            return mine.copy()
        found = np.empty_like(mine)
        found[self.order] = mine
        return found

    def places(self, edges: np.ndarray) -> np.ndarray:
        """Where the given edges of the projection are in the arrays."""
        if self.order is None:
            return edges
        inverse = np.empty_like(self.order)
        inverse[self.order] = np.arange(len(self.order))
        return inverse[edges]

    def slots(self, group: Group, window: int) -> int:
        """For how many steps the spikes of ``group`` are needed."""
        p, w = self.projection, self.wires
        sent = w.delay + self.plastic.history.room - 1 + window + LEAD if group is p.pre else 0
        return max(sent, self.plastic.back + 1 if group is p.post else 0)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that changes, by name. No copies."""
        p = self.plastic
        found = {WEIGHT: self.wires.weights, **p.states} | ({} if p.latest is None else {"latest": p.latest})
        found = {f"edge/{n}": values for n, values in found.items()}
        found |= {"pre/heads": p.history.heads, "pre/steps": p.history.steps, "post/latest": p.traces.latest}
        return found | {f"trace/{n}": v for n, v in {**p.history.values, **p.traces.values}.items()}

    def check_finite(self) -> None:
        """Raise NonFiniteError where a weight or another state of an edge is not finite."""
        for name, values in ((WEIGHT, self.wires.weights), *self.plastic.states.items()):
            if not np.isfinite(values.sum(dtype=np.float64)):
                bad = int(np.flatnonzero(~np.isfinite(self.values(name)))[0])
                what = f"{self.projection.name}: {name} of edge {bad} is not finite"
                mend = "Give the rule bounds, or look for states that grow without any."
                raise NonFiniteError(what, got=self.values(name)[bad], expected="finite numbers", mend=mend)

    def _check(self, rule: Plasticity, weights: np.ndarray) -> None:
        p = self.projection
        low, high = rule.limits()
        if isinstance(mechanism_at(p.post.model, p.port), (Conductance, NMDA)) and (low is None or float(low) < 0.0):
            mend = f"Give {type(rule).__name__} a lowest weight of 0 or more."
            raise ParameterError(f"{p.name}: a conductance could become negative", got=low, expected=">= 0", mend=mend)
        for bound, sign in ((low, 1.0), (high, -1.0)):
            if bound is not None and weights.size and (sign * (weights - weights.dtype.type(bound)) < 0.0).any():
                got = float(weights.min() if sign > 0 else weights.max())
                expected = f"{'>=' if sign > 0 else '<='} {float(bound):g}, a bound of {type(rule).__name__}"
                raise ParameterError(f"{p.name}: weight", got=got, expected=expected)

    def _arrays(self, rule: Plasticity, back: int, dtype: np.dtype[Any]) -> Plastic:
        p, w, count = self.projection, self.wires, len(self.wires.targets)
        names = {side: [n for n in rule.states if rule.side_of(n) == side] for side in ("pre", "post", "edge")}
        first = {n: float(state.default) for n, state in rule.states.items()}
        room = 1 if w.lags is None else int(w.lags.max(initial=0)) + 1
        history = History(
            np.zeros(p.pre.size, np.int32), np.full((p.pre.size, room), -1, np.int32),
            {n: np.full((p.pre.size, room), first[n], dtype) for n in names["pre"]},
        )  # fmt: skip
        traces = Traces(
            np.full(p.post.size, back - 1, np.int32), {n: np.full(p.post.size, first[n], dtype) for n in names["post"]}
        )
        edges = np.argsort(w.targets, kind="stable").astype(np.int32)
        starts = np.concatenate([[0], np.cumsum(np.bincount(w.targets, minlength=p.post.size))]).astype(np.int64)
        incoming = Incoming(starts, edges, p.sources()[edges])
        period = p.whole_steps("period", rule.values["period"]) if Graph.parse(self._steps.periodic).outputs else 0
        return Plastic(
            self._steps, np.array([rule.values[n] for n in self._steps.parameters], dtype),
            {n: np.full(count, first[n], dtype) for n in names["edge"]},
            np.full(count, -1, np.int32) if moves(self._steps) else None, history, traces, incoming, back, period, p.dt,
        )  # fmt: skip


def _dendritic(p: Projection) -> int:
    """Steps of the dendritic part of the delay, which all edges share."""
    delay = p.delay
    if p.edges.delays is not None or not isinstance(delay, Delay) or not isinstance(delay.dendritic, (int, float)):
        mend = "Such as delay=sl.sim.Delay(axonal=sl.sim.uniform(1.0, 20.0), dendritic=0.5)."
        what = f"{p.name}: plasticity has to know where along the way a delay lies"
        raise ParameterError(what, expected="individual axonal parts, one dendritic part", mend=mend)
    steps = p.whole_steps("dendritic part of the delay", delay.dendritic) if delay.dendritic else 0
    if p.steps.size and steps > int(p.steps.min()):
        raise ParameterError(
            f"{p.name}: dendritic part of the delay", got=delay.dendritic, expected="at most all of it"
        )
    return steps


__all__ = ["PlasticEdges"]
