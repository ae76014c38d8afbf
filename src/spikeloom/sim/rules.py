"""Connection rules without geometry: all pairs, random pairs, given numbers of partners."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..errors import ParameterError
from ..kernels.connect.draw import bernoulli, by_source, choices
from ..kernels.random import key_of
from .edges import Edges, Rule, Side


@dataclasses.dataclass(frozen=True)
class _AllToAll(Rule):
    autapses: bool

    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        skip = same and not self.autapses
        starts = np.arange(pre.size + 1, dtype=np.int64) * (post.size - skip)
        rows = np.broadcast_to(np.arange(post.size, dtype=np.int32), (pre.size, post.size))
        return Edges(starts, rows[~np.eye(pre.size, dtype=bool)] if skip else rows.reshape(-1))

    def expected(self, pre: int, post: int) -> float:
        return float(pre) * post


@dataclasses.dataclass(frozen=True)
class _OneToOne(Rule):
    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        if pre.size != post.size:
            raise ParameterError("one_to_one", got=f"groups of {pre.size} and {post.size}", expected="equal sizes")
        return Edges(np.arange(pre.size + 1, dtype=np.int64), np.arange(pre.size, dtype=np.int32))

    def expected(self, pre: int, post: int) -> float:
        return float(pre)


@dataclasses.dataclass(frozen=True)
class _FixedProbability(Rule):
    p: float
    autapses: bool

    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        if self.p == 0.0:
            return Edges(np.zeros(pre.size + 1, np.int64), np.empty(0, np.int32))
        if self.p == 1.0:
            return _AllToAll(self.autapses).edges(pre, post, same, key)
        return Edges(*bernoulli(pre.size, post.size, self.p, same and not self.autapses, key))

    def expected(self, pre: int, post: int) -> float:
        return self.p * pre * post


@dataclasses.dataclass(frozen=True)
class _FixedInDegree(Rule):
    count: int
    autapses: bool
    multapses: bool

    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        skip = same and not self.autapses
        _check_choices("fixed_in_degree", self.count, pre.size - skip, self.multapses, "sources")
        sources = choices(post.size, pre.size, self.count, skip, not self.multapses, key)
        return Edges(*by_source(sources, None, pre.size, max(self.count, 1)))

    def expected(self, pre: int, post: int) -> float:
        return float(self.count) * post


@dataclasses.dataclass(frozen=True)
class _FixedOutDegree(Rule):
    count: int
    autapses: bool
    multapses: bool

    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        skip = same and not self.autapses
        _check_choices("fixed_out_degree", self.count, post.size - skip, self.multapses, "targets")
        targets = choices(pre.size, post.size, self.count, skip, not self.multapses, key)
        targets.sort(axis=1)
        return Edges(np.arange(pre.size + 1, dtype=np.int64) * self.count, targets.reshape(-1))

    def expected(self, pre: int, post: int) -> float:
        return float(self.count) * pre


@dataclasses.dataclass(frozen=True)
class _FixedTotal(Rule):
    count: int
    autapses: bool

    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        skip = same and not self.autapses
        if self.count and skip and pre.size == 1:
            raise ParameterError("fixed_total", got="one neuron", expected="autapses=True: there is no other pair")
        targets = choices(self.count, post.size, 1, False, False, key_of(key, "targets")).reshape(-1)
        span = pre.size - skip
        sources = choices(self.count, span, 1, False, False, key_of(key, "sources")).reshape(-1)
        if skip:  # the source is drawn among the others
            sources = sources + (sources >= targets)
        order = np.argsort(targets, kind="stable")
        return Edges(*by_source(sources[order], targets[order], pre.size))

    def expected(self, pre: int, post: int) -> float:
        return float(self.count)


def all_to_all(*, autapses: bool = True) -> Rule:
    """Every source to every target.

    >>> all_to_all().edges(Side(2), Side(3), False, 0).targets.tolist()
    [0, 1, 2, 0, 1, 2]
    """
    return _AllToAll(autapses)


def one_to_one() -> Rule:
    """Source k to target k; both groups have the same size (else ParameterError)."""
    return _OneToOne()


def fixed_probability(p: float, *, autapses: bool = True) -> Rule:
    """Each pair with probability ``p``, independently (Bernoulli). Raises ParameterError for a ``p`` outside [0, 1].

    >>> fixed_probability(0.1).expected(100, 50)
    500.0
    """
    if not 0.0 <= p <= 1.0:
        raise ParameterError("fixed_probability", got=p, expected="a probability from 0 to 1")
    return _FixedProbability(float(p), autapses)


def fixed_in_degree(count: int, *, autapses: bool = True, multapses: bool = True) -> Rule:
    """``count`` sources for each target, evenly drawn; with ``multapses`` one may be drawn several times.

    Raises ParameterError for counts below 0, and for more distinct sources than there are.
    """
    return _FixedInDegree(_count("fixed_in_degree", count), autapses, multapses)


def fixed_out_degree(count: int, *, autapses: bool = True, multapses: bool = True) -> Rule:
    """``count`` targets for each source, evenly drawn; flags and errors as in :func:`fixed_in_degree`."""
    return _FixedOutDegree(_count("fixed_out_degree", count), autapses, multapses)


def fixed_total(count: int, *, autapses: bool = True) -> Rule:
    """``count`` pairs in all, evenly drawn; a pair may be drawn several times."""
    return _FixedTotal(_count("fixed_total", count), autapses)


def _count(label: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ParameterError(label, got=value, expected="a whole number of at least 0")
    return int(value)


def _check_choices(label: str, count: int, there: int, multapses: bool, what: str) -> None:
    if count and there < 1:
        raise ParameterError(label, got=f"no {what}", expected="autapses=True: there is no other neuron")
    if not multapses and count > there:
        mend = "Allow multapses, or ask for fewer."
        raise ParameterError(label, got=f"{count} distinct {what}", expected=f"at most {there}", mend=mend)


__all__ = ["all_to_all", "fixed_in_degree", "fixed_out_degree", "fixed_probability", "fixed_total", "one_to_one"]
