"""A frozen value that declares parameters, states and inputs in its class body: neuron models and their parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from ..errors import ModelError, ParameterError, did_you_mean
from ..lang.expr import symbol
from ..units import one, plain
from .declare import Draw, Input, Option, Param, Port, State

_TABLES = ((Param, "params"), (State, "states"), (Input, "inputs"), (Option, "options"), (Draw, "draws"))


class Declared:
    """Gathers what a class body declares, checks values, compares by them.

    A subclass made with ``role=True`` (neuron model, mechanism) owns the names of its methods: none can be declared.
    """

    _role: ClassVar[type]
    params: ClassVar[Mapping[str, Param]] = {}
    states: ClassVar[Mapping[str, State]] = {}
    inputs: ClassVar[Mapping[str, Input]] = {}
    options: ClassVar[Mapping[str, Option]] = {}
    ports: ClassVar[Mapping[str, Port]] = {}
    draws: ClassVar[Mapping[str, Draw]] = {}

    def __init_subclass__(cls, role: bool = False) -> None:
        super().__init_subclass__()
        if role:
            cls._role = cls
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
        taken = {n for n in names if n == "dt" or hasattr(cls._role, n)}
        if taken:
            raise ModelError(f"{cls.__name__} declares a name that has a meaning", got=", ".join(sorted(taken)))

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
                what = f"{type(self).__name__}: {name} is not a parameter, so there is no value for it"
                raise ModelError(what, got=f"self.{name}", mend=f"Write {letter}.{name} in an equation.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: object) -> None:
        mend = f"Make a new one: model.replace({name}=...)."
        raise ModelError(f"{type(self).__name__} is a frozen value; {name} cannot be set", mend=mend)

    @property
    def values(self) -> dict[str, Any]:
        """Parameter values by name."""
        return {name: getattr(self, name) for name in self.params}

    def bind(self, values: Mapping[str, Any]) -> Self:
        """The same with parameters replaced by any values: tensors, expressions (nothing is checked)."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__, **values)
        return new

    def symbolic(self) -> Self:
        """The same with a symbol in place of each parameter."""
        return self.bind({name: symbol(name, p.unit) for name, p in self.params.items()})

    def replace(self, **values: object) -> Self:
        """A new one with some parameters or options changed."""
        return type(self)(**{**self.values, **{n: getattr(self, n) for n in self.options}, **values})

    def structure(self) -> tuple[object, ...]:
        """What decides on the equations, as against their parameters; equal structures share one program."""
        return type(self), tuple(getattr(self, name) for name in self.options)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Declared) and self._key() == other._key()

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


class Around(Declared):
    """A declared value around another one: it has the inner one's parts besides its own."""

    inner: Any

    def __init__(self, inner: Declared, **values: object) -> None:
        for table in ("params", "states", "inputs", "options", "ports", "draws"):
            own, theirs = getattr(self, table), getattr(inner, table)  # a subclass may have put a table on self
            both = set(own) & set(theirs)
            if both:
                raise ModelError(f"{type(self).__name__} declares what {inner!r} has already", got=sorted(both))
            self.__dict__[table] = {**theirs, **own}
        known = {*self.params, *self.options}
        for name in values.keys() - known:
            raise unknown_parameter(type(self).__name__, name, known)
        mine = {n: values.pop(n) for n in list(values) if n in type(self).params or n in type(self).options}
        self.__dict__["inner"] = inner.replace(**values) if values else inner
        settings = {n: getattr(self.inner, n) for n in (*inner.params, *inner.options)}
        super().__init__(**settings, **mine)

    def bind(self, values: Mapping[str, Any]) -> Self:
        new = super().bind(values)
        new.__dict__["inner"] = self.inner.bind({n: v for n, v in values.items() if n in self.inner.params})
        return new

    def replace(self, **values: object) -> Self:
        own = {name: getattr(self, name) for name in type(self).options}
        return type(self)(self.inner, **{**self.values, **own, **values})

    def structure(self) -> tuple[object, ...]:
        return (*super().structure(), self.inner.structure())

    def __repr__(self) -> str:
        own = ", ".join(f"{n}={getattr(self, n)!r}" for n in type(self).params)
        return f"{type(self).__name__}({self.inner!r}{', ' if own else ''}{own})"


def unknown_parameter(label: str, name: str, known: Collection[str]) -> ParameterError:
    """The error for a parameter that ``label`` does not have."""
    wrapper = {"t_ref": "Refractory", "v_peak": "Peak"}.get(name)
    mend = f"Wrap the model: sl.{wrapper}(model, {name}=...)." if wrapper else did_you_mean(name, known)
    return ParameterError(f"{label} has no parameter {name!r}", mend=mend)


def _checked(name: str, declared: Param, value: object, owner: Declared) -> float | np.ndarray:
    label = f"{type(owner).__name__}: {name}"
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
    check_range(label, declared, array)
    if array.ndim == 0:
        return float(array)
    array.setflags(write=False)
    return array


def check_range(label: str, declared: Param, array: np.ndarray) -> None:
    """Raise ParameterError unless all numbers are within the bounds of what was declared."""
    for bound, sign in ((declared.low, 1), (declared.high, -1)):
        if bound is not None:
            beyond = sign * (array - bound) < 0 if declared.inclusive else sign * (array - bound) <= 0
            if beyond.any():
                relation = (">" if sign > 0 else "<") + ("=" if declared.inclusive else "")
                unit = "" if declared.unit is one else f" {declared.unit}"
                got, expected = f"{array[beyond].flat[0]:g}{unit}", f"{relation} {bound:g}{unit}"
                raise ParameterError(f"{label} is out of range", got=got, expected=expected)


def _comparable(value: float | np.ndarray) -> object:
    return (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value
