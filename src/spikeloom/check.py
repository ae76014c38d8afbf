"""The contract that every neuron model keeps, as a function that users run on their own models."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import torch

from .errors import SpikeloomError
from .kernels.backends import backend, last_kernels
from .kernels.prepare import constants
from .kernels.program import CONSTANT, NEXT, SPIKE, STATE, STREAM, program
from .kernels.random import draw
from .kernels.scan.op import scan_op
from .kernels.scan.scan import ScanResult, initial_state, scan
from .kernels.scan.smooth import smoothed
from .kernels.step import step_function
from .lang.evaluate import evaluate
from .models.base import NeuronModel, require_model
from .nn.neuron import Neuron
from .solvers import Solver, default_solver
from .surrogates import ATan, Surrogate

Loss = Callable[[Sequence[torch.Tensor]], torch.Tensor]


class ContractError(SpikeloomError, AssertionError):
    """A model, backend or rule does not keep its contract."""


@dataclasses.dataclass(frozen=True)
class Case:
    """What is checked: a model with a solver and a surrogate, at a size, on a backend."""

    model: NeuronModel
    solver: Solver | None = None
    surrogate: Surrogate = dataclasses.field(default_factory=ATan)
    into: str | None = None
    dt: float = 1.0
    steps: int = 21
    batch: int = 2
    neurons: int = 5
    dtype: torch.dtype = torch.float64
    backend: str = "cpu"
    seed: int = 0

    @property
    def target(self) -> str:
        """Where the stream goes: by default into the membrane."""
        return self.into or self.model.membrane

    def stream(self) -> torch.Tensor:
        """A random drive that makes a model fire now and then."""
        generator = torch.Generator().manual_seed(self.seed)
        scale = float(self.model.scale())
        noise = torch.randn(self.steps, self.batch, self.neurons, generator=generator, dtype=torch.float64)
        return ((0.4 * noise + 0.25) * scale).to(self.dtype)

    def random(self, names: Sequence[str]) -> dict[str, torch.Tensor]:
        """The random numbers of a stochastic model, by stream name."""
        like, shape = torch.empty(0, dtype=self.dtype), (self.steps, self.batch, self.neurons)
        width = self.batch * self.neurons
        return {name: draw(name, self.seed, 0, self.steps, width, like).reshape(shape) for name in names}

    def state(self) -> dict[str, torch.Tensor]:
        """The model's initial state."""
        found = initial_state(self.model, (self.batch, self.neurons), torch.empty(0, dtype=self.dtype))
        return {name: value.clone() for name, value in found.items()}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Everything a run gives: rows and final states, and gradients of a random loss over all of them."""

    spikes: torch.Tensor | None
    states: dict[str, torch.Tensor]
    final: dict[str, torch.Tensor]
    gradients: dict[str, torch.Tensor]
    kernels: list[str]


def check_model(
    model: NeuronModel | type[NeuronModel], *, backends: Sequence[str] = ("cpu",), dt: float = 1.0,
    solver: Solver | None = None, into: str | None = None,
) -> list[str]:  # fmt: skip
    """Check ``model`` (an instance, or a class with its defaults) against the contract; returns what was checked.

    Units; the traced program against the methods on tensors; each backend against the reference, in outputs and in
    all gradients (input, initial states, every parameter); gradients against finite differences of the smoothed
    model; splitting a run; batch independence; copies. Raises :class:`ContractError` naming the first that fails.

    >>> import spikeloom as sl
    >>> len(check_model(sl.LIF)) >= 6
    True
    """
    instance = model() if isinstance(model, type) else model
    require_model("check_model", instance)
    case = Case(instance, solver=solver, into=into, dt=dt)
    checks: dict[str, Callable[[], None]] = {
        "units": instance.check_units,
        "trace equals methods": lambda: _check_trace(case),
        "gradients equal finite differences": lambda: check_finite_differences(case),
        "a split run equals the whole": lambda: check_split(case),
        "a sample does not depend on its batch": lambda: check_batch(case),
        "copies are equal": lambda: _check_copies(instance),
    }
    for name in backends:
        on = dataclasses.replace(case, backend=name)
        checks[f"{name} equals the reference"] = lambda on=on: check_backend(on)
    for name, check in checks.items():
        try:
            check()
        except ContractError as error:
            raise ContractError(f"{type(instance).__name__}: {name}: {error.what}", got=error.got) from None
    return list(checks)


def run_case(case: Case, backend_name: str, *, strict: bool = True) -> Outcome:
    """Run a case on one backend, forward and backward."""
    stream = case.stream().requires_grad_()
    state = {n: s.requires_grad_() for n, s in case.state().items()}
    learned = {
        n: torch.as_tensor(v, dtype=torch.float64).clone().requires_grad_() for n, v in case.model.values.items()
    }
    last_kernels()
    with backend(backend_name, strict=strict):
        result = scan(
            case.model, {case.target: stream}, state, learned=learned, solver=case.solver,
            surrogate=case.surrogate, dt=case.dt, record=list(case.model.states), seed=case.seed,
        )  # fmt: skip
        _random_loss([result.spikes, *result.states.values(), *result.final.values()]).backward()
    leaves = {"x": stream, **{f"state {n}": s for n, s in state.items()}, **learned}
    gradients = {n: torch.zeros_like(t) if t.grad is None else t.grad for n, t in leaves.items()}
    return Outcome(result.spikes, result.states, result.final, gradients, last_kernels())


def _random_loss(outputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    """Weighs every entry of every output differently, so that no gradient can hide behind a sum."""
    generator = torch.Generator().manual_seed(7)
    total = torch.zeros((), dtype=torch.float64)
    for output in outputs:
        if output is not None:
            weights = torch.randn(output.shape, generator=generator).double()
            total = total + (output.double() * weights).sum()
    return total


def check_backend(case: Case, *, strict: bool = True) -> None:
    """The case's backend gives the reference's spikes, states and gradients, and it is the one that ran."""
    reference, fast = run_case(case, "reference"), run_case(case, case.backend, strict=strict)
    expected = f"scan/{case.backend}/{type(case.model).__name__}/"
    if set(fast.kernels) != {expected + "forward", expected + "backward"}:
        raise ContractError("another kernel ran", got=fast.kernels, expected=expected + "...")
    digits = torch.finfo(case.dtype).eps
    if reference.spikes is not None and fast.spikes is not None:
        differing = int((reference.spikes != fast.spikes).sum())
        if differing:
            raise ContractError("spikes differ", got=f"{differing} of {fast.spikes.numel()}")
    for name, value in {**reference.states, **{f"final {n}": v for n, v in reference.final.items()}}.items():
        other = fast.final[name[6:]] if name.startswith("final ") else fast.states[name]
        _close(name, other, value, 64 * digits)
    tolerance = 1e-9 if case.dtype == torch.float64 else 1e-5
    for name, (value, other) in _grouped(reference.gradients, fast.gradients, case).items():
        _close(f"gradient to {name}", other, value, tolerance)


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


def _close(name: str, got: torch.Tensor, expected: torch.Tensor, tolerance: float, floor: float = 1e-300) -> None:
    error, size = (got.double() - expected.double()).norm(), expected.double().norm()
    if not error <= tolerance * size + floor:
        raise ContractError(f"{name} differs", got=f"relative difference {float(error / size):.3g} > {tolerance:.3g}")


def _check_trace(case: Case) -> None:
    """A step of the traced program, and a step of the model's own methods on tensors, are the same numbers."""
    model, solver = case.model, case.solver or default_solver(case.model)
    found = program(model, solver, case.surrogate, (case.target,))
    values = {n: torch.as_tensor(v, dtype=torch.float64) for n, v in model.values.items()}
    dt = torch.tensor(case.dt, dtype=torch.float64)
    fire = {"fire": lambda u: (u >= 0).to(u.dtype)}
    step = step_function(model.bind(values), solver, dt, fire=fire["fire"])
    states, random = case.state(), case.random(found.random)
    prepared = {f"{CONSTANT}{k}": c for k, c in enumerate(constants(found, model, {}, case.dt, (), dt))}
    for t, x in enumerate(case.stream()):
        streams = {case.target: x, **{n: rows[t] for n, rows in random.items()}}
        direct = step(states, streams)
        named = {STATE + n: s for n, s in states.items()} | {STREAM + n: row for n, row in streams.items()} | prepared
        names = [NEXT + n for n in states] + ([SPIKE] if found.fires else [])
        traced = evaluate([found.step.outputs[n] for n in names], named, fire)
        # A state may be 0 as the balance of large terms, such as a v - a v_rest at rest: then its rounding is theirs.
        largest = max(float(s.abs().max()) for s in states.values())
        for name, value in zip(names, traced, strict=True):
            other = direct.spike if name == SPIKE else direct.states[name[len(NEXT) :]]
            pair = (torch.as_tensor(n).expand(x.shape) for n in (value, other))
            _close(name, *pair, 1e-12, floor=1e-14 * largest)
        states = {n: torch.as_tensor(v).expand(x.shape) for n, v in direct.states.items()}


def check_finite_differences(case: Case) -> None:
    """Generated gradients of the smoothed step against central differences, in float64, along random directions."""
    if any(s.timer for s in case.model.states.values()):
        return  # a timer counts whole steps: nothing smooth to differentiate
    case = dataclasses.replace(case, steps=min(case.steps, 5))  # the smoothed dynamics may grow without bound
    found = program(case.model, case.solver, case.surrogate, (case.target,))
    text = smoothed(found.step, case.surrogate).text()
    prepared = [c.clone() for c in constants(found, case.model, {}, case.dt, (), torch.empty(0, dtype=torch.float64))]
    random = [rows.flatten(1) for rows in case.random(found.random).values()]
    leaves = [case.stream().flatten(1), *(s.flatten() for s in case.state().values()), *prepared]
    for leaf in leaves:
        leaf.requires_grad_()
    count = len(case.model.states)

    def loss(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        streams, states, rest = [tensors[0], *random], list(tensors[1 : 1 + count]), list(tensors[1 + count :])
        wanted = [t.requires_grad for t in (*streams, *rest)] if torch.is_grad_enabled() else []
        how = (",".join(case.model.states), wanted, type(case.model).__name__, case.backend, True)
        rows = scan_op(streams, states, rest, text, *how)
        kept = rows[: count * 2 + int(found.fires)]
        weights = torch.Generator().manual_seed(7)
        return sum(((r * torch.randn(r.shape, generator=weights, dtype=r.dtype)).sum() for r in kept), torch.zeros(()))

    value = loss(leaves)
    gradients = torch.autograd.grad(value, leaves)
    for index, (leaf, gradient) in enumerate(zip(leaves, gradients, strict=True)):
        direction = torch.randn(leaf.shape, generator=torch.Generator().manual_seed(index), dtype=leaf.dtype)
        step = 1e-3 * max(float(leaf.detach().abs().max()), 1e-3)
        exact = float((gradient * direction).sum())
        estimate = _directional(loss, leaves, index, step * direction) / step
        rounding = 1e-14 * (abs(value.item()) + 1.0) / step
        if not abs(exact - estimate) <= 1e-6 * (abs(exact) + abs(estimate)) + rounding:
            raise ContractError(f"gradient {index} against finite differences", got=f"{exact:.9g}, {estimate:.9g}")


def _directional(loss: Loss, leaves: Sequence[torch.Tensor], index: int, shift: torch.Tensor) -> float:
    """Fourth-order central difference of ``loss`` along ``shift``."""

    def at(times: float) -> float:
        moved = [leaf.detach() for leaf in leaves]
        moved[index] = moved[index] + times * shift
        with torch.no_grad():
            return float(loss(moved))

    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / 12


def check_split(case: Case) -> None:
    """Running T steps at once, or in pieces with the state carried on, gives the same bits."""
    with backend(case.backend, strict=True):
        whole = _plain(case, case.stream(), None)
        for pieces in _splits(case.steps):
            state, parts = None, []
            for begin, end in pieces:
                result = _plain(case, case.stream()[begin:end], state, begin)
                state = result.final
                parts.append(result.states[case.model.membrane])
            _identical("states of a split run", torch.cat(parts), whole.states[case.model.membrane])
            for name, value in whole.final.items():
                _identical(f"final {name} of a split run", (state or {})[name], value)


def check_batch(case: Case) -> None:
    """A sample alone gives the same bits as in a batch."""
    with backend(case.backend, strict=True):
        whole = _plain(case, case.stream(), None)
        alone = _plain(case, case.stream()[:, :1], None)  # the first sample: its random numbers are the same
    name = case.model.membrane
    _identical("a sample alone", alone.states[name], whole.states[name][:, :1])


def _plain(case: Case, x: torch.Tensor, state: dict[str, torch.Tensor] | None, first_step: int = 0) -> ScanResult:
    return scan(
        case.model, {case.target: x}, state, solver=case.solver, surrogate=case.surrogate, dt=case.dt,
        record=list(case.model.states), seed=case.seed, first_step=first_step,
    )  # fmt: skip


def _splits(steps: int) -> Iterator[list[tuple[int, int]]]:
    yield [(t, t + 1) for t in range(steps)]
    yield [(0, steps // 3), (steps // 3, steps)]


def _identical(name: str, got: torch.Tensor, expected: torch.Tensor) -> None:
    if not torch.equal(got, expected):
        raise ContractError(f"{name} differs", got=f"largest difference {float((got - expected).abs().max()):.3g}")


def _check_copies(model: NeuronModel) -> None:
    for name, other in (("deepcopy", copy.deepcopy(model)), ("replace", model.replace())):
        if other != model or hash(other) != hash(model):
            raise ContractError(f"{name} gives another model", got=repr(other))
    layer = Neuron(model)
    if copy.deepcopy(layer).model != model:
        raise ContractError("a copied layer has another model")


__all__ = ["Case", "ContractError", "Outcome", "check_backend", "check_model", "run_case"]
