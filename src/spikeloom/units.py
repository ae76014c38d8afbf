"""Physical units, checked at the door and when a model class is created; plain floats inside.

The coherent set of the package is ms, mV, pA, nS, pF. Densities use uA/cm2, mS/cm2, uF/cm2.
"""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

from .errors import DimensionError

BASE = ("time", "voltage", "current", "length", "amount")
Exponents = tuple[Fraction, ...]
_NONE: Exponents = (Fraction(0),) * len(BASE)


@dataclasses.dataclass(frozen=True)
class Unit:
    """A dimension (exponents of time, voltage, current, length, amount) and a power of ten.

    >>> (nS * mV).same_as(pA), (pF / nS).same_as(ms)
    (True, True)
    """

    dimension: Exponents
    decade: Fraction
    name: str = dataclasses.field(default="", compare=False)

    # NumPy then leaves ``array * ms`` to __rmul__ instead of building an array of objects.
    __array_ufunc__ = None

    def __mul__(self, other: object) -> Unit:
        if not isinstance(other, Unit):
            return NotImplemented
        exponents = tuple(a + b for a, b in zip(self.dimension, other.dimension, strict=True))
        return Unit(exponents, self.decade + other.decade, _join(self.name, "*", other.name))

    def __truediv__(self, other: object) -> Unit:
        if not isinstance(other, Unit):
            return NotImplemented
        inverse = dataclasses.replace(other**-1, name=other.name)
        return dataclasses.replace(self * inverse, name=_join(self.name or "1", "/", other.name))

    def __pow__(self, power: int | Fraction) -> Unit:
        exponents = tuple(a * power for a in self.dimension)
        name = self.name if power == 1 else f"({self.name})^{power}"
        return Unit(exponents, self.decade * power, name if self.name else "")

    def __rmul__(self, value: Any) -> Quantity:
        """``20 * ms`` is a :class:`Quantity`; arrays work as well, and so does ``3 * nS * mV``."""
        if isinstance(value, Quantity):
            return Quantity(value.value, value.unit * self)
        return Quantity(value, self)

    def __rtruediv__(self, value: object) -> Any:
        """``1 / mV`` is a unit, ``0.04 / mV`` a quantity."""
        return self**-1 if value == 1 else Quantity(value, self**-1)

    def same_as(self, other: Unit) -> bool:
        """Whether dimension and scale agree; the name does not matter."""
        return self.dimension == other.dimension and self.decade == other.decade

    def __str__(self) -> str:
        return self.name or _spell(self)

    def __repr__(self) -> str:
        return f"<unit {self}>"


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A value (number or array) with its unit.

    >>> 0.02 * second, (0.02 * second).to(ms)
    (0.02 * s, 20.0)
    >>> (20 * nS).to(ms)
    Traceback (most recent call last):
    ...
    spikeloom.errors.DimensionError: a quantity has the wrong dimension: got nS, expected ms
    """

    value: Any
    unit: Unit

    def to(self, unit: Unit) -> Any:
        """The plain value in ``unit``; raises :class:`DimensionError` when dimensions differ."""
        if self.unit.dimension != unit.dimension:
            raise DimensionError("a quantity has the wrong dimension", got=self.unit, expected=unit)
        decades = self.unit.decade - unit.decade
        return _scale(self.value, float(10 ** abs(decades)), decades >= 0)

    def __truediv__(self, unit: object) -> Quantity:
        if not isinstance(unit, Unit):
            return NotImplemented
        return Quantity(self.value, self.unit / unit)

    def __neg__(self) -> Quantity:
        return Quantity(-self.value, self.unit)

    def __repr__(self) -> str:
        return f"{self.value!r} * {self.unit}"


def _scale(value: float | list[Any] | tuple[Any, ...], factor: float, up: bool) -> Any:
    # A power of ten that is not a negative one is exact, so a division loses less than a product with its inverse.
    if isinstance(value, (list, tuple)):
        return [_scale(v, factor, up) for v in value]
    return value * factor if up else value / factor


def plain(value: object, unit: Unit, name: str) -> object:
    """``value`` as a plain number (or array) in ``unit``; a plain number already means that unit.

    >>> plain(3.0, ms, "tau"), plain(3.0 * second, ms, "tau")
    (3.0, 3000.0)
    """
    if not isinstance(value, Quantity):
        return value
    try:
        return value.to(unit)
    except DimensionError as error:
        mend = f"Give {name} as a plain number in {unit} or with a unit of that dimension."
        raise DimensionError(f"{name} has the wrong dimension", got=error.got, expected=unit, mend=mend) from None


def _join(left: str, sign: str, right: str) -> str:
    if not right or right == "1":
        return left
    if sign == "*" and (not left or left == "1"):
        return right
    return f"{left}{sign}{f'({right})' if sign == '/' and ('/' in right or '*' in right) else right}"


def _spell(unit: Unit) -> str:
    symbols = ("ms", "mV", "pA", "cm", "mM")
    parts = [f"{s}^{e}" if e != 1 else s for s, e in zip(symbols, unit.dimension, strict=True) if e]
    scale = unit.decade - sum(e * u.decade for e, u in zip(unit.dimension, (ms, mV, pA, cm, mM), strict=True))
    return " ".join(([f"10^{scale}"] if scale else []) + parts) or "1"


def _base(index: int, decade: int, name: str) -> Unit:
    exponents = tuple(Fraction(int(i == index)) for i in range(len(BASE)))
    return Unit(exponents, Fraction(decade), name)


def _scaled(unit: Unit, decade: int, name: str) -> Unit:
    return Unit(unit.dimension, unit.decade + decade, name)


def _named(unit: Unit, name: str) -> Unit:
    return dataclasses.replace(unit, name=name)


one = Unit(_NONE, Fraction(0), "1")

second = _base(0, 0, "s")
ms = _scaled(second, -3, "ms")
us = _scaled(second, -6, "us")
volt = _base(1, 0, "V")
mV = _scaled(volt, -3, "mV")
uV = _scaled(volt, -6, "uV")
ampere = _base(2, 0, "A")
pA = _scaled(ampere, -12, "pA")
nA = _scaled(ampere, -9, "nA")
uA = _scaled(ampere, -6, "uA")
metre = _base(3, 0, "m")
cm = _scaled(metre, -2, "cm")
um = _scaled(metre, -6, "um")
mol = _base(4, 0, "mol")

cm2 = _named(cm * cm, "cm2")
mM = _named(mol / metre**3, "mM")
uM = _scaled(mM, -3, "uM")
Hz = _named(second**-1, "Hz")
kHz = _scaled(Hz, 3, "kHz")
siemens = _named(ampere / volt, "S")
mS = _scaled(siemens, -3, "mS")
uS = _scaled(siemens, -6, "uS")
nS = _scaled(siemens, -9, "nS")
ohm = _named(volt / ampere, "ohm")
Mohm = _scaled(ohm, 6, "Mohm")
Gohm = _scaled(ohm, 9, "Gohm")
farad = _named(ampere * second / volt, "F")
uF = _scaled(farad, -6, "uF")
nF = _scaled(farad, -9, "nF")
pF = _scaled(farad, -12, "pF")
uA_per_cm2 = _named(uA / cm2, "uA/cm2")
mS_per_cm2 = _named(mS / cm2, "mS/cm2")
uF_per_cm2 = _named(uF / cm2, "uF/cm2")

# Units of whatever membrane a channel or synapse is put into: pA and nS, uA/cm2 and mS/cm2, or none at all.
membrane_current = Unit(_NONE, Fraction(0), "the membrane's current")
membrane_conductance = Unit(_NONE, Fraction(0), "the membrane's conductance")
# The unit of whatever weights a plasticity rule changes.
synaptic_weight = Unit(_NONE, Fraction(0), "the weight's unit")


def is_finite(value: float) -> bool:
    """Whether ``value`` is an ordinary number; rejects NaN, infinity and booleans."""
    return not isinstance(value, bool) and math.isfinite(value)
