"""Pictures of dynamics: what is drawn agrees with closed forms and with the published bifurcations."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.colors import to_hex

import spikeloom as sl
from spikeloom import plot
from spikeloom.analyse import bifurcations
from spikeloom.errors import ModelError, ParameterError
from spikeloom.experiments import Experiment
from spikeloom.models import FitzHughNagumo, Izhikevich, MorrisLecar
from spikeloom.report.palette import BLUE, GREEN, VERMILLION
from spikeloom.report.phase import held_longest, is_planar, phase_plane_of


def drawn(figure):
    """A picture that cannot be drawn fails here."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    assert buffer.getvalue().startswith(b"\x89PNG")
    return figure


def lines(ax, colour):
    return [line for line in ax.lines if to_hex(line.get_color()) == colour.lower()]


def open_points(ax):
    """Resting points as (v, w, whether the mark is filled)."""
    marks = [line for line in ax.lines if line.get_marker() == "o" and line.get_markersize() > 5]
    return [(*np.ravel(line.get_data()), to_hex(line.get_markerfacecolor()) != "#ffffff") for line in marks]


# -- phase plane


def test_nullclines_are_the_closed_forms():
    (ax,) = drawn(plot.phase_plane(FitzHughNagumo(), 0.5, x=(-2.5, 2.5), y=(-1.0, 2.0))).axes
    for line in lines(ax, VERMILLION):  # dv/dt = 0
        v, w = line.get_data()
        np.testing.assert_allclose(w, v - v**3 / 3 + 0.5, atol=1e-9)
    for line in lines(ax, GREEN):  # dw/dt = 0
        v, w = line.get_data()
        np.testing.assert_allclose(w, (v + 0.7) / 0.8, atol=1e-9)
    assert lines(ax, VERMILLION)
    assert lines(ax, GREEN)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("v", "w")


@pytest.mark.parametrize(("current", "kind", "filled"), [(0.0, "stable focus", True), (0.5, "unstable focus", False)])
def test_resting_points_are_marked_by_their_kind(current, kind, filled):
    # REFERENCE section 4: the Hopf point lies at 0.331281; without input the rest is at (-1.19940804, -0.62426004).
    (ax,) = plot.phase_plane(FitzHughNagumo(), current).axes
    ((v, w, is_filled),) = open_points(ax)
    assert is_filled == filled
    assert kind in [text.get_text() for text in ax.texts]
    if current == 0.0:
        assert (v, w) == pytest.approx((-1.19940804, -0.62426004), abs=1e-8)


def test_the_trajectory_is_the_trace_and_resets_are_dotted():
    experiment = Experiment.of(Izhikevich(), "tonic-spiking")
    trace = experiment.run()
    (ax,) = drawn(plot.phase_plane(experiment.model, 14.0, trace)).axes
    solid = [line for line in lines(ax, BLUE) if line.get_linestyle() == "-" and line.get_marker() == "None"]
    path = np.concatenate([line.get_xydata() for line in solid])
    np.testing.assert_array_equal(path[:, 0], trace["v"])
    np.testing.assert_array_equal(path[~trace.fired, 1], trace["u"][~trace.fired])
    # Up to the peak u has not jumped yet.
    np.testing.assert_array_equal(path[trace.fired, 1], trace["u"][np.flatnonzero(trace.fired) - 1])
    dotted = [line for line in lines(ax, BLUE) if line.get_linestyle() == ":" or line.is_dashed()]
    assert len(dotted) == len(trace.spike_times) == 5
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("v (mV)", "u (mV/ms)")


def test_the_way_to_a_threshold_is_drawn_to_its_end():
    experiment = Experiment.of(sl.AdEx(), "tonic")
    trace = experiment.run()
    plane = phase_plane_of(experiment.model, 500.0, trace)
    before = np.flatnonzero(trace.fired) - 1
    np.testing.assert_allclose(plane.jumps[:, 0, 0], experiment.model.v_peak)
    np.testing.assert_array_equal(plane.jumps[:, 0, 1], trace["w"][before])
    np.testing.assert_array_equal(plane.jumps[:, 1, 0], experiment.model.v_reset)
    assert sum(map(len, plane.pieces)) == len(trace.times) + len(before)


def test_a_model_without_a_reset_has_no_jumps():
    trace = sl.simulate(FitzHughNagumo(), 0.5, 100.0)
    plane = phase_plane_of(FitzHughNagumo(), 0.5, trace)
    assert len(trace.spike_times) > 0
    assert (len(plane.pieces), len(plane.jumps)) == (1, 0)


def test_what_has_not_two_states_is_refused():
    for model in (sl.LIF(), sl.HodgkinHuxley()):
        assert not is_planar(model)
        with pytest.raises(ModelError, match="two states"):
            plot.phase_plane(model, 1.0)
    assert is_planar(sl.ALIF())
    assert not is_planar(sl.ALIF(tau=np.array([10.0, 20.0])))
    assert not is_planar(sl.Noisy(sl.ALIF()))
    with pytest.raises(ParameterError, match="low < high"):
        plot.phase_plane(FitzHughNagumo(), 0.5, x=(1.0, -1.0), y=(0.0, 1.0))


def test_the_current_of_a_plane_is_the_one_that_lasted():
    assert held_longest(np.r_[np.zeros(10), np.full(90, 14.0)]) == 14.0
    assert held_longest(np.linspace(0.0, 3.0, 50)) == 3.0


# -- gates


def test_gates_of_the_squid_axon_are_the_published_rates():
    # Hodgkin and Huxley 1952, eq. 12, 13, 20, 21, 23, 24, with rest at -65 mV; v avoids the removable singularities.
    v = np.linspace(-99.5, 49.7, 11)
    rates = {
        "m": (0.1 * (v + 40) / (1 - np.exp(-(v + 40) / 10)), 4 * np.exp(-(v + 65) / 18)),
        "h": (0.07 * np.exp(-(v + 65) / 20), 1 / (1 + np.exp(-(v + 35) / 10))),
        "n": (0.01 * (v + 55) / (1 - np.exp(-(v + 55) / 10)), 0.125 * np.exp(-(v + 65) / 80)),
    }
    found = plot.dynamics.gates_of(sl.HodgkinHuxley(), v)
    assert list(found) == ["m", "h", "n"]
    for name, (a, b) in rates.items():
        np.testing.assert_allclose(found[name][0], a / (a + b), rtol=1e-10)
        np.testing.assert_allclose(found[name][1], 1 / (a + b), rtol=1e-10)


def test_gating_draws_a_curve_per_gate():
    steady, tau = drawn(plot.gating(MorrisLecar(), -80.0, 40.0, title="Morris-Lecar")).axes
    v, w = steady.lines[0].get_data()
    np.testing.assert_allclose(w, 0.5 * (1 + np.tanh((v - 2.0) / 30.0)), rtol=1e-10)
    np.testing.assert_allclose(tau.lines[0].get_ydata(), 1 / (0.04 * np.cosh((v - 2.0) / 60.0)), rtol=1e-10)
    assert (steady.get_ylabel(), tau.get_ylabel()) == ("steady state", "time constant (ms)")
    assert steady.get_xlabel() == tau.get_xlabel() == "v (mV)"
    assert [text.get_text() for text in steady.texts] == ["w"]


def test_gating_refuses_models_without_gates_and_empty_ranges():
    with pytest.raises(ModelError, match="LIF has no gates"):
        plot.gating(sl.LIF())
    with pytest.raises(ParameterError, match="low < high"):
        plot.gating(sl.HodgkinHuxley(), 0.0, -80.0)


# -- bifurcations


def test_the_diagram_marks_the_published_bifurcations_and_parts_stable_from_unstable():
    # REFERENCE section 3, the SNIC set: saddle-nodes at 39.9632 and -9.9490, Hopf at 97.7879.
    figure = drawn(plot.bifurcations(bifurcations(MorrisLecar.preset("snic"), "i", -50.0, 150.0)))
    (ax,) = figure.axes
    marks = sorted(float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == "o")
    assert marks == pytest.approx([-9.9490, 39.9632, 97.7879], abs=1e-4)
    words = sorted(text.get_text() for text in ax.texts)
    assert words == ["Hopf 97.79", "saddle-node 39.96", "saddle-node −9.949"]
    stable = np.concatenate([line.get_xydata() for line in lines(ax, BLUE) if len(line.get_xdata())])
    current, v = stable[np.isfinite(stable).all(axis=1)].T
    assert not ((current > 41.0) & (current < 97.0)).any()
    assert v[current < 30.0].max() < -25.0
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("i (µA/cm²)", "v (mV)")


def test_another_state_can_be_drawn_and_an_unknown_one_is_refused():
    diagram = bifurcations(FitzHughNagumo(), "i", 0.0, 1.0)
    assert plot.bifurcations(diagram, "w").axes[0].get_ylabel() == "w"
    with pytest.raises(ParameterError, match="no state 'u'"):
        plot.bifurcations(diagram, "u")


# -- the stimulus under a trace


def test_the_stimulus_has_a_panel_of_its_own():
    experiment = Experiment.of(Izhikevich(), "integrator")
    trace = experiment.run()
    top, below = drawn(plot.trace(trace, current=experiment.current, current_unit=experiment.unit)).axes
    assert (top.get_ylabel(), below.get_ylabel(), below.get_xlabel()) == ("v (mV)", "current\n(mV/ms)", "time (ms)")
    np.testing.assert_array_equal(below.lines[0].get_ydata(), experiment.drive(trace.times))
    assert below.lines[0].get_drawstyle() == "steps-post"


def test_a_stimulus_may_be_a_number_and_must_fit_the_times():
    trace = sl.simulate(sl.LIF(), 2.0, 10.0)
    assert set(plot.trace(trace, current=2.0).axes[1].lines[0].get_ydata()) == {2.0}
    with pytest.raises(sl.errors.ShapeError, match="current has not one value per time"):
        plot.trace(trace, current=np.zeros(3))
