"""Counts against loops over every single connection, prices by hand, and what may not be said."""

import dataclasses
import itertools
import json
import random

import pytest
import torch
from torch import nn

import spikeloom as sl
from spikeloom import energy
from spikeloom.energy.connections import fan_out, windows
from spikeloom.energy.operations import COSTS, Elementary, elementary
from spikeloom.energy.profiles import ARITHMETIC, DENSE, LOIHI, NO_REUSE, PROFILES, REUSE, TRUENORTH
from spikeloom.energy.traffic import traffic
from spikeloom.errors import ModelError, ParameterError, ShapeError
from spikeloom.lang.expr import LEAVES, OPERATIONS
from spikeloom.nets import ann_twin, mlp, sew_resnet
from spikeloom.nets.sew_resnet import SewBlock, Stage

PJ = 1e-12


def spikes(*shape: int, rate: float = 0.3, seed: int = 0) -> torch.Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def every_connection(conv: nn.Conv1d | nn.Conv2d, x: torch.Tensor):
    """(input value, weight) of every connection of a zero-padded convolution that exists, by plain loops."""
    if isinstance(conv, nn.Conv1d):  # as a convolution over one row
        x, weight = x.unsqueeze(2), conv.weight.unsqueeze(2)
        stride, padding, dilation = ((1, *conv.stride), (0, *conv.padding), (1, *conv.dilation))
    else:
        weight, stride, padding, dilation = conv.weight, conv.stride, conv.padding, conv.dilation
    weight = weight.detach()
    _, _, height, width = x.shape
    out_channels, per_group, kh, kw = weight.shape
    rows = (height + 2 * padding[0] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    columns = (width + 2 * padding[1] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    for sample, o, r, c in itertools.product(range(len(x)), range(out_channels), range(rows), range(columns)):
        group = o // (out_channels // conv.groups)
        for k, i, j in itertools.product(range(per_group), range(kh), range(kw)):
            row, column = r * stride[0] - padding[0] + i * dilation[0], c * stride[1] - padding[1] + j * dilation[1]
            if 0 <= row < height and 0 <= column < width:
                yield float(x[sample, group * per_group + k, row, column]), float(weight[o, k, i, j])


def synapses(net: nn.Module, x: torch.Tensor) -> energy.Synapses:
    (only,) = energy.measure(net, [x]).synapses
    return only


# Counts


def test_two_layers_counted_by_hand():
    """Three inputs, two hidden IF neurons of threshold 1, one read-out: 2 steps of 1 sample."""
    first, second = nn.Linear(3, 2), nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0.0, 1.0], [0.4, 0.4, 0.4]]))  # one synapse is missing
        first.bias.zero_()
        second.weight.fill_(0.5)
    net = sl.nn.Sequential(first, sl.nn.Neuron(sl.IF()), second, sl.nn.Neuron(sl.LI()))
    x = torch.tensor([[[1.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]])
    # Step 1: hidden inputs 1.0 and 0.8: the first fires. Step 2: 1.0 and 1.2: both fire.
    counts = energy.measure(net, [x])
    a, b = counts.synapses
    assert (a.inputs, a.active, a.spikes, a.weights) == (6, 3, True, 5)
    assert (a.dense, a.effective) == (12, 5)  # 2 + 1 (input 1 has one synapse) in step 1, 2 in step 2
    assert (a.acs, a.macs, a.skippable, a.biases) == (5, 0, 7, 4)
    assert (b.inputs, b.active, b.dense, b.effective, b.biases) == (4, 3, 4, 3, 0)
    assert [(x.name, x.kind, x.hidden) for x in counts.layers] == [
        ("0", "Linear", False), ("1", "IF", False), ("2", "Linear", True), ("3", "LI", True)
    ]  # fmt: skip
    assert (counts.spikes, counts.updates, counts.samples, counts.sample_steps) == (3, 6, 1, 2)
    assert counts.spikes_per_neuron_step == 3 / 4
    assert counts.spikes_per_sample == 3


CONVOLUTIONS = [
    (kind, groups, stride, padding, dilation, kernel)
    for kind in (nn.Conv1d, nn.Conv2d)
    for groups, stride, padding, dilation, kernel in [
        (1, 1, 0, 1, 3), (1, 2, 1, 1, 3), (2, 1, 2, 2, 3), (2, 3, 1, 1, 2), (4, 2, 3, 1, 5), (1, 1, 3, 3, 2)
    ]
]  # fmt: skip


@pytest.mark.parametrize(("kind", "groups", "stride", "padding", "dilation", "kernel"), CONVOLUTIONS)
def test_convolutions_equal_a_loop_over_every_connection(kind, groups, stride, padding, dilation, kernel):
    conv = kind(4, 8, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)
    with torch.no_grad():
        conv.weight[0, 0] = 0.0  # pruned synapses are no connections
    x = spikes(1, 2, 4, *((7,) if kind is nn.Conv1d else (7, 6)))
    pairs = list(every_connection(conv, x[0]))
    counted = synapses(conv, x)
    assert counted.dense == len(pairs)
    assert counted.acs == sum(value != 0 and weight != 0 for value, weight in pairs) > 0
    assert counted.macs == 0
    assert counted.skippable == counted.dense - counted.acs


def test_random_convolutions_equal_a_loop_over_every_connection():
    draw = random.Random(3)
    for seed in range(25):
        groups = draw.choice((1, 2))
        options = {name: (draw.randint(1, 3), draw.randint(1, 3)) for name in ("stride", "dilation", "kernel_size")}
        padding = (draw.randint(0, 3), draw.randint(0, 3))
        conv = nn.Conv2d(2, 2 * draw.randint(1, 2), groups=groups, padding=padding, **options)
        x = torch.randn(1, 1, 2, 8, 9) * spikes(1, 1, 2, 8, 9, seed=seed)
        pairs = list(every_connection(conv, x[0]))
        counted = synapses(conv, x)
        assert (counted.dense, counted.macs, counted.acs) == (len(pairs), sum(v != 0 for v, _ in pairs), 0), conv


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(6, 4), (6,)),
        (nn.Conv2d(2, 3, 3, padding="same"), (2, 5, 5)),
        (nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 5, 5)),
        (nn.Conv1d(2, 3, 3, padding=2, padding_mode="reflect"), (2, 6)),
        (nn.Conv3d(1, 2, 2, padding=1), (1, 3, 3, 3)),
        (nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2), (2, 4, 4)),
        (nn.ConvTranspose1d(2, 3, 4, stride=3, dilation=2), (2, 5)),
    ],
)
def test_counts_equal_the_definition_of_neurobench(layer, shape):
    """NeuroBench: weights and inputs become 0 or 1, biases 0; the sum of what comes out is the number of operations."""
    with torch.no_grad():
        layer.weight[layer.weight.abs() < layer.weight.abs().median() / 2] = 0.0
    x = torch.randn(2, 3, *shape) * spikes(2, 3, *shape)
    counted = synapses(layer, x)
    copy = {"weight": (layer.weight != 0).double(), "bias": torch.zeros_like(layer.bias).double()}
    every = {"weight": torch.ones_like(layer.weight).double(), "bias": copy["bias"]}
    effective = torch.func.functional_call(layer, copy, ((x.flatten(0, 1) != 0).double(),)).sum()
    dense = torch.func.functional_call(layer, every, (torch.ones_like(x.flatten(0, 1)).double(),)).sum()
    assert counted.macs == effective
    assert counted.dense == dense
    assert synapses(layer, (x != 0).float()).acs == effective


def test_the_example_of_neurobench():
    """Documentation of NeuroBench, "Synaptic Operations": 4 effective and 9 dense operations."""
    layer = nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.3, 0.0, -3.2], [0.0, 1.2, -5.1], [-1.1, 2.7, 0.0]]))
    counted = synapses(layer, torch.tensor([[[0.0, 1.3, -1.0]]]))
    assert (counted.macs, counted.acs, counted.dense) == (4, 0, 9)


def test_neurobench_itself_agrees():
    layers = pytest.importorskip("neurobench.metrics.utils.layers")
    layer = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2)
    for x in (spikes(1, 5, 2, 9, 9), torch.randn(1, 5, 2, 9, 9).relu()):
        counted = synapses(layer, x)
        effective, binary = layers.single_layer_MACs(x[0], layer)
        dense, _ = layers.single_layer_MACs(x[0], layer, total=True)
        assert (counted.effective, counted.dense, counted.spikes) == (effective, dense, binary)


def test_a_fan_out_at_the_border_is_smaller():
    assert fan_out(nn.Conv2d(1, 2, 3, padding=1), (1, 3, 3))[0].tolist() == [[8, 12, 8], [12, 18, 12], [8, 12, 8]]
    with pytest.raises(ModelError, match="linear map or a convolution"):
        fan_out(nn.ReLU(), (3,))


def test_a_silent_net_does_no_synaptic_operation():
    net = sl.nn.Sequential(nn.Linear(4, 3), sl.nn.Neuron(sl.LIF()), nn.Linear(3, 2), sl.nn.Neuron(sl.LI()))
    with torch.no_grad():
        net[0].bias.zero_()
    counts = energy.measure(net, [torch.zeros(5, 2, 4)])
    assert (counts.acs, counts.macs, counts.spikes, counts.spikes_per_neuron_step) == (0, 0, 0, 0.0)
    assert counts.dense == 10 * (12 + 6)
    assert counts.updates == 10 * (3 + 2)  # a silent neuron is updated all the same


def test_all_ones_are_the_dense_count():
    net = sl.nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(3 * 16, 2))
    first = energy.measure(net, [torch.ones(3, 2, 2, 4, 4)]).synapses[0]
    assert first.acs == first.dense == 6 * 2 * 3 * (16 * 9 - 4 * 5 - 8 * 3)  # corners lack 5 of 9, edges 3


def test_average_pooling_makes_values_of_spikes():
    net = sl.nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(1, 1, 2, bias=False))
    x = torch.zeros(1, 1, 1, 4, 4)
    x[..., 0, 0] = 1.0
    pool, conv = energy.measure(net, [x]).layers
    assert pool.operations == {"add": 1, "mul": 4}  # one spike is added, four means are scaled
    assert conv.synapses is not None
    assert (conv.synapses.spikes, conv.synapses.acs, conv.synapses.macs) == (False, 0, 1)
    x[..., 1, 0] = x[..., 0, 1] = x[..., 1, 1] = 1.0  # the mean of four spikes is a spike's 1: nothing to multiply
    assert energy.measure(net, [x]).acs == 1
    mixed = torch.cat([x, x * spikes(*x.shape, rate=0.5)])
    counted = energy.measure(net, [mixed]).layers[1].synapses
    assert counted is not None
    assert (counted.spikes, counted.acs, counted.macs) == (False, 0, 2)  # the layer needs multipliers, for all


def test_maximum_pooling_keeps_spikes():
    net = sl.nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 1, 1))
    pool, conv = energy.measure(net, [spikes(2, 3, 1, 4, 4)]).layers
    assert pool.operations == {"maximum": 6 * 4 * 3}
    assert conv.synapses is not None
    assert conv.synapses.spikes


POOLS = [
    nn.AvgPool2d(2), nn.AvgPool2d(3, stride=2, padding=1), nn.AvgPool2d(3, stride=2, ceil_mode=True),
    nn.MaxPool2d(3, stride=1, padding=1), nn.MaxPool2d(2, dilation=2), nn.AvgPool2d((2, 3), stride=(1, 2)),
    nn.AdaptiveAvgPool2d(3), nn.AdaptiveAvgPool2d((2, 5)), nn.AvgPool2d(3, padding=1, count_include_pad=False),
]  # fmt: skip


@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_windows_of_a_pooling(pool):
    """An element is in a window if changing it, alone and upwards, changes what the window gives."""
    y = pool(torch.zeros(1, 1, 7, 8))
    expected = torch.zeros(7, 8, dtype=torch.int64)
    for i, j in itertools.product(range(7), range(8)):
        x = torch.zeros(1, 1, 7, 8)
        x[0, 0, i, j] = 1.0
        expected[i, j] = int((pool(x) != y).sum())
    assert torch.equal(windows(pool, (7, 8), y.shape[2:]), expected)


def test_recurrent_weights_are_counted():
    layer = sl.nn.Recurrent(sl.nn.Neuron(sl.LIF(tau=5.0)), 4)
    x = 0.9 * torch.rand(6, 3, 4, generator=torch.Generator().manual_seed(0))
    y, _ = layer(x)
    counts = energy.measure(sl.nn.Sequential(layer), [x])
    assert [layer.name for layer in counts.layers] == ["0.neuron", "0.weight"]
    recurrent = counts.layers[1].synapses
    assert recurrent is not None
    assert recurrent.acs == 4 * int(y[:-1].sum()) > 0  # the last spikes would arrive after the end
    assert recurrent.dense == 6 * 3 * 16
    assert counts.updates == 6 * 3 * 4


def test_a_residual_sum_makes_values():
    net = sl.nn.Sequential(sl.nn.Residual(nn.Identity()), nn.Linear(3, 2))
    counts = energy.measure(net, [torch.ones(2, 1, 3)])
    assert counts.layers[0].operations == {"add": 6}
    assert (counts.acs, counts.macs) == (0, 12)  # 1 + 1 = 2 is not a spike


def test_every_net_of_the_package_is_counted_whole():
    stages = (Stage(2, 1), Stage(4, 1))
    for net in (
        sew_resnet((1, 8, 8), 10, sl.LIF(tau=2.0), sl.LI(tau=2.0), stages=stages),
        mlp([64, 8, 10], sl.LIF(), sl.LI()),
    ):
        x = torch.rand(1, 2, *((1, 8, 8) if len(net) > 4 else (64,)))
        for variant, steps in ((net, 3), (ann_twin(net), 1)):
            counts = energy.measure(variant, [x.expand(steps, *x.shape[1:])])
            assert counts.uncounted == ()
            sums = [layer for layer in counts.layers if layer.kind == "SewBlock"]
            blocks = [m for m in variant.modules() if isinstance(m, SewBlock)]
            assert len(sums) == len(blocks)
            assert all(layer.operations["add"] > 0 for layer in sums)


def test_batch_norm_melts_into_the_weights_before_it():
    net = sl.nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), sl.nn.Neuron(sl.LIF()), nn.BatchNorm2d(2))
    counts = energy.measure(net, [torch.rand(2, 3, 1, 5, 5)])
    assert counts.folded == ("1",)
    assert counts.layers[-1].name == "3"  # after spikes there is nothing to fold into
    assert counts.layers[-1].operations == {"add": 6 * 18, "mul": 6 * 18}
    loose = sl.nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False))
    assert energy.measure(loose, [torch.rand(2, 3, 1, 5, 5)]).folded == ()


def test_norms_of_the_package():
    conv = nn.Conv2d(1, 2, 3)
    for norm in (sl.nn.BatchNorm(2), sl.nn.ThresholdBatchNorm(2)):
        assert energy.measure(sl.nn.Sequential(conv, norm), [torch.rand(2, 3, 1, 5, 5)]).folded == ("1",)
    stepwise = sl.nn.Sequential(conv, sl.nn.TemporalBatchNorm(2, steps=2))
    counts = energy.measure(stepwise, [torch.rand(2, 3, 1, 5, 5)])  # each step scales by itself: no weights for all
    assert counts.folded == ()
    assert counts.layers[1].operations == {"add": 108, "mul": 108}
    assert counts.uncounted == ()


def test_nothing_is_left_out_in_silence():
    net = sl.nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.GELU(), nn.Dropout(0.5), nn.Identity())
    counts = energy.measure(net, [torch.rand(1, 2, 4)])
    assert counts.uncounted == ("1 (LayerNorm)", "2 (GELU)")
    assert "want of a rule: 1 (LayerNorm), 2 (GELU)" in str(energy.compare(counts))


def test_an_ann_is_one_step_and_skips_zeros_too():
    ann = sl.nn.Sequential(nn.Linear(3, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        ann[0].weight.copy_(torch.tensor([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]]))
    counts = energy.measure(ann, [torch.tensor([[[0.5, 0.0, 0.25]]])])
    assert [(s.dense, s.macs, s.acs) for s in counts.synapses] == [(6, 4, 0), (2, 1, 0)]  # the second unit is at zero
    assert counts.layers[1].operations == {"maximum": 2}
    assert counts.layers[1].neurons == energy.Neurons(2, 2, 0, None)
    assert counts.steps == 1


def test_batches_add_up_exactly():
    net = sl.nn.Sequential(nn.Conv2d(1, 2, 3), sl.nn.Neuron(sl.LIF(tau=3.0)), nn.Flatten(), nn.Linear(18, 2))
    with torch.no_grad():
        net[0].weight.fill_(0.2)
    x = 2 * torch.rand(4, 7, 1, 5, 5, generator=torch.Generator().manual_seed(1))
    whole = energy.measure(net, [x])
    parts = energy.measure(net, (x[:, k : k + 3] for k in (0, 3, 6)))
    assert whole == parts
    assert whole.spikes > 0
    with pytest.raises(ParameterError, match="two nets"):
        whole + energy.measure(sl.nn.Sequential(nn.Linear(25, 2)), [x.flatten(2)])


def test_the_net_is_left_as_it_was():
    net = sl.nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), sl.nn.Dropout(0.5))
    net[1].eval()
    modes = [m.training for m in net.modules()]
    before = {k: v.clone() for k, v in net.state_dict().items()}
    energy.measure(net, [torch.rand(2, 4, 3)])
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert not any(m._forward_hooks for m in net.modules())


def test_an_input_that_stays_is_noticed():
    net = sl.nn.Sequential(nn.Linear(3, 2), sl.nn.Neuron(sl.LIF()))
    image = torch.rand(1, 4, 3)
    direct = energy.measure(net, [image.expand(5, 4, 3)])
    assert direct.macs == 5 * 4 * 6
    assert direct.held().macs == 4 * 6
    assert energy.measure(net, [torch.rand(5, 4, 3)]).held().macs == 5 * 4 * 6
    assert energy.measure(net, [image]).held().macs == 4 * 6  # one step has nothing to hold


def test_bad_input():
    net = sl.nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(ShapeError, match="at least one"):
        energy.measure(net, [])
    with pytest.raises(ShapeError, match="T and B"):
        energy.measure(net, [torch.zeros(3, 0, 3)])
    with pytest.raises(ParameterError, match="one of"):
        energy.measure(net, [torch.zeros(1, 1, 3)], bits=4)
    with pytest.raises(ParameterError, match="dt"):
        energy.measure(net, [torch.zeros(1, 1, 3)], dt=0.0)


# Prices


def two_layers(x: torch.Tensor, *, bits: int = 32) -> energy.Measured:
    """4 inputs, 3 IF neurons, 2 LI read-outs without biases."""
    net = sl.nn.Sequential(
        nn.Linear(4, 3, bias=False), sl.nn.Neuron(sl.IF()), nn.Linear(3, 2, bias=False), sl.nn.Neuron(sl.LI())
    )
    with torch.no_grad():
        net[0].weight.fill_(0.6)
    return energy.measure(net, [x], bits=bits)


def relu_twin(x: torch.Tensor, *, bits: int = 32) -> energy.Measured:
    ann = sl.nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 2, bias=False))
    with torch.no_grad():
        ann[0].weight.fill_(0.6)
    return energy.measure(ann, [x], bits=bits)


def test_prices_by_hand():
    run = two_layers(torch.ones(5, 2, 4))  # all inputs are spikes: 4 * 3 accumulates in each of 10 sample-steps
    assert run.spikes == 5 * 2 * 3  # 2.4 in every step: above the threshold of 1 in each
    price = energy.compare(run, profiles=[ARITHMETIC]).price("45nm-arithmetic")
    layers = [layer.cost for layer in price.spiking]
    assert layers[0].compute == pytest.approx(5 * 12 * 0.9 * PJ, rel=1e-12)
    assert layers[2].compute == pytest.approx(5 * 6 * 0.9 * PJ, rel=1e-12)
    # IF: v + x, minus the threshold, compared, and the reset's choice: 4 sums; scaled by 1 / threshold: 1 product.
    assert layers[1].neurons == pytest.approx(5 * 3 * (4 * 0.9 + 3.7) * PJ, rel=1e-12)
    # LI: v times the decay, plus rest and input.
    assert layers[3].neurons == pytest.approx(5 * 2 * (2 * 0.9 + 3.7) * PJ, rel=1e-12)
    assert price.total.total == pytest.approx(sum(c.total for c in layers), rel=1e-12)
    assert price.total.memory == 0


def test_a_lif_update():
    """v * decay + rest + x, minus threshold, scaled, compared, the reset subtracted and chosen: 6 sums, 2 products."""
    net = sl.nn.Sequential(sl.nn.Neuron(sl.LIF()))
    (layer,) = energy.measure(net, [torch.zeros(2, 1, 5)]).layers
    assert elementary(layer.operations) == Elementary(6, 2) * 10


def test_every_operation_of_the_language_has_a_cost():
    assert set(OPERATIONS) - {"propagator"} - LEAVES == set(COSTS)
    with pytest.raises(ModelError, match="without a cost"):
        elementary({"bessel": 1})


def test_bits_change_the_prices():
    x = torch.rand(1, 2, 4)  # values: every operation multiplies
    for bits, mac in ((32, 4.6), (16, 2.0), (8, 0.3)):
        cost = energy.compare(two_layers(x, bits=bits), profiles=[ARITHMETIC]).prices[0].spiking[0].cost
        assert cost.compute == pytest.approx(12 * mac * PJ, rel=1e-12)
    with pytest.raises(ParameterError, match="same bits="):
        energy.compare(two_layers(x), relu_twin(x, bits=8))


def test_dense_hardware_pays_for_zeros():
    x = torch.zeros(1, 1, 4)
    x[..., 0] = 1.0
    run = two_layers(x)
    prices = {p.profile: p.spiking[0].cost for p in energy.compare(run, profiles=[REUSE, DENSE]).prices}
    assert prices["45nm-reuse"].compute == pytest.approx(3 * 0.9 * PJ)
    assert prices["45nm-dense"].compute == pytest.approx(12 * 0.9 * PJ)


def test_traffic_by_hand():
    x = torch.zeros(5, 2, 4)
    x[..., :2] = 1.0
    run = two_layers(x)
    moved = {reuse: {m.name: m.bytes for m in traffic(run.layers[0], run, reuse)} for reuse in ("none", "full")}
    assert moved["none"] == {"weights": 10 * 6 * 4, "partial sums": 10 * 6 * 2 * 4, "inputs": 40 / 8}
    assert moved["full"] == {"weights": 2 * 6 * 4, "inputs": 40 / 8}  # the weights of two inputs, once per sample
    states = {reuse: {m.name: m.bytes for m in traffic(run.layers[1], run, reuse)} for reuse in ("none", "full")}
    assert states["none"] == {"outputs": 30 / 8, "states": 2 * 30 * 4}
    assert states["full"] == {"outputs": 30 / 8, "states": 2 * 6 * 4}
    # All arrays are below 8 KB: 10 pJ per 8 bytes.
    cost = energy.compare(run, profiles=[NO_REUSE]).prices[0].spiking[0].cost
    assert cost.memory == pytest.approx((240 + 480 + 5) * 10 / 8 / 2 * PJ)


def test_an_array_lives_in_the_smallest_memory_that_holds_it():
    memory = REUSE.memory
    assert memory is not None
    prices = [memory._per_byte(size) * 8 / PJ for size in (8192, 8193, 32768, 1024**2, 1024**2 + 1)]
    assert prices == pytest.approx([10, 20, 20, 100, 1950])


def test_chips_price_events_only():
    spiking = energy.compare(two_layers(torch.ones(5, 2, 4)), profiles=[LOIHI, TRUENORTH])
    loihi, truenorth = (price.total for price in spiking.prices)
    assert loihi.total == pytest.approx((5 * 18 * 23.6 + 5 * 5 * 81) * PJ)
    assert truenorth.total == pytest.approx(5 * 18 * 26 * PJ)
    assert loihi.unpriced == 0
    x = torch.rand(1, 2, 4)
    report = energy.compare(two_layers(x), relu_twin(x), [LOIHI], accuracies=energy.Accuracies(0.9, 0.9))
    assert report.prices[0].total.unpriced == 12  # the multiply-accumulates of the first layer, per sample
    assert report.prices[0].break_even is None
    assert "12 operations of the spiking net" in report.prices[0].verdict
    assert "not priced" in str(report)
    with pytest.raises(ParameterError, match="without a price"):
        report.ratio("loihi")


@pytest.mark.parametrize("profile", [ARITHMETIC, REUSE, NO_REUSE], ids=lambda p: p.name)
def test_at_the_break_even_rate_both_cost_the_same(profile):
    """Independent of the closed form: scale the spikes to that rate, price again."""
    x = spikes(4, 40, 4, rate=0.5)
    net = sl.nn.Sequential(
        nn.Linear(4, 30), sl.nn.Neuron(sl.LIF(tau=3.0)), nn.Linear(30, 200), sl.nn.Neuron(sl.LIF(tau=3.0)),
        nn.Linear(200, 300), sl.nn.Neuron(sl.LI()),
    )  # fmt: skip
    with torch.no_grad():
        for k in (0, 2):
            net[k].weight.mul_(6)
    ann = sl.nn.Sequential(nn.Linear(4, 30), nn.ReLU(), nn.Linear(30, 200), nn.ReLU(), nn.Linear(200, 300))
    run, twin = energy.measure(net, [x]), energy.measure(ann, [torch.rand(1, 40, 4)])
    price = energy.compare(run, twin, [profile]).prices[0]
    assert price.break_even is not None
    assert price.ann_total is not None
    factor = price.break_even / run.spikes_per_neuron_step
    layers = []
    for layer in run.layers:
        s = layer.synapses
        if s and layer.hidden:
            needed = (
                min(s.needed * factor, s.weights * run.samples) if factor > 1 else min(s.effective * factor, s.needed)
            )
            more = dataclasses.replace(s, effective=s.effective * factor, needed=needed)  # type: ignore[arg-type]
            layer = dataclasses.replace(layer, synapses=more)
        layers.append(layer)
    there = energy.compare(dataclasses.replace(run, layers=tuple(layers)), profiles=[profile]).prices[0]
    assert there.total.total == pytest.approx(price.ann_total.total, rel=1e-12)
    assert f"Break-even at {price.break_even:.3g}" in price.verdict


def test_where_no_rate_breaks_even():
    x = torch.rand(1, 2, 4)
    report = energy.compare(two_layers(x.expand(50, 2, 4)), relu_twin(x), [ARITHMETIC, DENSE])
    assert [price.break_even for price in report.prices] == [None, None]
    assert "No spike rate breaks even" in report.prices[0].verdict
    heavy = sl.nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 900))
    cheap = energy.compare(two_layers(torch.ones(1, 2, 4)), energy.measure(heavy, [x]), [DENSE])
    assert cheap.prices[0].verdict == "The cost does not depend on the spike rate."
    silent = energy.compare(two_layers(torch.zeros(1, 2, 4)), relu_twin(x), [ARITHMETIC])
    assert silent.prices[0].break_even is None


def test_a_ratio_needs_both_nets_and_both_accuracies():
    x = torch.rand(1, 2, 4)
    run, twin = two_layers(x.expand(3, 2, 4)), relu_twin(x)
    with pytest.raises(ParameterError, match="got no ANN"):
        energy.compare(run, accuracies=energy.Accuracies(0.9, 0.9)).ratio("45nm-arithmetic")
    with pytest.raises(ParameterError, match="accuracies of both nets"):
        energy.compare(run, twin).ratio("45nm-arithmetic")
    report = energy.compare(run, twin, accuracies=energy.Accuracies(0.98, 0.97))
    price = report.price("45nm-arithmetic")
    assert price.ann_total is not None
    assert report.ratio("45nm-arithmetic") == price.total.total / price.ann_total.total
    with pytest.raises(ParameterError, match="Did you mean 45nm-dense"):
        report.price("45nm-dens")
    with pytest.raises(ParameterError, match="0 to 1"):
        energy.Accuracies(98.0, 97.0)


def test_the_text_has_both_absolute_numbers_and_never_a_factor():
    x = torch.rand(1, 2, 4)
    report = energy.compare(two_layers(x.expand(3, 2, 4)), relu_twin(x))
    text = str(report)
    for price in report.prices:
        assert price.title in text
    for word in ("times", "better", "× less", "x less", "fold", "saving"):
        assert word not in text
    assert text.count("\n") > 2 * len(PROFILES)
    assert "assumes that they are equal" in text
    assert "Not included: leakage" in text
    assert "97.00 %" in str(dataclasses.replace(report, accuracies=energy.Accuracies(0.98, 0.97)))
    assert "No ANN beside it" in str(energy.compare(two_layers(x)))


def test_a_report_goes_through_json():
    x = torch.rand(1, 2, 4)
    for ann in (relu_twin(x), None):
        report = energy.compare(two_layers(x.expand(3, 2, 4)), ann, accuracies=energy.Accuracies(0.98, 0.97))
        plain = json.loads(json.dumps(report.plain()))
        assert energy.EnergyReport.from_plain(plain) == report
    assert plain["profiles"][0]["spiking"]["total"] == report.prices[0].total.total
    assert plain["per_sample"]["spiking"]["macs"] == 36


def test_every_profile_names_its_source():
    assert len({p.name for p in PROFILES}) == len(PROFILES)
    for profile in PROFILES:
        assert any(name in profile.source for name in ("Horowitz", "Davies", "Merolla"))
        assert any(year in profile.source for year in ("2014", "2018"))


# The section of a report


def test_the_section_of_a_report(tmp_path):
    from spikeloom.report import canvas
    from spikeloom.report.energy import energy_extra, headline

    x = torch.rand(1, 2, 4)
    run, twin = two_layers(x.expand(3, 2, 4)), relu_twin(x)
    run = dataclasses.replace(run, uncounted=("9 (<script>)",))
    for ann, accuracies in ((twin, energy.Accuracies(0.98, 0.97)), (twin, None), (None, None)):
        report = energy.compare(run, ann, accuracies=accuracies)
        extra = energy_extra(report)
        charts = dict(extra.charts())
        assert len(charts) == 4  # the chips have no price for the values of the first layer
        _, places = canvas.embed(charts)
        section = extra.section(places)
        assert all(place in section.body for place in places.values())
        assert "<script>)" not in section.body
        assert section.body.count("Horowitz") == 4
        assert ("accuracies" in headline(report)) == (ann is not None)
    assert "no ANN was measured" in headline(report)


def test_layers_without_a_twin_are_drawn_all_the_same():
    from spikeloom.report.energy_charts import per_layer

    layer = sl.nn.Sequential(sl.nn.Recurrent(sl.nn.Neuron(sl.LIF(tau=5.0)), 4), nn.Linear(4, 2))
    report = energy.compare(energy.measure(layer, [torch.ones(3, 2, 4)]), relu_twin(torch.rand(1, 2, 4)))
    (source,) = {r.data_source for r in per_layer(report.prices[0]).renderers}
    assert source.data["name"][0] == "input  spiking"
    assert sum(source.data["end"]) > 0
