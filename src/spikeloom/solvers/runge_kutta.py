"""Explicit Runge-Kutta methods: one interpreter, one table per method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..models.base import NeuronModel
from .base import Solver, Update, slopes


@dataclasses.dataclass(frozen=True)
class Tableau:
    """Butcher's table: stage weights ``a`` (strictly lower triangular), result weights ``b``, and the order."""

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    order: int


FORWARD_EULER = Tableau(a=((),), b=(1.0,), order=1)
MIDPOINT = Tableau(a=((), (0.5,)), b=(0.0, 1.0), order=2)
HEUN = Tableau(a=((), (1.0,)), b=(0.5, 0.5), order=2)
RK3_TABLE = Tableau(a=((), (0.5,), (-1.0, 2.0)), b=(1 / 6, 2 / 3, 1 / 6), order=3)
RK4_TABLE = Tableau(a=((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), b=(1 / 6, 1 / 3, 1 / 3, 1 / 6), order=4)


class RungeKutta(Solver):
    """An explicit Runge-Kutta method given by its table; inputs are held over the step."""

    tableau: Tableau

    def update(self, model: NeuronModel, dt: Any, held: tuple[str, ...] = ()) -> Update:
        table = self.tableau
        fractions = {w: dt * w for row in (*table.a, table.b) for w in row if w}

        def advance(states: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
            field, stages = slopes(model, inputs, held), list[dict[str, Any]]()

            def moved(weights: tuple[float, ...]) -> dict[str, Any]:
                new = dict(states)
                for weight, stage in zip(weights, stages, strict=True):
                    if weight:
                        new |= {name: new[name] + fractions[weight] * slope for name, slope in stage.items()}
                return new

            for row in table.a:
                stages.append(field(moved(row)))
            result = moved(table.b)
            return {name: result[name] for name in stages[0]}

        return advance


class ForwardEuler(RungeKutta):
    """``s' = s + dt f(s)``; order 1.

    >>> ForwardEuler().tableau.order
    1
    """

    tableau = FORWARD_EULER


class Midpoint(RungeKutta):
    """The explicit midpoint rule, ``s' = s + dt f(s + dt/2 f(s))`` (Runge 1895); order 2.

    >>> Midpoint().tableau.order
    2
    """

    tableau = MIDPOINT


class Heun(RungeKutta):
    """Heun's method, the explicit trapezoidal rule; order 2.

    >>> Heun().tableau.order
    2
    """

    tableau = HEUN


class RK3(RungeKutta):
    """Kutta's third-order method (Kutta 1901); order 3.

    >>> RK3().tableau.order
    3
    """

    tableau = RK3_TABLE


class RK4(RungeKutta):
    """The classical Runge-Kutta method (Kutta 1901); order 4. The default for models that are not linear.

    >>> RK4().tableau.order
    4
    """

    tableau = RK4_TABLE
