"""Edges of a projection as arrays, and the role of a connection rule, which makes them."""

from __future__ import annotations

import abc
import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Side:
    """What a rule sees of a group: its ``size``, and ``positions`` [size, dimensions] where it has some."""

    size: int
    positions: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Edges:
    """Rows by source: the targets of source s are ``targets[starts[s] : starts[s + 1]]``, ascending.

    ``starts`` is int64 [sources + 1], ``targets`` int32 [E]; several edges between the same two are next to each other.
    Rules that bring their own numbers give ``weights`` and ``delays`` (ms) as float64 [E], in the order of ``targets``.
    """

    starts: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None
    delays: np.ndarray | None = None


class Rule(abc.ABC):
    """How two groups are connected.

    Random rules draw from a counter-based generator with ``key``: equal keys give equal edges, on any threads.
    """

    @abc.abstractmethod
    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        """The edges from ``pre`` to ``post``; ``same`` says that these are one group."""

    @abc.abstractmethod
    def expected(self, pre: int, post: int) -> float:
        """How many edges there will be between groups of these sizes, about."""


__all__ = ["Edges", "Rule", "Side"]
