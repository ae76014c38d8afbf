"""Charts of a training run: learning curves, confusion matrix, spikes per layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, FixedTicker, Model, Range1d

from .canvas import (
    WRITING,
    Curve,
    Figure,
    Panel,
    add_curves,
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
from .labels import quantity
from .palette import BLUE, GRID, INK, PAPER, VERMILLION, cycle, mix

_COUNTS_WRITTEN = 25  # classes up to which a cell has room for its number


def learning_curves(curves: Mapping[str, Sequence[float]]) -> Model | None:
    """One panel per quantity ("loss", "accuracy"), its curves by epoch, on one epoch axis."""
    panels: dict[str, dict[str, np.ndarray]] = {}
    for name, values in curves.items():
        if len(values):
            panels.setdefault(quantity(name), {})[name] = np.asarray(values, float)
    if not panels:
        return None
    last = max(len(y) for group in panels.values() for y in group.values())
    axis = extent(0.5, 1.5) if last == 1 else extent(1, last, fixed=True)
    return stack([_curve_panel(what, group, axis) for what, group in panels.items()], "epoch")


def _curve_panel(what: str, group: Mapping[str, np.ndarray], axis: Range1d) -> Panel:
    limits = y_limits(list(group.values()), 0.08)
    plot = canvas(210, y=what, x_range=axis, y_range=extent(*limits), min_border_right=84)
    plot.xaxis.ticker.min_interval, plot.xaxis.ticker.num_minor_ticks = 1, 0
    curves = []
    for index, (name, y) in enumerate(group.items()):
        short = (name.removesuffix(what).strip() or name) if len(group) > 1 else ""
        curves.append(Curve(name, np.arange(1, len(y) + 1), y, cycle(index), 2.0, short))
    dots = [curve for curve in curves if len(curve.y) == 1]
    if dots:  # a line needs two epochs
        plot.scatter([1] * len(dots), [c.y[0] for c in dots], color=[c.colour for c in dots], size=7)
    add_zoom(plot)
    rows = [("", "@name"), ("epoch", "$snap_x{0}"), (literal(what), "$snap_y{0.0000}")]
    add_hover(plot, [add_curves(plot, curves)], rows)
    return Panel(plot, curves)


def confusion_matrix(counts: np.ndarray, names: Sequence[str]) -> Figure:
    """Counts by true and predicted class: right ones blue, mistakes vermillion, tinted by share."""
    size = len(names)
    plot = canvas(
        int(np.clip(40 * size + 60, 260, 500)),
        x="predicted class",
        y="true class",
        x_range=extent(-0.5, size - 0.5),
        y_range=extent(size - 0.5, -0.5),
        min_border_right=8,
        sizing_mode="stretch_width",
        max_width=560,
    )
    for grid in (plot.xgrid, plot.ygrid):
        grid.grid_line_color = GRID if size <= _COUNTS_WRITTEN else None
        grid.ticker = FixedTicker(ticks=[k - 0.5 for k in range(1, size)])
    data = _cells(counts, [plain(n) for n in names])
    source = ColumnDataSource(data)
    cells = plot.rect("column", "row", width=0.96, height=0.96, source=source, color="tint", line_color=None)
    if size <= _COUNTS_WRITTEN:
        style = WRITING | {"text_align": "center", "text_color": "ink"}
        plot.text("column", "row", text="written", source=source, **style)
    ticks = list(range(0, size, -(-size // _COUNTS_WRITTEN)))
    long = max((len(str(names[k])) for k in ticks), default=0) > 3
    for axis in (plot.xaxis, plot.yaxis):
        axis.ticker = FixedTicker(ticks=ticks)
        axis.major_label_overrides = {k: plain(shorten(names[k])) for k in ticks}
        axis.axis_line_color = axis.major_tick_line_color = None
    plot.xaxis.major_label_orientation = "vertical" if long and size > 4 else "horizontal"
    plot.outline_line_color = GRID
    add_zoom(plot)
    rows = [
        ("true", "@true"),
        ("predicted", "@predicted"),
        ("images", "@count{0,0}"),
        ("share of true", "@share"),
    ]
    add_hover(plot, [cells], rows)
    return plot


def _cells(counts: np.ndarray, names: Sequence[str]) -> dict[str, object]:
    """The cells that are not empty, one entry each."""
    row, col = np.nonzero(counts)
    count = counts[row, col]
    share = count / counts.sum(axis=1)[row]
    right = row == col
    # The square root keeps a rare mistake visible.
    depth = 0.9 * np.where(right, share, np.sqrt(share))
    hues = np.where(right, BLUE, VERMILLION)
    return {
        "row": row,
        "column": col,
        "count": count,
        "written": [f"{c:g}" for c in count],
        "true": [names[int(k)] for k in row],
        "predicted": [names[int(k)] for k in col],
        "share": [f"{100 * s:.1f} %" for s in share],
        "tint": [mix(PAPER, str(hue), float(d)) for hue, d in zip(hues, depth, strict=True)],
        "ink": [PAPER if d > 0.55 else INK for d in depth],
    }


def spikes_per_layer(layers: Mapping[str, float], dt: float) -> Figure | None:
    """A bar per layer: mean spikes per neuron and step over the test set, with the rate in Hz beside it."""
    if not layers:
        return None
    names = [plain(shorten(name, 24)) for name in layers]
    rate = np.array(list(layers.values()), float)
    hertz = 1000.0 * rate / dt
    data = {
        "name": names,
        "rate": rate,
        "hertz": hertz,
        "text": [f"{r:.3g}  ({h:.3g} Hz)" for r, h in zip(rate, hertz, strict=True)],
    }
    source = ColumnDataSource(data)
    widest = float(np.nanmax(rate, initial=0.0)) or 1.0
    plot = canvas(
        34 * len(names) + 56,
        x="spikes per neuron and step",
        x_range=extent(0, 1.25 * widest),
        y_range=FactorRange(factors=list(dict.fromkeys(reversed(names)))),
        min_border_right=8,
    )
    bars = plot.hbar(y="name", right="rate", height=0.62, source=source, color=BLUE, line_color=None)
    plot.text("rate", "name", text="text", source=source, text_color=INK, x_offset=6, **WRITING)
    plot.ygrid.grid_line_color, plot.yaxis.major_tick_line_color = None, None
    plot.yaxis.major_label_text_color = INK
    add_hover(
        plot,
        [bars],
        [("layer", "@name"), ("spikes per neuron and step", "@rate{0.0000}"), ("Hz", "@hertz{0.00}")],
    )
    return plot
