"""What the phase plane of a model with two states shows, for still and for interactive pictures alike."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..analyse import AnalysisError, Arrows, Equilibrium, Nullclines, arrows, nullclines, resting_points
from ..analyse.system import resets
from ..errors import NonFiniteError
from ..models.base import NeuronModel
from ..simulation import simulate
from ..solvers.base import moving_states
from .spike_tops import with_spike_tops

_MARGIN = 0.12  # of the range of a trajectory, left free around it
Window = tuple[float, float]


@dataclasses.dataclass(frozen=True, eq=False)
class PhasePlane:
    """Nullclines, arrows and resting points at a held current, and the way a neuron went.

    ``pieces`` are arrays ``[K, 2]`` of the trajectory between resets, ``jumps`` ``[J, 2, 2]`` the (from, to) of each.
    """

    nullclines: Nullclines
    arrows: Arrows
    points: tuple[Equilibrium, ...]
    pieces: tuple[np.ndarray, ...] = ()
    jumps: np.ndarray = dataclasses.field(default_factory=lambda: np.empty((0, 2, 2)))

    @property
    def names(self) -> tuple[str, str]:
        """The states drawn to the right and upward."""
        return self.nullclines.names


def phase_plane_of(
    model: NeuronModel, current: float = 0.0, trace: Any = None, x: Window | None = None, y: Window | None = None
) -> PhasePlane:
    """The phase plane of ``model`` at a held ``current``, with the trajectory of ``trace`` if there is one.

    The window ``x`` by ``y`` defaults to what the trajectory of ``trace`` needs, or without one, that of the first
    300 ms from the initial state together with the resting points.
    Resting points that are not isolated are not marked. Raises ModelError for a model that has not two states.
    """
    nullclines(model, current, x=(0.0, 1.0), y=(0.0, 1.0), points=2)  # refuses a model that has not two states
    names = moving_states(model)
    path = np.column_stack([trace[name] for name in names]) if trace is not None else np.empty((0, 2))
    pieces, jumps = _split(path, *_resets(model, trace, path)) if len(path) and resets(model) else _whole(path)
    try:
        points = resting_points(model, current)
    except AnalysisError:  # they fill a line, so that there is no point to mark
        points = ()
    start = model.initial_values()
    corners = [np.array([[start[name] for name in names]]), np.array([_place(p, names) for p in points]).reshape(-1, 2)]
    # A resting point far outside of where the neuron goes would shrink everything else.
    seen = np.concatenate(pieces or [*corners, _reached(model, current, names)])
    windows = (x or _window(seen[:, 0])), (y or _window(seen[:, 1]))
    shown = tuple(p for p in points if all(a <= p[n] <= b for n, (a, b) in zip(names, windows, strict=True)))
    return PhasePlane(
        nullclines(model, current, x=windows[0], y=windows[1]),
        arrows(model, current, x=windows[0], y=windows[1], points=15),
        shown,
        pieces,
        jumps,
    )


def is_planar(model: NeuronModel) -> bool:
    """Whether ``model`` has a phase plane: one neuron of two states without randomness.

    >>> from spikeloom.models import ALIF, LIF
    >>> is_planar(ALIF()), is_planar(LIF())
    (True, False)
    """
    one = not any(np.ndim(value) for value in model.values.values())
    return one and len(moving_states(model)) == 2 and not model.draws and not model.noise(*model.symbols())


def held_longest(drive: np.ndarray) -> float:
    """The value that a current kept for most of the time; the last one of a current that kept none.

    >>> held_longest(np.array([0.0, 14.0, 14.0, 14.0])), held_longest(np.arange(9.0))
    (14.0, 8.0)
    """
    values, counts = np.unique(drive, return_counts=True)
    return float(values[counts.argmax()] if counts.max() > 0.2 * len(drive) else drive[-1])


def _place(point: Equilibrium, names: list[str]) -> list[float]:
    return [point[name] for name in names]


def _reached(model: NeuronModel, current: float, names: list[str]) -> np.ndarray:
    """Where the neuron goes from its initial state ``[K, 2]``; nowhere where the equations blow up."""
    try:
        trace = simulate(model, current, 300.0, 0.05)
    except NonFiniteError:
        return np.empty((0, 2))
    return np.column_stack([trace[name] for name in names])


def _window(values: np.ndarray) -> Window:
    low, high = float(values.min()), float(values.max())
    pad = _MARGIN * (high - low) or max(0.5 * abs(high), 1.0)
    return low - pad, high + pad


def _whole(path: np.ndarray) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    return (path,) if len(path) else (), np.empty((0, 2, 2))


def _resets(model: NeuronModel, trace: Any, path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the path at which a spike was made, and the points ``[J, 2]`` from which the resets jumped."""
    at = np.flatnonzero(trace.fired)
    own = moving_states(model).index(model.membrane)
    tops = path[at - 1].copy()
    tops[:, own] = with_spike_tops(model, trace)[model.membrane][at]
    return at, tops


def _split(path: np.ndarray, at: np.ndarray, tops: np.ndarray) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """The path cut where a reset moved it, each piece led on to its top, and the jumps from there.

    What a recorder shows at the spike itself is left out where it is the top: the path goes on a step later.
    """
    begins = at + (path[at] == tops).any(axis=1)
    pieces, jumps, start = [], [], 0
    for end, begin, top in zip(at, begins, tops, strict=True):
        pieces.append(np.vstack([path[start:end], top]))
        if begin < len(path):
            jumps.append([top, path[begin]])
        start = begin
    pieces.append(path[start:])
    return tuple(piece for piece in pieces if len(piece)), np.array(jumps).reshape(-1, 2, 2)


__all__ = ["PhasePlane", "held_longest", "is_planar", "phase_plane_of"]
