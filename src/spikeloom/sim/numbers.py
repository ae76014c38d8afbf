"""Numbers that users give: as Python has them, finite, and from functions of the times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ParameterError
from ..units import Unit, ms, plain

_LONG = 80  # characters of what was given, that an error does not repeat
MOST = 2**31 - 1  # members of a group, whose numbers are int32
LARGEST = float(np.finfo(np.float32).max)  # most numbers of a network are kept in float32


def scalar(value: Any) -> Any:
    """A number of NumPy or torch as one of Python, anything else as it is.

    >>> scalar(np.int64(5)), scalar("5")
    (5, '5')
    """
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def array_of(given: Any) -> np.ndarray:
    """``given`` as an array; what is none, such as a ragged list, as one object in an array.

    >>> array_of([1, 2]), array_of([[1, 2], [3]])
    (array([1, 2]), array([list([[1, 2], [3]])], dtype=object))
    """
    try:
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError):  # the last: a tensor that cannot be read
        whole = np.empty(1, object)
        whole[0] = given
        return whole


def numbers_of(given: Any, unit: Unit, label: str, expected: str = "numbers", mend: str = "") -> np.ndarray:
    """``given`` as float64 in ``unit``; raises ParameterError for texts, None and whatever else is no number.

    >>> from spikeloom import Hz
    >>> numbers_of([1, 2.5], Hz, "rate")
    array([1. , 2.5])
    """
    found = array_of(plain(given, unit, label))
    if found.dtype.kind not in "biuf":
        raise ParameterError(label, got=said(given), expected=expected, mend=mend or f"Give plain numbers in {unit}.")
    return found.astype(np.float64)


def time_of(value: Any, label: str) -> float:
    """``value``, perhaps with a unit, in ms; raises ParameterError for what is no finite number."""
    time = numbers_of(value, ms, label, expected := "a finite time in ms")
    if time.ndim or not abs(time) <= LARGEST:
        raise ParameterError(label, got=said(value), expected=expected)
    return float(time)


def whole(value: Any, label: str, least: int, most: int | None = None) -> int:
    """``value``, of Python or NumPy, as a whole number; raises ParameterError for anything else and one outside."""
    number = scalar(value)
    # A truth value is an int.
    if type(number) is not int or number < least or (most is not None and number > most):
        expected = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
        raise ParameterError(label, got=said(value), expected=expected)
    return number


def said(given: Any) -> str:
    """What an error says of ``given``: all of it, or its type where that is long."""
    whole = repr(given)
    return whole if len(whole) < _LONG else type(given).__name__


def require_finite(label: str, numbers: np.ndarray) -> None:
    """Raise ParameterError for NaN, infinity and numbers that float32 has no place for."""
    if not np.isfinite(numbers).all():
        raise ParameterError(label, got="NaN or infinity", expected="finite numbers")
    if numbers.size and np.abs(numbers).max() > LARGEST:
        got = f"{numbers.flat[int(np.abs(numbers).argmax())]:g}"
        raise ParameterError(label, got=got, expected=f"numbers between -{LARGEST:g} and {LARGEST:g}")


def at_times(function: Callable[[np.ndarray], Any], times: np.ndarray, label: str) -> Any:
    """What a user's ``function`` says of an array of times in ms; see :func:`of_array`."""
    return of_array(function, times, label, "times [T] in ms")


def of_array(function: Callable[[np.ndarray], Any], given: np.ndarray, label: str, what: str) -> Any:
    """What a user's ``function`` says of an array of ``what``; raises ParameterError for one of a single number.

    >>> import math
    >>> of_array(lambda t: math.sin(t), np.arange(2.0), "current", "times [T] in ms")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    spikeloom.errors.ParameterError: current: got a function that fails (...), expected one of an array of times [T]...
    """
    try:
        return function(given)
    except (TypeError, ValueError) as error:
        mend = "Write np.sin(x) for math.sin(x), np.where(x > 1, a, b) for a choice."
        got = f"a function that fails ({error})"
        raise ParameterError(label, got=got, expected=f"one of an array of {what}", mend=mend) from error


__all__ = [
    "LARGEST", "MOST", "array_of", "at_times", "numbers_of", "of_array", "require_finite", "said", "scalar", "time_of",
    "whole",
]  # fmt: skip
