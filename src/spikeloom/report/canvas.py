"""Bokeh figures in the style of the reports, and their embedding without any request."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.core.properties import value
from bokeh.document import Document
from bokeh.embed import components
from bokeh.events import DoubleTap
from bokeh.layouts import column, row
from bokeh.models import (
    BasicTicker,
    BoxZoomTool,
    ColumnDataSource,
    CrosshairTool,
    CustomJS,
    DataRange1d,
    HoverTool,
    Model,
    Range1d,
    ResetTool,
    Span,
    UIElement,
    WheelZoomTool,
)
from bokeh.plotting import figure
from bokeh.resources import Resources

from .labels import spread
from .page import Html
from .palette import FAINT, GRID, INK, MUTED, PAPER, for_text
from .style import FONT

Figure = Any  # bokeh's figure class has attributes that type checkers cannot follow

LEFT, RIGHT = 72, 108  # borders in pixels, equal in all stacked figures so that their time axes line up
WRITING = {"text_font": value(FONT), "text_font_size": "12px", "text_baseline": "middle"}  # of text glyphs
_BELOW = 46  # border that holds the labels and the name of the x axis
_NAME_LETTERS = 15
HINT = "Drag to zoom, double-click to see everything again, shift and scroll to zoom by wheel."


def plain(text: object) -> str:
    """Text in which bokeh finds no formula: the delimiters ``$$``, ``\\(`` and ``\\[`` are parted by an
    invisible space. A formula would make the page ask the network for a typesetter.
    """
    return str(text).replace("$$", "$\u200b$").replace("\\(", "\\\u200b(").replace("\\[", "\\\u200b[")


def canvas(height: int, *, x: str = "", y: str = "", title: str = "", **options: Any) -> Figure:
    """An empty figure that fills the width of its column; ``x`` and ``y`` name the axes."""
    options = {"sizing_mode": "stretch_width", "min_border_left": LEFT, "min_border_right": RIGHT} | options
    plot: Any = figure(height=height, tools="", toolbar_location=None, title=plain(title) or None, **options)
    plot.outline_line_color = None
    plot.background_fill_color = plot.border_fill_color = PAPER
    plot.min_border_top, plot.min_border_bottom = 24 if title else 8, 8
    plot.xgrid.grid_line_color, plot.ygrid.grid_line_color = None, GRID
    for axis, label, letters in ((plot.xaxis, x, 60), (plot.yaxis, y, height // 7)):
        axis.axis_label = plain(shorten(label, letters)) or None
        axis.axis_line_color, axis.major_tick_line_color, axis.minor_tick_line_color = FAINT, FAINT, None
        axis.major_label_text_color, axis.axis_label_text_color = MUTED, INK
        axis.major_label_text_font = axis.axis_label_text_font = FONT
        axis.major_label_text_font_size, axis.axis_label_text_font_size = "12px", "13px"
        axis.axis_label_text_font_style, axis.axis_label_standoff, axis.major_tick_in = "normal", 6, 0
    if isinstance(plot.y_range, (Range1d, DataRange1d)):
        plot.yaxis.ticker = BasicTicker(desired_num_ticks=4 if height > 110 else 2)
    if title:
        plot.title.text_font, plot.title.text_font_size, plot.title.text_color = FONT, "13px", INK
        plot.title.text_font_style, plot.title.standoff = "bold", 4
    return plot


def add_zoom(plot: Figure) -> None:
    """Zoom by dragging a box or by shift and wheel; a double click shows everything again."""
    box = BoxZoomTool()
    box.overlay.fill_color, box.overlay.line_color = GRID, MUTED
    plot.add_tools(box, WheelZoomTool(modifiers={"shift": True}), ResetTool())
    plot.js_on_event(DoubleTap, CustomJS(code="cb_obj.origin.reset.emit()"))


def add_hover(plot: Figure, renderers: Sequence[Any], rows: Sequence[tuple[str, str]]) -> None:
    """A tooltip of (name, template) rows over the given glyphs."""
    plot.add_tools(HoverTool(renderers=list(renderers), tooltips=list(rows)))


def literal(text: object) -> str:
    """Text for a tooltip's template, in which ``@`` and ``$`` name no column.

    >>> literal("mV") == "mV", literal("@secret") == "@secret"
    (True, False)
    """
    return plain(text).replace("@", "@\u200b").replace("$", "$\u200b")


def extent(start: float, end: float, *, fixed: bool = False) -> Range1d:
    """What an axis shows at first; ``fixed`` means that nothing outside can be reached."""
    return Range1d(start=start, end=end, bounds=(start, end) if fixed else None)


def link_cursor(plots: Sequence[Figure]) -> None:
    """One vertical line that follows the mouse through all figures at the same time."""
    line = Span(dimension="height", line_color=FAINT, line_width=1)
    for plot in plots:
        plot.add_tools(CrosshairTool(overlay=line, dimensions="height"))


@dataclasses.dataclass(frozen=True)
class Curve:
    """A line with a name; ``end`` is written where it ends on the right, if anything."""

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: str
    width: float = 1.5
    end: str = ""


@dataclasses.dataclass(frozen=True)
class Panel:
    """A figure in a stack, and the curves whose ends are named on its right."""

    plot: Figure
    curves: Sequence[Curve] = ()


def add_curves(plot: Figure, curves: Sequence[Curve]) -> Any:
    """All curves as one glyph, which a page draws and stores far cheaper than one glyph each."""
    columns = {
        "x": [curve.x for curve in curves],
        "y": [curve.y for curve in curves],
        "name": [plain(curve.name) for curve in curves],
        "colour": [curve.colour for curve in curves],
        "width": [curve.width for curve in curves],
    }
    return plot.multi_line("x", "y", source=ColumnDataSource(columns), line_color="colour", line_width="width")


def stack(panels: Sequence[Panel], x: str) -> UIElement | None:
    """Figures above each other whose frames line up; the lowest one carries the axis that all share."""
    if not panels:
        return None
    for panel in panels[:-1]:
        panel.plot.xaxis.major_label_text_font_size = "0px"
        panel.plot.xaxis.major_tick_line_color = None
    lowest = panels[-1].plot
    lowest.xaxis.axis_label = x
    lowest.height += _BELOW - lowest.min_border_bottom
    lowest.min_border_bottom = _BELOW
    return column([_with_names(panel) for panel in panels], sizing_mode="stretch_width", spacing=6)


def _with_names(panel: Panel) -> UIElement:
    """The figure with a strip on its right that holds the names of its curves.

    The strip shares the figure's y range, so that names follow a zoom and stay in sight along the time axis.
    """
    plot, curves = panel.plot, [c for c in panel.curves if c.end and len(c.y) and np.isfinite(c.y[-1])]
    if not curves:
        return plot
    inner = plot.height - plot.min_border_top - plot.min_border_bottom
    gap = 14.5 * (plot.y_range.end - plot.y_range.start) / inner
    data = {
        "y": spread([float(c.y[-1]) for c in curves], gap, plot.y_range.start + gap / 2, plot.y_range.end - gap / 2),
        "name": [plain(shorten(c.end)) for c in curves],
        "colour": [for_text(c.colour) for c in curves],
    }
    borders = {"min_border_top": plot.min_border_top, "min_border_bottom": plot.min_border_bottom}
    size = {
        "width": plot.min_border_right,
        "height": plot.height,
        "min_border_left": 0,
        "min_border_right": 0,
    }
    ranges = {"x_range": extent(0, 1), "y_range": plot.y_range}
    strip: Any = figure(tools="", toolbar_location=None, **borders, **size, **ranges)
    strip.axis.visible, strip.grid.visible, strip.outline_line_color = False, False, None
    strip.text(0, "y", text="name", text_color="colour", source=ColumnDataSource(data), x_offset=5, **WRITING)
    plot.min_border_right = 0
    return row(plot, strip, sizing_mode="stretch_width", spacing=0)


def shorten(name: object, letters: int = _NAME_LETTERS) -> str:
    """A name cut to the room there is for it.

    >>> shorten("a rather long class name", 9)
    'a rather…'
    """
    text = str(name)
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "…"


def y_limits(values: Sequence[np.ndarray], margin: float = 0.06) -> tuple[float, float]:
    """Limits that hold every finite value with a margin.

    >>> y_limits([np.array([0.0, 1.0, np.nan])], margin=0.5)
    (-0.5, 1.5)
    """
    finite = [v[np.isfinite(v)] for v in values]
    finite = [v for v in finite if v.size]
    if not finite:
        return 0.0, 1.0
    low, high = min(float(v.min()) for v in finite), max(float(v.max()) for v in finite)
    pad = margin * (high - low) or 0.5
    return low - pad, high + pad


def embed(charts: Mapping[str, Model]) -> tuple[list[str], dict[str, Html]]:
    """The scripts that draw the charts, BokehJS among them, and for each chart the place it fills."""
    if not charts:
        return [], {}
    document = Document()
    with document.models.freeze():  # otherwise bokeh walks through all models once per chart
        for chart in charts.values():
            document.add_root(chart)
    script, places = components(dict(charts), wrap_script=False)
    return [*Resources(mode="inline", components=["bokeh"]).js_raw, script], dict(places)
