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
from .thinning import thin

if TYPE_CHECKING:
    from bokeh.models import Model

    from .phase import PhasePlane

_POINTS = 12_000  # drawn per curve; more than twelve per pixel change nothing that can be seen
_SPIKES = "Spikes are marked above the first panel; a membrane that is reset is drawn up to its threshold."
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
        about: what is shown and where it was published, in a sentence.
        stimulus: [T] the injected current in ``current_unit``, where it changes with time.
        phase: the phase plane of a model with two states.

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
    about: str = ""
    stimulus: np.ndarray | None = None
    phase: PhasePlane | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.times)
        if len(shape) != 1:
            raise ShapeError("times", got=shape, expected="(T,)")
        for name, (values, _) in self.traces.items():
            if np.shape(values) != shape:
                raise ShapeError(f"trace of {name}", got=np.shape(values), expected=shape)
        if self.stimulus is not None and np.shape(self.stimulus) != shape:
            raise ShapeError("stimulus", got=np.shape(self.stimulus), expected=shape)
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
    about = f"{report.about.rstrip('.')}. " if report.about else ""
    return f"{about}{words}.{_curve_words(report)}"


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
        Section("States and spikes", places.get("traces", ""), f"{_SPIKES} {HINT}"),
        *_middle(report, places),
        Section("How it was made", long),
    ]
    kept = [s for s in sections if s.body]
    return render(Page("neuron report", report.title, headline(report), report.summary, kept, scripts))


def _middle(report: NeuronReport, places: Mapping[str, Html]) -> list[Section]:
    """The firing rate with the phase plane or the parameters beside it, and the equations with what is left."""
    parameters = _parameters(report.parameters) if report.parameters else ""
    formulas = equation_list(report.equations) if report.equations else ""
    rate = places.get("fi", "")
    if "phase" in places:
        note = "Filled resting points are stable, open ones are not. Dotted: the jumps of a reset."
        return [
            Section(_named(("Phase plane", "p"), ("firing rate", rate)), _beside("pair", places["phase"], rate), note),
            Section(
                _named(("equations", formulas), ("parameters", parameters)), _beside("wide-pair", formulas, parameters)
            ),
        ]
    title = _named(("firing rate", rate), ("parameters", parameters))
    return [Section(title, _beside("wide-pair", rate, parameters)), Section("Equations", formulas)]


def _named(*parts: tuple[str, Html]) -> str:
    return " and ".join(name for name, body in parts if body).capitalize()


def _beside(kind: str, *parts: Html) -> Html:
    body = "".join(f"<div>{part}</div>" for part in parts if part)
    return f"<div class={kind}>{body}</div>" if body else ""


def _parameters(parameters: Mapping[str, tuple[object, str]]) -> Html:
    rows = (
        f"<tr><th>{escape(name)}</th><td class=number>{escape(shown(value))}</td>"
        f"<td>{escape(pretty_unit(unit))}</td></tr>"
        for name, (value, unit) in parameters.items()
    )
    return f"<table>{''.join(rows)}</table>"


def _charts(report: NeuronReport) -> dict[str, Model]:
    from .neuron_charts import fi_curve, phase_plane, state_panels

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
        stimulus = None
        if report.stimulus is not None:
            stimulus = pretty_unit(report.current_unit), (times, np.asarray(report.stimulus, float))
        drawn["traces"] = state_panels(panels, np.ravel(report.spike_times), ends, stimulus)
    if len(report.currents):
        drawn["fi"] = fi_curve(report.currents, report.rates, pretty_unit(report.current_unit))
    if report.phase is not None:
        drawn["phase"] = phase_plane(report.phase)
    return drawn
