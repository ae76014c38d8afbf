"""Ready-made networks: shapes, gradients, state, recording."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch

import spikeloom as sl
from spikeloom.data.digits import load_digits
from spikeloom.data.splits import stratified_split
from spikeloom.errors import ParameterError, ShapeError
from spikeloom.nets import (
    RESNET18,
    RESNET34,
    ConvBlock,
    SewBlock,
    Stage,
    ann_twin,
    conv_net,
    sew_resnet,
    threshold_norm,
    vgg,
)

Build = Callable[[], sl.nn.Layer]
NEURON, READOUT = sl.LIF(tau=2.0), sl.LI(tau=2.0)


def small_conv() -> sl.nn.Layer:
    blocks = (ConvBlock(4), ConvBlock(6, kernel=5, stride=2, pool=1))
    return conv_net((2, 12, 12), 5, NEURON, READOUT, blocks=blocks, hidden=(16,), dropout=0.25, learn=("tau",))


def small_vgg(depth: int, norm: Callable[[int], torch.nn.Module] | None = None) -> sl.nn.Layer:
    return vgg(depth, (2, 12, 12), 5, NEURON, READOUT, width=4, norm=norm, learn=("tau",))


def small_resnet() -> sl.nn.Layer:
    return sew_resnet((2, 12, 12), 5, NEURON, READOUT, stages=(Stage(4, 2), Stage(6, 1)), learn=("tau",))


NETS: dict[str, Build] = {
    "conv": small_conv,
    "vgg5, TEBN": lambda: small_vgg(5, lambda channels: sl.nn.TemporalBatchNorm(channels, 8)),
    "vgg5, BNTT": lambda: small_vgg(5, lambda channels: sl.nn.BatchNormThroughTime(channels, 8)),
    "vgg9": lambda: small_vgg(9),
    "sew": small_resnet,
}


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
        net(images(8))  # running statistics other than the first ones
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


def test_the_artificial_twin_runs_and_learns(net: sl.nn.Layer) -> None:
    twin = ann_twin(net)
    assert not any(isinstance(m, sl.nn.Neuron) for m in twin.modules())
    weights = [m.weight.shape for m in net.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    assert [m.weight.shape for m in twin.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))] == weights
    y, _ = twin(images(1))
    assert y.shape == (1, 3, 5)
    (y * torch.randn(y.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in twin.parameters())


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


def test_pooled_currents_reach_fewer_neurons() -> None:
    blocks = (ConvBlock(3, pooled="currents"), ConvBlock(4, pooled="currents"))
    net = conv_net((1, 8, 8), 2, NEURON, READOUT, blocks=blocks, hidden=())
    kinds = [type(module).__name__ for module in net.children()]
    assert kinds[:8] == ["Conv2d", "MaxPool2d", "BatchNorm2d", "Neuron"] * 2
    with sl.record(net) as recording:
        net(torch.rand(2, 5, 1, 8, 8))
    sizes = [recording[name].spikes for name in recording.names()]
    assert [tuple(s.shape[2:]) for s in sizes if s is not None] == [(3, 4, 4), (4, 2, 2)]


def test_conv_net_refuses_what_cannot_be() -> None:
    with pytest.raises(ShapeError, match=r"nothing is left of an image of \(1, 4, 4\)"):
        conv_net((1, 4, 4), 2, NEURON, READOUT, blocks=(ConvBlock(2),) * 3)
    with pytest.raises(ParameterError, match="kernel: got 4"):
        ConvBlock(2, kernel=4)
    with pytest.raises(ParameterError, match="pooled"):
        ConvBlock(2, pooled="voltages")  # type: ignore[reportArgumentType]
    for name in ("channels", "kernel", "stride", "pool"):
        for value in (0, -1, 1.5, True):
            with pytest.raises(ParameterError, match=name):
                ConvBlock(**cast(dict[str, Any], {"channels": 1} | {name: value}))
    with pytest.raises(ParameterError, match="shape of an image"):
        conv_net((28, 28), 2, NEURON, READOUT)
    with pytest.raises(ParameterError, match="width of a layer"):
        conv_net((1, 28, 28), 0, NEURON, READOUT)


def convolutions(net: torch.nn.Module) -> list[tuple[int, int]]:
    return [(m.in_channels, m.out_channels) for m in net.modules() if isinstance(m, torch.nn.Conv2d)]


@pytest.mark.parametrize(("depth", "side", "linear"), [(5, 4, 2), (9, 8, 2), (11, 32, 3)])
def test_a_vgg_has_as_many_layers_as_its_name_says(depth: int, side: int, linear: int) -> None:
    net = vgg(depth, (3, side, side), 10, NEURON, READOUT, width=2)
    dense = [m for m in net.modules() if isinstance(m, torch.nn.Linear)]
    assert len(dense) == linear
    assert len(convolutions(net)) + len(dense) == depth
    assert net(torch.rand(1, 2, 3, side, side))[0].shape == (1, 2, 10)
    with pytest.raises(ShapeError, match="nothing is left"):
        vgg(depth, (3, side - 1, side), 10, NEURON, READOUT, width=2)


def test_vgg11_has_the_channels_of_its_paper() -> None:
    # Simonyan & Zisserman 2015, table 1, column A.
    net = vgg(11, (3, 32, 32), 10, NEURON, READOUT)
    assert [after for _, after in convolutions(net)] == [64, 128, 256, 256, 512, 512, 512, 512]
    assert [m.out_features for m in net.modules() if isinstance(m, torch.nn.Linear)] == [4096, 4096, 10]


def test_resnets_have_the_layers_of_their_names() -> None:
    for stages, depth in ((RESNET18, 18), (RESNET34, 34)):
        net = sew_resnet(
            (3, 32, 32), 10, NEURON, READOUT, stages=[Stage(2 * k + 1, s.blocks) for k, s in enumerate(stages)]
        )
        kernels = [m.kernel_size for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
        assert kernels.count((3, 3)) + 1 == depth  # and the last linear layer; shortcuts are not counted
        assert kernels.count((1, 1)) == 3
    assert [s.channels for s in RESNET18] == [64, 128, 256, 512]


def test_norms_take_the_threshold_of_the_neuron() -> None:
    net = vgg(5, (1, 8, 8), 2, sl.LIF(v_rest=-1.0, v_threshold=0.5), READOUT, width=2)
    assert {m.v_threshold for m in net.modules() if isinstance(m, sl.nn.ThresholdBatchNorm)} == {1.5}
    with pytest.raises(ParameterError, match="scale of the neuron"):
        threshold_norm(sl.LIF(v_threshold=torch.tensor([1.0, 2.0]).numpy()))


def test_a_silent_branch_makes_a_block_the_identity() -> None:
    # Fang et al. 2021: with ADD, no spikes in the branch means that the input passes unchanged.
    torch.manual_seed(0)
    net = sew_resnet((2, 8, 8), 3, NEURON, READOUT, stages=(Stage(4, 1),))
    block = next(m for m in net.modules() if isinstance(m, SewBlock))
    assert block.shortcut is None
    spikes = (torch.rand(5, 2, 4, 8, 8) < 0.3).float() * torch.randint(1, 4, (5, 2, 4, 8, 8))
    assert not torch.equal(block(spikes)[0], spikes)
    last = [m for m in block.modules() if isinstance(m, sl.nn.ThresholdBatchNorm)][-1]
    with torch.no_grad():
        last.weight.zero_()
    assert torch.equal(block(spikes)[0], spikes)
    x = spikes.requires_grad_()
    block(x)[0].sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, torch.ones_like(x), atol=1e-6)  # and so does the gradient


def test_a_block_adds_its_two_paths() -> None:
    spike = sl.nn.Neuron(sl.IF())  # fires at 1 and more
    block = SewBlock(spike, sl.nn.Sequential(sl.nn.Neuron(sl.IF())))
    y, state = block(torch.tensor([[[1.0, 0.0, 0.5]], [[0.0, 1.0, 0.5]]]))
    assert y.tolist() == [[[2.0, 0.0, 0.0]], [[0.0, 2.0, 2.0]]]
    assert list(state) == ["branch", "shortcut"]


def test_what_sew_refuses() -> None:
    narrow = sl.nn.Sequential(torch.nn.Linear(3, 2), sl.nn.Neuron(sl.LIF()))
    with pytest.raises(ShapeError, match=r"branch's output: got \(1, 1, 2\), expected \(1, 1, 3\)"):
        SewBlock(narrow)(torch.zeros(1, 1, 3))
    with pytest.raises(ParameterError, match="branch: got Linear"):
        SewBlock(torch.nn.Linear(3, 3))  # type: ignore[reportArgumentType]
    with pytest.raises(ParameterError, match="stages"):
        sew_resnet((1, 8, 8), 2, NEURON, READOUT, stages=())
    with pytest.raises(ParameterError, match="Stage: blocks"):
        Stage(4, 0)
    with pytest.raises(ParameterError, match="depth of a VGG: got 7"):
        vgg(7, (1, 28, 28), 10, NEURON, READOUT)


@pytest.mark.parametrize("name", ["vgg5, TEBN", "vgg5, BNTT"])
def test_a_compiled_net_gives_the_same(name: str) -> None:
    net = NETS[name]()
    compiled = torch.compile(net, backend="eager", dynamic=False)
    assert torch.allclose(compiled(images())[0], copy.deepcopy(net)(images())[0], rtol=1e-5, atol=1e-5)
    net.eval()
    whole, _ = net(images())
    first, state = compiled(images()[:2])
    assert torch.allclose(torch.cat([first, compiled(images()[2:], state)[0]]), whole, rtol=1e-5, atol=1e-5)


LEARNERS: dict[str, Build] = {
    "vgg": lambda: vgg(5, (1, 8, 8), 10, NEURON, READOUT, width=8),
    "sew": lambda: sew_resnet((1, 8, 8), 10, NEURON, READOUT, stages=(Stage(8, 1), Stage(16, 1))),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_deep_nets_learn_real_digits(name: str) -> None:
    data = load_digits()
    split = stratified_split(data.y, train=0.6, validation=0.2, seed=0)
    x, labels = torch.from_numpy(data.x).reshape(-1, 1, 8, 8), torch.from_numpy(data.y)
    train, validation = torch.from_numpy(split.train), torch.from_numpy(split.validation)
    torch.manual_seed(0)
    net, generator = LEARNERS[name](), torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(net.parameters(), 5e-3)
    for _ in range(4):
        for batch in train[torch.randperm(len(train), generator=generator)].split(64):
            y, _ = net(sl.encode.direct(x[batch], 4))
            optimiser.zero_grad()
            sl.learn.cross_entropy_of_mean(y, labels[batch]).backward()
            optimiser.step()
    net.eval()
    y, _ = net(sl.encode.direct(x[validation], 4))
    hits = (y.mean(0).argmax(1) == labels[validation]).float().mean()
    assert hits > 0.8  # far from chance; how good they get is the business of the recipes


def test_blocks_that_are_none() -> None:
    with pytest.raises(ParameterError, match=r"blocks: got 16, expected each a ConvBlock, such as "):
        conv_net((1, 28, 28), 10, sl.LIF(), sl.LI(), blocks=(16, 32))  # type: ignore[reportArgumentType]
