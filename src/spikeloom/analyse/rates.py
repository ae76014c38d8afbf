"""f-I curves: how fast a neuron fires at held currents, from spike times between the points of the grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ModelError, ParameterError
from ..kernels.field import VectorField
from ..models.base import NeuronModel
from ..simulation import Trace, simulate
from ..solvers import DormandPrince, Located, Solver, is_linear
from ..units import ms, plain
from .system import positive, resets, start_of, system

_PIECE = 4000  # steps simulated at once, which bounds the memory


@dataclasses.dataclass(frozen=True, eq=False)
class FICurve:
    """Firing at held currents: ``currents`` ``[N]`` in ``unit``, and ``[N]`` each in Hz:

    ``rates`` from the intervals between the spikes after the transient (0 with fewer than two), ``onset_rates`` from
    the first interval alone (0 with fewer than two spikes at all). ``spike_times`` in ms, one array a current.
    """

    currents: np.ndarray
    unit: str
    rates: np.ndarray
    onset_rates: np.ndarray
    spike_times: tuple[np.ndarray, ...]


def fi_curve(
    model: NeuronModel, currents: Sequence[float] | np.ndarray | Any, *, duration: object = 1000.0,
    transient: object = 200.0, dt: object = 0.01, state: Mapping[str, float] | None = None,
) -> FICurve:  # fmt: skip
    """Firing rates of ``model`` at each of ``currents``, held for ``duration`` ms from its initial values or ``state``.

    Spike times lie off the grid. A model without a reset is integrated on the grid, all currents at once, by its
    default solver, and each crossing of the threshold is found on the cubic through both ends of its step with their
    slopes; a linear one with a reset by its closed form between spikes; any other by an adaptive integrator with
    event location (1e-9), which is slower: about 5 ms a spike.

    Raises ModelError for a model that never fires, ParameterError for currents and times that cannot be used.

    >>> import spikeloom as sl
    >>> lif = sl.Refractory(sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value"), t_ref=2.0)
    >>> fi_curve(lif, [10.0, 16.0, 60.0]).rates.round(6).tolist()
    [0.0, 33.640712, 205.051622]
    """
    field = system("fi_curve", model)
    length, skip, step = (
        positive(f"fi_curve: {name}", value, ms)
        for name, value in (("duration", duration), ("transient", transient), ("dt", dt))
    )
    if skip >= length:
        raise ParameterError("fi_curve: transient", got=f"{skip:g} ms", expected=f"less than duration = {length:g} ms")
    if model.threshold(model.symbols()[0]) is None:
        raise ModelError(f"fi_curve: {type(model).__name__} never fires", mend="Define threshold(self, s).")
    if not model.inputs:
        raise ModelError(f"fi_curve: {type(model).__name__} has no input")
    unit = model.inputs[field.inputs[0]].unit
    values = np.array(plain(currents, unit, "currents"), dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ParameterError("fi_curve: currents", got=repr(currents), expected="a row of finite numbers")
    start = dict(zip(field.names, start_of("fi_curve", field, state).tolist(), strict=True))
    if resets(model) or any(declared.timer for declared in model.states.values()):
        solver = Located() if is_linear(model) else DormandPrince(rtol=1e-9, atol=1e-9)
        trains = _off_grid(model, values, length, solver, start)
    else:
        trains = _on_grid(field, values, (length, step), start)
    late = [train[train > skip] for train in trains]
    return FICurve(values, str(unit), _rates(late), _rates([train[:2] for train in trains]), tuple(trains))


def _rates(trains: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([1000.0 * (len(t) - 1) / (t[-1] - t[0]) if len(t) > 1 else 0.0 for t in trains])


def _off_grid(
    model: NeuronModel, currents: np.ndarray, length: float, solver: Solver, start: Mapping[str, float]
) -> list[np.ndarray]:
    trace = simulate(model, currents, length, min(1.0, length), solver=solver, state=start)
    return [np.asarray(times) for times in trace.spike_times]


def _on_grid(
    field: VectorField, currents: np.ndarray, times: tuple[float, float], start: Mapping[str, float]
) -> list[np.ndarray]:
    length, dt = times
    done, total = 0, round(length / dt)
    state: dict[str, Any] = dict(start)
    found: list[list[np.ndarray]] = [[] for _ in currents]
    while done < total:
        steps = min(_PIECE, total - done)
        trace = simulate(field.model, currents, steps * dt, dt, state=state)
        state = {name: values[-1] for name, values in trace.states.items()}
        for lane, moments in _crossings(field, currents, trace):
            found[lane].append(done * dt + moments)
        done += steps
    return [np.concatenate([np.empty(0), *parts]) for parts in found]


def _crossings(field: VectorField, currents: np.ndarray, trace: Trace) -> list[tuple[int, np.ndarray]]:
    """(neuron, times of its spikes in ms) by the cubic of each step in which one fired."""
    after, lanes = np.nonzero(trace.fired)
    if not len(after):
        return []
    inputs = np.zeros((len(field.inputs), len(after)))
    inputs[0] = currents[lanes]
    ends = [np.stack([trace[name][row, lanes] for name in field.names]) for row in (after - 1, after)]
    (q0, d0), (q1, d1) = (field.crossing(y, inputs) for y in ends)
    dt = trace.times[1] - trace.times[0]
    part = _first_zero(q0, dt * d0, q1, dt * d1)
    times = trace.times[after - 1] + part * dt
    return [(int(lane), np.sort(times[lanes == lane])) for lane in np.unique(lanes)]


def _first_zero(q0: np.ndarray, d0: np.ndarray, q1: np.ndarray, d1: np.ndarray) -> np.ndarray:
    """Where in 0..1 the cubic with these ends and end slopes passes 0 upward."""
    low, high = np.zeros_like(q0), np.ones_like(q0)
    for _ in range(60):
        s = 0.5 * (low + high)
        r = 1.0 - s
        value = r * r * ((1.0 + 2.0 * s) * q0 + s * d0) + s * s * ((1.0 + 2.0 * r) * q1 - r * d1)
        low, high = np.where(value < 0.0, s, low), np.where(value < 0.0, high, s)
    return 0.5 * (low + high)


__all__ = ["FICurve", "fi_curve"]
