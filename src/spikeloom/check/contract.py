"""The checks of the contract, one by one and all together."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..errors import NonFiniteError, ParameterError
from ..kernels.backends import backend
from ..kernels.prepare import constants
from ..kernels.program import CONSTANT, NEXT, SPIKE, STATE, STREAM, Program, program
from ..kernels.scan.scan import ScanResult
from ..kernels.step import Numbers, StepResult, step_function
from ..lang.evaluate import evaluate
from ..lang.expr import topological
from ..models.base import NeuronModel, Values, require_model
from ..nn.neuron import Neuron
from ..solvers import Solver, default_solver
from .case import Case, ContractError, close, identical, run_case, run_plainly
from .finite_differences import check_finite_differences

# What two libraries may compute with different last digits; all other operations round correctly everywhere.
_ELEMENTARY = {"exp", "expm1", "log", "log1p", "tanh", "sigmoid", "sin", "cos", "atan", "erf", "pow"}


def check_model(
    model: NeuronModel | type[NeuronModel], *, backends: Sequence[str] = ("cpu",), dt: float = 1.0,
    solver: Solver | None = None, into: str | Mapping[str, float] | None = None,
) -> list[str]:  # fmt: skip
    """Check ``model`` (an instance, or a class with its defaults) against the contract; returns what was checked.

    Units; the traced program against the methods on tensors; each backend against the reference, in outputs and in
    all gradients (input, initial states, every parameter); gradients against finite differences of the smoothed
    model; splitting a run; batch independence; copies. Raises :class:`ContractError` naming the first that fails.

    ``into`` says what is driven: one name of an input, state or port, or names with the size of each drive. By
    default all inputs, the membrane and all ports are, with the size of the model's ``scale()``.

    >>> import spikeloom as sl
    >>> len(check_model(sl.LIF)) >= 6
    True
    """
    instance = _made(model) if isinstance(model, type) else model
    require_model("check_model", instance)
    neurons = max((len(v) for v in instance.values.values() if isinstance(v, np.ndarray)), default=5)
    return check_case(Case(instance, solver=solver, into=into, dt=dt, neurons=neurons), backends)


def _made(model: type[NeuronModel]) -> NeuronModel:
    try:
        return model()
    except TypeError as error:
        mend = "Pass one that you made, such as sl.Refractory(sl.LIF())."
        raise ParameterError(f"check_model cannot make a {model.__name__}", got=str(error), mend=mend) from None


def check_case(case: Case, backends: Sequence[str] = ("cpu",)) -> list[str]:
    """:func:`check_model` of one :class:`Case`."""
    checks: dict[str, Callable[[], None]] = {
        "units": case.model.check_units,
        "trace equals methods": lambda: _check_trace(case),
        "gradients equal finite differences": lambda: check_finite_differences(case),
        "a split run equals the whole": lambda: check_split(case),
        "a sample does not depend on its batch": lambda: check_batch(case),
        "copies are equal": lambda: _check_copies(case.model),
    }
    for name in backends:
        on = dataclasses.replace(case, backend=name)
        checks[f"{name} equals the reference"] = lambda on=on: check_backend(on)
    for name, check in checks.items():
        try:
            check()
        except ContractError as error:
            raise ContractError(f"{type(case.model).__name__}: {name}: {error.what}", got=error.got) from None
    return list(checks)


def check_backend(case: Case, *, strict: bool = True) -> None:
    """The case's backend gives the reference's spikes, states and gradients, and it is the one that ran.

    A strict kernel whose step has no elementary function gives the same bits.
    """
    reference, fast = run_case(case, "reference"), run_case(case, case.backend, strict=strict)
    expected = f"scan/{case.backend}/{type(case.model).__name__}/"
    if set(fast.kernels) != {expected + "forward", expected + "backward"}:
        raise ContractError("another kernel ran", got=fast.kernels, expected=expected + "...")
    if reference.spikes is not None and fast.spikes is not None:
        if not bool(((fast.spikes == 0) | (fast.spikes == 1)).all()):
            raise ContractError("spikes are not 0 or 1", got=fast.spikes.unique().tolist())
        differing = int((reference.spikes != fast.spikes).sum())
        if differing:
            raise ContractError("spikes differ", got=f"{differing} of {fast.spikes.numel()}")
    same_bits = strict and case.backend == "cpu" and not elementary(_program(case))
    digits = torch.finfo(case.dtype).eps
    for kind in ("states", "final"):
        for name, value in getattr(reference, kind).items():
            if same_bits:
                identical(f"{kind} {name}", getattr(fast, kind)[name], value)
            else:
                close(f"{kind} {name}", getattr(fast, kind)[name], value, 64 * digits)
    tolerance = 1e-9 if case.dtype == torch.float64 else 1e-5
    for name, (value, other) in _grouped(reference.gradients, fast.gradients, case).items():
        close(f"gradient to {name}", other, value, tolerance)


def _program(case: Case) -> Program:
    return program(case.model, case.solver, case.surrogate, case.targets)


def elementary(found: Program) -> set[str]:
    """The operations of a program's step whose last digits depend on the library that computes them.

    >>> import spikeloom as sl
    >>> elementary(program(sl.LIF(), None, sl.ATan(), ("v",)))
    set()
    """
    outputs = [e for name, e in found.step.outputs.items() if name != "slope"]
    return {e.op for e in topological(outputs)} & _ELEMENTARY


def _grouped(
    reference: dict[str, torch.Tensor], fast: dict[str, torch.Tensor], case: Case
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Gradients to compare: in float32 the parameters' as one vector, in float64 each on its own.

    A number's gradient is a sum over time and neurons, and may cancel to far less than its terms' rounding.
    """
    pairs = {name: (value, fast[name]) for name, value in reference.items()}
    if case.dtype == torch.float64:
        return pairs
    parameters = [pairs.pop(name) for name in case.model.params]
    joined = (torch.cat([p[side].double().flatten() for p in parameters]) for side in (0, 1))
    return {**pairs, "the parameters": tuple(joined)}  # type: ignore[dict-item]


def step_of_methods(case: Case) -> Callable[[Numbers, Numbers], StepResult]:
    """A step by the model's own methods on tensors, in float64."""
    values = {n: torch.as_tensor(v, dtype=torch.float64) for n, v in case.model.values.items()}
    dt, solver = torch.tensor(case.dt, dtype=torch.float64), case.solver or default_solver(case.model)
    return step_function(case.model.bind(values), solver, dt, fire=_fired)


def _fired(u: torch.Tensor) -> torch.Tensor:
    return (u >= 0).to(u.dtype)


def _check_trace(case: Case) -> None:
    """A step of the traced program, and a step of the model's own methods on tensors, are the same numbers."""
    first = {n: float(v.flat[0]) for n, v in case.model.values.items() if isinstance(v, np.ndarray)}
    if first:  # the trace is the same for any values
        case = dataclasses.replace(case, model=case.model.replace(**first))
    model, found, step = case.model, _program(case), step_of_methods(case)
    dt = torch.tensor(case.dt, dtype=torch.float64)
    states, streams = case.state(), {**case.streams(), **case.random(found.random)}
    prepared = {f"{CONSTANT}{k}": c for k, c in enumerate(constants(found, model, {}, case.dt, (), dt))}
    _check_slopes(case)
    for t in range(case.steps):
        now = {name: rows[t] for name, rows in streams.items()}
        direct = step(states, now)
        _check_finite(case, direct.states, t + 1)
        named = {STATE + n: s for n, s in states.items()} | {STREAM + n: row for n, row in now.items()} | prepared
        names = [NEXT + n for n in states] + ([SPIKE] if found.fires else [])
        traced = evaluate([found.step.outputs[n] for n in names], named, {"fire": _fired})
        # A state may be 0 as the balance of large terms, such as a v - a v_rest at rest: then its rounding is theirs.
        largest = max(float(s.abs().max()) for s in states.values())
        like = next(iter(states.values()))
        for name, value in zip(names, traced, strict=True):
            other = direct.spike if name == SPIKE else direct.states[name[len(NEXT) :]]
            one, two = (torch.as_tensor(n).expand(like.shape) for n in (value, other))
            close(name, one, two, 1e-12, floor=1e-14 * largest)
        states = {n: torch.as_tensor(v).expand(like.shape) for n, v in direct.states.items()}


def _check_finite(case: Case, states: Mapping[str, Any], steps: int) -> None:
    for name, value in states.items():
        if not bool(torch.isfinite(torch.as_tensor(value)).all()):
            drives = ", ".join(f"{name!r}: {size:g}" for name, size in case.drive.items())
            mend = f"Give check_model a smaller dt, or drives of another size than into={{{drives}}}."
            what = f"{type(case.model).__name__}: state {name} is not finite"
            raise NonFiniteError(what, got=f"after {steps} steps of {case.dt:g} ms", mend=mend)


def _check_slopes(case: Case) -> None:
    """Solvers that read the equations never call ``derivative`` on numbers, so it is compared by itself."""
    model, states = case.model, case.state()
    bound = model.bind({n: torch.as_tensor(v, dtype=torch.float64) for n, v in model.values.items()})
    shape, streams = (case.batch, case.neurons), {n: x[0] for n, x in case.streams().items()}
    drawn = {n: torch.ones(()).double() for n in model.draws}
    inputs = {n: streams.get(n, torch.zeros(()).double()) for n in model.inputs}
    direct = bound.derivative(Values(**states, **drawn), Values(**inputs))
    symbolic = model.symbolic().derivative(*model.symbols())
    present = {**model.values, **states, **drawn, **inputs}
    for name, slope in zip(symbolic, evaluate(list(symbolic.values()), present), strict=True):
        one, two = (torch.as_tensor(n).double().expand(shape) for n in (slope, direct[name]))
        close(f"d{name}/dt", one, two, 1e-12)


def check_split(case: Case) -> None:
    """Running T steps at once, or in pieces with the state carried on, gives the same bits."""
    streams, membrane = case.streams(), case.model.membrane
    with backend(case.backend, strict=True):
        whole = run_plainly(case, streams, case.state())
        for pieces in _splits(case.steps):
            state, parts = case.state(), list[torch.Tensor]()
            for begin, end in pieces:
                result = run_plainly(case, {n: x[begin:end] for n, x in streams.items()}, state, begin)
                state = result.final
                parts.append(result.states[membrane])
            identical("states of a split run", torch.cat(parts), whole.states[membrane])
            for name, value in whole.final.items():
                identical(f"final {name} of a split run", state[name], value)
    _check_training(case, whole)


def _check_training(case: Case, plain: ScanResult) -> None:
    """Kernels that save for a backward pass compute what those without do."""
    trained = run_case(case, case.backend)
    for name, value in plain.states.items():
        identical(f"{name} of a run with gradients", trained.states[name].detach(), value)


def check_batch(case: Case) -> None:
    """A sample alone gives the same bits as in a batch."""
    first = ({n: x[:, :1] for n, x in case.streams().items()}, {n: s[:1] for n, s in case.state().items()})
    with backend(case.backend, strict=True):
        whole = run_plainly(case, case.streams(), case.state())
        alone = run_plainly(case, *first)  # its random numbers are the same
    name = case.model.membrane
    identical("a sample alone", alone.states[name], whole.states[name][:, :1])


def _splits(steps: int) -> Iterator[list[tuple[int, int]]]:
    yield [(t, t + 1) for t in range(steps)]
    yield [(0, steps // 3), (steps // 3, steps)]


def _check_copies(model: NeuronModel) -> None:
    for name, other in (("deepcopy", copy.deepcopy(model)), ("replace", model.replace())):
        if other != model or hash(other) != hash(model):
            raise ContractError(f"{name} gives another model", got=repr(other))
    layer = Neuron(model)
    if copy.deepcopy(layer).model != model:
        raise ContractError("a copied layer has another model")
