"""Neurons that step off the grid in plain Python, one after another: what the compiled task must equal.

It takes other ways to the same numbers: a solver's own step of any length instead of a series, and SciPy's root finder.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq  # pyright: ignore[reportUnknownVariableType] SciPy has no types

from ...models.base import NeuronModel, Values
from ...solvers.exact import Exact
from ..field import vector_field
from ..one_step import OneStep
from .exact_advance import SNAP, ExactStepped


def exact(p: ExactStepped, model: NeuronModel) -> Callable[[int], None]:
    """:func:`~spikeloom.kernels.propagate.exact_advance.exact_task` in plain Python, on one thread."""
    names = [*p.step.moving, *p.step.timers]
    cells: list[_Cell] = []

    def run(step: int) -> None:
        if not cells:  # only where this is what runs
            cells.extend(_Cell(_single(model, n), p) for n in range(len(p.twice)))
        slot, count = step % p.lists.slots, 0
        assert p.lists.ahead is not None
        for n, cell in enumerate(cells):
            inputs = {k: a.rows[(step - a.first) % len(a.rows), n] for k, a in p.held.items()}
            states = {k: float(p.states[k][n]) for k in names}
            fired = cell.through(states, [float(inputs.get(k, 0.0)) for k in p.step.inputs], _events(p, n))
            for k in names:
                p.states[k][n] = states[k]
            for k, row in p.shown.items():
                row[n] = float(cell.model.peak()[k]) if fired else states[k]
            p.twice[n] = len(fired) > 1
            if len(fired) == 1:
                p.lists.neurons[slot, count], p.lists.ahead[slot, count] = n, max(p.dt - fired[0], 0.0)
                count += 1
        p.lists.counts[slot, 0] = count

    return run


def _events(p: ExactStepped, n: int) -> list[tuple[float, list[tuple[str, float]]]]:
    """Times in the step, and what arrives then; the last entry is the end of the step."""
    first, found = int(p.events.starts[n]), defaultdict[float, list[tuple[str, float]]](list)
    for e in range(first, first + int(p.events.counts[n])):
        time = min(p.dt, p.dt - float(p.events.ahead[e]))
        found[time].append((p.step.ports[int(p.events.ports[e])], float(p.events.amounts[e])))
    p.events.counts[n] = 0
    found[p.dt] += [(port, float(row[0, n])) for port, row in p.rows.items()]
    for row in p.rows.values():
        row[0, n] = 0.0
    return list(found.items())


def _single(model: NeuronModel, n: int) -> NeuronModel:
    """Neuron ``n`` of a model whose parameters may have one value for each."""
    many = {name: np.ravel(value) for name, value in model.values.items() if np.size(value) > 1}
    return model.bind({name: float(value[n]) for name, value in many.items()})


class _Cell:
    """One neuron between events."""

    def __init__(self, model: NeuronModel, p: ExactStepped) -> None:
        self.model, self.dt, self._p = model, p.dt, p
        self._free, self._still = OneStep(model, Exact()), OneStep(model, Exact(), model.held)
        self._field = vector_field(model)
        s, _ = model.symbols()
        self._fires = model.threshold(s) is not None

    def through(
        self, states: dict[str, float], x: Sequence[float], events: Sequence[tuple[float, list[tuple[str, float]]]]
    ) -> list[float]:
        """Move ``states`` on by a step; the times of spikes."""
        now, waited, fired = 0.0, False, list[float]()
        for until, arriving in events:
            while now < until:
                waited = self._blocked(states)
                left = [states[t] for t in self._p.step.timers if states[t] > 0.0]
                whole = now + self._p.series[1]  # in a longer piece a neuron may rise and fall unseen
                stop = min([until, whole, *(now + t for t in left if now + t < until - SNAP * self.dt)])
                at = None if waited else self._crossing(states, x, stop - now)
                stop = stop if at is None else min(now + at, stop)
                self._move(states, x, stop - now, waited)
                if at is not None:
                    fired.append(stop)
                    states.update({n: float(v) for n, v in self.model.reset(_values(states)).items()})
                now = stop
                if len(fired) > 1:
                    return fired
            below, held = self._level(self._y(states)) < 0.0, waited or self._blocked(states)
            for port, amount in arriving:
                found = self.model.arrive(port, _values(states), amount)
                states.update({n: float(v) for n, v in found.items() if not (held and n in self.model.held)})
            if arriving and not held and (self._p.step.resets or below) and self._level(self._y(states)) >= 0.0:
                fired.append(now)
                states.update({n: float(v) for n, v in self.model.reset(_values(states)).items()})
            waited = False
        return fired

    def _y(self, states: Mapping[str, float]) -> list[float]:
        return [states[n] for n in self._p.step.moving]

    def _level(self, y: Any) -> float:
        return float(self._field.threshold(y)) if self._fires else -1.0

    def _blocked(self, states: Mapping[str, float]) -> bool:
        found = self.model.refractory(_values(states))
        return found is not None and bool(found)

    def _after(self, states: Mapping[str, float], x: Sequence[float], h: float, held: bool = False) -> list[float]:
        left = [states[t] for t in self._p.step.timers]
        return (self._still if held else self._free)(self._y(states), left, x, h)

    def _move(self, states: dict[str, float], x: Sequence[float], h: float, held: bool) -> None:
        states.update(zip(self._p.step.moving, self._after(states, x, h, held), strict=True))
        for timer in self._p.step.timers:
            rest = states[timer] - h
            states[timer] = rest if rest > SNAP * self.dt else 0.0

    def _crossing(self, states: Mapping[str, float], x: Sequence[float], h: float) -> float | None:
        """The first time at which the threshold is reached."""
        begin = self._level(self._y(states))
        if begin >= 0.0:
            return 0.0 if self._p.step.resets else None

        def level(t: float) -> float:
            return self._level(self._after(states, x, t))

        def slope(t: float) -> float:
            return float(self._field.crossing(self._after(states, x, t), x)[1])

        if level(h) >= 0.0:
            return _root(level, h)
        if self._fires and slope(0.0) > 0.0 > slope(h):
            top = float(brentq(slope, 0.0, h, xtol=1e-16 * h, rtol=8.9e-16))  # type: ignore[arg-type]
            return _root(level, top) if level(top) >= 0.0 else None
        return None


def _root(level: Callable[[float], float], high: float) -> float:
    """From the side on which ``level`` is >= 0, as the neuron is to be found there."""
    root = float(brentq(level, 0.0, high, xtol=1e-16 * high, rtol=8.9e-16))  # type: ignore[arg-type]
    step = float(np.spacing(root))
    while root < high and level(root) < 0.0:
        root, step = min(root + step, high), 2.0 * step
    return root


def _values(states: Mapping[str, float]) -> Values:
    return Values(**{n: np.float64(v) for n, v in states.items()})  # NumPy's numbers, whose comparisons know ~ and |


__all__ = ["exact"]
