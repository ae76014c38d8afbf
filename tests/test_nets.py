"""Ready-made networks: shapes, gradients, state, recording."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch

import spikeloom as sl
from spikeloom.errors import ParameterError, ShapeError
from spikeloom.nets.conv import ConvBlock, conv_net

Build = Callable[[], sl.nn.Layer]
NEURON, READOUT = sl.LIF(tau=2.0), sl.LI(tau=2.0)


def small_conv() -> sl.nn.Layer:
    blocks = (ConvBlock(4), ConvBlock(6, kernel=5, stride=2, pool=1))
    return conv_net((2, 12, 12), 5, NEURON, READOUT, blocks=blocks, hidden=(16,), dropout=0.25, learn=("tau",))


NETS: dict[str, Build] = {"conv": small_conv}


@pytest.fixture(params=NETS)
def net(request: pytest.FixtureRequest) -> sl.nn.Layer:
    torch.manual_seed(0)
    return NETS[request.param]()


def images(steps: int = 4, batch: int = 3) -> torch.Tensor:
    return torch.rand(batch, 2, 12, 12, generator=torch.Generator().manual_seed(1)).expand(steps, -1, -1, -1, -1) * 2


def test_shape_of_the_output(net: sl.nn.Layer) -> None:
    y, _ = net(images())
    assert y.shape == (4, 3, 5)
    assert torch.isfinite(y).all()


def test_a_gradient_reaches_every_parameter(net: sl.nn.Layer) -> None:
    y, _ = net(images(8, 4))
    (y * torch.randn(y.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    missing = [name for name, p in net.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert not missing


def test_four_steps_are_two_and_two(net: sl.nn.Layer) -> None:
    net.train()
    for _ in range(3):
        net(images())  # running statistics other than the first ones
    net.eval()
    whole, end = net(images())
    first, state = net(images()[:2])
    second, again = net(images()[2:], state)
    assert torch.allclose(torch.cat([first, second]), whole, rtol=1e-5, atol=1e-6)
    assert list(again) == list(end)


def test_every_spiking_layer_is_recorded(net: sl.nn.Layer) -> None:
    with sl.record(net) as recording:
        net(images())
    layers = [name for name, m in net.named_modules() if isinstance(m, sl.nn.Neuron)]
    assert recording.names() == layers
    rates = [float(s.detach().mean()) for s in (recording[n].spikes for n in layers) if s is not None]
    assert len(rates) == len(layers) - 1  # all but the read-out
    assert all(0.0 < rate < 1.0 for rate in rates)


def test_a_deep_copy_is_equal_and_apart(net: sl.nn.Layer) -> None:
    twin = copy.deepcopy(net).eval()
    net.eval()
    before, _ = net(images())
    assert torch.equal(twin(images())[0], before)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(1.0)
    assert torch.equal(twin(images())[0], before)


def test_evaluation_leaves_nothing_behind(net: sl.nn.Layer) -> None:
    net.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    first, _ = net(images())
    assert torch.equal(net(images())[0], first)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_conv_net_passes_spikes_between_its_layers() -> None:
    net = small_conv()
    seen: list[torch.Tensor] = []
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    net(images())
    assert len(seen) == 2
    assert set(seen[1].unique().tolist()) == {0.0, 1.0}


def test_conv_net_has_the_layers_it_is_asked_for() -> None:
    net = conv_net((1, 28, 28), 10, NEURON, READOUT)
    # By hand: 32 x 1 x 9 + 2 x 32, 64 x 32 x 9 + 2 x 64, 64 x 7 x 7 x 128 + 128, 128 x 10 + 10.
    assert sum(p.numel() for p in net.parameters()) == 352 + 18560 + 401536 + 1290
    net = conv_net((1, 9, 7), 2, NEURON, READOUT, blocks=(ConvBlock(3, stride=2),), hidden=())
    assert net(torch.zeros(1, 1, 1, 9, 7))[0].shape == (1, 1, 2)  # 9 x 7 -> 5 x 4 -> 2 x 2


def test_conv_net_refuses_what_cannot_be() -> None:
    with pytest.raises(ShapeError, match=r"nothing is left of an image of \(1, 4, 4\)"):
        conv_net((1, 4, 4), 2, NEURON, READOUT, blocks=(ConvBlock(2),) * 3)
    with pytest.raises(ParameterError, match="kernel: got 4"):
        ConvBlock(2, kernel=4)
    for name in ("channels", "kernel", "stride", "pool"):
        for value in (0, -1, 1.5, True):
            with pytest.raises(ParameterError, match=name):
                ConvBlock(**({"channels": 1} | {name: value}))
    with pytest.raises(ParameterError, match="shape of an image"):
        conv_net((28, 28), 2, NEURON, READOUT)
    with pytest.raises(ParameterError, match="width of a layer"):
        conv_net((1, 28, 28), 0, NEURON, READOUT)
