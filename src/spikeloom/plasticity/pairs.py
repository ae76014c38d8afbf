"""Spike-timing-dependent plasticity by pairs of spikes."""

from __future__ import annotations

from typing import Any

from ..models.declare import option, param, state
from ..units import ms, one, synaptic_weight
from .rule import Plasticity, post_trace, pre_trace


class _Pairs(Plasticity):
    """Both sides have a trace that jumps at their spikes and decays: ``dx/dt = -x/tau_plus``, ``dy/dt = -y/tau_minus``.

    ``pairing="all-to-all"``: it jumps by 1, so that each spike is paired with all before it on the other side.
    ``pairing="nearest"``: it jumps to 1, and each spike is paired with the last one on the other side.
    """

    tau_plus = param(20.0, ms, low=0.0)
    tau_minus = param(20.0, ms, low=0.0)
    x = pre_trace()
    y = post_trace()
    pairing = option("all-to-all", "nearest")

    def derivative(self, s: Any) -> dict[str, Any]:
        return {"x": -s.x / self.tau_plus, "y": -s.y / self.tau_minus}

    def _after(self, trace: Any) -> Any:
        return trace + 1.0 if self.pairing == "all-to-all" else 1.0


class STDP(_Pairs):
    """Potentiation where a presynaptic spike comes first, depression where it comes last::

        x traces presynaptic spikes with tau_plus, y postsynaptic ones with tau_minus
        postsynaptic spike:  w += a_plus  w_max x          (additive)      a_plus  (w_max - w) x    (multiplicative)
        presynaptic spike:   w -= a_minus w_max y                          a_minus (w - w_min) y

    and w stays between ``w_min`` and ``w_max``. A pair at the lag t then changes the weight by ``a_plus w_max
    exp(-t/tau_plus)`` or ``-a_minus w_max exp(t/tau_minus)``. The additive form is that of Song, Miller and Abbott 2000
    (Nature Neurosci. 3, eq. 1 and 2), the multiplicative one that of Rubin, Lee and Sompolinsky 2001 (Phys. Rev. Lett.
    86). Spikes are paired as the ``pairing`` says: "all-to-all", or "nearest", each with the last one of the other side
    (Morrison, Diesmann and Gerstner 2008, Biol. Cybern. 98, fig. 7A).

    >>> STDP(a_plus=0.005, a_minus=0.00525, w_max=0.015)
    STDP(a_plus=0.005, a_minus=0.00525, w_max=0.015)
    """

    a_plus = param(0.01, one)
    a_minus = param(0.0105, one)
    w_min = param(0.0, synaptic_weight)
    w_max = param(1.0, synaptic_weight)
    dependence = option("additive", "multiplicative")

    def pre(self, s: Any) -> dict[str, Any]:
        room = self.w_max if self.dependence == "additive" else s.w - self.w_min
        return {"w": s.w - self.a_minus * room * s.y, "x": self._after(s.x)}

    def post(self, s: Any) -> dict[str, Any]:
        room = self.w_max if self.dependence == "additive" else self.w_max - s.w
        return {"w": s.w + self.a_plus * room * s.x, "y": self._after(s.y)}

    def limits(self) -> tuple[Any, Any]:
        return self.w_min, self.w_max


class AccumulatedSTDP(_Pairs):
    """Pairs change a tendency ``c`` of the weight, which follows it once per ``period`` (Izhikevich 2006, Neural
    Computation 18, and the program on the author's page)::

        postsynaptic spike:  c += a_plus x
        presynaptic spike:   c -= a_minus y
        after each period:   w += drift + c,  c = keep c;  w stays between 0 and w_max

    The defaults are those of the paper; in its program traces shrink to 0.95 in each ms, and depression begins one
    step later: ``tau_plus = tau_minus = -1/ln(0.95)`` ms and ``a_minus = 0.12/0.95``.

    >>> AccumulatedSTDP().period
    1000.0
    """

    a_plus = param(0.1, synaptic_weight)
    a_minus = param(0.12, synaptic_weight)
    period = param(1000.0, ms, low=0.0)
    drift = param(0.01, synaptic_weight)
    keep = param(0.9, one)
    w_max = param(10.0, synaptic_weight)
    c = state(0.0, synaptic_weight)
    pairing = option("nearest", "all-to-all")

    def pre(self, s: Any) -> dict[str, Any]:
        return {"c": s.c - self.a_minus * s.y, "x": self._after(s.x)}

    def post(self, s: Any) -> dict[str, Any]:
        return {"c": s.c + self.a_plus * s.x, "y": self._after(s.y)}

    def periodic(self, s: Any) -> dict[str, Any]:
        return {"w": s.w + (self.drift + s.c), "c": self.keep * s.c}

    def limits(self) -> tuple[Any, Any]:
        return 0.0, self.w_max


__all__ = ["STDP", "AccumulatedSTDP"]
