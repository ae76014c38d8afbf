"""Solvers that read the equations: the exact propagator of linear models, and exponential Euler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ModelError
from ..lang.analysis import linear, symbols
from ..lang.autodiff import gradient
from ..lang.evaluate import evaluate
from ..lang.expr import Expr, lift, node, symbol
from ..lang.math import exp, exprel, sqrt
from ..models.base import NeuronModel
from .base import Solver, Update, moving_states, symbolic_slopes


class Exact(Solver):
    """The exact solution of ``ds/dt = A s + b`` over a step with held inputs (Rotter and Diesmann 1999, eq. 9).

    A state that depends on no other and on which none depends gets the closed form; coupled states get the
    exponential of the augmented matrix ``[[A, 1], [0, 0]] dt``, which keeps all digits when two time constants
    are close. Both are evaluated in float64 and once per run. Raises ModelError naming the first state that is
    not linear.

    >>> from spikeloom.models import LIF
    >>> update = Exact().update(LIF(tau=10.0), dt=1.0)
    >>> round(update({"v": 1.0}, {"i": 0.0})["v"], 6)
    0.904837
    """

    def update(self, model: NeuronModel, dt: Any, held: tuple[str, ...] = ()) -> Update:
        system = linear_system(model, held)
        values = {**model.values, "dt": dt}
        plan: dict[str, tuple[list[tuple[str, Any]], list[tuple[Expr, Any]]]] = {}
        for block in _coupled_blocks(system):
            parts = _block_propagator(block, system)
            for name, (keep, drive) in parts.items():
                numbers = _numbers([*keep.values(), *drive.values()], values)
                kept = list(zip(keep, numbers[: len(keep)], strict=True))
                driven = [(system[source][1], q) for source, q in zip(drive, numbers[len(keep) :], strict=True)]
                plan[name] = kept, driven
        return _linear_update(plan, model)

    def spread(self, model: NeuronModel, dt: Any, state: str) -> Any:
        """As of an Ornstein-Uhlenbeck process: ``sqrt((e^(2 a dt) - 1) / (2 a))`` with a the state's own rate."""
        rate = linear_system(model)[state][0].get(state, lift(0.0))
        return sqrt(dt * exprel(2.0 * _value(rate, model) * dt))


def linear_system(model: NeuronModel, held: tuple[str, ...] = ()) -> dict[str, tuple[dict[str, Expr], Expr]]:
    """Row of A and entry of b for each moving state; raises ModelError where a slope is not linear."""
    names = moving_states(model)
    system: dict[str, tuple[dict[str, Expr], Expr]] = {}
    for name, slope in symbolic_slopes(model, held).items():
        form = linear(slope, names)
        unsuitable = form is None or any(set(symbols([c])) & {*model.states, *model.inputs} for c in form[0].values())
        if form is None or unsuitable:
            raise ModelError(
                f"{type(model).__name__}: d{name}/dt is not linear in the states with constant coefficients",
                expected="a linear model for the exact solver",
                mend="Use sl.solvers.RK4() or sl.solvers.ExponentialEuler().",
            )
        system[name] = form
    return system


def is_linear(model: NeuronModel) -> bool:
    """Whether the exact solver fits."""
    try:
        linear_system(model)
    except ModelError:
        return False
    return True


def whole_step(system: Mapping[str, tuple[dict[str, Expr], Expr]]) -> dict[str, dict[str, Expr]]:
    """Of each state the factors of all slopes after a step: ``s + Q f(s)``, over the symbol ``dt``."""
    blocks = (_block_propagator(block, system) for block in _coupled_blocks(system))
    return {name: drive for parts in blocks for name, (_, drive) in parts.items()}


def _coupled_blocks(system: Mapping[str, tuple[dict[str, Expr], Expr]]) -> list[list[str]]:
    """Groups of states connected by coefficients in either direction."""
    group = {name: {name} for name in system}
    for name, (row, _) in system.items():
        for other in row:
            if group[name] is not group[other]:
                union = group[name] | group[other]
                group.update(dict.fromkeys(union, union))
    unique = {id(g): g for g in group.values()}
    return [[name for name in system if name in g] for g in unique.values()]


Parts = dict[str, tuple[dict[str, Expr], dict[str, Expr]]]


def _block_propagator(block: list[str], system: Mapping[str, tuple[dict[str, Expr], Expr]]) -> Parts:
    """For each state: factors of the block's states, and of the block's b entries."""
    dt = symbol("dt")
    if len(block) == 1:
        (name,) = block
        rate = system[name][0].get(name)
        if rate is None:
            return {name: ({name: lift(1.0)}, {name: dt})}
        return {name: ({name: exp(rate * dt)}, {name: dt * exprel(rate * dt)})}
    n = len(block)
    zero = lift(0.0)
    top = [[system[row][0].get(col, zero) * dt for col in block] for row in block]
    unit = [[dt if i == j else zero for j in range(n)] for i in range(n)]
    matrix = [*(a + u for a, u in zip(top, unit, strict=True)), *([zero] * (2 * n) for _ in range(n))]
    entries = [entry for row in matrix for entry in row]

    def entry(i: int, j: int) -> Expr:
        return node("propagator", *entries, data=(i, j))

    reach = _reachable(block, system)
    return {
        name: (
            {col: entry(i, j) for j, col in enumerate(block) if col in reach[name]},
            {col: entry(i, n + j) for j, col in enumerate(block) if col in reach[name]},
        )
        for i, name in enumerate(block)
    }


def _reachable(block: list[str], system: Mapping[str, tuple[dict[str, Expr], Expr]]) -> dict[str, set[str]]:
    """Which states can influence which: other entries of the matrix exponential are exactly zero."""
    reach = {name: {name, *system[name][0]} for name in block}
    for _ in block:
        reach = {name: set[str]().union(*(reach[other] for other in found)) for name, found in reach.items()}
    return reach


def _numbers(expressions: list[Expr], values: Mapping[str, Any]) -> list[Any]:
    return evaluate(expressions, values, {"propagator": propagator_entry})


def propagator_entry(index: tuple[int, int], *entries: Any) -> Any:
    """One entry of a matrix exponential, recorded on expressions and computed on numbers."""
    if any(isinstance(e, Expr) for e in entries):
        return node("propagator", *entries, data=index)
    import scipy.linalg

    size = round(len(entries) ** 0.5)
    matrix = [[entries[i * size + j] for j in range(size)] for i in range(size)]
    return float(scipy.linalg.expm(matrix)[index])  # pyright: ignore[reportUnknownArgumentType] SciPy has no types


def _linear_update(plan: Mapping[str, Any], model: NeuronModel) -> Update:
    """``s' = sum P s + sum Q b``; b is linear in the inputs where possible, so that its factors are hoisted too."""
    inputs = list(model.inputs)
    rows: dict[str, Any] = {}
    for name, (kept, driven) in plan.items():
        terms: list[tuple[str, Any]] = list(kept)
        rest: list[tuple[Expr, Any]] = []
        for drive, q in driven:
            form = linear(drive, inputs)
            if form is None or any(set(symbols([c])) & {*model.states, *inputs} for c in form[0].values()):
                rest.append((drive, q))
                continue
            terms += [(i, q * _value(c, model)) for i, c in form[0].items()]
            rest.append((form[1], q))
        rows[name] = terms, rest

    def advance(states: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
        present = {**states, **inputs}
        new: dict[str, Any] = {}
        for name, (terms, rest) in rows.items():
            total: Any = 0.0
            for drive, q in rest:
                total = total + q * evaluate([drive], {**model.values, **present})[0]
            for source, factor in terms:
                total = total + factor * present[source]
            new[name] = total
        return new

    return advance


def _value(expr: Expr, model: NeuronModel) -> Any:
    return evaluate([expr], model.values)[0]


class ExponentialEuler(Solver):
    """``s' = s + dt φ(J dt) f(s)`` with ``φ(x) = (e^x - 1)/x`` and J each state's own derivative, others frozen.

    Exact for a state that is linear in itself while the others stand still, which is how Hodgkin-Huxley gates
    are usually advanced (Rush and Larsen 1978; as an exponential Rosenbrock step, Hochbruck and Ostermann 2010,
    eq. 2.52, with diagonal J). Order 1, stable where forward Euler is not.

    >>> from spikeloom.models import LIF
    >>> update = ExponentialEuler().update(LIF(tau=10.0), dt=1.0)
    >>> round(update({"v": 1.0}, {"i": 0.0})["v"], 6)
    0.904837
    """

    def update(self, model: NeuronModel, dt: Any, held: tuple[str, ...] = ()) -> Update:
        system = symbolic_slopes(model, held)
        own = {name: gradient([(slope, lift(1.0))], [symbol(name)])[0] for name, slope in system.items()}
        expressions = [*system.values(), *own.values()]

        def advance(states: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
            found = evaluate(expressions, {**model.values, **states, **inputs})
            pairs = zip(system, found[: len(system)], found[len(system) :], strict=True)
            return {name: states[name] + dt * exprel(dt * rate) * slope for name, slope, rate in pairs}

        return advance
