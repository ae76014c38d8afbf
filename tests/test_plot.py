"""Static pictures: what is drawn, how it is labelled, and that nothing global is touched."""

from __future__ import annotations

import io
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from spikeloom import plot
from spikeloom.errors import ParameterError, ShapeError, SpikeError
from spikeloom.report.labels import pretty_unit, spread
from spikeloom.report.palette import BLUE, CYCLE, VERMILLION


class Recording(SimpleNamespace):
    """Stands in for what a simulation returns."""

    def names(self):
        return list(self.values)

    def __getitem__(self, name):
        return self.values[name]


def recording(neurons=None, states=("v",)):
    times = np.linspace(0.0, 50.0, 501)
    shape = (501,) if neurons is None else (501, neurons)
    values = {name: np.cumsum(np.full(shape, k + 1.0), axis=0) for k, name in enumerate(states)}
    units = {name: "mV" if name == "v" else "1" for name in states}
    spikes = [np.array([10.0, 20.0 + k]) for k in range(neurons or 1)]
    return Recording(times=times, values=values, units=units, spike_times=spikes)


def drawn(figure):
    """A picture that cannot be drawn fails here."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    assert buffer.getvalue().startswith(b"\x89PNG")
    return figure


def test_trace_draws_the_values_against_ms_with_units_and_spikes():
    trace = recording()
    (ax,) = drawn(plot.trace(trace)).axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (ms)", "v (mV)")
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), trace.times)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), trace["v"])
    ticks = [segment[0][0] for segment in ax.collections[0].get_segments()]
    assert ticks == [10.0, 20.0]
    assert ax.get_title(loc="left") == "2 spikes"


def test_trace_has_a_panel_per_unit_and_draws_v_alone_by_default():
    trace = recording(states=("v", "m", "h"))
    assert len(plot.trace(trace).axes) == 1
    top, gates = drawn(plot.trace(trace, ["v", "m", "h"])).axes
    assert (top.get_ylabel(), gates.get_ylabel()) == ("v (mV)", "m, h")
    assert [text.get_text() for text in gates.texts] == ["m", "h"]
    assert top.get_xlabel() == ""


def test_trace_of_many_neurons_has_a_panel_for_each_of_the_first_six():
    figure = drawn(plot.trace(recording(neurons=8)))
    assert [ax.get_title(loc="left") for ax in figure.axes] == [f"neuron {k}, 2 spikes" for k in range(6)]
    assert figure._suptitle is not None
    assert "first 6 of 8" in figure._suptitle.get_text()


def test_trace_takes_one_plain_array_of_spike_times():
    trace = recording()
    trace.spike_times = np.array([1.0, 2.0, 3.0])
    assert plot.trace(trace).axes[0].get_title(loc="left") == "3 spikes"
    trace.spike_times = []
    assert drawn(plot.trace(trace)).axes[0].get_title(loc="left") == "no spikes"


def test_trace_refuses_unknown_states_and_wrong_lengths():
    with pytest.raises(ParameterError, match="Did you mean vv"):
        plot.trace(recording(states=("vv",)), ["v"])
    trace = recording()
    trace.values["v"] = np.zeros(3)
    with pytest.raises(ShapeError, match=r"got \(3,\)"):
        plot.trace(trace)


def test_raster_marks_every_spike_at_its_time():
    spikes = np.zeros((40, 7))
    spikes[[3, 3, 30], [0, 6, 2]] = 1
    (ax,) = drawn(plot.raster(spikes, dt=0.5)).axes
    marks = sorted(zip(ax.lines[0].get_xdata(), ax.lines[0].get_ydata(), strict=True))
    assert marks == [(1.5, 0), (1.5, 6), (15.0, 2)]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (ms)", "neuron")
    assert ax.get_xlim() == pytest.approx((-0.25, 19.75))


def test_raster_stacks_layers_and_takes_tensors():
    torch = pytest.importorskip("torch")
    layers = {"hidden": torch.eye(6, requires_grad=True), "output $x": torch.eye(6)[:, :2]}
    figure = drawn(plot.raster(layers, title="one image"))
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["hidden", "output $x"]
    assert [len(ax.lines[0].get_xdata()) for ax in figure.axes] == [6, 2]


@pytest.mark.parametrize(
    ("spikes", "error", "words"),
    [
        (np.zeros((4, 2, 3)), ShapeError, r"spikes\[:, 0\]"),
        (np.full((4, 2), -1.0), SpikeError, "negative"),
        (np.full((4, 2), np.nan), SpikeError, "NaN"),
        ({}, ParameterError, "no layer"),
    ],
)
def test_raster_says_what_is_wrong(spikes, error, words):
    with pytest.raises(error, match=words):
        plot.raster(spikes)


def test_raster_refuses_a_time_step_of_zero():
    with pytest.raises(ParameterError, match="dt"):
        plot.raster(np.zeros((2, 2)), dt=0.0)


def test_fi_curve_marks_the_first_current_that_fires():
    (ax,) = drawn(plot.fi_curve([0, 2, 4, 6], [0, 0, 30, 45], "uA/cm2")).axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("current (µA/cm²)", "firing rate (Hz)")
    assert [text.get_text() for text in ax.texts] == ["fires from 4 µA/cm²"]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0, 0, 30, 45])


def test_fi_curves_are_named_and_checked():
    (ax,) = drawn(plot.fi_curve([0, 1], {"a": [0, 5], "b": [0, 9]})).axes
    assert [text.get_text() for text in ax.texts] == ["a", "b"]
    with pytest.raises(ShapeError, match=r"got \(3,\)"):
        plot.fi_curve([0, 1], [0, 1, 2])


def test_confusion_writes_the_counts_and_tints_right_and_wrong_apart():
    counts = np.array([[8, 2], [0, 10]])
    (ax,) = drawn(plot.confusion(counts, ["cat", "dog"])).axes
    assert {text.get_text(): text.get_position() for text in ax.texts} == {"8": (0, 0), "2": (1, 0), "10": (1, 1)}
    image = ax.images[0].get_array()
    expected = 1 + (np.array(to_rgb(BLUE)) - 1) * 0.9
    np.testing.assert_allclose(image[1, 1], expected)
    np.testing.assert_allclose(image[1, 0], 1.0)
    wrong = 1 + (np.array(to_rgb(VERMILLION)) - 1) * 0.9 * np.sqrt(0.2)
    np.testing.assert_allclose(image[0, 1], wrong)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "dog"]


def test_confusion_of_many_classes_has_no_crowd_of_numbers():
    assert len(drawn(plot.confusion(np.eye(50))).axes[0].texts) == 0


def test_confusion_refuses_what_is_not_a_square_of_the_names():
    with pytest.raises(ShapeError, match="square"):
        plot.confusion(np.zeros((2, 3)))
    with pytest.raises(ShapeError, match="got 1, expected 2"):
        plot.confusion(np.zeros((2, 2)), ["only"])


def test_curves_share_a_panel_per_quantity():
    values = {"train loss": [3.0, 2.0, 1.0], "validation loss": [3.0, 2.5, 2.0], "accuracy": [0.2, 0.5, np.nan]}
    loss, accuracy = drawn(plot.curves(values)).axes
    assert (loss.get_ylabel(), loss.get_xlabel(), accuracy.get_ylabel()) == ("loss", "epoch", "accuracy")
    assert [text.get_text() for text in loss.texts] == ["train", "validation"]
    np.testing.assert_array_equal(loss.lines[1].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(loss.lines[1].get_ydata(), values["validation loss"])
    with pytest.raises(ParameterError, match="no curve"):
        plot.curves({})


def test_names_that_look_like_formulas_are_drawn_as_they_are():
    name = r"$\nonsense{$"
    drawn(plot.raster({name: np.eye(3)}, title=name))
    drawn(plot.confusion(np.eye(2), [name, "b"], title=name))
    drawn(plot.curves({name: [1.0]}, title=name))
    drawn(plot.fi_curve([0, 1], {name: [0, 1], "b": [0, 2]}, name, title=name))


def test_figures_show_in_notebooks():
    figure = plot.curves({"loss": [1.0]})
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_pyplot_stays_untouched():
    code = "import sys, spikeloom.plot as p; p.raster([[0, 1]]); assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_beside_curves_keep_their_distance_and_order():
    rng = np.random.default_rng(0)
    wanted = rng.normal(size=40).tolist()
    placed = spread(wanted, 0.1)
    assert np.argsort(placed).tolist() == np.argsort(wanted).tolist()
    assert np.diff(np.sort(placed)).min() >= 0.1 - 1e-12
    assert spread([0.0, 5.0], 1.0) == [0.0, 5.0]


def test_units_are_printed_as_people_write_them():
    shown = [pretty_unit(unit) for unit in ("mV", "uA/cm2", "mS/cm2", "1", "ohm", "um")]
    assert shown == ["mV", "µA/cm²", "mS/cm²", "", "Ω", "µm"]


def simulated(colour, matrix):
    """A colour as a dichromat sees it (Vienot, Brettel and Mollon 1999), in linear RGB."""
    linear = np.array([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)])
    return np.array(matrix) @ linear


@pytest.mark.parametrize(
    "matrix",
    [
        [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],  # no long-wave cones
        [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],  # no middle-wave cones
    ],
)
def test_the_first_four_colours_differ_for_dichromats(matrix):
    seen = [simulated(colour, matrix) for colour in CYCLE[:4]]
    apart = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(apart) > 0.1
