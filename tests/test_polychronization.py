"""Izhikevich's network with delays and plasticity: against his program in plain NumPy, and its rhythm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeloom.sim.network import Network

from .test_networks import configured, simulated


def script(module: Any, config: Any, kicks: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """The author's program, spike by spike: who fired in each ms, and the excitatory weights in the end.

    In each ms: detect and reset, potentiate; deliver what arrives, depress; v twice by half a ms, u by one.
    """
    ne, n, longest, steps = config.excitatory, config.excitatory + config.inhibitory, config.longest, len(kicks)
    sources, targets, delays = module.contacts(config)
    by_delay = np.argsort(sources * longest + delays - 1, kind="stable").reshape(ne, longest, -1)
    order = np.argsort(targets, kind="stable")
    incoming = np.split(order, np.searchsorted(targets[order], np.arange(1, n)))
    from_inhibitory = module.inhibitory_contacts(config)[1].reshape(config.inhibitory, -1)
    a, d = np.repeat([0.02, 0.1], [ne, n - ne]), np.repeat([8.0, 2.0], [ne, n - ne])
    v, u = np.full(n, -65.0), np.full(n, 0.2 * -65.0)
    s, change = np.full(len(sources), 6.0), np.zeros(len(sources))
    x, y = np.zeros((steps + longest + 1, n)), np.zeros(n)  # x at the time t is row t + longest
    raster: list[np.ndarray] = []
    for t in range(steps + 1):
        if t and t % 1000 == 0:
            s = np.clip(s + (0.01 + change), 0.0, 10.0)
            change *= 0.9
        fired = np.flatnonzero(v >= 30.0)
        raster.append(fired)
        if t == steps:
            return raster, s
        v[fired], u[fired] = -65.0, u[fired] + d[fired]
        x[t + longest, fired], y[fired] = 0.1, 0.12
        for j in fired:
            change[incoming[j]] += x[t + longest - delays[incoming[j]], sources[incoming[j]]]
        current = kicks[t].copy()
        for delay in range(1, longest + 1):
            for i in raster[t + 1 - delay] if delay <= t + 1 else []:
                if i < ne:
                    edges = by_delay[i, delay - 1]
                    current[targets[edges]] += s[edges]
                    change[edges] -= y[targets[edges]]
                elif delay == 1:
                    current[from_inhibitory[i - ne]] -= 5.0
        for _ in range(2):
            v = v + 0.5 * ((0.04 * v + 5.0) * v + 140.0 - u + current)
        u = u + a * (0.2 * v - u)
        x[t + longest + 1], y = 0.95 * x[t + longest], 0.95 * y
    raise AssertionError


def test_spikes_and_weights_are_those_of_the_authors_program() -> None:
    module, config = configured("polychronization", duration=1300.0, precision="float64")
    net: Network = module.build(config)
    kicks = np.concatenate([i.rows(1.0, 0, 1300) for i in net._injections], axis=1)
    assert (kicks.sum(axis=1) == 20.0).all()
    assert np.ptp(kicks.argmax(axis=1)) > 900
    raster, weights = script(module, config, kicks)
    result = net.run(1300.0, threads=1)
    found: list[list[int]] = [[] for _ in raster]
    for name, first in (("exc", 0), ("inh", 800)):
        trains = result.spikes[name]
        for time, neuron in zip(trains.times, trains.neurons, strict=True):
            found[round(float(time))].append(int(neuron) + first)
    assert sum(map(len, found)) > 4000
    assert [sorted(f) for f in found] == [r.tolist() for r in raster]
    to_exc = module.contacts(config)[1] < 800
    expected = np.concatenate([weights[to_exc], weights[~to_exc]])
    np.testing.assert_allclose(module.last_weights(result), expected, rtol=1e-12, atol=1e-12)
    assert np.ptp(weights) > 0.5


def test_contacts_are_those_of_the_paper() -> None:
    module, config = configured("polychronization")
    sources, targets, delays = module.contacts(config)
    assert np.bincount(sources).tolist() == [100] * 800
    assert (sources != targets).all()
    assert len(np.unique(sources * 1000 + targets)) == 80_000
    assert np.bincount(targets).std() == pytest.approx(np.sqrt(80.0 * 0.9), rel=0.1)
    assert all(np.bincount(delays[sources == i]).tolist() == [0] + [5] * 20 for i in (0, 399, 799))
    sources, targets = module.inhibitory_contacts(config)
    assert len(np.unique(sources * 1000 + targets)) == 20_000
    assert targets.max() < 800
    net: Network = module.build(config)
    assert [p.size for p in net.projections.values()] == [
        (to := module.contacts(config)[1] < 800).sum(),
        (~to).sum(),
        20_000,
    ]


def test_a_slow_rhythm_and_weights_that_move_apart() -> None:
    _, result, facts = simulated("polychronization", duration=20_000.0)
    assert facts["rhythm of the first 10 s"].within
    assert 2.0 < facts["rate of exc"].value < 7.0
    assert "published" not in facts["rhythm of the last 10 s"].plain()  # it takes an hour
    assert facts["weights above nine tenths"].value > 0.0  # all were six tenths
    assert facts["weights below a tenth of the strongest"].value > 0.0
    assert result.states["exc to exc"]["w"].values.shape[0] == 20


def test_without_plasticity_nothing_changes() -> None:
    net, result, facts = simulated("polychronization", duration=1000.0, plastic=False)
    assert not result.states
    assert "weights above nine tenths" not in facts
    assert net.projections["exc to exc"].weights.tolist() == [6.0]


def test_threads_and_pieces_change_neither_spikes_nor_weights() -> None:
    small = {"excitatory": 160, "inhibitory": 40, "contacts": 40, "duration": 1100.0}
    one, whole, _ = simulated("polychronization", **small)
    module, config = configured("polychronization", **small)
    net: Network = module.build(config)
    pieces = [net.run(length, threads=threads) for length, threads in ((300.0, 2), (1.0, 3), (799.0, 1))]
    for name, trains in whole.spikes.items():
        assert len(trains) > 20
        assert np.array_equal(np.concatenate([p.spikes[name].times for p in pieces]), trains.times)
        assert np.array_equal(np.concatenate([p.spikes[name].neurons for p in pieces]), trains.neurons)
    for name, projection in one.projections.items():
        assert np.array_equal(projection.weights, net.projections[name].weights)
