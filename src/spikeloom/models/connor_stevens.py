"""The repetitively firing walking-leg axon of Connor and Stevens: Hodgkin-Huxley channels and an A current."""

from __future__ import annotations

from typing import Any

from ..lang.math import exp, exprel
from ..units import membrane_conductance as conductance
from ..units import mV, uA_per_cm2, uF_per_cm2
from .channels import Channel, Gate, Leak, Rates, Relaxation
from .declare import gate, input, param, state
from .membrane import Membrane


class ConnorStevensSodium(Channel):
    """Transient sodium, ``g m³h (v - e)`` (Dayan and Abbott 2001, eq. 6.22 to 6.24, appendix of chapter 6).

    >>> ConnorStevensSodium().e
    55.0
    """

    g = param(120.0, conductance, low=0.0, inclusive=True)
    e = param(55.0, mV)
    m = gate()
    h = gate()

    def gates(self, v: Any) -> dict[str, Gate]:
        return {
            "m": Rates(3.8 / exprel((v + 29.7) * -0.1), 15.2 * exp((v + 54.7) * -0.0556)),
            "h": Rates(0.266 * exp((v + 48.0) * -0.05), 3.8 / (1.0 + exp((v + 18.0) * -0.1))),
        }

    def current(self, s: Any, v: Any) -> Any:
        return self.g * s.m**3 * s.h * (v - self.e)


class ConnorStevensPotassium(Channel):
    """Delayed-rectifier potassium, ``g n⁴ (v - e)`` (Dayan and Abbott 2001, appendix of chapter 6).

    >>> ConnorStevensPotassium().g
    20.0
    """

    g = param(20.0, conductance, low=0.0, inclusive=True)
    e = param(-72.0, mV)
    n = gate()

    def gates(self, v: Any) -> dict[str, Gate]:
        return {"n": Rates(0.2 / exprel((v + 45.7) * -0.1), 0.25 * exp((v + 55.7) * -0.0125))}

    def current(self, s: Any, v: Any) -> Any:
        return self.g * s.n**4 * (v - self.e)


class ACurrent(Channel):
    """The transient potassium current that delays spikes, ``g a³b (v - e)`` (Connor and Stevens 1971; Dayan and
    Abbott 2001, appendix of chapter 6).

    >>> ACurrent().e
    -75.0
    """

    g = param(47.7, conductance, low=0.0, inclusive=True)
    e = param(-75.0, mV)
    a = gate()
    b = gate()

    def gates(self, v: Any) -> dict[str, Gate]:
        a = (0.0761 * exp((v + 94.22) * 0.0314) / (1.0 + exp((v + 1.17) * 0.0346))) ** (1.0 / 3.0)
        b = (1.0 / (1.0 + exp((v + 53.3) * 0.0688))) ** 4
        return {
            "a": Relaxation(a, 0.3632 + 1.158 / (1.0 + exp((v + 55.96) * 0.0497))),
            "b": Relaxation(b, 1.24 + 2.678 / (1.0 + exp((v + 50.0) * 0.0624))),
        }

    def current(self, s: Any, v: Any) -> Any:
        return self.g * s.a**3 * s.b * (v - self.e)


class ConnorStevens(Membrane):
    """Connor and Stevens 1971 in the form of Connor, Walter and McKown 1977 (Dayan and Abbott 2001, chapter 6).

    ``C dv/dt = i - g_na m³h (v - e_na) - g_k n⁴ (v - e_k) - g_ka a³b (v - e_ka) - g_leak (v - e_leak)``; densities.
    The A current delays the first spike and makes the rate start from 0 (class I). A spike is an upward crossing of
    ``v_threshold``.

    >>> list(ConnorStevens().states)
    ['v', 'm', 'h', 'n', 'a', 'b']
    """

    c = param(1.0, uF_per_cm2, low=0.0)
    v_threshold = param(-20.0, mV)
    v = state(-68.0, mV)
    i = input(uA_per_cm2)
    na = ConnorStevensSodium()
    k = ConnorStevensPotassium()
    ka = ACurrent()
    leak = Leak(g=0.3, e=-17.0)
