"""Bifurcations of equilibria in one parameter: folds, Hopf points, and what merely looks like one."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy.optimize

from ..errors import ParameterError, did_you_mean
from ..kernels.field import VectorField
from ..models.base import NeuronModel, require_model
from ..units import plain
from .circle import on_a_circle
from .continuation import Curve, Point
from .equilibria import described, eigenvalues, find_equilibria
from .normal_forms import first_lyapunov_coefficient
from .system import AnalysisError, Current, Family, family, finite, resets

FOLD, HOPF, NEUTRAL_SADDLE, BRANCH_POINT = "saddle-node", "hopf", "neutral saddle", "branch point"
_STARTS = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Bifurcation:
    """A special point on a branch of equilibria, at ``parameter`` (in its unit) and ``state`` (states by name).

    ``kind`` is

    ==================  =============================================================================
    ``hopf``            a complex pair crosses the imaginary axis: ``frequency`` in Hz and ``period`` in ms of the
                        linear oscillation; ``criticality`` is "subcritical" (an unstable cycle around the stable
                        resting point), "supercritical" (a small stable cycle) or "degenerate", by the sign of the
                        first Lyapunov coefficient
    ``saddle-node``     two equilibria meet and vanish. ``on_circle``: True where the orbit that leaves the point has
                        been followed back to it (the rates of firing then begin at 0, by a square root), False where it
                        has been followed elsewhere, None where neither could be shown
    ``branch point``    two branches of equilibria cross (transcritical or pitchfork)
    ``neutral saddle``  two real eigenvalues of opposite sign add up to 0: no bifurcation, though the test that finds
                        Hopf points is 0 here too
    ==================  =============================================================================

    What does not apply is NaN, "" or None. ``eigenvalues`` are in 1/ms.
    """

    kind: str
    parameter: float
    state: Mapping[str, float]
    eigenvalues: np.ndarray
    frequency: float = float("nan")
    criticality: str = ""
    on_circle: bool | None = None

    @property
    def period(self) -> float:
        """Of the linear oscillation at a Hopf point, in ms."""
        return 1000.0 / self.frequency

    def __getitem__(self, name: str) -> float:
        if name not in self.state:
            raise ParameterError(f"a bifurcation has no state {name!r}", mend=did_you_mean(name, self.state))
        return self.state[name]


@dataclasses.dataclass(frozen=True, eq=False)
class Branch:
    """A curve of equilibria: ``parameter`` ``[K]``, ``states`` ``[K]`` by name, ``eigenvalues`` ``[K, S]`` in 1/ms,
    and the ``kinds`` of its points (see :class:`Equilibrium`); in order along the curve."""

    parameter: np.ndarray
    states: Mapping[str, np.ndarray]
    eigenvalues: np.ndarray
    kinds: tuple[str, ...]

    @property
    def stable(self) -> np.ndarray:
        """Where it is stable: booleans ``[K]``."""
        return np.real(self.eigenvalues).max(axis=1) < 0.0

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.states:
            raise ParameterError(f"a branch has no state {name!r}", mend=did_you_mean(name, self.states))
        return self.states[name]


@dataclasses.dataclass(frozen=True, eq=False)
class BifurcationDiagram:
    """Branches of equilibria along the parameter ``name`` (in ``unit``), and the special points on them.

    ``points`` ascend in the parameter; ``units`` are those of the states.
    """

    name: str
    unit: str
    units: Mapping[str, str]
    branches: tuple[Branch, ...]
    points: tuple[Bifurcation, ...]

    def of(self, kind: str) -> tuple[Bifurcation, ...]:
        """The points of one kind, ascending in the parameter."""
        return tuple(point for point in self.points if point.kind == kind)

    @property
    def hopf(self) -> tuple[Bifurcation, ...]:
        """Hopf points, ascending in the parameter."""
        return self.of(HOPF)

    @property
    def folds(self) -> tuple[Bifurcation, ...]:
        """Saddle-node points, ascending in the parameter."""
        return self.of(FOLD)


def bifurcations(
    model: NeuronModel, parameter: str, low: float, high: float, *, current: Current = 0.0
) -> BifurcationDiagram:
    """Equilibria of ``model`` as ``parameter`` goes from ``low`` to ``high``, with the bifurcations on the way.

    ``parameter`` names an input or a parameter of the model; inputs besides it are held at ``current``. Branches
    begin at the equilibria found at both ends and at three values between, and are followed by pseudo-arclength
    continuation with the traced Jacobian; one that lives between two of these values only, and touches neither, is
    missed. Special points are zeros of test functions along the branch (Kuznetsov 2004, sec. 10.2: the parameter's
    part of the tangent for folds, the product of all sums of two eigenvalues, which is the determinant of the
    bialternate product, for Hopf points), found to about 1e-10. Of a model with a reset, branches end where they reach
    its threshold.

    Raises ParameterError for an unknown parameter or an empty range, AnalysisError where there is no equilibrium.

    >>> import spikeloom as sl
    >>> found = bifurcations(sl.HodgkinHuxley(), "i", 0.0, 200.0)
    >>> [(round(h.parameter, 4), round(h.frequency, 2), h.criticality) for h in found.hopf]
    [(9.7754, 93.3, 'subcritical'), (154.5224, 169.17, 'supercritical')]
    """
    require_model("bifurcations", model)
    name = parameter
    low, high = _range(model, name, low, high)
    along = family("bifurcations", model, name, low, high, current)
    starts = [(y, p) for p in np.linspace(low, high, _STARTS).tolist() for y in find_equilibria(along.at(p), {})]
    if not starts:
        raise AnalysisError(f"bifurcations: {type(model).__name__} has no equilibrium", got=f"{name} = {low}..{high}")
    curve = Curve(along, _scales(along, starts, high - low))
    walks: list[list[Point]] = []
    for y, p in starts:
        if not any(_lies_on(curve, walk, y, p) for walk in walks):
            walks.append(_both_ways(curve, y, p, low, high))
    found = _without_repeats([point for walk in walks for point in _special_points(curve, walk)], curve)
    branches = tuple(_branch(along, walk) for walk in walks)
    units = {n: str(model.states[n].unit) for n in along.base.names}
    return BifurcationDiagram(name, along.unit, units, branches, tuple(sorted(found, key=lambda b: b.parameter)))


def _range(model: NeuronModel, name: str, low: object, high: object) -> tuple[float, float]:
    declared = {**model.inputs, **model.params}.get(name)
    ends = [end if declared is None else plain(end, declared.unit, name) for end in (low, high)]
    low, high = (finite(f"bifurcations: {which}", end) for which, end in zip(("low", "high"), ends, strict=True))
    if not low < high:
        raise ParameterError("bifurcations: the range", got=f"{low:g} to {high:g}", expected="low < high")
    return low, high


def _scales(along: Family, starts: Sequence[tuple[np.ndarray, float]], width: float) -> np.ndarray:
    """The size of each state's changes over the whole range, so that steps mean the same to all of them."""
    states, slopes = np.array([y for y, _ in starts]), list[np.ndarray]()
    for y, p in starts:
        field = along.at(p)
        slopes.append(abs(np.linalg.lstsq(field.jacobian(y), field.wrt(y, None, along.name))[0]))
    found = np.maximum(np.ptp(states, axis=0), width * np.min(slopes, axis=0))
    return np.append(np.maximum(found, 1e-3 * (1e-3 + abs(states).max(axis=0))), width)


def _lies_on(curve: Curve, walk: Sequence[Point], y: np.ndarray, p: float) -> bool:
    """Whether the equilibrium is on a branch: its foot on the branch is itself."""
    z = np.append(y, p) / curve.scale
    for before, after in itertools.pairwise(walk):
        a, b = curve.scaled(before), curve.scaled(after)
        part = float((z - a) @ (b - a) / ((b - a) @ (b - a)))
        if -0.1 <= part <= 1.1 and np.linalg.norm(z - a - part * (b - a)) < 0.01:
            foot = curve.between(before, after, part)
            if foot is not None and np.linalg.norm(curve.scaled(foot) - z) < 1e-6:
                return True
    return False


def _both_ways(curve: Curve, y: np.ndarray, p: float, low: float, high: float) -> list[Point]:
    z = np.append(y, p) / curve.scale
    up = np.zeros(len(z))
    up[-1] = 1.0
    tangent = curve.tangent(z, up)
    forward = list(curve.walk(Point(y, p, tangent), low, high)) if p < high or tangent[-1] <= 0.0 else []
    closed = len(forward) > 10 and np.linalg.norm(curve.scaled(forward[-1]) - z) < 0.02 and low < p < high
    backward = [] if closed else list(curve.walk(Point(y, p, -tangent), low, high))
    here = Point(y, p, tangent)
    forward, backward = (_below_threshold(curve, [here, *walk])[1:] for walk in (forward, backward))
    return [*(Point(point.y, point.p, -point.tangent) for point in reversed(backward)), here, *forward]


def _below_threshold(curve: Curve, walk: list[Point]) -> list[Point]:
    """Up to the threshold of a reset, above which the neuron never stays."""
    field = curve.family.base
    if not resets(field.model):
        return walk
    above = [curve.family.at(point.p).threshold(point.y) >= 0.0 for point in walk]
    if True not in above[1:]:
        return walk
    k = above.index(True, 1)
    return [*walk[:k], _located(curve, lambda c, point: c.family.at(point.p).threshold(point.y), walk[k - 1], walk[k])]


def _branch(along: Family, walk: Sequence[Point]) -> Branch:
    found = [described(along.at(point.p), point.y) for point in walk]
    states = {name: np.array([e.state[name] for e in found]) for name in along.base.names}
    values = np.array([e.eigenvalues for e in found])
    return Branch(np.array([point.p for point in walk]), states, values, tuple(e.kind for e in found))


Test = Callable[[Curve, Point], float]


def _fold_test(curve: Curve, point: Point) -> float:
    return float(point.tangent[-1])


def _branch_test(curve: Curve, point: Point) -> float:
    _, wide = curve.residual(curve.scaled(point))
    rows = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-300)
    return float(np.linalg.det(np.vstack([rows, point.tangent])))


def _hopf_test(curve: Curve, point: Point) -> float:
    """The product of all sums of two eigenvalues, each scaled by the largest."""
    values = eigenvalues(curve.family.at(point.p).jacobian(point.y))
    size = abs(values).max() or 1.0
    sums = [(a + b) / size for a, b in itertools.combinations(values, 2)]
    return float(np.prod(sums).real) if sums else 1.0


def _special_points(curve: Curve, walk: Sequence[Point]) -> list[Bifurcation]:
    found: list[Bifurcation] = []
    crossed: set[int] = set()
    for test, make in ((_branch_test, _branch_point), (_fold_test, _fold), (_hopf_test, _hopf)):
        values = np.array([test(curve, point) for point in walk])
        changes = set(np.flatnonzero(np.diff(values >= 0.0)).tolist())
        if test is _branch_test:
            crossed = changes
        elif test is _fold_test:
            changes -= crossed  # a branch may turn round where it crosses another one: no fold
        for k in sorted(changes):
            point = _located(curve, test, walk[k], walk[k + 1])
            found.append(make(curve.family.at(point.p), point, curve))
    return found


def _without_repeats(points: Sequence[Bifurcation], curve: Curve) -> list[Bifurcation]:
    """A crossing of two branches is on both of them."""
    kept: list[Bifurcation] = []
    for point in points:
        place = np.array([*point.state.values(), point.parameter]) / curve.scale
        others = [np.array([*other.state.values(), other.parameter]) / curve.scale
                  for other in kept if other.kind == point.kind == BRANCH_POINT]  # fmt: skip
        if not any(np.linalg.norm(place - other) < 1e-3 for other in others):
            kept.append(point)
    return kept


def _located(curve: Curve, test: Test, before: Point, after: Point) -> Point:
    """The zero of ``test`` between two points of a branch."""
    known: dict[float, tuple[Point, float]] = {0.0: (before, test(curve, before)), 1.0: (after, test(curve, after))}

    def value(part: float) -> float:
        if part not in known:
            point = curve.between(before, after, part)
            if point is None:
                return float("nan")
            known[part] = point, test(curve, point)
        return known[part][1]

    try:
        part = float(scipy.optimize.brentq(value, 0.0, 1.0, xtol=1e-15, rtol=1e-14))  # type: ignore[arg-type]
        value(part)
        return known[part][0]
    except (ValueError, KeyError):  # where branches cross, single points of them cannot be solved for
        low = max(part for part, (_, found) in known.items() if (found >= 0.0) == (known[0.0][1] >= 0.0))
        high = min(part for part in known if part > low)
        (a, at_a), (b, at_b) = known[low], known[high]
        part = at_a / (at_a - at_b)
        return Point(a.y + part * (b.y - a.y), a.p + part * (b.p - a.p), a.tangent)


def _state(field: VectorField, point: Point) -> dict[str, float]:
    return dict(zip(field.names, point.y.tolist(), strict=True))


def _fold(field: VectorField, point: Point, curve: Curve) -> Bifurcation:
    values = eigenvalues(field.jacobian(point.y))
    circle = on_a_circle(field, point.y, curve.scale[:-1])
    return Bifurcation(FOLD, point.p, _state(field, point), values, on_circle=circle)


def _branch_point(field: VectorField, point: Point, curve: Curve) -> Bifurcation:
    return Bifurcation(BRANCH_POINT, point.p, _state(field, point), eigenvalues(field.jacobian(point.y)))


def _hopf(field: VectorField, point: Point, curve: Curve) -> Bifurcation:
    values = eigenvalues(field.jacobian(point.y))
    pairs = list(itertools.combinations(range(len(values)), 2))
    i, _ = min(pairs, key=lambda pair: abs(values[pair[0]] + values[pair[1]]))
    if values[i].imag == 0.0:
        return Bifurcation(NEUTRAL_SADDLE, point.p, _state(field, point), values)
    omega = float(abs(values[i].imag))
    coefficient, noise = first_lyapunov_coefficient(field, point.y, omega, curve.scale[:-1])
    sign = "degenerate" if abs(coefficient) <= noise else "subcritical" if coefficient > 0.0 else "supercritical"
    return Bifurcation(HOPF, point.p, _state(field, point), values, 1000.0 * omega / (2.0 * np.pi), sign)


__all__ = ["BRANCH_POINT", "FOLD", "HOPF", "NEUTRAL_SADDLE", "Bifurcation", "BifurcationDiagram", "Branch",
           "bifurcations"]  # fmt: skip
