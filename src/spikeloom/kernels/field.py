"""A model's vector field as plain functions of arrays: for analysis and for integrators that live elsewhere.

The text is the traced ``derivative``'s; it needs no compiler, so a field is ready within milliseconds.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ModelError, ParameterError, ShapeError, did_you_mean
from ..lang.autodiff import gradient
from ..lang.canonical import canonical
from ..lang.expr import Expr, lift, symbol
from ..models.base import NeuronModel, Values, require_model
from ..solvers.base import slopes
from ..units import plain
from .immediate import Immediate, immediate

_STATE, _INPUT, _PARAM = "s.", "x.", "p."


@dataclasses.dataclass(frozen=True, eq=False)
class VectorField:
    """``dy/dt = f(y, x)`` for the states ``y`` that obey an equation, at inputs ``x``, in float64.

    ``y`` is ``[S]``, or ``[S, N]`` for N points at once; ``x`` is ``[I]`` or ``[I, N]``, and ``at`` by default.
    Timers have ``left`` (ms) to run, which is 0 by default; states that begin anew with each step, and noise, are
    left out. Where the equations give NaN or infinity, so does the field.
    """

    model: NeuronModel
    names: tuple[str, ...]
    inputs: tuple[str, ...]
    at: np.ndarray
    left: tuple[float, ...]
    known: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any], repr=False)  # parts compiled so far

    def __call__(self, y: Any, x: Any = None) -> np.ndarray:
        """``dy/dt``, shaped like ``y``."""
        return self._evaluate("slope", y, x, (len(self.names),))

    def jacobian(self, y: Any, x: Any = None) -> np.ndarray:
        """``J[a, b] = d(dy_a/dt) / dy_b``: ``[S, S]``, or ``[S, S, N]``."""
        return self._evaluate("jacobian", y, x, (len(self.names), len(self.names)))

    def wrt(self, y: Any, x: Any, name: str) -> np.ndarray:
        """The derivative of ``dy/dt`` with respect to the input or parameter ``name``, shaped like ``y``."""
        known = [*self.inputs, *self.model.params]
        if name not in known:
            what = f"{type(self.model).__name__} has no input or parameter {name!r}"
            raise ParameterError(what, mend=did_you_mean(name, known))
        return self._evaluate(f"wrt {name}", y, x, (len(self.names),))

    def threshold(self, y: Any) -> Any:
        """The quantity that fires when it is >= 0: a number, or ``[N]``; raises ModelError where there is none."""
        found = self._evaluate("threshold", y, None, ())
        return found if found.ndim else float(found)

    def threshold_gradient(self, y: Any) -> np.ndarray:
        """The derivative of the threshold quantity with respect to each state, shaped like ``y``."""
        return self._evaluate("threshold-gradient", y, None, (len(self.names),))

    def crossing(self, y: Any, x: Any = None) -> np.ndarray:
        """The threshold quantity and its rate of change: ``[2]``, or ``[2, N]``."""
        return self._evaluate("crossing", y, x, (2,))

    @property
    def start(self) -> np.ndarray:
        """The model's initial values ``[S]``, or ``[S, N]`` where parameters differ between neurons."""
        found = self.model.initial_values()
        return np.stack(np.broadcast_arrays(*(np.asarray(found[n], dtype=np.float64) for n in self.names)))

    def held_at(self, **inputs: object) -> VectorField:
        """The same field with other default inputs."""
        now = dict(zip(self.inputs, self.at, strict=True))
        return dataclasses.replace(self, at=_inputs(self.model, {**now, **inputs}))

    def waiting(self, left: Sequence[float]) -> VectorField:
        """The same field with other times left on the model's timers, in the order of their declaration."""
        return dataclasses.replace(self, left=tuple(left))

    def _part(self, part: str) -> tuple[Immediate, tuple[Any, ...]]:
        if part not in self.known:
            functions = _functions(_Request(self.model.structure(), part, self.model))
            self.known[part] = functions, tuple(self.model.values.values())
        return self.known[part]

    def _evaluate(self, part: str, y: Any, x: Any, shape: tuple[int, ...]) -> np.ndarray:
        y = np.asarray(y, dtype=np.float64)
        x = self.at if x is None else np.asarray(x, dtype=np.float64)
        if y.ndim not in (1, 2) or len(y) != len(self.names):
            raise ShapeError("states of a vector field", got=f"shape {y.shape}", expected=f"[{len(self.names)}, ...]")
        if x.ndim not in (1, 2) or len(x) != len(self.inputs):
            raise ShapeError("inputs of a vector field", got=f"shape {x.shape}", expected=f"[{len(self.inputs)}, ...]")
        functions, params = self._part(part)
        if y.ndim == x.ndim == 1:
            try:
                return np.array(functions.single(y.tolist(), x.tolist(), params, self.left)).reshape(shape)
            except (ArithmeticError, ValueError, TypeError):
                pass  # NaN, infinity, or a parameter with one value a neuron: NumPy knows them
        many = np.broadcast_shapes(y.shape[1:], x.shape[1:], *(np.shape(p) for p in params))
        with np.errstate(all="ignore"):
            found = functions.many(tuple(map(np.asarray, y)), tuple(map(np.asarray, x)), params, self.left)
        return np.array([np.broadcast_to(value, many) for value in found]).reshape(*shape, *many)


def vector_field(model: NeuronModel, inputs: Mapping[str, object] | None = None) -> VectorField:
    """The vector field of ``model``, with ``inputs`` by name held where a call gives none (default: 0).

    Raises ParameterError for an unknown input.

    >>> from spikeloom.models import LIF
    >>> field = vector_field(LIF(tau=10.0), {"i": 3.0})
    >>> field.names, field([1.0]).tolist(), field.jacobian([1.0]).tolist(), field.wrt([1.0], None, "i").tolist()
    (('v',), [0.2], [[-0.1]], [0.1])
    """
    require_model("vector_field", model)
    model.check_units()
    timers = tuple(0.0 for state in model.states.values() if state.timer)
    return VectorField(model, tuple(field_states(model)), tuple(model.inputs), _inputs(model, inputs or {}), timers)


def _inputs(model: NeuronModel, values: Mapping[str, object]) -> np.ndarray:
    for name in values:
        if name not in model.inputs:
            what = f"{type(model).__name__} has no input {name!r}"
            raise ParameterError(what, mend=did_you_mean(name, model.inputs))
    found = [plain(values.get(name, 0.0), declared.unit, name) for name, declared in model.inputs.items()]
    return np.array(found, dtype=np.float64)


@dataclasses.dataclass(frozen=True)
class _Request:
    """Models are compared by structure: parameters are arguments of the functions."""

    structure: tuple[object, ...]
    part: str
    model: NeuronModel = dataclasses.field(compare=False)


@functools.lru_cache(maxsize=512)
def _functions(request: _Request) -> Immediate:
    model = request.model
    arguments = {
        "y": [_STATE + n for n in field_states(model)],
        "x": [_INPUT + n for n in model.inputs],
        "p": [_PARAM + n for n in model.params],
        "left": [_STATE + n for n, s in model.states.items() if s.timer],
    }
    return immediate(_expressions(model, request.part), arguments, f"{request.part} of {type(model).__name__}")


def field_states(model: NeuronModel) -> list[str]:
    """Names of the states that obey an equation for longer than a step."""
    return [name for name, state in model.states.items() if not (state.timer or state.integral)]


class _Traced:
    """A model's equations over symbols of its states, inputs and parameters."""

    def __init__(self, model: NeuronModel) -> None:
        bound = model.bind({name: symbol(_PARAM + name, p.unit) for name, p in model.params.items()})
        states: dict[str, Expr] = {}
        for name, state in model.states.items():
            states[name] = lift(0.0) if state.integral else symbol(_STATE + name, state.unit)
        self.inputs = {name: symbol(_INPUT + name, i.unit) for name, i in model.inputs.items()}
        self.moving = [states[name] for name in field_states(model)]
        found = slopes(bound, self.inputs)(states)
        self.slopes = [lift(found[name]) for name in field_states(model)]
        self._threshold = None if model.draws else bound.threshold(Values(**states))
        self._label = type(model).__name__

    def threshold(self) -> Expr:
        if self._threshold is None:
            mend = "Define threshold(self, s) without random numbers."
            raise ModelError(f"{self._label} has no threshold that its states decide on", mend=mend)
        return lift(self._threshold)

    def gradient(self, expr: Expr, wanted: list[Expr]) -> list[Expr]:
        # A jump has the derivative 0 almost everywhere; surrogates are for training.
        return gradient([(expr, lift(1.0))], wanted, lambda _: lift(0.0))


def _expressions(model: NeuronModel, part: str) -> list[Expr]:
    traced, (what, _, name) = _Traced(model), part.partition(" ")
    if what == "slope":
        return traced.slopes
    if what == "threshold":
        return [traced.threshold()]
    if what == "threshold-gradient":
        return traced.gradient(traced.threshold(), traced.moving)
    if what == "crossing":
        adjoints = traced.gradient(traced.threshold(), traced.moving)
        rate = lift(0.0)
        for adjoint, slope in zip(adjoints, canonical(traced.slopes), strict=True):  # which have no units any more
            rate = rate + adjoint * slope
        return [*canonical([traced.threshold()]), rate]
    wanted = traced.moving if what == "jacobian" else [symbol((_INPUT if name in traced.inputs else _PARAM) + name)]
    return [entry for slope in traced.slopes for entry in traced.gradient(slope, wanted)]


__all__ = ["VectorField", "field_states", "vector_field"]
