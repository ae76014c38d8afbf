"""Online learning: which gradient it is, against backpropagation through time, and how much memory it takes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

import spikeloom as sl
from spikeloom.errors import ModelError, ShapeError, StateError
from spikeloom.learn import Online

STEPS, BATCH, INPUTS = 40, 3, 5
SOFT = sl.ATan(detach_reset=False)

LAYERS = {
    "LIF": lambda: sl.nn.Neuron(sl.LIF(tau=6.0)),
    "LIF, reset to a value": lambda: sl.nn.Neuron(sl.LIF(tau=6.0, reset_mechanism="value", v_reset=-0.2)),
    "LIF, through the reset": lambda: sl.nn.Neuron(sl.LIF(tau=6.0), surrogate=SOFT),
    "LIF, learned": lambda: sl.nn.Neuron(sl.LIF(tau=6.0), learn=("tau", "v_threshold", "v_rest")),
    "LIF, learned one by one": lambda: sl.nn.Neuron(
        sl.LIF(tau=torch.linspace(3, 9, 7).numpy(), v_rest=torch.linspace(-0.2, 0.2, 7).numpy()),
        learn=("tau", "v_rest"),
    ),
    "LIF, refractory": lambda: sl.nn.Neuron(sl.Refractory(sl.LIF(tau=6.0), t_ref=2.0)),
    "ALIF": lambda: sl.nn.Neuron(sl.ALIF(tau=6.0, tau_adaptation=30.0, beta=0.3)),
    "ALIF, through the reset": lambda: sl.nn.Neuron(
        sl.ALIF(tau=6.0, tau_adaptation=30.0, beta=0.3), surrogate=SOFT, learn=("beta", "tau_adaptation")
    ),
    "LI": lambda: sl.nn.Neuron(sl.LI(tau=9.0), learn=("tau",)),
    "two states": lambda: sl.nn.Neuron(sl.Izhikevich(), into="i"),
}


def loss(y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return ((y - target) ** 2 * torch.linspace(1, 2, y.shape[1], dtype=y.dtype)).sum()


def data(outputs: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    x = (torch.rand(STEPS, BATCH, INPUTS, dtype=torch.float64) < 0.4).double()
    return x, torch.rand(STEPS, BATCH, outputs, dtype=torch.float64)


def learned_online(net: sl.nn.Sequential, x: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, list]:
    """Outputs of all steps and the gradients they left behind."""
    net.zero_grad()
    learner, traces, outputs = Online(net, loss), None, []
    for x_t, target in zip(x, targets, strict=True):
        y, value, traces = learner.step(x_t, target, traces)
        torch.testing.assert_close(value, loss(y, target))
        outputs.append(y)
    return torch.stack(outputs), [p.grad.clone() for p in net.parameters()]


def assert_same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert float(theirs.norm()) > 0
        assert float((ours - theirs).norm()) <= 1e-9 * float(theirs.norm())


def driven(linear: torch.nn.Linear, layer: sl.nn.Neuron) -> torch.nn.Linear:
    """Weights with which the neurons fire."""
    with torch.no_grad():
        linear.weight.mul_(40.0 if layer.into == "i" else 1.5)
    return linear


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_one_layer_is_backpropagation_through_time(name: str, bias: bool):
    torch.manual_seed(0)
    layer = LAYERS[name]()
    net = sl.nn.Sequential(driven(torch.nn.Linear(INPUTS, 7, bias=bias), layer), layer).double()
    x, targets = data(7)
    y, _ = net(x)
    if name != "LI":
        assert 0.01 < float(y.detach().mean()) < 0.9
    sum(loss(a, b) for a, b in zip(y, targets, strict=True)).backward()
    expected = [p.grad.clone() for p in net.parameters()]
    found, gradients = learned_online(net, x, targets)
    assert float((found - y).detach().abs().max()) < 1e-12
    assert_same(gradients, expected)


@pytest.mark.parametrize("backend", ["reference", None])
def test_recurrent_layers_drop_the_way_through_recurrent_spikes(backend: str | None):
    """Against backpropagation through a loop by hand in which spikes come back detached (e-prop)."""
    torch.manual_seed(0)
    neuron = sl.nn.Neuron(sl.ALIF(tau=6.0, tau_adaptation=30.0, beta=0.3), learn=("tau",))
    net = sl.nn.Sequential(driven(torch.nn.Linear(INPUTS, 8), neuron), sl.nn.Recurrent(neuron, 8)).double()
    x, targets = data(8)
    spikes, state, total = torch.zeros(BATCH, 8, dtype=torch.float64), None, 0.0
    for x_t, target in zip(x, targets, strict=True):
        current = net[0](x_t) + spikes.detach() @ net[1].weight.T
        y, state = neuron(current.unsqueeze(0), state)
        spikes = y[0]
        total = total + loss(spikes, target)
    total.backward()
    expected = [p.grad.clone() for p in net.parameters()]
    with sl.backend(backend):
        found, gradients = learned_online(net, x, targets)
    torch.testing.assert_close(found, net(x)[0], rtol=1e-12, atol=1e-12)
    assert_same(gradients, expected)


def stack() -> sl.nn.Sequential:
    torch.manual_seed(0)
    first, second = sl.nn.Neuron(sl.ALIF(tau=6.0, tau_adaptation=30.0, beta=0.3)), sl.nn.Neuron(sl.LIF(tau=8.0))
    return sl.nn.Sequential(
        driven(torch.nn.Linear(INPUTS, 9), first), first, driven(torch.nn.Linear(9, 6), second), second,
        torch.nn.Linear(6, 2), sl.nn.Neuron(sl.LI(tau=10.0)),
    ).double()  # fmt: skip


def test_stacks_drop_the_ways_through_states_of_other_layers():
    """OSTL by backpropagation: how z of each layer changes over time, times what z means for the loss of its step."""
    net, (x, targets) = stack(), data(2)
    inputs, states = [x], []
    for index in (0, 2, 4):  # each layer by itself over the whole sequence, to see its input and its states
        pair, kept, state = sl.nn.Sequential(net[index], net[index + 1]), [None], None
        for x_t in inputs[-1].split(1):
            _, state = pair(x_t, state)
            kept.append(state.detach())
        states.append(kept)
        inputs.append(pair(inputs[-1])[0].detach())
    expected = []
    for layer in range(3):
        pair = sl.nn.Sequential(net[2 * layer], net[2 * layer + 1])
        z, _ = pair(inputs[layer])  # with its graph over all steps, but of this layer alone
        signals = []
        for t in range(STEPS):
            z_t = z[t : t + 1].detach().requires_grad_()
            y = z_t
            for above in range(layer + 1, 3):  # one step through the layers above, from states that stand still
                y, _ = sl.nn.Sequential(net[2 * above], net[2 * above + 1])(y, states[above][t])
            signals.append(torch.autograd.grad(loss(y[0], targets[t]), z_t)[0])
        expected += torch.autograd.grad(z, list(net[2 * layer].parameters()), torch.cat(signals))
    found, gradients = learned_online(net, x, targets)
    torch.testing.assert_close(found, net(x)[0], rtol=1e-12, atol=1e-12)
    assert_same(gradients, expected)


def test_a_stack_whose_upper_layers_forget_drops_nothing():
    """With a read-out that leaks everything within a step, a later loss cannot see an earlier spike."""
    torch.manual_seed(0)
    hidden = sl.nn.Neuron(sl.LIF(tau=6.0))
    net = sl.nn.Sequential(
        driven(torch.nn.Linear(INPUTS, 9), hidden), hidden, torch.nn.Linear(9, 2), sl.nn.Neuron(sl.LI(tau=0.01))
    ).double()
    x, targets = data(2)
    sum(loss(a, b) for a, b in zip(net(x)[0], targets, strict=True)).backward()
    expected = [p.grad.clone() for p in net.parameters()]
    assert_same(learned_online(net, x, targets)[1], expected)


def test_the_last_layer_of_a_stack_is_exact_and_the_first_is_not():
    net, (x, targets) = stack(), data(2)
    sum(loss(a, b) for a, b in zip(net(x)[0], targets, strict=True)).backward()
    expected = [p.grad.clone() for p in net.parameters()]
    found = learned_online(net, x, targets)[1]
    assert_same(found[4:], expected[4:])
    assert float((found[0] - expected[0]).norm()) > 0.01 * float(expected[0].norm())
    assert float(torch.cosine_similarity(found[0].flatten(), expected[0].flatten(), dim=0)) > 0.3


def test_frozen_weights_get_no_gradient_and_others_add_up():
    net, (x, targets) = stack(), data(2)
    net[0].weight.requires_grad_(False)
    net[2].bias.grad = torch.full((6,), 100.0, dtype=torch.float64)
    learner = Online(net, loss)
    learner.step(x[0], targets[0])
    assert net[0].weight.grad is None
    assert net[0].bias.grad is not None
    first = net[2].bias.grad.clone()
    learner.step(x[0], targets[0])
    torch.testing.assert_close(net[2].bias.grad - first, first - 100.0)


def test_it_learns():
    """A delayed answer: which of two inputs fired at the beginning, asked for at the end."""
    torch.manual_seed(0)
    layer = sl.nn.Recurrent(sl.nn.Neuron(sl.ALIF(tau=10.0, tau_adaptation=60.0, beta=0.2)), 30)
    net = sl.nn.Sequential(torch.nn.Linear(3, 30), layer, torch.nn.Linear(30, 2), sl.nn.Neuron(sl.LI(tau=5.0)))
    x, labels = torch.zeros(18, 8, 3), torch.arange(8) % 2
    x[:6, torch.arange(8), labels] = 1.0
    x[12:, :, 2] = 1.0  # between the two, nothing comes in

    def asked(y: torch.Tensor, now: bool) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(y, labels) if now else 0.0 * y.sum()

    learner, optimiser = Online(net, asked), torch.optim.Adam(net.parameters(), lr=0.03)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        traces, total = None, 0.0
        for t, x_t in enumerate(x):
            _, value, traces = learner.step(x_t, t >= 12, traces)
            total += float(value) / 6
        optimiser.step()
        losses.append(total)
    assert losses[-1] < 0.2 < 0.6 < losses[0]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_does_not_depend_on_the_length():
    """3,000 steps; with 10,000 it is the same, and takes longer."""
    torch.manual_seed(0)
    net = sl.nn.Sequential(torch.nn.Linear(5, 64), sl.nn.Neuron(sl.LIF()))
    learner, traces = Online(net, loss), None
    held = {}
    for step in range(1, 3_001):
        _, _, traces = learner.step(torch.rand(16, 5), torch.zeros(16, 64), traces)
        if step in (100, 3_000):
            held[step] = int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    assert held[3_000] - held[100] < 2048  # KiB; 2,900 states and outputs, if kept, would be 23 MiB


def test_other_nets_are_refused():
    linear, neuron = torch.nn.Linear(3, 3), sl.nn.Neuron(sl.LIF())
    for parts, place in (
        ([neuron], 0), ([linear], 0), ([linear, neuron, torch.nn.Dropout(0.5), neuron], 2),
        ([linear, neuron, linear], 2), ([linear, torch.nn.ReLU()], 1), ([torch.nn.Conv1d(3, 3, 1), neuron], 0),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=f"part {place} of the net.*expected pairs of"):
            Online(sl.nn.Sequential(*parts), loss)
    for net in (sl.nn.Sequential(), torch.nn.Sequential(linear), neuron):
        with pytest.raises(ModelError, match=r"expected an sl\.nn\.Sequential"):
            Online(net, loss)
    with pytest.raises(ModelError, match="two places"):
        Online(sl.nn.Sequential(linear, neuron, linear, neuron), loss)


def test_bad_steps():
    learner, (x, targets) = Online(stack(), loss), data(2)
    with pytest.raises(ShapeError, match="no time axis"):
        learner.step(x, targets)
    traces = learner.step(x[0], targets[0]).traces
    with pytest.raises(StateError, match="another net or batch"):
        learner.step(x[0, :2], targets[0, :2], traces)
    with pytest.raises(StateError, match="another net or batch"):
        learner.step(x[0], targets[0], traces[:2])
