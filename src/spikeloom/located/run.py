"""The event loop: one neuron through its intervals, from crossing to crossing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..errors import ModelError, NonFiniteError
from ..lang.analysis import symbols
from ..lang.expr import lift
from ..models.base import NeuronModel, Values
from ..solvers import DormandPrince, Located
from .crossing import Crossing
from .flows import Adaptive, Flow, OneSteps, Piece
from .intervals import Interval

_SAME_TIME = 1e-12  # relative, some thousand roundings: a timer that ends this close to an interval's end ends with it
_MOST_AT_ONCE = 1000  # spikes of one neuron at one time; more would be infinitely many


@dataclasses.dataclass(frozen=True)
class Recording:
    """States ``[T + 1]`` by name, which of these entries show a spike, and the times of the spikes in ms."""

    states: dict[str, np.ndarray]
    fired: np.ndarray
    spike_times: np.ndarray


def record(
    model: NeuronModel, solver: Located | DormandPrince, intervals: Iterable[Interval], times: np.ndarray,
    start: Mapping[str, float],
) -> Recording:  # fmt: skip
    """Run one neuron from ``start`` through ``intervals``, recording its states at ``times``; timers are in ms.

    Raises ModelError where the model has parts that only exist on a grid, where the solver does not fit it, or where
    resets do not bring it below its threshold; NonFiniteError where the solution runs off to infinity.
    """
    _require_off_grid(model, solver)
    flow = Adaptive(model, solver) if isinstance(solver, DormandPrince) else OneSteps(model, solver)
    run = _Run(model, flow, times, start)
    for interval in intervals:
        run.through(interval)
    return run.recording()


def _require_off_grid(model: NeuronModel, solver: Located | DormandPrince) -> None:
    label = type(model).__name__
    if model.random:
        what = f"{label}: {model.random[0].partition('.')[2]} is random, and {solver.name} is deterministic"
        raise ModelError(what, mend="Leave the solver out, or use sl.solvers.EulerMaruyama() or Milstein().")
    for name, state in model.states.items():
        if state.integral:
            what = f"{label}: {name} begins anew with each step of a grid, and {solver.name} has no grid"
            raise ModelError(what, mend="Leave the solver out.")


class _Run:
    """A neuron on its way: moving states ``y``, the time ``left`` on its timers, the ``next`` grid point."""

    def __init__(self, model: NeuronModel, flow: Flow, times: np.ndarray, start: Mapping[str, float]) -> None:
        self.model, self.flow, self.times = model, flow, times
        self.names = [n for n, s in model.states.items() if not s.timer]
        self.timers = [n for n, s in model.states.items() if s.timer]
        self.y = [float(start[n]) for n in self.names]
        self.left = [float(start[n]) for n in self.timers]
        self.rows, self.next = np.empty((len(times), len(model.states))), 1
        self.rows[0] = [*self.y, *self.left]
        self.fired = np.zeros(len(times), dtype=bool)
        self.spikes: list[float] = []
        self.at_once = 0
        self.crossing = Crossing(model)
        s, _ = model.symbols()
        held = model.refractory(s)
        self.can_block = held is not None
        # Mostly it is the timers that hold a neuron, and then there is nothing to ask while none runs.
        self.timed = self.can_block and set(symbols([lift(held)])) <= set(self.timers)
        self.changed = self.crossing.fires and bool(model.reset(s))

    def through(self, interval: Interval) -> None:
        """Advance to the end of ``interval``, where its jump arrives."""
        self.flow.enter(interval)
        now, length, blocked = 0.0, interval.end - interval.begin, False
        while now < length:
            blocked = self._blocked()
            ends = [
                _snapped(now + left, length, _SAME_TIME * interval.end) if left > 0.0 else now for left in self.left
            ]
            until = min([length, *(end for end in ends if end > now)])
            piece = self.flow.piece(self.y, self.left, now, until, blocked)
            at = None if blocked else self.crossing.first(piece, self.left)
            cut = at if self.changed else None  # a spike that changes nothing leaves the piece whole
            stop = piece.until if cut is None else min(piece.origin + cut, piece.until)
            if at is not None:
                self._spike(min(interval.begin + piece.origin + at, interval.end))
            self._record_before(interval.begin, now, stop, piece)
            self.y = piece.end if cut is None else list(piece.at(cut))
            self._check_finite(interval.begin + now)
            if blocked or any(self.left):  # the threshold may depend on a timer, too
                self.crossing.forget()
            self.left = [end - stop if end > stop else 0.0 for end in ends]
            if cut is not None:
                self._set(self.model.reset(self._states()))
            now = stop
        self._arrive(interval, blocked)
        if self.next < len(self.times) and self.times[self.next] <= interval.end:
            self.rows[self.next] = [*self.y, *self.left]
            self.next += 1

    def recording(self) -> Recording:
        """What was recorded; the grid point of a spike shows the model's ``peak``."""
        columns = dict(zip([*self.names, *self.timers], self.rows.T.copy(), strict=True))
        for name, top in self.model.peak().items():
            columns[name][self.fired] = float(top)
        return Recording({name: columns[name] for name in self.model.states}, self.fired, np.array(self.spikes))

    def _states(self) -> Values:
        # NumPy's numbers, whose comparisons know ~ and |.
        pairs = zip([*self.names, *self.timers], [*self.y, *self.left], strict=True)
        return Values(**{name: np.float64(value) for name, value in pairs})

    def _set(self, values: Mapping[str, Any]) -> None:
        self.y = [float(values.get(n, v)) for n, v in zip(self.names, self.y, strict=True)]
        self.left = [float(values.get(n, v)) for n, v in zip(self.timers, self.left, strict=True)]
        self.flow.leave()
        self.crossing.forget()

    def _blocked(self) -> bool:
        if not self.can_block or (self.timed and not any(self.left)):
            return False
        return bool(self.model.refractory(self._states()))

    def _spike(self, time: float) -> None:
        self.at_once = self.at_once + 1 if self.spikes and self.spikes[-1] == time else 0
        if self.at_once > _MOST_AT_ONCE:
            what = f"{type(self.model).__name__}: its reset leaves it at or above its threshold at {time:.6g} ms"
            raise ModelError(what, mend="Reset it to below its threshold, or give it a refractory time.")
        self.spikes.append(time)
        self.fired[min(int(np.searchsorted(self.times, time)), len(self.times) - 1)] = True

    def _arrive(self, interval: Interval, waited: bool) -> None:
        """``waited`` tells that the neuron was held until now, even where that ends here: as in a step of a grid."""
        if interval.jump is None:
            return
        below, before = not self.crossing.above(self.y), self._states()
        found, blocked = self.model.arrive(interval.jump[0], before, interval.jump[1]), waited or self._blocked()
        self._set({n: getattr(before, n) if blocked and n in self.model.held else v for n, v in found.items()})
        while (below or self.crossing.resets) and not blocked and self.crossing.above(self.y):
            self._spike(interval.end)
            if self.changed:
                self._set(self.model.reset(self._states()))
            below, blocked = False, self._blocked()

    def _record_before(self, begin: float, now: float, stop: float, piece: Piece) -> None:
        """Fill the grid points before ``stop`` from ``piece``."""
        if self.next == len(self.times) or self.times[self.next] >= begin + stop:
            return
        last = int(np.searchsorted(self.times, begin + stop))
        since = self.times[self.next : last] - begin
        self.rows[self.next : last, : len(self.y)] = piece.inner(since - piece.origin).T
        for k, left in enumerate(self.left, start=len(self.y)):
            self.rows[self.next : last, k] = np.maximum(left - (since - now), 0.0)
        self.next = last

    def _check_finite(self, time: float) -> None:
        for name, value in zip(self.names, self.y, strict=True):
            if not math.isfinite(value):
                what = f"{type(self.model).__name__}: state {name} is not finite after {time:.6g} ms"
                raise NonFiniteError(
                    what,
                    got=value,
                    mend="Use a smaller dt, or sl.solvers.DormandPrince(), which chooses its own steps.",
                )


def _snapped(end: float, length: float, near: float) -> float:
    # Rounding must not decide whether what arrives at the very end of a refractory time counts.
    return length if abs(end - length) <= near else end


__all__ = ["Recording", "record"]
