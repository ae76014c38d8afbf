"""Convolutions of sparse input by gathering rows of weights: equal to the dense ones, on any number of threads."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest
import torch

import spikeloom as sl
from spikeloom.kernels.spike_conv import conv, cpu, reference
from spikeloom.kernels.spike_conv.conv import crossover, spike_conv
from spikeloom.kernels.spike_conv.op import conv_op, weight_gradient_op
from spikeloom.kernels.spike_conv.shape import ConvShape

from .conv_shapes import SHAPES

CHECKS = "test_schema", "test_autograd_registration", "test_faketensor"  # all but torch's compiler
FORWARD, BACKWARD, DENSE = (
    "spike_conv/cpu/Conv2d/forward", "spike_conv/cpu/Conv2d/backward", "spike_conv/dense/Conv2d/forward",
)  # fmt: skip
PLAIN = ConvShape(6, 3, 10, (12, 12), (3, 3), (1, 1), (1, 1))


@pytest.fixture(autouse=True)
def _seeded(monkeypatch: pytest.MonkeyPatch) -> Generator[None, None, None]:
    monkeypatch.setattr(conv, "_SMALLEST", 0)  # or every test would have to be large
    monkeypatch.setattr(conv, "FORWARD_CROSSOVER", conv.CROSSOVER)
    threads = torch.get_num_threads()
    torch.manual_seed(3)
    yield
    torch.set_num_threads(threads)


def events(shape: ConvShape, density: float = 0.1, *, graded: bool = False) -> torch.Tensor:
    x = (torch.rand(shape.batch, shape.channels, *shape.size) < density).float()
    return x * torch.randint(1, 5, x.shape) / 4 if graded else x


def parameters(shape: ConvShape) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(shape.outputs, shape.channels, *shape.kernel), torch.randn(shape.outputs)


def run(function: Callable[..., torch.Tensor], shape: ConvShape, *given: torch.Tensor | None) -> list[torch.Tensor]:
    """The result of ``function(x, weight, bias)`` and all its gradients."""
    *tensors, grad = given
    leaves = [None if t is None else t.clone().requires_grad_() for t in tensors]
    y = function(*leaves, shape.stride, shape.padding)
    assert grad is not None
    return [y.detach(), *torch.autograd.grad(y, [t for t in leaves if t is not None], grad)]


def doubled(tensors: list[torch.Tensor | None]) -> list[torch.Tensor | None]:
    return [None if t is None else t.double() for t in tensors]


def assert_as_torch(shape: ConvShape, x: torch.Tensor, *, bias: bool = True) -> None:
    """Output and gradients of the kernels beside torch's, in single and in double precision."""
    weight, start = parameters(shape)
    given = [x, weight, start if bias else None, torch.randn(shape.batch, shape.outputs, *shape.found)]
    sl.last_kernels()
    found = run(spike_conv, shape, *given)
    assert sl.last_kernels() == [FORWARD, BACKWARD]
    dense = run(torch.nn.functional.conv2d, shape, *given)
    exact = run(torch.nn.functional.conv2d, shape, *doubled(given))
    for ours, theirs, true in zip(found, dense, exact, strict=True):
        assert ours.shape == theirs.shape
        assert (ours - true).norm() <= 1e-6 * true.norm()
        assert (ours - true).norm() <= 4 * (theirs - true).norm() + 1e-7 * true.norm()  # about as good as torch's


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("graded", [False, True])
def test_output_and_gradients_over_shapes(shape: ConvShape, graded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv, "CROSSOVER", 1.1)  # small images scatter around their density
    assert_as_torch(shape, events(shape, graded=graded), bias=not graded)


@pytest.mark.parametrize("density", [0.0, 0.001, 0.5, 1.0])
def test_output_and_gradients_over_densities(density: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv, "CROSSOVER", 1.1)
    assert_as_torch(PLAIN, events(PLAIN, density))


def test_any_numbers_may_be_sparse() -> None:
    x = events(PLAIN) * torch.randn(6, 3, 12, 12)
    assert_as_torch(PLAIN, x)
    x[0, 0, 3, 4] = float("nan")
    y = spike_conv(x, *parameters(PLAIN), PLAIN.stride, PLAIN.padding)
    assert y[0].isnan().any(0).nonzero().tolist() == [[a, b] for a in (2, 3, 4) for b in (3, 4, 5)]


def test_the_list_of_elements() -> None:
    planes = torch.tensor([[0.0, 1.0, -0.0, 1.0], [0.0] * 4, [1.0, 0.25, 0.0, -2.0]])
    words, counts, binary = cpu.mark(planes)
    assert (words.tolist(), counts.tolist(), binary) == ([[10], [0], [11]], [2, 0, 3], False)
    starts = torch.tensor([0, 2, 2, 5])
    assert cpu.values(planes, words, starts).tolist() == [1.0, 1.0, 1.0, 0.25, -2.0]
    assert cpu.mark(planes[:2].clone())[2]
    wide = events(ConvShape(1, 5, 1, (7, 31), (1, 1)), graded=True)
    words, counts, _ = cpu.mark(wide.view(5, -1))
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    listed = words, starts, cpu.values(wide.view(5, -1), words, starts)
    assert torch.equal(reference.dense(listed, ConvShape(1, 5, 1, (7, 31), (1, 1)), wide), wide)


def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    shape = ConvShape(40, 4, 16, (20, 20), (3, 3), (1, 1), (1, 1))
    x, (weight, bias) = events(shape, graded=True), parameters(shape)
    grad, results = torch.randn(40, 16, 20, 20), list[list[torch.Tensor]]()
    for threads in (1, 2, 3, 7):
        torch.set_num_threads(threads)
        results.append(run(spike_conv, shape, x, weight, bias, grad))
    for result in results[1:]:
        assert all(torch.equal(a, b) for k, (a, b) in enumerate(zip(result, results[0], strict=True)) if k != 1)


def test_only_what_is_wanted_gets_a_gradient() -> None:
    x, (weight, bias) = events(PLAIN), parameters(PLAIN)
    sl.last_kernels()
    spike_conv(x, weight, bias.requires_grad_(), (1, 1), (1, 1)).sum().backward()
    assert bias.grad is not None
    assert bias.grad.tolist() == [6 * 144.0] * 10
    assert sl.last_kernels() == [FORWARD]


def test_operators() -> None:
    shape = ConvShape(3, 3, 16, (13, 18), (3, 3), (2, 2), (1, 0))
    x, (weight, bias), how = events(shape), parameters(shape), (list(shape.stride), list(shape.padding))
    planes = x.view(9, -1)
    words, counts, _ = cpu.mark(planes)
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    listed = words, starts, torch.empty(0)
    given = x.requires_grad_(), *listed, weight.requires_grad_(), bias.requires_grad_(), *how
    torch.library.opcheck(conv_op, (*given, None), test_utils=CHECKS)
    grad = torch.randn(3, 16, *shape.found)
    torch.library.opcheck(
        weight_gradient_op, (*listed, grad, list(x.shape), list(weight.shape), *how), test_utils=CHECKS
    )
    sl.last_kernels()
    found = weight_gradient_op(*listed, grad.double(), list(x.shape), list(weight.shape), *how)
    assert sl.last_kernels() == ["spike_conv/reference/Conv2d/backward"]
    for a, b in zip(found, weight_gradient_op(*listed, grad, list(x.shape), list(weight.shape), *how), strict=True):
        torch.testing.assert_close(a.float(), b, rtol=1e-4, atol=1e-4)
    doubles = conv_op(x.double(), *listed, weight.double(), bias.double(), *how, None)
    exact = torch.nn.functional.conv2d(x.double(), weight.double(), bias.double(), *how)
    torch.testing.assert_close(doubles, exact)


def test_second_derivatives_need_the_reference() -> None:
    x, (weight, _) = events(PLAIN), parameters(PLAIN)
    weight.requires_grad_()
    (first,) = torch.autograd.grad(spike_conv(x, weight, None).pow(2).sum(), weight, create_graph=True)
    with pytest.raises(sl.errors.BackendError, match="first derivatives only"):
        torch.autograd.grad(first.sum(), weight)


def test_dense_input_takes_the_dense_convolution() -> None:
    weight, bias = parameters(PLAIN)
    sparse_first = events(ConvShape(600, 3, 10, (12, 12), (3, 3)), 0.0)
    sparse_first[torch.arange(600) % 25 != 0] = 1  # the planes that are looked at first are empty
    for x in (torch.rand(6, 3, 12, 12), events(PLAIN, 0.8), sparse_first):
        sl.last_kernels()
        assert torch.equal(spike_conv(x, weight, bias), torch.nn.functional.conv2d(x, weight, bias))
        assert sl.last_kernels() == [DENSE]


@pytest.mark.parametrize("channels", [8, 6])
def test_all_channels_count(channels: int) -> None:
    # 64 planes are looked at first. Every 8th of 512 would be one channel of eight, the dense one.
    x = torch.zeros(512 // channels, channels, 6, 6)
    x[:, 0] = 1.0
    weight = torch.randn(9, channels, 3, 3)
    sl.last_kernels()
    assert torch.allclose(spike_conv(x, weight, None), torch.nn.functional.conv2d(x, weight), atol=1e-6)
    assert sl.last_kernels() == [FORWARD]


def test_what_is_always_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert crossover(ConvShape(512, 32, 64, (16, 16), (3, 3), (1, 1), (1, 1))) == conv.CROSSOVER
    first = ConvShape(512, 2, 32, (32, 32), (3, 3), (1, 1), (1, 1))
    assert (crossover(first), crossover(first, training=False)) == (conv.CROSSOVER, conv.FORWARD_CROSSOVER)
    dense = [
        ConvShape(1, 32, 64, (16, 16), (3, 3)),  # too little work
        ConvShape(512, 32, 4, (16, 16), (3, 3)),  # too few outputs
        ConvShape(512, 32, 64, (16, 16), (1, 1), padding=(1, 1)),  # outputs that see no input
        ConvShape(512, 32, 64, (2, 16), (3, 3)),  # no output at all
    ]
    assert [crossover(shape) for shape in dense] == [0.0] * 4


def gathered(layer: torch.nn.Module, x: torch.Tensor) -> bool:
    """Whether the layer takes the kernels within a net; what comes out is that of the layer itself."""
    sl.last_kernels()
    y, _ = sl.nn.Sequential(layer)(x)
    found = FORWARD in sl.last_kernels()
    torch.testing.assert_close(y, layer(x.flatten(0, 1)).unflatten(0, x.shape[:2]), rtol=1e-4, atol=1e-5)
    return found


def test_a_plain_conv_of_a_net_gathers() -> None:
    x = events(ConvShape(12, 4, 10, (12, 12), (3, 3))).unflatten(0, (3, 4))
    for layer in (
        torch.nn.Conv2d(4, 10, 3, padding=1), torch.nn.Conv2d(4, 10, (3, 5), stride=(2, 1), padding=(0, 2), bias=False),
        torch.nn.Conv2d(4, 10, 3, padding="same"), torch.nn.Conv2d(4, 10, 2, padding="valid"),
    ):  # fmt: skip
        assert gathered(layer, x)
        with sl.backend("reference"):
            assert not gathered(layer, x)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_other_convolutions_take_the_module_itself() -> None:
    x = events(ConvShape(12, 4, 10, (12, 12), (3, 3))).unflatten(0, (3, 4))

    class Own(torch.nn.Conv2d):
        pass

    hooked = torch.nn.Conv2d(4, 10, 3)
    hooked.register_forward_hook(lambda *_: None)
    for layer in (
        torch.nn.Conv2d(4, 10, 3, groups=2), torch.nn.Conv2d(4, 10, 3, dilation=2), Own(4, 10, 3), hooked,
        torch.nn.Conv2d(4, 10, 3, padding=1, padding_mode="reflect"), torch.nn.Conv2d(4, 10, 2, padding="same"),
        torch.nn.utils.parametrizations.weight_norm(torch.nn.Conv2d(4, 10, 3)),
    ):  # fmt: skip
        assert not gathered(layer, x)
    doubles = torch.nn.Conv2d(4, 10, 3, dtype=torch.float64)
    assert not gathered(doubles, x.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = sl.nn.Sequential(torch.nn.Conv2d(4, 10, 3))(x)
    assert y.dtype == torch.bfloat16


def test_errors_are_those_of_the_module() -> None:
    with pytest.raises(RuntimeError, match="channels"):
        sl.nn.Sequential(torch.nn.Conv2d(3, 8, 3))(torch.zeros(2, 2, 4, 8, 8))


def trained(backend: str | None) -> tuple[list[float], list[torch.Tensor]]:
    """Losses and last gradients of a small net that learns which half of an image fires more."""
    torch.manual_seed(1)
    net = sl.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1), sl.nn.Neuron(sl.LIF(tau=4.0)), torch.nn.AvgPool2d(2),
        torch.nn.Conv2d(16, 16, 3, padding=1), sl.nn.Neuron(sl.LIF(tau=4.0)),
        torch.nn.Flatten(), torch.nn.Linear(576, 2),
    )  # fmt: skip
    optimiser, losses = torch.optim.Adam(net.parameters(), 0.005), list[float]()
    with sl.backend(backend):
        for _ in range(12):
            labels = torch.randint(0, 2, (24,))
            rates = torch.where(torch.arange(12) // 6 == labels[:, None], 0.15, 0.05)[:, None, :, None]
            x = (torch.rand(8, 24, 1, 12, 12) < rates).float()
            loss = torch.nn.functional.cross_entropy(net(x)[0].mean(0), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
    return losses, [p.grad.clone() for p in net.parameters() if p.grad is not None]


def test_training_goes_the_same_way() -> None:
    sl.last_kernels()
    ours, _ = trained(None)
    assert {FORWARD, BACKWARD} <= set(sl.last_kernels())
    theirs, _ = trained("reference")
    assert {FORWARD, BACKWARD}.isdisjoint(sl.last_kernels())
    assert ours[:3] == pytest.approx(theirs[:3], rel=1e-4)
    assert ours == pytest.approx(theirs, rel=0.1, abs=0.02)  # a spike at the threshold may fall on the other side
    assert ours[-1] < ours[0]
