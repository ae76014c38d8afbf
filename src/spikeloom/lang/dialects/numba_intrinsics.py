"""Small Numba intrinsics for elementary functions: bits of floats, selects without branches, denormal mode.

Each one emits a few LLVM instructions of exactly the argument's type, which may be a vector of numbers where another
intrinsic calls it (:mod:`.numba_lanes`). Numba's own operators would widen 32-bit
integers to 64 and compile a conditional expression to a branch; both hinder LLVM in vectorising a loop. None of
the floating-point instructions carries a fast-math flag, so a value does not depend on the options of the kernel
that asks for it, nor on whether it fell into the vector body or the remainder of a loop.

>>> import numba, numpy
>>> bits = numba.njit(lambda x: bitcast(x))
>>> hex(bits(numpy.float32(1.0))), hex(bits(1.0))
('0x3f800000', '0x3ff0000000000000')
"""

# pyright: basic
# llvmlite and Numba's compiler have no types, and almost all values here are theirs.

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = [
    "bitcast", "bounded", "called", "copysign", "exponent_and_mantissa", "fabs", "flip_sign", "flush_denormals", "fma",
    "is_odd", "narrowed", "polynomial", "pow2", "restore_denormals", "scale_pow2", "select", "widened",
]  # fmt: skip

# Without this a type checker asks callers for the typing context, which Numba passes.
_emitter: Callable[..., Any] = intrinsic
_BIT_TWINS = {
    types.float32: types.int32,
    types.float64: types.int64,
    types.int32: types.float32,
    types.int64: types.float64,
    types.uint64: types.float64,
}
_FTZ_AND_DAZ = 0x8040  # bits 15 and 6 of the x86 control register MXCSR
_SQRT_HALF = {32: 0x3F3504F3, 64: 0x3FE6A09E667F3BCD}  # bits of sqrt(1/2), rounded to nearest


def _float(*arguments: types.Type) -> types.Type:
    """The one floating-point type of all arguments. Numba would convert them silently, and bits would not fit."""
    if arguments[0] not in (types.float32, types.float64) or len(set(arguments)) > 1:
        raise TypingError(f"expected float32 or float64 throughout, got {', '.join(map(str, arguments))}")
    return arguments[0]


class _Layout:
    """The bit layout of an IEEE 754 type, and constants of the integer type as wide as it."""

    def __init__(self, argument: types.Type) -> None:
        self.bits, self.fraction = (32, 23) if argument == types.float32 else (64, 52)
        self.bias = (1 << (self.bits - self.fraction - 2)) - 1
        self.int: Any = ir.IntType(self.bits)
        self.float: Any = ir.FloatType() if self.bits == 32 else ir.DoubleType()
        # Added to a float below 2**(fraction - 1), 1.5 * 2**fraction rounds it to a whole number held in the low bits.
        self.round_bits = ((self.bias + self.fraction) << self.fraction) | (1 << (self.fraction - 1))

    def on(self, value: Any) -> _Layout:
        """The same of as many numbers as ``value`` has."""
        made = copy.copy(self)
        made.int, made.float = _as_many(value, self.int), _as_many(value, self.float)
        return made

    @property
    def many(self) -> bool:
        """Whether it is that of a vector."""
        return isinstance(self.int, ir.VectorType)

    def integer(self, value: int) -> ir.Constant:
        return ir.Constant(self.int, _each(self.int, value))

    def real(self, value: float) -> ir.Constant:
        return ir.Constant(self.float, _each(self.float, value))


def _as_many(value: Any, kind: Any) -> Any:
    return ir.VectorType(kind, value.type.count) if isinstance(value.type, ir.VectorType) else kind


def _each(kind: Any, number: float) -> Any:
    return [number] * kind.count if isinstance(kind, ir.VectorType) else number


def called(builder: Any, name: str, *args: Any) -> Any:
    """LLVM's function ``name`` of numbers of one type, or of vectors of them."""
    kind = args[0].type
    element, count = (kind.element, f"v{kind.count}") if isinstance(kind, ir.VectorType) else (kind, "")
    shape = ir.FunctionType(kind, [kind] * len(args))
    name = f"{name}.{count}{element.intrinsic_name}"
    return builder.call(cgutils.get_or_insert_function(builder.module, shape, name), args)


def _unpacked(builder: Any, parts: Any) -> list[Any]:
    """The parts of a tuple; of vectors, which Numba has none of, it is a list already."""
    return list(parts if isinstance(parts, list) else cgutils.unpack_tuple(builder, parts))


def _target(context: Any) -> tuple[str, list[str]]:
    triple, _, features = context.codegen().magic_tuple()
    return triple, features.split(",")


def _multiply_add(context: Any, builder: Any, a: Any, b: Any, c: Any) -> Any:
    triple, features = _target(context)
    # Without the instruction, llvm.fma would call a slow library routine for each element.
    if not triple.startswith(("x86", "i386", "i686")) or "+fma" in features:
        return called(builder, "llvm.fma", a, b, c)
    return builder.fadd(builder.fmul(a, b), c)


@_emitter
def bitcast(typing_context: Any, x: Any) -> Any:
    """The same bits read as the integer, or float, of the same width."""
    if x not in _BIT_TWINS:
        raise TypingError(f"expected a 32 or 64-bit float or integer, got {x}")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return _BIT_TWINS[x](x), code


@_emitter
def widened(typing_context: Any, x: Any) -> Any:
    """A float32, and nothing else, as float64."""
    return _converted(x, types.float32, types.float64, "fpext")


@_emitter
def narrowed(typing_context: Any, x: Any) -> Any:
    """A float64, and nothing else, rounded to float32."""
    return _converted(x, types.float64, types.float32, "fptrunc")


def _converted(x: Any, source: Any, target: Any, way: str) -> Any:
    if x != source:
        raise TypingError(f"expected {source}, got {x}")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, way)(args[0], _as_many(args[0], context.get_value_type(target)))

    return target(x), code


@_emitter
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, rounded once where the processor can, else twice."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _multiply_add(context, builder, *args)

    return _float(a, b, c)(a, b, c), code


@_emitter
def polynomial(typing_context: Any, x: Any, coefficients: Any) -> Any:
    """``sum(c * x**k for k, c in enumerate(coefficients))`` for a tuple of ``x``'s type."""
    if not isinstance(coefficients, types.UniTuple):
        raise TypingError(f"expected a tuple of {x}, got {coefficients}")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        power, terms = args[0], _unpacked(builder, args[1])
        # Pairs c0 + c1 x are the coefficients of a polynomial in x**2 (Estrin): many terms wait less on each other.
        while len(terms) > 4:
            rest = terms[len(terms) // 2 * 2 :]
            pairs = zip(terms[::2], terms[1::2], strict=False)
            terms = [_multiply_add(context, builder, odd, power, even) for even, odd in pairs] + rest
            power = builder.fmul(power, power)
        total = terms.pop()
        while terms:
            total = _multiply_add(context, builder, total, power, terms.pop())
        return total

    return _float(x, coefficients.dtype)(x, coefficients), code


@_emitter
def select(typing_context: Any, condition: Any, x: Any, y: Any) -> Any:
    """``x if condition else y`` without a branch; both are computed."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return _float(x, y)(types.boolean, x, y), code


@_emitter
def bounded(typing_context: Any, x: Any, low: Any, high: Any) -> Any:
    """``x`` held within ``[low, high]``; NaN stays NaN."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, low, high = args
        value = builder.select(builder.fcmp_ordered(">", value, high), high, value)
        return builder.select(builder.fcmp_ordered("<", value, low), low, value)

    return _float(x, low, high)(x, low, high), code


@_emitter
def fabs(typing_context: Any, x: Any) -> Any:
    """The absolute value."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return called(builder, "llvm.fabs", *args)

    return _float(x)(x), code


@_emitter
def copysign(typing_context: Any, x: Any, sign: Any) -> Any:
    """The magnitude of ``x`` with the sign of ``sign``."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return called(builder, "llvm.copysign", *args)

    return _float(x, sign)(x, sign), code


@_emitter
def exponent_and_mantissa(typing_context: Any, x: Any) -> Any:
    """``(e, m)`` with ``x = 2**e * m``, ``e`` whole and ``m`` in [sqrt(1/2), sqrt(2)), for normal ``x > 0``."""
    scalar = _Layout(_float(x))

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        layout = scalar.on(args[0])
        bits = builder.bitcast(args[0], layout.int)
        # An exponent field that begins at sqrt(1/2) instead of 1, still with its bias.
        shifted = builder.add(bits, layout.integer((layout.bias << layout.fraction) - _SQRT_HALF[layout.bits]))
        field = builder.lshr(shifted, layout.integer(layout.fraction))
        power = builder.shl(builder.sub(field, layout.integer(layout.bias)), layout.integer(layout.fraction))
        mantissa = builder.bitcast(builder.sub(bits, power), layout.float)
        # The field becomes the low bits of a float near 2**fraction; few processors convert 64-bit integers in lanes.
        exact = layout.integer((layout.bias + layout.fraction) << layout.fraction)
        carried = builder.bitcast(builder.or_(field, exact), layout.float)
        exponent = builder.fsub(carried, layout.real(float((1 << layout.fraction) + layout.bias)))
        parts = [exponent, mantissa]
        return parts if layout.many else context.make_tuple(builder, signature.return_type, parts)

    return types.UniTuple(x, 2)(x), code


@_emitter
def pow2(typing_context: Any, shifted: Any) -> Any:
    """``2**n`` for ``shifted = n + 1.5 * 2**fraction``, where ``2**n`` is a normal number."""
    scalar = _Layout(_float(shifted))

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        layout = scalar.on(args[0])
        # The upper bits of `shifted` leave at the top.
        field = builder.add(builder.bitcast(args[0], layout.int), layout.integer(layout.bias))
        return builder.bitcast(builder.shl(field, layout.integer(layout.fraction)), layout.float)

    return shifted(shifted), code


@_emitter
def scale_pow2(typing_context: Any, x: Any, shifted: Any) -> Any:
    """``x * 2**n`` for ``shifted = n + 1.5 * 2**fraction``, with overflow and gradual underflow as in a product."""
    scalar = _Layout(_float(x, shifted))

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        layout = scalar.on(args[0])
        # Neither half of the power leaves the normal range, and only the last product rounds.
        offset = layout.integer(2 * layout.bias - layout.round_bits)
        both = builder.add(builder.bitcast(args[1], layout.int), offset)
        half = builder.lshr(both, layout.integer(1))
        result = args[0]
        for field in (half, builder.sub(both, half)):
            power = builder.bitcast(builder.shl(field, layout.integer(layout.fraction)), layout.float)
            result = builder.fmul(result, power)
        return result

    return x(x, shifted), code


@_emitter
def is_odd(typing_context: Any, shifted: Any) -> Any:
    """Whether ``n`` is odd, for ``shifted = n + 1.5 * 2**fraction``."""
    scalar = _Layout(_float(shifted))

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        layout = scalar.on(args[0])
        low = builder.and_(builder.bitcast(args[0], layout.int), layout.integer(1))
        return builder.icmp_unsigned("!=", low, layout.integer(0))

    return types.boolean(shifted), code


@_emitter
def flip_sign(typing_context: Any, x: Any, shifted: Any) -> Any:
    """``-x`` where bit 1 of ``n`` is set in ``shifted = n + 1.5 * 2**fraction``, else ``x``; the types may differ."""
    to, source = _Layout(_float(x)), _Layout(_float(shifted))

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        layout = to.on(args[0])
        low = builder.bitcast(args[1], source.on(args[1]).int)
        if source.bits > layout.bits:
            low = builder.trunc(low, layout.int)
        sign = builder.shl(builder.and_(low, layout.integer(2)), layout.integer(layout.bits - 2))
        return builder.bitcast(builder.xor(builder.bitcast(args[0], layout.int), sign), layout.float)

    if source.bits < to.bits:
        raise TypingError(f"expected a count at least as wide as {x}, got {shifted}")
    return x(x, shifted), code


def _mxcsr(builder: Any, instruction: str, slot: Any) -> None:
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer])
    # LLVM's own intrinsics touch memory, which keeps loads and stores, and so the work, on their side of the switch.
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{instruction}")
    builder.call(function, [builder.bitcast(slot, pointer)])


@_emitter
def flush_denormals(typing_context: Any) -> Any:
    """Let this thread read and write denormals as zero; returns the mode to give to :func:`restore_denormals`.

    The work between the two must read its inputs from arrays and write its results to arrays: arithmetic on scalars
    alone may be moved across the switch. It must not raise, or the mode stays. On anything but x86-64 nothing happens
    and 0 is returned.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(32)
        if not _target(context)[0].startswith("x86_64"):
            return ir.Constant(word, 0)
        slot = cgutils.alloca_once(builder, word)
        _mxcsr(builder, "stmxcsr", slot)
        old = builder.load(slot)
        builder.store(builder.or_(old, ir.Constant(word, _FTZ_AND_DAZ)), slot)
        _mxcsr(builder, "ldmxcsr", slot)
        return old

    return types.uint32(), code


@_emitter
def restore_denormals(typing_context: Any, old: Any) -> Any:
    """Give this thread back the mode that :func:`flush_denormals` returned."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _target(context)[0].startswith("x86_64"):
            slot = cgutils.alloca_once(builder, ir.IntType(32))
            builder.store(args[0], slot)
            _mxcsr(builder, "ldmxcsr", slot)
        return context.get_dummy_value()

    return types.void(types.uint32), code
