"""Pictures of what a model's equations do: the phase plane, gates, bifurcations."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..analyse import Bifurcation, BifurcationDiagram, Equilibrium
from ..errors import ModelError, ParameterError, did_you_mean
from ..kernels.field import vector_field
from ..lang.analysis import linear, symbols
from ..models.base import NeuronModel
from ..report.labels import pretty_unit
from ..report.palette import BLUE, FAINT, GREEN, INK, MUTED, PAPER, VERMILLION, cycle, for_text
from ..report.phase import PhasePlane, Window, phase_plane_of
from ..solvers.base import symbolic_slopes
from ._frame import WIDTH, headline, in_unit, label, name_ends, new_figure, style

_BEHIND = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1}  # letters that curves pass


def phase_plane(
    model: NeuronModel, current: float = 0.0, trace: Any = None, *, x: Window | None = None, y: Window | None = None,
    title: str = "",
) -> Figure:  # fmt: skip
    """The phase plane of a model with two states: nullclines, resting points with their kind, direction of flow.

    Stable resting points are filled, the others are open. Jumps of a reset are dotted.

    Args:
        model: a model with two states.
        current: the held current, in the unit of its first input.
        trace: what ``sl.simulate`` returned, whose trajectory is drawn; both states must be recorded.
        x, y: windows (low, high) of the first and second state; by default what the trajectory needs, or without one
            the first 300 ms from the initial state.
        title: written above the picture.

    Raises:
        ModelError: the model has not two states.

    >>> import spikeloom as sl
    >>> figure = phase_plane(sl.ALIF(), 2.0)
    >>> figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
    ('v (mV)', 'a')
    """
    return draw_phase_plane(phase_plane_of(model, current, trace, x, y), title)


def draw_phase_plane(plane: PhasePlane, title: str = "") -> Figure:
    """A phase plane that has been computed."""
    figure = new_figure(5.4, 4.4)
    ax = figure.subplots()
    style(ax, grid=False)
    found = plane.nullclines
    ax.set_xlim(found.ranges[0])
    ax.set_ylim(found.ranges[1])
    _draw_arrows(ax, plane)
    for curves, colour, name in ((found.x, VERMILLION, found.names[0]), (found.y, GREEN, found.names[1])):
        for k, curve in enumerate(curves):
            ax.plot(*curve.T, color=colour, linewidth=1.6, label=f"d{name}/dt = 0" if k == 0 else None)
    for k, piece in enumerate(plane.pieces):
        ax.plot(*piece.T, color=BLUE, linewidth=1.0, label="trajectory" if k == 0 else None)
    if plane.pieces:
        ax.plot(*plane.pieces[0][0], "o", color=BLUE, markersize=3.5)
    for start, end in plane.jumps:
        ax.plot(*np.stack([start, end]).T, color=BLUE, linewidth=0.8, linestyle=(0, (1, 2)))
    for point in plane.points:
        _draw_point(ax, point, plane)
    units = [pretty_unit(unit) for unit in found.units]
    label(ax, xlabel=found.names[0] + in_unit(units[0]), ylabel=found.names[1] + in_unit(units[1]), title=title)
    legend = ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=9)
    for text, handle in zip(legend.get_texts(), legend.get_lines(), strict=True):
        text.set_color(for_text(str(handle.get_color())))
        text.set_parse_math(False)
    return figure


def bifurcations(diagram: BifurcationDiagram, state: str | None = None, *, title: str = "") -> Figure:
    """Equilibria against a parameter: solid where stable, dashed where not, with the bifurcations marked and named.

    Args:
        diagram: what ``sl.analyse.bifurcations`` returns.
        state: which state to draw; by default the first, the membrane.
        title: written above the picture.

    Raises:
        ParameterError: no such state.

    >>> import spikeloom as sl
    >>> from spikeloom.analyse import bifurcations as scan
    >>> figure = bifurcations(scan(sl.FitzHughNagumo(), "i", 0.0, 2.0))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['Hopf 0.3313', 'Hopf 1.419']
    """
    known = list(diagram.units)
    name = known[0] if state is None else state
    if name not in known:
        raise ParameterError(f"the diagram has no state {name!r}", mend=did_you_mean(name, known))
    figure = new_figure(WIDTH, 3.8)
    ax = figure.subplots()
    style(ax)
    for branch in diagram.branches:
        for stable, look in ((True, "-"), (False, (0, (4, 3)))):
            drawn = np.where(_spread(branch.stable == stable), branch[name], np.nan)
            ax.plot(branch.parameter, drawn, color=BLUE if stable else VERMILLION, linewidth=1.6, linestyle=look)
    unit = pretty_unit(diagram.unit)
    label(ax, xlabel=diagram.name + in_unit(unit), ylabel=name + in_unit(pretty_unit(diagram.units[name])), title=title)
    for point in diagram.points:
        if point.kind != "neutral saddle":
            _mark_bifurcation(ax, point, name)
    lines = [Line2D([], [], color=BLUE), Line2D([], [], color=VERMILLION, linestyle=(0, (4, 3)))]
    ax.legend(lines, ["stable", "unstable"], frameon=False, fontsize=9, labelcolor=MUTED)
    return figure


def _spread(inside: np.ndarray) -> np.ndarray:
    """``inside`` and one point more to the right of each stretch, so that pieces of a curve meet."""
    return inside | np.concatenate([[False], inside[:-1]])


def _mark_bifurcation(ax: Axes, point: Bifurcation, state: str) -> None:
    place = point.parameter, point[state]
    ax.plot(*place, "o", markersize=6, color=INK, markerfacecolor=PAPER, zorder=5)
    kind = {"hopf": "Hopf"}.get(point.kind, point.kind)
    text = f"{kind} {point.parameter:.4g}".replace(" -", " −")
    ax.annotate(text, place, (7, -7), textcoords="offset points", color=INK, fontsize=9, va="top", bbox=_BEHIND)


def gating(model: NeuronModel, low: float = -100.0, high: float = 50.0, *, title: str = "") -> Figure:
    """Steady state and time constant of each gate against the membrane: of every state whose equation is linear in
    itself and otherwise depends on the membrane alone.

    Args:
        model: a model with gates, such as ``sl.HodgkinHuxley()`` or ``sl.MorrisLecar()``.
        low, high: range of the membrane, in its unit.
        title: written above the picture.

    Raises:
        ModelError: the model has no such state.
        ParameterError: ``low`` is not below ``high``.

    >>> import spikeloom as sl
    >>> [axes.get_ylabel() for axes in gating(sl.HodgkinHuxley()).axes]
    ['steady state', 'time constant (ms)']
    """
    if not low < high:
        raise ParameterError("range of the membrane", got=f"({low:g}, {high:g})", expected="low < high")
    v = np.linspace(low, high, 601)
    curves = gates_of(model, v)
    figure = new_figure(WIDTH, 3.2)
    left, right = figure.subplots(1, 2)
    unit = pretty_unit(model.states[model.membrane].unit)
    for ax, part, ylabel in ((left, 0, "steady state"), (right, 1, "time constant (ms)")):
        style(ax)
        ends = []
        for index, (name, pair) in enumerate(curves.items()):
            ax.plot(v, pair[part], color=cycle(index), linewidth=1.6)
            ends.append((float(v[-1]), float(pair[part][-1]), name, cycle(index)))
        ax.set_xlim(low, high)
        ax.set_ylim(bottom=0.0)
        label(ax, xlabel=model.membrane + in_unit(unit), ylabel=ylabel)
        name_ends(ax, ends)
    headline(figure, title)
    return figure


def gates_of(model: NeuronModel, v: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Steady state and time constant in ms of each gate at the membrane values ``v``."""
    membrane, inputs = model.membrane, [0.0] * len(model.inputs)
    field = vector_field(model)
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, slope in symbolic_slopes(model).items():
        uses = set(symbols([slope])) - set(model.params)
        if name == membrane or uses != {membrane, name} or linear(slope, [name]) is None:
            continue
        own = field.names.index(name)
        y = np.zeros((2, len(field.names), len(v)))
        y[:, field.names.index(membrane)] = v
        y[1, own] = 1.0
        shut, opened = (field(values, inputs)[own] for values in y)
        found[name] = shut / (shut - opened), 1.0 / (shut - opened)
    if not found:
        mend = "A gate's equation is linear in itself and depends on the membrane besides."
        raise ModelError(f"{type(model).__name__} has no gates", got=list(model.states), mend=mend)
    return found


def _draw_arrows(ax: Axes, plane: PhasePlane) -> None:
    """All of one length: they say whereto, not how fast."""
    field, (low, high) = plane.arrows, plane.nullclines.ranges
    dx, dy = field.dx / (low[1] - low[0]), field.dy / (high[1] - high[0])
    length = np.hypot(dx, dy)
    safe = np.where(length > 0, length, 1.0)
    ax.quiver(
        field.x, field.y, dx / safe, dy / safe, angles="uv", pivot="mid", color=FAINT, scale=32, width=0.0022,
        headwidth=4, headlength=4, headaxislength=3.5, zorder=0,
    )  # fmt: skip


def _draw_point(ax: Axes, point: Equilibrium, plane: PhasePlane) -> None:
    place = point[plane.names[0]], point[plane.names[1]]
    ax.plot(*place, "o", markersize=7, color=INK, markerfacecolor=INK if point.stable else PAPER, zorder=5)
    right = (place[0] - ax.get_xlim()[0]) / np.ptp(ax.get_xlim()) > 0.7
    ax.annotate(
        point.kind, place, xytext=(-8 if right else 8, -9), textcoords="offset points", color=INK, fontsize=9, va="top",
        ha="right" if right else "left", bbox=_BEHIND,
    )  # fmt: skip


__all__ = ["bifurcations", "draw_phase_plane", "gates_of", "gating", "phase_plane"]
