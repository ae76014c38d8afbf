"""Charts of a search: the outcome against each setting, and in the order of the trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, Model

from .canvas import Figure, add_hover, add_zoom, canvas, extent, literal, plain
from .page import shown
from .palette import BLUE, MUTED, PAPER, VERMILLION
from .trials import SearchReport, Trial

_MARKS = {"complete": "circle", "pruned": "circle", "failed": "x"}


def charts(report: SearchReport, names: Sequence[str]) -> dict[str, Model]:
    """One chart for each of the settings ``names``, called "slice NAME", and "history"."""
    scale = 100.0 if "accuracy" in report.quantity else 1.0
    limits = _limits(report, scale)
    drawn: dict[str, Model] = {f"slice {name}": _slice(report, name, scale, limits) for name in names}
    return drawn | {"history": _history(report, scale, limits)}


def _limits(report: SearchReport, scale: float) -> tuple[float, float]:
    """From a little beyond the best to where the better half is seen apart; what is worse stands at the edge."""
    values = scale * np.array([trial.value for trial in report.ranked], float)
    best, middle, worst = values[0], np.median(values), values[-1]
    far = worst if abs(worst - best) < 4 * abs(middle - best) else best + 3 * (middle - best)
    pad = 0.08 * abs(far - best) or 0.05 * abs(best) or 0.05
    low, high = min(best, far) - pad, max(best, far) + pad
    return float(low), float(high)


def _slice(report: SearchReport, name: str, scale: float, limits: tuple[float, float]) -> Figure:
    values = [trial.settings.get(name) for trial in report.trials]
    options: dict[str, Any] = {"x": name, "y": _axis_name(report, scale), "y_range": extent(*limits), **_BORDERS}
    if name in report.choices:
        factors = [plain(shown(choice)) for choice in report.choices[name]]
        plot = canvas(250, x_range=FactorRange(factors=factors), **options)
        # Dots of one value stand beside each other, spread evenly and always in the same way.
        places: list[Any] = [
            np.nan if v is None else (plain(shown(v)), 0.5 * ((k * 0.618) % 1.0 - 0.5)) for k, v in enumerate(values)
        ]
    else:
        places = [np.nan if v is None else float(v) for v in values]
        log = name in report.logarithmic
        low, high = float(np.nanmin(places)), float(np.nanmax(places))
        pad = 0.06 * (high - low) or 0.5
        ends = (low / 1.25, high * 1.25) if log else (low - pad, high + pad)
        plot = canvas(250, x_axis_type="log" if log else "linear", x_range=extent(*ends), **options)
    _dots(plot, report, places, scale, limits)
    return plot


_BORDERS: dict[str, Any] = {"min_border_right": 12}


def _history(report: SearchReport, scale: float, limits: tuple[float, float]) -> Figure:
    numbers = [trial.number for trial in report.trials]
    axis = extent(min(numbers) - 0.5, max(numbers) + 0.5)
    title = _axis_name(report, scale)
    plot = canvas(250, x="trial", y=title, x_range=axis, y_range=extent(*limits), min_border_right=12)
    plot.xaxis.ticker.min_interval, plot.xaxis.ticker.num_minor_ticks = 1, 0
    order = np.argsort(numbers)
    best, steps = np.nan, []
    for k in order:
        trial = report.trials[k]
        if trial.state == "complete" and trial.value is not None:
            best = trial.value if np.isnan(best) else (min if report.lower else max)(best, trial.value)
        steps.append(scale * best)
    plot.step([numbers[k] for k in order], steps, mode="after", color=VERMILLION, line_width=1.5)
    _dots(plot, report, [float(n) for n in numbers], scale, limits)
    return plot


def _dots(plot: Figure, report: SearchReport, places: Sequence[Any], scale: float, limits: tuple[float, float]) -> None:
    low, high = limits
    edge = high if report.lower else low
    inner = edge - 0.03 * (high - low) * (1 if report.lower else -1)
    best = report.best.number
    data: dict[str, list[Any]] = {name: [] for name in ("x", "y", "mark", "fill", "line", "size", "what", "number")}
    for trial, place in zip(report.trials, places, strict=True):
        value = None if trial.value is None else scale * trial.value
        beyond = value is not None and (value > high if report.lower else value < low)
        row = {
            "x": place,
            "y": inner if value is None or beyond else value,
            "mark": _mark(trial, beyond, report.lower),
            "fill": PAPER if trial.state == "pruned" else BLUE,
            "line": VERMILLION if trial.number == best else MUTED if trial.state != "complete" else BLUE,
            "size": 12 if trial.number == best else 7,
            "what": plain(f"{report.text(trial.value)}, {'cut short' if trial.state == 'pruned' else trial.state}"),
            "number": trial.number,
        }
        for name, item in row.items():
            data[name].append(item)
    source = ColumnDataSource(data)
    dots = plot.scatter(
        "x", "y", source=source, marker="mark", size="size", fill_color="fill", line_color="line",
        line_width=2, fill_alpha=0.8,
    )  # fmt: skip
    add_zoom(plot)
    add_hover(plot, [dots], [("trial", "@number"), (literal(report.quantity), "@what")])


def _mark(trial: Trial, beyond: bool, lower: bool) -> str:
    if beyond:
        return "triangle" if lower else "inverted_triangle"
    return "x" if trial.value is None else _MARKS[trial.state]


def _axis_name(report: SearchReport, scale: float) -> str:
    return f"{report.quantity} (%)" if scale > 1 else report.quantity
