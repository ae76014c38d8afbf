"""Still pictures: each function draws into a matplotlib ``Figure`` of its own and returns it.

Nothing here touches pyplot or its global state, so the functions work without a display, leave nothing
behind and may be called from any thread. Keep a picture with ``figure.savefig("name.png", dpi=150)``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from .errors import ParameterError, ShapeError, SpikeError, did_you_mean
from .report.labels import pretty_unit, quantity, spread
from .report.palette import BLUE, FAINT, GRID, INK, MUTED, PAPER, VERMILLION, cycle, for_text, mix

__all__ = ["confusion", "curves", "fi_curve", "raster", "trace"]

_WIDTH = 7.2  # inches: two columns of a paper
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


class _Picture(Figure):
    """A figure that notebooks show although pyplot does not know it."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def trace(trace: TraceLike, states: Sequence[str] | None = None) -> Figure:
    """States of a simulated neuron against time, with its spikes marked above.

    One panel per unit and neuron, the panels sharing the time axis; of many neurons the first six are drawn.

    Args:
        trace: what ``sl.simulate`` returns: ``times`` [T] in ms, ``trace[name]`` [T] or [T, N],
            ``spike_times`` (one array, or a list of one per neuron) in ms, ``units[name]``.
        states: which states to draw; by default ``v``, or all of them where there is no ``v``.

    Raises:
        ParameterError: a state was not recorded.
        ShapeError: a state has not one row per time.

    >>> from types import SimpleNamespace
    >>> class Recording(SimpleNamespace):
    ...     def names(self): return ["v"]
    ...     def __getitem__(self, name): return np.array([-65.0, -60.0, -65.0])
    >>> figure = trace(Recording(times=np.arange(3.0), spike_times=[np.array([1.0])], units={"v": "mV"}))
    >>> figure.axes[0].get_ylabel(), figure.axes[0].get_xlabel()
    ('v (mV)', 'time (ms)')
    """
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
    figure = _figure(_WIDTH, 0.6 + (1.9 if neurons == 1 else 1.4) * len(panels))
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    spikes = _spike_lists(trace.spike_times)
    for row, (ax, (k, unit)) in enumerate(zip(axes, panels, strict=True)):
        _style(ax)
        _draw_states(ax, times, {name: values[name][:, min(k, values[name].shape[1] - 1)] for name in groups[unit]})
        _label(ax, ylabel=", ".join(groups[unit]) + _in(unit))
        if row % len(groups) == 0 and k < len(spikes):
            _mark_spikes(ax, spikes[k], f"neuron {k}" if neurons > 1 else "")
    _label(axes[-1], xlabel="time (ms)")
    if len(times) > 1:
        axes[-1].set_xlim(times[0], times[-1])
    if neurons > _NEURONS_DRAWN:
        _headline(figure, f"the first {_NEURONS_DRAWN} of {neurons} neurons")
    return figure


def raster(spikes: Any, dt: float = 1.0, *, title: str = "") -> Figure:
    """One dot per spike, neurons upward, time to the right; several layers are stacked.

    Args:
        spikes: 0/1 of shape [T, N] (array or tensor), or a mapping from layer name to such arrays,
            drawn from top to bottom. Time step t is drawn at ``t * dt``.
        dt: length of a time step in ms.
        title: written above the picture.

    Raises:
        ShapeError: not [T, N]; pick one sample of a batch first, as in ``spikes[:, 0]``.
        SpikeError: a value is negative or not a number.

    >>> figure = raster({"hidden": np.eye(5), "output": np.eye(5)[:, :2]}, dt=0.5)
    >>> [axes.get_ylabel() for axes in figure.axes], figure.axes[-1].get_xlabel()
    (['neuron', 'neuron'], 'time (ms)')
    """
    if not dt > 0:
        raise ParameterError("dt is out of range", got=dt, expected="> 0 ms")
    layers = spikes if isinstance(spikes, Mapping) else {"": spikes}
    dense = {str(name): _as_spikes(value, str(name)) for name, value in layers.items()}
    if not dense:
        raise ParameterError("there is no layer to draw", expected="at least one array [T, N]")
    heights = [_row_height(s.shape[1]) for s in dense.values()]
    figure = _figure(_WIDTH, 0.7 + sum(heights) + 0.25 * len(heights))
    axes = figure.subplots(len(dense), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    longest = max(len(s) for s in dense.values())
    for index, (ax, (name, s), height) in enumerate(zip(axes, dense.items(), heights, strict=True)):
        _style(ax, grid=False)
        step, neuron = np.nonzero(s)
        tall = float(np.clip(0.7 * 72 * height / max(s.shape[1], 1), 1.0, 7.0))
        mark = ax.plot(step * dt, neuron, "|", color=cycle(index), markersize=tall, markeredgewidth=1.0)
        mark[0].set_rasterized(len(step) > 20_000)  # keeps a PDF of a large network small
        ax.set_ylim(-0.5, max(s.shape[1] - 0.5, 0.5))
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        _label(ax, ylabel="neuron", title=name)
    axes[-1].set_xlim(-0.5 * dt, (longest - 0.5) * dt)
    _label(axes[-1], xlabel="time (ms)")
    _headline(figure, title)
    return figure


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
    x, unit = _array(currents), pretty_unit(current_unit)
    named = rates if isinstance(rates, Mapping) else {"": rates}
    figure = _figure(4.6, 3.4)
    ax = figure.subplots()
    _style(ax)
    ends = []
    for index, (name, values) in enumerate(named.items()):
        y = _array(values)
        if x.ndim != 1 or y.shape != x.shape:
            raise ShapeError("rates and currents differ in shape", got=y.shape, expected=x.shape)
        ax.plot(x, y, "o-", color=cycle(index), markersize=3.5, linewidth=1.6)
        if len(x):
            ends.append((float(x[-1]), float(y[-1]), str(name), cycle(index)))
    if len(named) == 1 and len(x):
        _mark_onset(ax, x, _array(next(iter(named.values()))), unit)
    else:
        _name_ends(ax, ends)
    ax.set_ylim(bottom=0)
    _label(ax, xlabel="current" + _in(unit), ylabel="firing rate (Hz)", title=title)
    return figure


def confusion(matrix: Any, class_names: Sequence[str] | None = None, *, title: str = "") -> Figure:
    """Counts of (true class, predicted class); right answers in blue, mistakes in vermillion.

    The tint says which share of its true class a cell holds.

    Args:
        matrix: counts [C, C], one row per true class.
        class_names: C names; by default 0 to C - 1.
        title: written above the picture.

    Raises:
        ShapeError: the matrix is not square or has another number of classes than names.

    >>> figure = confusion([[9, 1], [0, 10]], ["cat", "dog"])
    >>> sorted(text.get_text() for text in figure.axes[0].texts)
    ['1', '10', '9']
    """
    counts = _array(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ShapeError("a confusion matrix is square", got=counts.shape, expected="(C, C)")
    names = [str(n) for n in class_names] if class_names is not None else [str(k) for k in range(len(counts))]
    if len(names) != len(counts):
        raise ShapeError("classes and names differ in number", got=len(names), expected=len(counts))
    side = float(np.clip(0.42 * len(names) + 1.2, 2.8, 9.0))
    figure = _figure(side, side)
    ax = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(_tints(share), interpolation="nearest")
    _style(ax, grid=False)
    if len(names) <= 30:
        _write_counts(ax, counts, share)
        ax.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
        ax.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
        ax.grid(which="minor", color=GRID, linewidth=0.8)
    ax.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names), default=0) > 3 else 0)
    ax.set_yticks(range(len(names)), names)
    for text in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        text.set_parse_math(False)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    _label(ax, xlabel="predicted class", ylabel="true class", title=title)
    return figure


def curves(curves: Mapping[str, Sequence[float]], *, title: str = "") -> Figure:
    """Learning curves by epoch; curves of one quantity ("train loss", "validation loss") share a panel.

    Args:
        curves: one value per epoch, by name; the last word of a name says the quantity.
        title: written above the picture.

    Raises:
        ParameterError: there is no curve.

    >>> figure = curves({"train loss": [1.0, 0.5], "validation loss": [1.1, 0.7], "accuracy": [0.6, 0.8]})
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'accuracy']
    """
    panels: dict[str, dict[str, np.ndarray]] = {}
    for name, values in curves.items():
        panels.setdefault(quantity(name), {})[name] = _array(values)
    if not panels:
        raise ParameterError("there is no curve to draw", expected="at least one")
    figure = _figure(max(4.6, 3.6 * len(panels)), 3.0)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (what, group) in zip(axes, panels.items(), strict=True):
        _style(ax)
        ends = []
        for index, (name, y) in enumerate(group.items()):
            epoch = np.arange(1, len(y) + 1)
            ax.plot(epoch, y, color=cycle(index), linewidth=1.7, marker="o" if len(y) < 2 else "", markersize=4)
            if len(y):
                short = name.removesuffix(what).strip() or name
                ends.append((float(epoch[-1]), float(y[-1]), short, cycle(index)))
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        _label(ax, xlabel="epoch", ylabel=what)
        _name_ends(ax, ends if len(group) > 1 else [])
    _headline(figure, title)
    return figure


def _array(values: Any) -> np.ndarray:
    """A NumPy array of an array, a sequence or a tensor on any device."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)


def _as_traces(values: Any, name: str, steps: int) -> np.ndarray:
    array = _array(values)
    if array.ndim not in (1, 2) or array.shape[0] != steps:
        raise ShapeError(f"{name} has not one row per time", got=array.shape, expected=f"({steps},) or ({steps}, N)")
    return array.reshape(steps, -1)


def _as_spikes(values: Any, name: str) -> np.ndarray:
    array = _array(values)
    if array.ndim != 2:
        mend = "Pick one sample of a batch first, as in spikes[:, 0]." if array.ndim == 3 else ""
        raise ShapeError(f"spikes {name}".strip(), got=array.shape, expected="(T, N)", mend=mend)
    if not (array >= 0).all():
        raise SpikeError("a raster needs spikes", got="negative values or NaN", expected="0 or 1")
    return array


def _row_height(neurons: int) -> float:
    return float(np.clip(0.035 * neurons, 0.7, 2.6))


def _figure(width: float, height: float) -> Figure:
    margins = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    return _Picture(figsize=(width, height), facecolor=PAPER, layout=margins)


def _headline(figure: Figure, text: str) -> None:
    if text:
        figure.suptitle(text, x=0.015, ha="left", color=INK, fontsize=12).set_parse_math(False)


def _style(ax: Axes, grid: bool = True) -> None:
    ax.set_facecolor(PAPER)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(FAINT)
    ax.tick_params(colors=MUTED, labelsize=9, length=3, width=0.8)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(axis="y", color=GRID, linewidth=0.8)


def _label(ax: Axes, *, xlabel: str = "", ylabel: str = "", title: str = "") -> None:
    """Names come from the user, so a dollar sign in them must not start a formula."""
    if xlabel:
        ax.set_xlabel(xlabel, color=INK, fontsize=10).set_parse_math(False)
    if ylabel:
        ax.set_ylabel(ylabel, color=INK, fontsize=10).set_parse_math(False)
    if title:
        ax.set_title(title, loc="left", color=INK, fontsize=10.5, pad=5).set_parse_math(False)


def _in(unit: str) -> str:
    return f" ({unit})" if unit else ""


def _draw_states(ax: Axes, times: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
    for index, y in enumerate(values.values()):
        ax.plot(times, y, color=cycle(index), linewidth=1.2)
    if len(values) > 1 and len(times):
        ends = [(float(times[-1]), float(y[-1]), name, cycle(k)) for k, (name, y) in enumerate(values.items())]
        _name_ends(ax, ends)


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


def _name_ends(ax: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Write each curve's name at its right end, moved apart where two would overlap."""
    ends = [end for end in ends if np.isfinite(end[1])]
    low, high = ax.get_ylim()
    rows = sum(_same_column(a, ax) for a in ax.figure.axes)
    height = ax.figure.bbox.height / ax.figure.dpi / rows
    gap = 0.2 / max(height - 0.7, 0.5) * (high - low)
    places = spread([y for _, y, _, _ in ends], gap)
    for (x, y, name, colour), place in zip(ends, places, strict=True):
        ax.annotate(
            name,
            xy=(x, y),
            xytext=(6, (place - y) / (high - low) * (height - 0.7) * 72),
            textcoords="offset points",
            color=for_text(colour),
            fontsize=9,
            va="center",
            annotation_clip=False,
        ).set_parse_math(False)


def _same_column(a: Axes, b: Axes) -> bool:
    first, second = a.get_subplotspec(), b.get_subplotspec()
    return first is not None and second is not None and first.colspan == second.colspan


def _mark_onset(ax: Axes, x: np.ndarray, y: np.ndarray, unit: str) -> None:
    firing = np.flatnonzero(y > 0)
    if len(firing) and firing[0] > 0:
        onset = float(x[firing[0]])
        ax.axvline(onset, color=FAINT, linewidth=1, linestyle=(0, (3, 3)), zorder=0)
        text = f"fires from {onset:.4g} {unit}".rstrip()
        where = {"xy": (onset, 0.97), "xycoords": ax.get_xaxis_transform(), "textcoords": "offset points"}
        ax.annotate(text, xytext=(5, 0), color=MUTED, fontsize=9, va="top", **where).set_parse_math(False)


def _tints(share: np.ndarray) -> np.ndarray:
    """RGB per cell: white to blue on the diagonal, white to vermillion elsewhere."""
    white, right, wrong = (
        np.array([int(c[k : k + 2], 16) for k in (1, 3, 5)]) / 255 for c in (PAPER, BLUE, VERMILLION)
    )
    diagonal = np.eye(len(share), dtype=bool)[..., None]
    # The square root keeps a rare mistake visible.
    depth = np.where(diagonal, share[..., None], np.sqrt(share)[..., None]) * 0.9
    return white + (np.where(diagonal, right, wrong) - white) * depth


def _write_counts(ax: Axes, counts: np.ndarray, share: np.ndarray) -> None:
    for row, column in zip(*np.nonzero(counts), strict=True):
        dark = share[row, column] > (0.5 if row == column else 0.35)
        colour = PAPER if dark else mix(INK, MUTED, 0.3)
        ax.text(column, row, f"{counts[row, column]:g}", ha="center", va="center", color=colour, fontsize=9)
