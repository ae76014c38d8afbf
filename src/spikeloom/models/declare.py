"""What a model's class body declares: parameters, states, inputs, options."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..errors import DimensionError
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
    """A declared state; ``timer`` marks one that counts down in whole steps instead of obeying an equation."""

    default: float
    unit: Unit
    timer: bool = False


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
