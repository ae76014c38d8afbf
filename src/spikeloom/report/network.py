"""The report of a simulated network: its spikes at any zoom, its statistics, its figures, its connections."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..networks.facts import Fact
from ..sim.groups import Population
from ..sim.network import Network
from ..sim.result import Result
from ..sim.spike_trains import SpikeTrains
from .page import Html, Page, Section, escape, render, require_folder, run_details, write_page

if TYPE_CHECKING:
    from ..networks.config import NetworkConfig

_TITLES = {
    "rates": "Rates of neurons",
    "intervals": "Intervals between spikes",
    "cv": "Irregularity",
    "spectra": "Spectra of the populations' spikes",
}
# Facts of a summary that the page shows in words, tables or charts of its own.
_ELSEWHERE = (
    "network", "facts", "complete", "config", "simulated_ms", "neurons", "sources", "synapses", "spikes", "details",
)  # fmt: skip
# What the parts of a summary are called on the page, and the rows of each.
_CALLED: dict[str, tuple[str, Mapping[str, str]]] = {
    "times_s": (
        "times (s)",
        {"build": "connecting", "compile": "compiling and the first part", "run": "the other parts"},
    ),
    "memory_mib": ("memory (MiB)", {"network": "the network", "process_peak": "the process at its peak"}),
}  # fmt: skip
_UNJUDGED = "Not judged: what these spikes are too few for, and what no range was published for."
_CV = "Mean CV, unbiased: of neurons with five spikes or more, the variance of their intervals divided by n − 1. "
_OTHER_CV = (
    "A CV under Figures may differ: there the variance is divided by n, as in what was published, and the record may "
    "be another one. "
)
_CORRELATION = "Correlation: of the counts in 5 ms, mean over the pairs of up to 200 neurons."
_PIXEL = 2 / 3  # of a page, that a pixel of a picture takes
# Seven cards stand in a row of 1,036 pixels; two lines for their names leave room for a long number.
_STYLE = """
.cards { column-gap: 28px; }
.cards div { justify-content: flex-end; }
.cards dt { max-width: 120px; line-height: 1.35; }
"""


def write_network_report(
    folder: str | os.PathLike[str], config: NetworkConfig, result: Result, facts: Mapping[str, Fact], *,
    net: Network | None = None, summary: Mapping[str, object] | None = None,
    pictures: Mapping[str, bytes] | None = None,
) -> None:  # fmt: skip
    """Write ``report.html`` into ``folder``: one file that loads nothing from anywhere.

    ``facts`` are figures beside published ones, ``net`` gives the connections, ``summary`` what else is known of the
    run: its name (``network``), times, memory, machine, versions. ``pictures`` are PNG files by name, shown as
    they are. Statistics leave out ``config.discard``.

    Raises:
        FileError: the folder is missing or cannot be written.

    >>> import tempfile
    >>> from spikeloom.networks import NetworkConfig
    >>> trains = SpikeTrains.of_arrays([1.0, 2.0, 7.0], [0, 1, 0], 2, 0.0, 10.0)
    >>> result = Result({"cells": trains}, {}, 0.0, 10.0, 0.1, True, 0.5, 0)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_network_report(place, NetworkConfig(duration=10.0, discard=0.0), result, {})
    ...     "3 spikes in 10 ms" in Path(place, "report.html").read_text(encoding="utf-8")
    True
    """
    path = Path(folder) / "report.html"
    require_folder(path)
    write_page(path, _document(config, result, facts, net, summary or {}, pictures or {}))


def headline(
    config: NetworkConfig, result: Result, facts: Mapping[str, Fact], net: Network | None = None
) -> str:  # fmt: skip
    """What came out, in words; sources of spikes in ``net`` are no neurons."""
    cells = _cells(result, net)
    count, neurons = sum(len(t) for t in cells.values()), sum(t.size for t in cells.values())
    words = f"{_many(neurons, 'neuron')} and {_many(result.synapses, 'synapse', 'synapses')}: "
    words += f"{_many(count, 'spike')} in {result.end - result.begin:,g} ms"
    if len(cells) < len(result.spikes):
        others = sum(len(t) for t in result.spikes.values()) - count
        words += f" (and {others:,} of sources, which the raster shows too)"
    late = observed(config, result)
    busy = {name: late[name].rate() for name in cells if result.begin < result.end}
    if 0 < len(busy) < 5:
        since = f" after the first {config.discard:,g} ms" if result.begin < config.discard < result.end else ""
        words += f"; {', '.join(f'{name} at {rate:.3g} Hz' for name, rate in busy.items())}{since}"
    words += "."
    words += _met(facts)
    return words if result.complete else f"Stopped at {result.end:,g} of {config.length:,g} ms. {words}"


def _met(facts: Mapping[str, Fact]) -> str:
    """How many of the published figures were met, and how many cannot be judged."""
    published = _verdicts(facts)
    judged, met = len(published) - published.count(None), published.count(True)
    if not judged:
        return f" {_many(len(published), 'published figure')} not judged." if published else ""
    rest = f"; {published.count(None)} more not judged" if None in published else ""
    return f" {met} of {_many(judged, 'published figure')} met{rest}."


def _verdicts(facts: Mapping[str, Fact]) -> list[bool | None]:
    return [fact.within for fact in facts.values() if fact.published is not None]


def _cells(result: Result, net: Network | None) -> dict[str, SpikeTrains]:
    """Spikes of populations; of everything where the network is not known."""
    sources = [] if net is None else [n for n, group in net.groups.items() if not isinstance(group, Population)]
    return {name: trains for name, trains in result.spikes.items() if name not in sources}


def observed(config: NetworkConfig, result: Result) -> dict[str, SpikeTrains]:
    """The spikes that statistics are of: without the first ``discard`` ms, where there are later ones."""
    begin = max(result.begin, config.discard)
    if not begin < result.end:
        return dict(result.spikes)
    return {name: trains.window(begin, result.end) for name, trains in result.spikes.items()}


def _document(
    config: NetworkConfig, result: Result, facts: Mapping[str, Fact], net: Network | None,
    summary: Mapping[str, object], pictures: Mapping[str, bytes],
) -> str:  # fmt: skip
    from . import canvas  # bokeh takes a second to import
    from .network_charts import statistics_charts
    from .network_raster import STYLE as RASTER_STYLE
    from .network_raster import raster
    from .network_tables import STYLE as TABLE_STYLE
    from .network_tables import facts_table, inputs_table, populations_table, wiring, wiring_table

    some = bool(result.spikes) and result.begin < result.end
    late = observed(config, result) if some else {}
    span = f"From {next(iter(late.values())).begin:,g} to {result.end:,g} ms. " if late else ""
    published = _verdicts(facts)
    picture = raster(result.spikes, result.dt, (result.begin, result.end)) if some else None
    scripts, places = canvas.embed(statistics_charts(late, result.dt))
    sections = [
        Section(
            f"Figures{' beside those published' * bool(published)}",
            facts_table(facts) if facts else "",
            _UNJUDGED * (None in published),
        ),
        Section("Pictures", _shown(pictures)),
        Section("Spikes and rates", picture.body, picture.note) if picture else _nothing(result),
        Section(
            "Populations",
            populations_table(late) if late else "",
            f"{span}{_CV}{_OTHER_CV * any(name.startswith('CV') for name in facts)}{_CORRELATION}",
        ),
        Section("Statistics", _grid(places, list(late)), f"{span}{canvas.HINT}"),
        Section("Connections", wiring_table(wires) if (wires := [] if net is None else wiring(net)) else ""),
        Section("Input", inputs_table(net) if net is not None else ""),
        Section("How it was made", run_details(_rest(summary), _plain(config))),
    ]
    shown = [section for section in sections if section.body]
    title = str(summary.get("network") or config.name or "network")
    words, style = headline(config, result, facts, net), _STYLE + TABLE_STYLE + RASTER_STYLE
    cards = _cards(result, _cells(result, net), summary)
    scripts = [picture.script, *scripts] if picture else scripts
    return render(Page("network report", title, words, cards, shown, scripts, style))


def _nothing(result: Result) -> Section:
    """In place of the raster, why there is none."""
    why = "no spikes were kept" if result.begin < result.end else f"the run ended where it began, at {result.end:,g} ms"
    return Section("Spikes and rates", f"<p>There is nothing to show: {why}.</p>")


def _grid(places: Mapping[str, Html], names: list[str]) -> Html:
    from .network_tables import legend

    parts = "".join(f"<div><h3>{_TITLES[name]}</h3>{body}</div>" for name, body in places.items())
    return f"{legend(names)}<div class=pair>{parts}</div>" if parts else ""


def _shown(pictures: Mapping[str, bytes]) -> Html:
    """Pictures as they are, none wider than the page."""
    parts: list[Html] = []
    for name, data in pictures.items():
        width = int.from_bytes(data[16:20], "big") * _PIXEL  # from the head of the file
        source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        parts.append(f'<p><img style="width: {width:.0f}px; max-width: 100%" alt="{escape(name)}" src="{source}"></p>')
    return "".join(parts)


def _cards(result: Result, cells: Mapping[str, SpikeTrains], summary: Mapping[str, object]) -> dict[str, object]:
    span = round(float(result.end - result.begin), 6)
    sources = len(cells) < len(result.spikes)
    cards: dict[str, object] = {
        "neurons": sum(t.size for t in cells.values()),
        "synapses": result.synapses,
        "spikes of neurons" if sources else "spikes": sum(len(t) for t in cells.values()),
        "simulated (ms)": int(span) if span.is_integer() else span,
        "wall time, compiling included (s)": result.wall_time,
    }
    if "wall_s_per_simulated_s" in summary:
        cards["wall s per simulated s, once compiled"] = summary["wall_s_per_simulated_s"]
    memory = summary.get("memory_mib")
    if isinstance(memory, Mapping) and memory.get("process_peak") is not None:
        cards["memory, peak (MiB)"] = memory["process_peak"]
    return cards


def _rest(summary: Mapping[str, object]) -> dict[str, object]:
    kept = {name: value for name, value in summary.items() if name not in _ELSEWHERE}
    return dict(_called(name, value) for name, value in kept.items())


def _called(name: str, value: object) -> tuple[str, object]:
    """A part of a summary as the page says it."""
    title, rows = _CALLED.get(name, (name, {}))
    return title, {rows.get(n, n): v for n, v in value.items()} if isinstance(value, Mapping) else value


def _plain(config: NetworkConfig) -> dict[str, object]:
    from ..train.run_folder import plain_config

    return plain_config(config)


def _many(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}" if count else f"no {several or one + 's'}"


__all__ = ["headline", "observed", "write_network_report"]
