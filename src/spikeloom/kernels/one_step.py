"""A solver's step as a plain function of numbers, for any length: what spike location by partial steps needs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import torch

from ..lang.analysis import replace
from ..lang.canonical import canonical
from ..lang.evaluate import evaluate
from ..lang.expr import Expr, lift, symbol, topological
from ..models.base import NeuronModel
from ..solvers.base import Solver, moving_states
from .exponential import matrix_exponential
from .immediate import Immediate, immediate

_STATE, _INPUT, _PARAM, _LENGTH, _ENTRY = "s.", "x.", "p.", "h", "m."


@dataclasses.dataclass(frozen=True)
class OneStep:
    """``solver``'s update of one neuron ``model`` over ``h`` ms with the states ``held`` standing still.

    >>> from spikeloom.models import LIF
    >>> from spikeloom.solvers import ForwardEuler
    >>> OneStep(LIF(tau=10.0), ForwardEuler())([1.0], [], [3.0], 0.5)
    [1.1]
    """

    model: NeuronModel
    solver: Solver
    held: tuple[str, ...] = ()

    def __call__(self, y: Sequence[float], left: Sequence[float], x: Sequence[float], h: float) -> list[float]:
        """The moving states after ``h`` from ``y``, with ``left`` on the timers and inputs ``x``; all in order."""
        functions, entries, params = self._parts
        try:
            return list(functions.single(y, left, x, params, (h,), entries(h) if entries else ()))
        except (ArithmeticError, ValueError):  # where floating point has NaN or infinity
            return _with_numpy(functions, y, left, x, params, (h,), entries(h) if entries else ())

    @property
    def elementary(self) -> bool:
        """Whether the step is made of elementary functions, without a matrix exponential."""
        return self._parts[1] is None

    @functools.cached_property
    def _parts(self) -> tuple[Immediate, Any, tuple[float, ...]]:
        functions, nodes = _traced(_Request(self.model.structure(), self.solver, self.held, self.model))
        params = {name: float(value) for name, value in self.model.values.items()}
        if not nodes:
            return functions, None, tuple(params.values())

        @functools.lru_cache(maxsize=4)  # whole steps come again and again
        def entries(h: float) -> tuple[float, ...]:
            values = {**{_PARAM + name: value for name, value in params.items()}, _LENGTH: h}
            return tuple(evaluate(nodes, values, {"propagator": _Propagator()}))

        return functions, entries, tuple(params.values())


def _with_numpy(functions: Immediate, *arguments: Any) -> list[float]:
    import numpy as np

    with np.errstate(all="ignore"):
        return [float(v) for v in functions.many(*([np.float64(v) for v in a] for a in arguments))]


class _Propagator:
    """Entries of matrix exponentials, each of which is computed once."""

    def __init__(self) -> None:
        self._done: dict[tuple[float, ...], list[list[float]]] = {}

    def __call__(self, index: tuple[int, int], *entries: float) -> float:
        if entries not in self._done:
            size = round(len(entries) ** 0.5)
            matrix = torch.tensor(entries, dtype=torch.float64).reshape(size, size)
            self._done[entries] = matrix_exponential(matrix).tolist()
        return self._done[entries][index[0]][index[1]]


@dataclasses.dataclass(frozen=True)
class _Request:
    structure: tuple[object, ...]
    solver: Solver
    held: tuple[str, ...]
    model: NeuronModel = dataclasses.field(compare=False)


@functools.lru_cache(maxsize=256)
def _traced(request: _Request) -> tuple[Immediate, list[Expr]]:
    """The functions, and the matrix exponentials' entries that they take as numbers ``m.0``, ``m.1``, ..."""
    model = request.model
    bound = model.bind({name: symbol(_PARAM + name, p.unit) for name, p in model.params.items()})
    states = {name: symbol(_STATE + name, s.unit) for name, s in model.states.items()}
    inputs = {name: symbol(_INPUT + name, i.unit) for name, i in model.inputs.items()}
    update = request.solver.update(bound, symbol(_LENGTH), request.held)
    new, names = update(states, inputs), moving_states(model)
    outputs = canonical([lift(new[name]) for name in names])
    nodes = [e for e in topological(outputs) if e.op == "propagator"]
    outputs = replace(outputs, {id(e): symbol(f"{_ENTRY}{k}") for k, e in enumerate(nodes)})
    arguments = {
        "y": [_STATE + name for name in names],
        "left": [_STATE + name for name, s in model.states.items() if s.timer],
        "x": [_INPUT + name for name in inputs],
        "p": [_PARAM + name for name in model.params],
        "length": [_LENGTH],
        "entries": [f"{_ENTRY}{k}" for k in range(len(nodes))],
    }
    return immediate(outputs, arguments, f"a step of {request.solver!r} for {type(model).__name__}"), nodes


__all__ = ["OneStep"]
