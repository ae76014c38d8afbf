"""Evaluate expressions on any values: numbers, tensors, or other expressions (which substitutes)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import ModelError, did_you_mean
from . import math as m
from .expr import Expr, topological

Table = Mapping[str, Callable[..., Any]]


def _not(a: Any) -> Any:
    return (not a) if isinstance(a, bool) else ~a


_FUNCTIONS: Table = {
    name: getattr(m, name)
    for name in (
        "exp", "expm1", "log", "log1p", "sqrt", "tanh", "sigmoid", "sin", "cos", "atan", "erf", "ceil",
        "minimum", "maximum", "where", "select", "detach", "fire",
    )
}  # fmt: skip
# typeshed has no types for truediv, pow and and_
ARITHMETIC: Table = {  # pyright: ignore[reportUnknownVariableType]
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "neg": operator.neg,
    "abs": operator.abs,
    "ge": operator.ge,
    "gt": operator.gt,
    "and": operator.and_,
    "not": _not,
    **_FUNCTIONS,
}


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
