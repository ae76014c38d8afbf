"""Charts of a network's statistics: rates, intervals, irregularity of its neurons, spectra of its populations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from bokeh.models import FixedTicker, Model, NumeralTickFormatter

from ..sim.spike_trains import SpikeTrains
from ..sim.statistics import cv, isi, spectrum
from .canvas import Figure, add_hover, add_zoom, canvas, extent, literal, y_limits
from .palette import CYCLE, cycle

_HEIGHT, _BORDER = 236, 16
_BINS, _DECADE = 40, 0.05  # of rates; width of the bins of intervals in decades
_CV = 0.05
_SHORTEST, _FEWEST_BINS = 50.0, 64  # ms, bins of a record with a spectrum
_FINEST = 0.5  # ms
_MOST_MARKS, _LOWEST = 9, 1e-5  # on a logarithmic axis; of the highest power, what is still shown

Curves = dict[str, tuple[np.ndarray, np.ndarray]]


def statistics_charts(spikes: Mapping[str, SpikeTrains], dt: float) -> dict[str, Model]:
    """Charts by what they show, each with a line for every group; those with nothing to show are left out."""
    makers: dict[str, Callable[[], Figure | None]] = {
        "rates": lambda: _chart(rate_histograms(spikes), spikes, "rate (Hz)", "neurons (%)"),
        "intervals": lambda: _chart(
            interval_histograms(spikes, dt), spikes, "interval (ms)", "% per 0.1 decade", x_axis_type="log"
        ),
        "cv": lambda: _chart(cv_histograms(spikes), spikes, "CV of the intervals of a neuron", "neurons (%)"),
        "spectra": lambda: _chart(
            spectra(spikes, dt), spikes, "frequency (Hz)", "power (Hz)", x_axis_type="log", y_axis_type="log"
        ),
    }
    made = {name: make() for name, make in makers.items()}
    return {name: chart for name, chart in made.items() if chart is not None}


def rate_histograms(spikes: Mapping[str, SpikeTrains]) -> Curves:
    """Share of neurons (%) by rate in Hz, as steps: x and y of their corners."""
    rates = {name: trains.rates() for name, trains in spikes.items()}
    most = max((float(r.max()) for r in rates.values()), default=0.0)
    if most == 0.0:
        return {}
    each = 1e3 / min(trains.duration for trains in spikes.values())  # rates are whole multiples of it
    width = each * max(1, round(most / each / _BINS))
    edges = np.arange(-0.5 * each, most + width, width)  # no rate lies on an edge
    edges[0] = 0.0
    return {name: _steps(edges, 100.0 * _shares(r, edges)) for name, r in rates.items()}


def interval_histograms(spikes: Mapping[str, SpikeTrains], dt: float) -> Curves:
    """Share of intervals (%) in a tenth of a decade, by their length in ms.

    Edges lie halfway between steps, so that no bin is narrower than one; below the first only intervals off the grid
    are found, in bins of a twentieth of a decade.
    """
    gaps = {name: isi(trains)[0] for name, trains in spikes.items()}
    gaps = {name: g[g > 0.0] for name, g in gaps.items()}
    gaps = {name: g for name, g in gaps.items() if g.size}
    if not gaps:
        return {}
    low, high = min(float(g.min()) for g in gaps.values()), max(float(g.max()) for g in gaps.values())
    first, last = int(np.floor(np.log10(low) / _DECADE)) - 2, int(np.ceil(np.log10(high) / _DECADE)) + 2
    spare = max(0, 20 - (last - first)) // 2  # at least a decade is shown
    first, last = first - spare, last + spare
    usual = 10.0 ** (np.arange(first, last + 1) * _DECADE)
    steps = np.unique(np.rint(usual / dt))
    edges = (np.append(steps[steps > 0], max(steps[-1], np.ceil(high / dt)) + 1.0) - 0.5) * dt
    if low < edges[0]:
        edges = np.append(usual[usual < edges[0] * 10.0 ** (-0.5 * _DECADE)], edges)  # the last not too narrow
    tenths = np.diff(np.log10(edges)) / 0.1
    return {name: _steps(edges, 100.0 * _shares(g, edges) / tenths) for name, g in gaps.items()}


def cv_histograms(spikes: Mapping[str, SpikeTrains]) -> Curves:
    """Share of neurons (%) by the CV of their intervals, of those with five spikes or more."""
    values = {name: cv(trains) for name, trains in spikes.items()}
    values = {name: v[np.isfinite(v)] for name, v in values.items()}
    values = {name: v for name, v in values.items() if v.size}
    most = max((float(v.max()) for v in values.values()), default=0.0)
    edges = np.arange(0.0, max(1.0, most) + 2 * _CV, _CV)
    return {name: _steps(edges, 100.0 * _shares(v, edges)) for name, v in values.items()}


def spectra(spikes: Mapping[str, SpikeTrains], dt: float) -> Curves:
    """Power by frequency, both in Hz, of the groups that fire; see :func:`spikeloom.sim.statistics.spectrum`."""
    width = dt * max(1, round(_FINEST / dt))
    long = {n: t for n, t in spikes.items() if len(t) and t.duration >= max(_SHORTEST, _FEWEST_BINS * width)}
    return {name: spectrum(trains, width) for name, trains in long.items()}


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.histogram(values, edges)[0] / max(1, values.size)


def _steps(edges: np.ndarray, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(edges, 2), np.concatenate([[0.0], np.repeat(heights, 2), [0.0]])


def _marks(low: float, high: float) -> list[float]:
    """Numbers on a logarithmic axis: 1, 2, 5 of each power of ten if there is room, else some of the powers.

    >>> _marks(0.9, 120.0), _marks(1e-3, 1e4)
    ([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0], [0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0])
    """
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    marks: list[float] = []
    for every, parts in ((1, (1, 2, 5)), *((k, (1,)) for k in range(1, 9))):
        marks = [float(f"{m}e{p}") for p in powers if p % every == 0 for m in parts]
        if sum(low <= mark <= high for mark in marks) <= _MOST_MARKS:
            break
    return [mark for mark in marks if low <= mark <= high]


def _chart(curves: Curves, spikes: Mapping[str, SpikeTrains], x: str, y: str, **axes: str) -> Figure | None:
    """Lines on common axes, in the colours of the raster."""
    if not curves:
        return None
    xs, ys = [c[0] for c in curves.values()], [c[1] for c in curves.values()]
    wide = float(min(v.min() for v in xs)), float(max(v.max() for v in xs))
    if axes.get("y_axis_type") == "log":
        positive = np.concatenate([v[v > 0.0] for v in ys])
        if not positive.size:
            return None
        top = float(positive.max())
        high = max(0.7 * float(positive.min()), _LOWEST * top), 1.5 * top
    else:
        high = 0.0, y_limits([*ys, np.zeros(1)])[1]
    plot = canvas(_HEIGHT, x=x, y=y, x_range=extent(*wide), y_range=extent(*high), min_border_right=_BORDER, **axes)
    for axis, kind, shown in ((plot.xaxis, "x_axis_type", wide), (plot.yaxis, "y_axis_type", high)):
        if axes.get(kind) == "log":
            axis.ticker = FixedTicker(ticks=_marks(*shown))
            axis.formatter = NumeralTickFormatter(format="0,0.[000000]")
    order = list(spikes)
    for name, (a, b) in curves.items():
        index = order.index(name)
        dash = "solid" if index < len(CYCLE) else "dashed"
        line = plot.line(a.astype(np.float32), b.astype(np.float32), color=cycle(index), line_width=1.6, line_dash=dash)
        add_hover(plot, [line], [("", literal(name)), (literal(x), "$snap_x{0.00}"), (literal(y), "$snap_y{0.000}")])
    add_zoom(plot)
    return plot


__all__ = ["cv_histograms", "interval_histograms", "rate_histograms", "spectra", "statistics_charts"]
