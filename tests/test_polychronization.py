"""Izhikevich's network with delays and plasticity: against his program in plain NumPy, and its rhythm."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from spikeloom.networks.polychronous_groups import Contacts, Criteria, polychronous_groups
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


# -- polychronous groups


def followed(c: Contacts, anchors: list[tuple[int, int]], criteria: Criteria) -> tuple[int, int, int] | None:
    """Spikes, longest path and duration of the group that (anchor, delay to the mother) start; None for no group.

    All neurons are simulated in every ms, all contacts looked at for every spike.
    """
    kept = [k for k in range(len(c.sources)) if c.sources[k] >= c.excitatory or c.weights[k] >= criteria.strong]
    longest, far = int(c.delays[kept].max()), max(d for _, d in anchors)
    spikes = [(n, far - d) for n, d in anchors]
    arrivals: list[tuple[int, int, int, float]] = []  # time, source, target, weight

    def send(neuron: int, time: int, slowest: int) -> int:
        mine = [k for k in kept if c.sources[k] == neuron and c.delays[k] >= slowest]
        arrivals.extend((time + int(c.delays[k]), neuron, int(c.targets[k]), float(c.weights[k])) for k in mine)
        return max((time + int(c.delays[k]) + 1 for k in mine), default=0)

    for neuron, delay in anchors:
        send(neuron, far - delay, delay)
    v, u, last, t = np.full(c.neurons, -70.0), np.full(c.neurons, -14.0), 3 * longest + 1, 0
    while t < last:
        current = np.zeros(c.neurons)
        for _, _, target, weight in [a for a in arrivals if a[0] == t]:
            current[target] += weight
        for _ in range(2):
            v = v + 0.5 * ((0.04 * v + 5.0) * v + 140.0 - u + current)
        u = u + c.a * (0.2 * v - u)
        for neuron in np.flatnonzero(v >= 30.0):
            v[neuron], u[neuron] = -65.0, u[neuron] + c.d[neuron]
            spikes.append((int(neuron), t))
            last = max(last, send(int(neuron), t, 0))
        t += 1
    layer = [1] * len(spikes)
    used = dict.fromkeys((n for n, _ in anchors), 0)
    for i in range(3, len(spikes)):
        neuron, time = spikes[i]
        for due, source, target, _ in arrivals:
            if target == neuron and time - longest < due <= time and source < c.excitatory:
                layer[i] = max([layer[i], *(layer[k] + 1 for k in range(i) if spikes[k][0] == source)])
                if source in used and neuron < c.excitatory:
                    used[source] += 1
    long = len(spikes) > 6 and max(layer) >= criteria.path and spikes[-1][1] > criteria.time
    return (len(spikes), max(layer), spikes[-1][1]) if long and 1 not in used.values() else None


def test_groups_are_those_of_a_plain_search() -> None:
    """Excitatory cells on a ring excite the next ones, and some others at random; six cells inhibit."""
    rng, count, inhibitory = np.random.default_rng(3), 40, 6
    sources, targets = (a.ravel() for a in np.meshgrid(np.arange(count), np.arange(1, 7), indexing="ij"))
    targets = np.where(rng.random(len(targets)) < 0.1, rng.integers(0, count, len(targets)), sources + targets) % count
    sources, targets = np.unique(np.stack([sources, targets]), axis=1)
    delays, weights = rng.integers(2, 9, len(sources)), rng.choice([10.0, 9.6, 4.0], len(sources), p=[0.7, 0.2, 0.1])
    to = rng.integers(0, count, 3 * inhibitory)
    sources = np.concatenate([sources, rng.integers(0, count, 8), np.repeat(count + np.arange(inhibitory), 3)])
    targets = np.concatenate([targets, count + rng.integers(0, inhibitory, 8), to])
    delays = np.concatenate([delays, rng.integers(1, 9, 8), np.ones(3 * inhibitory, int)])
    weights = np.concatenate([weights, np.full(8, 10.0), np.full(3 * inhibitory, -5.0)])
    kinds = count, inhibitory
    c = Contacts(sources, targets, delays, weights, count, np.repeat([0.02, 0.1], kinds), np.repeat([8.0, 2.0], kinds))
    criteria, expected = Criteria(path=4, time=15.0), []
    for mother in range(count):
        strong = (c.targets == mother) & (c.sources < count) & (c.weights >= 9.5)
        mine = sorted(zip(c.sources[strong].tolist(), c.delays[strong].tolist(), strict=True))
        tried = [(three, followed(c, list(three), criteria)) for three in itertools.combinations(mine, 3)]
        expected += [[mother, *(n for n, _ in three), *found] for three, found in tried if found is not None]
    groups = polychronous_groups(c, criteria)
    table = np.column_stack([groups.mothers, groups.anchors, groups.spikes, groups.paths, groups.durations])
    assert len(expected) > 10
    assert table.tolist() == expected
    assert len(polychronous_groups(c, dataclasses.replace(criteria, path=1000))) == 0


def test_contacts_of_a_network_have_its_weights() -> None:
    small = {"excitatory": 160, "inhibitory": 40, "contacts": 40, "duration": 1000.0, "groups": True}
    net, result, facts = simulated("polychronization", **small)
    assert facts["polychronous groups"].value == 0.0  # no weight is near the strongest yet
    module, config = configured("polychronization", **small)
    c = module.contacts_of(config, module.last_weights(result))
    dense = np.zeros((200, 200))
    dense[c.sources, c.targets] = c.weights
    first = {"exc": 0, "inh": 160}
    for p in net.projections.values():
        found = dense[first[p.pre.name] + p.sources(), first[p.post.name] + p.edges.targets]
        np.testing.assert_array_equal(found, np.broadcast_to(p.weights, found.shape))
