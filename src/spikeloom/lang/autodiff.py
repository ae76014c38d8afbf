"""Reverse-mode differentiation of expressions: the gradient of a program is again a program."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

from ..errors import ModelError
from .canonical import canonical
from .expr import Expr, lift, topological
from .idioms import exprel_argument, exprel_slope

Surrogate = Callable[[Expr], Expr]


Guard = tuple[tuple[Expr, bool], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _Adjoint:
    """A contribution to an adjoint that holds only where every (condition, outcome) of ``guard`` does."""

    guard: Guard
    value: Expr


def gradient(
    outputs: Sequence[tuple[Expr, Expr]], inputs: Sequence[Expr], surrogate: Surrogate | None = None
) -> list[Expr]:
    """Vector-Jacobian product: the adjoint of each input, given (output, adjoint of that output) pairs.

    A spike's derivative is ``surrogate`` of the fired quantity. In the untaken branch of a ``where`` a
    non-finite value never reaches an input: a branch's adjoints carry its condition as a guard, and are masked
    by a select, not by a multiplication, where they leave the branch.

    >>> from spikeloom.lang.expr import symbol
    >>> from spikeloom.lang import math as m
    >>> x, g = symbol("x"), symbol("g")
    >>> str(gradient([(m.exp(x) * 3.0, g)], [x])[0])
    '((g * 3) * exp(x))'
    """
    shared = canonical([*(o for o, _ in outputs), *inputs])
    roots, leaves = shared[: len(outputs)], shared[len(outputs) :]
    wanted = _on_path(roots, leaves)
    adjoints: dict[int, list[_Adjoint]] = {}
    for root, (_, seed) in zip(roots, outputs, strict=True):
        adjoints.setdefault(id(root), []).append(_Adjoint((), seed))
    for expr in reversed(topological(roots)):
        if id(expr) not in wanted or id(expr) not in adjoints or not expr.args:
            continue
        for child, contribution in _contributions(expr, _combined(adjoints[id(expr)]), surrogate):
            if id(child) in wanted:
                adjoints.setdefault(id(child), []).append(contribution)
    return canonical([_total([_combined(found)] if (found := adjoints.get(id(leaf))) else []) for leaf in leaves])


def _on_path(roots: Sequence[Expr], leaves: Sequence[Expr]) -> set[int]:
    """Nodes through which a gradient can flow from a root to a leaf."""
    reach = {id(leaf) for leaf in leaves}
    for expr in topological(roots):
        if expr.op not in ("detach", "ceil") and not expr.boolean and any(id(a) in reach for a in expr.args):
            reach.add(id(expr))
    return reach


def _combined(parts: Sequence[_Adjoint]) -> _Adjoint:
    """The sum of contributions as one; complementary branches meet in a single choice between their values."""
    merged: list[_Adjoint] = []
    for part in parts:
        current: _Adjoint | None = part
        while current is not None:
            current, merged = _absorb(current, merged)
    if len(merged) == 1:
        return merged[0]
    return _Adjoint(_either([part.guard for part in merged]), _total(merged))


def _either(guards: Sequence[Guard]) -> Guard:
    """A guard that holds where any of ``guards`` does: elsewhere nothing arrived, and nothing may leak on."""
    if not all(guards):
        return ()
    none: Expr | None = None
    for guard in guards:
        holds: Expr | None = None
        for condition, outcome in guard:
            single = condition if outcome else _raw("not", condition)
            holds = single if holds is None else _raw("and", holds, single)
        assert holds is not None  # no guard is empty here
        missed = _raw("not", holds)
        none = missed if none is None else _raw("and", none, missed)
    assert none is not None
    return ((_raw("not", none), True),)


def _absorb(part: _Adjoint, merged: list[_Adjoint]) -> tuple[_Adjoint | None, list[_Adjoint]]:
    """Merge ``part`` with a fitting entry (the result must be absorbed again) or append it."""
    for index, other in enumerate(merged):
        rest = merged[:index] + merged[index + 1 :]
        if _same(other.guard, part.guard):
            return _Adjoint(part.guard, _raw("add", other.value, part.value)), rest
        if _complementary(other.guard, part.guard):
            condition, outcome = part.guard[-1]
            yes, no = (part.value, other.value) if outcome else (other.value, part.value)
            return _Adjoint(part.guard[:-1], yes if yes is no else _raw("where", condition, yes, no)), rest
    return None, [*merged, part]


def _same(a: Guard, b: Guard) -> bool:
    return len(a) == len(b) and all(x is y and p == q for (x, p), (y, q) in zip(a, b, strict=True))


def _complementary(a: Guard, b: Guard) -> bool:
    return bool(a) and bool(b) and a[-1][0] is b[-1][0] and a[-1][1] != b[-1][1] and _same(a[:-1], b[:-1])


def _total(parts: Sequence[_Adjoint]) -> Expr:
    total: Expr | None = None
    for part in parts:
        value = part.value
        for condition, outcome in reversed(part.guard):
            value = _raw("where", condition, value, 0.0) if outcome else _raw("where", condition, 0.0, value)
        total = value if total is None else _raw("add", total, value)
    return lift(0.0) if total is None else total


def _raw(op: str, *args: object) -> Expr:
    """Like :func:`node` without units: derivatives have units that nobody declared."""
    return Expr(op, tuple(lift(a) for a in args))


def _contributions(expr: Expr, adjoint: _Adjoint, surrogate: Surrogate | None) -> list[tuple[Expr, _Adjoint]]:
    g, guard = adjoint.value, adjoint.guard
    argument = exprel_argument(expr)
    if argument is not None:
        return [(argument, _Adjoint(guard, _times(g, exprel_slope(expr, argument))))]
    if expr.op in ("where", "select"):
        choice, a, b = expr.args
        condition = choice if expr.op == "where" else _raw("gt", _raw("detach", choice), 0.0)
        parts = [
            (a, _Adjoint((*guard, (condition, True)), g)),
            (b, _Adjoint((*guard, (condition, False)), g)),
        ]
        if expr.op == "select":
            parts.append((choice, _Adjoint(guard, _times(g, _raw("sub", a, b)))))
        return parts
    if expr.op == "fire":
        if surrogate is None:
            raise ModelError("a spike's gradient needs a surrogate", got="none")
        return [(expr.args[0], _Adjoint(guard, _times(g, surrogate(expr.args[0]))))]
    if expr.op in _OF_ONE:
        parts = (_OF_ONE[expr.op](g, expr, expr.args[0]),)
    else:
        a, b = expr.args
        parts = _OF_TWO[expr.op](g, expr, a, b)
    return [(child, _Adjoint(guard, part)) for child, part in zip(expr.args, parts, strict=True)]


def _times(g: Expr, factor: Expr) -> Expr:
    return _raw("mul", g, factor)


def _over(g: Expr, divisor: Expr) -> Expr:
    return _raw("div", g, divisor)


def _pow_rule(g: Expr, y: Expr, x: Expr, p: Expr) -> tuple[Expr, Expr]:
    slope = _raw("mul", p, _raw("pow", x, _raw("sub", p, lift(1.0))))
    # 0 ** p does not change with p, which 0 * log(0) would not say.
    by_power = _raw("where", _raw("gt", _raw("abs", x), 0.0), _raw("mul", y, _raw("log", x)), 0.0)
    return _times(g, slope), _times(g, by_power)


def _abs_rule(g: Expr, _: Expr, x: Expr) -> Expr:
    # 0 at 0, as torch has it: a spike times something is 0 most of the time.
    below = _raw("where", _raw("gt", 0.0, x), _raw("neg", g), 0.0)
    return _raw("where", _raw("gt", x, 0.0), g, below)


def _erf_rule(g: Expr, _: Expr, x: Expr) -> Expr:
    return _times(g, _raw("mul", lift(2.0 / math.sqrt(math.pi)), _raw("exp", _raw("neg", _raw("mul", x, x)))))


def _extreme(g: Expr, x: Expr, y: Expr, x_wins: Expr) -> tuple[Expr, Expr]:
    zero = lift(0.0)
    return _raw("where", x_wins, g, zero), _raw("where", x_wins, zero, g)


_ONE = lift(1.0)
# (adjoint of y, y, x) -> adjoint of x, for y = op(x)
_OF_ONE: Mapping[str, Callable[[Expr, Expr, Expr], Expr]] = {
    "neg": lambda g, y, x: _raw("neg", g),
    "abs": _abs_rule,
    "exp": lambda g, y, x: _times(g, y),
    "expm1": lambda g, y, x: _times(g, _raw("add", y, _ONE)),
    "log": lambda g, y, x: _over(g, x),
    "log1p": lambda g, y, x: _over(g, _raw("add", x, _ONE)),
    "sqrt": lambda g, y, x: _over(g, _raw("add", y, y)),
    "tanh": lambda g, y, x: _times(g, _raw("sub", _ONE, _raw("mul", y, y))),
    "sigmoid": lambda g, y, x: _times(g, _raw("mul", y, _raw("sub", _ONE, y))),
    "sin": lambda g, y, x: _times(g, _raw("cos", x)),
    "cos": lambda g, y, x: _raw("neg", _times(g, _raw("sin", x))),
    "atan": lambda g, y, x: _over(g, _raw("add", _ONE, _raw("mul", x, x))),
    "erf": _erf_rule,
}
# (adjoint of y, y, a, b) -> adjoints of a and b, for y = op(a, b)
_OF_TWO: Mapping[str, Callable[[Expr, Expr, Expr, Expr], tuple[Expr, Expr]]] = {
    "add": lambda g, y, a, b: (g, g),
    "sub": lambda g, y, a, b: (g, _raw("neg", g)),
    "mul": lambda g, y, a, b: (_times(g, b), _times(g, a)),
    "div": lambda g, y, a, b: (_over(g, b), _raw("neg", _over(_times(g, y), b))),
    "minimum": lambda g, y, a, b: _extreme(g, a, b, _raw("gt", b, a)),
    "maximum": lambda g, y, a, b: _extreme(g, a, b, _raw("gt", a, b)),
    "pow": _pow_rule,
}
