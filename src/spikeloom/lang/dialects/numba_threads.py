"""Numba intrinsics for threads that run side by side for long: addresses as pointers, atomic reads, waiting.

A table of whole numbers (``CPointer(int64)``) says what to do; every entry is a number or an address.
"""

# pyright: basic
# llvmlite and Numba's compiler have no types, and almost all values here are theirs.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = ["atomic_load", "call_task", "pause", "pointer", "prefetch", "sched_yield", "scratch"]

# Without this a type checker asks callers for the typing context, which Numba passes.
_emitter: Callable[..., Any] = intrinsic
_TABLE = types.CPointer(types.int64)

sched_yield = types.ExternalFunction("sched_yield", types.int32())


@_emitter
def pointer(typing_context: Any, address: Any, kind: Any) -> Any:
    """``address`` as a pointer to numbers of ``kind``, a Numba type such as ``float32``."""
    if address != types.int64 or not isinstance(kind, types.NumberClass):
        raise TypingError(f"expected an int64 and a type of numbers, got {address} and {kind}")
    result = types.CPointer(kind.dtype)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(result))

    return result(address, kind), code


@_emitter
def atomic_load(typing_context: Any, counter: Any) -> Any:
    """The whole number at ``counter``, with everything that other threads wrote before they changed it."""
    if counter != _TABLE:
        raise TypingError(f"expected {_TABLE}, got {counter}")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(args[0], "seq_cst", 8)

    return types.int64(counter), code


@_emitter
def call_task(typing_context: Any, address: Any, begin: Any, end: Any, step: Any, part: Any, table: Any) -> Any:
    """Call the compiled task at ``address`` with four numbers and its own table."""
    if table != _TABLE:
        raise TypingError(f"expected {_TABLE}, got {table}")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [word] * 4 + [word.as_pointer()])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, table), code


@_emitter
def pause(typing_context: Any) -> Any:
    """Tell the processor that this is a loop which waits."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        triple = context.codegen().magic_tuple()[0]
        if triple.startswith(("x86", "i386", "i686")):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), code


@_emitter
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of ``array[index]``, which need not exist."""
    if not isinstance(array, types.CPointer):
        raise TypingError(f"expected a pointer, got {array}")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.bitcast(builder.gep(args[0], [args[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [place, ir.Constant(number, 0), ir.Constant(number, 3), ir.Constant(number, 1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), code


_literally: Callable[..., Any] = intrinsic(prefer_literal=True)


@_literally
def scratch(typing_context: Any, count: Any, kind: Any) -> Any:
    """Room for ``count`` numbers of ``kind`` on the stack of the function that asks for it; a literal."""
    if not isinstance(count, types.IntegerLiteral) or not isinstance(kind, types.NumberClass):
        raise TypingError(f"expected a literal and a type of numbers, got {count} and {kind}")
    result, size = types.CPointer(kind.dtype), count.literal_value

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return cgutils.alloca_once(builder, context.get_value_type(kind.dtype), size)

    return result(count, kind), code
