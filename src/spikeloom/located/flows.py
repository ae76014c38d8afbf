"""Pieces of a solution between events: partial steps of a one-step solver, or an adaptive method's own steps."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import NonFiniteError
from ..kernels.field import vector_field
from ..kernels.one_step import OneStep
from ..models.base import NeuronModel
from ..solvers import DormandPrince, Exact, Located, default_solver
from .intervals import Interval

_SMALLEST = 1e-12  # part of a step below which an overflow is no matter of the step


class Piece(NamedTuple):
    """A solution between two times that are counted from ``origin``, itself counted from the interval's begin.

    Counted so, a time close to an explosion keeps all its digits. ``inner`` gives the states ``[S]`` at a time
    between, or ``[S, M]`` at M times; ``begin`` and ``end`` are its exact ends; ``x`` the inputs at a time.
    ``until`` is its stop as the interval counts.
    """

    origin: float
    start: float
    stop: float
    until: float
    begin: Sequence[float]
    end: list[float]
    inner: Callable[[Any], np.ndarray]
    x: Callable[[float], Sequence[float]]

    def at(self, time: float) -> Sequence[float]:
        """The states at one time."""
        if time <= self.start:
            return self.begin
        return self.end if time >= self.stop else self.inner(time).tolist()


class Flow(ABC):
    """Gives the solution piece by piece."""

    def __init__(self, model: NeuronModel) -> None:
        self.model = model
        self.interval = Interval(0.0, 0.0, lambda _: ())

    @abstractmethod
    def enter(self, interval: Interval) -> None:
        """Begin ``interval``."""

    @abstractmethod
    def leave(self) -> None:
        """The solution was left: the next piece begins at other states than the last one's end."""

    @abstractmethod
    def piece(self, y: Sequence[float], left: Sequence[float], now: float, until: float, blocked: bool) -> Piece:
        """The solution from ``y`` at ``now`` to ``until`` at most; ``blocked`` holds the membrane."""


class OneSteps(Flow):
    """Steps and partial steps of :class:`~spikeloom.solvers.Located`'s base.

    A solution in closed form is evaluated from the last event, however many steps ago that was, so that rounding does
    not accumulate with them.
    """

    def __init__(self, model: NeuronModel, solver: Located) -> None:
        super().__init__(model)
        base = solver.base or default_solver(model)
        self.free, self.held = OneStep(model, base), OneStep(model, base, model.held)
        self.closed = isinstance(base, Exact) and self.free.elementary
        self.anchor: tuple[float, Sequence[float], Sequence[float]] | None = None

    def leave(self) -> None:
        self.anchor = None

    def enter(self, interval: Interval) -> None:
        self.interval = interval

    def piece(self, y: Sequence[float], left: Sequence[float], now: float, until: float, blocked: bool) -> Piece:
        step, x, h = self.held if blocked else self.free, self.interval.x(0.0), until - now
        left, base, past = tuple(left), y, 0.0
        if self.closed and not blocked and not any(left):
            if self.anchor is None or self.anchor[2] != x:
                self.anchor = self.interval.begin + now, y, x
            base, past = self.anchor[1], self.interval.begin + now - self.anchor[0]
        else:
            self.anchor = None
        end, smallest = step(base, left, x, past + h), h * _SMALLEST
        while not all(map(math.isfinite, end)) and h > smallest:  # an explosion to be located within the step
            h, until = 0.5 * h, now + 0.5 * h
            end = step(base, left, x, past + h)

        def inner(time: Any) -> np.ndarray:
            if np.ndim(time):
                return np.stack([inner(t) for t in time], axis=-1)
            return np.array(step(base, left, x, past + float(time)))

        return Piece(now, 0.0, h, until, y, end, inner, lambda _: x)


class Adaptive(Flow):
    """Steps of SciPy's Dormand-Prince pairs."""

    def __init__(self, model: NeuronModel, solver: DormandPrince) -> None:
        super().__init__(model)
        self.field, self.solver = vector_field(model), solver
        self.stepper: Any
        self.still = [self.field.names.index(name) for name in model.held if name in self.field.names]
        self.leave()

    def enter(self, interval: Interval) -> None:
        self.interval = interval
        self.leave()

    def leave(self) -> None:
        self.stepper = None
        self.origin, self.task = 0.0, (0.0, False)

    def piece(self, y: Sequence[float], left: Sequence[float], now: float, until: float, blocked: bool) -> Piece:
        # A step that fails has fallen below the spacing of the times counted from its origin: begin anew from here.
        if self.stepper is None or self.task != (until, blocked) or not self._advance():
            self._begin(y, left, now, until, blocked)
        if self.stepper.t_old is None and not self._advance():  # pyright: ignore[reportOptionalMemberAccess] set above
            got = f"{', '.join(f'{n} = {v:.6g}' for n, v in zip(self.field.names, y, strict=True))}"
            what = f"{type(self.model).__name__}: the step shrank to nothing at {self.interval.begin + now:.6g} ms"
            mend = "Does the solution run off to infinity without reaching a threshold?"
            raise NonFiniteError(what, got=got, mend=mend)
        stepper: Any
        stepper, origin, x = self.stepper, self.origin, self.interval.x
        if stepper.status != "finished":
            until = origin + stepper.t
        dense: list[Any] = []

        def inner(time: Any) -> np.ndarray:
            if not dense:
                dense.append(stepper.dense_output())
            return dense[0](time)

        ends = y, stepper.y.tolist()
        return Piece(origin, stepper.t_old, stepper.t, until, *ends, inner, lambda time: x(origin + time))

    def _begin(self, y: Sequence[float], left: Sequence[float], now: float, until: float, blocked: bool) -> None:
        from scipy.integrate import DOP853, RK45

        field, x = self.field.waiting(left), self.interval.x
        still = self.still if blocked else []

        def slope(time: float, states: np.ndarray) -> np.ndarray:
            found = field(states, x(now + time))
            found[still] = 0.0
            return found

        method: Any = DOP853 if self.solver.order == 8 else RK45
        limits = {"max_step": self.interval.longest, "rtol": self.solver.rtol, "atol": self.solver.atol}
        with np.errstate(all="ignore"):
            self.stepper = method(slope, 0.0, np.array(y), until - now, **limits)
        self.origin, self.task = now, (until, blocked)

    def _advance(self) -> bool:
        with np.errstate(all="ignore"):  # a step that overflows is tried again, shorter
            self.stepper.step()
        return self.stepper.status != "failed"


__all__ = ["Adaptive", "Flow", "OneSteps", "Piece"]
