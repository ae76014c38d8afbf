"""Charts of several runs: their learning curves over each other, and accuracy against energy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, Model, Range1d

from .canvas import (
    HINT,
    WRITING,
    Curve,
    Figure,
    Panel,
    add_hover,
    add_zoom,
    canvas,
    extent,
    literal,
    plain,
    shorten,
    stack,
    y_limits,
)
from .palette import PAPER, cycle, for_text
from .results import Result, Rows, Scores, energy_unit
from .verdict import obstacles

SCATTER_NOTE = (
    "Up and to the left is better. A filled circle is a spiking network, a hollow one its ANN; "
    "bars are the standard deviation over seeds. "
    f"{HINT}"
)
_QUANTITIES = {"validation_accuracy": "validation accuracy", "validation_loss": "validation loss"}


@dataclass(frozen=True)
class Mean:
    """A curve over the epochs that all seeds reached: the mean, and the smallest and largest of the seeds."""

    y: np.ndarray
    low: np.ndarray
    high: np.ndarray


def charts(results: Sequence[Result], names: Sequence[str]) -> dict[str, Model]:
    """The charts for which there is data, by name."""
    short = distinct(names)
    drawn = {"curves": _learning(results, names, short), "scatter": _scatter(results, names, short)}
    return {name: chart for name, chart in drawn.items() if chart is not None}


def curves_note(results: Sequence[Result]) -> str:
    """What the lines mean, and which runs have none."""
    several = any(len(s.curves) > 1 for r in results for s in (r.spiking, r.baseline) if s is not None)
    text = "On the validation set. "
    if any(r.baseline is not None and r.baseline.curves for r in results):
        text += "Solid: spiking; dashed: the ANN. "
    text += (
        "Lines are the mean over seeds, the tint around them reaches from the lowest seed to the highest. " * several
    )
    bare = [r.name for r in results if not r.spiking.curves]
    return text + (f"Without curves, since there is no history.json: {', '.join(bare)}." if bare else "")


def distinct(names: Sequence[str]) -> list[str]:
    """The part of each name in which it differs from the others, short enough to stand beside a curve.

    >>> distinct(["mnist-20260101-120000", "mnist-20260101-120500"])
    ['120000', '120500']
    >>> distinct(["digits", "digits-wide"])
    ['digits', 'digits-wide']
    """
    common = "".join(column[0] for column in takewhile(lambda c: len(set(c)) == 1, zip(*names, strict=False)))
    cut = max((m.end() for m in re.finditer(r"[-_./]", common)), default=0)
    parts = [name[cut:] for name in names]
    return [shorten(part) for part in (parts if all(parts) else names)]


def _learning(results: Sequence[Result], names: Sequence[str], short: Sequence[str]) -> Model | None:
    found = {quantity: _means(results, key) for key, quantity in _QUANTITIES.items()}
    longest = max((len(mean.y) for means in found.values() for mean in means.values()), default=0)
    if not longest:
        return None
    axis = extent(0.5, 1.5) if longest == 1 else extent(1, longest, fixed=True)
    panels = [_panel(quantity, means, names, short, axis) for quantity, means in found.items() if means]
    return stack(panels, "epoch")


def _means(results: Sequence[Result], key: str) -> dict[tuple[int, str], Mean]:
    found = {}
    for index, result in enumerate(results):
        for net, scores in (("", result.spiking), ("ANN", result.baseline)):
            mean = _mean(scores.curves, key) if scores is not None else None
            if mean is not None:
                found[index, net] = mean
    return found


def _mean(curves: Sequence[Rows], key: str) -> Mean | None:
    seeds = [np.array([row[key] for row in rows]) for rows in curves if rows and all(key in row for row in rows)]
    if not seeds:
        return None
    together = np.stack([seed[: min(map(len, seeds))] for seed in seeds])
    return Mean(together.mean(0), together.min(0), together.max(0))


def _panel(
    quantity: str, means: dict[tuple[int, str], Mean], names: Sequence[str], short: Sequence[str], axis: Range1d
) -> Panel:
    scale = 100.0 if "accuracy" in quantity else 1.0
    title = f"{quantity} (%)" if scale > 1 else quantity
    limits = y_limits([scale * y for mean in means.values() for y in (mean.low, mean.high)], 0.06)
    plot = canvas(300, y=title, x_range=axis, y_range=extent(*limits), min_border_right=112)
    plot.xaxis.ticker.min_interval, plot.xaxis.ticker.num_minor_ticks = 1, 0
    curves, lines = [], []
    for (index, net), mean in means.items():
        epoch, colour = np.arange(1, len(mean.y) + 1), cycle(index)
        plot.varea(x=epoch, y1=scale * mean.low, y2=scale * mean.high, fill_color=colour, fill_alpha=0.13)
        source = ColumnDataSource(
            {"x": epoch, "y": scale * mean.y, "name": [plain(f"{names[index]} {net}")] * len(epoch)}
        )
        lines.append(plot.line("x", "y", source=source, color=colour, line_width=2, line_dash=[6, 3] if net else []))
        if len(epoch) == 1:  # a line needs two epochs
            plot.scatter("x", "y", source=source, color=colour, size=7)
        ending = f"{shorten(short[index], 11)} {net}" if net else short[index]
        curves.append(Curve(f"{names[index]} {net}", epoch, scale * mean.y, colour, 2.0, ending))
    add_zoom(plot)
    add_hover(plot, lines, [("", "@name"), ("epoch", "@x"), (literal(title), "@y{0.0000}")])
    return Panel(plot, curves)


def _scatter(results: Sequence[Result], names: Sequence[str], short: Sequence[str]) -> Model | None:
    points: list[tuple[int, str, Scores]] = [
        (index, net, scores)
        for index, result in enumerate(results)
        for net, scores in (("", result.spiking), ("ANN", result.baseline))
        if scores is not None and scores.energy is not None and scores.energy > 0
    ]
    if obstacles(results) or sum(not net for _, net, _ in points) < 2:
        return None
    unit, size = energy_unit([scores.energy for *_, scores in points])
    energy = np.array([scores.energy for *_, scores in points], float) / size
    accuracy = 100 * np.array([scores.accuracy for *_, scores in points])
    spread = 100 * np.array([scores.accuracy_sd for *_, scores in points])
    plot = _energy_canvas(f"energy per sample ({unit})", energy, y_limits([accuracy - spread, accuracy + spread], 0.15))
    colours = [cycle(index) for index, *_ in points]
    data = {
        "x": energy, "y": accuracy, "low": accuracy - spread, "high": accuracy + spread,
        "colour": colours, "fill": [PAPER if net else cycle(index) for index, net, _ in points],
        "ink": [for_text(colour) for colour in colours],
        "short": [plain(f"{short[index]} {net}".strip()) for index, net, _ in points],
        "name": [plain(f"{names[index]} {net}".strip()) for index, net, _ in points],
    }  # fmt: skip
    source = ColumnDataSource(data)
    _join_twins(plot, points, energy, accuracy)
    plot.segment("x", "low", "x", "high", source=source, line_color="colour", line_width=1.5)
    dots = plot.scatter("x", "y", source=source, size=11, line_color="colour", line_width=2, fill_color="fill")
    plot.text("x", "y", text="short", source=source, text_color="ink", x_offset=9, y_offset=11, **WRITING)
    add_zoom(plot)
    rows = [("", "@name"), ("test accuracy", "@y{0.00} %"), ("energy", f"@x{{0.0000}} {unit} per sample")]
    add_hover(plot, [dots], rows)
    return plot


def _energy_canvas(title: str, energy: np.ndarray, limits: tuple[float, float]) -> Figure:
    low, high = float(energy.min()), float(energy.max())
    wide = high > 20 * low
    # The names of the points need room on the right.
    ends = (low / 1.6, high * 2.0) if wide else (low - 0.15 * (high - low or high), high + 0.3 * (high - low or high))
    options: dict[str, Any] = {"x_range": extent(*ends), "y_range": extent(*limits)}
    plot = canvas(360, x=title, y="test accuracy (%)", x_axis_type="log" if wide else "linear", **options)
    if wide:
        plot.xaxis.ticker = FixedTicker(ticks=[m * 10.0**e for e in range(-9, 10) for m in (1, 2, 5)])
    return plot


def _join_twins(plot: Figure, points: Sequence[tuple[int, str, Scores]], x: np.ndarray, y: np.ndarray) -> None:
    places = {(index, net): k for k, (index, net, _) in enumerate(points)}
    for index in {index for index, *_ in points}:
        pair = [places[index, net] for net in ("", "ANN") if (index, net) in places]
        if len(pair) == 2:
            plot.line(x[pair], y[pair], color=cycle(index), line_width=1, line_alpha=0.5)
