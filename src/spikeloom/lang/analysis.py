"""What can be read off a program: linearity, what is constant in time, what backward must save, its cost."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Collection, Mapping, Sequence

from . import math as m
from .canonical import canonical, is_const
from .expr import LEAVES, Expr, lift, node, rebuilt, topological


def symbols(outputs: Sequence[Expr]) -> list[str]:
    """Names of all symbols below ``outputs``, in order of first use."""
    return list(dict.fromkeys(str(e.data) for e in topological(outputs) if e.op == "symbol"))


def linear(expr: Expr, variables: Sequence[str]) -> tuple[dict[str, Expr], Expr] | None:
    """``expr`` as (coefficient of each variable, rest), or None where it is not linear in the variables.

    >>> from spikeloom.lang.expr import symbol
    >>> v, i, tau = symbol("v"), symbol("i"), symbol("tau")
    >>> coefficients, rest = linear((i - v) / tau, ["v"])
    >>> str(coefficients["v"]), str(rest)
    ('(-1 / tau)', '(i / tau)')
    >>> linear(v * v, ["v"]) is None
    True
    """
    names, forms = set(variables), dict[int, dict[str, Expr] | None]()
    (root,) = canonical([expr])
    for current in topological([root]):
        if current.op == "symbol" and current.data in names:
            forms[id(current)] = {str(current.data): lift(1.0)}
        elif current.op in LEAVES:
            forms[id(current)] = {"": current}
        else:
            forms[id(current)] = _linear_node(current, [forms[id(a)] for a in current.args])
    form = forms[id(root)]
    if form is None:
        return None
    keys = [k for k in variables if k in form]
    *coefficients, rest = canonical([*(form[k] for k in keys), form.get("", lift(0.0))])
    kept = {k: c for k, c in zip(keys, coefficients, strict=True) if not is_const(c, 0.0)}
    return kept, rest


Form = dict[str, Expr]


def _linear_node(expr: Expr, forms: Sequence[Form | None]) -> Form | None:
    if all(f is not None and set(f) <= {""} for f in forms):
        return {"": expr}
    known = [f for f in forms if f is not None]
    if len(known) < len(forms):
        return None
    first, last = known[0], known[-1]
    free = [set(f) <= {""} for f in known]
    if expr.op in ("add", "sub"):
        return _combine(first, last, lambda a, b: node(expr.op, a, b))
    if expr.op == "neg":
        return {k: -c for k, c in known[0].items()}
    if expr.op == "mul" and any(free):
        factor, form = (expr.args[0], known[1]) if free[0] else (expr.args[1], known[0])
        return {k: c * factor for k, c in form.items()}
    if expr.op == "div" and free[1]:
        return {k: c / expr.args[1] for k, c in known[0].items()}
    if expr.op == "where" and free[0]:
        return _combine(known[1], known[2], lambda a, b: m.where(expr.args[0], a, b))
    return None


def _combine(a: Form, b: Form, op: Callable[[Expr, Expr], Expr]) -> Form:
    zero = lift(0.0)
    return {k: op(a.get(k, zero), b.get(k, zero)) for k in dict.fromkeys([*a, *b])}


def invariant(outputs: Sequence[Expr], changing: Collection[str]) -> list[Expr]:
    """Maximal subexpressions that contain no ``changing`` symbol: what is hoisted out of the time loop.

    A condition is only hoisted as part of a number, so that all results are numbers.
    """
    varies: set[int] = set()
    edge: list[Expr] = []
    for expr in topological(outputs):
        if (expr.op == "symbol" and expr.data in changing) or any(id(a) in varies for a in expr.args):
            varies.add(id(expr))
            edge += [a for a in expr.args if id(a) not in varies]
    edge += [o for o in outputs if id(o) not in varies]
    found: dict[int, Expr] = {}
    for expr in edge:  # which grows by the parts of conditions
        if expr.boolean:
            edge += expr.args
        elif expr.op != "const":
            found[id(expr)] = expr
    return list(found.values())


def replace(outputs: Sequence[Expr], new: Mapping[int, Expr]) -> list[Expr]:
    """``outputs`` with the nodes of the given ids replaced."""
    return rebuilt(outputs, lambda expr, args: new.get(id(expr)))


def operation_counts(outputs: Sequence[Expr]) -> dict[str, int]:
    """How often each operation is carried out, shared subexpressions once.

    >>> from spikeloom.lang.expr import symbol
    >>> v = symbol("v")
    >>> operation_counts([v * v + 1.0, v * v])
    {'add': 1, 'mul': 1}
    """
    counts = collections.Counter(e.op for e in topological(canonical(outputs)) if e.op not in LEAVES)
    return {op: counts[op] for op in sorted(counts)}


def minimum_cut(outputs: Sequence[Expr], cost: Callable[[Expr], float]) -> list[Expr]:
    """The cheapest set of nodes from which ``outputs`` can be computed: what backward must save.

    ``cost(node)`` is what it takes to have that node in backward (bytes written and read again); literals are
    free. A minimum vertex cut between the leaves and the outputs, by augmenting paths.
    """
    order = [e for e in topological(outputs) if e.op != "const"]
    flow = _Flow()
    for expr in order:
        flow.add((id(expr), 0), (id(expr), 1), cost(expr))
        for arg in expr.args:
            if arg.op != "const":
                flow.add((id(arg), 1), (id(expr), 0), math.inf)
        if expr.op == "symbol":
            flow.add("source", (id(expr), 0), math.inf)
    for output in outputs:
        if output.op != "const":
            flow.add((id(output), 1), "sink", math.inf)
    reachable = flow.saturate("source", "sink")
    return [e for e in order if (id(e), 0) in reachable and (id(e), 1) not in reachable]


class _Flow:
    """Maximum flow by shortest augmenting paths (Edmonds and Karp 1972); the graphs here are small."""

    def __init__(self) -> None:
        self.capacity: dict[object, dict[object, float]] = collections.defaultdict(dict)

    def add(self, a: object, b: object, capacity: float) -> None:
        self.capacity[a][b] = max(self.capacity[a].get(b, 0.0), capacity)
        self.capacity[b].setdefault(a, 0.0)

    def _search(self, source: object) -> dict[object, object]:
        parent: dict[object, object] = {source: source}
        queue = collections.deque([source])
        while queue:
            a = queue.popleft()
            for b, capacity in self.capacity[a].items():
                if capacity > 1e-9 and b not in parent:
                    parent[b] = a
                    queue.append(b)
        return parent

    def saturate(self, source: object, sink: object) -> set[object]:
        """Push as much flow as fits; the nodes still reachable from ``source`` lie on its side of the cut."""
        while sink in (parent := self._search(source)):
            path: list[tuple[object, object]] = []
            at = sink
            while at is not source:
                path.append((parent[at], at))
                at = parent[at]
            amount = min(self.capacity[a][b] for a, b in path)
            for a, b in path:
                self.capacity[a][b] -= amount
                self.capacity[b][a] += amount
        return set(parent)
