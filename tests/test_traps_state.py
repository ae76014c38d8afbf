"""Ways in which other frameworks leak state between calls (TRAPS 1 to 9), each with what happens here.

Where the other traps of the catalogue are tested, or who will own them:

===========  ==========================================================================================
8            tests/test_nn_torch.py (two processes)
10 to 19     tests/test_traps_reset.py
20 to 26     tests/test_traps_leak.py
27 to 31     tests/test_traps_surrogates.py
32, 33, 36   tests/test_spikes.py, tests/test_coding.py (silent nets, layout, latency of a zero)
34           tests/test_train.py (averaging before or after the softmax)
32 to 36     tests/test_losses.py (the same five, in the losses)
35, 45, 46   tests/test_traps_precision.py and tests/test_spikes.py (not cumulative, half precision, counts)
57, 59       tests/test_contract.py and tests/test_nn_learn.py (gradient parity of every backend)
60           below
61           tests/test_data.py, tests/test_train.py (disjoint splits; the test images choose nothing)
===========  ==========================================================================================

Not applicable yet, with the layer that will own them: 37 event data sets (data/); 38 to 44 delays (kernels/delay/, nn/,
sim/); 47 to 49 conversion (nn/); 50 to 53 NIR (nir); 18 (batch sums of weight updates), 54 to 56 and 58 learning rules
(plasticity/, learn/).
"""

import copy
import gc
import math
import weakref

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.errors import StateError

TAU_09 = -1 / math.log(0.9)  # exp(-1 / tau) = 0.9


def halves(steps: int = 1) -> torch.Tensor:
    return torch.full((steps, 1, 1), 0.5)


def nested() -> sl.nn.Sequential:
    inner = sl.nn.Sequential(sl.nn.Neuron(sl.LIF(tau=TAU_09)))
    return sl.nn.Sequential(sl.nn.Residual(inner))


def test_trap_01_nested_layers_start_afresh_and_other_nets_stay():
    """A reset function misses nested layers, and zeroes unrelated nets of the same class."""
    a, b = nested(), nested()
    first, state_a = a(halves(2))
    _, state_b = b(halves(1))
    assert torch.equal(a(halves(2))[0], first)  # nested, and yet nothing is left from the first call
    a(halves(2), state_a)
    y, state_b = b(halves(1), state_b)  # 0.5, then 0.95
    assert state_b["0"]["block"]["0"]["v"].item() == pytest.approx(0.95, abs=1e-7)
    assert y.item() == 0.5


def test_trap_01_nets_die_and_copies_live():
    """A list of instances on the class keeps every neuron alive and never learns of copies."""
    nets = [nested() for _ in range(5)]
    twin = copy.deepcopy(nets[0])
    expected = nets[0](halves(3))[0]
    assert torch.equal(twin(halves(3))[0], expected)
    assert torch.equal(twin(halves(3))[0], expected)
    watched = [weakref.ref(module) for net in nets for module in net.modules()]
    del nets
    gc.collect()
    assert [ref() for ref in watched] == [None] * len(watched)


def test_trap_02_a_call_without_state_starts_afresh():
    """Two identical calls give 0.50 and then 0.95, since the membrane stays on the module."""
    layer = sl.nn.Neuron(sl.LI(tau=TAU_09))
    first, state = layer(halves())
    second, _ = layer(halves())
    assert (first.item(), second.item()) == (0.5, 0.5)
    carried, _ = layer(halves(), state)
    assert carried.item() == pytest.approx(0.95, abs=1e-7)


def test_trap_03_same_input_same_output_and_a_second_backward():
    """Silent, then firing on the same input; a second backward fails on the freed graph of the first."""
    layer, x = sl.nn.Neuron(sl.IF()), torch.full((3, 2, 1), 0.25, requires_grad=True)
    for _ in range(2):
        y, _ = layer(x)
        assert y.flatten().tolist() == [0.0] * 6
        y.sum().backward()


def test_trap_03_a_smaller_last_batch_is_the_same_as_alone():
    """A change of the batch size silently starts afresh, so that the last batch of an epoch means something else."""
    layer = sl.nn.Neuron(sl.LIF(tau=TAU_09))
    x = torch.rand(20, 5, 8, generator=torch.Generator().manual_seed(0))
    before, _ = layer(x[:, :2])
    layer(x)
    assert torch.equal(layer(x[:, :2])[0], before)


def test_trap_03_reset_values_follow_the_module():
    """Tensor-valued reset values stay behind on `.to()` and `.half()`."""
    model = sl.LIF(v_rest=np.array([-65.0, -70.0]), v_threshold=-50.0, v_reset=-60.0, reset_mechanism="value")
    for dtype, kept in ((torch.float64, torch.float64), (torch.float16, torch.float32)):
        layer = sl.nn.Neuron(model).to(dtype)
        _, state = layer(torch.tensor([[[30.0, 0.0]]], dtype=dtype))
        assert state["v"].dtype == kept
        assert state["v"].tolist() == [[-60.0, -70.0]]


def test_trap_04_another_batch_size_is_an_error_and_draws_nothing():
    """States of a new batch size are drawn at random from the old rows; the batch-shaped membrane is in state_dict."""
    layer = sl.nn.Neuron(sl.LIF())
    _, state = layer(torch.rand(3, 4, 2))
    generator = torch.get_rng_state()
    with pytest.raises(StateError, match=r"got shape \(4, 2\), expected \(2, 2\)"):
        layer(torch.rand(3, 2, 2, generator=torch.Generator()), state)
    layer(torch.zeros(3, 2, 2))
    assert torch.equal(torch.get_rng_state(), generator)
    assert list(layer.state_dict()) == []


def test_trap_05_every_sample_keeps_its_own_state():
    """After a batched call only the state of sample 0 is left, and enters the next call."""
    layer = sl.nn.Neuron(sl.LI(tau=TAU_09))
    _, state = layer(torch.tensor([[[0.1], [0.2], [0.3]]]))
    y, _ = layer(torch.zeros(1, 3, 1), state)
    torch.testing.assert_close(y.flatten(), torch.tensor([0.09, 0.18, 0.27]))


@pytest.mark.parametrize("name", [None, "reference"], ids=["default", "reference"])
def test_trap_06_the_callers_tensors_stay_as_they_are(name):
    """The input is zeroed in place during refractoriness, and the caller's dictionary is changed."""
    layer = sl.nn.Neuron(sl.Refractory(sl.LIF(tau=TAU_09), t_ref=2.0))
    x = torch.rand(30, 2, 3, generator=torch.Generator().manual_seed(0)) * 2
    _, state = layer(x)
    kept_x, kept_state = x.clone(), {n: part.clone() for n, part in state.items()}
    streams, given = {"v": x.requires_grad_()}, dict(state)
    with sl.backend(name):
        y, _ = layer(x, state)
        y.sum().backward()
        sl.scan(layer.model, streams, given)
    assert y.sum() > 5
    assert torch.equal(x, kept_x)
    assert all(torch.equal(state[n], part) for n, part in kept_state.items())
    assert list(streams) == ["v"]
    assert streams["v"] is x
    assert all(given[n] is part for n, part in state.items())


def test_trap_07_a_state_of_another_batch_size_says_so():
    """A crash deep inside, without a word on what to do."""
    layer = sl.nn.Neuron(sl.LIF())
    _, state = layer(torch.zeros(3, 4, 2))
    with pytest.raises(StateError, match=r"Start a new batch with state=None"):
        layer(torch.zeros(3, 5, 2), state)


@pytest.mark.parametrize("dt", [1.0, 0.25, 0.001])
def test_trap_09_the_start_is_the_rest_and_a_spike_is_1(dt):
    """Runs start from a random membrane, and spikes are 1/dt high, so that their sum is no count."""
    layer = sl.nn.Neuron(sl.LIF(v_rest=-65.0, v_threshold=-50.0), dt=dt)
    _, state = layer(torch.zeros(1, 3, 2))
    assert torch.equal(state["v"], torch.full((3, 2), -65.0))
    spikes, _ = layer(torch.full((4, 1, 1), 15.0))
    assert spikes.flatten().tolist() == [1.0] * 4


@pytest.mark.parametrize("name", [None, "reference"], ids=["default", "reference"])
def test_trap_60_tensors_of_a_run_can_be_used_again(name):
    """States that are written in place break the gradient of nets which use a tensor twice."""
    layer = sl.nn.Neuron(sl.LIF(tau=TAU_09))
    x = torch.rand(6, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    with sl.backend(name), sl.record(layer, "v") as rec:
        y, state = layer(x)
        again, last = layer(x + y + rec[""]["v"], state)
        (again.sum() + (last["v"] * state["v"]).sum() + (x * y).sum()).backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())
    assert (x.grad != 0).double().mean() > 0.9
