"""The chart of one perturbation: accuracy against its level."""

from __future__ import annotations

import numpy as np
from bokeh.models import ColumnDataSource, Model, Span

from .canvas import WRITING, Curve, Figure, add_curves, add_hover, add_zoom, canvas, extent, stack
from .canvas import Panel as Drawn
from .palette import BLUE, MUTED, VERMILLION
from .robustness_curves import Line, Panel


def falling(panel: Panel, chance: float) -> Model:
    """Mean accuracy in per cent with a band of one standard deviation; a dashed line at the level of chance."""
    right = float(panel.levels[-1]) or 1.0
    plot = canvas(
        230,
        y="accuracy (%)",
        x_range=extent(-0.02 * right, 1.02 * right),
        y_range=extent(-2.0, 103.0),
        min_border_left=58,
        min_border_right=70,
    )
    plot.xaxis.ticker.num_minor_ticks = 0
    # Every panel has the same axis, so that the eye may compare them.
    plot.add_layout(Span(location=100 * chance, dimension="width", line_color=MUTED, line_dash=[4, 4], line_width=1))
    style = WRITING | {"text_font_size": "11px", "text_color": MUTED}
    plot.text([0], [100 * chance], text=["chance"], y_offset=-8, **style)
    drawn = [(panel.spiking, "spiking", BLUE, "circle")]
    if panel.ann is not None and not panel.ann.skipped:
        drawn.append((panel.ann, "ANN", VERMILLION, "square"))
    marks = [_band(plot, panel, line, name, colour, marker) for line, name, colour, marker in drawn]
    curves = [Curve(name, panel.levels, 100 * line.mean, colour, 2.0, name) for line, name, colour, _ in drawn]
    add_curves(plot, curves)
    add_zoom(plot)
    add_hover(plot, marks, [("", "@name"), (panel.title, "@level"), ("accuracy", "@text")])
    chart = stack([Drawn(plot, curves)], panel.unit)
    assert chart is not None
    return chart


def _band(plot: Figure, panel: Panel, line: Line, name: str, colour: str, marker: str) -> Model:
    mean, sd = 100 * line.mean, 100 * line.sd
    source = ColumnDataSource(
        {
            "level": panel.levels,
            "mean": mean,
            "low": mean - sd,
            "high": mean + sd,
            "name": np.full(len(mean), name),
            "text": [f"{m:.1f} ± {s:.1f} %" for m, s in zip(mean, sd, strict=True)],
        }
    )
    plot.varea("level", "low", "high", source=source, fill_color=colour, fill_alpha=0.18)
    return plot.scatter("level", "mean", source=source, marker=marker, size=7, color=colour)
