"""Following equilibria as a parameter changes, around folds too: pseudo-arclength continuation (Keller 1977)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from .system import Family

_LONGEST, _SHORTEST = 0.01, 1e-9  # of a step, in units of the branch's size
_TURN = 0.985  # cosine of the largest angle between the tangents at both ends of a step
_STEPS = 20_000


@dataclasses.dataclass(frozen=True, eq=False)
class Point:
    """A point of a branch: states ``y`` ``[S]``, the parameter ``p``, and the scaled unit tangent ``[S + 1]``."""

    y: np.ndarray
    p: float
    tangent: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """The equations of equilibria along a family, over scaled unknowns ``z = (y, p) / scale``."""

    family: Family
    scale: np.ndarray

    def residual(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The slopes ``[S]`` and their derivatives ``[S, S + 1]`` by the scaled unknowns."""
        y, p = self.plain(z)
        field = self.family.at(p)
        wide = np.column_stack([field.jacobian(y), field.wrt(y, None, self.family.name)])
        return field(y), wide * self.scale

    def plain(self, z: np.ndarray) -> tuple[np.ndarray, float]:
        """States and parameter of ``z``."""
        y = z * self.scale
        return y[:-1], float(y[-1])

    def tangent(self, z: np.ndarray, along: np.ndarray) -> np.ndarray:
        """The unit tangent of the branch at ``z`` that points the way ``along`` does."""
        _, wide = self.residual(z)
        rows = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-300)
        direction = np.linalg.svd(rows)[2][-1]
        return direction if direction @ along >= 0.0 else -direction

    def point(self, z: np.ndarray, along: np.ndarray) -> Point:
        """``z`` with its tangent."""
        return Point(*self.plain(z), self.tangent(z, along))

    def scaled(self, point: Point) -> np.ndarray:
        """The scaled unknowns of a point."""
        return np.append(point.y, point.p) / self.scale

    def corrected(self, guess: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, int] | None:
        """The point of the branch in the plane through ``guess`` with this ``normal``, and the Newton steps taken."""
        z = guess
        for count in range(1, 13):
            f, wide = self.residual(z)
            if not (np.isfinite(f).all() and np.isfinite(wide).all()):
                return None
            norms = np.maximum(np.linalg.norm(wide, axis=1), 1e-300)
            matrix = np.vstack([wide / norms[:, None], normal])
            try:
                move = np.linalg.solve(matrix, -np.append(f / norms, (z - guess) @ normal))
            except np.linalg.LinAlgError:
                return None
            z = z + move
            if np.linalg.norm(move) <= 1e-12 * (1.0 + np.linalg.norm(z)):
                return z, count
        return None

    def walk(self, start: Point, low: float, high: float) -> Iterator[Point]:
        """Points of the branch after ``start``, the way its tangent points, until the parameter leaves its range.

        The last point lies on the border. A branch that comes back to ``start`` ends there.
        """
        here, step = start, _LONGEST / 10.0
        began = self.scaled(start)
        for number in range(_STEPS):
            z = self.scaled(here)
            found = self.corrected(z + step * here.tangent, here.tangent)
            new = None if found is None else self.point(found[0], here.tangent)
            if found is None or new is None or new.tangent @ here.tangent < _TURN:
                step /= 2.0
                if step < _SHORTEST:
                    return
                continue
            if not low <= new.p <= high:
                border = self.at_parameter(here, new, low if new.p < low else high)
                if border is not None and np.linalg.norm(self.scaled(border) - self.scaled(here)) > _SHORTEST:
                    yield border
                return
            yield new
            if number > 10 and np.linalg.norm(self.scaled(new) - began) < step and new.tangent @ start.tangent > 0.9:
                return
            here = new
            if found[1] <= 4:
                step = min(step * 1.3, _LONGEST)

    def at_parameter(self, before: Point, after: Point, p: float) -> Point | None:
        """The point between two others at which the parameter is ``p``."""
        a, b = self.scaled(before), self.scaled(after)
        normal = np.zeros(len(a))
        normal[-1] = 1.0
        guess = a + (b - a) * ((p / self.scale[-1] - a[-1]) / (b[-1] - a[-1]))
        found = self.corrected(guess, normal)
        return None if found is None else self.point(found[0], before.tangent)

    def between(self, before: Point, after: Point, part: float) -> Point | None:
        """The point of the branch a ``part`` of the way from one point to the next one."""
        a, b = self.scaled(before), self.scaled(after)
        normal = (b - a) / np.linalg.norm(b - a)
        found = self.corrected(a + part * (b - a), normal)
        return None if found is None else self.point(found[0], before.tangent)


__all__ = ["Curve", "Point"]
