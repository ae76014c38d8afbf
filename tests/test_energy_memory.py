"""What is read from memory and what biases cost, each figure worked out by hand: bounds, held sums, folded norms."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import nn

import spikeloom as sl
from spikeloom import energy
from spikeloom.energy.counts import LayerCounts
from spikeloom.energy.profiles import ARITHMETIC, DENSE, NO_REUSE, REUSE
from spikeloom.energy.traffic import Moved, Reuse, traffic
from spikeloom.nets import ConvBlock, Stage, ann_twin, conv_net, mlp, sew_resnet, vgg

PJ = 1e-12
SMALL = 10 / 8 * PJ  # joules per byte up to 8 KB


def arrays(
    layer: LayerCounts, run: energy.Measured, reuse: Reuse = "full", *, skips_zeros: bool = True
) -> dict[str, Moved]:
    return {m.name: m for m in traffic(layer, run, reuse, skips_zeros=skips_zeros)}


def synapses(run: energy.Measured, layer: int = 0) -> energy.Synapses:
    return run.synapses[layer]


# Reuse never reads more


def recurrent(_: int) -> nn.Module:
    return sl.nn.Sequential(nn.Linear(64, 12), sl.nn.Recurrent(sl.nn.Neuron(sl.LIF(tau=3.0)), 12), nn.Linear(12, 10))


def pruned(_: int) -> nn.Module:
    net = mlp([64, 20, 10], sl.LIF(), sl.LI())
    with torch.no_grad():
        net[0].weight[torch.rand(20, 64) < 0.8] = 0.0
    return net


NETS: dict[str, Callable[[int], nn.Module]] = {
    "mlp": lambda _: mlp([64, 20, 10], sl.LIF(tau=3.0), sl.LI()),
    "conv, spikes pooled": lambda _: conv_net((1, 8, 8), 10, sl.LIF(), sl.LI(), blocks=(ConvBlock(4), ConvBlock(8))),
    "conv, currents pooled": lambda _: conv_net(
        (1, 8, 8), 10, sl.LIF(), sl.LI(), blocks=(ConvBlock(4, pooled="currents"),)
    ),
    "vgg": lambda _: vgg(5, (1, 8, 8), 10, sl.LIF(), sl.LI(), width=2),
    "sew": lambda _: sew_resnet((1, 8, 8), 10, sl.LIF(), sl.LI(), stages=(Stage(2, 1), Stage(4, 1))),
    "temporal norm": lambda steps: conv_net(
        (1, 8, 8), 10, sl.LIF(), sl.LI(), blocks=(ConvBlock(4),), norm=lambda c: sl.nn.TemporalBatchNorm(c, steps)
    ),
    "recurrent": recurrent,
    "pruned": pruned,
}


@pytest.mark.parametrize("sparse", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("name", NETS)
def test_no_array_moves_more_with_reuse_than_without(name, sparse):
    torch.manual_seed(3)
    steps = 4
    net = NETS[name](steps)
    shape = (1, 3, 1, 8, 8) if "Conv2d" in str(net) else (1, 3, 64)
    image = torch.rand(shape) * (torch.rand(shape) < sparse)
    changing = image * (torch.rand(steps, *image.shape[1:]) < 0.5)
    runs = [energy.measure(net, [image.expand(steps, *image.shape[1:])]), energy.measure(net, [changing])]
    runs += [runs[0].held(), energy.measure(ann_twin(net), [image])] if name != "recurrent" else []
    for run in runs:
        for skips in (True, False):
            for layer in run.layers:
                none, full = (arrays(layer, run, reuse, skips_zeros=skips) for reuse in ("none", "full"))
                assert set(full) <= set(none)
                for array, moved in full.items():
                    assert 0 < moved.bytes <= none[array].bytes, (layer.name, array)
                    assert moved.size == none[array].size
        lower, upper = (energy.compare(run, profiles=[p]).prices[0].total.memory for p in (REUSE, NO_REUSE))
        assert 0 < lower <= upper


def test_a_weight_without_an_active_input_is_not_read():
    """784-512-10, one sample, two grey pixels: with reuse 2 x 512 weights are read, as without, not all 401408."""
    net = mlp([784, 512, 10], sl.LIF(), sl.LI())
    x = torch.zeros(1, 1, 784)
    x[..., [3, 500]] = 0.5
    run = energy.measure(net, [x])
    for reuse in ("none", "full"):
        assert arrays(run.layers[0], run, reuse)["weights"].bytes == 2 * 512 * 4
    # Over three steps in which both pixels stay, each of these weights is read once with reuse.
    run = energy.measure(net, [x.expand(3, 1, 784)])
    assert arrays(run.layers[0], run, "none")["weights"].bytes == 3 * 2 * 512 * 4
    assert arrays(run.layers[0], run, "full")["weights"].bytes == 2 * 512 * 4
    # Hardware that does not skip zeros reads them all, once.
    assert arrays(run.layers[0], run, "full", skips_zeros=False)["weights"].bytes == 784 * 512 * 4
    assert energy.compare(run, profiles=[DENSE]).prices[0].spiking[0].cost.memory > 784 * 512 * 4 * 1950 / 8 * PJ


def test_weights_needed_are_told_sample_by_sample():
    """Sample 0 has input 0 in both steps, sample 1 has input 0, then inputs 1 and 2: 1 and 3 inputs with 2 weights."""
    x = torch.zeros(2, 2, 4)
    x[:, 0, 0] = x[0, 1, 0] = 1.0
    x[1, 1, 1:3] = 1.0
    layer = nn.Linear(4, 2)
    with torch.no_grad():
        layer.weight[1, 0] = 0.0  # one synapse less, which both samples would have needed
    net = sl.nn.Sequential(layer)
    run = energy.measure(net, [x])
    assert (synapses(run).effective, synapses(run).needed) == (3 * 1 + 2 * 2, 1 + (1 + 2 * 2))
    assert energy.measure(net, [x[:, :1], x[:, 1:]]) == run  # batch after batch the same
    # A kernel of 3 x 3 over one pixel in the middle: 9 operations need the 9 weights; over two pixels and three steps
    # there are 54 operations, and still no more than 9 weights to read.
    conv = sl.nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False))
    image = torch.zeros(3, 1, 1, 5, 5)
    image[..., 2, 2] = 1.0
    assert synapses(energy.measure(conv, [image[:1]])).needed == 9
    image[..., 2, 3] = 1.0
    assert (synapses(energy.measure(conv, [image])).effective, synapses(energy.measure(conv, [image])).needed) == (
        54,
        9,
    )


def test_where_samples_cannot_be_told_apart_the_operations_are_the_bound():
    class Halves(nn.Module):
        """Each half of a sample as a sample of its own."""

        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(2, 3, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.map(x.reshape(-1, 2)).reshape(len(x), -1)

    x = torch.zeros(1, 3, 4)
    x[0, 0, 0] = 1.0
    assert synapses(energy.measure(Halves(), [x])).needed == 3
    assert synapses(energy.measure(Halves(), [torch.ones(1, 3, 4)])).needed == 3 * 6  # all weights, for each sample


def test_break_even_where_the_weights_that_are_read_level_off():
    """4 inputs, 3 IF neurons that always fire, 2 read-outs: 6 hidden weights per sample, needed from the first step on.

    Five steps, one sample: at ``k`` times the spikes there are 30 k operations; up to k = 0.2 each needs another
    weight, and from there to k = 1 all 6 are read.
    """
    net = sl.nn.Sequential(
        nn.Linear(4, 3, bias=False), sl.nn.Neuron(sl.IF()), nn.Linear(3, 2, bias=False), sl.nn.Neuron(sl.LI())
    )
    with torch.no_grad():
        net[0].weight.fill_(0.6)
    run = energy.measure(net, [torch.ones(5, 1, 4)])
    assert (synapses(run, 1).effective, synapses(run, 1).needed) == (30, 6)
    price = energy.compare(run, profiles=[REUSE]).prices[0]
    assert price.total.total - price.silent == pytest.approx((30 * 0.9 + 6 * 4 * 10 / 8) * PJ, rel=1e-9)
    for k in (0.1, 0.2, 0.7, 1.0, 3.0):
        extra = 30 * k * 0.9 * PJ + min(6, 30 * k) * 4 * SMALL
        macs = (price.silent + extra) / (4.6 * PJ)  # an ANN that costs as much, of multiply-accumulates alone
        layer = LayerCounts("a", "Linear", False, energy.Synapses(0, 0, False, 0, macs, 0, 0, 0, 0, 0))  # type: ignore[arg-type]
        ann = dataclasses.replace(run, layers=(layer,), samples=1, sample_steps=1)
        even = energy.compare(run, ann, [REUSE]).prices[0].break_even
        assert even == pytest.approx(k, rel=1e-9)  # at k = 1 each neuron fires in each step


# Sums that are held


def test_a_held_layer_keeps_the_size_of_its_arrays():
    """4 inputs in 5 equal steps to 3 neurons with biases, 2 samples: held, the sums are made twice, not ten times."""
    net = sl.nn.Sequential(nn.Linear(4, 3), sl.nn.Neuron(sl.LIF()))
    run = energy.measure(net, [torch.full((5, 2, 4), 0.5)])
    held = run.held()
    for each, times in ((run, 10), (held, 2)):
        moved = arrays(each.layers[0], each, "none")
        assert {name: m.size for name, m in moved.items()} == {
            "weights": 12 * 4, "biases": 3 * 4, "partial sums": 3 * 4, "inputs": 4 * 4
        }  # fmt: skip
        assert {name: m.bytes for name, m in moved.items()} == {
            "weights": times * 12 * 4, "biases": times * 3 * 4, "partial sums": times * 12 * 2 * 4,
            "inputs": times * 4 * 4,
        }  # fmt: skip
        full = arrays(each.layers[0], each, "full")
        assert (full["biases"].size, full["biases"].bytes) == (3 * 4, 2 * 3 * 4)
        assert full["weights"].bytes == 2 * 12 * 4


def test_holding_sums_moves_no_array_to_a_smaller_memory():
    """3000 inputs of 4 bytes are 12,000: more than 8 KB, held or not."""
    net = sl.nn.Sequential(nn.Linear(3000, 1, bias=False), sl.nn.Neuron(sl.LIF()))
    held = energy.measure(net, [torch.ones(4, 1, 3000) / 2]).held()
    cost = energy.compare(held, profiles=[REUSE]).prices[0].spiking[0].cost
    assert cost.memory == pytest.approx(2 * 12_000 * 20 / 8 * PJ, rel=1e-12)  # weights and inputs, from 32 KB


def test_a_pooling_of_held_sums_is_done_once():
    net = sl.nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(2), sl.nn.Neuron(sl.LIF()))
    run = energy.measure(net, [torch.rand(1, 3, 1, 4, 4).expand(6, 3, 1, 4, 4)])
    assert run.layers[1].operations == {"maximum": 6 * 3 * 2 * 4 * 3}
    assert run.held().layers[1].operations == {"maximum": 3 * 2 * 4 * 3}
    assert synapses(run.held()).biases == 3 * 8
    moving = energy.measure(net, [torch.rand(6, 3, 1, 4, 4)])
    assert moving.held() == moving


# Biases


def test_a_convolution_has_a_bias_for_each_channel():
    """8 channels over 28 x 28: 6272 sums, 8 biases of 4 bytes, read once per sample or for each sum."""
    run = energy.measure(sl.nn.Sequential(nn.Conv2d(1, 8, 3, padding=1)), [torch.rand(2, 3, 1, 28, 28)])
    full, none = (arrays(run.layers[0], run, reuse)["biases"] for reuse in ("full", "none"))
    assert (full.size, full.bytes) == (32, 3 * 32)
    assert (none.size, none.bytes) == (32, 6 * 6272 * 4)


NORMS = [nn.BatchNorm2d, sl.nn.BatchNorm, sl.nn.ThresholdBatchNorm]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_folded_norm_leaves_one_bias(norm, bias):
    """2 channels of 3 x 3 sums: 18 additions in each of 4 steps of 3 samples; the ANN has one step."""
    net = sl.nn.Sequential(nn.Conv2d(1, 2, 3, bias=bias), norm(2), sl.nn.Neuron(sl.LIF()))
    x = torch.rand(1, 3, 1, 5, 5)
    run, ann = energy.measure(net, [x.expand(4, 3, 1, 5, 5)]), energy.measure(ann_twin(net), [x])
    assert run.folded == ann.folded == ("1",)
    assert (synapses(run).biases, synapses(run).bias_values) == (4 * 3 * 18, 2)
    assert (synapses(ann).biases, synapses(ann).bias_values) == (3 * 18, 2)
    assert synapses(run.held()).biases == 3 * 18
    spiking, artificial = (energy.compare(r, profiles=[ARITHMETIC]).prices[0].spiking[0].cost for r in (run, ann))
    assert spiking.compute == pytest.approx(4 * (9 * 18 * 4.6 + 18 * 0.9) * PJ, rel=1e-12)
    assert artificial.compute == pytest.approx((9 * 18 * 4.6 + 18 * 0.9) * PJ, rel=1e-12)
    whole = energy.measure(net, [x.expand(4, 3, 1, 5, 5)[:, :1], x.expand(4, 3, 1, 5, 5)[:, 1:]])
    assert whole == run  # batch after batch


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_norm_behind_a_maximum_is_folded_and_its_bias_added_to_the_maxima(norm, bias):
    """2 channels of 4 x 4 sums, of which 2 x 2 remain: 8 additions in each of 12 sample-steps, and 3 comparisons."""
    net = sl.nn.Sequential(nn.Conv2d(1, 2, 3, bias=bias), nn.MaxPool2d(2), norm(2), sl.nn.Neuron(sl.LIF()))
    run = energy.measure(net, [torch.rand(4, 3, 1, 6, 6)])
    assert run.folded == ("2",)
    assert (synapses(run).biases, synapses(run).bias_values) == (12 * 8, 2)
    assert [layer.name for layer in run.layers] == ["0", "1", "3"]
    assert run.layers[1].operations == {"maximum": 12 * 8 * 3}


def test_what_a_folded_net_computes_is_the_net():
    """The arithmetic that is priced, done: scaled weights, a maximum, then one addition; scales of either sign."""
    torch.manual_seed(0)
    conv, pool, norm = nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), sl.nn.ThresholdBatchNorm(4, v_threshold=0.7)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.3, -0.4, 0.9, -2.0]))
        norm.bias.normal_()
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    conv, norm = conv.double(), norm.double().eval()
    x = torch.rand(5, 2, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        expected = norm(pool(conv(x)).unsqueeze(0))[0][0]
        scale = 0.7 * norm.weight / torch.sqrt(norm.running_var + norm.eps)
        shift = norm.bias - scale * norm.running_mean + scale * conv.bias
        largest = pool(nn.functional.conv2d(x, conv.weight * scale.abs().view(-1, 1, 1, 1)))
        sums = shift.view(-1, 1, 1) + torch.where(scale > 0, 1.0, -1.0).view(-1, 1, 1) * largest  # an addition each
    torch.testing.assert_close(sums, expected, rtol=1e-12, atol=1e-12)


def test_the_net_of_the_recipe_is_folded_whole():
    """Blocks that pool currents, laid out channels last as the recipe does: no norm is left to multiply."""
    blocks = [ConvBlock(c, pooled="currents") for c in (4, 8)]
    net = conv_net((1, 8, 8), 10, sl.LIF(), sl.LI(), blocks=blocks, hidden=(16,))
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = torch.rand(1, 3, 1, 8, 8)
    run, ann = energy.measure(net, [image.expand(5, 3, 1, 8, 8)]), energy.measure(ann_twin(net), [image])
    for each, times in ((run, 15), (ann, 3)):
        assert each.folded == ("2", "6")
        # 4 channels of 4 x 4, 8 of 2 x 2, 16 hidden units and 10 scores
        assert [s.biases for s in each.synapses] == [times * n for n in (64, 32, 16, 10)]
        assert [s.bias_values for s in each.synapses] == [4, 8, 16, 10]
        assert not any("mul" in layer.operations for layer in each.layers if "BatchNorm" in layer.kind)


def test_what_is_not_folded():
    x = torch.rand(2, 3, 1, 6, 6)
    conv = nn.Conv2d(1, 2, 3, bias=False)
    for between in (nn.AvgPool2d(2), nn.ReLU(inplace=True), sl.nn.Neuron(sl.LIF())):
        run = energy.measure(sl.nn.Sequential(conv, between, nn.BatchNorm2d(2)), [x])
        assert run.folded == ()
        assert synapses(run).biases == 0
        assert run.layers[-1].operations["mul"] > 0


def test_counts_of_earlier_versions_are_read():
    net = sl.nn.Sequential(nn.Linear(4, 3), sl.nn.Neuron(sl.LIF()))
    plain = energy.measure(net, [torch.ones(2, 1, 4)]).plain()
    for name in ("needed", "bias_values", "held"):
        del plain["layers"][0]["synapses"][name]
    for layer in plain["layers"]:
        del layer["constant"]
    read = synapses(energy.Measured.from_plain(plain))
    assert (read.needed, read.bias_values, read.held) == (24, 6, False)  # no more can it have been


def test_a_scale_of_a_place_or_a_row_is_in_no_weight():
    """Weights that are shared over places or rows cannot take in a scale that differs between them."""
    places = sl.nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.BatchNorm1d(8))  # 2 channels of 2 x 2 places
    rows = sl.nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))  # 4 rows, the same weights for each
    for net, elements in ((places, 8), (rows, 16)):
        run = energy.measure(net, [torch.ones(2, 3, *((1, 4, 4) if net is places else (4, 4)))])
        assert run.folded == ()
        assert run.layers[-1].operations == {"add": 2 * 3 * elements, "mul": 2 * 3 * elements}
