"""Batch normalisation over time: over what each kind averages, against sums written out in float64."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import pytest
import torch

import spikeloom as sl
from spikeloom.errors import ParameterError, ShapeError, StateError
from spikeloom.nn import BatchNorm, BatchNormThroughTime, TemporalBatchNorm, ThresholdBatchNorm

STEPS, CHANNELS = 4, 3
Build = Callable[[], sl.nn.Layer]
LAYERS: dict[str, Build] = {
    "joint": lambda: BatchNorm(CHANNELS),
    "tdBN": lambda: ThresholdBatchNorm(CHANNELS, v_threshold=0.7, alpha=0.5),
    "TEBN": lambda: TemporalBatchNorm(CHANNELS, STEPS),
    "BNTT": lambda: BatchNormThroughTime(CHANNELS, STEPS),
}
STEPWISE = ["TEBN", "BNTT"]


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> sl.nn.Layer:
    return LAYERS[request.param]()


def drifting(*places: int, batch: int = 5, steps: int = STEPS) -> torch.Tensor:
    """A sequence whose mean and spread change from step to step and from channel to channel."""
    x = torch.randn(steps, batch, CHANNELS, *places, generator=torch.Generator().manual_seed(0))
    step = torch.arange(steps).reshape(-1, *(1 for _ in x.shape[1:]))
    channel = torch.arange(CHANNELS).reshape(-1, *(1 for _ in places))
    return (x * (1 + channel) + 2 * step - channel) * (1 + step)


def scrambled(layer: sl.nn.Layer) -> sl.nn.Layer:
    """Parameters other than 1 and 0."""
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.rand(p.shape, generator=torch.Generator().manual_seed(p.numel())) + 0.5)
    return layer


def normalised(x: torch.Tensor, axes: tuple[int, ...], eps: float) -> torch.Tensor:
    x = x.double()
    mean = x.mean(axes, keepdim=True)
    return (x - mean) / ((x - mean).square().mean(axes, keepdim=True) + eps).sqrt()


@pytest.mark.parametrize("places", [(), (6,), (4, 2), (2, 2, 2)])
@pytest.mark.parametrize("name", LAYERS)
def test_training_averages_over_what_it_says(name: str, places: tuple[int, ...]) -> None:
    layer, x = scrambled(LAYERS[name]()), drifting(*places)
    each = (1, CHANNELS, *(1 for _ in places))
    over = (1, *range(3, x.dim())) if name == "BNTT" else (0, 1, *range(3, x.dim()))
    expected = normalised(x, over, layer.eps)
    if name == "BNTT":
        expected = expected * layer.weight.double().reshape(STEPS, *each)
    else:
        gamma = layer.weight.double() * (0.7 * 0.5 if name == "tdBN" else 1.0)
        expected = expected * gamma.reshape(each) + layer.bias.double().reshape(each)
    if name == "TEBN":
        expected = expected * layer.factor.double().reshape(STEPS, 1, *each[:1], *(1 for _ in places))
    assert torch.allclose(layer(x)[0].double(), expected, rtol=1e-4, atol=1e-5)


def test_running_averages_are_those_of_the_definition(layer: sl.nn.Layer) -> None:
    x = drifting(2, 2)
    layer(x)
    over = (1, 3, 4) if isinstance(layer, BatchNormThroughTime) else (0, 1, 3, 4)
    assert torch.allclose(layer.running_mean, 0.1 * x.mean(over), rtol=1e-5, atol=1e-6)
    assert torch.allclose(layer.running_var, 0.9 + 0.1 * x.var(over), rtol=1e-5)


def test_evaluation_uses_and_keeps_them(layer: sl.nn.Layer) -> None:
    for _ in range(60):
        layer(drifting(2, 2))
    layer.eval()
    before = copy.deepcopy(layer.state_dict())
    y, _ = layer(drifting(2, 2))
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    layer.train()
    # After many equal batches the running averages are theirs, except that the variance is the unbiased one.
    assert torch.allclose(layer(drifting(2, 2))[0], y, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 2), (1, 0, 3)])
def test_in_evaluation_parts_of_a_sequence_are_the_whole(layer: sl.nn.Layer, sizes: tuple[int, ...]) -> None:
    scrambled(layer)(drifting(2))
    layer.eval()
    whole, end = layer(drifting(2))
    outputs, state = [], None
    for part in drifting(2).split(sizes):
        y, state = layer(part, state)
        outputs.append(y)
    assert torch.allclose(torch.cat(outputs), whole, rtol=1e-6, atol=1e-6)
    assert repr(state) == repr(end)


def test_a_gradient_reaches_every_parameter_and_the_input(layer: sl.nn.Layer) -> None:
    x = drifting(2).requires_grad_()
    y, _ = layer(x)
    (y * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    for tensor in (x, *layer.parameters()):
        assert tensor.grad is not None
        assert bool(tensor.grad.abs().gt(0).any())


def test_gradients_agree_with_finite_differences(layer: sl.nn.Layer) -> None:
    layer.double()
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], drifting(2, batch=2).double().requires_grad_())


@pytest.mark.parametrize("name", STEPWISE)
def test_more_steps_than_there_are(name: str) -> None:
    layer = LAYERS[name]()
    with pytest.raises(ShapeError, match="more steps than it has: got T = 5, expected 4"):
        layer(drifting(2, steps=5))
    _, state = layer(drifting(2)[:3])
    with pytest.raises(ShapeError, match="got step 5, expected 4"):
        layer(drifting(2)[:2], state)
    assert layer(drifting(2)[:2])[0].shape[0] == 2


def test_a_step_that_was_never_trained_is_refused() -> None:
    layer = BatchNormThroughTime(CHANNELS, STEPS)
    layer.eval()
    layer(drifting(2))  # nothing is trained yet, as in torch
    layer.train()
    layer(drifting(2)[:2])
    layer.eval()
    assert layer(drifting(2)[:2])[0].shape[0] == 2
    with pytest.raises(StateError, match="never came to: got step 2"):
        layer(drifting(2))
    again = BatchNormThroughTime(CHANNELS, STEPS).eval()
    again.load_state_dict(layer.state_dict())  # what was trained travels with the weights
    with pytest.raises(StateError, match="never came to"):
        again(drifting(2))


def test_what_the_layers_refuse(layer: sl.nn.Layer) -> None:
    for x in (torch.zeros(2, 5), torch.zeros(2, 5, CHANNELS + 1), torch.zeros(2, 5, 1, CHANNELS)):
        with pytest.raises(ShapeError, match=r"expected \[T, B, 3"):
            layer(x)
    with pytest.raises(ShapeError, match="one value has no variance"):
        layer(torch.zeros(1, 1, CHANNELS))
    assert layer.eval()(torch.zeros(1, 1, CHANNELS))[0].shape == (1, 1, CHANNELS)
    with pytest.raises(StateError, match="a state of another net"):
        layer(drifting(2), sl.State(v=torch.zeros(1)))


def test_no_step_at_all(layer: sl.nn.Layer) -> None:
    before = copy.deepcopy(layer.state_dict())
    y, _ = layer(drifting(2)[:0])
    assert y.shape == (0, 5, CHANNELS, 2)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


@pytest.mark.parametrize(
    "step", [torch.tensor(-1), torch.tensor(0.5), torch.tensor(float("nan")), torch.zeros(2, dtype=torch.int64), 1]
)
@pytest.mark.parametrize("name", STEPWISE)
def test_a_broken_step_in_the_state(name: str, step: object) -> None:
    with pytest.raises(StateError, match="the step in the state"):
        LAYERS[name]()(drifting(2)[:1], sl.State(step=step))


@pytest.mark.parametrize("name", STEPWISE)
def test_a_state_may_be_moved_to_another_dtype(name: str) -> None:
    layer = LAYERS[name]()
    _, state = layer(drifting(2)[:3])
    _, state = layer(drifting(2)[3:], state.to(torch.float64))
    assert int(state["step"]) == 4


def test_unusable_arguments() -> None:
    for build in (BatchNorm, ThresholdBatchNorm):
        for features in (0, -1, 2.5, True):
            with pytest.raises(ParameterError, match="features"):
                build(features)  # type: ignore[reportArgumentType]
        with pytest.raises(ParameterError, match="eps"):
            build(2, eps=0.0)
        with pytest.raises(ParameterError, match="momentum"):
            build(2, momentum=1.5)
    for stepwise in (TemporalBatchNorm, BatchNormThroughTime):
        with pytest.raises(ParameterError, match="steps"):
            stepwise(2, 0)
    for name in ("v_threshold", "alpha"):
        with pytest.raises(ParameterError, match=name):
            ThresholdBatchNorm(2, **{name: -1.0})


def test_the_joint_one_is_the_one_of_torch() -> None:
    own, torchs = BatchNorm(CHANNELS), torch.nn.BatchNorm2d(CHANNELS)
    plain = sl.nn.Sequential(torchs)
    for _ in range(3):
        assert torch.equal(own(drifting(2, 2))[0], plain(drifting(2, 2))[0])
    assert torch.equal(own.running_var, torchs.running_var)


def test_a_net_with_all_of_them_is_saved_copied_and_stepped() -> None:
    net = sl.nn.Sequential(
        *(
            m
            for build in LAYERS.values()
            for m in (torch.nn.Linear(CHANNELS, CHANNELS), build(), sl.nn.Neuron(sl.LIF()))
        )
    )
    net(drifting())
    net.eval()
    whole, _ = net(drifting())
    first, state = copy.deepcopy(net)(drifting()[:1])
    second, _ = net(drifting()[1:], state.detach())
    assert torch.equal(torch.cat([first, second]), whole)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other = copy.deepcopy(scrambled(net))
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(drifting())[0], whole)


def test_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for build in LAYERS.values():
            layer = build()
            y, _ = sl.nn.Sequential(torch.nn.Linear(CHANNELS, CHANNELS), layer)(drifting())
            y.float().sum().backward()
            assert bool(torch.isfinite(y).all())
            assert layer.running_var.dtype == torch.float32
