"""What reaches the neurons of a population from outside: Poisson spikes of their own, currents, noise."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, final

import numpy as np

from ..errors import ParameterError, ShapeError
from ..units import Unit, ms, plain
from .groups import Population, Rate
from .numbers import at_times, numbers_of, require_finite, scalar

_CURRENT = "a number, [N], a function of the times or sl.sim.noise(sd)"


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
class Noise:
    """What :func:`noise` makes."""

    def __init__(self, sd: Any, every: Any) -> None:
        self.sd, self.every = sd, every

    def __repr__(self) -> str:
        return f"noise(sd={self.sd!r}, every={self.every!r})"


def noise(sd: Any, *, every: Any = None) -> Noise:
    """A current for ``Network.inject``: normal numbers of mean 0, independent for every neuron, each held for a while.

    ``sd`` is their standard deviation in the unit of the input, a number or an array [N]. Each is held for ``every`` ms
    (None: one step), rounded to whole steps; up to that time the spectrum is flat, with ``2 sd**2 every`` per Hz (one
    side, every in s). Networks of another dt with the same ``every`` have the same noise, number by number. A mean is
    another current into the same input.

    >>> noise(sd=5.0, every=1.0)
    noise(sd=5.0, every=1.0)
    """
    return Noise(sd, every)


@final
class NoiseCurrent:
    """Noise into the input ``into`` of a population; ``steps`` is for how many each number is held."""

    def __init__(self, name: str, population: Population, given: Noise, into: str, unit: Unit, dt: float) -> None:
        self.name, self.population, self.into, self.unit = name, population, into, unit
        self.sd = np.atleast_1d(numbers_of(given.sd, unit, f"sd of {name}"))
        if self.sd.shape not in ((1,), (population.size,)):
            raise ShapeError(f"sd of {name}", got=self.sd.shape, expected=f"a number or [{population.size}]")
        require_finite(f"sd of {name}", self.sd)
        if not (self.sd >= 0.0).all():
            raise ParameterError(f"sd of {name}", got=self.sd.min(), expected="finite numbers of at least 0")
        held: Any = dt if given.every is None else scalar(plain(given.every, ms, f"every of {name}"))
        if isinstance(held, bool) or not (isinstance(held, int | float) and dt / 2 < held < float("inf")):
            raise ParameterError(f"every of {name}", got=given.every, expected=f"a time of at least dt = {dt:g} ms")
        self.steps = round(held / dt)


@final
class Drive:
    """Poisson input into one ``port`` of one population."""

    def __init__(
        self, name: str, population: Population, stimulus: Poisson, weight: Any, port: str, unit: Unit
    ) -> None:
        self.name, self.population, self.port, self.unit = name, population, port, unit
        self.rate = Rate(f"rate of {name}", stimulus.rate, population.size)
        self.weights = np.atleast_1d(numbers_of(weight, unit, f"{name}: weight"))
        if self.weights.shape not in ((1,), (population.size,)):
            expected = f"a number or [{population.size}]"
            raise ShapeError(f"{name}: weight", got=self.weights.shape, expected=expected)
        require_finite(f"{name}: weight", self.weights)


@final
class Injection:
    """A current (or whatever the input ``into`` takes): a number, [N], or a function of times [T] giving [T] or [T, N].

    A function gets the times in ms at which steps begin.
    """

    def __init__(self, population: Population, current: Any, into: str, unit: Unit) -> None:
        self.population, self.into, self.unit = population, into, unit
        self.function: Callable[[np.ndarray], Any] | None = current if callable(current) else None
        self._label = f"current into {into} of {population.name}"
        self.numbers = np.zeros(1)
        if current is noise or current is poisson or isinstance(current, Poisson):
            raise ParameterError(self._label, got=_name(current), expected=_CURRENT, mend=_mend(current))
        if self.function is not None:
            try:
                inspect.signature(self.function).bind(np.zeros(1))
            except TypeError as error:
                mend = "Write it as lambda t: ..., with the times [T] in ms at which steps begin."
                raise ParameterError(self._label, got=f"a function: {error}", expected=_CURRENT, mend=mend) from None
            except ValueError:  # some functions in C say nothing about their arguments
                pass
        else:
            self.numbers = self._checked(current, ((), (population.size,)), self._label, _CURRENT)

    def rows(self, dt: float, first: int, steps: int) -> np.ndarray:
        """[1, N] where it never changes, else [steps, N]."""
        size = self.population.size
        if self.function is None:
            return np.broadcast_to(self.numbers, (1, size))
        label = f"{self._label}, from its function"
        # As many times as neurons would not tell [N] from [T].
        asked = steps + 1 if steps == size > 1 else steps
        given = at_times(self.function, (np.arange(asked) + first) * dt, label)
        found = self._checked(given, ((), (asked,), (asked, size)), label, "numbers: one, [T] or [T, N]")
        found = found[:steps] if found.ndim else found
        return np.broadcast_to(found if found.ndim != 1 else found[:, None], (steps, size))

    def _checked(self, given: Any, shapes: tuple[tuple[int, ...], ...], label: str, kinds: str) -> np.ndarray:
        numbers = numbers_of(given, self.unit, label, kinds)
        if numbers.shape not in shapes:
            expected = " or ".join("a number" if not s else str(list(s)) for s in shapes)
            raise ShapeError(label, got=list(numbers.shape), expected=expected)
        require_finite(label, numbers)
        return numbers


def _name(given: Any) -> str:
    return repr(given) if isinstance(given, Poisson) else f"the function sl.sim.{given.__name__}"


def _mend(given: Any) -> str:
    if given is noise:
        return "Call it: sl.sim.noise(sd=1.0)."
    return "Spikes come by net.drive(population, sl.sim.poisson(rate), weight=...)."


__all__ = ["Drive", "Injection", "Noise", "NoiseCurrent", "Poisson", "noise", "poisson"]
