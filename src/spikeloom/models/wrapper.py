"""A model around another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from ..errors import ModelError
from .base import NeuronModel, require_model, unknown_parameter


class Wrapper(NeuronModel):
    """A model around another one: it adds parts and replaces single methods, and passes the rest on."""

    def __init__(self, inner: NeuronModel, **values: object) -> None:
        require_model(type(self).__name__, inner)
        for table in ("params", "states", "inputs", "options", "ports", "draws"):
            own, theirs = getattr(type(self), table), getattr(inner, table)
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
        self.check_units()

    inner: NeuronModel

    def bind(self, values: Mapping[str, Any]) -> Self:
        new = super().bind(values)
        new.__dict__["inner"] = self.inner.bind({n: v for n, v in values.items() if n in self.inner.params})
        return new

    def replace(self, **values: object) -> Self:
        own = {name: getattr(self, name) for name in type(self).options}
        return type(self)(self.inner, **{**self.values, **own, **values})

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

    def arrive(self, into: str, s: Any, amount: Any) -> dict[str, Any]:
        return self.inner.arrive(into, s, amount)

    def noise(self, s: Any, x: Any) -> dict[str, Any]:
        return self.inner.noise(s, x)

    @property
    def held(self) -> tuple[str, ...]:
        return self.inner.held

    def __repr__(self) -> str:
        own = ", ".join(f"{n}={getattr(self, n)!r}" for n in type(self).params)
        return f"{type(self).__name__}({self.inner!r}, {own})"
