"""Numba intrinsics for convolutions: scaled rows added up over several lists, and products summed over several rows."""

# pyright: basic
# llvmlite and Numba's compiler have no types, and almost all values here are theirs.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from .numba_rows import AT_ONCE, LANES, add_lanes, multiplied

__all__ = ["add_segment_products", "add_segments"]

# Without this a type checker asks callers for the typing context, which Numba passes.
_literally: Callable[..., Any] = intrinsic(prefer_literal=True)
_FLOAT = ir.FloatType()


@_literally
def add_segments(
    typing_context: Any, width: Any, target: Any, to: Any, start: Any, of: Any, table: Any, base: Any, rise: Any,
    rows: Any, scales: Any, bounds: Any, at: Any, jump: Any, span: Any, segments: Any,
) -> Any:  # fmt: skip
    """Row ``target[to:]`` = row ``start[of:]`` + the sum, over the segments and within each over its list, of
    ``scales[k]`` times row ``table[base + rise * segment + width * rows[k]:]``.

    The list of a segment is ``bounds[at + jump * segment] <= k < bounds[at + jump * segment + span]``. A row is
    ``width`` numbers, a literal power of two; ``rows`` and ``bounds`` are int32. Sums stay in registers, and happen in
    the order of the lists, each product and addition rounded once where the processor can.
    """
    if not isinstance(width, types.IntegerLiteral):
        raise TypingError(f"expected a literal width, got {width}")
    count = width.literal_value
    kind = ir.VectorType(_FLOAT, count)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, target, to, start, of, table, base, rise, rows, scales, bounds, at, jump, span, segments = args
        whole = at.type
        one, zero = ir.Constant(whole, 1), ir.Constant(whole, 0)

        def vector(pointer: Any, place: Any) -> Any:
            return builder.bitcast(builder.gep(pointer, [place]), kind.as_pointer())

        def loaded(pointer: Any, place: Any) -> Any:
            value = builder.load(vector(pointer, place))
            value.align = 4
            return value

        def bound(place: Any) -> Any:
            return builder.sext(builder.load(builder.gep(bounds, [place])), whole)

        total = cgutils.alloca_once(builder, kind)
        builder.store(ir.Constant(kind, [0.0] * count), total)
        with cgutils.for_range_slice(builder, zero, segments, one, intp=whole) as (segment, _):
            place = builder.add(at, builder.mul(jump, segment))
            begin, end = bound(place), bound(builder.add(place, span))
            own = builder.gep(table, [builder.add(base, builder.mul(rise, segment))])
            with cgutils.for_range_slice(builder, begin, end, one, intp=whole) as (k, _):
                row = builder.sext(builder.load(builder.gep(rows, [k])), whole)
                scale = builder.load(builder.gep(scales, [k]))
                first = builder.insert_element(ir.Constant(kind, ir.Undefined), scale, ir.Constant(ir.IntType(32), 0))
                mask = ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
                spread = builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), mask)
                added = loaded(own, builder.mul(row, ir.Constant(whole, count)))
                builder.store(_multiply_add(context, builder, spread, added, builder.load(total)), total)
        stored = builder.store(builder.fadd(loaded(start, of), builder.load(total)), vector(target, to))
        stored.align = 4
        return context.get_dummy_value()

    row, place, whole = types.CPointer(types.float32), types.CPointer(types.int32), types.int64
    lists = (place, row, place, whole, whole, whole, whole)
    return types.void(width, row, whole, row, whole, row, whole, whole, *lists), code


@_literally
def add_segment_products(
    typing_context: Any, width: Any, sums: Any, to: Any, row: Any, at: Any, table: Any, rows: Any, first: Any,
    offsets: Any, begin: Any, end: Any,
) -> Any:  # fmt: skip
    """``sums[to + j] +=`` the sum, over the segments begin <= k < end, of ``row[at + width * k:]`` times
    ``table[width * (rows[first + j] + offsets[k]):]`` over ``width`` numbers, for j below 4.

    ``width`` is a literal power of two, 16 or more; float32 pointers, ``rows`` a pointer to uint16 and ``offsets`` to
    int64. Each of the four results depends on its own place only.
    """
    if not isinstance(width, types.IntegerLiteral):
        raise TypingError(f"expected a literal width, got {width}")
    count, kind = width.literal_value, ir.VectorType(_FLOAT, LANES)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, sums, to, row, at, table, rows, first, offsets, begin, end = args
        word, totals = first.type, [cgutils.alloca_once(builder, kind) for _ in range(AT_ONCE)]

        def times_width(number: Any) -> Any:
            return builder.mul(number, ir.Constant(word, count))

        starts: list[Any] = []
        for j, total in enumerate(totals):
            builder.store(ir.Constant(kind, [0.0] * LANES), total)
            place = builder.load(builder.gep(rows, [builder.add(first, ir.Constant(word, j))]))
            starts.append(times_width(builder.zext(place, word)))
        with cgutils.for_range_slice(builder, begin, end, ir.Constant(word, 1), intp=word) as (k, _):
            offset = times_width(builder.load(builder.gep(offsets, [k])))
            own = (row, builder.add(at, times_width(k)))
            others = [builder.add(start, offset) for start in starts]
            found = multiplied(builder, own, table, others, count, [builder.load(total) for total in totals])
            for value, total in zip(found, totals, strict=True):
                builder.store(value, total)
        add_lanes(builder, [builder.load(total) for total in totals], sums, to)
        return context.get_dummy_value()

    real, place, whole = types.CPointer(types.float32), types.CPointer(types.uint16), types.int64
    return types.void(width, real, whole, real, whole, real, place, whole, types.CPointer(whole), whole, whole), code


def _multiply_add(context: Any, builder: Any, a: Any, b: Any, c: Any) -> Any:
    triple, _, features = context.codegen().magic_tuple()
    # Without the instruction, llvm.fma would call a slow library routine for each element.
    if not triple.startswith(("x86", "i386", "i686")) or "+fma" in features.split(","):
        kind = ir.FunctionType(a.type, [a.type] * 3)
        name = f"llvm.fma.v{a.type.count}f32"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [a, b, c])
    return builder.fadd(builder.fmul(a, b), c)
