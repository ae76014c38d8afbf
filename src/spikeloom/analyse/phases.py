"""Phase response: how much a small push at each phase of the cycle advances the next spikes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.integrate

from ..errors import ParameterError, did_you_mean
from ..models.base import NeuronModel
from ..units import plain
from .cycles import LimitCycle, limit_cycle
from .flow import Flow, Segment
from .system import AnalysisError, Current, finite

_ONE_SIGNED = 0.05  # share of the curve's area below 0 up to which it counts as type I

_RETURNED = 0.01  # of the cycle's extent: how close counts as having come back to it


@dataclasses.dataclass(frozen=True, eq=False)
class PhaseResponse:
    """The phase response of a limit cycle to small pushes.

    ``phases`` ``[K]`` run from 0 (a spike) to 1 (the next time round), ``times`` are ``phases`` times ``period``, in
    ms. ``advance`` ``[K]`` by state: how much earlier, in ms per unit of the state, all later spikes come when the
    state is pushed up by a small amount; negative where they come later. ``to_input`` ``[K]`` by input likewise, in
    ms per unit of the input and ms of its duration. ``membrane`` names the first state.
    """

    period: float
    phases: np.ndarray
    advance: Mapping[str, np.ndarray]
    to_input: Mapping[str, np.ndarray]
    membrane: str
    cycle: LimitCycle = dataclasses.field(repr=False)

    @property
    def times(self) -> np.ndarray:
        """Times since the spike in ms."""
        return self.phases * self.period

    @property
    def delaying(self) -> float:
        """The share of the membrane's curve that lies below 0, by area: 0 to 1."""
        curve = self[self.membrane]
        total = scipy.integrate.trapezoid(abs(curve), self.phases)
        return float(scipy.integrate.trapezoid(np.maximum(-curve, 0.0), self.phases) / total) if total else 0.0

    @property
    def kind(self) -> str:
        """Whether pushes of the membrane only advance (to 5 % of the area): "type I", or "type II" (Hansel 1995)."""
        return "type I" if self.delaying <= _ONE_SIGNED else "type II"

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.advance:
            raise ParameterError(f"a phase response has no state {name!r}", mend=did_you_mean(name, self.advance))
        return self.advance[name]


def phase_response(
    model: NeuronModel, current: Current = 0.0, *, cycle: LimitCycle | None = None, points: int = 501
) -> PhaseResponse:
    """The infinitesimal phase response of the limit cycle of ``model`` at ``current``, by the adjoint equation.

    ``Z`` obeys ``dZ/dt = -Jᵀ Z`` along the cycle with ``Z · f = 1`` (Malkin's theorem; Ermentrout and Terman 2010,
    sec. 8.2), integrated backward, which is stable, from the left eigenvector of the monodromy matrix; at a reset
    it passes by the transposed saltation matrix. ``cycle`` spares finding the cycle anew.

    Raises AnalysisError where there is no limit cycle.

    >>> import spikeloom as sl
    >>> found = phase_response(sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value"), 20.0, points=3)
    >>> found["v"].round(6).tolist(), found.kind  # 1 / (dv/dt) = tau / (i - v), from the reset to the threshold
    ([0.5, 1.0, 2.0], 'type I')
    """
    cycle = limit_cycle(model, current) if cycle is None else cycle
    if isinstance(points, bool) or not isinstance(points, int) or points < 2:
        raise ParameterError("phase_response: points", got=points, expected="a whole number >= 2")
    field, orbit = cycle.field, cycle.orbit
    assert orbit.tangent is not None
    values, left = np.linalg.eig(orbit.tangent.T)
    z = np.real(left[:, np.argmin(abs(values - 1.0))])
    z = z / (z @ field(orbit.y))
    times = np.linspace(0.0, cycle.period, points)
    found = np.empty((len(z), points))
    for segment, jump in _pieces(cycle):
        if jump is not None:
            z = jump.T @ z
        back: Any = scipy.integrate.solve_ivp(
            lambda t, z, s=segment: -field.jacobian(s.solution(t)[: len(z)]).T @ z, (segment.end, segment.begin), z,
            method="DOP853", rtol=1e-9, atol=1e-11 * abs(z).max(), dense_output=True,
        )  # fmt: skip
        here = (times >= segment.begin) & (times <= segment.end)
        if here.any():
            found[:, here] = back.sol(times[here])
        z = back.y[:, -1]
    advance = dict(zip(field.names, found, strict=True))
    states = cycle.orbit.at(times)
    to_input = {name: (found * field.wrt(states, None, name)).sum(axis=0) for name in field.inputs}
    return PhaseResponse(cycle.period, times / cycle.period, advance, to_input, field.names[0], cycle)


def _pieces(cycle: LimitCycle) -> list[tuple[Segment, np.ndarray | None]]:
    """Smooth pieces from the last to the first, each with the saltation matrix of the reset that ends it."""
    matrices = {jump.time: jump.saltation for jump in cycle.orbit.jumps}
    return [(segment, matrices.get(segment.end)) for segment in reversed(cycle.orbit.segments)]


def measured_phase_response(
    model: NeuronModel, current: Current = 0.0, *, jump: float, phases: Sequence[float] | np.ndarray,
    state: str | None = None, cycle: LimitCycle | None = None, laps: int = 10,
) -> np.ndarray:  # fmt: skip
    """The advance in ms ``[K]`` that a jump of ``state`` (default: the membrane) by ``jump`` causes at ``phases``.

    Nothing is linearised: the neuron is pushed, followed for ``laps`` periods, and its phase is read off the cycle
    that it has come back to. Divided by ``jump``, this tends to :func:`phase_response` as the jump gets small.

    Raises AnalysisError where the push takes the neuron off its cycle for good.
    """
    cycle = limit_cycle(model, current) if cycle is None else cycle
    field, period = cycle.field, cycle.period
    name = field.names[0] if state is None else state
    if name not in field.names:
        what = f"measured_phase_response: {type(field.model).__name__} has no state {name!r}"
        raise ParameterError(what, mend=did_you_mean(name, field.names))
    size = finite("measured_phase_response: jump", plain(jump, field.model.states[name].unit, "jump"))
    response = phase_response(model, current, cycle=cycle, points=2001)
    flow = Flow(field, 1e-10)
    found: list[float] = []
    for phase in np.asarray(phases, dtype=float):
        start = (phase % 1.0) * period
        y = cycle.orbit.at(np.array([start]))[:, 0]
        y[field.names.index(name)] += size
        # The half period keeps the end away from the reset, where a small shift of time is a large one of states.
        rest = (1.5 * period - start) % period + laps * period
        late = _time_on(response, flow.run(y, rest).y) - 0.5 * period
        found.append(float((late + 0.5 * period) % period - 0.5 * period))
    return np.array(found)


def _time_on(response: PhaseResponse, y: np.ndarray) -> float:
    """Time since the spike of the point on the cycle in whose phase ``y`` is."""
    times, cycle = response.times, response.cycle
    states, z = cycle.orbit.at(times), np.array(list(response.advance.values()))
    extent = np.maximum(np.ptp(states, axis=1), 1e-12)
    off = (abs(states - y[:, None]) / extent[:, None]).max(axis=0)
    time = times[int(np.argmin(off))]
    at = cycle.orbit.at(times[:1])[:, 0]
    for _ in range(4):  # Newton: the time by which y is ahead of the point of the cycle
        at = cycle.orbit.at(np.array([time % cycle.period]))[:, 0]
        time += float(np.array([np.interp(time % cycle.period, times, row) for row in z]) @ (y - at))
    if (abs(y - at) / extent).max() > _RETURNED:
        what = f"{type(cycle.field.model).__name__} does not come back to its cycle after the push"
        raise AnalysisError(what, mend="Take a smaller jump, or more laps.")
    return float(time)


__all__ = ["PhaseResponse", "measured_phase_response", "phase_response"]
