"""Pictures of learning: curves by epoch and the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..errors import ParameterError, ShapeError
from ..report.labels import quantity
from ..report.palette import BLUE, GRID, INK, MUTED, PAPER, VERMILLION, cycle, mix
from ._frame import as_array, headline, label, name_ends, new_figure, style


def confusion(matrix: Any, class_names: Sequence[str] | None = None, *, title: str = "") -> Figure:
    """Counts of (true class, predicted class); right answers in blue, mistakes in vermillion.

    The tint says which share of its true class a cell holds.

    Args:
        matrix: counts [C, C], one row per true class.
        class_names: C names; by default 0 to C - 1.
        title: written above the picture.

    Raises:
        ShapeError: the matrix is not square or has another number of classes than names.

    >>> figure = confusion([[9, 1], [0, 10]], ["cat", "dog"])
    >>> sorted(text.get_text() for text in figure.axes[0].texts)
    ['1', '10', '9']
    """
    counts = as_array(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ShapeError("a confusion matrix is square", got=counts.shape, expected="(C, C)")
    names = [str(n) for n in class_names] if class_names is not None else [str(k) for k in range(len(counts))]
    if len(names) != len(counts):
        raise ShapeError("classes and names differ in number", got=len(names), expected=len(counts))
    side = float(np.clip(0.42 * len(names) + 1.2, 2.8, 9.0))
    figure = new_figure(side, side)
    ax = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(_tints(share), interpolation="nearest")
    style(ax, grid=False)
    if len(names) <= 30:
        _write_counts(ax, counts, share)
        ax.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
        ax.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
        ax.grid(which="minor", color=GRID, linewidth=0.8)
    ax.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names), default=0) > 3 else 0)
    ax.set_yticks(range(len(names)), names)
    for text in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        text.set_parse_math(False)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    label(ax, xlabel="predicted class", ylabel="true class", title=title)
    return figure


def curves(curves: Mapping[str, Sequence[float]], *, title: str = "") -> Figure:
    """Learning curves by epoch; curves of one quantity ("train loss", "validation loss") share a panel.

    Args:
        curves: one value per epoch, by name; the last word of a name says the quantity.
        title: written above the picture.

    Raises:
        ParameterError: there is no curve.

    >>> figure = curves({"train loss": [1.0, 0.5], "validation loss": [1.1, 0.7], "accuracy": [0.6, 0.8]})
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'accuracy']
    """
    panels: dict[str, dict[str, np.ndarray]] = {}
    for name, values in curves.items():
        panels.setdefault(quantity(name), {})[name] = as_array(values)
    if not panels:
        raise ParameterError("there is no curve to draw", expected="at least one")
    figure = new_figure(max(4.6, 3.6 * len(panels)), 3.0)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (what, group) in zip(axes, panels.items(), strict=True):
        style(ax)
        ends = []
        for index, (name, y) in enumerate(group.items()):
            epoch = np.arange(1, len(y) + 1)
            ax.plot(epoch, y, color=cycle(index), linewidth=1.7, marker="o" if len(y) < 2 else "", markersize=4)
            if len(y):
                short = name.removesuffix(what).strip() or name
                ends.append((float(epoch[-1]), float(y[-1]), short, cycle(index)))
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        label(ax, xlabel="epoch", ylabel=what)
        name_ends(ax, ends if len(group) > 1 else [])
    headline(figure, title)
    return figure


def _tints(share: np.ndarray) -> np.ndarray:
    """RGB per cell: white to blue on the diagonal, white to vermillion elsewhere."""
    white, right, wrong = (
        np.array([int(c[k : k + 2], 16) for k in (1, 3, 5)]) / 255 for c in (PAPER, BLUE, VERMILLION)
    )
    diagonal = np.eye(len(share), dtype=bool)[..., None]
    # The square root keeps a rare mistake visible.
    depth = np.where(diagonal, share[..., None], np.sqrt(share)[..., None]) * 0.9
    return white + (np.where(diagonal, right, wrong) - white) * depth


def _write_counts(ax: Axes, counts: np.ndarray, share: np.ndarray) -> None:
    for row, column in zip(*np.nonzero(counts), strict=True):
        dark = share[row, column] > (0.5 if row == column else 0.35)
        colour = PAPER if dark else mix(INK, MUTED, 0.3)
        ax.text(column, row, f"{counts[row, column]:g}", ha="center", va="center", color=colour, fontsize=9)
