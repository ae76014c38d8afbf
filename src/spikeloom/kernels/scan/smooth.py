"""A smooth twin of a step, for comparing gradients with finite differences."""

from __future__ import annotations

from collections.abc import Collection

from ...lang.evaluate import evaluate
from ...lang.expr import Expr, symbol
from ...lang.graph import Graph
from ...surrogates import Surrogate
from ..program import NEXT, SHOWN, STATE, STREAM


def smoothed(step: Graph, surrogate: Surrogate, timers: Collection[str] = ()) -> Graph:
    """``step`` with every spike replaced by the surrogate's smooth step and every choice by a spike by a blend.

    Its exact derivative is what the surrogate gradient of ``step`` stands for, with nothing detached. ``timers`` are
    states that count whole steps, which is nothing smooth: they become streams, the last ones, with a given course.
    """
    operations = {
        "fire": surrogate.smooth,
        "select": _blended,
        "detach": _attached,
    }
    states = [name for name in step.inputs if name.startswith(STATE) and name.removeprefix(STATE) not in timers]
    streams = [name for name in step.inputs if name.startswith(STREAM)] + [STREAM + name for name in timers]
    values = {name: symbol(name) for name in step.inputs} | {STATE + name: symbol(STREAM + name) for name in timers}
    left_out = {prefix + name for name in timers for prefix in (NEXT, SHOWN)}
    outputs = {name: e for name, e in step.outputs.items() if name not in left_out}
    found = evaluate(list(outputs.values()), values, operations)
    rest = [name for name in step.inputs if not name.startswith((STATE, STREAM))]
    return Graph.make(dict(zip(outputs, found, strict=True)), [*states, *streams, *rest])


def _blended(spike: Expr, a: Expr, b: Expr) -> Expr:
    return spike * a + (1.0 - spike) * b


def _attached(x: Expr) -> Expr:
    return x
