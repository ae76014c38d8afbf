"""Numba intrinsics with which one compiled function hands work out to threads: a shared counter, a call by address."""

# pyright: basic
# llvmlite and Numba's compiler have no types, and almost all values here are theirs.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = ["call_kernel", "fetch_add"]

# Without this a type checker asks callers for the typing context, which Numba passes.
_emitter: Callable[..., Any] = intrinsic
_literally: Callable[..., Any] = intrinsic(prefer_literal=True)
_TABLE = types.CPointer(types.int64)


@_emitter
def fetch_add(typing_context: Any, counter: Any) -> Any:
    """Add one to the whole number at ``counter`` in one piece, whatever other threads do; returns what it was."""
    if counter != _TABLE:
        raise TypingError(f"expected {_TABLE}, got {counter}")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", args[0], ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(counter), code


@_literally
def call_kernel(
    typing_context: Any, table: Any, place: Any, count: Any, begin: Any, end: Any, steps: Any, width: Any
) -> Any:
    """Call the kernel at address ``table[place]`` with four numbers and the ``count`` addresses behind its own.

    ``place`` and ``count`` are literals.
    """
    if table != _TABLE or not (isinstance(place, types.IntegerLiteral) and isinstance(count, types.IntegerLiteral)):
        raise TypingError(f"expected {_TABLE} and literals, got {table}, {place} and {count}")
    where, arrays = place.literal_value, count.literal_value

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word, pointer = ir.IntType(64), ir.IntType(8).as_pointer()

        def entry(index: int) -> Any:
            return builder.load(builder.gep(args[0], [ir.Constant(word, where + index)]))

        kind = ir.FunctionType(ir.VoidType(), [word] * 4 + [pointer] * arrays)
        kernel = builder.inttoptr(entry(0), kind.as_pointer())
        given = [builder.inttoptr(entry(k + 1), pointer) for k in range(arrays)]
        builder.call(kernel, [*args[3:], *given])
        return context.get_dummy_value()

    return types.void(table, place, count, *[types.int64] * 4), code
