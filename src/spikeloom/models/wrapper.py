"""A model around another one."""

from __future__ import annotations

from typing import Any

from .base import NeuronModel, require_model
from .declared import Around


class Wrapper(Around, NeuronModel):
    """A model around another one: it adds parts and replaces single methods, and passes the rest on."""

    inner: Any

    def __init__(self, inner: NeuronModel, **values: object) -> None:
        require_model(type(self).__name__, inner)
        super().__init__(inner, **values)
        self.check_units()

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
