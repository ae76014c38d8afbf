"""The squid giant axon of Hodgkin and Huxley."""

from __future__ import annotations

from typing import Any

from ..lang.math import exp, exprel
from ..units import mS_per_cm2, mV, one, uA_per_cm2, uF_per_cm2
from .base import NeuronModel
from .declare import input, param, state


class HodgkinHuxley(NeuronModel):
    """Hodgkin and Huxley 1952 at 6.3 °C, in the convention with rest at -65 mV.

    ``C dv/dt = i - g_na m³h (v - e_na) - g_k n⁴ (v - e_k) - g_l (v - e_l)`` and ``dy/dt = α_y (1 - y) - β_y y``
    for the gates m, h, n (their equations 26 and 12 to 24). ``i`` is a current density in uA/cm2. A spike is an
    upward crossing of ``v_threshold``; at strong currents spikes stay below 0 mV, hence the default of -30 mV.

    Use it with :class:`~spikeloom.solvers.RK4` (the default) at dt <= 0.025 ms; exponential Euler at 0.01 ms is
    off by 5e-3 in rate.

    >>> list(HodgkinHuxley().states)
    ['v', 'm', 'h', 'n']
    """

    c = param(1.0, uF_per_cm2, low=0.0)
    g_na = param(120.0, mS_per_cm2)
    g_k = param(36.0, mS_per_cm2)
    g_l = param(0.3, mS_per_cm2)
    e_na = param(50.0, mV)
    e_k = param(-77.0, mV)
    e_l = param(-54.387, mV)
    v_threshold = param(-30.0, mV)
    v = state(-65.0, mV)
    m = state(0.0, one)
    h = state(0.0, one)
    n = state(0.0, one)
    i = input(uA_per_cm2)

    def rates(self, v: Any) -> dict[str, tuple[Any, Any]]:
        """Opening and closing rate of each gate, in 1/ms."""
        return {
            "m": (1.0 / exprel((v + 40.0) * -0.1), 4.0 * exp((v + 65.0) * (-1.0 / 18.0))),
            "h": (0.07 * exp((v + 65.0) * -0.05), 1.0 / (1.0 + exp((v + 35.0) * -0.1))),
            "n": (0.1 / exprel((v + 55.0) * -0.1), 0.125 * exp((v + 65.0) * -0.0125)),
        }

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        i_na = self.g_na * s.m**3 * s.h * (s.v - self.e_na)
        i_k = self.g_k * s.n**4 * (s.v - self.e_k)
        i_l = self.g_l * (s.v - self.e_l)
        gates = {y: a * (1.0 - getattr(s, y)) - b * getattr(s, y) for y, (a, b) in self.rates(s.v).items()}
        return {"v": (x.i - i_na - i_k - i_l) / self.c, **gates}

    def threshold(self, s: Any) -> Any:
        return s.v - self.v_threshold

    def initial(self) -> dict[str, Any]:
        """Gates in equilibrium with the initial voltage."""
        return {y: a / (a + b) for y, (a, b) in self.rates(self.states["v"].default).items()}

    def scale(self) -> Any:
        return 10.0
