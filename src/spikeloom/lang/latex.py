"""Expressions as formulas."""

from __future__ import annotations

import math
import re

from .dialects.latex import LATEX, Tex, with_unit
from .expr import Expr, topological

_GREEK = frozenset(
    {
        "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu",
        "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda",
        "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
    }
)  # fmt: skip


def name_in_latex(name: str) -> Tex:
    r"""A name as a symbol: Greek letters are spelled out, what follows an underscore is an index.

    >>> [str(name_in_latex(n)) for n in ("v", "tau_syn", "g_na", "v1", "remaining")]
    ['v', '\\tau_{\\mathrm{syn}}', 'g_{\\mathrm{na}}', 'v_{1}', '\\mathrm{remaining}']
    """
    head, *tail = [part for part in name.split("_") if part] or [name]
    letters, digits = re.fullmatch(r"(.*?)(\d*)", head).groups()  # type: ignore[union-attr]
    base = letters if len(letters) == 1 else _word(letters or head)
    index = r"\,".join(_word(part) for part in (digits, *tail) if part and letters)
    return Tex(f"{base}_{{{index}}}") if index else Tex(base)


def _word(word: str) -> str:
    if word in _GREEK:
        return f"\\{word}"
    if word == "inf":
        return r"\infty"
    return word if word.isdigit() else r"\mathrm{" + word.replace("_", r"\_") + "}"


def latex(expr: Expr) -> Tex:
    r"""``expr`` as LaTeX that matplotlib's mathtext can set.

    >>> from .expr import symbol
    >>> v, tau = symbol("v"), symbol("tau")
    >>> print(latex((3.0 - v**3) / tau))
    \frac{3 - v^{3}}{\tau}
    """
    text: dict[int, Tex] = {}
    for current in topological([expr]):
        text[id(current)] = _spell(current, text)
    return text[id(expr)]


def _spell(expr: Expr, text: dict[int, Tex]) -> Tex:
    if expr.op == "const":
        return with_unit(_literal(float(expr.data)), str(expr.unit or ""))  # type: ignore[arg-type]
    if expr.op == "symbol":
        return name_in_latex(str(expr.data))
    if expr.op == "mul":
        return _product(_factors(expr), text)
    above, below = [], expr
    if expr.op == "div":
        above, below = _factors(expr.args[0]), expr.args[1]
    exponent = _exprel_argument(below)
    if exponent is not None:
        x, one_less = _product(_factors(exponent), text), _op("expm1", text[id(exponent)])
        return _op("div", _product([*above, *_factors(exponent)], text), one_less) if above else _op("div", one_less, x)
    either = _either(expr)
    if either is not None:
        return _op("or", *(text[id(a)] for a in either))
    return _op(expr.op, *(text[id(a)] for a in expr.args))


def _op(op: str, *args: Tex) -> Tex:
    return LATEX.spell(op, list(args))  # type: ignore[return-value]


def _literal(value: float) -> Tex:
    return LATEX.literal(value)  # type: ignore[return-value]


def _factors(expr: Expr) -> list[Expr]:
    """What is multiplied in ``expr``; one entry where it is no product."""
    found: list[Expr] = []
    waiting = [expr]
    while waiting:
        current = waiting.pop()
        if current.op == "mul":
            waiting += reversed(current.args)
        else:
            found.append(current)
    return found


def _product(factors: list[Expr], text: dict[int, Tex]) -> Tex:
    """Numbers come first and as one, and 1 is left out."""
    plain = [f for f in factors if f.op == "const" and not str(f.unit or "")]
    number = math.prod(float(f.data) for f in plain)  # type: ignore[arg-type]
    others = [text[id(f)] for f in factors if not any(f is p for p in plain)]
    if not others:
        return _literal(number)
    leading = [] if abs(number) == 1.0 else [_literal(abs(number))]
    product = _op("mul", *leading, *others) if len(leading) + len(others) > 1 else others[0]
    return _op("neg", product) if number < 0 else product


def _exprel_argument(expr: Expr) -> Expr | None:
    """x where ``expr`` is what :func:`spikeloom.lang.math.exprel` makes of x: a choice of ways to compute one thing."""
    if expr.op != "where" or expr.args[2].op != "div":
        return None
    condition, (above, below) = expr.args[0], expr.args[2].args
    away = below.op == "where" and below.args[0] is condition and above.op == "expm1" and above.args[0] is below
    near = condition.op == "gt" and condition.args[1].op == "abs" and condition.args[1].args[0] is below.args[-1]
    return below.args[2] if away and near else None


def _either(expr: Expr) -> tuple[Expr, Expr] | None:
    """a and b where ``expr`` is ``a | b``, which is recorded as ``~(~a & ~b)``."""
    inner = expr.args[0] if expr.op == "not" else None
    if inner is None or inner.op != "and" or any(a.op != "not" for a in inner.args):
        return None
    return inner.args[0].args[0], inner.args[1].args[0]
