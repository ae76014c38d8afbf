"""The GPU dialect: text for Triton, with elementary functions as accurate as the CPU's.

Triton's own ``exp`` of a float32 is the hardware's, which loses digits away from 0, it has no ``expm1``, and the
functions of ``libdevice`` do not run in its interpreter. The text here works compiled and interpreted alike. This
module writes Triton and does not import it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

from .dialect import Dialect
from .numba_polynomials import POLYNOMIALS_F32, POLYNOMIALS_F64


def triton_dialect(precision: str) -> Dialect:
    """Text for ``precision`` "f32" or "f64"; every division and root rounds as IEEE 754 says.

    >>> triton_dialect("f32").spell("div", ["a", "b"]), triton_dialect("f64").spell("div", ["a", "b"])
    ('tl.div_rn(a, b)', '(a / b)')
    """
    dtype = _PRECISIONS[precision].dtype
    numbers = {
        "add": "({0} + {1})",
        "sub": "({0} - {1})",
        "mul": "({0} * {1})",
        # What these are without _rn is left to the compiler in float32 and exact in float64.
        "div": "tl.div_rn({0}, {1})" if precision == "f32" else "({0} / {1})",
        "sqrt": "tl.sqrt_rn({0})" if precision == "f32" else "tl.sqrt({0})",
        "neg": "(-{0})",
        "minimum": "tl.where({0} < {1}, {0}, {1})",
        "maximum": "tl.where({0} > {1}, {0}, {1})",
        "ge": "({0} >= {1})",
        "gt": "({0} > {1})",
        "fire": f"tl.cast({{0}} >= 0.0, {dtype})",
        **{op: f"tl.{op}({{0}})" for op in ("abs", "ceil", "log", "sin", "cos", "erf")},
        **{op: f"{op}({{0}})" for op in _FUNCTIONS},
    }

    def power(x: str, y: str) -> str:
        return f"pow({_typed(x, dtype)}, {_typed(y, dtype)})"

    return Dialect(
        name=f"triton-{precision}",
        operations={
            **{op: _numeric(text, 0, dtype) for op, text in numbers.items()},
            "where": _numeric("tl.where({0}, {1}, {2})", 1, dtype),
            "select": _numeric("tl.where({0} > 0.0, {1}, {2})", 1, dtype),
            "pow": power,
            "and": "({0} & {1})",
            "not": "(~{0})",
            "detach": "{0}",
        },
        literal=_literal,
    )


def triton_functions(operations: Collection[str], precision: str) -> list[str]:
    """Lines that define the functions which text with these ``operations`` calls.

    >>> [line for line in triton_functions({"add", "tanh"}, "f32") if line.startswith("def ")]
    ['def expm1(x):', 'def tanh(x):']
    """
    needed = set(operations) & set(_FUNCTIONS)
    needed |= {other for name in needed for other in _FUNCTIONS[name].calls}
    chosen = [_FUNCTIONS[name].text(_PRECISIONS[precision]) for name in _FUNCTIONS if name in needed]
    return [line for text in chosen for line in ["@triton.jit", *text.strip().splitlines(), "", ""]]


def _numeric(template: str, first: int, dtype: str) -> Callable[..., str]:
    """Spell with a typed literal where all numbers, from argument ``first`` on, are literals.

    A literal takes the type of the tensor beside it. On its own Triton makes it a float32, whatever its digits.
    """

    def spell(*args: str) -> str:
        spelled = list(args)
        if all(_is_literal(a) for a in args[first:]):
            spelled[first] = _typed(args[first], dtype)
        return template.format(*spelled)

    return spell


def _typed(text: str, dtype: str) -> str:
    return f"tl.full((), {text}, {dtype})" if _is_literal(text) else text


def _literal(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'float("{value!r}")'


def _is_literal(text: str) -> bool:
    return text[:1].isdigit() or text[:2] in ("-0", *(f"-{d}" for d in range(1, 10))) or text.startswith('float("')


@dataclass(frozen=True)
class _Precision:
    """One floating-point type and what depends on it."""

    dtype: str
    integer: str  # the integer type of the same width
    fraction: int  # bits
    bias: int  # of the exponent
    ln2: tuple[float, float]  # sum to ln(2); the product of the first with any exponent is exact
    pi_2: tuple[float, float]  # sum to pi/2
    largest: float  # exp overflows here, and so far below 0 it is past the last denormal, or nearly
    swallowed: float  # exp(-swallowed) is lost beside 1
    polynomials: dict[str, tuple[float, ...]]

    def horner(self, name: str, x: str) -> str:
        """A polynomial in ``x``."""
        *rest, text = map(repr, self.polynomials[name])
        for coefficient in reversed(rest):
            text = f"({text} * {x} + {coefficient})"
        return text


_PRECISIONS = {
    "f32": _Precision(
        dtype="tl.float32",
        integer="tl.int32",
        fraction=23,
        bias=127,
        ln2=(0.693145751953125, 1.4286068203094173e-06),
        pi_2=(1.5707963705062866, -4.371138828673793e-08),
        largest=104.0,
        swallowed=20.0,
        polynomials=POLYNOMIALS_F32,
    ),
    "f64": _Precision(
        dtype="tl.float64",
        integer="tl.int64",
        fraction=52,
        bias=1023,
        ln2=(0.6931471803691238, 1.9082149292705877e-10),
        pi_2=(1.5707963267948966, 6.123233995736766e-17),
        largest=746.0,
        swallowed=40.0,
        polynomials=POLYNOMIALS_F64,
    ),
}


@dataclass(frozen=True)
class _Function:
    text: Callable[[_Precision], str]
    calls: tuple[str, ...] = ()


def _reduced(p: _Precision) -> str:
    """Lines for x = r + n ln(2), |r| <= ln(2)/2, and q = expm1(r)."""
    high, low = p.ln2
    return f"""\
    n = tl.floor(x * {1 / math.log(2)!r} + 0.5)
    r = (x - n * {high!r}) - n * {low!r}
    q = r + r * r * {p.horner("expm1", "r")}"""


def _power_of_two(exponent: str, p: _Precision) -> str:
    """2**exponent, a normal number, written into the bits."""
    return f"tl.cast((tl.cast({exponent}, {p.integer}) + {p.bias}) << {p.fraction}, {p.dtype}, bitcast=True)"


def _exp(p: _Precision) -> str:
    return f"""
def exp(x):
    x = tl.where(x < {-p.largest}, {-p.largest}, tl.where(x > {p.largest}, {p.largest}, x))
{_reduced(p)}
    # 2**n in two factors, as it may lie outside the normal numbers where the result does.
    half = tl.floor(n * 0.5)
    return (q + 1.0) * {_power_of_two("half", p)} * {_power_of_two("n - half", p)}
"""


def _expm1(p: _Precision) -> str:
    return f"""
def expm1(x):
    x = tl.where(x < {-p.swallowed}, {-p.swallowed}, tl.where(x > {p.largest}, {p.largest}, x))
{_reduced(p)}
    half = tl.floor(n * 0.5)
    low = {_power_of_two("half", p)}
    high = {_power_of_two("n - half", p)}
    scale = low * high
    # Where 2**n overflows the result need not, and 1 has long been lost beside it.
    return tl.where(n > {p.bias // 2}, (q + 1.0) * low * high, scale * q + (scale - 1.0))
"""


def _sigmoid(p: _Precision) -> str:
    return f"def sigmoid(x):\n    return {_divided('1.0', '1.0 + exp(-x)', p)}\n"


def _tanh(p: _Precision) -> str:
    return f"""
def tanh(x):
    e = expm1(-2.0 * tl.abs(x))
    y = {_divided("-e", "2.0 + e", p)}
    return tl.where(x < 0.0, -y, y)
"""


def _log1p(p: _Precision) -> str:
    return f"""
def log1p(x):
    u = 1.0 + x
    y = tl.log(u)
    # What rounding took from u, times the slope of log there.
    lost = {_divided("x - (u - 1.0)", "u", p)}
    return tl.where((u > 0.0) & (u < float("inf")), y + lost, y)
"""


def _atan(p: _Precision) -> str:
    high, low = p.pi_2
    return f"""
def atan(x):
    a = tl.abs(x)
    z = tl.where(a > 1.0, {_divided("1.0", "a", p)}, a)
    square = z * z
    y = z + z * square * {p.horner("atan", "square")}
    y = tl.where(a > 1.0, {high!r} - (y - {low!r}), y)
    return tl.where(x < 0.0, -y, y)
"""


def _pow(p: _Precision) -> str:
    # The exponential of a product needs more digits of the logarithm than a float32 has. A float64 power has no more
    # to take: its error is abs(power * log(base)) units in the last place.
    return f"""
def pow(base, power):
    x, y = tl.broadcast(tl.cast(base, tl.float64), tl.cast(power, tl.float64))
    log = tl.log(tl.abs(x))
    result = tl.exp(y * log)
    whole = tl.floor(y) == y
    odd = whole & (tl.floor(y * 0.5) != y * 0.5)
    result = tl.where((y == 0.0) | ((log == 0.0) & (y == y)), 1.0, result)
    result = tl.where(odd & (x < 0.0), -result, result)
    result = tl.where((x < 0.0) & (x > -float("inf")) & (~whole), float("nan"), result)
    return tl.cast(tl.where(x == 1.0, 1.0, result), {p.dtype})
"""


def _divided(a: str, b: str, p: _Precision) -> str:
    return f"tl.div_rn({a}, {b})" if p.dtype == "tl.float32" else f"({a}) / ({b})"


_FUNCTIONS = {
    "exp": _Function(_exp),
    "expm1": _Function(_expm1),
    "sigmoid": _Function(_sigmoid, calls=("exp",)),
    "tanh": _Function(_tanh, calls=("expm1",)),
    "log1p": _Function(_log1p),
    "atan": _Function(_atan),
    "pow": _Function(_pow),
}
