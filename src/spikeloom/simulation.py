"""Simulate neurons on their own, driven by currents: voltage traces, spike times, f-I curves."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .errors import ModelError, ParameterError, ShapeError, did_you_mean
from .kernels.scan.scan import checked_dt, initial_state, scan
from .located import Drive, run_off_grid
from .models.base import NeuronModel, require_model
from .solvers import OffGrid, Solver
from .units import Quantity, ms, plain

Current = float | np.ndarray | Callable[[np.ndarray], np.ndarray] | Any


@dataclasses.dataclass(frozen=True)
class Trace:
    """What :func:`simulate` recorded.

    ``times`` ``[T + 1]`` in ms starts at 0; states have shape ``[T + 1]``, or ``[T + 1, N]`` for N neurons; ``fired``
    marks the entries in which a spike was made. A spike is stamped with the end of its step: the first grid point
    at which the threshold had been reached. Solvers off the grid give the true times: ``located``, one array per
    neuron.
    """

    times: np.ndarray
    states: Mapping[str, np.ndarray]
    fired: np.ndarray
    units: Mapping[str, str]
    located: Sequence[np.ndarray] | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.states:
            raise ModelError(f"state {name!r} was not recorded", mend=did_you_mean(name, self.states))
        return self.states[name]

    def single(self) -> Trace:
        """The first neuron of several, as a trace of one."""
        states = {name: values[:, 0] for name, values in self.states.items()}
        return dataclasses.replace(self, states=states, fired=self.fired[:, 0])

    def names(self) -> list[str]:
        """Recorded states."""
        return list(self.states)

    @property
    def spike_times(self) -> Any:
        """Spike times in ms: an array, or a list with one array per neuron."""
        if self.located is not None:
            return self.located[0] if self.fired.ndim == 1 else list(self.located)
        if self.fired.ndim == 1:
            return self.times[self.fired]
        return [self.times[column] for column in self.fired.T]

    def rates(self, start: float = 0.0) -> Any:
        """Mean rate in Hz from the intervals between the spikes after ``start`` ms; 0 with fewer than two spikes.

        A number, or an array ``[N]``.
        """
        trains = [self.spike_times] if self.fired.ndim == 1 else self.spike_times
        late = [t[t > start] for t in trains]
        found = np.array([1000.0 * (len(t) - 1) / (t[-1] - t[0]) if len(t) > 1 else 0.0 for t in late])
        return float(found[0]) if self.fired.ndim == 1 else found


def simulate(
    model: NeuronModel, current: Current, duration: float | Quantity, dt: float | Quantity = 0.1, *,
    into: str | None = None, solver: Solver | None = None, record: Sequence[str] | None = None,
    state: Mapping[str, Any] | None = None,
) -> Trace:  # fmt: skip
    """Drive ``model`` with ``current`` for ``duration`` ms (rounded to whole steps) in steps of ``dt`` ms, in float64.

    ``current`` (in the unit of the model's input ``into``, by default its first) is a number; an array ``[N]`` of
    constant currents, one neuron each; an array ``[T, N]``; or a function of the times ``[T]`` at which steps begin.
    ``record`` names the states to keep (default: all); ``state`` sets initial values by name.

    Raises ParameterError or ShapeError for what cannot be simulated.

    >>> import spikeloom as sl
    >>> lif = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")
    >>> trace = simulate(lif, current=20.0, duration=50.0, dt=0.1)  # first spike at 10 ln 4 = 13.863 ms
    >>> trace.spike_times.round(1).tolist()
    [13.9, 27.8, 41.7]
    """
    require_model("simulate", model)
    dt, length = checked_dt(dt), plain(duration, ms, "duration")
    if not isinstance(length, (int, float)) or not 0 < length < math.inf:
        raise ParameterError("duration", got=length, expected="a finite time > 0 in ms")
    if length < dt:
        raise ParameterError(
            "duration is shorter than a step", got=f"{length:g} ms", expected=f"at least dt = {dt:g} ms"
        )
    steps = round(length / dt)
    target = _target(model, into)
    drive, single = _drive(model, target, current, np.arange(steps) * dt)
    x = torch.from_numpy(drive).unsqueeze(1)
    names = list(model.states) if record is None else list(record)
    start = _start(model, x, state)
    if isinstance(solver, OffGrid):
        found = _off_grid(model, solver, _timed(model, target, current, drive), np.arange(steps + 1) * dt, start, names)
        return found.single() if single else found
    result = scan(model, {target: x}, start, solver=solver, dt=dt, record=names)
    states = {n: np.concatenate([start[n].numpy(), result.states[n][:, 0].numpy()]) for n in names}
    fired = np.zeros((steps + 1, drive.shape[1]), dtype=bool)
    if result.spikes is not None:
        fired[1:] = result.spikes[:, 0].numpy() > 0
    units = {n: str(model.states[n].unit) for n in names}
    found = Trace(np.arange(steps + 1) * dt, states, fired, units)
    return found.single() if single else found


def _timed(model: NeuronModel, target: str, current: Current, values: np.ndarray) -> Drive:
    if not callable(current):
        return Drive(target, values)
    unit = model.inputs[target].unit if target in model.inputs else model.targets[target]
    breaks = getattr(current, "breaks", tuple)()
    return Drive(target, values, lambda times: plain(current(times), unit, "current"), breaks)


def _off_grid(
    model: NeuronModel, solver: OffGrid, drive: Drive, times: np.ndarray, start: Mapping[str, torch.Tensor],
    names: Sequence[str],
) -> Trace:  # fmt: skip
    for name in names:
        if name not in model.states:
            raise ModelError(f"{type(model).__name__} has no state {name!r}", mend=did_you_mean(name, model.states))
    found = run_off_grid(model, solver, drive, times, {n: value.flatten().numpy() for n, value in start.items()})
    states = {name: np.stack([r.states[name] for r in found], axis=1) for name in names}
    fired = np.stack([r.fired for r in found], axis=1)
    units = {n: str(model.states[n].unit) for n in names}
    return Trace(times, states, fired, units, [r.spike_times for r in found])


def _target(model: NeuronModel, into: str | None) -> str:
    if into is not None:
        return into
    if not model.inputs:
        raise ModelError(f"{type(model).__name__} declares no input", mend="Name a state for the current: into='v'.")
    return next(iter(model.inputs))


def _drive(model: NeuronModel, target: str, current: Current, begins: np.ndarray) -> tuple[np.ndarray, bool]:
    """The drive ``[T, N]``, and whether it is that of a single neuron given by a number or function."""
    unit = (model.inputs.get(target) or model.states.get(target) or _unknown(model, target)).unit
    if callable(current):
        current = plain(current(begins), unit, "current")
        if np.ndim(current) == 1:
            return _checked(np.asarray(current)[:, None], begins), True
    values = np.asarray(plain(current, unit, "current"), dtype=np.float64)
    if values.ndim <= 1:
        constant = np.broadcast_to(values.reshape(1, -1), (len(begins), values.size))
        return _checked(constant, begins), values.ndim == 0
    return _checked(values, begins), False


def _unknown(model: NeuronModel, target: str) -> Any:
    known = [*model.inputs, *model.states]
    raise ModelError(f"{type(model).__name__} has no input {target!r}", mend=did_you_mean(target, known))


def _checked(values: np.ndarray, begins: np.ndarray) -> np.ndarray:
    if values.ndim != 2 or len(values) != len(begins):
        raise ShapeError("current", got=f"shape {values.shape}", expected=f"a number, [N], or [{len(begins)}, N]")
    if not np.isfinite(values).all():
        raise ParameterError("current is not finite", got="NaN or infinity", expected="finite numbers")
    return np.array(values, dtype=np.float64, order="C")  # a copy: a broadcast one is read-only


def _start(model: NeuronModel, x: torch.Tensor, state: Mapping[str, Any] | None) -> dict[str, torch.Tensor]:
    start = initial_state(model, x.shape[1:], x)
    for name, value in (state or {}).items():
        if name not in start:
            raise ModelError(f"{type(model).__name__} has no state {name!r}", mend=did_you_mean(name, start))
        plain_value = torch.as_tensor(plain(value, model.states[name].unit, name), dtype=torch.float64)
        start[name] = plain_value.expand(x.shape[1:])
    return start
