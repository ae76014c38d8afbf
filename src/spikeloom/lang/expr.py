"""Expressions: what a model's methods build when they are called on symbols instead of numbers.

The language is small by law: scalar, elementwise, straight-line, at most thirty operations (:data:`OPERATIONS`).
Every node knows its physical unit, so a dimension error is raised at the operator that causes it.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from types import MappingProxyType

from ..errors import DimensionError, ModelError
from ..units import Quantity, Unit, one

# Operation -> number of arguments. "propagator" (an entry of a matrix exponential) lives in `prepare` only.
OPERATIONS: Mapping[str, int | None] = MappingProxyType(
    {
        **dict.fromkeys(("add", "sub", "mul", "div", "minimum", "maximum", "pow", "ge", "gt", "and"), 2),
        **dict.fromkeys(("neg", "abs", "exp", "expm1", "log", "log1p", "sqrt", "tanh", "sigmoid"), 1),
        **dict.fromkeys(("sin", "cos", "atan", "erf", "ceil", "not", "fire", "detach"), 1),
        **dict.fromkeys(("where", "select"), 3),
        "propagator": None,
    }
)
BOOLEAN = frozenset({"ge", "gt", "and", "not"})
LEAVES = frozenset({"const", "symbol"})


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Expr:
    """A node: ``op`` applied to ``args``; ``data`` holds a constant's value or a symbol's name.

    ``unit`` is None where any unit fits: bare numbers take whatever unit is needed, also as a factor.
    """

    op: str
    args: tuple[Expr, ...] = ()
    data: float | str | tuple[int, int] | None = None
    unit: Unit | None = None

    @property
    def boolean(self) -> bool:
        """Whether the node is a condition rather than a number."""
        return self.op in BOOLEAN or (self.op == "detach" and self.args[0].boolean)

    def __add__(self, other: object) -> Expr:
        return node("add", self, other)

    def __radd__(self, other: object) -> Expr:
        return node("add", other, self)

    def __sub__(self, other: object) -> Expr:
        return node("sub", self, other)

    def __rsub__(self, other: object) -> Expr:
        return node("sub", other, self)

    def __mul__(self, other: object) -> Expr:
        return node("mul", self, other)

    def __rmul__(self, other: object) -> Expr:
        return node("mul", other, self)

    def __truediv__(self, other: object) -> Expr:
        return node("div", self, other)

    def __rtruediv__(self, other: object) -> Expr:
        return node("div", other, self)

    def __pow__(self, power: object) -> Expr:
        if isinstance(power, (int, float)):
            if power in range(1, 9):
                return _integer_power(self, int(power))
            if power == 0.5:
                return node("sqrt", self)
        return node("pow", self, power)

    def __rpow__(self, base: object) -> Expr:
        return node("pow", base, self)

    def __neg__(self) -> Expr:
        return node("neg", self)

    def __abs__(self) -> Expr:
        return node("abs", self)

    def __ge__(self, other: object) -> Expr:
        return node("ge", self, other)

    def __gt__(self, other: object) -> Expr:
        return node("gt", self, other)

    def __le__(self, other: object) -> Expr:
        return node("ge", other, self)

    def __lt__(self, other: object) -> Expr:
        return node("gt", other, self)

    def __and__(self, other: object) -> Expr:
        return node("and", self, other)

    def __invert__(self) -> Expr:
        return node("not", self)

    def __or__(self, other: object) -> Expr:
        return ~(~self & ~lift(other))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        raise ModelError(
            "an equation cannot ask whether two values are equal",
            got=f"{self} == or != {spell(other) if isinstance(other, Expr) else other!r}",
            mend="Compare with >= or > instead.",
        )

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise ModelError(
            "a model's equations are straight-line, so a condition has no truth value while they are traced",
            got=f"the condition {self}",
            mend="Write sl.math.where(condition, a, b) instead of `if`, `and`, `or`, `min` or `max`.",
        )

    def __float__(self) -> float:
        raise self._foreign("a function that wants a number, such as math.exp")

    def __array_ufunc__(self, ufunc: object, _: str, *values: object, **__: object) -> object:
        # A NumPy number on the left of an operator arrives here, too.
        name = str(getattr(ufunc, "__name__", ufunc))
        if name not in _NUMPY_OPERATORS:
            raise self._foreign(f"NumPy's {name}")
        return getattr(operator, _NUMPY_OPERATORS[name])(*map(lift, values))

    @classmethod
    def __torch_function__(cls, function: object, *_: object, **__: object) -> object:
        raise cls("const", data=0.0)._foreign(f"torch's {getattr(function, '__name__', function)}")

    def _foreign(self, function: str) -> ModelError:
        mend = "Use the functions of sl.math: they work on numbers, tensors and traced equations alike."
        return ModelError("an equation calls a function that cannot be traced", got=function, mend=mend)

    def __str__(self) -> str:
        return spell(self)


_NUMPY_OPERATORS = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv", "power": "pow", "greater": "gt",
    "greater_equal": "ge", "less": "lt", "less_equal": "le", "equal": "eq", "not_equal": "ne",
}  # fmt: skip


def lift(value: object) -> Expr:
    """``value`` as an expression: numbers become constants without a unit, quantities keep theirs."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, Quantity):
        return Expr("const", data=float(value.value), unit=value.unit)  # type: ignore[arg-type]
    if isinstance(value, (int, float)) or hasattr(value, "__float__"):
        return Expr("const", data=float(value))  # type: ignore[arg-type]
    raise ModelError("a model's equation uses a value of a foreign type", got=type(value).__name__, expected="a number")


def symbol(name: str, unit: Unit | None = None) -> Expr:
    """A named unknown: a state, an input, a parameter or a prepared constant."""
    return Expr("symbol", data=name, unit=unit)


def node(op: str, *args: object, data: tuple[int, int] | None = None) -> Expr:
    """Apply ``op``; raises :class:`DimensionError` where the units of the arguments do not agree."""
    arity = OPERATIONS[op]
    lifted = tuple(lift(a) for a in args)
    if arity is not None and len(lifted) != arity:
        raise ModelError(f"the operation {op} has the wrong number of arguments", got=len(lifted), expected=arity)
    _check_conditions(op, lifted)
    return Expr(op, lifted, data, _unit_of(op, lifted))


def _check_conditions(op: str, args: tuple[Expr, ...]) -> None:
    """Conditions and numbers do not stand in for each other: backends would not agree on what that means."""
    for index, arg in enumerate(args):
        needed = op in ("and", "not") or (op == "where" and index == 0)
        if arg.boolean != needed and op != "detach":
            raise ModelError(
                f"{op} takes {'a condition' if needed else 'numbers'}",
                got=f"the {'condition' if arg.boolean else 'number'} {arg}",
                mend="Compare, as in x > 0." if needed else "Write sl.math.where(condition, 1.0, 0.0) for a number.",
            )


def topological(outputs: Iterable[Expr]) -> list[Expr]:
    """All nodes below ``outputs``, each after its arguments; no recursion, so that long programs work."""
    order: list[Expr] = []
    seen: set[int] = set()
    stack: list[tuple[Expr, Iterator[Expr]]] = []
    for output in outputs:
        if id(output) in seen:
            continue
        seen.add(id(output))
        stack.append((output, iter(output.args)))
        while stack:
            current, remaining = stack[-1]
            child = next(remaining, None)
            if child is None:
                order.append(current)
                stack.pop()
            elif id(child) not in seen:
                seen.add(id(child))
                stack.append((child, iter(child.args)))
    return order


_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "ge": ">=", "gt": ">", "and": "&", "pow": "**"}


def spell(expr: Expr) -> str:
    """The expression as a line of Python, for error messages."""
    if expr.op == "const":
        return f"{expr.data:g}"
    if expr.op == "symbol":
        return str(expr.data)
    parts = [spell(a) for a in expr.args]
    if expr.op in _INFIX:
        return f"({parts[0]} {_INFIX[expr.op]} {parts[1]})"
    return f"-{parts[0]}" if expr.op == "neg" else f"{expr.op}({', '.join(parts)})"


def rebuilt(outputs: Iterable[Expr], change: Callable[[Expr, tuple[Expr, ...]], Expr | None]) -> list[Expr]:
    """``outputs`` over new nodes: ``change`` makes one of a node and its new arguments, or leaves it as it is (None).

    >>> double = rebuilt([symbol("a") * symbol("b")], lambda e, args: args[0] + args[1] if e.op == "mul" else None)
    >>> str(double[0])
    '(a + b)'
    """
    outputs, done = list(outputs), dict[int, Expr]()
    for expr in topological(outputs):
        args = tuple(done[id(a)] for a in expr.args)
        made = change(expr, args)
        if made is None:
            same = all(a is b for a, b in zip(args, expr.args, strict=True))
            made = expr if same else Expr(expr.op, args, expr.data)
        done[id(expr)] = made
    return [done[id(o)] for o in outputs]


def _integer_power(base: Expr, power: int) -> Expr:
    result, square = None, base
    while power:
        if power & 1:
            result = square if result is None else result * square
        power >>= 1
        if power:
            square = square * square
    assert result is not None
    return result


_SAME = frozenset({"add", "sub", "minimum", "maximum", "ge", "gt"})
_KEEP = frozenset({"neg", "abs", "detach", "ceil"})


def _unit_of(op: str, args: tuple[Expr, ...]) -> Unit | None:
    if op in _SAME:
        unit = _common(op, args)
        return None if op in BOOLEAN else unit
    if op in _KEEP:
        return args[0].unit
    if op in ("where", "select"):
        return _common(op, args[1:])
    if op in ("mul", "div"):
        left, right = args[0].unit, args[1].unit
        if left is None or right is None:
            return None
        return left * right if op == "mul" else left / right
    if op == "sqrt":
        return None if args[0].unit is None else args[0].unit ** Fraction(1, 2)
    if op == "pow" and args[1].op == "const":
        return None if args[0].unit is None else args[0].unit ** Fraction(args[1].data).limit_denominator(64)  # type: ignore[arg-type]
    if op in BOOLEAN or op in ("fire", "propagator"):
        return None
    for arg in args:
        if arg.unit is not None and not arg.unit.same_as(one):
            raise DimensionError(f"{op} needs a number without dimension or scale", got=f"{arg} in {arg.unit}")
    return one


def _common(op: str, args: tuple[Expr, ...]) -> Unit | None:
    known = [a for a in args if a.unit is not None]
    for other in known[1:]:
        if not known[0].unit.same_as(other.unit):  # type: ignore[union-attr, arg-type]
            verb = {"ge": "compare", "gt": "compare", "sub": "subtract"}.get(op, op)
            what = f"cannot {verb} {known[0].unit} and {other.unit}"
            raise DimensionError(what, got=f"{known[0]} and {other}", mend="Check the units declared in the model.")
    return known[0].unit if known else None
