"""The page of a search for settings: the best ones, and what each setting did to the outcome."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ParameterError
from .page import Html, Page, Section, details, escape, render, require_folder, shown, table, write_page
from .palette import GRID

_ROWS = 10  # trials in the table


@dataclass(frozen=True)
class Trial:
    """A trial of a search: ``state`` is "complete", "pruned" or "failed"; ``value`` None if nothing was measured."""

    number: int
    state: str
    value: float | None
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class SearchReport:
    """What the page of a search shows.

    Args:
        title: name of the search.
        quantity: what was optimised, such as "validation loss"; an accuracy is between 0 and 1.
        lower: whether less of it is better.
        trials: all that ended.
        logarithmic: the settings that are drawn on a logarithmic axis.
        choices: the values of those that are drawn side by side, in order.
        command: the command line that trains the best settings.
        searched: what was varied and what was fixed, by name.

    Raises :class:`ParameterError` without a complete trial.
    """

    title: str
    quantity: str
    lower: bool
    trials: Sequence[Trial]
    logarithmic: frozenset[str]
    choices: Mapping[str, Sequence[Any]]
    command: str
    searched: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.ranked:
            raise ParameterError("a search without a complete trial has no page", got=len(self.trials))

    @property
    def ranked(self) -> list[Trial]:
        """The complete trials, the best first."""
        complete = [t for t in self.trials if t.state == "complete" and t.value is not None]
        return sorted(complete, key=lambda t: ((t.value or 0.0) if self.lower else -(t.value or 0.0), t.number))

    @property
    def best(self) -> Trial:
        """The best of the complete trials."""
        return self.ranked[0]

    def text(self, value: float | None) -> str:
        """A value as a person reads it."""
        if value is None:
            return "–"
        return f"{100 * value:.2f} %" if "accuracy" in self.quantity else f"{value:.4g}"


def write_search_report(path: str | os.PathLike[str], report: SearchReport) -> None:
    """Write the page as one HTML file that loads nothing from anywhere.

    Raises :class:`FileError` when the folder is missing or cannot be written.
    """
    require_folder(path)
    write_page(path, _document(report))


def _document(report: SearchReport) -> str:
    from . import canvas, search_charts  # bokeh takes a second to import

    names = list(report.best.settings)
    scripts, places = canvas.embed(search_charts.charts(report, names))
    slices = "".join(f"<div>{places[f'slice {name}']}</div>" for name in names)
    sections = [
        Section("Best settings", _best(report), "They were chosen on the validation set. Train them with more seeds:"),
        Section("What each setting did", f"<div class=pair>{slices}</div>", _NOTE),
        Section("In order", places["history"], "Every trial, and the best outcome up to it."),
        Section(f"The best {min(_ROWS, len(report.ranked))} trials", _ranking(report, names)),
        Section("What was searched", details("settings", table(report.searched))),
    ]
    counts = {state: sum(t.state == state for t in report.trials) for state in ("complete", "pruned", "failed")}
    facts = {"trials": len(report.trials), "complete": counts["complete"], "cut short": counts["pruned"]}
    facts |= {"failed": counts["failed"]} if counts["failed"] else {}
    least = "lowest" if report.lower else "highest"
    words = f"The {least} {report.quantity} is {report.text(report.best.value)}, in trial {report.best.number}."
    return render(Page("search", report.title, words, facts, sections, scripts, _STYLE))


_NOTE = (
    "A dot is a trial, the ringed one the best. Hollow: cut short because it did worse than the median at the same "
    "epoch. A triangle at the edge: beyond the scale. A cross: it failed or diverged. All settings vary at once, so a "
    "trend in one may come from another."
)
_STYLE = f"""
pre {{ margin: 0 0 16px; padding: 12px 14px; background: {GRID}; border-radius: 4px; white-space: pre-wrap; }}
.ranking {{ overflow-x: auto; }}
.ranking td, .ranking th {{ overflow-wrap: break-word; }}
"""


def _best(report: SearchReport) -> Html:
    return f"<pre><code>{escape(report.command)}</code></pre>{table(report.best.settings)}"


def _ranking(report: SearchReport, names: Sequence[str]) -> Html:
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("trial", report.quantity, *names))
    rows = "".join(
        f"<tr><td>{trial.number}</td><td>{escape(report.text(trial.value))}</td>"
        + "".join(f"<td>{escape(shown(trial.settings.get(name)))}</td>" for name in names)
        + "</tr>"
        for trial in report.ranked[:_ROWS]
    )
    return f"<div class=ranking><table><tr>{heads}</tr>{rows}</table></div>"
