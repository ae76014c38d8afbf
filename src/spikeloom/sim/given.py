"""Edges that are given: lists of pairs, matrices."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..errors import ParameterError, ShapeError
from ..units import ms, plain
from .edges import Edges, Rule, Side


@dataclasses.dataclass(frozen=True, eq=False)
class _FromPairs(Rule):
    label: str
    pre: np.ndarray
    post: np.ndarray
    weights: np.ndarray | None
    delays: np.ndarray | None
    shape: tuple[int, int] | None = None

    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        if self.shape is not None and self.shape != (pre.size, post.size):
            raise ShapeError(self.label, got=self.shape, expected=f"({pre.size}, {post.size}), sources by targets")
        for what, indices, size in (("sources", self.pre, pre.size), ("targets", self.post, post.size)):
            if indices.size and not (indices.min() >= 0 and indices.max() < size):
                got = f"{indices.min()} to {indices.max()}"
                raise ParameterError(f"{self.label}: {what}", got=got, expected=f"0 to {size - 1}")
        order = np.lexsort((self.post, self.pre))
        starts = np.zeros(pre.size + 1, np.int64)
        np.cumsum(np.bincount(self.pre, minlength=pre.size), out=starts[1:])
        weights, delays = (None if a is None else a[order] for a in (self.weights, self.delays))
        return Edges(starts, self.post[order].astype(np.int32), weights, delays)

    def expected(self, pre: int, post: int) -> float:
        return float(len(self.pre))


def from_pairs(pre: Any, post: Any, *, weights: Any = None, delays: Any = None) -> Rule:
    """An edge from ``pre[k]`` to ``post[k]`` for each k, with its weight and delay (ms) where these are given.

    Raises ShapeError for arrays of different lengths, ParameterError for indices that are no whole numbers, weights
    and delays that are not finite, and, when groups are connected, for indices that there are not.

    >>> edges = from_pairs([1, 0], [0, 2], weights=[0.5, 0.7]).edges(Side(2), Side(3), False, 0)
    >>> edges.starts.tolist(), edges.targets.tolist(), edges.weights.tolist()
    ([0, 1, 2], [2, 0], [0.7, 0.5])
    """
    label, ends = "from_pairs", [np.asarray(pre), np.asarray(post)]
    for name, indices in zip(("pre", "post"), ends, strict=True):
        if indices.ndim != 1 or len(indices) != len(ends[0]):
            raise ShapeError(f"{label}: {name}", got=indices.shape, expected="arrays [E] of one length")
        if indices.size and indices.dtype.kind not in "iu":
            raise ParameterError(f"{label}: {name}", got=f"an array of {indices.dtype}", expected="whole numbers")
    first, second = (indices.astype(np.int64) for indices in ends)
    count = len(first)
    return _FromPairs(label, first, second, _each("weights", weights, count), _each("delays", plain_ms(delays), count))


def from_matrix(matrix: Any) -> Rule:
    """An edge for each entry of ``matrix`` [sources, targets] that is not zero, with the entry as its weight.

    A NumPy array or a scipy sparse matrix. Raises ShapeError for any other, ParameterError for entries that are not
    finite.

    >>> edges = from_matrix(np.array([[0.0, 2.0], [3.0, 0.0]])).edges(Side(2), Side(2), True, 0)
    >>> edges.targets.tolist(), edges.weights.tolist()
    ([1, 0], [2.0, 3.0])
    """
    if hasattr(matrix, "tocoo"):
        sparse = matrix.tocoo()
        pre, post, weights, shape = sparse.row, sparse.col, sparse.data, sparse.shape
        kept = weights != 0
        pre, post, weights = pre[kept], post[kept], weights[kept]
    else:
        dense = np.asarray(matrix)
        if dense.ndim != 2:
            raise ShapeError("from_matrix", got=dense.shape, expected="[sources, targets]")
        (pre, post), shape = np.nonzero(dense), dense.shape
        weights = dense[pre, post]
    made = from_pairs(pre, post, weights=weights)
    return dataclasses.replace(made, label="from_matrix", shape=shape)  # type: ignore[type-var]


def plain_ms(value: Any) -> Any:
    """Times in ms as numbers."""
    return None if value is None else plain(value, ms, "delays")


def _each(name: str, given: Any, count: int) -> np.ndarray | None:
    if given is None:
        return None
    numbers = np.asarray(given, np.float64)
    if numbers.shape not in ((), (count,)):
        raise ShapeError(f"from_pairs: {name}", got=numbers.shape, expected=f"[{count}], one for each edge")
    if not np.isfinite(numbers).all():
        raise ParameterError(f"from_pairs: {name}", got="NaN or infinity", expected="finite numbers")
    return np.array(np.broadcast_to(numbers, (count,)))


__all__ = ["from_matrix", "from_pairs"]
