"""Whether a saddle-node sits on a circle: the orbit that leaves it is followed, and comes back or does not."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..kernels.field import VectorField
from .equilibria import eigenvalues
from .flow import Flow
from .normal_forms import fold_coefficient
from .settling import NEITHER, settle
from .system import AnalysisError

_OFF = 0.01  # where the orbit starts and has to come back to, in the states' scales
_FAR = 100.0  # a smooth orbit this far away, in the states' scales, counts as lost
_SPIKES = 200  # after which an orbit with resets is given up
_ROUNDS = 6  # of looking whether the orbit has come back or settled, each twice as long as the last


@dataclasses.dataclass(frozen=True, eq=False)
class _Backward:
    """A vector field run backward in time."""

    inner: VectorField

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        return -self.inner(y)

    def jacobian(self, y: np.ndarray) -> np.ndarray:
        return -self.inner.jacobian(y)


def on_a_circle(field: VectorField, y: np.ndarray, scale: np.ndarray) -> bool | None:
    """True if the centre manifold of the fold at ``y`` closes on itself, False if it leads elsewhere, None if neither
    could be shown.

    Where all other directions contract (or all expand, seen backward in time), an orbit that comes close to the
    point on its attracting side ends in it; where they do not, a single orbit shows nothing.
    """
    values = eigenvalues(field.jacobian(y))
    others = np.real(np.delete(values, np.argmin(abs(values))))
    forward = bool((others < 0.0).all())
    if not forward and not (others > 0.0).all():
        return None
    if any(state.timer for state in field.model.states.values()):
        return None
    a, q, p = fold_coefficient(field, y, scale)
    flow = Flow(field if forward else _Backward(field))  # type: ignore[arg-type]
    if a == 0.0 or (flow.resets and not forward):
        return None
    side = np.sign(a) * (1.0 if forward else -1.0)

    def outside(z: np.ndarray) -> float:
        away = (z - y) / scale
        back = side * (p @ (z - y)) < 0.0
        distance = float(np.linalg.norm(away))
        return min(distance - (2.0 * _OFF if back else 0.0), np.inf if flow.resets else _FAR - distance)

    at, patience = y + side * _OFF * q, 2.0 / (abs(a) * _OFF)  # about twice the time that leaving takes
    try:
        for _ in range(_ROUNDS):
            orbit = flow.run(at, patience, stop=outside, spikes=_SPIKES if flow.resets else None)
            if orbit.stopped:
                return bool(np.linalg.norm((orbit.y - y) / scale) < 1.0)
            end = settle(flow, orbit.y, patience, _SPIKES)
            if end.kind != NEITHER and outside(end.y) > 10.0 * _OFF:
                return False
            if len(orbit.jumps) >= _SPIKES:
                return None
            at, patience = orbit.y, 2.0 * patience
    except AnalysisError:
        return None  # the integration failed, which shows nothing
    return None


__all__ = ["on_a_circle"]
