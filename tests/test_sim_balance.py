"""Threads share neurons by how fast they get through them; what comes out is the same for any shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.sim.balance import Balance


def test_equal_shares_at_first() -> None:
    assert Balance(1).bounds(7)[0].tolist() == [0, 7]
    assert Balance(2).bounds(4000)[0].tolist() == [0, 2000, 4000]
    assert Balance(3).bounds(10)[0].tolist() == [0, 10, 10, 10]  # whole cache lines
    assert Balance(7).bounds(100)[0].tolist() == [0, 16, 32, 48, 64, 80, 96, 100]


def test_threads_share_as_few_groups_as_can_be() -> None:
    bounds = [b.tolist() for b in Balance(3).bounds(1600, 3200, 3200, 1600)]
    assert bounds == [[0, 1600, 1600, 1600], [0, 1600, 3200, 3200], [0, 0, 1600, 3200], [0, 0, 0, 1600]]
    dear = [b.tolist() for b in Balance(2).bounds(100, 4000, costs=[40.0, 1.0])]
    assert dear == [[0, 100, 100], [0, 0, 4000]]


@pytest.mark.parametrize("size", [1, 15, 17, 1000, 99_999])
def test_bounds_cover_everything_in_whole_lines(size: int) -> None:
    balance, generator = Balance(5), np.random.default_rng(size)
    for _ in range(20):
        balance.note(1.0, generator.uniform(0.0, 0.9, 5))
        (bounds,) = balance.bounds(size)
        assert (bounds[0], bounds[-1]) == (0, size)
        assert (np.diff(bounds) >= 0).all()
        assert all(b % 16 == 0 or b == size for b in bounds)


def told(balance: Balance, waited: list[float], preparing: float = 0.0) -> list[int]:
    """Bounds after the same news often enough."""
    for k in range(5):
        balance.note(1.0, np.array(waited), preparing if k == 0 else 0.001)
    return balance.bounds(32_000)[0].tolist()


def test_threads_of_unequal_speed_are_through_at_the_same_time() -> None:
    balance, speeds = Balance(3), np.array([1.0, 2.0, 1.5])
    for _ in range(15):
        needed = np.diff(balance.bounds(90_000)[0]) / speeds
        balance.note(needed.max(), needed.max() - needed)
    needed = np.diff(balance.bounds(90_000)[0]) / speeds
    assert needed.max() / needed.min() < 1.01


def test_noise_changes_nothing_and_nobody_loses_everything() -> None:
    assert told(Balance(2), [0.0, 0.05]) == [0, 16_000, 32_000]
    assert told(Balance(2), [0.0, 0.99]) == [0, 8000, 32_000]


def test_what_is_over_at_once_changes_nothing() -> None:
    balance = Balance(2)
    for waited in (0.6, 0.5, 0.0, 0.01, 0.0):
        balance.note(1.0, np.array([0.0, waited]))
    assert balance.bounds(32_000)[0].tolist() == [0, 16_000, 32_000]
    for _ in range(4):
        balance.note(0.01, np.array([0.0, 0.5]))  # 40 ms
    assert balance.bounds(32_000)[0].tolist() == [0, 16_000, 32_000]


def test_rows_are_not_cut_anew_all_the_time() -> None:
    balance = Balance(2)
    changed = told(balance, [0.5, 0.0])
    assert told(balance, [0.0, 0.5], preparing=0.3) == changed  # cutting took 0.3 s, so this stays for 6 s
    balance.note(1.0, np.array([0.0, 0.5]), 0.001)
    assert balance.bounds(32_000)[0].tolist() != changed


def network(dtype: Any) -> sl.sim.Network:
    net = sl.sim.Network(dt=0.1, seed=3, dtype=dtype)
    cell = sl.Refractory(sl.LIF(tau=20.0, v_threshold=10.0, reset_mechanism="value"), t_ref=2.0)
    e, i = net.population(cell, 400, "e"), net.population(cell, 100, "i")
    for pre, weight in ((e, 1.0), (i, -4.0)):
        for post in (e, i):
            rule, delay = sl.sim.fixed_probability(0.1), sl.sim.uniform(0.1, 2.0) if post is e else 0.3
            net.connect(pre, post, rule, weight=weight, delay=delay, synapse=sl.Exponential(tau=5.0))
    for post in (e, i):
        net.drive(post, sl.sim.poisson(1500.0), weight=0.5)
    net.record(e, "v", every=10)
    return net


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_spikes_do_not_depend_on_shares(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = network(dtype).run(60.0, threads=1)
    seen, generator = set[tuple[int, ...]](), np.random.default_rng(1)
    real = Balance.note

    def noted(self: Balance, seconds: float, waited: np.ndarray, preparing: float = 0.0) -> None:
        waited = generator.uniform(0.0, 0.7, len(waited))
        for _ in range(5):
            real(self, 1.0, waited)
        seen.add(tuple(self.bounds(400)[0]))

    monkeypatch.setattr(Balance, "note", noted)
    net = network(dtype)
    pieces = [net.run(5.0, threads=threads) for threads in (2, 3, 2, 3, 1, 2, 2, 3, 3, 2, 2, 2)]
    assert len(seen) > 5
    for name, spikes in plain.spikes.items():
        assert len(spikes) > 200
        np.testing.assert_array_equal(np.concatenate([p.spikes[name].times for p in pieces]), spikes.times)
        np.testing.assert_array_equal(np.concatenate([p.spikes[name].neurons for p in pieces]), spikes.neurons)
    found = np.concatenate([p.states["e"]["v"].values for p in pieces])
    np.testing.assert_array_equal(found, plain.states["e"]["v"].values)


def test_more_threads_than_help_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from spikeloom.sim import pace

    monkeypatch.setattr(pace, "_MOST_THREADS", 16)
    assert pace.numbers_of_threads(1000, 10_000) == [16]
    assert pace.numbers_of_threads(5, 10) == [5]
