"""Connection rules without geometry: all pairs, random pairs, given numbers of partners."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..errors import ParameterError
from ..kernels.connect.bernoulli import bernoulli
from ..kernels.connect.choose import incoming, outgoing, spread
from ..kernels.random import key_of
from .edges import Edges, Rule, Side
from .numbers import scalar

_MOST = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class _AllToAll(Rule):
    autapses: bool

    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        width = post.size - (same and not self.autapses)
        rows = np.empty((pre.size, width), np.int32)
        rows[:] = np.arange(width, dtype=np.int32)
        if width < post.size:
            for source in range(pre.size):
                rows[source, source:] += 1
        return Edges(np.arange(pre.size + 1, dtype=np.int64) * width, rows.reshape(-1))

    def expected(self, pre: Side, post: Side) -> float:
        return float(pre.size) * post.size


@dataclasses.dataclass(frozen=True)
class _OneToOne(Rule):
    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        if pre.size != post.size:
            mend = "Use fixed_in_degree(1) or from_pairs."
            got = f"groups of {pre.size} and {post.size}"
            raise ParameterError("one_to_one", got=got, expected="equal sizes", mend=mend)
        return Edges(np.arange(pre.size + 1, dtype=np.int64), np.arange(pre.size, dtype=np.int32))

    def expected(self, pre: Side, post: Side) -> float:
        return float(pre.size)


@dataclasses.dataclass(frozen=True)
class _FixedProbability(Rule):
    p: float
    autapses: bool

    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        if self.p == 1.0:
            return _AllToAll(self.autapses).edges(pre, post, same, key)
        return Edges(*bernoulli(pre.size, post.size, self.p, same and not self.autapses, key))

    def expected(self, pre: Side, post: Side) -> float:
        return self.p * pre.size * post.size


@dataclasses.dataclass(frozen=True)
class _FixedInDegree(Rule):
    count: int
    autapses: bool
    multapses: bool

    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        skip = same and not self.autapses
        _check_choices("fixed_in_degree", self.count, pre.size - skip, self.multapses, "sources")
        counts = np.full(post.size, self.count, np.int32)
        return Edges(*incoming(pre.size, counts, skip, not self.multapses, key))

    def expected(self, pre: Side, post: Side) -> float:
        return float(self.count) * post.size


@dataclasses.dataclass(frozen=True)
class _FixedOutDegree(Rule):
    count: int
    autapses: bool
    multapses: bool

    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        skip = same and not self.autapses
        _check_choices("fixed_out_degree", self.count, post.size - skip, self.multapses, "targets")
        targets = outgoing(pre.size, post.size, self.count, skip, not self.multapses, key)
        return Edges(np.arange(pre.size + 1, dtype=np.int64) * self.count, targets.reshape(-1))

    def expected(self, pre: Side, post: Side) -> float:
        return float(self.count) * pre.size


@dataclasses.dataclass(frozen=True)
class _FixedTotal(Rule):
    count: int
    autapses: bool
    multapses: bool

    def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
        skip = same and not self.autapses
        there = pre.size - skip
        _check_choices("fixed_total", self.count, there * post.size, self.multapses, "pairs")
        # How many sources each target has, then which: every pair is equally likely.
        counts = spread(self.count, post.size, None if self.multapses else there, key_of(key, "targets"))
        return Edges(*incoming(pre.size, counts, skip, not self.multapses, key_of(key, "sources")))

    def expected(self, pre: Side, post: Side) -> float:
        return float(self.count)


def all_to_all(*, autapses: bool = True) -> Rule:
    """Every source to every target; without ``autapses`` no neuron of a group to itself.

    >>> all_to_all().edges(Side(2), Side(3), False, 0).targets.tolist()
    [0, 1, 2, 0, 1, 2]
    >>> all_to_all(autapses=False).edges(Side(3), Side(3), True, 0).targets.tolist()
    [1, 2, 0, 2, 0, 1]
    """
    return _AllToAll(flag("all_to_all: autapses", autapses))


def one_to_one() -> Rule:
    """Source k to target k; both groups have the same size (else ParameterError).

    >>> one_to_one().edges(Side(3), Side(3), False, 0).targets.tolist()
    [0, 1, 2]
    """
    return _OneToOne()


def fixed_probability(p: float, *, autapses: bool = True) -> Rule:
    """Each pair with probability ``p``, independently (Bernoulli); never a pair twice.

    Raises ParameterError for a ``p`` outside [0, 1].

    >>> fixed_probability(0.1).expected(Side(100), Side(50))
    500.0
    """
    return _FixedProbability(probability("fixed_probability", p), flag("fixed_probability: autapses", autapses))


def fixed_in_degree(count: int, *, autapses: bool = True, multapses: bool = True) -> Rule:
    """``count`` sources for each target, evenly drawn; with ``multapses`` one may be drawn several times.

    Raises ParameterError for counts below 0, and for more distinct sources than there are.

    >>> edges = fixed_in_degree(4).edges(Side(10), Side(3), False, key=1)
    >>> np.bincount(edges.targets).tolist()
    [4, 4, 4]
    """
    return _FixedInDegree(_count("fixed_in_degree", count, _MOST), *_flags("fixed_in_degree", autapses, multapses))


def fixed_out_degree(count: int, *, autapses: bool = True, multapses: bool = True) -> Rule:
    """``count`` targets for each source, evenly drawn; flags and errors as in :func:`fixed_in_degree`.

    >>> fixed_out_degree(4).edges(Side(3), Side(10), False, key=1).starts.tolist()
    [0, 4, 8, 12]
    """
    return _FixedOutDegree(_count("fixed_out_degree", count, _MOST), *_flags("fixed_out_degree", autapses, multapses))


def fixed_total(count: int, *, autapses: bool = True, multapses: bool = True) -> Rule:
    """``count`` pairs in all, evenly drawn; with ``multapses`` a pair may be drawn several times.

    Raises ParameterError for counts below 0, and for more distinct pairs than there are.

    >>> len(fixed_total(25).edges(Side(10), Side(10), True, key=1).targets)
    25
    """
    return _FixedTotal(_count("fixed_total", count), *_flags("fixed_total", autapses, multapses))


def flag(label: str, value: Any) -> bool:
    """A truth value; raises ParameterError for anything else."""
    value = scalar(value)
    if not isinstance(value, bool):
        raise ParameterError(label, got=repr(value), expected="True or False")
    return value


def probability(label: str, value: Any) -> float:
    """A number from 0 to 1; raises ParameterError for any other."""
    if not (not isinstance(value, bool) and isinstance(value, (int, float, np.number)) and 0.0 <= float(value) <= 1.0):
        raise ParameterError(label, got=value, expected="a probability from 0 to 1")
    return float(value)


def _flags(label: str, autapses: Any, multapses: Any) -> tuple[bool, bool]:
    return flag(f"{label}: autapses", autapses), flag(f"{label}: multapses", multapses)


def _count(label: str, value: Any, most: float = float("inf")) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value <= most:
        raise ParameterError(label, got=value, expected="a whole number of at least 0")
    return int(value)


def _check_choices(label: str, count: int, there: int, multapses: bool, what: str) -> None:
    if count and there < 1:
        raise ParameterError(label, got=f"no {what}", expected="autapses=True: there is no other neuron")
    if not multapses and count > there:
        mend = "Allow multapses, or ask for fewer."
        raise ParameterError(label, got=f"{count} distinct {what}", expected=f"at most {there}", mend=mend)


__all__ = [
    "all_to_all", "fixed_in_degree", "fixed_out_degree", "fixed_probability", "fixed_total", "flag", "one_to_one",
    "probability",
]  # fmt: skip
