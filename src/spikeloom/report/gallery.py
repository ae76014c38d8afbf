"""The gallery: every model and every preset as small pictures side by side, on one page that loads nothing."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from ..errors import ParameterError, ShapeError
from .equations import equation_list
from .gallery_panel import Frame, panel_svg, shared_limits
from .page import Html, Page, Section, escape, render, require_folder, write_page
from .palette import FAINT, GRID, INK, MUTED, VERMILLION
from .style import MONO

_CROWD = 80  # spikes; more could not be told apart
_STYLE = f"""
main {{ max-width: 1480px; }}
.index {{ display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 18px 0 0; padding: 0; list-style: none; }}
.index a {{ color: {INK}; text-decoration: none; border-bottom: 1px solid {FAINT}; }}
.index a:hover, .index a:focus-visible {{ border-color: {VERMILLION}; }}
.index span {{ color: {MUTED}; font-size: 12px; }}
section {{ margin-top: 30px; padding-top: 22px; border-top: 1px solid {GRID}; }}
.note code {{ font: 12.5px {MONO}; }}
.exhibits {{ display: grid; gap: 26px 30px; }}
.exhibits.n1 {{ grid-template-columns: minmax(0, 1.25fr) minmax(0, 1fr); align-items: start; gap: 26px 60px; }}
.exhibits.n2 {{ grid-template-columns: repeat(2, minmax(0, 1fr)); }}
.exhibits.n3 {{ grid-template-columns: repeat(3, minmax(0, 1fr)); }}
.exhibits.n4 {{ grid-template-columns: repeat(4, minmax(0, 1fr)); }}
.exhibits.n5 {{ grid-template-columns: repeat(5, minmax(0, 1fr)); }}
.exhibit {{ display: flex; flex-direction: column; }}
.exhibit h3 {{ display: flex; justify-content: space-between; gap: 10px; margin: 0; }}
.exhibit h3 span {{ color: {MUTED}; font-weight: 400; white-space: nowrap; font-variant-numeric: tabular-nums; }}
.exhibit p {{ margin: 1px 0 6px; color: {MUTED}; font-size: 13px; line-height: 1.35; flex: 1; }}
.exhibit svg {{ display: block; width: 100%; height: auto; }}
.formulas .equations {{ display: flex; flex-wrap: wrap; gap: 2px 44px; margin-top: 16px; align-items: center; }}
.n1 .equations {{ margin-top: 0; }}
.equations svg {{ max-width: 100%; height: auto; }}
@media (max-width: 1100px) {{
  .exhibits.n3, .exhibits.n4, .exhibits.n5 {{ grid-template-columns: repeat(2, minmax(0, 1fr)); }}
  .exhibits.n1 {{ grid-template-columns: minmax(0, 1fr); }}
}}
@media (max-width: 640px) {{ .exhibits[class] {{ grid-template-columns: minmax(0, 1fr); }} }}
@media print {{ section {{ break-inside: auto; }} .exhibit {{ break-inside: avoid; }} }}
"""


@dataclasses.dataclass(frozen=True, eq=False)
class Exhibit:
    """One neuron under one stimulus.

    ``times`` [T] in ms; ``membrane`` and ``current`` [T] in their units; ``spikes`` [S] in ms. ``details`` is shown
    when the mouse rests on it: parameters, source. Of a long train of spikes the end is drawn. ``current_unit`` is
    given where it is not that of the room.
    """

    name: str
    summary: str
    times: np.ndarray
    membrane: np.ndarray
    current: np.ndarray
    spikes: np.ndarray
    details: str = ""
    current_unit: str = ""

    def __post_init__(self) -> None:
        if self.times.ndim != 1 or len(self.times) < 2:
            raise ShapeError("times of an exhibit", got=self.times.shape, expected="(T,), T >= 2")
        for what, values in (("membrane", self.membrane), ("current", self.current)):
            if values.shape != self.times.shape:
                raise ShapeError(f"{what} of {self.name}", got=values.shape, expected=self.times.shape)

    @property
    def drawn(self) -> Exhibit:
        """What there is room for: from spike 40 before the last one on, where there are more than 80."""
        if len(self.spikes) <= _CROWD:
            return self
        keep = self.times >= self.spikes[-_CROWD // 2]
        spikes = self.spikes[self.spikes >= self.times[keep][0]]
        kept = {"times": self.times[keep], "membrane": self.membrane[keep], "current": self.current[keep]}
        return dataclasses.replace(self, spikes=spikes, **kept)

    @property
    def title(self) -> str:
        """The name in words."""
        words = self.name.replace("_", " ").replace("-", " ").strip()
        return words[:1].upper() + words[1:]


@dataclasses.dataclass(frozen=True, eq=False)
class Room:
    """A model with what it can do: its name, a line about it, its equations in LaTeX.

    ``presets`` says whether its exhibits are, ``command`` whether the name is one on the command line.
    """

    name: str
    title: str
    summary: str
    equations: Sequence[str]
    membrane: tuple[str, str]
    current_unit: str
    exhibits: Sequence[Exhibit]
    presets: bool = False
    command: bool = True

    def limits(self, exhibit: Exhibit) -> tuple[float, float]:
        """Of the membrane's axis: those of one model are drawn alike, so that they can be compared."""
        return shared_limits([e.membrane for e in (self.exhibits if self.command else [exhibit])])

    @property
    def columns(self) -> int:
        """How many exhibits stand side by side."""
        count = len(self.exhibits)
        return count if count <= 4 else 3 if count <= 6 or count == 9 else 4 if count <= 8 else 5


def write_gallery(path: str | os.PathLike[str], rooms: Sequence[Room]) -> None:
    """Write all ``rooms`` as one HTML file without scripts that loads nothing from anywhere.

    Raises:
        FileError: the folder is missing or cannot be written.
        ParameterError: there is nothing to show.
    """
    require_folder(path)
    if not any(room.exhibits for room in rooms):
        raise ParameterError("an empty gallery", expected="at least one model with an exhibit")
    sections = [Section("Models", _index(rooms))]
    sections += [Section(room.title, _room(room), _note(room), room.name) for room in rooms]
    page = Page("neuron gallery", "Neuron gallery", headline(rooms), {}, sections, style=_STYLE)
    write_page(path, render(page))


def headline(rooms: Sequence[Room]) -> str:
    """What there is to see, in a sentence."""
    shown = sum(len(room.exhibits) for room in rooms)
    models = [room for room in rooms if room.command]
    parts = sum(len(room.exhibits) for room in rooms if not room.command)
    what = f"{len(models)} neuron models" + (f" and {parts} parts to combine them with" if parts else "")
    return (
        f"{what}, in {shown} experiments. Each model is written once, as the equations beside it; "
        "the traces are what these do. Vermillion ticks mark spikes; the grey curve is what goes in."
    )


def _index(rooms: Sequence[Room]) -> Html:
    items = (
        f'<li><a href="#{escape(r.name)}">{escape(r.title)}</a> <span>{len(r.exhibits)}</span></li>' for r in rooms
    )
    return f"<ul class=index>{''.join(items)}</ul>"


def _note(room: Room) -> str:
    if not room.command:
        return f"{room.summary[:1].upper()}{room.summary[1:]}."
    command = f"spikeloom neuron {room.name}{' --preset NAME' if room.presets else ''}"
    return f"{room.summary[:1].upper()}{room.summary[1:]}. On the command line: {command}"


def _room(room: Room) -> Html:
    cards = "".join(_exhibit(room, exhibit) for exhibit in room.exhibits)
    formulas = f"<div class=formulas>{equation_list(room.equations)}</div>" if room.equations else ""
    if room.columns == 1:
        return f'<div class="exhibits n1">{cards}{formulas}</div>'
    return f'<div class="exhibits n{room.columns}">{cards}</div>{formulas}'


def _exhibit(room: Room, exhibit: Exhibit) -> Html:
    count = len(exhibit.spikes)
    spikes = f"{count or 'no'} spike{'' if count == 1 else 's'}"
    width = (700, 620, 420, 320, 260)[room.columns - 1]
    frame = Frame(width=width, membrane=room.membrane, current_unit=exhibit.current_unit or room.current_unit)
    return (
        f'<div class=exhibit title="{escape(exhibit.details)}"><h3>{escape(exhibit.title)} <span>{spikes}</span></h3>'
        f"<p>{escape(exhibit.summary)}</p>{panel_svg(exhibit.drawn, frame, room.limits(exhibit))}</div>"
    )


__all__ = ["Exhibit", "Room", "headline", "write_gallery"]
