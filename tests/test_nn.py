"""Layers and containers: shapes, what they compute, and what they refuse."""

import math

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.errors import ModelError, NonFiniteError, ParameterError, ShapeError

CHANNELS = np.array([5.0, 10.0, 40.0]).reshape(3, 1, 1)


def seeded(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def _same_weights_in_every_run():
    torch.manual_seed(0)


# Shapes


@pytest.mark.parametrize("shape", [(4, 2), (4, 1, 3, 5, 6), (4, 1, 2, 2, 2, 2), (0, 2, 3), (4, 0, 3), (4, 2, 0)])
@pytest.mark.parametrize("model", [sl.LIF(), sl.ALIF(), sl.LI(), sl.Refractory(sl.LIF(), t_ref=2.0)], ids=repr)
def test_any_feature_axes(shape, model):
    y, state = sl.nn.Neuron(model)(seeded(*shape))
    assert y.shape == shape
    assert set(state) == set(model.states)
    assert all(part.shape == shape[1:] for part in state.values())


def test_a_convolutional_net():
    net = sl.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.BatchNorm2d(3), sl.nn.Neuron(sl.LIF(tau=CHANNELS)),
        torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 5), sl.nn.Neuron(sl.LI()),
    )  # fmt: skip
    y, state = net(seeded(6, 4, 2, 4, 4))
    assert y.shape == (6, 4, 5)
    assert state["2"]["v"].shape == (4, 3, 4, 4)
    assert len(net) == 7
    assert isinstance(net[2], sl.nn.Neuron)


def test_one_value_per_channel():
    x = seeded(5, 2, 3, 4, 4).double()
    y, _ = sl.nn.Neuron(sl.LI(tau=CHANNELS))(x)
    for channel, tau in enumerate((5.0, 10.0, 40.0)):
        expected = sum(x[k, :, channel] * math.exp(-(4 - k) / tau) for k in range(5))
        torch.testing.assert_close(y[-1, :, channel], expected, rtol=1e-14, atol=0)


def test_equal_values_in_another_shape_are_another_layer():
    """[3, 1] and [3] hold the same bytes and belong to different axes."""
    x, taus = seeded(4, 1, 3, 3), np.array([2.0, 8.0, 32.0])
    by_row, _ = sl.nn.Neuron(sl.LI(tau=taus[:, None]))(x)
    by_column, _ = sl.nn.Neuron(sl.LI(tau=taus))(x)
    torch.testing.assert_close(by_row, sl.nn.Neuron(sl.LI(tau=taus))(x.mT)[0].mT)
    assert not torch.allclose(by_row, by_column)


@pytest.mark.parametrize("shape", [(4,), (2, 1), (3, 3, 3)])
def test_parameters_that_do_not_fit(shape):
    layer = sl.nn.Neuron(sl.LIF(tau=np.full(shape, 20.0)))
    with pytest.raises(ShapeError, match=r"parameter tau: got .*broadcasts to \(3, 3\).*\[C, 1, 1\]"):
        layer(torch.zeros(2, 1, 3, 3))


# What they compute


def test_sequential_applies_plain_modules_to_every_step():
    linear = torch.nn.Linear(3, 2)
    x = seeded(4, 2, 3)
    y, state = sl.nn.Sequential(linear, torch.nn.Tanh())(x)
    torch.testing.assert_close(y, torch.stack([torch.tanh(linear(step)) for step in x]))
    assert len(state) == 0


@pytest.mark.parametrize(
    "module", [torch.nn.Linear(4, 3), torch.nn.Conv2d(2, 3, 3), torch.nn.MaxPool2d(2), torch.nn.BatchNorm2d(2)]
)
def test_a_repeated_image_gives_what_its_copies_give(module):
    image = seeded(3, 2, 4, 4).requires_grad_()
    net = sl.nn.Sequential(module)
    weights = seeded(5, *net(image.expand(5, *image.shape))[0].shape[1:])
    results = []
    for x in (image.expand(5, *image.shape), image.repeat(5, 1, 1, 1, 1)):
        y, _ = net(x)
        results.append([y, *torch.autograd.grad((y * weights).sum(), [image, *module.parameters()])])
    for once, every in zip(*results, strict=True):
        torch.testing.assert_close(once, every)


def test_a_repeated_image_is_convolved_once_unless_somebody_listens():
    image, conv, shapes = seeded(3, 1, 4, 4), torch.nn.Conv2d(1, 2, 3), []
    y, _ = sl.nn.Sequential(conv)(image.expand(5, *image.shape))
    assert y.stride(0) == 0
    handle = conv.register_forward_hook(lambda module, args, result: shapes.append(tuple(args[0].shape)))
    listened, _ = sl.nn.Sequential(conv)(image.expand(5, *image.shape))
    handle.remove()
    assert shapes == [(15, 1, 4, 4)]
    torch.testing.assert_close(y, listened)


def test_batch_norm_averages_over_time_and_batch():
    x = seeded(6, 5, 3)
    y, _ = sl.nn.Sequential(torch.nn.BatchNorm1d(3, affine=False))(x)
    mean, variance = x.mean((0, 1)), x.var((0, 1), unbiased=False)
    torch.testing.assert_close(y, (x - mean) / torch.sqrt(variance + 1e-5))


def test_a_module_used_twice_runs_twice():
    shared = torch.nn.Linear(3, 3, bias=False)
    shared.weight.data = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])  # moves everything by one
    neuron = sl.nn.Neuron(sl.LI(tau=1e9))
    x = seeded(1, 2, 3)
    net = sl.nn.Sequential(shared, neuron, shared, neuron)
    y, state = net(x)
    torch.testing.assert_close(y[0], x[0].roll(-2, -1))
    assert list(state) == ["1", "3"]
    torch.testing.assert_close(state["1"]["v"], x[0].roll(-1, -1))


def test_residual_adds_its_input():
    layer = sl.nn.Residual(torch.nn.Identity(), sl.nn.Neuron(sl.IF()))
    x = seeded(4, 2, 3)
    y, state = layer(x)
    inner, _ = layer.block(x)
    assert torch.equal(y, x + inner)
    assert 0 < inner.mean() < 1
    assert list(state) == ["block"]
    ready_made = sl.nn.Sequential(torch.nn.Linear(3, 3))
    assert sl.nn.Residual(ready_made).block is ready_made
    assert isinstance(sl.nn.Residual(sl.nn.Neuron(sl.LIF())).block, sl.nn.Neuron)


def hand_recurrent(x, weight, decay, threshold=1.0):
    """LIF neurons whose spikes return through ``weight`` one step later, written out."""
    spikes, v, out = torch.zeros_like(x[0]), torch.zeros_like(x[0]), []
    for x_t in x:
        v = decay * v + (x_t + spikes @ weight.T)
        spikes = (v >= threshold).to(x.dtype)
        v = v - spikes * threshold
        out.append(spikes)
    return torch.stack(out), v


def test_recurrent_is_the_written_out_loop():
    layer = sl.nn.Recurrent(sl.nn.Neuron(sl.LIF(tau=10.0)), 6).double()
    x = seeded(40, 3, 6).double() * 0.6
    y, state = layer(x)
    spikes, v = hand_recurrent(x, layer.weight.detach(), math.exp(-0.1))
    assert torch.equal(y, spikes)
    assert 0.1 < y.mean() < 0.9
    torch.testing.assert_close(state["neuron"]["v"], v, rtol=0, atol=1e-14)
    assert torch.equal(state["spikes"], spikes[-1])


def test_recurrent_weight_gradient():
    """With a linear membrane in place of spikes the gradient has a closed form: y_2 = a y_1 + x_2 + W y_1."""
    layer = sl.nn.Recurrent(sl.nn.Neuron(sl.LI(tau=10.0)), 3).double()
    x = seeded(2, 1, 3).double()
    y, _ = layer(x)
    y[1].sum().backward()
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, x[0, 0].expand(3, 3), rtol=0, atol=1e-15)


def test_recurrent_weight_gradient_through_spikes():
    """One neuron, two steps: x_1 makes it spike, w brings it back. d s_2 / d w = surrogate(u_2) s_1."""
    layer = sl.nn.Recurrent(sl.nn.Neuron(sl.IF(), surrogate=sl.Triangle(width=2.0)), 1).double()
    layer.weight.data.fill_(0.25)
    y, _ = layer(torch.tensor([1.0, 0.5], dtype=torch.float64).view(2, 1, 1))
    assert y.flatten().tolist() == [1.0, 0.0]
    y[1].sum().backward()
    # v_2 = 0 + 0.5 + 0.25, u = -0.25, triangle of width 2: 1 - 0.125
    assert layer.weight.grad is not None
    assert layer.weight.grad.item() == 0.875


def test_recurrent_starts_in_its_range():
    weight = sl.nn.Recurrent(sl.nn.Neuron(sl.LIF()), 100).weight
    assert weight.abs().max() <= 0.1
    assert abs(weight.std().item() - 0.1 / math.sqrt(3)) < 0.003


@pytest.mark.parametrize("steps", [50, 100])
def test_direct_coding_of_an_integrator_is_regular_coding(steps):
    values = (torch.arange(65) / 64).view(5, 13)
    spikes, _ = sl.nn.Neuron(sl.IF())(sl.encode.direct(values, steps))
    assert torch.equal(spikes, sl.encode.regular(values, steps))


# Dropout


def test_dropout_keeps_one_mask_over_time():
    layer = sl.nn.Dropout(0.25)
    torch.manual_seed(0)
    y, state = layer(torch.ones(5, 8, 1000))
    assert torch.equal(y, y[:1].expand(5, 8, 1000))
    assert set(y.unique().tolist()) == {0.0, (torch.ones(1) / 0.75).item()}
    kept = (y[0] > 0).double().mean().item()
    assert abs(kept - 0.75) < 4 * math.sqrt(0.25 * 0.75 / 8000)
    assert not torch.equal(y[0, 0], y[0, 1])  # every sample has its own
    later, same = layer(torch.ones(3, 8, 1000), state)
    assert torch.equal(later[0], y[0])
    assert torch.equal(same["mask"], state["mask"])
    assert not torch.equal(layer(torch.ones(3, 8, 1000))[0][0], y[0])


def test_dropout_of_whole_channels():
    y, _ = sl.nn.Sequential(torch.nn.Dropout2d(0.5))(torch.ones(3, 4, 50, 6, 6))
    per_channel = y.flatten(3)
    assert torch.equal(per_channel, per_channel[..., :1].expand_as(per_channel))
    assert 0.3 < (y > 0).double().mean() < 0.7


def test_dropout_in_evaluation_and_without_chance():
    x = seeded(3, 2, 4)
    layer = sl.nn.Dropout(0.5)
    _, state = layer(x)
    assert layer.eval()(x)[0] is x
    assert torch.equal(layer(x, state)[1]["mask"], state["mask"])
    assert sl.nn.Dropout(0.0)(x)[0] is x


def test_torch_dropout_is_replaced():
    net = sl.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Dropout1d(0.2), torch.nn.Dropout3d(0.1))
    assert [type(m) for m in net.children()] == [sl.nn.Dropout] * 3
    assert [(m.p, m.whole_channels) for m in net.children()] == [(0.3, False), (0.2, True), (0.1, True)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "module",
    [
        torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5)),
        torch.nn.TransformerEncoderLayer(2, 1, 2, dropout=0.1),
        torch.nn.AlphaDropout(0.5),
    ],
    ids=lambda m: type(m).__name__,
)
def test_a_hidden_dropout_is_refused(module):
    """Inside a plain module it would draw another mask in every step."""
    with pytest.raises(ModelError, match=r"another mask in every step.*sl\.nn\.Dropout"):
        sl.nn.Sequential(module)


def test_a_hidden_dropout_without_chance_is_fine():
    x = seeded(2, 1, 2)
    assert torch.equal(sl.nn.Sequential(torch.nn.Sequential(torch.nn.Dropout(0.0)))(x)[0], x)


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, math.nan])
def test_dropout_needs_a_chance(p):
    with pytest.raises(ParameterError, match="0 <= p < 1"):
        sl.nn.Dropout(p)


# Refusals


def test_unusable_inputs():
    layer = sl.nn.Neuron(sl.LIF())
    for kind in (torch.int64, torch.bool, torch.complex64):
        with pytest.raises(ShapeError, match=r"not floating point.*\.float\(\)"):
            layer(torch.ones(3, 2, 4, dtype=kind))
    with pytest.raises(ShapeError, match=r"shape \(3,\).*\[T, B, \.\.\.\].*unsqueeze\(0\)"):
        layer(torch.ones(3))
    with pytest.raises(ShapeError, match="got list, expected a tensor"):
        layer([1.0, 2.0])


@pytest.mark.parametrize("x", [torch.zeros(50, 64), torch.zeros(8, 8)], ids=["too few axes", "T * B fits by chance"])
def test_a_forgotten_batch_axis(x):
    net = sl.nn.Sequential(torch.nn.Linear(64, 10), sl.nn.Neuron(sl.LIF()))
    with pytest.raises(ShapeError, match=r"Linear.*batch axis.*unsqueeze\(1\)"):
        net(x)


def test_errors_of_plain_modules_are_their_own():
    net = sl.nn.Sequential(torch.nn.Linear(64, 10))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        net(torch.zeros(2, 3, 65))
    with pytest.raises(ModelError, match=r"LSTM returns no tensor.*sl\.nn\.Layer"):
        sl.nn.Sequential(torch.nn.LSTM(4, 1))(torch.zeros(2, 3, 4))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_name_layer_and_state(bad):
    inner = sl.nn.Sequential(torch.nn.Identity(), sl.nn.Neuron(sl.ALIF()))
    net = sl.nn.Sequential(sl.nn.Residual(sl.nn.Recurrent(sl.nn.Neuron(sl.LI()), 2)), inner)
    x = torch.zeros(3, 2, 2)
    x[1, 0, 1] = bad
    with pytest.raises(NonFiniteError, match=r"in layer 0\.block\.neuron: LI: state v is not finite.*NaN in the input"):
        net(x)
    with pytest.raises(NonFiniteError, match=r"in layer 1: ALIF: state v is not finite: got 1 values"):
        inner(x)
    with sl.backend("reference"), pytest.raises(NonFiniteError, match="ALIF: state v"):
        inner[1](x)


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, True, "20", None])
def test_unusable_time_constants_and_steps(value):
    with pytest.raises(ParameterError, match="LIF: tau"):
        sl.LIF(tau=value)
    with pytest.raises(ParameterError, match=r"^dt: .*finite time > 0"):
        sl.nn.Neuron(sl.LIF(), dt=value)


def test_a_step_may_have_a_unit():
    x = seeded(5, 1, 2)
    plain, _ = sl.nn.Neuron(sl.LI(), dt=0.5)(x)
    assert torch.equal(plain, sl.nn.Neuron(sl.LI(), dt=0.0005 * sl.second)(x)[0])
    with pytest.raises(sl.errors.DimensionError):
        sl.nn.Neuron(sl.LI(), dt=0.5 * sl.mV)


def test_what_is_no_part_of_a_net():
    neuron = sl.nn.Neuron(sl.LIF())
    with pytest.raises(ModelError, match=r"plain torch container.*spiking layers inside.*Use sl\.nn\.Sequential"):
        sl.nn.Sequential(torch.nn.Sequential(torch.nn.Linear(1, 1), neuron))
    with pytest.raises(ModelError, match=r"got LIF, expected a torch module. Wrap it: sl\.nn\.Neuron"):
        sl.nn.Sequential(sl.LIF())
    with pytest.raises(ModelError, match="got list"):
        sl.nn.Sequential([neuron])
    with pytest.raises(ParameterError, match=r"NeuronModel such as sl\.LIF\(\)"):
        sl.nn.Neuron(torch.nn.ReLU())
    with pytest.raises(ModelError, match=r"no state or input 'w'"):
        sl.nn.Neuron(sl.LIF(), into="w")
    with pytest.raises(ParameterError, match=r"into: got the timer remaining"):
        sl.nn.Neuron(sl.Refractory(sl.LIF()), into="remaining")
    with pytest.raises(ParameterError, match=r"surrogate.*a value such as sl\.ATan\(\)"):
        sl.nn.Neuron(sl.LIF(), surrogate=sl.ATan)
    with pytest.raises(ParameterError, match=r"solver.*a value such as"):
        sl.nn.Neuron(sl.LIF(), solver=sl.solvers.RK4)
    with pytest.raises(ParameterError, match=r"expected an sl\.nn\.Neuron"):
        sl.nn.Recurrent(sl.LIF(), 4)


def test_recurrent_and_residual_check_their_shapes():
    for size in (0, 2.0, True):
        with pytest.raises(ParameterError, match="whole number"):
            sl.nn.Recurrent(sl.nn.Neuron(sl.LIF()), size)
    for shape in ((2, 1, 3), (2, 4), (2, 1, 4, 1)):
        with pytest.raises(ShapeError, match=r"\[T, B, 4\]"):
            sl.nn.Recurrent(sl.nn.Neuron(sl.LIF()), 4)(torch.zeros(shape))
    with pytest.raises(ShapeError, match=r"\(2, 1, 1\), expected \(2, 1, 4\)"):
        sl.nn.Residual(torch.nn.Linear(4, 1))(torch.zeros(2, 1, 4))


def test_an_uncoupled_solver_is_refused_at_once():
    with pytest.raises(ModelError, match="not linear"):
        sl.nn.Neuron(sl.HodgkinHuxley(), solver=sl.solvers.Exact())


def test_nothing_in_a_sequential_changes_nothing() -> None:
    x = torch.rand(3, 2, 4)
    y, state = sl.nn.Sequential()(x)
    assert torch.equal(y, x)
    assert not state
