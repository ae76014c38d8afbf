"""Where a trajectory goes: to rest, or round a cycle."""

from __future__ import annotations

import dataclasses

import numpy as np

from .equilibria import eigenvalues, newton
from .flow import Flow

REST, CYCLE, NEITHER = "rest", "cycle", "neither"
_PIECES = 100
_LONGEST_PATTERN = 64  # turns of the membrane, or resets, before a cycle repeats
_SAME = 1e-4  # of the orbit's extent


@dataclasses.dataclass(frozen=True, eq=False)
class Settled:
    """Where a trajectory was when it was left: at ``y`` after ``time`` ms, at rest, about to close a cycle of about
    ``period`` ms, or neither (NaN)."""

    kind: str
    y: np.ndarray
    time: float
    period: float = float("nan")


def settle(flow: Flow, y: np.ndarray, within: float, spikes: int = 1500) -> Settled:
    """Follow the trajectory from ``y`` until it rests or repeats itself, for at most ``within`` ms and as many
    ``spikes`` of a model with a reset.

    A cycle is recognised at the maxima of the membrane, or at the resets: the last ones equal those a pattern before.
    Raises AnalysisError where the solution blows up.
    """
    field, time = flow.field, 0.0
    marks = () if flow.resets else (lambda z: field(z)[0], lambda z: -field(z)[0])
    seen: list[tuple[float, np.ndarray]] = []
    low, high = np.array(y), np.array(y)
    while time < within and spikes > 0:
        orbit = flow.run(y, within / _PIECES, marks=marks, spikes=spikes if flow.resets else None)
        spikes -= len(orbit.jumps)
        points = [(jump.time, jump.after) for jump in orbit.jumps] if flow.resets else orbit.marks[0]
        turns = [j.before for j in orbit.jumps] if flow.resets else [z for _, z in orbit.marks[1]]
        seen = [*seen, *((time + t, z) for t, z in points)][-3 * _LONGEST_PATTERN :]
        y, time = orbit.y, time + orbit.end
        here = np.array([y, *turns, *(z for _, z in points)])
        low, high = np.minimum(low, here.min(axis=0)), np.maximum(high, here.max(axis=0))
        if (not points or not flow.resets) and _at_rest(flow, y, high - low):
            return Settled(REST, y, time)
        pattern = _pattern(seen, np.maximum(np.ptp(here, axis=0), 1e-9 * (1e-3 + abs(high))))
        if pattern:
            return Settled(CYCLE, seen[-1][1], time, seen[-1][0] - seen[-1 - pattern][0])
    return Settled(NEITHER, y, time)


def _at_rest(flow: Flow, y: np.ndarray, extent: np.ndarray) -> bool:
    """Whether a stable equilibrium is so close that the trajectory can go nowhere else."""
    point = newton(flow.field, y)
    if point is None or np.real(eigenvalues(flow.field.jacobian(point))).max() >= 0.0:
        return False
    return bool((abs(point - y) <= 1e-4 * extent + 1e-7 * (1e-3 + abs(y))).all())


def _pattern(seen: list[tuple[float, np.ndarray]], extent: np.ndarray) -> int:
    """How many of the last points repeat those before them; 0 for none."""
    states = np.array([z for _, z in seen])
    for length in range(1, min(_LONGEST_PATTERN, (len(seen) - 1) // 2) + 1):
        checked = length + 1
        if (abs(states[-checked:] - states[-checked - length : -length]) <= _SAME * extent).all():
            return length
    return 0


__all__ = ["CYCLE", "NEITHER", "REST", "Settled", "settle"]
