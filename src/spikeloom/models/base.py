"""A neuron model: a frozen value that declares parameters, states and inputs, and says its equations once.

It knows nothing of batch, device, time step, solver, learnability or gradients. Its methods are plain Python on
*values*: on numbers and tensors they compute, on expressions they record a program.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import numpy as np

from ..errors import DimensionError, ModelError, ParameterError, did_you_mean
from ..lang.expr import Expr, lift, symbol
from ..units import Unit, ms, one, plain
from .declare import Draw, Input, Option, Param, Port, State
from .presets import Preset

NORMAL = "normal"
_TABLES = ((Param, "params"), (State, "states"), (Input, "inputs"), (Option, "options"), (Draw, "draws"))


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
    ``arrive``      what a weighted spike does to the states where it arrives (default: a jump)
    ``noise``       amplitudes of white noise in the equations of states (none by default)
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
    ports: ClassVar[Mapping[str, Port]] = {}
    draws: ClassVar[Mapping[str, Draw]] = {}
    presets: ClassVar[Mapping[str, Preset]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        inherited = {*cls.params, *cls.states, *cls.inputs, *cls.options, *cls.draws}
        for name, value in vars(cls).items():
            if name in inherited and not isinstance(value, (Param, State, Input, Option, Draw)):
                mend = f"Declare it again, as in {name} = sl.param(...), or give the value when making the model."
                raise ModelError(f"{cls.__name__} gives the declared name {name} a plain value", got=value, mend=mend)
        for kind, table in _TABLES:
            declared = dict(getattr(cls, table))
            for name, value in list(vars(cls).items()):
                if isinstance(value, kind):
                    declared[name] = value
                    if kind is not Param:  # so that a method reading self.v instead of s.v fails with our words
                        delattr(cls, name)
            setattr(cls, table, declared)
        names = [*cls.params, *cls.states, *cls.inputs, *cls.options, *cls.draws]
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            raise ModelError(f"{cls.__name__} declares a name twice", got=", ".join(sorted(twice)))
        taken = {n for n in names if n == "dt" or hasattr(NeuronModel, n)}
        if taken:
            raise ModelError(f"{cls.__name__} declares a name that has a meaning", got=", ".join(sorted(taken)))
        if cls.derivative is not NeuronModel.derivative and cls.__init__ is NeuronModel.__init__:  # not a wrapper
            cls().check_units()

    def __init__(self, *positional: object, **values: object) -> None:
        if positional:
            mend = f"Name each parameter, as in {type(self).__name__}({next(iter(self.params), 'name')}=...)."
            raise ParameterError(f"{type(self).__name__} takes no unnamed values", got=positional, mend=mend)
        known = {**self.params, **self.options}
        for name in values:
            if name not in known:
                raise unknown_parameter(type(self).__name__, name, known)
        own: dict[str, object] = {n: _checked(n, p, values.get(n, p.default), self) for n, p in self.params.items()}
        for name, choice in self.options.items():
            own[name] = values.get(name, choice.default)
            if own[name] not in choice.choices:
                what, expected = f"{type(self).__name__}: {name}", " or ".join(choice.choices)
                raise ParameterError(what, got=own[name], expected=expected)
        self.__dict__.update(own)

    def __getattr__(self, name: str) -> Any:
        for letter, table in (("s", type(self).states), ("x", type(self).inputs)):
            if name in table:
                what = f"{type(self).__name__}: {name} is not a parameter, so the model has no value for it"
                raise ModelError(what, got=f"self.{name}", mend=f"Write {letter}.{name} in an equation.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

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

    def arrive(self, into: str, s: Any, amount: Any) -> dict[str, Any]:
        """New values of states when ``amount`` arrives at the state or port ``into``: a jump by default."""
        return {into: getattr(s, into) + amount}

    def noise(self, s: Any, x: Any) -> dict[str, Any]:
        """Amplitude b of white noise in ``d(state) = ... + b dW``, in the state's unit per sqrt(ms)."""
        return {}

    # -- the value

    @classmethod
    def preset(cls, name: str, **changes: object) -> Self:
        """The model with the published parameters called ``name``, some of them changed."""
        if name not in cls.presets:
            raise ParameterError(f"{cls.__name__} has no preset {name!r}", mend=did_you_mean(name, cls.presets))
        return cls(**{**cls.presets[name].values, **changes})

    @property
    def membrane(self) -> str:
        """Name of the first declared state: what jumps reach by default, what a read-out returns."""
        return next(iter(self.states))

    @property
    def targets(self) -> dict[str, Unit]:
        """Where spikes may arrive, with the unit of what arrives: every state but timers, and every port."""
        return {
            **{name: state.unit for name, state in self.states.items() if not (state.timer or state.integral)},
            **{name: port.unit for name, port in self.ports.items()},
        }

    @property
    def held(self) -> tuple[str, ...]:
        """States that keep their value while the neuron is refractory."""
        return (self.membrane,)

    @property
    def values(self) -> dict[str, Any]:
        """Parameter values by name."""
        return {name: getattr(self, name) for name in self.params}

    @property
    def random(self) -> tuple[str, ...]:
        """Names of the random numbers that each step needs: ``normal.STATE`` for noise, ``KIND.NAME`` for draws."""
        noisy = [f"{NORMAL}.{state}" for state in self.noise(*self.symbols())]
        return (*noisy, *(f"{draw.kind}.{name}" for name, draw in self.draws.items()))

    def symbols(self) -> tuple[Values, Values]:
        """A symbol for every state and draw, and one for every input: what the equations are traced with."""
        s = {name: symbol(name, st.unit) for name, st in self.states.items()}
        s |= {name: symbol(name, one) for name in self.draws}
        return Values(**s), Values(**{name: symbol(name, i.unit) for name, i in self.inputs.items()})

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
        s, x = self.symbols()
        if not self.states:
            raise ModelError(f"{label} declares no state", mend="Write v = sl.state(0.0, sl.mV) in its body.")
        slopes = _mapping(f"{label}.derivative", bound.derivative(s, x))
        needed = {name for name, st in self.states.items() if not st.timer}
        if set(slopes) != needed:
            raise ModelError(f"{label}.derivative", got=f"{sorted(slopes)}", expected=f"exactly {sorted(needed)}")
        for name, slope in slopes.items():
            _same_unit(f"{label}: d{name}/dt", slope, self.states[name].unit / ms)
        jumps = {into: symbol("amount", unit) for into, unit in self.targets.items()}
        for method, found, per in (
            ("reset", bound.reset(s), one), ("initial", bound.initial(), one), ("peak", bound.peak(), one),
            *(("arrive", bound.arrive(into, s, amount), one) for into, amount in jumps.items()),
            ("noise", bound.noise(s, x), ms ** Fraction(1, 2)),
        ):  # fmt: skip
            for name, value in _mapping(f"{label}.{method}", found).items():
                if name not in self.states:
                    raise ModelError(f"{label}.{method} names an unknown state", got=name, expected=list(self.states))
                _same_unit(f"{label}.{method}: {name}", value, self.states[name].unit / per)
        quantity, held = bound.threshold(s), bound.refractory(s)
        if isinstance(quantity, Expr) and quantity.boolean:
            mend = "Return the quantity that is >= 0 at a spike, such as s.v - self.v_threshold."
            raise ModelError(f"{label}.threshold is a condition", got=str(quantity), expected="a quantity", mend=mend)
        if quantity is None and any(not self.states[name].timer for name in bound.reset(s)):
            mend = "Define threshold(self, s), or check its spelling."
            raise ModelError(f"{label} has a reset but no threshold, so it would never fire", mend=mend)
        if isinstance(held, Expr) and not held.boolean:
            raise ModelError(f"{label}.refractory is a number", got=str(held), expected="a condition")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NeuronModel) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return (self.structure(), *map(_comparable, self.values.values()))

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __setstate__(self, parts: dict[str, Any]) -> None:
        self.__dict__.update(parts)
        for value in parts.values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)  # which NumPy forgets on the way through a pickle

    def __repr__(self) -> str:
        fields: list[str] = []
        for name, declared in self.params.items():
            value: float | np.ndarray = getattr(self, name)
            if isinstance(value, np.ndarray):
                fields.append(f"{name}=<{'x'.join(map(str, value.shape))} values>")
            elif not isinstance(value, float) or value != declared.default:
                fields.append(f"{name}={value!r}")
        fields += [f"{n}={getattr(self, n)!r}" for n, o in self.options.items() if getattr(self, n) != o.default]
        return f"{type(self).__name__}({', '.join(fields)})"


def unknown_parameter(label: str, name: str, known: Collection[str]) -> ParameterError:
    wrapper = {"t_ref": "Refractory", "v_peak": "Peak"}.get(name)
    mend = f"Wrap the model: sl.{wrapper}(model, {name}=...)." if wrapper else did_you_mean(name, known)
    return ParameterError(f"{label} has no parameter {name!r}", mend=mend)


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


def require_model(who: str, value: object) -> None:
    """Raise ParameterError unless ``value`` is a neuron model (and not its class, or a layer)."""
    if not isinstance(value, NeuronModel):
        raise ParameterError(f"{who} needs a neuron model", got=repr(value), expected="one such as sl.LIF()")


def _comparable(value: float | np.ndarray) -> object:
    return (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


def _mapping(what: str, found: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise ModelError(what, got=type(found).__name__, expected="a dict of states")
    return found


def _same_unit(what: str, value: object, expected: Unit) -> None:
    value = lift(value)
    if value.boolean:
        raise ModelError(f"{what} is a condition", got=str(value), expected="a number")
    if value.unit is not None and not value.unit.same_as(expected):
        mend = "A bare number takes whatever unit is needed; a declared quantity keeps its own."
        raise DimensionError(f"{what} has the wrong unit", got=f"{value.unit} in {value}", expected=expected, mend=mend)
