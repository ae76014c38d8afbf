"""Words beside curves: which panel a curve belongs to, and where its name goes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def quantity(name: str) -> str:
    """What a learning curve shows: the last word of its name.

    >>> quantity("validation accuracy")
    'accuracy'
    """
    return name.split()[-1] if name.split() else name


def spread(positions: Sequence[float], gap: float, low: float = -math.inf, high: float = math.inf) -> list[float]:
    """Positions moved as little as needed so that neighbours are ``gap`` apart, their order kept.

    All lie between ``low`` and ``high`` if there is room for them.

    >>> spread([0.0, 0.0, 5.0], 1.0)
    [-0.5, 0.5, 5.0]
    >>> spread([0.0, 0.0, 5.0], 1.0, low=0.0, high=4.0)
    [0.0, 1.0, 4.0]
    """
    order = sorted(range(len(positions)), key=lambda k: positions[k])
    blocks: list[tuple[list[int], float]] = []  # (members, centre): labels that touch move as one block
    for k in order:
        blocks.append(([k], positions[k] if math.isfinite(positions[k]) else 0.0))
        while len(blocks) > 1 and _reach(blocks[-2], gap, 1) > _reach(blocks[-1], gap, -1):
            (left, a), (right, b) = blocks[-2], blocks[-1]
            middle = (a * len(left) + b * len(right)) / (len(left) + len(right))
            blocks[-2:] = [(left + right, middle)]
    placed = [0.0] * len(positions)
    for members, centre in blocks:
        for row, k in enumerate(members):
            placed[k] = centre + (row - (len(members) - 1) / 2) * gap
    for k in reversed(order):
        placed[k] = min(placed[k], high)
        high = placed[k] - gap
    for k in order:
        placed[k] = max(placed[k], low)
        low = placed[k] + gap
    return placed


def _reach(block: tuple[list[int], float], gap: float, side: int) -> float:
    return block[1] + side * len(block[0]) * gap / 2


def pretty_unit(unit: object) -> str:
    """A unit as it is printed: micro sign, raised exponents, and nothing for a pure number.

    >>> pretty_unit("uA/cm2"), pretty_unit("Mohm"), pretty_unit("(ms)^-1"), pretty_unit("1")
    ('µA/cm²', 'MΩ', 'ms⁻¹', '')
    """
    text = str(unit)
    text = re.sub(r"\bu(?=[A-Za-z])", "µ", text).replace("ohm", "Ω").replace("*", "·")
    text = re.sub(r"\((\w+)\)(?=\^)", r"\1", text)
    text = re.sub(r"\^(-?\d+)|(?<=m)([23])\b", lambda m: (m[1] or m[2]).translate(_RAISED), text)
    return "" if text == "1" else text
