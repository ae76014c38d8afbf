"""Gap junctions between neurons of a network: each feels the mean of its partners' voltages."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, final

import numpy as np

from ..errors import ModelError, ParameterError
from ..models.synapses import GapJunction
from .edges import Rule
from .groups import Group, Population
from .projection import Projection, Receptor


@final
class Coupling:
    """What ``target`` feels of ``source`` through the edges of ``projection``, ``forward`` or against them, or both.

    The sum over partners ``sum(g_j (v_j - v))`` is ``g (v_other - v)`` with ``g = sum(g_j)`` and the mean ``v_other``
    of their voltages weighted by ``g_j``: one :class:`~spikeloom.GapJunction` called ``port``. The voltages are those
    at the end of the step before.
    """

    def __init__(
        self, projection: Projection, target: Population, source: Population, port: str, ways: tuple[bool, ...]
    ) -> None:
        self.projection, self.target, self.source, self.port, self._ways = projection, target, source, port, ways
        self.input = f"v_other_{port}"

    def total(self) -> np.ndarray:
        """Conductance to all partners of each target, [N]."""
        starts, _, conductances = self._by_target
        cumulative = np.concatenate([[0.0], np.cumsum(conductances)])
        return np.maximum(cumulative[starts[1:]] - cumulative[starts[:-1]], 0.0)

    def means(self, dtype: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows by target: starts [N + 1], partners, and each partner's share of the mean."""
        starts, others, conductances = self._by_target
        total = np.repeat(self.total(), np.diff(starts))
        return starts, others, np.divide(conductances, total, where=total > 0.0, out=np.zeros_like(total)).astype(dtype)

    @functools.cached_property
    def _by_target(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        p = self.projection
        weights = np.broadcast_to(p.weights, (p.size,))
        if p.size and float(weights.min()) < 0.0:
            raise ParameterError(f"{p.name}: weight of a gap junction", got=float(weights.min()), expected=">= 0")
        pairs = {True: (p.edges.targets, p.sources()), False: (p.sources(), p.edges.targets)}
        mine = np.concatenate([pairs[way][0] for way in self._ways])
        others = np.concatenate([pairs[way][1] for way in self._ways])
        order = np.lexsort((others, mine))
        starts = np.concatenate([[0], np.cumsum(np.bincount(mine, minlength=self.target.size))]).astype(np.int64)
        conductances = np.concatenate([weights] * len(self._ways))[order]
        return starts, others[order].astype(np.int32), conductances


def check_contact(label: str, contact: GapJunction, given: Mapping[str, Any]) -> None:
    """Raise ParameterError where a gap junction was ``given`` more than a weight: it is nothing but a conductance."""
    for what, value in given.items():
        if value is not None:
            raise ParameterError(
                f"{label}: {what} of a gap junction", got=repr(value), expected="none: it is a contact"
            )
    if contact != GapJunction():
        mend = "Write synapse=sl.GapJunction() and give the conductance as weight=."
        raise ParameterError(f"{label}: conductances are given twice", got=repr(contact), mend=mend)


def couple(
    label: str, pre: Group, post: Population, rule: Rule, weight: Any, net: tuple[float, int]
) -> tuple[Projection, tuple[Coupling, ...]]:
    """Couple the two sides of every edge; ``net`` is (dt, seed). Raises ModelError where one side has no voltage."""
    if not isinstance(pre, Population):
        raise ModelError(f"{label}: a gap junction couples voltages", got=repr(pre), expected="two populations")
    halves = [(post, pre, (True, False))] if pre is post else [(post, pre, (True,)), (pre, post, (False,))]
    ports: list[str] = []
    for target, _, _ in halves:
        port, number = "gap", 1
        while port in {*target.synapses, *target.given_model.targets, *ports}:
            number += 1
            port = f"gap_{number}"
        target.synapses[port] = GapJunction()
        ports.append(port)
    made = Projection(label, pre, post, rule, Receptor(ports[0]), (weight, None), net)
    found = [Coupling(made, t, s, port, ways) for (t, s, ways), port in zip(halves, ports, strict=True)]
    return made, tuple(found)


__all__ = ["Coupling", "check_contact", "couple"]
