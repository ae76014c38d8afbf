"""Synapses put into neurons, against closed forms and published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.special
import torch

import spikeloom as sl
from spikeloom.errors import DimensionError, ModelError, ParameterError
from spikeloom.models.base import Values
from spikeloom.solvers import RK4, Exact, is_linear

F64 = torch.float64


def response(model: sl.NeuronModel, into: str, weight: float, dt: float, steps: int, solver=None) -> dict:
    """States ``[steps + 1]`` from the arrival of one spike on: the first entry is the moment of arrival."""
    x = torch.zeros(steps + 1, 1, 1, dtype=F64)
    x[0] = weight
    found = sl.scan(model, {into: x}, record=list(model.states), dt=dt, solver=solver).states
    return {name: rows.flatten().numpy() for name, rows in found.items()}


def after(model: sl.NeuronModel, start: dict[str, float], time: float) -> dict[str, float]:
    """The exact states of a linear model ``time`` ms after ``start``."""
    return Exact().update(model, time)(start, dict.fromkeys(model.inputs, 0.0))


@pytest.mark.parametrize("dt", [0.1, 1.0, 7.0])
def test_exponential_current_in_a_membrane_is_exact_for_any_step(dt: float) -> None:
    tau, tau_s, r, w = 10.0, 3.0, 0.04, 70.0
    model = sl.With(sl.LI(tau=tau, r=r), exc=sl.Exponential(tau=tau_s))
    assert is_linear(model)
    found = response(model, "exc", w, dt, 40)
    t = np.arange(41) * dt
    np.testing.assert_allclose(found["i_exc"], w * np.exp(-t / tau_s), rtol=1e-12)
    closed = r * w * tau_s / (tau - tau_s) * (np.exp(-t / tau) - np.exp(-t / tau_s))
    np.testing.assert_allclose(found["v"], closed, rtol=1e-10, atol=1e-14)


def test_alpha_is_the_alpha_function() -> None:
    found = response(sl.With(sl.LI(), exc=sl.Alpha(tau=2.0)), "exc", 3.0, 0.25, 60)
    t = np.arange(61) * 0.25
    np.testing.assert_allclose(found["i_exc"], 3.0 * (t / 2.0) * np.exp(1.0 - t / 2.0), rtol=1e-11, atol=1e-14)
    assert found["i_exc"].argmax() == 8
    assert found["i_exc"].max() == pytest.approx(3.0, rel=1e-12)


@pytest.mark.parametrize("rise", [0.2, 1.0, 2.999, 3.0 - 1e-5, 3.0, 3.0 + 1e-5, 4.0])
def test_double_exponential_peaks_at_its_weight(rise: float) -> None:
    decay = 3.0
    model = sl.With(sl.LI(), exc=sl.DoubleExponential(tau_rise=rise, tau_decay=decay))
    start = model.initial_values() | model.arrive("exc", Values(**model.initial_values()), 5.0)
    near = abs(decay - rise) < 1e-3
    peak_time = (rise + decay) / 2 if near else rise * decay / (decay - rise) * math.log(decay / rise)
    assert after(model, start, peak_time)["i_exc"] == pytest.approx(5.0, rel=1e-8 if near else 1e-11)
    shape = np.exp(-1.5 / decay) - np.exp(-1.5 / rise)
    shape /= np.exp(-peak_time / decay) - np.exp(-peak_time / rise) if rise != decay else 1.0
    if not near:
        assert after(model, start, 1.5)["i_exc"] == pytest.approx(5.0 * shape, rel=1e-10)


def test_delta_makes_the_membrane_jump() -> None:
    model = sl.With(sl.LI(tau=10.0), exc=sl.Delta())
    assert list(model.states) == ["v"]
    np.testing.assert_allclose(response(model, "exc", 2.0, 1.0, 5)["v"], 2.0 * np.exp(-np.arange(6) / 10.0), rtol=1e-13)


def psp_peak(tau_m: float, c: float, synapse) -> tuple[float, float]:
    """When and how high the membrane peaks after a spike of 1 pA, by root finding on the slope."""
    model = sl.With(sl.LI(tau=tau_m, r=tau_m / c), syn=synapse)
    rest = model.initial_values()
    start = rest | model.arrive("syn", Values(**rest), 1.0)

    def slope(time: float) -> float:
        states = after(model, start, time)
        return model.derivative(Values(**states), Values(i=0.0))["v"]

    peak = float(scipy.optimize.brentq(slope, 0.05, 30.0, xtol=1e-13, rtol=1e-14))  # type: ignore[arg-type]
    return peak, after(model, start, peak)["v"]


@pytest.mark.parametrize(("tau_m", "tau_s"), [(10.0, 0.5), (10.0, 2.0), (20.0, 5.0), (5.0, 0.1)])
def test_alpha_current_peaks_where_lambert_says(tau_m: float, tau_s: float) -> None:
    """REFERENCE section 1: t_peak by the lower branch of Lambert's function, to 1e-10."""
    a = tau_m / tau_s
    w = float(scipy.special.lambertw(-math.exp(-1.0 / a) / a, -1).real)
    expected = (-a * w - 1.0) / (a * (1.0 / tau_s - 1.0 / tau_m))
    assert psp_peak(tau_m, 250.0, sl.Alpha(tau=tau_s))[0] == pytest.approx(expected, rel=1e-10)


def test_conversion_of_psc_to_psp_of_the_microcircuit() -> None:
    """REFERENCE section 1: 585.3900 pA/mV, 0.15 mV for 87.8085 pA, time to peak 1.57670 ms."""
    time, height = psp_peak(10.0, 250.0, sl.Exponential(tau=0.5))
    assert time == pytest.approx(1.57670, abs=5e-6)
    assert 1.0 / height == pytest.approx(585.3900, abs=5e-5)
    assert 0.15 / height == pytest.approx(87.8085, abs=5e-5)


def test_campbells_theorem() -> None:
    """REFERENCE section 1: 1000 neurons, tau 5, tau_syn 0.5, C 1: mean v = rate w tau e tau_syn / C, within 0.05 mV."""
    rate, w, dt = 29.43, 20.0 / (29.43 * 5.0 * math.e * 0.5), 0.1
    model = sl.With(sl.LI(tau=5.0, r=5.0), syn=sl.Alpha(tau=0.5))
    counts = torch.poisson(torch.full((2000, 1, 1000), rate * dt, dtype=F64), torch.Generator().manual_seed(2))
    v = sl.scan(model, {"syn": w * counts}, record=("v",), dt=dt).states["v"][500:]
    assert float(v.mean()) == pytest.approx(20.0, abs=0.05)
    # The other half of the theorem: the variance is the rate times the integral of the squared response.
    t = np.arange(0.0, 60.0, 0.01)
    a = 1.0 / 0.5 - 1.0 / 5.0
    psp = w * math.e / 0.5 * (np.exp(-t / 5.0) - np.exp(-t / 0.5) * (1.0 + a * t)) / a**2
    assert float(v.var()) == pytest.approx(rate * np.sum(psp**2) * 0.01, rel=0.02)


# U, tau_recovery, tau_facilitation (None: depression only) and u x at 10, 20 and 50 Hz: REFERENCE section 10.
STEADY = [
    (0.5, 800.0, None, (0.10515, 0.05713, 0.02410)),
    (0.5, 1100.0, 50.0, (0.08083, 0.04322, 0.01791)),
    (0.25, 700.0, 20.0, (0.09531, 0.05794, 0.02674)),
    (0.32, 144.0, 60.0, (0.26874, 0.21690, 0.12028)),
]


@pytest.mark.parametrize(("u", "recovery", "facilitation", "expected"), STEADY)
@pytest.mark.parametrize("conductance", [False, True])
def test_short_term_plasticity_in_the_steady_state(u, recovery, facilitation, expected, conductance: bool) -> None:
    fast = sl.Exponential(tau=0.2)
    if facilitation is None:
        synapse = sl.Depression(fast, u_release=u, tau_recovery=recovery)
    else:
        synapse = sl.TsodyksMarkram(fast, u_release=u, tau_recovery=recovery, tau_facilitation=facilitation)
    if conductance:
        synapse = sl.Conductance(synapse, e=0.0)
    model, dt = sl.With(sl.LI(tau=10.0), syn=synapse), 0.1
    assert is_linear(model) != conductance
    for rate, released in zip((10, 20, 50), expected, strict=True):
        period = round(1000 / rate / dt)
        x = torch.zeros(round(6000 / dt), 1, 1, dtype=F64)
        x[::period] = 1.0
        rows = sl.scan(model, {"syn": x}, record=list(model.states), dt=dt).states
        last = rows["g_syn" if conductance else "i_syn"].flatten()[::period][-1]
        assert float(last) == pytest.approx(released, abs=6e-6)


def test_conductance_pulls_towards_its_reversal_potential() -> None:
    """A constant conductance: v rests at the weighted mean of the reversal potentials."""
    tau, r, e, g = 10.0, 0.1, -20.0, 30.0
    model = sl.With(sl.LI(tau=tau, r=r, v_rest=-70.0), syn=sl.Conductance(sl.Exponential(tau=1e9), e=e))
    v = response(model, "syn", g, 0.1, 3000)["v"]
    assert v[-1] == pytest.approx((-70.0 + r * g * e) / (1.0 + r * g), rel=1e-6)
    rate = (1.0 + r * g) / tau
    assert v[20] == pytest.approx(v[-1] + (-70.0 - v[-1]) * math.exp(-rate * 2.0), rel=1e-6)


@pytest.mark.parametrize(("v", "mg", "expected"), [(0.0, 1.0, 0.78118), (-60.0, 1.0, 0.0796264), (-60.0, 0.0, 1.0)])
def test_magnesium_block(v: float, mg: float, expected: float) -> None:
    """1 / (1 + mg / 3.57 exp(-0.062 v)), worked out by hand at three points."""
    synapse = sl.NMDA(sl.DoubleExponential(tau_rise=3.0, tau_decay=100.0), mg=mg)
    assert synapse.unblocked(v) == pytest.approx(expected, abs=5e-6)
    assert synapse.inward(Values(g=2.0), v, Values()) == pytest.approx(2.0 * synapse.unblocked(v) * (0.0 - v))


def test_gap_junction_couples_two_cells() -> None:
    """Two passive cells, 200 pA into one; coupled by windows of one step, of first order in the step."""
    tau, r, g, current, duration = 10.0, 0.1, 2.0, 200.0, 20.0
    model = sl.With(sl.LI(tau=tau, r=r), gap=sl.GapJunction(g=g))
    a = np.array([[-1.0 - r * g, r * g], [r * g, -1.0 - r * g]]) / tau
    b = np.array([r * current, 0.0]) / tau
    exact = np.linalg.solve(a, (scipy.linalg.expm(a * duration) - np.eye(2)) @ b)
    errors = []
    for dt in (0.1, 0.05):
        state, drive = None, torch.tensor([[[current, 0.0]]], dtype=F64)
        v = torch.zeros(1, 1, 2, dtype=F64)
        for _ in range(round(duration / dt)):
            state = sl.scan(model, {"i": drive, "v_other_gap": v.flip(-1)}, state, dt=dt).final
            v = state["v"][None]
        errors.append(abs(v.flatten().numpy() - exact).max())
    assert errors[1] < 0.01 * exact.max()
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.05)


MODEL = sl.With(sl.LIF(tau=10.0), exc=sl.Exponential(tau=4.0), inh=sl.Exponential(tau=8.0))


def test_synapses_train_in_a_layer() -> None:
    layer = sl.nn.Neuron(MODEL, into="exc", learn=("tau_exc", "tau"))
    layer(torch.ones(20, 2, 3))[0].sum().backward()
    assert all(p.grad is not None and float(p.grad.abs()) > 0 for p in layer.parameters())


def test_weights_and_reversal_potentials_have_units() -> None:
    model = sl.With(sl.LIF(), exc=sl.Conductance(sl.Exponential(tau=5.0), e=-0.08 * sl.units.volt))
    assert model.e_exc == -80.0
    assert str(model.states["g_exc"].unit) == "nS"
    assert str(sl.With(sl.HodgkinHuxley(), exc=sl.Conductance(sl.Exponential())).states["g_exc"].unit) == "mS/cm2"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: sl.With(sl.LIF(), exc=sl.Exponential), ModelError, r"exc is a class.*Exponential\(\)"),
        (lambda: sl.With(sl.LIF(), exc=sl.LIF()), ParameterError, "exc is no mechanism"),
        (lambda: sl.With(sl.LIF(), exc=sl.Exponential(), tau_ex=3.0), ParameterError, "Did you mean tau_exc"),
        (lambda: sl.Conductance(sl.Leak()), ModelError, "made of a time course"),
        (lambda: sl.Conductance(sl.Delta()), ModelError, "made of a time course"),
        (lambda: sl.TsodyksMarkram(sl.LIF()), ModelError, "made of a synapse"),
        (lambda: sl.With(sl.LIF(), tau=sl.Delta(), exc=sl.Exponential(tau=20 * sl.nS)), DimensionError, "expected ms"),
        (lambda: sl.With(sl.HodgkinHuxley(), k2=sl.Leak(g=2 * sl.nS)), DimensionError, "does not fit the membrane"),
        (lambda: sl.Leak(g=2 * sl.ms), DimensionError, "expected nS or mS/cm2"),
        (lambda: sl.Exponential(tau=0.0), ParameterError, "out of range"),
        (lambda: sl.scan(MODEL, {"ex": torch.zeros(1, 1, 1)}), ModelError, "Did you mean exc"),
    ],
)
def test_bad_input(make, error, words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_a_stiff_synapse_under_rk4_equals_the_exact_solution() -> None:
    """Two solvers that share no code agree on a current-based synapse to the fourth order."""
    model = sl.With(sl.LI(tau=10.0), exc=sl.Alpha(tau=2.0))
    errors = [
        abs(
            response(model, "exc", 1.0, dt, round(10 / dt), RK4())["v"]
            - response(model, "exc", 1.0, dt, round(10 / dt))["v"]
        ).max()
        for dt in (0.4, 0.2)
    ]
    assert errors[0] / errors[1] == pytest.approx(16.0, rel=0.15)
