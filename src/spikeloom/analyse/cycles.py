"""Limit cycles: periodic firing, solved for as a boundary value problem, with its Floquet multipliers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from ..errors import ParameterError, did_you_mean
from ..kernels.field import VectorField
from ..models.base import NeuronModel
from ..units import ms
from .flow import Flow, Orbit
from .settling import CYCLE, REST, Settled, settle
from .system import AnalysisError, Current, positive, start_of, system

_ROUGH, _MEDIUM, _FINE = 1e-6, 1e-8, 1e-10  # tolerances of the integrator
_CLOSED = 10.0  # how well the orbit has to close, in its own extent and the integrator's tolerance


@dataclasses.dataclass(frozen=True, eq=False)
class LimitCycle:
    """One period of a periodic orbit.

    ``period`` in ms; ``times`` ``[K]`` in ms from 0 to the period and ``states`` ``[K]`` by name. Time 0 is a spike:
    the threshold crossing (of a burst, the first one), the state after the reset where there is one, or the
    membrane's maximum where the model's threshold is not crossed. ``spike_times`` within the period, in ms.
    ``multipliers`` ``[S]`` are the Floquet multipliers, by size; one of them is 1, the motion along the orbit.
    """

    period: float
    times: np.ndarray
    states: Mapping[str, np.ndarray]
    spike_times: np.ndarray
    multipliers: np.ndarray
    field: VectorField = dataclasses.field(repr=False)
    orbit: Orbit = dataclasses.field(repr=False)

    @property
    def frequency(self) -> float:
        """Cycles per second, in Hz."""
        return 1000.0 / self.period

    @property
    def stable(self) -> bool:
        """Whether perturbations die out: all multipliers but the one at 1 are smaller than 1."""
        others = np.delete(self.multipliers, np.argmin(abs(self.multipliers - 1.0)))
        return not len(others) or bool(abs(others).max() < 1.0)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.states:
            raise ParameterError(f"a limit cycle has no state {name!r}", mend=did_you_mean(name, self.states))
        return self.states[name]


def limit_cycle(
    model: NeuronModel, current: Current = 0.0, *, state: Mapping[str, float] | None = None, within: object = 10_000.0,
    points: int = 1001,
) -> LimitCycle:  # fmt: skip
    """The stable limit cycle that ``model`` settles on at a held ``current``, from its initial values or ``state``.

    The trajectory is followed until it repeats itself, for at most ``within`` ms, and the cycle is then solved for
    by Newton's method (single shooting with the variational equation; resets through their saltation matrices) until
    it closes to 1e-9 of its extent. ``points`` are returned, evenly spaced in time.

    Raises AnalysisError where the trajectory comes to rest, does not repeat itself in time (chaos, or a transient
    longer than ``within``) or blows up; ParameterError for what cannot be analysed.

    >>> import spikeloom as sl
    >>> lif = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")
    >>> round(limit_cycle(lif, 20.0).period, 9)  # 10 ln 4
    13.862943611
    """
    field = system("limit_cycle", model, current)
    if isinstance(points, bool) or not isinstance(points, int) or points < 2:
        raise ParameterError("limit_cycle: points", got=points, expected="a whole number >= 2")
    left = positive("limit_cycle: within", within, ms)
    rough, medium, fine = (Flow(field, rtol) for rtol in (_ROUGH, _MEDIUM, _FINE))
    y = start_of("limit_cycle", field, state)
    while True:
        settled = settle(rough, y, left)
        _require_a_cycle(model, settled)
        found = _closed(medium, *_base(rough, settled))
        found = None if found is None else _closed(fine, *found[:2])
        if found is not None:
            cycle = _from_its_spike(fine, *found, points)
            if cycle.stable:
                return cycle
        left -= settled.time + 10.0 * settled.period
        y = rough.run(settled.y, 10.0 * settled.period).y
        if left <= 0.0:
            _require_a_cycle(model, dataclasses.replace(settled, kind=""))


def period(model: NeuronModel, current: Current = 0.0, *, state: Mapping[str, float] | None = None) -> float:
    """The period of the stable limit cycle in ms; see :func:`limit_cycle`.

    >>> import spikeloom as sl
    >>> round(period(sl.HodgkinHuxley(), 10.0), 4)
    14.6362
    """
    return limit_cycle(model, current, state=state, points=2).period


def _require_a_cycle(model: NeuronModel, settled: Settled) -> None:
    if settled.kind == CYCLE:
        return
    name = type(model).__name__
    values = ", ".join(f"{v:.6g}" for v in settled.y)
    if settled.kind == REST:
        mend = "Try another current, or start on the cycle with state=."
        raise AnalysisError(f"{name} has no limit cycle here: it comes to rest", got=f"({values})", mend=mend)
    mend = "It may be chaotic (see sl.analyse.lyapunov), or need a larger within."
    raise AnalysisError(f"{name}: no limit cycle found after {settled.time:g} ms", mend=mend)


def _base(flow: Flow, settled: Settled) -> tuple[np.ndarray, float]:
    """A point of the almost closed orbit away from its resets, and the period so far."""
    if not flow.resets:
        return settled.y, settled.period
    first = flow.run(settled.y, 2.0 * settled.period, spikes=1).end
    return flow.run(settled.y, 0.5 * first).y, settled.period


def _closed(flow: Flow, y: np.ndarray, length: float) -> tuple[np.ndarray, float, int] | None:
    """Newton's method for ``φ_T(y) = y``: a point of the cycle, its period, and the resets on the way round."""
    first, size = y, len(y)
    along = flow.field(first)
    lap = flow.run(first, length, marks=[lambda z, k=k: flow.field(z)[k] for k in range(size)])
    turns = np.array([first, lap.y, *(z for found in lap.marks for _, z in found), *(j.before for j in lap.jumps)])
    extent = np.maximum(np.ptp(turns, axis=0), 1e-6 * (1e-3 + abs(turns).max(axis=0)))
    for _ in range(20):
        lap = flow.run(y, length, np.eye(size))
        miss = lap.y - y
        if (abs(miss) <= _CLOSED * flow.rtol * extent).all():
            return y, length, len(lap.jumps)
        assert lap.tangent is not None
        phase = along / extent**2
        matrix = np.block([[lap.tangent - np.eye(size), flow.field(lap.y)[:, None]], [phase[None], np.zeros((1, 1))]])
        try:
            move = np.linalg.solve(matrix, -np.append(miss, phase @ (y - first)))
        except np.linalg.LinAlgError:
            return None
        if not np.isfinite(move).all() or (abs(move[:-1]) > extent).any() or abs(move[-1]) > 0.3 * length:
            return None
        y, length = y + move[:-1], length + move[-1]
    return None


def _from_its_spike(flow: Flow, y: np.ndarray, length: float, resets: int, points: int) -> LimitCycle:
    """The cycle again, from a spike to the same spike."""
    field = flow.field
    peaks = [] if flow.resets else [lambda z: field(z)[0]]
    lap = flow.run(y, 2.0 * length, marks=peaks, dense=True)
    if flow.resets:
        times = np.array([jump.time for jump in lap.jumps])
        begin = lap.jumps[_after_the_longest(times, length)].after
        orbit = flow.run(begin, 2.0 * length, np.eye(len(y)), spikes=resets, dense=True)
        spikes = np.append(0.0, orbit.spikes[:-1])
    else:
        if len(lap.spikes) > 1:
            start = lap.spikes[_after_the_longest(lap.spikes, length)]
        else:
            start = max(lap.marks[0], key=lambda mark: mark[1][0])[0]
        begin = lap.at(np.array([start]))[:, 0]
        orbit = flow.run(begin, length, np.eye(len(y)), dense=True)
        near = 1e-7 * length  # so that the spike at 0 is not counted at the end as well
        spikes = np.sort(np.mod(lap.spikes - start + near, length)) - near
        spikes = np.where(abs(spikes) < near, 0.0, spikes)[np.append(True, np.diff(spikes) > near)[: len(spikes)]]
    assert orbit.tangent is not None
    multipliers = np.linalg.eigvals(orbit.tangent)
    times = np.linspace(0.0, orbit.end, points)
    states = orbit.at(times)
    if flow.resets:
        states[:, -1] = orbit.jumps[-1].before  # the period ends before the reset with which it began
    return LimitCycle(
        orbit.end, times, dict(zip(field.names, states, strict=True)), spikes,
        multipliers[np.argsort(-abs(multipliers))], field, orbit,
    )  # fmt: skip


def _after_the_longest(times: np.ndarray, length: float) -> int:
    """Index of the spike after the longest interval within a period: of bursts, their first spike."""
    count = int((times < times[0] + length * (1.0 - 1e-6)).sum())
    gaps = np.diff(times[: count + 1])
    return int(np.argmax(np.round(gaps / length, 6))) + 1 if len(gaps) else 0


__all__ = ["LimitCycle", "limit_cycle", "period"]
