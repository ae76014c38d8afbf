"""HTML reports: self-contained, safe against hostile names, atomic, and true to the data given."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import html
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from spikeloom.errors import FileError, ParameterError, ShapeError
from spikeloom.report import (
    LayerActivity,
    NeuronReport,
    TrainingReport,
    write_neuron_report,
    write_training_report,
)
from spikeloom.report.equations import equation
from spikeloom.report.page import shown, write_page
from spikeloom.report.thinning import thin

EVIL = "</script><script>alert('x')</script><img src=x onerror=alert(1)>$$x$$"
T, N, C = 20, 12, 3


def training(name="digits"):
    rng = np.random.default_rng(3)
    spikes = (rng.random((T, N)) < 0.3).astype(np.float32)
    layers = [
        LayerActivity("input", (rng.random((T, 16)) < 0.2) * 1.0, None, 0.2),
        LayerActivity(name, spikes, rng.normal(size=(T, N)), 0.3),
        LayerActivity("3 LI", None, rng.normal(size=(T, C)).cumsum(axis=0), None),
    ]
    return TrainingReport(
        title=name,
        summary={"test accuracy": 0.975, "seed": 12345, name: name, "versions": {"torch": "2.13.0", name: name}},
        config={"network": {"hidden": [128, 64], "note": name}, name: {name: 1}},
        curves={
            "train loss": [1.0, 0.5, 0.25],
            "validation loss": [1.1, 0.7, 0.6],
            f"{name} accuracy": [0.5, 0.8, 0.9],
        },
        confusion=np.array([[8, 2, 0], [0, 10, 0], [0, 1, 9]]),
        class_names=["cat", "dog", name],
        image=np.arange(12.0).reshape(3, 4),
        label="cat",
        prediction=name,
        layers=layers,
        dt=0.5,
    )


def neuron(name="HodgkinHuxley"):
    times = np.arange(0.0, 100.0, 0.1)
    traces = {"v": (np.sin(times), "mV"), "m": (np.cos(times), "1"), name: (np.tanh(times), "1")}
    return NeuronReport(
        title=name,
        summary={"current": 10.0, name: name},
        times=times,
        traces=traces,
        spike_times=np.array([10.0, 30.0, 50.0]),
        currents=np.array([0.0, 5.0, 10.0]),
        rates=np.array([0.0, 0.0, 52.5]),
        current_unit="uA/cm2",
        parameters={"g_na": (120.0, "mS/cm2"), name: (0.0123456, name)},
        equations=[r"\tau \frac{dv}{dt} = -v + R i", "dv/dt = (v_rest - v) / tau", name],
    )


class Reader(HTMLParser):
    """What a browser would load, run and show."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.scripts, self.tags, self.handlers, self.texts = [], [], [], [], []
        self.policy, self._inside = "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._inside = tag
        known = dict(attrs)
        self.addresses += [value for key, value in attrs if key in ("src", "href", "data", "action", "srcset")]
        self.handlers += [key for key, _ in attrs if key.startswith("on")]
        if tag == "script":
            self.scripts.append("")
        if known.get("http-equiv") == "Content-Security-Policy":
            self.policy = known["content"]

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)


def embedded(text):
    """The models of the charts, read back from the page without bokeh."""
    literal = re.search(r"const docs_json = '(.*?)';\n", text, re.S)
    assert literal is not None
    documents = json.loads(html.unescape(literal[1].encode().decode("unicode_escape").encode("latin1").decode("utf-8")))
    found = []

    def walk(node):
        if isinstance(node, dict):
            found.append(node)
            node = list(node.values())
        if isinstance(node, list):
            for child in node:
                walk(child)

    walk(documents)
    return found


def columns(text):
    """Every data source as a mapping from column to values."""
    sources = [m["attributes"]["data"] for m in embedded(text) if m.get("name") == "ColumnDataSource"]
    return [{key: decoded(value) for key, value in source["entries"]} for source in sources]


def curves(sources):
    """Every curve of the page: name to (x, y)."""
    lines = [c for c in sources if {"x", "y", "name", "width"} <= set(c)]
    return {n: (decoded(x), decoded(y)) for c in lines for n, x, y in zip(c["name"], c["x"], c["y"], strict=True)}


def decoded(value):
    if isinstance(value, dict) and value.get("type") == "ndarray":
        if isinstance(value["array"], list):
            return np.array(value["array"])
        raw = base64.b64decode(value["array"]["data"])
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        return np.frombuffer(raw, value["dtype"]).reshape(value["shape"])
    return value


def written(write, report, folder):
    path = folder / "report.html"
    write(path, report)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return {
        "training": written(write_training_report, training(), folder),
        "neuron": written(write_neuron_report, neuron(), folder),
        "evil training": written(write_training_report, training(EVIL), folder),
        "evil neuron": written(write_neuron_report, neuron(EVIL), folder),
    }


KINDS = ("training", "neuron", "evil training", "evil neuron")


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_loads_nothing_and_is_small(pages, kind):
    page = Reader(pages[kind])
    assert all(address.startswith("data:") for address in page.addresses), page.addresses
    assert not {"iframe", "object", "embed", "base", "form", "audio", "video"} & set(page.tags)
    style = re.search(r"<style>(.*?)</style>", pages[kind], re.S)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert len(pages[kind].encode()) < 6e6


@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_forbids_requests_and_every_script_but_ours(pages, kind):
    page = Reader(pages[kind])
    rules = dict(rule.strip().split(" ", 1) for rule in page.policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "http" not in page.policy
    assert "'unsafe-inline'" not in rules["script-src"]
    digests = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in page.scripts}
    assert digests == set(re.findall(r"'sha256-([^']+)'", rules["script-src"]))


@pytest.mark.parametrize("kind", ["training", "neuron"])
def test_hostile_names_stay_names(pages, kind):
    plain, evil = Reader(pages[kind]), Reader(pages[f"evil {kind}"])
    assert len(evil.scripts) == len(plain.scripts)
    assert evil.tags.count("img") == plain.tags.count("img")
    assert evil.handlers == []
    assert any(EVIL in text for text in evil.texts)
    # bokeh asks the network for a typesetter when it meets a text between double dollars
    strings = re.findall(r"\$\$", pages[f"evil {kind}"].split("const docs_json")[1])
    assert strings == []


def test_the_page_opens_with_what_came_out(pages):
    texts = Reader(pages["training"]).texts
    words = "27 of 30 test images recognised (90.0 %). The most frequent mistake: cat taken for dog, 2 times."
    assert words in texts
    assert {"97.5 %", "12345", "taken for digits", "torch", "2.13.0", "hidden"} <= set(texts)


def test_the_rasters_hold_exactly_the_spikes_given(pages):
    report = training()
    rasters = [c for c in columns(pages["training"]) if set(c) == {"time", "neuron"} and len(c["time"])]
    given = [layer.spikes for layer in report.layers if layer.spikes is not None]
    assert len(rasters) == len(given) == 2
    for raster, spikes in zip(rasters, given, strict=True):
        back = np.zeros(spikes.shape)
        back[np.round(raster["time"] / 0.5).astype(int), raster["neuron"]] = 1
        np.testing.assert_array_equal(back, spikes)


def test_every_membrane_can_be_picked_and_the_read_out_is_named_by_class(pages):
    report = training()
    sources = columns(pages["training"])
    (stored,) = (c["v"] for c in sources if set(c) == {"v"})
    np.testing.assert_allclose(stored.reshape(N, T).T, report.layers[1].v, rtol=1e-6)
    lines = curves(sources)
    for k, name in enumerate(report.class_names):
        np.testing.assert_allclose(lines[name][1], report.layers[2].v[:, k], rtol=1e-6)
        np.testing.assert_allclose(lines[name][0], np.arange(T) * 0.5)
    names = [name for c in sources if set(c) == {"y", "name", "colour"} for name in c["name"]]
    assert {"dog", "cat true", "digits chosen"} <= set(names)


def test_curves_confusion_and_rates_are_those_given(pages):
    report, sources = training(), columns(pages["training"])
    for name, values in report.curves.items():
        epochs, drawn = curves(sources)[name]
        assert (list(epochs), list(drawn)) == ([1, 2, 3], list(values))
    (cells,) = (c for c in sources if "predicted" in c)
    back = np.zeros((C, C), int)
    back[cells["row"], cells["column"]] = cells["count"]
    np.testing.assert_array_equal(back, report.confusion)
    assert cells["written"] == ["8", "2", "10", "1", "9"]
    (bars,) = (c for c in sources if "hertz" in c)
    np.testing.assert_allclose(bars["rate"], [0.2, 0.3])
    np.testing.assert_allclose(bars["hertz"], [400.0, 600.0])  # 0.5 ms per step


def test_all_layers_share_one_time_axis(pages):
    figures = [m for m in embedded(pages["training"]) if m.get("name") == "Figure"]
    axes = [m["attributes"]["x_range"]["id"] for m in figures]
    times = [m["id"] for m in embedded(pages["training"]) if m.get("attributes", {}).get("end") == (T - 0.5) * 0.5]
    assert len(times) == 1
    assert axes.count(times[0]) == 4  # two rasters, a membrane panel and the read-out


def test_the_image_is_the_one_given(pages):
    (address,) = (a for a in Reader(pages["training"]).addresses if a.startswith("data:image/png"))
    png = base64.b64decode(address.split(",")[1])
    width, height = struct.unpack(">II", png[16:24])
    size = struct.unpack(">I", png[33:37])[0]
    rows = np.frombuffer(zlib.decompress(png[41 : 41 + size]), np.uint8).reshape(height, width + 1)[:, 1:]
    np.testing.assert_array_equal(rows, np.round(np.arange(12).reshape(3, 4) * 255 / 11))


def test_a_crowded_network_still_fits_on_a_page(tmp_path):
    rng = np.random.default_rng(0)
    steps, many = 200, 5000
    spikes = rng.random((steps, many)) < 0.2
    big = LayerActivity("big", spikes, rng.normal(size=spikes.shape), 0.2)
    page = written(write_training_report, dataclasses.replace(training(), layers=[big]), tmp_path)
    assert len(page.encode()) < 6e6
    every = -(-int(spikes.sum()) // 60_000)
    assert f"Only one neuron in {every} is drawn" in page
    raster = max((c for c in columns(page) if set(c) == {"time", "neuron"}), key=lambda c: len(c["time"]))
    assert len(raster["time"]) == spikes[:, ::every].sum()


def test_a_report_without_layers_or_curves_is_still_a_page(tmp_path):
    bare = dataclasses.replace(training(), layers=[], curves={}, summary={}, config={}, confusion=np.zeros((C, C)))
    assert "No test image was classified." in written(write_training_report, bare, tmp_path)


def test_silent_layers_and_missing_membranes_are_drawn(tmp_path):
    layers = [LayerActivity("a", np.zeros((T, N)), np.zeros((T, N)), 0.0), LayerActivity("b", None, None, None)]
    page = written(write_training_report, dataclasses.replace(training(), layers=layers), tmp_path)
    assert "a: 12 neurons, 0 spikes" in page


def test_the_neuron_page_says_how_it_fires(pages):
    texts = Reader(pages["neuron"]).texts
    words = (
        "3 spikes in 99.9 ms, on average every 20 ms (50 Hz). "
        "Of the currents tried it fires from 10 µA/cm² on and reaches 52.5 Hz at 10 µA/cm²."
    )
    assert words in texts
    assert {"g_na", "120", "mS/cm²", "0.0123456", "dv/dt = (v_rest - v) / tau"} <= set(texts)
    assert Reader(pages["neuron"]).tags.count("svg") == 1


def test_the_neuron_page_holds_its_traces_spikes_and_curve(pages):
    report, sources = neuron(), columns(pages["neuron"])
    lines = curves(sources)
    for name, (values, _) in report.traces.items():
        np.testing.assert_allclose(lines[name][1], values)
        np.testing.assert_allclose(lines[name][0], report.times)
    (marks,) = (c["time"] for c in sources if set(c) == {"time", "y"})
    np.testing.assert_array_equal(marks, report.spike_times)
    (curve,) = (c for c in sources if set(c) == {"current", "rate"})
    np.testing.assert_array_equal(curve["rate"], report.rates)


def test_a_silent_neuron_without_a_curve_is_described(tmp_path):
    empty = np.empty(0)
    silent = dataclasses.replace(neuron(), spike_times=empty, currents=empty, rates=empty, equations=[], parameters={})
    page = written(write_neuron_report, silent, tmp_path)
    assert "No spikes in 99.9 ms." in page
    assert "Equations" not in page


def with_phase(name="FitzHughNagumo"):
    from spikeloom.models import Izhikevich
    from spikeloom.report.phase import phase_plane_of
    from spikeloom.simulation import simulate

    trace = simulate(Izhikevich(), 10.0, 60.0, 0.25)
    plane = phase_plane_of(Izhikevich(), 10.0, trace)
    stimulus = np.where(trace.times >= 20.0, 10.0, 0.0)
    return plane, NeuronReport(
        title=name,
        summary={},
        times=trace.times,
        traces={"v": (trace["v"], "mV"), "u": (trace["u"], "mV/ms")},
        spike_times=trace.spike_times,
        currents=np.array([0.0, 5.0, 10.0]),
        rates=np.array([0.0, 0.0, 52.5]),
        current_unit=name,
        parameters={"a": (0.02, "1/ms")},
        equations=[r"\tau \frac{dv}{dt} = -v + R i"],
        about=f"{name} fires",
        stimulus=stimulus,
        phase=plane,
    )


def test_the_phase_plane_and_the_stimulus_are_those_given(tmp_path):
    plane, report = with_phase()
    page = written(write_neuron_report, report, tmp_path)
    lines = curves(columns(page))
    corners = lines["current"]
    np.testing.assert_allclose(corners[0], [0.0, 20.0, 20.0, 60.0])
    np.testing.assert_allclose(corners[1], [0.0, 0.0, 10.0, 10.0])
    assert {"dv/dt = 0", "du/dt = 0", "trajectory"} <= set(lines)
    (marks,) = (c for c in columns(page) if "kind" in c)
    assert marks["kind"] == [point.kind for point in plane.points]
    assert "FitzHughNagumo fires. " in page
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles[:3] == ["States and spikes", "Phase plane and firing rate", "Equations and parameters"]


def test_hostile_names_stay_names_in_the_phase_plane(tmp_path):
    page = Reader(written(write_neuron_report, with_phase(EVIL)[1], tmp_path))
    assert len(page.scripts) == 3  # BokehJS, its extension for plain documents, and the charts
    assert page.tags.count("img") == 0
    assert page.handlers == []


def test_a_stimulus_of_another_length_is_refused():
    with pytest.raises(ShapeError, match="stimulus"):
        dataclasses.replace(neuron(), stimulus=np.zeros(3))


def test_thinning_keeps_every_peak():
    rng = np.random.default_rng(1)
    values = rng.normal(size=100_001)
    spikes = rng.choice(100_001, 50, replace=False)
    values[spikes] = 40.0
    kept = thin(values, 2000)
    assert len(kept) <= 2000
    assert np.all(np.diff(kept) > 0)
    assert values[kept].min() == values.min()
    stretch = -(-100_001 // 1000)
    assert set(spikes // stretch) == set(kept[values[kept] == 40.0] // stretch)


def test_writing_replaces_whole_files_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    write_page(path, "new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(FileError, match="No space left on device"):
        write_page(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


@pytest.mark.parametrize(("write", "report"), [(write_training_report, training()), (write_neuron_report, neuron())])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, write, report):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "missing" / "report.html", tmp_path / "file" / "report.html"):
        with pytest.raises(FileError, match=re.escape(str(path))):
            write(path, report)
    with pytest.raises(FileError, match="missing"):
        write_page(tmp_path / "missing" / "report.html", "")


def test_a_folder_without_permission_is_named(tmp_path):
    if os.name != "posix" or os.geteuid() == 0:
        pytest.skip("this user may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="Permission denied"):
        write_page(tmp_path / "report.html", "")


def test_wrong_shapes_are_refused():
    with pytest.raises(ShapeError, match="layer x"):
        LayerActivity("x", np.zeros((3, 2)), np.zeros((3, 4)), None)
    with pytest.raises(ShapeError, match="confusion"):
        dataclasses.replace(training(), confusion=np.zeros((2, 2)))
    with pytest.raises(ShapeError, match="image"):
        dataclasses.replace(training(), image=np.zeros(9))
    with pytest.raises(ParameterError, match="dt"):
        dataclasses.replace(training(), dt=0.0)
    with pytest.raises(ShapeError, match="trace of v"):
        dataclasses.replace(neuron(), traces={"v": (np.zeros(3), "mV")})
    with pytest.raises(ShapeError, match="f-I"):
        dataclasses.replace(neuron(), rates=np.zeros(7))


def test_equations_are_outlines_or_the_text_itself():
    picture = equation(r"$\tau \frac{dv}{dt} = -v$")
    assert picture.startswith("<svg")
    assert re.fullmatch(r"[MLQCZ0-9. -]+", re.search(r' d="([^"]+)"', picture)[1])
    assert "<text" not in picture
    assert equation("x < 1") == "<code>x &lt; 1</code>"
    assert equation(r"\begin{cases} a \end{cases}") == r"<code>\begin{cases} a \end{cases}</code>"
    assert equation("$<b>$").startswith(("<svg", "<code>&lt;"))
    assert "<b>" not in equation("$<b>$").replace("&lt;b&gt;", "")
    assert equation("$$") == "<code>$$</code>"


def test_numbers_are_shown_as_people_read_them():
    values = [np.float32(0.5), np.int64(1234567), -1.5, None, [1, 2], "text", False, float("nan")]
    assert [shown(v) for v in values] == ["0.5", "1,234,567", "−1.5", "none", "1, 2", "text", "no", "nan"]
    assert shown(0.9876, "validation accuracy") == "98.8 %"
    assert shown(20251122, "seed") == "20251122"


def test_importing_the_reports_does_not_import_bokeh():
    code = "import sys, spikeloom.report; assert not {'bokeh', 'matplotlib', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
