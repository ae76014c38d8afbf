"""Of a convolution's input gradient only what the surrogate does not make zero is formed, and nothing else changes."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator

import pytest
import torch

import spikeloom as sl
from spikeloom.kernels.spike_conv import conv, cpu, reference
from spikeloom.kernels.spike_conv.conv import needed_crossover, spike_conv
from spikeloom.kernels.spike_conv.op import input_gradient_op
from spikeloom.kernels.spike_conv.shape import ConvShape
from spikeloom.kernels.spike_linear.op import pack_op

from .conv_shapes import SHAPES
from .leaving_out import gradients as gradients_of
from .leaving_out import out_of_reach, same

SKIPPED = "spike_conv/cpu/Conv2d/backward-needed"
NARROW = sl.Triangle(width=0.25)
PLAIN = ConvShape(6, 3, 40, (12, 12), (3, 3), (1, 1), (1, 1))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Generator[None, None, None]:
    monkeypatch.setattr(conv, "_SMALLEST", 0)  # or every test would have to be large
    monkeypatch.setattr(conv, "CROSSOVER", 0.6)
    monkeypatch.setattr(conv, "NEEDED_CROSSOVER", 0.7)
    monkeypatch.setattr(conv, "SMALL_NEEDED_CROSSOVER", 0.7)
    monkeypatch.setattr(conv, "_FEWEST_TERMS", 8)
    threads = torch.get_num_threads()
    torch.manual_seed(3)
    yield
    torch.set_num_threads(threads)


def dense() -> contextlib.AbstractContextManager[None]:
    """The same kernels, with all input gradients formed."""
    return out_of_reach(conv, "_FEWEST_TERMS")


# --- the products ---


def needed(shape: ConvShape, share: float = 0.2) -> torch.Tensor:
    return (torch.rand(shape.batch, shape.channels, *shape.size) < share).to(torch.uint8) * 255


def packed(marks: torch.Tensor) -> torch.Tensor:
    return pack_op(marks.reshape(-1, marks.shape[-2] * marks.shape[-1]))[0]


def drawn(shape: ConvShape) -> tuple[torch.Tensor, torch.Tensor]:
    """A gradient of the outputs, and weights."""
    grad = torch.randn(shape.batch, shape.outputs, *shape.found)
    return grad, torch.randn(shape.outputs, shape.channels, *shape.kernel)


def whole(shape: ConvShape, grad: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The gradient as torch's own convolution has it."""
    x = torch.zeros(shape.batch, shape.channels, *shape.size, dtype=grad.dtype).requires_grad_()
    y = torch.nn.functional.conv2d(x, weight, None, shape.stride, shape.padding)
    return torch.autograd.grad(y, x, grad)[0]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_products_over_shapes(shape: ConvShape, share: float) -> None:
    marks, (grad, weight) = needed(shape, share), drawn(shape)
    how = [shape.batch, shape.channels, *shape.size], list(shape.stride), list(shape.padding)
    sl.last_kernels()
    found = input_gradient_op(packed(marks), grad, weight, *how)
    assert sl.last_kernels() == [SKIPPED]
    exact = whole(shape, grad.double(), weight.double())
    terms = shape.outputs * shape.kernel[0] * shape.kernel[1]
    bound = 2.0**-24 * (terms + 2) * whole(shape, grad.double().abs(), weight.double().abs())  # Higham, section 3.1
    assert ((found - exact).abs() <= bound)[marks != 0].all()
    assert (found[marks == 0] == 0).all()
    torch.testing.assert_close(
        reference.input_gradient(packed(marks), grad, weight, shape), found, rtol=1e-4, atol=1e-4
    )
    doubles = input_gradient_op(packed(marks), grad.double(), weight.double(), *how)
    assert sl.last_kernels() == ["spike_conv/reference/Conv2d/backward-needed"]
    torch.testing.assert_close(doubles, torch.where(marks != 0, exact, 0.0))


@pytest.mark.parametrize("stride", [(1, 1), (2, 1)])
def test_bits_depend_on_neither_threads_nor_what_else_is_needed(stride: tuple[int, int]) -> None:
    shape = ConvShape(40, 6, 70, (20, 20), (3, 3), stride, (1, 1))
    (grad, weight), marks = drawn(shape), needed(shape)
    torch.set_num_threads(1)
    everything = cpu.input_gradient(packed(torch.ones_like(marks)), grad, weight, shape)
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        assert torch.equal(cpu.input_gradient(packed(marks), grad, weight, shape), everything * (marks != 0))


def test_the_operator() -> None:
    words, (grad, weight) = packed(needed(PLAIN)), drawn(PLAIN)
    checks = "test_schema", "test_autograd_registration", "test_faketensor"
    torch.library.opcheck(input_gradient_op, (words, grad, weight, [6, 3, 12, 12], [1, 1], [1, 1]), test_utils=checks)
    grad.requires_grad_()
    with pytest.raises(sl.errors.BackendError, match="first derivatives only"):
        torch.autograd.grad(input_gradient_op(words, grad, weight, [6, 3, 12, 12], [1, 1], [1, 1]).sum(), grad)


def test_what_is_always_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert needed_crossover(PLAIN) == conv.NEEDED_CROSSOVER
    assert needed_crossover(ConvShape(6, 3, 40, (300, 300), (3, 3))) == 0.0  # more places than 16 bits count
    monkeypatch.undo()
    assert needed_crossover(ConvShape(512, 32, 64, (16, 16), (3, 3), (1, 1), (1, 1))) > 0.0
    assert needed_crossover(PLAIN) == 0.0


def test_a_convolution_alone_leaves_out_what_it_is_told() -> None:
    x = (torch.rand(6, 3, 12, 12) < 0.1).float()
    for share, skipped in ((0.2, True), (0.9, False)):
        marks, (grad, weight) = needed(PLAIN, share), drawn(PLAIN)
        leaf = x.clone().requires_grad_()
        sl.last_kernels()
        y = spike_conv(leaf, weight.requires_grad_(), None, (1, 1), (1, 1), marks)
        (found,) = torch.autograd.grad(y, leaf, grad)
        assert (SKIPPED in sl.last_kernels()) is skipped
        expected = whole(PLAIN, grad, weight.detach())
        expected = torch.where(marks != 0, expected, 0.0) if skipped else expected
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


# --- whole nets ---

STEPS, BATCH, SIDE, CHANNELS = 8, 3, 10, (2, 12, 16, 9)


def net(neuron: Callable[[], torch.nn.Module], *between: torch.nn.Module, stride: int = 1) -> sl.nn.Sequential:
    torch.manual_seed(7)
    parts: list[torch.nn.Module] = []
    for inputs, outputs in itertools.pairwise(CHANNELS):
        layer = torch.nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        torch.nn.init.normal_(layer.weight, std=0.2)
        parts += [layer, neuron(), *between]
    return sl.nn.Sequential(*parts)


def images() -> torch.Tensor:
    torch.manual_seed(8)
    return (torch.rand(STEPS, BATCH, CHANNELS[0], SIDE, SIDE) < 0.3).float()


def gradients(layers: sl.nn.Sequential, backend: str | None = None) -> tuple[torch.Tensor, list[torch.Tensor], bool]:
    return gradients_of(layers, images(), backend)


CASES = [
    (sl.LIF(tau=4.0), NARROW, ("tau", "v_threshold")),
    (sl.LIF(tau=4.0, reset_mechanism="value", v_reset=0.1), sl.Triangle(width=0.5, detach_reset=False), ()),
    (sl.Refractory(sl.LIF(tau=4.0), t_ref=2.0), NARROW, ()),
]


@pytest.mark.parametrize(("model", "surrogate", "learn"), CASES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("stride", [1, 2])
def test_all_gradients_are_those_of_the_whole_product(
    model: sl.NeuronModel, surrogate: sl.Surrogate, learn: tuple[str, ...], stride: int
) -> None:
    layers = net(lambda: sl.nn.Neuron(model, surrogate=surrogate, learn=learn), stride=stride)
    spikes, found, skipped = gradients(layers)
    assert skipped
    with dense():
        plain, expected, skipped = gradients(layers)
    assert not skipped
    assert torch.equal(spikes, plain)
    same(found, expected)
    _, by_reference, skipped = gradients(layers, "reference")
    assert not skipped
    for ours, formed, true in zip(found, expected, by_reference, strict=True):  # what is left out adds no error
        assert (ours - true).norm() <= 2 * (formed - true).norm() + 1e-7 * true.norm()


def lif(surrogate: sl.Surrogate = NARROW) -> sl.nn.Neuron:
    return sl.nn.Neuron(sl.LIF(tau=4.0), surrogate=surrogate)


@pytest.mark.parametrize(
    "layers",
    [net(lambda: lif(sl.ATan())), net(lambda: lif(sl.Triangle(width=3.0))), net(lif, torch.nn.AvgPool2d(1))],
    ids=["ATan", "wide", "something between"],
)
def test_otherwise_all_are_formed(layers: sl.nn.Sequential) -> None:
    assert not gradients(layers)[2]


def test_nobody_who_listens_sees_less() -> None:
    for place in (slice(1, None, 2), slice(0, None, 2)):
        layers = net(lif)
        handles = [layer.register_forward_hook(lambda *_: None) for layer in list(layers.children())[place]]
        assert not gradients(layers)[2]
        for handle in handles:
            handle.remove()
        assert gradients(layers)[2]
    layers = net(lif)
    sl.last_kernels()
    with sl.record(layers):
        layers(images())[0].sum().backward()
    assert SKIPPED not in sl.last_kernels()


def test_a_linear_map_of_images_is_told_as_well() -> None:
    # over the last axis of [T, B, C, H, W]; marks have that shape, too
    layers = sl.nn.Sequential(torch.nn.Conv2d(2, 12, 3), lif(), torch.nn.Linear(8, 40))
    x = images()
    y, _ = layers(x)
    assert y.shape == (STEPS, BATCH, 12, 8, 40)
    found = torch.autograd.grad(y.square().sum(), list(layers.parameters()))
    with sl.backend("reference"):
        y, _ = layers(x)
        same(list(found), list(torch.autograd.grad(y.square().sum(), list(layers.parameters()))))
