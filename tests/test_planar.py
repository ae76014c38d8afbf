"""FitzHugh-Nagumo and Morris-Lecar against REFERENCE sections 3 and 4, and an integrator of order eight."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize

import spikeloom as sl
from spikeloom.errors import DimensionError, ParameterError

FHN = sl.FitzHughNagumo()
HOPF = sl.MorrisLecar.preset("hopf")
SNIC = sl.MorrisLecar.preset("snic")
TIGHT = {"method": "DOP853", "rtol": 1e-11, "atol": 1e-11}
# Steady rate in Hz at a current density in uA/cm2.
HOPF_RATES = {90.0: 9.735, 94.0: 10.781, 100.0: 11.725, 120.0: 13.608, 150.0: 15.114, 200.0: 15.239}
SNIC_RATES = {40.0: 1.060, 40.5: 3.788, 42.0: 6.875, 45.0: 10.070, 50.0: 13.237, 60.0: 17.059, 90.0: 22.690,
              110.0: 24.736}  # fmt: skip


def intervals(trace: sl.simulation.Trace, level: float = 0.0) -> list[np.ndarray]:
    """Intervals between upward passages of ``level`` in the second half of a run, found within the steps."""
    found = []
    for v in trace["v"].T:
        k = np.flatnonzero((v[:-1] < level) & (v[1:] >= level))
        times = trace.times[k] + (trace.times[1]) * (level - v[k]) / (v[k + 1] - v[k])
        found.append(np.diff(times[times > trace.times[-1] / 2]))
    return found


def periods(model: sl.NeuronModel, currents: list[float], duration: float, dt: float, **start: float) -> list[float]:
    trace = sl.simulate(model, np.array(currents), duration, dt, record=("v",), state=start)
    return [float(found.mean()) for found in intervals(trace)]


# -- FitzHugh-Nagumo, section 4


def fitzhugh(_: float, y: np.ndarray, i: float) -> list[float]:
    v, w = y
    return [v - v**3 / 3 - w + i, (v + 0.7 - 0.8 * w) / 12.5]


def exact_period(slopes, start: list[float], args: tuple, duration: float) -> float:
    """By an independent integrator that locates the passages of 0 itself."""

    def passage(_: float, y: np.ndarray, *__: object) -> float:
        return y[0]

    passage.direction = 1.0
    times = scipy.integrate.solve_ivp(slopes, (0, duration), start, args=args, events=passage, **TIGHT).t_events[0]
    assert np.ptp(np.diff(times)[-2:]) < 1e-7
    return float(np.diff(times)[-1])


def test_fitzhugh_nagumo_rests_where_its_nullclines_cross() -> None:
    # v - v³/3 - (v + 0.7)/0.8 = 0 has one real root.
    roots = np.roots([-1 / 3, 0.0, 1.0 - 1.25, -0.875])
    (v,) = roots[abs(roots.imag) < 1e-12].real
    assert (v, (v + 0.7) / 0.8) == pytest.approx((-1.19940804, -0.62426004), abs=5e-9)
    assert FHN.initial_values() == pytest.approx({"v": v, "w": (v + 0.7) / 0.8}, abs=5e-9)
    trace = sl.simulate(FHN, 0.0, 400.0, 0.05, state={"v": -1.1})
    assert (trace["v"][-1], trace["w"][-1]) == pytest.approx((-1.19940804, -0.62426004), abs=5e-9)


def test_fitzhugh_nagumo_fires_between_its_hopf_points() -> None:
    # Hopf at 0.331281 and 1.418719; the large cycle exists slightly below, so that 0.33 fires from rest.
    trace = sl.simulate(FHN, np.array([0.32, 0.33, 1.41, 1.43]), 600.0, 0.02, record=("v",))
    assert [bool((times > 300.0).any()) for times in trace.spike_times] == [False, True, True, False]


def test_periods_of_fitzhugh_nagumo() -> None:
    currents = [0.4, 0.5, 0.75, 1.0]
    found = periods(FHN, currents, 600.0, 0.01)
    exact = [exact_period(fitzhugh, [-1.19940804, -0.62426004], (i,), 250.0) for i in currents]
    assert found == pytest.approx(exact, rel=1e-6)
    assert found[:2] == pytest.approx([42.443, 39.474], rel=2e-5)
    # (v, w, i) -> (-v, 1.75 - w, 1.75 - i) maps the equations onto themselves, so that 0.75 and 1 share a period.
    # The table has 36.642 at 1.0 and 48.226 at 0.33; both integrators, and this symmetry, give 36.6988 and 48.8102.
    assert found[3] == pytest.approx(found[2], rel=1e-6)
    assert found[3] == pytest.approx(36.6988, rel=1e-5)


def test_the_mirrored_trace_of_fitzhugh_nagumo() -> None:
    one = sl.simulate(FHN, 0.6, 100.0, 0.02)
    other = sl.simulate(FHN, 1.15, 100.0, 0.02, state={"v": 1.19940804, "w": 1.75 + 0.62426004})
    np.testing.assert_allclose(other["v"], -one["v"], atol=1e-11)
    np.testing.assert_allclose(other["w"], 1.75 - one["w"], atol=1e-11)


def test_peaks_of_fitzhugh_nagumo() -> None:
    v = sl.simulate(FHN, 0.5, 400.0, 0.01)["v"][20000:]
    assert (v.max(), v.min()) == pytest.approx((1.8521, -1.9704), abs=5e-5)


def test_time_constants_of_fitzhugh_nagumo_scale_time() -> None:
    slow = sl.FitzHughNagumo(tau=10.0, tau_w=125.0)
    found = sl.simulate(slow, 0.5, 1000.0, 0.1)
    np.testing.assert_allclose(found["v"], sl.simulate(FHN, 0.5, 100.0, 0.01)["v"], atol=1e-11)


def test_presets_of_fitzhugh_nagumo() -> None:
    counts = {}
    for name, preset in sl.FitzHughNagumo.presets.items():
        model = sl.FitzHughNagumo.preset(name)
        counts[name] = len(sl.simulate(model, preset.current, preset.duration, preset.dt).spike_times)
    assert counts == {"quiet": 1, "tonic": 7, "block": 1}


# -- Morris-Lecar, section 3

SETS = {"hopf": (4.4, 2.0, 30.0, 0.04), "snic": (4.0, 12.0, 17.4, 1.0 / 15.0)}


def morris(_: float, y: np.ndarray, i: float, g_ca: float, v3: float, v4: float, phi: float) -> list[float]:
    v, w = y
    calcium = g_ca * (1 + np.tanh((v + 1.2) / 18)) / 2 * (v - 120)
    current = i - calcium - 8 * w * (v + 84) - 2 * (v + 60)
    return [current / 20, phi * ((1 + np.tanh((v - v3) / v4)) / 2 - w) * np.cosh((v - v3) / (2 * v4))]


def resting_point(model: sl.MorrisLecar, i: float, low: float, high: float) -> dict[str, float]:
    def drift(v: float) -> float:
        s = sl.models.base.Values(v=v, w=model.opening(v, model.v3, model.v4))
        return model.derivative(s, sl.models.base.Values(i=i))["v"]

    v = float(scipy.optimize.brentq(drift, low, high, xtol=1e-12))  # type: ignore[arg-type]
    return {"v": v, "w": model.opening(v, model.v3, model.v4)}


@pytest.mark.parametrize(("model", "table"), [(HOPF, HOPF_RATES), (SNIC, SNIC_RATES)], ids=["hopf", "snic"])
def test_firing_rates_of_morris_lecar(model: sl.MorrisLecar, table: dict[float, float]) -> None:
    found = periods(model, list(table), 6000.0, 0.05, v=0.0, w=0.0)
    rates = 1000.0 / np.array(found)
    np.testing.assert_allclose(rates, list(table.values()), atol=6e-4)  # figures of three decimals


@pytest.mark.parametrize(("name", "i"), [("hopf", 150.0), ("snic", 42.0)])
def test_periods_of_morris_lecar_against_an_independent_integrator(name: str, i: float) -> None:
    (found,) = periods(sl.MorrisLecar.preset(name), [i], 3000.0, 0.02, v=0.0, w=0.0)
    assert found == pytest.approx(exact_period(morris, [0.0, 0.0], (i, *SETS[name]), 800.0), rel=1e-6)


def test_morris_lecar_is_silent_below_its_bifurcations() -> None:
    assert sl.simulate(HOPF, 60.0, 2000.0, 0.1, state={"v": 0.0}).spike_times.max(initial=0.0) < 100.0
    trace = sl.simulate(SNIC, np.array([39.95, 39.98]), 6000.0, 0.1)  # saddle-node on a circle at 39.9632
    assert [bool((times > 1000.0).any()) for times in trace.spike_times] == [False, True]


def test_morris_lecar_is_bistable_below_the_hopf_point() -> None:
    # At 90 uA/cm2 the resting point is stable beside a cycle; beyond 93.8576 it is not.
    points = [resting_point(HOPF, i, -40.0, -10.0) for i in (90.0, 97.0)]
    v, w = np.array([p["v"] for p in points]) + 0.1, np.array([p["w"] for p in points])
    trace = sl.simulate(HOPF, np.array([90.0, 97.0]), 4000.0, 0.1, state={"v": v, "w": w})
    assert [len(times) > 0 for times in trace.spike_times] == [False, True]
    assert trace["v"][-1, 0] == pytest.approx(points[0]["v"], abs=1e-3)
    (period,) = periods(HOPF, [90.0], 3000.0, 0.05, v=0.0, w=0.0)
    assert 1000.0 / period == pytest.approx(9.735, abs=6e-4)


def test_the_rate_grows_like_a_root_from_the_saddle_node_on() -> None:
    # The passage of the saddle-node takes pi / sqrt(alpha beta (i - i_sn)) (Strogatz 2015, sec. 4.3), in its normal
    # form with alpha = l · df/di and beta = l · d²f(r, r) / 2; what is left, a spike, takes the same time at each i.
    i_sn, y, r, left = saddle_node()
    assert i_sn == pytest.approx(39.9632, rel=1e-5)
    h = 1e-3
    ahead, here, behind = (np.array(morris(0.0, y + k * h * r, i_sn, *SETS["snic"])) for k in (1, 0, -1))
    alpha, beta = left[0] / 20.0, left @ (ahead - 2.0 * here + behind) / (2.0 * h * h)
    above = np.array([0.004, 0.008, 0.016, 0.032])
    found = periods(SNIC, list(i_sn + above), 15000.0, 0.1, v=0.0, w=0.0)
    slope, spike = np.polyfit(above**-0.5, found, 1)
    assert slope == pytest.approx(np.pi / np.sqrt(alpha * beta), rel=5e-3)
    np.testing.assert_allclose(slope * above**-0.5 + spike, found, rtol=1e-3)


def saddle_node() -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Where two resting points of the set "snic" meet: i, (v, w), and the null vectors with l · r = 1."""

    def needed(v: float) -> tuple[float, np.ndarray]:
        y = np.array([v, (1 + np.tanh((v - 12.0) / 17.4)) / 2])
        return -20.0 * morris(0.0, y, 0.0, *SETS["snic"])[0], y

    # The current that holds the membrane at v has its maximum there.
    v = float(scipy.optimize.minimize_scalar(lambda v: -needed(v)[0], bounds=(-40.0, -20.0), options={"xatol": 1e-9}).x)
    i, y = needed(v)
    jacobian = np.array(
        [
            (np.array(morris(0, y + d, i, *SETS["snic"])) - morris(0, y - d, i, *SETS["snic"])) / 2e-5
            for d in 1e-5 * np.eye(2)
        ]
    ).T
    right, left = (
        scipy.linalg.null_space(jacobian, rcond=1e-4)[:, 0],
        scipy.linalg.null_space(jacobian.T, rcond=1e-4)[:, 0],
    )
    return i, y, right, left / (left @ right)


@pytest.mark.parametrize("name", ["hopf", "snic"])
def test_every_state_of_morris_lecar_converges_with_order_four(name: str) -> None:
    span, start = 200.0, [0.0, 0.0]
    solved = scipy.integrate.solve_ivp(morris, (0, span), start, args=(100.0, *SETS[name]), dense_output=True, **TIGHT)
    errors = []
    for dt in (0.4, 0.2, 0.1):
        trace = sl.simulate(sl.MorrisLecar.preset(name), 100.0, span, dt, state={"v": 0.0, "w": 0.0})
        v, w = solved.sol(trace.times)
        errors.append(max(np.abs(trace["v"] - v).max(), np.abs(trace["w"] - w).max()))
    assert errors[-1] < 1e-4
    assert np.log2(errors[-2] / errors[-1]) == pytest.approx(4.0, abs=0.3)


def test_the_gate_of_morris_lecar_starts_in_equilibrium() -> None:
    start = HOPF.initial_values()
    assert start == pytest.approx({"v": -60.0, "w": 0.5 * (1 + np.tanh(-62.0 / 30.0))})
    for model in (HOPF, SNIC):
        assert resting_point(model, 0.0, -75.0, -50.0)["v"] == pytest.approx(-60.0, abs=1.0)


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(DimensionError, match="phi"):
        sl.MorrisLecar(phi=20 * sl.nS)
    with pytest.raises(ParameterError, match="v4"):
        sl.MorrisLecar(v4=0.0)
    with pytest.raises(ParameterError, match="tau_w"):
        sl.FitzHughNagumo(tau_w=-1.0)
    with pytest.raises(ParameterError, match="snic"):
        sl.MorrisLecar.preset("snik")
