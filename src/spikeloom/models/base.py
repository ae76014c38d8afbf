"""A neuron model: a frozen value that declares parameters, states and inputs, and says its equations once.

It knows nothing of batch, device, time step, solver, learnability or gradients. Its methods are plain Python on
*values*: on numbers and tensors they compute, on expressions they record a program.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import numpy as np

from ..errors import DimensionError, ModelError, ParameterError, did_you_mean
from ..lang.expr import Expr, symbol
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
    return Param(float(plain(default, unit, "a default")), unit, low, high, inclusive)  # type: ignore[arg-type]


def state(default: object, unit: Unit = one) -> Any:
    """Declare a state with its initial value. The first one declared is the membrane."""
    return State(float(plain(default, unit, "an initial value")), unit)  # type: ignore[arg-type]


def timer() -> Any:
    """Declare a time that is left, in ms: a reset sets it, and it counts down by whole steps to 0 (rounded up)."""
    return State(0.0, ms, timer=True)


def input(unit: Unit = one) -> Any:
    """Declare an input that is held over each step."""
    return Input(unit)


def option(default: str, *choices: str) -> Any:
    """Declare a choice between named kinds of equations."""
    return Option(default, (default, *(c for c in choices if c != default)))


class Values(SimpleNamespace):
    """States or inputs by name, as a model's methods see them: ``s.v``."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ModelError(f"an equation uses {name!r}, which is not declared", mend=did_you_mean(name, vars(self)))


class NeuronModel:
    """Base of all neuron models.

    A model is written by declaring its parts and overriding the methods that differ from the defaults:

    ==============  ===============================================================================
    ``derivative``  d(state)/dt of each state, in the state's unit per ms
    ``threshold``   the quantity that makes a spike when it is >= 0 (None: never fires)
    ``reset``       new values of states at a spike; a model without one fires at upward crossings
    ``initial``     initial values that depend on parameters
    ``scale``       the natural size of the threshold quantity, which the surrogate's width refers to
    ``refractory``  a condition under which the membrane is held and no spike is made
    ``peak``        what a recorder shows instead of a state in a spike's step
    ==============  ===============================================================================

    >>> import spikeloom as sl
    >>> class Quadratic(sl.NeuronModel):
    ...     tau = sl.param(10.0, sl.ms, low=0.0)
    ...     v_threshold = sl.param(10.0)
    ...     v = sl.state(0.0)
    ...     i = sl.input()
    ...     def derivative(self, s, x): return dict(v=(s.v * s.v + x.i) / self.tau)
    ...     def threshold(self, s): return s.v - self.v_threshold
    ...     def reset(self, s): return dict(v=-10.0)
    >>> Quadratic(tau=5.0)
    Quadratic(tau=5.0)
    """

    params: ClassVar[Mapping[str, Param]] = {}
    states: ClassVar[Mapping[str, State]] = {}
    inputs: ClassVar[Mapping[str, Input]] = {}
    options: ClassVar[Mapping[str, Option]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for kind, table in ((Param, "params"), (State, "states"), (Input, "inputs"), (Option, "options")):
            declared = dict(getattr(cls, table))
            for name, value in list(vars(cls).items()):
                if isinstance(value, kind):
                    declared[name] = value
                    if kind is not Param:  # so that a method reading self.v instead of s.v fails with our words
                        delattr(cls, name)
            setattr(cls, table, declared)
        names = [*cls.params, *cls.states, *cls.inputs, *cls.options]
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            raise ModelError(f"{cls.__name__} declares a name twice", got=", ".join(sorted(twice)))
        if cls.derivative is not NeuronModel.derivative and cls.__init__ is NeuronModel.__init__:  # not a wrapper
            cls().check_units()

    def __init__(self, **values: object) -> None:
        known = {**self.params, **self.options}
        for name in values:
            if name not in known:
                wrapped = "t_ref" if name == "t_ref" else "v_peak" if name == "v_peak" else None
                wrapper = {"t_ref": "sl.Refractory(model, t_ref=...)", "v_peak": "sl.Peak(model, v_peak=...)"}
                mend = f"Wrap the model: {wrapper[wrapped]}." if wrapped else did_you_mean(name, known)
                raise ParameterError(f"{type(self).__name__} has no parameter {name!r}", mend=mend)
        own: dict[str, object] = {n: _checked(n, p, values.get(n, p.default), self) for n, p in self.params.items()}
        for name, choice in self.options.items():
            own[name] = values.get(name, choice.default)
            if own[name] not in choice.choices:
                raise ParameterError(
                    f"{type(self).__name__}: {name}", got=own[name], expected=" or ".join(choice.choices)
                )
        self.__dict__.update(own)

    def __setattr__(self, name: str, value: object) -> None:
        mend = f"Make a new one: model.replace({name}=...)."
        raise ModelError(f"{type(self).__name__} is a frozen value; {name} cannot be set", mend=mend)

    # -- the equations, to be overridden

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        """d(state)/dt of every state at states ``s`` and held inputs ``x``."""
        raise ModelError(f"{type(self).__name__} has no derivative", mend="Define derivative(self, s, x).")

    def threshold(self, s: Any) -> Any:
        """The quantity that fires when it is >= 0; None for a model that never fires."""
        return None

    def reset(self, s: Any) -> dict[str, Any]:
        """New values of some states at a spike."""
        return {}

    def initial(self) -> dict[str, Any]:
        """Initial values of states where they differ from the declared ones."""
        return {}

    def scale(self) -> Any:
        """The natural size of the threshold quantity; a surrogate's width is in units of it."""
        return 1.0

    def refractory(self, s: Any) -> Any:
        """A condition under which the membrane keeps its value and no spike is made; None for never."""
        return None

    def peak(self) -> dict[str, Any]:
        """What a recorder shows instead of a state in the step of a spike."""
        return {}

    # -- the value

    @property
    def membrane(self) -> str:
        """Name of the first declared state: what jumps reach by default, what a read-out returns."""
        return next(iter(self.states))

    @property
    def values(self) -> dict[str, Any]:
        """Parameter values by name."""
        return {name: getattr(self, name) for name in self.params}

    def bind(self, values: Mapping[str, Any]) -> Self:
        """The same model with parameters replaced by any values: tensors, expressions (nothing is checked)."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__, **values)
        return new

    def symbolic(self) -> Self:
        """The model with a symbol in place of each parameter."""
        return self.bind({name: symbol(name, p.unit) for name, p in self.params.items()})

    def replace(self, **values: object) -> Self:
        """A new model with some parameters or options changed."""
        return type(self)(**{**self.values, **{n: getattr(self, n) for n in self.options}, **values})

    def structure(self) -> tuple[object, ...]:
        """What decides on the equations, as against their parameters; equal structures share one program."""
        return type(self), tuple(getattr(self, name) for name in self.options)

    def initial_values(self) -> dict[str, Any]:
        """Initial value of every state."""
        return {**{name: s.default for name, s in self.states.items()}, **self.initial()}

    def check_units(self) -> None:
        """Trace every equation once; raises :class:`DimensionError` or :class:`ModelError` naming the culprit."""
        bound, label = self.symbolic(), type(self).__name__
        s = Values(**{name: symbol(name, st.unit) for name, st in self.states.items()})
        x = Values(**{name: symbol(name, i.unit) for name, i in self.inputs.items()})
        if not self.states:
            raise ModelError(f"{label} declares no state", mend="Write v = sl.state(0.0, sl.mV) in its body.")
        slopes = bound.derivative(s, x)
        needed = {name for name, st in self.states.items() if not st.timer}
        if set(slopes) != needed:
            raise ModelError(f"{label}.derivative", got=f"{sorted(slopes)}", expected=f"exactly {sorted(needed)}")
        for name, slope in slopes.items():
            _same_unit(f"{label}: d{name}/dt", slope, self.states[name].unit / ms)
        for method in ("reset", "initial", "peak"):
            for name, value in (bound.reset(s) if method == "reset" else getattr(bound, method)()).items():
                if name not in self.states:
                    raise ModelError(f"{label}.{method} names an unknown state", got=name, expected=list(self.states))
                _same_unit(f"{label}.{method}: {name}", value, self.states[name].unit)
        bound.threshold(s)
        bound.refractory(s)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NeuronModel) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        raw = (v.tobytes() if isinstance(v, np.ndarray) else v for v in self.values.values())
        return (self.structure(), *raw)

    def __repr__(self) -> str:
        fields: list[str] = []
        for name, declared in self.params.items():
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                fields.append(f"{name}=<{'x'.join(map(str, value.shape))} values>")
            elif value != declared.default:
                fields.append(f"{name}={value!r}")
        fields += [f"{n}={getattr(self, n)!r}" for n, o in self.options.items() if getattr(self, n) != o.default]
        return f"{type(self).__name__}({', '.join(fields)})"


class Wrapper(NeuronModel):
    """A model around another one: it adds parts and replaces single methods, and passes the rest on."""

    def __init__(self, inner: NeuronModel, **values: object) -> None:
        for table in ("params", "states", "inputs", "options"):
            own, theirs = getattr(type(self), table), getattr(inner, table)
            both = set(own) & set(theirs)
            if both:
                raise ModelError(f"{type(self).__name__} declares what {inner!r} has already", got=sorted(both))
            self.__dict__[table] = {**theirs, **own}
        mine = {n: values.pop(n) for n in list(values) if n in type(self).params or n in type(self).options}
        self.__dict__["inner"] = inner.replace(**values) if values else inner
        settings = {n: getattr(self.inner, n) for n in (*inner.params, *inner.options)}
        super().__init__(**settings, **mine)
        self.check_units()

    inner: NeuronModel

    def bind(self, values: Mapping[str, Any]) -> Self:
        new = super().bind(values)
        new.__dict__["inner"] = self.inner.bind({n: v for n, v in values.items() if n in self.inner.params})
        return new

    def replace(self, **values: object) -> Self:
        return type(self)(self.inner, **{**self.values, **values})

    def structure(self) -> tuple[object, ...]:
        return (*super().structure(), self.inner.structure())

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        return self.inner.derivative(s, x)

    def threshold(self, s: Any) -> Any:
        return self.inner.threshold(s)

    def reset(self, s: Any) -> dict[str, Any]:
        return self.inner.reset(s)

    def initial(self) -> dict[str, Any]:
        return self.inner.initial()

    def scale(self) -> Any:
        return self.inner.scale()

    def refractory(self, s: Any) -> Any:
        return self.inner.refractory(s)

    def peak(self) -> dict[str, Any]:
        return self.inner.peak()

    def __repr__(self) -> str:
        own = ", ".join(f"{n}={getattr(self, n)!r}" for n in type(self).params)
        return f"{type(self).__name__}({self.inner!r}, {own})"


def _checked(name: str, declared: Param, value: object, model: NeuronModel) -> float | np.ndarray:
    label = f"{type(model).__name__}: {name}"
    number = plain(value, declared.unit, name)
    if isinstance(number, (bool, str)) or number is None:
        raise ParameterError(label, got=repr(value), expected=f"a number in {declared.unit}")
    if hasattr(number, "detach"):
        number = number.detach().cpu().numpy()  # type: ignore[union-attr]
    try:
        array = np.array(number, dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError(label, got=repr(value), expected=f"a number in {declared.unit}") from None
    if not np.isfinite(array).all():
        raise ParameterError(f"{label} is not finite", got=repr(value), expected=f"finite numbers in {declared.unit}")
    for bound, sign in ((declared.low, 1), (declared.high, -1)):
        if bound is not None:
            beyond = sign * (array - bound) < 0 if declared.inclusive else sign * (array - bound) <= 0
            if beyond.any():
                relation = (">" if sign > 0 else "<") + ("=" if declared.inclusive else "")
                got = f"{array[beyond].flat[0]:g} {declared.unit}"
                raise ParameterError(
                    f"{label} is out of range", got=got, expected=f"{relation} {bound:g} {declared.unit}"
                )
    if array.ndim == 0:
        return float(array)
    array.setflags(write=False)
    return array


def _same_unit(what: str, value: object, expected: Unit) -> None:
    if isinstance(value, Expr) and value.unit is not None and not value.unit.same_as(expected):
        mend = "A bare number takes whatever unit is needed; a declared quantity keeps its own."
        raise DimensionError(f"{what} has the wrong unit", got=f"{value.unit} in {value}", expected=expected, mend=mend)


__all__ = [
    "Input",
    "NeuronModel",
    "Option",
    "Param",
    "State",
    "Values",
    "Wrapper",
    "input",
    "option",
    "param",
    "state",
    "timer",
]
