"""A layer of neurons."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..errors import ParameterError, ShapeError, did_you_mean
from ..kernels.program import CONSTANT, Program, program
from ..kernels.scan.scan import ScanResult, checked_dt, scan
from ..lang.expr import Expr, topological
from ..models.base import NeuronModel
from ..solvers import Solver
from ..surrogates import ATan, Surrogate
from ..units import Quantity
from .layer import Layer, checked_parts, checked_sequence
from .ranges import Range
from .recording import recorders_of
from .state import State


class Neuron(Layer):
    """A layer of ``model`` neurons, one per element of the input's feature axes.

    ``x`` ``[T, B, ...]`` arrives as jumps of the membrane (``into="v"``), or is held over each step where ``into``
    names an input (``into="i"``). The output is spikes, or the membrane of a model that never fires.

    ``learn`` names parameters to train; their shape follows the value in the model: a number is shared by the
    layer, an array has one value per neuron (or channel, shaped to broadcast). A learned parameter stays within
    its declared range. ``dt`` is the step in ms.

    Raises ParameterError for an unknown parameter and for one that no gradient can reach (which would silently
    never learn); errors of :func:`spikeloom.scan` at calls.

    >>> import spikeloom as sl
    >>> layer = Neuron(sl.LIF(tau=10.0), learn=("tau",))
    >>> y, state = layer(torch.full((3, 1, 2), 0.6))
    >>> y[:, 0, 0].tolist(), sorted(state)
    ([0.0, 1.0, 0.0], ['v'])
    """

    def __init__(
        self, model: NeuronModel, *, learn: Sequence[str] = (), surrogate: Surrogate | None = None,
        solver: Solver | None = None, dt: float | Quantity = 1.0, into: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if not isinstance(model, NeuronModel):
            raise ParameterError("a layer of neurons", got=repr(model), expected="a NeuronModel such as sl.LIF()")
        for value, kind, such in ((surrogate, Surrogate, "sl.ATan()"), (solver, Solver, "sl.solvers.Exact()")):
            if value is not None and not isinstance(value, kind):
                raise ParameterError(kind.__name__.lower(), got=repr(value), expected=f"a value such as {such}")
        self.model, self.solver, self.dt = model, solver, checked_dt(dt)
        self.surrogate = surrogate or ATan()
        self.into = into or model.membrane
        if self.into in model.states and model.states[self.into].timer:
            raise ParameterError("into", got=f"the timer {self.into}", expected="a state or an input")
        self.raw = torch.nn.ParameterDict()
        learnable = _learnable(model, self._program())  # what cannot run is refused here, not at the first call
        for name in (learn,) if isinstance(learn, str) else learn:
            self.raw[name] = torch.nn.Parameter(_raw(model, name, learnable, self.into))

    def _program(self) -> Program:
        return program(self.model, self.solver, self.surrogate, (self.into,))

    def learned(self) -> dict[str, torch.Tensor]:
        """Present values of the learned parameters, in their declared units."""
        return {name: Range(self.model.params[name]).to_value(raw) for name, raw in self.raw.items()}

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        if torch.compiler.is_compiling():
            from .uncompiled import call

            return call(self.advance, x, state)
        return self.advance(x, state)

    def advance(
        self, x: torch.Tensor, state: State | None = None, run: Callable[..., ScanResult] = scan
    ) -> tuple[torch.Tensor, State]:
        """What a call does, by another function with the arguments and the result of :func:`spikeloom.scan`."""
        label = f"Neuron({type(self.model).__name__})"
        checked_sequence(x, label)
        if state is not None:
            checked_parts(state, list(self.model.states), label)
        learned = self.learned()
        _check_sizes({**self.model.values, **learned}, tuple(x.shape[2:]), label)
        watching = recorders_of(self)
        wanted = {n for recorder in watching for n in recorder.states}
        if not self._program().fires:
            wanted.add(self.model.membrane)
        names = [n for n in self.model.states if n in wanted]
        result = run(
            self.model, {self.into: x}, state, learned=learned, solver=self.solver,
            surrogate=self.surrogate, dt=self.dt, record=names,
        )  # fmt: skip
        for recorder in watching:
            recorder.note(self, result.spikes, {n: result.states[n] for n in recorder.states if n in result.states})
        output = result.states[self.model.membrane] if result.spikes is None else result.spikes
        return output, State(result.final)

    def extra_repr(self) -> str:
        learned = f", learn={tuple(self.raw)}" if len(self.raw) else ""
        return f"{self.model!r}, into={self.into!r}, dt={self.dt:g} ms{learned}"


def _learnable(model: NeuronModel, found: Program) -> list[str]:
    """Parameters that a gradient can reach: not those without use here, nor those behind a rounding to steps."""
    used = _names(found.dynamics)
    prepared = [e for k, e in enumerate(found.prepare) if f"{CONSTANT}{k}" in used]
    initial = [e for e in model.symbolic().initial_values().values() if isinstance(e, Expr)]
    reached = _names([*prepared, *initial])
    return [name for name in model.params if name in reached]


def _names(roots: Sequence[Expr]) -> set[str]:
    """Symbols below ``roots`` on ways that a gradient can take."""
    reached, found = {id(root) for root in roots}, set[str]()
    for expr in reversed(topological(roots)):
        if id(expr) in reached and expr.op not in ("detach", "ceil") and not expr.boolean:
            reached |= {id(a) for a in expr.args}
            if expr.op == "symbol":
                found.add(str(expr.data))
    return found


def _raw(model: NeuronModel, name: str, learnable: Sequence[str], into: str) -> torch.Tensor:
    """The starting value of the learned parameter ``name``, mapped to the whole line."""
    label = type(model).__name__
    if name not in model.params:
        raise ParameterError(f"{label} has no parameter {name!r} to learn", mend=did_you_mean(name, model.params))
    if name not in learnable:
        what = f"{label}: no gradient reaches {name} with into={into!r}"
        raise ParameterError(what, mend=f"Learnable here: {', '.join(learnable) or 'none'}.")
    raw = Range(model.params[name]).to_raw(torch.tensor(getattr(model, name), dtype=torch.float64))
    if not bool(torch.isfinite(raw).all()):
        mend = "Start inside its range: learning cannot leave a bound."
        raise ParameterError(f"{label}: {name} starts at its bound", got=getattr(model, name), mend=mend)
    return raw.to(torch.get_default_dtype())


def _check_sizes(values: Mapping[str, Any], features: tuple[int, ...], label: str) -> None:
    """Raise ShapeError for a parameter with one value per neuron whose shape does not fit the input's features."""
    for name, value in values.items():
        shape = tuple(getattr(value, "shape", ()))
        if math.prod(shape) == 1:
            continue
        trailing = features[len(features) - len(shape) :]
        if len(shape) > len(features) or any(n not in (1, m) for n, m in zip(shape, trailing, strict=True)):
            mend = "Shape it like the features; a value per channel of [C, H, W] has shape [C, 1, 1]."
            expected = f"a shape that broadcasts to {features}"
            raise ShapeError(f"{label}: parameter {name}", got=shape, expected=expected, mend=mend)
