"""Small pictures of many neurons side by side, grouped by model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..report.gallery_panel import round_ticks, short_number
from ..report.labels import pretty_unit
from ..report.palette import BLUE, FAINT, GRID, INK, MUTED, PAPER, VERMILLION
from ..report.thinning import corner_points, thin

if TYPE_CHECKING:
    from ..report.gallery import Exhibit, Room

_COLUMNS = 8
_CELL, _ROW, _HEADING, _TOP, _SIDE = 2.2, 1.78, 0.5, 0.3, 0.35  # inches
_WIDTH = 2 * _SIDE + _COLUMNS * _CELL
_POINTS = 1200


def gallery(rooms: Sequence[Room]) -> Figure:
    """All exhibits of all rooms: membrane with its spikes, stimulus below, title above.

    ``rooms`` are what :func:`spikeloom.report.gallery.write_gallery` takes; small ones share a row. Axes are placed by
    hand: a layout engine would take a minute for a hundred of them.
    """
    places, rows = packed([len(room.exhibits) for room in rooms], _COLUMNS)
    begins = {cells[0][0] for cells in places if cells}  # rows with a heading
    tops = [_TOP + _ROW * row + _HEADING * sum(r < row for r in begins) for row in range(rows + 1)]
    height = tops[rows] + _TOP
    figure = Figure(figsize=(_WIDTH, height), facecolor=PAPER)
    for room, cells in zip(rooms, places, strict=True):
        for k, (exhibit, (row, column)) in enumerate(zip(room.exhibits, cells, strict=True)):
            left, top = _SIDE + _CELL * column, height - tops[row]
            if k == 0:
                width = _CELL * (1 + max(c for r, c in cells if r == row) - column)
                _heading(figure, room, (left, top), width, height)
            low = top - _HEADING * (row in begins)
            box = ((left + 0.5) / _WIDTH, (low - 1.02) / height, (_CELL - 0.72) / _WIDTH, 0.78 / height)
            below = (box[0], (low - 1.4) / height, box[2], 0.2 / height)
            _draw(figure, room, exhibit, (box, below))
    return figure


def packed(counts: Sequence[int], columns: int) -> tuple[list[list[tuple[int, int]]], int]:
    """(row, column) of each member of groups of the given sizes, and the number of rows.

    A group begins a row of its own unless it fits into what the one before left free.

    >>> packed([1, 2, 3], 4)
    ([[(0, 0)], [(0, 1), (0, 2)], [(1, 0), (1, 1), (1, 2)]], 2)
    """
    places: list[list[tuple[int, int]]] = []
    at = 0
    for count in counts:
        free = -at % columns
        if count > free:
            at += free
        places.append([divmod(at + k, columns) for k in range(count)])
        at += count
    return places, -(-at // columns)


def _heading(figure: Figure, room: Room, corner: tuple[float, float], width: float, height: float) -> None:
    """The model's name over its exhibits, with a rule as wide as they are, and what it is where there is room."""
    left, top = corner
    ends = [(left + 0.05) / _WIDTH, (left + width - 0.17) / _WIDTH]
    figure.add_artist(Line2D(ends, [top / height] * 2, color=FAINT, linewidth=0.8))
    words = {"ha": "left", "va": "top", "parse_math": False}
    figure.text(ends[0], (top - 0.07) / height, room.title, color=INK, fontsize=11, fontweight="bold", **words)
    indent, size = 0.1 * len(room.title) + 0.3, 0.07 * len(room.summary)
    if indent + size < width:
        place = (left + indent) / _WIDTH, (top - 0.095) / height
        figure.text(*place, room.summary, color=MUTED, fontsize=9, **words)


Box = tuple[float, float, float, float]


def _draw(figure: Figure, room: Room, exhibit: Exhibit, boxes: tuple[Box, Box]) -> None:
    ax, below = (figure.add_axes(box) for box in boxes)
    limits, count, exhibit = room.limits(exhibit), len(exhibit.spikes), exhibit.drawn
    begin, end = float(exhibit.times[0]), float(exhibit.times[-1])
    keep = thin(np.asarray(exhibit.membrane, float), _POINTS)
    ax.plot(exhibit.times[keep], exhibit.membrane[keep], color=BLUE, linewidth=0.8, solid_joinstyle="round")
    ax.vlines(exhibit.spikes, 1.0, 1.07, VERMILLION, linewidth=0.8, transform=ax.get_xaxis_transform(), clip_on=False)
    below.plot(*corner_points(exhibit.times, np.asarray(exhibit.current, float)), color=MUTED, linewidth=0.8)
    low, high = float(exhibit.current.min()), float(exhibit.current.max())
    pad = 0.1 * (high - low) or max(abs(high), 1.0)
    _frame(ax, limits, round_ticks(*limits), pretty_unit(room.membrane[1]) or room.membrane[0])
    _frame(
        below,
        (low - pad, high + pad),
        sorted({low, high}),
        pretty_unit(exhibit.current_unit or room.current_unit) or "i",
    )
    for axes in (ax, below):
        axes.set_xlim(begin, end)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    below.set_xticks([begin, end], [short_number(begin), f"{short_number(end)} ms"])
    title = ax.set_title(exhibit.title, loc="left", fontsize=8.5, color=INK, pad=9)
    title.set_parse_math(False)
    counted = f"{count or 'no'} spike{'' if count == 1 else 's'}"
    if len(exhibit.title) + len(counted) < 25:
        ax.set_title(counted, loc="right", fontsize=7.5, color=MUTED, pad=9)


def _frame(ax: Axes, limits: tuple[float, float], ticks: Sequence[float], unit: str) -> None:
    ax.set_facecolor("none")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(FAINT)
    ax.set_ylim(limits)
    ax.set_yticks(ticks, [short_number(tick) for tick in ticks])
    ax.tick_params(colors=MUTED, labelsize=7, length=0, pad=3)
    ax.grid(axis="y", color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    name = ax.set_ylabel(unit, color=MUTED, fontsize=7, rotation=0, ha="right", va="bottom")
    name.set_parse_math(False)
    ax.yaxis.set_label_coords(-0.035, 1.04)


__all__ = ["gallery"]
