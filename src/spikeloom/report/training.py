"""The report of a training run: one HTML file, readable offline, that says what came out and how."""

from __future__ import annotations

import base64
import dataclasses
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ParameterError, ShapeError
from .extra import Extra
from .page import Html, Page, Section, escape, render, require_folder, run_details, write_page

if TYPE_CHECKING:
    from bokeh.models import Model


@dataclasses.dataclass(frozen=True)
class LayerActivity:
    """One layer's answer to the test image that the report shows, and its mean activity.

    Args:
        name: the layer's name, such as "1 LIF".
        spikes: 0/1 of shape [T, N] for that image; None for a read-out without spikes.
        v: the membrane [T, N] for that image, or None.
        rate: mean spikes per neuron and step over the whole test set, or None.

    Raises:
        ShapeError: spikes or v are not [T, N], or not of one shape.
    """

    name: str
    spikes: np.ndarray | None
    v: np.ndarray | None
    rate: float | None

    def __post_init__(self) -> None:
        shapes = {np.shape(a) for a in (self.spikes, self.v) if a is not None}
        if len(shapes) > 1 or any(len(s) != 2 for s in shapes):
            raise ShapeError(f"activity of layer {self.name}", got=sorted(shapes), expected="one shape (T, N)")


@dataclasses.dataclass(frozen=True)
class TrainingReport:
    """Everything the report of a training run shows.

    Args:
        title: name of the run.
        summary: facts of the run by name. Numbers and short texts stand at the top of the page (an
            "accuracy" between 0 and 1 as a percentage); lists and mappings (kernels, versions) are below.
        config: the resolved configuration, nested mappings.
        curves: one value per epoch by name; the last word of a name is its quantity ("train loss").
        confusion: counts [C, C], one row per true class.
        class_names: C names.
        image: [H, W], the test image shown; larger values are lighter.
        label, prediction: its true and its predicted class.
        layers: the network's layers in order, from input to read-out.
        dt: length of a time step in ms.
        extras: sections before the last, such as what the run costs in joules.

    Raises:
        ShapeError: the confusion matrix, the names or the image have the wrong shape.
        ParameterError: ``dt`` is not positive.
    """

    title: str
    summary: Mapping[str, object]
    config: Mapping[str, object]
    curves: Mapping[str, Sequence[float]]
    confusion: np.ndarray
    class_names: Sequence[str]
    image: np.ndarray
    label: str
    prediction: str
    layers: Sequence[LayerActivity]
    dt: float
    extras: Sequence[Extra] = ()

    def __post_init__(self) -> None:
        classes = len(self.class_names)
        if not classes or np.shape(self.confusion) != (classes, classes):
            raise ShapeError("confusion matrix", got=np.shape(self.confusion), expected=(max(classes, 1),) * 2)
        if np.ndim(self.image) != 2:
            raise ShapeError("test image", got=np.shape(self.image), expected="(H, W)")
        if not self.dt > 0:
            raise ParameterError("dt is out of range", got=self.dt, expected="> 0 ms")


def write_training_report(path: str | os.PathLike[str], report: TrainingReport) -> None:
    """Write the report as one HTML file that loads nothing from anywhere.

    Raises:
        FileError: the folder is missing or cannot be written.

    >>> import tempfile, pathlib
    >>> layer = LayerActivity("1 LIF", np.eye(4), np.zeros((4, 4)), rate=0.25)
    >>> report = TrainingReport("digits", {"test accuracy": 0.9}, {"seed": 1}, {"train loss": [1.0, 0.5]},
    ...     np.array([[9, 1], [1, 9]]), ["0", "1"], np.eye(8), "0", "0", [layer], dt=1.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_training_report(pathlib.Path(folder, "report.html"), report)
    ...     "18 of 20 test images" in pathlib.Path(folder, "report.html").read_text(encoding="utf-8")
    True
    """
    require_folder(path)
    write_page(path, _document(report))


def headline(confusion: np.ndarray, class_names: Sequence[str]) -> str:
    """What the confusion matrix says, in words.

    >>> headline(np.array([[8, 2], [0, 10]]), ["cat", "dog"])
    '18 of 20 test images recognised (90.0 %). The most frequent mistake: cat taken for dog, 2 times.'
    >>> headline(np.array([[9, 1], [1, 9]]), ["cat", "dog"])
    '18 of 20 test images recognised (90.0 %). No mistake was made more than once.'
    """
    counts = np.asarray(confusion)
    total, right = counts.sum(), np.trace(counts)
    if not total > 0:
        return "No test image was classified."
    text = f"{right:,.0f} of {total:,.0f} test images recognised ({100 * right / total:.1f} %)."
    wrong = counts * (1 - np.eye(len(counts), dtype=int))
    if not wrong.any():
        return text
    row, column = np.unravel_index(np.argmax(wrong), wrong.shape)
    times = wrong[row, column]
    if times == 1:
        return f"{text} No mistake was made more than once."
    mistake = f"{class_names[int(row)]} taken for {class_names[int(column)]}"
    return f"{text} The most frequent mistake: {mistake}, {times:,.0f} times."


def _document(report: TrainingReport) -> str:
    from . import canvas  # bokeh takes a second to import

    charts, skipped = _charts(report)
    for extra in report.extras:
        charts |= extra.charts()
    scripts, places = canvas.embed(charts)
    sections = [
        Section("One test image, layer by layer", _activity(report, places), _raster_note(skipped)),
        Section("Learning and mistakes", _pair(places)),
        Section("Spikes per layer", places.get("bars", ""), "Mean over the whole test set."),
        *(extra.section(places) for extra in report.extras),
        Section("How it was made", run_details(report.summary, report.config)),
    ]
    shown = [s for s in sections if s.title != "Spikes per layer" or "bars" in places]
    words = headline(report.confusion, report.class_names)
    style = "".join(extra.style for extra in report.extras)
    return render(Page("training report", report.title, words, report.summary, shown, scripts, style))


def _charts(report: TrainingReport) -> tuple[dict[str, Model], int]:
    """The charts by name, and k where the rasters show only every k-th neuron."""
    from . import activity, charts

    layers = [
        activity.Layer(
            layer.name,
            None if layer.spikes is None else np.asarray(layer.spikes),
            None if layer.v is None else np.asarray(layer.v, float),
        )
        for layer in report.layers
    ]
    classes = activity.Classes([str(n) for n in report.class_names], str(report.label), str(report.prediction))
    raster, membranes = activity.activity(layers, report.dt, classes)
    rates = {layer.name: layer.rate for layer in report.layers if layer.rate is not None}
    drawn = {
        "raster": raster,
        "membranes": membranes,
        "curves": charts.learning_curves(report.curves),
        "confusion": charts.confusion_matrix(np.asarray(report.confusion), [str(n) for n in report.class_names]),
        "bars": charts.spikes_per_layer(rates, report.dt),
    }
    return {name: chart for name, chart in drawn.items() if chart is not None}, activity.thinning(layers)


def _raster_note(every: int) -> str:
    from .canvas import HINT

    part = (
        f" Only one neuron in {every} is drawn, since there are more spikes than a page can hold." if every > 1 else ""
    )
    return f"Each mark is a spike. Click one to see the membrane of its neuron. {HINT}{part}"


def _activity(report: TrainingReport, places: Mapping[str, Html]) -> Html:
    hidden = any(layer.spikes is not None and layer.v is not None for layer in report.layers)
    readout = any(layer.spikes is None and layer.v is not None for layer in report.layers)
    note = "Of a spiking layer: the neuron that fired most, the middle one and the one that fired least. " * hidden
    note += "The read-out is named by class." * readout
    parts = {"raster": "<h3>Spikes</h3>", "membranes": f"<h3>Membrane voltages</h3><p class=note>{note}</p>"}
    charts = "".join(title + places[name] for name, title in parts.items() if name in places)
    return f"<div class=split>{_picture(report)}<div>{charts}</div></div>"


def _picture(report: TrainingReport) -> Html:
    right = str(report.label) == str(report.prediction)
    verdict = "recognised" if right else f"taken for {report.prediction}"
    source, meaning = _png(np.asarray(report.image, float)), f"the test image, class {report.label}"
    return (
        f'<figure><img src="{source}" alt="{escape(meaning)}">'
        f"<figcaption><b>{escape(report.label)}</b><span>{escape(verdict)}</span></figcaption></figure>"
    )


def _pair(places: Mapping[str, Html]) -> Html:
    titles = {"curves": "Learning curves", "confusion": "Confusion matrix of the test set"}
    parts = (f"<div><h3>{title}</h3>{places[name]}</div>" for name, title in titles.items() if name in places)
    return f"<div class=pair>{''.join(parts)}</div>"


def _png(image: np.ndarray) -> str:
    """A grey image as the address of a PNG that is part of the page; its values are stretched to 0..255."""
    finite = np.nan_to_num(image, posinf=0.0, neginf=0.0)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    grey = np.round(255 * (finite - low) / ((high - low) or 1.0)).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in grey)
    height, width = grey.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()
