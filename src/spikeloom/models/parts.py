"""Mechanisms put into one membrane: their declarations under composed names, their currents and slopes added up."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import DimensionError, ModelError
from ..units import Unit, membrane_conductance, membrane_current
from .base import Values
from .declare import Input, Param, Port, State
from .declared import Declared
from .mechanism import Mechanism


@dataclasses.dataclass(frozen=True)
class Part:
    """A mechanism and the composed names of its own parameters, states and inputs."""

    mechanism: Mechanism
    params: Mapping[str, str]
    states: Mapping[str, str]
    inputs: Mapping[str, str]

    def bound(self, owner: Declared) -> Any:
        """The mechanism with the owner's values."""
        return self.mechanism.bind({own: getattr(owner, name) for own, name in self.params.items()})

    def own(self, s: Any) -> Values:
        """The mechanism's states among those of the neuron."""
        return Values(**{own: getattr(s, name) for own, name in self.states.items()})

    def held(self, x: Any) -> Values:
        """The mechanism's inputs among those of the neuron."""
        return Values(**{own: getattr(x, name) for own, name in self.inputs.items()})

    def named(self, method: str, found: Mapping[str, Any] | None) -> dict[str, Any]:
        """Values of own states under their composed names; raises ModelError where ``method`` gave something else."""
        label = f"{type(self.mechanism).__name__}.{method}"
        if not isinstance(found, Mapping):
            raise ModelError(label, got=type(found).__name__, expected="a dict of states")
        for own in found:
            if own not in self.states:
                raise ModelError(f"{label} names an unknown state", got=own, expected=list(self.states))
        return {self.states[own]: value for own, value in found.items()}


class Parts:
    """Mechanisms by name. ``g`` of the mechanism ``na`` is called ``g_na``; a gate that is alone keeps its name.

    ``params``, ``states``, ``inputs`` and ``ports`` are the tables that the neuron takes over.
    """

    def __init__(self, mechanisms: Mapping[str, Mechanism], current: Unit, voltage: Unit) -> None:
        units = {
            membrane_current.name: current,
            membrane_conductance.name: dataclasses.replace(current / voltage, name=_conductance_name(current, voltage)),
        }
        gates = collections.Counter(n for m in mechanisms.values() for n, state in m.states.items() if state.gate)
        self.params: dict[str, Param] = {}
        self.states: dict[str, State] = {}
        self.inputs: dict[str, Input] = {}
        self.ports: dict[str, Port] = {}
        self.parts: dict[str, Part] = {}
        for name, mechanism in mechanisms.items():
            _check_declared(name, mechanism)
            states = {n: n if s.gate and gates[n] == 1 else f"{n}_{name}" for n, s in mechanism.states.items()}
            params = {n: f"{n}_{name}" for n in mechanism.params}
            inputs = {n: f"{n}_{name}" for n in mechanism.inputs}
            self.parts[name] = Part(mechanism, params, states, inputs)
            for own, declared in mechanism.params.items():
                unit = _resolved(declared.unit, units)
                _check_given(f"{own} of {name}", mechanism.given_units.get(own), unit)
                default = getattr(mechanism, own)
                default = default if isinstance(default, float) else declared.default
                self.params[params[own]] = dataclasses.replace(declared, unit=unit, default=default)
            for own, state in mechanism.states.items():
                self.states[states[own]] = dataclasses.replace(state, unit=_resolved(state.unit, units))
            for own, held in mechanism.inputs.items():
                self.inputs[inputs[own]] = Input(_resolved(held.unit, units))
            if mechanism.receives is not None:
                self.ports[name] = Port(_resolved(mechanism.receives, units))

    def values(self) -> dict[str, Any]:
        """The mechanisms' parameter values under their composed names."""
        return {name: getattr(part.mechanism, own) for part in self.parts.values() for own, name in part.params.items()}

    def current(self, owner: Declared, total: Any, s: Any, v: Any, x: Any) -> Any:
        """``total`` with every mechanism's current into the membrane added."""
        for part in self.parts.values():
            mechanism, own, held = part.bound(owner), part.own(s), part.held(x)
            inward, outward = mechanism.inward(own, v, held), mechanism.outward(own, v, held)
            total = total if inward is None else total + inward
            total = total if outward is None else total - outward
        return total

    def derivative(self, owner: Declared, s: Any, v: Any, x: Any) -> dict[str, Any]:
        """Slopes of every mechanism's states."""
        return self._gathered("derivative", lambda part: part.bound(owner).derivative(part.own(s), v, part.held(x)))

    def initial(self, owner: Declared, v: Any) -> dict[str, Any]:
        """Initial values of the mechanisms' states at the membrane's initial voltage."""
        return self._gathered("initial", lambda part: part.bound(owner).initial(v))

    def gates(self, owner: Declared, v: Any) -> dict[str, Any]:
        """How every channel's gates move at the voltage ``v``."""
        return self._gathered("gates", lambda part: getattr(part.bound(owner), "gates", _none)(v))

    def noise(self, owner: Declared, s: Any) -> dict[str, Any]:
        """Noise amplitudes of the mechanisms' states."""
        return self._gathered("noise", lambda part: part.bound(owner).noise(part.own(s)))

    def arrive(self, owner: Declared, into: str, membrane: str, s: Any, amount: Any) -> dict[str, Any]:
        """What a spike does that arrives at the mechanism ``into``."""
        part = self.parts[into]
        found: dict[str, Any] | None = part.bound(owner).arrive(part.own(s), amount)
        own = found and {name: value for name, value in found.items() if name != "v"}
        jump = {membrane: getattr(s, membrane) + found["v"]} if found and "v" in found else {}
        return {**part.named("arrive", own), **jump}

    def _gathered(self, method: str, of: Callable[[Part], Mapping[str, Any]]) -> dict[str, Any]:
        return {name: value for part in self.parts.values() for name, value in part.named(method, of(part)).items()}


def _none(v: Any) -> dict[str, Any]:
    return {}


def _check_declared(name: str, mechanism: Mechanism) -> None:
    label = f"{name}={type(mechanism).__name__}"
    if mechanism.draws or any(state.timer or state.integral for state in mechanism.states.values()):
        raise ModelError(f"{label} declares a draw, a timer or an integral", expected="a neuron model that does")
    if "v" in mechanism.states:
        raise ModelError(f"{label} declares a state v", expected="another name: v is the membrane's voltage")
    arrives = type(mechanism).arrive is not Mechanism.arrive
    if mechanism.receives is None and arrives:
        mend = "Write receives = sl.units.membrane_current, or the unit that weights have."
        raise ModelError(f"{label} says what a spike does, but receives none", mend=mend)
    if mechanism.receives is not None and not (isinstance(mechanism.receives, Unit) and arrives):  # pyright: ignore[reportUnnecessaryIsInstance]
        got = "no arrive(self, s, amount)" if isinstance(mechanism.receives, Unit) else repr(mechanism.receives)  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"{label} receives spikes", got=got, expected="a unit, and a method that says what they do")


def _resolved(unit: Unit, units: Mapping[str, Unit]) -> Unit:
    for name, real in units.items():
        if unit.name == name or unit.name.startswith(f"{name}/"):
            return real if unit.name == name else dataclasses.replace(real * unit, name="")
    return unit


def _conductance_name(current: Unit, voltage: Unit) -> str:
    from ..units import mS_per_cm2, nS

    ratio = current / voltage
    return next((unit.name for unit in (nS, mS_per_cm2) if unit.same_as(ratio)), ratio.name)


def _check_given(what: str, given: Unit | None, unit: Unit) -> None:
    if given is not None and not given.same_as(unit):
        mend = "Channels and synapses use the units of the membrane that they are put into."
        raise DimensionError(f"{what} does not fit the membrane", got=given, expected=unit, mend=mend)


def mechanisms_among(values: Mapping[str, object]) -> dict[str, Mechanism]:
    """The mechanisms in a mapping; a class in place of a value is refused."""
    for name, value in values.items():
        if isinstance(value, type) and issubclass(value, Mechanism):
            raise ModelError(f"{name} is a class", got=value.__name__, mend=f"Make one: {name}={value.__name__}().")
    return {name: value for name, value in values.items() if isinstance(value, Mechanism)}
