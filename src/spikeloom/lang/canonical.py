"""Canonical form: equal subexpressions become one node, and operations on literals are folded.

Every rewrite keeps the value of every finite input, so that no backend may differ from another by it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import math as m
from .expr import LEAVES, Expr, node, topological


def canonical(outputs: Sequence[Expr]) -> list[Expr]:
    """The same outputs over shared, folded nodes; units, having been checked when the nodes were made, are dropped.

    >>> from spikeloom.lang.expr import symbol
    >>> x = symbol("x")
    >>> [str(e) for e in canonical([x * 1.0 + 0.0, (x + 2.0) - (x + 2.0) * 0.0])]
    ['x', '(x + 2)']
    """
    table: dict[object, Expr] = {}
    done: dict[int, Expr] = {}
    for expr in topological(outputs):
        if expr.op in LEAVES:
            new = Expr(expr.op, data=expr.data)
        else:
            new = Expr(expr.op, tuple(done[id(a)] for a in expr.args), expr.data)
            while (folded := _fold(new.op, new.args)) is not None and folded is not new:
                new = folded
        done[id(expr)] = table.setdefault(_key(new), new)
    return [done[id(o)] for o in outputs]


def _key(expr: Expr) -> object:
    if expr.op == "const":
        return "const", repr(expr.data)
    return (expr.op, expr.data, *map(id, expr.args))


def is_const(expr: Expr, value: float | None = None) -> bool:
    """Whether ``expr`` is a literal (equal to ``value``, where one is given)."""
    return expr.op == "const" and (value is None or expr.data == value)


_FOLDABLE: Mapping[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "neg": operator.neg,
    "exp": m.exp,
    "expm1": m.expm1,
    "sqrt": m.sqrt,
}


def _fold(op: str, args: tuple[Expr, ...]) -> Expr | None:
    if op in _FOLDABLE and all(is_const(a) for a in args):
        return Expr("const", data=float(_FOLDABLE[op](*(a.data for a in args))))
    rule = _RULES.get(op)
    return rule(*args) if rule else None


def _fold_add(a: Expr, b: Expr) -> Expr | None:
    if is_const(a, 0.0):
        return b
    if a.op == b.op == "where" and a.args[0] is b.args[0] and is_const(a.args[2], 0.0) and is_const(b.args[1], 0.0):
        return Expr("where", (a.args[0], a.args[1], b.args[2]))
    return a if is_const(b, 0.0) else None


def _fold_sub(a: Expr, b: Expr) -> Expr | None:
    if is_const(b, 0.0):
        return a
    if is_const(a, 0.0):
        return node("neg", b)
    return None


def _fold_mul(a: Expr, b: Expr) -> Expr | None:
    for x, y in ((a, b), (b, a)):
        if is_const(x, 0.0):
            return x
        if is_const(x, 1.0):
            return y
        if is_const(x, -1.0):
            return node("neg", y)
    return None


def _fold_div(a: Expr, b: Expr) -> Expr | None:
    if is_const(a) and is_const(b) and b.data:
        return Expr("const", data=float(a.data) / float(b.data))  # type: ignore[arg-type]
    return a if is_const(b, 1.0) or is_const(a, 0.0) else None


def _fold_neg(a: Expr) -> Expr | None:
    if a.op == "neg":
        return a.args[0]
    return Expr("const", data=-float(a.data)) if is_const(a) else None  # type: ignore[arg-type]


def _fold_choice(_: Expr, a: Expr, b: Expr) -> Expr | None:
    return a if a is b or (is_const(a) and is_const(b) and a.data == b.data) else None


def _fold_not(a: Expr) -> Expr | None:
    return a.args[0] if a.op == "not" else None


def _fold_detach(a: Expr) -> Expr | None:
    return a if a.op in ("detach", "const") or a.boolean else None


_RULES: dict[str, Callable[..., Expr | None]] = {
    "add": _fold_add,
    "sub": _fold_sub,
    "mul": _fold_mul,
    "div": _fold_div,
    "neg": _fold_neg,
    "where": _fold_choice,
    "select": _fold_choice,
    "not": _fold_not,
    "detach": _fold_detach,
}
