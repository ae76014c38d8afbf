"""What ``spikeloom bench scaling`` measured, as curves: for pictures, pages and tables."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .points import AXES, Point, named
from .rounds import spread_text
from .scaling import DENSE, OURS

LIMIT = 1.15
"""What this project asks of a net at any density: at most so much of its dense products."""


@dataclass(frozen=True)
class Curve:
    """Median and quartiles of the rounds, at each point: a single disturbed round leaves them as they are."""

    median: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Sweep:
    """One respect that was varied.

    Times are in ms, ratios those of ours to the dense products within rounds. Memory is the peak of the first step in
    MiB, nan where it is not known; later steps add what the allocator cannot use again. ``work`` is what time would be
    in proportion to, relative to the base point.
    """

    axis: str
    points: tuple[Point, ...]
    ours: Curve
    dense: Curve
    ratio: Curve
    memory_ours: tuple[float, ...]
    memory_dense: tuple[float, ...]
    work: tuple[float, ...]

    @property
    def x(self) -> tuple[float, ...]:
        """The values of what was varied."""
        return tuple(float(getattr(point, self.axis)) for point in self.points)


def sweeps(summary: Mapping[str, Any]) -> list[Sweep]:
    """The axes of which two points or more are known, in the order of :data:`AXES`."""
    base = Point(**summary["base"])
    known = {Point(**row["point"]): row["contenders"] for row in summary["points"]}
    found: list[Sweep] = []
    for axis in AXES:
        points = sorted((p for p in known if _differs_in(p, base) <= {axis}), key=lambda p: getattr(p, axis))
        if len(points) > 1:
            found.append(_sweep(axis, points, [known[p] for p in points], base))
    return found


def _differs_in(point: Point, base: Point) -> set[str]:
    return {axis for axis in AXES if getattr(point, axis) != getattr(base, axis)}


def _sweep(axis: str, points: Sequence[Point], rows: Sequence[Mapping[str, Any]], base: Point) -> Sweep:
    ours, dense = ([row[label] for row in rows] for label in (OURS, DENSE))
    ratios = [[a / b for a, b in zip(o["wall_s"], d["wall_s"], strict=True)] for o, d in zip(ours, dense, strict=True)]
    unit = base.products / base.threads
    return Sweep(
        axis,
        tuple(points),
        _curve([[1e3 * t for t in row["wall_s"]] for row in ours]),
        _curve([[1e3 * t for t in row["wall_s"]] for row in dense]),
        _curve(ratios),
        tuple(_known(row["first_call_mib"]) for row in ours),
        tuple(_known(row["first_call_mib"]) for row in dense),
        tuple(p.products / p.threads / unit for p in points),
    )


def _curve(rounds: Sequence[Sequence[float]]) -> Curve:
    quarters = [statistics.quantiles(r, n=4, method="inclusive") if len(r) > 1 else [r[0]] * 3 for r in rounds]
    low, median, high = zip(*quarters, strict=True)
    return Curve(median, low, high)


def _known(value: float | None) -> float:
    return float("nan") if value is None else value


def crossover(sweep: Sweep) -> float | None:
    """Where the ratio first reaches 1, between points on a straight line; None where it never does, or is at once.

    >>> c = Curve((0.5, 1.5), (0.5, 1.5), (0.5, 1.5))
    >>> points = (Point(density=0.1), Point(density=0.3))
    >>> round(crossover(Sweep("density", points, c, c, c, (), (), ())), 3)
    0.2
    """
    pairs = list(zip(sweep.x, sweep.ratio.median, strict=True))
    for (x0, r0), (x1, r1) in itertools.pairwise(pairs):
        if r0 < 1.0 <= r1:
            return x0 + (1.0 - r0) / (r1 - r0) * (x1 - x0)
    return None


def crossing(sweep: Sweep) -> str:
    """The density of the crossover in words, and between which measured ones it is; empty where there is none."""
    cross = crossover(sweep)
    if cross is None:
        return ""
    below, above = max(x for x in sweep.x if x < cross), min(x for x in sweep.x if x >= cross)
    return f"about {100 * cross:.0f} % spikes (between {100 * below:g} and {100 * above:g} %, which were measured)"


def sentence(sweep: Sweep) -> str:
    """What a sweep shows, in words."""
    ours, dense, ratio = sweep.ours.median, sweep.dense.median, sweep.ratio.median
    worst = max(range(len(ratio)), key=ratio.__getitem__)
    if sweep.axis == "density":
        where = crossing(sweep)
        where = f"Faster than the dense products up to {where}" if where else "No crossover"
        return f"{where}; at most {ratio[worst]:.2f} of them, at {100 * sweep.x[worst]:g} % ({LIMIT:g} is asked)."
    first, last = sweep.points[0], sweep.points[-1]
    start, end = (named(point, sweep.axis) for point in (first, last))
    if sweep.axis == "threads":
        return (
            f"A step takes {ours[0]:.3g} ms with {start} and {ours[-1]:.3g} ms with {end}, the dense products alone "
            f"{dense[0]:.3g} and {dense[-1]:.3g} ms: it takes {ratio[0]:.2f} and {ratio[-1]:.2f} of them."
        )
    return (
        f"From {start} to {end} a step takes {ours[-1] / ours[0]:.3g} times as long, the dense products alone "
        f"{dense[-1] / dense[0]:.3g} times, for {last.products / first.products:.3g} times as many multiplications; "
        f"a step takes {min(ratio):.2f} to {max(ratio):.2f} of these products."
    )


SCALING_HEAD = ("spikeloom ms", "dense ms", "spikeloom / dense", "spikeloom MiB", "dense MiB")


def rows_of(sweep: Sweep) -> list[list[str]]:
    """A row of text for each point: the value that was varied, and what stands under :data:`SCALING_HEAD`."""
    found: list[list[str]] = []
    for k, x in enumerate(sweep.x):
        triples = ([c.median[k], c.low[k], c.high[k]] for c in (sweep.ours, sweep.dense, sweep.ratio))
        memory = [f"{values[k]:.0f}" for values in (sweep.memory_ours, sweep.memory_dense)]
        name = f"{100 * x:g} %" if sweep.axis == "density" else f"{x:g}"
        found.append([name, *(spread_text(values) for values in triples), *memory])
    return found


__all__ = ["LIMIT", "SCALING_HEAD", "Curve", "Sweep", "crossing", "crossover", "rows_of", "sentence", "sweeps"]
