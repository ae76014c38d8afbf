"""A model's equations as formulas, read from its methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..lang.expr import Expr, lift, symbol
from ..lang.latex import latex, name_in_latex
from .base import NeuronModel


def equations(model: NeuronModel) -> list[str]:
    r"""The equations of ``model`` in LaTeX, without dollars: slopes, threshold, resets, and what else happens.

    Matplotlib's mathtext sets every one of them. Parameters appear by name.

    >>> from spikeloom.models import LIF
    >>> print(*equations(LIF()), sep="\n")
    \tau\,\frac{dv}{dt} = v_{\mathrm{rest}} - v + r\,i
    \mathrm{spike\ when}\quad v \geq v_{\mathrm{threshold}}
    \mathrm{then}\quad v \leftarrow v - \left(v_{\mathrm{threshold}} - v_{\mathrm{rest}}\right)
    """
    bound = model.symbolic()
    s, x = bound.symbols()
    slopes, noise = bound.derivative(s, x), bound.noise(s, x)
    lines = [_slope(name, lift(slopes[name]), noise.get(name)) for name in model.states if name in slopes]
    quantity = bound.threshold(s)
    if quantity is not None:
        resets = {name: lift(value) for name, value in bound.reset(s).items()}
        lines.append(_threshold(lift(quantity), all(model.states[name].timer for name in resets)))
        lines += [rf"\mathrm{{then}}\quad {name_in_latex(n)} \leftarrow {latex(value)}" for n, value in resets.items()]
        lines += [
            rf"\mathrm{{shown\ at\ a\ spike}}\quad {name_in_latex(n)} = {latex(lift(value))}"
            for n, value in bound.peak().items()
        ]
    held = bound.refractory(s)
    if held is not None:
        still = r",\ ".join(name_in_latex(name) for name in model.held)
        lines.append(rf"\mathrm{{hold}}\ {still}\ \mathrm{{while}}\quad {latex(held)}")
    lines += [_countdown(name) for name, state in model.states.items() if state.timer]
    lines += [_anew(name) for name, state in model.states.items() if state.integral]
    lines += [_drawn(name, draw.kind) for name, draw in model.draws.items()]
    return lines + [line for port in model.ports for line in _arrivals(port, bound.arrive(port, s, symbol("w")))]


def _slope(name: str, slope: Expr, amplitude: object) -> str:
    rate = rf"\frac{{d{name_in_latex(name)}}}{{dt}}"
    if amplitude is not None:
        return rf"{rate} = {latex(slope)} + {latex(lift(amplitude))}\,\xi(t)"
    if slope.op == "div" and slope.args[1].op == "symbol":
        return rf"{latex(slope.args[1])}\,{rate} = {latex(slope.args[0])}"
    return f"{rate} = {latex(slope)}"


def _arrivals(port: str, values: Mapping[str, Any]) -> list[str]:
    r"""What a spike of weight w does where it arrives; ``v`` of a port is what the membrane jumps by."""
    begin = rf"\mathrm{{a\ spike\ of\ weight}}\ w\ \mathrm{{into\ {port}:}}\quad "
    return [rf"{begin}{name_in_latex(name)} \leftarrow {latex(lift(value))}" for name, value in values.items()]


def _anew(name: str) -> str:
    return rf"{name_in_latex(name)} = 0\ \mathrm{{at\ the\ beginning\ of\ each\ step}}"


def _drawn(name: str, kind: str) -> str:
    law = r"\mathrm{Exp}(1)" if kind == "exponential" else r"\mathrm{U}(0, 1)"
    return rf"{name_in_latex(name)} \sim {law}\ \mathrm{{in\ each\ step}}"


def _threshold(quantity: Expr, crossing: bool) -> str:
    from_below = r"\ \mathrm{is\ reached\ from\ below}" if crossing else ""
    sides = quantity.args if quantity.op == "sub" else (quantity, lift(0.0))
    return rf"\mathrm{{spike\ when}}\quad {latex(sides[0])} \geq {latex(sides[1])}{from_below}"


def _countdown(name: str) -> str:
    left = name_in_latex(name)
    return rf"\frac{{d{left}}}{{dt}} = -1\ \mathrm{{while}}\ {left} > 0"
