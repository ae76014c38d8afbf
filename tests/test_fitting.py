"""Scores and losses of a fit against closed forms; what a fit refuses."""

import math
import sys

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.errors import DimensionError, ModelError, NonFiniteError, ParameterError, ShapeError
from spikeloom.fitting import (
    Loss,
    Refine,
    Search,
    apart_from_spikes,
    coincidences,
    explained_variance,
    gamma,
    predict,
    score,
)
from spikeloom.fitting.objective import Objective
from spikeloom.fitting.space import box

LIF = sl.LIF(tau=10.0, v_rest=-65.0, v_threshold=-50.0, v_reset=-60.0, r=0.2, reset_mechanism="value")


# -- coincidences and gamma


def test_gamma_of_equal_trains_is_one():
    train = np.cumsum(np.random.default_rng(0).exponential(50.0, size=40))
    assert gamma(train, train, duration=3000.0) == pytest.approx(1.0, abs=1e-12)
    assert gamma(train, train + 3.9, duration=3000.0) > 0.9


def test_gamma_by_hand():
    # 2 of 4 data and 5 model spikes meet; f = 5 / 1000 ms, 2 f delta = 0.04.
    data, model = [100.0, 200.0, 300.0, 400.0], [103.0, 196.0, 306.0, 500.0, 600.0]
    assert coincidences(data, model, 4.0) == 2
    assert gamma(data, model, duration=1000.0) == pytest.approx((2 - 0.04 * 4) / 4.5 / 0.96, abs=1e-12)


def test_each_spike_meets_one_other_at_most():
    assert coincidences([10.0], [9.0, 10.0, 11.0], 4.0) == 1
    assert coincidences([10.0, 14.0], [12.0], 4.0) == 1
    # Greedy by nearness would pair 12 with 13 and leave 10 and 16 alone.
    assert coincidences([10.0, 13.0], [12.0, 16.0], 3.0) == 2
    assert coincidences([13.0, 10.0], [16.0, 12.0], 3.0) == 2  # in any order


def test_times_on_a_grid_that_lie_exactly_delta_apart_coincide():
    assert all(coincidences([k * 0.1], [(k + 40) * 0.1], 4.0) == 1 for k in range(2000))


def test_gamma_of_poisson_trains_is_zero_on_average():
    """With data far apart the chance of a hit is 1 - exp(-x), x = 2 f delta, where gamma subtracts x."""
    random, duration, delta = np.random.default_rng(1), 20_000.0, 4.0
    data = np.arange(100.0, duration, 200.0)  # 5 Hz
    found = []
    for _ in range(600):
        model = random.uniform(0.0, duration, random.poisson(5.0 * duration / 1000.0))
        found.append(gamma(data, model, duration, delta))
    x = 2 * delta * 5.0 / 1000.0
    expected = (1 - math.exp(-x) - x) / (1 - x)
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found) - expected) < 4 * error
    assert abs(np.mean(found)) < 0.01


def test_gamma_is_undefined_without_spikes_and_at_rates_beyond_the_precision():
    assert math.isnan(gamma([], [], 1000.0))
    assert gamma([], [500.0], 1000.0) == 0.0
    assert gamma([500.0], [], 1000.0) == 0.0
    assert math.isnan(gamma([500.0], np.arange(0.0, 1000.0, 8.0), 1000.0))  # 2 f delta = 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"duration": 0.0}, ParameterError),
        ({"delta": -1.0}, ParameterError),
        ({"delta": math.nan}, ParameterError),
        ({"data": [math.nan]}, NonFiniteError),
        ({"model": [[1.0]]}, ShapeError),
    ],
)
def test_gamma_refuses(arguments, error):
    with pytest.raises(error):
        gamma(**{"data": [1.0], "model": [1.0], "duration": 10.0, **arguments})


# -- explained variance


def test_explained_variance_closed_cases():
    data = np.array([[-70.0, -60.0], [-50.0, -60.0]])  # mean -60, variance 50
    assert explained_variance(data, data) == 1.0
    assert explained_variance(data, np.full((2, 2), -60.0)) == 0.0
    assert explained_variance(data, data + 5.0) == pytest.approx(1 - 25 / 50)
    assert (
        explained_variance(data, data + np.array([[0.0, 0.0], [99.0, 0.0]]), kept=[[True, True], [False, True]]) == 1.0
    )
    assert math.isnan(explained_variance(data, data, np.zeros((2, 2), bool)))
    with pytest.raises(ShapeError):
        explained_variance(data, data[0])


def test_windows_around_spikes():
    spikes = np.zeros((2, 12), bool)
    spikes[0, [0, 6, 8]] = spikes[1, 11] = True
    kept = apart_from_spikes(spikes, dt=0.5, window=(0.5, 1.0))
    assert kept.astype(int).tolist() == [[0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1], [1] * 10 + [0, 0]]


# -- the loss


def recorded(trains, steps=4000, dt=0.1):
    """A flat recording with spikes of one sample at these times (ms) in each sweep."""
    v = np.full((len(trains), steps), -65.0)
    for sweep, times in zip(v, trains, strict=True):
        sweep[np.round(np.asarray(times) / dt).astype(int)] = 30.0
    return sl.Recording(v, np.zeros_like(v), dt)


def spike_loss(data, model, tau, steps=4000, dt=0.1):
    """The loss of trains by sweep, as the objective gets them: step k is compared with sample k + 1."""
    objective = Objective(recorded(data, steps, dt), Loss(voltage_weight=0.0, scales=(tau,), settle=0.0))
    spikes = torch.from_numpy(recorded(model, steps, dt).spikes[:, 1:].T.astype(float))[..., None]
    return float(objective(torch.zeros_like(spikes), spikes))


@pytest.mark.parametrize("tau", [5.0, 20.0])
def test_spike_distance_of_two_single_spikes(tau):
    """|f - g|^2 of two kernels d apart is tau / dt (1 - exp(-d / tau)) in the limit of a small step; |h|^2 is half."""
    for distance in (0.0, 2.0, 10.0, 150.0):
        expected = 2 * (1 - math.exp(-distance / tau)) / 3  # own, the data's, and one lone spike
        assert spike_loss([[100.0]], [[100.0 + distance]], tau) == pytest.approx(expected, rel=0.03, abs=1e-12)


def test_spike_distance_ends():
    train = np.arange(20.0, 380.0, 30.0)
    assert spike_loss([train], [train], 5.0) == pytest.approx(0.0, abs=1e-12)
    assert spike_loss([[]], [[]], 5.0) == 0.0
    silent, apart = spike_loss([train], [[]], 5.0), spike_loss([train], [train + 15.0], 5.0)
    assert silent == pytest.approx(12 / 13, rel=0.01)  # 12 spikes of the data and the lone one
    assert apart < 1.0  # at wrong times, no worse than silence at its worst
    assert spike_loss([[]], [[100.0]], 5.0) == pytest.approx(0.5, rel=0.02)
    assert spike_loss([train, []], [train, [50.0]], 5.0) == pytest.approx(0.25, rel=0.02)  # sweeps count alike


def test_voltage_loss_is_one_minus_the_explained_variance():
    random = np.random.default_rng(0)
    v = random.normal(-60.0, 3.0, (2, 400))
    v[0, 200] = 30.0
    recording = sl.Recording(v, np.zeros_like(v), 0.1)
    loss = Loss(spike_weight=0.0, settle=5.0, window=(1.0, 3.0))
    model = v + random.normal(0.5, 1.0, v.shape)
    kept = apart_from_spikes(recording.spikes, 0.1, (1.0, 3.0))
    kept[:, :50] = False
    found = Objective(recording, loss)(torch.from_numpy(model[:, 1:].T.copy())[..., None], None)
    assert float(found) == pytest.approx(1 - explained_variance(v, model, kept), rel=1e-12)


@pytest.mark.parametrize(
    "arguments",
    [
        {"spike_weight": -1.0},
        {"voltage_weight": math.nan},
        {"scales": ()},
        {"scales": (0.0,)},
        {"window": (1.0, 2.0, 3.0)},
        {"window": (-1.0, 2.0)},
        {"settle": math.inf},
        {"voltage_weight": 0.0, "spike_weight": 0.0},
    ],
)
def test_unusable_losses_are_refused(arguments):
    with pytest.raises(ParameterError, match="Loss"):
        Loss(**arguments)


# -- prediction and score


def test_a_model_scores_perfectly_on_what_it_made_itself():
    current = np.full((2, 1000), 100.0)
    current[1] *= 1.3
    trace = sl.simulate(LIF, current.T, duration=100.0, dt=0.1, state={"v": -65.0})
    v = trace["v"][:-1].T.copy()
    fired = trace.fired[:-1].T
    v[fired] = 30.0
    recording = sl.Recording(v, current, 0.1)
    assert np.array_equal(recording.spikes, fired)
    voltage, spikes = predict(LIF, recording)
    assert np.array_equal(spikes, fired)
    assert np.abs(np.where(fired, 0.0, voltage - v)).max() < 1e-10
    found = score(LIF, recording, loss=Loss(settle=10.0))
    assert found.gamma == pytest.approx(1.0, abs=1e-12)
    assert found.explained_variance == pytest.approx(1.0, abs=1e-12)
    assert found.spikes[0] == found.spikes[1] > 10
    assert [s.data_spikes for s in found.sweeps] == [int((f[100:]).sum()) for f in fired]


def test_silent_sweeps_are_left_out_of_gamma():
    recording = recorded([[100.0], []])
    found = score(LIF.replace(v_threshold=100.0), recording)
    assert found.gamma == 0.0
    assert math.isnan(found.sweeps[1].gamma)
    assert math.isnan(score(LIF.replace(v_threshold=100.0), recording.sweeps([1])).gamma)


def test_a_model_that_never_fires_can_be_scored():
    found = score(sl.LI(tau=10.0, v_rest=-65.0, r=0.2), recorded([[100.0]]))
    assert found.spikes == (1, 0)


# -- the box


def test_ranges_that_follow_from_the_model():
    found = box(LIF, ("tau", "v_threshold"))
    assert found.low == pytest.approx((1.0, -100.0))
    assert found.high == pytest.approx((100.0, 0.0))
    assert found.logarithmic == (True, False)


def test_ranges_with_units_and_the_way_to_the_cube_and_back():
    found = box(LIF, {"tau": (0.001 * sl.second, 100.0), "v_rest": (-80.0, -40.0)})
    assert found.point({"tau": 10.0, "v_rest": -50.0}) == pytest.approx([0.5, 0.75])
    values = found.values(torch.tensor([[0.5, 0.75], [0.0, 1.0]], dtype=torch.float64))
    assert values["tau"].tolist() == pytest.approx([10.0, 1.0])
    assert values["v_rest"].tolist() == pytest.approx([-50.0, -40.0])
    assert found.point({"tau": 1e6, "v_rest": -1e6}).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("ranges", "error", "says"),
    [
        ({}, ParameterError, "parameters of a fit"),
        ("tau", ParameterError, "parameters of a fit"),
        (("taus",), ParameterError, "LIF has no parameter 'taus'. Did you mean tau"),
        (("reset_mechanism",), ParameterError, "has no parameter 'reset_mechanism'"),
        ({"tau": (0.0, 10.0)}, ParameterError, "tau is out of range: got 0 ms, expected > 0 ms"),
        ({"tau": (10.0, 10.0)}, ParameterError, "range of tau"),
        ({"tau": (1.0, math.inf)}, ParameterError, "range of tau"),
        ({"tau": (1.0, "x")}, ParameterError, "range of tau"),
        ({"tau": 10.0}, ParameterError, "range of tau"),
        ({"tau": (1.0 * sl.ms, 10.0 * sl.mV)}, DimensionError, "tau has the wrong dimension"),
    ],
)
def test_unusable_ranges_are_refused(ranges, error, says):
    with pytest.raises(error, match=says):
        sl.fit(LIF, recorded([[100.0]]), ranges)


def test_a_value_of_zero_needs_a_range():
    with pytest.raises(ParameterError, match="the range of v_rest does not follow from its value"):
        box(sl.LIF(), ("v_rest",))


# -- what a fit refuses


class Bare(sl.NeuronModel):
    tau = sl.param(10.0, sl.ms, low=0.0)
    v = sl.state(0.0, sl.mV)

    def derivative(self, s, x):
        return {"v": -s.v / self.tau}


class Unitless(sl.NeuronModel):
    tau = sl.param(10.0, sl.ms, low=0.0)
    v = sl.state(0.0)
    i = sl.input(sl.pA)

    def derivative(self, s, x):
        return {"v": -s.v / self.tau}


@pytest.mark.parametrize(
    ("model", "error", "says"),
    [
        (sl.LIF, ParameterError, "fit needs a neuron model"),
        (Bare(), ModelError, "Bare declares no input for a current"),
        (Unitless(), DimensionError, "membrane v is no voltage"),
        (sl.HodgkinHuxley(), DimensionError, "input i is no current: got uA/cm2, expected pA"),
        (LIF.replace(tau=[10.0, 20.0]), ParameterError, "holds several neurons"),
    ],
)
def test_models_that_cannot_be_fitted_are_refused(model, error, says):
    name = next(iter(model.params))
    with pytest.raises(error, match=says):
        sl.fit(model, recorded([[100.0]]), {name: (1.0, 50.0)})


def test_other_unusable_arguments_are_refused():
    recording = recorded([[100.0]])
    with pytest.raises(ParameterError, match="fit needs a recording: got ndarray"):
        sl.fit(LIF, np.zeros((2, 3)), ("tau",))  # pyright: ignore[reportArgumentType]
    for methods in ((), (Search,), "search"):
        with pytest.raises(ParameterError, match="methods of a fit"):
            sl.fit(LIF, recording, ("tau",), methods=methods)
    for seed in (-1, 0.5, None, True):
        with pytest.raises(ParameterError, match="seed of a fit"):
            sl.fit(LIF, recording, ("tau",), seed=seed)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ParameterError, match="settle leaves nothing"):
        sl.fit(LIF, recording, ("tau",), loss=Loss(settle=400.0))
    with pytest.raises(ParameterError, match="one sample"):
        sl.fit(LIF, sl.Recording([0.0], [0.0], 0.1), ("tau",), loss=Loss(settle=0.0))
    for make in (lambda: Search(generations=0), lambda: Search(population=2), lambda: Search(spread=0.0)):
        with pytest.raises(ParameterError, match="Search"):
            make()
    for make in (lambda: Refine(steps=1.5), lambda: Refine(rate=-1.0)):
        with pytest.raises(ParameterError, match="Refine"):
            make()


def test_the_search_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cma", None)
    with pytest.raises(ParameterError, match=r"package cma.*spikeloom\[search\]"):
        sl.fit(LIF, recorded([[100.0]]), ("tau",))
