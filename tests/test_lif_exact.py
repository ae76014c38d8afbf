"""Linear neurons against their closed forms, with spikes off the grid: 1e-12 relative, whatever the step.

The formulas and the parameters are those of REFERENCE.md section 1 (NEST's own tests among them).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.special

import spikeloom as sl
from spikeloom.solvers import DormandPrince, Exact, Located

OFF_GRID = Located(Exact())


def cell(t_ref: float = 2.0) -> sl.NeuronModel:
    lif = sl.LIF(tau=10.0, v_threshold=15.0, v_reset=0.0, reset_mechanism="value")
    return sl.Refractory(lif, t_ref=t_ref)


def interval(drive: float, t_ref: float = 2.0) -> float:
    return t_ref + 10.0 * math.log(drive / (drive - 15.0))


@pytest.mark.parametrize(
    ("drive", "isi", "rate"),
    [
        (15.0001, 121.183972, 8.251916), (16.0, 29.725887, 33.640712), (20.0, 15.862944, 63.040002),
        (30.0, 8.931472, 111.963629), (60.0, 4.876821, 205.051622),
    ],
)  # fmt: skip
def test_the_table_is_the_closed_form(drive: float, isi: float, rate: float) -> None:
    assert interval(drive) == pytest.approx(isi, abs=5.1e-7)
    assert 1000.0 / interval(drive) == pytest.approx(rate, abs=5.1e-7)


@pytest.mark.parametrize("dt", [0.1, 0.3, 1.0, 7.0])
@pytest.mark.parametrize("drive", [15.0001, 16.0, 20.0, 30.0, 60.0])
def test_intervals(drive: float, dt: float) -> None:
    isi = interval(drive)
    trace = sl.simulate(cell(), drive, 10.2 * isi, dt, solver=OFF_GRID)
    expected = isi * np.arange(1, 11) - 2.0  # the first comes without a refractory time before it
    # Just above threshold the closed form itself is known no better than a rounding of v there moves the crossing.
    slope = (drive - 15.0) / 10.0
    tolerance = max(1e-12, 4.0 * np.spacing(15.0) / slope / isi)
    assert tolerance < 6e-12
    np.testing.assert_allclose(trace.spike_times, expected, rtol=tolerance)
    np.testing.assert_allclose(np.diff(trace.spike_times), isi, rtol=tolerance)
    assert trace.rates() == pytest.approx(1000.0 / isi, rel=tolerance)


@pytest.mark.parametrize("drive", [0.0, 10.0, 14.9999, 15.0])
def test_no_spike_at_or_below_threshold(drive: float) -> None:
    trace = sl.simulate(cell(), drive, 300.0, 1.0, solver=OFF_GRID)
    assert len(trace.spike_times) == 0
    assert trace.rates() == 0.0


@pytest.mark.parametrize("power", range(14))
def test_nests_resolutions(power: int) -> None:
    # NEST, test_iaf_psc_alpha family: C 250 pF, tau 10 ms, threshold 15 mV above rest, 1000 pA.
    model = sl.LIF(tau=10.0, r=10.0 / 250.0, v_threshold=15.0, reset_mechanism="value")
    dt = 2.0**-power
    trace = sl.simulate(model, 1000.0, 5.0, dt, solver=OFF_GRID)
    assert trace.spike_times[0] == pytest.approx(4.700036292457, abs=5.1e-13)
    assert trace.spike_times[0] == pytest.approx(10.0 * math.log(40.0 / 25.0), rel=1e-14)
    free = sl.simulate(model.replace(v_threshold=100.0), 1000.0, 5.0, dt, solver=OFF_GRID)
    assert free["v"][-1] == pytest.approx(-40.0 * math.expm1(-0.5), rel=1e-14)


@pytest.mark.parametrize("dt", [0.1, 1.0, 7.0])
def test_a_perfect_integrator_fires_at_exactly_100_hz(dt: float) -> None:
    trace = sl.simulate(sl.IF(c=250.0, v_threshold=15.0), 375.0, 1000.0, dt, solver=OFF_GRID)
    np.testing.assert_allclose(trace.spike_times, 10.0 * np.arange(1, len(trace.spike_times) + 1), rtol=1e-13)
    assert trace.rates() == pytest.approx(100.0, rel=1e-14)


@pytest.mark.parametrize("t_ref", [0.0, 0.05, 1.0, 2.345])
def test_a_refractory_time_is_not_rounded(t_ref: float) -> None:
    trace = sl.simulate(cell(t_ref), 20.0, 120.0, 0.1, solver=OFF_GRID)
    np.testing.assert_allclose(np.diff(trace.spike_times), interval(20.0, t_ref), rtol=1e-12)


def test_the_trace_between_spikes() -> None:
    trace = sl.simulate(cell(), 20.0, 60.0, 0.1, solver=OFF_GRID)
    first, isi = interval(20.0) - 2.0, interval(20.0)
    since = np.where(trace.times < first, trace.times + 2.0, (trace.times - first) % isi)  # after the last spike
    expected = np.where(since < 2.0, 0.0, -20.0 * np.expm1(-(since - 2.0) / 10.0))
    np.testing.assert_allclose(trace["v"], expected, atol=1e-12)
    np.testing.assert_allclose(
        trace["remaining"], np.where(trace.times < first, 0.0, np.maximum(2.0 - since, 0.0)), atol=1e-12
    )


def test_a_split_run_has_the_spikes_of_the_whole() -> None:
    drive = 18.0 + 6.0 * np.random.default_rng(5).normal(size=(900, 1))
    for solver, exactly in ((None, True), (OFF_GRID, False)):
        whole = sl.simulate(cell(), drive, 90.0, 0.1, solver=solver)
        for cut in (1, 300, 451):
            head = sl.simulate(cell(), drive[:cut], cut * 0.1, 0.1, solver=solver)
            state = {name: head[name][-1] for name in head.names()}
            tail = sl.simulate(cell(), drive[cut:], 90.0 - cut * 0.1, 0.1, solver=solver, state=state)
            both = np.concatenate([head.fired[:, 0], tail.fired[1:, 0]])
            np.testing.assert_array_equal(both, whole.fired[:, 0])
            assert both.sum() >= 3
            if not exactly:  # times are counted from another zero, and rounded so
                times = np.concatenate([head.spike_times[0], cut * 0.1 + tail.spike_times[0]])
                np.testing.assert_allclose(times, whole.spike_times[0], rtol=1e-12)


# -- synaptic currents into a membrane: coupled linear states


class PeakOf(sl.NeuronModel):
    """A membrane that fires where it peaks: where -dv/dt comes up through 0."""

    c = sl.param(250.0, sl.pF, low=0.0)
    tau = sl.param(10.0, sl.ms, low=0.0)
    tau_syn = sl.param(0.5, sl.ms, low=0.0)
    v = sl.state(0.0, sl.mV)
    current = sl.state(0.0, sl.pA)
    i = sl.input(sl.pA)

    def derivative(self, s, x):
        return {"v": (s.current + x.i) / self.c - s.v / self.tau, "current": -s.current / self.tau_syn}

    def threshold(self, s):
        return s.v / self.tau - s.current / self.c


class AlphaPeakOf(PeakOf):
    """The same with an alpha-shaped current ``e t / tau_syn exp(-t / tau_syn)``."""

    rise = sl.state(0.0, sl.pA / sl.ms)

    def derivative(self, s, x):
        slopes = super().derivative(s, x)
        return {**slopes, "current": s.rise + slopes["current"], "rise": -s.rise / self.tau_syn}


@pytest.mark.parametrize("dt", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("solver", [OFF_GRID, DormandPrince(rtol=1e-12, atol=1e-13)], ids=["exact", "adaptive"])
def test_exponential_current_to_its_potential(solver, dt: float) -> None:
    # The conversion of the microcircuit model (Potjans and Diesmann 2014): 585.39 pA give 1 mV.
    trace = sl.simulate(PeakOf(), 0.0, 5.0, dt, solver=solver, state={"current": 87.8085})
    (peak,) = trace.spike_times
    tau, tau_syn, c = 10.0, 0.5, 250.0
    a, b = 1.0 / tau_syn, 1.0 / tau
    exact = math.log(a / b) / (a - b)
    assert exact == pytest.approx(1.57670, abs=5.1e-6)
    assert peak == pytest.approx(exact, rel=1e-12 if solver is OFF_GRID else 1e-9)
    height = (math.exp(-b * exact) - math.exp(-a * exact)) / (c * (a - b))
    assert 1.0 / height == pytest.approx(585.3900, abs=5.1e-5)
    at_peak = sl.simulate(PeakOf(), 0.0, exact, exact, solver=OFF_GRID, state={"current": 1.0 / height})
    assert at_peak["v"][-1] == pytest.approx(1.0, rel=1e-13)
    assert 0.15 / height == pytest.approx(87.8085, abs=5.1e-5)


@pytest.mark.parametrize(("tau", "tau_syn"), [(10.0, 0.5), (10.0, 2.0), (20.0, 5.0), (8.0, 7.0)])
def test_alpha_current_to_the_time_of_its_peak(tau: float, tau_syn: float) -> None:
    a = tau / tau_syn
    formula = (-a * scipy.special.lambertw(-math.exp(-1.0 / a) / a, -1).real - 1.0) / (a * (1 / tau_syn - 1 / tau))
    start = {"rise": math.e / tau_syn}
    model = AlphaPeakOf(tau=tau, tau_syn=tau_syn)
    found = sl.simulate(model, 0.0, 40.0, 0.1, solver=OFF_GRID, state=start).spike_times
    assert found == pytest.approx([formula], rel=1e-10)

    def slope(t: float) -> float:  # of v, by root finding on the closed form
        d = 1.0 / tau_syn - 1.0 / tau
        kernel = (math.exp(-t / tau) - math.exp(-t / tau_syn) * (1.0 + d * t)) / d**2
        return t * math.exp(-t / tau_syn) - kernel / tau

    assert formula == pytest.approx(scipy.optimize.brentq(slope, 0.5 * formula, 2.0 * formula, xtol=1e-14), rel=1e-10)


@pytest.mark.parametrize("dt", [0.02, 0.1, 1.0, 2.5])
def test_a_synaptic_membrane_that_fires_does_not_depend_on_the_step(dt: float) -> None:
    class Cell(PeakOf):
        def threshold(self, s):
            return s.v - 1.0 * sl.mV

        def reset(self, s):
            return {"v": -1.0}

    start = {"current": 2000.0}

    def voltage(t: float, v: float, current: float) -> float:
        a, b = 2.0, 0.1
        return v * math.exp(-b * t) + current * (math.exp(-b * t) - math.exp(-a * t)) / (250.0 * (a - b))

    expected, now, v, current = [], 0.0, 0.0, 2000.0
    for _ in range(2):
        root = scipy.optimize.brentq(lambda t, v=v, c=current: voltage(t, v, c) - 1.0, 1e-6, 1.3, xtol=1e-15)
        expected.append(now + root)
        now, v, current = now + root, -1.0, current * math.exp(-2.0 * root)
    trace = sl.simulate(Cell(), 0.0, 10.0, dt, solver=OFF_GRID, state=start)
    np.testing.assert_allclose(trace.spike_times, expected, rtol=1e-12)
