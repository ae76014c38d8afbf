"""What drives a neuron, cut into intervals over which it is smooth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..models.base import NeuronModel


class Interval(NamedTuple):
    """From ``begin`` to ``end`` (ms): inputs ``x`` at a time counted from ``begin``, and what arrives at the end.

    An adaptive solver takes no step longer than ``longest``.
    """

    begin: float
    end: float
    x: Callable[[float], Sequence[float]]
    jump: tuple[str, float] | None = None
    longest: float = math.inf


def stepwise(model: NeuronModel, target: str, values: np.ndarray, times: np.ndarray, merge: bool) -> Iterator[Interval]:
    """Intervals of a drive that is held over each step (``values`` ``[T]`` at ``times`` ``[T + 1]``), or arrives at
    its end; ``merge`` joins steps between which nothing happens."""
    held, steps = target in model.inputs, len(values)
    begin, drive = 0, values.tolist()
    for k in range(steps):
        last = k + 1 == steps
        if not merge or last or (drive[k] != drive[k + 1] if held else drive[k] != 0.0):
            x = _constant(model, target, drive[k] if held else 0.0)
            yield Interval(float(times[begin]), float(times[k + 1]), x, None if held else (target, drive[k]))
            begin = k + 1


def continuous(
    model: NeuronModel, target: str, current: Callable[[float], float], breaks: Sequence[float], longest: float
) -> Iterator[Interval]:
    """Intervals of an input that is a function of time, cut at ``breaks`` (ms), the last of which is the end."""
    edges = [0.0, *sorted({t for t in breaks if 0.0 < t < breaks[-1]}), breaks[-1]]
    for a, b in itertools.pairwise(edges):
        yield Interval(a, b, _varying(model, target, current, a, b), longest=longest)


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
