"""Simulate neurons on their own, driven by currents: voltage traces, spike times, f-I curves."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from ..errors import ModelError, ParameterError, ShapeError, did_you_mean
from ..kernels.scan.advance import Advance
from ..kernels.scan.scan import checked_dt, initial_state
from ..kernels.step import with_timers_in_steps
from ..located import Drive, run_off_grid
from ..models.base import NeuronModel, require_model
from ..solvers import OffGrid, Solver
from ..units import Quantity, ms, plain
from .blow_up import blow_up, is_finite
from .currents import Current, Currents
from .trace import Spikes, Trace

_AT_ONCE = 1 << 22  # updates: a chunk's spikes are as many bytes, and starting it costs little beside it
_RECORDED_AT_ONCE = 1 << 19  # updates, where rows of states are written too: they stay in the cache
_FEWEST_STEPS, _MOST_STEPS = 16, 1 << 16


@dataclasses.dataclass(frozen=True)
class _Task:
    model: NeuronModel
    currents: Currents
    start: Mapping[str, torch.Tensor]
    times: np.ndarray
    dt: float
    solver: Solver | None
    record: Sequence[str]

    @property
    def units(self) -> dict[str, str]:
        return {name: str(self.model.states[name].unit) for name in self.record}


def simulate(
    model: NeuronModel, current: Current, duration: float | Quantity, dt: float | Quantity = 0.1, *,
    into: str | None = None, solver: Solver | None = None, record: Sequence[str] | None = None,
    state: Mapping[str, Any] | None = None, seed: int | None = None,
    dtype: Literal["float64", "float32"] = "float64",
) -> Trace:  # fmt: skip
    """Drive ``model`` with ``current`` for ``duration`` ms (rounded to whole steps) in steps of ``dt`` ms.

    ``current`` (in the unit of the model's input ``into``, by default its first) is a number; an array ``[N]`` of
    constant currents, one neuron each; an array ``[T, N]``; or a function of the times ``[T]`` at which steps begin.
    The time course of one neuron's current is ``[T, 1]``, such as ``course[:, None]``.
    ``record`` names the states to keep (default: all); ``state`` sets initial values by name (a time that is
    left, such as that of a refractory neuron, in ms, rounded up to whole steps). ``seed`` decides on a
    stochastic model's random numbers (default: drawn from torch's generator). States are computed and kept in
    ``dtype``.

    Memory goes into what is recorded, at eight (four) bytes a number, and into spikes, at eight bytes each, whatever
    the duration: with ``record=()`` a long run of many neurons needs next to none.

    Raises ParameterError or ShapeError for what cannot be simulated, and BlowUpError, with the largest step that
    works, where a state leaves the finite numbers.

    >>> import spikeloom as sl
    >>> lif = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")
    >>> trace = simulate(lif, current=20.0, duration=50.0, dt=0.1)  # first spike at 10 ln 4 = 13.863 ms
    >>> trace.spike_times.round(1).tolist()
    [13.9, 27.8, 41.7]
    """
    require_model("simulate", model)
    dt, steps = _steps(dt, duration)
    currents = Currents(model, _target(model, into), current, np.arange(steps) * dt)
    names = list(model.states) if record is None else list(record)
    for name in names:
        if name not in model.states:
            raise ModelError(f"{type(model).__name__} has no state {name!r}", mend=did_you_mean(name, model.states))
    start = _start(model, currents.neurons, state, _dtype(dtype))
    task = _Task(model, currents, start, np.arange(steps + 1) * dt, dt, solver, names)
    if isinstance(solver, OffGrid):
        found = _off_grid(task, solver)
    else:
        found = _on_grid(task, int(torch.randint(2**62, ())) if seed is None and model.random else seed or 0)
    return found.single() if currents.single else found


def _on_grid(task: _Task, seed: int) -> Trace:
    steps, neurons = len(task.times) - 1, task.currents.neurons
    start = with_timers_in_steps(task.model, task.start, task.dt)
    run = Advance(task.model, task.currents.target, start, dt=task.dt, solver=task.solver, seed=seed)
    states = _room(task, start, steps + 1)
    dtype = next(iter(task.start.values())).numpy().dtype
    size = (_RECORDED_AT_ONCE if task.record else _AT_ONCE) // max(neurons, 1)
    size = min(max(size, _FEWEST_STEPS), _MOST_STEPS)
    found: list[np.ndarray] = []
    for begin in range(0, steps, size):
        end, before = min(begin + size, steps), {name: value.clone() for name, value in run.states.items()}
        shown = {name: torch.from_numpy(values[begin + 1 : end + 1]) for name, values in states.items()}
        spikes = run(task.currents.rows(begin, end, dtype), end - begin, shown)
        if not is_finite(run.states):
            run.go_to(before, begin)
            raise blow_up(task.model, run, task.currents, task.start, end - begin)
        if spikes is not None:
            found.append(np.flatnonzero(spikes.numpy().view(bool)) + (begin + 1) * neurons)
    flat = np.concatenate(found) if found else np.empty(0, np.int64)
    for name, values in states.items():
        if task.model.states[name].timer:
            values *= task.dt  # ms
    return Trace(task.times, states, Spikes(flat, (steps + 1, neurons)), task.units)


def _room(task: _Task, start: Mapping[str, torch.Tensor], rows: int) -> dict[str, np.ndarray]:
    """Arrays ``[rows, neurons]`` for what is recorded, which begin with ``start``."""
    neurons, starts = task.currents.neurons, {name: start[name].numpy() for name in task.record}
    size, there = sum(rows * first.nbytes for first in starts.values()), _physical_memory()
    if size > there:
        got = f"{size / 2**30:.1f} GiB for {', '.join(starts)} of {neurons} neurons at {rows} times"
        mend = 'Record fewer states, as in record=("v",), or none: record=() keeps the spikes.'
        raise ParameterError("record", got=got, expected=f"less than the {there / 2**30:.1f} GiB there are", mend=mend)
    states = {name: np.empty((rows, neurons), first.dtype) for name, first in starts.items()}
    for name, first in starts.items():
        states[name][0] = first
    return states


def _physical_memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # no such system
        return math.inf


def _off_grid(task: _Task, solver: OffGrid) -> Trace:
    currents, current = task.currents, task.currents.function
    drive = Drive(currents.target, currents.whole(), current, currents.breaks())
    begin = {name: value.double().numpy() for name, value in task.start.items()}
    found = run_off_grid(task.model, solver, drive, task.times, begin)
    states = {name: np.stack([r.states[name] for r in found], axis=1) for name in task.record}
    fired = np.stack([r.fired for r in found], axis=1)
    return Trace(task.times, states, Spikes.of(fired), task.units, [r.spike_times for r in found])


def _steps(dt: float | Quantity, duration: float | Quantity) -> tuple[float, int]:
    dt, length = checked_dt(dt), plain(duration, ms, "duration")
    if not isinstance(length, (int, float)) or not 0 < length < math.inf:
        raise ParameterError("duration", got=length, expected="a finite time > 0 in ms")
    if length < dt:
        raise ParameterError(
            "duration is shorter than a step", got=f"{length:g} ms", expected=f"at least dt = {dt:g} ms"
        )
    return dt, round(length / dt)


def _target(model: NeuronModel, into: str | None) -> str:
    if into is not None:
        return into
    if not model.inputs:
        raise ModelError(f"{type(model).__name__} declares no input", mend="Name a state for the current: into='v'.")
    return next(iter(model.inputs))


def _dtype(name: object) -> torch.dtype:
    known = {"float64": torch.float64, "float32": torch.float32}
    spelled = name if isinstance(name, str) else getattr(name, "__name__", str(name))
    if spelled not in known:
        raise ParameterError("dtype", got=repr(name), expected='"float64" or "float32"')
    return known[spelled]


def _start(
    model: NeuronModel, neurons: int, state: Mapping[str, Any] | None, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    start = initial_state(model, (neurons,), torch.empty(0, dtype=dtype))
    if state is not None and not isinstance(state, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ParameterError("state", got=repr(state), expected='initial values by name, as in {"v": -65.0}')
    for name, value in (state or {}).items():
        if name not in start:
            raise ModelError(f"{type(model).__name__} has no state {name!r}", mend=did_you_mean(name, start))
        value = plain(value, model.states[name].unit, name)
        try:
            given = torch.as_tensor(value, dtype=dtype)
        except (TypeError, ValueError, RuntimeError):
            raise ParameterError(f"initial value of {name}", got=repr(value), expected="numbers") from None
        if given.shape not in ((), (1,), (neurons,)):
            expected = f"a number or [{neurons}]"
            raise ShapeError(f"initial value of {name}", got=list(given.shape), expected=expected)
        if not bool(torch.isfinite(given).all()):
            raise ParameterError(f"initial value of {name}", got="NaN or infinity", expected="finite numbers")
        if model.states[name].timer and bool((given < 0.0).any()):
            expected = "a time that is left, at least 0 ms"
            raise ParameterError(f"initial value of {name}", got=float(given.min()), expected=expected)
        start[name] = given.expand(neurons)
    return start


__all__ = ["simulate"]
