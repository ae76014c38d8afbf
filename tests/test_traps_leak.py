"""Ways in which a time constant can mean something else than it says (TRAPS 20 to 26)."""

import math

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.errors import DimensionError, ModelError, ParameterError


@pytest.fixture(params=[None, "reference"], ids=["default", "reference"])
def backend(request):
    sl.last_kernels()
    with sl.backend(request.param):
        yield
    ran = sl.last_kernels()
    assert ran
    assert {name.split("/")[1] for name in ran} == {request.param or "cpu"}


def membrane(model: sl.NeuronModel, *drives: float, **options) -> list[float]:
    layer = sl.nn.Neuron(model, **options)
    with sl.record(layer, "v") as rec:
        layer(torch.tensor(drives, dtype=torch.float64).view(-1, 1, 1))
    return rec[""]["v"].flatten().tolist()


def test_trap_20_the_leak_is_exact(backend):
    """Euler's 1 - dt/tau, exp(-dt/tau) and bit shifts live side by side: 0.5 or 0.607 at tau = 2 steps."""
    assert membrane(sl.LI(tau=2.0), 0.5, 0.0) == pytest.approx([0.5, 0.5 * math.exp(-0.5)], abs=1e-15)
    euler = membrane(sl.LI(tau=2.0), 0.5, 0.0, solver=sl.solvers.ForwardEuler())
    assert euler == pytest.approx([0.5, 0.25], abs=1e-15)  # the other neuron, on request and by name


@pytest.mark.parametrize("dt", [1.0, 0.5, 0.1, 7.0])
def test_trap_20_the_step_does_not_change_the_neuron(backend, dt):
    """With an exact leak the membrane at a given time is the same for any step."""
    steps = round(14.0 / dt)
    v = membrane(sl.LI(tau=10.0), 1.0, *([0.0] * steps), dt=dt)
    assert v[-1] == pytest.approx(math.exp(-1.4), abs=1e-14)


@pytest.mark.parametrize("tau", [2, 1.0, 0.5, 1, np.float32(2.0), torch.tensor(2.0)], ids=repr)
def test_trap_21_any_positive_time_constant(backend, tau):
    """`tau=2` and `tau=1.0` are assertion errors without a text."""
    decay = math.exp(-1 / float(tau))
    assert membrane(sl.LIF(tau=tau), 0.5, 0.25) == pytest.approx([0.5, 0.5 * decay + 0.25], abs=1e-15)


def test_trap_21_weighted_spikes_are_not_divided_by_tau(backend):
    """Input that is divided by tau by default: weights do not transfer, and a change of tau rescales them."""
    for tau in (2.0, 20.0, 200.0):
        assert membrane(sl.LIF(tau=tau), 0.5) == [0.5]
        held = membrane(sl.LIF(tau=tau), 0.5, into="i")  # a held current is filtered, and says so by its name
        assert held == pytest.approx([0.5 * -math.expm1(-1 / tau)], rel=1e-12)


def test_trap_22_a_decay_of_one_half_is_one_half(backend):
    """A `beta` that enters as exp(-(1 - beta)): 0.6065 for 0.5."""
    assert membrane(sl.LI(tau=-1 / math.log(0.5)), 0.5, 0.0, 0.0) == pytest.approx([0.5, 0.25, 0.125], abs=1e-15)


def test_trap_23_one_name_for_one_constant():
    """Assigning alpha where tau is stored gives tau = 0.9989 without a word."""
    with pytest.raises(ParameterError, match="LIF has no parameter 'alpha'"):
        sl.LIF(alpha=0.9)
    with pytest.raises(ParameterError, match=r"no parameter 'beta'"):
        sl.LIF(beta=0.9)
    with pytest.raises(ModelError, match="frozen"):
        sl.LIF().tau = 0.02


def test_trap_24_units_are_checked_and_converted():
    """Rates in 1/s beside text that says 1/ms, with dt in s: a factor of 1000."""
    assert sl.LIF(tau=0.02 * sl.second) == sl.LIF(tau=20.0 * sl.ms) == sl.LIF(tau=20.0)
    with pytest.raises(DimensionError, match="tau has the wrong dimension: got Hz, expected ms"):
        sl.LIF(tau=100.0 * sl.Hz)
    with pytest.raises(DimensionError, match="v_threshold"):
        sl.LIF(v_threshold=1.0 * sl.ms)


@pytest.mark.parametrize("tau", [1.0, 5.0, 50.0])
@pytest.mark.parametrize("dt", [1.0, 0.5])
def test_trap_24_a_constant_input_settles_at_itself(backend, tau, dt):
    """A constant input of 1 settles at 4 with default constants, and at something else for another step."""
    steps = round(30 * tau / dt)
    assert membrane(sl.LI(tau=tau), *([1.0] * steps), into="i", dt=dt)[-1] == pytest.approx(1.0, abs=1e-12)


def test_trap_24_learned_parameters_are_seen_by_torch():
    """Cell parameters that are in neither parameters() nor state_dict() are never trained or saved."""
    layer = sl.nn.Neuron(sl.LIF(), learn=("tau",))
    assert len(list(layer.parameters())) == 1
    assert list(layer.state_dict()) == ["raw.tau"]


def test_trap_25_time_constants_are_in_ms_and_learned_on_request(backend):
    """Time constants in steps change the neuron with dt; learned by default; some layers scale their input."""
    decay = math.exp(-0.5 / 20.0)
    assert membrane(sl.LIF(tau=20.0), 0.5, 0.0, dt=0.5) == pytest.approx([0.5, 0.5 * decay], abs=1e-15)
    assert list(sl.nn.Neuron(sl.LIF()).parameters()) == []
    for into in ("v", "i"):
        fires, reads = (membrane(m, 0.5, 0.25, into=into) for m in (sl.LIF(tau=5.0), sl.LI(tau=5.0)))
        assert fires == reads


class Cuba(sl.NeuronModel):
    """A synaptic current that spikes jump, and a membrane that it drives."""

    tau = sl.param(10.0, sl.ms, low=0.0)
    tau_syn = sl.param(5.0, sl.ms, low=0.0)
    v_threshold = sl.param(1e9, sl.mV)
    v = sl.state(0.0, sl.mV)
    i_syn = sl.state(0.0, sl.mV)

    def derivative(self, s, x):
        return {"v": (s.i_syn - s.v) / self.tau, "i_syn": -s.i_syn / self.tau_syn}

    def threshold(self, s):
        return s.v - self.v_threshold

    def reset(self, s):
        return {"v": 0.0}


def test_trap_25_a_synaptic_current_jumps_by_the_weight(backend):
    """A current that is decayed in the step in which its input arrives never reaches the weight."""
    layer = sl.nn.Neuron(Cuba(), into="i_syn")
    with sl.record(layer, "v", "i_syn") as rec:
        layer(torch.tensor([0.5] + [0.0] * 30, dtype=torch.float64).view(-1, 1, 1))
    t = np.arange(31)
    # i = w exp(-t / tau_s), v = w tau_s / (tau - tau_s) (exp(-t / tau) - exp(-t / tau_s)) after the jump
    np.testing.assert_allclose(rec[""]["i_syn"].flatten(), 0.5 * np.exp(-t / 5.0), rtol=1e-12)
    expected = 0.5 * (5.0 / (10.0 - 5.0)) * (np.exp(-t / 10.0) - np.exp(-t / 5.0))
    np.testing.assert_allclose(rec[""]["v"].flatten(), expected, rtol=0, atol=1e-13)


def test_trap_26_values_out_of_range_are_errors():
    """A decay that is clipped to [0, 1] at run time hides that learning left the range."""
    for tau in (0.0, -5.0, np.array([20.0, -1.0]), -0.001 * sl.second):
        with pytest.raises(ParameterError, match=r"tau is out of range: got .*expected > 0 ms"):
            sl.LIF(tau=tau)
