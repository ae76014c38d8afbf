"""Equations as pictures inside the page: LaTeX set by matplotlib, without a network and without TeX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .page import Html, escape

_SIZE = 18.0  # pixels


def equation_list(equations: Sequence[str]) -> Html:
    """A list of equations, one per line, each as :func:`equation` shows it."""
    return f"<ul class=equations>{''.join(f'<li>{equation(e)}</li>' for e in equations)}</ul>"


def equation(text: str) -> Html:
    r"""One equation: LaTeX (with a backslash or between dollars) as SVG, anything else as it was typed.

    LaTeX that matplotlib cannot set is shown as typed as well.

    >>> equation("dv/dt = -v < 0")
    '<code>dv/dt = -v &lt; 0</code>'
    >>> equation(r"\tau \dot v = -v").startswith("<svg")
    True
    """
    source = text.strip().strip("$").strip()
    if ("\\" not in text and "$" not in text) or "$" in source or not source:
        return f"<code>{escape(text)}</code>"
    try:
        return _svg(source)
    except ValueError:
        return f"<code>{escape(text)}</code>"


def _svg(source: str) -> Html:
    """The outlines of a formula; they are read from the font, so the reader needs neither font nor script."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    # Without a line break: matplotlib would set the two halves as two texts.
    line = " ".join(source.split())
    tall = line.replace(r"\frac", r"\dfrac")
    outline = TextPath((0, 0), f"${tall}$", size=_SIZE, prop=FontProperties(math_fontfamily="stix"), usetex=False)
    if not len(outline.vertices):
        raise ValueError("an empty formula has no outline")
    box = outline.get_extents()
    left, top = box.x0 - 1, -box.y1 - 1
    width, height = box.width + 2, box.height + 2
    path = "".join(_command(int(code), points) for points, code in outline.iter_segments(simplify=False, curves=True))
    return (
        f'<svg role="img" aria-label="{escape(line)}" width="{width:.1f}" height="{height:.1f}" fill="currentColor" '
        f'viewBox="{left:.2f} {top:.2f} {width:.2f} {height:.2f}"><path d="{path}"/></svg>'
    )


def _command(code: int, points: Any) -> str:
    """One step of an outline; matplotlib counts y upward, SVG downward."""
    letter = {1: "M", 2: "L", 3: "Q", 4: "C"}.get(code)
    if letter is None:
        return "Z"
    return letter + " ".join(f"{x:.2f} {-y:.2f}" for x, y in zip(points[::2], points[1::2], strict=True))
