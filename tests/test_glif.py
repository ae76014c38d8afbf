"""The generalised leaky neurons against closed forms, step by step and spike by spike."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import torch

import spikeloom as sl
from spikeloom.models.base import Values
from spikeloom.models.equations import equations
from spikeloom.solvers import RK4, DormandPrince, Exact, Located, default_solver

LEVELS = (sl.GLIF1, sl.GLIF2, sl.GLIF3, sl.GLIF4, sl.GLIF5)
CELL = {
    "c": 58.72, "g_l": 9.43, "e_l": -78.85, "v_threshold": -51.68, "t_ref": 3.75, "f_v": 0.2, "delta_v": -18.51,
    "b_s": 0.009, "delta_theta_s": 0.37, "k_1": 0.003, "k_2": 0.1, "f_1": 1.0, "f_2": 1.0, "delta_asc_1": -9.18,
    "delta_asc_2": -198.94, "a_v": 0.005, "b_v": 0.09,
}  # fmt: skip
ADAPTED = {"k_1": 0.01, "k_2": 0.05, "f_1": 0.9, "f_2": 0.5, "delta_asc_1": 12.0, "delta_theta_s": 2.0, "a_v": 0.02}


class Reference:
    """Teeter et al. 2018, eq. 1 to 8, by their closed form between spikes (Mihalas and Niebur 2009, section 2).

    With u = v - E_L and constant current everything is a sum of exponentials. A spike maps the states before the
    spike cut to those after it: currents and theta_s decay over the cut and are then added to, theta_v and the new
    v stand still.
    """

    def __init__(self, p: dict[str, float], level: int) -> None:
        self.p, self.level = p, level
        self.u, self.asc, self.theta_s, self.theta_v = 0.0, [0.0, 0.0], 0.0, 0.0

    def advance(self, t: float, current: float) -> None:
        p = self.p
        k, leak, far = (p["k_1"], p["k_2"]), p["g_l"] / p["c"], current / p["g_l"]
        parts = [i / (p["g_l"] - p["c"] * rate) for i, rate in zip(self.asc, k, strict=True)]
        own = self.u - far - sum(parts)
        terms = [(0.0, far), (leak, own), *zip(k, parts, strict=True)]  # u = sum of factors exp(-rate t)
        if self.level == 5:
            shares = [(rate, p["a_v"] * factor / (p["b_v"] - rate)) for rate, factor in terms]
            rest = self.theta_v - sum(share for _, share in shares)
            self.theta_v = sum(share * math.exp(-rate * t) for rate, share in [*shares, (p["b_v"], rest)])
        self.u = sum(factor * math.exp(-rate * t) for rate, factor in terms)
        self.asc = [i * math.exp(-rate * t) for i, rate in zip(self.asc, k, strict=True)]
        self.theta_s *= math.exp(-p["b_s"] * t)

    def above(self) -> bool:
        p = self.p
        return self.u + p["e_l"] >= p["v_threshold"] + self.theta_s + self.theta_v

    def spike(self) -> None:
        p, cut = self.p, self.p["t_ref"]
        if self.level >= 3:
            self.asc = [
                p[f"f_{j}"] * i * math.exp(-p[f"k_{j}"] * cut) + p[f"delta_asc_{j}"] for j, i in enumerate(self.asc, 1)
            ]
        if self.level in (2, 4, 5):
            self.u = p["f_v"] * self.u - p["delta_v"]
            self.theta_s = self.theta_s * math.exp(-p["b_s"] * cut) + p["delta_theta_s"]
        else:
            self.u = 0.0

    def states(self) -> dict[str, float]:
        named = {"v": self.u + self.p["e_l"], "theta_v": self.theta_v, "theta_s": self.theta_s}
        return {**named, "asc_1": self.asc[0], "asc_2": self.asc[1]}


def reference(p: dict[str, float], level: int, current: float, duration: float, dt: float):
    """Spike times on the grid, and the states at each grid point that is not inside a spike cut."""
    neuron, spikes, rows = Reference(p, level), [], {0: Reference(p, level).states()}
    step, steps, cut = 0, round(duration / dt), round(p["t_ref"] / dt)
    while step < steps:
        neuron.advance(dt, current)
        step += 1
        if neuron.above():
            spikes.append(step * dt)
            neuron.spike()
            step += cut
        if step <= steps:
            rows[step] = neuron.states()
    return np.array(spikes), rows


@pytest.mark.parametrize("changes", [{}, ADAPTED], ids=["cell", "adapted"])
@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_every_state_and_spike_is_the_closed_form(level: int, changes: dict[str, float]) -> None:
    p, dt, duration = {**CELL, **changes}, 0.05, 300.0
    known = LEVELS[level - 1]()
    model = known.replace(**{name: value for name, value in changes.items() if name in known.params})
    trace = sl.simulate(model, 350.0, duration, dt)
    spikes, rows = reference(p, level, 350.0, duration, dt)
    assert len(spikes) > 4
    np.testing.assert_allclose(trace.spike_times, spikes, rtol=1e-12)
    for name in set(trace.names()) - {"remaining"}:
        expected = np.array([row[name] for row in rows.values()])
        np.testing.assert_allclose(trace[name][list(rows)], expected, rtol=1e-10, atol=1e-10)


def test_defaults_are_the_published_cell() -> None:
    assert sl.GLIF5().values == CELL
    for level in LEVELS:
        assert level.preset("allen-490626718") == level()
        assert level().values == {name: CELL[name] for name in level().params}


@pytest.mark.parametrize("level", LEVELS)
def test_all_levels_are_linear_between_spikes(level) -> None:
    assert default_solver(level()) == Exact()


def test_the_exact_solver_does_not_depend_on_the_step() -> None:
    start = {"asc_1": -30.0, "asc_2": -150.0, "theta_s": 2.0, "theta_v": 1.0}
    coarse, fine = (sl.simulate(sl.GLIF5(), 200.0, 40.0, dt, state=start) for dt in (4.0, 0.25))
    for name in set(coarse.names()) - {"remaining"}:
        np.testing.assert_allclose(coarse[name], fine[name][::16], rtol=1e-12, atol=1e-12)
    assert not coarse.fired.any()


def test_all_states_against_an_integrator_of_order_eight() -> None:
    def slope(_: float, y: np.ndarray) -> list[float]:
        v, theta_s, first, second, theta_v = y
        return [
            (200.0 + first + second - 9.43 * (v + 78.85)) / 58.72, -0.009 * theta_s, -0.003 * first, -0.1 * second,
            0.005 * (v + 78.85) - 0.09 * theta_v,
        ]  # fmt: skip

    names, start = ("v", "theta_s", "asc_1", "asc_2", "theta_v"), [-70.0, 2.0, -30.0, -150.0, 1.0]
    exact = scipy.integrate.solve_ivp(slope, (0, 40), start, method="DOP853", rtol=1e-13, atol=1e-13)
    trace = sl.simulate(sl.GLIF5(), 200.0, 40.0, 1.0, state=dict(zip(names, start, strict=True)))
    np.testing.assert_allclose([trace[n][-1] for n in names], exact.y[:, -1], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("changes", [{"k_1": 9.43 / 58.72, "b_v": 0.1}, {"k_2": 9.43 / 58.72 * (1 + 1e-9)}], ids=str)
def test_equal_time_constants_lose_no_digits(changes: dict[str, float]) -> None:
    # The sums of exponentials divide by differences of rates; the exact solver does not.
    p = {**CELL, **changes}

    def slope(_: float, y: np.ndarray) -> list[float]:
        v, first, second, theta_v = y
        return [
            (first + second - p["g_l"] * (v - p["e_l"])) / p["c"], -p["k_1"] * first, -p["k_2"] * second,
            p["a_v"] * (v - p["e_l"]) - p["b_v"] * theta_v,
        ]  # fmt: skip

    names, start = ("v", "asc_1", "asc_2", "theta_v"), [-70.0, -30.0, -150.0, 1.0]
    exact = scipy.integrate.solve_ivp(slope, (0, 20), start, method="DOP853", rtol=1e-13, atol=1e-13)
    trace = sl.simulate(sl.GLIF5(**changes), 0.0, 20.0, 0.5, state=dict(zip(names, start, strict=True)))
    np.testing.assert_allclose([trace[n][-1] for n in names], exact.y[:, -1], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("current", [260.0, 350.0, 900.0])
def test_interval_of_level_one(current: float) -> None:
    # t_ref + tau ln(I / (I - g_l (v_threshold - e_l))), rounded up to the grid or located.
    wait = 58.72 / 9.43 * math.log(current / (current - 9.43 * (78.85 - 51.68)))
    dt = 0.05
    on_grid = sl.simulate(sl.GLIF1(), current, 150.0, dt).spike_times
    np.testing.assert_allclose(np.diff(on_grid), 3.75 + dt * math.ceil(wait / dt), rtol=1e-12)
    located = sl.simulate(sl.GLIF1(), current, 150.0, 1.0, solver=Located(Exact())).spike_times
    np.testing.assert_allclose(np.diff(located), 3.75 + wait, rtol=1e-12)


def test_rheobase_of_level_one() -> None:
    rheobase = 9.43 * (78.85 - 51.68)
    trace = sl.simulate(sl.GLIF1(), rheobase * np.array([0.9999, 1.0001]), 200.0, 0.05, record=("v",))
    assert trace.fired.any(axis=0).tolist() == [False, True]


@pytest.mark.parametrize("level", LEVELS)
def test_located_spikes_are_where_the_adaptive_solver_finds_them(level) -> None:
    exact, adaptive = (
        sl.simulate(level(), 350.0, 120.0, 1.0, solver=solver).spike_times
        for solver in (Located(Exact()), DormandPrince())
    )
    assert len(exact) > 3
    np.testing.assert_allclose(exact, adaptive, rtol=1e-9)


def test_steady_threshold_follows_the_voltage() -> None:
    # At rest under a current, theta_v = a_v / b_v (v - e_l); a slow current moves the threshold along.
    trace = sl.simulate(sl.GLIF5(a_v=0.045), 200.0, 200.0, 0.5)
    assert trace["v"][-1] == pytest.approx(-78.85 + 200.0 / 9.43, rel=1e-9)
    assert trace["theta_v"][-1] == pytest.approx(0.5 * 200.0 / 9.43, rel=1e-7)
    counts = [len(sl.simulate(sl.GLIF5(a_v=a), 350.0, 300.0, 0.05).spike_times) for a in (0.0, 0.02, 0.06)]
    assert counts[0] > counts[1] > counts[2]


def test_after_spike_currents_adapt_the_rate() -> None:
    still, slowed = (sl.simulate(level(), 350.0, 500.0, 0.05).spike_times for level in (sl.GLIF1, sl.GLIF3))
    assert np.ptp(np.diff(still)) < 1e-9
    assert (np.diff(np.diff(slowed))[:4] > 0.0).all()
    assert len(slowed) < len(still)


def test_nothing_reaches_the_voltage_and_its_threshold_during_the_cut() -> None:
    model = sl.GLIF5()
    trace = sl.simulate(model, 350.0, 40.0, 0.05)
    k = int(np.argmax(trace.fired))
    cut = slice(k, k + 76)  # 3.75 ms: 75 steps
    assert np.ptp(trace["v"][cut]) == 0.0 == np.ptp(trace["theta_v"][cut])
    assert trace["theta_v"][k + 76] != trace["theta_v"][k]
    # ... while the currents decay to the amplitude that the paper gives for the end of the cut.
    assert trace["asc_2"][k + 75] == pytest.approx(-198.94, rel=1e-12)
    assert trace["theta_s"][k + 75] == pytest.approx(0.37, rel=1e-12)


def test_equations_name_all_that_is_held() -> None:
    assert any(line.startswith(r"\mathrm{hold}\ v,\ \theta_{\mathrm{v}}\ ") for line in equations(sl.GLIF5()))
    assert any(line.startswith(r"\mathrm{hold}\ v\ ") for line in equations(sl.GLIF4()))


def test_amplitudes_are_jumps_at_the_spike_without_a_refractory_period_inside() -> None:
    plain = sl.LIF(reset_mechanism="value")
    for model in (
        sl.AfterSpikeCurrents(plain, delta_asc_1=-2.0),
        sl.Refractory(sl.AfterSpikeCurrents(plain, delta_asc_1=-2.0), t_ref=3.0),
    ):
        assert model.reset(Values(v=1.0, asc_1=-1.0, asc_2=0.0))["asc_1"] == -3.0
    inside = sl.AfterSpikeCurrents(sl.Refractory(plain, t_ref=3.0), delta_asc_1=-2.0, k_1=0.1)
    assert inside.reset(Values(v=1.0, asc_1=-1.0, asc_2=0.0))["asc_1"] == pytest.approx(-1.0 - 2.0 * math.exp(0.3))
    threshold = sl.SpikeThreshold(sl.Refractory(plain, t_ref=3.0), b_s=0.1, delta_theta_s=2.0)
    assert threshold.reset(Values(v=1.0, theta_s=1.0))["theta_s"] == pytest.approx(1.0 + 2.0 * math.exp(0.3))


def test_reset_rule_keeps_other_resets() -> None:
    neuron = sl.ResetRule(sl.AdEx(), f_v=0.5, delta_v=2.0)
    after = neuron.reset(Values(v=-10.6, w=3.0))
    assert after == {"v": pytest.approx(-70.6 + 30.0 - 2.0), "w": 83.5}


def test_parts_fit_other_models() -> None:
    # The exponential neuron with currents and a threshold that adapts: a GIF neuron without noise.
    neuron = sl.SpikeThreshold(sl.AfterSpikeCurrents(sl.Refractory(sl.EIF(), t_ref=1.7)))
    adapted, plain = (len(sl.simulate(m, 100.0, 200.0, 0.01).spike_times) for m in (neuron, sl.EIF()))
    assert 0 < adapted < plain
    assert default_solver(neuron) == RK4()
    with pytest.raises(sl.errors.DimensionError):
        sl.AfterSpikeCurrents(sl.HodgkinHuxley())  # a current density

    class NoInput(sl.NeuronModel):
        v = sl.state(0.0, sl.mV)

        def derivative(self, s, x):
            return {"v": -s.v / 10.0}

    with pytest.raises(sl.errors.ModelError, match="no input"):
        sl.AfterSpikeCurrents(NoInput())
    with pytest.raises(sl.errors.ModelError, match="has already"):
        sl.SpikeThreshold(sl.GLIF2())


def test_names_behave_like_any_model() -> None:
    model = sl.GLIF5(c=60 * sl.pF, k_1=0.01 / sl.ms)
    assert repr(model) == "GLIF5(c=60.0, k_1=0.01)"
    assert repr(model.replace(f_v=0.3)) == "GLIF5(c=60.0, f_v=0.3, k_1=0.01)"
    assert model == sl.GLIF5(c=60.0).replace(k_1=0.01) != sl.GLIF5()
    assert hash(model) == hash(sl.GLIF5(c=60.0, k_1=0.01))
    with pytest.raises(sl.errors.ParameterError, match="f_v"):
        sl.GLIF5(f_w=0.1)
    with pytest.raises(sl.errors.ParameterError, match="no unnamed values"):
        sl.GLIF1(58.0)
    with pytest.raises(sl.errors.ParameterError, match="k_1 is out of range"):
        sl.GLIF3(k_1=0.0)
    with pytest.raises(sl.errors.DimensionError):
        sl.GLIF3(k_1=3 * sl.ms)


def test_amplitudes_and_rates_can_be_learnt() -> None:
    layer = sl.nn.Neuron(sl.GLIF5(), learn=("k_2", "delta_asc_2", "f_v", "delta_theta_s", "a_v", "t_ref"), dt=0.25)
    y, _ = layer(torch.full((400, 1, 3), 2.0))
    y.sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0.0, name
