"""Connection rules from the theory of graphs: small worlds and blocks."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..errors import ParameterError, ShapeError
from ..kernels.connect.bernoulli import Block, bernoulli_blocks
from ..kernels.connect.rewire import rewired_ring
from ..kernels.random import key_of
from ..units import one
from .edges import Edges, Rule, Side
from .numbers import array_of, numbers_of
from .rules import flag, probability


@dataclasses.dataclass(frozen=True)
class _SmallWorld(Rule):
    neighbours: int
    p: float

    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        if not same:
            mend = "Connect the group to itself."
            raise ParameterError("small_world", got="two groups", expected="a group and itself", mend=mend)
        if self.neighbours >= pre.size:
            got, expected = f"{self.neighbours} neighbours", f"fewer than the {pre.size} neurons"
            raise ParameterError("small_world", got=got, expected=expected)
        targets = rewired_ring(pre.size, self.neighbours, self.p, key)
        return Edges(np.arange(pre.size + 1, dtype=np.int64) * self.neighbours, targets.reshape(-1))

    def expected(self, pre: Side, post: Side) -> float:
        return float(self.neighbours) * pre.size


@dataclasses.dataclass(frozen=True)
class _BlockModel(Rule):
    pre: tuple[int, ...]
    post: tuple[int, ...]
    p: tuple[tuple[float, ...], ...]
    autapses: bool

    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        for side, sizes, group in (("sources", self.pre, pre), ("targets", self.post, post)):
            if sum(sizes) != group.size:
                got = f"blocks of {sum(sizes)} {side} in all"
                raise ShapeError("block_model", got=got, expected=f"the {group.size} of the group")
        rows, columns = ([int(x) for x in np.cumsum([0, *sizes])] for sizes in (self.pre, self.post))
        strips = [
            [
                Block((rows[a], rows[a + 1]), (columns[b], columns[b + 1]), self.p[a][b], key_of(key, f"{a} to {b}"))
                for a in range(len(self.pre))
            ]
            for b in range(len(self.post))
        ]
        return Edges(*bernoulli_blocks(pre.size, strips, same and not self.autapses))

    def expected(self, pre: Side, post: Side) -> float:
        return float(np.asarray(self.pre, float) @ np.asarray(self.p) @ np.asarray(self.post, float))


def small_world(neighbours: int, p: float) -> Rule:
    """A ring whose edges are redirected with probability ``p`` (Watts & Strogatz 1998, Nature 393:440).

    Each neuron sends to its ``neighbours`` nearest on the ring, half of them on each side: edges have a direction here.
    Each of them, in turn, is redirected with probability ``p`` to a neuron drawn evenly among those that the sender
    does not reach yet. Out-degrees stay; there are no autapses and no multapses. ``p`` = 0 is the ring, 1 a random
    graph.

    Raises ParameterError for an odd number of neighbours, or not fewer than there are neurons, for a ``p`` outside
    [0, 1], and for two different groups.

    >>> small_world(2, 0.0).edges(Side(4), Side(4), True, key=1).targets.tolist()
    [1, 3, 0, 2, 1, 3, 0, 2]
    """
    whole = isinstance(neighbours, (int, np.integer)) and not isinstance(neighbours, bool)
    if not (whole and neighbours >= 0 and neighbours % 2 == 0):
        raise ParameterError("small_world: neighbours", got=neighbours, expected="an even whole number, half a side")
    return _SmallWorld(int(neighbours), probability("small_world", p))


def block_model(sizes: Any, p: Any, *, post_sizes: Any = None, autapses: bool = True) -> Rule:
    """A stochastic block model: a pair from block a to block b with probability ``p[a][b]``, independently.

    ``sizes`` are those of consecutive blocks of sources; ``post_sizes`` of targets (None: the same blocks). ``p`` is
    [blocks of sources, blocks of targets]. Holland, Laskey & Leinhardt 1983, Social Networks 5:109.

    Raises ShapeError for a ``p`` of another shape, and, when groups are connected, for blocks that do not add up to
    them; ParameterError for probabilities outside [0, 1] and sizes that are no whole numbers of at least 0.

    >>> rule = block_model([2, 1], [[1.0, 0.0], [0.0, 1.0]])
    >>> rule.edges(Side(3), Side(3), True, key=1).targets.tolist()
    [0, 1, 0, 1, 2]
    """
    pre = _sizes("sizes", sizes)
    post = pre if post_sizes is None else _sizes("post_sizes", post_sizes)
    shape = f"numbers [{len(pre)}, {len(post)}]"
    table = numbers_of(p, one, "block_model: p", shape, "Give rows of one length.")
    if table.shape != (len(pre), len(post)):
        raise ShapeError("block_model: p", got=table.shape, expected=shape)
    chances = tuple(tuple(probability("block_model: p", float(x)) for x in row) for row in table)
    return _BlockModel(pre, post, chances, flag("block_model: autapses", autapses))


def _sizes(name: str, given: Any) -> tuple[int, ...]:
    sizes = array_of(given)
    if sizes.ndim != 1 or not sizes.size or sizes.dtype.kind not in "iu" or sizes.min() < 0:
        raise ParameterError(f"block_model: {name}", got=given, expected="a list of whole numbers of at least 0")
    return tuple(map(int, sizes))


__all__ = ["block_model", "small_world"]
