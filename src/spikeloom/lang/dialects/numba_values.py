"""Functions of a few numbers, written as plain Python on values and emitted as LLVM functions that are always inlined.

Numba takes 0.1 s to compile one more function, however short; recording what a straight line of Python does with
values takes a millisecond. Each function becomes a module of its own beside the kernel that calls it, so that none of
its instructions gets the kernel's fast-math flags.

>>> import numba
>>> from numba import float64
>>> @emitted(float64(float64, float64))
... def hypotenuse_squared(x, y):
...     return x * x + y * y
>>> numba.njit(lambda x: hypotenuse_squared(x, 4.0))(3.0)
25.0
>>> hypotenuse_squared.plain(3.0, 4.0)
25.0
"""

# pyright: basic
# llvmlite and Numba's compiler have no types, and almost all values here are theirs.

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import typeof
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = ["PREFIX", "Place", "Value", "as_function", "constant", "emitted", "on_values"]

PREFIX = "emitted."  # of the functions' names


class Place(NamedTuple):
    """Where instructions go. A value is one number, or a vector of ``lanes`` of them."""

    context: Any
    builder: Any
    lanes: int = 0

    def spread(self, code: Any) -> Any:
        """The number ``code`` in every lane."""
        if not self.lanes:
            return code
        kind = ir.VectorType(code.type, self.lanes)
        if isinstance(code, ir.Constant):
            return ir.Constant(kind, [code.constant] * self.lanes)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), code, ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), everywhere)


class Value:
    """A number within a function that is being emitted. Constants beside it take its type, and nothing is promoted."""

    __array_ufunc__ = None  # NumPy's numbers leave what is to be done with a value to the value

    def __init__(self, place: Place, kind: Any, code: Any) -> None:
        self.place, self.kind, self.code = place, kind, code

    def _binary(self, name: str, other: Any, reverse: bool = False) -> Value:
        pair = [self.code, constant(self.place, self.kind, other).code]
        return Value(self.place, self.kind, getattr(self.place.builder, name)(*(pair[::-1] if reverse else pair)))

    def _arithmetic(self, name: str, other: Any, reverse: bool = False) -> Value:
        return self._binary(f"f{name}" if isinstance(self.kind, types.Float) else name, other, reverse)

    def _compared(self, how: str, other: Any) -> Value:
        code = self.place.builder.fcmp_ordered(how, self.code, constant(self.place, self.kind, other).code)
        return Value(self.place, types.boolean, code)

    def __add__(self, other: Any) -> Value:
        return self._arithmetic("add", other)

    def __sub__(self, other: Any) -> Value:
        return self._arithmetic("sub", other)

    def __rsub__(self, other: Any) -> Value:
        return self._arithmetic("sub", other, reverse=True)

    def __mul__(self, other: Any) -> Value:
        return self._arithmetic("mul", other)

    def __truediv__(self, other: Any) -> Value:
        return self._binary("fdiv", other)

    def __rtruediv__(self, other: Any) -> Value:
        return self._binary("fdiv", other, reverse=True)

    def __neg__(self) -> Value:
        return Value(self.place, self.kind, self.place.builder.fneg(self.code))

    def __and__(self, other: Any) -> Value:
        return self._binary("and_", other)

    def __or__(self, other: Any) -> Value:
        return self._binary("or_", other)

    def __xor__(self, other: Any) -> Value:
        return self._binary("xor", other)

    def __rshift__(self, other: Any) -> Value:
        return self._binary("lshr", other)

    def __invert__(self) -> Value:
        return Value(self.place, self.kind, self.place.builder.not_(self.code))

    def __lt__(self, other: Any) -> Value:
        return self._compared("<", other)

    def __gt__(self, other: Any) -> Value:
        return self._compared(">", other)

    def __le__(self, other: Any) -> Value:
        return self._compared("<=", other)

    def __ge__(self, other: Any) -> Value:
        return self._compared(">=", other)

    def __eq__(self, other: Any) -> Any:
        return self._compared("==", other)

    __radd__, __rmul__ = __add__, __mul__


def constant(place: Place, kind: Any, number: Any) -> Value:
    """A number of Python or NumPy as a value; what is one already has to be of this ``kind``."""
    if not isinstance(number, Value):
        return Value(place, kind, place.spread(place.context.get_constant(kind, number)))
    if number.kind != kind:
        raise TypingError(f"expected {kind} throughout, got {number.kind}")
    return number


def emitted(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make a function of values callable from Numba, with this Numba ``signature``; ``plain`` is the function itself.

    Whole numbers of any type stand for uint64.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        def typed(typing_context: Any, *given: Any) -> Any:
            if not all(map(_fits, given, signature.args)):
                raise TypingError(f"expected {', '.join(map(str, signature.args))}, got {', '.join(map(str, given))}")
            return signature, functools.partial(_called, function)

        context = inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = [context, *inspect.signature(function).parameters.values()]
        vars(typed).update(__signature__=inspect.Signature(parameters), plain=function)
        return intrinsic(typed)

    return decorate


def _fits(given: Any, expected: Any) -> bool:
    return given == expected or (expected == types.uint64 and isinstance(given, types.Integer))


def _called(function: Callable[..., Any], context: Any, builder: Any, signature: Any, args: Any) -> Any:
    def body(place: Place, codes: Any) -> Any:
        results = function(*(Value(place, kind, code) for kind, code in zip(signature.args, codes, strict=True)))
        if isinstance(results, tuple):
            return context.make_tuple(place.builder, signature.return_type, [r.code for r in results])
        return results.code

    name = f"{function.__module__}.{function.__qualname__}.{signature}"
    return as_function(name, body, (context, builder), signature, args)


def as_function(
    name: str, body: Callable[[Place, Any], Any], caller: tuple[Any, Any], signature: Any, args: Any
) -> Any:  # fmt: skip
    """Call what ``body`` emits of its arguments' codes, as a function in a module of its own."""
    context, builder = caller
    name = PREFIX + name
    arguments = [context.get_value_type(kind) for kind in signature.args]
    kind = ir.FunctionType(context.get_value_type(signature.return_type), arguments)
    if name not in builder.module.globals:
        library = context.active_code_library
        made = ir.Function(library.create_ir_module(name), kind, name)
        made.linkage = "weak_odr"  # one that need not be kept would be left out, as the kernel comes after it
        made.attributes.add("alwaysinline")
        inside = ir.IRBuilder(made.append_basic_block())
        inside.ret(body(Place(context, inside), made.args))
        library.add_ir_module(made.module)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def on_values(emitter: Any) -> Callable[..., Any]:
    """A Numba intrinsic as a function of values, and of constants and tuples of constants, which are of their type."""

    def apply(*given: Any) -> Any:
        place = next(g for g in given if isinstance(g, Value)).place
        context, builder = place.context, place.builder
        kind = next((g.kind for g in given if isinstance(g, Value) and g.kind != types.boolean), None)

        def lifted(number: Any) -> Value:
            if isinstance(number, tuple):
                parts = [constant(place, kind, part).code for part in number]
                kinds = types.UniTuple(kind, len(parts))
                return Value(place, kinds, parts if place.lanes else context.make_tuple(builder, kinds, parts))
            return number if isinstance(number, Value) else constant(place, kind or typeof(number), number)

        arguments = [lifted(number) for number in given]
        signature, code = emitter.__wrapped__(None, *(a.kind for a in arguments))
        result = code(context, builder, signature, [a.code for a in arguments])
        if isinstance(signature.return_type, types.UniTuple):
            parts = result if place.lanes else cgutils.unpack_tuple(builder, result)
            return tuple(Value(place, signature.return_type.dtype, r) for r in parts)
        return Value(place, signature.return_type, result)

    return apply
