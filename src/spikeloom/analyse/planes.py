"""The phase plane of a model with two states: its nullclines and its arrows."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..errors import ModelError, ParameterError
from ..kernels.field import VectorField
from ..models.base import NeuronModel
from .system import Current, interval, system

Curves = tuple[np.ndarray, ...]
_HALVINGS = 60  # of a grid edge: below rounding


@dataclasses.dataclass(frozen=True, eq=False)
class Nullclines:
    """Where one of two states stands still.

    ``names`` are the two states, drawn to the right and upward, ``units`` theirs. ``x`` holds the curves on which the
    first one stands still, ``y`` those of the second: arrays ``[K, 2]`` of points in order along each curve, which is
    closed where the first point is the last. ``ranges`` is the window in which they were sought.
    """

    names: tuple[str, str]
    units: tuple[str, str]
    ranges: tuple[tuple[float, float], tuple[float, float]]
    x: Curves
    y: Curves


@dataclasses.dataclass(frozen=True, eq=False)
class Arrows:
    """The vector field on a grid: ``x`` ``[A]``, ``y`` ``[B]``, and slopes ``dx``, ``dy`` ``[B, A]`` per ms."""

    x: np.ndarray
    y: np.ndarray
    dx: np.ndarray
    dy: np.ndarray


def nullclines(
    model: NeuronModel, current: Current = 0.0, *, x: tuple[float, float], y: tuple[float, float], points: int = 200
) -> Nullclines:
    """The nullclines of a model with two states at a held ``current``, within ``x`` (first state) and ``y`` (second).

    A grid of ``points`` by ``points`` cells is marched along; where a slope changes its sign along a grid line, the
    place is found to rounding, so every returned point lies on the curve. A feature smaller than a cell is missed.

    Raises ModelError for a model that has not two states, ParameterError for ranges that are none.

    >>> import spikeloom as sl
    >>> class Linear(sl.NeuronModel):
    ...     tau = sl.param(1.0, sl.ms)
    ...     v = sl.state(0.0)
    ...     w = sl.state(0.0)
    ...     i = sl.input()
    ...     def derivative(self, s, x): return dict(v=(x.i - s.v - s.w) / self.tau, w=(s.v - s.w) / self.tau)
    >>> found = nullclines(Linear(), 1.0, x=(-1.0, 2.0), y=(-1.0, 2.0))
    >>> bool(np.allclose(found.x[0].sum(axis=1), 1.0)), len(found.y)
    (True, 1)
    """
    field = _planar("nullclines", model, current)
    if isinstance(points, bool) or not isinstance(points, int) or points < 2:
        raise ParameterError("nullclines: points", got=points, expected="a whole number >= 2")
    window = interval("nullclines: x", x), interval("nullclines: y", y)
    grid = np.linspace(*window[0], points + 1), np.linspace(*window[1], points + 1)
    slopes = _on_grid(field, *grid)
    found = [_curves(field, k, grid, slopes[k]) for k in (0, 1)]
    units = tuple(str(model.states[name].unit) for name in field.names)
    return Nullclines(field.names, units, window, *found)  # type: ignore[arg-type]


def arrows(
    model: NeuronModel, current: Current = 0.0, *, x: tuple[float, float], y: tuple[float, float], points: int = 20
) -> Arrows:
    """The vector field of a model with two states on a grid of ``points`` by ``points``.

    Raises ModelError for a model that has not two states, ParameterError for ranges that are none.
    """
    field = _planar("arrows", model, current)
    grid = [np.linspace(*interval(f"arrows: {name}", bounds), points) for name, bounds in (("x", x), ("y", y))]
    return Arrows(*grid, *_on_grid(field, *grid))


def _planar(who: str, model: NeuronModel, current: Current) -> VectorField:
    field = system(who, model, current)
    if len(field.names) != 2:
        states = ", ".join(field.names)
        mend = "Hold the others still, or look at sl.analyse.resting_points and sl.analyse.bifurcations."
        raise ModelError(f"{who}: {type(model).__name__}", got=f"states {states}", expected="two states", mend=mend)
    return field


def _on_grid(field: VectorField, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Both slopes ``[2, B, A]`` on the grid."""
    mesh = np.meshgrid(x, y)
    return field(np.stack([m.ravel() for m in mesh])).reshape(2, len(y), len(x))


def _curves(field: VectorField, k: int, grid: tuple[np.ndarray, np.ndarray], values: np.ndarray) -> Curves:
    """Marching squares: zeros on the grid's edges, joined within its cells."""
    up = values > 0.0
    usable = np.isfinite(values)
    x, y = grid
    ends: dict[tuple[str, int, int], int] = {}
    begin, end = list[tuple[float, float]](), list[tuple[float, float]]()
    for row, column in np.argwhere((up[:, :-1] != up[:, 1:]) & usable[:, :-1] & usable[:, 1:]).tolist():
        ends["h", row, column] = len(begin)
        begin.append((x[column], y[row]))
        end.append((x[column + 1], y[row]))
    for row, column in np.argwhere((up[:-1] != up[1:]) & usable[:-1] & usable[1:]).tolist():
        ends["v", row, column] = len(begin)
        begin.append((x[column], y[row]))
        end.append((x[column], y[row + 1]))
    if not begin:
        return ()
    places = _zeros(field, k, np.array(begin).T, np.array(end).T)
    return tuple(places[chain] for chain in _chains(_joints(field, k, grid, ends)))


def _zeros(field: VectorField, k: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Points ``[E, 2]`` between ``low`` and ``high`` ``[2, E]`` at which slope ``k`` changes its sign."""
    rising = field(high)[k] > 0.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        above = (field(middle)[k] > 0.0) == rising
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (0.5 * (low + high)).T


def _joints(
    field: VectorField, k: int, grid: tuple[np.ndarray, np.ndarray], ends: dict[tuple[str, int, int], int]
) -> list[tuple[int, int]]:
    """Pairs of zeros that a curve joins within a cell."""
    x, y = grid
    pairs: list[tuple[int, int]] = []
    cells = {(r, c) for kind, r, c in ends} | {(r - (s == "h"), c - (s == "v")) for s, r, c in ends}
    for row, column in cells:
        names: tuple[Any, ...] = ("h", row, column), ("v", row, column + 1), ("h", row + 1, column), ("v", row, column)
        here = [ends[name] for name in names if name in ends]
        if len(here) == 2:
            pairs.append((here[0], here[1]))
        elif len(here) == 4:  # a saddle of the slope: its middle says which corners belong together
            middle = field(np.array([x[column : column + 2].mean(), y[row : row + 2].mean()]))[k] > 0.0
            corner = field(np.array([x[column], y[row]]))[k] > 0.0
            bottom, right, top, left = here
            pairs += [(bottom, right), (top, left)] if middle == corner else [(bottom, left), (top, right)]
    return pairs


def _chains(pairs: list[tuple[int, int]]) -> list[list[int]]:
    """Pairs linked to chains; a closed one ends with its first member."""
    links: dict[int, list[int]] = {}
    for a, b in pairs:
        links.setdefault(a, []).append(b)
        links.setdefault(b, []).append(a)
    free, chains = set(links), list[list[int]]()
    for first in [*(a for a, found in links.items() if len(found) == 1), *links]:
        if first not in free:
            continue
        chain, at = [], first
        while at in free:
            free.discard(at)
            chain.append(at)
            at = next((b for b in links[at] if b in free), at)
        if len(chain) > 2 and first in links[chain[-1]]:
            chain.append(first)
        chains.append(chain)
    return sorted(chains, key=len, reverse=True)


__all__ = ["Arrows", "Nullclines", "arrows", "nullclines"]
