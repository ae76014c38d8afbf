"""Neurons that nap: whose next steps are known, whatever arrives, so that nobody need look at them.

After a spike a refractory neuron is held for a number of steps. Asking every neuron in every step whether it is held,
and counting its steps down, takes longer than moving its membrane. While a population runs, its neurons are told apart
by lists instead: the membrane of who naps is no number, which stays none and reaches no threshold, and gets its value
back when its time has come. What is computed for the others is the same to the last bit.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from ...lang.analysis import symbols
from ...lang.canonical import canonical, is_const
from ...lang.expr import Expr, lift, rebuilt, symbol, topological
from ..memory import aligned
from ..program import NEXT, STATE

_EXACT = 1 << 22  # steps of a nap: float32 counts them exactly beside those of a chunk, of which there are fewer


@dataclasses.dataclass(frozen=True)
class Nap:
    """After a spike ``timer`` is set to ``steps``, a constant, and counts them down; until 0 the states ``held`` stay
    as they are, nothing fires, and no other state looks at these."""

    timer: str
    held: tuple[str, ...]
    steps: str

    @property
    def states(self) -> set[str]:
        """What means something else while neurons nap."""
        return {self.timer, *self.held}


def nap_of(outputs: dict[str, Expr], fired: Expr) -> tuple[Nap, dict[str, Expr], Expr] | None:
    """How neurons nap, and ``outputs`` and ``fired`` of one that does not; None where there is no such thing.

    >>> from spikeloom.lang import math as m
    >>> v, left, c = symbol("s.v"), symbol("s.left"), symbol("c0")
    >>> moved = m.where(left > 0.0, v, v * 0.9 + symbol("x.i"))
    >>> fired = ~(left > 0.0) & (moved >= 1.0)
    >>> counted = m.where(fired, c, m.maximum(left - 1.0, 0.0))
    >>> nap, awake, condition = nap_of({"next.v": m.where(fired, 0.0, moved), "next.left": counted}, fired)
    >>> nap, str(awake["next.v"]), str(condition)
    (Nap(timer='s.left', held=('s.v',), steps='c0'), 'where((((s.v * 0.9) + x.i) >= 1), 0, ((s.v * 0.9) + x.i))', '(((s.v * 0.9) + x.i) >= 1)')
    """  # noqa: E501
    names = list(outputs)
    everything = canonical([*outputs.values(), fired])
    for asked in topological(everything):
        timer = _timer(asked)
        if timer is None:
            continue
        awake, asleep = (canonical(answered(everything, asked, answer)) for answer in (False, True))
        both = canonical([*awake, *without(awake, awake[-1]), *asleep])
        count = len(everything)
        new, quiet, still = (dict(zip(names, both[k * count :], strict=False)) for k in range(3))
        nap = _found(timer, new, quiet, still, awake[-1], asleep[-1])
        if nap is not None:
            return nap, new, both[count - 1]
    return None


def _found(
    timer: str, new: dict[str, Expr], quiet: dict[str, Expr], still: dict[str, Expr], fires: Expr, dreams: Expr
) -> Nap | None:  # fmt: skip
    """``new`` of who is awake, ``quiet`` where it does not fire, ``still`` of who naps; ``fires`` and ``dreams`` say
    whether the first and the last do."""
    own = NEXT + timer.removeprefix(STATE)
    stays = [n for n, e in still.items() if n != own and _is(e, STATE + n.removeprefix(NEXT)) and quiet[n] is not e]
    held = tuple(STATE + n.removeprefix(NEXT) for n in stays)
    others = [e for n, e in still.items() if n != own and n not in stays]
    set_to = new[own].args[1] if new[own].op == "where" else None
    down = canonical([Expr("maximum", (Expr("sub", (symbol(timer), lift(1.0))), lift(0.0)))])[0]
    fits = (
        bool(held)
        and dreams.op == "const"
        and not dreams.data
        and set_to is not None
        and set_to.op == "symbol"
        and str(_bare(still[own])) == str(down)
        and quiet[own] is still[own]
        and all(quiet[n] is still[n] for n in still if n != own and n not in stays)
        and not {timer, *held} & set(symbols(others))
        and timer not in symbols([fires, *(new[n] for n in new if n != own)])
    )
    return Nap(timer, held, str(set_to.data)) if fits and set_to is not None else None


def _timer(asked: Expr) -> str | None:
    """The state that ``asked`` asks whether it is above 0."""
    if asked.op != "gt" or asked.args[0].op != "symbol" or not is_const(asked.args[1], 0.0):
        return None
    name = str(asked.args[0].data)
    return name if name.startswith(STATE) else None


def _is(expr: Expr, name: str) -> bool:
    return expr.op == "symbol" and expr.data == name


def _bare(expr: Expr) -> Expr:
    return expr.args[0] if expr.op == "detach" else expr


def without(outputs: Sequence[Expr], fired: Expr) -> list[Expr]:
    """``outputs`` where the condition ``fired`` does not hold."""
    return rebuilt(outputs, lambda e, args: args[2] if e.op == "where" and e.args[0] is fired else None)


def answered(outputs: Sequence[Expr], asked: Expr, answer: bool) -> list[Expr]:
    """``outputs`` where the condition ``asked``, one of their nodes, is known.

    >>> from spikeloom.lang import math as m
    >>> x, asked = symbol("x"), symbol("r") > 0.0
    >>> outputs = [m.where(asked, x, 1.0), ~asked & (x > 1.0)]
    >>> [[str(e) for e in answered(outputs, asked, answer)] for answer in (True, False)]
    [['x', '0'], ['1', '(x > 1)']]
    """

    def change(expr: Expr, args: tuple[Expr, ...]) -> Expr | None:
        if expr is asked:
            return Expr("const", data=answer)
        known = [a.data if a.op == "const" and isinstance(a.data, bool) else None for a in args]
        if expr.op == "not" and known[0] is not None:
            return Expr("const", data=not known[0])
        if expr.op == "and" and (known[0] is not None or known[1] is not None):
            one, other = (0, 1) if known[0] is not None else (1, 0)
            return args[other] if known[one] else args[one]
        if expr.op in ("where", "select") and known[0] is not None:
            return args[1] if known[0] else args[2]
        return args[0] if expr.op == "detach" and known[0] is not None else None

    return rebuilt(outputs, change)


class Sleepers:
    """Who naps while a population runs.

    Until :meth:`wake` the timers among ``states`` say in which step, counted from ``first``, a neuron wakes, and
    ``kept`` has the states that are held. Of ``ring`` [N] each part has a stretch with those who nap in the order of
    waking; ``places`` [parts, 8] say where they begin, and how many they are.
    """

    def __init__(
        self, nap: Nap, states: dict[str, np.ndarray], asleep: np.ndarray, bounds: np.ndarray, first: int
    ) -> None:
        self.nap, self.first, self._states = nap, first, states
        size, dtype = states[nap.timer].shape, states[nap.timer].dtype
        self.kept = {n: np.empty(size, dtype) for n in nap.held}
        self.ring, self.places = np.empty(size, np.int32), aligned((len(bounds) - 1, 8), np.dtype(np.int64))
        for part, (a, b) in enumerate(itertools.pairwise(np.searchsorted(asleep, bounds))):
            turns = np.argsort(states[nap.timer][asleep[a:b]].astype(np.int32), kind="stable")
            self.ring[bounds[part] : bounds[part] + b - a], self.places[part, 1] = asleep[a:b][turns], b - a
        for name, kept in self.kept.items():
            kept[asleep] = states[name][asleep]
            states[name][asleep] = np.nan

    @classmethod
    def of(
        cls, nap: Nap, states: dict[str, np.ndarray], constants: dict[str, np.ndarray], bounds: np.ndarray, first: int
    ) -> Sleepers | None:
        """None where the numbers are such that neurons do not wake in the order in which they fell asleep, or not at
        the beginning of a step."""
        timer, length = states[nap.timer], constants[nap.steps]
        if length.size != 1 or not 1.0 <= (most := float(length[0])) <= _EXACT or most % 1.0:
            return None
        asleep = np.flatnonzero(timer)
        left = timer[asleep]
        fits = ((left > 0.0) & (left <= most) & (left == np.floor(left))).all()
        return cls(nap, states, asleep, bounds, first) if fits else None

    @property
    def arrays(self) -> list[np.ndarray]:
        """What the kernels take."""
        return [self.places, self.ring, *self.kept.values()]

    def wake(self, steps: int) -> None:
        """After so many ``steps`` from the first: states as they are without lists."""
        timer = self._states[self.nap.timer]
        asleep = np.flatnonzero(timer >= max(steps, 1))
        for name, kept in self.kept.items():
            self._states[name][asleep] = kept[asleep]
        left = timer[asleep] - timer.dtype.type(steps)
        timer.fill(0.0)
        timer[asleep] = left


__all__ = ["Nap", "Sleepers", "answered", "nap_of", "without"]
