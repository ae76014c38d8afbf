"""Elementary functions for Numba kernels that LLVM inlines and vectorises, each in float32 and in float64.

Numba calls the scalar C library once per element; these are straight lines of arithmetic instead. They need no
option to vectorise, only a loop over arrays that calls nothing else:

>>> import numba, numpy
>>> @numba.njit(error_model="numpy")
... def apply(x, out):
...     for i in range(x.size):
...         out[i] = exp_f32(x[i])
>>> x = numpy.array([0.0, 1.0, -numpy.inf], numpy.float32)
>>> apply(x, x)
>>> x.tolist()
[1.0, 2.7182817459106445, 0.0]

Each function is accurate to 2 units in the last place, takes and gives its own precision only, passes NaN on, and
has the C library's values at zeros, poles and infinities. Values do not depend on the caller's options, nor on the
place in a loop, but may differ in the last place between processors with and without fused multiply-add. Denormals
are kept as far as the thread's mode allows, except that ``sigmoid`` rounds them to 0. ``sin`` and ``cos`` hold their
accuracy up to 2**20 quarter turns, then lose it as if the argument were rounded to float64 once more, and give NaN
from 2**45 on. ``exprel`` and ``bernoulli`` are quotients: they round once more, and are NaN at infinity. ``pow_f64``
alone calls the C library, and so does not vectorise.
"""
# pyright: basic
# Numba compiles the functions here for types that it finds out itself.

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
from numba import njit, typeof, types

from . import numba_intrinsics as bits
from .numba_polynomials import POLYNOMIALS_F32, POLYNOMIALS_F64
from .numba_values import emitted, on_values

__all__ = [
    "atan_f32", "atan_f64", "bernoulli_f32", "bernoulli_f64", "cos_f32", "cos_f64", "erf_f32", "erf_f64", "exp_f32",
    "exp_f64", "expm1_f32", "expm1_f64", "exprel_f32", "exprel_f64", "log1p_f32", "log1p_f64", "log_f32", "log_f64",
    "pow_f32", "pow_f64", "sigmoid_f32", "sigmoid_f64", "sin_f32", "sin_f64", "tanh_f32", "tanh_f64",
]  # fmt: skip


@dataclass(frozen=True)
class _Precision:
    """One floating-point type: its format, its polynomials, and constants that follow from them."""

    dtype: Callable[[float], Any]
    fraction: int  # bits of the fraction
    bias: int  # of the exponent
    ln2: tuple[float, float]  # sum to ln(2); the first has so few bits that its product with any exponent is exact
    erf_is_one: float  # from here on
    polynomials: dict[str, tuple[float, ...]]

    def function(self, made: Callable[..., Any]) -> Any:
        """What Numba calls for ``made``, a function of one number of this type."""
        kind = typeof(self.dtype(0.0))
        return emitted(kind(kind))(made)

    def cast(self, *values: float) -> tuple[Any, ...]:
        return tuple(self.dtype(value) for value in values)

    def coefficients(self, name: str) -> tuple[Any, ...]:
        return self.cast(*self.polynomials[name])

    @property
    def rounder(self) -> float:
        """Adding it rounds to a whole number ``n``, which then sits in the low bits of the sum."""
        return 1.5 * 2.0**self.fraction

    @property
    def smallest_normal(self) -> float:
        return 2.0 ** (1 - self.bias)

    @property
    def log_scale(self) -> float:
        """A whole number whose exp, and the power of 2 nearest to that, are finite; for one more they overflow."""
        return math.floor(self.bias * math.log(2))

    @property
    def lost_beside_1(self) -> float:
        """exp(-this) is too small to change 1 or 1 - exp(-this)."""
        return (self.fraction + 5) * math.log(2)


_F32 = _Precision(numpy.float32, 23, 127, (0.693145751953125, 1.4286068203094173e-06), 4.0, POLYNOMIALS_F32)
_F64 = _Precision(numpy.float64, 52, 1023, (0.6931471803691238, 1.9082149292705877e-10), 6.0, POLYNOMIALS_F64)

bounded, copysign, exponent_and_mantissa = map(on_values, (bits.bounded, bits.copysign, bits.exponent_and_mantissa))
fabs, flip_sign, fma, is_odd = map(on_values, (bits.fabs, bits.flip_sign, bits.fma, bits.is_odd))
narrowed, polynomial, pow2 = map(on_values, (bits.narrowed, bits.polynomial, bits.pow2))
scale_pow2, select, widened = map(on_values, (bits.scale_pow2, bits.select, bits.widened))


def _both(make: Callable[..., Any], *parts: tuple[Any, Any]) -> tuple[Any, Any]:
    """The float32 and the float64 version of a function, given those of the functions it calls."""
    return make(_F32, *(part[0] for part in parts)), make(_F64, *(part[1] for part in parts))


def _make_reduced(p: _Precision) -> Any:
    rounder, log2e, minus_high, minus_low = p.cast(p.rounder, 1 / math.log(2), -p.ln2[0], -p.ln2[1])
    coefficients = p.coefficients("expm1")

    def reduced(x):
        """``(r, s, shifted)``: x = r + n ln(2), |r| <= ln(2)/2, expm1(r) = r + r**2 s and shifted = n + rounder."""
        shifted = fma(x, log2e, rounder)
        n = shifted - rounder
        r = fma(n, minus_low, fma(n, minus_high, x))
        return r, polynomial(r, coefficients), shifted

    return reduced


def _make_exp(p: _Precision, reduced: Any) -> Any:
    # exp overflows at `high`, and as far below 0 it is smaller than the smallest denormal.
    high = math.ceil((p.bias + p.fraction) * math.log(2)) + 1
    low, high, one = p.cast(-high, high, 1)

    @p.function
    def exp(x):
        """e**x."""
        r, s, shifted = reduced(bounded(x, low, high))
        return scale_pow2(one + fma(r * r, s, r), shifted)

    return exp


def _make_expm1_quotients(p: _Precision, reduced: Any) -> tuple[Any, Any, Any]:
    low, high, half, one, two = p.cast(-p.lost_beside_1, p.log_scale + 1, 0.5, 1, 2)
    tiny, flat = p.cast(p.smallest_normal * 2**24, 2.0 ** -(p.fraction + 2))

    def change(x):
        r, s, shifted = reduced(bounded(x, low, high))
        scale = pow2(shifted - one)  # half of 2**n, which alone may overflow
        return fma(scale, r * r * s, fma(scale, r, scale - half)) * two

    @p.function
    def expm1(x):
        """e**x - 1."""
        return select(fabs(x) < tiny, x, change(x))

    @p.function
    def exprel(x):
        """(e**x - 1) / x, which is 1 at 0."""
        return select(fabs(x) < flat, one, change(x) / x)

    @p.function
    def bernoulli(x):
        """x / (e**x - 1), which is 1 at 0."""
        return select(fabs(x) < flat, one, x / change(x))

    return expm1, exprel, bernoulli


def _make_sigmoid(p: _Precision, reduced: Any) -> Any:
    low, high, zero, one, flushed = p.cast(-p.lost_beside_1, p.log_scale, 0, 1, math.log(p.smallest_normal))

    @p.function
    def sigmoid(x):
        """1 / (1 + e**-x)."""
        r, s, shifted = reduced(bounded(-x, low, high))
        scale, q = pow2(shifted), fma(r * r, s, r)
        # 1 + exp(-x) is rounded once, and exp(-x) itself never.
        most = one + scale
        return select(x < flushed, zero, one / (most + fma(scale, q, one - (most - scale))))

    return sigmoid


def _make_tanh(p: _Precision, reduced: Any) -> Any:
    zero, high, one, two, near = p.cast(0, p.lost_beside_1, 1, 2, 0.625)
    coefficients = p.coefficients("tanh")

    @p.function
    def tanh(x):
        """Hyperbolic tangent."""
        a = fabs(x)
        square = a * a
        small = fma(a * square, polynomial(square, coefficients), a)
        r, s, shifted = reduced(bounded(two * a, zero, high))
        scale, q = pow2(shifted), fma(r * r, s, r)
        large = one - two / (fma(scale, q, one) + scale)
        return copysign(select(a < near, small, large), x)

    return tanh


def _make_logarithm(p: _Precision) -> Any:
    high, low, minus_half, zero, infinity, nan = p.cast(*p.ln2, -0.5, 0, math.inf, math.nan)
    coefficients = p.coefficients("log1p")

    def logarithm(x, e, f):
        """log(x) = e ln(2) + log1p(f), the smallest terms first, with the right value where f means nothing."""
        square = f * f
        small = fma(square * f, polynomial(f, coefficients), e * low)
        y = fma(e, high, f + fma(square, minus_half, small))
        return select(x > zero, select(x < infinity, y, x), select(x == zero, -infinity, nan))

    return logarithm


def _make_log(p: _Precision, logarithm: Any) -> Any:
    smallest, up, power, zero, one = p.cast(p.smallest_normal, 2.0**54, -54, 0, 1)

    @p.function
    def log(x):
        """Natural logarithm: -inf at 0, NaN below."""
        denormal = x < smallest
        e, m = exponent_and_mantissa(select(denormal, x * up, x))
        return logarithm(x, e + select(denormal, power, zero), m - one)

    return log


def _make_log1p(p: _Precision, logarithm: Any) -> Any:
    rounder, one, far = p.cast(p.rounder, 1, 2.0 ** (p.fraction + 7))

    @p.function
    def log1p(x):
        """log(1 + x): -inf at -1, NaN below."""
        u = one + x
        e, m = exponent_and_mantissa(u)
        # (1 + x) / 2**e - 1 rounded once, where m - 1 is rounded twice; far out the 1 is lost and 2**-e may underflow.
        scale = pow2(rounder - e)
        f = select(x < far, fma(x, scale, scale - one), m - one)
        return logarithm(u, e, f)

    return log1p


# pi/2 = sum of these; the first two have 33 bits, so that their products with n < 2**20 are exact.
_PI_2_PARTS = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
_TWO_BY_PI, _ROUNDER = 2 / math.pi, _F64.rounder


def _quarter_turns(x):  # float64
    """``(r, tail, shifted)`` with ``x = r + tail + n pi/2``, ``|r| <= pi/4`` and ``shifted = n + rounder``."""
    shifted = fma(x, _TWO_BY_PI, _ROUNDER)
    n = shifted - _ROUNDER
    first = x - n * _PI_2_PARTS[0]
    product = n * _PI_2_PARTS[1]
    second = first - product
    rest = n * _PI_2_PARTS[2] - ((first - second) - product)
    r = second - rest
    return r, (second - r) - rest, shifted


def _make_sine(p: _Precision) -> Any:
    sine, cosine = p.coefficients("sin"), p.cast(-0.5) + p.coefficients("cos")
    one, nan, farthest = p.cast(1, math.nan, 2.0**45)

    def sine_of(x, wide, quarters):
        """sin(x + quarters pi/2) for ``wide``, which is ``x`` in float64; NaN where ``x`` is out of range."""
        r, tail, shifted = _quarter_turns(wide)
        shifted = shifted + quarters
        if p is _F32:
            r, tail = narrowed(r), narrowed(tail)
        square = r * r
        s = r + fma(r * square, polynomial(square, sine), tail)
        c = one + (square * polynomial(square, cosine) - r * tail)
        y = flip_sign(select(is_odd(shifted), c, s), shifted)
        return select(fabs(x) < farthest, y, nan)

    return sine_of


_sine_f32, _sine_f64 = _both(_make_sine)


@_F32.function
def sin_f32(x):
    """Sine of an angle in radians."""
    return _sine_f32(x, widened(x), 0.0)


@_F32.function
def cos_f32(x):
    """Cosine of an angle in radians."""
    return _sine_f32(x, widened(x), 1.0)


@_F64.function
def sin_f64(x):
    """Sine of an angle in radians."""
    return _sine_f64(x, x, 0.0)


@_F64.function
def cos_f64(x):
    """Cosine of an angle in radians."""
    return _sine_f64(x, x, 1.0)


def _make_atan(p: _Precision) -> Any:
    one, pi_2 = p.cast(1, math.pi / 2)
    pi_2_low = p.dtype(math.pi / 2 - float(pi_2) + 6.123233995736766e-17)
    coefficients = p.coefficients("atan")

    @p.function
    def atan(x):
        """Inverse tangent, in [-pi/2, pi/2]."""
        a = fabs(x)
        steep = a > one
        z = select(steep, one / a, a)
        square = z * z
        rest = z * square * polynomial(square, coefficients)
        # pi/2 - z is exact where it is below 1, and so where the units are small.
        return copysign(select(steep, (pi_2 - z) - (rest - pi_2_low), z + rest), x)

    return atan


def _make_erf(p: _Precision, reduced: Any) -> Any:
    one, zero, farthest = p.cast(1, 0, p.erf_is_one)
    near, far = p.coefficients("erf"), p.coefficients("erfc_log")

    @p.function
    def erf(x):
        """Error function."""
        a = fabs(x)
        small = fma(a, polynomial(a * a, near), a)
        r, s, shifted = reduced(-polynomial(bounded(a, zero, farthest), far))
        scale, q = pow2(shifted), fma(r * r, s, r)
        return copysign(select(a < one, small, (one - scale) - scale * q), x)

    return erf


_REDUCED, _LOGARITHM = _both(_make_reduced), _both(_make_logarithm)
exp_f32, exp_f64 = _both(_make_exp, _REDUCED)
(expm1_f32, exprel_f32, bernoulli_f32), (expm1_f64, exprel_f64, bernoulli_f64) = _both(_make_expm1_quotients, _REDUCED)
sigmoid_f32, sigmoid_f64 = _both(_make_sigmoid, _REDUCED)
tanh_f32, tanh_f64 = _both(_make_tanh, _REDUCED)
log_f32, log_f64 = _both(_make_log, _LOGARITHM)
log1p_f32, log1p_f64 = _both(_make_log1p, _LOGARITHM)
atan_f32, atan_f64 = _both(_make_atan)
erf_f32, erf_f64 = _both(_make_erf, _REDUCED)


@njit(forceinline=True, error_model="numpy", fastmath=False)
def pow_f64(x, y):
    """x**y by the C library."""
    return x**y


@emitted(types.float32(types.float32, types.float32))
def pow_f32(x, y):
    """x**y through float64, whose logarithm has the digits that the exponential of a large product needs."""
    wide, power = widened(x), widened(y)
    log, shifted = log_f64.plain(fabs(wide)), power + _ROUNDER
    whole = shifted - _ROUNDER == power
    r = exp_f64.plain(power * log)
    r = select((power == 0.0) | ((log == 0.0) & (power == power)), 1.0, r)
    r = select(is_odd(shifted) & whole, copysign(r, wide), r)
    r = select((wide < 0.0) & (wide > -math.inf) & ~whole, math.nan, r)
    return narrowed(select(wide == 1.0, 1.0, r))
