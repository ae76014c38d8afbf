"""What the pictures share: figures that notebooks show, axes in the style of the reports, names beside curves."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ..report.labels import spread
from ..report.palette import FAINT, GRID, INK, MUTED, PAPER, for_text

WIDTH = 7.2  # inches: two columns of a paper


class _Picture(Figure):
    """A figure that notebooks show although pyplot does not know it."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def new_figure(width: float, height: float) -> Figure:
    margins = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    return _Picture(figsize=(width, height), facecolor=PAPER, layout=margins)


def headline(figure: Figure, text: str) -> None:
    if text:
        figure.suptitle(text, x=0.015, ha="left", color=INK, fontsize=12).set_parse_math(False)


def style(ax: Axes, grid: bool = True) -> None:
    ax.set_facecolor(PAPER)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(FAINT)
    ax.tick_params(colors=MUTED, labelsize=9, length=3, width=0.8)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(axis="y", color=GRID, linewidth=0.8)


def label(ax: Axes, *, xlabel: str = "", ylabel: str = "", title: str = "") -> None:
    """Names come from the user, so a dollar sign in them must not start a formula."""
    if xlabel:
        ax.set_xlabel(xlabel, color=INK, fontsize=10).set_parse_math(False)
    if ylabel:
        ax.set_ylabel(ylabel, color=INK, fontsize=10).set_parse_math(False)
    if title:
        ax.set_title(title, loc="left", color=INK, fontsize=10.5, pad=5).set_parse_math(False)


def in_unit(unit: str) -> str:
    return f" ({unit})" if unit else ""


def name_ends(ax: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Write each curve's name at its right end, moved apart where two would overlap."""
    ends = [end for end in ends if np.isfinite(end[1])]
    low, high = ax.get_ylim()
    rows = sum(_same_column(a, ax) for a in ax.figure.axes)
    height = ax.figure.bbox.height / ax.figure.dpi / rows
    gap = 0.2 / max(height - 0.7, 0.5) * (high - low)
    places = spread([y for _, y, _, _ in ends], gap)
    for (x, y, name, colour), place in zip(ends, places, strict=True):
        ax.annotate(
            name,
            xy=(x, y),
            xytext=(6, (place - y) / (high - low) * (height - 0.7) * 72),
            textcoords="offset points",
            color=for_text(colour),
            fontsize=9,
            va="center",
            annotation_clip=False,
        ).set_parse_math(False)


def _same_column(a: Axes, b: Axes) -> bool:
    first, second = a.get_subplotspec(), b.get_subplotspec()
    return first is not None and second is not None and first.colspan == second.colspan


def as_array(values: Any) -> np.ndarray:
    """A NumPy array of an array, a sequence or a tensor on any device."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)
