"""The quadratic neuron against its closed form: first-passage times by arctangents, rheobase, the square-root law."""

from __future__ import annotations

import math

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.models.base import Values
from spikeloom.solvers import RK4, DormandPrince, ForwardEuler, Heun, Located

NORMAL = sl.QIF.preset("normal-form")


def passage(model: sl.QIF, current: float, start: float, stop: float) -> float:
    """Time from ``start`` to ``stop`` above rheobase: tau dx/dt = a x² + d with x = v - (v_rest + v_c) / 2."""
    middle, half = (model.v_rest + model.v_c) / 2, (model.v_c - model.v_rest) / 2
    d = model.r * current - model.a * half**2
    q = math.sqrt(model.a / d)
    return model.tau / math.sqrt(model.a * d) * (math.atan(q * (stop - middle)) - math.atan(q * (start - middle)))


def crossing(v: np.ndarray, times: np.ndarray, level: float) -> float:
    """The first time at which ``v`` reaches ``level``, by a cubic through four points."""
    k = int(np.argmax(v >= level)) - 1
    coefficients = np.polyfit(times[k - 1 : k + 3] - times[k], v[k - 1 : k + 3] - level, 3)
    roots = np.roots(coefficients)
    return float(times[k] + min(r.real for r in roots if abs(r.imag) < 1e-9 and r.real >= -1e-12))


CASES = [
    (sl.QIF(), 27.0), (sl.QIF(), 60.0), (sl.QIF(v_reset=-60.0, a=0.04, v_rest=-82.7, v_c=-42.3), 170.0), (NORMAL, 0.01),
    (NORMAL, 1.0), (NORMAL, 4.0),
]  # fmt: skip


@pytest.mark.parametrize(("model", "current"), CASES, ids=lambda x: str(x))
def test_passage_through_every_level_is_the_closed_form(model: sl.QIF, current: float) -> None:
    # RK4 read between its grid points, so that neither the grid nor the spike takes part.
    levels = np.linspace(model.v_reset, min(model.v_peak, -model.v_reset), 9)[1:-1]
    length = 1.05 * passage(model, current, model.v_reset, model.v_peak)
    high = model.replace(v_peak=1e4)
    trace = sl.simulate(high, current, length, 0.0005, state={"v": model.v_reset}, record=("v",))
    found = [crossing(trace["v"], trace.times, level) for level in levels]
    expected = [passage(model, current, model.v_reset, level) for level in levels]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("model", "current"), CASES, ids=lambda x: str(x))
def test_period_on_the_grid_is_the_closed_form_rounded_up(model: sl.QIF, current: float) -> None:
    # Each interval begins at v_reset on a grid point and ends at the first grid point after the peak.
    period, dt = passage(model, current, model.v_reset, model.v_peak), 0.001
    trace = sl.simulate(model, current, 3.5 * period, dt, state={"v": model.v_reset}, record=("v",))
    np.testing.assert_allclose(np.diff(trace.spike_times, prepend=0.0), dt * math.ceil(period / dt), rtol=1e-12)
    assert len(trace.spike_times) == 3


@pytest.mark.parametrize(("model", "current"), CASES, ids=lambda x: str(x))
def test_rate_of_the_adaptive_solver_is_the_closed_form(model: sl.QIF, current: float) -> None:
    period = passage(model, current, model.v_reset, model.v_peak)
    trace = sl.simulate(model, current, 3.5 * period, 1.0, state={"v": model.v_reset}, solver=DormandPrince())
    np.testing.assert_allclose(np.diff(trace.spike_times, prepend=0.0), period, rtol=1e-9)
    assert len(trace.spike_times) == 3


@pytest.mark.parametrize(("model", "current"), [(sl.QIF(), 60.0), (NORMAL, 4.0)], ids=lambda x: str(x))
def test_rate_of_located_rk4_is_the_closed_form(model: sl.QIF, current: float) -> None:
    period = passage(model, current, model.v_reset, model.v_peak)
    trace = sl.simulate(model, current, 2.5 * period, 0.005, state={"v": model.v_reset}, solver=Located(RK4()))
    np.testing.assert_allclose(np.diff(trace.spike_times, prepend=0.0), period, rtol=1e-6)
    assert len(trace.spike_times) == 2


def test_normal_form_between_infinities() -> None:
    # tau dv/dt = v² + I fires with period pi tau / sqrt(I); the finite peak takes 2 atan(sqrt(I) / v_peak) off.
    for current in (0.25, 1.0, 4.0):
        whole = math.pi * NORMAL.tau / math.sqrt(current)
        part = 2.0 * NORMAL.tau / math.sqrt(current) * math.atan(math.sqrt(current) / NORMAL.v_peak)
        assert passage(NORMAL, current, NORMAL.v_reset, NORMAL.v_peak) == pytest.approx(whole - part, rel=1e-12)


def test_rheobase() -> None:
    model = sl.QIF()
    rheobase = model.a * (model.v_c - model.v_rest) ** 2 / 4 / model.r
    assert rheobase == pytest.approx(25.0, rel=1e-12)
    trace = sl.simulate(model, rheobase * np.array([0.999, 1.001]), 10_000.0, 0.1, record=("v",))
    assert trace.fired.sum(axis=0)[0] == 0
    assert trace.fired.sum(axis=0)[1] > 0
    # Below it the neuron stays at the lower root of a (v - v_rest)(v - v_c) + r i.
    assert trace["v"][-1, 0] == pytest.approx(-60.0 - 5.0 * math.sqrt(0.001), abs=1e-9)


def test_rate_grows_like_the_root_of_the_distance_to_rheobase() -> None:
    above = np.array([1e-4, 4e-4])
    rates = [1.0 / passage(NORMAL, i, NORMAL.v_reset, NORMAL.v_peak) for i in above]
    assert rates[1] / rates[0] == pytest.approx(2.0, rel=2e-4)
    trace = sl.simulate(NORMAL, above, 13_000.0, 0.01, state={"v": -100.0}, record=("v",))
    found = [1.0 / np.diff(t)[0] for t in trace.spike_times]
    np.testing.assert_allclose(found, rates, rtol=1e-5)


def test_rest_is_stable_and_the_upper_root_is_not() -> None:
    starts = np.array([-90.0, -65.0, -55.01, -54.99])
    trace = sl.simulate(sl.QIF(), np.zeros(4), 300.0, 0.1, state={"v": starts})
    assert trace.fired.any(axis=0).tolist() == [False, False, False, True]
    np.testing.assert_allclose(trace["v"][-1], -65.0, rtol=0.0, atol=1e-8)


def test_a_quadratic_neuron_of_latham_is_the_leaky_one_near_rest() -> None:
    # With a = 1 / (v_c - v_rest) the slope at rest is -1 / tau.
    model = sl.QIF(a=1.0 / 15.0, v_rest=-65.0, v_c=-50.0, tau=20.0)
    slope = (model.derivative(Values(v=-65.0 + 1e-6), Values(i=0.0))["v"]) / 1e-6
    assert slope == pytest.approx(-1.0 / 20.0, rel=1e-6)


def test_a_step_beyond_the_peak_stays_finite() -> None:
    for solver in (None, Heun(), ForwardEuler()):
        trace = sl.simulate(sl.QIF(), 1e4, 500.0, 2.0, solver=solver)
        assert np.isfinite(trace["v"]).all()
        assert len(trace.spike_times) > 50


def test_units_are_checked_at_the_door() -> None:
    with pytest.raises(sl.errors.DimensionError):
        sl.QIF(tau=20 * sl.nS)
    assert sl.QIF(a=0.04 / sl.mV).a == 0.04
    with pytest.raises(sl.errors.ParameterError, match="out of range"):
        sl.QIF(a=0.0)
