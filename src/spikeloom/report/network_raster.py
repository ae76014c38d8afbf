"""The raster of a page: spikes of a whole network, drawn by the browser at the zoom that is asked for.

Zoomed out, a pixel's shade says how many spikes fell there, beside the mean of its population; zoomed in, every spike
is a mark of its own. Rates are counted from the same spikes, in bins that go with the zoom, on the same time axis.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
from collections.abc import Mapping

import numpy as np

from ..sim.spike_trains import SpikeTrains
from .canvas import LEFT
from .network_spikes import as_json, pack, thinning, tick_of
from .page import Html, escape
from .palette import FAINT, GRID, INK, MUTED, PAPER, cycle, for_text, mix
from .style import FONT

_FILES = ("data.js", "draw.js", "hands.js")
_RIGHT = 132  # pixels: there is room for "in view 0.00161 Hz"
_LOOK = {
    "paper": PAPER, "ink": INK, "muted": MUTED, "faint": FAINT, "grid": GRID,
    "font": FONT, "left": LEFT, "right": _RIGHT,
}  # fmt: skip
HINT = (
    "Drag to zoom (a flat box zooms the time only), double-click to see everything again, shift and scroll to zoom the "
    "time by wheel (with alt: the neurons), shift and drag, the strip above or the arrow keys to move."
)
STYLE = f"""
.net {{ position: relative; }}
.net-bar {{ display: flex; gap: 16px; align-items: baseline; font-size: 13px; color: {MUTED};
  margin-bottom: 8px; font-variant-numeric: tabular-nums; }}
.net-says {{ flex: 1; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }}
.net-bar > :last-child {{ white-space: nowrap; }}
.net-bar button {{ font: inherit; color: {INK}; background: {PAPER}; border: 1px solid {FAINT}; border-radius: 4px;
  min-width: 28px; padding: 1px 8px; margin-left: 4px; cursor: pointer; }}
.net-bar button:hover {{ background: {GRID}; }}
.net-canvas {{ position: relative; }}
.net-canvas:focus-visible, .net-bar button:focus-visible {{ outline: 2px solid {cycle(0)}; outline-offset: 2px; }}
.net canvas {{ position: absolute; left: 0; top: 0; touch-action: pan-y; }}
"""
_BUTTONS = (("left", "←", "earlier"), ("right", "→", "later"), ("out", "−", "zoom out"), ("in", "+", "zoom in"))


@dataclasses.dataclass(frozen=True)
class Raster:
    """``body`` goes into the page, with ``script`` and STYLE; ``stored`` are the bytes that its ``spikes`` take there.

    ``every`` is k where only every k-th neuron is drawn.
    """

    body: Html
    script: str
    spikes: int
    stored: int
    every: int

    @property
    def note(self) -> str:
        """What the reader should know about it."""
        size = f"The {self.spikes:,} spikes take {self.stored / max(1, self.spikes):.1f} bytes each in this file."
        some = f" Only one neuron in {self.every} is drawn and counted here: a page cannot hold more spikes."
        return f"{HINT} {size}{some if self.every > 1 else ''}"


def raster(spikes: Mapping[str, SpikeTrains], dt: float, stretch: tuple[float, float]) -> Raster:
    """The raster and the rates of all groups between the two times of ``stretch`` (ms)."""
    every = thinning(spikes)
    tick = tick_of(spikes.values(), dt, every)
    packed = {name: pack(trains, dt, every, tick) for name, trains in spikes.items()}
    groups = [
        {
            "name": name, "size": p.size, "rows": p.rows, "every": every, "count": p.count, "colour": cycle(index),
            "ink": for_text(cycle(index)), "dark": mix(cycle(index), INK, 0.6), "text": p.text,
        }
        for index, (name, p) in enumerate(packed.items())
    ]  # fmt: skip
    data = as_json({"tick": tick, "begin": stretch[0], "end": stretch[1], "look": _LOOK, "groups": groups})
    buttons = "".join(f'<button value={v} title="{escape(t)}">{s}</button>' for v, s, t in _BUTTONS)
    names = ", ".join(spikes)
    body = (
        f'<div class=net><div class=net-bar><span class=net-says></span><span>{buttons}'
        '<button value=all title="see everything">all</button></span></div>'
        f'<div class=net-canvas tabindex=0 role=img aria-label="{escape(f"Spikes and rates of {names} over time")}">'
        f'<canvas></canvas><canvas></canvas></div><script type="application/json">{data}</script></div>'
    )  # fmt: skip
    stored = sum(len(p.text) for p in packed.values())
    return Raster(body, _script(), int(np.sum([p.count for p in packed.values()])), stored, every)


def _script() -> str:
    folder = importlib.resources.files("spikeloom.report") / "network_js"
    text = "\n".join((folder / name).read_text(encoding="utf-8") for name in _FILES)
    return f"(() => {{\n'use strict'\n{text}\n}})()"


__all__ = ["HINT", "STYLE", "Raster", "raster"]
