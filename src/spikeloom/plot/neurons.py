"""Pictures of single neurons: states against time with their spikes, and the f-I curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..errors import ParameterError, ShapeError, did_you_mean
from ..report.labels import pretty_unit
from ..report.palette import FAINT, MUTED, VERMILLION, cycle
from ._frame import WIDTH, as_array, headline, in_unit, label, name_ends, new_figure, style

_NEURONS_DRAWN = 6


class TraceLike(Protocol):
    """What :func:`trace` needs of a recording: times in ms, states by name, spike times, units."""

    @property
    def times(self) -> Any: ...
    @property
    def spike_times(self) -> Any: ...
    @property
    def units(self) -> Any: ...
    def names(self) -> Any: ...
    def __getitem__(self, name: str, /) -> Any: ...


def trace(
    trace: TraceLike, states: Sequence[str] | None = None, *, current: Any = None, current_unit: object = "pA"
) -> Figure:
    """States of a simulated neuron against time, with its spikes marked above and its stimulus below.

    One panel per unit and neuron, the panels sharing the time axis; of many neurons the first six are drawn.

    Args:
        trace: what ``sl.simulate`` returns: ``times`` [T] in ms, ``trace[name]`` [T] or [T, N],
            ``spike_times`` (one array, or a list of one per neuron) in ms, ``units[name]``.
        states: which states to draw; by default ``v``, or all of them where there is no ``v``.
        current: the injected current, drawn in a panel of its own: a number, values [T], or a function of the times.
        current_unit: its unit.

    Raises:
        ParameterError: a state was not recorded, or this is no such recording.
        ShapeError: a state, or the current, has not one row per time.

    >>> from types import SimpleNamespace
    >>> class Recording(SimpleNamespace):
    ...     def names(self): return ["v"]
    ...     def __getitem__(self, name): return np.array([-65.0, -60.0, -65.0])
    >>> figure = trace(Recording(times=np.arange(3.0), spike_times=[np.array([1.0])], units={"v": "mV"}))
    >>> figure.axes[0].get_ylabel(), figure.axes[0].get_xlabel()
    ('v (mV)', 'time (ms)')
    """
    _require_recording(trace)
    times = np.asarray(trace.times)
    known = list(trace.names())
    chosen = list(states) if states is not None else (["v"] if "v" in known else known)
    for name in chosen:
        if name not in known:
            raise ParameterError("no such recorded state", got=repr(name), mend=did_you_mean(name, known))
    values = {name: _as_traces(trace[name], name, len(times)) for name in chosen}
    if not chosen:
        raise ParameterError("there is no state to draw", expected="at least one state name")
    groups: dict[str, list[str]] = {}
    for name in chosen:
        groups.setdefault(pretty_unit(trace.units[name]), []).append(name)
    neurons = max(array.shape[1] for array in values.values())
    panels = [(k, unit) for k in range(min(neurons, _NEURONS_DRAWN)) for unit in groups]
    heights = [1.9 if neurons == 1 else 1.4] * len(panels) + [0.9] * (current is not None)
    figure = new_figure(WIDTH, 0.6 + sum(heights))
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    spikes = _spike_lists(trace.spike_times)
    for row, (ax, (k, unit)) in enumerate(zip(axes, panels, strict=False)):
        style(ax)
        _draw_states(ax, times, {name: values[name][:, min(k, values[name].shape[1] - 1)] for name in groups[unit]})
        label(ax, ylabel=", ".join(groups[unit]) + in_unit(unit))
        if row % len(groups) == 0 and k < len(spikes):
            _mark_spikes(ax, spikes[k], f"neuron {k}" if neurons > 1 else "")
    if current is not None:
        _draw_current(axes[-1], times, current, pretty_unit(current_unit))
    label(axes[-1], xlabel="time (ms)")
    figure.align_ylabels()
    if len(times) > 1:
        axes[-1].set_xlim(times[0], times[-1])
    if neurons > _NEURONS_DRAWN:
        headline(figure, f"the first {_NEURONS_DRAWN} of {neurons} neurons")
    return figure


def _require_recording(trace: object) -> None:
    if not all(hasattr(trace, part) for part in ("times", "names", "spike_times", "units")):
        expected = "what sl.simulate or sl.load_recording returns"
        mend = "Of a network draw recorded.values against recorded.times, where recorded = result.states[group][state]."
        raise ParameterError("trace", got=f"a {type(trace).__name__}", expected=expected, mend=mend)


def fi_curve(currents: Any, rates: Any, current_unit: str = "pA", *, title: str = "") -> Figure:
    """Firing rate against injected current, with the lowest current that made the neuron fire.

    Args:
        currents: injected currents [K], in ``current_unit``.
        rates: firing rates [K] in Hz, or a mapping from a curve's name to its rates.
        current_unit: unit of ``currents``, shown on the axis.
        title: written above the picture.

    Raises:
        ShapeError: a curve has not one rate per current.

    >>> fi_curve([0, 50, 100], [0, 0, 22]).axes[0].get_xlabel()
    'current (pA)'
    """
    x, unit = as_array(currents), pretty_unit(current_unit)
    named = rates if isinstance(rates, Mapping) else {"": rates}
    figure = new_figure(4.6, 3.4)
    ax = figure.subplots()
    style(ax)
    ends = []
    for index, (name, values) in enumerate(named.items()):
        y = as_array(values)
        if x.ndim != 1 or y.shape != x.shape:
            raise ShapeError("rates and currents differ in shape", got=y.shape, expected=x.shape)
        ax.plot(x, y, "o-", color=cycle(index), markersize=3.5, linewidth=1.6)
        if len(x):
            ends.append((float(x[-1]), float(y[-1]), str(name), cycle(index)))
    if len(named) == 1 and len(x):
        _mark_onset(ax, x, as_array(next(iter(named.values()))), unit)
    else:
        name_ends(ax, ends)
    ax.set_ylim(bottom=0)
    label(ax, xlabel="current" + in_unit(unit), ylabel="firing rate (Hz)", title=title)
    return figure


def _as_traces(values: Any, name: str, steps: int) -> np.ndarray:
    array = as_array(values)
    if array.ndim not in (1, 2) or array.shape[0] != steps:
        raise ShapeError(f"{name} has not one row per time", got=array.shape, expected=f"({steps},) or ({steps}, N)")
    return array.reshape(steps, -1)


def _draw_states(ax: Axes, times: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
    for index, y in enumerate(values.values()):
        ax.plot(times, y, color=cycle(index), linewidth=1.2)
    if len(values) > 1 and len(times):
        ends = [(float(times[-1]), float(y[-1]), name, cycle(k)) for k, (name, y) in enumerate(values.items())]
        name_ends(ax, ends)


def _draw_current(ax: Axes, times: np.ndarray, current: Any, unit: str) -> None:
    """Each value holds until the next, as it did in the simulation."""
    style(ax)
    drive = as_array(current(times) if callable(current) else current)
    if drive.shape not in ((), times.shape):
        raise ShapeError("current has not one value per time", got=drive.shape, expected=f"a number or {times.shape}")
    ax.plot(times, np.broadcast_to(drive, times.shape), color=MUTED, linewidth=1.2, drawstyle="steps-post")
    ax.margins(y=0.15)
    ax.yaxis.set_major_locator(MaxNLocator(2))
    label(ax, ylabel="\n".join(filter(None, ["current", in_unit(unit).strip()])))


def _spike_lists(spike_times: Any) -> list[np.ndarray]:
    """Spike times per neuron, from one array or from a list of arrays."""
    many = isinstance(spike_times, (list, tuple)) and any(np.ndim(s) for s in spike_times)
    return [np.asarray(s, float) for s in spike_times] if many else [np.asarray(spike_times, float).ravel()]


def _mark_spikes(ax: Axes, times: np.ndarray, who: str) -> None:
    """A row of ticks above the panel, where they hide no voltage."""
    above = {"transform": ax.get_xaxis_transform(), "clip_on": False}
    ax.vlines(times, 1.02, 1.08, VERMILLION, linewidth=1.2, **above)
    count = f"{len(times) or 'no'} spike{'' if len(times) == 1 else 's'}"
    title = ax.set_title(f"{who}, {count}" if who else count, loc="left", pad=14, fontsize=9.5, color=MUTED)
    title.set_parse_math(False)


def _mark_onset(ax: Axes, x: np.ndarray, y: np.ndarray, unit: str) -> None:
    firing = np.flatnonzero(y > 0)
    if len(firing) and firing[0] > 0:
        onset = float(x[firing[0]])
        ax.axvline(onset, color=FAINT, linewidth=1, linestyle=(0, (3, 3)), zorder=0)
        text = f"fires from {onset:.4g} {unit}".rstrip()
        where = {"xy": (onset, 0.97), "xycoords": ax.get_xaxis_transform(), "textcoords": "offset points"}
        ax.annotate(text, xytext=(5, 0), color=MUTED, fontsize=9, va="top", **where).set_parse_math(False)
