"""What drives a neuron, cut into intervals over which it is smooth."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from ..models.base import NeuronModel


@dataclasses.dataclass(frozen=True)
class Interval:
    """From ``begin`` to ``end`` (ms): inputs ``x`` at a time counted from ``begin``, and what arrives at the end.

    An adaptive solver takes no step longer than ``longest``.
    """

    begin: float
    end: float
    x: Callable[[float], Sequence[float]]
    jump: tuple[str, float] | None = None
    longest: float = math.inf


def stepwise(model: NeuronModel, target: str, values: np.ndarray, times: np.ndarray, merge: bool) -> list[Interval]:
    """Intervals of a drive that is held over each step (``values`` ``[T]`` at ``times`` ``[T + 1]``), or arrives at
    its end; ``merge`` joins steps between which nothing happens."""
    if target in model.inputs:
        starts = [k for k in range(len(values)) if not (merge and k and values[k] == values[k - 1])]
        ends = [*starts[1:], len(values)]
        drives = [_constant(model, target, float(values[k])) for k in starts]
        return [Interval(float(times[a]), float(times[b]), x) for a, b, x in zip(starts, ends, drives, strict=True)]
    still = _constant(model, target, 0.0)
    ends = [k + 1 for k in range(len(values)) if not merge or values[k] != 0.0]
    found = [
        Interval(float(times[a]), float(times[b]), still, (target, float(values[b - 1])))
        for a, b in zip([0, *ends], ends, strict=False)
    ]
    last = ends[-1] if ends else 0
    return found if last == len(values) else [*found, Interval(float(times[last]), float(times[-1]), still)]


def continuous(
    model: NeuronModel, target: str, current: Callable[[float], float], breaks: Sequence[float], longest: float
) -> list[Interval]:
    """Intervals of an input that is a function of time, cut at ``breaks`` (ms), the last of which is the end."""
    edges = [0.0, *(t for t in breaks if 0.0 < t < breaks[-1]), breaks[-1]]
    return [
        Interval(a, b, _varying(model, target, current, a, b), longest=longest) for a, b in itertools.pairwise(edges)
    ]


def _constant(model: NeuronModel, target: str, value: float) -> Callable[[float], Sequence[float]]:
    x = [value if name == target else 0.0 for name in model.inputs]
    return lambda _: x


def _varying(
    model: NeuronModel, target: str, current: Callable[[float], float], begin: float, end: float
) -> Callable[[float], Sequence[float]]:
    # A function that jumps at the end has its new value there already, and this interval ends with the old one.
    last = float(np.nextafter(end, begin))
    return lambda since: [current(min(begin + since, last)) if name == target else 0.0 for name in model.inputs]


__all__ = ["Interval", "continuous", "stepwise"]
