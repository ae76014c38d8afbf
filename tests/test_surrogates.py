"""L2: surrogate derivatives: one peak, a width, a height, and nothing far away."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle

import numpy as np
import pytest
import scipy.integrate
import torch

import spikeloom as sl
from spikeloom.errors import ParameterError
from spikeloom.lang.evaluate import evaluate
from spikeloom.lang.expr import symbol
from spikeloom.surrogates import SURROGATES, ATan, FastSigmoid, Gaussian, Sigmoid, Surrogate, Triangle

KINDS = pytest.mark.parametrize("kind", SURROGATES, ids=lambda kind: kind.__name__)
POINTS = (-7.3, -2.0, -0.99, -0.6, -0.2, -1e-3, 1e-3, 0.31, 0.5, 0.98, 1.7, 12.0)


def test_all_public_surrogates_are_in_the_list() -> None:
    assert set(SURROGATES) == {sl.ATan, sl.FastSigmoid, sl.Sigmoid, sl.Triangle, sl.Gaussian}


@pytest.mark.parametrize(
    ("kind", "at_half", "at_one", "at_two"),
    [
        (ATan, 1 / (1 + (math.pi / 4) ** 2), 1 / (1 + (math.pi / 2) ** 2), 1 / (1 + math.pi**2)),
        (FastSigmoid, 1 / 2.25, 1 / 4, 1 / 9), (Triangle, 0.5, 0.0, 0.0),
        (Sigmoid, *(1 / math.cosh(x / 2) ** 2 for x in (0.5, 1.0, 2.0))),
        (Gaussian, math.exp(-0.125), math.exp(-0.5), math.exp(-2.0)),
    ],
)  # fmt: skip
def test_shapes_by_hand(kind: type[Surrogate], at_half: float, at_one: float, at_two: float) -> None:
    found = [kind().derivative(x) for x in (0.5, 1.0, 2.0)]
    np.testing.assert_allclose(found, [at_half, at_one, at_two], rtol=1e-14)
    assert kind(width=4.0).derivative(2.0) == pytest.approx(at_half, rel=1e-14)


@KINDS
@pytest.mark.parametrize(("width", "height"), [(1.0, 1.0), (0.1, 1.0), (25.0, 1.0), (1.0, 0.3), (0.5, 2.0)])
def test_the_peak_is_the_height_whatever_the_width(kind: type[Surrogate], width: float, height: float) -> None:
    surrogate = kind(width=width, height=height)
    assert surrogate.derivative(0.0) == height
    for u in POINTS:
        assert surrogate.derivative(u) == pytest.approx(height * kind().derivative(u / width), rel=1e-12, abs=1e-300)
        assert 0.0 <= surrogate.derivative(u) < height


@KINDS
def test_symmetric_and_falling_off_on_both_sides(kind: type[Surrogate]) -> None:
    x = torch.linspace(0.0, 50.0, 4001, dtype=torch.float64)
    above, below = kind().derivative(x), kind().derivative(-x)
    assert torch.equal(above, below)
    steps = above.diff()
    assert bool((steps <= 0).all())
    assert bool((steps[above[1:] > 1e-12] < 0).all())
    assert above[-1] < 5e-4  # a gradient that never falls off would be 1 here


@KINDS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("width", [1.0, 0.04])
def test_finite_far_from_the_threshold_in_every_precision(kind: type[Surrogate], dtype, width: float) -> None:
    far = [-1e4, -100.0, -5.0, -1e-4, 0.0, 1e-4, 5.0, 100.0, 1e4]
    u = torch.tensor(far, dtype=dtype)
    found = kind(width=width).derivative(u)
    assert found.dtype == dtype
    assert bool(torch.isfinite(found).all())
    assert found[4] == 1.0
    expected = [kind(width=width).derivative(float(v)) for v in u]
    tolerance = 8 * torch.finfo(dtype).eps
    np.testing.assert_allclose(found.double().numpy(), expected, rtol=0.0, atol=tolerance)
    assert max(found[0], found[-1]) < 1e-3


@KINDS
def test_the_smooth_step_is_the_integral_of_the_derivative(kind: type[Surrogate]) -> None:
    surrogate = kind(width=0.7, height=1.4)
    assert surrogate.smooth(0.0) == 0.5
    assert kind().primitive(0.0) == 0.5
    for u in POINTS:
        kinks = [k for k in (-0.7, 0.0, 0.7) if min(0.0, u) < k < max(0.0, u)]
        area, _ = scipy.integrate.quad(surrogate.derivative, 0.0, u, points=kinks or None, epsabs=1e-13)
        assert surrogate.smooth(u) - 0.5 == pytest.approx(area, rel=1e-10, abs=1e-12)
        h = 1e-4
        slope = (surrogate.smooth(u + h) - surrogate.smooth(u - h)) / (2 * h)
        assert slope == pytest.approx(surrogate.derivative(u), rel=1e-6, abs=1e-7)


@KINDS
def test_recorded_as_an_expression_it_computes_the_same(kind: type[Surrogate]) -> None:
    surrogate = kind(width=0.3, height=0.9)
    u = torch.tensor(POINTS, dtype=torch.float64)
    for method in (surrogate.derivative, surrogate.smooth):
        (found,) = evaluate([method(symbol("u"))], {"u": u})
        np.testing.assert_allclose(found.numpy(), [method(x) for x in POINTS], rtol=1e-14, atol=1e-300)


def test_triangle_is_zero_outside_on_both_sides() -> None:
    u = torch.tensor([-100.0, -1.0001, -1.0, 1.0, 1.0001, 100.0], dtype=torch.float64)
    assert torch.equal(Triangle().derivative(u), torch.zeros(6, dtype=torch.float64))
    assert Triangle(width=0.5).derivative(0.4999) > 0.0


# -- values


@KINDS
@pytest.mark.parametrize("field", ["width", "height"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, True, "1", None])
def test_width_and_height_are_positive_numbers(kind: type[Surrogate], field: str, value) -> None:
    with pytest.raises(ParameterError, match=f"{kind.__name__}: {field}: .*expected a finite number > 0"):
        kind(**{field: value})


@KINDS
def test_surrogates_are_values(kind: type[Surrogate]) -> None:
    surrogate = kind(width=0.5)
    for same in (kind(0.5), copy.deepcopy(surrogate), pickle.loads(pickle.dumps(surrogate))):
        assert same == surrogate
        assert hash(same) == hash(surrogate)
    assert surrogate != kind()
    assert surrogate != dataclasses.replace(surrogate, detach_reset=False)
    assert all(surrogate != other(0.5) for other in SURROGATES if other is not kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        surrogate.width = 1.0  # type: ignore[misc]


# -- through a layer


def layer_gradient(
    model: sl.NeuronModel, surrogate: Surrogate, x: list[float], backend: str
) -> tuple[list[float], list]:
    """Spikes, and d(sum of weighted spikes)/dx, of one neuron that gets the jumps ``x`` one after the other."""
    jumps = torch.tensor(x, dtype=torch.float64).reshape(-1, 1, 1).requires_grad_()
    with sl.backend(backend):
        spikes, _ = sl.nn.Neuron(model, surrogate=surrogate)(jumps)
        (spikes[-1] * 1.7).sum().backward()
    assert jumps.grad is not None
    return spikes.flatten().tolist(), jumps.grad.flatten().tolist()


@KINDS
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_one_step_of_a_layer(kind: type[Surrogate], backend: str) -> None:
    surrogate = kind(width=0.8, height=1.3)
    model = sl.LIF(tau=10.0)
    for x in (0.4, 1.0, 1.1, 1.9):
        spikes, gradient = layer_gradient(model, surrogate, [x], backend)
        assert spikes == [float(x >= 1.0)]
        assert gradient == pytest.approx([1.7 * surrogate.derivative(x - 1.0)], rel=1e-13)
        # The same distance in units of a threshold of 15 (and of 15 above a rest of -65).
        for scaled, jump in (
            (sl.LIF(tau=10.0, v_threshold=15.0), 15.0 * x),
            (sl.LIF(tau=10.0, v_rest=-65.0, v_threshold=-50.0), 15.0 * x),
        ):
            spikes, other = layer_gradient(scaled, surrogate, [jump], backend)
            if x != 1.0:
                assert spikes == [float(x >= 1.0)]
            assert [15.0 * g for g in other] == pytest.approx(gradient, rel=1e-12, abs=1e-14)


@KINDS
@pytest.mark.parametrize("detach_reset", [True, False])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_two_steps_with_and_without_the_gradient_through_the_reset(
    kind: type[Surrogate], detach_reset: bool, backend: str
) -> None:
    surrogate = kind(width=0.9, detach_reset=detach_reset)
    decay, x = math.exp(-0.5), [1.2, 0.7]
    spikes, gradient = layer_gradient(sl.LIF(tau=2.0), surrogate, x, backend)
    u1 = x[0] - 1.0
    u2 = decay * (x[0] - 1.0) + x[1] - 1.0  # after the subtractive reset
    through = 1.0 if detach_reset else 1.0 - surrogate.derivative(u1)
    expected = [1.7 * surrogate.derivative(u2) * decay * through, 1.7 * surrogate.derivative(u2)]
    assert spikes == [1.0, 0.0]
    assert gradient == pytest.approx(expected, rel=1e-12, abs=1e-14)


def test_a_reset_to_a_value_cuts_the_past_off_while_it_is_detached() -> None:
    model = sl.LIF(tau=2.0, reset_mechanism="value", v_reset=0.1)
    decay, x = math.exp(-0.5), [1.2, 0.7]
    for detach, expected in ((True, 0.0), (False, ATan().derivative(0.2) * (0.1 - 1.2))):
        _, gradient = layer_gradient(model, ATan(detach_reset=detach), x, "cpu")
        later = 1.7 * ATan().derivative(decay * 0.1 + 0.7 - 1.0)
        assert gradient == pytest.approx([later * decay * expected, later], rel=1e-12, abs=1e-15)
