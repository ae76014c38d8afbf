"""Connection rules: exact numbers where they are exact, tests of hypotheses where they are random.

Expected distributions are closed forms. Keys are fixed; a correct rule falls below the bound of a p-value (1e-3) for
one key in a thousand, so the keys say nothing but that this one is not among them.
"""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats
import torch

import spikeloom as sl
from spikeloom.errors import ParameterError, ShapeError
from spikeloom.sim import Edges, Rule, Side

BOUND = 1e-3


def table(edges: Edges, post: int) -> np.ndarray:
    """How many edges there are from each source to each target."""
    counts = np.zeros((len(edges.starts) - 1, post), np.int64)
    np.add.at(counts, (np.repeat(np.arange(len(counts)), np.diff(edges.starts)), edges.targets), 1)
    return counts


def drawn(rule: Rule, pre: int, post: int, key: int = 11, same: bool = False) -> np.ndarray:
    edges = rule.edges(Side(pre), Side(post), same, key)
    edges.check(Side(pre), Side(post))
    return table(edges, post)


def fits(observed: np.ndarray, shares: np.ndarray) -> None:
    """Chi-square against expected shares; categories with fewer than 5 expected are put together."""
    observed = np.asarray(observed, float)
    expected = np.asarray(shares, float) * (observed.sum() / np.sum(shares))
    rare = expected < 5.0
    if rare.any():
        observed, expected = (np.append(x[~rare], x[rare].sum()) for x in (observed, expected))
        if expected[-1] < 1.0:
            observed, expected = (np.append(x[:-2], x[-2:].sum()) for x in (observed, expected))
    assert len(expected) == 1 or scipy.stats.chisquare(observed, expected).pvalue > BOUND


def fits_law(numbers: np.ndarray, law) -> None:
    """Whole numbers follow a distribution of scipy."""
    top = int(numbers.max()) + 1
    expected = np.append(law.pmf(np.arange(top)), law.sf(top - 1)) * len(numbers)
    fits(np.bincount(numbers, minlength=top + 1), expected)


def likely(count: int, of: int, p: float) -> None:
    assert scipy.stats.binomtest(int(count), int(of), p).pvalue > BOUND


# -- all pairs, one to one


@pytest.mark.parametrize(("pre", "post"), [(1, 1), (3, 5), (40, 30)])
def test_all_to_all(pre: int, post: int) -> None:
    assert (drawn(sl.sim.all_to_all(), pre, post) == 1).all()
    assert (drawn(sl.sim.all_to_all(autapses=False), pre, post) == 1).all()  # two groups have no autapses
    assert (drawn(sl.sim.all_to_all(autapses=False), pre, pre, same=True) == 1 - np.eye(pre)).all()


def test_one_to_one() -> None:
    assert (drawn(sl.sim.one_to_one(), 7, 7) == np.eye(7)).all()


# -- Bernoulli


@pytest.mark.parametrize("p", [0.003, 0.1, 0.7])
def test_fixed_probability_degrees_are_binomial(p: float) -> None:
    counts = drawn(sl.sim.fixed_probability(p), 1500, 1000)
    assert counts.max() == 1
    likely(counts.sum(), counts.size, p)
    fits_law(counts.sum(axis=0), scipy.stats.binom(1500, p))
    fits_law(counts.sum(axis=1), scipy.stats.binom(1000, p))


def test_fixed_probability_pairs_are_independent() -> None:
    found = np.array([drawn(sl.sim.fixed_probability(0.3), 3, 4, key) for key in range(3000)]).reshape(3000, -1)
    for pair in found.T:
        likely(pair.sum(), 3000, 0.3)
    agree = np.corrcoef(found.T)[np.triu_indices(12, 1)]
    assert scipy.stats.kstest(agree * np.sqrt(3000), "norm").pvalue > BOUND


def test_fixed_probability_without_autapses() -> None:
    counts = drawn(sl.sim.fixed_probability(0.2, autapses=False), 1200, 1200, same=True)
    assert counts.trace() == 0
    fits_law(counts.sum(axis=0), scipy.stats.binom(1199, 0.2))
    likely(drawn(sl.sim.fixed_probability(0.2), 1200, 1200, same=True).trace(), 1200, 0.2)


def test_fixed_probability_at_its_ends() -> None:
    assert drawn(sl.sim.fixed_probability(0.0), 20, 30).sum() == 0
    assert (drawn(sl.sim.fixed_probability(1.0), 20, 30) == 1).all()
    assert (drawn(sl.sim.fixed_probability(1.0, autapses=False), 20, 20, same=True) == 1 - np.eye(20)).all()
    assert drawn(sl.sim.fixed_probability(1e-300), 20, 30).sum() == 0
    assert (drawn(sl.sim.fixed_probability(np.nextafter(1.0, 0.0)), 20, 30) == 1).all()


# -- fixed numbers of partners


def turned(counts: np.ndarray, way: str) -> np.ndarray:
    """So that columns are those who draw."""
    return counts if way == "in" else counts.T


def degree(way: str, count: int, **flags: bool) -> Rule:
    return {"in": sl.sim.fixed_in_degree, "out": sl.sim.fixed_out_degree}[way](count, **flags)


@pytest.mark.parametrize("way", ["in", "out"])
def test_fixed_degree_is_exact_and_partners_are_uniform(way: str) -> None:
    sizes = (300, 2000) if way == "in" else (2000, 300)
    counts = turned(drawn(degree(way, 60), *sizes), way)
    assert (counts.sum(axis=0) == 60).all()
    fits(counts.sum(axis=1), np.ones(300))
    fits_law(counts.sum(axis=1), scipy.stats.binom(2000 * 60, 1 / 300))
    # A partner is drawn k times with the chance of k in 60 draws: NEST's multapses.
    fits_law(counts.ravel(), scipy.stats.binom(60, 1 / 300))


@pytest.mark.parametrize("way", ["in", "out"])
def test_fixed_degree_autapses(way: str) -> None:
    likely(drawn(degree(way, 30), 700, 700, same=True).trace(), 700 * 30, 1 / 700)
    without = turned(drawn(degree(way, 30, autapses=False), 700, 700, same=True), way)
    assert without.trace() == 0
    assert (without.sum(axis=0) == 30).all()
    fits_law(without[~np.eye(700, dtype=bool)], scipy.stats.binom(30, 1 / 699))
    # The neurons before and after oneself are drawn as often as all others.
    likely(np.trace(without, 1), 699 * 30, 1 / 699)
    likely(np.trace(without, -1), 699 * 30, 1 / 699)


@pytest.mark.parametrize("way", ["in", "out"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_distinct_partners_are_any_subset_equally_often(way: str, count: int) -> None:
    sizes = (5, 6000) if way == "in" else (6000, 5)
    counts = turned(drawn(degree(way, count, multapses=False), *sizes), way)
    assert counts.max() == 1
    subsets = [tuple(np.flatnonzero(column)) for column in counts.T]
    possible = list(itertools.combinations(range(5), count))
    fits(np.array([subsets.count(s) for s in possible]), np.ones(len(possible)))


@pytest.mark.parametrize("way", ["in", "out"])
def test_distinct_partners_without_autapses(way: str) -> None:
    rule = degree(way, 200, multapses=False, autapses=False)
    counts = turned(drawn(rule, 900, 900, same=True), way)
    assert (counts.sum(axis=0) == 200).all()
    assert counts.max() == 1
    assert counts.trace() == 0
    # In-degrees of those who are drawn: from 899 others with chance 200 / 899 each.
    fits_law(counts.sum(axis=1), scipy.stats.binom(899, 200 / 899))
    everyone = drawn(degree(way, 49, multapses=False, autapses=False), 50, 50, same=True)
    assert (everyone == 1 - np.eye(50)).all()


def test_fixed_total_is_exact_and_pairs_are_uniform() -> None:
    counts = drawn(sl.sim.fixed_total(100_000), 40, 60)
    assert counts.sum() == 100_000
    fits(counts.ravel(), np.ones(2400))
    without = drawn(sl.sim.fixed_total(50_000, autapses=False), 40, 40, same=True)
    assert without.sum() == 50_000
    assert without.trace() == 0
    fits(without[~np.eye(40, dtype=bool)], np.ones(1560))


@pytest.mark.parametrize("total", [1, 2, 3, 4, 5])
def test_fixed_total_of_distinct_pairs_is_any_subset_equally_often(total: int) -> None:
    rule = sl.sim.fixed_total(total, multapses=False)
    found = [tuple(np.flatnonzero(drawn(rule, 2, 3, key).ravel())) for key in range(1500)]
    possible = list(itertools.combinations(range(6), total))
    counts = np.array([found.count(s) for s in possible])
    assert counts.sum() == 1500  # nothing else was drawn
    fits(counts, np.ones(len(possible)))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_fixed_total_of_distinct_pairs(share: float) -> None:
    total = round(share * 300 * 299)
    counts = drawn(sl.sim.fixed_total(total, multapses=False, autapses=False), 300, 300, same=True)
    assert counts.sum() == total
    assert counts.max() == 1
    assert counts.trace() == 0
    if share < 1.0:  # a target's sources are a sample without replacement from all pairs
        fits_law(counts.sum(axis=0), scipy.stats.hypergeom(300 * 299, 299, total))


# -- by distance

SQUARE = np.random.default_rng(3).uniform(0.0, 1.0, (900, 2))


def lengths(a: np.ndarray, b: np.ndarray, period: float | None) -> np.ndarray:
    apart = np.abs(a[:, None, :] - b[None, :, :])
    if period is not None:
        apart = np.minimum(apart, period - apart)
    return np.sqrt((apart**2).sum(axis=2))


@pytest.mark.parametrize("period", [None, 1.0])
def test_within_distance_is_every_pair_that_is_near(period: float | None) -> None:
    side, other = Side(900, SQUARE), Side(300, SQUARE[::-3])
    near = lengths(SQUARE, SQUARE[::-3], period) <= 0.1
    rule = sl.sim.within_distance(0.1, periodic=period)
    assert (table(rule.edges(side, other, False, 1), 300) == near).all()
    thin = table(sl.sim.within_distance(0.1, p=0.3, periodic=period).edges(side, other, False, 1), 300)
    assert not thin[~near].any()
    likely(thin.sum(), near.sum(), 0.3)


@pytest.mark.parametrize("period", [None, 1.0])
@pytest.mark.parametrize("shape", ["gaussian", "exponential"])
def test_probability_falls_with_distance(shape: str, period: float | None) -> None:
    far = lengths(SQUARE, SQUARE, period)
    rule, chance = {
        "gaussian": (sl.sim.gaussian_distance(0.2, p=0.8, periodic=period), 0.8 * np.exp(-((far / 0.2) ** 2) / 2)),
        "exponential": (sl.sim.exponential_distance(0.2, p=0.8, periodic=period), 0.8 * np.exp(-far / 0.2)),
    }[shape]
    side = Side(900, SQUARE)
    counts = table(rule.edges(side, side, True, 5), 900)
    bins = np.digitize(far, np.linspace(0.0, 1.0, 21)).ravel()
    found, mean, variance = (
        np.bincount(bins, weights=w.ravel()) for w in (counts, chance, chance * (1.0 - chance))
    )  # fmt: skip
    kept = variance > 5.0
    z = (found - mean)[kept] / np.sqrt(variance[kept])
    assert scipy.stats.chi2(kept.sum()).sf((z**2).sum()) > BOUND
    assert kept.sum() >= 12
    assert rule.expected(side, side) == pytest.approx(chance.sum(), rel=0.02)


def test_distance_rules_on_a_line_of_three_dimensions() -> None:
    places = np.zeros((50, 3))
    places[:, 2] = np.arange(50.0)
    side = Side(50, places)
    counts = table(sl.sim.gaussian_distance(1e9, cutoff=2.0, autapses=False).edges(side, side, True, 1), 50)
    assert (counts == (np.abs(np.subtract.outer(np.arange(50), np.arange(50))) <= 2) - np.eye(50)).all()
    periods = sl.sim.within_distance(1.0, periodic=(5.0, 5.0, 50.0)).edges(side, side, True, 1)
    assert sorted(periods.targets[:3].tolist()) == [0, 1, 49]


def test_per_distance_gives_the_lengths_of_edges() -> None:
    side, other = Side(900, SQUARE), Side(300, SQUARE[:300])
    edges = sl.sim.fixed_probability(0.1).edges(side, other, False, 2)
    sources = np.repeat(np.arange(900), np.diff(edges.starts))
    for period in (None, 1.0):
        true = lengths(SQUARE, SQUARE[:300], period)[sources, edges.targets]
        found = sl.sim.per_distance(3.0, 0.5, periodic=period).along(1, edges, side, other)
        np.testing.assert_allclose(found, 0.5 + 3.0 * true, rtol=1e-12)
    squared = sl.sim.per_distance(np.square).along(1, edges, side, other)
    np.testing.assert_allclose(squared, lengths(SQUARE, SQUARE[:300], None)[sources, edges.targets] ** 2, rtol=1e-12)
    jitter = sl.sim.per_distance(0.0, sl.sim.normal(2.0, 0.1)).along(1, edges, side, other)
    assert scipy.stats.kstest(jitter, scipy.stats.norm(2.0, 0.1).cdf).pvalue > BOUND


def test_delays_by_distance_in_a_network() -> None:
    net = sl.sim.Network(dt=0.1, seed=1)
    cells = net.population(sl.LIF(), 100, "cells", positions=np.arange(100.0))
    delay = sl.sim.per_distance(0.1, 1.0)
    made = net.connect(cells, cells, sl.sim.within_distance(3.0), weight=0.0, delay=delay)
    apart = np.abs(made.sources() - made.edges.targets)
    assert (made.steps == 10 + apart).all()
    assert set(apart) == {0, 1, 2, 3}


# -- graphs


def test_small_world_without_rewiring_is_the_ring() -> None:
    counts = drawn(sl.sim.small_world(4, 0.0), 11, 11, same=True)
    apart = np.subtract.outer(np.arange(11), np.arange(11)) % 11
    assert (counts == np.isin(apart, [1, 2, 9, 10])).all()


@pytest.mark.parametrize("p", [0.05, 0.4, 1.0])
def test_small_world_degrees_and_rewiring(p: float) -> None:
    n, k = 3000, 8
    counts = drawn(sl.sim.small_world(k, p), n, n, same=True)
    assert (counts.sum(axis=1) == k).all()
    assert counts.max() == 1
    assert counts.trace() == 0
    apart = np.subtract.outer(np.arange(n), np.arange(n)) % n
    ring = np.minimum(apart, n - apart) <= k // 2
    # At p = 1 some redirected edges come back to the ring, to places that are free again: few, 3.5 / n each.
    back = n * k * p * (k - 1) / 2 / n
    moved = int(counts[~ring].sum())
    assert abs(moved - n * k * p + back * p) < 4.0 * np.sqrt(n * k * p * (1.0 - p) + back + 1.0)
    # In-degree: of the k edges of the ring each stays with 1 - p; of n k others each comes with p / n.
    law = np.convolve(scipy.stats.binom(k, 1.0 - p).pmf(np.arange(60)), scipy.stats.poisson(k * p).pmf(np.arange(60)))
    fits(np.bincount(counts.sum(axis=0), minlength=60)[:60], law[:60] * n)
    fits(np.bincount(apart[(counts == 1) & ~ring] * 50 // n, minlength=50)[1:49], np.ones(48))


def test_small_world_of_few() -> None:
    everyone = drawn(sl.sim.small_world(6, 1.0), 7, 7, same=True)  # nobody is left to be drawn
    assert (everyone == 1 - np.eye(7)).all()
    counts = drawn(sl.sim.small_world(6, 0.5), 8, 8, same=True)
    assert (counts.sum(axis=1) == 6).all()
    assert counts.max() == 1
    assert counts.trace() == 0
    assert drawn(sl.sim.small_world(0, 0.5), 8, 8, same=True).sum() == 0


def test_neighbours_on_a_lattice_of_decimals_are_those_of_one_of_whole_numbers() -> None:
    for spacing in (0.1, 0.3, 0.7, 1.1):
        ring = Side(20, (np.arange(20) * spacing)[:, None])
        rule = sl.sim.within_distance(3 * spacing, periodic=20 * spacing)
        assert np.diff(rule.edges(ring, ring, True, 1).starts).tolist() == [7] * 20
        assert rule.expected(ring, ring) == pytest.approx(140.0, rel=0.15)


def test_entries_of_one_place_add_up_beyond_the_type_of_the_matrix() -> None:
    twice = sp.coo_array((np.array([100, 100], np.int8), ([0, 0], [0, 0])), shape=(1, 1))
    assert sl.sim.from_matrix(twice).edges(Side(1), Side(1), True, 0).weights.tolist() == [200.0]


def test_a_clipped_length_is_one() -> None:
    line = Side(3, np.array([[0.0], [1.0], [3.0]]))
    edges = sl.sim.all_to_all().edges(line, line, True, 0)
    found = sl.sim.clipped(sl.sim.per_distance(2.0), low=1.0, high=5.0).along(1, edges, line, line)
    assert found.tolist() == [1.0, 2.0, 5.0, 2.0, 1.0, 4.0, 5.0, 4.0, 1.0]
    with pytest.raises(ParameterError, match=r"per_distance: got a function that fails .* array of distances \[E\]"):
        sl.sim.per_distance(math.exp).along(1, edges, line, line)


def test_block_model_probabilities() -> None:
    sizes, post_sizes = [300, 500, 0, 200], [400, 350]
    p = [[0.1, 0.5], [0.0, 1.0], [0.3, 0.3], [0.9, 0.02]]
    counts = drawn(sl.sim.block_model(sizes, p, post_sizes=post_sizes), 1000, 750)
    rows, columns = np.cumsum([0, *sizes]), np.cumsum([0, *post_sizes])
    for a, b in itertools.product(range(4), range(2)):
        block = counts[rows[a] : rows[a + 1], columns[b] : columns[b + 1]]
        if 0.0 < p[a][b] < 1.0 and block.size:
            likely(block.sum(), block.size, p[a][b])
            fits_law(block.sum(axis=0), scipy.stats.binom(sizes[a], p[a][b]))
        else:
            assert (block == p[a][b]).all()
    same = drawn(sl.sim.block_model([40, 60], [[1.0, 1.0], [0.0, 1.0]], autapses=False), 100, 100, same=True)
    expected = 1 - np.eye(100, dtype=int)
    expected[40:, :40] = 0
    assert (same == expected).all()


def test_blocks_are_drawn_apart() -> None:
    rule = sl.sim.block_model([500, 500], [[0.3, 0.3], [0.3, 0.3]])
    counts = drawn(rule, 1000, 1000)
    quarters = [counts[a : a + 500, b : b + 500] for a in (0, 500) for b in (0, 500)]
    for one, two in itertools.combinations(quarters, 2):
        assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 4.0 / 500.0


# -- given edges

PRE, POST = np.array([2, 0, 2, 2, 0]), np.array([1, 3, 0, 1, 3])
WEIGHTS, DELAYS = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([0.1, 0.2, 0.3, 0.4, 0.5])


def frame(**columns: np.ndarray):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(columns)


@pytest.mark.parametrize("kind", ["pairs", "dict", "pandas"])
def test_given_pairs_are_sorted_with_what_belongs_to_them(kind: str) -> None:
    columns = {"pre": PRE, "post": POST, "weight": WEIGHTS, "delay": DELAYS}
    if kind == "pairs":
        rule = sl.sim.from_pairs(PRE, POST, weights=WEIGHTS, delays=DELAYS)
    else:
        rule = sl.sim.from_frame(columns if kind == "dict" else frame(**columns))
    edges = rule.edges(Side(3), Side(4), False, 0)
    edges.check(Side(3), Side(4))
    assert edges.starts.tolist() == [0, 2, 2, 5]
    assert edges.targets.tolist() == [3, 3, 0, 1, 1]
    assert edges.weights is not None
    assert edges.weights.tolist() == [2.0, 5.0, 3.0, 1.0, 4.0]
    assert edges.delays is not None
    assert edges.delays.tolist() == [0.2, 0.5, 0.3, 0.1, 0.4]


def test_given_pairs_in_order_stay() -> None:
    edges = sl.sim.from_pairs([0, 0, 1], [1, 1, 0], delays=2.0).edges(Side(2), Side(2), False, 0)
    assert edges.targets.tolist() == [1, 1, 0]
    assert edges.weights is None
    assert edges.delays is not None
    assert edges.delays.tolist() == [2.0] * 3
    assert sl.sim.from_pairs(np.empty(0, int), np.empty(0, int)).edges(Side(2), Side(2), False, 0).starts.tolist() == [
        0, 0, 0,
    ]  # fmt: skip


def test_what_is_given_is_copied() -> None:
    pre, weights = np.array([0, 1]), np.array([1.0, 2.0])
    rule = sl.sim.from_pairs(pre, pre, weights=weights)
    pre[:], weights[:] = 7, np.nan
    edges = rule.edges(Side(2), Side(2), True, 0)
    assert edges.targets.tolist() == [0, 1]
    assert edges.weights is not None
    assert edges.weights.tolist() == [1.0, 2.0]


def test_columns_are_named() -> None:
    rule = sl.sim.from_frame({"a": [0], "b": [1], "w": [0.5], "weight": [9.0]}, pre="a", post="b", weight="w")
    edges = rule.edges(Side(2), Side(2), False, 0)
    assert edges.weights is not None
    assert edges.weights.tolist() == [0.5]
    assert edges.delays is None


@pytest.mark.parametrize("kind", ["dense", "csr", "csc", "coo", "array"])
def test_matrices(kind: str) -> None:
    import scipy.sparse

    rng = np.random.default_rng(1)
    dense = np.where(rng.random((30, 40)) < 0.2, rng.normal(size=(30, 40)), 0.0)
    how = {"csr": "csr_matrix", "csc": "csc_matrix", "coo": "coo_matrix", "array": "csr_array"}
    wrap = np.asarray if kind == "dense" else getattr(scipy.sparse, how[kind])
    edges = sl.sim.from_matrix(wrap(dense), delays=wrap(np.abs(dense))).edges(Side(30), Side(40), False, 0)
    edges.check(Side(30), Side(40))
    found = np.zeros((30, 40))
    found[np.repeat(np.arange(30), np.diff(edges.starts)), edges.targets] = edges.weights
    assert (found == dense).all()
    assert edges.delays is not None
    assert (edges.delays == np.abs(edges.weights)).all()
    mask = sl.sim.from_matrix(wrap(dense != 0.0)).edges(Side(30), Side(40), False, 0)
    assert mask.weights is None
    assert (mask.targets == edges.targets).all()


def test_entries_of_one_place_add_up() -> None:
    import scipy.sparse

    matrix = scipy.sparse.coo_matrix(([1.0, 2.0, 3.0, -3.0], ([0, 0, 1, 1], [1, 1, 0, 0])), shape=(2, 2))
    edges = sl.sim.from_matrix(matrix).edges(Side(2), Side(2), True, 0)
    assert edges.targets.tolist() == [1]
    assert edges.weights is not None
    assert edges.weights.tolist() == [3.0]
    assert matrix.nnz == 4  # and the matrix is as it was


# -- what holds for all

SIDE = Side(900, SQUARE)
RANDOM = {
    "probability": sl.sim.fixed_probability(0.1),
    "in": sl.sim.fixed_in_degree(90),
    "in-distinct": sl.sim.fixed_in_degree(90, multapses=False, autapses=False),
    "out": sl.sim.fixed_out_degree(90),
    "out-distinct": sl.sim.fixed_out_degree(90, multapses=False, autapses=False),
    "total": sl.sim.fixed_total(80_000),
    "total-distinct": sl.sim.fixed_total(80_000, multapses=False),
    "within": sl.sim.within_distance(0.3, p=0.4),
    "gaussian": sl.sim.gaussian_distance(0.1, periodic=1.0),
    "exponential": sl.sim.exponential_distance(0.1, p=0.9),
    "small-world": sl.sim.small_world(90, 0.3),
    "blocks": sl.sim.block_model([400, 500], [[0.1, 0.2], [0.05, 0.1]]),
}


@pytest.mark.parametrize("name", RANDOM)
def test_edges_depend_on_the_key_alone(name: str) -> None:
    rule, threads = RANDOM[name], torch.get_num_threads()
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    found = []
    try:
        for count in (1, 2, 3, 7):
            torch.set_num_threads(count)
            found.append(rule.edges(SIDE, SIDE, True, -(2**63) + 5))
    finally:
        torch.set_num_threads(threads)
    for edges in found:
        edges.check(SIDE, SIDE)
        assert np.array_equal(edges.starts, found[0].starts)
        assert np.array_equal(edges.targets, found[0].targets)
    other = rule.edges(SIDE, SIDE, True, 6)
    assert not np.array_equal(other.targets, found[0].targets)
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index]
    assert rule.expected(SIDE, SIDE) == pytest.approx(len(other.targets), rel=0.03)


@pytest.mark.parametrize("name", RANDOM)
def test_edges_of_two_keys_are_independent(name: str) -> None:
    one, two = (table(RANDOM[name].edges(SIDE, SIDE, True, key), 900) for key in (1, 2))
    far = lengths(SQUARE, SQUARE, 1.0 if name == "gaussian" else None)
    chance = {"gaussian": np.exp(-((far / 0.1) ** 2) / 2), "exponential": 0.9 * np.exp(-far / 0.1),
              "within": 0.4 * (far <= 0.3)}.get(name)  # fmt: skip
    if name == "blocks":
        chance = np.repeat(np.repeat([[0.1, 0.2], [0.05, 0.1]], [400, 500], axis=0), [400, 500], axis=1)
    if name == "small-world":
        apart = np.subtract.outer(np.arange(900), np.arange(900)) % 900
        ring = (np.minimum(apart, 900 - apart) <= 45) & (apart > 0)
        chance = np.where(ring, one[ring].mean(), one[~ring].mean())
    a, b = (x - (x.mean() if chance is None else chance) for x in (one, two))
    assert abs((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())) < 4.0 / 900.0


# -- requests that cannot be

Z = Side(3, np.zeros((3, 2)))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: sl.sim.fixed_probability(1.5), ParameterError, "fixed_probability: got 1.5, expected a probability"),
        (lambda: sl.sim.fixed_probability(-0.1), ParameterError, "from 0 to 1"),
        (lambda: sl.sim.fixed_probability(float("nan")), ParameterError, "from 0 to 1"),
        (lambda: sl.sim.fixed_probability("0.1"), ParameterError, "from 0 to 1"),
        (lambda: sl.sim.fixed_in_degree(-1), ParameterError, "a whole number of at least 0"),
        (lambda: sl.sim.fixed_in_degree(2.5), ParameterError, "a whole number"),
        (lambda: sl.sim.fixed_out_degree(True), ParameterError, "a whole number"),
        (lambda: sl.sim.fixed_total(-3), ParameterError, "a whole number"),
        (lambda: sl.sim.fixed_in_degree(4, multapses=False).edges(Z, Z, False, 0), ParameterError,
         "got 4 distinct sources, expected at most 3. Allow multapses"),
        (lambda: sl.sim.fixed_in_degree(3, multapses=False, autapses=False).edges(Z, Z, True, 0), ParameterError,
         "expected at most 2"),
        (lambda: sl.sim.fixed_out_degree(4, multapses=False).edges(Z, Z, False, 0), ParameterError,
         "4 distinct targets"),
        (lambda: sl.sim.fixed_total(10, multapses=False).edges(Z, Z, False, 0), ParameterError, "10 distinct pairs"),
        (lambda: sl.sim.fixed_total(1, autapses=False).edges(Side(1), Side(1), True, 0), ParameterError, "no other"),
        (lambda: sl.sim.fixed_in_degree(1, autapses=False).edges(Side(1), Side(1), True, 0), ParameterError,
         "no other neuron"),
        (lambda: sl.sim.one_to_one().edges(Z, Side(4), False, 0), ParameterError, "groups of 3 and 4"),
        (lambda: sl.sim.within_distance(0.0), ParameterError, "a length above 0"),
        (lambda: sl.sim.gaussian_distance(float("nan")), ParameterError, "a length above 0"),
        (lambda: sl.sim.gaussian_distance(float("inf")), ParameterError, "a finite length"),
        (lambda: sl.sim.gaussian_distance(1.0, p=2.0), ParameterError, "probability"),
        (lambda: sl.sim.exponential_distance(1.0, cutoff=-1.0), ParameterError, "cutoff"),
        (lambda: sl.sim.exponential_distance(1.0, periodic=(1.0, -1.0)), ParameterError, "lengths above 0"),
        (lambda: sl.sim.within_distance(1.0, periodic=(1.0,) * 3).edges(Z, Z, True, 0), ShapeError, "1 or 2"),
        (lambda: sl.sim.within_distance(1.0).edges(Side(3), Z, False, 0), ParameterError,
         "the sources have no positions. Give the population its positions="),
        (lambda: sl.sim.within_distance(1.0).expected(Z, Side(3)), ParameterError, "the targets have no positions"),
        (lambda: sl.sim.within_distance(1.0).edges(Z, Side(3, np.zeros((3, 3))), False, 0), ShapeError,
         "2 and 3 dimensions"),
        (lambda: sl.sim.per_distance(float("nan")), ParameterError, "slope"),
        (lambda: sl.sim.per_distance(1.0, "x"), ParameterError, "offset"),
        (lambda: sl.sim.per_distance(1.0).draw(1, 5), ParameterError, "weight= or delay="),
        (lambda: sl.sim.per_distance(lambda d: 1.0).along(1, sl.sim.all_to_all().edges(Z, Z, False, 0), Z, Z),
         ShapeError, "one number for each distance"),
        (lambda: sl.sim.small_world(3, 0.1), ParameterError, "an even whole number"),
        (lambda: sl.sim.small_world(2, 1.1), ParameterError, "probability"),
        (lambda: sl.sim.small_world(4, 0.1).edges(Z, Z, True, 0), ParameterError, "fewer than the 3 neurons"),
        (lambda: sl.sim.small_world(2, 0.1).edges(Z, Z, False, 0), ParameterError, "two groups"),
        (lambda: sl.sim.block_model([1, 2], [[0.5, 0.5]]), ShapeError, r"\[2, 2\]"),
        (lambda: sl.sim.block_model([1, 2], [[0.5, 0.5], [0.5, 1.5]]), ParameterError, "probability"),
        (lambda: sl.sim.block_model([1, 2], [[0.5, 0.5], [0.5]]), ParameterError, r"numbers \[2, 2\]. Give rows"),
        (lambda: sl.sim.block_model([1, 2], [["a", 0.5], [0.5, 0.5]]), ParameterError, r"numbers \[2, 2\]. Give rows"),
        (lambda: sl.sim.block_model([[1], [2, 3]], [[0.5]]), ParameterError, "whole numbers"),
        (lambda: sl.sim.block_model([1.5, 2], [[0.5, 0.5], [0.5, 0.5]]), ParameterError, "whole numbers"),
        (lambda: sl.sim.block_model([1, 3], [[0.5, 0.5], [0.5, 0.5]]).edges(Z, Z, True, 0), ShapeError,
         "blocks of 4 sources in all, expected the 3"),
        (lambda: sl.sim.from_pairs([0, 1], [0]), ShapeError, "one length"),
        (lambda: sl.sim.from_pairs(0, 1), ShapeError, "arrays"),
        (lambda: sl.sim.from_pairs([0.0], [1]), ParameterError, "whole numbers"),
        (lambda: sl.sim.from_pairs([True], [1]), ParameterError, "np.flatnonzero"),
        (lambda: sl.sim.from_pairs([0], [1], weights=[1.0, 2.0]), ShapeError, "one for each edge"),
        (lambda: sl.sim.from_pairs([0, 1], [1, 0], weights=[1.0, float("nan")]), ParameterError, "infinity at edge 1"),
        (lambda: sl.sim.from_pairs([0], [1], delays=[float("inf")]), ParameterError, "delays"),
        (lambda: sl.sim.from_pairs([0], [1], weights=["x"]), ParameterError, "numbers"),
        (lambda: sl.sim.from_pairs([3], [1]).edges(Z, Z, True, 0), ParameterError, "sources: got 3 to 3, expected 0"),
        (lambda: sl.sim.from_pairs([0], [-1]).edges(Z, Z, True, 0), ParameterError, "targets: got -1 to -1"),
        (lambda: sl.sim.from_matrix(np.ones(3)), ShapeError, "sources, targets"),
        (lambda: sl.sim.from_matrix(np.full((2, 2), np.nan)), ParameterError, "from_matrix: weights: got NaN"),
        (lambda: sl.sim.from_matrix(np.ones((2, 3))).edges(Z, Z, True, 0), ShapeError, r"\(2, 3\)"),
        (lambda: sl.sim.from_matrix(np.ones((2, 3)), delays=np.ones((3, 2))), ShapeError, "as the matrix"),
        (lambda: sl.sim.from_matrix([[1.0, 2.0], [3.0]]), ParameterError, r"got \[\[1.0, 2.0\], \[3.0\]\], exp"),
        (lambda: sl.sim.within_distance(True), ParameterError, "radius: got True, expected a length above 0"),
        (lambda: sl.sim.within_distance("a"), ParameterError, "radius: got 'a', expected a length above 0"),
        (lambda: sl.sim.gaussian_distance(1.0 * sl.ms), ParameterError, "sd: got .* Leave out the unit"),
        (lambda: sl.sim.within_distance(1.0, periodic=True), ParameterError, "periodic: got True, expected lengths"),
        (lambda: sl.sim.within_distance(1.0, periodic="x"), ParameterError, "periodic: got 'x', expected lengths"),
        (lambda: sl.sim.per_distance(1.0, periodic=[[1], [2, 3]]), ParameterError, "periodic: got .*, expected leng"),
        (lambda: sl.sim.fixed_in_degree(2, autapses="no"), ParameterError, "fixed_in_degree: autapses: got 'no'"),
        (lambda: sl.sim.fixed_total(2, multapses=1), ParameterError, "fixed_total: multapses: got 1, expected True or"),
        (lambda: sl.sim.fixed_probability(True), ParameterError, "got True, expected a probability"),
        (lambda: sl.sim.from_matrix(sp.coo_array(np.ones((2, 2), complex))), ParameterError, "matrix of complex128"),
        (lambda: sl.sim.from_matrix([["a"]]), ParameterError, r"from_matrix: got \[\['a'\]\], expected rows"),
        (lambda: sl.sim.from_matrix("abc"), ParameterError, "from_matrix: got 'abc'"),
        (lambda: sl.sim.from_matrix(np.ones((1, 2)), delays=[["a", "b"]]), ParameterError, "from_matrix: delays: got"),
        (lambda: sl.sim.from_pairs([[0], [1, 2]], [1, 2]), ParameterError, "from_pairs: pre: got an array of obj"),
        (lambda: sl.sim.from_frame({"pre": [0], "pots": [1]}), ParameterError, "Did you mean pots"),
        (lambda: sl.sim.from_frame({"pre": [0], "post": [1]}, weight="w"), ParameterError, "no column 'w'"),
        (lambda: sl.sim.from_frame({"pre": [0.5], "post": [1]}), ParameterError, "from_frame: pre"),
    ],
)  # fmt: skip
def test_impossible_requests(make, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"starts": np.array([0, 1, 2], np.int32)}, ShapeError, "starts of edges: got int32"),
        ({"starts": np.array([0, 1, 2, 2])}, ShapeError, r"int64 \[3\]"),
        ({"starts": np.array([1, 1, 2])}, ParameterError, "rise from 0 to 2"),
        ({"starts": np.array([0, 3, 2])}, ParameterError, "rise from 0 to 2"),
        ({"targets": np.array([0, 1])}, ShapeError, "targets of edges: got int64"),
        ({"targets": np.array([0, 3], np.int32)}, ParameterError, "got 3, expected 0 to 2"),
        ({"targets": np.array([-1, 2], np.int32)}, ParameterError, "got -1"),
        ({"targets": np.array([0, 9, 1, 9], np.int32)[::2]}, ShapeError, "contiguous"),
        ({"starts": np.array([0, 2, 2]), "targets": np.array([2, 1], np.int32)}, ParameterError, "source 0 are out of"),
        ({"weights": np.ones(3)}, ShapeError, "weights of edges"),
        ({"delays": np.ones(2, np.float32)}, ShapeError, "delays of edges"),
    ],
)
def test_edges_that_are_none_are_refused_before_kernels_follow_them(change, error: type[Exception], text: str) -> None:
    class Bad(Rule):
        def edges(self, pre: Side, post: Side, same: bool, key: int) -> Edges:
            return Edges(**{"starts": np.array([0, 1, 2]), "targets": np.array([2, 1], np.int32), **change})

        def expected(self, pre: Side, post: Side) -> float:
            return 2.0

    net = sl.sim.Network(dt=0.1)
    two, three = net.population(sl.LIF(), 2, "two"), net.population(sl.LIF(), 3, "three")
    made = net.connect(two, three, Bad(), weight=1.0)
    with pytest.raises(error, match=text):
        net.run(1.0)
    with pytest.raises(error, match=text):
        assert made.edges
