"""Watching hidden layers: names, values, gradients, and that watching changes nothing."""

import threading

import pytest
import torch

import spikeloom as sl
from spikeloom.errors import ParameterError, StateError


@pytest.fixture(autouse=True)
def _same_weights_in_every_run():
    torch.manual_seed(0)


def inputs(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2


def nested() -> sl.nn.Sequential:
    return sl.nn.Sequential(
        torch.nn.Linear(4, 5), sl.nn.Neuron(sl.LIF(tau=5.0)),
        sl.nn.Residual(torch.nn.Linear(5, 5), sl.nn.Neuron(sl.ALIF(tau=5.0)), torch.nn.Dropout(0.5)),
        sl.nn.Recurrent(sl.nn.Neuron(sl.LIF(tau=5.0)), 5), sl.nn.Neuron(sl.LI()),
    )  # fmt: skip


def test_names_are_those_of_named_modules():
    net = nested()
    with sl.record(net, "v", "a") as rec:
        assert rec.names() == []
        y, state = net(inputs(7, 3, 4))
    assert rec.names() == ["1", "2.block.1", "3.neuron", "4"]
    modules = dict(net.named_modules())
    assert all(isinstance(modules[name], sl.nn.Neuron) for name in rec.names())
    for name in rec.names()[:3]:
        assert rec[name].spikes.shape == (7, 3, 5)
        assert set(rec[name].spikes.unique().tolist()) <= {0.0, 1.0}
        assert rec[name]["v"].shape == (7, 3, 5)
    assert rec["4"].spikes is None
    assert torch.equal(rec["4"]["v"], y)
    # ends of the recorded runs are the returned states
    assert torch.equal(rec["1"]["v"][-1], state["1"]["v"])
    assert torch.equal(rec["2.block.1"]["a"][-1], state["2"]["block"]["1"]["a"])
    assert torch.equal(rec["3.neuron"]["v"][-1], state["3"]["neuron"]["v"])
    assert torch.equal(rec["3.neuron"].spikes[-1], state["3"]["spikes"])
    assert list(rec["1"].states) == ["v"]
    assert list(rec["2.block.1"].states) == ["v", "a"]


def test_recorded_membrane_is_the_one_after_the_reset():
    layer = sl.nn.Neuron(sl.IF())
    with sl.record(layer, "v") as rec:
        layer(torch.tensor([0.75, 0.75, 0.25, 0.5]).view(4, 1, 1))
    assert rec[""]["v"].flatten().tolist() == [0.75, 0.5, 0.75, 0.25]
    assert rec[""].spikes.flatten().tolist() == [0.0, 1.0, 0.0, 1.0]
    shown = sl.nn.Neuron(sl.Peak(sl.IF(), v_peak=30.0))
    with sl.record(shown, "v") as rec:
        _, state = shown(torch.tensor([0.75, 0.75, 0.25, 0.5]).view(4, 1, 1))
    assert rec[""]["v"].flatten().tolist() == [0.75, 30.0, 0.75, 30.0]
    assert state["v"].item() == 0.25


def test_watching_changes_nothing():
    net, x = nested().eval(), inputs(9, 2, 4)
    y, state = net(x)
    with sl.record(net, "v", "a"):
        again, same = net(x)
    assert torch.equal(again, y)
    for a, b in zip(*map(torch.utils._pytree.tree_leaves, (state, same)), strict=True):
        assert torch.equal(a, b)


def test_spikes_alone():
    layer = sl.nn.Neuron(sl.LIF())
    with sl.record(layer) as rec:
        y, _ = layer(inputs(5, 1, 2))
    assert torch.equal(rec[""].spikes, y)
    assert dict(rec[""].states) == {}
    with pytest.raises(StateError, match=r"'v' was not recorded\. .*Name it in sl\.record"):
        rec[""]["v"]


def test_unknown_names():
    net = nested()
    with sl.record(net, "v") as rec:
        net(inputs(2, 1, 4))
    with pytest.raises(ParameterError, match=r"no layer '11' was recorded\. Did you mean 1\?"):
        rec["11"]
    with pytest.raises(StateError, match=r"'a' was not recorded"):
        rec["1"]["a"]


def test_gradients_flow_from_recorded_states_and_spikes():
    """v_t of a leaky integrator is the sum of x_k decay^(t - k); each spike adds the surrogate at its distance."""
    decay = torch.exp(torch.tensor(-1 / 5.0)).double()
    net = sl.nn.Sequential(torch.nn.Identity(), sl.nn.Neuron(sl.LIF(tau=5.0), surrogate=sl.Triangle(width=2.0)))
    x = torch.tensor([0.25, 0.25, 0.25]).double().view(3, 1, 1).requires_grad_()
    with sl.record(net, "v") as rec:
        net(x)
    (by_state,) = torch.autograd.grad(rec["1"]["v"][1].sum(), x, retain_graph=True)
    torch.testing.assert_close(by_state.flatten(), torch.stack([decay, torch.ones_like(decay), 0 * decay]))
    (by_spike,) = torch.autograd.grad(rec["1"].spikes[0].sum(), x)
    assert by_spike.flatten().tolist() == [1 - 0.75 / 2, 0.0, 0.0]


def test_hidden_gradients_reach_the_weights():
    net = nested()
    with sl.record(net, "v") as rec:
        net(inputs(6, 2, 4))
    (rec["3.neuron"]["v"] ** 2).sum().backward()
    assert net[0].weight.grad is not None  # type: ignore[union-attr]
    assert net[0].weight.grad.abs().max() > 0  # type: ignore[union-attr]
    assert net[3].weight.grad.abs().max() > 0  # type: ignore[union-attr]


def test_recurrent_steps_are_joined():
    layer = sl.nn.Recurrent(sl.nn.Neuron(sl.ALIF(tau=4.0)), 4)
    x = inputs(15, 2, 4)
    with sl.record(layer, "v", "a") as rec:
        y, _ = layer(x)
    assert rec.names() == ["neuron"]
    assert torch.equal(rec["neuron"].spikes, y)
    state, rows = None, []
    for step in x.split(1):
        _, state = layer(step, state)
        rows.append(torch.stack([state["neuron"]["v"], state["neuron"]["a"]]))
    found = torch.stack([rec["neuron"]["v"], rec["neuron"]["a"]], dim=1)
    assert torch.equal(found, torch.stack(rows))
    assert y.sum() > 0


def test_no_steps_at_all():
    net = nested()
    with sl.record(net, "v") as rec:
        y, state = net(inputs(0, 2, 4))
    assert y.shape == (0, 2, 5)
    assert rec.names() == ["1", "2.block.1", "3.neuron", "4"]
    assert {rec[name]["v"].shape for name in rec.names()} == {(0, 2, 5)}
    assert rec["3.neuron"].spikes.shape == (0, 2, 5)
    assert net(inputs(3, 2, 4), state)[0].shape == (3, 2, 5)


def test_each_call_replaces_the_record():
    layer = sl.nn.Neuron(sl.LIF())
    with sl.record(layer) as rec:
        layer(inputs(5, 1, 2))
        first = rec[""].spikes
        layer(inputs(3, 1, 2))
    assert first.shape[0] == 5
    assert rec[""].spikes.shape[0] == 3


def test_nested_blocks_and_other_nets():
    net, other = nested(), sl.nn.Neuron(sl.LIF())
    with sl.record(net, "v") as outer, sl.record(net[2]) as inner, sl.record(other) as third:
        net(inputs(4, 1, 4))
    assert outer.names() == ["1", "2.block.1", "3.neuron", "4"]
    assert inner.names() == ["block.1"]
    assert third.names() == []
    assert torch.equal(outer["2.block.1"].spikes, inner["block.1"].spikes)
    assert dict(inner["block.1"].states) == {}


def test_an_exception_ends_the_recording():
    layer, recorders = sl.nn.Neuron(sl.LIF()), []

    def interrupted() -> None:
        with sl.record(layer, "v") as rec:
            recorders.append(rec)
            layer(inputs(4, 1, 2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    (rec,) = recorders
    kept = rec[""].spikes
    layer(inputs(9, 1, 2))
    assert rec[""].spikes is kept
    with sl.record(layer) as rec, pytest.raises(sl.SpikeloomError):
        layer(torch.zeros(3))
    assert rec.names() == []


def test_a_recorder_belongs_to_its_thread():
    layer = sl.nn.Neuron(sl.LIF())
    with sl.record(layer) as rec:
        thread = threading.Thread(target=layer, args=(inputs(4, 1, 2),))
        thread.start()
        thread.join()
    assert rec.names() == []


@pytest.mark.parametrize("name", [None, "reference"], ids=["default", "reference"])
def test_both_backends_show_the_same(name):
    net, x = nested().eval(), inputs(8, 2, 4)
    sl.last_kernels()
    with sl.backend(name), sl.record(net, "v") as rec:
        net(x)
    assert {k.split("/")[1] for k in sl.last_kernels()} == {name or "cpu"}
    with sl.record(net, "v") as plain:
        net(x)
    for layer in rec.names():
        torch.testing.assert_close(rec[layer]["v"], plain[layer]["v"], rtol=1e-5, atol=1e-6)
