"""Noise: moments in closed form, the Siegert rate, strong orders, escape rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import torch

import spikeloom as sl
from spikeloom.errors import ModelError, ParameterError
from spikeloom.kernels.backends import backend
from spikeloom.lang.math import sqrt
from spikeloom.solvers import RK4, AddNoise, EulerMaruyama, Exact, ForwardEuler, Milstein, default_solver

F64 = torch.float64
CLIFF = sl.LIF(tau=20.0, v_threshold=20.0, v_reset=10.0, reset_mechanism="value")


def zeros(steps: int, neurons: int) -> torch.Tensor:
    return torch.zeros(steps, 1, neurons, dtype=F64)


@pytest.mark.parametrize("dt", [0.5, 5.0, 40.0])
def test_an_ornstein_uhlenbeck_current_has_its_moments_for_any_step(dt: float) -> None:
    tau, sigma, mean = 10.0, 3.0, 1.5
    model = sl.With(sl.LI(), noise=sl.OrnsteinUhlenbeck(mean=mean, sigma=sigma, tau=tau))
    assert repr(default_solver(model)) == "AddNoise(Exact())"
    i = sl.scan(model, {"i": zeros(1500, 400)}, record=("i_noise",), dt=dt, seed=1).states["i_noise"]
    i = i[math.ceil(100.0 / dt) :, 0].numpy()
    independent = i.size * min(1.0, dt / (2 * tau))
    assert i.mean() == pytest.approx(mean, abs=4 * sigma / math.sqrt(independent))
    assert i.std() == pytest.approx(sigma, rel=4 / math.sqrt(2 * independent))
    correlation = np.corrcoef(i[1:].ravel(), i[:-1].ravel())[0, 1]
    assert correlation == pytest.approx(math.exp(-dt / tau), abs=4 / math.sqrt(independent))


def test_free_membrane_has_half_the_squared_sigma_of_brunel_as_variance() -> None:
    tau, sigma, mean = 20.0, 5.0, 12.0
    model = sl.Noisy(sl.LI(tau=tau), sigma_noise=sigma / math.sqrt(tau))
    v = sl.scan(model, {"i": zeros(1500, 800) + mean}, record=("v",), dt=2.0, seed=3).states["v"][200:]
    assert float(v.mean()) == pytest.approx(mean, abs=0.03)
    assert float(v.var()) == pytest.approx(sigma**2 / 2, rel=0.01)


def siegert(mean: float, sigma: float, lower: float = 10.0, upper: float = 20.0) -> float:
    """Rate in Hz of the LIF in white noise, tau 20 ms, t_ref 2 ms (Brunel 2000, eq. 21)."""
    # exp(u²) (1 + erf u) is the scaled complementary error function of -u, which does not overflow.
    inside = scipy.integrate.quad(lambda u: scipy.special.erfcx(-u), (lower - mean) / sigma, (upper - mean) / sigma)[0]
    return 1000.0 / (2.0 + 20.0 * math.sqrt(math.pi) * inside)


SIEGERT = [(15.0, 2.0, 0.12203), (15.0, 5.0, 9.46080), (19.0, 2.0, 13.03435), (25.0, 0.5, 41.79175)]


@pytest.mark.parametrize(("mean", "sigma", "rate"), SIEGERT)
def test_the_formula_gives_the_published_rates(mean: float, sigma: float, rate: float) -> None:
    assert siegert(mean, sigma) == pytest.approx(rate, abs=6e-6)


def measured(mean: float, sigma: float, dt: float, shift: float, neurons: int, duration: float) -> tuple[float, float]:
    """Rate in Hz and its standard error, the threshold and the reset lowered by ``shift``."""
    neuron = CLIFF.replace(v_threshold=20.0 - shift, v_reset=10.0 - shift)
    model = sl.Noisy(sl.Refractory(neuron, t_ref=2.0), sigma_noise=sigma / math.sqrt(20.0))
    state, counts, chunk = None, torch.zeros(neurons), 1000
    drive = torch.full((chunk, 1, neurons), mean)
    warm = round(200.0 / dt / chunk) + 1
    chunks = round(duration / dt / chunk)
    for k in range(warm + chunks):
        result = sl.scan(model, {"i": drive}, state, dt=dt, seed=5, first_step=k * chunk)
        state = result.final
        counts += result.spikes.sum((0, 1)) if k >= warm else 0.0
    rates = counts.numpy() / (chunks * chunk * dt) * 1000.0
    return float(rates.mean()), float(rates.std() / math.sqrt(neurons))


@pytest.mark.parametrize(("mean", "sigma", "rate"), SIEGERT)
def test_white_noise_lif_fires_at_the_siegert_rate(mean: float, sigma: float, rate: float) -> None:
    """Crossings between grid points are missed as if the barriers lay 0.5826 σ sqrt(dt/tau) higher (Broadie,
    Glasserman and Kou 1997), so barriers that much lower give the continuous rate up to O(dt)."""
    dt = 0.1
    found, error = measured(mean, sigma, dt, 0.5826 * sigma * math.sqrt(dt / 20.0), 1500, 2000.0)
    assert found == pytest.approx(rate, abs=4 * error + 0.005 * rate)


def test_the_grid_lowers_the_rate_by_the_root_of_the_step() -> None:
    mean, sigma, rate = SIEGERT[1]
    lost = [rate - measured(mean, sigma, dt, 0.0, 1500, 2000.0)[0] for dt in (0.4, 0.1)]
    assert lost[1] > 0.1
    assert lost[0] / lost[1] == pytest.approx(2.0, rel=0.15)


class Geometric(sl.NeuronModel):
    """``dv = a v dt + b v dW``, whose solution is known path by path."""

    a = sl.param(0.5, sl.ms**-1)
    b = sl.param(0.8, sl.ms ** sl.units.Fraction(-1, 2))
    v = sl.state(1.0)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": self.a * s.v}

    def noise(self, s, x):
        return {"v": self.b * s.v}


class Additive(Geometric):
    """``dv = -a v³ dt + b dW``: noise that does not depend on the state."""

    def derivative(self, s, x):
        return {"v": -self.a * s.v**3}

    def noise(self, s, x):
        return {"v": self.b}


def end_points(model: sl.NeuronModel, solver, normals: np.ndarray) -> np.ndarray:
    """v after 1 ms, along the paths ``[steps, paths]``."""
    steps, paths = normals.shape
    update = solver.update(model, 1.0 / steps)
    states = {"v": np.ones(paths)}
    for row in normals:
        states = update(states, {"i": 0.0, "normal.v": row})
    return states["v"]


def strong_errors(model: sl.NeuronModel, solver, exact: np.ndarray, fine: np.ndarray) -> list[float]:
    errors = []
    for steps in (16, 32, 64, 128):
        coarse = fine.reshape(steps, -1, fine.shape[1]).sum(1) / math.sqrt(len(fine) // steps)
        errors.append(float(np.abs(end_points(model, solver, coarse) - exact).mean()))
    return errors


@pytest.mark.parametrize(
    ("solver", "order"),
    [(EulerMaruyama(), 0.5), (AddNoise(RK4()), 0.5), (Milstein(), 1.0)],
    ids=str,
)
def test_strong_order_for_multiplicative_noise(solver, order: float) -> None:
    model = Geometric()
    fine = np.random.default_rng(4).standard_normal((2048, 4000))
    wiener = fine.sum(0) / math.sqrt(2048)
    errors = strong_errors(model, solver, np.exp((model.a - model.b**2 / 2) + model.b * wiener), fine)
    slope = -np.polyfit(np.log2([16, 32, 64, 128]), np.log2(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.12)


@pytest.mark.parametrize("solver", [EulerMaruyama(), Milstein(), AddNoise(ForwardEuler())], ids=str)
def test_strong_order_one_for_additive_noise(solver) -> None:
    model = Additive()
    fine = np.random.default_rng(5).standard_normal((4096, 1000))
    errors = strong_errors(model, solver, end_points(model, AddNoise(RK4()), fine), fine)
    slope = -np.polyfit(np.log2([16, 32, 64, 128]), np.log2(errors), 1)[0]
    assert slope == pytest.approx(1.0, abs=0.12)


class Mixed(Geometric):
    """The amplitude of one state's noise depends on another state."""

    w = sl.state(1.0)

    def derivative(self, s, x):
        return {"v": self.a * s.v, "w": -self.a * s.w}

    def noise(self, s, x):
        return {"v": self.b * s.w}


def test_solvers_that_do_not_fit_are_refused() -> None:
    x = {"i": zeros(2, 1)}
    for solver in (RK4(), Exact(), ForwardEuler()):
        with pytest.raises(ModelError, match=rf"dv/dt has noise, which {solver.name} leaves out.*AddNoise"):
            sl.scan(Geometric(), x, solver=solver)
    with pytest.raises(ModelError, match=r"noise of v depends on w.*EulerMaruyama"):
        sl.scan(Mixed(), x, solver=Milstein())
    with pytest.raises(ModelError, match="adds noise to a deterministic one"):
        AddNoise(EulerMaruyama())


@pytest.mark.parametrize("dt", [0.1, 2.0, 20.0])
def test_a_constant_escape_rate_is_a_poisson_process(dt: float) -> None:
    """v stays at rest, so the rate is constant: each step fires with 1 - exp(-rate dt), however long it is."""
    neuron = sl.LIF(tau=10.0, v_threshold=15.0, v_reset=0.0, reset_mechanism="value")
    model = sl.EscapeRate(neuron, rate=0.5, width=5.0)
    per_step = 1.0 - math.exp(-0.5 * math.exp(-3.0) * dt)
    spikes = sl.scan(model, {"i": zeros(4000, 100)}, dt=dt, seed=6).spikes[:, 0].numpy()
    error = math.sqrt(per_step * (1 - per_step) / spikes.size)
    assert spikes.mean() == pytest.approx(per_step, abs=4 * error)
    gaps = np.concatenate([np.diff(np.flatnonzero(column)) for column in spikes.T])
    law = scipy.stats.geom(per_step)
    seen, expected = (gaps > law.median()).mean(), law.sf(law.median())
    assert seen == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / len(gaps)))


def test_a_held_current_escapes_with_the_hazard_of_its_trajectory() -> None:
    """From rest to the first spike: the survivor function is the exponential of the integrated hazard."""
    tau, drive, rate, width = 10.0, 12.0, 0.4, 3.0
    model = sl.EscapeRate(sl.LIF(tau=tau, v_threshold=15.0, reset_mechanism="value"), rate=rate, width=width)
    spikes = sl.scan(model, {"i": zeros(3000, 4000) + drive}, dt=0.02, seed=7).spikes[:, 0].numpy()
    survived = 1.0 - np.maximum.accumulate(spikes, 0).mean(1)
    t = np.arange(3001) * 0.02
    hazard = rate * np.exp((drive * (1.0 - np.exp(-t / tau)) - 15.0) / width)
    expected = np.exp(-scipy.integrate.cumulative_simpson(hazard, x=t))
    assert abs(survived - expected).max() < 1.95 / math.sqrt(4000)  # Kolmogorov, one in a thousand


def test_refractory_neurons_do_not_escape() -> None:
    neuron = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")
    for model in (
        sl.EscapeRate(sl.Refractory(neuron, t_ref=3.0), rate=5.0, width=5.0),
        sl.Refractory(sl.EscapeRate(neuron, rate=5.0, width=5.0), t_ref=3.0),
    ):
        spikes = sl.scan(model, {"i": zeros(3000, 50) + 20.0}, dt=0.5, seed=8).spikes[:, 0].numpy()
        gaps = np.concatenate([np.diff(np.flatnonzero(column)) for column in spikes.T])
        assert gaps.min() == 7  # six held steps, then the first chance


def test_a_voltage_far_above_threshold_stays_finite() -> None:
    result = sl.scan(sl.EscapeRate(sl.LIF(), width=1e-3), {"v": torch.full((5, 1, 3), 1e4)}, seed=1)
    assert result.spikes.flatten(1).all(1).tolist() == [False, True, True, True, True]  # the first jump ends its step
    assert torch.isfinite(result.final["v"]).all()


NOISY = sl.Noisy(sl.LIF(tau=10.0), sigma_noise=0.2)


def test_the_same_noise_on_every_backend_and_thread_count() -> None:
    model, x = NOISY, zeros(400, 300)
    runs = []
    threads = torch.get_num_threads()
    try:
        for name, count in (("reference", threads), ("cpu", 1), ("cpu", 2)):
            torch.set_num_threads(count)
            with backend(name, strict=True):
                runs.append(sl.scan(model, {"v": x}, record=("v",), seed=9).states["v"])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(runs[1], runs[2])
    torch.testing.assert_close(runs[0], runs[1], rtol=1e-13, atol=1e-13)


def test_a_layers_noise_is_new_at_each_call_and_follows_torchs_seed() -> None:
    layer, x = sl.nn.Neuron(NOISY), torch.zeros(50, 2, 8)
    torch.manual_seed(1)
    first, second = layer(x)[1]["v"], layer(x)[1]["v"]
    torch.manual_seed(1)
    assert not torch.equal(first, second)
    assert torch.equal(first, layer(x)[1]["v"])


def test_a_conductance_based_neuron_takes_noise() -> None:
    model = sl.With(sl.HodgkinHuxley(), noise=sl.OrnsteinUhlenbeck(sigma=3.0, tau=2.0))
    assert repr(default_solver(model)) == "AddNoise(RK4())"
    quiet = sl.With(sl.HodgkinHuxley(), noise=sl.OrnsteinUhlenbeck(sigma=0.0, tau=2.0))
    x = zeros(2500, 20) + 2.0
    noisy, silent = (sl.scan(m, {"i": x}, dt=0.02, seed=2).spikes.sum() for m in (model, quiet))
    assert silent <= 20  # at 2 uA/cm2 the cell is silent after at most one spike at the onset
    assert noisy > 20


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: sl.OrnsteinUhlenbeck(sigma=-1.0), ParameterError, "out of range"),
        (lambda: sl.Noisy(sl.LIF), ParameterError, "needs a neuron model"),
        (lambda: sl.EscapeRate(sl.LI()), ModelError, "LI has no threshold"),
        (lambda: sl.EscapeRate(sl.LIF(), width=0.0), ParameterError, "out of range"),
        (lambda: sl.draw("gamma"), ModelError, "expected 'uniform' or 'exponential'"),
        (lambda: sl.scan(NOISY, {"v": zeros(1, 1)}, seed="a"), ParameterError, "whole number"),
    ],
)
def test_bad_input(make, error, words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_noise_amplitudes_have_units() -> None:
    with pytest.raises(sl.errors.DimensionError, match="v has the wrong unit"):

        class Wrong(Geometric):
            def noise(self, s, x):
                return {"v": self.a * s.v}

    assert str(sl.Noisy(sl.LIF()).params["sigma_noise"].unit) == "mV/((ms)^1/2)"
    assert sqrt(4.0) == 2.0
