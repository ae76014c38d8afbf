"""L1: exprel as one operation of kernels, and its derivative without an exponential."""

from __future__ import annotations

import mpmath
import numba
import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.kernels.program import program
from spikeloom.kernels.scan import cpu
from spikeloom.kernels.scan.plan import forward_plan
from spikeloom.lang import math as m
from spikeloom.lang.autodiff import gradient
from spikeloom.lang.canonical import canonical
from spikeloom.lang.dialects import numba_math
from spikeloom.lang.expr import lift, symbol, topological
from spikeloom.lang.idioms import exprel_argument, fused

X, Y = symbol("x"), symbol("y")
EXACT = {"exprel": lambda x: mpmath.expm1(x) / x, "bernoulli": lambda x: x / mpmath.expm1(x)}


def computed(name: str, x: np.ndarray) -> np.ndarray:
    function = getattr(numba_math, f"{name}_{'f32' if x.dtype == np.float32 else 'f64'}")

    @numba.njit(error_model="numpy")
    def apply(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    out = np.full_like(x, 123.0)
    apply(x, out)
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXACT)
def test_fused_functions_are_accurate(name: str, dtype: type) -> None:
    rng, digits = np.random.default_rng(3), np.finfo(dtype).nmant
    sign = rng.choice([-1.0, 1.0], 600)
    scales = sign * np.exp2(rng.uniform(-60.0, 6.0, 600))
    x = np.concatenate([scales, rng.uniform(-4.0, 4.0, 900), [0.03125, -0.03125, 80.0, -80.0]]).astype(dtype)
    with mpmath.workdps(40):
        for argument, value in zip(x, computed(name, x), strict=True):
            exact = EXACT[name](mpmath.mpf(float(argument)))
            unit = mpmath.mpf(2) ** (mpmath.floor(mpmath.log(exact, 2)) - digits)
            assert abs(float(value) - exact) < 2.5 * unit, argument


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_functions_at_special_values(dtype: type) -> None:
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([0.0, -0.0, tiny, -tiny, np.nan, 800.0, -800.0, -np.inf], dtype)
    assert computed("exprel", x)[:4].tolist() == computed("bernoulli", x)[:4].tolist() == [1.0] * 4
    assert np.isnan(computed("exprel", x)[4])
    assert np.isnan(computed("bernoulli", x)[4])
    assert computed("exprel", x)[5:].tolist() == [np.inf, dtype(1 / 800), 0.0]
    assert computed("bernoulli", x)[5:].tolist() == [0.0, 800.0, np.inf]


def test_what_is_recognised() -> None:
    (whole,) = canonical([m.exprel(X * 2.0 - Y)])
    assert str(exprel_argument(whole)) == "((x * 2) - y)"
    assert exprel_argument(whole.args[2]) is None
    near, away = abs(X) < 0.03125, m.where(abs(X) < 0.03125, 1.0, X)
    lookalike = m.where(near, 0.0, m.expm1(away) / away)  # another value near 0
    assert exprel_argument(canonical([lookalike])[0]) is None
    other = m.where(abs(Y) < 0.03125, *m.exprel(X).args[1:])  # chosen by another variable
    assert exprel_argument(canonical([other])[0]) is None


def test_quotients_share_their_exponential() -> None:
    outputs = fused(canonical([1.0 / m.exprel(X), 0.1 / m.exprel(X), m.exprel(X) + Y]))
    assert [str(o) for o in outputs] == ["bernoulli(x)", "(0.1 * bernoulli(x))", "(exprel(x) + y)"]
    assert sum(e.op == "bernoulli" for e in topological(outputs)) == 1


def test_a_hodgkin_huxley_kernel_is_made_of_them() -> None:
    graph = forward_plan(program(sl.HodgkinHuxley(), None, sl.ATan(), ("i",)).text, ()).forward
    source = cpu.kernel_source(
        graph, ("x.i", "next.v"), (frozenset(), frozenset()), frozenset(), "f64", "forward", "HH", False
    )
    assert source.count("bernoulli_f64(") == 8  # two rates in each of four stages
    assert "expm1" not in source


def test_the_derivative_needs_no_exponential_of_its_own() -> None:
    (slope,) = gradient([(m.exprel(X), lift(1.0))], [X])
    assert [e.op for e in topological([slope]) if e.op in ("exp", "expm1")] == ["expm1"]


class _Shunted(sl.NeuronModel):
    """Divides by a parameter where it is above 0 only."""

    tau = sl.param(10.0, sl.ms, low=0.0)
    shunt = sl.param(5.0, sl.ms)
    v = sl.state(1.0)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": (x.i - s.v) / self.tau - m.where(self.shunt > 0.0, s.v / self.shunt, 0.0)}


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_branch_not_taken_may_divide_by_a_learned_zero(backend: str) -> None:
    # v' = (1 - dt/tau - dt/shunt) v with dt = 1 by forward Euler; a shunt of 0 or less is none.
    shunt = torch.tensor([0.0, -3.0, 5.0], dtype=torch.float64, requires_grad=True)
    with sl.backend(backend):
        result = sl.scan(
            _Shunted(), {"i": torch.zeros(2, 1, 3, dtype=torch.float64)}, learned={"shunt": shunt}, record=("v",),
            solver=sl.solvers.ForwardEuler(),
        )  # fmt: skip
    last = result.states["v"][-1, 0]
    np.testing.assert_allclose(last.detach().numpy(), [0.81, 0.81, 0.49], rtol=1e-14)
    last.sum().backward()
    np.testing.assert_allclose(shunt.grad, [0.0, 0.0, 2.0 * 0.7 / 25.0], rtol=1e-14)
