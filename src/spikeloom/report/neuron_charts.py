"""Charts of one neuron: its states with their spikes, and its f-I curve."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from bokeh.models import ColumnDataSource, Range1d, Span, UIElement

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
from .palette import BLUE, FAINT, MUTED, VERMILLION, cycle

Trace = tuple[np.ndarray, np.ndarray]  # times and values


def state_panels(panels: Mapping[str, Mapping[str, Trace]], spikes: np.ndarray, span: tuple[float, float]) -> UIElement:
    """One panel per unit on one time axis; the spikes are marked above the curves of the first.

    Args:
        panels: unit to state name to (times in ms, values).
        spikes: spike times in ms.
        span: first and last time in ms.
    """
    first, last = span
    axis = extent(first, last if last > first else first + 1.0, fixed=True)
    drawn = []
    for index, (unit, states) in enumerate(panels.items()):
        marks = spikes if index == 0 else np.empty(0)
        drawn.append(_state_panel(unit, states, marks, axis, 250 if index == 0 else 170))
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
        # To the left of the line, where the curve is at zero.
        style = WRITING | {"text_align": "right", "x_offset": -6, "text_color": MUTED}
        plot.text([onset], [0.95 * top], text=[text], **style)
    add_zoom(plot)
    add_hover(plot, [points], [("current", f"@current{{0.[0000]}} {literal(unit)}"), ("rate", "@rate{0.[00]} Hz")])
    return plot
