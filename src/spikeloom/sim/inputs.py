"""What reaches the neurons of a population from outside: Poisson spikes of their own, and currents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np

from ..errors import ParameterError, ShapeError
from ..units import Unit, plain
from .groups import Population, Rate


@final
class Poisson:
    """What :func:`poisson` makes."""

    def __init__(self, rate: Any) -> None:
        self.rate = rate

    def __repr__(self) -> str:
        return f"poisson(rate={self.rate!r})"


def poisson(rate: Any) -> Poisson:
    """Poisson spikes at ``rate`` Hz for ``Network.drive``, independent for every neuron; several may fall in one step.

    ``rate`` is a number, an array [N], or a function of times [T] in ms that gives [T].

    >>> poisson(rate=8000.0)
    poisson(rate=8000.0)
    """
    return Poisson(rate)


@final
class Drive:
    """Poisson input into one ``port`` of one population."""

    def __init__(
        self, name: str, population: Population, stimulus: Poisson, weight: Any, port: str, unit: Unit
    ) -> None:
        self.name, self.population, self.port = name, population, port
        self.rate = Rate(f"rate of {name}", stimulus.rate, population.size)
        self.weights = np.atleast_1d(np.asarray(plain(weight, unit, "weight"), np.float64))
        if self.weights.shape not in ((1,), (population.size,)):
            expected = f"a number or [{population.size}]"
            raise ShapeError(f"{name}: weight", got=self.weights.shape, expected=expected)
        if not np.isfinite(self.weights).all():
            raise ParameterError(f"{name}: weight", got="NaN or infinity", expected="finite numbers")


@final
class Injection:
    """A current (or whatever the input ``into`` takes): a number, [N], or a function of times [T] giving [T] or [T, N].

    A function gets the times in ms at which steps begin.
    """

    def __init__(self, population: Population, current: Any, into: str, unit: Unit) -> None:
        self.population, self.into, self._unit = population, into, unit
        self.function: Callable[[np.ndarray], Any] | None = current if callable(current) else None
        self._label = f"current into {into} of {population.name}"
        self._constant = np.zeros(1)
        if self.function is None:
            self._constant = self._checked(current, ((), (population.size,)))

    def rows(self, dt: float, first: int, steps: int) -> np.ndarray:
        """[1, N] where it never changes, else [steps, N]."""
        size = self.population.size
        if self.function is None:
            return np.broadcast_to(self._constant, (1, size))
        found = self._checked(self.function((np.arange(steps) + first) * dt), ((), (steps,), (steps, size)))
        return np.broadcast_to(found if found.ndim != 1 else found[:, None], (steps, size))

    def _checked(self, given: Any, shapes: tuple[tuple[int, ...], ...]) -> np.ndarray:
        numbers = np.asarray(plain(given, self._unit, self._label), np.float64)
        if numbers.shape not in shapes:
            expected = " or ".join("a number" if not s else str(list(s)) for s in shapes)
            raise ShapeError(self._label, got=list(numbers.shape), expected=expected)
        if not np.isfinite(numbers).all():
            raise ParameterError(self._label, got="NaN or infinity", expected="finite numbers")
        return numbers


__all__ = ["Drive", "Injection", "Poisson", "poisson"]
