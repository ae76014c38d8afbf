"""The quadratic integrate-and-fire neuron: the normal form of a saddle-node on a circle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..lang.math import minimum
from ..units import Gohm, ms, mV, pA
from .base import NeuronModel
from .declare import input, param, state
from .presets import Preset


class QIF(NeuronModel):
    """Quadratic integrate-and-fire, Latham et al. 2000 (in this form: Gerstner et al. 2014, eq. 5.16).

    ``tau dv/dt = a (v - v_rest) (v - v_c) + r i`` in ms, 1/mV, mV, Gohm and pA: without a current ``v_rest`` is stable,
    and from above ``v_c`` the voltage runs away. A spike is made at ``v >= v_peak``, and ``v`` becomes ``v_reset``.
    Latham's form has ``a = 1 / (v_c - v_rest)``; the preset "normal-form" is ``tau dv/dt = v² + i`` (Ermentrout and
    Kopell 1986), which ``v = tan(theta / 2)`` turns into the theta neuron as ``v_peak = -v_reset`` grows.

    With ``d = r i - a (v_c - v_rest)² / 4 > 0``, ``q = sqrt(a / d)`` and ``m = (v_rest + v_c) / 2`` it fires with the
    period ``tau / sqrt(a d) (atan(q (v_peak - m)) - atan(q (v_reset - m)))``; from ``-inf`` to ``inf`` that is
    ``pi tau / sqrt(a d)``, so that the rate grows like the root of the distance to rheobase.

    The equation sees ``minimum(v, v_peak)``: what a step finds beyond the peak, where the neuron has fired already,
    stays finite in every stage of a Runge-Kutta method.

    >>> QIF.preset("normal-form").v_peak
    100.0
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "normal-form": Preset(
            "tau dv/dt = v² + i, in units of its own",
            {"tau": 10.0, "a": 1.0, "v_rest": 0.0, "v_c": 0.0, "r": 1.0, "v_peak": 100.0, "v_reset": -100.0},
            "Ermentrout and Kopell 1986",
            current=1.0,
            state={"v": -1.0},
            dt=0.001,
        ),
    }

    tau = param(10.0, ms, low=0.0)
    a = param(0.1, 1 / mV, low=0.0)
    v_rest = param(-65.0, mV)
    v_c = param(-55.0, mV)
    r = param(0.1, Gohm)
    v_peak = param(0.0, mV)
    v_reset = param(-70.0, mV)
    v = state(-65.0, mV)
    i = input(pA)

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        v = minimum(s.v, self.v_peak)
        return {"v": (self.a * (v - self.v_rest) * (v - self.v_c) + self.r * x.i) / self.tau}

    def threshold(self, s: Any) -> Any:
        return s.v - self.v_peak

    def reset(self, s: Any) -> dict[str, Any]:
        return {"v": self.v_reset}

    def initial(self) -> dict[str, Any]:
        return {"v": self.v_rest}

    def scale(self) -> Any:
        return self.v_peak - self.v_reset


__all__ = ["QIF"]
