"""Pictures of a simulated network: spikes by population, and how the rate of each changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..errors import ParameterError
from ..report.palette import cycle
from ..sim.statistics import population_rate
from ..units import ms, plain
from ._frame import WIDTH, headline, label, new_figure, style

if TYPE_CHECKING:
    from ..sim.result import Result

_MOST_ROWS = 400  # neurons of a picture
_MOST_EACH = 100  # spikes of each, on average over a population: more run together, and a rhythm is not seen
_FEWEST_ROWS, _CROWDED = 10, 20_000


def population_raster(result: Result, *, title: str = "") -> Figure:
    """One dot per spike, populations on top of each other; of large ones some neurons, evenly chosen.

    Where neurons of a population fire more than 100 times only the last part of the simulation is shown, and the
    picture says so. Raises ParameterError for a result without populations.
    """
    rows = _rows({name: trains.size for name, trains in result.spikes.items()})
    dots = {name: _dots(result, name, count) for name, count in rows.items()}
    begin = max([result.begin, *(_beginning(times, _MOST_EACH * rows[name]) for name, (times, _) in dots.items())])
    heights = [max(0.4, 4.0 * count / sum(rows.values())) for count in rows.values()]
    figure = new_figure(WIDTH, 0.7 + sum(heights) + 0.3 * len(heights))
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for index, (ax, (name, (times, neurons))) in enumerate(zip(axes, dots.items(), strict=True)):
        style(ax, grid=False)
        late = times >= begin
        height = heights[index] * 72 / rows[name]
        smallest = 2.0 if late.sum() < _CROWDED else 1.2
        tall = float(np.clip(0.8 * height, smallest, 7.0))
        mark = ax.plot(times[late], neurons[late], "|", color=cycle(index), markeredgewidth=0.8, markersize=tall)
        mark[0].set_rasterized(True)
        size = result.spikes[name].size
        margin = 0.5 * size / rows[name]
        ax.set_ylim(-margin, size - 1 + margin)
        ax.yaxis.set_major_locator(MaxNLocator(max(1, round(2.5 * heights[index])), integer=True, min_n_ticks=1))
        label(ax, ylabel="neuron", title=name if rows[name] == size else f"{name} ({rows[name]} of {size:,})")
    axes[-1].set_xlim(begin, result.end)
    whole = result.end - result.begin
    part = f"the last {_short(result.end - begin)} of {_short(whole)} ms" if begin > result.begin else ""
    label(axes[-1], xlabel="time (ms)")
    headline(figure, ": ".join(filter(None, [title, part])))
    return figure


def population_rates(result: Result, *, bin: object = None, title: str = "") -> Figure:
    """The rate of each population in bins of ``bin`` ms, in Hz per neuron; what is left after the last is not drawn.

    By default a bin has 5 ms, or in a long run as many times 5 ms as make it at most 1,000 bins.

    Raises ParameterError for a result without populations, and a bin that is no positive time.
    """
    width = 5.0 * max(1, math.ceil((result.end - result.begin) / 5000.0)) if bin is None else plain(bin, ms, "bin")
    if not (isinstance(width, (int, float)) and 0.0 < width < float("inf")):
        raise ParameterError("bin", got=bin, expected="a time > 0 ms")
    count = len(_rows({name: trains.size for name, trains in result.spikes.items()}))
    figure = new_figure(WIDTH, 0.7 + 1.5 * count)
    axes = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    for index, (ax, (name, trains)) in enumerate(zip(axes, result.spikes.items(), strict=True)):
        style(ax)
        if trains.duration >= width:  # a run that was stopped at once has no bin
            _, rates = population_rate(trains, width)
            edges = trains.begin + width * np.arange(len(rates) + 1)
            ax.stairs(rates, edges, color=cycle(index), linewidth=1.2, baseline=None)
        ax.set_ylim(bottom=0.0)
        label(ax, ylabel="rate (Hz)", title=name)
    axes[-1].set_xlim(result.begin, result.end)
    label(axes[-1], xlabel="time (ms)")
    headline(figure, ": ".join(filter(None, [title, f"rates in bins of {_short(width)} ms"])))
    return figure


def _rows(sizes: dict[str, int]) -> dict[str, int]:
    """How many neurons of each population are shown."""
    if not sizes:
        raise ParameterError("there is no population to draw", expected="a result with spikes")
    share = min(1.0, _MOST_ROWS / sum(sizes.values()))
    return {name: min(size, max(_FEWEST_ROWS, round(share * size))) for name, size in sizes.items()}


def _dots(result: Result, name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and neurons of the spikes of ``count`` neurons, evenly chosen."""
    trains = result.spikes[name]
    shown = np.zeros(trains.size, bool)
    shown[np.linspace(0, trains.size - 1, count).round().astype(np.int64)] = True
    kept = shown[trains.neurons]
    return trains.times[kept], trains.neurons[kept]


def _beginning(times: np.ndarray, most: int) -> float:
    """When a picture has to begin that shows at ``most`` so many spikes; the times are in order."""
    return float(times[-most]) if len(times) > most else -math.inf


def _short(time: float) -> str:
    return f"{time:,.0f}" if time >= 1000.0 else f"{time:.4g}"


__all__ = ["population_raster", "population_rates"]
