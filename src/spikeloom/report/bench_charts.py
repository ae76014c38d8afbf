"""Bars of a benchmark: how long each contender took, from a line that means something, on a logarithmic axis."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource, FactorRange, FixedTicker, NumeralTickFormatter, Span

from .canvas import WRITING, Figure, add_hover, canvas, extent, plain, shorten
from .palette import BLUE, FAINT, INK, MUTED, PAPER, VERMILLION, for_text, mix

_TICKS = [m * 10.0**e for e in range(-5, 6) for m in (1, 2, 5)]
_ROW, _TOP = 26, " "  # pixels of a row; the name of the row above all


@dataclass(frozen=True)
class Bar:
    """One contender: a value for each round, and what is written beside them."""

    name: str
    values: Sequence[float]
    text: str
    own: bool = False


def bars(found: Sequence[Bar], x: str, line: str, target: float | None = None) -> Figure:
    """A bar from 1, where the line called ``line`` is, to the median of each; whiskers reach from the smallest value to
    the largest. A target is a dashed line."""
    names = [plain(shorten(bar.name, 24)) for bar in found]
    middle = [statistics.median(bar.values) for bar in found]
    lows, highs = [min(bar.values) for bar in found], [max(bar.values) for bar in found]
    data = {
        "name": names, "middle": middle, "low": lows, "high": highs, "one": [1.0] * len(found),
        "end": [max(1.0, high) for high in highs], "text": [plain(bar.text) for bar in found],
        "colour": [BLUE if bar.own else FAINT for bar in found],
        "whisker": [mix(BLUE, INK, 0.5) if bar.own else MUTED for bar in found],
    }  # fmt: skip
    shown = [1.0, *lows, *highs, *([target] if target else [])]
    low, high = min(shown) / 1.25, max(shown) * max(1.25, (max(shown) / min(shown)) ** 0.45 * 1.2)
    plot = canvas(
        _ROW * len(found) + 84,
        x=x,
        x_axis_type="log",
        x_range=extent(low, high),
        y_range=FactorRange(factors=[*reversed(names), _TOP]),
        min_border_left=120,
        min_border_right=8,
    )
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0.[000]")
    plot.xaxis.ticker = FixedTicker(ticks=_ticks(low, high))
    _mark(plot, 1.0, line, MUTED)
    if target:
        _mark(plot, target, "target", VERMILLION)
    source = ColumnDataSource(data)
    drawn = plot.hbar(y="name", left="one", right="middle", height=0.62, source=source, color="colour", line_color=None)
    plot.segment("low", "name", "high", "name", source=source, line_color="whisker", line_width=1.5)
    plot.scatter(
        "middle", "name", source=source, marker="dash", angle=math.pi / 2, size=9, line_color="whisker", line_width=2
    )
    style: dict[str, Any] = WRITING | {"background_fill_color": PAPER, "padding": 1}  # above the line of the target
    plot.text("end", "name", text="text", source=source, text_color=INK, x_offset=8, **style)
    plot.ygrid.grid_line_color, plot.yaxis.major_tick_line_color = None, None
    plot.yaxis.major_label_text_color = INK
    add_hover(
        plot, [drawn], [("", "@name"), ("median", "@middle{0.[000]}"), ("range", "@low{0.[000]} to @high{0.[000]}")]
    )
    return plot


def _mark(plot: Figure, place: float, name: str, colour: str) -> None:
    """A line from top to bottom, named in the row above the bars."""
    dashed: dict[str, Any] = {"line_dash": [4, 4]} if colour != MUTED else {}
    plot.add_layout(Span(location=place, dimension="height", line_color=colour, level="underlay", **dashed))
    side: dict[str, Any] = {"text_align": "right", "x_offset": -4} if place < 1.0 else {"x_offset": 4}
    plot.text([place], [_TOP], text=[plain(name)], text_color=for_text(colour), **side, **WRITING)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, ... where they have room, else powers of ten."""
    inside = [tick for tick in _TICKS if low <= tick <= high]
    return inside if len(inside) <= 10 else [tick for tick in inside if math.log10(tick).is_integer()]
