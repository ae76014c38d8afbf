"""Learned parameters: their start, their gradients, their range, and their way through files."""

import copy
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import spikeloom as sl
from spikeloom.errors import ParameterError

STEPS, BATCH, NEURONS = 20, 3, 4


class Bounded(sl.NeuronModel):
    """A leak with one bound below, one above, two, and none."""

    low = sl.param(5.0, sl.ms, low=1.0)
    high = sl.param(-0.5, high=0.0)
    both = sl.param(0.25, low=0.0, high=1.0)
    free = sl.param(0.0)
    v = sl.state(0.0)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": (self.both * x.i + self.high * s.v + self.free) / self.low}


def drive(seed: int = 0) -> torch.Tensor:
    return torch.rand(STEPS, BATCH, NEURONS, generator=torch.Generator().manual_seed(seed)).double() * 0.5


class _Spike(torch.autograd.Function):
    """A step whose derivative is 1 / (1 + (pi u / 2)^2): the surrogate written once more, for comparison."""

    @staticmethod
    def forward(ctx, u):
        ctx.save_for_backward(u)
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[override]
        (u,) = ctx.saved_tensors
        return grad / (1 + (math.pi / 2 * u) ** 2)


def hand_lif(x, tau, threshold, rest):
    """The default LIF by hand, with torch's autograd: jump, compare, subtract, all in one step."""
    v, spikes = rest.expand(x.shape[1:]), []
    for x_t in x:
        v = rest + (v - rest) * torch.exp(-1 / tau) + x_t
        s = _Spike.apply((v - threshold) / (threshold - rest))
        v = v - s.detach() * (threshold - rest)
        spikes.append(s)
    return torch.stack(spikes), v


@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize("name", [None, "reference"], ids=["default", "reference"])
def test_gradients_equal_those_of_the_written_out_neuron(name, per_neuron):
    values = {"tau": 6.0, "v_threshold": 0.9, "v_rest": -0.1}
    given = {k: np.linspace(0.8, 1.2, NEURONS) * v if per_neuron else v for k, v in values.items()}
    layer = sl.nn.Neuron(sl.LIF(**given), learn=tuple(values)).double()
    x = drive().requires_grad_()
    weights = torch.linspace(-1, 2, STEPS * BATCH * NEURONS, dtype=torch.float64).view(STEPS, BATCH, NEURONS)
    sl.last_kernels()
    with sl.backend(name):
        y, state = layer(x)
        ((y * weights).sum() + (state["v"] ** 2).sum()).backward()
    kind = name or "cpu"
    assert f"scan/{kind}/LIF/forward" in sl.last_kernels()
    leaves = [value.detach().clone().requires_grad_() for value in layer.learned().values()]
    x2 = x.detach().clone().requires_grad_()
    spikes, v = hand_lif(x2, *leaves)
    ((spikes * weights).sum() + (v**2).sum()).backward()
    assert torch.equal(y, spikes)
    assert 0.05 < y.mean() < 0.95
    torch.testing.assert_close(x.grad, x2.grad, rtol=1e-11, atol=1e-12)
    for key, leaf in zip(values, leaves, strict=True):
        raw = layer.raw[key]
        # tau lies above 0 by a softplus of its size 20, the two voltages are free and have size 1.
        slope = 20 * torch.sigmoid(raw) if key == "tau" else torch.ones_like(raw)
        assert leaf.grad is not None
        assert leaf.grad.abs().min() > 0
        torch.testing.assert_close(raw.grad, leaf.grad * slope, rtol=1e-10, atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    """Without a threshold the membrane is a smooth function of every parameter, with any kind of bound."""
    model = Bounded(low=np.array([1.5, 5.0, 40.0, 300.0]), high=-0.3, both=0.9, free=0.2)
    layer = sl.nn.Neuron(model, learn=tuple(Bounded.params), into="i", dt=0.5).double()
    x = drive()

    def loss() -> torch.Tensor:
        return (layer(x)[0] ** 2).sum()

    loss().backward()
    for raw in layer.raw.values():
        assert raw.grad is not None
        for index in np.ndindex(tuple(raw.shape)):
            with torch.no_grad():
                start, found = raw[index].item(), []
                for step in (1e-5, -1e-5):
                    raw[index] = start + step
                    found.append(loss().item())
                raw[index] = start
            expected = (found[0] - found[1]) / 2e-5
            assert abs(raw.grad[index].item() - expected) < 1e-6 * max(1.0, abs(expected))


@pytest.mark.parametrize("tau", [0.01, 2.0, 20.0, 1e4, np.array([0.5, 3.0, 20.0, 700.0])], ids=str)
def test_values_start_as_in_the_model(tau):
    layer = sl.nn.Neuron(sl.LI(tau=tau), learn="tau")
    value = layer.learned()["tau"]
    assert value.shape == np.shape(tau)
    np.testing.assert_allclose(value.detach().numpy(), tau, rtol=2e-6)
    plain, _ = sl.nn.Neuron(sl.LI(tau=tau))(drive().float())
    torch.testing.assert_close(layer(drive().float())[0], plain, rtol=1e-5, atol=1e-6)


def test_learned_values_are_parameters_and_nothing_else_is():
    layer = sl.nn.Neuron(sl.ALIF(tau=np.full((2, 1, 1), 20.0)), learn=("tau", "beta"))
    assert [(n, tuple(p.shape)) for n, p in layer.named_parameters()] == [("raw.tau", (2, 1, 1)), ("raw.beta", ())]
    assert list(layer.state_dict()) == ["raw.tau", "raw.beta"]
    assert "learn=('tau', 'beta')" in repr(layer)
    assert list(sl.nn.Neuron(sl.LIF()).parameters()) == []
    y, _ = layer(torch.rand(10, 3, 2, 4, 4))
    y.sum().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in layer.parameters())


def test_a_channels_gradient_is_the_sum_over_its_neurons():
    taus, x = np.array([4.0, 9.0]).reshape(2, 1, 1), torch.rand(9, 3, 2, 4, 5, dtype=torch.float64)
    per_channel = sl.nn.Neuron(sl.LIF(tau=taus), learn="tau").double()
    per_neuron = sl.nn.Neuron(sl.LIF(tau=np.broadcast_to(taus, (2, 4, 5))), learn="tau").double()
    for layer in (per_channel, per_neuron):
        y, state = layer(x)
        (y.sum() + (state["v"] ** 2).sum()).backward()
    few, many = per_channel.raw["tau"].grad, per_neuron.raw["tau"].grad
    assert few is not None
    assert many is not None
    assert few.abs().min() > 0
    torch.testing.assert_close(few, many.sum((1, 2), keepdim=True), rtol=1e-6, atol=0)


BOUNDS = {"low": (1.0, math.inf), "high": (-math.inf, 0.0), "both": (0.0, 1.0), "free": (-math.inf, math.inf)}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("raw", [-1e4, -200.0, -20.0, 0.0, 20.0, 200.0, 1e4])
def test_no_raw_value_leaves_the_open_range(raw, dtype):
    layer = sl.nn.Neuron(Bounded(), learn=tuple(BOUNDS), into="i").to(dtype)
    for parameter in layer.parameters():
        parameter.data.fill_(raw)
    for name, value in layer.learned().items():
        low, high = BOUNDS[name]
        assert low < value.item() < high


@pytest.mark.parametrize("model", [sl.LIF(), sl.LI(), sl.ALIF()], ids=repr)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_steps_far_too_large_stay_finite(model, sign):
    """A time constant that reached 0 would divide by it."""
    names = [n for n in ("tau", "tau_adaptation") if n in model.params]
    layer = sl.nn.Neuron(model, learn=names)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1e5)
    x = drive().float()
    for _ in range(4):
        optimiser.zero_grad()
        y, state = layer(x)
        (sign * (y.sum() + state["v"].sum())).backward()
        optimiser.step()
        assert all(bool(torch.isfinite(p.grad).all()) for p in layer.parameters() if p.grad is not None)
        assert all(0 < v.item() < math.inf for v in layer.learned().values())
    assert abs(layer.raw["tau"].item()) > 100
    assert bool(torch.isfinite(layer(x)[1]["v"]).all())


def test_learning_finds_the_time_constant():
    x, target = drive(), sl.nn.Neuron(sl.LI(tau=5.0))(drive())[0]
    layer = sl.nn.Neuron(sl.LI(tau=20.0), learn="tau").double()
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(120):
        optimiser.zero_grad()
        ((layer(x)[0] - target) ** 2).mean().backward()
        optimiser.step()
    assert abs(layer.learned()["tau"].item() - 5.0) < 0.05


def test_through_a_file_and_a_copy(tmp_path):
    model = sl.LIF(tau=np.linspace(5.0, 20.0, NEURONS))
    layer = sl.nn.Neuron(model, learn=("tau", "v_threshold"))
    layer.raw["tau"].data.add_(0.3)
    save_file(layer.state_dict(), tmp_path / "net.safetensors")
    fresh = sl.nn.Neuron(model, learn=("tau", "v_threshold"))
    assert not torch.equal(fresh.learned()["tau"], layer.learned()["tau"])
    fresh.load_state_dict(load_file(tmp_path / "net.safetensors"))
    copied = copy.deepcopy(layer)
    x = drive().float()
    y, state = layer(x)
    for other in (fresh, copied):
        again, state2 = other(x)
        assert torch.equal(again, y)
        assert torch.equal(state2["v"], state["v"])
    copied.raw["tau"].data.zero_()
    assert torch.equal(layer(x)[1]["v"], state["v"])


def test_what_cannot_be_learned():
    with pytest.raises(ParameterError, match=r"LIF has no parameter 'tua' to learn\. Did you mean tau\?"):
        sl.nn.Neuron(sl.LIF(), learn=("tua",))
    with pytest.raises(ParameterError, match="has no parameter 'reset_mechanism'"):
        sl.nn.Neuron(sl.LIF(), learn="reset_mechanism")


@pytest.mark.parametrize(
    ("model", "into", "name"),
    [
        (sl.LIF(), "v", "v_reset"),  # a reset by subtraction does not use it
        (sl.LIF(), "v", "r"),  # jumps of the membrane do not pass the resistance
        (sl.IF(), "v", "c"),
        (sl.Refractory(sl.LIF(), t_ref=3.0), "v", "t_ref"),  # rounded to whole steps
        (sl.Peak(sl.LIF(), v_peak=3.0), "v", "v_peak"),  # seen by recorders only
    ],
)
def test_a_parameter_that_no_gradient_reaches_is_refused(model, into, name):
    """It would be in the optimiser and never move; data-parallel training would wait for its gradient for ever."""
    with pytest.raises(ParameterError, match=rf"no gradient reaches {name} with into='v'\. Learnable here: .*"):
        sl.nn.Neuron(model, into=into, learn=name)


@pytest.mark.parametrize(
    ("model", "into"),
    [
        (sl.LIF(reset_mechanism="value"), "i"), (sl.ALIF(), "i"), (sl.IF(reset_mechanism="value"), "i"), (sl.LI(), "i"),
        (sl.Refractory(sl.LIF(), t_ref=2.0), "i"), (sl.LIF(reset_mechanism="none"), "v"),
    ],
    ids=str,
)  # fmt: skip
def test_every_parameter_that_is_accepted_gets_a_gradient(model, into):
    accepted = []
    for name in model.params:
        try:
            accepted.append((name, sl.nn.Neuron(model, into=into, learn=name)))
        except ParameterError:
            continue
    assert len(accepted) >= 2
    for name, layer in accepted:
        with sl.backend("reference"):
            y, state = layer(drive().float() * 8)
        (y.sum() + sum(part.sum() for part in state.values())).backward()
        gradient = layer.raw[name].grad
        assert gradient is not None, name
        assert gradient.abs() > 0, name


def test_a_start_on_a_bound_is_refused():
    class Coupled(sl.NeuronModel):
        tau = sl.param(5.0, sl.ms, low=0.0)
        a = sl.param(0.5, low=0.0, inclusive=True)
        v = sl.state(0.0)
        i = sl.input()

        def derivative(self, s, x):
            return {"v": (self.a * x.i - s.v) / self.tau}

    with pytest.raises(ParameterError, match="a starts at its bound: got 0"):
        sl.nn.Neuron(Coupled(a=0.0), into="i", learn="a")
