"""Pictures of ``spikeloom bench scaling``: time, ratio to the dense products, and memory against one respect."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from ..bench.curves import LIMIT, Curve, Sweep
from ..bench.points import AXES, named
from ..report.palette import BLUE, INK, MUTED, VERMILLION, for_text
from ._frame import headline, label, new_figure, style

_WIDTH, _HEIGHT = 9.6, 3.2
_NEAREST = 0.075  # of the width of a panel, between names of ticks
_ROUND = ("1.000000", "2.000000", "5.000000")  # mantissas of numbers that are named before others
_Look = dict[str, Any]
_OURS: _Look = {"color": BLUE, "marker": "o"}
_DENSE: _Look = {"color": VERMILLION, "marker": "s"}
_GUIDE: _Look = {"color": MUTED, "linewidth": 1.0, "linestyle": (0, (4, 3)), "zorder": 1}
_WORDS = {
    "steps": "number of time steps",
    "batch": "batch size",
    "width": "width of the hidden layers",
    "density": "density of spikes",
    "depth": "depth",
    "threads": "number of threads",
}


def picture(sweep: Sweep) -> Figure:
    """Three panels against what was varied: milliseconds of a training step, their ratio, MiB. Marks are medians of
    rounds, bars hold the middle half of them; a dashed line is what would be in proportion to the work."""
    figure = new_figure(_WIDTH, _HEIGHT)
    axes = figure.subplots(1, 3, width_ratios=(1.0, 1.0, 1.0))
    time, ratio, memory = axes
    for ax in axes:
        style(ax)
        _x_axis(ax, sweep)
    _curve(time, sweep.x, sweep.ours, _OURS)
    _curve(time, sweep.x, sweep.dense, _DENSE)
    if sweep.axis != "density":
        _guide(time, sweep, sweep.ours.median, _base(sweep))
    _log_y(time)
    label(time, xlabel=_x_label(sweep.axis), title="time of a step (ms)")
    _ratio(ratio, sweep)
    for values, look in ((sweep.memory_ours, _OURS), (sweep.memory_dense, _DENSE)):
        memory.plot(sweep.x, values, linewidth=1.6, markersize=5, **look)
    if sweep.axis in ("steps", "batch"):
        _guide(memory, sweep, sweep.memory_ours, len(sweep.x) - 1)
    both = np.array(sweep.memory_ours + sweep.memory_dense)
    if np.nanmax(both) > 4 * np.nanmin(both) > 0:
        _log_y(memory)
    else:
        memory.set_ylim(0.0, 1.12 * float(np.nanmax(both)) or 1.0)
    label(memory, xlabel=_x_label(sweep.axis), title="memory of a step (MiB)")
    headline(figure, f"A training step against the {_WORDS[sweep.axis]}: {_others(sweep)}")
    _legend(figure, sweep)
    return figure


def svg(figure: Figure) -> str:
    """The picture as SVG text, the same for the same figure."""
    stream = io.StringIO()
    with mpl.rc_context(
        {"svg.hashsalt": "spikeloom", "svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans", "Arial"]}
    ):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    # Fractions of a hundredth of a point cannot be seen.
    text = re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), stream.getvalue())
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _x_label(axis: str) -> str:
    return f"{AXES[axis]} (%)" if axis == "density" else AXES[axis]


def _others(sweep: Sweep) -> str:
    """What stayed as it was."""
    return ", ".join(named(sweep.points[0], axis) for axis in AXES if axis != sweep.axis)


def _x_axis(ax: Axes, sweep: Sweep) -> None:
    x = np.array(sweep.x)
    ax.set_xscale("log")
    margin = (x[-1] / x[0]) ** 0.05
    ax.set_xlim(x[0] / margin, x[-1] * margin)
    places = np.log(x / x[0]) / np.log(x[-1] / x[0])
    last = len(x) - 1
    kept: list[int] = []
    for k in sorted(range(len(x)), key=lambda k: (k not in (0, last), f"{x[k]:e}"[:8] not in _ROUND, -k)):
        if all(abs(places[k] - places[other]) > _NEAREST for other in kept):
            kept.append(k)
    scale = 100.0 if sweep.axis == "density" else 1.0
    ax.xaxis.set_major_locator(FixedLocator([float(x[k]) for k in sorted(kept)]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{scale * value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def _log_y(ax: Axes) -> None:
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    subs = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0) if high < 8 * low else (1.0, 2.0, 5.0) if high < 150 * low else (1.0,)
    ax.yaxis.set_major_locator(LogLocator(10, subs=subs))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _curve(ax: Axes, x: Sequence[float], curve: Curve, look: _Look) -> None:
    ax.vlines(x, curve.low, curve.high, color=look["color"], linewidth=1.2, alpha=0.6)
    ax.plot(x, curve.median, linewidth=1.6, markersize=5, **look)


def _guide(ax: Axes, sweep: Sweep, values: Sequence[float], anchor: int) -> None:
    """In proportion to the work, through the point of this number."""
    work = np.array(sweep.work)
    ax.plot(sweep.x, values[anchor] * work / work[anchor], **_GUIDE)


def _base(sweep: Sweep) -> int:
    """The point whose work is nearest to that of the base point."""
    return int(np.argmin(np.abs(np.log(sweep.work))))


def _ratio(ax: Axes, sweep: Sweep) -> None:
    _curve(ax, sweep.x, sweep.ratio, _OURS)
    ax.axhline(1.0, color=VERMILLION, linewidth=1.6)
    top = max(1.25, 1.18 * max(*sweep.ratio.high, LIMIT if sweep.axis == "density" else 1.0))
    if sweep.axis == "density":
        ax.axhline(LIMIT, **_GUIDE)
        ax.annotate(f"limit {LIMIT:g}", (0.0, LIMIT), (3, 2), ("axes fraction", "data"), "offset points",
                    color=MUTED, fontsize=8, va="bottom")  # fmt: skip
    ax.set_ylim(0.0, top)
    ax.yaxis.set_major_locator(MaxNLocator(6))
    last = len(sweep.x) - 1
    for k in _labelled(sweep):
        side, shift = ("left", -4) if k == 0 else ("right", 4) if k == last else ("center", 0)
        below = 0.75 < sweep.ratio.high[k] < 1.0  # above it would meet the line at 1
        place, away, at = (sweep.ratio.low[k], -5, "top") if below else (sweep.ratio.high[k], 5, "bottom")
        ax.annotate(
            f"{sweep.ratio.median[k]:.2f}", (sweep.x[k], place), (shift, away), "data", "offset points",
            color=for_text(BLUE), fontsize=8, ha=side, va=at,
        )  # fmt: skip
    label(ax, xlabel=_x_label(sweep.axis), title="time / dense products")


def _labelled(sweep: Sweep) -> list[int]:
    """Best and worst of the points, first and last unless they are beside one of these."""
    median = sweep.ratio.median
    found = {int(np.argmin(median)), int(np.argmax(median))}
    ends = {end for end in (0, len(median) - 1) if not {end - 1, end + 1} & found or len(median) < 4}
    return sorted(found | ends)


def _legend(figure: Figure, sweep: Sweep) -> None:
    entries = {"spikeloom": Line2D([], [], **_OURS), "dense products alone": Line2D([], [], **_DENSE)}
    if sweep.axis != "density":
        word = "1 / threads" if sweep.axis == "threads" else "in proportion to the products"
        entries[word] = Line2D([], [], **{k: v for k, v in _GUIDE.items() if k != "zorder"})
    found = figure.legend(
        list(entries.values()), list(entries), loc="outside lower left", ncols=3, frameon=False, fontsize=9,
        handlelength=2.2,
        borderaxespad=0.2,
    )  # fmt: skip
    for text in found.get_texts():
        text.set_color(INK)


__all__ = ["picture", "svg"]
