"""Excitable membranes in two variables, whose whole behaviour can be seen in the phase plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..lang.math import exp, tanh
from ..units import ms, mS_per_cm2, mV, one, uA_per_cm2, uF_per_cm2
from .base import NeuronModel
from .declare import input, param, state
from .presets import Preset

_FITZHUGH = "FitzHugh 1961, Biophys. J. 1:445; in this form FitzHugh 1969, in Biological Engineering, ch. 1"
_RINZEL = "Rinzel and Ermentrout 1998, in Methods in Neuronal Modeling, 2nd ed., ch. 7, appendix A"


class FitzHughNagumo(NeuronModel):
    """``tau dv/dt = v - v³/3 - w + i`` and ``tau_w dw/dt = v + a - b w`` (FitzHugh 1961, eq. 1 and 2, with signs turned
    so that spikes point upward, and his c² = 9 for ``tau_w / tau``; in this form FitzHugh 1969; Nagumo et al. 1962).

    States and input are numbers without a unit. So is time in the papers; here its unit is ``tau`` = 1 ms, and
    ``tau_w = tau/φ`` with the customary φ = 0.08. It starts at its resting point without input.

    A spike is an upward crossing of ``v_threshold`` = 0, the middle between rest and peak: every full cycle passes
    it, and the small oscillations around rest, or around the depolarised point at strong input, stay clear of it.

    >>> FitzHughNagumo().inputs["i"].unit.name
    '1'
    >>> FitzHughNagumo.preset("tonic")
    FitzHughNagumo()
    """

    tau = param(1.0, ms, low=0.0)
    tau_w = param(12.5, ms, low=0.0)
    a = param(0.7, one)
    b = param(0.8, one)
    v_threshold = param(0.0, one)
    v = state(-1.19940804, one)
    w = state(-0.62426004, one)
    i = input(one)

    presets: ClassVar[Mapping[str, Preset]] = {
        "quiet": Preset("a stable resting point that input moves", {}, _FITZHUGH, current=0.3, duration=250.0),
        "tonic": Preset("a limit cycle, past the Hopf bifurcation", {}, _FITZHUGH, current=0.5, duration=250.0),
        "block": Preset("one spike, then depolarisation block", {}, _FITZHUGH, current=1.5, duration=250.0),
    }

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        return {
            "v": (s.v - s.v**3 * (1.0 / 3.0) - s.w + x.i) / self.tau,
            "w": (s.v + self.a - self.b * s.w) / self.tau_w,
        }

    def threshold(self, s: Any) -> Any:
        return s.v - self.v_threshold


class MorrisLecar(NeuronModel):
    """The barnacle muscle fibre of Morris and Lecar (1981, eq. 9 and 2), with its calcium current in equilibrium::

        c dv/dt = i - g_ca m∞(v) (v - e_ca) - g_k w (v - e_k) - g_l (v - e_l)
        dw/dt   = phi (w∞(v) - w) cosh((v - v3) / (2 v4))
        m∞(v)   = (1 + tanh((v - v1) / v2)) / 2,   w∞(v) = (1 + tanh((v - v3) / v4)) / 2

    in mV, ms, uA/cm2, mS/cm2 and uF/cm2. The defaults are the set "hopf" of Rinzel and Ermentrout (1998): it begins
    to fire at a frequency of its own (class 2). The set "snic" begins with arbitrarily low rates (class 1).

    A spike is an upward crossing of ``v_threshold`` = 0 mV: full spikes peak above 30 mV at every current, and the
    oscillations around rest stay below -20 mV.

    >>> MorrisLecar.preset("snic")
    MorrisLecar(g_ca=4.0, v3=12.0, v4=17.4, phi=0.06666666666666667)
    """

    c = param(20.0, uF_per_cm2, low=0.0)
    g_ca = param(4.4, mS_per_cm2)
    g_k = param(8.0, mS_per_cm2)
    g_l = param(2.0, mS_per_cm2)
    e_ca = param(120.0, mV)
    e_k = param(-84.0, mV)
    e_l = param(-60.0, mV)
    v1 = param(-1.2, mV)
    v2 = param(18.0, mV, low=0.0)
    v3 = param(2.0, mV)
    v4 = param(30.0, mV, low=0.0)
    phi = param(0.04, 1 / ms, low=0.0)
    v_threshold = param(0.0, mV)
    v = state(-60.0, mV)
    w = state(0.0, one)
    i = input(uA_per_cm2)

    presets: ClassVar[Mapping[str, Preset]] = {
        "hopf": Preset(
            "class 2: fires from a Hopf bifurcation on", {}, _RINZEL, current=100.0, duration=500.0, dt=0.05
        ),
        "snic": Preset(
            "class 1: fires from a saddle-node on the cycle on",
            {"g_ca": 4.0, "v3": 12.0, "v4": 17.4, "phi": 1.0 / 15.0},
            _RINZEL,
            current=42.0,
            duration=1000.0,
            dt=0.05,
        ),
    }

    def opening(self, v: Any, half: Any, width: Any) -> Any:
        """The open fraction in equilibrium at ``v``, which is 1/2 at ``half``."""
        return 0.5 * (1.0 + tanh((v - half) / width))

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        i_ca = self.g_ca * self.opening(s.v, self.v1, self.v2) * (s.v - self.e_ca)
        i_k = self.g_k * s.w * (s.v - self.e_k)
        i_l = self.g_l * (s.v - self.e_l)
        u = (s.v - self.v3) * (0.5 / self.v4)
        rate = self.phi * (0.5 * (exp(u) + exp(-u)))
        return {"v": (x.i - i_ca - i_k - i_l) / self.c, "w": rate * (self.opening(s.v, self.v3, self.v4) - s.w)}

    def threshold(self, s: Any) -> Any:
        return s.v - self.v_threshold

    def initial(self) -> dict[str, Any]:
        """The potassium gate in equilibrium with the initial voltage."""
        return {"w": self.opening(self.states["v"].default, self.v3, self.v4)}

    def scale(self) -> Any:
        return 10.0


__all__ = ["FitzHughNagumo", "MorrisLecar"]
