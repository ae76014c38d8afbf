"""Numba intrinsics for one step of a layer with recurrent weights: gather rows, multiply tiles, pack spikes.

Sums stay in vector registers, which LLVM does not do by itself for a list of rows or a tile of a product. Every sum
runs over its list, or over the whole inner axis, in order and without fast-math flags, so that a row's result depends
neither on the rows beside it nor on the width of a tile.
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

from .numba_intrinsics import _target  # pyright: ignore[reportPrivateUsage]

__all__ = ["gather_rows", "multiply_tile", "pack_ones"]

# Without this a type checker asks callers for the typing context, which Numba passes.
_emitter: Callable[..., Any] = intrinsic
_literally: Callable[..., Any] = intrinsic(prefer_literal=True)
_REALS = (types.CPointer(types.float32), types.CPointer(types.float64))


def _place(builder: Any, base: Any, at: Any, kind: Any) -> Any:
    return builder.bitcast(builder.gep(base, [at]), kind.as_pointer())


def _load(builder: Any, base: Any, at: Any, kind: Any) -> Any:
    value = builder.load(_place(builder, base, at, kind))
    value.align = 4
    return value


def _store(builder: Any, value: Any, base: Any, at: Any) -> None:
    stored = builder.store(value, _place(builder, base, at, value.type))
    stored.align = 4


def _plus(builder: Any, start: Any, step: Any, count: int) -> Any:
    return builder.add(start, builder.mul(step, ir.Constant(start.type, count)))


def _multiply_add(context: Any, builder: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` of vectors, rounded once where the processor can, else twice."""
    triple, features = _target(context)
    if triple.startswith(("x86", "i386", "i686")) and "+fma" not in features:
        return builder.fadd(builder.fmul(a, b), c)
    name = f"llvm.fma.v{a.type.count}f{32 if isinstance(a.type.element, ir.FloatType) else 64}"
    function = ir.FunctionType(a.type, [a.type] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), [a, b, c])


def _checked(literals: tuple[Any, ...], arrays: tuple[Any, ...]) -> list[int]:
    if not all(isinstance(n, types.IntegerLiteral) for n in literals):
        raise TypingError(f"expected literals, got {literals}")
    if arrays[0] not in _REALS or len(set(arrays)) > 1:
        raise TypingError(f"expected pointers to one floating-point type, got {arrays}")
    return [n.literal_value for n in literals]


@_literally
def gather_rows(
    typing_context: Any, width: Any, target: Any, to: Any, table: Any, base: Any, rows: Any, begin: Any, end: Any
) -> Any:
    """Row ``target[to:]`` = the sum of rows ``table[base + width * rows[k]:]``, begin <= k < end.

    A row is ``width`` (a literal power of two) numbers; ``rows`` points to uint16.
    """
    (count,) = _checked((width,), (target, table))

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, target, to, table, base, rows, begin, end = args
        kind = ir.VectorType(context.get_value_type(signature.args[1].dtype), count)
        table = builder.gep(table, [base])
        total = cgutils.alloca_once(builder, kind)
        builder.store(ir.Constant(kind, [0.0] * count), total)
        with cgutils.for_range_slice(builder, begin, end, ir.Constant(begin.type, 1), intp=begin.type) as (k, _):
            row = builder.zext(builder.load(builder.gep(rows, [k])), begin.type)
            at = builder.mul(row, ir.Constant(begin.type, count))
            builder.store(builder.fadd(builder.load(total), _load(builder, table, at, kind)), total)
        _store(builder, builder.load(total), target, to)
        return context.get_dummy_value()

    place = types.int64
    return types.void(width, target, place, table, place, types.CPointer(types.uint16), place, place), code


@_literally
def multiply_tile(
    typing_context: Any, height: Any, width: Any, target: Any, to: Any, step: Any, left: Any, of: Any, stride: Any,
    right: Any, at: Any, inner: Any,
) -> Any:  # fmt: skip
    """``target[to + step * i:]`` += the sum of ``left[of + stride * i + k] * right[at + width * k:]``, k < ``inner``.

    ``height`` rows i of ``width`` numbers, both literals.
    """
    rows, columns = _checked((height, width), (target, left, right))

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, _, target, to, step, left, of, stride, right, at, inner = args
        kind = ir.VectorType(context.get_value_type(signature.args[2].dtype), columns)
        zero, lanes = ir.Constant(ir.IntType(64), 0), ir.Constant(ir.VectorType(ir.IntType(32), columns), None)
        totals = [cgutils.alloca_once(builder, kind) for _ in range(rows)]
        for total in totals:
            builder.store(ir.Constant(kind, [0.0] * columns), total)
        sources = [builder.gep(left, [_plus(builder, of, stride, i)]) for i in range(rows)]
        right = builder.gep(right, [at])
        with cgutils.for_range_slice(builder, zero, inner, ir.Constant(inner.type, 1), intp=inner.type) as (k, _):
            row = _load(builder, right, builder.mul(k, ir.Constant(k.type, columns)), kind)
            for source, total in zip(sources, totals, strict=True):
                number = builder.load(builder.gep(source, [k]))
                one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
                spread = builder.shuffle_vector(one, one, lanes)
                builder.store(_multiply_add(context, builder, spread, row, builder.load(total)), total)
        for i, total in enumerate(totals):
            place = _plus(builder, to, step, i)
            _store(builder, builder.fadd(_load(builder, target, place, kind), builder.load(total)), target, place)
        return context.get_dummy_value()

    place = types.int64
    return types.void(height, width, target, place, place, left, place, place, right, place, place), code


@_literally
def pack_ones(typing_context: Any, count: Any, source: Any, at: Any) -> Any:
    """A word whose bit k says whether ``source[at + k]`` is not 0, for k < ``count`` <= 64 (a literal)."""
    (numbers,) = _checked((count,), (source,))

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, source, at = args
        kind = ir.VectorType(context.get_value_type(signature.args[1].dtype), numbers)
        ones = builder.fcmp_unordered("!=", _load(builder, source, at, kind), ir.Constant(kind, [0.0] * numbers))
        return builder.zext(builder.bitcast(ones, ir.IntType(numbers)), ir.IntType(64))

    return types.int64(count, source, types.int64), code
