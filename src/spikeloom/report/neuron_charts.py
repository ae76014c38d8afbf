"""Charts of one neuron: its states with their spikes, its f-I curve and its phase plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, Legend, LegendItem, Range1d, Span, UIElement

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
    link_cursor,
    literal,
    plain,
    stack,
    y_limits,
)
from .labels import pretty_unit
from .palette import BLUE, FAINT, GREEN, INK, MUTED, PAPER, VERMILLION, cycle
from .style import FONT
from .thinning import corner_points

if TYPE_CHECKING:
    from .phase import PhasePlane

Trace = tuple[np.ndarray, np.ndarray]  # times and values


def state_panels(
    panels: Mapping[str, Mapping[str, Trace]], spikes: np.ndarray, span: tuple[float, float],
    stimulus: tuple[str, Trace] | None = None,
) -> UIElement:  # fmt: skip
    """One panel per unit on one time axis; the spikes are marked above the curves of the first.

    Args:
        panels: unit to state name to (times in ms, values).
        spikes: spike times in ms.
        span: first and last time in ms.
        stimulus: unit of the injected current and the current, for a panel below.
    """
    first, last = span
    axis = extent(first, last if last > first else first + 1.0, fixed=True)
    drawn = []
    for index, (unit, states) in enumerate(panels.items()):
        marks = spikes if index == 0 else np.empty(0)
        drawn.append(_state_panel(unit, states, marks, axis, 250 if index == 0 else 170))
    if stimulus is not None:
        drawn.append(_stimulus_panel(*stimulus, axis))
    link_cursor([panel.plot for panel in drawn])
    figure = stack(drawn, "time (ms)")
    assert figure is not None
    return figure


def _state_panel(unit: str, states: Mapping[str, Trace], spikes: np.ndarray, axis: Range1d, height: int) -> Panel:
    low, high = y_limits([values for _, values in states.values()])
    lift = 0.08 * (high - low) if len(spikes) else 0.0
    name = ", ".join(states) if len(states) <= 4 else "states"
    label = f"{name} ({unit})" if unit else name
    plot = canvas(height, y=label, x_range=axis, y_range=extent(low, high + 1.5 * lift))
    curves = [
        Curve(state, times, values, cycle(index), end=state if len(states) > 1 else "")
        for index, (state, (times, values)) in enumerate(states.items())
    ]
    add_zoom(plot)
    rows = [("", "@name"), ("value", f"$snap_y{{0.[0000]}} {literal(unit)}"), ("time", "$snap_x{0.[000]} ms")]
    add_hover(plot, [add_curves(plot, curves)], rows)
    if len(spikes):
        _mark_spikes(plot, spikes, high + 0.6 * lift)
    return Panel(plot, curves)


def _stimulus_panel(unit: str, current: Trace, axis: Range1d) -> Panel:
    times, values = current
    plot = canvas(96, y="current", x_range=axis, y_range=extent(*y_limits([values], 0.15)))
    corners = Curve("current", *corner_points(times, values), MUTED)
    add_zoom(plot)
    rows = [("current", f"$snap_y{{0.[0000]}} {literal(unit)}"), ("time", "$snap_x{0.[000]} ms")]
    add_hover(plot, [add_curves(plot, [corners])], rows)
    return Panel(plot, [Curve("current", times, values, MUTED, end=unit)])


def _mark_spikes(plot: Figure, spikes: np.ndarray, y: float) -> None:
    source = ColumnDataSource({"time": spikes, "y": np.full(len(spikes), y)})
    style = {"marker": "dash", "angle": np.pi / 2, "size": 10, "line_width": 2, "line_color": VERMILLION}
    marks = plot.scatter("time", "y", source=source, **style)
    add_hover(plot, [marks], [("spike", "@time{0.[000]} ms")])


def fi_curve(currents: np.ndarray, rates: np.ndarray, unit: str) -> Figure:
    """Firing rate in Hz against current in ``unit``, with the lowest current that made the neuron fire."""
    x, y = np.asarray(currents, float), np.asarray(rates, float)
    axis = y_limits([x], 0.03)
    top = y_limits([np.append(y, 0.0)])[1]
    label = f"current ({unit})" if unit else "current"
    plot = canvas(300, x=label, y="firing rate (Hz)", x_range=extent(*axis), y_range=extent(-0.03 * top, top))
    plot.max_width, plot.min_border_right = 760, 16
    source = ColumnDataSource({"current": x, "rate": y})
    plot.line("current", "rate", source=source, line_color=BLUE, line_width=2)
    points = plot.scatter("current", "rate", source=source, color=BLUE, size=6)
    firing = np.flatnonzero(y > 0)
    if len(firing) and firing[0] > 0:
        onset = float(x[firing[0]])
        plot.add_layout(Span(location=onset, dimension="height", line_color=FAINT, line_dash=[4, 4]))
        text = plain(f"fires from {onset:.4g} {unit}")
        # To the left of the line, where the curve is at zero, unless there is no room.
        left = onset - x[0] > 0.3 * (x[-1] - x[0])
        style = WRITING | {"text_align": "right" if left else "left", "x_offset": -6 if left else 6}
        style |= {"text_color": MUTED}
        plot.text([onset], [0.95 * top], text=[text], **style)
    add_zoom(plot)
    add_hover(plot, [points], [("current", f"@current{{0.[0000]}} {literal(unit)}"), ("rate", "@rate{0.[00]} Hz")])
    return plot


def phase_plane(plane: PhasePlane) -> Figure:
    """Nullclines, flow, resting points with their kind, and the trajectory with its resets dotted."""
    found, names = plane.nullclines, plane.names
    labels = [f"{n} ({u})" if u else n for n, u in zip(names, map(pretty_unit, found.units), strict=True)]
    window = extent(*found.ranges[0]), extent(*found.ranges[1])
    plot = canvas(380, x=labels[0], y=labels[1], x_range=window[0], y_range=window[1], min_border_right=16)
    plot.max_width = 620
    plot.ygrid.grid_line_color = None
    plot.segment("x0", "y0", "x1", "y1", source=ColumnDataSource(_flow(plane)), line_color=FAINT)
    kinds = [(f"d{names[0]}/dt = 0", found.x, VERMILLION, 2.0), (f"d{names[1]}/dt = 0", found.y, GREEN, 2.0)]
    kinds.append(("trajectory", plane.pieces, BLUE, 1.3))
    curves = [Curve(name, c[:, 0], c[:, 1], colour, width) for name, group, colour, width in kinds for c in group]
    lines = add_curves(plot, curves)
    (x0, y0), (x1, y1) = plane.jumps.transpose(1, 2, 0) if len(plane.jumps) else ([[], []], [[], []])
    plot.segment(x0, y0, x1, y1, line_color=BLUE, line_dash="dotted")
    data = {
        "x": [point[names[0]] for point in plane.points],
        "y": [point[names[1]] for point in plane.points],
        "kind": [point.kind for point in plane.points],
        "fill": [INK if point.stable else PAPER for point in plane.points],
    }
    source = ColumnDataSource(data)
    points = plot.scatter("x", "y", source=source, size=9, line_color=INK, line_width=1.5, fill_color="fill")
    plot.text("x", "y", text="kind", source=source, x_offset=9, y_offset=11, text_color=INK, **WRITING)
    drawn = [curve.name for curve in curves]
    _name_above(plot, lines, {name: drawn.index(name) for name, *_ in kinds if name in drawn})
    add_zoom(plot)
    place = [(literal(names[0]), "$snap_x{0.[0000]}"), (literal(names[1]), "$snap_y{0.[0000]}")]
    add_hover(plot, [lines], [("", "@name"), *place])
    add_hover(plot, [points], [("", "@kind"), (literal(names[0]), "@x"), (literal(names[1]), "@y")])
    return plot


def _flow(plane: PhasePlane) -> dict[str, np.ndarray]:
    """Small arrows, all of one length on the screen, as strokes from their tips: a shaft and two barbs each."""
    field = plane.arrows
    (left, right), (low, high) = plane.nullclines.ranges
    dx, dy = field.dx / (right - left), field.dy / (high - low)
    moving = np.hypot(dx, dy) > 0
    angle = np.arctan2(dy, dx)[moving]
    x, y = (place[moving] for place in np.meshgrid(field.x, field.y))
    x, y = x + (right - left) * 0.012 * np.cos(angle), y + (high - low) * 0.012 * np.sin(angle)
    strokes = [(angle, 0.024), (angle + 0.5, 0.01), (angle - 0.5, 0.01)]
    return {
        "x0": np.tile(x, 3),
        "y0": np.tile(y, 3),
        "x1": np.concatenate([x - (right - left) * length * np.cos(turned) for turned, length in strokes]),
        "y1": np.concatenate([y - (high - low) * length * np.sin(turned) for turned, length in strokes]),
    }


def _name_above(plot: Figure, lines: Any, names: Mapping[str, int]) -> None:
    """The curves' names in a row above the frame; a name's number is that of its curve in ``lines``."""
    items = [LegendItem(label=value(plain(name)), renderers=[lines], index=index) for name, index in names.items()]
    style: Any = {"orientation": "horizontal", "location": "left", "border_line_color": None}
    legend: Any = Legend(items=items, background_fill_color=PAPER, **style)
    legend.label_text_font, legend.label_text_font_size, legend.label_text_color = FONT, "12px", INK
    legend.padding, legend.spacing, legend.margin = 0, 18, 6
    plot.add_layout(legend, "above")
