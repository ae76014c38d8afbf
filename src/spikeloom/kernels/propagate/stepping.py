"""What a step of a population computes, and what of it is left where nobody fires."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from ...lang.analysis import replace
from ...lang.canonical import canonical
from ...lang.dialects.dialect import Dialect
from ...lang.emit import identifier, statements
from ...lang.expr import Expr, lift, rebuilt, symbol, topological
from ...lang.idioms import contracted, fused
from ..program import NEXT, SPIKE, STATE
from .naps import Nap, nap_of, without

_FIRED = "fired_now"  # a symbol: the condition, in what is computed where somebody fired


@dataclasses.dataclass(frozen=True, eq=False)
class Stepping:
    """What a step computes: ``outputs`` by name, what they are where no neighbour ``fired``, and that condition.

    Where neurons ``nap`` all this is that of one that is awake; one that naps may seem to fire, and does not.
    """

    outputs: dict[str, Expr]
    quiet: dict[str, Expr]
    fired: Expr | None
    nap: Nap | None = None

    @classmethod
    def of(cls, given: Mapping[str, Expr], positive: frozenset[str], strict: bool, napping: bool) -> Stepping:
        """Of a step whose outputs are next states, what is shown, and spikes; ``napping`` where neurons may nap."""
        names, found = list(given), fused(list(given.values()))
        asked = [Expr("gt", (found[names.index(SPIKE)], lift(0.0)))] if SPIKE in names else []
        found = canonical(decided(compared([*found, *asked], positive)))
        # Before the quiet ones are made of it: what is fused then does not hang on whether a neighbour fired, or naps.
        found = found if strict else contracted(found)
        outputs = {n: e for n, e in zip(names, found, strict=False) if n != SPIKE}
        if not asked:
            return cls(outputs, outputs, None)
        nap, fires = None, found[-1]
        if napping and (known := nap_of(outputs, fires)) is not None:
            nap, outputs, fires = known
        new = rebuilt(outputs.values(), lambda e, _: symbol(_FIRED) if e is fires else None)
        *found, fires = canonical([*new, *without(list(outputs.values()), fires), fires])
        outputs, quiet = (dict(zip(outputs, h, strict=True)) for h in (found[: len(new)], found[len(new) :]))
        return cls(outputs, quiet, fires, nap)

    @property
    def everything(self) -> list[Expr]:
        """All that is computed."""
        return [*self.outputs.values(), *self.quiet.values(), *([] if self.fired is None else [self.fired])]

    def lines(self, rows: dict[str, str], dialect: Dialect) -> list[str]:
        """Text that computes and stores, output by output into its row, and returns who fired."""
        held = () if self.nap is None else tuple(NEXT + n.removeprefix(STATE) for n in self.nap.held)
        timer = () if self.nap is None else (NEXT + self.nap.timer.removeprefix(STATE),)
        either = [n for n, e in self.outputs.items() if n not in timer and (e is not self.quiet[n] or n in held)]
        always = [n for n in self.outputs if n not in either and n not in timer]

        def computed(chosen: Iterable[str], kind: str, found: dict[str, Expr]) -> dict[str, Expr]:
            return {f"{identifier(n)}_{kind}": found[n] for n in chosen}

        def stores(chosen: Iterable[str], kind: str) -> list[str]:
            return [f"{identifier(rows[n])}_all[m] = {identifier(n)}_{kind}" for n in chosen]

        wanted = computed([*always, *either], "quiet", self.quiet)
        if self.fired is None:
            return [*statements(wanted, dialect), *stores(always, "quiet"), "return None"]
        lines = [*statements(wanted | {"fired": self.fired}, dialect), *stores(always, "quiet"), "word = bits(fired)"]
        if either:
            some = [*self._napping(), *statements(computed(either, "new", self.outputs), dialect)]
            some += stores([n for n in either if n not in held], "new") + self._asleep()
            lines.append("with either(word) as (some, none):")
            for block, inside in (("some", some), ("none", stores(either, "quiet"))):
                lines += [f"    with {block}:", *(f"        {line}" for line in inside)]
        return [*lines, "return word"]

    def _napping(self) -> list[str]:
        if self.nap is None:
            return [f"{_FIRED} = fired"]
        timer = f"{identifier(self.nap.timer)}_all[m]"
        return [f"naps = {timer} > now", f"{_FIRED} = fired & ~naps", f"naps = naps | {_FIRED}"]

    def _asleep(self) -> list[str]:
        """Who fired falls asleep, for a time, with the value that it wakes with."""
        if self.nap is None:
            return []
        timer, lines = f"{identifier(self.nap.timer)}_all", list[str]()
        for name in self.nap.held:
            row, new = identifier(name), f"{identifier(NEXT + name.removeprefix(STATE))}_new"
            lines.append(f"{row}_kept_all[m] = select({_FIRED}, {new}, {row}_kept_all[m])")
            lines.append(f"{row}_all[m] = select(naps, {row}_all.number(float('nan')), {new})")
        return [*lines, f"{timer}[m] = select({_FIRED}, until, {timer}[m])"]


def compared(outputs: Sequence[Expr], positive: frozenset[str]) -> list[Expr]:
    """``outputs`` in which a spike is v >= threshold, where it was (v - threshold) c >= 0 with c above 0.

    Only a surrogate needs the distance. The sign of a difference is exact, so the spikes are the same.

    >>> from spikeloom.lang import math as m
    >>> from spikeloom.lang.expr import symbol
    >>> v, c = symbol("v"), symbol("c0")
    >>> [str(e) for e in compared([m.fire((v - 1.0) * c)], frozenset({"c0"}))]
    ['where((v >= 1), 1, 0)']
    """
    new: dict[int, Expr] = {}
    for expr in topological(outputs):
        if expr.op != "fire" or expr.args[0].op != "mul":
            continue
        factors = [a for a in expr.args[0].args if not (a.op == "symbol" and a.data in positive)]
        if len(factors) == 1 and factors[0].op == "sub":
            new[id(expr)] = Expr("where", (Expr("ge", factors[0].args), lift(1.0), lift(0.0)))
    return replace(outputs, new)


def decided(outputs: Sequence[Expr]) -> list[Expr]:
    """``outputs`` in which whether a 1 was chosen is asked of the conditions, and not of the number.

    >>> from spikeloom.lang import math as m
    >>> from spikeloom.lang.expr import symbol
    >>> v, rest = symbol("v"), symbol("rest")
    >>> spike = m.where(rest > 0.0, 0.0, m.where(v >= 1.0, 1.0, 0.0))
    >>> [str(e) for e in decided([m.where(spike > 0.0, 0.0, v)])]
    ['where((not((rest > 0)) & (v >= 1)), 0, v)']
    >>> [str(e) for e in decided([m.select(m.where(v >= 1.0, 1.0, 0.0), 0.0, v), m.select(m.fire(v), 0.0, v)])]
    ['where((v >= 1), 0, v)', 'where((v >= 0), 0, v)']
    """

    def answered(expr: Expr, args: tuple[Expr, ...]) -> Expr | None:
        asks = expr.op == "select" or (expr.op == "gt" and (args[1].op, args[1].data) == ("const", 0.0))
        answer = _chosen(args[0]) if asks else None
        if not isinstance(answer, Expr):
            return None
        return Expr("where", (answer, *args[1:])) if expr.op == "select" else answer

    return rebuilt(outputs, answered)


def _chosen(expr: Expr) -> Expr | bool | None:
    """When the number, chosen from 0 and 1, is 1; None where it is another."""
    if expr.op == "const":
        return {0.0: False, 1.0: True}.get(float(expr.data)) if isinstance(expr.data, (int, float)) else None
    if expr.op == "detach":
        return _chosen(expr.args[0])
    if expr.op == "fire":
        return Expr("ge", (expr.args[0], lift(0.0)))
    if expr.op != "where":
        return None
    condition, one, other = expr.args[0], _chosen(expr.args[1]), _chosen(expr.args[2])
    if one is True and other is False:
        return condition
    if one is False and isinstance(other, Expr):
        return ~condition & other
    return condition & one if isinstance(one, Expr) and other is False else None


__all__ = ["Stepping", "compared", "decided"]
