"""The squid giant axon of Hodgkin and Huxley, and its two channels."""

from __future__ import annotations

from typing import Any

from ..lang.math import exp, exprel
from ..units import membrane_conductance as conductance
from ..units import mV, uA_per_cm2, uF_per_cm2
from .channels import Channel, Gate, Leak, Rates
from .declare import gate, input, param, state
from .membrane import Membrane


class SquidSodium(Channel):
    """Transient sodium of the squid axon, ``g m³h (v - e)`` (Hodgkin and Huxley 1952, eq. 14, 15, 20 to 24).

    >>> SquidSodium().g
    120.0
    """

    g = param(120.0, conductance, low=0.0, inclusive=True)
    e = param(50.0, mV)
    m = gate()
    h = gate()

    def gates(self, v: Any) -> dict[str, Gate]:
        return {
            "m": Rates(1.0 / exprel((v + 40.0) * -0.1), 4.0 * exp((v + 65.0) * (-1.0 / 18.0))),
            "h": Rates(0.07 * exp((v + 65.0) * -0.05), 1.0 / (1.0 + exp((v + 35.0) * -0.1))),
        }

    def current(self, s: Any, v: Any) -> Any:
        return self.g * s.m**3 * s.h * (v - self.e)


class SquidPotassium(Channel):
    """Delayed-rectifier potassium of the squid axon, ``g n⁴ (v - e)`` (Hodgkin and Huxley 1952, eq. 6, 7, 12, 13).

    >>> SquidPotassium().e
    -77.0
    """

    g = param(36.0, conductance, low=0.0, inclusive=True)
    e = param(-77.0, mV)
    n = gate()

    def gates(self, v: Any) -> dict[str, Gate]:
        return {"n": Rates(0.1 / exprel((v + 55.0) * -0.1), 0.125 * exp((v + 65.0) * -0.0125))}

    def current(self, s: Any, v: Any) -> Any:
        return self.g * s.n**4 * (v - self.e)


class HodgkinHuxley(Membrane):
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
    v_threshold = param(-30.0, mV)
    v = state(-65.0, mV)
    i = input(uA_per_cm2)
    na = SquidSodium()
    k = SquidPotassium()
    l = Leak(g=0.3, e=-54.387)  # noqa: E741 - its parameters are called g_l and e_l everywhere
