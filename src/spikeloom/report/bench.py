"""The page of a benchmark: what was asked and reached, bars of every workload, and how it was made."""

from __future__ import annotations

import base64
import os
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..bench.curves import SCALING_HEAD, Sweep, crossing, rows_of, sentence, sweeps
from ..bench.networks import WORKLOADS
from ..bench.points import AXES, Point, named
from ..bench.rounds import fastest, seconds_text
from ..bench.tables import NETWORK_HEAD, TRAINING_HEAD, network_rows, training_rows
from ..bench.targets import Result, results, thread_text, training
from ..bench.workloads import TASKS
from .page import Html, Page, Section, details, escape, render, require_folder, run_details, write_page
from .palette import GREEN, INK, VERMILLION, mix

if TYPE_CHECKING:
    from bokeh.models import Model

_TITLES = {"train": "Training and inference", "simulate": "Networks", "scaling": "Scaling of training"}


def write_bench_report(
    path: str | os.PathLike[str], summary: Mapping[str, Any], pictures: Mapping[str, str] = {}
) -> None:
    """Write the page of a ``summary.json`` as one HTML file that loads nothing from anywhere.

    ``pictures`` are the SVG texts of the axes of ``spikeloom bench scaling``. Raises :class:`FileError` when the
    folder is missing or cannot be written.
    """
    require_folder(path)
    write_page(path, _scaling(summary, pictures) if summary["benchmark"] == "scaling" else _workloads(summary))


def _workloads(summary: Mapping[str, Any]) -> str:
    from . import canvas  # bokeh takes a second to import

    kind = summary["benchmark"]
    found = _ordered(kind, summary["tasks" if kind == "train" else "networks"])
    scripts, places = canvas.embed({name: _chart(kind, name, part) for name, part in found.items()})
    asked = results({**summary, "tasks" if kind == "train" else "networks": found})
    sections = [Section("Asked and reached", target_table(asked), _TARGET_NOTE)] if asked else []
    sections += [
        Section(name, _body(kind, part, places[name]), _note(kind, name, part)) for name, part in found.items()
    ]
    return _page(summary, headline(asked), sections, scripts)


def _ordered(kind: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Workloads in their own order, contenders from the fastest to the slowest; a stored summary keeps neither."""
    wall = "wall_s" if kind == "train" else "wall_s_per_simulated_s"
    known = list(TASKS if kind == "train" else WORKLOADS)
    names = sorted(found, key=lambda name: known.index(name) if name in known else len(known))
    return {
        name: {
            **found[name],
            "contenders": dict(sorted(found[name]["contenders"].items(), key=lambda c: statistics.median(c[1][wall]))),
        }
        for name in names
    }


def _page(summary: Mapping[str, Any], words: str, sections: Sequence[Section], scripts: Sequence[str] = ()) -> str:
    kind, machine, versions = summary["benchmark"], summary["machine"], summary["versions"]
    config: Mapping[str, Any] = summary["config"]
    facts: dict[str, object] = {"rounds": config["rounds"]}
    facts |= {"threads": config["threads"]} if kind == "train" else {}
    facts |= {"usable cores": machine["usable_cores"], "load": machine["load"]}
    facts |= {name: versions[name] for name in ("spikeloom", "torch", "numba")}
    how = run_details({"machine": machine, "versions": versions}, config)
    made = Section("How it was made", how, f"On {machine['processor']}.")
    return render(Page(f"bench {kind}", _TITLES[kind], words, facts, [*sections, made], scripts, _STYLE))


def headline(asked: Sequence[Result]) -> str:
    """How many of the targets were reached, and which were not.

    >>> headline([Result("mlp", "time", (0.4,), 0.75), Result("conv", "time", (2.0,), 1.15)])
    '1 of 2 targets reached. Missed: conv (time: 2.00, asked at most 1.15).'
    """
    if not asked:
        return "Measured at sizes, without the peers, or on a card, for which nothing is asked."
    missed = [f"{r.workload} ({r.what}: {r.text.split()[0]}, asked {r.limit_text})" for r in asked if not r.reached]
    text = f"{len(asked) - len(missed)} of {len(asked)} targets reached."
    return f"{text} Missed: {'; '.join(missed)}." if missed else text


def target_table(asked: Sequence[Result]) -> Html:
    """A line for each thing asked."""
    head = _row(("workload", "what", "median (range of rounds)", "asked", ""), "th")
    rows = [
        f"<tr><td><a href='#{escape(r.workload)}'>{escape(r.workload)}</a></td><td>{escape(r.what)}</td>"
        f"<td class=number>{escape(r.text)}</td><td class=number>{escape(r.limit_text)}</td>"
        f"<td class={'reached' if r.reached else 'missed'}>{_outcome(r)}</td></tr>"
        for r in asked
    ]
    return f"<div class=bench><table class=targets>{head}{''.join(rows)}</table></div>"


def _outcome(result: Result) -> Html:
    if not result.reached:
        return "✗ missed"
    return "✓ reached" if result.always else "✓ reached, not in every round"


_TARGET_NOTE = "Ratios are taken within each round, in which all contenders take turns; the median is what counts."
_STYLE = f"""
.bench {{ overflow-x: auto; }}
.bench th, .bench td {{ white-space: nowrap; padding-right: 28px; overflow-wrap: normal; }}
.bench th:not(:first-child), .bench td:not(:first-child) {{ text-align: right; }}
.bench table.targets td:nth-child(2), .bench table.targets th:nth-child(2) {{ text-align: left; }}
.bench table.targets td:last-child {{ text-align: left; }}
.bench a {{ color: inherit; }}
.reached {{ color: {mix(GREEN, INK, 0.3)}; }}
.missed {{ color: {mix(VERMILLION, INK, 0.2)}; font-weight: 600; }}
.drawn {{ width: 100%; max-width: 1056px; height: auto; display: block; margin-bottom: 6px; }}
"""


def _chart(kind: str, name: str, found: Mapping[str, Any]) -> Model:
    from .bench_charts import Bar, bars

    rows: Mapping[str, Mapping[str, Any]] = found["contenders"]
    if kind == "simulate":
        walls = {label: row["wall_s_per_simulated_s"] for label, row in rows.items()}
        shown = [
            Bar(thread_text(n), wall, seconds_text(statistics.median(wall)), n.startswith("spikeloom"))
            for n, wall in walls.items()
        ]
        return bars(shown, "wall seconds per simulated second", "real time")
    walls = {label: row["wall_s"] for label, row in rows.items()}
    floor = fastest({label: wall for label, wall in walls.items() if label.startswith("floor")})
    shown = []
    for label, wall in walls.items():
        ratios = [a / b for a, b in zip(wall, walls[floor], strict=True)]
        text = f"{_short(statistics.median(ratios))}   {seconds_text(statistics.median(wall))}"
        shown.append(Bar(label, ratios, text, label.startswith("spikeloom")))
    limits = [r.limit for r in training(name, found) if "floors" in r.what]
    return bars(shown, "time in floors", "floor", limits[0] if limits else None)


def _short(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.3g}"


def _body(kind: str, found: Mapping[str, Any], chart: Html) -> Html:
    head, rows = (TRAINING_HEAD, training_rows(found)) if kind == "train" else (NETWORK_HEAD, network_rows(found))
    out = [f"{label} {why}" for label, why in found["refused"].items()] + list(found["failed"].values())
    left = "".join(f"<p class=note>No figures: {escape(why)}</p>" for why in out)
    return f"{chart}{left}{details('all figures', table_of(head, rows))}"


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """Rows of text, the first column to the left, the others to the right."""
    return f"<div class=bench><table>{_row(head, 'th')}{''.join(_row(row, 'td') for row in rows)}</table></div>"


def _row(cells: Sequence[str], tag: str) -> Html:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _note(kind: str, name: str, found: Mapping[str, Any]) -> str:
    busy = found["other_work_cores"]
    other = "" if busy is None else f" Other work kept {busy:g} cores busy."
    if kind == "simulate":
        return (
            f"{found['neurons']:,} neurons; bars reach from real time to the median, whiskers over all rounds.{other}"
        )
    task = TASKS[name]
    mode = {"train": "a step of training", "both": "forward and backward pass", "infer": "inference"}[task.mode]
    size = f"{'-'.join(map(str, task.sizes))}, T = {task.steps}, batch {found['batch']}"
    size += f", on {found['gpu']}" if found.get("gpu") else ""
    floor = "copying what must be moved" if task.kind == "neurons" else "the same layers in torch, without neurons"
    return f"{mode.capitalize()}, {size}. The floor is {floor}.{other}"


def _scaling(summary: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    found = sweeps(summary)
    sections = [Section("How to read it", "", _SCALING_NOTE)] if found else []
    sections += [Section(AXES[s.axis][:1].upper() + AXES[s.axis][1:], _drawn(s, pictures), sentence(s)) for s in found]
    return _page(summary, scaling_headline(found, Point(**summary["base"])), sections)


_SCALING_NOTE = (
    "A step is forward and backward pass and Adam. Beside it: the matrix products of the same net once over all steps, "
    "without neurons, with the same loss and optimiser. Marks are medians of rounds in which both take turns, bars and "
    "ranges hold the middle half of them. Ratios are taken within rounds: their median can differ from the quotient of "
    "the two medians of times. Memory is the peak of the first step above what the process held with net and input; "
    "later steps add what the allocator cannot use again."
)


def scaling_headline(found: Sequence[Sweep], base: Point) -> str:
    """The range of the ratios and at which points its ends are, and where the crossover in density is."""
    ratios = [(ratio, named(p, s.axis)) for s in found for ratio, p in zip(s.ratio.median, s.points, strict=True)]
    if not ratios:
        return "No axis has two points yet."
    (low, least), (high, most) = min(ratios), max(ratios)
    around = ", ".join(named(base, axis) for axis in AXES)
    text = (
        f"Around {around}, one of which changes at a time, a training step takes {low:.2f} ({least}) to {high:.2f} "
        f"({most}) of its dense products alone."
    )
    where = next((crossing(sweep) for sweep in found if sweep.axis == "density"), "")
    return f"{text} While only the density changes, it is faster than they up to {where}." if where else text


def _drawn(sweep: Sweep, pictures: Mapping[str, str]) -> Html:
    text = pictures.get(sweep.axis, "")
    source = base64.b64encode(text.encode()).decode()
    alt = escape(f"time, ratio and memory against {AXES[sweep.axis]}")
    drawn = f'<img class=drawn src="data:image/svg+xml;base64,{source}" alt="{alt}">' if text else ""
    return drawn + details("all figures", table_of((AXES[sweep.axis], *SCALING_HEAD), rows_of(sweep)))


__all__ = ["headline", "scaling_headline", "table_of", "target_table", "write_bench_report"]
