"""L1: the gradient of a program against finite differences and against torch.autograd."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from spikeloom.errors import ModelError
from spikeloom.lang import math as m
from spikeloom.lang.autodiff import gradient
from spikeloom.lang.evaluate import evaluate
from spikeloom.lang.expr import OPERATIONS, Expr, lift, node, symbol
from spikeloom.surrogates import SURROGATES, ATan

A, B, C = symbol("a"), symbol("b"), symbol("c")

# Points away from kinks; the gradient at kinks has tests of its own.
POINTS: dict[str, list[tuple[float, ...]]] = {
    **{op: [(1.3, 0.7), (-0.4, 2.1)] for op in ("add", "sub", "mul", "div", "minimum", "maximum")},
    "pow": [(1.3, 0.7), (0.2, -2.5), (4.0, 3.0)],
    **{op: [(0.7,), (-1.9,)] for op in ("neg", "abs", "exp", "expm1", "tanh", "sigmoid", "sin", "cos", "atan", "erf")},
    **{op: [(0.7,), (5.0,)] for op in ("log", "sqrt")},
    "log1p": [(0.7,), (-0.6,)],
    "where": [(0.7, -1.5, 2.0), (-0.7, -1.5, 2.0)],
    "select": [(1.0, -1.5, 2.0), (0.0, -1.5, 2.0)],
}
STEPS = {"ge", "gt", "and", "not", "ceil", "detach"}  # whose derivative is 0 by definition


def slope(function: Callable[[float], float], x: float, h: float | None = None) -> float:
    """A central difference of fourth order."""
    h = 1e-3 * abs(x) if h is None else h
    near, far = function(x + h) - function(x - h), function(x + 2 * h) - function(x - 2 * h)
    return (8.0 * near - far) / (12.0 * h)


def value(expr: Expr, values: dict[str, float]) -> float:
    return evaluate([expr], values)[0]


def checked_gradient(expr: Expr, values: dict[str, float], seed: float = 1.7) -> dict[str, float]:
    """The gradient, evaluated on floats and on tensors, which have to agree."""
    inputs = [symbol(name) for name in values]
    adjoints = gradient([(expr, symbol("g"))], inputs)
    floats = evaluate(adjoints, {**values, "g": seed})
    tensors = {n: torch.tensor([v, v], dtype=torch.float64) for n, v in {**values, "g": seed}.items()}
    for number, found in zip(floats, evaluate(adjoints, tensors), strict=True):
        np.testing.assert_allclose(torch.as_tensor(found, dtype=torch.float64).expand(2).numpy(), number, rtol=1e-14)
    return {name: f / seed for name, f in zip(values, floats, strict=True)}


def test_every_operation_is_tested() -> None:
    assert set(POINTS) | STEPS | {"fire", "propagator"} == set(OPERATIONS)


@pytest.mark.parametrize(("op", "point"), [(op, p) for op, points in POINTS.items() for p in points])
def test_each_operation_against_finite_differences(op: str, point: tuple[float, ...]) -> None:
    names = "abc"[: len(point)]
    if op == "where":
        expr = m.where(A > 0.0, B * B, C * 3.0)
    elif op == "select":
        expr = node("select", A, B * B, C * 3.0)
    else:
        expr = node(op, *(symbol(n) for n in names))
    values = dict(zip(names, point, strict=True))
    found = checked_gradient(expr, values)
    for name in names:
        if op == "select" and name == "a":
            continue  # a spike's own gradient is not that of the jump, and has a test below

        def along(x: float, name: str = name) -> float:
            return value(expr, {**values, name: x})

        assert found[name] == pytest.approx(slope(along, values[name]), rel=1e-9, abs=1e-11), name


@pytest.mark.parametrize(
    "expr",
    [A * A, A + A, A - A * 3.0, A / A, A**3, A**5.5, m.minimum(A, A * 2.0), m.exp(A) * m.exp(A), m.exprel(A), A * 0.0],
    ids=str,
)
def test_a_value_that_is_used_more_than_once(expr: Expr) -> None:
    for x in (0.01, 0.5, 2.0):
        found = checked_gradient(expr, {"a": x})["a"]
        assert found == pytest.approx(slope(lambda y: value(expr, {"a": y}), x, 1e-3 * x), rel=1e-8, abs=1e-9)


def test_exprel_has_an_accurate_gradient_on_both_sides_of_its_switch() -> None:
    import mpmath

    points = [0.0, 1e-12, 1e-4, 0.03, 0.03124999, 0.03125, 0.0313, 0.5, 20.0]
    for x in [*points, *(-p for p in points)]:
        with mpmath.workdps(60):
            z = mpmath.mpf(x)
            exact = float((z * mpmath.exp(z) - mpmath.expm1(z)) / z**2) if x else 0.5
        # Beyond the switch at 1/32 the quotient loses some of its digits to cancellation.
        assert checked_gradient(m.exprel(A), {"a": x})["a"] == pytest.approx(
            exact, rel=2e-14 if abs(x) > 0.03 else 1e-15
        )


@pytest.mark.parametrize("expr", [A >= B, A > B, (A > B) & (B > A), ~(A > B)], ids=["ge", "gt", "and", "not"])
def test_a_condition_passes_no_gradient(expr: Expr) -> None:
    assert checked_gradient(m.where(expr, C * C, C), {"a": 0.3, "b": 0.2, "c": 5.0}) in (
        {"a": 0.0, "b": 0.0, "c": 10.0},
        {"a": 0.0, "b": 0.0, "c": 1.0},
    )


def test_detach_and_ceil_cut_the_gradient() -> None:
    assert checked_gradient(m.detach(A * A) * A + m.ceil(A) * B, {"a": 1.5, "b": 2.0}) == {"a": 2.25, "b": 2.0}


def test_kinks_give_one_of_the_two_sides() -> None:
    assert checked_gradient(abs(A), {"a": 0.0})["a"] == 0.0  # as torch has it
    assert checked_gradient(A**B, {"a": 0.0, "b": 2.0}) == {"a": 0.0, "b": 0.0}
    for extreme in (m.minimum, m.maximum):
        both = checked_gradient(extreme(A, B), {"a": 2.0, "b": 2.0})
        assert sorted(both.values()) == [0.0, 1.0]
        # The same side as the reference's, which computes the extreme by a comparison.
        a, b = (torch.tensor(2.0, requires_grad=True) for _ in range(2))
        extreme(a, b).backward()
        assert (a.grad.item(), b.grad.item()) == (both["a"], both["b"])  # type: ignore[union-attr]


# -- what a choice hides


@pytest.mark.parametrize(
    ("expr", "x", "expected"),
    [
        (m.where(A > 0.0, m.log(A), 3.0 * A), -1.0, 3.0), (m.where(A > 0.0, m.log(A), 3.0 * A), 0.0, 3.0),
        (m.where(A > 0.0, m.sqrt(A), 3.0 * A), 0.0, 3.0), (m.where(A > 0.0, m.sqrt(A), 3.0 * A), 4.0, 0.25),
        (m.where(abs(A) > 0.0, m.sin(A) / A, 1.0 + A * A), 0.0, 0.0),
        (m.where(A > 0.0, A**0.3, 3.0 * A), -1.0, 3.0), (m.where(A > 1.0, m.exp(A * 1000.0), A * A), 0.9, 1.8),
        (m.where(A > 0.0, 2.0 * A, m.log(A)) * 5.0, 1.0, 10.0), (m.where(A > 0.0, A / (A - A), A * A), -1.0, -2.0),
        (m.where(A > 0.0, m.where(A > 1.0, m.log(A - 1.0), A * A), A), 0.5, 1.0),
        (m.where(A > 0.0, m.log(A) + A, A) + m.where(A > 0.0, m.sqrt(A), A), -2.0, 2.0),
        (m.where(A > 0.0, m.log(A), A) * m.where(A > 0.0, A, m.log(-A)), -math.e, 2.0),
        (m.where((A > 0.0) & (A > 2.0), m.sqrt(A - 2.0), A * A), 1.0, 2.0),
        (node("select", m.where(A > 0.0, 1.0, 0.0), m.log(A), 3.0 * A), -1.0, 3.0),
    ],
)  # fmt: skip
def test_an_untaken_branch_that_blows_up_does_not_reach_the_gradient(expr: Expr, x: float, expected: float) -> None:
    (adjoint,) = gradient([(expr, lift(1.0))], [A])
    tensor = torch.tensor([x, x], dtype=torch.float64)
    (found,) = evaluate([adjoint], {"a": tensor})
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14, atol=1e-15)


def test_an_infinite_adjoint_of_the_taken_branch_is_passed_on() -> None:
    (adjoint,) = gradient([(m.where(A >= 0.0, m.sqrt(A), A), lift(1.0))], [A])
    assert evaluate([adjoint], {"a": torch.tensor([0.0])})[0].item() == math.inf


# -- spikes


def test_select_passes_the_difference_of_its_values_to_the_spike() -> None:
    found = checked_gradient(node("select", A, B * 2.0, C), {"a": 1.0, "b": 5.0, "c": 3.0})
    assert found == {"a": 7.0, "b": 2.0, "c": 0.0}
    found = checked_gradient(node("select", A, B * 2.0, C), {"a": 0.0, "b": 5.0, "c": 3.0})
    assert found == {"a": 7.0, "b": 0.0, "c": 1.0}
    spike = torch.tensor(1.0, requires_grad=True)
    m.select(spike, torch.tensor(10.0), torch.tensor(3.0)).backward()
    assert spike.grad is not None
    assert spike.grad.item() == 7.0


@pytest.mark.parametrize("kind", SURROGATES)
def test_a_spike_has_the_gradient_of_its_surrogate(kind: type) -> None:
    surrogate = kind(width=0.7, height=1.3)
    (adjoint,) = gradient([(m.fire((A - 1.0) * 0.5), symbol("g"))], [A], surrogate.derivative)
    for x in (-3.0, 0.6, 1.0, 1.2, 9.0):
        expected = 0.5 * 2.0 * slope(surrogate.smooth, (x - 1.0) * 0.5, 1e-4) if x != 1.0 else 0.5 * 2.0 * 1.3
        assert value(adjoint, {"a": x, "g": 2.0}) == pytest.approx(expected, rel=1e-8, abs=1e-9)


def test_a_spike_without_a_surrogate_is_refused() -> None:
    with pytest.raises(ModelError, match="surrogate"):
        gradient([(m.fire(A), lift(1.0))], [A])
    assert str(gradient([(m.fire(A) * B, lift(1.0))], [B])[0]) == "fire(a)"


# -- whole programs


def random_program(rng: random.Random, size: int) -> Expr:
    """A random composition without kinks near its values, in which values are used again and again."""
    pool: list[Expr] = [A, B, C]
    for _ in range(size):
        x, y, z = (rng.choice(pool) for _ in range(3))
        made = [
            x + y, x - y * 0.5, x * y, x / (1.0 + y * y), m.tanh(x), m.sigmoid(x - y), m.sin(x), m.cos(y),
            m.atan(x * 2.0), m.erf(x), m.exp(m.tanh(x)), m.expm1(m.sin(y)), m.log1p(x * x),
            m.log(1.0 + x * x), m.sqrt(0.1 + x * x), -x,
            abs(x) * 0.3, (1.0 + m.tanh(y) ** 2) ** m.sin(x), m.minimum(x, y), m.maximum(x, 0.2), m.exprel(m.sin(x)),
            m.where(x > y, z, x * y), m.where((x > 0.1) | (y > z), y * y, m.tanh(z)), m.detach(x) * y,
            m.where(m.where(x > 0.0, y, z) > 0.05, x, z * z), m.fire(x - 0.3) * y,
            node("select", m.fire(y + 0.2), x, z * 0.7),
        ]  # fmt: skip
        pool.append(rng.choice(made))
    return pool[-1] + pool[-2] * pool[-3]


@pytest.mark.parametrize("seed", range(25))
def test_random_programs_against_torch(seed: int) -> None:
    rng = random.Random(seed)
    surrogate = ATan(width=0.8)

    class Fire(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x >= 0).to(x.dtype)

        @staticmethod
        def backward(ctx, grad):  # type: ignore[override]
            return grad * surrogate.derivative(ctx.saved_tensors[0])

    outputs = [random_program(rng, 14), random_program(rng, 5)]
    generator = torch.Generator().manual_seed(seed)
    x = {n: torch.randn(64, dtype=torch.float64, generator=generator).requires_grad_() for n in "abc"}
    seeds = {n: torch.randn(64, dtype=torch.float64, generator=generator) for n in ("g0", "g1")}
    found = evaluate(outputs, x, {"fire": Fire.apply})
    expected = torch.autograd.grad(found, list(x.values()), list(seeds.values()), allow_unused=True)
    pairs = [(outputs[0], symbol("g0")), (outputs[1], symbol("g1"))]
    adjoints = gradient(pairs, [A, B, C], surrogate.derivative)
    plain = {n: v.detach() for n, v in x.items()}
    fire = {"fire": lambda u: (u >= 0).to(u.dtype)}
    for adjoint, reference in zip(evaluate(adjoints, {**plain, **seeds}, fire), expected, strict=True):
        reference = torch.zeros(64, dtype=torch.float64) if reference is None else reference
        np.testing.assert_allclose(
            torch.as_tensor(adjoint).expand(64).numpy(), reference.numpy(), rtol=1e-11, atol=1e-12
        )


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_of_a_gradient(seed: int) -> None:
    # Exponential Euler puts a first derivative into the step, so that its backward needs a second one.
    expr = random_program(random.Random(100 + seed), 6)
    first = gradient([(expr, lift(1.0))], [A], ATan().derivative)[0]
    second = gradient([(first, lift(1.0))], [A], ATan().derivative)[0]
    operations = {"fire": lambda u: float(u >= 0)}
    point = {"a": 0.8132, "b": -0.5711, "c": 0.3719}

    def along(x: float) -> float:
        return evaluate([first], {**point, "a": x}, operations)[0]

    assert evaluate([second], point, operations)[0] == pytest.approx(slope(along, point["a"], 1e-4), rel=1e-7, abs=1e-8)


def test_an_inner_value_and_an_absent_one() -> None:
    inner = m.exp(A)
    by_inner, by_a, by_b = gradient([(inner * inner, lift(1.0))], [inner, A, B])
    assert value(by_inner, {"a": 0.5}) == pytest.approx(2.0 * math.exp(0.5))
    assert value(by_a, {"a": 0.5}) == pytest.approx(2.0 * math.exp(1.0))
    assert by_b.data == 0.0


def test_branches_of_one_choice_meet_in_one_choice() -> None:
    (adjoint,) = gradient([(m.where(B > 0.0, A * 2.0, A * 3.0), symbol("g"))], [A])
    assert str(adjoint) == "where((b > 0), (g * 2), (g * 3))"


def test_a_node_shared_by_two_untaken_branches_lets_no_nan_out() -> None:
    """log(w) under w > 0 and under w > 1/2: at w = 0 neither is taken, at 0.25 one, at 1 both."""
    w = symbol("w")
    root = m.log(w)
    expression = m.where(w > 0.0, root, 0.0) + m.where(w > 0.5, root, 0.0)
    (slope,) = gradient([(expression, symbol("g"))], [w])
    values = torch.tensor([0.0, -1.0, 0.25, 1.0], dtype=torch.float64)
    found = evaluate([slope], {"w": values, "g": torch.ones(4, dtype=torch.float64)})[0]
    assert found.tolist() == [0.0, 0.0, 4.0, 2.0]
