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
from 2**45 on. ``pow_f64`` alone calls the C library, and so does not vectorise.

The polynomials are minimax in relative error (Remez exchange at 50 digits, then rounded): expm1(r) = r + r**2 P(r),
|r| <= ln(2)/2; log1p(f) = f - f**2/2 + f**3 P(f), f + 1 in [sqrt(1/2), sqrt(2)]; tanh(x) = x + x**3 P(x**2),
|x| <= 0.625; sin(x) = x + x**3 P(x**2) and cos(x) = 1 - x**2/2 + x**4 P(x**2), |x| <= pi/4; atan(x) = x + x**3 P(x**2),
|x| <= 1; erf(x) = x + x P(x**2), |x| <= 1; -log(erfc(x)) = P(x), 1 <= x <= 4 (float32) or 6 (float64).
"""
# pyright: basic
# Numba compiles the functions here for types that it finds out itself.

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy

from .numba_intrinsics import (
    bounded,
    copysign,
    exponent_and_mantissa,
    fabs,
    flip_sign,
    fma,
    is_odd,
    polynomial,
    pow2,
    scale_pow2,
    select,
    widened,
)

__all__ = [
    "atan_f32", "atan_f64", "cos_f32", "cos_f64", "erf_f32", "erf_f64", "exp_f32", "exp_f64", "expm1_f32",
    "expm1_f64", "log1p_f32", "log1p_f64", "log_f32", "log_f64", "pow_f32", "pow_f64", "sigmoid_f32", "sigmoid_f64",
    "sin_f32", "sin_f64", "tanh_f32", "tanh_f64",
]  # fmt: skip

POLYNOMIALS_F32: dict[str, tuple[float, ...]] = {
    "expm1": (0.49999997, 0.16666543, 0.0416672, 0.0083665475, 0.0013882515),
    "log1p": (0.3333333, -0.25000823, 0.20001233, -0.16623299, 0.14201553, -0.13160582, 0.12763326, -0.076356545),
    "tanh": (-0.3333328, 0.13331442, -0.053739715, 0.020639088, -0.0057049883),
    "sin": (-0.16666667, 0.008333329, -0.00019839309, 2.718084e-06),
    "cos": (0.041666646, -0.0013887313, 2.4432786e-05),
    "atan": (-0.33333153, 0.19993773, -0.14211056, 0.10666004, -0.07552213, 0.043211855, -0.016367925, 0.0029206919),
    "erf": (0.12837917, -0.37612626, 0.112835854, -0.026853811, 0.0051883277, -0.0008010193, 7.853859e-05),
    "erfc_log": (0.00034152795, 1.1270891, 0.63814485, 0.10310673, -0.021838052, 0.0029476553, -0.00018637888),
}  # fmt: skip
POLYNOMIALS_F64: dict[str, tuple[float, ...]] = {
    "expm1": (0.5, 0.16666666666666677, 0.041666666666666505, 0.008333333333321655, 0.0013888888888962609,
        0.00019841269886073238, 2.4801587172226458e-05, 2.755724425436776e-06, 2.755740277763757e-07,
        2.5109024406159476e-08, 2.0875328417497157e-09),
    "log1p": (0.3333333333333314, -0.2499999999998791, 0.20000000000066656, -0.1666666666984157, 0.1428571428010777,
        -0.12499999690127053, 0.11111111145057781, -0.1000001525983989, 0.0909092406989943, -0.08332912391916515,
        0.07691525937599562, -0.07149451822563506, 0.06684646575896097, -0.06196636986213357, 0.05667954228355601,
        -0.05677499848002842, 0.06504622446511457, -0.05983693347347806, 0.02615992564315521),
    "tanh": (-0.33333333333332854, 0.13333333333262093, -0.05396825393126828, 0.02186948757610627,
        -0.008863221002767376, 0.003591989174809805, -0.0014549588826248965, 0.0005863165542254695,
        -0.00022856423695673017, 7.714439383533422e-05, -1.607258204397795e-05),
    "sin": (-0.16666666666666666, 0.008333333333333323, -0.00019841269841254725, 2.7557319214025086e-06,
        -2.505210487133418e-08, 1.605836180473223e-10, -7.578471874702778e-13),
    "cos": (0.041666666666666595, -0.0013888888888872975, 2.480158728880005e-05, -2.755731416398448e-07,
        2.087569870975361e-09, -1.1358423586180634e-11),
    "atan": (-0.3333333333333307, 0.1999999999995146, -0.14285714282575052, 0.11111111007025254, -0.09090907002984831,
        0.0769227983929661, -0.06666404058115012, 0.05880527820271501, -0.05253518587273341, 0.047223223602443215,
        -0.042191793913775144, 0.03664192083451329, -0.02990387565954208, 0.021984876031835313, -0.01390058284610702,
        0.0071965202310939275, -0.002884927685891239, 0.0008313252605903086, -0.00015216163606295057,
        1.3225155715497386e-05),
    "erf": (0.12837916709551256, -0.3761263890318352, 0.11283791670944185, -0.026866170643111413, 0.0052239776061181135,
        -0.000854832592930003, 0.00012055293576533761, -1.4924712295970096e-05, 1.6447131506868005e-06,
        -1.620631332905939e-07, 1.3710978771185197e-08, -7.779465816070692e-10),
    "erfc_log": (1.796090738939172e-07, 1.1283773293713975, 0.6366284884394208, 0.10274725342941435,
        -0.01907815738475514, -0.00028048658085434253, 0.0017689987824282985, -0.0006411713676754729,
        4.482175188354996e-05, 7.036689094867773e-05, -4.50374201218083e-05, 1.6513932978339526e-05,
        -4.327037172840702e-06, 8.505732717835541e-07, -1.2570491812550836e-07, 1.3626722388100472e-08,
        -1.0257044925143479e-09, 4.79606641761867e-11, -1.0496302478912329e-12),
}  # fmt: skip


@dataclass(frozen=True)
class _Precision:
    """One floating-point type: its format, its polynomials, and constants that follow from them."""

    dtype: Callable[[float], Any]
    fraction: int  # bits of the fraction
    bias: int  # of the exponent
    ln2: tuple[float, float]  # sum to ln(2); the first has so few bits that its product with any exponent is exact
    erf_is_one: float  # from here on
    polynomials: dict[str, tuple[float, ...]]

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

# The options that Numba would otherwise inherit from whichever kernel happens to be compiled first are set here.
# Parts go into them as Numba's own intermediate code, which compiles faster than one more function.
_helper = numba.njit(forceinline=True, error_model="numpy", fastmath=False)
_part = numba.njit(inline="always", error_model="numpy", fastmath=False)


def _both(make: Callable[..., Any], *parts: tuple[Any, Any]) -> tuple[Any, Any]:
    """The float32 and the float64 version of a function, given those of the functions it calls."""
    return make(_F32, *(part[0] for part in parts)), make(_F64, *(part[1] for part in parts))


def _make_reduced(p: _Precision) -> Any:
    rounder, log2e, minus_high, minus_low = p.cast(p.rounder, 1 / math.log(2), -p.ln2[0], -p.ln2[1])
    coefficients = p.coefficients("expm1")

    @_part
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

    @_helper
    def exp(x):
        """e**x."""
        r, s, shifted = reduced(bounded(x, low, high))
        return scale_pow2(one + fma(r * r, s, r), shifted)

    return exp


def _make_expm1(p: _Precision, reduced: Any) -> Any:
    low, high, half, one, two, tiny = p.cast(-p.lost_beside_1, p.log_scale + 1, 0.5, 1, 2, p.smallest_normal * 2**24)

    @_helper
    def expm1(x):
        """e**x - 1."""
        r, s, shifted = reduced(bounded(x, low, high))
        scale = pow2(shifted - one)  # half of 2**n, which alone may overflow
        y = fma(scale, r * r * s, fma(scale, r, scale - half)) * two
        return select(fabs(x) < tiny, x, y)

    return expm1


def _make_sigmoid(p: _Precision, reduced: Any) -> Any:
    low, high, zero, one, flushed = p.cast(-p.lost_beside_1, p.log_scale, 0, 1, math.log(p.smallest_normal))

    @_helper
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

    @_helper
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

    @_part
    def logarithm(x, e, f):
        """log(x) = e ln(2) + log1p(f), the smallest terms first, with the right value where f means nothing."""
        square = f * f
        small = fma(square * f, polynomial(f, coefficients), e * low)
        y = fma(e, high, f + fma(square, minus_half, small))
        return select(x > zero, select(x < infinity, y, x), select(x == zero, -infinity, nan))

    return logarithm


def _make_log(p: _Precision, logarithm: Any) -> Any:
    smallest, up, power, zero, one = p.cast(p.smallest_normal, 2.0**54, -54, 0, 1)

    @_helper
    def log(x):
        """Natural logarithm: -inf at 0, NaN below."""
        denormal = x < smallest
        e, m = exponent_and_mantissa(select(denormal, x * up, x))
        return logarithm(x, e + select(denormal, power, zero), m - one)

    return log


def _make_log1p(p: _Precision, logarithm: Any) -> Any:
    rounder, one, far = p.cast(p.rounder, 1, 2.0 ** (p.fraction + 7))

    @_helper
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


@_part
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
    narrowed = p.dtype

    @_part
    def sine_of(x, wide, quarters):
        """sin(x + quarters pi/2) for ``wide``, which is ``x`` in float64; NaN where ``x`` is out of range."""
        r, tail, shifted = _quarter_turns(wide)
        r, tail, shifted = narrowed(r), narrowed(tail), shifted + quarters
        square = r * r
        s = r + fma(r * square, polynomial(square, sine), tail)
        c = one + (square * polynomial(square, cosine) - r * tail)
        y = flip_sign(select(is_odd(shifted), c, s), shifted)
        return select(fabs(x) < farthest, y, nan)

    return sine_of


_sine_f32, _sine_f64 = _both(_make_sine)


@_helper
def sin_f32(x):
    """Sine of an angle in radians."""
    return _sine_f32(x, widened(x), 0.0)


@_helper
def cos_f32(x):
    """Cosine of an angle in radians."""
    return _sine_f32(x, widened(x), 1.0)


@_helper
def sin_f64(x):
    """Sine of an angle in radians."""
    return _sine_f64(x, x, 0.0)


@_helper
def cos_f64(x):
    """Cosine of an angle in radians."""
    return _sine_f64(x, x, 1.0)


def _make_atan(p: _Precision) -> Any:
    one, pi_2 = p.cast(1, math.pi / 2)
    pi_2_low = p.dtype(math.pi / 2 - float(pi_2) + 6.123233995736766e-17)
    coefficients = p.coefficients("atan")

    @_helper
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

    @_helper
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
expm1_f32, expm1_f64 = _both(_make_expm1, _REDUCED)
sigmoid_f32, sigmoid_f64 = _both(_make_sigmoid, _REDUCED)
tanh_f32, tanh_f64 = _both(_make_tanh, _REDUCED)
log_f32, log_f64 = _both(_make_log, _LOGARITHM)
log1p_f32, log1p_f64 = _both(_make_log1p, _LOGARITHM)
atan_f32, atan_f64 = _both(_make_atan)
erf_f32, erf_f64 = _both(_make_erf, _REDUCED)


@_helper
def pow_f64(x, y):
    """x**y by the C library."""
    return x**y


@_helper
def pow_f32(x, y):
    """x**y through float64, whose logarithm has the digits that the exponential of a large product needs."""
    wide, power = widened(x), widened(y)
    log, shifted = log_f64(fabs(wide)), power + _ROUNDER
    whole = shifted - _ROUNDER == power
    r = exp_f64(power * log)
    r = select((power == 0.0) | ((log == 0.0) & (power == power)), 1.0, r)
    r = select(is_odd(shifted) & whole, copysign(r, wide), r)
    r = select((wide < 0.0) & (wide > -math.inf) & (not whole), math.nan, r)
    return numba.float32(select(wide == 1.0, 1.0, r))
