"""Integrate-and-fire neurons whose membrane is linear: perfect, leaky, and the leaky read-out."""

from __future__ import annotations

from typing import Any

from ..units import Gohm, ms, mV, pA, pF
from .base import NeuronModel
from .declare import input, option, param, state


def _reset(kind: str, v: Any, step: Any, value: Any) -> dict[str, Any]:
    if kind == "none":
        return {}
    return {"v": v - step if kind == "subtract" else value}


class IF(NeuronModel):
    """Perfect integrate-and-fire: ``C dv/dt = i``.

    Fires at ``v >= v_threshold``; reset by subtraction (default), to ``v_reset`` (``reset="value"``) or none.
    A constant current i gives the rate ``i / (C v_threshold)``. Lapicque 1907, without leak.

    >>> IF(c=250.0, v_threshold=15.0)
    IF(c=250.0, v_threshold=15.0)
    """

    c = param(1.0, pF, low=0.0)
    v_threshold = param(1.0, mV)
    v_reset = param(0.0, mV)
    reset_mechanism = option("subtract", "value", "none")
    v = state(0.0, mV)
    i = input(pA)

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        return {"v": x.i / self.c}

    def threshold(self, s: Any) -> Any:
        return s.v - self.v_threshold

    def reset(self, s: Any) -> dict[str, Any]:
        return _reset(self.reset_mechanism, s.v, self.v_threshold, self.v_reset)

    def scale(self) -> Any:
        return self.v_threshold


class LIF(NeuronModel):
    """Leaky integrate-and-fire: ``tau dv/dt = (v_rest - v) + r i`` (Gerstner et al. 2014, eq. 1.5).

    Fires at ``v >= v_threshold``; reset by subtraction of ``v_threshold - v_rest`` (default), to ``v_reset``
    (``reset_mechanism="value"``), or none, in which case it fires at upward crossings only. Integrated exactly:
    the leak over a step is ``exp(-dt/tau)``. The defaults are the normalised neuron of deep networks.

    >>> LIF(tau=10.0, v_rest=-65.0, v_threshold=-50.0, v_reset=-65.0, reset_mechanism="value").tau
    10.0
    """

    tau = param(20.0, ms, low=0.0)
    v_rest = param(0.0, mV)
    v_threshold = param(1.0, mV)
    v_reset = param(0.0, mV)
    r = param(1.0, Gohm)
    reset_mechanism = option("subtract", "value", "none")
    v = state(0.0, mV)
    i = input(pA)

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        return {"v": ((self.v_rest - s.v) + self.r * x.i) / self.tau}

    def threshold(self, s: Any) -> Any:
        return s.v - self.v_threshold

    def reset(self, s: Any) -> dict[str, Any]:
        return _reset(self.reset_mechanism, s.v, self.v_threshold - self.v_rest, self.v_reset)

    def initial(self) -> dict[str, Any]:
        return {"v": self.v_rest}

    def scale(self) -> Any:
        return self.v_threshold - self.v_rest


class LI(NeuronModel):
    """Leaky integrator: ``tau dv/dt = (v_rest - v) + r i``, without a threshold. A read-out of membranes.

    >>> LI(tau=10.0).membrane
    'v'
    """

    tau = param(20.0, ms, low=0.0)
    v_rest = param(0.0, mV)
    r = param(1.0, Gohm)
    v = state(0.0, mV)
    i = input(pA)

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        return {"v": ((self.v_rest - s.v) + self.r * x.i) / self.tau}

    def initial(self) -> dict[str, Any]:
        return {"v": self.v_rest}
