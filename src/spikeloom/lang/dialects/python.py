"""Dialects for evaluation without a compiler: one number at a time in Python, or arrays in NumPy.

The text is ready in a millisecond, where Numba takes a second; a call costs microseconds, where Numba's takes
nanoseconds. The functions they name are in :data:`PYTHON_NAMES` and :func:`numpy_names`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .dialect import Dialect

_FUNCTIONS = ("exp", "expm1", "log", "log1p", "sqrt", "tanh", "sigmoid", "sin", "cos", "atan", "erf", "ceil")
_ARITHMETIC = {
    "add": "({0} + {1})",
    "sub": "({0} - {1})",
    "mul": "({0} * {1})",
    "div": "({0} / {1})",
    "neg": "(-{0})",
    "abs": "abs({0})",
    "pow": "power({0}, {1})",
    "ge": "({0} >= {1})",
    "gt": "({0} > {1})",
    "detach": "{0}",
    **{op: f"{op}({{0}})" for op in _FUNCTIONS},
}

python_dialect = Dialect(
    name="python",
    operations={
        **_ARITHMETIC,
        "minimum": "({0} if {0} < {1} else {1})",
        "maximum": "({0} if {0} > {1} else {1})",
        "and": "({0} and {1})",
        "not": "(not {0})",
        "fire": "(1.0 if {0} >= 0.0 else 0.0)",
        "where": "({1} if {0} else {2})",
        "select": "({1} if {0} > 0.0 else {2})",
    },
    literal=lambda value: repr(value) if math.isfinite(value) else f"float('{value}')",
)
numpy_dialect = Dialect(
    name="numpy",
    operations={
        **_ARITHMETIC,
        "minimum": "where({0} < {1}, {0}, {1})",
        "maximum": "where({0} > {1}, {0}, {1})",
        "and": "logical_and({0}, {1})",
        "not": "logical_not({0})",
        "fire": "where({0} >= 0.0, 1.0, 0.0)",
        "where": "where({0}, {1}, {2})",
        "select": "where({0} > 0.0, {1}, {2})",
    },
    literal=python_dialect.literal,
)


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0.0 else math.exp(x) / (1.0 + math.exp(x))


# These raise where floating point has NaN or infinity; the caller then asks NumPy.
PYTHON_NAMES: Mapping[str, Any] = {
    **{name: getattr(math, name) for name in _FUNCTIONS if name != "sigmoid"},
    "sigmoid": _sigmoid,
    "power": math.pow,
}


def numpy_names() -> dict[str, Any]:
    """The functions of :data:`numpy_dialect`; SciPy is loaded here, since only this needs it."""
    import numpy as np
    from scipy import special

    names = {name: getattr(np, name) for name in _FUNCTIONS if name not in ("sigmoid", "atan", "erf")}
    names |= {name: getattr(np, name) for name in ("power", "where", "logical_and", "logical_not")}
    return {**names, "sigmoid": special.expit, "atan": np.arctan, "erf": special.erf}


__all__ = ["PYTHON_NAMES", "numpy_dialect", "numpy_names", "python_dialect"]
