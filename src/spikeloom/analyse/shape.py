"""The shape of spikes: threshold, peak, amplitude, half-width, after-potential."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.interpolate import CubicSpline

from ..errors import ParameterError, ShapeError
from ..simulation import Trace
from .system import AnalysisError, finite, positive

_OF_STEEPEST = 0.05  # of the upstroke, where the spike begins by default (as the Allen Institute's ipfx has it)

_MARGIN = 8  # grid points on both sides of a spike that shape the spline


@dataclasses.dataclass(frozen=True, eq=False)
class SpikeShapes:
    """The spikes of a trace; every array is ``[K]``, one entry a spike, in the membrane's unit, ms, or unit per ms.

    ======================  =======================================================================
    ``threshold``           the membrane where its slope last rises through the criterion before the steepest point
    ``threshold_time``      when that is
    ``peak``, ``peak_time`` the highest point
    ``amplitude``           ``peak`` above the ``baseline``
    ``height``              ``peak`` above ``threshold``
    ``half_width``          how long the membrane is above the middle between ``baseline`` and ``peak``
    ``trough``              the lowest point after the peak and before the next spike
    ``trough_time``         when that is
    ``after_potential``     ``trough`` above the ``baseline``: negative for a hyperpolarisation
    ``steepest_rise``       the largest slope of the upstroke
    ``steepest_fall``       the most negative slope between peak and trough
    ======================  =======================================================================

    NaN where a spike has none: a threshold whose slope is above the criterion from the start on, a half-width whose
    flank lies outside the trace.
    """

    baseline: float
    unit: str
    threshold: np.ndarray
    threshold_time: np.ndarray
    peak: np.ndarray
    peak_time: np.ndarray
    half_width: np.ndarray
    trough: np.ndarray
    trough_time: np.ndarray
    steepest_rise: np.ndarray
    steepest_fall: np.ndarray

    @property
    def amplitude(self) -> np.ndarray:
        """Peak above the baseline."""
        return self.peak - self.baseline

    @property
    def height(self) -> np.ndarray:
        """Peak above the threshold."""
        return self.peak - self.threshold

    @property
    def after_potential(self) -> np.ndarray:
        """Trough above the baseline: negative for a hyperpolarisation."""
        return self.trough - self.baseline


def spike_shape(
    trace: Trace, state: str | None = None, *, baseline: float | None = None, slope: float | None = None
) -> SpikeShapes:
    """The shapes of the spikes that ``trace`` (of one neuron) noted, measured on a cubic spline through its points.

    ``state`` is the membrane, by default the first that was recorded. ``baseline`` is what amplitudes and half-widths
    are measured from, by default the trace's first value: begin it at rest. ``slope`` is the criterion for the
    threshold, in the membrane's unit per ms; by default 5 % of each spike's steepest rise.

    Raises AnalysisError for a trace without a spike, ShapeError for one of several neurons.

    >>> import spikeloom as sl
    >>> rest = {"v": -64.9963793, "m": 0.0529551, "h": 0.5959941, "n": 0.3177324}
    >>> pulse = lambda t: np.where(t < 0.9999, 20.0, 0.0)
    >>> shape = spike_shape(sl.simulate(sl.HodgkinHuxley(), pulse, 30.0, dt=0.01, state=rest))
    >>> shape.amplitude.round(2).tolist(), shape.half_width.round(3).tolist(), shape.trough.round(2).tolist()
    ([105.5], [1.478], [-76.18])
    """
    if trace.fired.ndim != 1:
        mend = "Simulate one neuron: give simulate a number, or a function of time, as the current."
        raise ShapeError("spike_shape: the trace", got=f"{trace.fired.shape[1]} neurons", expected="one", mend=mend)
    name = trace.names()[0] if state is None else state
    times, v = trace.times, trace[name]
    fired = np.flatnonzero(trace.fired)
    if not len(fired):
        raise AnalysisError("spike_shape: the trace has no spike", mend="Drive the neuron harder, or for longer.")
    if len(times) < 4:
        raise ParameterError("spike_shape: the trace", got=f"{len(times)} points", expected="at least 4")
    base = float(v[0]) if baseline is None else finite("spike_shape: baseline", baseline)
    criterion = None if slope is None else positive("spike_shape: slope", slope)
    ends = [*fired[1:], len(v) - 1]
    peaks = [int(a + np.argmax(v[a : b + 1])) for a, b in zip(fired, ends, strict=True)]
    troughs = [int(p + np.argmin(v[p : b + 1])) for p, b in zip(peaks, ends, strict=True)]
    spikes = [_one(times, v, (a, p, b), base, criterion)
              for a, p, b in zip([0, *troughs[:-1]], peaks, troughs, strict=True)]  # fmt: skip
    columns = {field: np.array([spike[field] for spike in spikes]) for field in spikes[0]}
    return SpikeShapes(base, trace.units[name], **columns)


def _one(
    times: np.ndarray, v: np.ndarray, marks: tuple[int, int, int], base: float, criterion: float | None
) -> dict[str, float]:
    """One spike between the grid points of the trough before it, its peak, and the trough after it."""
    before, top, after = (float(times[k]) for k in marks)
    near = slice(max(0, marks[0] - _MARGIN), marks[2] + _MARGIN + 1)
    curve = CubicSpline(times[near], v[near])
    dt = float(times[1] - times[0])
    rise, bend = curve.derivative(1), curve.derivative(2)
    peak_time, peak = _turn(curve, rise, max(before, top - dt), top + dt, 1.0)
    trough_time, trough = _turn(curve, rise, max(peak_time, after - dt), min(after + dt, float(times[-1])), -1.0)
    up, steepest = _turn(rise, bend, before, peak_time, 1.0)
    level = _OF_STEEPEST * steepest if criterion is None else criterion
    starts = _between(rise.solve(level, extrapolate=False), before, up)
    threshold_time = float(starts[-1]) if len(starts) else float("nan")
    half = 0.5 * (base + peak)
    flanks = curve.solve(half, extrapolate=False)
    left, right = _between(flanks, before, peak_time), _between(flanks, peak_time, trough_time)
    return {
        "threshold": float(curve(threshold_time)),
        "threshold_time": threshold_time,
        "peak": peak,
        "peak_time": peak_time,
        "half_width": float(right[0] - left[-1]) if len(left) and len(right) else float("nan"),
        "trough": trough,
        "trough_time": trough_time,
        "steepest_rise": steepest,
        "steepest_fall": _turn(rise, bend, peak_time, trough_time, -1.0)[1],
    }


def _between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return values[(values >= low) & (values <= high)]


def _turn(curve: CubicSpline, slope: CubicSpline, low: float, high: float, sign: float) -> tuple[float, float]:
    """Where between two times ``sign`` times ``curve`` is largest, and the curve's value there."""
    turns = slope.roots(extrapolate=False)
    places = np.array([low, high, *_between(turns[np.isfinite(turns)], low, high)])
    values = curve(places)
    best = int(np.argmax(sign * values))
    return float(places[best]), float(values[best])


__all__ = ["SpikeShapes", "spike_shape"]
