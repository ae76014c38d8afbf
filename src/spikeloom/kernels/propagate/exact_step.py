"""The equations of a linear neuron as functions of text, from which its exact step off the grid is made.

Between two events ``y' = A y + b``, so ``y(h) = y + sum(d_k)`` with ``d_1 = h f(y)`` and ``d_(k+1) = h/(k+1) A d_k``: a
polynomial, on which a crossing is found by halving. A whole step without events is ``y + Q f(y)``, with the matrix
``Q = dt phi(A dt)`` that is prepared once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ...errors import ModelError
from ...lang.analysis import invariant, replace, symbols
from ...lang.autodiff import gradient
from ...lang.canonical import canonical, is_const
from ...lang.dialects.numba import function_imports, kernel_dialect
from ...lang.emit import identifier, statements
from ...lang.evaluate import evaluate
from ...lang.expr import Expr, lift, symbol
from ...lang.graph import Graph
from ...models.base import NeuronModel, Values
from ...solvers.base import moving_states, slopes
from ...solvers.exact import linear_system, whole_step
from .. import prepare
from ..program import CONSTANT, STATE, STREAM, Program

_TURNED, _SLOPE = "d.", "f."
_BY, _AMOUNT = "by.factor", "amount.given"
_SMALLEST = 1e-24  # of the last term of a series, beside the first


@dataclasses.dataclass(frozen=True, eq=False)
class ExactStep:
    """Functions of a neuron by name: outputs over ``s.NAME``, ``x.NAME``, ``d.NAME``, ``f.NAME`` and constants.

    ``resets`` says whether a spike changes a state that moves. ``peaks`` are what recorders see of a spike.
    """

    moving: tuple[str, ...]
    timers: tuple[str, ...]
    inputs: tuple[str, ...]
    ports: tuple[str, ...]
    functions: Mapping[str, Mapping[str, Expr]]
    constants: tuple[np.ndarray, ...]
    resets: bool
    peaks: tuple[str, ...]

    def parts(self) -> dict[str, list[str]]:
        """Lines of text by name: imports, and what each function of the kernel does."""
        everything = [e for outputs in self.functions.values() for e in outputs.values()]
        found = {
            name.upper(): self._lines(outputs, *_SHAPES[name.partition("_")[0]])
            for name, outputs in self.functions.items()
            if not name.startswith("arrive ")
        }
        found.setdefault("BLOCKED", ["return False"])
        return {"IMPORTS": function_imports(everything, "f64"), "ARRIVE": self._arrive(), **found}

    def _lines(self, outputs: Mapping[str, Expr], reads: set[str], writes: str) -> list[str]:
        """Everything is read before anything is written."""
        results = {f"result{k}": e for k, e in enumerate(outputs.values())}
        lines = [*self._unpacked(reads, list(outputs.values())), *statements(results, kernel_dialect("f64"))]
        if writes == "return":
            return [*lines, "return result0"]
        places = {n: f"y[{k}]" for k, n in enumerate(self.moving)} | {
            n: f"left[{k}]" for k, n in enumerate(self.timers)
        }
        return [
            *lines,
            *(f"{places[n] if writes == 'own' else writes.format(k)} = result{k}" for k, n in enumerate(outputs)),
        ]

    def _arrive(self) -> list[str]:
        """For all ports; a state that is held keeps its value."""
        lines: list[str] = []
        for number, port in enumerate(self.ports):
            outputs = self.functions[f"arrive {port}"]
            results = {f"result{k}": e for k, e in enumerate(outputs.values())}
            lines.append(f"{'if' if number == 0 else 'elif'} port == {number}:")
            inner = [
                *self._unpacked({"y", "left", "c"}, list(outputs.values())),
                *statements(results, kernel_dialect("f64")),
            ]
            for k, name in enumerate(outputs):
                state, _, held = name.partition("|")
                inner.append(f"{'if not held: ' if held else ''}y[{self.moving.index(state)}] = result{k}")
            lines += [f"    {line}" for line in inner]
        return lines or ["return"]

    def _unpacked(self, reads: set[str], outputs: Sequence[Expr]) -> list[str]:
        used = set(symbols(outputs))
        places = {
            "y": [STATE + n for n in self.moving], "left": [STATE + n for n in self.timers],
            "x": [STREAM + n for n in self.inputs], "f": [_SLOPE + n for n in self.moving],
            "d": [_TURNED + n for n in self.moving], "c": [f"{CONSTANT}{k}" for k in range(len(self.constants))],
        }  # fmt: skip
        shift = {"d": "at + "}
        return [
            f"{identifier(name)} = {array}[{shift.get(array, '')}{k}]"
            for array, names in places.items() if array in reads
            for k, name in enumerate(names) if name in used
        ]  # fmt: skip


# Of each function what it reads, and where its outputs go: "own" are the neuron's states.
_SHAPES: dict[str, tuple[set[str], str]] = {
    "slope": ({"y", "x", "c"}, "f[{}]"),
    "turn": ({"d", "c"}, "d[at + STATES + {}]"),
    "whole": ({"y", "f", "c"}, "z[{}]"),
    "level": ({"y", "c"}, "return"),
    "rate": ({"y", "f", "c"}, "return"),
    "reset": ({"y", "left", "c"}, "own"),
    "blocked": ({"left", "c"}, "return"),
    "top": ({"c"}, "z[{}]"),
}


def exact_step(model: NeuronModel, ports: Sequence[str], size: int, dt: float) -> ExactStep:
    """The functions of ``model``, whose spikes arrive at ``ports``, with constants for ``size`` neurons.

    Raises ModelError for a model that is not linear, is random, or has parts that only exist on a grid.
    """
    require_exact(model)
    traced = _functions(model, ports)
    flat = [(f, n, e) for f, outputs in traced.items() for n, e in outputs.items()]
    shared = canonical([e for _, _, e in flat])
    changing = {n for n in symbols(shared) if n.startswith((STATE, STREAM, _TURNED, _SLOPE)) or n in (_BY, _AMOUNT)}
    found = [e for e in invariant(shared, changing) if not is_const(e)]
    shared = replace(shared, {id(e): symbol(f"{CONSTANT}{k}") for k, e in enumerate(found)})
    functions: dict[str, dict[str, Expr]] = {f: {} for f in traced}
    for (f, n, _), e in zip(flat, shared, strict=True):
        functions[f][n] = e
    program = Program(tuple(model.states), (), (), tuple(found), Graph((), {}))
    constants = prepare.constants(program, model, {}, dt, (size,), torch.empty(0, dtype=torch.float64))
    timers = tuple(n for n, s in model.states.items() if s.timer)
    return ExactStep(
        tuple(moving_states(model)), timers, tuple(model.inputs), tuple(ports), functions,
        tuple(c.numpy().copy() for c in constants), _resets(model), tuple(model.peak()),
    )  # fmt: skip


def require_exact(model: NeuronModel) -> None:
    """Raise ModelError unless ``model`` has a closed-form solution between events."""
    label, mend = type(model).__name__, "Use sl.solvers.Interpolated(), or no solver."
    if model.random:
        raise ModelError(f"{label} is random, and Located() is deterministic", got=list(model.random), mend=mend)
    if integrals := [n for n, s in model.states.items() if s.integral]:
        raise ModelError(f"{label}: {integrals[0]} begins anew with each step of a grid", mend=mend)
    timers = {n for n, s in model.states.items() if s.timer}
    s, x = model.symbols()
    bound = model.symbolic()
    try:
        linear_system(bound, model.held)
        linear_system(bound)
    except ModelError as error:
        raise ModelError(error.what, expected="a linear model for Located() in a network", mend=mend) from error
    looked_at = [*slopes(bound, vars(x))(vars(s)).values(), bound.threshold(s)]
    if timers & set(symbols([lift(e) for e in looked_at if e is not None])):
        raise ModelError(f"{label}: its slopes or its threshold depend on a timer", got=sorted(timers), mend=mend)
    held = bound.refractory(s)
    if held is not None and (others := set(symbols([lift(held)])) & set(moving_states(model))):
        raise ModelError(f"{label}: what makes it refractory is not a timer", got=sorted(others), mend=mend)


def _resets(model: NeuronModel) -> bool:
    s, _ = model.symbols()
    return any(not model.states[n].timer for n in model.reset(s))


def _functions(model: NeuronModel, ports: Sequence[str]) -> dict[str, dict[str, Expr]]:
    bound, moving = model.symbolic(), moving_states(model)
    states = {n: symbol(STATE + n, s.unit) for n, s in model.states.items()}
    s, inputs = Values(**states), {n: symbol(STREAM + n, i.unit) for n, i in model.inputs.items()}
    made: dict[str, dict[str, Any]] = {}
    held = bound.refractory(s)
    for way, still in (("", ()), ("_held", model.held)):
        found, system = slopes(bound, inputs, still)(states), linear_system(bound, still)
        made["slope" + way] = {n: found[n] for n in moving}
        by = symbol(_BY)
        made["turn" + way] = {n: _sum(c * by * symbol(_TURNED + m) for m, c in system[n][0].items()) for n in moving}
    factors = whole_step(linear_system(bound))
    made["whole"] = {n: symbol(STATE + n) + _sum(q * symbol(_SLOPE + m) for m, q in factors[n].items()) for n in moving}
    quantity = bound.threshold(s)
    level = lift(-1.0) if quantity is None else canonical([lift(quantity)])[0]
    made["level"] = {"level": level}
    adjoints = gradient([(level, lift(1.0))], [symbol(STATE + n) for n in moving], lambda _: lift(0.0))
    made["rate"] = {"rate": _sum(a * symbol(_SLOPE + n) for a, n in zip(adjoints, moving, strict=True))}
    after = {**states, **bound.reset(s)}
    made["reset"] = {n: after[n] for n in [*moving, *(n for n in states if n not in moving)]}
    if held is not None:
        made["blocked"] = {"blocked": held}
    for port in ports:
        found = bound.arrive(port, s, symbol(_AMOUNT, model.targets[port]))
        made[f"arrive {port}"] = {n + ("|held" if n in model.held else ""): e for n, e in found.items()}
    if peak := bound.peak():
        made["top"] = dict(peak)
    return {f: {n: lift(e) for n, e in outputs.items()} for f, outputs in made.items()}


def _sum(terms: Any) -> Expr:
    total = lift(0.0)
    for term in terms:
        total = total + term
    return total


def series_length(model: NeuronModel, dt: float) -> tuple[int, float]:
    """How many terms a solution takes, and for how many ms at most these are enough.

    A term is the one before it times ``h A / k``, and the norm of A that counts is that of its largest eigenvalue r,
    but for as many terms as there are states: with ``r h <= 1``, 25 are enough for all digits.
    """
    radius = 0.0
    for still in ((), model.held):
        system = linear_system(model.symbolic(), still)
        names = list(system)
        entries = [system[a][0].get(b, lift(0.0)) for a in names for b in names]
        values = {n: prepare.to_tensor(v, torch.float64) for n, v in model.values.items()}
        numbers = np.broadcast_arrays(*(np.asarray(e) for e in evaluate(entries, values)), np.zeros(1))[:-1]
        matrices = np.moveaxis(np.array(numbers, np.float64).reshape(len(names), len(names), -1), -1, 0)
        radius = max(radius, float(np.abs(np.linalg.eigvals(matrices)).max(initial=0.0)))
    longest = dt if radius * dt <= 1.0 else 1.0 / radius
    terms, size = 1, 1.0
    while size > _SMALLEST:
        size *= radius * longest / terms
        terms += 1
    return terms + len(model.states), math.nextafter(longest, math.inf)


__all__ = ["ExactStep", "exact_step", "require_exact", "series_length"]
