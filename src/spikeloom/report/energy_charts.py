"""Bars of joules: each layer of the spiking network above the same layer of the ANN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.models import ColumnDataSource, FactorRange

from ..energy.joules import si
from ..energy.prices import LayerPrice, Price
from ..energy.profiles import Cost
from .canvas import WRITING, Figure, add_hover, canvas, extent, plain, shorten
from .palette import BLUE, GREEN, INK, ORANGE
from .results import energy_unit

PARTS = {"compute": BLUE, "neurons": ORANGE, "memory": GREEN}
_SUMS = ("Linear", "Conv", "Recurrent")  # what begins a new group of layers


def groups(layers: Sequence[LayerPrice]) -> dict[str, Cost]:
    """Layers from one with weights to before the next, added up under its name.

    >>> cost = Cost(1.0)
    >>> layers = [LayerPrice("0", "Linear", cost), LayerPrice("1", "LIF", cost), LayerPrice("2", "Linear", cost)]
    >>> {name: total.compute for name, total in groups(layers).items()}
    {'0 Linear': 2.0, '2 Linear': 1.0}
    """
    found: dict[str, Cost] = {}
    name = "input"
    for layer in layers:
        if layer.kind.startswith(_SUMS):
            name = f"{layer.name} {layer.kind}"
        found[name] = found.get(name, Cost()) + layer.cost
    return found


def per_layer(price: Price) -> Figure:
    """One profile: stacked bars in one unit, and what each bar comes to in all."""
    nets = [("spiking", groups(price.spiking)), *([("ANN", groups(price.ann))] if price.ann is not None else [])]
    names = list(dict.fromkeys(name for _, net in nets for name in net))
    bars = [(f"{shorten(name, 18)}  {who}", net[name]) for name in names for who, net in nets if name in net]
    unit, size = energy_unit([cost.total for _, cost in bars])
    data: dict[str, list[Any]] = {part: [getattr(cost, part) / size for _, cost in bars] for part in PARTS}
    data["name"] = [plain(name) for name, _ in bars]
    data["end"] = [cost.total / size for _, cost in bars]
    data["text"] = [si(cost.total) for _, cost in bars]
    widest = max((cost.total / size for _, cost in bars), default=0.0) or 1.0
    plot = canvas(
        22 * len(bars) + 56,
        x=f"{unit} per sample",
        x_range=extent(0, 1.22 * widest),
        y_range=FactorRange(factors=list(reversed(data["name"]))),
        min_border_right=8,
    )
    source = ColumnDataSource(data)
    drawn = plot.hbar_stack(
        list(PARTS), y="name", height=0.72, color=list(PARTS.values()), source=source, line_color=None
    )
    plot.text("end", "name", text="text", source=source, text_color=INK, x_offset=6, **WRITING)
    plot.ygrid.grid_line_color, plot.yaxis.major_tick_line_color = None, None
    plot.yaxis.major_label_text_color = INK
    add_hover(
        plot, drawn, [("", "@name"), *((part, f"@{part}{{0.0000}} {unit}") for part in PARTS), ("total", "@text")]
    )
    return plot
