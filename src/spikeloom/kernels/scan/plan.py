"""What a scan's kernels compute: the forward step with what it saves, and the backward step.

Backward runs the adjoint step from the last time to the first. It needs some values of the forward step; those
saved are the cheapest set from which all of them can be computed again (a minimum cut), counted in bytes moved.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

from ...lang.analysis import minimum_cut, replace, symbols
from ...lang.autodiff import gradient
from ...lang.canonical import canonical
from ...lang.evaluate import evaluate
from ...lang.expr import Expr, symbol, topological
from ...lang.graph import Graph
from ..program import DISTANCE, NEEDED, NEXT, SHOWN, SLOPE, SPIKE, STATE, STREAM, constants_of

SAVED, ADJOINT = "save.", "g."

# Bytes moved, relative: a value is written once and read once; a stream is only read, but kept alive by it; a
# condition takes a byte instead of four; a prepared constant is there anyway.
_COST_VALUE, _COST_STREAM, _COST_CONDITION = 2.0, 1.5, 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """The two steps of a scan over named arrays.

    ``forward`` outputs ``next.*``, ``spike``, the recorded ``shown.*``, ``save.*`` and, where the step's text has it,
    ``needed``; ``conditions`` names those that are bytes. ``backward`` takes
    ``save.*``, the streams it still needs, the constants and the adjoints ``g.*`` of forward's outputs, and gives
    the adjoints of states, wanted streams and wanted constants.
    """

    forward: Graph
    backward: Graph
    conditions: frozenset[str]

    @property
    def saved(self) -> list[str]:
        """Names of the arrays that forward leaves for backward."""
        return [name for name in self.forward.outputs if name.startswith(SAVED)]


@functools.lru_cache(maxsize=1024)
def forward_plan(text: str, recorded: tuple[str, ...]) -> Plan:
    """A plan that saves nothing, for runs without gradients."""
    step = Graph.parse(text)
    return Plan(_forward(step, recorded, {}), Graph((), {}), _marks(step))


@functools.lru_cache(maxsize=1024)
def training_plan(text: str, recorded: tuple[str, ...], streams: tuple[bool, ...], constants: tuple[bool, ...]) -> Plan:
    """The plan for gradients to the initial states and to the flagged streams and constants."""
    step = Graph.parse(text)
    wanted = [n for n in step.inputs if n.startswith(STATE)]
    wanted += [n for n, w in zip(_named(step, STREAM), streams, strict=True) if w]
    wanted += [n for n, w in zip(constants_of(step), constants, strict=True) if w]
    primal, adjoint = adjoints_of(step, recorded, wanted)
    cut = _values_to_save(adjoint)
    names = {id(e): f"{SAVED}{k}" for k, e in enumerate(cut)}
    forward = _forward(
        Graph(step.inputs, dict(zip(step.outputs, primal, strict=True))),
        recorded,
        {names[id(e)]: e for e in cut},
    )
    lowered = replace(adjoint, {id(e): symbol(names[id(e)]) for e in cut})
    # `wanted` in the order of the step's inputs, which is how the leaves were listed.
    ordered = [n for n in step.inputs if n in wanted]
    backward = Graph.make({ADJOINT + n: e for n, e in zip(ordered, lowered, strict=True)})
    return Plan(forward, backward, _marks(step) | {names[id(e)] for e in cut if e.boolean})


def adjoints_of(step: Graph, recorded: Sequence[str], wanted: Sequence[str]) -> tuple[list[Expr], list[Expr]]:
    """The step's outputs, and the adjoints of its ``wanted`` inputs, over the same nodes."""
    seeds = [(step.outputs[n], symbol(ADJOINT + n)) for n in _differentiable(step, recorded)]
    leaves = [symbol(n) for n in step.inputs]
    shared = canonical([*(e for e, _ in seeds), *step.outputs.values()])
    heads, everything = shared[: len(seeds)], shared[len(seeds) :]
    pairs = [(head, seed) for head, (_, seed) in zip(heads, seeds, strict=True)]
    adjoints = gradient(pairs, [leaf for leaf in leaves if leaf.data in wanted], _surrogate(step))
    merged = canonical([*everything, *adjoints])
    return merged[: len(everything)], merged[len(everything) :]


def _marks(step: Graph) -> frozenset[str]:
    return frozenset({NEEDED} & set(step.outputs))


def _named(step: Graph, prefix: str) -> list[str]:
    return [n for n in step.inputs if n.startswith(prefix)]


def _differentiable(step: Graph, recorded: Sequence[str]) -> list[str]:
    names = [n for n in step.outputs if n.startswith(NEXT)]
    return [*names, *([SPIKE] if SPIKE in step.outputs else []), *(SHOWN + r for r in recorded)]


def _surrogate(step: Graph):
    def slope(distance: Expr) -> Expr:
        return evaluate([step.outputs[SLOPE]], {DISTANCE: distance})[0]

    return slope if SLOPE in step.outputs else None


def _forward(step: Graph, recorded: Sequence[str], saved: Mapping[str, Expr]) -> Graph:
    kept = {n: e for n, e in step.outputs.items() if n.startswith(NEXT) or n in (SPIKE, NEEDED)}
    kept |= {SHOWN + r: step.outputs[SHOWN + r] for r in recorded}
    made = Graph.make({**kept, **saved})
    return Graph(tuple(n for n in step.inputs if n != DISTANCE), made.outputs)


def _values_to_save(adjoints: Sequence[Expr]) -> list[Expr]:
    """The minimum cut between the step's inputs and the forward values that the adjoints use."""
    backward: set[int] = set()
    for expr in topological(adjoints):
        own = expr.op == "symbol" and str(expr.data).startswith(ADJOINT)
        if own or any(id(a) in backward for a in expr.args):
            backward.add(id(expr))
    order = topological(adjoints)
    used = {id(a): a for e in order if id(e) in backward for a in e.args if id(a) not in backward}
    used |= {id(o): o for o in adjoints if id(o) not in backward}
    cut = minimum_cut(list(used.values()), _cost)
    return [e for e in cut if not _is_given(e)]


def _is_given(expr: Expr) -> bool:
    return expr.op == "symbol" and not str(expr.data).startswith(STATE)


def _cost(expr: Expr) -> float:
    if expr.op == "symbol" and not str(expr.data).startswith(STATE):
        return _COST_STREAM if str(expr.data).startswith(STREAM) else 0.0
    if not any(True for _ in symbols([expr])):
        return 0.0
    return _COST_CONDITION if expr.boolean else _COST_VALUE
