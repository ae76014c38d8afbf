"""L1 to L3: the text that is made of a program. Golden files show kernels and formulas as people read them.

After a wanted change, ``SPIKELOOM_REGENERATE_GOLDEN=1 pytest tests/test_emit.py`` writes the files in ``tests/golden``
again; read the difference before it is committed.
"""

from __future__ import annotations

import math
import os
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.kernels.scan import cpu
from spikeloom.lang import math as m
from spikeloom.lang.dialects.latex import LATEX
from spikeloom.lang.dialects.numba import numba_dialect
from spikeloom.lang.emit import statements
from spikeloom.lang.evaluate import evaluate
from spikeloom.lang.expr import OPERATIONS, Expr, lift, node, symbol
from spikeloom.lang.latex import latex, name_in_latex
from spikeloom.models.equations import equations

GOLDEN = Path(__file__).parent / "golden"
A, B, C = symbol("a"), symbol("b"), symbol("c")
FUNCTIONS = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "sin", "cos", "atan", "erf")


def golden(name: str, found: str) -> None:
    path = GOLDEN / name
    if os.environ.get("SPIKELOOM_REGENERATE_GOLDEN"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8"), f"{path} differs; see the top of this file"


def random_program(rng: random.Random, size: int) -> Expr:
    """A random composition of every operation; roots and logarithms get positive arguments."""
    pool: list[Expr] = [A, B, C, lift(0.25), lift(-2.0)]
    for _ in range(size):
        x, y, z = (rng.choice(pool) for _ in range(3))
        condition = rng.choice([x > y, y >= z, ~(x > 0.0), (x > y) & (z > -1.0), (x > y) | ~(z >= x)])
        pool.append(rng.choice(choices(x, y, z, condition)))
    return pool[-1] - pool[-2] * pool[-3]


def choices(x: Expr, y: Expr, z: Expr, condition: Expr) -> list[Expr]:
    return [
        x + y, x - y, x * y, x / (1.0 + y * y), -x, abs(x), m.minimum(x, y), m.maximum(x * y, z), x**3,
        (1.0 + abs(x)) ** (y * 0.25), m.sqrt(abs(x)), m.log(1.0 + abs(x)), m.log1p(abs(y)), m.exp(m.sin(x)),
        m.expm1(m.cos(x)), m.tanh(x), m.sigmoid(x), m.atan(x), m.erf(x), m.ceil(x * 0.5), m.where(condition, x, y),
        m.select(m.where(condition, 1.0, 0.0), x, y), m.detach(x), (x + y) * (y - z) * (x + y), x - (y - z),
        x / (y / (3.0 + z * z)), m.exprel(m.sin(x) + 2.0), 0.5 / m.exprel(m.tanh(x) - 2.0), 2.0 * x * -0.5 * y,
    ]  # fmt: skip


def random_point(rng: random.Random) -> dict[str, float]:
    return {n: rng.uniform(-2.0, 2.0) for n in "abc"}


# -- statements


def run(lines: list[str], values: dict[str, float], precision: str) -> dict[str, float]:
    """Execute statements of the CPU dialect as plain Python."""
    space = {f"{f}_{precision}": getattr(m, f) for f in FUNCTIONS} | {f"pow_{precision}": pow, precision: float}
    space |= {"math": math, "abs": abs, **values}
    exec("\n".join(lines), space)
    return space


@pytest.mark.parametrize("seed", range(40))
def test_statements_compute_the_expressions(seed: int) -> None:
    rng = random.Random(seed)
    outputs = {"y": random_program(rng, 12), "z_next": random_program(rng, 4)}
    values = random_point(rng)
    lines = statements(outputs, numba_dialect("f64"))
    space = run(lines, values, "f64")
    for name, expected in zip(outputs, evaluate(list(outputs.values()), values), strict=True):
        assert space[name] == expected


def test_a_value_used_twice_gets_a_name_and_others_do_not() -> None:
    shared = A * B
    lines = statements({"x": shared + 1.0, "y": shared * C}, numba_dialect("f32"))
    assert lines == ["t0 = a * b", "x = t0 + f32(1.0)", "y = t0 * c"]
    assert statements({"x": A, "y": (A + B) * (B + C)}, numba_dialect("f32")) == ["x = a", "y = (a + b) * (b + c)"]


def test_what_a_template_writes_twice_is_computed_once() -> None:
    lines = statements({"y": m.minimum(m.exp(A), B)}, numba_dialect("f64"))
    assert sum(line.count("exp_f64") for line in lines) == 1


def test_long_expressions_are_broken_up() -> None:
    total = A
    for k in range(60):
        total = (total + B * float(k)) * C
    assert max(map(len, statements({"y": total}, numba_dialect("f64")))) < 130


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_the_cpu_dialect_spells_every_operation_and_number(precision: str) -> None:
    dialect = numba_dialect(precision)
    assert set(dialect.operations) == set(OPERATIONS) - {"propagator"}
    for value in (0.1, -1e-300, 1e30, math.inf, -math.inf):
        assert eval(dialect.literal(value), {precision: float, "math": math}) == value
    assert math.isnan(eval(dialect.literal(math.nan), {precision: float, "math": math}))


class Everything(sl.NeuronModel):
    """A model with every operation in its step."""

    v = sl.state(0.3)
    w = sl.state(0.7)
    i = sl.input()

    def derivative(self, s, x):
        v, w, i = s.v, s.w, x.i
        smooth = m.exp(-v) + m.expm1(w) * m.tanh(i) - m.sigmoid(v) / (2.0 + m.sin(w)) + m.cos(v) * m.atan(i) + m.erf(w)
        rough = m.minimum(v, w) + m.maximum(i, -math.inf) + m.ceil(i * 1e25) * 1e-25 + m.ceil(v) + abs(-w)
        roots = m.sqrt(abs(v)) + m.log(1.0 + w * w) + m.log1p(abs(i)) + (1.0 + abs(v)) ** (w * 0.3) + v**3
        chosen = m.where((v > w) & ~(i >= 0.5) | (w > 2.0), v, m.minimum(w, math.inf))
        bare = m.detach(chosen) + m.select(m.where(v > w, 1.0, 0.0), w, i)
        return {"v": 0.1 * (smooth + rough + roots) + 0.0 * i, "w": 0.1 * (bare + chosen - w)}

    def threshold(self, s):
        return s.v - 1.0

    def reset(self, s):
        return {"v": s.v - 1.5}


def test_a_kernel_with_every_operation_equals_the_reference() -> None:
    currents = np.linspace(-1.5, 1.5, 41)
    found = {}
    for name in ("cpu", "reference"):
        sl.last_kernels()
        with sl.backend(name, strict=True):
            trace = sl.simulate(Everything(), currents, duration=2.0, dt=0.1, solver=sl.solvers.ForwardEuler())
        assert sl.last_kernels() == [f"scan/{name}/Everything/forward"]
        found[name] = np.stack([trace["v"], trace["w"], trace.fired.astype(float)])
    assert found["cpu"][2].any()
    np.testing.assert_allclose(found["cpu"], found["reference"], rtol=1e-13, atol=1e-14)


# -- golden kernels


def lif_kernels(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Sources of the kernels that one training step of a LIF layer runs."""
    sources: dict[str, str] = {}
    original = cpu._kernel

    def spy(plan, names, shared, precision, kind):
        graph = plan.forward if kind[0] == "forward" else plan.backward
        sources[kind[0]] = cpu.kernel_source(graph, names, shared, plan.conditions, precision, *kind)
        return original(plan, names, shared, precision, kind)

    monkeypatch.setattr(cpu, "_kernel", spy)
    layer = sl.nn.Neuron(sl.LIF(tau=20.0))
    x = torch.rand(4, 2, 3, requires_grad=True)
    layer(x)[0].sum().backward()
    return sources


def test_golden_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = lif_kernels(monkeypatch)
    assert set(sources) == {"forward", "backward"}
    for direction, source in sources.items():
        compile(source, direction, "exec")
        assert max(map(len, source.splitlines())) <= 120 + 60  # only the decorator's signature may be long
        assert "float64" not in source.split("def ")[1]
        golden(f"lif_{direction}_f32.txt", source)


# -- formulas


BUILT_IN = [
    sl.LIF(), sl.LIF(reset_mechanism="value"), sl.LIF(reset_mechanism="none"), sl.IF(), sl.LI(), sl.ALIF(),
    sl.HodgkinHuxley(), sl.Refractory(sl.Peak(sl.LIF()), t_ref=2.0), sl.Peak(sl.HodgkinHuxley()),
]  # fmt: skip


def renders(text: str) -> bool:
    """Whether matplotlib sets ``text`` as a formula, in the inline and in the displayed form."""
    from matplotlib.mathtext import MathTextParser

    for form in (text, text.replace(r"\frac", r"\dfrac")):
        box = MathTextParser("path").parse(f"${form}$")
        assert box.width > 0
    return True


def test_golden_equations() -> None:
    golden(
        "equations.txt",
        "\n".join(f"{model!r}\n" + "".join(f"    {e}\n" for e in equations(model)) for model in BUILT_IN),
    )


@pytest.mark.parametrize("model", [*BUILT_IN, Everything()], ids=repr)
def test_mathtext_sets_every_equation(model: sl.NeuronModel) -> None:
    lines = equations(model)
    assert len(lines) >= len(model.states)
    assert all(renders(line) for line in lines)
    assert all("$" not in line and "\\" in line for line in lines)  # how reports tell a formula from other text


def test_every_operation_has_a_formula() -> None:
    assert set(LATEX.operations) == set(OPERATIONS) - {"propagator"} | {"or"}
    for op, arity in OPERATIONS.items():
        if arity is not None:
            args = [
                A > B if op in ("and", "not") or (op == "where" and k == 0) else symbol("xyz"[k]) for k in range(arity)
            ]
            assert renders(latex(node(op, *args)))


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("(a - b) / c", r"\frac{a - b}{c}"), ("-(a + b)", r"-\left(a + b\right)"), ("a - -b", "a + b"),
        ("a - (b - c)", r"a - \left(b - c\right)"), ("a + -b * c", r"a - b\,c"), ("a * a * b", r"a^{2}\,b"),
        ("(a + b) * 2", r"2\,\left(a + b\right)"), ("(a + b)**2", r"\left(a + b\right)^{2}"), ("-1 * a", "-a"),
        ("2 * a * -0.5", "-a"), ("1 * a", "a"), ("m.exp(a / b)", r"\exp\left(\frac{a}{b}\right)"), ("a - 2", "a - 2"),
        ("m.exp(-a)", "e^{-a}"), ("a / -b", r"-\frac{a}{b}"), ("m.exprel(a)", r"\frac{e^{a} - 1}{a}"),
        ("3 / m.exprel(a)", r"\frac{3\,a}{e^{a} - 1}"), ("a + (b * -3 + c)", r"a - 3\,b + c"),
        ("a * (1 / 18)", r"\frac{1}{18}\,a"), ("m.where(a > b, a, -b)", r"a\ \mathrm{if}\ a > b\ \mathrm{else}\ -b"),
        ("(a > b) | (c >= a)", r"a > b \vee c \geq a"), ("(a > b) & ~(c > a)", r"a > b \wedge \neg \left(c > a\right)"),
        ("a ** 1.5", "a^{1.5}"), ("m.sqrt(a + b)", r"\sqrt{a + b}"), ("a * 1e-9", r"10^{-9}\,a"),
        ("a * 3 * 1e7", r"3 \times 10^{7}\,a"), ("2 * lift(10 * sl.mV)", r"2 \cdot 10\,\mathrm{mV}"),
    ],
)  # fmt: skip
def test_formulas(formula: str, expected: str) -> None:
    assert latex(eval(formula, {"a": A, "b": B, "c": C, "m": m, "lift": lift, "sl": sl})) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("v_T", r"v_{\mathrm{T}}"), ("tau_m", r"\tau_{\mathrm{m}}"), ("Delta_T", r"\Delta_{\mathrm{T}}"),
        ("g_na_max", r"g_{\mathrm{na}\,\mathrm{max}}"), ("m_inf", r"m_{\infty}"), ("rho2", r"\rho_{2}"), ("_x", "x"),
        ("rate", r"\mathrm{rate}"), ("τ", "τ"), ("__", r"\mathrm{\_\_}"),
    ],
)  # fmt: skip
def test_names(name: str, expected: str) -> None:
    assert name_in_latex(name) == expected
    assert renders(name_in_latex(name))


@pytest.mark.parametrize("seed", range(60))
def test_formulas_mean_what_is_computed(seed: int) -> None:
    rng = random.Random(seed)
    expr = random_program(rng, 7)
    text = latex(expr)
    for _ in range(3):
        values = random_point(rng)
        assert Reader(text, values).value() == pytest.approx(evaluate([expr], values)[0], rel=1e-9, abs=1e-9), text


class Reader:
    """Computes a formula: a second opinion on what the brackets, signs and powers in it say."""

    TOKEN = re.compile(r"\\mathrm\{(?:if|else|erf)\}|\\left[(|]|\\right[)|]|\\[a-z]+|[\d.]+|[-+^{}()|_,>a-z]")
    CALLS = {
        r"\tanh": math.tanh, r"\sin": math.sin, r"\cos": math.cos, r"\exp": math.exp, r"\ln": math.log, r"\min": min,
        r"\max": max, r"\sigma": m.sigmoid, r"\arctan": math.atan, r"\mathrm{erf}": math.erf,
    }  # fmt: skip

    def __init__(self, text: str, values: dict[str, float]) -> None:
        self.tokens = [*self.TOKEN.findall(text.replace(r"\,", " ").replace(r"\ ", " ")), "end"]
        self.values = values

    def take(self, *wanted: str) -> str:
        if wanted and self.tokens[0] not in wanted:
            return ""
        return self.tokens.pop(0)

    def group(self, close: str) -> float:
        found = self.choice()
        assert self.take(close), self.tokens
        return found

    def braces(self) -> float:
        assert self.take("{"), self.tokens
        return self.group("}")

    def value(self) -> float:
        return self.group("end")

    def choice(self) -> float:
        first = self.logic()
        if not self.take(r"\mathrm{if}"):
            return first
        condition = self.logic()
        assert self.take(r"\mathrm{else}")
        second = self.logic()
        return first if condition else second

    def logic(self) -> float:
        found = self.comparison()
        sign = self.take(r"\wedge", r"\vee")
        if not sign:
            return found
        other = self.comparison()
        return bool(found and other) if sign == r"\wedge" else bool(found or other)

    def comparison(self) -> float:
        found = self.sum()
        sign = self.take(r"\geq", ">")
        if not sign:
            return found
        other = self.sum()
        return found >= other if sign == r"\geq" else found > other

    def sum(self) -> float:
        total = -self.product() if self.take("-") else self.product()
        while sign := self.take("+", "-"):
            total = total + self.product() if sign == "+" else total - self.product()
        return total

    def product(self) -> float:
        found = self.power()
        stops = ("end", "}", "+", "-", ",", ">", r"\geq", r"\wedge", r"\vee", r"\right)", r"\right|", r"\rceil")
        while self.tokens[0] not in (*stops, r"\mathrm{if}", r"\mathrm{else}"):
            self.take(r"\cdot", r"\times")
            found *= self.power()
        return found

    def power(self) -> float:
        base = self.atom()
        return base ** self.braces() if self.take("^") else base

    def atom(self) -> float:
        token = self.take()
        if token in (r"\left(", r"\left|"):
            inside = self.group(r"\right)" if token == r"\left(" else r"\right|")
            return abs(inside) if token == r"\left|" else inside
        if token in self.CALLS:
            assert self.take(r"\left(")
            args = [self.choice()]
            while self.take(","):
                args.append(self.choice())
            assert self.take(r"\right)")
            return self.CALLS[token](*args)
        if token == r"\frac":
            above, below = self.braces(), self.braces()
            return above / below
        if token == r"\lceil":
            return float(math.ceil(self.group(r"\rceil")))
        if token == r"\sqrt":
            return math.sqrt(self.braces())
        if token == r"\neg":
            return not self.atom()
        if token == "e":
            return math.e
        return self.values[token] if token in self.values else float(token)
