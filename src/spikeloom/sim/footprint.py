"""What each part of a network takes, in bytes: as long as it is held, and besides while it is built."""

from __future__ import annotations

import dataclasses
from typing import final

import numpy as np
import torch

from ..kernels.propagate.drive import LEAD
from ..solvers import Located, OffGrid
from ..units import ms, plain
from .build import LONGEST_WINDOW
from .coupling import Coupling
from .distributions import Distribution
from .edges import NARROW, Edges
from .groups import Group, PoissonGroup, Population, SpikeSource
from .plastic_rule import moves, traced
from .ports import added_state
from .projection import Delay, Projection

_START, _PLACE, _NUMBER = 8, 4, 8  # bytes of a row's beginning, of an index or a step, of a float64
_LOOKED_AT = 1 << 14  # edges whose delays are drawn to know how far they reach
_DRAWN_TOGETHER = 1 << 20  # numbers
_LINE = 64  # bytes on which each thread's count of spikes lies
_EVENT = 20  # bytes of a spike that arrives within a step, of which every edge may bring one


@dataclasses.dataclass(frozen=True)
class Bytes:
    """What stays, and what is needed ``besides`` until it is there."""

    held: float
    besides: float = 0.0


def peak(parts: list[Bytes]) -> float:
    """The most bytes at a time where these are built one after another.

    >>> peak([Bytes(100.0, 60.0), Bytes(20.0, 10.0)])
    160.0
    """
    most = held = 0.0
    for part in parts:
        held += part.held
        most = max(most, held + part.besides)
    return most


@final
class Reach:
    """Delays of the edges of ``projection`` in steps, as far as some of them tell: the ``shortest``, the ``longest``,
    and whether every edge has its own."""

    def __init__(self, projection: Projection) -> None:
        p = projection
        brought, given = getattr(p.rule, "delays", None), p.given[1]
        self.drawn = isinstance(given, Distribution)
        self.each = brought is not None or self.drawn or np.size(given) > 1
        delays = brought if brought is not None else _some(p, given) if isinstance(given, Distribution) else given
        besides = p.delay.besides if isinstance(p.delay, Delay) else 0.0
        steps = (np.atleast_1d(np.asarray(plain(delays, ms, "delay"), np.float64)) + besides) / p.dt
        steps = np.rint(steps[np.isfinite(steps)])
        self.shortest = max(1, int(steps.min(initial=65535.0))) if steps.size else 1
        self.longest = max(self.shortest, int(steps.max(initial=1.0)))

    @property
    def lag(self) -> int:
        """Steps from the shortest to the longest."""
        return self.longest - self.shortest


def _some(p: Projection, given: Distribution) -> np.ndarray:
    """Delays of edges from some sources, each to some target."""
    rng, count = np.random.default_rng(0), min(p.pre.size, _LOOKED_AT)
    starts = np.zeros(p.pre.size + 1, np.int64)
    starts[1 + np.linspace(0, p.pre.size - 1, count).astype(np.int64)] = 1
    targets = rng.integers(0, p.post.size, count).astype(np.int32)
    return given.along(0, Edges(np.cumsum(starts), targets), p.pre.side, p.post.side)


def edges(p: Projection, reach: Reach, width: int) -> Bytes:
    """Edges as kernels take them, and as their projection keeps them: places, weights, delays."""
    weight, _ = p.given
    brought = [v is not None for v in (getattr(p.rule, "weights", None), getattr(p.rule, "delays", None))]
    count, drawn = p.expected, isinstance(weight, Distribution)
    narrow = p.plasticity is None and p.post.size <= NARROW
    lag = 1 if reach.lag < 256 else 2
    each = 2 if narrow else _PLACE
    each += width if drawn or brought[0] or np.size(weight) > 1 else 0
    each += lag if reach.lag else 0
    each += _NUMBER * sum(brought)
    each += _EVENT if isinstance(p.post.solver, Located) else 0
    each += 0 if reach.drawn or not reach.each else 1 if reach.longest < 256 else 2
    besides = _while_drawn(count, drawn, reach, width) - (width * drawn + lag * (reach.lag > 0)) * count
    besides = max(besides, count * (_PLACE if narrow else 0), count * 2 * _NUMBER if sum(brought) else 0)
    return Bytes(count * each + _START * (p.pre.size + 1), max(besides, 0.0))


def _while_drawn(count: float, drawn: bool, reach: Reach, width: int) -> float:
    """Numbers on their way: weights, then delays, which are made steps; given ones are also compared with steps."""
    weights = count * _NUMBER + _drawing(count) if drawn else 0.0
    if reach.drawn:
        delays = max(count * _NUMBER + _drawing(count), 2 * _NUMBER * count)
    else:
        delays = 4 * _NUMBER * count if reach.each else 0.0
    return max(weights, delays + width * drawn * count)


def _drawing(count: float) -> float:
    """What drawing so many numbers takes besides them."""
    return 2 * _NUMBER * min(count, _DRAWN_TOGETHER)


def memory(p: Projection, width: int) -> Bytes:
    """What edges remember: short-term plasticity."""
    if p.release is None:
        return Bytes(0.0)
    varied = sum(isinstance(v, Distribution) or np.size(v) > 1 for v in p.release.parameters.values())
    states = p.expected * (width * len(p.release.initial) + _PLACE)
    drawing = p.expected * _NUMBER + _drawing(p.expected) if varied else 0.0
    return Bytes(states + p.expected * width * varied, max(0.0, drawing - states))


def plastic(p: Projection, reach: Reach, width: int) -> Bytes:
    """What a rule of plasticity needs: weights of their own, edges by target, states of edges and of both sides."""
    rule = p.plasticity
    if rule is None:
        return Bytes(0.0)
    states = {side: sum(rule.side_of(n) == side for n in rule.states) for side in ("pre", "post", "edge")}
    each = width * (1 + states["edge"]) + 2 * _PLACE + _PLACE * moves(traced(rule))
    each += (_NUMBER + _PLACE) if reach.lag else 0  # the order of edges, and places in it
    sides = _history(p, reach, width)
    sides += p.post.size * (_PLACE + width * states["post"]) + _START * (p.post.size + 1)
    return Bytes(p.expected * each + sides, p.expected * 3 * _NUMBER)


def couplings(p: Projection, halves: list[Coupling], width: int) -> list[Bytes]:
    """Gap junctions: edges, and for each of their two sides the partners of every neuron."""
    count, brought = p.expected, getattr(p.rule, "weights", None) is not None
    narrow = 2 if p.post.size <= NARROW else _PLACE
    found = [Bytes(count * (narrow + _NUMBER * brought) + _START * (p.pre.size + 1), count * 2 * _NUMBER)]
    for half in halves:
        rows = count * (2 if p.pre is p.post else 1)
        held = rows * (_PLACE + _NUMBER + width) + half.target.size * (2 * _START + width)
        found.append(Bytes(held, rows * 4 * _NUMBER))
    return found


def _history(p: Projection, reach: Reach, width: int) -> float:
    """Of each source its latest spikes, as many as may be under way, with its traces."""
    traces = 0 if p.plasticity is None else sum(p.plasticity.side_of(n) == "pre" for n in p.plasticity.states)
    return p.pre.size * (_PLACE + (reach.lag + 1) * (_PLACE + width * traces))


def threads(p: Projection, reach: Reach, width: int) -> Bytes:
    """What each thread has of its own: where its targets begin in each row, and what a rule of plasticity looks at."""
    number = torch.get_num_threads()
    held = 0.0 if p.plasticity is None else number * _history(p, reach, width)
    return Bytes(held + (_START * p.pre.size * number if number > 1 else 0.0))


def neurons(population: Population, ports: dict[str, int], inputs: int, width: int) -> Bytes:
    """States, parameters of their own, and what is to arrive: ``ports`` say in how many steps more than one."""
    model = population.model
    rows = len(model.states) + inputs + sum(np.size(v) > 1 for v in model.values.values())
    rows += sum(lag + 1 for port, lag in ports.items() if lag or added_state(model, port) is None)
    return Bytes(population.size * rows * width, 2.0 * population.size * _NUMBER)


def slots(group: Group, reaches: dict[Projection, Reach]) -> int:
    """For how many steps the spikes of ``group`` are kept."""
    window = LEAD + min([LONGEST_WINDOW, *(r.shortest for r in reaches.values())])
    needed = [window]
    for p, reach in reaches.items():
        if p.pre is group:
            needed.append(window + (reach.shortest if p.plasticity is None else reach.longest))
    return max(needed)


def lists(group: Group, slots: int) -> Bytes:
    """Spikes of the latest steps, and room for those of one more."""
    each = _PLACE + (_NUMBER if isinstance(group, Population) and isinstance(group.solver, OffGrid) else 0)
    held = group.size * each * (slots + 1) + slots * torch.get_num_threads() * _LINE
    if isinstance(group, SpikeSource):
        return Bytes(held + len(group.times) * (_NUMBER + _PLACE), len(group.times) * 2 * _NUMBER)
    return Bytes(
        held + (_NUMBER * group.size if isinstance(group, PoissonGroup) and group.rate.numbers.size > 1 else 0)
    )


__all__ = ["Bytes", "Reach", "couplings", "edges", "lists", "memory", "neurons", "peak", "plastic", "slots", "threads"]
