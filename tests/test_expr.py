"""L1: expressions, their units, their evaluation, their canonical form and their text."""

from __future__ import annotations

import math
from collections.abc import Mapping

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spikeloom as sl
from spikeloom.errors import DimensionError, ModelError
from spikeloom.lang import math as m
from spikeloom.lang.canonical import canonical
from spikeloom.lang.evaluate import ARITHMETIC, evaluate
from spikeloom.lang.expr import LEAVES, OPERATIONS, Expr, lift, node, symbol, topological
from spikeloom.lang.graph import Graph
from spikeloom.units import Unit, mS_per_cm2, mV, nS, one, pA, pF, second, uA_per_cm2, volt
from spikeloom.units import ms as millisecond

V, W, CURRENT = symbol("v", mV), symbol("w", mV), symbol("i", pA)
TAU, G, N = symbol("tau", millisecond), symbol("g", nS), symbol("n", one)
NAMES = ("a", "b", "c")


def at(expr: Expr, **values: float) -> float:
    """The value of an expression on floats."""
    return evaluate([expr], values)[0]


# -- operators


def test_the_language_stays_small() -> None:
    assert len(OPERATIONS) <= 30
    assert set(OPERATIONS) - {"propagator"} == set(ARITHMETIC)


@pytest.mark.parametrize(
    "formula",
    [
        "a + b", "a + 2", "2 + a", "a - b", "a - 2", "2 - a", "a * b", "a * 2", "2 * a", "a / b", "a / 2", "2 / a",
        "a ** b", "a ** 1", "a ** 2", "a ** 3", "a ** 7", "a ** 8", "a ** 9", "a ** 0", "a ** -1", "a ** -2.5",
        "a ** 0.5", "a ** 3.0", "2 ** a", "a ** True", "-a", "+a * 1", "abs(-a)", "a >= b", "a > b", "a <= b", "a < b",
        "2 >= a", "2 > a", "2 <= a", "2 < a", "(a > b) & (b > 1)", "(a > b) | (b > 1)", "(a > 9) | (b > 9)", "~(a > b)",
    ],
)  # fmt: skip
def test_operators_compute_as_on_numbers(formula: str) -> None:
    formula = formula.replace("+a", "a")
    for a, b in ((1.5, 2.5), (2.5, 1.5), (2.0, 2.0)):
        traced = eval(formula, {"a": symbol("a"), "b": symbol("b")})
        expected = eval(formula.replace("~(a > b)", "not (a > b)"), {"a": a, "b": b})
        assert at(traced, a=a, b=b) == pytest.approx(expected, rel=1e-15)


def test_integer_powers_multiply_and_others_do_not() -> None:
    v = symbol("v")
    counts = {p: sum(e.op == "mul" for e in topological([v**p])) for p in range(1, 9)}
    assert counts == {1: 0, 2: 1, 3: 2, 4: 2, 5: 3, 6: 3, 7: 4, 8: 3}
    assert (v**0.5).op == "sqrt"
    assert (v**9).op == (v**1.5).op == (v**-1).op == "pow"


def test_numpy_numbers_and_quantities_join_in() -> None:
    assert at(np.float64(2.0) * symbol("a"), a=3.0) == 6.0
    assert at(np.float32(2.0) - symbol("a"), a=3.0) == -1.0
    assert at(np.float64(2.0) / symbol("a") ** np.int64(2), a=4.0) == 0.125
    assert at(m.where(np.float64(2.0) > symbol("a"), 1.0, 0.0), a=3.0) == 0.0
    for foreign in (lambda: np.exp(N), lambda: math.exp(N), lambda: torch.exp(N), lambda: np.float64(2.0) == N):
        with pytest.raises(ModelError, match=r"cannot be traced.*sl.math|equal"):
            foreign()  # type: ignore[arg-type]
    assert (V - 15 * mV).unit == mV
    assert ((15 * mV) - V).unit == mV
    with pytest.raises(DimensionError, match="cannot subtract mV and V"):
        assert (V - 0.015 * volt).unit


def test_foreign_values_and_wrong_arity_are_refused() -> None:
    with pytest.raises(ModelError, match=r"foreign type.*got list"):
        V.__add__([1.0])
    with pytest.raises(ModelError, match="wrong number of arguments: got 1, expected 2"):
        node("add", V)


def test_long_programs_do_not_recurse() -> None:
    total = symbol("a")
    for _ in range(5_000):
        total = total + symbol("a") * 0.5
    assert len(topological([total])) > 5_000
    assert at(total, a=2.0) == 2.0 + 5_000
    assert canonical([total])[0].op == "add"


# -- conditions


def test_a_condition_has_no_truth_value() -> None:
    for use in (lambda: 1.0 if V > 0 else 2.0, lambda: (V > 0) and (V < 1), lambda: min(V, W), lambda: 0 < V < 1):
        with pytest.raises(ModelError, match=r"where\(condition, a, b\)") as caught:
            use()
        assert ">" in str(caught.value.got)


def test_equality_is_refused_instead_of_answering_no() -> None:
    for formula in ("V == W", "V != 0.0", "0.0 == V", "m.where(V == 0.0, 1.0, 2.0)", "V in (W,)"):
        with pytest.raises(ModelError, match="equal"):
            eval(formula, {"V": V, "W": W, "m": m})
    same = V
    assert same == V
    assert {V: 1}[V] == 1


def test_conditions_and_numbers_do_not_stand_in_for_each_other() -> None:
    for use in (lambda: (V > 0) * 2.0, lambda: 1.0 - (V > 0), lambda: -(V > 0), lambda: m.exp(N > 0)):
        with pytest.raises(ModelError, match=r"takes numbers: got the condition.*where\(condition, 1.0, 0.0\)"):
            use()
    for use in (lambda: m.where(V, 1.0, 2.0), lambda: (V > 0) & W, lambda: ~V, lambda: (V > 0) | 1.0):
        with pytest.raises(ModelError, match="takes a condition: got the number"):
            use()
    assert m.detach(V > 0).boolean


# -- units


@pytest.mark.parametrize(
    ("expr", "unit"),
    [
        (V + W, mV), (V - W, mV), (-V, mV), (abs(V), mV), (G * V, pA), (CURRENT / G, mV), (V * V, mV * mV),
        (V**3, mV**3), (m.sqrt(V * V), mV),
        ((V**4) ** 0.25, mV), (m.minimum(V, W), mV), (m.maximum(V, 0.0), mV), (m.where(V > W, V, 0.0), mV),
        (m.select(N, V, W), mV), (m.detach(V), mV), (m.ceil(V), mV), (m.exp(V / W), one), (m.tanh(N), one),
        (CURRENT / (symbol("c", pF)), mV / millisecond), (symbol("d", mS_per_cm2) * V, uA_per_cm2),
        (1.0 / (TAU / TAU), None), (V > W, None), (m.fire(V), None), ((V / TAU) * TAU, mV),
        (m.sigmoid(V / W) * V, mV), (N**N, one),
    ],
)  # fmt: skip
def test_units_are_derived(expr: Expr, unit: Unit | None) -> None:
    assert (expr.unit is None) if unit is None else (expr.unit is not None and expr.unit.same_as(unit))


def test_powers_may_be_fractions() -> None:
    halves = (V**1.5).unit
    assert halves is not None
    assert (halves**2).same_as(mV**3)


_FUNCTIONS = ["exp", "expm1", "log", "log1p", "tanh", "sigmoid", "sin", "cos", "atan", "erf"]
_CLASHES = {
    "add": "V + I", "sub": "V - TAU", "minimum": "m.minimum(V, G)", "maximum": "m.maximum(V, G)", "ge": "V >= I",
    "gt": "I > V", "where": "m.where(V > 0.0, V, I)", "select": "m.select(N, V, I)", "pow": "N**V",
    **{name: f"m.{name}(V)" for name in _FUNCTIONS},
}  # fmt: skip


@pytest.mark.parametrize("formula", [*_CLASHES.values(), "VOLT + V", "V - VOLT", "m.where(V > VOLT, V, V)"])
def test_units_that_do_not_agree_are_refused(formula: str) -> None:
    names = {"V": V, "I": CURRENT, "TAU": TAU, "G": G, "N": N, "VOLT": symbol("u", volt), "m": m}
    with pytest.raises(DimensionError, match="mV"):
        eval(formula, names)


def test_every_operation_either_checks_units_or_has_none_to_check() -> None:
    unchecked = {"neg", "abs", "detach", "ceil", "mul", "div", "sqrt", "fire", "propagator", "and", "not"}
    assert set(OPERATIONS) == unchecked | set(_CLASHES)


def test_functions_refuse_a_ratio_that_still_has_a_scale() -> None:
    # mV / V has no dimension but is a thousand times the number that exp would see.
    with pytest.raises(DimensionError, match=r"without dimension or scale: got .* in mV/V"):
        m.exp(V / symbol("thermal", volt))
    with pytest.raises(DimensionError):
        m.tanh(TAU / symbol("t", second))


def test_bare_numbers_take_whatever_unit_is_needed() -> None:
    for expr in (V + 1.0, 1.0 - V, m.maximum(V, 0.0), m.where(V > 2.0, 0.0, V)):
        assert expr.unit == mV
    for expr in (0.04 * V, 5.0 / V, 0.04 * V * V + 5.0 * V, (2.0 * V) ** 1.5, (2.0 * V) ** 2, lift(2.0)):
        assert expr.unit is None
    assert ((2.0 * V) ** 1.5 + V).unit == mV
    assert m.exp(0.1 * V).unit == one  # 0.1 stands for 0.1/mV


# -- evaluation


def test_a_missing_value_is_named_with_its_neighbours() -> None:
    with pytest.raises(ModelError, match=r"no value for tau.*Did you mean tua"):
        at(symbol("tau") * 2.0, tua=1.0)


def test_evaluation_on_expressions_substitutes() -> None:
    (found,) = evaluate([symbol("a") * symbol("b")], {"a": symbol("x") + 1.0, "b": 3.0})
    assert str(found) == "((x + 1) * 3)"


_UNARY = ["exp", "expm1", "log", "log1p", "sqrt", "tanh", "sigmoid", "sin", "cos", "atan", "erf", "ceil"]
_EXACT = {"log1p": mpmath.log1p, "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)), "expm1": mpmath.expm1}


@pytest.mark.parametrize("name", _UNARY)
def test_functions_on_floats_and_tensors_against_mpmath(name: str) -> None:
    exact = _EXACT.get(name) or getattr(mpmath, name)
    points = [1e-9, 0.3, 0.9999, 2.0, 17.25]
    points += [] if name in ("log", "sqrt") else [-1e-9, -0.7] + ([] if name == "log1p" else [-3.5])
    with mpmath.workdps(40):
        expected = [float(exact(mpmath.mpf(x))) for x in points]
    floats = [at(node(name, symbol("a")), a=x) for x in points]
    (tensor,) = evaluate([node(name, symbol("a"))], {"a": torch.tensor(points, dtype=torch.float64)})
    np.testing.assert_allclose(floats, expected, rtol=5e-16 if name != "sigmoid" else 1e-15)
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=2e-15)


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", 709.75, math.exp(709.75)), ("exp", 800.0, math.inf), ("exp", -800.0, 0.0), ("exp", math.nan, math.nan),
        ("expm1", 800.0, math.inf), ("expm1", math.nan, math.nan), ("log", 0.0, -math.inf), ("log", -1.0, math.nan),
        ("log1p", -1.0, -math.inf), ("log1p", -2.0, math.nan), ("sqrt", -1.0, math.nan), ("sqrt", math.inf, math.inf),
        ("sigmoid", -1e4, 0.0), ("sigmoid", 1e4, 1.0), ("sigmoid", math.nan, math.nan), ("sin", math.inf, math.nan),
        ("cos", -math.inf, math.nan), ("ceil", math.inf, math.inf), ("ceil", math.nan, math.nan),
        ("ceil", 1e300, 1e300), ("tanh", math.inf, 1.0), ("atan", -math.inf, -math.pi / 2), ("erf", 40.0, 1.0),
    ],
)  # fmt: skip
def test_functions_on_floats_keep_to_ieee_like_tensors(name: str, x: float, expected: float) -> None:
    (tensor,) = evaluate([node(name, symbol("a"))], {"a": torch.tensor(x, dtype=torch.float64)})
    np.testing.assert_allclose(at(node(name, symbol("a")), a=x), expected, rtol=1e-16)
    np.testing.assert_allclose(tensor.item(), expected, rtol=1e-15)


def test_exprel_is_accurate_on_both_sides_of_its_switch() -> None:
    points = [0.0, 5e-324, 1e-300, 1e-9, 1e-3, 0.03, 0.031249999, 0.03125, 0.031250001, 0.1, 1.0, 30.0, 700.0]
    points += [-p for p in points] + [-1e4]
    with mpmath.workdps(60):
        expected = [float(mpmath.expm1(x) / mpmath.mpf(x)) if x else 1.0 for x in points]
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    np.testing.assert_allclose([m.exprel(p) for p in points], expected, rtol=4e-16)
    np.testing.assert_allclose(m.exprel(x).detach().numpy(), expected, rtol=4e-16)
    np.testing.assert_allclose([at(m.exprel(symbol("a")), a=p) for p in points], expected, rtol=4e-16)


def test_select_is_exact_even_where_the_other_value_is_not_finite() -> None:
    spike = torch.tensor([1.0, 0.0], dtype=torch.float64)
    bad = torch.tensor([math.inf, math.nan], dtype=torch.float64)
    assert m.select(spike, torch.zeros(2), bad)[0] == 0.0
    assert m.select(spike, bad, torch.full((2,), 0.1, dtype=torch.float64))[1] == 0.1
    assert m.select(1.0, 2.0, math.nan) == 2.0


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_choice_between_two_numbers_keeps_float64(backend: str) -> None:
    class Chosen(sl.NeuronModel):
        level = sl.param(10.0)
        v = sl.state(0.0)
        w = sl.state(0.0)
        i = sl.input()

        def derivative(self, s, x):
            return {"v": m.where(x.i > 0.0, 0.1, 0.2) * Hz_, "w": m.where(self.level > 5.0, 0.3, 0.7) * Hz_}

    with sl.backend(backend):
        trace = sl.simulate(Chosen(), current=1.0, duration=1.0, dt=1.0, solver=sl.solvers.ForwardEuler())
    assert (trace["v"][-1], trace["w"][-1]) == (0.1, 0.3)


Hz_ = 1.0  # a bare factor, so that the slope takes the unit it needs


# -- canonical form and text


_DRAWN = ["add", "sub", "mul", "div", "minimum", "maximum", "neg", "abs", "exp", "expm1", "tanh", "sigmoid", "sqrt"]
_DRAWN += ["where", "where", "select", "detach", "double_where", "ceil"]


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> Expr:
    """Random numbers-valued expressions over a, b, c, rich in the literals that folding looks for."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        if draw(st.booleans()):
            return symbol(draw(st.sampled_from(NAMES)))
        return lift(draw(st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -0.5, 0.3]) | st.floats(-3, 3)))
    x, y = draw(expressions(depth=depth - 1)), draw(expressions(depth=depth - 1))
    if draw(st.integers(0, 3)) == 0:
        y = x
    op = draw(st.sampled_from(_DRAWN))
    if op in ("where", "select", "double_where"):
        condition = draw(
            st.sampled_from([x > y, x >= y, ~(x > y), ~~(y > x), (x > 0.5) & (y >= 0.5), (x > 0) | (y > 0)])
        )
        if op == "double_where":
            return m.where(condition, x, 0.0) + m.where(condition, 0.0, y)
        return node(op, condition if op == "where" else m.where(condition, 1.0, 0.0), x, y)
    return node(op, x, y) if OPERATIONS[op] == 2 else node(op, x)


values = st.fixed_dictionaries({n: st.sampled_from([0.0, -0.0, 1.0, -1.0]) | st.floats(-4, 4) for n in NAMES})


def everything(expr: Expr, given_values: Mapping[str, float]) -> tuple[float, bool]:
    """The value in float64, and whether all values on the way were finite."""
    found = evaluate(topological([expr]), given_values, {"div": _divide})
    return float(found[-1]), all(math.isfinite(f) for f in found)


def _divide(a: float, b: float) -> float:
    return a / b if b else math.nan


@settings(max_examples=150, deadline=None)
@given(expressions(), values)
def test_folding_keeps_the_value_of_finite_input(expr: Expr, given_values: dict[str, float]) -> None:
    before, finite = everything(expr, given_values)
    (folded,) = canonical([expr])
    after, _ = everything(folded, given_values)
    if finite:
        assert after == before  # to the last bit (a zero may change its sign)


@settings(max_examples=60, deadline=None)
@given(expressions())
def test_canonical_form_is_a_fixed_point_without_duplicates(expr: Expr) -> None:
    once = canonical([expr])
    order = topological(once)
    assert len({(e.op, repr(e.data), *map(id, e.args)) for e in order}) == len(order)
    text = Graph.make({"y": expr}, NAMES).text()
    assert Graph.make({"y": once[0]}, NAMES).text() == text


@settings(max_examples=60, deadline=None)
@given(expressions(), expressions(), values)
def test_the_text_of_a_graph_says_all_of_it(x: Expr, y: Expr, given_values: dict[str, float]) -> None:
    graph = Graph.make({"x": x, "y": y, "next.a": x + y}, NAMES)
    again = Graph.parse(graph.text())
    assert again.text() == graph.text()
    assert again.inputs == graph.inputs
    for name, expr in graph.outputs.items():
        assert repr(everything(expr, given_values)) == repr(everything(again.outputs[name], given_values))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a + 0", "a"), ("0 + a", "a"), ("a - 0", "a"), ("0 - a", "-a"), ("a * 1", "a"), ("1 * a", "a"),
        ("a * 0", "0"), ("-1 * a", "-a"), ("-1 * -a", "a"), ("0 - -a", "a"), ("a / 1", "a"), ("0 / a", "0"),
        ("--a", "a"), ("2 * (3 + lift(1.0)) - a", "(8 - a)"), ("lift(1.0) / 0", "(1 / 0)"), ("m.exp(lift(0.0))", "1"),
        ("m.where(a > b, c, c)", "c"), ("m.select(a, c, c)", "c"), ("m.where(~~(a > b), a, b)", "where((a > b), a, b)"),
        ("m.detach(m.detach(a))", "detach(a)"), ("m.detach(lift(2.0))", "2"),
        ("m.where(a > b, a, 0) + m.where(a > b, 0, b)", "where((a > b), a, b)"),
        ("m.where(a > b, a, 0) + m.where(a > b, 0, a)", "a"),
    ],
)  # fmt: skip
def test_folds(before: str, after: str) -> None:
    names = {n: symbol(n) for n in NAMES} | {"m": m, "lift": lift}
    (found,) = canonical([lift(eval(before, names))])
    assert str(found) == after


def test_units_do_not_decide_on_the_text() -> None:
    with_units, without = Graph.make({"y": V * 2.0}), Graph.make({"y": symbol("v") * 2.0})
    assert with_units.text() == without.text() == "in v\n%0 = mul v 2.0\ny = %0"


def test_text_with_an_index_and_special_numbers() -> None:
    entries = [symbol("a"), lift(-0.0), lift(math.inf), lift(1e-300)]
    text = Graph.make({"y": node("propagator", *entries, data=(0, 1))}).text()
    assert text == "in a\n%0 = propagator[0,1] a -0.0 inf 1e-300\ny = %0"
    assert Graph.parse(text).text() == text


@pytest.mark.parametrize("text", ["", "out a", "in a\n%0 = launch a", "in a\ny = b", "in a\n%0 = add a %7\ny = %0"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ModelError):
        Graph.parse(text)


def test_leaves_have_no_arguments() -> None:
    assert all(not e.args for e in topological([V * 2.0 + W]) if e.op in LEAVES)
