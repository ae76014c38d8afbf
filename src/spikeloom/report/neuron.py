"""The report of one neuron: its states and spikes, its f-I curve, its parameters and its equations."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ShapeError
from .equations import equation_list
from .labels import pretty_unit
from .page import Html, Page, Section, escape, render, require_folder, run_details, shown, write_page

if TYPE_CHECKING:
    from bokeh.models import Model

_POINTS = 12_000  # drawn per curve; more than twelve per pixel change nothing that can be seen
_VALUES = 400_000  # drawn in all, so that a model of many states stays a small page


@dataclasses.dataclass(frozen=True)
class NeuronReport:
    """Everything the report of a simulated neuron shows.

    Args:
        title: the model's name.
        summary: facts by name; brief ones stand at the top of the page.
        times: [T] in ms.
        traces: state name to ([T] values, unit); the first one carries the spikes.
        spike_times: [S] in ms.
        currents: injected currents [K] of the f-I curve, in ``current_unit``; may be empty.
        rates: firing rates [K] in Hz.
        current_unit: unit of ``currents``.
        parameters: parameter name to (value, unit).
        equations: LaTeX (with a backslash or between dollars) or plain text.

    Raises:
        ShapeError: a trace has not one value per time, or currents and rates differ in shape.
    """

    title: str
    summary: Mapping[str, object]
    times: np.ndarray
    traces: Mapping[str, tuple[np.ndarray, str]]
    spike_times: np.ndarray
    currents: np.ndarray
    rates: np.ndarray
    current_unit: str
    parameters: Mapping[str, tuple[object, str]]
    equations: Sequence[str]

    def __post_init__(self) -> None:
        shape = np.shape(self.times)
        if len(shape) != 1:
            raise ShapeError("times", got=shape, expected="(T,)")
        for name, (values, _) in self.traces.items():
            if np.shape(values) != shape:
                raise ShapeError(f"trace of {name}", got=np.shape(values), expected=shape)
        if np.ndim(self.currents) != 1 or np.shape(self.currents) != np.shape(self.rates):
            raise ShapeError("rates of the f-I curve", got=np.shape(self.rates), expected=np.shape(self.currents))


def write_neuron_report(path: str | os.PathLike[str], report: NeuronReport) -> None:
    r"""Write the report as one HTML file that loads nothing from anywhere.

    Raises:
        FileError: the folder is missing or cannot be written.

    >>> import tempfile, pathlib
    >>> t = np.arange(5.0)
    >>> report = NeuronReport("LIF", {}, t, {"v": (t, "mV")}, np.array([4.0]), t, 2 * t, "pA",
    ...     {"tau": (20.0, "ms")}, [r"\tau \dot v = -v + R i"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_neuron_report(pathlib.Path(folder, "report.html"), report)
    ...     "1 spike in 4 ms" in pathlib.Path(folder, "report.html").read_text(encoding="utf-8")
    True
    """
    require_folder(path)
    write_page(path, _document(report))


def headline(report: NeuronReport) -> str:
    """What the simulation and the f-I curve say, in words."""
    count = np.size(report.spike_times)
    span = float(report.times[-1] - report.times[0]) if len(report.times) else 0.0
    words = f"{count or 'No'} spike{'' if count == 1 else 's'} in {span:.4g} ms"
    gaps = np.diff(np.sort(np.ravel(report.spike_times)))
    if len(gaps) and gaps.mean() > 0:
        words += f", on average every {gaps.mean():.3g} ms ({1000 / gaps.mean():.3g} Hz)"
    return f"{words}.{_curve_words(report)}"


def thin(values: np.ndarray, limit: int) -> np.ndarray:
    """Indices of at most ``limit`` points that keep every peak: the lowest and highest of each stretch.

    >>> thin(np.array([0.0, 9.0, 0.0, 0.0, -9.0, 0.0]), limit=4)
    array([0, 1, 3, 4])
    """
    count = len(values)
    if count <= limit:
        return np.arange(count)
    length = -(-count // (limit // 2))
    padded = np.full(-(-count // length) * length, np.nan)
    padded[:count] = values
    blocks = padded.reshape(-1, length)
    start = np.arange(len(blocks)) * length
    low = np.argmin(np.where(np.isnan(blocks), np.inf, blocks), axis=1)
    high = np.argmax(np.where(np.isnan(blocks), -np.inf, blocks), axis=1)
    return np.unique(np.concatenate([start + low, start + high]))


def _curve_words(report: NeuronReport) -> str:
    rates, currents = np.asarray(report.rates, float), np.asarray(report.currents, float)
    firing = np.flatnonzero(rates > 0)
    if not len(rates):
        return ""
    unit = pretty_unit(report.current_unit)
    if not len(firing):
        return f" It stays silent up to {currents[-1]:.4g} {unit}."
    top = int(np.nanargmax(rates))
    return (
        f" Of the currents tried it fires from {currents[firing[0]]:.4g} {unit} on"
        f" and reaches {rates[top]:.3g} Hz at {currents[top]:.4g} {unit}."
    )


def _document(report: NeuronReport) -> str:
    from . import canvas  # bokeh takes a second to import
    from .canvas import HINT

    charts = _charts(report)
    scripts, places = canvas.embed(charts)
    long = run_details(report.summary)
    sections = [
        Section("States and spikes", places.get("traces", ""), f"Spikes are marked above the first panel. {HINT}"),
        Section(_middle_title(report), _middle(report, places)),
        Section("Equations", equation_list(report.equations) if report.equations else ""),
        Section("How it was made", long),
    ]
    kept = [s for s in sections if s.body]
    return render(Page("neuron report", report.title, headline(report), report.summary, kept, scripts))


def _middle_title(report: NeuronReport) -> str:
    parts = ["firing rate"] * bool(len(report.currents)) + ["parameters"] * bool(report.parameters)
    return " and ".join(parts).capitalize()


def _middle(report: NeuronReport, places: Mapping[str, Html]) -> Html:
    """The f-I curve and, beside it, the parameters."""
    parts = [places.get("fi", ""), _parameters(report.parameters) if report.parameters else ""]
    body = "".join(f"<div>{part}</div>" for part in parts if part)
    return f"<div class=wide-pair>{body}</div>" if body else ""


def _parameters(parameters: Mapping[str, tuple[object, str]]) -> Html:
    rows = (
        f"<tr><th>{escape(name)}</th><td class=number>{escape(shown(value))}</td>"
        f"<td>{escape(pretty_unit(unit))}</td></tr>"
        for name, (value, unit) in parameters.items()
    )
    return f"<table>{''.join(rows)}</table>"


def _charts(report: NeuronReport) -> dict[str, Model]:
    from .neuron_charts import fi_curve, state_panels

    drawn: dict[str, Model] = {}
    times = np.asarray(report.times, float)
    if report.traces and len(times):
        limit = min(_POINTS, _VALUES // len(report.traces))
        panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
        for name, (values, unit) in report.traces.items():
            values = np.asarray(values, float)
            keep = thin(values, limit)
            panels.setdefault(pretty_unit(unit), {})[name] = times[keep], values[keep]
        ends = (float(times[0]), float(times[-1]))
        drawn["traces"] = state_panels(panels, np.ravel(report.spike_times), ends)
    if len(report.currents):
        drawn["fi"] = fi_curve(report.currents, report.rates, pretty_unit(report.current_unit))
    return drawn
