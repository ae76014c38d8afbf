"""Runs side by side: a table for the terminal, and one page with the table, the curves and what sets them apart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields

from ..errors import ParameterError
from .page import Html, Page, Section, escape, render, require_folder, shown, write_page
from .palette import GRID, MUTED, ORANGE, cycle
from .results import Result, Scores, energy_unit, read_result
from .verdict import differences, notes, obstacles, relation, relations, short_names, verdict

ABSENT = "–"


@dataclass(frozen=True)
class Line:
    """A line of the table, as text: a run, or the network without spikes beside it."""

    run: str
    net: str
    accuracy: str
    seeds: str
    spikes: str
    energy: str
    time: str
    parameters: str
    relation: str


_HEADS = Line(
    "run", "network", "test accuracy", "seeds", "spikes per neuron and step", "energy per sample", "training time",
    "parameters", "difference in accuracy",
)  # fmt: skip
_SHORT_HEADS = Line(
    "run", "network", "accuracy", "seeds", "spikes", "energy", "training time", "parameters", "difference in accuracy"
)
_TEXTS = ("run", "net", "relation")  # the others are figures


def read_results(paths: Sequence[str | os.PathLike[str]]) -> list[Result]:
    """Read the folders of the runs, in order.

    Raises :class:`ParameterError` for fewer than two runs or the same one twice, and :class:`FileError` as
    :func:`read_result`.
    """
    if len(paths) < 2:
        mend = "For instance `spikeloom compare runs/a runs/b`."
        raise ParameterError("a comparison needs runs", got=len(paths), expected="at least 2", mend=mend)
    seen: dict[str, str] = {}
    for path in paths:
        real = os.path.realpath(path)
        if real in seen:
            both = f"{seen[real]} and {path}" if seen[real] != str(path) else f"{path} twice"
            raise ParameterError("the same run is named twice", got=both, mend="Name each run once.")
        seen[real] = str(path)
    return [read_result(path) for path in paths]


def lines(results: Sequence[Result]) -> list[Line]:
    """The table: a line a run, in the order given, and one below it for its baseline."""
    unit = energy_unit([s.energy for r in results for s in (r.spiking, r.baseline) if s is not None])
    found = []
    for result, name, beside in zip(results, short_names(results), relations(results), strict=True):
        test = result.test_samples
        found.append(_line(name, "spiking", result.spiking, test, unit, beside))
        if result.baseline is not None:
            beside = relation(result.baseline, result.spiking, test, "the spiking network")
            found.append(_line("", "ANN", result.baseline, test, unit, beside))
    return found


def terminal_table(results: Sequence[Result], width: int = 0) -> str:
    """The table, the verdict and what sets the runs apart, as plain text.

    The last column is left out where it does not fit into ``width`` letters; 0 means that there is no limit.
    """
    table = lines(results)
    columns = _used(table)
    text = _aligned([_SHORT_HEADS, *table], columns)
    if width and max(map(len, text)) > width:
        text = _aligned([_SHORT_HEADS, *table], columns[:-1])
    text += ["", *obstacles(results), verdict(results, short_names(results)), *notes(results)]
    apart = differences(results)
    if apart:
        rows = [["They differ in", *short_names(results)], *([n, *map(_setting, v)] for n, v in apart.items())]
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        text += ["", *("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)]
    return "\n".join(text)


def _used(table: Sequence[Line]) -> list[str]:
    """The columns in which something stands."""
    names = [field.name for field in fields(Line)]
    return [n for n in names if n in _TEXTS or any(getattr(line, n) not in (ABSENT, "") for line in table)]


def _aligned(table: Sequence[Line], columns: Sequence[str]) -> list[str]:
    cells = [[getattr(line, name) for name in columns] for line in table]
    widths = [max(len(row[k]) for row in cells) for k in range(len(columns))]
    return [
        "  ".join(
            cell.ljust(width) if name in _TEXTS else cell.rjust(width)
            for cell, width, name in zip(row, widths, columns, strict=True)
        ).rstrip()
        for row in cells
    ]


def write_comparison(path: str | os.PathLike[str], results: Sequence[Result]) -> None:
    """Write the page as one HTML file that loads nothing from anywhere.

    Raises :class:`FileError` when the folder is missing or cannot be written.
    """
    require_folder(path)
    write_page(path, _document(results))


def _document(results: Sequence[Result]) -> str:
    from . import canvas, compare_charts  # bokeh takes a second to import

    names = short_names(results)
    charts = compare_charts.charts(results, names)
    scripts, places = canvas.embed(charts)
    barred = obstacles(results)
    sections = [
        Section(
            "Results", _warning(barred) + _table(results), " ".join([_LEGEND, *_profile(results), *notes(results)])
        ),
        Section("Learning curves", places.get("curves", ""), compare_charts.curves_note(results)),
        Section("Accuracy and energy", places.get("scatter", ""), compare_charts.SCATTER_NOTE),
        Section("What sets them apart", _apart(results, names), "Fields of the configuration that are not the same."),
    ]
    present = {"Learning curves": "curves", "Accuracy and energy": "scatter"}
    kept = [s for s in sections if s.title not in present or present[s.title] in places]
    data = {result.data for result in results}
    title = f"{len(results)} runs on {data.pop()}" if len(data) == 1 else f"{len(results)} runs"
    return render(Page("comparison", title, verdict(results, names), {}, kept, scripts, _STYLE))


_LEGEND = (
    "Mean ± standard deviation over seeds, on the test set; the epoch of each seed was chosen on the validation set. "
    "Training time is that of one seed."
)

_STYLE = f"""
.compare {{ overflow-x: auto; }}
.compare table {{ width: 100%; }}
.compare th {{ vertical-align: bottom; white-space: normal; line-height: 1.3; padding-right: 14px; }}
.compare td {{ padding: 6px 14px 6px 0; }}
.compare th, .compare td {{ overflow-wrap: break-word; }}
.compare .figure {{ text-align: right; white-space: nowrap; }}
.compare th.figure {{ white-space: normal; width: 1%; min-width: 78px; }}
.compare tr:not(.head) th {{ vertical-align: top; padding: 6px 14px 6px 0; }}
.compare td.name {{ font-weight: 600; min-width: 120px; }}
.compare td:last-child {{ min-width: 112px; }}
.compare td.name {{ padding-left: 19px; text-indent: -19px; }}
.compare tr.twin td {{ color: {MUTED}; }}
.compare tr.twin td.name {{ font-weight: 400; text-indent: 0; }}
.compare tr.joined td {{ border-bottom: 0; padding-bottom: 0; }}
.compare i {{ display: inline-block; width: 11px; height: 11px; border-radius: 50%; margin-right: 8px; }}
.warning {{ margin: 0 0 14px; padding: 10px 14px; border-left: 3px solid {ORANGE}; background: {GRID}; }}
.warning p {{ margin: 0; }}
"""


def _line(name: str, net: str, scores: Scores, test_samples: int, unit: tuple[str, float], beside: str) -> Line:
    digits = 2 if test_samples >= 1000 else 1
    spread = f" ± {100 * scores.accuracy_sd:.{digits}f}" if scores.seeds > 1 else ""
    return Line(
        run=name,
        net=net,
        accuracy=f"{100 * scores.accuracy:.{digits}f}{spread} %",
        seeds=str(scores.seeds),
        spikes=ABSENT if scores.spikes is None or net == "ANN" else f"{scores.spikes:.3f}",
        energy=ABSENT if scores.energy is None else f"{scores.energy / unit[1]:.3g} {unit[0]}",
        time=ABSENT if scores.train_time is None else _duration(scores.train_time),
        parameters=ABSENT if scores.parameters is None else f"{scores.parameters:,}",
        relation=beside,
    )


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _setting(value: object) -> str:
    return ABSENT if value is None else shown(value)


def _profile(results: Sequence[Result]) -> list[str]:
    profiles = {result.profile for result in results if result.profile}
    return [f"Energy under the profile {profiles.pop()}."] if len(profiles) == 1 else []


def _warning(reasons: Sequence[str]) -> Html:
    if not reasons:
        return ""
    paragraphs = "".join(f"<p>{escape(reason)}</p>" for reason in reasons)
    return f"<div class=warning><p><b>Not comparable.</b></p>{paragraphs}</div>"


def _table(results: Sequence[Result]) -> Html:
    table = lines(results)
    columns = [name for name in _used(table) if name != "net"]  # it stands in the column of the run
    head = "".join(f"<th{_kind(name)}>{escape(getattr(_HEADS, name))}</th>" for name in columns)
    body, run = [], -1
    for line, following in zip(table, [*table[1:], None], strict=True):
        run += bool(line.run)
        dot = f'<i style="background:{cycle(run)}"></i>' if line.run else ""
        cells = "".join(f"<td{_kind(name)}>{escape(getattr(line, name))}</td>" for name in columns[1:])
        kind = "twin" if not line.run else "joined" if following and not following.run else ""
        body.append(f'<tr class="{kind}"><td class=name>{dot}{escape(line.run or line.net)}</td>{cells}</tr>')
    return f"<div class=compare><table><tr class=head>{head}</tr>{''.join(body)}</table></div>"


def _kind(column: str) -> str:
    return "" if column in _TEXTS else " class=figure"


def _apart(results: Sequence[Result], names: Sequence[str]) -> Html:
    apart = differences(results)
    if not apart:
        return "<p>Nothing: the configurations are equal.</p>"
    head = "".join(f'<th><i style="background:{cycle(k)}"></i>{escape(name)}</th>' for k, name in enumerate(names))
    rows = "".join(
        f"<tr><th>{escape(field)}</th>{''.join(f'<td>{escape(_setting(v))}</td>' for v in values)}</tr>"
        for field, values in apart.items()
    )
    return f"<div class=compare><table><tr><th></th>{head}</tr>{rows}</table></div>"
