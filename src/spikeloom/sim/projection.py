"""Connections from one group to another: where they end, what they weigh, how long they take."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any, Protocol, final

import numpy as np

from ..errors import ParameterError, ShapeError
from ..kernels.propagate.release import Memory
from ..kernels.random import key_of
from ..models.declared import check_range
from ..models.mechanism import Mechanism
from ..plasticity import Plasticity
from ..units import Quantity, Unit, ms
from .distributions import Distribution
from .edges import Edges, Rule
from .groups import Group, Population
from .numbers import numbers_of, require_finite, said
from .ports import arrival_units
from .release import Release

_ROUNDED = 1e-6  # of a step: nearer than this to a whole number of steps is one


@final
class Delay:
    """A delay in two parts: along the ``axonal`` and the ``dendritic`` way, in ms. Spikes take their sum.

    Learning rules see a presynaptic spike when it has run along the axon, and a postsynaptic one when it has run back
    along the dendrite. One part may be individual: an array with a value for each edge, or a distribution.

    >>> Delay(axonal=1.0, dendritic=0.5).total
    1.5
    """

    def __init__(self, axonal: Any = 0.0, dendritic: Any = 0.0) -> None:
        self.axonal, self.dendritic = (_time(n, v) for n, v in (("axonal", axonal), ("dendritic", dendritic)))
        if not isinstance(self.axonal, float) and not isinstance(self.dendritic, float):
            raise ParameterError("delay", got="two individual parts", expected="one number for one of them")

    @property
    def total(self) -> Any:
        """What a spike takes; without the part that is one number where the other is a distribution."""
        if isinstance(self.axonal, Distribution) or isinstance(self.dendritic, Distribution):
            return self.axonal if isinstance(self.axonal, Distribution) else self.dendritic
        return self.axonal + self.dendritic

    @property
    def besides(self) -> float:
        """What spikes take besides :attr:`total`."""
        if isinstance(self.axonal, Distribution):
            return self.dendritic
        return self.axonal if isinstance(self.dendritic, Distribution) else 0.0

    def __repr__(self) -> str:
        both = (("axonal", self.axonal), ("dendritic", self.dendritic))
        return f"Delay({', '.join(f'{n}={_shown(v)}' for n, v in both)})"


class Live(Protocol):
    """The edges of a running network."""

    def values(self, name: str = "w") -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Receptor:
    """Where the spikes of a projection end: the ``port`` of the target, its ``synapse`` where a connection brought it,
    what of a spike each edge releases (None: all), and how weights change (None: never)."""

    port: str
    synapse: Mechanism | None = None
    release: Release | None = None
    plasticity: Plasticity | None = None


@final
class Projection:
    """What :meth:`Network.connect` returns. Edges are drawn when they are first looked at, or the network runs.

    ``edges`` are rows by source. ``weights`` is one number [1] or [E], in the order of ``edges.targets``: with
    ``plasticity`` a copy of what they are now; ``steps`` is the delay of each, alike. ``given`` are weight and delay as
    they were given (None: the rule brings them, or a delay of one step), ``net`` is (dt, seed).
    """

    def __init__(
        self, name: str, pre: Group, post: Population, rule: Rule, receptor: Receptor, given: tuple[Any, Any],
        net: tuple[float, int],
    ) -> None:  # fmt: skip
        self.name, self.pre, self.post, self.rule = name, pre, post, rule
        self.port, self.synapse, self.release = receptor.port, receptor.synapse, receptor.release
        self.plasticity = receptor.plasticity
        self._weight, self._told = given
        self.dt, self._seed = net
        delay = self.dt if self._told is None else self._told
        self.delay = Delay(dendritic=delay) if isinstance(delay, (int, float)) else delay
        self._delay = self.delay.total if isinstance(self.delay, Delay) else delay
        self.live: Live | None = None  # the edges of a running network, where they change
        self._edges: Edges | None = None
        self._weights: np.ndarray | None = None
        self._steps: np.ndarray | None = None

    @property
    def expected(self) -> float:
        """How many synapses there will be, about."""
        return self.rule.expected(self.pre.side, self.post.side)

    @property
    def weighted(self) -> bool:
        """Whether each synapse has a weight of its own."""
        return (
            self.plasticity is not None
            or self._weight is None
            or isinstance(self._weight, Distribution)
            or np.size(self._weight) > 1
        )

    @property
    def delayed(self) -> bool:
        """Whether each synapse has a delay of its own."""
        return isinstance(self._delay, Distribution) or np.size(self._delay) > 1

    @property
    def given(self) -> tuple[Any, Any]:
        """Weight and delay as they were given, the delay without a part that all edges share."""
        return self._weight, self._delay

    @property
    def edges(self) -> Edges:
        """The edges, drawn once; targets are int32 [E]."""
        return self.kept.wide()

    @property
    def kept(self) -> Edges:
        """The same as they are kept: targets are uint16 where that is enough, for kernels that take them."""
        if self._edges is None:
            same = self.pre is self.post
            try:
                found = self.rule.edges(self.pre.side, self.post.side, same, self._key("edges"))
                found.check(self.pre.side, self.post.side)
            except (ParameterError, ShapeError) as e:
                what = f"{self.name}: {e.what}"
                raise type(e)(what, got=e.got, expected=e.expected, mend=e.mend) from None
            self._edges = found if self.plasticity is not None else found.narrow(self.post.size)
        return self._edges

    @property
    def size(self) -> int:
        """Number of synapses."""
        return len(self.kept.targets)

    @property
    def weights(self) -> np.ndarray:
        """[1] where all are alike, else one for each edge."""
        if self.live is not None:
            return self.live.values()
        if self._weights is None:
            brought = self.kept.weights
            if brought is not None and self._weight is not None:
                raise _twice(self.name, "weight")
            self._weights = self._numbers("weight", brought if self._weight is None else self._weight, self.unit)
        return self._weights

    def weights_as(self, dtype: np.dtype[Any]) -> np.ndarray:
        """The weights as kernels take them. Drawn ones are kept in this precision from now on, and not twice."""
        found = np.ascontiguousarray(self.weights, dtype)
        if isinstance(self._weight, Distribution):
            self._weights = found
        return found

    @property
    def steps(self) -> np.ndarray:
        """Delays in steps, [1] or [E]; at least 1."""
        if self._steps is not None:
            return self._steps
        brought = self.kept.delays
        if brought is not None and self._told is not None:
            raise _twice(self.name, "delay")
        drawn = isinstance(self._delay, Distribution)
        delays = self._numbers("delay", self._delay if brought is None else brought, ms)
        if isinstance(self.delay, Delay) and self.delay.besides:
            delays = delays + self.delay.besides
        steps = self._in_steps(delays, drawn)
        if not isinstance(self._delay, Distribution):  # drawn ones are drawn again: kernels keep what they need
            self._steps = steps
        return steps

    def memory(self, dtype: np.dtype[Any]) -> Memory | None:
        """States of the edges before the first spike; None where they remember nothing."""
        if self.release is None:
            return None
        parameters = {n: self._parameter(n, v).astype(dtype) for n, v in self.release.parameters.items()}
        states = {n: np.full(self.size, v, dtype) for n, v in self.release.initial.items()}
        return Memory(self.release.text, states, np.full(self.size, -1, np.int32), parameters, self.dt)

    def _parameter(self, name: str, given: Any) -> np.ndarray:
        assert self.release is not None
        declared = self.release.declared[name]
        numbers = self._numbers(name, given, declared.unit)
        check_range(f"{self.name}: {name}", declared, numbers)
        return numbers

    def whole_steps(self, what: str, time: float) -> int:
        """A time in whole steps, at least 1. Raises ParameterError where it is none."""
        steps = round(time / self.dt)
        if steps < 1 or abs(time / self.dt - steps) > _ROUNDED * max(steps, 1):
            expected = f"a multiple of dt = {self.dt:g} ms"
            raise ParameterError(f"{self.name}: {what}", got=f"{time:g} ms", expected=expected)
        return steps

    def sources(self) -> np.ndarray:
        """Source of each edge, [E]."""
        return np.repeat(np.arange(self.pre.size, dtype=np.int32), np.diff(self.kept.starts))

    @property
    def unit(self) -> Unit:
        """The unit of the weights."""
        model = self.post.model
        units = arrival_units(model)
        return units[self.port] if self.port in units else model.params[f"g_{self.port}"].unit

    def _key(self, purpose: str) -> int:
        return key_of(self._seed, f"{self.name}/{purpose}")

    def _numbers(self, what: str, given: Any, unit: Unit) -> np.ndarray:
        """One number, or one for each edge, as float64."""
        if isinstance(given, Distribution):
            found = given.along(self._key(what), self.kept, self.pre.side, self.post.side)
        else:
            found = np.atleast_1d(numbers_of(given, unit, f"{self.name}: {what}"))
        if found.shape not in ((1,), (self.size,)):
            raise ShapeError(f"{self.name}: {what}", got=found.shape, expected=f"a number or [{self.size}]")
        require_finite(f"{self.name}: {what}", found)
        return found

    def _in_steps(self, delays: np.ndarray, drawn: bool) -> np.ndarray:
        label = f"{self.name}: delay"
        steps = delays / self.dt
        off = np.zeros(1) if drawn else np.abs(steps - np.rint(steps))
        np.rint(steps, out=steps)
        if steps.size and steps.min() < 1:
            raise _too_short(self.name, float(delays.min()), self.dt)
        if off.size and off.max() > _ROUNDED:
            at = int(off.argmax())
            problem = f"a delay of {delays[at]:g} ms is no multiple of dt = {self.dt:g} ms"
            warnings.warn(f"{self.name}: {problem}; it is rounded to {steps[at] * self.dt:g} ms", stacklevel=4)
        longest = steps.max(initial=0.0)
        if longest > 65535:
            raise ParameterError(label, got=f"{delays.max():g} ms", expected=f"at most {65535 * self.dt:g} ms")
        return steps.astype(np.int64 if steps.size == 1 else np.uint8 if longest < 256 else np.uint16)

    def __repr__(self) -> str:
        return f"<Projection {self.name!r} into {self.port}>"


def checked_numbers(label: str, rule: Rule, weight: Any, delay: Any, dt: float) -> tuple[Any, Any]:
    """``weight`` and ``delay``, tensors and lists as arrays.

    Raises ParameterError for one number that cannot be, at once; many are looked at when edges are drawn.
    """
    for what, given in (("weight", weight), ("delay", delay)):
        if given is not None and getattr(rule, f"{what}s", None) is not None:
            raise _twice(label, what)
    if weight is None and getattr(rule, "weights", None) is None:
        mend = "Give weight=0.5, say, or a value for each edge."
        raise ParameterError(f"{label}: weight", got="none", expected="a number, [E] or a distribution", mend=mend)
    weight, delay = (
        given if isinstance(given, (int, float, Distribution, Delay, Quantity, type(None))) else
        numbers_of(given, ms, f"{label}: {what}", "a number, [E] or a distribution", "Give plain numbers.")
        for what, given in (("weight", weight), ("delay", delay))
    )  # fmt: skip
    if isinstance(weight, (int, float)) and not math.isfinite(weight):
        raise ParameterError(f"{label}: weight", got="NaN or infinity", expected="a finite number")
    if isinstance(delay, (int, float)) and not (math.isfinite(delay) and round(delay / dt) >= 1):
        raise _too_short(label, float(delay), dt)
    return weight, delay


def _twice(label: str, what: str) -> ParameterError:
    return ParameterError(f"{label}: {what}s are given twice", mend=f"Leave out {what}=, or the {what}s of the rule.")


def _too_short(label: str, delay: float, dt: float) -> ParameterError:
    mend = f"A spike takes at least one step: use a delay of {dt:g} ms or more, or a smaller dt."
    expected = f">= dt = {dt:g} ms" + ", finite" * (delay == math.inf)
    return ParameterError(f"{label}: delay", got=f"{delay:g} ms", expected=expected, mend=mend)


def _time(name: str, given: Any) -> Any:
    if isinstance(given, Distribution):
        return given
    label, expected = f"{name} part of a delay", "finite times of at least 0 ms: one, [E] or a distribution"
    times = numbers_of(given, ms, label, expected)
    if times.ndim > 1 or not (np.isfinite(times).all() and (times >= 0.0).all()):
        raise ParameterError(label, got=said(given), expected=expected)
    return times if times.ndim else float(times)


def _shown(part: Any) -> str:
    return f"{part:g}" if isinstance(part, float) else f"<{len(part)} values>" if np.ndim(part) else repr(part)


__all__ = ["Delay", "Projection", "Receptor", "checked_numbers"]
