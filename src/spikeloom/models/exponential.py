"""Integrate-and-fire neurons with an exponential upstroke, without and with adaptation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..lang.math import exp, minimum
from ..units import ms, mV, nS, pA, pF
from .base import NeuronModel
from .declare import input, param, state
from .presets import Preset


def _membrane_current(model: EIF | AdEx, v: Any) -> Any:
    """Leak and upstroke, inward positive, in pA."""
    upstroke = model.g_l * model.delta_t * exp((v - model.v_t) / model.delta_t)
    return upstroke - model.g_l * (v - model.e_l)


class EIF(NeuronModel):
    """Exponential integrate-and-fire, Fourcaud-Trocmé et al. 2003 (in this form: Gerstner et al. 2014, eq. 5.6).

    ``C dv/dt = -g_l (v - e_l) + g_l delta_t exp((v - v_t) / delta_t) + i``, in pF, mV, nS, pA and ms. ``v_t`` is the
    voltage from which a slow upstroke runs away, ``delta_t`` its sharpness: as it goes to 0 the model becomes the LIF
    with threshold ``v_t``. A spike is made at ``v >= v_peak``, and ``v`` becomes ``v_reset``. A constant current
    fires it above ``g_l (v_t - e_l - delta_t)``. The default shape is the one fitted to a Wang-Buzsáki neuron in the
    paper, for a cell of 100 pF; it adds ``Refractory(..., t_ref=1.7)``.

    The equation sees ``minimum(v, v_peak)``, as in NEST: what a step finds beyond the peak, where the neuron has
    fired already, stays finite in every stage of a Runge-Kutta method. Keep ``(v_peak - v_t) / delta_t`` below 80 for
    float32, below 700 for float64.

    >>> EIF(delta_t=2.0)
    EIF(delta_t=2.0)
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "fourcaud-trocme-2003": Preset(
            "fitted to a Wang-Buzsáki neuron", {}, "Fourcaud-Trocmé et al. 2003", current=40.0, duration=300.0, dt=0.01
        ),
    }

    c = param(100.0, pF, low=0.0)
    g_l = param(10.0, nS, low=0.0)
    e_l = param(-65.0, mV)
    v_t = param(-59.9, mV)
    delta_t = param(3.48, mV, low=0.0)
    v_peak = param(0.0, mV)
    v_reset = param(-68.0, mV)
    v = state(-65.0, mV)
    i = input(pA)

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        return {"v": (_membrane_current(self, minimum(s.v, self.v_peak)) + x.i) / self.c}

    def threshold(self, s: Any) -> Any:
        return s.v - self.v_peak

    def reset(self, s: Any) -> dict[str, Any]:
        return {"v": self.v_reset}

    def initial(self) -> dict[str, Any]:
        return {"v": self.e_l}

    def scale(self) -> Any:
        return self.v_peak - self.e_l


def _pattern(summary: str, current: float, **values: float) -> Preset:
    """A firing pattern of Naud et al. 2008: a step of current from rest."""
    names = ("c", "g_l", "e_l", "a", "tau_w", "b", "v_reset")
    shape = {"v_t": -50.0, "delta_t": 2.0, "v_peak": 0.0}
    source = "Naud et al. 2008, table 1, as adapted to its figures in the Brian 2 example"
    return Preset(summary, {**{n: values[n] for n in names}, **shape}, source, current=current, duration=600.0, dt=0.01)


class AdEx(NeuronModel):
    """Adaptive exponential integrate-and-fire, Brette and Gerstner 2005 (Gerstner et al. 2014, eq. 6.3 and 6.4).

    ``C dv/dt = -g_l (v - e_l) + g_l delta_t exp((v - v_t) / delta_t) - w + i`` and
    ``tau_w dw/dt = a (v - e_l) - w``, in pF, mV, nS, pA and ms. A spike is made at ``v >= v_peak``; then ``v`` becomes
    ``v_reset`` and ``w`` grows by ``b``. The defaults are the cell of the 2005 paper; ``AdEx.preset`` has the firing
    patterns of Naud et al. 2008.

    Both equations see ``minimum(v, v_peak)``, as in NEST: what a step finds beyond the peak, where the neuron has
    fired already, stays finite in every stage of a Runge-Kutta method and does not reach ``w``. Keep
    ``(v_peak - v_t) / delta_t`` below 80 for float32.

    The upstroke takes microseconds, so with a fixed step each spike is late by a step or two, and the next interval
    starts from there: :class:`~spikeloom.solvers.RK4` with dt = 0.01 ms is off by about 0.01 ms a spike, with 0.001
    ms by 0.001. :class:`~spikeloom.solvers.DormandPrince` finds the times themselves.

    >>> AdEx.preset("tonic").b, sorted(AdEx().states)
    (0.0, ['v', 'w'])
    """

    presets: ClassVar[Mapping[str, Preset]] = {
        "brette-gerstner-2005": Preset(
            "the cell of the paper, which adapts", {}, "Brette and Gerstner 2005", current=1000.0, duration=300.0,
            dt=0.01,
        ),
        "tonic": _pattern(
            "tonic spiking", 500.0, c=200.0, g_l=10.0, e_l=-70.0, a=2.0, tau_w=30.0, b=0.0, v_reset=-58.0
        ),
        "adapting": _pattern(
            "spike-frequency adaptation", 500.0, c=200.0, g_l=12.0, e_l=-70.0, a=2.0, tau_w=300.0, b=60.0, v_reset=-58.0
        ),
        "initial-burst": _pattern(
            "a burst, then regular", 400.0, c=130.0, g_l=18.0, e_l=-58.0, a=4.0, tau_w=150.0, b=120.0, v_reset=-50.0
        ),
        "regular-burst": _pattern(
            "regular bursting", 210.0, c=200.0, g_l=10.0, e_l=-58.0, a=2.0, tau_w=120.0, b=100.0, v_reset=-46.0
        ),
        "irregular": _pattern(
            "irregular: deterministic chaos", 160.0, c=100.0, g_l=12.0, e_l=-60.0, a=-11.0, tau_w=130.0, b=30.0,
            v_reset=-48.0,
        ),
        "transient": _pattern(
            "one spike, then silence", 180.0, c=100.0, g_l=10.0, e_l=-65.0, a=10.0, tau_w=90.0, b=100.0, v_reset=-47.0
        ),
        "delayed-accelerating": _pattern(
            "late and ever faster", 300.0, c=200.0, g_l=12.0, e_l=-70.0, a=-10.0, tau_w=300.0, b=0.0, v_reset=-58.0
        ),
        "delayed-regular-burst": _pattern(
            "late, then bursting", 110.0, c=100.0, g_l=10.0, e_l=-65.0, a=-10.0, tau_w=90.0, b=30.0, v_reset=-47.0
        ),
    }  # fmt: skip

    c = param(281.0, pF, low=0.0)
    g_l = param(30.0, nS, low=0.0)
    e_l = param(-70.6, mV)
    v_t = param(-50.4, mV)
    delta_t = param(2.0, mV, low=0.0)
    a = param(4.0, nS)
    b = param(80.5, pA)
    tau_w = param(144.0, ms, low=0.0)
    v_peak = param(0.0, mV)
    v_reset = param(-70.6, mV)
    v = state(-70.6, mV)
    w = state(0.0, pA)
    i = input(pA)

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        v = minimum(s.v, self.v_peak)
        return {
            "v": (_membrane_current(self, v) - s.w + x.i) / self.c,
            "w": (self.a * (v - self.e_l) - s.w) / self.tau_w,
        }

    def threshold(self, s: Any) -> Any:
        return s.v - self.v_peak

    def reset(self, s: Any) -> dict[str, Any]:
        return {"v": self.v_reset, "w": s.w + self.b}

    def initial(self) -> dict[str, Any]:
        return {"v": self.e_l}

    def scale(self) -> Any:
        return self.v_peak - self.e_l


__all__ = ["EIF", "AdEx"]
