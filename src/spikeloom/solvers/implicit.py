"""Implicit solvers: Newton's method on the traced equations, with the linear system solved symbol by symbol."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..errors import ModelError, ParameterError
from ..lang.analysis import symbols
from ..lang.autodiff import gradient
from ..lang.canonical import is_const
from ..lang.evaluate import evaluate
from ..lang.expr import Expr, lift, symbol
from ..models.base import NeuronModel
from .base import Solver, Update, moving_states, symbolic_slopes

_MOST_STATES = 16


@dataclasses.dataclass(frozen=True)
class Implicit(Solver):
    """``s' = s + dt ((1 - θ) f(s) + θ f(s'))``, solved by a fixed number of Newton iterations from s.

    Each iteration evaluates f and its traced Jacobian and eliminates ``1 - θ dt J`` without pivoting, in the order
    that fills in least; entries that are zero by structure cost nothing. So an iteration costs some 2 to 4 times as
    much as one f where states are coupled through the membrane only, as channels are, and S**3 / 3 operations where
    each state depends on each. A linear model takes one iteration, which is exact. Two suffice for all orders here:
    the error of one is O(dt**3), of two O(dt**7).

    Decay may be much faster than dt, growth may not: with ``θ dt`` beyond the time constant of an upstroke the
    equation has no solution near s, and no number of iterations finds one. The Hodgkin-Huxley neuron runs at
    dt = 0.1 ms, where explicit Runge-Kutta methods blow up; neither solver follows it at 0.3 ms.

    Gradients pass through the iterations. Raises ModelError for a model with more than 16 states, ParameterError
    unless ``iterations`` is a whole number >= 1.
    """

    iterations: int = 2
    theta: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.iterations, bool) or not isinstance(self.iterations, int) or self.iterations < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ParameterError(f"{self.name}: iterations", got=self.iterations, expected="a whole number >= 1")

    def update(self, model: NeuronModel, dt: Any, held: tuple[str, ...] = ()) -> Update:
        names = moving_states(model)
        if len(names) > _MOST_STATES:
            what = f"{type(model).__name__} has {len(names)} states, {names[_MOST_STATES]} and on too many"
            expected = f"at most {_MOST_STATES} for {self.name}, which eliminates them symbol by symbol"
            raise ModelError(what, expected=expected, mend="Use sl.solvers.ExponentialEuler() or RK4().")
        system = symbolic_slopes(model, held)
        jacobian = _jacobian(system)
        order = _least_fill({row: {column for r, column in jacobian if r == row} for row in names})
        linear = not set(symbols(list(jacobian.values()))) & {*model.states}
        rounds, theta = 1 if linear else self.iterations, self.theta

        def advance(states: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
            present = {**model.values, **states, **inputs}
            explicit = dict(zip(names, evaluate(list(system.values()), present), strict=True))
            new: dict[str, Any] = {name: states[name] for name in names}
            for k in range(rounds):
                found = evaluate([*system.values(), *jacobian.values()], {**present, **new})
                slope = dict(zip(names, found, strict=False)) if k else explicit
                entries = dict(zip(jacobian, found[len(names) :], strict=True))
                rest = {n: dt * _blend(explicit[n], slope[n], theta) - (new[n] - states[n]) for n in names}
                matrix = {at: -(theta * dt) * entry for at, entry in entries.items()}
                for name in names:
                    matrix[name, name] = 1.0 + matrix[name, name] if (name, name) in matrix else 1.0
                change = _solved(matrix, rest, order)
                new = {name: new[name] + change[name] for name in names}
            return new

        return advance


class ImplicitEuler(Implicit):
    """``s' = s + dt f(s')``; order 1, and stable for any dt where the model is (L-stable).

    ``iterations`` of Newton's method (default 2) are carried out in each step; see :class:`Implicit` for the cost.

    >>> from spikeloom.models import LIF
    >>> ImplicitEuler().update(LIF(tau=10.0), dt=10.0)({"v": 1.0}, {"i": 0.0})
    {'v': 0.5}
    """

    theta = 1.0


class CrankNicolson(Implicit):
    """``s' = s + dt/2 (f(s) + f(s'))``, the implicit trapezoidal rule; order 2, stable for any dt where the model is
    (A-stable), though modes much faster than dt ring instead of vanishing (Crank and Nicolson 1947).

    ``iterations`` of Newton's method (default 2) are carried out in each step; see :class:`Implicit` for the cost.

    >>> from spikeloom.models import LIF
    >>> CrankNicolson().update(LIF(tau=10.0), dt=20.0)({"v": 1.0}, {"i": 0.0})
    {'v': 0.0}
    """

    theta = 0.5


At = tuple[str, str]


def _jacobian(system: Mapping[str, Expr]) -> dict[At, Expr]:
    """Entries of the Jacobian by (row, column); those that are zero by structure are left out."""
    wanted, found = [symbol(name) for name in system], dict[At, Expr]()
    for row, slope in system.items():
        # A jump has the derivative 0 almost everywhere; surrogates are for training.
        entries = gradient([(slope, lift(1.0))], wanted, lambda _: lift(0.0))
        found |= {(row, c): entry for c, entry in zip(system, entries, strict=True) if not is_const(entry, 0.0)}
    return found


def _least_fill(neighbours: Mapping[str, set[str]]) -> list[str]:
    """An order of elimination: next always the state that connects fewest others (Markowitz 1957)."""
    graph = {row: set(columns) - {row} for row, columns in neighbours.items()}
    order: list[str] = []
    while graph:

        def cost(name: str) -> int:
            return len(graph[name]) * sum(name in others for others in graph.values())

        first = min(graph, key=cost)
        columns = graph.pop(first)
        for row, others in graph.items():
            if first in others:
                graph[row] = (others | columns) - {first, row}
        order.append(first)
    return order


def _solved(matrix: dict[At, Any], right: dict[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """The solution of ``matrix x = right`` by Gauss elimination in ``order``; absent entries are 0."""
    for k, pivot in enumerate(order):
        for row in order[k + 1 :]:
            if (row, pivot) in matrix:
                factor = matrix[row, pivot] / matrix[pivot, pivot]
                right[row] = right[row] - factor * right[pivot]
                for column in order[k + 1 :]:
                    if (pivot, column) in matrix:
                        product = factor * matrix[pivot, column]
                        old = matrix.get((row, column))
                        matrix[row, column] = -product if old is None else old - product
    found: dict[str, Any] = {}
    for k, row in reversed(list(enumerate(order))):
        total = right[row]
        for column in order[k + 1 :]:
            if (row, column) in matrix:
                total = total - matrix[row, column] * found[column]
        found[row] = total / matrix[row, row]
    return found


def _blend(explicit: Any, implicit: Any, theta: float) -> Any:
    return implicit if theta == 1.0 else (1.0 - theta) * explicit + theta * implicit


__all__ = ["CrankNicolson", "Implicit", "ImplicitEuler"]
