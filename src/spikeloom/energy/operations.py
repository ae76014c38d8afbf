"""Operations of a neuron's program, expressed in additions, multiplications and divisions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ..errors import ModelError


@dataclasses.dataclass(frozen=True)
class Elementary:
    """A number of additions (a comparison or a choice counts as one), multiplications and divisions."""

    adds: float = 0
    muls: float = 0
    divs: float = 0

    def __add__(self, other: Elementary) -> Elementary:
        return Elementary(self.adds + other.adds, self.muls + other.muls, self.divs + other.divs)

    def __mul__(self, times: float) -> Elementary:
        return Elementary(self.adds * times, self.muls * times, self.divs * times)


_ADD, _MUL, _DIV, _FREE = Elementary(adds=1), Elementary(muls=1), Elementary(divs=1), Elementary()

# The functions as our own kernels compute them in single precision: range reduction, a polynomial of the degrees in
# lang/dialects/numba_polynomials.py by Horner's rule, and the scaling back.
COSTS: Mapping[str, Elementary] = {
    **dict.fromkeys(("add", "sub", "minimum", "maximum", "ge", "gt", "where", "select", "fire", "ceil"), _ADD),
    "mul": _MUL,
    "div": _DIV,
    "sqrt": _DIV,
    **dict.fromkeys(("neg", "abs", "not", "and", "detach"), _FREE),  # single bits, or nothing at all
    **dict.fromkeys(("exp", "expm1"), Elementary(10, 9)),
    **dict.fromkeys(("log", "log1p"), Elementary(11, 12)),
    **dict.fromkeys(("sin", "cos"), Elementary(8, 8)),
    "tanh": Elementary(12, 10, 1),
    "sigmoid": Elementary(11, 9, 1),
    "atan": Elementary(10, 10, 1),
    "erf": Elementary(9, 9),
    "pow": Elementary(21, 22),
}


def elementary(operations: Mapping[str, int]) -> Elementary:
    """The sum of ``operations`` (name to count), a whole program's or a whole run's.

    Raises :class:`ModelError` for an operation without a cost.

    >>> elementary({"add": 2, "sub": 2, "mul": 2, "fire": 1, "select": 1, "detach": 1})      # a LIF's step
    Elementary(adds=6, muls=2, divs=0)
    """
    total = Elementary()
    for name, count in operations.items():
        if name not in COSTS:
            raise ModelError("an operation without a cost", got=name, expected=f"one of {', '.join(COSTS)}")
        total = total + COSTS[name] * count
    return total
