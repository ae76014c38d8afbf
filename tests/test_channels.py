"""Channels composed into cells: against separately typed equations under SciPy, and published rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import torch

import spikeloom as sl
from spikeloom.check import check_model
from spikeloom.errors import ModelError, ParameterError
from spikeloom.models.base import Values


def squid(v, m, h, n, i):
    """Hodgkin and Huxley's equations as printed in textbooks (rates in 1/ms, rest at -65 mV)."""
    am = 0.1 * (v + 40.0) / (1.0 - math.exp(-(v + 40.0) / 10.0))
    an = 0.01 * (v + 55.0) / (1.0 - math.exp(-(v + 55.0) / 10.0))
    bm, bn = 4.0 * math.exp(-(v + 65.0) / 18.0), 0.125 * math.exp(-(v + 65.0) / 80.0)
    ah, bh = 0.07 * math.exp(-(v + 65.0) / 20.0), 1.0 / (1.0 + math.exp(-(v + 35.0) / 10.0))
    current = 120.0 * m**3 * h * (v - 50.0) + 36.0 * n**4 * (v + 77.0) + 0.3 * (v + 54.387)
    return [i - current, am * (1 - m) - bm * m, ah * (1 - h) - bh * h, an * (1 - n) - bn * n]


def wang_buzsaki(v, h, n, i):
    """Wang and Buzsaki 1996, equations 2.1 to 2.3, phi = 5."""
    am = -0.1 * (v + 35.0) / (math.exp(-0.1 * (v + 35.0)) - 1.0)
    m = am / (am + 4.0 * math.exp(-(v + 60.0) / 18.0))
    ah, bh = 0.07 * math.exp(-(v + 58.0) / 20.0), 1.0 / (math.exp(-0.1 * (v + 28.0)) + 1.0)
    an = -0.01 * (v + 34.0) / (math.exp(-0.1 * (v + 34.0)) - 1.0)
    bn = 0.125 * math.exp(-(v + 44.0) / 80.0)
    current = 35.0 * m**3 * h * (v - 55.0) + 9.0 * n**4 * (v + 90.0) + 0.1 * (v + 65.0)
    return [i - current, 5.0 * (ah * (1 - h) - bh * h), 5.0 * (an * (1 - n) - bn * n)]


def connor_stevens(v, m, h, n, a, b, i):
    """Dayan and Abbott 2001, appendix of chapter 6."""
    am = 0.38 * (v + 29.7) / (1.0 - math.exp(-0.1 * (v + 29.7)))
    bm = 15.2 * math.exp(-0.0556 * (v + 54.7))
    ah, bh = 0.266 * math.exp(-0.05 * (v + 48.0)), 3.8 / (1.0 + math.exp(-0.1 * (v + 18.0)))
    an = 0.02 * (v + 45.7) / (1.0 - math.exp(-0.1 * (v + 45.7)))
    bn = 0.25 * math.exp(-0.0125 * (v + 55.7))
    a_inf = (0.0761 * math.exp(0.0314 * (v + 94.22)) / (1.0 + math.exp(0.0346 * (v + 1.17)))) ** (1.0 / 3.0)
    tau_a = 0.3632 + 1.158 / (1.0 + math.exp(0.0497 * (v + 55.96)))
    b_inf = (1.0 / (1.0 + math.exp(0.0688 * (v + 53.3)))) ** 4
    tau_b = 1.24 + 2.678 / (1.0 + math.exp(0.0624 * (v + 50.0)))
    current = 120.0 * m**3 * h * (v - 55.0) + 20.0 * n**4 * (v + 72.0) + 47.7 * a**3 * b * (v + 75.0)
    slopes = [i - current - 0.3 * (v + 17.0), am * (1 - m) - bm * m, ah * (1 - h) - bh * h, an * (1 - n) - bn * n]
    return [*slopes, (a_inf - a) / tau_a, (b_inf - b) / tau_b]


def traub_miles(v, m, h, n, i):
    """Brette et al. 2007, appendix 2 (the HH-COBA benchmark), for 20,000 um2."""
    u = v + 63.0
    am = 0.32 * (13.0 - u) / (math.exp((13.0 - u) / 4.0) - 1.0)
    bm = 0.28 * (u - 40.0) / (math.exp((u - 40.0) / 5.0) - 1.0)
    ah, bh = 0.128 * math.exp((17.0 - u) / 18.0), 4.0 / (1.0 + math.exp((40.0 - u) / 5.0))
    an = 0.032 * (15.0 - u) / (math.exp((15.0 - u) / 5.0) - 1.0)
    bn = 0.5 * math.exp((10.0 - u) / 40.0)
    current = 20_000.0 * m**3 * h * (v - 50.0) + 6_000.0 * n**4 * (v + 90.0) + 10.0 * (v + 65.0)
    return [(i - current) / 200.0, am * (1 - m) - bm * m, ah * (1 - h) - bh * h, an * (1 - n) - bn * n]


CELLS = [
    (sl.HodgkinHuxley(), squid, 10.0),
    (sl.WangBuzsaki(), wang_buzsaki, 1.0),
    (sl.ConnorStevens(), connor_stevens, 12.0),
    (sl.TraubMiles(), traub_miles, 200.0),
]


@pytest.mark.parametrize(("model", "equations", "current"), CELLS, ids=lambda value: str(value)[:20])
def test_slopes_equal_the_published_equations(model, equations, current: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        v, gates = rng.uniform(-95.0, 45.0), rng.uniform(0.01, 0.99, len(model.states) - 1)
        found = model.derivative(Values(**dict(zip(model.states, (v, *gates), strict=True))), Values(i=current))
        np.testing.assert_allclose(list(found.values()), equations(v, *gates, current), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("model", "equations", "current"), CELLS, ids=lambda value: str(value)[:20])
def test_traces_equal_an_independent_integrator(model, equations, current: float) -> None:
    start = list(model.initial_values().values())
    solved = scipy.integrate.solve_ivp(
        lambda t, y: equations(*y, current), (0.0, 60.0), start, method="DOP853", rtol=1e-10, atol=1e-12,
        t_eval=np.arange(0.0, 60.0, 0.5),
    )  # fmt: skip
    trace = sl.simulate(model, current, 60.0, 0.005)
    assert len(trace.spike_times) >= 2
    for row, name in enumerate(model.states):
        size = np.ptp(solved.y[row])
        assert abs(trace[name][:-1:100] - solved.y[row]).max() < 1e-4 * size


def test_traub_miles_fires_at_its_published_rates() -> None:
    """REFERENCE section 2, computed with an independent simulator."""
    rates = {50.0: 13.855, 100.0: 23.523, 200.0: 38.985, 500.0: 77.093, 700.0: 99.002}
    trace = sl.simulate(sl.TraubMiles(), np.array(list(rates)), 1000.0, 0.01, record=())
    np.testing.assert_allclose(trace.rates(start=500.0), list(rates.values()), rtol=2e-4)


def test_the_a_current_makes_the_rate_start_from_zero() -> None:
    """Dayan and Abbott, figure 6.1: with the A current the rate grows from 0, and a delay precedes the first spike."""
    currents = np.array([8.2, 8.5, 9.0, 10.0, 12.0])
    cell = sl.simulate(sl.ConnorStevens(), currents, 1200.0, 0.02, record=())
    rates = cell.rates(start=400.0)
    assert 0.0 < rates[0] < 6.0
    assert (np.diff(rates) > 0).all()
    assert cell.spike_times[1][0] > 80.0
    without = sl.simulate(sl.ConnorStevens(g_ka=0.0), np.arange(-14.0, 1.0, 0.5), 1200.0, 0.02, record=())
    found = without.rates(start=400.0)
    assert found[found > 0].min() > 30.0  # switched on at a finite rate


def test_wang_buzsaki_has_a_continuous_curve() -> None:
    rates = sl.simulate(sl.WangBuzsaki(), np.array([0.1, 0.17, 0.2, 1.0]), 2000.0, 0.02, record=()).rates(500.0)
    assert rates[0] == 0.0
    assert 0.0 < rates[1] < rates[2] < 12.0
    assert rates[3] == pytest.approx(60.0, rel=0.02)  # figure 1 of the paper, read by eye


class Cell(sl.Membrane):
    """Two sodium channels, whose gates are told apart by the channels' names."""

    na = sl.models.hodgkin_huxley.SquidSodium()
    nap = sl.models.hodgkin_huxley.SquidSodium(g=1.0)
    leak = sl.Leak(g=0.3)


def test_parts_name_their_parameters_and_gates() -> None:
    cell = Cell(g_nap=2.0)
    assert list(cell.states) == ["v", "m_na", "h_na", "m_nap", "h_nap"]
    assert cell.values["g_nap"] == 2.0
    assert str(cell.params["g_nap"].unit) == "mS/cm2"
    assert set(cell.gates(-65.0)) == {"m_na", "h_na", "m_nap", "h_nap"}


def test_a_channel_is_written_once_and_put_anywhere() -> None:
    """The squid axon assembled around a bare membrane is the squid axon."""
    parts = sl.models.hodgkin_huxley
    assembled = sl.With(
        sl.Membrane(v_threshold=-30.0), na=parts.SquidSodium(), k=parts.SquidPotassium(), l=sl.Leak(g=0.3, e=-54.387)
    )
    assert assembled.values == sl.HodgkinHuxley().values
    a, b = (sl.simulate(m, 10.0, 50.0, 0.01) for m in (assembled, sl.HodgkinHuxley()))
    assert len(a.spike_times) == 4
    np.testing.assert_allclose(a["v"], b["v"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("gate", ["m", "h", "n"])
def test_gates_tell_their_steady_value_and_time_constant(gate: str) -> None:
    found = sl.HodgkinHuxley().gates(-50.0)[gate]
    y = found.steady
    assert found.slope(y) == pytest.approx(0.0, abs=1e-15)
    assert found.slope(y + 0.1) == pytest.approx(-0.1 / found.time_constant, rel=1e-12)


def test_a_cell_of_ones_own_keeps_the_contract() -> None:
    checked = check_model(Cell, into={"i": 30.0}, dt=0.02, solver=sl.solvers.ForwardEuler())
    assert "cpu equals the reference" in checked


def test_cells_take_synapses() -> None:
    model = sl.With(sl.TraubMiles(), exc=sl.Conductance(sl.Exponential(tau=5.0), e=0.0))
    x = torch.zeros(4000, 1, 1, dtype=torch.float64)
    x[1000] = 60.0
    spikes = sl.scan(model, {"exc": x}, dt=0.01).spikes.flatten()
    assert spikes[:1001].sum() == 0.0
    assert spikes.sum() >= 1.0


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ({"leak": sl.Leak}, ModelError, r"leak is a class.*Leak\(\)"),
        ({"leak": sl.Leak(), "g_leak": sl.param(1.0)}, ModelError, "declares a name twice: got g_leak"),
        ({"syn": sl.Channel()}, ModelError, "Channel has no current"),
    ],
)
def test_bad_cells(body, error, words: str) -> None:
    with pytest.raises(error, match=words):
        type("Bad", (sl.Membrane,), body)


def test_channels_are_not_added_to_a_finished_cell() -> None:
    with pytest.raises(ModelError, match="adds channels to a membrane that has some"):
        type("Bad", (sl.HodgkinHuxley,), {"more": sl.Leak()})
    with pytest.raises(ParameterError, match="Did you mean g_na"):
        sl.HodgkinHuxley(g_naa=1.0)
