"""Evaluate expressions on any values: numbers, tensors, or other expressions (which substitutes)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import ModelError, did_you_mean
from . import math as m
from .expr import Expr, topological

Table = Mapping[str, Callable[..., Any]]

ARITHMETIC: Table = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "neg": lambda a: -a,
    "abs": abs,
    "ge": lambda a, b: a >= b,
    "gt": lambda a, b: a > b,
    "and": lambda a, b: a & b,
    "not": lambda a: (not a) if isinstance(a, bool) else ~a,
    **{
        name: getattr(m, name)
        for name in (
            "exp", "expm1", "log", "log1p", "sqrt", "tanh", "sigmoid", "sin", "cos", "atan", "erf", "ceil",
            "minimum", "maximum", "where", "select", "detach", "fire",
        )
    },
}  # fmt: skip


def evaluate(outputs: Sequence[Expr], values: Mapping[str, Any], operations: Table | None = None) -> list[Any]:
    """The values of ``outputs`` with each symbol replaced by ``values[name]``.

    ``operations`` adds to or replaces single operations, for instance ``fire`` by a surrogate's.

    >>> from spikeloom.lang.expr import symbol
    >>> evaluate([symbol("a") * 2.0 + symbol("b")], {"a": 3.0, "b": 0.5})
    [6.5]
    """
    table = {**ARITHMETIC, **(operations or {})}
    done: dict[int, Any] = {}
    for expr in topological(outputs):
        if expr.op == "const":
            value: Any = expr.data
        elif expr.op == "symbol":
            if expr.data not in values:
                known = [str(k) for k in values]
                raise ModelError(f"no value for {expr.data}", mend=did_you_mean(str(expr.data), known))
            value = values[str(expr.data)]
        elif expr.op == "propagator":
            value = table["propagator"](expr.data, *(done[id(a)] for a in expr.args))
        else:
            value = table[expr.op](*(done[id(a)] for a in expr.args))
        done[id(expr)] = value
    return [done[id(o)] for o in outputs]
