"""L1: what is read off a program."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping

import pytest

import spikeloom as sl
from spikeloom.kernels.program import program
from spikeloom.lang import math as m
from spikeloom.lang.analysis import invariant, linear, minimum_cut, operation_counts, replace, symbols
from spikeloom.lang.canonical import canonical
from spikeloom.lang.evaluate import evaluate
from spikeloom.lang.expr import Expr, lift, node, symbol, topological
from spikeloom.surrogates import ATan

V, W, I, TAU, G, ON = (symbol(n) for n in ("v", "w", "i", "tau", "g", "on"))  # noqa: E741
VALUES = {"v": 0.7, "w": -1.3, "i": 2.1, "tau": 5.0, "g": 0.4, "on": 1.0}


# -- linearity


LINEAR = {
    "(I - V) / TAU": {"v", ""}, "(W + V) * 2.0 - (V - I)": {"v", "w", ""}, "-(V - W) / (TAU * G)": {"v", "w"},
    "V": {"v"}, "I * G": {""}, "G * (V - 3.0) + G * (W + 1.0)": {"v", "w", ""}, "m.exp(TAU) * V / m.sqrt(G)": {"v"},
    "m.where(ON > 0, V, 2.0 * W)": {"v", "w"}, "V - V": set(), "0.0 * W + V": {"v"}, "lift(3.0)": {""},
    "(V + W) / 2 + (V - W) / 2": {"v"}, "m.where(ON > 0, 0.0, G * V) + m.where(TAU > 1, I, V)": {"v", ""},
    "(2.0 * V) * (3.0 * G)": {"v"}, "V * V * 0.0 + V": {"v"},
}  # fmt: skip
NOT_LINEAR = [
    "V * V", "V * W", "V / W", "1.0 / V", "m.exp(V)", "abs(V)", "m.maximum(V, 0.0)", "m.where(V > 0, V, W)",
    "m.where(ON > 0, V * V, W)", "V**3", "m.detach(V)", "m.fire(V)", "m.select(G, V, W)", "V + m.tanh(W)",
    "G / (1 + V)", "m.sqrt(V)", "V**0.5", "m.where((ON > 0) & (W > 0), V, 0.0)", "(V + I) * (V - I)",
]  # fmt: skip


def read(formula: str) -> Expr:
    return lift(eval(formula, {"V": V, "W": W, "I": I, "TAU": TAU, "G": G, "ON": ON, "m": m, "lift": lift}))


@pytest.mark.parametrize("formula", LINEAR)
def test_a_linear_form_equals_the_expression(formula: str) -> None:
    expr = read(formula)
    form = linear(expr, ["v", "w"])
    assert form is not None
    coefficients, rest = form
    assert not set(symbols([*coefficients.values(), rest])) & {"v", "w"}
    for values in (VALUES, {**VALUES, "v": -2.0, "w": 0.25, "on": -1.0}):
        *factors, free = evaluate([*coefficients.values(), rest], values)
        total = sum(f * values[n] for n, f in zip(coefficients, factors, strict=True)) + free
        assert total == pytest.approx(evaluate([expr], values)[0], rel=1e-13, abs=1e-15)
    kinds = set(coefficients) | ({""} if rest.data != 0.0 else set())
    assert kinds == LINEAR[formula]


@pytest.mark.parametrize("formula", NOT_LINEAR)
def test_what_is_not_linear_is_refused(formula: str) -> None:
    assert linear(read(formula), ["v", "w"]) is None


@pytest.mark.parametrize("seed", range(30))
def test_random_combinations_are_linear_and_squares_of_them_are_not(seed: int) -> None:
    rng = random.Random(seed)
    pool = [V, W, I + 0.0 * V, V - W]
    for _ in range(8):
        x, y, free = rng.choice(pool), rng.choice(pool), rng.choice([TAU, G * 2.0, m.exp(G), lift(-0.3), m.tanh(I)])
        pool.append(rng.choice([x + y, x - y, x * free, free * x, x / free, -x, m.where(free > ON, y, x)]))
    expr = pool[-1] + pool[-2]
    form = linear(expr, ["v", "w"])
    assert form is not None
    *factors, free = evaluate([*form[0].values(), form[1]], VALUES)
    total = sum(f * VALUES[n] for n, f in zip(form[0], factors, strict=True)) + free
    assert total == pytest.approx(evaluate([expr], VALUES)[0], rel=1e-12, abs=1e-12)
    if form[0]:
        assert linear(expr * (V + 1.0), ["v", "w"]) is None


# -- hoisting


def test_invariant_finds_maximal_parts_without_the_changing() -> None:
    out = V * m.exp(-1.0 / TAU) + (G * TAU + 1.0) * I
    found = invariant(canonical([out]), {"v", "i"})
    assert sorted(map(str, found)) == ["((g * tau) + 1)", "exp((-1 / tau))"]


def test_invariant_of_edge_cases() -> None:
    assert [str(e) for e in invariant([G * TAU], {"v"})] == ["(g * tau)"]
    assert invariant([V * 2.0], {"v"}) == []
    assert invariant([lift(3.0)], {"v"}) == []
    assert [str(e) for e in invariant([V + G, W + G], {"v", "w"})] == ["g"]


def test_a_condition_is_hoisted_inside_a_number_only() -> None:
    outputs = canonical([m.where(G > 1.0, V, W), m.where(G > 1.0, TAU, 2.0) * V, m.where((V > 0) & (G > TAU), V, 0.0)])
    found = invariant(outputs, {"v", "w"})
    assert all(not e.boolean for e in found)
    assert sorted(map(str, found)) == ["g", "tau", "where((g > 1), tau, 2)"]


@pytest.mark.parametrize(
    "model", [sl.LIF(), sl.ALIF(), sl.HodgkinHuxley(), sl.Refractory(sl.LIF(), t_ref=1.1), sl.IF()]
)
def test_a_step_holds_no_parameter_and_nothing_left_to_hoist(model: sl.NeuronModel) -> None:
    made = program(model, None, ATan(), (model.membrane,))
    step = made.step.outputs
    used = set(symbols([e for n, e in step.items() if n != "slope"]))
    constants = {f"c{k}" for k in range(len(made.prepare))}
    assert used <= {f"s.{n}" for n in model.states} | {f"x.{model.membrane}"} | constants
    assert set(symbols(made.prepare)) <= {*model.params, "dt"}
    left = invariant([e for n, e in step.items() if n != "slope"], {n for n in used if n not in constants})
    assert all(e.op == "symbol" for e in left)


def test_replace_shares_what_did_not_change() -> None:
    inner = V * W
    kept = I + 1.0
    (out,) = replace([(inner + kept) * inner], {id(inner): symbol("new")})
    assert str(out) == "((new + (i + 1)) * new)"
    assert out.args[0].args[1] is kept


def test_operation_counts_count_shared_values_once_after_folding() -> None:
    assert operation_counts([V * W + V * W, (V * W) * 1.0 + 0.0]) == {"add": 1, "mul": 1}
    assert operation_counts([V, lift(2.0) * 3.0]) == {}
    assert operation_counts([m.where(V > 0, m.exp(V), V / W)]) == {"div": 1, "exp": 1, "gt": 1, "where": 1}


def test_the_price_of_a_lif_step() -> None:
    # v' = decay v + x, u = (v' - threshold) / scale, s = fire(u), v' - jump where s: what a person would write.
    counts = program(sl.LIF(), None, ATan(), ("v",)).operation_counts()["step"]
    assert counts["mul"] == 2
    assert {"exp", "div"}.isdisjoint(counts)


# -- minimum cut


def computable(outputs: list[Expr], cut: set[int]) -> bool:
    """Whether ``outputs`` follow from the nodes in ``cut`` and literals alone."""
    known: dict[int, bool] = {}
    for e in topological(outputs):
        known[id(e)] = id(e) in cut or e.op == "const" or (bool(e.args) and all(known[id(a)] for a in e.args))
    return all(known[id(o)] for o in outputs)


def random_graph(rng: random.Random) -> tuple[list[Expr], Mapping[int, float]]:
    pool: list[Expr] = [symbol(n) for n in "abc"[: rng.randint(1, 3)]] + [lift(2.0)]
    for _ in range(rng.randint(3, 8)):
        x, y = rng.choice(pool), rng.choice(pool)
        pool.append(node(rng.choice(["add", "mul"]), x, y) if rng.random() < 0.7 else node("exp", x))
    outputs = rng.sample(pool, rng.randint(1, 3))
    costs = {id(e): float(rng.choice([0, 1, 1, 2, 3, 0.5])) for e in pool}
    return outputs, costs


@pytest.mark.parametrize("seed", range(60))
def test_minimum_cut_against_all_cuts(seed: int) -> None:
    outputs, costs = random_graph(random.Random(seed))
    nodes = [e for e in topological(outputs) if e.op != "const"]
    cut = minimum_cut(outputs, lambda e: costs[id(e)])
    assert computable(outputs, {id(e) for e in cut})
    every = itertools.chain.from_iterable(itertools.combinations(nodes, k) for k in range(len(nodes) + 1))
    best = min(sum(costs[id(e)] for e in c) for c in every if computable(outputs, {id(e) for e in c}))
    assert sum(costs[id(e)] for e in cut) == pytest.approx(best)


def test_minimum_cut_prefers_the_narrow_place() -> None:
    narrow = symbol("a") * symbol("b") + symbol("c")
    outputs = [m.exp(narrow), m.tanh(narrow), narrow * 3.0]
    assert minimum_cut(outputs, lambda e: 1.0) == [narrow]
    assert {str(e) for e in minimum_cut(outputs, lambda e: 9.0 if e is narrow else 1.0)} == {"(a * b)", "c"}
    assert minimum_cut([lift(1.0)], lambda e: 1.0) == []
