"""Penalties on activity: closed forms, what gradients they send, and nets that obey."""

from __future__ import annotations

import math

import pytest
import torch

import spikeloom as sl
from spikeloom.errors import ParameterError, ShapeError
from spikeloom.learn import Regularisers, firing_rate, silent_neurons, spike_count


def layers() -> dict[str, torch.Tensor]:
    """Layer a: counts 5, 1, 0, 0 in sample 0 and 3, 0, 0, 0 in sample 1 of 5 steps; layer b fires always."""
    a = torch.zeros(5, 2, 4, dtype=torch.float64)
    a[:, 0, 0], a[1, 0, 1], a[2:, 1, 0] = 1.0, 1.0, 1.0
    return {"a": a.requires_grad_(), "b": torch.ones(5, 2, 3, dtype=torch.float64).requires_grad_()}


def test_firing_rate_in_closed_form():
    spikes = layers()  # rates 9 / 40 and 1
    assert firing_rate(spikes, high=0.1).item() == pytest.approx(0.125**2 + 0.9**2)
    assert firing_rate(spikes, low=0.5, high=0.5).item() == pytest.approx(0.275**2 + 0.5**2)
    assert firing_rate(spikes, low=0.3).item() == pytest.approx(0.075**2)
    assert firing_rate(spikes).item() == 0.0
    loss = firing_rate(spikes, high=0.1)
    a, b = torch.autograd.grad(loss, list(spikes.values()))
    torch.testing.assert_close(a, torch.full_like(a, 2 * 0.125 / 40))
    torch.testing.assert_close(b, torch.full_like(b, 2 * 0.9 / 30))


def test_spike_count_in_closed_form():
    spikes = layers()
    assert spike_count(spikes, high=2).item() == pytest.approx((3**2 + 1) / 8 + 3**2)
    assert spike_count(spikes, low=2).item() == pytest.approx((1 + 6 * 0 + 4 * 2 + 4 * 3) / 8)
    (a,) = torch.autograd.grad(spike_count({"a": spikes["a"]}, high=2), [spikes["a"]])
    expected = torch.zeros(2, 4, dtype=torch.float64)
    expected[0, 0], expected[1, 0] = 2 * 3 / 8, 2 * 1 / 8
    torch.testing.assert_close(a, expected.expand(5, 2, 4))


def test_silent_neurons_are_counted_and_only_they_are_pulled():
    spikes = layers()
    penalty = silent_neurons(spikes)
    assert penalty.item() == 2 / 4  # neurons 2 and 3 of layer a; b has none
    a, b = torch.autograd.grad(penalty, list(spikes.values()))
    expected = torch.tensor([0.0, 0.0, -1.0, -1.0], dtype=torch.float64) / (5 * 2 * 4)
    torch.testing.assert_close(a, expected.expand(5, 2, 4))
    assert torch.equal(b, torch.zeros_like(b))


def test_neurons_of_an_image_are_single_neurons():
    spikes = torch.zeros(3, 2, 4, 2, 2)
    spikes[0, 0, 0, 0, 0] = 1.0
    assert silent_neurons({"conv": spikes}).item() == 15 / 16


def test_strengths_weigh_and_add():
    spikes = layers()
    penalty = Regularisers(rate=3.0, target=0.1, count=0.5, most=2, silent=0.25)
    expected = 3 * firing_rate(spikes, high=0.1) + 0.5 * spike_count(spikes, high=2) + 0.25 * silent_neurons(spikes)
    assert penalty(spikes).item() == pytest.approx(expected.item())
    away = Regularisers(rate=1.0, target=0.3, least_rate=0.3)
    assert away(spikes).item() == pytest.approx(0.075**2 + 0.7**2)
    assert not Regularisers()
    assert Regularisers()(spikes).item() == 0.0
    assert all(map(bool, (penalty, Regularisers(rate=1.0), Regularisers(count=1.0), Regularisers(silent=1.0))))


def test_a_rate_is_learned():
    torch.manual_seed(0)
    net = sl.nn.Sequential(torch.nn.Linear(10, 50), sl.nn.Neuron(sl.LIF(tau=10.0)))
    x = torch.rand(30, 8, 10) * 2
    for target in (0.02, 0.2):
        penalty = Regularisers(rate=100.0, target=target, least_rate=target)
        optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(150):
            optimiser.zero_grad()
            with sl.record(net) as rec:
                net(x)
            penalty({"1": rec["1"].spikes}).backward()
            optimiser.step()
        assert net(x)[0].mean().item() == pytest.approx(target, rel=0.1)


def test_silent_neurons_are_brought_back():
    torch.manual_seed(0)
    net = sl.nn.Sequential(torch.nn.Linear(10, 50), sl.nn.Neuron(sl.LIF(tau=10.0)))
    with torch.no_grad():
        net[0].weight.mul_(0.1)
        net[0].bias.copy_(torch.linspace(-0.1, 0.2, 50))
    x = torch.rand(30, 8, 10)
    first = net(x)[0]
    dead = first.sum((0, 1)) == 0
    assert 20 < int(dead.sum()) < 50
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(100):
        optimiser.zero_grad()
        with sl.record(net) as rec:
            net(x)
        silent_neurons({"1": rec["1"].spikes}).backward()
        optimiser.step()
    assert silent_neurons({"1": net(x)[0]}).item() == 0.0
    assert torch.equal(net(x)[0][:, :, ~dead], first[:, :, ~dead])  # the others are as they were


def test_half_precision_counts_right():
    spikes = torch.ones(3000, 1, 1, dtype=torch.float16)
    assert spike_count({"1": spikes}, high=0).item() == 9e6
    assert firing_rate({"1": spikes}, high=0.5).item() == 0.25


@pytest.mark.parametrize("penalty", [firing_rate, spike_count, silent_neurons, Regularisers(rate=1.0)])
def test_bad_records(penalty):
    with pytest.raises(ParameterError, match="empty record"):
        penalty({})
    with pytest.raises(ShapeError, match=r"spikes of layer 3: got NoneType.*leave it out"):
        penalty({"3": None})
    with pytest.raises(ShapeError, match="layer 1"):
        penalty({"1": torch.zeros(0, 2, 3)})
    with pytest.raises(ShapeError, match="layer 1"):
        penalty({"1": torch.zeros(3, 0, 3)})


def test_bad_bounds_and_strengths():
    with pytest.raises(ParameterError, match="bounds of rates"):
        firing_rate(layers(), low=0.5, high=0.1)
    with pytest.raises(ParameterError, match="bounds of counts"):
        spike_count(layers(), low=-1)
    for changes in ({"rate": -1.0}, {"count": math.inf}, {"silent": math.nan}):
        with pytest.raises(ParameterError, match="strength"):
            Regularisers(**changes)
    with pytest.raises(ParameterError, match="bounds of rates"):
        Regularisers(rate=1.0, target=0.1, least_rate=0.2)
