"""Distances between members of groups, in open and in periodic space."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ParameterError, ShapeError
from .edges import Edges, Side
from .numbers import array_of, said

_CHUNK = 2**18  # edges whose distances are found together


def places(label: str, pre: Side, post: Side) -> tuple[np.ndarray, np.ndarray]:
    """Positions of both sides; raises ParameterError where one has none, ShapeError for different dimensions."""
    if pre.positions is None or post.positions is None:
        side = "sources" if pre.positions is None else "targets"
        mend = "Give the population its positions=, an array [size, dimensions]."
        raise ParameterError(f"{label}: the {side} have no positions", mend=mend)
    if pre.positions.shape[1] != post.positions.shape[1]:
        got = f"{pre.positions.shape[1]} and {post.positions.shape[1]} dimensions"
        raise ShapeError(f"{label}: positions", got=got, expected="the same number of dimensions on both sides")
    return pre.positions, post.positions


def checked_periods(label: str, periodic: Any) -> tuple[float, ...] | None:
    """Lengths after which space repeats, one for all dimensions or one for each; None where it does not."""
    if periodic is None:
        return None
    lengths = np.atleast_1d(array_of(periodic))
    real = lengths.ndim == 1 and lengths.dtype.kind in "iuf"
    if not (real and np.isfinite(lengths).all() and (lengths > 0.0).all()):
        expected = "lengths above 0, one or one a dimension"
        raise ParameterError(f"{label}: periodic", got=said(periodic), expected=expected)
    return tuple(map(float, lengths))


def periods_of(label: str, periodic: tuple[float, ...] | None, dimensions: int) -> np.ndarray:
    """The lengths as an array [dimensions], 0 in open space."""
    given = (0.0,) if periodic is None else periodic
    if len(given) not in (1, dimensions):
        raise ShapeError(f"{label}: periodic", got=f"{len(given)} lengths", expected=f"1 or {dimensions}")
    return np.array(np.broadcast_to(given, (dimensions,)))


def apart(a: np.ndarray, b: np.ndarray, periods: np.ndarray) -> np.ndarray:
    """Distance of ``a[k]`` and ``b[k]``, the shortest there is where space is periodic."""
    steps = np.abs(b - a)
    length = np.where(periods > 0.0, periods, math.inf)
    return np.sqrt((np.minimum(steps % length, length - steps % length) ** 2).sum(axis=1))


def distances(label: str, edges: Edges, pre: Side, post: Side, periodic: tuple[float, ...] | None) -> np.ndarray:
    """Length of each edge, float64 [E]."""
    a, b = places(label, pre, post)
    periods = periods_of(label, periodic, a.shape[1])
    found = np.empty(len(edges.targets))
    for first in range(0, len(found), _CHUNK):
        last = min(first + _CHUNK, len(found))
        sources = np.searchsorted(edges.starts, np.arange(first, last), side="right") - 1
        found[first:last] = apart(a[sources], b[edges.targets[first:last]], periods)
    return found


__all__ = ["apart", "checked_periods", "distances", "periods_of", "places"]
