"""The page of a search for settings: the best ones, and what each setting did to the outcome."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .page import Html, Page, Section, details, escape, render, require_folder, shown, table, write_page
from .palette import GRID
from .trials import SearchReport

_ROWS = 10  # trials in the table


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
