"""Solvers of models with noise: a deterministic step, and the increments of independent Wiener processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from ..errors import ModelError
from ..lang.analysis import symbols
from ..lang.autodiff import gradient
from ..lang.evaluate import evaluate
from ..lang.expr import Expr, lift, symbol
from ..models.base import NORMAL, NeuronModel, Values
from .base import Solver, Update
from .runge_kutta import ForwardEuler


class StochasticSolver(Solver):
    """``s' = base step + b ΔW + correction`` with ``ΔW = sqrt(dt) ξ``, the amplitude b taken where the step starts."""

    stochastic = True

    def __init__(self, base: Solver) -> None:
        if base.stochastic:
            raise ModelError("a stochastic solver adds noise to a deterministic one", got=repr(base))
        self.base = base

    def correction(self, model: NeuronModel, name: str, amplitude: Expr) -> Expr:
        """The factor of ``(ξ² - 1) dt`` in the update of ``name``, over the model's symbols: 0 here."""
        return lift(0.0)

    def update(self, model: NeuronModel, dt: Any, held: tuple[str, ...] = ()) -> Update:
        advance = self.base.update(model, dt, held)
        moved = {name: b for name, b in amplitudes(model).items() if name not in held}
        corrections = [self.correction(model, name, b) for name, b in moved.items()]
        spread = {name: self.base.spread(model, dt, name) for name in moved}

        def step(states: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
            new = advance(states, inputs)
            present = {**model.values, **states, **inputs}
            found = evaluate([*moved.values(), *corrections], present)
            for name, b, extra in zip(moved, found, found[len(moved) :], strict=False):
                normal = inputs[f"{NORMAL}.{name}"]
                new[name] = new[name] + b * (spread[name] * normal) + extra * ((normal * normal - 1.0) * dt)
            return new

        return step

    def __repr__(self) -> str:
        return f"{self.name}({self.base!r})"


def amplitudes(model: NeuronModel) -> dict[str, Expr]:
    """The noise amplitude of each noisy state as an expression in the names of states, inputs and parameters."""
    s = Values(**{name: symbol(name, state.unit) for name, state in model.states.items()})
    x = Values(**{name: symbol(name, held.unit) for name, held in model.inputs.items()})
    return {name: lift(b) for name, b in model.symbolic().noise(s, x).items()}


@final
class AddNoise(StochasticSolver):
    """A deterministic solver's step, plus ``b ΔW``: the default for noisy models, around their default solver.

    Strong order 1 for additive noise (b constant), 1/2 otherwise (Kloeden and Platen 1992, chapter 10). Around
    the exact solver the variance of an uncoupled linear state is exact too, for any dt: for instance that of an
    Ornstein-Uhlenbeck process.

    >>> from spikeloom.solvers import Exact
    >>> AddNoise(Exact())
    AddNoise(Exact())
    """


@final
class EulerMaruyama(StochasticSolver):
    """``s' = s + f dt + b ΔW``; strong order 1/2, and 1 for additive noise (Maruyama 1955).

    >>> EulerMaruyama()
    EulerMaruyama()
    """

    def __init__(self) -> None:
        super().__init__(ForwardEuler())

    def __repr__(self) -> str:
        return "EulerMaruyama()"


@final
class Milstein(StochasticSolver):
    """``s' = s + f dt + b ΔW + b b' (ΔW² - dt) / 2``; strong order 1 (Milstein 1975).

    Each noise amplitude may depend on its own state only; raises ModelError naming the state otherwise.

    >>> Milstein()
    Milstein()
    """

    def __init__(self) -> None:
        super().__init__(ForwardEuler())

    def correction(self, model: NeuronModel, name: str, amplitude: Expr) -> Expr:
        others = sorted((set(symbols([amplitude])) & set(model.states)) - {name})
        if others:
            what = f"{type(model).__name__}: the noise of {name} depends on {', '.join(others)}"
            raise ModelError(what, expected=f"on {name} alone, for Milstein", mend="Use sl.solvers.EulerMaruyama().")
        return amplitude * gradient([(amplitude, lift(1.0))], [symbol(name)])[0] * 0.5

    def __repr__(self) -> str:
        return "Milstein()"
