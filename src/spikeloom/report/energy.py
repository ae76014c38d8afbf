"""What a sample costs in joules, spiking network and ANN side by side: a section of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..energy.joules import si, total_text
from ..energy.prices import Price
from ..energy.report import EnergyReport
from ..energy.text import COLUMNS, notes, rows
from .extra import Extra
from .page import Html, Section, details, escape
from .palette import FAINT, GRID, MUTED

if TYPE_CHECKING:
    from bokeh.models import Model

_NOTE = (
    "Operations counted on the test set, connection by connection, times the published cost of one. An operation "
    "counts as an accumulate (AC) only in a layer whose every input is 0 or 1. All joules are per sample. "
    "Break-even is the spikes per neuron and step at which the spiking network would cost as much as the ANN."
)
STYLE = f"""
.energy table {{ margin: 6px 0 14px; }}
.energy td.number, .energy th.number {{ text-align: right; padding-right: 18px; }}
.energy td, .energy th {{ white-space: nowrap; }}
.energy thead th {{ border-bottom: 1px solid {FAINT}; vertical-align: bottom; }}
.energy tr.whole td {{ border-top: 1px solid {FAINT}; font-weight: 600; }}
.energy tr.second td {{ border-bottom: 1px solid {FAINT}; }}
.energy .scroll {{ overflow-x: auto; }}
.energy h3 {{ margin-top: 22px; }}
.energy .key span {{ display: inline-block; width: 11px; height: 11px; margin: 0 5px 0 14px; border-radius: 2px; }}
.energy .key span:first-child {{ margin-left: 0; }}
.energy .key {{ color: {MUTED}; font-size: 13px; margin: 6px 0; }}
.energy ul {{ margin: 6px 0; padding-left: 20px; font-size: 14px; max-width: 64em; }}
.energy li {{ margin: 2px 0; border-color: {GRID}; }}
"""


def energy_extra(report: EnergyReport) -> Extra:
    """The section, its charts and its style, for :class:`~spikeloom.report.training.TrainingReport`'s ``extras``."""
    return Extra(lambda: charts(report), lambda places: _section(report, places), STYLE)


def charts(report: EnergyReport) -> dict[str, Model]:
    """Joules layer by layer, one chart for each profile that has a price for all of it."""
    from .energy_charts import per_layer

    return {_place(k): per_layer(price) for k, price in enumerate(report.prices) if price.total.total and _whole(price)}


def headline(report: EnergyReport) -> str:
    """Both absolute numbers under the first profile, and what is assumed about accuracy."""
    price = report.prices[0]
    text = f"{price.title}: a sample costs {total_text(price.total)} in the spiking network"
    if price.ann_total is None:
        return f"{text}; no ANN was measured beside it (--baseline trains one)."
    text += f" and {total_text(price.ann_total)} in the ANN"
    if report.accuracies is None:
        return f"{text}. Their accuracies were not given."
    a = report.accuracies
    return f"{text}, at test accuracies of {100 * a.spiking:.2f} % and {100 * a.ann:.2f} %. {price.verdict}"


def _section(report: EnergyReport, places: Mapping[str, Html]) -> Section:
    drawn = [(price, places[_place(k)]) for k, price in enumerate(report.prices) if _place(k) in places]
    figures = "".join(f"<div><h3>{escape(price.title)}</h3>{place}</div>" for price, place in drawn)
    rate = f"<li>Measured: {report.spiking.spikes_per_neuron_step:.3g} spikes per neuron and step.</li>"
    remarks = rate + "".join(
        f"<li>{escape(note)}</li>" for note in notes(report.spiking, report.ann, report.accuracies)
    )
    sources = "".join(f"<h3>{escape(p.title)}</h3><p>{escape(p.source)}</p>" for p in report.prices)
    body = (
        f"<div class=energy><p>{escape(headline(report))}</p>{_joules(report)}<ul>{remarks}</ul>{_key()}"
        f"<div class=pair>{figures}</div>{details('operations, layer by layer', _counts(report))}"
        f"{details('where the numbers come from', sources)}</div>"
    )
    return Section("Energy", body, _NOTE, anchor="energy")


def _place(k: int) -> str:
    return f"energy-{k}"


def _whole(price: Price) -> bool:
    return not price.total.unpriced


def _key() -> Html:
    from .energy_charts import PARTS

    words = {"compute": "synapses, pooling, norms", "neurons": "neuron updates", "memory": "memory"}
    squares = "".join(f'<span style="background:{colour}"></span>{words[part]}' for part, colour in PARTS.items())
    return f"<p class=key>{squares}</p>"


def _joules(report: EnergyReport) -> Html:
    held = any(price.held is not None for price in report.prices)
    head = ["hardware", "network", "synapses", "neurons", "memory", "total"]
    head += ["input once"] if held else []
    head += [] if report.ann is None else ["break-even"]
    lines: list[tuple[Sequence[str], str]] = []
    for price in report.prices:
        for who, cost in (("spiking", price.total), ("ANN", price.ann_total)):
            if cost is None:
                continue
            own = who == "spiking"
            parts = [si(part) if part else "–" for part in (cost.compute, cost.neurons, cost.memory)]
            row = [price.title if own else "", who, *parts, total_text(cost)]
            row += [si(price.held) if own and price.held is not None else ""] if held else []
            row += [] if report.ann is None else [_even(price) if own else ""]
            lines.append((row, "" if own and report.ann is not None else "second"))
    return _table(head, lines, words=2)


def _even(price: Price) -> str:
    if price.unpriced:
        return "–"
    if price.break_even is None:
        whole = price.ann_total.total if price.ann_total else 0.0
        return "at no rate" if price.silent >= whole else "at every rate"
    return f"{price.break_even:.3g}" if price.break_even <= 1 else "at every rate"


def _counts(report: EnergyReport) -> Html:
    parts = []
    for name, run in (("Spiking network", report.spiking), ("ANN", report.ann)):
        if run is None:
            continue
        *layers, total = rows(run)
        steps = f"{run.steps:g} step{'s' if run.steps != 1 else ''}"
        title = f"<h3>{name}: operations per sample, {steps}, mean of {run.samples:,} samples</h3>"
        lines = [*((row, "") for row in layers), (total, "whole")]
        parts.append(title + _table(COLUMNS, lines, words=3))
    return "".join(parts)


def _table(head: Sequence[str], lines: Sequence[tuple[Sequence[str], str]], *, words: int) -> Html:
    """Rows of cells with a CSS class each; the first ``words`` columns are text, the others numbers."""

    def cells(row: Sequence[str], tag: str) -> Html:
        kinds = ("" if k < words else " class=number" for k in range(len(row)))
        return "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, row, strict=True))

    body = "".join(f'<tr class="{kind}">{cells(row, "td")}</tr>' for row, kind in lines)
    return f"<div class=scroll><table><thead><tr>{cells(head, 'th')}</tr></thead><tbody>{body}</tbody></table></div>"
