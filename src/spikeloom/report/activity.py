"""Charts of what one input does in a network: a raster per layer above the membranes, on one time axis."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from bokeh.models import ColumnDataSource, CustomJS, Label, Model, Range1d

from .canvas import (
    Curve,
    Figure,
    Panel,
    add_curves,
    add_hover,
    add_zoom,
    canvas,
    extent,
    link_cursor,
    shorten,
    stack,
    y_limits,
)
from .palette import BLUE, FAINT, INK, VERMILLION, cycle
from .style import FONT

_SPIKES = 60_000  # marks on the page in all; more are slow to draw and cannot be told apart
_CURVES, _NAMED = 30, 12  # classes whose read-out is drawn, and of these named beside it, strongest first
_VALUES = 400_000  # membrane values on the page in all, 5.3 bytes each

_TICK = {"marker": "dash", "angle": np.pi / 2, "line_width": 2}  # the mark of a spike
_POINT = (("v", "$snap_y{0.000}"), ("time", "$snap_x{0.[00]} ms"))  # of a curve, in a tooltip

# A click on a spike selects every spike of its neuron and draws that neuron's membrane.
_PICK = """
const chosen = cb_obj.indices
const {time, neuron} = spikes.data
if (chosen.length == 0) {
  line.data = {time: [], v: [], name: []}
  marks.data = {time: [], y: []}
  label.text = ''
  return
}
const picked = neuron[chosen[0]]
const all = []
for (let k = 0; k < neuron.length; k++) if (neuron[k] == picked) all.push(k)
if (all.length != chosen.length) { cb_obj.indices = all; return }
const row = kept.indexOf(picked)
marks.data = {time: all.map((k) => time[k]), y: all.map(() => top)}
if (row < 0) {
  line.data = {time: [], v: [], name: []}
  label.text = 'neuron ' + picked + ': its membrane is not stored'
  return
}
const v = membrane.data.v.slice(row * steps, (row + 1) * steps)
range.start = Math.min(low, ...v.filter((x) => isFinite(x)))
line.data = {time: Array.from(v, (_, t) => t * dt), v: Array.from(v), name: Array.from(v, () => picked)}
label.text = 'neuron ' + picked
"""


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer's answer to one input: spikes and membrane [T, N], each where there is one."""

    name: str
    spikes: np.ndarray | None
    v: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Classes:
    """The names of the output neurons, and which one is true and which was chosen."""

    names: Sequence[str]
    truth: str
    chosen: str


def activity(layers: Sequence[Layer], dt: float, classes: Classes) -> tuple[Model | None, Model | None]:
    """The rasters and the membranes, each stacked in one chart; None where there is nothing to draw.

    Both share the time axis and the cursor. Every third (fourth, ...) neuron is left out of a raster where a
    layer has more spikes than a page can draw; :func:`thinning` says which.
    """
    steps = max((len(a) for layer in layers for a in (layer.spikes, layer.v) if a is not None), default=0)
    if steps == 0:
        return None, None
    axis = extent(-0.5 * dt, (steps - 0.5) * dt, fixed=True)
    share = _VALUES // max(1, sum(layer.v is not None and layer.spikes is not None for layer in layers))
    rasters, membranes = [], []
    for index, layer in enumerate(layers):
        spikes = None
        if layer.spikes is not None:
            plot, spikes = _raster(layer, dt, axis, cycle(index), thinning(layers))
            rasters.append(Panel(plot))
        if layer.v is not None and spikes is not None and layer.spikes is not None:
            membranes.append(_membrane(layer, dt, axis, spikes, share))
        elif layer.v is not None and len(layer.v):
            membranes.append(_readout(layer, dt, axis, classes))
    link_cursor([panel.plot for panel in rasters + membranes])
    return stack(rasters, "time (ms)"), stack(membranes, "time (ms)")


def thinning(layers: Sequence[Layer]) -> int:
    """k where only every k-th neuron's spikes are drawn; 1 where all are.

    >>> thinning([Layer("1", np.ones((300, 400)), None)])
    2
    """
    total = sum(int(np.count_nonzero(layer.spikes)) for layer in layers if layer.spikes is not None)
    return max(1, -(-total // _SPIKES))


def _raster(layer: Layer, dt: float, axis: Range1d, colour: str, every: int) -> tuple[Figure, ColumnDataSource]:
    assert layer.spikes is not None
    step, neuron = np.nonzero(layer.spikes)
    size = layer.spikes.shape[1]
    title = f"{layer.name}: {size} neuron{'' if size == 1 else 's'}, {len(step):,} spike{'' if len(step) == 1 else 's'}"
    keep = neuron % every == 0
    step, neuron = step[keep], neuron[keep]
    height = int(np.clip(2.2 * size, 56, 220))
    rows = extent(-0.5 - 0.01 * size, size - 0.5 + 0.01 * size, fixed=True)
    plot = canvas(height + 30, y="neuron", title=title, x_range=axis, y_range=rows)
    plot.ygrid.grid_line_color = None
    source = ColumnDataSource({"time": (step * dt).astype(np.float32), "neuron": neuron.astype(np.int32)})
    mark = plot.scatter(
        "time",
        "neuron",
        source=source,
        size=float(np.clip(0.8 * height / max(size, 1), 3.0, 11.0)),
        line_color=colour,
        selection_line_color=INK,
        nonselection_line_color=colour,
        nonselection_line_alpha=0.45,
        **_TICK,
    )
    add_zoom(plot)
    if layer.v is not None:
        plot.add_tools("tap")
    add_hover(plot, [mark], [("neuron", "@neuron"), ("time", "@time{0.[00]} ms")])
    return plot, source


def _membrane(layer: Layer, dt: float, axis: Range1d, spikes: ColumnDataSource, share: int) -> Panel:
    """The membranes of three neurons, and of the neuron that was clicked in the raster."""
    assert layer.v is not None
    assert layer.spikes is not None
    busiest = np.argsort(-np.count_nonzero(layer.spikes, axis=0), kind="stable")
    kept = np.sort(busiest[: max(1, share // max(1, len(layer.v)))])
    drawn = typical(layer.spikes)
    low, high = y_limits([layer.v[:, drawn]])
    lift = 0.09 * (high - low)
    tops = [high + lift * (k + 0.6) for k in range(len(drawn) + 1)]
    limits = extent(low, tops[-1] + 0.6 * lift)
    plot = canvas(170, y="membrane v", title=layer.name, x_range=axis, y_range=limits)
    curves = [_curve(layer.v[:, n], dt, str(n), cycle(row), end=f"neuron {n}") for row, n in enumerate(drawn)]
    step, row = np.nonzero(layer.spikes[:, drawn])
    marks = {"time": step * dt, "y": np.array(tops)[row], "colour": [cycle(int(k)) for k in row]}
    plot.scatter("time", "y", source=ColumnDataSource(marks), line_color="colour", size=6, **_TICK)
    lines = [add_curves(plot, curves), _add_picked(plot, layer.v, kept, dt, spikes, tops[-1])]
    add_zoom(plot)
    add_hover(plot, lines, [("neuron", "@name"), *_POINT])
    return Panel(plot, curves)


def typical(spikes: np.ndarray) -> list[int]:
    """Three neurons that say how a layer fires: the one that fired most, the middle one, and the one that
    fired least without being silent. A silent layer gives its first neuron.

    >>> typical(np.array([[1, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]))
    [3, 2, 0]
    """
    count = np.count_nonzero(spikes, axis=0)
    order = np.argsort(-count, kind="stable")
    firing = order[: np.count_nonzero(count)]
    if not len(firing):
        return [0] if len(order) else []
    return [int(n) for n in dict.fromkeys((firing[0], firing[len(firing) // 2], firing[-1]))]


def _add_picked(
    plot: Figure, v: np.ndarray, kept: np.ndarray, dt: float, spikes: ColumnDataSource, top: float
) -> Figure:
    """The neuron clicked in the raster; every kept membrane is on the page for it, neuron after neuron."""
    membrane = ColumnDataSource({"v": np.ascontiguousarray(v[:, kept].T, np.float32).ravel()})
    line = ColumnDataSource({"time": [], "v": [], "name": []})
    marks = ColumnDataSource({"time": [], "y": []})
    drawn = plot.line("time", "v", source=line, line_color=INK, line_width=2.4)
    plot.scatter("time", "y", source=marks, line_color=INK, size=6, **_TICK)
    place = {"x": 0, "y": 0, "x_units": "screen", "y_units": "screen", "x_offset": 4, "y_offset": 2}
    label = Label(text="", text_font=FONT, text_font_size="12px", text_font_style="bold", text_color=INK, **place)
    plot.add_layout(label)
    known = {
        "spikes": spikes,
        "membrane": membrane,
        "line": line,
        "marks": marks,
        "label": label,
        "range": plot.y_range,
    }
    numbers = {"kept": kept.tolist(), "steps": len(v), "dt": dt, "top": top, "low": plot.y_range.start}
    spikes.selected.js_on_change("indices", CustomJS(args=known | numbers, code=_PICK))
    return drawn


def _readout(layer: Layer, dt: float, axis: Range1d, classes: Classes) -> Panel:
    """The membranes that the decision is read from, named by class; the chosen and the true one stand out."""
    assert layer.v is not None
    count = layer.v.shape[1]
    names = list(classes.names) if len(classes.names) == count else [str(n) for n in range(count)]
    low, high = y_limits([layer.v])
    plot = canvas(250, y="membrane v", title=layer.name, x_range=axis, y_range=extent(low, high))
    strongest = np.argsort(-np.nan_to_num(layer.v[-1]), kind="stable")
    curves = []
    for rank in reversed(range(count)):  # the strongest is drawn last, on top
        name, v = names[strongest[rank]], layer.v[:, strongest[rank]]
        colour, width, role = _part(name, classes)
        end = shorten(name, 15 - len(role)) + role if rank < _NAMED or role else ""
        if rank < _CURVES or role:
            curves.append(_curve(v, dt, name, colour, width, end))
    add_zoom(plot)
    kind = "class" if names == list(classes.names) else "neuron"
    add_hover(plot, [add_curves(plot, curves)], [(kind, "@name"), *_POINT])
    return Panel(plot, curves)


def _part(name: str, classes: Classes) -> tuple[str, float, str]:
    """Colour, width and remark of a class's curve."""
    if name == classes.chosen:
        return (BLUE, 2.6, " ✓") if name == classes.truth else (VERMILLION, 2.6, " chosen")
    if name == classes.truth:
        return BLUE, 2.6, " true"
    return FAINT, 1.2, ""


def _curve(v: np.ndarray, dt: float, name: str, colour: str, width: float = 1.5, end: str = "") -> Curve:
    times = (np.arange(len(v)) * dt).astype(np.float32)
    return Curve(name, times, np.asarray(v, np.float32), colour, width, end)
