"""f-I curves and spike shapes: REFERENCE sections 1 to 5 and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

import spikeloom as sl
from spikeloom.analyse import AnalysisError, fi_curve, spike_shape
from spikeloom.errors import DimensionError, ModelError, ParameterError, ShapeError

REST = {"v": -64.9963793, "m": 0.0529551, "h": 0.5959941, "n": 0.3177324}
LEAKY = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")


def test_the_leaky_neuron_in_closed_form():
    drives = np.array([10.0, 14.9999, 15.0001, 16.0, 20.0, 30.0, 60.0])
    found = fi_curve(sl.Refractory(LEAKY, t_ref=2.0), drives, duration=2000.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = 1000.0 / (2.0 + 10.0 * np.log(drives / (drives - 15.0)))
    expected[:2] = 0.0
    assert found.rates == pytest.approx(expected, rel=1e-11)
    assert found.rates[2:] == pytest.approx([8.251916, 33.640712, 63.040002, 111.963629, 205.051622], abs=6e-7)
    assert found.onset_rates == pytest.approx(found.rates, rel=1e-11)
    assert (found.unit, found.currents.tolist()) == ("pA", drives.tolist())
    assert [len(t) for t in found.spike_times[:2]] == [0, 0]


def test_the_perfect_integrator():
    assert fi_curve(sl.IF(c=250.0, v_threshold=15.0), [375.0]).rates[0] == pytest.approx(100.0, rel=1e-12)


def test_the_axon():
    # REFERENCE section 2: the digits given there, where 1e-3 was asked.
    table = {
        6.5: 55.057,
        8.0: 62.470,
        10.0: 68.324,
        12.0: 72.919,
        20.0: 86.470,
        50.0: 117.036,
        100.0: 147.27,
        160.0: 0.0,
    }
    found = fi_curve(sl.HodgkinHuxley(), list(table), state=REST)
    assert found.rates == pytest.approx(list(table.values()), rel=2e-5)
    # The onset is faster than the steady rate near threshold, or slower: it is what the first two spikes say.
    first = [1000.0 / np.diff(t[:2])[0] if len(t) > 1 else 0.0 for t in found.spike_times]
    assert found.onset_rates == pytest.approx(first)


def test_rates_begin_as_a_square_root_at_a_saddle_node_on_a_circle():
    fold = 39.96315309
    beyond = np.array([0.02, 0.08, 0.32])
    found = fi_curve(sl.MorrisLecar.preset("snic"), fold + beyond, duration=4000.0, transient=1000.0, dt=0.05)
    assert found.rates[1:] / found.rates[:-1] == pytest.approx([2.0, 2.0], rel=0.05)


def test_spike_times_are_off_the_grid():
    # Halving the step moves spikes by the order of the solver, not by the step.
    model, drive = sl.HodgkinHuxley(), [20.0]
    fine = fi_curve(model, drive, duration=60.0, transient=20.0, dt=0.0025).spike_times[0]
    errors = []
    for dt in (0.02, 0.01):
        coarse = fi_curve(model, drive, duration=60.0, transient=20.0, dt=dt).spike_times[0]
        errors.append(abs(coarse - fine).max())
    assert errors[0] < 1e-5
    assert errors[0] / errors[1] > 12.0  # fourth order: 16


def test_a_nonlinear_reset_is_located():
    # REFERENCE section 7, "tonic": intervals of 9.585 ms at last; first spikes to 0.01 ms.
    found = fi_curve(sl.AdEx.preset("tonic"), [500.0], duration=300.0, transient=200.0)
    assert found.spike_times[0][:3] == pytest.approx([14.223, 23.152, 32.242], abs=6e-4)
    assert found.rates[0] == pytest.approx(1000.0 / 9.585, rel=1e-3)
    assert found.onset_rates[0] == pytest.approx(1000.0 / (23.152 - 14.223), rel=1e-3)


def test_the_start_matters_where_two_attractors_do():
    (rest,) = sl.analyse.resting_points(sl.HodgkinHuxley(), 8.0)
    assert fi_curve(sl.HodgkinHuxley(), [8.0], duration=300.0, state=dict(rest.state)).rates.tolist() == [0.0]


def test_currents_may_have_a_unit():
    found = fi_curve(LEAKY, np.array([0.02, 0.03]) * sl.nA, duration=300.0)
    assert found.currents.tolist() == pytest.approx([20.0, 30.0])
    with pytest.raises(DimensionError):
        fi_curve(LEAKY, np.array([0.02]) * sl.ms)


def test_what_has_no_rate():
    with pytest.raises(ModelError, match="LI never fires"):
        fi_curve(sl.LI(), [1.0])
    with pytest.raises(ParameterError, match="a row of finite numbers"):
        fi_curve(LEAKY, [float("nan")])
    with pytest.raises(ParameterError, match="a row of finite numbers"):
        fi_curve(LEAKY, [])
    with pytest.raises(ParameterError, match="a row of finite numbers"):
        fi_curve(LEAKY, 20.0)
    with pytest.raises(ParameterError, match=r"transient: got 300 ms, expected less than duration = 200 ms"):
        fi_curve(LEAKY, [20.0], duration=200.0, transient=300.0)
    with pytest.raises(ModelError, match="fires at random"):
        fi_curve(sl.EscapeRate(LEAKY), [20.0])


# -- spike shapes


@pytest.fixture(scope="module")
def pulse():
    """20 uA/cm2 for 1 ms into the resting axon."""
    return sl.simulate(sl.HodgkinHuxley(), lambda t: np.where(t < 0.9999, 20.0, 0.0), 30.0, 0.01, state=REST)


def test_the_spike_after_a_pulse(pulse):
    shape = spike_shape(pulse)
    assert shape.baseline == REST["v"]
    assert shape.unit == "mV"
    assert shape.peak == pytest.approx([40.504], abs=1e-3)
    assert shape.peak_time == pytest.approx([1.5330], abs=2e-4)
    assert shape.amplitude == pytest.approx([105.50], abs=6e-3)
    assert 1.4775 <= shape.half_width[0] <= 1.47765  # REFERENCE has 1.4775; an integrator at 1e-11 gives 1.47764
    assert shape.trough == pytest.approx([-76.182], abs=1e-3)
    assert shape.after_potential == pytest.approx([-76.182 - REST["v"]], abs=1e-3)
    # The pulse alone makes the membrane rise faster than 5 % of the upstroke: no threshold by that criterion,
    assert np.isnan(shape.threshold[0])
    # but by a stricter one.
    strict = spike_shape(pulse, slope=100.0)
    k = np.searchsorted(pulse.times, strict.threshold_time[0])
    assert np.gradient(pulse["v"], pulse.times)[k] == pytest.approx(100.0, rel=0.1)
    assert strict.threshold[0] == pytest.approx(np.interp(strict.threshold_time[0], pulse.times, pulse["v"]), abs=1e-2)
    assert strict.height == pytest.approx(strict.peak - strict.threshold)


def test_half_width_against_an_adaptive_integrator():
    pulse = sl.stimuli.pulses((0.0, 1.0), amplitude=20.0)
    fine = sl.simulate(sl.HodgkinHuxley(), pulse, 8.0, 0.001, state=REST, solver=sl.solvers.DormandPrince(rtol=1e-11))
    assert spike_shape(fine).half_width == pytest.approx([1.47764], abs=1e-5)


def test_shapes_known_in_closed_form():
    # Gaussian spikes on a baseline of -60, the second one smaller and followed by a dip of 5.
    times, sizes, widths = np.linspace(0.0, 40.0, 4001), np.array([80.0, 60.0]), np.array([0.8, 0.5])

    def bump(middle, width, size):
        return size * np.exp(-0.5 * ((times - middle) / width) ** 2)

    v = -60.0 + bump(10.0, 0.8, 80.0) + bump(25.0, 0.5, 60.0) - bump(31.0, 1.0, 5.0)
    up = np.flatnonzero((v[:-1] < -20.0) & (v[1:] >= -20.0)) + 1
    trace = sl.simulation.Trace(times, {"v": v}, sl.simulation.Spikes(up, v.shape), {"v": "mV"})
    shape = spike_shape(trace)
    assert shape.peak == pytest.approx([20.0, 0.0], abs=1e-6)
    assert shape.peak_time == pytest.approx([10.0, 25.0], abs=1e-6)
    assert shape.amplitude == pytest.approx(sizes, abs=1e-6)
    assert shape.half_width == pytest.approx(2.0 * widths * np.sqrt(2.0 * np.log(2.0)), abs=1e-6)
    assert shape.after_potential == pytest.approx([0.0, -5.0], abs=1e-6)
    assert shape.trough_time[1] == pytest.approx(31.0, abs=1e-6)
    # The slope A x exp(-x²/2) / s is largest at x = 1, and a twentieth of that where x² = -W(-e⁻¹/400).
    steepest = sizes / widths * np.exp(-0.5)
    assert shape.steepest_rise == pytest.approx(steepest, rel=1e-6)
    assert shape.steepest_fall == pytest.approx(-steepest, rel=1e-6)
    x = np.sqrt(-scipy.special.lambertw(-np.exp(-1.0) / 400.0, -1).real)
    assert shape.threshold_time == pytest.approx([10.0 - 0.8 * x, 25.0 - 0.5 * x], abs=1e-5)
    assert shape.threshold == pytest.approx(-60.0 + sizes * np.exp(-0.5 * x * x), abs=1e-4)
    # Measured from a given baseline, the middle lies lower.
    lower = spike_shape(trace, baseline=-80.0)
    assert lower.amplitude == pytest.approx([100.0, 80.0], abs=1e-6)
    part = np.sqrt(2.0 * np.log(sizes / np.array([30.0, 20.0])))
    assert lower.half_width == pytest.approx(2.0 * widths * part, abs=1e-6)


def test_every_spike_of_a_train():
    trace = sl.simulate(sl.HodgkinHuxley(), 10.0, 120.0, 0.02, state=REST, record=("v",))
    shape = spike_shape(trace)
    assert len(shape.peak) == len(trace.spike_times) == len(shape.half_width)
    assert np.isfinite(shape.threshold[1:]).all()
    assert (np.diff(shape.peak_time) > 10.0).all()
    assert (shape.trough_time > shape.peak_time).all()
    assert (shape.threshold_time[1:] > shape.trough_time[:-1]).all()
    assert shape.threshold[-1] == pytest.approx(shape.threshold[-2], abs=0.01)  # a limit cycle
    # Another membrane's name.
    other = sl.simulate(sl.HindmarshRose(), 4.0, 100.0, 0.02)
    assert spike_shape(other).peak.max() > 1.0
    assert spike_shape(other, "x").unit == "1"


def test_what_has_no_shape(pulse):
    with pytest.raises(AnalysisError, match="the trace has no spike"):
        spike_shape(sl.simulate(sl.HodgkinHuxley(), 0.0, 5.0, 0.02))
    with pytest.raises(ShapeError, match="got 2 neurons, expected one"):
        spike_shape(sl.simulate(sl.HodgkinHuxley(), np.array([10.0, 20.0]), 20.0, 0.02))
    with pytest.raises(ModelError, match="state 'u' was not recorded"):
        spike_shape(pulse, "u")
    with pytest.raises(ParameterError, match="slope"):
        spike_shape(pulse, slope=-1.0)
    with pytest.raises(ParameterError, match="baseline"):
        spike_shape(pulse, baseline=float("inf"))
    with pytest.raises(ParameterError, match="at least 4"):
        spike_shape(sl.simulate(sl.LIF(), 1000.0, 0.2, 0.1))
