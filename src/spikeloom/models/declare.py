"""What a model's class body declares: parameters, states, inputs, options."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..errors import DimensionError, ModelError
from ..units import Unit, ms, one, plain


@dataclasses.dataclass(frozen=True)
class Param:
    """A declared parameter; ``low`` and ``high`` are bounds that no value reaches (an open interval)."""

    default: float
    unit: Unit
    low: float | None = None
    high: float | None = None
    inclusive: bool = False


@dataclasses.dataclass(frozen=True)
class State:
    """A declared state.

    ``timer`` marks one that counts down in whole steps instead of obeying an equation, ``integral`` one that
    starts every step at 0, ``gate`` the open fraction of a channel's gates.
    """

    default: float
    unit: Unit
    timer: bool = False
    integral: bool = False
    gate: bool = False


@dataclasses.dataclass(frozen=True)
class Port:
    """A place besides the states where weighted spikes arrive; the model's ``arrive`` says what they do."""

    unit: Unit


@dataclasses.dataclass(frozen=True)
class Draw:
    """A declared random number, drawn afresh in every step: ``uniform`` in (0, 1] or ``exponential`` of mean 1."""

    kind: str


@dataclasses.dataclass(frozen=True)
class Input:
    """A declared input, held constant over each step."""

    unit: Unit


@dataclasses.dataclass(frozen=True)
class Option:
    """A choice that changes which equations hold, such as the kind of reset."""

    default: str
    choices: tuple[str, ...]


def param(
    default: object,
    unit: Unit = one,
    *,
    low: float | None = None,
    high: float | None = None,
    inclusive: bool = False,
) -> Any:
    """Declare a parameter. ``low`` and ``high`` bound it; with ``inclusive`` the bounds themselves are allowed."""
    _checked_unit(unit)
    return Param(float(plain(default, unit, "a default")), unit, low, high, inclusive)  # type: ignore[arg-type]


def state(default: object, unit: Unit = one) -> Any:
    """Declare a state with its initial value. The first one declared is the membrane."""
    _checked_unit(unit)
    return State(float(plain(default, unit, "an initial value")), unit)  # type: ignore[arg-type]


def timer() -> Any:
    """Declare a time that is left, in ms: a reset sets it, and it counts down by whole steps to 0 (rounded up)."""
    return State(0.0, ms, timer=True)


def integral(unit: Unit = one) -> Any:
    """Declare a state that starts every step at 0, so that it ends as the integral of its derivative over the step."""
    _checked_unit(unit)
    return State(0.0, unit, integral=True)


def gate() -> Any:
    """Declare the open fraction of a channel's gates; it starts in equilibrium."""
    return State(0.0, one, gate=True)


def draw(kind: str) -> Any:
    """Declare a random number, drawn afresh in every step and neuron: "uniform" in (0, 1], or "exponential" of mean 1.

    Equations of ``threshold`` and ``reset`` read it like a state.
    """
    if kind not in ("uniform", "exponential"):
        raise ModelError("a random draw", got=repr(kind), expected="'uniform' or 'exponential'")
    return Draw(kind)


def input(unit: Unit = one) -> Any:
    """Declare an input that is held over each step."""
    _checked_unit(unit)
    return Input(unit)


def option(default: str, *choices: str) -> Any:
    """Declare a choice between named kinds of equations."""
    return Option(default, (default, *(c for c in choices if c != default)))


def _checked_unit(unit: object) -> None:
    if not isinstance(unit, Unit):
        raise DimensionError("a declaration's unit", got=repr(unit), expected="a unit such as sl.ms or 1 / sl.mV")
