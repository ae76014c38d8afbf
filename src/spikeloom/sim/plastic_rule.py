"""A plasticity rule as text: what each kind of event does to an edge and to the traces of the neurons."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..errors import ModelError, ParameterError, did_you_mean
from ..kernels.plastic.edges import WEIGHT, Steps
from ..lang import math as m
from ..lang.expr import Expr, lift, symbol
from ..lang.graph import Graph
from ..models.base import Values
from ..plasticity import Plasticity
from ..units import Unit, ms
from .between import after

_SIDES = ("pre", "post", "edge")


def check_rule(label: str, rule: Plasticity, release: object, unit: Unit) -> None:
    """Raise unless ``rule`` can change the weights, in ``unit``, of the connection ``label``."""
    if not isinstance(rule, Plasticity):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ParameterError(f"{label}: plasticity", got=repr(rule), expected="a rule such as sl.STDP()")
    if release is not None:
        mend = "Give the connection one of them."
        raise ModelError(f"{label}: short-term plasticity beside {type(rule).__name__}", got="both", mend=mend)
    low, high = rule.limits()
    if low is not None and high is not None and low > high:
        got, expected = f"{low:g} and {high:g}", "the lowest weight first, as w_min=0.0, w_max=1.0"
        raise ParameterError(f"{label}: limits of {type(rule).__name__}", got=got, expected=expected)
    rule.check_unit(unit)
    traced(rule)


def traced(rule: Plasticity) -> Steps:
    """The events of ``rule`` as text.

    Raises ModelError for a name that it has not, for states that do not move linearly and each for itself, for traces
    that change with something else than their own neuron's spikes, and for a periodic change without a ``period``.
    """
    label = type(rule).__name__
    now = vars(rule.symbols())
    sides = {n: rule.side_of(n) for n in now}
    bound = rule.bind({n: symbol(f"p.{n}", p.unit) for n, p in rule.params.items()})
    moved: dict[str, Any] = dict(now)
    for name, slope in _known(f"{label}: derivative", bound.derivative(Values(**now)), now).items():
        others = [f"s.{n}" for n in now if n != name]
        moved[name] = after(f"{label}: d{name}/dt", now[name], slope, symbol(f"elapsed.{sides[name]}", ms), others)
    seen = Values(**moved)
    texts: dict[str, str] = {}
    for event in ("pre", "post"):
        changed = _known(
            f"{label}: {event}", getattr(bound, event)(seen), [n for n in now if sides[n] in (event, "edge")]
        )
        texts[event] = _text(f"{label}: {event}", _edge(bound, changed, moved, sides), _SIDES, sides)
        traces = {n: changed.get(n, moved[n]) for n in now if sides[n] == event}
        texts[f"{event}_traces"] = _text(f"{label}: traces of {event}", traces, (event,), sides)
    changed = _known(f"{label}: periodic", bound.periodic(seen), [n for n in now if sides[n] == "edge"])
    texts["periodic"] = "in"
    if changed:
        if "period" not in rule.params:
            mend = "Declare period = sl.param(1000.0, sl.ms, low=0.0)."
            raise ModelError(f"{label} changes periodically, but has no period", mend=mend)
        texts["periodic"] = _text(f"{label}: periodic", _edge(bound, changed, moved, sides), ("edge",), sides)
    return Steps(**texts, parameters=tuple(rule.params))


def moves(steps: Steps) -> bool:
    """Whether states of an edge move between spikes, so that it has to know when it was looked at last."""
    return any("elapsed.edge" in Graph.parse(text).inputs for text in (steps.pre, steps.post, steps.periodic))


def _edge(bound: Plasticity, changed: Mapping[str, Any], moved: Mapping[str, Any], sides: Mapping[str, str]) -> Any:
    """New values of an edge; those that neither change nor move are left out."""
    found = {n: changed.get(n, moved[n]) for n in sides if sides[n] == "edge"}
    found = {n: v for n, v in found.items() if n in changed or lift(v).op != "symbol"}
    if WEIGHT in found:
        low, high = bound.limits()
        found[WEIGHT] = found[WEIGHT] if low is None else m.maximum(lift(found[WEIGHT]), low)
        found[WEIGHT] = found[WEIGHT] if high is None else m.minimum(lift(found[WEIGHT]), high)
    return found


def _known(label: str, found: Any, names: Collection[str]) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ModelError(label, got=repr(found), expected="new values by name")
    for name in found:
        if name not in names:
            raise ModelError(
                f"{label} gives {name!r}", expected=" or ".join(names), mend=did_you_mean(str(name), names)
            )
    return found


def _text(label: str, outputs: Mapping[str, Any], allowed: Collection[str], sides: Mapping[str, str]) -> str:
    lifted: dict[str, Expr] = {f"next.{n}": lift(v) for n, v in outputs.items()}
    graph = Graph.make(lifted)
    for name in graph.inputs:
        kind, _, own = name.partition(".")
        side = sides[own] if kind == "s" else own if kind == "elapsed" else None
        if side is not None and side not in allowed:
            expected = f"values of {' and '.join(allowed)} alone"
            raise ModelError(f"{label} depends on {own if kind == 's' else side}", expected=expected)
    return graph.text()


__all__ = ["check_rule", "moves", "traced"]
