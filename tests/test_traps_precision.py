"""Half precision and layout (TRAPS 35, 45, 46)."""

import pytest
import torch

import spikeloom as sl

HALVES = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("name", [None, "reference"], ids=["default", "reference"])
@pytest.mark.parametrize("dtype", HALVES)
def test_trap_45_small_inputs_add_up_in_half_precision(dtype, name):
    """A state in the input's type stops growing: 1000 times 0.01 is 4.0 in bfloat16 and 9.95 in float16."""
    x = torch.full((1000, 1, 1), 0.01, dtype=dtype)
    exact = 1000 * x[0].double().item()  # what the rounded input adds up to: 10.01 and 10.002
    sl.last_kernels()
    with sl.backend(name):
        spikes, state = sl.nn.Neuron(sl.IF())(x)
        _, unreset = sl.nn.Neuron(sl.IF(v_threshold=1e6))(x)
    assert {k.split("/")[1] for k in sl.last_kernels()} == {name or "cpu"}
    assert spikes.dtype == dtype
    assert spikes.sum(dtype=torch.float32).item() == 10
    assert unreset["v"].dtype == torch.float32
    assert unreset["v"].item() == pytest.approx(exact, rel=2e-5)
    assert state["v"].item() == pytest.approx(exact - 10, abs=2e-4)


@pytest.mark.parametrize("dtype", HALVES)
def test_trap_45_states_in_chunks_stay_wide(dtype):
    """Carrying the state in the input's type would round it between calls."""
    x = torch.full((1000, 1, 1), 0.01, dtype=dtype)
    layer = sl.nn.Neuron(sl.IF(v_threshold=1e6))
    whole, state = layer(x)[1], None
    for part in x.split(100):
        _, state = layer(part, state)
    assert state is not None
    assert torch.equal(state["v"], whole["v"])


def test_trap_45_numbers_beyond_half_precision():
    """Models whose quantities pass 65504 overflow in float16."""
    x = torch.full((3, 1, 1), 60000.0, dtype=torch.float16)
    spikes, state = sl.nn.Neuron(sl.IF(v_threshold=150000.0))(x)
    assert spikes.flatten().tolist() == [0.0, 0.0, 1.0]
    assert state["v"].item() == 30000.0


@pytest.mark.parametrize("dtype", HALVES)
def test_trap_46_gradients_are_summed_wide(dtype):
    """Sums of many terms in half precision lose counts beyond 2048 (and 256): so would a gradient over time."""
    x = torch.ones(5000, 1, 1, dtype=dtype)
    layer = sl.nn.Neuron(sl.LI(tau=1e9), learn=("v_rest",))
    _, state = layer(x)
    assert state["v"].item() == pytest.approx(5000.0, rel=1e-5)
    y, _ = layer(x)
    y.float().sum().backward()
    assert layer.raw["v_rest"].grad is not None
    assert layer.raw["v_rest"].grad.item() == pytest.approx(5000.0, rel=1e-5)


@pytest.mark.parametrize("name", [None, "reference"], ids=["default", "reference"])
def test_trap_35_a_spike_lasts_one_step_and_time_comes_first(name):
    """Cumulative spike waves stay 1 for all later steps, and T sits where the batch should be."""
    x = torch.zeros(6, 2, 3)
    x[1, 0, 2] = x[4, 1, 0] = 1.0
    with sl.backend(name):
        y, _ = sl.nn.Neuron(sl.LIF())(x)
    assert torch.equal(y, x)
