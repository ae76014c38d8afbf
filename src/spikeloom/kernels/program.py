"""The program of a neuron: its traced step, split into what is prepared once and what runs every step."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

from ..errors import ModelError, did_you_mean
from ..lang.analysis import invariant, operation_counts, replace, symbols
from ..lang.canonical import canonical, is_const
from ..lang.expr import Expr, lift, symbol
from ..lang.graph import Graph
from ..lang.idioms import reciprocals
from ..models.base import NORMAL, NeuronModel, require_model
from ..solvers import Solver, default_solver
from ..surrogates import Surrogate
from ..units import one
from .step import step_function

STATE, STREAM, CONSTANT = "s.", "x.", "c"
NEXT, SHOWN, SPIKE, SLOPE, DISTANCE, NEEDED = "next.", "shown.", "spike", "slope", "u", "needed"


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """``prepare`` gives the constants from parameters and dt; ``step`` is one step over states and streams.

    Names in ``step``: states ``s.NAME``, streams ``x.NAME``, constants ``c0, c1, ...``; outputs ``next.NAME``,
    ``spike``, ``shown.NAME``, and the surrogate's derivative ``slope`` over the symbol ``u``. ``random`` names the
    last of the streams, which hold random numbers.
    """

    states: tuple[str, ...]
    streams: tuple[str, ...]
    random: tuple[str, ...]
    prepare: tuple[Expr, ...]
    step: Graph

    @property
    def fires(self) -> bool:
        """Whether the model makes spikes."""
        return SPIKE in self.step.outputs

    @functools.cached_property
    def text(self) -> str:
        """The step as text: the identity of its kernels."""
        return self.step.text()

    @functools.cached_property
    def dynamics(self) -> tuple[Expr, ...]:
        """Next states and the spike: what a step must compute even when nothing is recorded."""
        names = [*(NEXT + s for s in self.states), *([SPIKE] if self.fires else [])]
        return tuple(self.step.outputs[name] for name in names)

    def operation_counts(self) -> dict[str, dict[str, int]]:
        """Operations per neuron: ``prepare`` once per run, ``step`` in every step."""
        return {"prepare": operation_counts(self.prepare), "step": operation_counts(self.dynamics)}


@dataclasses.dataclass(frozen=True)
class _Request:
    """What decides on a program; models are compared by structure, so that parameters do not matter."""

    structure: tuple[object, ...]
    solver: Solver | None
    surrogate: Surrogate
    into: tuple[str, ...]
    model: NeuronModel = dataclasses.field(compare=False)


def program(model: NeuronModel, solver: Solver | None, surrogate: Surrogate, into: tuple[str, ...]) -> Program:
    """The program of ``model`` with one stream into each name of ``into`` (an input: held; a state or port: arrives).

    >>> from spikeloom.models import LIF
    >>> from spikeloom.surrogates import ATan
    >>> p = program(LIF(), None, ATan(), ("v",))
    >>> [str(p.prepare[k]) for k in (0, 2)]
    ['exp(((-1 / tau) * dt))', 'v_threshold']
    >>> p.operation_counts()["step"]
    {'add': 2, 'detach': 1, 'fire': 1, 'mul': 2, 'select': 1, 'sub': 2}
    """
    require_model("a program", model)
    _require_solver(solver)
    for name in into:
        known = [*model.targets, *model.inputs]
        if name in model.states and name not in known:
            kind = "a timer" if model.states[name].timer else "an integral over each step"
            raise ModelError(f"{type(model).__name__}: {name} is {kind}", got="a stream into it", expected="a state")
        if name not in known:
            what = f"{type(model).__name__} has no state or input {name!r}"
            raise ModelError(what, mend=did_you_mean(name, known))
    return _build(_Request(model.structure(), solver, surrogate, into, model))


def _require_solver(value: object) -> None:
    if value is not None and not isinstance(value, Solver):
        raise ModelError("solver", got=repr(value), expected="a solver such as sl.solvers.RK4()")


def _check_noise(model: NeuronModel, solver: Solver) -> None:
    noisy = [name.partition(".")[2] for name in model.random if name.startswith(NORMAL)]
    if noisy and not solver.stochastic:
        what = f"{type(model).__name__}: d{noisy[0]}/dt has noise, which {solver.name} leaves out"
        mend = f"Use sl.solvers.AddNoise(sl.solvers.{solver!r}), or EulerMaruyama() or Milstein()."
        raise ModelError(what, mend=mend)


@functools.lru_cache(maxsize=512)
def _build(request: _Request) -> Program:
    model = request.model
    model.check_units()
    states = {name: symbol(STATE + name, s.unit) for name, s in model.states.items()}
    units = {**{name: held.unit for name, held in model.inputs.items()}, **model.targets}
    random = model.random
    streams = {name: symbol(STREAM + name, units[name]) for name in request.into}
    streams |= {name: symbol(STREAM + name, one) for name in random}
    solver = request.solver or default_solver(model)
    _check_noise(model, solver)
    step = step_function(model.symbolic(), solver, symbol("dt"), detach_reset=request.surrogate.detach_reset)
    result = step(states, streams)
    outputs = {NEXT + name: lift(value) for name, value in result.states.items()}
    if result.spike is not None:
        outputs[SPIKE] = lift(result.spike)
    outputs |= {SHOWN + name: lift(value) for name, value in result.shown.items()}
    changing = {str(s.data) for s in (*states.values(), *streams.values())}
    shared = reciprocals(canonical(list(outputs.values())), changing)
    prepare, outputs = _hoist(dict(zip(outputs, shared, strict=True)), changing)
    if result.spike is not None:
        outputs[SLOPE] = lift(request.surrogate.derivative(symbol(DISTANCE)))
    inputs = [
        *(STATE + n for n in states),
        *(STREAM + n for n in streams),
        *(f"{CONSTANT}{k}" for k in range(len(prepare))),
    ]
    if SLOPE in outputs:
        inputs.append(DISTANCE)
    return Program(tuple(states), tuple(streams), random, tuple(prepare), Graph.make(outputs, inputs))


def _hoist(outputs: Mapping[str, Expr], changing: set[str]) -> tuple[list[Expr], dict[str, Expr]]:
    """Replace everything that does not change in time by constants c0, c1, ... to be prepared once."""
    found = [e for e in invariant(list(outputs.values()), changing) if not is_const(e)]
    replaced = replace(list(outputs.values()), {id(e): symbol(f"{CONSTANT}{k}") for k, e in enumerate(found)})
    return found, dict(zip(outputs, replaced, strict=True))


def constants_of(graph: Graph) -> list[str]:
    """Names of a step's constants, in order."""
    return [n for n in graph.inputs if n.startswith(CONSTANT) and n[1:].isdigit()]


__all__ = ["Program", "constants_of", "program", "symbols"]
