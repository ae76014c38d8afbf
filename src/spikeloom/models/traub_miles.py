"""The cortical cell of Traub and Miles, as the HH-COBA benchmark uses it."""

from __future__ import annotations

from typing import Any

from ..lang.math import exp, exprel
from ..units import membrane_conductance as conductance
from ..units import mV, pA, pF
from .channels import Channel, Gate, Leak, Rates
from .declare import gate, input, param, state
from .membrane import Membrane


class TraubSodium(Channel):
    """Transient sodium, ``g m³h (v - e)``; ``vt`` shifts its voltage axis (Brette et al. 2007, appendix 2).

    >>> TraubSodium(g=20000.0).vt
    -63.0
    """

    g = param(20000.0, conductance, low=0.0, inclusive=True)
    e = param(50.0, mV)
    vt = param(-63.0, mV)
    m = gate()
    h = gate()

    def gates(self, v: Any) -> dict[str, Gate]:
        u = v - self.vt
        return {
            "m": Rates(1.28 / exprel((13.0 - u) * 0.25), 1.4 / exprel((u - 40.0) * 0.2)),
            "h": Rates(0.128 * exp((17.0 - u) * (1.0 / 18.0)), 4.0 / (1.0 + exp((40.0 - u) * 0.2))),
        }

    def current(self, s: Any, v: Any) -> Any:
        return self.g * s.m**3 * s.h * (v - self.e)


class TraubPotassium(Channel):
    """Delayed-rectifier potassium, ``g n⁴ (v - e)``; ``vt`` shifts its voltage axis (Brette et al. 2007, appendix 2).

    >>> TraubPotassium().e
    -90.0
    """

    g = param(6000.0, conductance, low=0.0, inclusive=True)
    e = param(-90.0, mV)
    vt = param(-63.0, mV)
    n = gate()

    def gates(self, v: Any) -> dict[str, Gate]:
        u = v - self.vt
        return {"n": Rates(0.16 / exprel((15.0 - u) * 0.2), 0.5 * exp((10.0 - u) * 0.025))}

    def current(self, s: Any, v: Any) -> Any:
        return self.g * s.n**4 * (v - self.e)


class TraubMiles(Membrane):
    """A cortical cell with the fast channels of Traub and Miles 1991: the neuron of the HH-COBA benchmark.

    ``C dv/dt = i - g_na m³h (v - e_na) - g_k n⁴ (v - e_k) - g_leak (v - e_leak)`` with whole-cell units (pF, nS, pA)
    for a membrane of 20,000 µm² (Brette et al. 2007, appendix 2). A spike is an upward crossing of ``v_threshold``.

    >>> TraubMiles().c
    200.0
    """

    c = param(200.0, pF, low=0.0)
    v_threshold = param(-20.0, mV)
    v = state(-65.0, mV)
    i = input(pA)
    na = TraubSodium()
    k = TraubPotassium()
    leak = Leak(g=10.0, e=-65.0)
