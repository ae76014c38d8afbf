"""Edges of a projection as arrays, and the role of a connection rule, which makes them."""

from __future__ import annotations

import abc
import dataclasses

import numpy as np

from ..errors import ParameterError, ShapeError

NARROW = 1 << 16  # targets whose places take two bytes
_CHUNK = 2**20  # edges that are looked at together


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

    def check(self, pre: Side, post: Side) -> None:
        """Raise ShapeError or ParameterError unless these are rows of edges from ``pre`` to ``post``.

        Kernels follow edges without looking at bounds, so the edges of a rule are checked before they are used.

        >>> Edges(np.array([0, 1]), np.array([3], np.int32)).check(Side(1), Side(3))
        Traceback (most recent call last):
        ...
        spikeloom.errors.ParameterError: targets of edges: got 3, expected 0 to 2
        """
        count = self.targets.size
        kinds = (("starts", self.starts, np.int64, pre.size + 1), ("targets", self.targets, np.int32, count))
        numbers = (("weights", self.weights, np.float64, count), ("delays", self.delays, np.float64, count))
        for name, array, dtype, size in (*kinds, *numbers):
            if array is not None and (array.dtype != dtype or array.shape != (size,)):
                got = f"{array.dtype} {list(array.shape)}"
                raise ShapeError(f"{name} of edges", got=got, expected=f"{np.dtype(dtype)} [{size}]")
            if array is not None and not array.flags.c_contiguous:
                raise ShapeError(f"{name} of edges", got="every so many numbers", expected="a contiguous array")
        if self.starts[0] != 0 or self.starts[-1] != count or (np.diff(self.starts) < 0).any():
            expected = f"numbers that rise from 0 to {count}"
            raise ParameterError("starts of edges", got=f"{self.starts[0]} ... {self.starts[-1]}", expected=expected)
        if count and not 0 <= (low := int(self.targets.min())) <= (high := int(self.targets.max())) < post.size:
            raise ParameterError("targets of edges", got=low if low < 0 else high, expected=f"0 to {post.size - 1}")
        self._check_ascending()

    def narrow(self, size: int) -> Edges:
        """The same with targets of two bytes each, where ``size`` targets have room in them."""
        few = size <= NARROW
        return dataclasses.replace(self, targets=self.targets.astype(np.uint16)) if few else self

    def wide(self) -> Edges:
        """The same with targets of four bytes each."""
        if self.targets.dtype == np.int32:
            return self
        return dataclasses.replace(self, targets=self.targets.astype(np.int32))

    def _check_ascending(self) -> None:
        for first in range(0, self.targets.size - 1, _CHUNK):
            part = self.targets[first : first + _CHUNK + 1]
            falls = np.flatnonzero(part[1:] < part[:-1]) + first + 1
            if falls.size:
                rows = np.searchsorted(self.starts, falls, side="right") - 1
                inside = falls[self.starts[rows] != falls]
                if inside.size:
                    row = int(np.searchsorted(self.starts, inside[0], side="right")) - 1
                    mend = "Sort the targets of each source, and their weights and delays with them."
                    raise ParameterError(f"targets of source {row} are out of order", mend=mend)


class Rule(abc.ABC):
    """How two groups are connected.

    Random rules draw from a counter-based generator with ``key``: equal keys give equal edges, on any threads.
    """

    @abc.abstractmethod
    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        """The edges from ``pre`` to ``post``; ``same`` says that these are one group."""

    @abc.abstractmethod
    def expected(self, pre: Side, post: Side) -> float:
        """How many edges there will be between these, about."""


__all__ = ["NARROW", "Edges", "Rule", "Side"]
