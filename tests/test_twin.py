"""The artificial twin: the same shape and weights, no time."""

from __future__ import annotations

import pytest
import torch

import spikeloom as sl
from spikeloom.errors import ModelError
from spikeloom.nets import conv_net, mlp
from spikeloom.nets.conv import ConvBlock
from spikeloom.nets.twin import ann_twin


def test_an_mlp_becomes_the_mlp_of_torch() -> None:
    torch.manual_seed(0)
    net = mlp([6, 5, 4, 3], sl.LIF(), sl.LI(), learn=("tau",))
    x = torch.randn(1, 7, 6)
    by_hand = x[0]
    for index in (0, 2, 4):
        layer = net[index]
        assert isinstance(layer, torch.nn.Linear)
        by_hand = by_hand @ layer.weight.T + layer.bias
        by_hand = by_hand.relu() if index < 4 else by_hand
    y, state = ann_twin(net)(x)
    assert torch.allclose(y[0], by_hand, atol=1e-6)
    assert len(state) == 0


def test_weights_are_copied_and_the_net_is_left_alone() -> None:
    net = conv_net((1, 8, 8), 3, sl.LIF(), sl.LI(), blocks=(ConvBlock(2),), hidden=(4,), dropout=0.5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    twin = ann_twin(net)
    assert all(torch.equal(value, before[name]) for name, value in twin.state_dict().items())
    with torch.no_grad():
        for p in twin.parameters():
            p.fill_(9.0)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert any(isinstance(m, sl.nn.Neuron) for m in net.modules())


def test_the_twin_trains_like_any_network() -> None:
    torch.manual_seed(0)
    twin = ann_twin(mlp([2, 16, 2], sl.LIF(), sl.LI()))
    x = torch.randn(1, 64, 2)
    labels = (x[0, :, 0] * x[0, :, 1] > 0).long()  # exclusive or
    optimiser = torch.optim.Adam(twin.parameters(), 0.05)
    for _ in range(150):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(twin(x)[0][0], labels)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1


def test_norms_that_know_time_become_the_plain_one() -> None:
    norms = (
        sl.nn.ThresholdBatchNorm(3, v_threshold=0.5, momentum=0.2),
        sl.nn.TemporalBatchNorm(3, 4, eps=1e-3),
        sl.nn.BatchNormThroughTime(3, 4),
    )
    net = sl.nn.Sequential(*(m for norm in norms for m in (norm, sl.nn.Neuron(sl.LIF())))).eval()
    twin = ann_twin(net)
    kept = [m for m in twin.modules() if isinstance(m, sl.nn.BatchNorm)]
    assert [type(m) for m in kept] == [sl.nn.BatchNorm] * 3
    assert [(m.momentum, m.eps) for m in kept] == [(0.2, 1e-5), (0.1, 1e-3), (0.1, 1e-4)]
    assert not any(m.training for m in kept)
    x = torch.randn(1, 5, 3, 2)
    y, _ = ann_twin(sl.nn.Sequential(norms[0]).train())(x)
    assert torch.allclose(y[0], torch.nn.BatchNorm1d(3)(x[0]), atol=1e-5)


def test_nested_containers_and_layers_by_themselves() -> None:
    x = torch.tensor([[[-1.0, 2.0]]])
    for net, expected in (
        (sl.nn.Neuron(sl.LIF()), [[[0.0, 2.0]]]),
        (sl.nn.Neuron(sl.LI()), [[[-1.0, 2.0]]]),
        (sl.nn.Residual(sl.nn.Neuron(sl.LIF())), [[[-1.0, 4.0]]]),
        (sl.nn.Residual(sl.nn.Sequential(sl.nn.Neuron(sl.LIF())), ), [[[-1.0, 4.0]]]),
        (sl.nn.Sequential(sl.nn.Residual(sl.nn.Dropout(0.5), sl.nn.Neuron(sl.LIF()))).eval(), [[[-1.0, 4.0]]]),
    ):  # fmt: skip
        twin = ann_twin(net)
        y, state = twin(x)
        assert y.tolist() == expected
        assert twin(x, state)[0].tolist() == expected


def test_what_is_shared_stays_shared() -> None:
    neuron, linear = sl.nn.Neuron(sl.LIF()), torch.nn.Linear(2, 2)
    twin = ann_twin(sl.nn.Sequential(linear, neuron, linear, neuron))
    assert isinstance(twin, sl.nn.Sequential)
    assert twin[0] is twin[2]
    assert twin[1] is twin[3]


def test_recurrent_layers_have_none() -> None:
    net = sl.nn.Sequential(torch.nn.Linear(2, 3), sl.nn.Recurrent(sl.nn.Neuron(sl.LIF()), 3))
    with pytest.raises(ModelError, match=r"no artificial twin.*sl.nn.Recurrent at 1"):
        ann_twin(net)
