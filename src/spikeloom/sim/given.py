"""Edges that are given: lists of pairs, matrices, tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ParameterError, ShapeError, did_you_mean
from ..units import ms, plain
from .edges import Edges, Rule, Side
from .numbers import array_of, numbers_of, said


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
        starts = np.zeros(pre.size + 1, np.int64)
        np.cumsum(np.bincount(self.pre, minlength=pre.size), out=starts[1:])
        pairs = self.pre * post.size + self.post
        if (pairs[1:] >= pairs[:-1]).all():
            return Edges(starts, self.post.astype(np.int32), self.weights, self.delays)
        order = np.argsort(pairs, kind="stable")
        weights, delays = (None if a is None else a[order] for a in (self.weights, self.delays))
        return Edges(starts, self.post[order].astype(np.int32), weights, delays)

    def expected(self, pre: Side, post: Side) -> float:
        return float(len(self.pre))


def from_pairs(pre: Any, post: Any, *, weights: Any = None, delays: Any = None) -> Rule:
    """An edge from ``pre[k]`` to ``post[k]`` for each k, with its weight and delay (ms) where these are given.

    Raises ShapeError for arrays of different lengths, ParameterError for indices that are no whole numbers, weights
    and delays that are not finite, and, when groups are connected, for indices that there are not.

    >>> edges = from_pairs([1, 0], [0, 2], weights=[0.5, 0.7]).edges(Side(2), Side(3), False, 0)
    >>> edges.starts.tolist(), edges.targets.tolist(), edges.weights.tolist()
    ([0, 1, 2], [2, 0], [0.7, 0.5])
    """
    return _pairs("from_pairs", pre, post, weights, delays)


def from_matrix(matrix: Any, *, delays: Any = None) -> Rule:
    """An edge for each entry of ``matrix`` [sources, targets] that is not zero, with the entry as its weight.

    A NumPy array or a scipy sparse matrix, whose entries of one place add up. A matrix of truth values says where edges
    are and brings no weights. ``delays`` (ms) is another such matrix, of which the entries at the edges count. Raises
    ShapeError for any other, ParameterError for entries that are not finite.

    >>> edges = from_matrix(np.array([[0.0, 2.0], [3.0, 0.0]])).edges(Side(2), Side(2), True, 0)
    >>> edges.targets.tolist(), edges.weights.tolist()
    ([1, 0], [2.0, 3.0])
    """
    label = "from_matrix"
    pre, post, entries, shape = _entries(label, matrix)
    late = None
    if delays is not None:
        table = plain(delays, ms, "delays")
        table = table.tocsr() if hasattr(table, "tocsr") else numbers_of(table, ms, f"{label}: delays")  # type: ignore[union-attr]
        if table.shape != shape:
            raise ShapeError(f"{label}: delays", got=table.shape, expected=f"{shape}, as the matrix")
        late = np.asarray(table[pre, post], np.float64).reshape(-1)
    weights = None if entries.dtype == bool else entries
    return dataclasses.replace(_pairs(label, pre, post, weights, late), shape=shape)


def from_frame(
    frame: Any, *, pre: str = "pre", post: str = "post", weight: str | None = None, delay: str | None = None
) -> Rule:
    """An edge for each row of a table: a pandas or polars frame, or a dict of arrays.

    ``pre`` and ``post`` name the columns of indices, ``weight`` and ``delay`` (ms) those of numbers; by default these
    are the columns "weight" and "delay" where the table has them. Raises ParameterError for columns that there are not;
    else as :func:`from_pairs`.

    >>> rule = from_frame({"pre": [1, 0], "post": [0, 2], "delay": [1.0, 2.0]})
    >>> rule.edges(Side(2), Side(3), False, 0).delays.tolist()
    [2.0, 1.0]
    """
    named: Any = frame if isinstance(frame, Mapping) else getattr(frame, "columns", None)
    if named is None:
        expected = "a pandas or polars frame, or a dict of arrays"
        raise ParameterError("from_frame", got=type(frame).__name__, expected=expected)
    columns = [str(c) for c in named]
    for column in (pre, post, weight, delay):
        if column is not None and column not in columns:
            raise ParameterError(f"from_frame: there is no column {column!r}", mend=did_you_mean(column, columns))
    weight = "weight" if weight is None and "weight" in columns else weight
    delay = "delay" if delay is None and "delay" in columns else delay
    first, second, *numbers = (None if c is None else np.asarray(frame[c]) for c in (pre, post, weight, delay))
    return _pairs("from_frame", first, second, *numbers)


def _pairs(label: str, pre: Any, post: Any, weights: Any, delays: Any) -> _FromPairs:
    ends = [array_of(pre), array_of(post)]
    for name, indices in zip(("pre", "post"), ends, strict=True):
        if indices.ndim != 1 or len(indices) != ends[0].size:
            raise ShapeError(f"{label}: {name}", got=indices.shape, expected="arrays [E] of one length")
        if indices.size and indices.dtype.kind not in "iu":
            mend = "Take a mask's places by np.flatnonzero." if indices.dtype.kind == "b" else ""
            raise ParameterError(
                f"{label}: {name}", got=f"an array of {indices.dtype}", expected="whole numbers", mend=mend
            )
    # Copies, so that nobody changes them afterwards.
    first, second = (np.array(indices, np.int64) for indices in ends)
    count, late = len(first), None if delays is None else plain(delays, ms, "delays")
    return _FromPairs(
        label, first, second, _each(label, "weights", weights, count), _each(label, "delays", late, count)
    )


def _each(label: str, name: str, given: Any, count: int) -> np.ndarray | None:
    if given is None:
        return None
    try:
        numbers = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        raise ParameterError(f"{label}: {name}", got=type(given).__name__, expected="numbers") from None
    if numbers.shape not in ((), (count,)):
        raise ShapeError(f"{label}: {name}", got=numbers.shape, expected=f"[{count}], one for each edge")
    if not np.isfinite(numbers).all():
        at = "" if numbers.ndim == 0 else f" at edge {int(np.flatnonzero(~np.isfinite(numbers))[0])}"
        raise ParameterError(f"{label}: {name}", got=f"NaN or infinity{at}", expected="finite numbers")
    return np.array(np.broadcast_to(numbers, (count,)))


def _entries(label: str, matrix: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Rows, columns and values of the entries that are not zero, row by row, and the shape."""
    if hasattr(matrix, "tocsr"):
        if matrix.dtype.kind not in "biuf":
            raise ParameterError(label, got=f"a sparse matrix of {matrix.dtype}", expected="numbers or truth values")
        wide = matrix if matrix.dtype == bool else matrix.astype(np.float64)  # sums of int8 would overflow
        rows = wide.tocsr().copy()
        rows.sum_duplicates()
        sparse = rows.tocoo()
        kept = sparse.data != 0
        return sparse.row[kept], sparse.col[kept], sparse.data[kept], sparse.shape
    dense = array_of(matrix)
    if dense.dtype.kind not in "biuf":
        expected = "rows of numbers or truth values, of one length"
        raise ParameterError(label, got=said(matrix), expected=expected)
    if dense.ndim != 2:
        raise ShapeError(label, got=dense.shape, expected="[sources, targets]")
    pre, post = np.nonzero(dense)
    return pre, post, dense[pre, post], dense.shape  # type: ignore[return-value]


__all__ = ["from_frame", "from_matrix", "from_pairs"]
