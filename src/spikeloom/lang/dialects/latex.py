"""The dialect of formulas: LaTeX in the subset that matplotlib's mathtext sets, brackets only where they are needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from .dialect import Dialect

# How tightly a formula holds together; an argument looser than its place gets brackets.
CHOICE, LOGIC, COMPARISON, SUM, SIGNED, PRODUCT, POWER, ATOM = range(8)


class Tex(str):
    """LaTeX text that knows how tightly it holds together; a SIGNED one is a minus before a product."""

    level: int

    def __new__(cls, text: str, level: int = ATOM) -> Tex:
        new = super().__new__(cls, text)
        new.level = level
        return new

    def within(self, level: int) -> str:
        """The text, in brackets where it is looser than ``level``."""
        return str(self) if self.level >= level else rf"\left({self}\right)"

    def unsigned(self) -> Tex:
        """A signed text without its minus; any other as it is."""
        return Tex(self[1:], PRODUCT) if self.level == SIGNED else self


def _sum(a: Tex, b: Tex) -> Tex:
    if b.level in (SIGNED, SUM) and b.startswith("-"):
        return Tex(f"{a.within(SUM)} - {b[1:]}", SUM)
    return Tex(f"{a.within(SUM)} + {b.within(SUM)}", SUM)


def _difference(a: Tex, b: Tex) -> Tex:
    return _sum(a, _negative(b))


def _negative(a: Tex) -> Tex:
    return a.unsigned() if a.level == SIGNED else Tex(f"-{a.within(PRODUCT)}", SIGNED)


def _signed(text: str, *parts: Tex) -> Tex:
    """A product or quotient of the unsigned ``parts``, with the sign that they had."""
    product = Tex(text, PRODUCT)
    return _negative(product) if sum(p.level == SIGNED for p in parts) % 2 else product


def _product(*factors: Tex) -> Tex:
    """Factors side by side; one that is repeated becomes a power."""
    powers: dict[Tex, int] = {}
    for factor in (f.unsigned() for f in factors):
        powers[factor] = powers.get(factor, 0) + 1
    text = ""
    for factor, power in powers.items():
        part = factor.within(PRODUCT) if power == 1 else f"{factor.within(ATOM)}^{{{power}}}"
        text += (r" \cdot " if part[0].isdigit() else r"\,") + part if text else part
    return _signed(text, *factors)


def _quotient(a: Tex, b: Tex) -> Tex:
    return _signed(rf"\frac{{{a.unsigned()}}}{{{b.unsigned()}}}", a, b)


def _call(name: str) -> Callable[..., Tex]:
    def call(*args: Tex) -> Tex:
        return Tex(rf"{name}\left({', '.join(args)}\right)", POWER)

    return call


def _power(a: Tex, b: Tex) -> Tex:
    return Tex(f"{a.within(ATOM)}^{{{b}}}", POWER)


def _exp(a: Tex) -> Tex:
    return Tex(rf"\exp\left({a}\right)" if r"\frac" in a else f"e^{{{a}}}", POWER)


def _infix(sign: str, level: int) -> Callable[[Tex, Tex], Tex]:
    return lambda a, b: Tex(f"{a.within(level + 1)} {sign} {b.within(level + 1)}", level)


def _choice(condition: Tex, a: Tex, b: Tex) -> Tex:
    return Tex(rf"{a.within(SUM)}\ \mathrm{{if}}\ {condition.within(LOGIC)}\ \mathrm{{else}}\ {b.within(SUM)}", CHOICE)


def literal(value: float) -> Tex:
    r"""A number as people write it.

    >>> [str(literal(x)) for x in (-0.5, 1 / 18, 2.5e-9, 1e6)]
    ['-0.5', '\\frac{1}{18}', '2.5 \\times 10^{-9}', '10^{6}']
    """
    if value < 0:
        return Tex(f"-{literal(-value).within(PRODUCT)}", SIGNED)
    text = f"{value:.6g}"
    inverse = round(1.0 / value) if 1e-4 < value < 1.0 else 0
    if inverse and abs(float(text) - value) > 1e-12 * value and abs(value * inverse - 1.0) < 1e-12:
        return Tex(rf"\frac{{1}}{{{inverse}}}", PRODUCT)
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return Tex({"inf": r"\infty", "nan": r"\mathrm{undefined}"}.get(text, text))
    power = f"10^{{{int(exponent)}}}"
    return Tex(power, POWER) if mantissa == "1" else Tex(rf"{mantissa} \times {power}", PRODUCT)


def with_unit(number: Tex, unit: str) -> Tex:
    """A number with its unit, where the unit's name is a simple one."""
    plain = re.fullmatch(r"[A-Za-z]\w*(/\w+)?", unit)
    return _signed(rf"{number.unsigned()}\,\mathrm{{{unit}}}", number) if plain else number


_OF_ONE: Mapping[str, Callable[[Tex], Tex]] = {
    "abs": lambda a: Tex(rf"\left|{a}\right|"),
    "expm1": lambda a: Tex(f"{_exp(a)} - 1", SUM),
    "log1p": lambda a: Tex(rf"\ln\left({_sum(Tex('1'), a)}\right)", POWER),
    "sqrt": lambda a: Tex(rf"\sqrt{{{a}}}"),
    "ceil": lambda a: Tex(rf"\lceil {a} \rceil"),
    "not": lambda a: Tex(rf"\neg {a.within(ATOM)}", POWER),
    "detach": lambda a: a,
}

# "mul" takes any number of factors, which `latex` collects first.
LATEX = Dialect(
    name="latex",
    operations={
        **_OF_ONE,
        **{name: _call(rf"\{name}") for name in ("tanh", "sin", "cos")},
        "add": _sum,
        "sub": _difference,
        "mul": _product,
        "div": _quotient,
        "neg": _negative,
        "pow": _power,
        "exp": _exp,
        "log": _call(r"\ln"),
        "sigmoid": _call(r"\sigma"),
        "atan": _call(r"\arctan"),
        "erf": _call(r"\mathrm{erf}"),
        "minimum": _call(r"\min"),
        "maximum": _call(r"\max"),
        "ge": _infix(r"\geq", COMPARISON),
        "gt": _infix(">", COMPARISON),
        "and": _infix(r"\wedge", LOGIC),
        "or": _infix(r"\vee", LOGIC),
        "fire": _call(r"\Theta"),
        "where": _choice,
        "select": _choice,
    },
    literal=literal,
)
