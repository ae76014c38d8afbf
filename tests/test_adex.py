"""The exponential neurons: EIF against quadrature, AdEx against REFERENCE section 7 and an integrator of its own."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.integrate

import spikeloom as sl
from spikeloom.models.base import Values
from spikeloom.solvers import RK4, DormandPrince, ForwardEuler, Located

# Naud et al. 2008 as adapted in Brian 2's example: C, g_L, E_L, a, tau_w, b, V_r, I; V_T -50, Delta_T 2, V_peak 0.
PATTERNS = {
    "tonic": (200, 10, -70, 2, 30, 0, -58, 500),
    "adapting": (200, 12, -70, 2, 300, 60, -58, 500),
    "initial-burst": (130, 18, -58, 4, 150, 120, -50, 400),
    "regular-burst": (200, 10, -58, 2, 120, 100, -46, 210),
    "irregular": (100, 12, -60, -11, 130, 30, -48, 160),
    "transient": (100, 10, -65, 10, 90, 100, -47, 180),
    "delayed-accelerating": (200, 12, -70, -10, 300, 0, -58, 300),
    "delayed-regular-burst": (100, 10, -65, -10, 90, 30, -47, 110),
}
# Spikes in 600 ms from rest, first three times and last intervals in ms (section 7, a reference integrator).
TABLE = {
    "tonic": (62, (14.223, 23.152, 32.242), (9.585,)),
    "adapting": (12, (14.904, 26.172, 40.548), (75.909,)),
    "initial-burst": (12, (5.464, 8.883, 16.202), (63.952,)),
    "regular-burst": (11, (16.158, 19.076, 24.198), (133.176, 5.351)),
    "irregular": (33, (15.645, 19.090, 23.558), ()),  # chaotic: only the first ten are comparable
    "transient": (1, (30.290,), ()),
}
DURATION = 600.0


def integrated(name: str, duration: float = DURATION, most: int = 1000) -> np.ndarray:
    """Spike times by the equations once more, in numbers, from event to event with DOP853."""
    c, g_l, e_l, a, tau_w, b, v_r, current = PATTERNS[name]

    def slope(_: float, y: np.ndarray) -> list[float]:
        v, w = y
        upstroke = g_l * 2.0 * math.exp(min((v + 50.0) / 2.0, 30.0))  # trial stages may look beyond the peak
        return [(upstroke - g_l * (v - e_l) - w + current) / c, (a * (v - e_l) - w) / tau_w]

    def peak(_: float, y: np.ndarray) -> float:
        return y[0]

    peak.terminal, peak.direction = True, 1.0  # type: ignore[attr-defined]
    time, y, found = 0.0, [float(e_l), 0.0], list[float]()
    while len(found) < most:
        run = scipy.integrate.solve_ivp(
            slope, (time, duration), y, method="DOP853", rtol=1e-10, atol=1e-10, events=peak
        )
        if run.status != 1:
            break
        time = float(run.t_events[0][0])
        found.append(time)
        y = [float(v_r), float(run.y_events[0][0][1]) + b]
    return np.array(found)


def check_row(name: str, spikes: np.ndarray, times: float = 0.01, interval: float = 0.005) -> None:
    """A row of the table: the count, the first three times and the last intervals, in ms."""
    count, first, last = TABLE[name]
    if name != "irregular":
        assert len(spikes) == count
    np.testing.assert_allclose(spikes[: len(first)], first, rtol=0.0, atol=times)
    if last:
        np.testing.assert_allclose(np.diff(spikes)[-len(last) :], sorted(last, key=_order(spikes)), atol=interval)


def _order(spikes: np.ndarray):
    """Sorts intervals as the last ones of ``spikes`` are: the table gives a burst's two intervals without an order."""
    falling = np.diff(spikes)[-2] > np.diff(spikes)[-1]
    return lambda interval: -interval if falling else interval


@pytest.mark.parametrize("name", PATTERNS)
def test_presets_are_the_table(name: str) -> None:
    preset, model = sl.AdEx.presets[name], sl.AdEx.preset(name)
    c, g_l, e_l, a, tau_w, b, v_r, current = PATTERNS[name]
    assert (model.c, model.g_l, model.e_l, model.a, model.tau_w, model.b, model.v_reset) == (
        c, g_l, e_l, a, tau_w, b, v_r,
    )  # fmt: skip
    assert (model.v_t, model.delta_t, model.v_peak) == (-50.0, 2.0, 0.0)
    assert (preset.current, preset.duration) == (current, DURATION)


@pytest.mark.parametrize("name", TABLE)
def test_the_table_by_an_independent_integrator(name: str) -> None:
    check_row(name, integrated(name), times=6e-4, interval=6e-4)  # as far as its digits go


@pytest.mark.parametrize("name", TABLE)
def test_the_table_by_the_adaptive_solver(name: str) -> None:
    model, current = sl.AdEx.preset(name), PATTERNS[name][-1]
    duration = 100.0 if name == "irregular" else DURATION
    check_row(
        name, sl.simulate(model, current, duration, 1.0, solver=DormandPrince(1e-8, 1e-8)).spike_times, 6e-4, 6e-4
    )


@pytest.mark.parametrize("name", PATTERNS)
def test_spike_times_of_the_adaptive_solver_are_those_of_the_integrator(name: str) -> None:
    # The irregular pattern is chaotic: ten of its spikes are comparable.
    expected = integrated(name, most=10 if name == "irregular" else 4)
    run = sl.simulate(sl.AdEx.preset(name), PATTERNS[name][-1], float(expected[-1]) + 0.1, 0.1, solver=DormandPrince())
    np.testing.assert_allclose(run.spike_times[: len(expected)], expected, rtol=0.0, atol=1e-6)


@pytest.fixture(scope="module")
def fixed_step():
    """All rows at once, RK4 with a step of 1 us."""
    presets = [sl.AdEx.presets[name] for name in TABLE]
    model = sl.AdEx(**{key: np.array([p.values[key] for p in presets]) for key in presets[0].values})
    trace = sl.simulate(model, np.array([p.current for p in presets]), DURATION, 0.001, record=("v",))
    return dict(zip(TABLE, trace.spike_times, strict=True))


@pytest.mark.parametrize("name", TABLE)
def test_the_table_by_rk4_on_a_fine_grid(name: str, fixed_step) -> None:
    check_row(name, fixed_step[name])


def test_spikes_on_the_grid_are_late_by_a_step_or_two_each() -> None:
    # Each is stamped with the end of its step, from which the next interval starts; the upstroke, which grows e-fold
    # in less than a microsecond, may take a step more. Locating the spike takes the first part away.
    expected, count = integrated("adapting", most=4), np.arange(1, 5)
    for dt in (0.02, 0.01, 0.005):
        late = sl.simulate(sl.AdEx.preset("adapting"), 500.0, 70.0, dt, record=("v",)).spike_times[:4] - expected
        assert (late > 0.0).all()
        assert (late < 2 * dt * count).all()
    located = sl.simulate(sl.AdEx.preset("adapting"), 500.0, 70.0, 0.01, solver=Located(RK4())).spike_times[:4]
    assert (abs(located - expected) < 0.2 * 0.01 * count).all()


def test_brette_gerstner_cell() -> None:
    # Defaults of the paper. With a / g_l > tau_m / tau_w its resting point loses stability in a Hopf bifurcation, where
    # exp((v - v_t) / delta_t) = 1 + tau_m / tau_w (Touboul and Brette 2008): a small push decays below and grows above.
    cell = sl.AdEx.preset("brette-gerstner-2005")
    assert cell == sl.AdEx()
    assert (cell.c, cell.g_l, cell.e_l, cell.v_t, cell.delta_t) == (281.0, 30.0, -70.6, -50.4, 2.0)
    assert (cell.tau_w, cell.a, cell.b) == (144.0, 4.0, 80.5)
    ratio = cell.c / cell.g_l / cell.tau_w
    v = cell.v_t + cell.delta_t * np.log(1.0 + ratio + np.array([-0.005, 0.005]))
    current = (cell.g_l + cell.a) * (v - cell.e_l) - cell.g_l * cell.delta_t * np.exp((v - cell.v_t) / cell.delta_t)
    start = {"v": v + 0.01, "w": cell.a * (v - cell.e_l)}
    trace = sl.simulate(cell, current, 15_000.0, 0.05, state=start)
    assert trace.fired.any(axis=0).tolist() == [False, True]
    assert abs(trace["v"][-4000:, 0] - v[0]).max() < 0.1 * abs(trace["v"][:4000, 0] - v[0]).max()


def eif_passage(model: sl.EIF, current: float, start: float, stop: float) -> float:
    """Time from ``start`` to ``stop`` by quadrature of dt = C dv / (current through the membrane)."""

    def pace(v: float) -> float:
        upstroke = model.g_l * model.delta_t * math.exp((v - model.v_t) / model.delta_t)
        return model.c / (upstroke - model.g_l * (v - model.e_l) + current)

    edges = [start, *(v for v in (model.v_t - 2.0, model.v_t + 2.0, model.v_t + 20.0) if start < v < stop), stop]
    pieces = (scipy.integrate.quad(pace, a, b, epsabs=1e-13, epsrel=1e-13) for a, b in itertools.pairwise(edges))
    return sum(piece[0] for piece in pieces)


@pytest.mark.parametrize("current", [17.0, 40.0, 200.0])
@pytest.mark.parametrize("model", [sl.EIF(), sl.EIF(delta_t=1.0, v_t=-60.0, v_peak=-30.0)], ids=repr)
def test_eif_period_is_its_quadrature(model: sl.EIF, current: float) -> None:
    current += model.g_l * (model.v_t - model.e_l - model.delta_t) - 16.2  # the same distance above rheobase
    period, dt = eif_passage(model, current, model.v_reset, model.v_peak), 0.001
    trace = sl.simulate(model, current, 3.5 * period, dt, state={"v": model.v_reset}, record=("v",))
    late = np.diff(trace.spike_times, prepend=0.0) - period  # rounded up, and the end of the upstroke takes a step
    assert (late >= 0.0).all()
    assert (late < 2 * dt).all()
    located = sl.simulate(model, current, 3.5 * period, 1.0, state={"v": model.v_reset}, solver=DormandPrince())
    np.testing.assert_allclose(np.diff(located.spike_times, prepend=0.0), period, rtol=1e-8)


def test_eif_rheobase() -> None:
    model = sl.EIF()
    rheobase = model.g_l * (model.v_t - model.e_l - model.delta_t)
    assert rheobase == pytest.approx(16.2, rel=1e-12)
    trace = sl.simulate(model, rheobase * np.array([0.999, 1.001]), 4000.0, 0.05, record=("v",))
    assert trace.fired.any(axis=0).tolist() == [False, True]


def test_eif_becomes_the_leaky_neuron_as_its_upstroke_sharpens() -> None:
    # Closed form of the LIF with threshold v_t: tau ln((RI - (v_r - e_l)) / (RI - (v_t - e_l))).
    drive, reset = 10.0, -68.0
    leaky = 10.0 * math.log((drive + 3.0) / (drive - 5.1))
    sharp = [sl.EIF(delta_t=delta, v_peak=-59.9 + 300 * delta) for delta in (0.1, 0.01, 0.001)]
    errors = [eif_passage(model, 100.0, reset, model.v_peak) / leaky - 1.0 for model in sharp]
    assert errors[0] > 5 * errors[1] > 25 * errors[2] > 0.0
    trace = sl.simulate(sharp[-1], 100.0, 30.0, 0.001, state={"v": reset})
    assert trace.spike_times[0] == pytest.approx(leaky, rel=3e-3)


@pytest.mark.parametrize("dt", [0.1, 1.0])
@pytest.mark.parametrize("solver", [None, ForwardEuler()], ids=repr)
@pytest.mark.parametrize("model", [sl.EIF(), sl.AdEx()], ids=repr)
def test_a_step_beyond_the_peak_stays_finite(model: sl.NeuronModel, solver, dt: float) -> None:
    # The equations see minimum(v, v_peak), whatever a stage of the solver looks at.
    trace = sl.simulate(model, 5000.0, 300.0, dt, solver=solver)
    assert all(np.isfinite(trace[name]).all() for name in model.states)
    assert len(trace.spike_times) > 5
    assert trace["v"].max() < model.v_peak


def test_adaptation_does_not_see_the_overshoot() -> None:
    # w relaxes towards a (v_peak - e_l) at most, however far a step overshoots.
    cell, w = sl.AdEx(), 30.0
    slope = cell.derivative(Values(v=1e6, w=w), Values(i=0.0))["w"]
    assert slope == pytest.approx((4.0 * 70.6 - w) / 144.0, rel=1e-12)


def test_at_a_spike_v_is_reset_and_w_grows() -> None:
    cell = sl.AdEx()
    assert cell.reset(Values(v=10.0, w=5.0)) == {"v": -70.6, "w": 85.5}
    assert float(cell.threshold(Values(v=0.0, w=0.0))) == 0.0  # fires when v = v_peak


def test_bad_parameters() -> None:
    with pytest.raises(sl.errors.ParameterError, match="delta_t is out of range"):
        sl.AdEx(delta_t=0.0)
    with pytest.raises(sl.errors.DimensionError):
        sl.AdEx(tau_w=20 * sl.nS)
    with pytest.raises(sl.errors.ParameterError, match="tonic"):
        sl.AdEx.preset("toinc")
