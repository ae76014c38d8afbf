"""Ways in which a reset or a threshold can be wrong without an error (TRAPS 10 to 19), against hand-made numbers.

Both backends run every test; the fixture asserts that they did.
"""

import itertools
import math
import pickle

import pytest
import torch

import spikeloom as sl
from spikeloom.errors import ModelError, ParameterError

TAU_09 = -1 / math.log(0.9)  # exp(-1 / tau) = 0.9


@pytest.fixture(params=[None, "reference"], ids=["default", "reference"])
def backend(request):
    sl.last_kernels()
    with sl.backend(request.param):
        yield
    ran = sl.last_kernels()
    assert ran
    assert {name.split("/")[1] for name in ran} == {request.param or "cpu"}


def run(model: sl.NeuronModel, *drives: float, **options) -> tuple[list[float], list[float]]:
    """Spikes and recorded membranes of one neuron, in float64."""
    layer = sl.nn.Neuron(model, **options)
    with sl.record(layer, "v") as rec:
        y, _ = layer(torch.tensor(drives, dtype=torch.float64).view(-1, 1, 1))
    return y.flatten().tolist(), rec[""]["v"].flatten().tolist()


def test_trap_10_a_residual_above_threshold_fires_again(backend):
    """With the reset in the same step, a residual above threshold undoes it: silent at 1.35, 1.215, ..."""
    spikes, v = run(sl.LIF(tau=TAU_09), 2.5, 0.0, 0.0)
    assert spikes == [1.0, 1.0, 0.0]
    assert v == pytest.approx([1.5, 0.35, 0.315], abs=1e-12)


def test_trap_11_the_reset_belongs_to_the_step_of_the_spike(backend):
    """The reset is applied one step late, and the returned membrane shows the value before it."""
    spikes, v = run(sl.LIF(tau=TAU_09), 1.25, 0.0)
    assert spikes == [1.0, 0.0]
    assert v == pytest.approx([0.25, 0.225], abs=1e-12)  # the late reset would give 1.25, 0.125
    assert run(sl.LIF(tau=TAU_09, reset_mechanism="value", v_reset=0.1), 1.25)[1] == [0.1]


def atan(u: float) -> float:
    """The default surrogate at the distance u from the threshold."""
    return 1 / (1 + (math.pi / 2 * u) ** 2)


@pytest.mark.parametrize(
    ("model", "detached", "expected"),
    [
        # v_0 = x - s(x) = 0.2 and v_1 = u - s(u) with u = 0.9 v_0 = 0.18
        (sl.LIF(tau=TAU_09), True, 0.9),
        (sl.LIF(tau=TAU_09), False, (1 - atan(0.18 - 1)) * 0.9 * (1 - atan(0.2))),
        # reset to 0.5: v_0 = x + s(x) (0.5 - x) = 0.5 and v_1 = u + s(u) (0.5 - u) with u = 0.45
        (sl.LIF(tau=TAU_09, reset_mechanism="value", v_reset=0.5), True, 0.0),
        (
            sl.LIF(tau=TAU_09, reset_mechanism="value", v_reset=0.5),
            False,
            (1 + (0.5 - 0.45) * atan(0.45 - 1)) * 0.9 * (0.5 - 1.2) * atan(0.2),
        ),
    ],
    ids=["subtract, detached", "subtract", "value, detached", "value"],
)
@pytest.mark.parametrize("recurrent", [False, True], ids=["feed-forward", "recurrent"])
def test_trap_12_gradient_through_the_reset(backend, model, detached, expected, recurrent):
    """Cut or not depending on an option that is about something else, or on the layer being recurrent."""
    layer: torch.nn.Module = sl.nn.Neuron(model, surrogate=sl.ATan(detach_reset=detached))
    if recurrent:
        layer = sl.nn.Recurrent(layer, 1).double()  # type: ignore[arg-type]
        layer.weight.data.zero_()
    x = torch.tensor([1.2, 0.0], dtype=torch.float64).view(2, 1, 1).requires_grad_()
    with sl.record(layer, "v") as rec:
        layer(x)
    (gradient,) = torch.autograd.grad(rec["neuron" if recurrent else ""]["v"][1].sum(), x)
    assert gradient[0].item() == pytest.approx(expected, abs=1e-12)


def test_trap_12_detached_is_the_default(backend):
    """Defaults differ between frameworks and even between the layers of one."""
    assert sl.ATan().detach_reset
    x = torch.tensor([1.2], dtype=torch.float64).view(1, 1, 1).requires_grad_()
    _, state = sl.nn.Neuron(sl.LIF(tau=TAU_09))(x)
    state["v"].sum().backward()
    assert x.grad is not None
    assert x.grad.item() == 1.0


def test_trap_13_fires_when_the_threshold_is_reached(backend):
    """`>` in some frameworks and `>=` in others: integer-weight nets land exactly on the threshold."""
    spikes, v = run(sl.IF(), 0.25, 0.25, 0.25, 0.25)
    assert spikes == [0.0, 0.0, 0.0, 1.0]
    assert v[-1] == 0.0
    below = 1.0 - 2.0**-53
    assert run(sl.IF(), below)[0] == [0.0]
    assert run(sl.LIF(v_rest=-65.0, v_threshold=-50.0, reset_mechanism="value", v_reset=-65.0), 15.0)[0] == [1.0]
    assert run(sl.ALIF(), 1.0)[0] == [1.0]
    single, _ = sl.nn.Neuron(sl.IF(v_threshold=3.0))(torch.full((3, 1, 1), 1.0))
    assert single.flatten().tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.0])
def test_trap_13_any_threshold_is_a_lower_bound(backend, threshold):
    """A threshold at or below rest is reached at once; dividing by threshold - rest would turn the comparison round."""
    model = sl.LIF(tau=TAU_09, v_threshold=threshold, v_reset=-2.0, reset_mechanism="value")
    spikes, v = run(model, 0.0, 0.0, 5.0)
    first = 1.0 if threshold <= 0 else 0.0
    assert spikes == [first, 0.0, 1.0]
    assert v == pytest.approx([-2.0 * first, -1.8 * first, -2.0], abs=1e-12)


def test_trap_14_one_spike_per_step(backend):
    """3.7 gives three spikes in one step, on which binary losses and binary kernels are wrong."""
    spikes, v = run(sl.IF(), 3.7, 0.0, 0.0, 0.0, 0.0)
    assert spikes == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert v == pytest.approx([2.7, 1.7, 0.7, 0.7, 0.7], abs=1e-12)


def test_trap_15_a_reset_value_waits_for_a_spike(backend):
    """A reset value of -0.5 is added in every step, spike or not, and drifts to -2 in four silent ones."""
    model = sl.LIF(tau=TAU_09, reset_mechanism="value", v_reset=-0.5)
    assert run(model, 0.0, 0.0, 0.0, 0.0) == ([0.0] * 4, [0.0] * 4)
    spikes, v = run(model, 1.0, 0.0, 0.0)
    assert spikes == [1.0, 0.0, 0.0]
    assert v == pytest.approx([-0.5, -0.45, -0.405], abs=1e-12)


def test_trap_16_a_model_cannot_be_changed_halfway(backend):
    """Setting the reset mechanism after construction leaves the equations as they were."""
    model = sl.LIF(tau=TAU_09)
    for name, value in (("reset_mechanism", "value"), ("tau", 5.0), ("beta", 0.9)):
        with pytest.raises(ModelError, match=rf"frozen value; {name} cannot be set.*replace"):
            setattr(model, name, value)
    other = model.replace(reset_mechanism="value", v_reset=-0.25)
    assert run(model, 1.5)[1] == [0.5]
    assert run(other, 1.5)[1] == [-0.25]
    assert other.tau == model.tau
    with pytest.raises(ParameterError, match="subtract or value or none"):
        sl.LIF(reset_mechanism="zero")


def test_trap_17_no_layer_adds_a_delay(backend):
    """A spike is made from the potential before the input, so that each layer of a stack adds one step."""
    net = sl.nn.Sequential(*(sl.nn.Neuron(sl.IF()) for _ in range(4)))
    x = torch.zeros(5, 1, 1)
    x[2] = 1.0
    assert torch.equal(net(x)[0], x)
    recurrent = sl.nn.Recurrent(sl.nn.Neuron(sl.IF()), 1)
    recurrent.weight.data.fill_(1.0)  # and the way back takes exactly one step
    assert recurrent(x)[0].flatten().tolist() == [0.0, 0.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("drive", [1.0, 0.5, 0.25])
@pytest.mark.parametrize(("t_ref", "dt", "held"), [(0.0, 1.0, 0), (5.0, 1.0, 5), (4.2, 1.0, 5), (1.1, 0.1, 11)])
def test_trap_18_refractory_steps_are_as_many_as_documented(backend, drive, t_ref, dt, held):
    """A refractory time of 5 steps gives an interval of 6 or 5, depending on the framework: here 5 + time to fire."""
    spikes, _ = run(sl.Refractory(sl.IF(), t_ref=t_ref), *([drive] * 60), dt=dt)
    fired = [t for t, s in enumerate(spikes) if s]
    assert fired[0] == 1 / drive - 1
    assert {b - a for a, b in itertools.pairwise(fired)} == {held + 1 / drive}


def test_trap_18_adaptation_and_reset_are_of_each_neuron_alone(backend):
    """The threshold rises by the sum over the batch (1.6 at batch 32), and a winner resets all that crossed."""
    layer = sl.nn.Neuron(sl.ALIF(tau=TAU_09))
    x = torch.zeros(1, 32, 3)
    x[0, :, 0], x[0, :, 1] = 1.5, 0.5
    y, state = layer(x)
    assert y.sum((0, 1)).tolist() == [32.0, 0.0, 0.0]
    assert torch.equal(state["a"], y[0])
    torch.testing.assert_close(state["v"], torch.tensor([0.5, 0.5, 0.0]).expand(32, 3))


def test_trap_19_membranes_go_below_zero(backend):
    """A "LIF" with its membrane clipped at zero, without reset and with a random bias."""
    spikes, v = run(sl.LIF(tau=TAU_09), -1.0, 0.0, 2.0)
    assert spikes == [0.0, 0.0, 1.0]
    assert v == pytest.approx([-1.0, -0.9, 0.19], abs=1e-12)
    assert run(sl.LIF(tau=TAU_09), 0.0) == ([0.0], [0.0])


def test_surrogates_and_models_of_a_net_are_values():
    """Closures cannot be pickled; values can, and equal ones are equal."""
    for value in (sl.LIF(tau=3.0), sl.Refractory(sl.ALIF(), t_ref=2.0), sl.Triangle(width=0.5), sl.solvers.RK4()):
        assert pickle.loads(pickle.dumps(value)) == value
