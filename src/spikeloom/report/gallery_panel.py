"""A small picture of one experiment as SVG: membrane, spikes and stimulus, with no more ink than that needs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from .labels import pretty_unit
from .page import Html, escape
from .palette import BLUE, FAINT, GRID, INK, MUTED, PAPER, VERMILLION
from .style import FONT
from .thinning import corner_points, thin

_POINTS = 700  # per trace: more change nothing that can be seen at this size
_FEW = 900  # in a file that the documentation keeps
_TITLE, _GAP = 26, 24  # of a sheet, in pixels
_LEFT, _RIGHT, _BELOW, _LETTERS = 46, 6, 41, 11  # borders and size of letters in pixels


class ExhibitLike(Protocol):
    """What is drawn: times in ms, membrane, current, spike times in ms."""

    @property
    def times(self) -> np.ndarray: ...
    @property
    def membrane(self) -> np.ndarray: ...
    @property
    def current(self) -> np.ndarray: ...
    @property
    def spikes(self) -> np.ndarray: ...


class NamedExhibit(ExhibitLike, Protocol):
    """An exhibit with a title; ``drawn`` is what there is room for."""

    @property
    def title(self) -> str: ...
    @property
    def drawn(self) -> ExhibitLike: ...


@dataclasses.dataclass(frozen=True)
class Frame:
    """Size in pixels, name and unit of the membrane, unit of the current."""

    width: int = 320
    height: int = 112
    stimulus: int = 30
    membrane: tuple[str, str] = ("v", "mV")
    current_unit: str = "pA"

    @property
    def total(self) -> int:
        """The height with the stimulus and the time axis."""
        return self.height + self.stimulus + _BELOW


def panel_svg(exhibit: ExhibitLike, frame: Frame, limits: tuple[float, float]) -> Html:
    """The picture for a page; ``limits`` are those of the membrane's axis, so that several pictures can share them."""
    label = f"{frame.membrane[0]} against time"
    return _svg(frame.width, frame.total, label, _panel(exhibit, frame, limits))


def sheet_svg(exhibits: Sequence[NamedExhibit], frame: Frame, columns: int) -> str:
    """Several exhibits with their titles as one SVG file on a white ground."""
    limits = shared_limits([exhibit.membrane for exhibit in exhibits])
    columns = min(columns, len(exhibits))
    height = frame.total + _TITLE
    parts = []
    for k, exhibit in enumerate(exhibits):
        place = f"translate({(k % columns) * (frame.width + _GAP)} {(k // columns) * height})"
        title = f'<text x="6" y="18" font-size="13" font-weight="600" fill="{INK}">{escape(exhibit.title)}</text>'
        inner = f'<g transform="translate(0 {_TITLE - 4})">{_panel(exhibit.drawn, frame, limits, _FEW)}</g>'
        parts.append(f'<g transform="{place}">{title}{inner}</g>')
    width = columns * (frame.width + _GAP) - _GAP
    total = -(-len(exhibits) // columns) * height + 6
    ground = f'<rect width="{width}" height="{total}" fill="{PAPER}"/>'
    picture = _svg(width, total, "membrane potential against time", ground + "".join(parts))
    return picture.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def _svg(width: float, height: float, label: str, body: Html) -> Html:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" fill="none" role="img" '
        f'aria-label="{escape(label)}" font-family="{escape(FONT)}" font-size="{_LETTERS}">{body}</svg>'
    )


def _panel(exhibit: ExhibitLike, frame: Frame, limits: tuple[float, float], points: int = _POINTS) -> Html:
    begin, end = float(exhibit.times[0]), float(exhibit.times[-1])

    def x(t: np.ndarray) -> np.ndarray:
        return _LEFT + (frame.width - _LEFT - _RIGHT) * (np.asarray(t) - begin) / (end - begin)

    top, bottom = 19.0, float(frame.height)
    low, high = limits

    def y(v: np.ndarray) -> np.ndarray:
        return bottom - (bottom - top) * (np.asarray(v) - low) / (high - low)

    keep = thin(np.asarray(exhibit.membrane, float), points)
    parts = [_unit(frame.membrane[1], frame.membrane[0], 9.0)]
    for tick in round_ticks(low, high):
        height = float(y(np.array(tick)))
        parts += [_grid(height, frame), _number(height, tick)]
    marks = "".join(f"M{a:.1f} 2v7" for a in x(exhibit.spikes))
    parts.append(f'<path d="{marks}" stroke="{VERMILLION}" stroke-width="1.3"/>' if marks else "")
    line = _line(x(exhibit.times[keep]), y(exhibit.membrane[keep]))
    parts.append(f'<path d="{line}" stroke="{BLUE}" stroke-width="1.2" stroke-linejoin="round"/>')
    return "".join([*parts, _stimulus(exhibit, frame, x), _time_axis(begin, end, frame)])


def shared_limits(traces: Sequence[np.ndarray]) -> tuple[float, float]:
    """Limits that hold all finite values of all traces, with a little room.

    >>> shared_limits([np.array([0.0, 1.0]), np.array([9.0, 10.0])])
    (-0.3, 10.3)
    """
    finite = np.concatenate([trace[np.isfinite(trace)] for trace in traces])
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    pad = 0.03 * (high - low) or max(0.5 * abs(high), 0.5)
    return low - pad, high + pad


def round_ticks(low: float, high: float) -> list[float]:
    """Two or three round numbers between ``low`` and ``high``, as far apart as they go.

    >>> round_ticks(-83.1, 31.9), round_ticks(-0.03, 1.03), round_ticks(0.1, 0.9)
    ([-50.0, 0.0], [0.0, 1.0], [0.25, 0.5, 0.75])
    """
    span = high - low
    power = 10.0 ** math.floor(math.log10(span))
    for step in (5 * power, 2.5 * power, 2 * power, power, 0.5 * power):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first >= 1:
            every = max(1, (last - first) // 2)
            return [round(k * step, 12) for k in range(first, last + 1, every)]
    return [round(math.ceil(low / power) * power, 12)]


def _stimulus(exhibit: ExhibitLike, frame: Frame, x: Callable[[np.ndarray], np.ndarray]) -> Html:
    """The current below the membrane, its lowest and highest value named."""
    top = frame.height + 30.0
    bottom = float(frame.height + frame.stimulus + 20)
    times, values = corner_points(exhibit.times, np.asarray(exhibit.current, float))
    keep = thin(values, _POINTS)
    low, high = float(values.min()), float(values.max())
    if high == low:
        top = bottom = 0.5 * (top + bottom)
    scale = (bottom - top) / (high - low) if high > low else 0.0
    line = _line(x(times[keep]), bottom - scale * (values[keep] - low))
    names = _number(bottom, low) + (_number(top, high) if high > low else "")
    return (
        f"{_unit(frame.current_unit, 'i', top - (13.0 if high == low else 10.0))}{names}"
        f'<path d="{line}" stroke="{MUTED}" stroke-width="1.2" stroke-linejoin="round"/>'
    )


def _time_axis(begin: float, end: float, frame: Frame) -> Html:
    y, right = frame.height + frame.stimulus + _BELOW - 5, frame.width - _RIGHT
    wide = frame.width > 400
    inside = [t for t in round_ticks(begin, end) if wide and 0.1 < (t - begin) / (end - begin) < 0.85]
    places = [(_LEFT + (right - _LEFT) * (t - begin) / (end - begin), t) for t in (begin, *inside)]
    marks = "".join(
        f'<path d="M{x:.1f} {y - 13}v4" stroke="{FAINT}"/>'
        f'<text x="{x:.1f}" y="{y}" text-anchor="middle" fill="{MUTED}">{short_number(t)}</text>'
        for x, t in places
    )
    return (
        f'<path d="M{_LEFT} {y - 13}H{right}" stroke="{FAINT}"/>{marks}'
        f'<text x="{right}" y="{y}" text-anchor="end" fill="{MUTED}">{short_number(end)} ms</text>'
    )


def short_number(value: float) -> str:
    """A number in as few letters as an axis of a small picture has room for.

    >>> short_number(-0.12345), short_number(1000.0), short_number(20.27)
    ('−0.123', '1000', '20.3')
    """
    return (f"{value:.0f}" if 1000 <= abs(value) < 1e5 else f"{value:.3g}").replace("-", "−")


def _grid(y: float, frame: Frame) -> Html:
    return f'<path d="M{_LEFT} {y:.1f}H{frame.width - _RIGHT}" stroke="{GRID}"/>'


def _number(y: float, number: float) -> Html:
    return f'<text x="{_LEFT - 6}" y="{y + 3.8:.1f}" text-anchor="end" fill="{MUTED}">{short_number(number)}</text>'


def _unit(unit: str, name: str, y: float) -> Html:
    """The unit of an axis above its numbers; the name of what has none."""
    text = pretty_unit(unit) or name
    return f'<text x="{_LEFT - 6}" y="{y:.1f}" text-anchor="end" fill="{INK}">{escape(text)}</text>'


def _line(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


__all__ = ["Frame", "panel_svg", "round_ticks", "shared_limits", "sheet_svg", "short_number"]
