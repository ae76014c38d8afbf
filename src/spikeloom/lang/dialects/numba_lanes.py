"""Functions of neighbours in arrays: plain Python on values, emitted as LLVM functions on vectors.

LLVM vectorises a loop over numbers, but not one that asks in passing whether any of a few neighbours did something.
Here a value is a vector of neighbours, and such a question a single instruction.

>>> import numba, numpy
>>> from numba.types import CPointer, float32, int64, void
>>> def reset(m, v_all, threshold):
...     v, f32 = v_all[m], v_all.number
...     word = bits(v >= threshold)
...     with either(word) as (some, none):
...         with some:
...             v_all[m] = select(v >= threshold, f32(0.0), v)
...         with none:
...             v_all[m] = v + 0.25
...     return word
>>> reset_4 = on_lanes(4, reset)
>>> @numba.cfunc(int64(CPointer(float32), int64))
... def task(v_all, m):
...     return reset_4(m, v_all, float32(1.0))
>>> v = numpy.array([5.0, 0.5, 2.0, 0.5, 1.0], numpy.float32)
>>> word = task.ctypes(v.ctypes.data_as(task.ctypes.argtypes[0]), 1)
>>> bin(word), v.tolist()
('0b1010', [5.0, 0.5, 0.0, 0.5, 0.0])
>>> v[2] = 0.5
>>> task.ctypes(v.ctypes.data_as(task.ctypes.argtypes[0]), 0), v.tolist()
(1, [0.0, 0.5, 0.5, 0.5, 0.0])
>>> task.ctypes(v.ctypes.data_as(task.ctypes.argtypes[0]), 1), v.tolist()
(0, [0.0, 0.75, 0.75, 0.75, 0.25])
"""

# pyright: basic
# llvmlite and Numba's compiler have no types, and almost all values here are theirs.

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from . import numba_intrinsics
from .numba_values import Place, Value, as_function, constant, on_values

__all__ = ["Row", "absolute", "bits", "ceil", "either", "fma", "on_lanes", "power", "select", "sqrt"]

select, fma, absolute = map(on_values, (numba_intrinsics.select, numba_intrinsics.fma, numba_intrinsics.fabs))


def on_lanes(count: int, function: Callable[..., Any]) -> Any:
    """``function(m, *given)`` made callable from Numba, for the ``count`` neighbours from place ``m`` on.

    Pointers among ``given`` are :class:`Row` to it, numbers are the same for all neighbours; its literals are
    :meth:`Row.number`, so that everything in it is a value. It returns the :func:`bits` of a condition, or None for 0.
    """

    @functools.wraps(function)
    def typed(typing_context: Any, *given: Any) -> Any:
        return types.int64(*given), code

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def body(place: Place, codes: Any) -> Any:
            place = place._replace(lanes=count)
            word = function(codes[0], *(_given(place, *g) for g in zip(signature.args[1:], codes[1:], strict=True)))
            return ir.Constant(ir.IntType(64), 0) if word is None else word.code

        name = f"{count}.{function.__module__}.{function.__qualname__}.{signature}"
        return as_function(name, body, (context, builder), signature, args)

    context = inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [context, *inspect.signature(function).parameters.values()]
    vars(typed).update(__signature__=inspect.Signature(parameters))
    return intrinsic(typed)


def _given(place: Place, kind: Any, code: Any) -> Any:
    return Row(place, kind.dtype, code) if isinstance(kind, types.CPointer) else Value(place, kind, place.spread(code))


class Row:
    """Numbers in memory: ``row[m]`` are those of the neighbours from place ``m`` on."""

    def __init__(self, place: Place, kind: Any, code: Any) -> None:
        self._place, self._kind, self._code = place, kind, code

    def number(self, number: float) -> Value:
        """A literal of the row's type, the same for all neighbours."""
        return constant(self._place, self._kind, number)

    def _at(self, m: Any) -> tuple[Any, int]:
        builder, first = self._place.builder, self._place.builder.gep(self._code, [m])
        vector = ir.VectorType(self._code.type.pointee, self._place.lanes).as_pointer()
        return builder.bitcast(first, vector), self._kind.bitwidth // 8

    def __getitem__(self, m: Any) -> Value:
        where, align = self._at(m)
        return Value(self._place, self._kind, self._place.builder.load(where, align=align))

    def __setitem__(self, m: Any, numbers: Any) -> None:
        where, align = self._at(m)
        self._place.builder.store(constant(self._place, self._kind, numbers).code, where, align=align)


def bits(condition: Value) -> Value:
    """A whole number whose bit k says whether ``condition`` holds for neighbour k."""
    builder, lanes = condition.place.builder, condition.place.lanes
    packed = builder.bitcast(condition.code, ir.IntType(lanes))
    return Value(condition.place._replace(lanes=0), types.int64, builder.zext(packed, ir.IntType(64)))


@contextlib.contextmanager
def either(word: Value) -> Iterator[tuple[Any, Any]]:
    """``with either(word) as (some, none)``: ``with some`` holds what is done for a word with bits, the rare case, and
    ``with none`` what is done without; both have to be there."""
    builder = word.place.builder
    with builder.if_else(builder.icmp_unsigned("!=", word.code, word.code.type(0)), likely=False) as both:
        yield both


def sqrt(x: Value) -> Value:
    """The square root."""
    return Value(x.place, x.kind, numba_intrinsics.called(x.place.builder, "llvm.sqrt", x.code))


def ceil(x: Value) -> Value:
    """The next whole number from ``x`` up."""
    return Value(x.place, x.kind, numba_intrinsics.called(x.place.builder, "llvm.ceil", x.code))


def power(x: Value, y: Value) -> Value:
    """``x**y`` in float64 by the C library, one neighbour after the other."""
    builder, result = x.place.builder, x.code
    for k in range(x.place.lanes):
        at = ir.Constant(ir.IntType(32), k)
        each = [builder.extract_element(g.code, at) for g in (x, y)]
        result = builder.insert_element(result, numba_intrinsics.called(builder, "llvm.pow", *each), at)
    return Value(x.place, x.kind, result)
