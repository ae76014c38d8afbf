"""Numba intrinsics that add up whole rows: vectors as wide as a row's block, held in registers over a list of rows.

LLVM vectorises neither a sum over a list of rows (it would keep the running sum in memory) nor the packing of
comparisons into bits nor a transposition, so they are written as vectors here. The additions carry no fast-math flag
and happen in the order of the list: a sum depends on nothing but its list.
"""

# pyright: basic
# llvmlite and Numba's compiler have no types, and almost all values here are theirs.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

BITS = 64
TILE = 8
AT_ONCE = 4
LANES = 16
__all__ = [
    "AT_ONCE", "BITS", "LANES", "TILE", "add_lanes", "add_products", "add_rows", "count_bits", "lowest_bit",
    "mark_bytes", "mark_row", "multiplied", "ones_and_others", "set_bytes", "transpose_tile",
]  # fmt: skip

# Without this a type checker asks callers for the typing context, which Numba passes.
_emitter: Callable[..., Any] = intrinsic
_literally: Callable[..., Any] = intrinsic(prefer_literal=True)
_FLOAT = ir.FloatType()
_REALS = (types.CPointer(types.float32), types.CPointer(types.float64))


def _vector(builder: Any, base: Any, at: Any, width: int) -> Any:
    return builder.bitcast(builder.gep(base, [at]), ir.VectorType(base.type.pointee, width).as_pointer())


def _loaded(builder: Any, base: Any, at: Any, width: int) -> Any:
    value = builder.load(_vector(builder, base, at, width))
    value.align = _size(base)
    return value


def _size(base: Any) -> int:
    return 4 if base.type.pointee == _FLOAT else 8


@_literally
def add_rows(
    typing_context: Any, width: Any, target: Any, to: Any, start: Any, of: Any, table: Any, base: Any, rows: Any,
    begin: Any, end: Any,
) -> Any:  # fmt: skip
    """Row ``target[to:]`` = row ``start[of:]`` + the sum of rows ``table[base + width * rows[k]:]``, begin <= k < end.

    A row is ``width`` numbers. ``width`` is a literal power of two; float32 or float64 pointers, all of one kind, and
    ``rows`` a pointer to uint16.
    """
    if not isinstance(width, types.IntegerLiteral):
        raise TypingError(f"expected a literal width, got {width}")
    if table not in _REALS:
        raise TypingError(f"expected a pointer to float32 or float64, got {table}")
    count = width.literal_value
    kind = ir.VectorType(_FLOAT if table.dtype == types.float32 else ir.DoubleType(), count)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, target, to, start, of, table, base, rows, begin, end = args
        table = builder.gep(table, [base])
        total = cgutils.alloca_once(builder, kind)
        builder.store(ir.Constant(kind, [0.0] * count), total)
        step = ir.Constant(begin.type, 1)
        with cgutils.for_range_slice(builder, begin, end, step, intp=begin.type) as (k, _):
            row = builder.zext(builder.load(builder.gep(rows, [k])), begin.type)
            at = builder.mul(row, ir.Constant(begin.type, count))
            builder.store(builder.fadd(builder.load(total), _loaded(builder, table, at, count)), total)
        result = builder.fadd(_loaded(builder, start, of, count), builder.load(total))
        stored = builder.store(result, _vector(builder, target, to, count))
        stored.align = _size(table)
        return context.get_dummy_value()

    row = table
    indices = types.CPointer(types.uint16)
    place = types.int64
    return types.void(width, row, place, row, place, row, place, indices, place, place), code


@_literally
def add_products(
    typing_context: Any, width: Any, sums: Any, to: Any, row: Any, at: Any, table: Any, base: Any, rows: Any, first: Any
) -> Any:
    """``sums[to + j] += row[at:] @ table[base + width * rows[first + j]:]`` over ``width`` numbers, for j below 4.

    ``width`` is a literal power of two, 16 or more; float32 pointers, and ``rows`` a pointer to uint16. Each of the
    four results depends on its own two rows only.
    """
    if not isinstance(width, types.IntegerLiteral):
        raise TypingError(f"expected a literal width, got {width}")
    count, kind = width.literal_value, ir.VectorType(_FLOAT, LANES)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, sums, to, row, at, table, base, rows, first = args
        word = first.type

        def place(start: Any, k: int) -> Any:
            return builder.add(start, ir.Constant(word, k))

        starts = [base] * AT_ONCE
        for j in range(AT_ONCE):
            index = builder.zext(builder.load(builder.gep(rows, [place(first, j)])), word)
            starts[j] = builder.add(base, builder.mul(index, ir.Constant(word, count)))
        zeros = [ir.Constant(kind, [0.0] * LANES)] * AT_ONCE
        totals = multiplied(builder, (row, at), table, starts, count, zeros)
        add_lanes(builder, totals, sums, to)
        return context.get_dummy_value()

    real, place = types.CPointer(types.float32), types.int64
    return types.void(width, real, place, real, place, real, place, types.CPointer(types.uint16), place), code


def multiplied(builder: Any, row: Any, table: Any, starts: Any, count: int, totals: Any) -> Any:
    """``totals``, vectors of 16 lanes, plus the products of ``count`` numbers of ``row``, a pointer and a place, and of
    ``table`` from each of ``starts``; number k goes into lane k mod 16."""
    pointer, at = row
    for k in range(0, count, LANES):
        more = ir.Constant(at.type, k)
        x = _loaded(builder, pointer, builder.add(at, more), LANES)
        others = [_loaded(builder, table, builder.add(start, more), LANES) for start in starts]
        totals = [_fused(builder, x, y, total) for y, total in zip(others, totals, strict=True)]
    return totals


def add_lanes(builder: Any, totals: Any, sums: Any, to: Any) -> None:
    """``sums[to + j] +=`` the sum of the 16 lanes of ``totals[j]``, for j below 4, by a tree."""
    halves = [_folded(builder, total, LANES) for total in totals]
    pairs = [_paired(builder, 0, *halves[k : k + 2]) for k in (0, 2)]
    quarter = _folded(builder, _paired(builder, 1, *pairs), TILE)
    before = _loaded(builder, sums, to, AT_ONCE)
    stored = builder.store(builder.fadd(before, quarter), _vector(builder, sums, to, AT_ONCE))
    stored.align = 4


def _fused(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """``x * y + z`` in one operation where the processor has it."""
    return builder.fadd(builder.fmul(x, y, flags=("contract",)), z, flags=("contract",))


def _folded(builder: Any, vector: Any, lanes: int) -> Any:
    """The lower half plus the upper half."""
    kind = ir.VectorType(ir.IntType(32), lanes // 2)
    halves = (ir.Constant(kind, list(range(first, first + lanes // 2))) for first in (0, lanes // 2))
    return builder.fadd(*(builder.shuffle_vector(vector, vector, half) for half in halves))


def _paired(builder: Any, number: int, a: Any, b: Any) -> Any:
    """Half the numbers of ``a`` added to the other half, and the same of ``b``, as a round of _ROUNDS has them."""
    mask = ir.VectorType(ir.IntType(32), TILE)
    return builder.fadd(
        *(builder.shuffle_vector(a, b, ir.Constant(mask, list(lanes))) for lanes in _ROUNDS[number][1:])
    )


# Three rounds of pairing vectors transpose 8 x 8 numbers, in shuffles that processors have: (distance, low, high).
_ROUNDS = (
    (1, (0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15)),
    (2, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)),
    (4, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)),
)
_AFTER = (0, 2, 1, 3, 4, 6, 5, 7)  # where the rounds leave the columns


@_emitter
def transpose_tile(typing_context: Any, source: Any, at: Any, stride: Any, target: Any, to: Any, step: Any) -> Any:
    """``target[to + step * i + j] = source[at + stride * j + i]`` for i and j below 8; float32."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, at, stride, target, to, step = args
        mask = ir.VectorType(ir.IntType(32), TILE)

        def place(start: Any, stride: Any, k: int) -> Any:
            return builder.add(start, builder.mul(stride, ir.Constant(stride.type, k)))

        rows = [_loaded(builder, source, place(at, stride, k), TILE) for k in range(TILE)]
        for distance, low, high in _ROUNDS:
            for k in (k for k in range(TILE) if not k & distance):
                pair = rows[k], rows[k + distance]
                rows[k] = builder.shuffle_vector(*pair, ir.Constant(mask, list(low)))
                rows[k + distance] = builder.shuffle_vector(*pair, ir.Constant(mask, list(high)))
        for k, column in enumerate(_AFTER):
            stored = builder.store(rows[k], _vector(builder, target, place(to, step, column), TILE))
            stored.align = 4
        return context.get_dummy_value()

    row, place = types.CPointer(types.float32), types.int64
    return types.void(row, place, place, row, place, place), code


@_emitter
def ones_and_others(typing_context: Any, source: Any, at: Any) -> Any:
    """Two words whose bit k tells whether ``source[at + k]`` is 1, and whether it is neither 0 nor 1; k < 64."""
    if source not in _REALS:
        raise TypingError(f"expected a pointer to float32 or float64, got {source}")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, word = ir.VectorType(args[0].type.pointee, BITS), ir.IntType(BITS)
        values = _loaded(builder, args[0], args[1], BITS)
        ones = builder.fcmp_ordered("==", values, ir.Constant(kind, [1.0] * BITS))
        zeros = builder.fcmp_ordered("==", values, ir.Constant(kind, [0.0] * BITS))
        others = builder.not_(builder.or_(ones, zeros))
        both = (builder.bitcast(ones, word), builder.bitcast(others, word))
        return context.make_tuple(builder, signature.return_type, both)

    return types.UniTuple(types.int64, 2)(source, types.int64), code


@_emitter
def count_bits(typing_context: Any, word: Any) -> Any:
    """How many bits of an int64 are set."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.int64), code


@_emitter
def lowest_bit(typing_context: Any, word: Any) -> Any:
    """The place of the lowest set bit of an int64 that is not 0."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), code


@_emitter
def set_bytes(typing_context: Any, source: Any, at: Any) -> Any:
    """A word whose bit k tells whether the byte ``source[at + k]`` is not 0; k < 64."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.IntType(8), BITS)
        values = builder.load(_vector(builder, args[0], args[1], BITS))
        values.align = 1
        marks = builder.icmp_unsigned("!=", values, ir.Constant(kind, [0] * BITS))
        return builder.bitcast(marks, ir.IntType(BITS))

    return types.int64(types.CPointer(types.uint8), types.int64), code


@numba.njit(error_model="numpy")
def mark_bytes(source, first, size, words, to):
    """``words[to:]`` with a bit for each byte of ``source[first : first + size]`` that is not 0; returns how many."""
    whole, total = size // BITS, numba.int64(0)
    for w in range(whole):
        words[to + w] = set_bytes(source, first + BITS * w)
        total += count_bits(words[to + w])
    if BITS * whole < size:
        last = numba.int64(0)
        for k in range(size - BITS * whole):
            if source[first + BITS * whole + k] != 0:
                last |= numba.int64(1) << k
        words[to + whole] = last
        total += count_bits(last)
    return total


@numba.njit(error_model="numpy")
def mark_row(source, first, size, words, to):
    """``words[to:]`` with a bit for each of ``source[first : first + size]`` that is not 0.

    Returns how many there are, and whether one of them is not 1.
    """
    whole, total, strange = size // BITS, numba.int64(0), numba.int64(0)
    for w in range(whole):
        ones, others = ones_and_others(source, first + BITS * w)
        words[to + w] = ones | others
        total += count_bits(ones | others)
        strange |= others
    if BITS * whole < size:
        last = numba.int64(0)
        for k in range(size - BITS * whole):
            value = source[first + BITS * whole + k]
            if value != 0:
                last |= numba.int64(1) << k
                if value != 1:
                    strange = numba.int64(1)
        words[to + whole] = last
        total += count_bits(last)
    return total, strange != 0
