"""Hodgkin and Huxley's axon against the numbers of REFERENCE section 2 (a high-order reference integrator)."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize

import spikeloom as sl
from spikeloom.solvers import ExponentialEuler

HH = sl.HodgkinHuxley()
REST = {"v": -64.9963793, "m": 0.0529551, "h": 0.5959941, "n": 0.3177324}
# Steady rate in Hz at a current density in uA/cm2, for runs that begin at rest.
RATES = {6.5: 55.057, 8.0: 62.470, 10.0: 68.324, 12.0: 72.919, 20.0: 86.470, 50.0: 117.036, 100.0: 147.27, 160.0: 0.0}


def steady_gates(v: float) -> dict[str, float]:
    return {name: gate.steady for name, gate in HH.gates(v).items()}


def fixed_point(current: float) -> dict[str, float]:
    """The state in which nothing changes."""

    def drift(v: float) -> float:
        states = sl.models.base.Values(v=v, **steady_gates(v))
        return HH.derivative(states, sl.models.base.Values(i=current))["v"]

    v = float(scipy.optimize.brentq(drift, -75.0, -35.0, xtol=1e-13))  # type: ignore[arg-type]
    return {"v": v, **steady_gates(v)}


def crossings(v: np.ndarray, times: np.ndarray, level: float) -> np.ndarray:
    """Times at which ``v`` passes ``level``, by a cubic through four points around each passage."""
    found = []
    for k in np.flatnonzero((v[:-1] < level) != (v[1:] < level)):
        coefficients = np.polyfit(times[k - 1 : k + 3] - times[k], v[k - 1 : k + 3] - level, 3)
        roots = np.roots(coefficients)
        step = times[1] - times[0]
        real = roots[(abs(roots.imag) < 1e-9) & (roots.real >= -1e-9) & (roots.real <= step + 1e-9)].real
        found.append(times[k] + real[0])
    return np.array(found)


def rates(trace) -> np.ndarray:
    """Steady rates from the last intervals, between passages of -45 mV found within the steps."""
    found = []
    for v in trace["v"].T:
        late = trace.times > trace.times[-1] / 2
        up = crossings(v[late], trace.times[late], -45.0)[::2] if np.ptp(v[late]) > 20.0 else np.array([])
        found.append(1000.0 / np.diff(up).mean() if len(up) > 1 else 0.0)
    return np.array(found)


@pytest.fixture(scope="module")
def steps():
    """Current steps from rest, 600 ms, in one vectorised run."""
    return sl.simulate(HH, np.array(list(RATES)), 600.0, 0.01, state=REST, record=("v",))


def test_rest() -> None:
    trace = sl.simulate(HH, 0.0, 200.0, 0.01)
    found = {name: trace[name][-1] for name in HH.states}
    assert found["v"] == pytest.approx(REST["v"], abs=5e-7)
    for gate in "mhn":
        assert found[gate] == pytest.approx(REST[gate], abs=1e-7)
    assert len(trace.spike_times) == 0
    assert fixed_point(0.0) == pytest.approx(found, abs=1e-7)


def test_initial_gates_are_in_equilibrium_at_minus_65() -> None:
    start = HH.initial_values()
    assert start["v"] == -65.0
    assert [start[g] for g in "mhn"] == pytest.approx(
        [0.0529324852572496, 0.596120753508460, 0.317676914060697], rel=1e-12
    )


def test_rates_are_smooth_through_their_removable_singularities() -> None:
    for gate, v in (("m", -40.0), ("n", -55.0)):
        at, near = HH.gates(v)[gate].opening, HH.gates(v + 1e-7)[gate].opening
        assert at == {"m": 1.0, "n": 0.1}[gate]
        assert near == pytest.approx(at, rel=1e-7)
        assert near > at


def test_rheobase() -> None:
    # One spike from 2.24033, repetitive firing from 6.25998 uA/cm2.
    currents = np.array([2.2400, 2.2402, 2.2405, 2.2410, 6.2590, 6.2610])
    trace = sl.simulate(HH, currents, 1000.0, 0.01, state=REST, record=("v",))
    counts = trace.fired.sum(axis=0)
    assert counts[:4].tolist() == [0, 0, 1, 1]
    assert [bool((times > 800.0).any()) for times in trace.spike_times] == [False, False, False, False, False, True]


def test_instantaneous_depolarisation_threshold() -> None:
    kicks = np.array([6.50, 6.5046, 6.5056, 6.51])
    trace = sl.simulate(HH, np.zeros(4), 30.0, 0.01, state={**REST, "v": REST["v"] + kicks}, record=("v",))
    assert (trace["v"].max(axis=0) > 0.0).tolist() == [False, False, True, True]


def test_a_short_pulse() -> None:
    # 20 uA/cm2 for 1 ms from rest.
    trace = sl.simulate(HH, lambda t: np.where(t < 0.9999, 20.0, 0.0), 30.0, 0.01, state=REST)
    v, times = trace["v"], trace.times
    assert crossings(v, times, 0.0)[0] == pytest.approx(1.29622, abs=2e-5)
    top = int(v.argmax())
    parabola = np.polyfit(times[top - 1 : top + 2] - times[top], v[top - 1 : top + 2], 2)
    peak_time = times[top] - parabola[1] / (2 * parabola[0])
    peak = parabola[2] - parabola[1] ** 2 / (4 * parabola[0])
    assert peak == pytest.approx(40.504, abs=1e-3)
    assert peak_time == pytest.approx(1.5330, abs=2e-4)
    assert peak - REST["v"] == pytest.approx(105.50, abs=1e-2)
    rise, fall = crossings(v, times, REST["v"] + (peak - REST["v"]) / 2)
    assert fall - rise == pytest.approx(1.4775, abs=2e-4)  # 1.47764 by the integration in the next test
    assert v.min() == pytest.approx(-76.182, abs=1e-3)
    assert trace.fired.sum() == 1


def textbook(_: float, y: np.ndarray, current: float) -> list[float]:
    """The equations once more, in numbers and independent of the model's text."""
    v, m, h, n = y
    alpha_m, beta_m = 0.1 * (v + 40) / (1 - np.exp(-(v + 40) / 10)), 4 * np.exp(-(v + 65) / 18)
    alpha_h, beta_h = 0.07 * np.exp(-(v + 65) / 20), 1 / (1 + np.exp(-(v + 35) / 10))
    alpha_n, beta_n = 0.01 * (v + 55) / (1 - np.exp(-(v + 55) / 10)), 0.125 * np.exp(-(v + 65) / 80)
    ionic = 120 * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.387)
    gates = ((m, alpha_m, beta_m), (h, alpha_h, beta_h), (n, alpha_n, beta_n))
    return [current - ionic, *(a * (1 - y) - b * y for y, a, b in gates)]


def test_every_state_against_an_integrator_of_order_eight() -> None:
    tight = {"method": "DOP853", "rtol": 1e-12, "atol": 1e-12, "dense_output": True}
    during = scipy.integrate.solve_ivp(textbook, (0, 1), list(REST.values()), args=(20.0,), **tight)
    after = scipy.integrate.solve_ivp(textbook, (1, 20), during.y[:, -1], args=(0.0,), **tight)
    errors = []
    for dt in (0.02, 0.01, 0.005):
        trace = sl.simulate(HH, lambda t: np.where(t < 0.9999, 20.0, 0.0), 20.0, dt, state=REST)
        exact = np.where(trace.times <= 1.0, during.sol(trace.times), after.sol(trace.times))
        errors.append(max(np.abs(trace[name] - row).max() for name, row in zip(HH.states, exact, strict=True)))
    assert errors[-1] < 5e-5  # mV, on an upstroke of 300 mV/ms
    assert np.log2(errors[-2] / errors[-1]) == pytest.approx(4.0, abs=0.2)


def test_rates_over_current(steps) -> None:
    np.testing.assert_allclose(rates(steps), list(RATES.values()), rtol=3e-5)


def test_spikes_that_stay_below_zero_are_counted(steps) -> None:
    # At 100 uA/cm2 the axon oscillates at 147 Hz between -60.5 and -20.1 mV: 0 mV as threshold would miss them.
    k = list(RATES).index(100.0)
    late = steps.times > 300.0
    v = steps["v"][late, k]
    assert (v.max(), v.min()) == pytest.approx((-20.1, -60.5), abs=0.1)  # figures of one decimal
    assert len(steps.spike_times[k][steps.spike_times[k] > 300.0]) == pytest.approx(0.3 * 147.27, abs=1)


def test_counted_rates_agree_with_interpolated_ones(steps) -> None:
    np.testing.assert_allclose(steps.rates(start=300.0)[:7], list(RATES.values())[:7], rtol=1e-3)


def test_the_same_current_is_silent_or_rhythmic() -> None:
    # Bistable between 6.26 and 9.775 uA/cm2: at 8 the fixed point is stable, and a step from rest still fires.
    still = fixed_point(8.0)
    start = {n: np.array([still[n], REST[n]]) for n in still}
    trace = sl.simulate(HH, np.array([8.0, 8.0]), 500.0, 0.01, state=start, record=("v",))
    assert trace.fired.sum(axis=0)[0] == 0
    np.testing.assert_allclose(trace["v"][:, 0], still["v"], atol=1e-9)
    assert trace.fired.sum(axis=0)[1] == pytest.approx(0.5 * 62.47, abs=1)


def test_the_fixed_point_loses_its_stability_between_the_two_hopf_points() -> None:
    # Hopf at 9.77544 (v -59.6541) and 154.52243 uA/cm2 (v -43.0581): a small push decays outside and grows inside.
    currents = [9.6, 9.95, 153.0, 156.0]
    points = [fixed_point(i) for i in currents]
    assert fixed_point(9.77544)["v"] == pytest.approx(-59.6541, abs=1e-4)
    assert fixed_point(154.52243)["v"] == pytest.approx(-43.0581, abs=1e-4)
    start = {n: np.array([p[n] for p in points]) for n in HH.states}
    still = start["v"].copy()
    start["v"] = still + 1e-4
    trace = sl.simulate(HH, np.array(currents), 200.0, 0.01, state=start, record=("v",))
    away = np.abs(trace["v"] - still)
    early, late = (away[(trace.times > t) & (trace.times < t + 30.0)].max(axis=0) for t in (5.0, 165.0))
    assert (late > early).tolist() == [False, True, True, False]


def test_exponential_euler_is_off_by_half_a_percent_at_the_same_step() -> None:
    # Said in the model's documentation: order 1 does not come for free.
    trace = sl.simulate(HH, np.array([10.0]), 600.0, 0.01, solver=ExponentialEuler(), state=REST, record=("v",))
    error = abs(rates(trace)[0] / RATES[10.0] - 1.0)
    assert 1e-3 < error < 1e-2


def test_the_default_solver_is_converged_at_the_documented_step() -> None:
    rate = [rates(sl.simulate(HH, np.array([10.0]), 600.0, dt, state=REST, record=("v",)))[0] for dt in (0.025, 0.01)]
    np.testing.assert_allclose(rate, RATES[10.0], rtol=3e-5)


def test_time_step_and_units_scale_together() -> None:
    # The same axon with all conductances, the capacity and the current doubled.
    double = HH.replace(c=2.0, g_na=240.0, g_k=72.0, g_l=0.6)
    one, other = (sl.simulate(model, i, 20.0, 0.01)["v"] for model, i in ((HH, 10.0), (double, 20.0)))
    np.testing.assert_allclose(one, other, rtol=1e-9)
