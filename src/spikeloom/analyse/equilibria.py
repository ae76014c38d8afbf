"""Resting points: where nothing changes, and whether the neuron stays there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.optimize

from ..errors import ParameterError, did_you_mean
from ..kernels.field import VectorField
from ..lang.analysis import linear, symbols
from ..lang.evaluate import evaluate
from ..models.base import NeuronModel
from ..solvers.base import symbolic_slopes
from .system import AnalysisError, Current, interval, natural_size, resets, system

_COLUMNS = 4001
_REACH = 1000.0  # of the search, in natural sizes of the threshold quantity on both sides of the initial membrane
_NEUTRAL = 1e-9  # an eigenvalue this much smaller than the largest counts as 0

STABLE_NODE, STABLE_FOCUS, SADDLE = "stable node", "stable focus", "saddle"
UNSTABLE_NODE, UNSTABLE_FOCUS, SADDLE_FOCUS = "unstable node", "unstable focus", "saddle-focus"
DEGENERATE = "degenerate"
KINDS = (STABLE_NODE, STABLE_FOCUS, SADDLE, SADDLE_FOCUS, UNSTABLE_NODE, UNSTABLE_FOCUS, DEGENERATE)


@dataclasses.dataclass(frozen=True, eq=False)
class Equilibrium:
    """A point where nothing changes.

    ``state`` holds the states by name, in their units; ``eigenvalues`` ``[S]`` of the Jacobian there, in 1/ms,
    descending by real part. ``kind`` is

    ==================  ===========================================================================
    ``stable node``     all eigenvalues are real and negative
    ``stable focus``    all real parts are negative, some eigenvalues are complex: ringing
    ``saddle``          some real parts are negative, and all eigenvalues that are not are real
    ``saddle-focus``    some real parts are negative, and a complex pair has a positive one
    ``unstable node``   all eigenvalues are real and positive
    ``unstable focus``  all real parts are positive, some eigenvalues are complex
    ``degenerate``      a real part is 0 to within rounding: a bifurcation, or a direction without a force
    ==================  ===========================================================================
    """

    state: Mapping[str, float]
    eigenvalues: np.ndarray
    kind: str

    @property
    def stable(self) -> bool:
        """Whether small perturbations die out."""
        return bool(np.real(self.eigenvalues).max() < 0.0) and self.kind != DEGENERATE

    def __getitem__(self, name: str) -> float:
        if name not in self.state:
            raise ParameterError(f"an equilibrium has no state {name!r}", mend=did_you_mean(name, self.state))
        return self.state[name]


def resting_points(
    model: NeuronModel, current: Current = 0.0, *, ranges: Mapping[str, tuple[float, float]] | None = None
) -> tuple[Equilibrium, ...]:
    """All equilibria of ``model`` at a held ``current`` (in its first input's unit, or a mapping from input names).

    Ascending in the membrane, and solved to the last digits by Newton's method with the traced Jacobian. Where
    the other states' slopes are linear in them at a given membrane, as those of gates are, they are solved for, and
    the zeros of what is left, a function of the membrane alone, are all found down to the grid's spacing (0.4 % of
    the distance from the initial membrane, or of the natural size of a spike close to it). Elsewhere Newton's method
    starts from many points.

    ``ranges`` bounds the search by state name; by default the membrane is searched 1000 natural sizes of the
    threshold quantity (``model.scale()``) to both sides of its initial value. Of a model with a reset only points
    below the threshold count: it never stays above.

    Raises ParameterError for what cannot be analysed, AnalysisError where every point of an interval is at rest.

    >>> import spikeloom as sl
    >>> rest, = resting_points(sl.HodgkinHuxley())
    >>> round(rest["v"], 6), rest.kind
    (-64.996379, 'stable focus')
    """
    field = system("resting_points", model, current)
    found = find_equilibria(field, _checked_ranges(field, ranges or {}))
    return tuple(described(field, y) for y in found)


def _checked_ranges(field: VectorField, ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    for name in ranges:
        if name not in field.names:
            what = f"resting_points: {type(field.model).__name__} has no state {name!r}"
            raise ParameterError(what, mend=did_you_mean(name, field.names))
    return {name: interval(f"resting_points: range of {name}", bounds) for name, bounds in ranges.items()}


def described(field: VectorField, y: np.ndarray) -> Equilibrium:
    """The equilibrium at ``y`` with its eigenvalues."""
    values = eigenvalues(field.jacobian(y))
    return Equilibrium(dict(zip(field.names, y.tolist(), strict=True)), values, kind_of(values))


def eigenvalues(jacobian: np.ndarray) -> np.ndarray:
    """Eigenvalues, descending by real part, then by imaginary part."""
    values = np.linalg.eigvals(jacobian).astype(complex)
    return values[np.lexsort((-np.imag(values), -np.real(values)))]


def kind_of(values: np.ndarray) -> str:
    """The name of an equilibrium with these eigenvalues."""
    real, turning = np.real(values), np.imag(values) != 0.0
    if (abs(real) <= _NEUTRAL * abs(values).max()).any():
        return DEGENERATE
    up = real > 0.0
    if not up.any():
        return STABLE_FOCUS if turning.any() else STABLE_NODE
    if up.all():
        return UNSTABLE_FOCUS if turning.any() else UNSTABLE_NODE
    return SADDLE_FOCUS if turning[up].any() else SADDLE


def find_equilibria(field: VectorField, ranges: Mapping[str, tuple[float, float]]) -> list[np.ndarray]:
    """Equilibria ``[S]`` within ``ranges``, ascending in the membrane."""
    columns = _columns(field, ranges)
    rest = _others(field)
    guesses = _by_reduction(field, columns, rest) if rest else _by_many_starts(field, columns, ranges)
    found: list[np.ndarray] = []
    size = natural_size(field.model)
    for guess in guesses:
        y = newton(field, guess)
        if y is None or not _inside(field, y, ranges) or not columns[0] <= y[0] <= columns[-1]:
            continue
        if not any(abs(y[0] - other[0]) <= 1e-9 * (size + abs(y[0])) and _same(y, other) for other in found):
            found.append(y)
    if resets(field.model):
        found = [y for y in found if field.threshold(y) < 0.0]
    return sorted(found, key=lambda y: y[0])


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((abs(a - b) <= 1e-7 * (1e-3 + abs(a) + abs(b))).all())


def _inside(field: VectorField, y: np.ndarray, ranges: Mapping[str, tuple[float, float]]) -> bool:
    states = dict(zip(field.names, y, strict=True))
    return all(low <= states[name] <= high for name, (low, high) in ranges.items())


def _columns(field: VectorField, ranges: Mapping[str, tuple[float, float]]) -> np.ndarray:
    """Values of the membrane, dense around its initial value and ever wider further away."""
    size, centre = natural_size(field.model), float(field.start[0])
    low, high = ranges.get(field.names[0], (centre - _REACH * size, centre + _REACH * size))
    begin, end = (float(np.arcsinh((bound - centre) / size)) for bound in (low, high))
    return centre + size * np.sinh(np.linspace(begin, end, _COLUMNS))


Others = Callable[[np.ndarray], np.ndarray]


def _others(field: VectorField) -> Others | None:
    """The states ``[S, N]`` in which all but the membrane rest, given membranes ``[N]``; None if not linear."""
    membrane, *names = field.names
    rows: list[list[object]] = []
    slopes = symbolic_slopes(field.model)
    for name in names:
        form = linear(slopes[name], names)
        if form is None or any(set(symbols([c])) & set(names) for c in form[0].values()):
            return None
        rows.append([*(form[0].get(other, 0.0) for other in names), form[1]])
    expressions = [entry for row in rows for entry in row if not isinstance(entry, float)]
    timers = {name: 0.0 for name, state in field.model.states.items() if state.timer}
    fixed = {**field.model.values, **dict(zip(field.inputs, field.at, strict=True)), **timers}

    def solved(v: np.ndarray) -> np.ndarray:
        if not names:
            return v[None]
        with np.errstate(all="ignore"):
            values = iter(evaluate(expressions, {**fixed, membrane: v}))  # type: ignore[arg-type]
        table = [[np.broadcast_to(e if isinstance(e, float) else next(values), v.shape) for e in row] for row in rows]
        system = np.moveaxis(np.array(table, dtype=float), -1, 0)  # [N, S - 1, S]
        usable: Any = np.isfinite(system).all((1, 2))
        states = np.full((len(v), len(names)), np.nan)
        with np.errstate(all="ignore"):
            usable[usable] = abs(np.linalg.det(system[usable, :, :-1])) > 0.0
        states[usable] = np.linalg.solve(system[usable, :, :-1], -system[usable, :, -1:])[..., 0]
        return np.vstack([v, states.T])

    return solved


def _by_reduction(field: VectorField, columns: np.ndarray, others: Others) -> list[np.ndarray]:
    """Points close to every zero of the membrane's slope with the other states at rest."""

    def slope(v: float) -> float:
        return float(field(others(np.array([v])))[0, 0])

    values = field(others(columns))[0]
    _refuse_a_continuum(field, values)
    brackets: list[tuple[float, float]] = []
    exact = [float(v) for v in columns[values == 0.0]]
    with np.errstate(invalid="ignore"):
        crossing = np.flatnonzero(values[:-1] * values[1:] < 0.0)
        size = abs(values)
        dip = (size[1:-1] < size[:-2]) & (size[1:-1] < size[2:]) & (values[:-2] * values[2:] > 0.0) & (size[1:-1] > 0.0)
    brackets += [(columns[k], columns[k + 1]) for k in crossing]
    for k in np.flatnonzero(dip) + 1:  # two zeros may hide between grid points, or one that only touches
        sign = np.sign(values[k])
        ends = (columns[k - 1], columns[k + 1])
        lowest: Any = scipy.optimize.minimize_scalar(lambda v, s=sign: s * slope(v), bounds=ends, method="bounded",
                                                options={"xatol": 1e-12 * (1.0 + abs(ends[1]))})  # fmt: skip
        if lowest.fun < 0.0:
            brackets += [(ends[0], lowest.x), (lowest.x, ends[1])]
        elif lowest.fun <= 1e-9 * abs(values[[k - 1, k + 1]]).max():
            exact.append(float(lowest.x))
    roots = _narrowed(lambda v: field(others(v))[0], np.array(brackets, dtype=float).reshape(-1, 2).T)
    return [y for y in others(np.array([*exact, *roots])).T if np.isfinite(y).all()]


def _narrowed(slope: Others, ends: np.ndarray) -> np.ndarray:
    """The places ``[B]`` where ``slope`` changes its sign between ``ends`` ``[2, B]``, all at once."""
    low, high = ends
    which = np.arange(len(low))
    for _ in range(7 if len(low) else 0):
        grid = low + (high - low) * np.linspace(0.0, 1.0, 33)[:, None]
        signs = np.sign(slope(grid.ravel())).reshape(grid.shape)
        at = np.argmax(signs[1:] != signs[0], axis=0)
        low, high = grid[at, which], grid[at + 1, which]
    return 0.5 * (low + high)


def _refuse_a_continuum(field: VectorField, values: np.ndarray) -> None:
    if (values == 0.0).sum() > len(values) // 4:
        raise AnalysisError(
            f"resting_points: {type(field.model).__name__} rests wherever its membrane is",
            mend="At this current no single point is at rest; try another current.",
        )


def _by_many_starts(
    field: VectorField, columns: np.ndarray, ranges: Mapping[str, tuple[float, float]]
) -> list[np.ndarray]:
    """Where Newton's method leads from 200 membranes times 6 choices of the other states, brought to rest first."""
    start = np.array(field.start)
    spread = np.random.default_rng(0).uniform(-3.0, 3.0, size=(5, len(start)))
    parts: list[np.ndarray] = []
    for shift in [np.zeros(len(start)), *spread]:
        points = np.repeat((start + shift * (1.0 + abs(start)))[:, None], 200, axis=1)
        for k, name in enumerate(field.names):
            if name in ranges and k:
                low, high = ranges[name]
                points[k] = low + (high - low) * (shift[k] + 3.0) / 6.0
        points[0] = columns[:: len(columns) // 200][:200]
        parts.append(points)
    points, _ = _newton_of_many(field, np.concatenate(parts, axis=1), slice(1, None), 20)
    points, last = _newton_of_many(field, points, slice(None), 60)
    close = points[:, (abs(last) <= 1e-4 * (1e-3 + abs(points))).all(axis=0)]
    found: list[np.ndarray] = []
    while close.shape[1]:
        first = close[:, :1]
        found.append(first[:, 0])
        close = close[:, (abs(close - first) > 1e-7 * (1e-3 + abs(close) + abs(first))).any(axis=0)]
    return found


def _newton_of_many(field: VectorField, points: np.ndarray, moving: slice, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """``points`` ``[S, N]`` after Newton steps of the ``moving`` states, and the last of these steps.

    Points that get lost are left out.
    """
    step = np.full_like(points[moving], np.inf)
    for _ in range(steps):
        with np.errstate(all="ignore"):
            f, j = field(points)[moving], np.moveaxis(field.jacobian(points)[moving, moving], -1, 0)
            usable: Any = np.isfinite(j).all((1, 2)) & np.isfinite(f).all(0)
            usable[usable] = abs(np.linalg.det(j[usable])) > 1e-300
        points, step = points[:, usable], np.linalg.solve(j[usable], f[:, usable].T[..., None])[..., 0].T
        points[moving] -= step
        if not step.size or (abs(step) <= 1e-10 * (1.0 + abs(points[moving]))).all():
            break
    return points, step


def newton(field: VectorField, y: np.ndarray, steps: int = 50) -> np.ndarray | None:
    """The zero of ``field`` near ``y``, to rounding; None where the iteration does not get there."""
    with np.errstate(all="ignore"):
        return _newton(field, y, steps)


def _newton(field: VectorField, y: np.ndarray, steps: int) -> np.ndarray | None:
    size = np.linalg.norm(field(y))
    for _ in range(steps):
        try:
            move = np.linalg.solve(field.jacobian(y), -field(y))
        except np.linalg.LinAlgError:
            return y if size <= 1e-12 else None
        part, new, left = 1.0, y + move, np.inf
        while part > 1e-4:  # halve the step until it is one forward
            new = y + part * move
            left = np.linalg.norm(field(new))
            if left < size or not size:
                break
            part /= 2.0
        if not np.isfinite(left):
            return None
        small = (abs(move) <= 1e-13 * (1e-3 + abs(y))).all()
        if left >= size and (abs(move) <= 1e-9 * (1e-3 + abs(y))).all():
            return y  # rounding: no better point nearby
        if left >= size and size > 0.0:
            return None
        y, size = new, left
        if small:
            return y
    return None


__all__ = ["DEGENERATE", "KINDS", "SADDLE", "SADDLE_FOCUS", "STABLE_FOCUS", "STABLE_NODE", "UNSTABLE_FOCUS",
           "UNSTABLE_NODE", "Equilibrium", "resting_points"]  # fmt: skip
