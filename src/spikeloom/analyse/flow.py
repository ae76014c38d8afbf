"""Following one neuron through time off the grid: an adaptive integrator, resets at their exact times, and tangents."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.integrate

from ..errors import ModelError
from ..kernels.field import VectorField
from ..lang.autodiff import gradient
from ..lang.evaluate import evaluate
from ..lang.expr import Expr, lift, symbol
from ..models.base import NeuronModel, Values
from .system import AnalysisError, resets

_INSTANT = 1e-9  # ms
_MOST = 20_000  # spikes in one run: beyond, it fires ever faster
_AT_ONCE = 20  # spikes at one time: the reset does not bring the neuron below its threshold
Event = Callable[[np.ndarray], float]


@dataclasses.dataclass(frozen=True, eq=False)
class Segment:
    """A smooth piece of an orbit; ``solution`` gives states (and tangents below them) at times."""

    begin: float
    end: float
    solution: Any


@dataclasses.dataclass(frozen=True, eq=False)
class Jump:
    """A reset at ``time``: states just before and after, and the saltation matrix that carried tangents over it."""

    time: float
    before: np.ndarray
    after: np.ndarray
    saltation: np.ndarray | None


@dataclasses.dataclass(frozen=True, eq=False)
class Orbit:
    """A piece of a trajectory from time 0 to ``end``, where it is at ``y`` ``[S]``, with tangents ``[S, K]``.

    ``spikes`` are threshold crossings in ms. ``marks`` are the (time, state) pairs of each event that was asked for;
    ``stopped`` says whether one of them ended the run.
    """

    end: float
    y: np.ndarray
    tangent: np.ndarray | None
    spikes: np.ndarray
    jumps: tuple[Jump, ...]
    segments: tuple[Segment, ...]
    marks: tuple[tuple[tuple[float, np.ndarray], ...], ...]
    stopped: bool

    def at(self, times: np.ndarray) -> np.ndarray:
        """States ``[S, K]`` at ``times`` ``[K]``; after the reset where one falls on a time."""
        found = np.empty((len(self.y), len(times)))
        begins = np.array([segment.begin for segment in self.segments])
        which = np.clip(np.searchsorted(begins, times, side="right") - 1, 0, None)
        for k in np.unique(which):
            segment, here = self.segments[k], which == k
            found[:, here] = segment.solution(np.clip(times[here], segment.begin, segment.end))[: len(self.y)]
        return found


@dataclasses.dataclass(eq=False)
class _Going:
    """What a run has gathered so far."""

    t: float
    y: np.ndarray
    tangent: np.ndarray | None
    spikes: list[float] = dataclasses.field(default_factory=list[float])
    jumps: list[Jump] = dataclasses.field(default_factory=list[Jump])
    segments: list[Segment] = dataclasses.field(default_factory=list[Segment])
    marks: tuple[list[tuple[float, np.ndarray]], ...] = ()
    stopped: bool = False


def require_no_dead_time(model: NeuronModel) -> None:
    """Raise ModelError for a refractory model."""
    if any(state.timer for state in model.states.values()):
        what = f"{type(model).__name__} is refractory: the end of a dead time has no derivative here"
        raise ModelError(what, mend="What is wrapped in sl.Refractory can be analysed by itself: model.inner.")


class Flow:
    """The solution of a model's equations with its resets, by Dormand and Prince's method of order 8.

    A reset takes place where the threshold quantity passes 0, which is located to rounding. Tangents obey the
    variational equation with the traced Jacobian, and pass a reset R at the threshold h = 0 by the saltation matrix
    ``R' + (f⁺ - R' f⁻) ∇hᵀ / (∇h · f⁻)`` (Leine and Nijmeijer 2004, sec. 7.4).
    """

    def __init__(self, field: VectorField, rtol: float = 1e-9) -> None:
        model = field.model
        require_no_dead_time(model)
        self.field, self.rtol = field, rtol
        self.fires = model.threshold(model.symbols()[0]) is not None
        self.resets = self.fires and resets(model)
        self._reset_slopes = _reset_jacobian(field) if self.resets else []

    def run(
        self, y: np.ndarray, duration: float, tangent: np.ndarray | None = None, *, marks: Sequence[Event] = (),
        stop: Event | None = None, spikes: int | None = None, dense: bool = False,
    ) -> Orbit:  # fmt: skip
        """The orbit from ``y`` for ``duration`` ms, or until ``stop`` falls through 0, or after so many ``spikes``.

        ``marks`` are functions of the states whose downward passages of 0 are noted. Raises AnalysisError where the
        solution blows up, a reset leaves the neuron above its threshold, or tangents have no derivative at a reset.
        """
        going = _Going(0.0, np.array(y, dtype=float), tangent)
        going.marks = tuple([] for _ in marks)
        most = math.inf if spikes is None else spikes
        while going.t < duration and len(going.spikes) < most and not going.stopped:
            if self.resets and self.field.threshold(going.y) >= 0.0:
                self._spike(going)
            else:
                self._smooth_piece(going, duration, (marks, stop, most, dense))
        return Orbit(
            going.t, going.y, going.tangent, np.array(going.spikes), tuple(going.jumps), tuple(going.segments),
            tuple(map(tuple, going.marks)), going.stopped,
        )  # fmt: skip

    def _smooth_piece(self, going: _Going, until: float, how: tuple[Any, ...]) -> None:
        marks, stop, most, dense = how
        size, field = len(going.y), self.field
        events: list[Any] = [_event(mark, size, -1.0, False) for mark in marks]
        if stop is not None:
            events.append(_event(stop, size, -1.0, True))
        if self.fires:  # last, so that its index is known
            count = 0 if self.resets or most == math.inf else int(most) - len(going.spikes)
            events.append(_event(field.threshold, size, 1.0, self.resets or count))
        start = going.y if going.tangent is None else np.concatenate([going.y, going.tangent.ravel()])
        with np.errstate(all="ignore"):  # a step that overflows is tried again, shorter
            found: Any = scipy.integrate.solve_ivp(
                self._slope(size, going.tangent is not None), (going.t, until), start, method="DOP853",
                rtol=self.rtol, atol=1e-2 * self.rtol, events=events, dense_output=dense,
            )  # fmt: skip
        if found.status < 0 and self._explodes_over_its_threshold(going, found, size):
            return
        if found.status < 0 or not np.isfinite(found.y[:, -1]).all():
            states = ", ".join(f"{n} = {v:.4g}" for n, v in zip(field.names, found.y[:size, -1], strict=True))
            raise AnalysisError(f"{type(field.model).__name__} blows up after {going.t:g} ms", got=states)
        end, last = float(found.t[-1]), found.y[:, -1]
        if dense and end > going.t:
            going.segments.append(Segment(going.t, end, found.sol))
        for noted, times, states in zip(going.marks, found.t_events, found.y_events, strict=False):
            noted += [(float(t), y[:size]) for t, y in zip(times, states, strict=True)]
        going.t, going.y = end, last[:size]
        if going.tangent is not None:
            going.tangent = last[size:].reshape(size, -1)
        going.stopped = stop is not None and len(found.t_events[len(marks)]) > 0
        if self.fires and len(found.t_events[-1]):
            if self.resets and not going.stopped:
                self._spike(going)
            elif not self.resets:
                going.spikes += found.t_events[-1].tolist()

    def _explodes_over_its_threshold(self, going: _Going, found: Any, size: int) -> bool:
        """Take the last, straight bit up to a threshold that is so close in time that no step fits in before it."""
        end, z = float(found.t[-1]), found.y[:, -1]
        if not self.resets or not np.isfinite(z).all():
            return False
        level, rate = self.field.crossing(z[:size])
        if not (rate > 0.0 and 0.0 <= -level <= _INSTANT * rate):
            return False
        slope, rest = self._slope(size, going.tangent is not None), -level / rate
        z = z + rest * slope(end, z + 0.5 * rest * slope(end, z))
        if found.sol is not None and end > going.t:
            going.segments.append(Segment(going.t, end + float(rest), found.sol))
        going.t, going.y = end + float(rest), z[:size]
        if going.tangent is not None:
            going.tangent = z[size:].reshape(size, -1)
        self._spike(going)
        return True

    def _slope(self, size: int, tangents: bool) -> Callable[[float, np.ndarray], np.ndarray]:
        field = self.field

        def plain(t: float, y: np.ndarray) -> np.ndarray:
            return field(y)

        def carried(t: float, z: np.ndarray) -> np.ndarray:
            y = z[:size]
            return np.concatenate([field(y), (field.jacobian(y) @ z[size:].reshape(size, -1)).ravel()])

        return carried if tangents else plain

    def _spike(self, going: _Going) -> None:
        """Apply the reset."""
        model, names = self.field.model, self.field.names
        states: dict[str, float] = dict(zip(names, going.y.tolist(), strict=True))
        values = model.reset(Values(**states))
        after = np.array([float(values.get(name, states[name])) for name in names])
        saltation = None
        if going.tangent is not None:
            saltation = self._saltation(going.y, after)
            if saltation is None:
                raise AnalysisError(f"{type(model).__name__} touches its threshold without crossing it")
            going.tangent = saltation @ going.tangent
        going.jumps.append(Jump(going.t, going.y, after, saltation))
        going.y = after
        going.spikes.append(going.t)
        if len(going.spikes) >= _AT_ONCE and going.spikes[-_AT_ONCE] == going.t:
            what = f"{type(model).__name__} is above its threshold after its reset, so that it would fire for ever"
            raise AnalysisError(what, got=f"{_AT_ONCE} spikes at {going.t:g} ms")
        if len(going.spikes) > _MOST:
            raise AnalysisError(f"{type(model).__name__} fires too often", got=f"{_MOST} spikes in {going.t:g} ms")

    def _saltation(self, before: np.ndarray, after: np.ndarray) -> np.ndarray | None:
        """None where the threshold is met without crossing it, so that no derivative exists."""
        field = self.field
        points = {**field.model.values, **dict(zip(field.names, before.tolist(), strict=True))}
        slopes = np.array(evaluate(self._reset_slopes, points), dtype=float).reshape(len(before), len(before))
        normal, f = field.threshold_gradient(before), field(before)
        speed = float(normal @ f)
        return None if speed <= 0.0 else slopes + np.outer(field(after) - slopes @ f, normal) / speed


def _event(of: Event, size: int, direction: float, terminal: bool | int) -> Callable[[float, np.ndarray], float]:
    def event(t: float, y: np.ndarray) -> float:
        return float(of(y[:size]))

    event.direction, event.terminal = direction, terminal  # type: ignore[attr-defined]
    return event


def _reset_jacobian(field: VectorField) -> list[Expr]:
    """d(new state)/d(old state), row by row."""
    model: NeuronModel = field.model
    new = model.symbolic().reset(model.symbols()[0])
    wanted = [symbol(name) for name in field.names]
    rows = [
        gradient([(lift(new.get(name, symbol(name))), lift(1.0))], wanted, lambda _: lift(0.0)) for name in field.names
    ]
    return [entry for row in rows for entry in row]


__all__ = ["Flow", "Jump", "Orbit", "Segment"]
