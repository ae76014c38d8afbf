"""Simulation with spikes located off the grid: what :func:`spikeloom.simulate` does for :class:`OffGrid` solvers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ModelError
from ..models.base import NeuronModel
from ..solvers import DormandPrince, Located, OffGrid
from .intervals import Interval, continuous, stepwise
from .run import Recording, record


@dataclasses.dataclass(frozen=True)
class Drive:
    """What goes into the state or input ``target``: ``values`` ``[T, N]``, one for each step.

    Where they sample a function of time, ``current`` is that function and ``breaks`` the times (ms) at which it
    jumps, as far as they are known.
    """

    target: str
    values: np.ndarray
    current: Callable[[np.ndarray], Any] | None = None
    breaks: Sequence[float] | None = None


def run_off_grid(
    model: NeuronModel, solver: OffGrid, drive: Drive, times: np.ndarray, start: Mapping[str, np.ndarray]
) -> list[Recording]:
    """One recording for each neuron at ``times`` ``[T + 1]``, from ``start`` ``[N]`` of each state.

    An adaptive solver takes a current that is a function of time as such. Raises as
    :func:`~spikeloom.located.run.record` does.
    """
    if not isinstance(solver, (Located, DormandPrince)):
        raise ModelError("simulate cannot run this solver", got=repr(solver), expected="Located or DormandPrince")
    found: list[Recording] = []
    for n in range(drive.values.shape[1]):
        intervals = _intervals(model, solver, drive, times, n)
        found.append(record(_single(model, n), solver, intervals, times, {k: v[n] for k, v in start.items()}))
    return found


def _intervals(model: NeuronModel, solver: OffGrid, drive: Drive, times: np.ndarray, n: int) -> Iterator[Interval]:
    current, adaptive = drive.current, isinstance(solver, DormandPrince)
    if current is None or not adaptive or drive.target not in model.inputs:
        return stepwise(model, drive.target, drive.values[:, n], times, merge=adaptive)

    def at(time: float) -> float:
        return float(np.ravel(current(np.array([time])))[n])

    # Nothing is known of a function without breaks but what it does at the steps: none may be passed over.
    longest = float(times[1]) if drive.breaks is None else math.inf
    return continuous(model, drive.target, at, [*(drive.breaks or ()), float(times[-1])], longest)


def _single(model: NeuronModel, n: int) -> NeuronModel:
    """Neuron ``n`` of a model whose parameters may have one value for each."""
    many = {name: value for name, value in model.values.items() if isinstance(value, np.ndarray)}
    return model.bind({k: float(np.ravel(v)[n if v.size > 1 else 0]) for k, v in many.items()}) if many else model


__all__ = ["Drive", "Recording", "run_off_grid"]
