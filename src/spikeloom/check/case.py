"""What the contract is checked on: a model with a drive, a solver and a surrogate, at a size, on a backend."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ..errors import SpikeloomError
from ..kernels.backends import backend, last_kernels
from ..kernels.prepare import to_tensor
from ..kernels.random import draw
from ..kernels.scan.scan import ScanResult, initial_state, scan
from ..models.base import NeuronModel
from ..solvers import Solver
from ..surrogates import ATan, Surrogate


class ContractError(SpikeloomError, AssertionError):
    """A model, backend or rule does not keep its contract."""


@dataclasses.dataclass(frozen=True)
class Case:
    """What is checked. ``into`` names where streams go and their sizes; one name alone takes the model's scale.

    By default streams of that size go everywhere: into every input, the membrane, and every port.
    """

    model: NeuronModel
    solver: Solver | None = None
    surrogate: Surrogate = dataclasses.field(default_factory=ATan)
    into: str | Mapping[str, float] | None = None
    dt: float = 1.0
    steps: int = 21
    batch: int = 2
    neurons: int = 5
    dtype: torch.dtype = torch.float64
    backend: str = "cpu"
    device: str = "cpu"
    seed: int = 0

    @property
    def drive(self) -> dict[str, float]:
        """The size of each stream."""
        if isinstance(self.into, Mapping):
            return dict(self.into)
        everywhere = (*self.model.inputs, self.model.membrane, *self.model.ports)
        return dict.fromkeys((self.into,) if self.into else everywhere, self._scale())

    def _scale(self) -> float:
        return float(np.abs(self.model.scale()).mean()) or 1.0

    @property
    def targets(self) -> tuple[str, ...]:
        """Where the streams go."""
        return tuple(self.drive)

    def streams(self) -> dict[str, torch.Tensor]:
        """Random drives that make a model fire now and then."""
        made: dict[str, torch.Tensor] = {}
        for index, (name, size) in enumerate(self.drive.items()):
            noise = _normal(self.seed + 1000 * index, self.steps, self.batch, self.neurons)
            drive = (0.4 * noise + 0.25) * size
            # A synapse may tell a spike from none, so a port gets both.
            rows = torch.where(noise > 0.0, drive, 0.0) if name in self.model.ports else drive
            made[name] = rows.to(self.device, self.dtype)
        return made

    def random(self, names: Sequence[str]) -> dict[str, torch.Tensor]:
        """The random numbers of a stochastic model, by stream name."""
        like, shape = torch.empty(0, dtype=self.dtype, device=self.device), (self.steps, self.batch, self.neurons)
        width = self.batch * self.neurons
        return {name: draw(name, self.seed, 0, self.steps, width, like).reshape(shape) for name in names}

    def state(self) -> dict[str, torch.Tensor]:
        """The model's initial state, scattered over the neurons."""
        found = initial_state(self.model, (self.batch, self.neurons), torch.empty(0, dtype=torch.float64))
        made: dict[str, torch.Tensor] = {}
        for index, (name, value) in enumerate(found.items()):
            noise = _normal(self.seed + 1000 * index + 500, self.batch, self.neurons)
            size = self._scale() if name == self.model.membrane else value.abs() + 0.1
            timer = self.model.states[name].timer
            made[name] = (noise.abs().round() if timer else value + 0.1 * size * noise).to(self.device, self.dtype)
        return made

    def courses(self, timers: Sequence[str]) -> dict[str, torch.Tensor]:
        """A random course for each timer: whole steps that are left, often none."""
        shape, generator = (self.steps, self.batch, self.neurons), torch.Generator().manual_seed(self.seed)
        return {name: torch.randint(0, 3, shape, generator=generator).to(self.dtype) for name in timers}


def _normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Everything a run gives: rows and final states, and gradients of a random loss over all of them."""

    spikes: torch.Tensor | None
    states: dict[str, torch.Tensor]
    final: dict[str, torch.Tensor]
    gradients: dict[str, torch.Tensor]
    kernels: list[str]


def run_case(case: Case, backend_name: str, *, strict: bool = True) -> Outcome:
    """Run a case on one backend, forward and backward."""
    streams = {n: x.requires_grad_() for n, x in case.streams().items()}
    state = {n: s.requires_grad_() for n, s in case.state().items()}
    learned = {
        n: to_tensor(v, torch.float64).clone().to(case.device).requires_grad_() for n, v in case.model.values.items()
    }
    last_kernels()
    with backend(backend_name, strict=strict):
        result = scan(
            case.model, streams, state, learned=learned, solver=case.solver, surrogate=case.surrogate, dt=case.dt,
            record=list(case.model.states), seed=case.seed,
        )  # fmt: skip
        _random_loss([result.spikes, *result.states.values(), *result.final.values()]).backward()
    leaves = {f"stream {n}": x for n, x in streams.items()} | {f"state {n}": s for n, s in state.items()} | learned
    gradients = {n: torch.zeros_like(t) if t.grad is None else t.grad for n, t in leaves.items()}
    return Outcome(result.spikes, result.states, result.final, gradients, last_kernels())


def run_plainly(
    case: Case, streams: Mapping[str, torch.Tensor], state: dict[str, torch.Tensor], first_step: int = 0
) -> ScanResult:
    """A run without gradients, from a state on."""
    return scan(
        case.model, streams, state, solver=case.solver, surrogate=case.surrogate, dt=case.dt,
        record=list(case.model.states), seed=case.seed, first_step=first_step,
    )  # fmt: skip


def _random_loss(outputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    """Weighs every entry of every output differently, so that no gradient can hide behind a sum."""
    generator = torch.Generator().manual_seed(7)
    total = torch.zeros((), dtype=torch.float64)
    for output in outputs:
        if output is not None:
            weights = torch.randn(output.shape, generator=generator).to(output.device, torch.float64)
            total = total + (output.double() * weights).sum()
    return total


def close(name: str, got: torch.Tensor, expected: torch.Tensor, tolerance: float, floor: float = 1e-300) -> None:
    """Raise ContractError unless the two agree in norm."""
    error, size = (got.double() - expected.double()).norm(), expected.double().norm()
    if not error <= tolerance * size + floor:
        raise ContractError(f"{name} differs", got=f"relative difference {float(error / size):.3g} > {tolerance:.3g}")


def identical(name: str, got: torch.Tensor, expected: torch.Tensor) -> None:
    """Raise ContractError unless the two are the same numbers."""
    if not torch.equal(got, expected):
        raise ContractError(f"{name} differs", got=f"largest difference {float((got - expected).abs().max()):.3g}")
