"""What every analysis needs of a model: its equations at a held input, and as a family along one parameter."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ModelError, ParameterError, SpikeloomError, did_you_mean
from ..kernels.field import VectorField, vector_field
from ..models.base import NeuronModel, require_model
from ..units import plain

Current = float | Mapping[str, float] | Any


class AnalysisError(SpikeloomError, ArithmeticError):
    """What was looked for is not there, or was not found: a limit cycle, a spike, an end to the transient."""


def system(who: str, model: NeuronModel, current: Current = 0.0) -> VectorField:
    """The vector field of ``model`` with ``current`` into its first input, or a mapping from input names to values.

    Raises ParameterError for parameters with one value a neuron and for values that are not finite numbers,
    ModelError for random thresholds.
    """
    require_model(who, model)
    label = type(model).__name__
    for name, value in model.values.items():
        if np.ndim(value):
            mend = "Analyse one neuron at a time."
            raise ParameterError(f"{who}: {label}.{name}", got=f"{np.size(value)} values", expected="one", mend=mend)
    if model.draws or any(state.integral for state in model.states.values()):
        mend = "What is wrapped in sl.EscapeRate can be analysed by itself: model.inner."
        raise ModelError(f"{who}: {label} fires at random, so that it has no fixed dynamics", mend=mend)
    return vector_field(model, inputs_of(who, model, current))


def inputs_of(who: str, model: NeuronModel, current: Current) -> dict[str, float]:
    """``current`` as plain numbers by input name."""
    if not isinstance(current, Mapping):
        if not model.inputs:
            if current == 0.0:
                return {}
            raise ParameterError(f"{who}: {type(model).__name__} has no input", got=current, expected="current=0")
        current = {next(iter(model.inputs)): current}
    found: dict[str, float] = {}
    for name, value in current.items():
        if name not in model.inputs:
            what = f"{type(model).__name__} has no input {name!r}"
            raise ParameterError(f"{who}: {what}", mend=did_you_mean(name, model.inputs))
        found[name] = finite(f"{who}: {name}", plain(value, model.inputs[name].unit, name))
    return found


def finite(what: str, value: object) -> float:
    """``value`` as a float; raises ParameterError unless it is one finite number."""
    if isinstance(value, (bool, str)) or np.ndim(value) or not isinstance(value, (int, float, np.number)):  # type: ignore[arg-type]
        raise ParameterError(what, got=repr(value), expected="a number")
    if not math.isfinite(value):
        raise ParameterError(what, got=value, expected="a finite number")
    return float(value)


def positive(what: str, value: object, unit: Any = None) -> float:
    """``value`` as a float > 0, where a unit is given as a plain number in it."""
    number = finite(what, value if unit is None else plain(value, unit, what))
    if number <= 0.0:
        raise ParameterError(what, got=number, expected="> 0" if unit is None else f"> 0 {unit}")
    return number


def interval(what: str, value: Any) -> tuple[float, float]:
    """``value`` as an ascending pair."""
    try:
        low, high = value
    except (TypeError, ValueError):
        raise ParameterError(what, got=repr(value), expected="a pair (low, high)") from None
    low, high = finite(what, low), finite(what, high)
    if not low < high:
        raise ParameterError(what, got=f"({low:g}, {high:g})", expected="low < high")
    return low, high


def start_of(who: str, field: VectorField, state: Mapping[str, float] | None) -> np.ndarray:
    """The model's initial values ``[S]``, those in ``state`` replaced."""
    start = np.array(field.start)
    for name, value in (state or {}).items():
        if name not in field.names:
            what = f"{who}: {type(field.model).__name__} has no state {name!r}"
            raise ParameterError(what, mend=did_you_mean(name, field.names))
        start[field.names.index(name)] = finite(f"{who}: {name}", plain(value, field.model.states[name].unit, name))
    return start


def resets(model: NeuronModel) -> bool:
    """Whether a spike changes any state, as against the timers of refractoriness."""
    return any(not model.states[name].timer for name in model.reset(model.symbols()[0]))


def natural_size(model: NeuronModel) -> float:
    """The size of the model's threshold quantity as a number > 0."""
    size = abs(float(model.scale()))
    return size if size > 0.0 else 1.0


@dataclasses.dataclass(frozen=True)
class Family:
    """The equations of a model as a function of one of its parameters or inputs."""

    base: VectorField
    name: str

    def at(self, value: float) -> VectorField:
        """The field at one value, which is not checked against the parameter's declared range."""
        if self.name in self.base.inputs:
            return self.base.held_at(**{self.name: value})
        model = self.base.model.bind({self.name: value})
        return dataclasses.replace(self.base, model=model, known={})

    @property
    def unit(self) -> str:
        """The parameter's unit as text."""
        model = self.base.model
        return str((model.inputs.get(self.name) or model.params[self.name]).unit)


def family(who: str, model: NeuronModel, name: str, low: float, high: float, current: Current) -> Family:
    """The family along the input or parameter ``name``, whose ends are checked against its declared range."""
    base = system(who, model, current)
    known = [*model.inputs, *model.params]
    if name not in known:
        what = f"{who}: {type(model).__name__} has no input or parameter {name!r}"
        raise ParameterError(what, mend=did_you_mean(name, known))
    if name in model.params:
        for end in (low, high):
            model.replace(**{name: end})
    return Family(base, name)


__all__ = ["AnalysisError", "Current", "Family", "family", "inputs_of", "resets", "system"]
