"""States that only decay, kept in units that decay with them.

Between arrivals the state of an exponential synapse is multiplied by the same number in every step. Here this number
goes to the unit instead: the state is not written at all, and what arrives is taken in the unit of its step. Every
:data:`EVERY` steps, counted from the beginning of time, states are brought back to their own unit, so that no bit
depends on where a run is split.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ...lang.analysis import linear, symbols
from ...lang.evaluate import evaluate
from ...lang.expr import Expr, rebuilt, symbol
from ...lang.graph import Graph
from ..program import CONSTANT, NEXT, STATE

EVERY = 64  # steps; a power of two, so that a step's place is a mask
_LEAST = 0.7  # of what is left after a step: shares of weights then stay below 1e10


@dataclasses.dataclass(frozen=True, eq=False)
class Decay:
    """A state of which ``factor`` is left after a step: ``units`` [EVERY + 1] are its powers, ``shares`` [EVERY] the
    powers of its inverse, both in the precision of the state."""

    units: np.ndarray
    shares: np.ndarray

    @classmethod
    def of(cls, factor: float, dtype: np.dtype[np.generic]) -> Decay:
        """With the tables of one factor.

        >>> Decay.of(0.5, np.dtype("f4")).units[:3].tolist(), Decay.of(0.5, np.dtype("f4")).shares[:3].tolist()
        ([1.0, 0.5, 0.25], [1.0, 2.0, 4.0])
        """
        powers = factor ** np.arange(EVERY + 1.0)
        return cls(powers.astype(dtype), (1.0 / powers[:EVERY]).astype(dtype))

    def plain(self, values: np.ndarray, step: int | np.ndarray) -> np.ndarray:
        """``values`` [N] before ``step``, or [K, N] before K steps, in the state's own unit."""
        return values * self.units[np.asarray(step) % EVERY, None]

    def scaled(self, values: np.ndarray, step: int) -> np.ndarray:
        """The other way about."""
        return values / self.units[step % EVERY]


def decay_of(text: str, state: str, constants: dict[str, np.ndarray]) -> float | None:
    """What is left of ``state`` after a step of ``text``, where that is the same share always and of every neuron.

    >>> i, v = symbol("s.i"), symbol("s.v")
    >>> text = Graph.make({"next.i": i * symbol("c0"), "next.v": v * symbol("c1") + i}).text()
    >>> decay_of(text, "s.i", {"c0": np.array([0.75]), "c1": np.array([0.5])})
    0.75
    >>> decay_of(text, "s.v", {"c0": np.array([0.75]), "c1": np.array([0.5])})  # something comes in
    >>> decay_of(text, "s.i", {"c0": np.array([0.75, 0.8])})  # each neuron has its own
    """
    found = linear(Graph.parse(text).outputs[NEXT + state.removeprefix(STATE)], [state])
    if found is None or list(found[0]) != [state] or found[1].op != "const" or found[1].data != 0.0:
        return None
    share = found[0][state]
    values = {n: float(constants[n][0]) for n in symbols([share]) if n in constants and constants[n].size == 1}
    if set(values) != set(symbols([share])):
        return None
    factor = float(evaluate([share], values)[0])
    return factor if _LEAST <= factor < 1.0 else None


def unit_of(state: str) -> str:
    """The symbol of a state's unit."""
    return f"unit.{state.removeprefix(STATE)}"


def in_units(outputs: Sequence[Expr], states: Sequence[str]) -> list[Expr]:
    """``outputs`` with the ``states`` in their units, which go to a constant factor beside them.

    >>> from spikeloom.lang.expr import symbol
    >>> [str(e) for e in in_units([symbol("c0") * symbol("s.i"), symbol("s.i") * symbol("s.v")], ["s.i"])]
    ['((c0 * unit.i) * s.i)', '((unit.i * s.i) * s.v)']
    """

    def change(expr: Expr, _: tuple[Expr, ...]) -> Expr | None:
        if expr.op == "symbol" and expr.data in states:
            return Expr("mul", (symbol(unit_of(str(expr.data))), expr))
        if expr.op != "mul":
            return None
        for constant, state in (expr.args, expr.args[::-1]):
            known = constant.op == state.op == "symbol" and str(constant.data).startswith(CONSTANT)
            if known and state.data in states:
                return Expr("mul", (Expr("mul", (constant, symbol(unit_of(str(state.data))))), state))
        return None

    return rebuilt(outputs, change)


__all__ = ["EVERY", "Decay", "decay_of", "in_units", "unit_of"]
