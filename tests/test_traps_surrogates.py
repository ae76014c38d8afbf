"""Ways in which a surrogate gradient can be wrong without an error (TRAPS 27 to 31), measured through a layer."""

import math
import pickle

import pytest
import torch

import spikeloom as sl

KINDS = [sl.ATan, sl.FastSigmoid, sl.Sigmoid, sl.Triangle, sl.Gaussian]

# The shapes by their published formulas, scaled to peak 1; x is the distance in units of the width.
FORMULAS = {
    sl.ATan: lambda x: 1 / (1 + (math.pi * x / 2) ** 2),
    sl.FastSigmoid: lambda x: (1 + abs(x)) ** -2,
    sl.Sigmoid: lambda x: 1 / math.cosh(x / 2) ** 2 if abs(x) < 700 else 0.0,
    sl.Triangle: lambda x: max(0.0, 1 - abs(x)),
    sl.Gaussian: lambda x: math.exp(-x * x / 2),
}


@pytest.fixture(params=[None, "reference"], ids=["default", "reference"])
def backend(request):
    sl.last_kernels()
    with sl.backend(request.param):
        yield
    ran = sl.last_kernels()
    assert ran
    assert {name.split("/")[1] for name in ran} == {request.param or "cpu"}


def slopes(surrogate, distances, dtype=torch.float64, threshold: float = 1.0) -> list[float]:
    """d spike / d input of a perfect integrator whose membrane ends ``distances`` (times threshold) above threshold."""
    x = (threshold * (1 + torch.tensor(distances, dtype=torch.float64))).to(dtype).view(1, 1, -1).requires_grad_()
    y, _ = sl.nn.Neuron(sl.IF(v_threshold=threshold), surrogate=surrogate)(x)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == dtype
    return x.grad.flatten().tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_trap_27_every_peak_is_1(backend, kind):
    """Peaks from 0.318 to 6.25: exchanging the shape multiplies the learning rate, layer by layer."""
    assert slopes(kind(), [0.0]) == [1.0]
    assert slopes(kind(width=0.04), [0.0]) == [1.0]
    assert slopes(kind(height=0.3), [0.0]) == [0.3]
    assert slopes(kind(), [0.0], torch.float32) == [1.0]


@pytest.mark.parametrize("kind", KINDS)
def test_trap_28_the_width_acts_and_leaves_the_peak(backend, kind):
    """A sharpness that is ignored (1 and 100 give the same), or that multiplies the peak instead."""
    distances = [-0.9, -0.05, 0.0, 0.3, 2.5]
    for width in (0.04, 1.0, 3.0):
        expected = [FORMULAS[kind](d / width) for d in distances]
        assert slopes(kind(width=width), distances) == pytest.approx(expected, rel=1e-11, abs=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_trap_28_the_width_is_relative_to_the_threshold(backend, kind):
    """With a threshold of 15 mV a width of 1 mV is a needle: the width counts in units of the distance from rest."""
    distances = [-0.5, 0.0, 0.25]
    expected = [FORMULAS[kind](d) / 15.0 for d in distances]
    assert slopes(kind(), distances, threshold=15.0) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_trap_29_positive_even_and_picklable(backend, kind):
    """A "triangle" that is +1 below and -1 above; zero gradient at the threshold; closures that cannot be pickled."""
    distances = [-0.8, -0.1, -0.001, 0.0, 0.001, 0.1, 0.8]
    found = slopes(kind(), distances)
    assert min(found) > 0
    assert found == pytest.approx(found[::-1], rel=1e-12)
    assert found[:4] == sorted(found[:4])
    surrogate = kind(width=0.5, height=2.0, detach_reset=False)
    assert pickle.loads(pickle.dumps(surrogate)) == surrogate
    assert slopes(pickle.loads(pickle.dumps(surrogate)), distances) == slopes(surrogate, distances)


@pytest.mark.parametrize("kind", KINDS)
def test_trap_30_falls_off_on_both_sides(backend, kind):
    """One-sided surrogates keep a gradient of 1 for any membrane above the threshold."""
    below, above = slopes(kind(), [-30.0, 30.0])
    assert below == pytest.approx(above, rel=1e-12)
    assert 0 <= below < 0.002


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_trap_31_finite_and_right_far_from_the_threshold(backend, kind, dtype):
    """A sigmoid of slope 25 gives NaN at -5, where its exponential has overflowed."""
    distances = [-100.0, -5.0, -4.0, -1.0, 0.0, 1.0, 4.0, 100.0]
    found = slopes(kind(width=1 / 25), distances, dtype)
    expected = [FORMULAS[kind](25 * d) for d in distances]
    tolerance = {torch.float64: 1e-11, torch.float32: 2e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}[dtype]
    smallest = torch.finfo(dtype).tiny
    assert found == pytest.approx(expected, rel=tolerance, abs=smallest)


@pytest.mark.parametrize("kind", KINDS)
def test_the_derivative_is_that_of_its_smooth_step(kind):
    """`smooth` is what finite-difference tests put in the place of the spike."""
    surrogate = kind(width=0.7, height=1.3)
    for u in (-2.0, -0.4, 0.1, 0.65, 3.0):
        slope = (surrogate.smooth(u + 1e-6) - surrogate.smooth(u - 1e-6)) / 2e-6
        assert slope == pytest.approx(surrogate.derivative(u), abs=1e-8)
    assert surrogate.smooth(0.0) == 0.5


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, True, "1"])
@pytest.mark.parametrize("name", ["width", "height"])
def test_unusable_widths(name, value):
    with pytest.raises(sl.errors.ParameterError, match=f"ATan: {name}"):
        sl.ATan(**{name: value})
