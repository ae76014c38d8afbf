"""Elementary functions for model equations: they record on expressions and compute on numbers and tensors.

Any array library that offers functions of these names works: the function is looked up in the library that
the argument comes from, so that this module needs to import none of them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

from .expr import Expr, node

__all__ = [
    "atan", "ceil", "cos", "detach", "erf", "exp", "expm1", "exprel", "fire", "log", "log1p", "maximum",
    "minimum", "select", "sigmoid", "sin", "sqrt", "tanh", "where",
]  # fmt: skip


def _apply(op: str, x: Any) -> Any:
    if isinstance(x, Expr):
        return node(op, x)
    if isinstance(x, (int, float)):
        return _ON_FLOATS[op](x)
    return getattr(_library(x), _SPELLED.get(op, op) if _library(x).__name__ == "numpy" else op)(x)


def _library(*values: Any) -> Any:
    for value in values:
        name = type(value).__module__.partition(".")[0]
        if name not in ("builtins", "spikeloom"):
            return sys.modules[name]
    return sys.modules["math"]


def _overflowing(function: Callable[[float], float]) -> Callable[[float], float]:
    """Infinity instead of Python's OverflowError, as everybody else's floating point has it."""

    def computed(x: float) -> float:
        try:
            return function(x)
        except OverflowError:
            return math.inf

    return computed


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


_ON_FLOATS: Mapping[str, Callable[[float], float]] = {
    "exp": _overflowing(math.exp),
    "expm1": _overflowing(math.expm1),
    "log": lambda x: math.log(x) if x > 0 else (-math.inf if x == 0 else math.nan),
    "log1p": lambda x: math.log1p(x) if x > -1 else (-math.inf if x == -1 else math.nan),
    "sqrt": lambda x: math.sqrt(x) if x >= 0 else math.nan,
    "tanh": math.tanh,
    "sigmoid": _sigmoid,
    "sin": lambda x: math.sin(x) if math.isfinite(x) else math.nan,
    "cos": lambda x: math.cos(x) if math.isfinite(x) else math.nan,
    "atan": math.atan,
    "erf": math.erf,
    "ceil": lambda x: float(math.ceil(x)) if math.isfinite(x) else x,
}
_SPELLED = {"atan": "arctan"}


def exp(x: Any) -> Any:
    """e to the x; ``x`` has no dimension."""
    return _apply("exp", x)


def expm1(x: Any) -> Any:
    """exp(x) - 1 without cancellation near 0."""
    return _apply("expm1", x)


def log(x: Any) -> Any:
    """Natural logarithm."""
    return _apply("log", x)


def log1p(x: Any) -> Any:
    """log(1 + x) without cancellation near 0."""
    return _apply("log1p", x)


def sqrt(x: Any) -> Any:
    """Square root; its unit is the root of the argument's."""
    return _apply("sqrt", x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return _apply("tanh", x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), finite for every x."""
    return _apply("sigmoid", x)


def sin(x: Any) -> Any:
    """Sine of an angle in radians."""
    return _apply("sin", x)


def cos(x: Any) -> Any:
    """Cosine of an angle in radians."""
    return _apply("cos", x)


def atan(x: Any) -> Any:
    """Inverse tangent."""
    return _apply("atan", x)


def erf(x: Any) -> Any:
    """Error function."""
    return _apply("erf", x)


def ceil(x: Any) -> Any:
    """Smallest whole number not below x; its derivative is 0."""
    return _apply("ceil", x)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of two values."""
    if isinstance(x, Expr) or isinstance(y, Expr):
        return node("minimum", x, y)
    return where(x < y, x, y)


def maximum(x: Any, y: Any) -> Any:
    """The larger of two values."""
    if isinstance(x, Expr) or isinstance(y, Expr):
        return node("maximum", x, y)
    return where(x > y, x, y)


def where(condition: Any, x: Any, y: Any) -> Any:
    """``x`` where ``condition`` holds, else ``y``. Both are computed.

    The traced gradient never lets a non-finite value of the untaken branch through. Torch's own autograd (the
    reference backend) does, so a branch that can blow up should be given a harmless argument there, as
    :func:`exprel` does.
    """
    if any(isinstance(a, Expr) for a in (condition, x, y)):
        return x if condition is True else y if condition is False else node("where", condition, x, y)
    if isinstance(condition, bool):
        return x if condition else y
    return _library(condition, x, y).where(condition, x, y)


def select(spike: Any, x: Any, y: Any) -> Any:
    """``x`` where ``spike`` is 1, else ``y``: like :func:`where`, but the spike's gradient is ``x - y``."""
    if any(isinstance(a, Expr) for a in (spike, x, y)):
        return node("select", spike, x, y)
    if not getattr(spike, "requires_grad", False):
        return where(spike > 0, x, y)
    # The second term is zero and carries the gradient, so that the value stays exactly x or y.
    return where(spike > 0, x, y) + (spike - detach(spike)) * (x - y)


def detach(x: Any) -> Any:
    """The value, cut off from its gradient."""
    if isinstance(x, Expr):
        return node("detach", x)
    return x.detach() if hasattr(x, "detach") else x


def fire(x: Any) -> Any:
    """1 where ``x >= 0``, else 0. Its gradient is the surrogate's; only a program knows which."""
    return node("fire", x)


def exprel(x: Any) -> Any:
    """(exp(x) - 1) / x, which is 1 at 0; with its gradient accurate everywhere.

    Rates of the form ``u / (1 - exp(-u))`` are ``1 / exprel(-u)``.

    >>> exprel(0.0), round(exprel(1.0), 12) == round(math.e - 1, 12)
    (1.0, True)
    """
    near = abs(x) < 0.03125
    # Near 0 the quotient's derivative cancels, so a Taylor series takes over (truncated below 3e-18 there).
    series = 1.0
    for k in range(9, 1, -1):
        series = 1.0 + (x * (1.0 / k)) * series
    away = where(near, 1.0, x)
    return where(near, series, expm1(away) / away)
