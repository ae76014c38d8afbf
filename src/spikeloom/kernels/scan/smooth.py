"""A smooth twin of a step, for comparing gradients with finite differences."""

from __future__ import annotations

from ...lang.evaluate import evaluate
from ...lang.expr import Expr, symbol
from ...lang.graph import Graph
from ...surrogates import Surrogate


def smoothed(step: Graph, surrogate: Surrogate) -> Graph:
    """``step`` with every spike replaced by the surrogate's smooth step and every choice by a spike by a blend.

    Its exact derivative is what the surrogate gradient of ``step`` stands for, with nothing detached.
    """
    operations = {
        "fire": surrogate.smooth,
        "select": _blended,
        "detach": _attached,
    }
    values = {name: symbol(name) for name in step.inputs}
    found = evaluate(list(step.outputs.values()), values, operations)
    return Graph.make(dict(zip(step.outputs, found, strict=True)), step.inputs)


def _blended(spike: Expr, a: Expr, b: Expr) -> Expr:
    return spike * a + (1.0 - spike) * b


def _attached(x: Expr) -> Expr:
    return x
