"""The colours of every picture: the Okabe-Ito set, which colour-blind readers can tell apart.

Source: M. Okabe and K. Ito, "Color Universal Design" (2008), https://jfly.uni-koeln.de/color/.
"""

from __future__ import annotations

BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
SKY = "#56B4E9"

# Yellow is left out of the cycle: a thin yellow line on white cannot be seen.
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)

INK = "#1A1D21"
MUTED = "#5B6470"
FAINT = "#B4BBC4"
GRID = "#E9ECF0"
PAPER = "#FFFFFF"


def cycle(index: int) -> str:
    """The colour of the curve with this number; numbers past the end start again.

    >>> cycle(0) == BLUE, cycle(6) == BLUE
    (True, True)
    """
    return CYCLE[index % len(CYCLE)]


def mix(colour: str, other: str, share: float) -> str:
    """``colour`` with ``share`` (0 to 1) of ``other`` mixed in, as ``#RRGGBB``.

    >>> mix("#000000", "#FFFFFF", 0.5)
    '#808080'
    """
    pairs = ((int(colour[k : k + 2], 16), int(other[k : k + 2], 16)) for k in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in pairs)


def for_text(colour: str) -> str:
    """A darker tone of ``colour`` in which small letters on white stay legible."""
    return mix(colour, INK, 0.3)
