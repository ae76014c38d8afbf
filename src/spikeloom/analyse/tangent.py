"""A model together with the linear equations of small deviations from its trajectory."""

from __future__ import annotations

import functools
import operator
from typing import Any

from ..lang.autodiff import gradient
from ..lang.evaluate import evaluate
from ..lang.expr import Expr, lift, symbol
from ..models.base import NeuronModel
from ..models.declare import state
from ..models.wrapper import Wrapper
from ..solvers.base import symbolic_slopes

PREFIX = "tangent_"


def with_tangent(model: NeuronModel) -> NeuronModel:
    """``model`` with a state ``tangent_X`` for each state X: the variational equation ``dδ/dt = J δ`` with the traced
    Jacobian. It never fires.

    >>> from spikeloom.models import LIF
    >>> both = with_tangent(LIF(tau=10.0))
    >>> list(both.states), str(symbolic_slopes(both)["tangent_v"])
    (['v', 'tangent_v'], '(-(1 / tau) * tangent_v)')
    """
    return _tangent_class(tuple(symbolic_slopes(model)))(model)


@functools.lru_cache(maxsize=256)
def _tangent_class(names: tuple[str, ...]) -> type[Wrapper]:
    """One class for each set of names, so that equal models share their kernels."""
    return type("Tangent", (_Tangent,), {PREFIX + name: state(0.0) for name in names})


class _Tangent(Wrapper):
    """The wrapper without its states, which depend on the model inside."""

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        slopes = symbolic_slopes(self.inner)
        rows = jacobian_rows(slopes)
        values = {**self.inner.values, **vars(s), **vars(x)}
        flat = iter(evaluate([entry for row in rows for entry in row], values))
        found = dict(self.inner.derivative(s, x))
        for name in slopes:
            terms = [next(flat) * getattr(s, PREFIX + other) for other in slopes]
            found[PREFIX + name] = functools.reduce(operator.add, terms)
        return found

    def threshold(self, s: Any) -> Any:
        return None

    def reset(self, s: Any) -> dict[str, Any]:
        return {}

    def peak(self) -> dict[str, Any]:
        return {}

    def noise(self, s: Any, x: Any) -> dict[str, Any]:
        return {}


def jacobian_rows(slopes: dict[str, Expr]) -> list[list[Expr]]:
    """The derivative of each slope with respect to each state."""
    states = [symbol(name) for name in slopes]
    return [gradient([(slope, lift(1.0))], states, lambda _: lift(0.0)) for slope in slopes.values()]


__all__ = ["PREFIX", "with_tangent"]
