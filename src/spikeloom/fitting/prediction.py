"""Run candidates of a model under the current of a recording."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import torch

from ..data.current_clamp import Recording
from ..errors import DimensionError, ModelError, NonFiniteError, ParameterError
from ..kernels.scan.scan import initial_state, scan
from ..models.base import NeuronModel
from ..solvers import Solver
from ..surrogates import Surrogate
from ..units import Quantity, mV, pA

Objective = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]

# Candidates run in blocks of about this many neuron steps, which bounds the memory to some 100 MB.
_BLOCK = 2_000_000


@dataclasses.dataclass(frozen=True)
class Driven:
    """A ``model`` under the currents of a recording: ``current`` ``[T - 1, S, 1]`` and first voltages ``v`` ``[S, 1]``.

    Every sweep starts at its first recorded voltage, and at the model's initial values of all other states.
    """

    model: NeuronModel
    solver: Solver | None
    seed: int
    current: torch.Tensor
    v: torch.Tensor
    dt: float

    def run(
        self, values: Mapping[str, torch.Tensor], surrogate: Surrogate | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Voltages and spikes ``[T - 1, S, N]`` of candidates with the parameter ``values`` ``[N]`` each.

        Without any values, N is 1: the model as it is.
        """
        model, count = self.model, next((v.shape[0] for v in values.values()), 1)
        x = self.current.expand(-1, -1, count).contiguous()
        state = initial_state(model, x.shape[1:], x, values)
        state[model.membrane] = self.v.expand(-1, count)
        result = scan(
            model, {next(iter(model.inputs)): x}, state, learned=values, solver=self.solver, surrogate=surrogate,
            dt=self.dt, record=(model.membrane,), seed=self.seed,
        )  # fmt: skip
        return result.states[model.membrane], result.spikes

    def losses(self, values: Mapping[str, torch.Tensor], objective: Objective) -> np.ndarray:
        """The loss of each candidate; infinite for one that blows up."""
        count = next(iter(values.values())).shape[0]
        room = max(1, _BLOCK // (self.current.shape[0] * self.current.shape[1]))
        if count > room:
            parts = [{n: v[k : k + room] for n, v in values.items()} for k in range(0, count, room)]
            return np.concatenate([self.losses(part, objective) for part in parts])
        try:
            with torch.no_grad():
                found = objective(*self.run(values)).numpy()
        except NonFiniteError:
            if count == 1:
                return np.array([np.inf])
            halves = ({n: v[: count // 2] for n, v in values.items()}, {n: v[count // 2 :] for n, v in values.items()})
            return np.concatenate([self.losses(half, objective) for half in halves])
        return np.where(np.isfinite(found), found, np.inf)


def driven(model: NeuronModel, recording: Recording, *, solver: Solver | None = None, seed: int = 0) -> Driven:
    """``model`` under the current of ``recording``; raises where its input is no current or its membrane no voltage."""
    label = type(model).__name__
    for parameter, value in model.values.items():
        if isinstance(value, np.ndarray) and value.ndim:
            got = f"{parameter} of shape {list(value.shape)}"
            raise ParameterError(f"{label} holds several neurons", got=got, expected="one number for each parameter")
    if recording.v.shape[1] < 2:
        raise ParameterError("a recording of one sample", expected="at least two, since the first is where it starts")
    if not model.inputs:
        raise ModelError(f"{label} declares no input for a current", mend="Write i = sl.input(sl.pA) in its body.")
    name, first = next(iter(model.inputs.items()))
    unit = model.states[model.membrane].unit
    mend = "Write the model per cell, in pA and mV, instead of per area or without units."
    if not unit.same_as(mV):
        raise DimensionError(f"{label}: membrane {model.membrane} is no voltage", got=unit, expected=mV, mend=mend)
    try:
        current = np.asarray(Quantity(recording.current[:, :-1].T, pA).to(first.unit))
    except DimensionError:
        raise DimensionError(f"{label}: input {name} is no current", got=first.unit, expected=pA, mend=mend) from None
    v = torch.from_numpy(np.array(recording.v[:, 0]))
    return Driven(model, solver, seed, torch.from_numpy(np.array(current))[..., None], v[:, None], recording.dt)


__all__ = ["Driven", "driven"]
