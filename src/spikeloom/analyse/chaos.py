"""Lyapunov exponents: how fast neighbouring trajectories part."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch

from ..errors import ParameterError
from ..kernels.field import VectorField
from ..kernels.scan.scan import scan
from ..models.base import NeuronModel
from ..solvers import RK4
from ..units import ms
from .flow import Flow, require_no_dead_time
from .system import AnalysisError, Current, natural_size, positive, resets, start_of, system
from .tangent import PREFIX, with_tangent

_STEPS = 1000  # between two renormalisations
_BLOCKS = 10  # of each trajectory, for the standard error
_APART = 0.01  # of the trajectories at the start, in natural sizes of the membrane


@dataclasses.dataclass(frozen=True, eq=False)
class LyapunovExponent:
    """The largest Lyapunov exponent: ``value`` in 1/ms, with the standard ``error`` of its mean.

    ``times`` ``[K]`` in ms and ``running`` ``[K]`` show how the estimate converges. Around 0 (a periodic orbit) the
    estimate itself falls like one over the duration, and the error says little.
    """

    value: float
    error: float
    times: np.ndarray
    running: np.ndarray


def lyapunov(
    model: NeuronModel, current: Current = 0.0, duration: object = 200_000.0, *, dt: object = 0.02,
    transient: object = 2000.0, trajectories: int = 16, state: Mapping[str, float] | None = None,
) -> LyapunovExponent:  # fmt: skip
    """The largest Lyapunov exponent of ``model`` at a held ``current``.

    The variational equation with the traced Jacobian is followed along the trajectory, its solution renormalised in
    turns, and the logarithms of its growth averaged (Benettin et al. 1980). A smooth model is integrated by RK4 at
    ``dt`` in a compiled kernel, as several ``trajectories`` that share ``duration`` ms and begin a little apart. A
    model with a reset runs as a single trajectory off the grid with saltation matrices, some thousand times slower:
    give it a shorter ``duration``. Either is first followed for ``transient`` ms, or until there.

    Raises ModelError for refractory models, AnalysisError where a deviation vanishes at once or blows up.

    >>> import spikeloom as sl
    >>> found = lyapunov(sl.LI(tau=10.0), 1.0, duration=1000.0, trajectories=2)  # a linear model: -1/tau
    >>> round(found.value, 6)
    -0.1
    """
    field = system("lyapunov", model, current)
    length, dt, settle = (
        positive(f"lyapunov: {name}", value, ms)
        for name, value in (("duration", duration), ("dt", dt), ("transient", transient))
    )
    if isinstance(trajectories, bool) or not isinstance(trajectories, int) or trajectories < 1:
        raise ParameterError("lyapunov: trajectories", got=trajectories, expected="a whole number >= 1")
    start = start_of("lyapunov", field, state)
    require_no_dead_time(model)
    if resets(model):
        return _off_grid(field, start, length, settle)
    return _compiled(field, start, (length / trajectories, settle, dt), trajectories)


def _compiled(field: VectorField, y: np.ndarray, times: tuple[float, float, float], count: int) -> LyapunovExponent:
    length, settle, dt = times
    both, names = with_tangent(field.model), list(field.names)
    tangents = [PREFIX + name for name in names]
    lanes = np.repeat(y[:, None], count, axis=1)
    lanes[0] += _APART * natural_size(field.model) * np.arange(count) / count
    held = dict(zip(field.inputs, field.at.tolist(), strict=True)) or {names[0]: 0.0}
    streams = {name: torch.full((_STEPS, 1, count), value, dtype=torch.float64) for name, value in held.items()}
    start = dict(zip(names, lanes, strict=True)) | dict.fromkeys(tangents, np.full(count, len(y) ** -0.5))
    carried = {name: torch.from_numpy(np.ascontiguousarray(start[name]))[None] for name in both.states}
    grown: list[np.ndarray] = []
    skip = round(settle / dt / _STEPS)
    for _ in range(skip + max(_BLOCKS, round(length / dt / _STEPS))):
        carried = dict(scan(both, streams, carried, solver=RK4(), dt=dt).final)
        size = torch.sqrt(sum((carried[name] ** 2 for name in tangents), torch.zeros(())))
        carried |= {name: carried[name] / size for name in tangents}
        grown.append(torch.log(size)[0].numpy())
    growth = np.array(grown[skip:])
    if not np.isfinite(growth).all():
        raise AnalysisError(f"lyapunov: a deviation of {type(field.model).__name__} vanishes or blows up")
    return _result(growth, np.full(len(growth), _STEPS * dt))


def _off_grid(field: VectorField, y: np.ndarray, length: float, settle: float) -> LyapunovExponent:
    flow, tangent = Flow(field, 1e-8), np.full((len(y), 1), len(y) ** -0.5)
    pieces = max(20 * _BLOCKS, round(length / 100.0))
    early = max(1, round(settle * pieces / length))
    grown: list[float] = []
    for k in range(early + pieces):
        orbit = flow.run(y, settle / early if k < early else length / pieces, tangent)
        assert orbit.tangent is not None
        size = float(np.linalg.norm(orbit.tangent))
        if not 0.0 < size < np.inf:
            raise AnalysisError(f"lyapunov: a deviation of {type(field.model).__name__} vanishes or blows up")
        y, tangent = orbit.y, orbit.tangent / size
        grown.append(np.log(size))
    return _result(np.array(grown[early:])[:, None], np.full(pieces, length / pieces))


def _result(growth: np.ndarray, spans: np.ndarray) -> LyapunovExponent:
    """From logarithms of growth ``[K, lanes]`` over ``spans`` ``[K]``."""
    times = np.cumsum(spans)
    running = np.cumsum(growth.mean(axis=1)) / times
    kept = len(growth) - len(growth) % _BLOCKS
    blocks = growth[:kept].reshape(_BLOCKS, -1, growth.shape[1]).sum(axis=1)
    rates = blocks / spans[:kept].reshape(_BLOCKS, -1).sum(axis=1, keepdims=True)
    return LyapunovExponent(float(running[-1]), float(rates.std(ddof=1) / np.sqrt(rates.size)), times, running)


__all__ = ["LyapunovExponent", "lyapunov"]
