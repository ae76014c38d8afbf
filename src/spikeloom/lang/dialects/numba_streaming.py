"""Numba intrinsics that write long rows past the caches.

An ordinary store first reads the cache line that it is about to overwrite, and pushes out of the cache what is of
more use there. A non-temporal store of whole vectors does neither. Rows are made in a small buffer on the stack, by a
loop that LLVM vectorises as any other, and go from there to memory.
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

VECTOR = 32  # bytes written at once, to addresses that are multiples of it
__all__ = ["VECTOR", "finish_streams", "row_buffer", "stream"]

# Without this a type checker asks callers for the typing context, which Numba passes.
_emitter: Callable[..., Any] = intrinsic
_literally: Callable[..., Any] = intrinsic(prefer_literal=True)


@_literally
def row_buffer(typing_context: Any, like: Any, count: Any) -> Any:
    """A pointer to ``count`` (a literal) uninitialised numbers of the type of ``like`` on the stack, aligned."""
    if not isinstance(count, types.IntegerLiteral):
        raise TypingError(f"expected a literal count, got {count}")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        element = context.get_value_type(like)
        slot = cgutils.alloca_once(builder, ir.ArrayType(element, count.literal_value))
        slot.align = 2 * VECTOR
        return builder.bitcast(slot, element.as_pointer())

    return types.CPointer(like)(like, count), code


@_emitter
def stream(typing_context: Any, target: Any, at: Any, source: Any, index: Any) -> Any:
    """Write the vector at ``source[index]`` to ``target[at]``; both addresses are multiples of ``VECTOR`` bytes."""
    if target != source:
        raise TypingError(f"expected two pointers to one type, got {target} and {source}")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        element = context.get_value_type(target.dtype)
        vector = ir.VectorType(element, VECTOR * 8 // target.dtype.bitwidth).as_pointer()
        to, where, of, which = args
        value = builder.load(builder.bitcast(builder.gep(of, [which]), vector))
        value.align = VECTOR
        store = builder.store(value, builder.bitcast(builder.gep(to, [where]), vector))
        store.align = VECTOR
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64), code


@_emitter
def finish_streams(typing_context: Any) -> Any:
    """Let what was streamed be seen by other threads before anything that this thread writes later."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), code
