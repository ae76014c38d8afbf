"""How accuracy falls under noise, as curves of a spiking network and its ANN twin: a page of its own, or a section."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .extra import Extra
from .page import Html, Page, Section, escape, render, require_folder, write_page
from .robustness_curves import Panel, Robustness

if TYPE_CHECKING:
    from bokeh.models import Model

_EXPLAINED = {
    "input noise": "Gaussian noise on every pixel, before the image is encoded.",
    "spike deletion": "Each hidden spike is lost with this probability.",
    "spike jitter": "Each hidden spike moves to an earlier or later step; spikes that meet become one.",
    "weight noise": "Gaussian errors on all weights, in units of the root mean square of their tensor.",
    "dead neurons": "This share of each hidden layer never fires.",
}
_OF_THE_TWIN = {
    "spike deletion": "In the ANN, in its only step, an activation becomes 0.",
    "dead neurons": "In the ANN its activations are 0.",
}


def write_robustness_page(path: str | os.PathLike[str], robustness: Robustness) -> None:
    """Write the curves as one HTML file that loads nothing from anywhere.

    Raises:
        FileError: the folder is missing or cannot be written.
    """
    from . import canvas  # bokeh takes a second to import

    require_folder(path)
    scripts, places = canvas.embed(charts(robustness))
    undisturbed = _undisturbed(robustness)
    facts = {**undisturbed, "chance": f"{100 * robustness.chance:.3g} %", **robustness.facts}
    sections = [
        Section("Accuracy under disturbance", panels(robustness, places), notes(robustness)),
        Section("Accuracy lost", losses(robustness), _LOSS_NOTE if _pairs(robustness) else ""),
    ]
    page = Page("robustness", robustness.run, headline(robustness), facts, sections, scripts, STYLE)
    write_page(path, render(page))


def charts(robustness: Robustness) -> dict[str, Model]:
    """The chart of each perturbation, by a name under which :func:`panels` looks for its place on the page."""
    from .robustness_charts import falling

    return {
        _name(k): falling(panel, robustness.chance)
        for k, panel in enumerate(robustness.panels)
        if not panel.spiking.skipped
    }


def as_extra(robustness: Robustness) -> Extra:
    """All of it as one section of another page."""
    note = f"<p class=note>{escape(_LOSS_NOTE)}</p>" if _pairs(robustness) else ""

    def section(places: Mapping[str, Html]) -> Section:
        lost = f"<h3>Accuracy lost</h3>{note}{losses(robustness)}"
        body = f"<p>{escape(headline(robustness))}</p>{panels(robustness, places)}<div class=lost>{lost}</div>"
        return Section("Robustness", body, notes(robustness), anchor="robustness")

    return Extra(lambda: charts(robustness), section, STYLE)


def panels(robustness: Robustness, places: Mapping[str, Html]) -> Html:
    """The charts in a grid, each with what its perturbation is."""
    parts = []
    for k, panel in enumerate(robustness.panels):
        lines = (("network", panel.spiking), ("ANN twin", panel.ann))
        words = [_EXPLAINED.get(panel.title, ""), _OF_THE_TWIN.get(panel.title, "") if panel.ann else ""]
        words += [f"Not for the {who}: {line.skipped}." for who, line in lines if line and line.skipped]
        note, title = escape(" ".join(filter(None, words))), escape(panel.title.capitalize())
        parts.append(f"<div><h3>{title}</h3><p class=note>{note}</p>{places.get(_name(k), '')}</div>")
    return f"<div class='pair perturbations'>{''.join(parts)}</div>"


def notes(robustness: Robustness) -> str:
    """How to read the curves."""
    twin = any(panel.ann for panel in robustness.panels)
    parts = [
        "Lines are means over seeds of training and repeats, bands one standard deviation.",
        "The network and its ANN twin of equal shape meet the same random disturbances." if twin else "",
        "A silent or tied output is no answer and counts as wrong, so accuracy can fall below chance.",
        robustness.note,
    ]
    return " ".join(part for part in parts if part)


def losses(robustness: Robustness) -> Html:
    """A table: accuracy lost, averaged over the levels above 0."""
    twin = any(panel.ann for panel in robustness.panels)
    head = ["", "spiking", *(["ANN twin", "ANN − spiking", "holds better"] if twin else [])]
    rows = []
    for panel in robustness.panels:
        if panel.spiking.skipped or len(panel.levels) < 2:
            continue
        cells = [_spread(panel.spiking.lost)]
        if twin and panel.compared and panel.ann:
            cells += [_spread(panel.ann.lost), _spread(panel.ann.lost - panel.spiking.lost, sign=True), _better(panel)]
        elif twin:
            cells += ["–", "–", "–"]
        last = len(cells) - 1 if twin else len(cells)
        kinds = ["" if k == last else " class=number" for k in range(len(cells))]
        data = "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, cells, strict=True))
        rows.append(f"<tr><th scope=row>{escape(panel.title)}</th>{data}</tr>")
    titles = "".join(f"<th scope=col>{escape(h)}</th>" for h in head)
    return f"<div class=wide><table class=losses><tr>{titles}</tr>{''.join(rows)}</table></div>"


def headline(robustness: Robustness) -> str:
    """What the curves say, in words.

    >>> from .robustness_curves import Line
    >>> line = lambda *rows: Line(np.array(rows))
    >>> spiking, ann = line([0.9, 0.9], [0.8, 0.8]), line([0.9, 0.9], [0.6, 0.61])
    >>> panel = Panel("dead neurons", "", np.array([0, 0.5]), spiking, ann)
    >>> headline(Robustness("a", 0.1, {}, [panel]))
    'The spiking network holds better under dead neurons.'
    """
    pairs = _pairs(robustness)
    if not pairs:
        measured = [p for p in robustness.panels if not p.spiking.skipped and len(p.levels) > 1]
        if not measured:
            return "Nothing was measured."
        worst = max(measured, key=lambda p: float(p.spiking.lost.mean()))
        points = f"{100 * float(worst.spiking.lost.mean()):.1f} points"
        return f"The network loses most under {worst.title}: {points}, averaged over the levels tried."
    said = {who: [p.title for p in pairs if _better(p) == who] for who in ("spiking", "ANN", _NEITHER, _UNKNOWN)}
    texts = {
        "spiking": "the spiking network holds better under {}",
        "ANN": "the ANN twin holds better under {}",
        _NEITHER: "no clear difference under {}",
        _UNKNOWN: "a single repeat cannot tell them apart under {}",
    }
    parts = [texts[who].format(_listed(titles)) for who, titles in said.items() if titles]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


_NEITHER, _UNKNOWN = "no clear difference", "spread unknown"
_LOSS_NOTE = (
    "In percentage points, averaged over the levels above 0; mean ± standard deviation over seeds and repeats. "
    "A network holds better where the difference, pair by pair, is more than twice its standard deviation."
)
STYLE = """
.lost { margin-top: 26px; }
.perturbations { gap: 30px 36px; }
.perturbations .note { margin-bottom: 6px; min-height: 3.1em; }
.wide { overflow-x: auto; }
table.losses th, table.losses td { overflow-wrap: normal; white-space: nowrap; padding-right: 28px; }
table.losses th[scope=col]:not(:first-child) { text-align: right; }
table.losses th[scope=col]:nth-child(5), table.losses td:nth-child(5) { text-align: left; }
table.losses th[scope=row] { color: inherit; }
"""


def _name(number: int) -> str:
    return f"robustness{number}"


def _pairs(robustness: Robustness) -> list[Panel]:
    return [panel for panel in robustness.panels if panel.compared]


def _better(panel: Panel) -> str:
    assert panel.ann is not None
    difference = panel.ann.lost - panel.spiking.lost
    if len(difference) < 2:
        return _UNKNOWN
    mean, sd = float(difference.mean()), float(difference.std(ddof=1))
    if abs(mean) <= 2 * sd or math.isclose(mean, 0.0, abs_tol=1e-12):
        return _NEITHER
    return "spiking" if mean > 0 else "ANN"


def _undisturbed(robustness: Robustness) -> dict[str, object]:
    """The accuracy at level 0, which all panels share."""
    for panel in robustness.panels:
        if not panel.spiking.skipped and panel.levels[0] == 0:
            lines = {"accuracy, spiking": panel.spiking, "accuracy, ANN twin": panel.ann}
            return {
                name: f"{100 * float(line.mean[0]):.1f} %" for name, line in lines.items() if line and not line.skipped
            }
    return {}


def _spread(values: np.ndarray, *, sign: bool = False) -> str:
    mean = f"{100 * float(values.mean()):{'+' if sign else ''}.1f}".replace("-", "−")
    return f"{mean} ± {100 * float(values.std(ddof=1)):.1f}" if len(values) > 1 else mean


def _listed(names: Sequence[str]) -> str:
    """
    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
