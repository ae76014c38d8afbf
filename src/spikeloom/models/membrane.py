"""A neuron as a membrane and what is in it: by name in a class body, or around any model."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from ..errors import ModelError, ParameterError
from ..units import mV, uA_per_cm2, uF_per_cm2
from .base import NeuronModel, Values, require_model
from .declare import Input, State, input, param, state
from .declared import unknown_parameter
from .parts import Parts, mechanisms_among
from .wrapper import Wrapper


def arrival(owner: Any, parts: Parts, otherwise: Any, into: str, s: Any, amount: Any) -> dict[str, Any]:
    """What a spike does at a mechanism's port, or elsewhere."""
    if into in parts.ports:
        return parts.arrive(owner, into, owner.membrane, s, amount)
    return otherwise(into, s, amount)


class Membrane(NeuronModel):
    """``c dv/dt = i - (currents of its channels)``; fires where ``v`` crosses ``v_threshold`` upward.

    A subclass names its channels in its body; parameter ``g`` of the channel ``na`` is then called ``g_na``. The
    default units are densities; a whole cell declares ``c`` in pF and ``i`` in pA, and its conductances are in nS.

    >>> import spikeloom as sl
    >>> class Cell(sl.Membrane):
    ...     c = sl.param(1.0, sl.units.uF_per_cm2, low=0.0)
    ...     leak = sl.Leak(g=0.1, e=-65.0)
    >>> Cell(g_leak=0.2).values
    {'c': 1.0, 'v_threshold': 0.0, 'g_leak': 0.2, 'e_leak': -65.0}
    """

    parts: ClassVar[Parts] = Parts({}, uA_per_cm2, mV)
    c = param(1.0, uF_per_cm2, low=0.0)
    v_threshold = param(0.0, mV)
    v = state(-65.0, mV)
    i = input(uA_per_cm2)

    def __init_subclass__(cls, role: bool = False) -> None:
        mechanisms = mechanisms_among(vars(cls))
        if mechanisms:
            if cls.parts.parts:
                mend = "Derive from Membrane and name all channels."
                raise ModelError(f"{cls.__name__} adds channels to a membrane that has some", mend=mend)
            own = vars(cls)
            current, voltage = own.get("i", cls.inputs["i"]), own.get("v", cls.states["v"])
            if not (isinstance(current, Input) and isinstance(voltage, State)):
                got = f"i of type {type(current).__name__}, v of type {type(voltage).__name__}"
                raise ModelError(f"{cls.__name__} is no membrane", got=got, expected="an input i and a state v")
            cls.parts = Parts(mechanisms, current.unit, voltage.unit)
            for table in (cls.parts.params, cls.parts.states, cls.parts.inputs):
                for name, declared in table.items():
                    if name in own:
                        raise ModelError(f"{cls.__name__} declares a name twice", got=name)
                    setattr(cls, name, declared)
            cls.ports = {**cls.ports, **cls.parts.ports}
        super().__init_subclass__(role)

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        current = self.parts.current(self, x.i, s, s.v, x)
        return {"v": current / self.c, **self.parts.derivative(self, s, s.v, x)}

    def threshold(self, s: Any) -> Any:
        return s.v - self.v_threshold

    def initial(self) -> dict[str, Any]:
        """Gates in equilibrium with the initial voltage."""
        return self.parts.initial(self, self.states["v"].default)

    def gates(self, v: Any) -> dict[str, Any]:
        """How each gate moves at the voltage ``v``: its ``steady`` open fraction and ``time_constant`` in ms."""
        return self.parts.gates(self, v)

    def arrive(self, into: str, s: Any, amount: Any) -> dict[str, Any]:
        return arrival(self, self.parts, super().arrive, into, s, amount)

    def noise(self, s: Any, x: Any) -> dict[str, Any]:
        return self.parts.noise(self, s)

    def scale(self) -> Any:
        return 10.0


class With(Wrapper):
    """``model`` with mechanisms that feed its first input: synapses, channels, noise currents.

    Each keyword names a mechanism; weighted spikes sent ``into`` that name arrive there. Parameter ``tau`` of the
    mechanism ``exc`` is called ``tau_exc``.

    >>> import spikeloom as sl
    >>> neuron = With(sl.LIF(tau=10.0), exc=sl.Exponential(tau=5.0), inh=sl.Exponential(tau=10.0))
    >>> list(neuron.states), neuron.tau_inh, neuron.replace(tau_inh=8.0).tau_inh
    (['v', 'i_exc', 'i_inh'], 10.0, 8.0)
    """

    def __init__(self, inner: NeuronModel, **mechanisms_and_values: Any) -> None:
        require_model("With", inner)
        mechanisms = mechanisms_among(mechanisms_and_values)
        values = {n: v for n, v in mechanisms_and_values.items() if n not in mechanisms}
        if not inner.inputs:
            raise ModelError(f"{type(inner).__name__} declares no input that a current could feed")
        fed = next(iter(inner.inputs))
        parts = Parts(mechanisms, inner.inputs[fed].unit, inner.states[inner.membrane].unit)
        tables = {"params": parts.params, "states": parts.states, "inputs": parts.inputs, "ports": parts.ports}
        for table, added in tables.items():
            both = set(added) & {*inner.params, *inner.states, *inner.inputs, *inner.options, *inner.ports}
            if both:
                mend = "Give the mechanism another name."
                raise ModelError(f"With declares what {inner!r} has already", got=sorted(both), mend=mend)
            self.__dict__[table] = {**getattr(inner, table), **added}
        self.__dict__["options"], self.__dict__["draws"] = inner.options, inner.draws
        for name in values:
            if name not in (*self.params, *self.options):
                raise _neither(name, values[name], [*self.params, *self.options])
        theirs = {n: values.pop(n) for n in list(values) if n not in parts.params}
        self.__dict__.update(inner=inner.replace(**theirs) if theirs else inner, parts=parts, fed=fed)
        settings = {n: getattr(self.inner, n) for n in (*inner.params, *inner.options)}
        NeuronModel.__init__(self, **settings, **{**parts.values(), **values})
        self.check_units()

    parts: Parts
    fed: str

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        v = getattr(s, self.membrane)
        total = self.parts.current(self, getattr(x, self.fed), s, v, x)
        inner = self.inner.derivative(s, Values(**{**vars(x), self.fed: total}))
        return {**inner, **self.parts.derivative(self, s, v, x)}

    def initial(self) -> dict[str, Any]:
        inner = self.inner.initial_values()
        return {**self.inner.initial(), **self.parts.initial(self, inner[self.membrane])}

    def arrive(self, into: str, s: Any, amount: Any) -> dict[str, Any]:
        return arrival(self, self.parts, self.inner.arrive, into, s, amount)

    def noise(self, s: Any, x: Any) -> dict[str, Any]:
        return {**self.inner.noise(s, x), **self.parts.noise(self, s)}

    def replace(self, **values: object) -> Self:
        mechanisms = {name: part.mechanism for name, part in self.parts.parts.items()}
        return type(self)(self.inner, **{**mechanisms, **self.values, **values})

    def structure(self) -> tuple[object, ...]:
        parts = tuple((name, part.mechanism.structure()) for name, part in self.parts.parts.items())
        return type(self), self.inner.structure(), parts

    def __repr__(self) -> str:
        names = {name: part.bound(self) for name, part in self.parts.parts.items()}
        return f"With({', '.join([repr(self.inner), *(f'{n}={m!r}' for n, m in names.items())])})"


def _neither(name: str, value: object, known: list[str]) -> ParameterError:
    if isinstance(value, (int, float)):
        return unknown_parameter("With", name, known)
    mend = "Pass a synapse, channel or noise current, such as exc=sl.Exponential(tau=5.0)."
    return ParameterError(f"With: {name} is no mechanism", got=repr(value), mend=mend)


__all__ = ["Membrane", "With"]
