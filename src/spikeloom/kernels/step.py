"""One step of a neuron, in the order that holds everywhere (DESIGN.md section 3.2).

Integrate the held inputs over dt, add the jumps that arrived, compare, reset, emit: all in the same step.
Works on any values, so it is traced on expressions and can be checked on tensors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ..lang import math as m
from ..models.base import NORMAL, NeuronModel, Values
from ..solvers import Solver

Numbers = Mapping[str, Any]
Fire = Callable[[Any], Any]

# t_ref = 1.1 at dt = 0.1 is 11.000000000000002 steps in floating point and 11 in everybody's mind.
WHOLE_STEP_TOLERANCE = 1e-6


def whole_steps(time: Any, dt: Any) -> Any:
    """Steps until ``time`` is over, rounded up: what a timer counts.

    >>> whole_steps(1.1, 0.1), whole_steps(1.11, 0.1)
    (11.0, 12.0)
    """
    return m.ceil(time / dt - WHOLE_STEP_TOLERANCE)


def with_timers_in_steps(model: NeuronModel, states: Numbers, dt: float) -> dict[str, Any]:
    """``states`` in which timers are in ms, as those of a step: timers count whole steps."""
    return {name: whole_steps(v, dt) if model.states[name].timer else v for name, v in states.items()}


@dataclasses.dataclass(frozen=True)
class StepResult:
    """``states`` after the step, ``spike`` (None for a model that never fires), what recorders are ``shown``."""

    states: dict[str, Any]
    spike: Any
    shown: dict[str, Any]


def step_function(
    model: NeuronModel, solver: Solver, dt: Any, *, detach_reset: bool = True, fire: Fire = m.fire
) -> Callable[[Numbers, Numbers], StepResult]:
    """A function (states, streams) -> StepResult for ``model`` bound to values.

    A stream named like an input is held over the step; one named like a state or port arrives there; the others are
    the random numbers that the model asks for.
    """
    free = solver.update(model, dt)
    standing = solver.update(model, dt, held=model.held)
    draws = {name: f"{draw.kind}.{name}" for name, draw in model.draws.items()}
    fresh = {name: 0.0 for name, state in model.states.items() if state.integral}

    def step(states: Numbers, streams: Numbers) -> StepResult:
        drawn = {name: streams[stream] for name, stream in draws.items()}
        before = Values(**states, **drawn)
        inputs = {name: streams.get(name, 0.0) for name in model.inputs}
        inputs |= {name: value for name, value in streams.items() if name.startswith(NORMAL + ".")}
        blocked = model.refractory(before)
        start = {**states, **fresh}
        new = _arrived(model, {**start, **free(start, inputs)}, streams)
        if blocked is not None:
            held = _arrived(model, {**start, **standing(start, inputs)}, streams)
            held |= {name: states[name] for name in model.held}
            new = {name: m.where(blocked, held[name], new[name]) for name in new}
        for name, state in model.states.items():
            if state.timer:
                new[name] = m.detach(m.maximum(states[name] - 1.0, 0.0))
        spike = _spike(model, before, Values(**new, **drawn), blocked, fire)
        if spike is None:
            return StepResult(new, None, new)
        quiet = m.detach(spike)
        gate = quiet if detach_reset else spike
        after = dict(new)
        for name, value in model.reset(Values(**new, **drawn)).items():
            if model.states[name].timer:
                after[name] = m.select(quiet, m.detach(whole_steps(value, dt)), new[name])
            else:
                after[name] = m.select(gate, value, new[name])
        shown = {name: m.select(quiet, top, after[name]) for name, top in model.peak().items()}
        return StepResult(after, spike, {**after, **shown})

    return step


def _positive(scale: Any) -> Any:
    """A neuron whose rest lies at or above its threshold still fires when the quantity is >= 0, not <= 0."""
    size = abs(scale)
    return m.where(size > 0.0, size, 1.0)


def _arrived(model: NeuronModel, states: dict[str, Any], streams: Numbers) -> dict[str, Any]:
    for into in model.targets:
        if into in streams:
            states = {**states, **model.arrive(into, Values(**states), streams[into])}
    return states


def _spike(model: NeuronModel, before: Values, after: Values, blocked: Any, fire: Fire) -> Any:
    quantity = model.threshold(after)
    if quantity is None:
        return None
    spike = fire(quantity * (1.0 / _positive(model.scale())))
    if not any(not model.states[name].timer for name in model.reset(after)):
        # Without a reset, a spike is an upward crossing: the quantity was below at the start of the step.
        spike = m.where(model.threshold(before) >= 0.0, 0.0, spike)
    return spike if blocked is None else m.where(blocked, 0.0, spike)
