"""The fast-spiking interneuron of Wang and Buzsáki."""

from __future__ import annotations

from typing import Any

from ..lang.math import exp, exprel
from ..units import membrane_conductance as conductance
from ..units import mV, one, uA_per_cm2, uF_per_cm2
from .channels import Channel, Gate, Leak, Rates
from .declare import gate, input, param, state
from .membrane import Membrane


class InstantSodium(Channel):
    """Sodium whose activation follows the voltage at once, ``g m_inf³ h (v - e)`` (Wang and Buzsáki 1996, eq. 2.2).

    >>> InstantSodium().phi
    5.0
    """

    g = param(35.0, conductance, low=0.0, inclusive=True)
    e = param(55.0, mV)
    phi = param(5.0, one, low=0.0)
    h = gate()

    def gates(self, v: Any) -> dict[str, Gate]:
        opening, closing = 0.07 * exp((v + 58.0) * -0.05), 1.0 / (1.0 + exp((v + 28.0) * -0.1))
        return {"h": Rates(self.phi * opening, self.phi * closing)}

    def current(self, s: Any, v: Any) -> Any:
        m = Rates(1.0 / exprel((v + 35.0) * -0.1), 4.0 * exp((v + 60.0) * (-1.0 / 18.0)))
        return self.g * m.steady**3 * s.h * (v - self.e)


class FastPotassium(Channel):
    """Delayed-rectifier potassium, ``g n⁴ (v - e)``, sped up by ``phi`` (Wang and Buzsáki 1996, eq. 2.3).

    >>> FastPotassium().g
    9.0
    """

    g = param(9.0, conductance, low=0.0, inclusive=True)
    e = param(-90.0, mV)
    phi = param(5.0, one, low=0.0)
    n = gate()

    def gates(self, v: Any) -> dict[str, Gate]:
        opening, closing = 0.1 / exprel((v + 34.0) * -0.1), 0.125 * exp((v + 44.0) * -0.0125)
        return {"n": Rates(self.phi * opening, self.phi * closing)}

    def current(self, s: Any, v: Any) -> Any:
        return self.g * s.n**4 * (v - self.e)


class WangBuzsaki(Membrane):
    """The hippocampal interneuron of Wang and Buzsáki 1996 (their eq. 2.1 to 2.3): fast spikes, a continuous f-I curve.

    ``C dv/dt = i - g_na m_inf³ h (v - e_na) - g_k n⁴ (v - e_k) - g_leak (v - e_leak)``; densities. A spike is an
    upward crossing of ``v_threshold``.

    >>> list(WangBuzsaki().states)
    ['v', 'h', 'n']
    """

    c = param(1.0, uF_per_cm2, low=0.0)
    v_threshold = param(-20.0, mV)
    v = state(-64.0, mV)
    i = input(uA_per_cm2)
    na = InstantSodium()
    k = FastPotassium()
    leak = Leak(g=0.1, e=-65.0)
