"""The CPU dialect: text for Numba, with elementary functions that vectorise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from ..expr import Expr, topological
from ..idioms import FUSED
from .dialect import Dialect

_FUNCTIONS = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "sin", "cos", "atan", "erf", "pow")


def numba_dialect(precision: str) -> Dialect:
    """Text for ``precision`` "f32" or "f64"; literals take the state's type, so that nothing is promoted.

    >>> numba_dialect("f32").spell("where", ["c", "a", "b"])
    '(a if c else b)'
    """
    calls = {op: f"{op}_{precision}({{0}}{', {1}' if op == 'pow' else ''})" for op in _FUNCTIONS}
    return Dialect(
        name=f"numba-{precision}",
        operations={
            **calls,
            "add": "({0} + {1})",
            "sub": "({0} - {1})",
            "mul": "({0} * {1})",
            "div": "({0} / {1})",
            "neg": "(-{0})",
            "abs": "abs({0})",
            "sqrt": "math.sqrt({0})",
            # math.ceil goes through an integer, which large values (all whole numbers) and NaN do not survive.
            "ceil": f"({precision}(math.ceil({{0}})) if abs({{0}}) < {precision}(4503599627370496.0) else {{0}})",
            "minimum": "({0} if {0} < {1} else {1})",
            "maximum": "({0} if {0} > {1} else {1})",
            "ge": "({0} >= {1})",
            "gt": "({0} > {1})",
            "and": "({0} & {1})",
            "not": "(not {0})",
            "fire": f"({precision}(1.0) if {{0}} >= {precision}(0.0) else {precision}(0.0))",
            "detach": "{0}",
            "where": "({1} if {0} else {2})",
            "select": f"({{1}} if {{0}} > {precision}(0.0) else {{2}})",
        },
        literal=lambda value: f"{precision}({_number(value)})",
    )


def kernel_dialect(precision: str) -> Dialect:
    """The same with choices without branches, and what only kernels have, of :mod:`spikeloom.lang.idioms`.

    Where one side of a branch keeps a state as it is, LLVM would store the other only: masked stores, which some
    processors take twenty times as long for. Fewer branches also compile faster.
    """
    plain = numba_dialect(precision)
    fused = {op: f"{op}_{precision}({{0}})" for op in FUSED}
    chosen = {
        "minimum": "select({0} < {1}, {0}, {1})",
        "maximum": "select({0} > {1}, {0}, {1})",
        "fire": f"select({{0}} >= {precision}(0.0), {precision}(1.0), {precision}(0.0))",
        "where": "select({0}, {1}, {2})",
        "select": f"select({{0}} > {precision}(0.0), {{1}}, {{2}})",
    }
    return dataclasses.replace(plain, operations={**plain.operations, **fused, **chosen})


def lanes_dialect(precision: str) -> Dialect:
    """Text of functions of neighbours, as :mod:`.numba_lanes` takes them; ``fma`` is its own.

    >>> lanes_dialect("f32").spell("where", ["c", "a", "b"])
    'select(c, a, b)'
    """
    kernel = kernel_dialect(precision)
    functions = {op: f"{op}_{precision}.plain({{0}})" for op in (*_FUNCTIONS, *FUSED)}
    functions["pow"] = "power({0}, {1})" if precision == "f64" else "pow_f32.plain({0}, {1})"
    own = {
        "abs": "absolute({0})", "sqrt": "sqrt({0})", "ceil": "ceil({0})", "not": "~{0}", "fma": "fma({0}, {1}, {2})",
    }  # fmt: skip
    return dataclasses.replace(kernel, name=f"lanes-{precision}", operations={**kernel.operations, **functions, **own})


def function_imports(outputs: Iterable[Expr], precision: str) -> list[str]:
    """Lines that import what text of the :func:`kernel_dialect` calls.

    >>> from spikeloom.lang.expr import symbol
    >>> from spikeloom.lang.math import exp
    >>> for line in function_imports([exp(symbol("v"))], "f32"):
    ...     print(line)
    from spikeloom.lang.dialects.numba_intrinsics import select
    from spikeloom.lang.dialects.numba_math import exp_f32
    """
    return ["from spikeloom.lang.dialects.numba_intrinsics import select", *_function_lines(outputs, precision)]


def lanes_imports(outputs: Iterable[Expr], precision: str) -> list[str]:
    """Lines that import what text of the :func:`lanes_dialect` calls, and :func:`~.numba_lanes.on_lanes`.

    >>> lanes_imports([], "f32")
    ['from spikeloom.lang.dialects.numba_lanes import on_lanes']
    """
    order = topological(outputs)
    own = {op for op in ("sqrt", "ceil", "fma") if any(e.op == op for e in order)} | {"on_lanes"}
    own |= {"select"} if any(e.op in ("where", "select", "minimum", "maximum", "fire") for e in order) else set()
    own |= {"absolute"} if any(e.op == "abs" for e in order) else set()
    own |= {"power"} if precision == "f64" and any(e.op == "pow" for e in order) else set()
    lines = [f"from spikeloom.lang.dialects.numba_lanes import {', '.join(sorted(own))}"]
    return [*lines, *(line for line in _function_lines(order, precision) if not line.endswith(" pow_f64"))]


def _function_lines(outputs: Iterable[Expr], precision: str) -> list[str]:
    used = {e.op for e in topological(outputs)} & {*_FUNCTIONS, *FUSED}
    return [f"from spikeloom.lang.dialects.numba_math import {name}_{precision}" for name in sorted(used)]


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "math.nan" if math.isnan(value) else "math.inf" if value > 0 else "-math.inf"
