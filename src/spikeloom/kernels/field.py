"""A model's vector field as plain functions of arrays: for analysis and for integrators that live elsewhere.

The text is the traced ``derivative``'s; it needs no compiler, so a field is ready within milliseconds.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import ModelError, ParameterError, ShapeError, did_you_mean
from ..lang.autodiff import gradient
from ..lang.canonical import canonical
from ..lang.dialects.dialect import Dialect
from ..lang.dialects.python import PYTHON_NAMES, numpy_dialect, numpy_names, python_dialect
from ..lang.emit import identifier, statements
from ..lang.expr import Expr, lift, symbol
from ..models.base import NeuronModel, Values, require_model
from ..solvers.base import moving_states, slopes
from ..units import plain

_STATE, _INPUT, _PARAM = "s.", "x.", "p."
Function = Callable[[Any, Any, Any], tuple[Any, ...]]


@dataclasses.dataclass(frozen=True, eq=False)
class VectorField:
    """``dy/dt = f(y, x)`` for the states ``y`` that obey an equation, at inputs ``x``, in float64.

    ``y`` is ``[S]``, or ``[S, N]`` for N points at once; ``x`` is ``[I]`` or ``[I, N]``, and ``at`` by default.
    Timers count as run down. Where the equations give NaN or infinity, so does the field.
    """

    model: NeuronModel
    names: tuple[str, ...]
    inputs: tuple[str, ...]
    at: np.ndarray
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
        return self._evaluate("threshold gradient", y, None, (len(self.names),))

    @property
    def start(self) -> np.ndarray:
        """The model's initial values ``[S]``, or ``[S, N]`` where parameters differ between neurons."""
        found = self.model.initial_values()
        return np.stack(np.broadcast_arrays(*(np.asarray(found[n], dtype=np.float64) for n in self.names)))

    def held_at(self, **inputs: object) -> VectorField:
        """The same field with other default inputs."""
        return dataclasses.replace(
            self, at=_inputs(self.model, {**dict(zip(self.inputs, self.at, strict=True)), **inputs})
        )

    def _part(self, part: str) -> tuple[_Functions, tuple[Any, ...]]:
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
                return np.array(functions.single(y.tolist(), x.tolist(), params)).reshape(shape)
            except (ArithmeticError, ValueError, TypeError):
                pass  # NaN, infinity, or a parameter with one value a neuron: NumPy knows them
        many = np.broadcast_shapes(y.shape[1:], x.shape[1:], *(np.shape(p) for p in params))
        with np.errstate(all="ignore"):
            found = functions.many(tuple(map(np.asarray, y)), tuple(map(np.asarray, x)), params)
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
    return VectorField(model, tuple(moving_states(model)), tuple(model.inputs), _inputs(model, inputs or {}))


def _inputs(model: NeuronModel, values: Mapping[str, object]) -> np.ndarray:
    for name in values:
        if name not in model.inputs:
            what = f"{type(model).__name__} has no input {name!r}"
            raise ParameterError(what, mend=did_you_mean(name, model.inputs))
    found = [plain(values.get(name, 0.0), declared.unit, name) for name, declared in model.inputs.items()]
    return np.array(found, dtype=np.float64)


@dataclasses.dataclass(frozen=True)
class _Functions:
    """One part of the equations, for one point and for arrays of them."""

    single: Function
    many: Function


@dataclasses.dataclass(frozen=True)
class _Request:
    """Models are compared by structure: parameters are arguments of the functions."""

    structure: tuple[object, ...]
    part: str
    model: NeuronModel = dataclasses.field(compare=False)


@functools.lru_cache(maxsize=512)
def _functions(request: _Request) -> _Functions:
    model = request.model
    outputs = canonical(_expressions(model, request.part))
    single = _compiled(outputs, model, python_dialect, PYTHON_NAMES)
    return _Functions(single, _compiled(outputs, model, numpy_dialect, numpy_names()))


def _expressions(model: NeuronModel, part: str) -> list[Expr]:
    bound = model.bind({name: symbol(_PARAM + name, p.unit) for name, p in model.params.items()})
    states = {name: symbol(_STATE + name, s.unit) for name, s in model.states.items()}
    inputs = {name: symbol(_INPUT + name, i.unit) for name, i in model.inputs.items()}
    moving, (what, _, name) = [states[n] for n in moving_states(model)], part.partition(" ")
    if what == "threshold":
        quantity = bound.threshold(Values(**states))
        if quantity is None:
            raise ModelError(f"{type(model).__name__} has no threshold", mend="Define threshold(self, s).")
        return [lift(quantity)] if not name else _gradient(lift(quantity), moving)
    found = [lift(slope) for slope in slopes(bound, inputs)(states).values()]
    if what == "slope":
        return found
    wanted = moving if what == "jacobian" else [symbol((_INPUT if name in inputs else _PARAM) + name)]
    return [entry for slope in found for entry in _gradient(slope, wanted)]


def _gradient(expr: Expr, wanted: list[Expr]) -> list[Expr]:
    # A jump has the derivative 0 almost everywhere; surrogates are for training.
    return gradient([(expr, lift(1.0))], wanted, lambda _: lift(0.0))


def _compiled(outputs: list[Expr], model: NeuronModel, dialect: Dialect, known: Mapping[str, Any]) -> Function:
    results = {f"result{k}": expr for k, expr in enumerate(outputs)}
    labels = {
        "y": [_STATE + n for n in moving_states(model)],
        "x": [_INPUT + n for n in model.inputs],
        "p": [_PARAM + n for n in model.params],
    }
    lines = ["def function(y, x, p):"]
    lines += [
        f"    {''.join(f'{identifier(n)}, ' for n in names)}= {source}" for source, names in labels.items() if names
    ]
    lines += [f"    {identifier(_STATE + n)} = 0.0" for n, s in model.states.items() if s.timer]
    lines += [f"    {line}" for line in statements(results, dialect)]
    lines.append(f"    return ({''.join(f'{name}, ' for name in results)})")
    namespace = dict(known)
    exec(compile("\n".join(lines), f"<field of {type(model).__name__}, {dialect.name}>", "exec"), namespace)
    return namespace["function"]


__all__ = ["VectorField", "vector_field"]
