"""Distributions: their laws (scipy.stats) at p-values above 1e-3 for fixed keys, and what a number depends on."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

import spikeloom as sl
from spikeloom.errors import ParameterError
from spikeloom.sim import Distribution

BOUND = 1e-3


def lognormal(mean: float, sd: float):
    s = np.sqrt(np.log(1.0 + (sd / mean) ** 2))
    return scipy.stats.lognorm(s, scale=mean * np.exp(-s * s / 2.0))


LAWS = {
    "uniform": (sl.sim.uniform(-3.0, 5.0), scipy.stats.uniform(-3.0, 8.0)),
    "normal": (sl.sim.normal(-2.0, 0.3), scipy.stats.norm(-2.0, 0.3)),
    "low": (sl.sim.normal(1.5, 0.75, low=0.1), scipy.stats.truncnorm((0.1 - 1.5) / 0.75, np.inf, 1.5, 0.75)),
    "high": (sl.sim.normal(1.5, 0.75, high=1.0), scipy.stats.truncnorm(-np.inf, (1.0 - 1.5) / 0.75, 1.5, 0.75)),
    "both": (sl.sim.normal(0.0, 2.0, low=-1.0, high=0.5), scipy.stats.truncnorm(-0.5, 0.25, 0.0, 2.0)),
    "tail": (sl.sim.normal(0.0, 1.0, low=12.0), scipy.stats.truncnorm(12.0, np.inf)),
    "far tail": (sl.sim.normal(0.0, 1.0, high=-30.0), scipy.stats.truncnorm(-np.inf, -30.0)),
    "lognormal": (sl.sim.lognormal(2.0, 3.0), lognormal(2.0, 3.0)),
    "gamma": (sl.sim.gamma(4.0, 2.0), scipy.stats.gamma(4.0, scale=1.0)),
    "gamma, skewed": (sl.sim.gamma(1.0, 2.0), scipy.stats.gamma(0.25, scale=4.0)),
}


@pytest.mark.parametrize("name", LAWS)
def test_law(name: str) -> None:
    distribution, law = LAWS[name]
    numbers = distribution.draw(key=21, count=40_000)
    assert numbers.dtype == np.float64
    assert np.isfinite(numbers).all()
    assert scipy.stats.kstest(numbers, law.cdf).pvalue > BOUND
    low, high = law.support()
    assert numbers.min() >= low
    assert numbers.max() <= high


@pytest.mark.parametrize(("name", "mean", "sd"), [("lognormal", 2.0, 3.0), ("gamma", 4.0, 2.0), ("gamma", 1.0, 2.0)])
def test_mean_and_sd_are_those_of_the_numbers(name: str, mean: float, sd: float) -> None:
    numbers = getattr(sl.sim, name)(mean, sd).draw(key=2, count=400_000)
    assert numbers.mean() == pytest.approx(mean, abs=4.0 * sd / np.sqrt(400_000))
    assert numbers.std() == pytest.approx(sd, rel=0.05)


def test_clipped_piles_up_at_the_bounds_and_truncated_does_not() -> None:
    clipped = sl.sim.clipped(sl.sim.normal(1.5, 0.75), low=0.1, high=2.0).draw(key=3, count=20_000)
    for count, p in ((clipped == 0.1, scipy.stats.norm.cdf(-1.4 / 0.75)), (clipped == 2.0, scipy.stats.norm.sf(2 / 3))):
        assert scipy.stats.binomtest(int(count.sum()), 20_000, p).pvalue > BOUND
    assert (sl.sim.normal(1.5, 0.75, low=0.1).draw(key=3, count=20_000) == 0.1).sum() == 0


def test_constant_numbers() -> None:
    for same in (sl.sim.normal(2.0, 0.0), sl.sim.uniform(2.0, 2.0), sl.sim.lognormal(2.0, 0.0)):
        assert np.allclose(same.draw(key=1, count=10), 2.0, rtol=1e-15)


@pytest.mark.parametrize("name", LAWS)
def test_number_k_depends_on_key_and_k_alone(name: str) -> None:
    distribution, threads = LAWS[name][0], torch.get_num_threads()
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    whole = distribution.draw(key=5, count=200_001)
    assert np.array_equal(distribution.draw(key=5, count=17), whole[:17])
    assert np.array_equal(distribution.draw(key=5, count=100_000, first=65_531), whole[65_531:165_531])
    assert distribution.draw(key=5, count=0).shape == (0,)
    try:
        torch.set_num_threads(1 if threads > 1 else 3)
        assert np.array_equal(distribution.draw(key=5, count=200_001), whole)
    finally:
        torch.set_num_threads(threads)
    assert abs(np.corrcoef(whole, distribution.draw(key=6, count=200_001))[0, 1]) < 5.0 / np.sqrt(200_001)
    assert abs(np.corrcoef(whole[1:], whole[:-1])[0, 1]) < 5.0 / np.sqrt(200_001)
    assert before == (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index]


def test_long_draws_are_made_in_parts_that_fit() -> None:
    numbers = sl.sim.uniform(0.0, 1.0).draw(key=1, count=2**20 + 2**16 + 3)
    assert np.array_equal(numbers[2**20 - 2 :], sl.sim.uniform(0.0, 1.0).draw(1, 2**16 + 5, first=2**20 - 2))
    assert len(np.unique(numbers)) == len(numbers)


def test_a_distribution_of_ones_own() -> None:
    class Waiting(Distribution):
        kind = "exponential"

        def shaped(self, numbers: np.ndarray) -> np.ndarray:
            return 3.0 * numbers

    assert scipy.stats.kstest(Waiting().draw(key=1, count=20_000), scipy.stats.expon(scale=3.0).cdf).pvalue > BOUND


def test_weights_delays_and_initial_values_of_a_network() -> None:
    def weights(names: tuple[str, ...]) -> dict[str, np.ndarray]:
        net = sl.sim.Network(dt=0.1, seed=4)
        cells = net.population(sl.LIF(), 200, "cells")
        found = {}
        for name in names:
            delay = sl.sim.normal(1.5, 0.75, low=0.1)
            made = net.connect(cells, cells, sl.sim.fixed_in_degree(50), weight=sl.sim.normal(2.0, 0.2), delay=delay,
                               name=name)  # fmt: skip
            assert made.steps.min() >= 1
            found[name] = made.weights
        return found

    one, two = weights(("a",)), weights(("b", "a"))
    assert np.array_equal(one["a"], two["a"])  # another connection changes nobody's numbers
    assert not np.array_equal(two["a"], two["b"])
    assert scipy.stats.kstest(one["a"], scipy.stats.norm(2.0, 0.2).cdf).pvalue > BOUND


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: sl.sim.uniform(2.0, 1.0), "uniform: got 2.0 to 1.0, expected the lower bound first"),
        (lambda: sl.sim.uniform(0.0, float("inf")), "high: got inf, expected a finite number"),
        (lambda: sl.sim.uniform("a", 1.0), "low: got a, expected a finite number"),
        (lambda: sl.sim.uniform(1.0 * sl.ms, 2.0), "Leave out the unit"),
        (lambda: sl.sim.normal(0.0, -1.0), "sd >= 0"),
        (lambda: sl.sim.normal(float("nan"), 1.0), "mean: got nan"),
        (lambda: sl.sim.normal(0.0, 1.0, low=float("nan")), "low: got nan"),
        (lambda: sl.sim.normal(0.0, 1.0, low=2.0, high=1.0), "a range that numbers can fall into"),
        (lambda: sl.sim.normal(0.0, 0.0, low=1.0), "a range that numbers can fall into"),
        (lambda: sl.sim.normal(0.0, 1.0, low=50.0), "a range that numbers can fall into"),
        (lambda: sl.sim.lognormal(-1.0, 1.0), "mean > 0"),
        (lambda: sl.sim.gamma(1.0, 0.0), "sd > 0"),
        (lambda: sl.sim.clipped(1.0, 0.0, 1.0), "a distribution such as"),  # type: ignore[arg-type]
        (lambda: sl.sim.clipped(sl.sim.normal(0.0, 1.0), 2.0, 1.0), "the lower bound first"),
    ],
)
def test_impossible_distributions(make, text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        make()
