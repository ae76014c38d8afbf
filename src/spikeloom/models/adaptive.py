"""Integrate-and-fire neurons whose threshold adapts."""

from __future__ import annotations

from typing import Any

from ..units import Gohm, ms, mV, one, pA
from .base import NeuronModel
from .declare import input, param, state


class ALIF(NeuronModel):
    """Adaptive LIF: ``tau dv/dt = (v_rest - v) + r i``, ``tau_adaptation da/dt = -a``; fires at
    ``v >= v_threshold + beta a``, and each spike adds 1 to ``a`` (Bellec et al. 2018, LSNN, eq. 1 to 3).

    Reset by subtraction of ``v_threshold - v_rest``. Bellec's ``a`` grows by ``1 - exp(-dt/tau_adaptation)`` a
    spike; ours by 1, so that it does not depend on the step: scale ``beta`` when copying theirs.

    >>> sorted(ALIF().states)
    ['a', 'v']
    """

    tau = param(20.0, ms, low=0.0)
    tau_adaptation = param(200.0, ms, low=0.0)
    beta = param(0.1, mV)
    v_rest = param(0.0, mV)
    v_threshold = param(1.0, mV)
    r = param(1.0, Gohm)
    v = state(0.0, mV)
    a = state(0.0, one)
    i = input(pA)

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        return {"v": ((self.v_rest - s.v) + self.r * x.i) / self.tau, "a": -s.a / self.tau_adaptation}

    def threshold(self, s: Any) -> Any:
        return s.v - (self.v_threshold + self.beta * s.a)

    def reset(self, s: Any) -> dict[str, Any]:
        return {"v": s.v - (self.v_threshold - self.v_rest), "a": s.a + 1.0}

    def initial(self) -> dict[str, Any]:
        return {"v": self.v_rest}

    def scale(self) -> Any:
        return self.v_threshold - self.v_rest
