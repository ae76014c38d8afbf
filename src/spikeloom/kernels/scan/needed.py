"""Where the gradient of a spike is used at all: read off the adjoint step, for surrogates that are zero far away.

Every use of the spike's adjoint in the backward step is followed to the results. A product with a factor that is 0
ends it, as does the branch of a choice that is not taken; where none of the ways is open, whatever the adjoint is,
the results are the same. A use of any other kind is taken for open.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from ...lang.analysis import symbols
from ...lang.canonical import canonical
from ...lang.expr import Expr, lift, topological
from ...lang.graph import Graph
from ..program import DISTANCE, NEEDED, SPIKE, STATE, STREAM
from .plan import ADJOINT, adjoints_of


@functools.lru_cache(maxsize=256)
def with_needed(text: str) -> str | None:
    """The step's text with an output more, ``needed``: whether the adjoint of the spike has any effect.

    None where it always has, or where the step makes no spikes. All states are taken to have gradients, and all inputs;
    fewer of them use the spike's adjoint in fewer places.
    """
    step = Graph.parse(text)
    if SPIKE not in step.outputs:
        return None
    wanted = [n for n in step.inputs if n != DISTANCE]
    primal, adjoints = adjoints_of(step, (), wanted)
    needed = _open(adjoints, ADJOINT + SPIKE)
    if needed is None:
        return None
    return Graph.make({**dict(zip(step.outputs, primal, strict=True)), NEEDED: needed}, step.inputs).text()


def _open(results: Sequence[Expr], seed: str) -> Expr | None:
    """A condition without which no result depends on the symbol ``seed``; None for always.

    It is the product of two: that the choices on one of the ways are open, and that on one of the ways the factor next
    to the seed is not 0. Ways that share nodes are so many that to ask for both on the same way would take too long.
    """
    order = topological(results)
    touched: set[int] = set()
    for expr in order:
        if (expr.op == "symbol" and expr.data == seed) or any(id(a) in touched for a in expr.args):
            touched.add(id(expr))
    last: Expr | None = None
    ways = {id(r): _ALWAYS for r in results if id(r) in touched}  # node -> when its value may matter
    for expr in reversed(order):
        if id(expr) in touched:
            last = expr
            for place, argument in enumerate(expr.args):
                if id(argument) in touched:
                    way = _through(expr, place, ways[id(expr)], touched)
                    ways[id(argument)] = _either(ways[id(argument)], way) if id(argument) in ways else way
    if last is None:
        return lift(0.0) > 0.0  # nothing depends on it
    choices, factor = ways[id(last)]
    return choices if factor is None else factor if choices is None else factor & choices


_Way = tuple[Expr | None, Expr | None]  # open choices, a factor that is not 0; None for no condition
_ALWAYS: _Way = (None, None)


def _through(expr: Expr, place: int, way: _Way, touched: set[int]) -> _Way:
    """When argument ``place`` of ``expr`` may matter, given when ``expr`` does."""
    alone = not any(id(a) in touched for k, a in enumerate(expr.args) if k != place)
    choices, factor = way
    if expr.op in ("add", "sub", "neg") or (expr.op == "div" and place == 0):
        return way
    if expr.op == "mul" and alone:
        other = expr.args[1 - place]
        return (choices, ~(lift(0.0) >= abs(other))) if _changes(other) else way  # a NaN goes on to the results
    if expr.op == "where" and place > 0 and id(expr.args[0]) not in touched:
        taken = expr.args[0] if place == 1 else ~expr.args[0]
        return taken if choices is None else choices & taken, factor
    return _ALWAYS


def _changes(factor: Expr) -> bool:
    """A factor that is the same in all steps is as good as never zero."""
    return any(name.startswith((STATE, STREAM)) for name in symbols([factor]))


def _either(a: _Way, b: _Way) -> _Way:
    choices, factor = (_or(x, y) for x, y in zip(a, b, strict=True))
    return choices, factor


def _or(a: Expr | None, b: Expr | None) -> Expr | None:
    if a is None or b is None:
        return None
    same, other = canonical([a, b])
    return a if same is other else a | b


__all__ = ["with_needed"]
