"""A model's equations as formulas, read from its methods."""

from __future__ import annotations

from ..lang.expr import Expr, lift, symbol
from ..lang.latex import latex, name_in_latex
from .base import NeuronModel, Values


def equations(model: NeuronModel) -> list[str]:
    r"""The equations of ``model`` in LaTeX, without dollars: slopes, threshold, resets, and what holds the membrane.

    Matplotlib's mathtext sets every one of them. Parameters appear by name.

    >>> from spikeloom.models import LIF
    >>> print(*equations(LIF()), sep="\n")
    \tau\,\frac{dv}{dt} = v_{\mathrm{rest}} - v + r\,i
    \mathrm{spike\ when}\quad v \geq v_{\mathrm{threshold}}
    \mathrm{then}\quad v \leftarrow v - \left(v_{\mathrm{threshold}} - v_{\mathrm{rest}}\right)
    """
    bound = model.symbolic()
    s = Values(**{name: symbol(name, state.unit) for name, state in model.states.items()})
    x = Values(**{name: symbol(name, held.unit) for name, held in model.inputs.items()})
    slopes = bound.derivative(s, x)
    lines = [_slope(name, lift(slopes[name])) for name in model.states if name in slopes]
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
        lines.append(rf"\mathrm{{hold}}\ {name_in_latex(model.membrane)}\ \mathrm{{while}}\quad {latex(held)}")
    return lines + [_countdown(name) for name, state in model.states.items() if state.timer]


def _slope(name: str, slope: Expr) -> str:
    rate = rf"\frac{{d{name_in_latex(name)}}}{{dt}}"
    if slope.op == "div" and slope.args[1].op == "symbol":
        return rf"{latex(slope.args[1])}\,{rate} = {latex(slope.args[0])}"
    return f"{rate} = {latex(slope)}"


def _threshold(quantity: Expr, crossing: bool) -> str:
    from_below = r"\ \mathrm{is\ reached\ from\ below}" if crossing else ""
    sides = quantity.args if quantity.op == "sub" else (quantity, lift(0.0))
    return rf"\mathrm{{spike\ when}}\quad {latex(sides[0])} \geq {latex(sides[1])}{from_below}"


def _countdown(name: str) -> str:
    left = name_in_latex(name)
    return rf"\frac{{d{left}}}{{dt}} = -1\ \mathrm{{while}}\ {left} > 0"
