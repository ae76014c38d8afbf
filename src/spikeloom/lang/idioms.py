"""Compositions with a name of their own: what is differentiated, and computed, in one piece where it is recognised."""

from __future__ import annotations

import collections
import functools
import math
from collections.abc import Collection, Sequence

from . import math as m
from .canonical import canonical, is_const
from .expr import Expr, lift, rebuilt, symbol, topological

# Operations of kernels only, beside those of the language: exprel(x), and bernoulli(x) = 1 / exprel(x).
FUSED = ("exprel", "bernoulli")

_SERIES_TERMS = 9  # of the slope below |x| = 1/32: the tenth is 1e-19


@functools.cache
def _exprel() -> Expr:
    return canonical([m.exprel(symbol("x"))])[0]


def exprel_argument(expr: Expr) -> Expr | None:
    """x where ``expr``, part of a canonical form, is :func:`~spikeloom.lang.math.exprel` of x.

    >>> y = canonical([m.exprel(symbol("v") + 1.0)])[0]
    >>> str(exprel_argument(y)), exprel_argument(y.args[1]) is None
    ('(v + 1)', True)
    """
    found: list[Expr] = []
    return found[0] if expr.op == "where" and _fits(_exprel(), expr, found) else None


def _fits(pattern: Expr, expr: Expr, found: list[Expr]) -> bool:
    """Whether ``expr`` is ``pattern`` with one and the same node, put into ``found``, in place of its symbol."""
    if pattern.op == "symbol":
        found.append(expr)
        return found[0] is expr
    same = pattern.op == expr.op and pattern.data == expr.data and len(pattern.args) == len(expr.args)
    return same and all(_fits(p, e, found) for p, e in zip(pattern.args, expr.args, strict=True))


def exprel_slope(y: Expr, x: Expr) -> Expr:
    """The derivative of ``y = exprel(x)``, which is (e^x - y) / x = (1 + (x - 1) y) / x: no exponential is needed.

    The series near 0 and the quotient elsewhere are those of ``y`` itself.
    """
    near, away = y.args[0], y.args[2].args[1]
    series = lift(_SERIES_TERMS / math.factorial(_SERIES_TERMS + 1))
    for k in range(_SERIES_TERMS - 1, 0, -1):
        series = _raw("add", lift(k / math.factorial(k + 1)), _raw("mul", x, series))
    above = _raw("add", lift(1.0), _raw("mul", _raw("sub", away, lift(1.0)), y))
    return _raw("where", near, series, _raw("div", above, away))


def fused(outputs: Sequence[Expr]) -> list[Expr]:
    """``outputs`` with ``exprel(x)`` and ``c / exprel(x)`` as the single operations of :data:`FUSED`.

    >>> x = symbol("x")
    >>> [str(e) for e in fused(canonical([m.exprel(x), 0.1 / m.exprel(x)]))]
    ['exprel(x)', '(0.1 * bernoulli(x))']
    """
    new: dict[int, Expr] = {}
    for expr in topological(outputs):
        args = tuple(new[id(a)] for a in expr.args)
        argument = exprel_argument(expr)
        if argument is not None:
            made = Expr("exprel", (new[id(argument)],))
        elif expr.op == "div" and args[1].op == "exprel":
            quotient = Expr("bernoulli", args[1].args)
            made = quotient if is_const(args[0], 1.0) else Expr("mul", (args[0], quotient))
        else:
            made = expr if all(a is b for a, b in zip(args, expr.args, strict=True)) else Expr(expr.op, args, expr.data)
        new[id(expr)] = made
    return canonical([new[id(o)] for o in outputs])


def contracted(outputs: Sequence[Expr]) -> list[Expr]:
    """``outputs`` with sums of a product that is needed nowhere else as the single operation ``fma``.

    >>> a, b, c = symbol("a"), symbol("b"), symbol("c")
    >>> [str(e) for e in contracted([a * b + c, c - b * b, a * c - b])]
    ['fma(a, b, c)', 'fma(-b, b, c)', 'fma(a, c, -b)']
    >>> [str(e) for e in contracted([a * b + c, a * b])]
    ['((a * b) + c)', '(a * b)']
    """
    outputs = canonical(outputs)
    order = topological(outputs)
    uses = collections.Counter(id(a) for e in order for a in e.args)
    uses.update(map(id, outputs))

    def one_operation(expr: Expr, args: tuple[Expr, ...]) -> Expr | None:
        free = [a.op == "mul" and uses[id(a)] == 1 for a in expr.args]
        if expr.op not in ("add", "sub") or not any(free):
            return None
        product, rest = (0, 1) if free[0] else (1, 0)
        (a, b), c = args[product].args, args[rest]
        if expr.op == "sub":
            a, c = (a, _raw("neg", c)) if product == 0 else (_raw("neg", a), c)
        return _raw("fma", a, b, c)

    return rebuilt(outputs, one_operation)


def reciprocals(outputs: Sequence[Expr], changing: Collection[str]) -> list[Expr]:
    """``outputs`` with products in place of quotients whose divisor has no ``changing`` symbol.

    A division takes as long as ten products; its reciprocal is prepared once. The result is rounded twice.

    >>> [str(e) for e in reciprocals([(symbol("v") - symbol("e")) / symbol("tau")], ["v"])]
    ['((v - e) * (1 / tau))']
    """
    new: dict[int, Expr] = {}
    varies: set[int] = set()
    for expr in topological(outputs):
        args = tuple(new[id(a)] for a in expr.args)
        made = expr if all(a is b for a, b in zip(args, expr.args, strict=True)) else Expr(expr.op, args, expr.data)
        if expr.data in changing if expr.op == "symbol" else any(id(a) in varies for a in expr.args):
            varies.add(id(expr))
            if expr.op == "div" and id(expr.args[1]) not in varies:
                made = Expr("mul", (args[0], Expr("div", (lift(1.0), args[1]))))
        new[id(expr)] = made
    return canonical([new[id(o)] for o in outputs])


def _raw(op: str, *args: Expr) -> Expr:
    """Without units, as in all derivatives."""
    return Expr(op, args)
