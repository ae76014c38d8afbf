"""A solver turns a model and a time step into a one-step update of the states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ..lang.expr import Expr, lift, symbol
from ..lang.math import sqrt
from ..models.base import NeuronModel, Values

States = Mapping[str, Any]
Field = Callable[[States], dict[str, Any]]
Update = Callable[[States, Mapping[str, Any]], dict[str, Any]]


class Solver(ABC):
    """Solvers are frozen values without state; equal ones compare equal. ``stochastic`` ones integrate noise."""

    stochastic: ClassVar[bool] = False

    @abstractmethod
    def update(self, model: NeuronModel, dt: Any, held: tuple[str, ...] = ()) -> Update:
        """A function (states, inputs) -> states after ``dt``; whatever is constant in time is computed here, once.

        ``model`` is bound to values (numbers, tensors or expressions) and ``dt`` is one too. States in ``held``
        keep their value. Timers are left out. Raises ModelError where the solver does not fit the model.
        """

    def spread(self, model: NeuronModel, dt: Any, state: str) -> Any:
        """Standard deviation that white noise of amplitude 1 in the equation of ``state`` gives it after ``dt``."""
        return sqrt(dt)

    @property
    def name(self) -> str:
        """How messages and run summaries call it."""
        return type(self).__name__

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), tuple(sorted(vars(self).items()))))

    def __repr__(self) -> str:
        return f"{self.name}()"


def moving_states(model: NeuronModel) -> list[str]:
    """Names of the states that obey an equation."""
    return [name for name, state in model.states.items() if not state.timer]


def slopes(model: NeuronModel, inputs: Mapping[str, Any], held: tuple[str, ...] = ()) -> Field:
    """The model's derivative as a function of its states, with ``held`` ones standing still."""

    def field(states: States) -> dict[str, Any]:
        found = model.derivative(Values(**states), Values(**inputs))
        return {name: 0.0 if name in held else found[name] for name in moving_states(model)}

    return field


def symbolic_slopes(model: NeuronModel, held: tuple[str, ...] = ()) -> dict[str, Expr]:
    """The derivative of each moving state as an expression in the names of states, inputs and parameters."""
    states = {name: symbol(name, s.unit) for name, s in model.states.items()}
    inputs = {name: symbol(name, i.unit) for name, i in model.inputs.items()}
    return {name: lift(slope) for name, slope in slopes(model.symbolic(), inputs, held)(states).items()}
