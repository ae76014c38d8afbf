"""Limit cycles and phase responses: REFERENCE sections 2 to 5, closed forms, and perturbation without linearising."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate

import spikeloom as sl
from spikeloom.analyse import AnalysisError, limit_cycle, measured_phase_response, period, phase_response
from spikeloom.errors import ModelError, ParameterError


class Adaptive(sl.NeuronModel):
    """A quadratic neuron with adaptation: two states, a reset that depends on one of them."""

    tau = sl.param(1.0, sl.ms)
    v_peak = sl.param(10.0)
    v = sl.state(0.0)
    w = sl.state(0.0)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": (s.v * s.v - s.w + x.i) / self.tau, "w": 0.1 * (0.3 * s.v - s.w) / self.tau}

    def threshold(self, s):
        return s.v - self.v_peak

    def reset(self, s):
        return {"v": -3.0, "w": 0.9 * s.w + 0.5}


class Rotator(sl.NeuronModel):
    """The supercritical normal form r' = r (1 - r²), θ' = w: everything about its cycle is known."""

    tau = sl.param(1.0, sl.ms)
    w = sl.param(0.5)
    x = sl.state(0.3)
    y = sl.state(0.0)
    i = sl.input()

    def derivative(self, s, x):
        grow = 1.0 - s.x * s.x - s.y * s.y
        return {"x": (grow * s.x - self.w * s.y + x.i) / self.tau, "y": (grow * s.y + self.w * s.x) / self.tau}


@pytest.fixture(scope="module")
def axon():
    return limit_cycle(sl.HodgkinHuxley(), 10.0)


# Steady rates in Hz at held currents (REFERENCE).
RATES = [
    (sl.HodgkinHuxley(), {6.5: 55.057, 100.0: 147.27}),
    (sl.MorrisLecar(), {90.0: 9.735, 200.0: 15.239}),
    (sl.MorrisLecar.preset("snic"), {40.0: 1.060, 110.0: 24.736}),
]


@pytest.mark.parametrize(
    ("model", "current", "rate"),
    [(m, i, r) for m, table in RATES for i, r in table.items()],
    ids=lambda v: str(v)[:24],
)
def test_rates_of_firing(model, current, rate):
    cycle = limit_cycle(model, current, points=2)
    assert cycle.frequency == pytest.approx(rate, abs=0.6 * 10.0 ** -len(str(rate).split(".")[1]))
    assert cycle.stable


@pytest.mark.parametrize(("current", "expected"), [(0.4, 42.443), (0.5, 39.474)])
def test_periods_of_fitzhugh_nagumo(current, expected):
    assert period(sl.FitzHughNagumo(), current) == pytest.approx(expected, abs=6e-4)
    # Turned by v -> -v, w -> 1.75 - w, the equations are those at the current 1.75 - i.
    assert period(sl.FitzHughNagumo(), 1.75 - current) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize("current", [0.33, 1.0])
def test_periods_of_fitzhugh_nagumo_by_scipy(current):
    """REFERENCE has 48.226 at 0.33 and 36.642 at 1.0, which no integrator confirms: SciPy finds 48.8102 and 36.6988."""

    def slope(t, y):
        return [y[0] - y[0] ** 3 / 3.0 - y[1] + current, (y[0] + 0.7 - 0.8 * y[1]) / 12.5]

    def up(t, y):
        return y[0]

    up.direction = 1.0
    start = [-1.19940804, -0.62426004]
    found = scipy.integrate.solve_ivp(slope, (0.0, 400.0), start, method="LSODA", rtol=1e-10, atol=1e-12, events=up)
    expected = np.diff(found.t_events[0])[-1]
    assert period(sl.FitzHughNagumo(), current) == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx({0.33: 48.8102, 1.0: 36.6988}[current], abs=6e-5)


@pytest.mark.parametrize("current", [0.32, 1.43])
def test_fitzhugh_nagumo_without_a_cycle(current):
    with pytest.raises(AnalysisError, match="no limit cycle here: it comes to rest"):
        limit_cycle(sl.FitzHughNagumo(), current)


def test_peaks_of_fitzhugh_nagumo():
    cycle = limit_cycle(sl.FitzHughNagumo(), 0.5, points=20001)
    assert [cycle["v"].max(), cycle["v"].min()] == pytest.approx([1.8521, -1.9704], abs=6e-5)


def test_bursts_of_hindmarsh_and_rose():
    cycle = limit_cycle(sl.HindmarshRose(), 2.0)
    assert cycle.period == pytest.approx(128.50448, rel=1e-5)
    assert len(cycle.spike_times) == 2  # in each burst, counted from its first spike
    assert cycle.spike_times[0] == 0.0
    assert cycle.spike_times[1] < 0.2 * cycle.period


def test_a_cycle_that_is_known_in_closed_form():
    cycle = limit_cycle(Rotator(), points=201)
    assert cycle.period == pytest.approx(4.0 * np.pi, rel=1e-9)
    assert np.hypot(cycle["x"], cycle["y"]) == pytest.approx(1.0, abs=1e-9)
    # r' = r (1 - r²) linearises to -2 on the cycle.
    assert abs(cycle.multipliers) == pytest.approx([1.0, np.exp(-2.0 * cycle.period)], abs=1e-9)
    assert cycle["x"][0] == pytest.approx(1.0, abs=1e-9)  # no threshold: phase 0 is the membrane's maximum
    assert len(cycle.spike_times) == 0
    # Isochrons are rays: Z = (-y, x)/w.
    found = phase_response(Rotator(), cycle=cycle, points=201)
    assert found["x"] == pytest.approx(-cycle["y"] / 0.5, abs=1e-8)
    assert found["y"] == pytest.approx(cycle["x"] / 0.5, abs=1e-8)
    assert found.to_input["i"] == pytest.approx(found["x"], abs=1e-12)
    assert found.kind == "type II"
    assert found.delaying == pytest.approx(0.5, abs=1e-3)
    # A push that is not small: the new phase is the angle of the point reached.
    phases = np.array([0.1, 0.35, 0.8])
    angle = 2.0 * np.pi * phases
    exact = np.arctan2(np.sin(angle), np.cos(angle) + 0.4) - angle
    exact = ((exact + np.pi) % (2.0 * np.pi) - np.pi) / 0.5
    assert measured_phase_response(Rotator(), jump=0.4, phases=phases, cycle=cycle) == pytest.approx(exact, abs=1e-6)


def test_the_cycle_of_the_axon(axon):
    assert axon.frequency == pytest.approx(68.324, abs=6e-4)
    assert axon.times[[0, -1]].tolist() == [0.0, axon.period]
    assert axon.spike_times.tolist() == [0.0]
    assert axon["v"][0] == pytest.approx(-30.0, abs=1e-7)  # the model's threshold
    for name in axon.states:
        assert axon[name][-1] == pytest.approx(axon[name][0], abs=1e-7)
    assert abs(axon.multipliers[0] - 1.0) < 1e-7


# -- resets


def test_the_leaky_neuron_in_closed_form():
    model = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")
    cycle = limit_cycle(model, 20.0, points=101)
    assert cycle.period == pytest.approx(10.0 * np.log(4.0), rel=1e-9)
    assert cycle["v"] == pytest.approx(20.0 * (1.0 - np.exp(-cycle.times / 10.0)), abs=1e-7)
    assert cycle.multipliers == pytest.approx([1.0], abs=1e-12)
    found = phase_response(model, 20.0, cycle=cycle, points=101)
    assert found["v"] == pytest.approx(10.0 / (20.0 - cycle["v"]), rel=1e-7)  # 1 / (dv/dt)


def test_the_quadratic_neuron_has_the_phase_response_of_the_theta_neuron():
    # tau dv/dt = v² + i is v = sqrt(i) tan(sqrt(i) t / tau): Z = tau / (v² + i) = tau cos² / i, which for an infinite
    # peak is tau (1 - cos 2 pi t/T) / (2 i) (Ermentrout 1996, eq. 2.9).
    model, current = sl.QIF.preset("normal-form"), 1.0
    found = phase_response(model, current)
    half = np.arctan(100.0)
    assert found.period == pytest.approx(20.0 * half, rel=1e-8)
    assert found["v"] == pytest.approx(10.0 * np.cos(found.times / 10.0 - half) ** 2, abs=1e-6)
    shape = 0.5 * (1.0 - np.cos(2.0 * np.pi * found.phases))
    assert found["v"] / found["v"].max() == pytest.approx(shape, abs=0.02)
    assert found.kind == "type I"
    assert found.delaying == 0.0


def test_the_response_near_a_saddle_node_on_a_circle_is_one_minus_cosine():
    found = phase_response(sl.MorrisLecar.preset("snic"), 39.97)
    assert found.kind == "type I"
    shape = found["v"] / found["v"].max()
    middle = found.phases[np.argmax(shape)]
    expected = 0.5 * (1.0 + np.cos(2.0 * np.pi * (found.phases - middle)))
    assert shape == pytest.approx(expected, abs=0.05)


def test_the_axon_is_of_type_two(axon):
    found = phase_response(sl.HodgkinHuxley(), 10.0, cycle=axon)
    assert found.kind == "type II"
    assert found["v"].min() < -0.1
    assert found["v"].max() > 0.2  # both signs, Hansel et al. 1995, fig. 1
    # Delay first, then advance.
    assert found.phases[np.argmin(found["v"])] < found.phases[np.argmax(found["v"])]
    slopes = np.array([axon.field(y) for y in axon.orbit.at(found.times).T]).T
    total = sum(found[name] * slopes[k] for k, name in enumerate(axon.field.names))
    assert total == pytest.approx(1.0, abs=1e-6)  # Z · f = 1
    assert found.to_input["i"] == pytest.approx(found["v"], rel=1e-12)  # C = 1


@pytest.mark.parametrize(
    ("model", "current", "jump"),
    [(sl.HodgkinHuxley(), 10.0, 0.02), (Adaptive(), 2.0, 2e-3), (sl.MorrisLecar(), 100.0, 0.02)],
    ids=["HodgkinHuxley", "Adaptive", "MorrisLecar"],
)
def test_adjoint_and_perturbation_agree(model, current, jump):
    cycle = limit_cycle(model, current)
    found = phase_response(model, current, cycle=cycle)
    phases = np.array([0.15, 0.5, 0.85])
    both = [
        measured_phase_response(model, current, jump=j, phases=phases, cycle=cycle, laps=5) / j for j in (jump, -jump)
    ]
    expected = np.interp(phases, found.phases, found[found.membrane])
    assert np.mean(both, axis=0) == pytest.approx(expected, rel=1e-3, abs=1e-4 * abs(found["v"]).max())


def test_the_other_states_respond_too():
    cycle = limit_cycle(Adaptive(), 2.0)
    found = phase_response(Adaptive(), 2.0, cycle=cycle, points=2001)
    jump, phases = 1e-3, np.array([0.2, 0.6])
    both = [
        measured_phase_response(Adaptive(), 2.0, jump=j, phases=phases, cycle=cycle, state="w") / j
        for j in (jump, -jump)
    ]
    assert np.mean(both, axis=0) == pytest.approx(np.interp(phases, found.phases, found["w"]), rel=1e-4)


def test_multipliers_of_a_model_with_reset_are_those_of_its_return_map():
    cycle = limit_cycle(Adaptive(), 2.0)
    flow = sl.analyse.flow.Flow(cycle.field, 1e-11)

    def after_next(w):
        return flow.run(np.array([-3.0, w]), 100.0, spikes=1).y[1]

    w, step = cycle["w"][0], 1e-4
    slope = (after_next(w + step) - after_next(w - step)) / (2.0 * step)
    assert after_next(w) == pytest.approx(w, abs=1e-8)
    assert cycle.multipliers == pytest.approx([1.0, slope], abs=1e-6)


def test_an_exploding_upstroke_is_followed_to_its_peak():
    # exp((v_peak - v_t)/delta_t) is 7e10: the last step of an integrator before the peak is below rounding.
    model = sl.AdEx.preset("tonic")
    assert period(model, 500.0) == pytest.approx(9.585, abs=6e-4)  # REFERENCE: last interval 9.585


# -- what is not there


def test_what_has_no_cycle():
    with pytest.raises(AnalysisError, match="comes to rest"):
        limit_cycle(sl.HodgkinHuxley(), 0.0)
    with pytest.raises(AnalysisError, match=r"no limit cycle found after 2000 ms. It may be chaotic"):
        limit_cycle(sl.HindmarshRose(), 3.25, within=2000.0)
    with pytest.raises(ModelError, match="refractory: the end of a dead time has no derivative"):
        limit_cycle(sl.Refractory(sl.LIF()), 2.0)
    with pytest.raises(ParameterError, match="no state 'V'"):
        limit_cycle(sl.HodgkinHuxley(), 10.0, state={"V": 0.0})
    with pytest.raises(ParameterError, match="within"):
        limit_cycle(sl.HodgkinHuxley(), 10.0, within=0.0)
    with pytest.raises(ParameterError, match="points"):
        limit_cycle(sl.HodgkinHuxley(), 10.0, points=1)


def test_bistability_is_a_matter_of_the_start():
    # Between 6.26 and 9.775 uA/cm2 the axon may rest or fire.
    model = sl.HodgkinHuxley()
    (rest,) = sl.analyse.resting_points(model, 8.0)
    with pytest.raises(AnalysisError, match="comes to rest"):
        limit_cycle(model, 8.0, state=dict(rest.state))
    assert limit_cycle(model, 8.0, points=2).frequency == pytest.approx(62.470, abs=6e-4)


class Runaway(sl.NeuronModel):
    """Resets above its own threshold."""

    tau = sl.param(1.0, sl.ms)
    v = sl.state(0.0)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": x.i / self.tau}

    def threshold(self, s):
        return s.v - 1.0

    def reset(self, s):
        return {"v": 2.0}


class Explosive(sl.NeuronModel):
    tau = sl.param(1.0, sl.ms)
    v = sl.state(0.0)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": (s.v * s.v + x.i) / self.tau}


def test_firing_ever_faster_is_no_cycle_and_comes_to_an_end():
    # Its slow variable runs away at this current, and intervals shrink with it.
    model = sl.Izhikevich.preset("inhibition-induced-bursting")
    with pytest.raises(AnalysisError, match="no limit cycle found after"):
        limit_cycle(model, 1.0)


def test_runaways_are_stopped():
    with pytest.raises(AnalysisError, match="above its threshold after its reset"):
        limit_cycle(Runaway(), 1.0)
    with pytest.raises(AnalysisError, match="Explosive blows up"):
        limit_cycle(Explosive(), 1.0)


def test_a_push_off_the_cycle_is_noticed():
    model = sl.HodgkinHuxley()
    cycle = limit_cycle(model, 8.0)
    response = phase_response(model, 8.0, cycle=cycle, points=2001)
    (rest,) = sl.analyse.resting_points(model, 8.0)
    with pytest.raises(AnalysisError, match="does not come back to its cycle"):
        sl.analyse.phases._time_on(response, np.array(list(rest.state.values())))
    with pytest.raises(ParameterError, match="no state 'x'"):
        measured_phase_response(model, 8.0, jump=1.0, phases=[0.5], state="x", cycle=cycle)
    with pytest.raises(ParameterError, match="no state 'x'"):
        response["x"]
    with pytest.raises(ParameterError, match="no state 'x'"):
        cycle["x"]
    with pytest.raises(ParameterError, match="points"):
        phase_response(model, 8.0, cycle=cycle, points=0)
