"""Numbers that users give: as Python has them, finite, and from functions of the times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ParameterError

LARGEST = float(np.finfo(np.float32).max)  # most numbers of a network are kept in float32


def scalar(value: Any) -> Any:
    """A number of NumPy or torch as one of Python, anything else as it is.

    >>> scalar(np.int64(5)), scalar("5")
    (5, '5')
    """
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def require_finite(label: str, numbers: np.ndarray) -> None:
    """Raise ParameterError for NaN, infinity and numbers that float32 has no place for."""
    if not np.isfinite(numbers).all():
        raise ParameterError(label, got="NaN or infinity", expected="finite numbers")
    if numbers.size and np.abs(numbers).max() > LARGEST:
        got = f"{numbers.flat[int(np.abs(numbers).argmax())]:g}"
        raise ParameterError(label, got=got, expected=f"numbers between -{LARGEST:g} and {LARGEST:g}")


def at_times(function: Callable[[np.ndarray], Any], times: np.ndarray, label: str) -> Any:
    """What a user's ``function`` says of an array of times; raises ParameterError where it is one of a single time.

    >>> import math
    >>> at_times(lambda t: math.sin(t), np.arange(2.0), "current")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    spikeloom.errors.ParameterError: current: got a function that fails (...), expected one of an array of times [T]...
    """
    try:
        return function(times)
    except (TypeError, ValueError) as error:
        mend = "Write np.sin(t) for math.sin(t), np.where(t > 1, a, b) for a choice."
        got = f"a function that fails ({error})"
        raise ParameterError(label, got=got, expected="one of an array of times [T] in ms", mend=mend) from error


__all__ = ["LARGEST", "at_times", "require_finite", "scalar"]
