"""Generated gradients against finite differences of the smoothed model, down to parameters and initial states."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch

from ..kernels.prepare import constants, to_tensor
from ..kernels.program import STATE, STREAM, program
from ..kernels.scan.op import scan_op
from ..kernels.scan.scan import initial_state
from ..kernels.scan.smooth import smoothed
from .case import Case, ContractError

# Eighth-order central difference: weights at 1 to 4 steps to either side.
_WEIGHTS = (4.0 / 5.0, -1.0 / 5.0, 4.0 / 105.0, -1.0 / 280.0)
# Long steps round little, short ones stay clear of a kink and within a steep upstroke.
_STEPS = (1e-2, 1e-3, 1e-4, 1e-5)
_TOLERANCE = 1e-9

Leaves = Mapping[str, torch.Tensor]


def check_finite_differences(case: Case) -> None:
    """Raise ContractError unless gradients to streams, initial states and parameters equal central differences.

    In float64, along a random direction each, on the model with every spike replaced by the surrogate's smooth step.
    A timer counts whole steps, which has no finite difference: it is held to a random course.
    """
    # The smoothed dynamics may grow without bound, hence few steps.
    smooth = _Smoothed(dataclasses.replace(case, steps=min(case.steps, 5), dtype=torch.float64))
    leaves = {name: leaf.requires_grad_() for name, leaf in smooth.leaves().items()}
    value, magnitude = smooth.loss(leaves)
    gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
    for index, (name, gradient) in enumerate(zip(leaves, gradients, strict=True)):
        leaf = leaves[name].detach()
        direction = torch.randn(leaf.shape, generator=torch.Generator().manual_seed(index), dtype=leaf.dtype)
        if name.startswith("the stream"):
            direction *= leaf != 0.0  # an amount of 0 is no spike, and any other is one: a jump
        exact, size = float((gradient * direction).sum()), max(float(leaf.abs().max()), 1e-3)
        estimates: list[float] = []
        for step in (relative * size for relative in _STEPS):
            estimates.append(smooth.difference(leaves, name, step * direction) / step)
            allowed = _TOLERANCE * (abs(exact) + abs(estimates[-1])) + 1e-15 * float(magnitude) / step
            if abs(exact - estimates[-1]) <= allowed:
                break
        else:
            found = ", ".join(f"{estimate:.12g}" for estimate in estimates)
            raise ContractError(f"the gradient to {name}", got=f"{exact:.12g}, and by finite differences {found}")


class _Smoothed:
    """The smoothed run of a case, as a function of its leaves."""

    def __init__(self, case: Case) -> None:
        self._case, model = case, case.model
        self._program = program(model, case.solver, case.surrogate, case.targets)
        timers = [name for name, state in model.states.items() if state.timer]
        graph = smoothed(self._program.step, case.surrogate, timers)
        self._text = graph.text()
        self._streams = [n.removeprefix(STREAM) for n in graph.inputs if n.startswith(STREAM)]
        self._states = [n.removeprefix(STATE) for n in graph.inputs if n.startswith(STATE)]
        self._fixed = {**case.random(self._program.random), **case.courses(timers)}
        self._values = {name: to_tensor(value, torch.float64) for name, value in model.values.items()}
        self._start = self._initial(self._values)

    def leaves(self) -> dict[str, torch.Tensor]:
        """What gradients are taken to; initial states depend on parameters besides."""
        states = self._case.state()
        return {
            **{f"the stream into {name}": stream for name, stream in self._case.streams().items()},
            **{f"the initial {name}": states[name] for name in self._states},
            **{name: value.clone() for name, value in self._values.items()},
        }

    def _initial(self, values: Leaves) -> dict[str, torch.Tensor]:
        case = self._case
        return initial_state(case.model, (case.batch, case.neurons), torch.empty(0, dtype=torch.float64), dict(values))

    def loss(self, leaves: Leaves) -> tuple[torch.Tensor, torch.Tensor]:
        """A random loss of all rows and final states, and the sum of the terms' magnitudes."""
        case = self._case
        values = {name: leaves[name] for name in self._values}
        like, features = torch.empty(0, dtype=torch.float64), (case.neurons,)
        prepared = constants(self._program, case.model, values, case.dt, features, like)
        started = self._initial(values)
        states = [leaves[f"the initial {n}"] + (started[n] - self._start[n]) for n in self._states]
        streams = [self._fixed[n] if n in self._fixed else leaves[f"the stream into {n}"] for n in self._streams]
        wanted = [n not in self._fixed for n in self._streams] + [True] * len(prepared)
        how = (self._text, ",".join(self._states), wanted, type(case.model).__name__, case.backend, True)
        found = scan_op([x.flatten(1) for x in streams], [s.flatten() for s in states], prepared, *how)
        kept = found[: 2 * len(self._states) + int(self._program.fires)]  # behind them is what backward needs
        generator = torch.Generator().manual_seed(7)
        terms = [row * torch.randn(row.shape, generator=generator, dtype=row.dtype) for row in kept]
        flat = torch.cat([term.flatten() for term in terms])
        return flat.sum(), flat.detach().abs().sum()

    def difference(self, leaves: Leaves, name: str, shift: torch.Tensor) -> float:
        """The central difference of the loss along ``shift`` of one leaf."""
        total = 0.0
        with torch.no_grad():
            for times, weight in enumerate(_WEIGHTS, start=1):
                for sign in (1.0, -1.0):
                    moved = {**leaves, name: leaves[name] + sign * times * shift}
                    total += sign * weight * float(self.loss(moved)[0])
        return total
