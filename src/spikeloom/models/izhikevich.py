"""The simple model of Izhikevich: a quadratic membrane and a recovery variable, which make most firing patterns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..units import ms, mV, one
from .base import NeuronModel
from .declare import input, param, state
from .izhikevich_presets import CELL_TYPES, PATTERNS
from .presets import Preset


class Izhikevich(NeuronModel):
    """Izhikevich 2003 (IEEE Trans. Neural Netw. 14, eq. 1 to 3)::

        dv/dt = k2 v² + k1 v + k0 - u + i          (k2, k1, k0 = 0.04, 5, 140)
        du/dt = a (b (v - v_u) - decay u)          (v_u, decay = 0, 1)
        spike at v >= v_peak = 30:  v = c,  u = u + d

    in mV and ms; ``u``, ``d`` and the input are in mV/ms, ``a`` and ``b`` in 1/ms. It starts at -65 mV with
    ``u = b (v - v_u)``. The coefficients that the paper keeps fixed are parameters, because its sequel changes them
    (Izhikevich 2004, IEEE Trans. Neural Netw. 15, fig. 1): ``k1, k0 = 4.1, 108`` for two patterns, ``v_u, decay =
    -65, 0`` for another.

    Presets: the cell types of the first paper, such as "regular-spiking", and the twenty patterns of the second, such
    as "tonic-bursting", with their inputs, initial values, step and scheme. The author's results belong to his
    integration schemes: :class:`~spikeloom.solvers.SequentialEuler` at the step of the preset for the patterns, and
    ``SequentialEuler(substeps=2)`` at 1 ms for the network of 1000 neurons. An accurate solver gives other spikes: RK4
    at dt <= 0.1 ms, since the upstroke passes 300 mV/ms, or one that locates spikes between the points of the grid,
    such as :class:`~spikeloom.solvers.DormandPrince`.

    >>> from spikeloom import simulate
    >>> from spikeloom.solvers import SequentialEuler
    >>> shown = Izhikevich.presets["tonic-spiking"]
    >>> trace = simulate(Izhikevich.preset("tonic-spiking"), shown.current, shown.duration, shown.dt,
    ...                  solver=SequentialEuler(), state=shown.state)
    >>> trace.spike_times.tolist()
    [13.0, 17.0, 31.5, 59.25, 86.75]
    """

    a = param(0.02, 1 / ms)
    b = param(0.2, 1 / ms)
    c = param(-65.0, mV)
    d = param(8.0, mV / ms)
    k2 = param(0.04, 1 / (mV * ms))
    k1 = param(5.0, 1 / ms)
    k0 = param(140.0, mV / ms)
    v_u = param(0.0, mV)
    decay = param(1.0, one)
    v_peak = param(30.0, mV)
    v = state(-65.0, mV)
    u = state(0.0, mV / ms)
    i = input(mV / ms)

    presets: ClassVar[Mapping[str, Preset]] = {**CELL_TYPES, **PATTERNS}

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        return {
            "v": self.k2 * s.v * s.v + self.k1 * s.v + self.k0 - s.u + x.i,
            "u": self.a * (self.b * (s.v - self.v_u) - self.decay * s.u),
        }

    def threshold(self, s: Any) -> Any:
        return s.v - self.v_peak

    def reset(self, s: Any) -> dict[str, Any]:
        return {"v": self.c, "u": s.u + self.d}

    def peak(self) -> dict[str, Any]:
        """Recorders are shown the peak and not where in the upstroke the grid caught it, as in the author's figures."""
        return {"v": self.v_peak}

    def initial(self) -> dict[str, Any]:
        """The recovery variable in equilibrium with the initial voltage."""
        return {"u": self.b * (self.states["v"].default - self.v_u)}

    def scale(self) -> Any:
        return self.v_peak - self.c


__all__ = ["Izhikevich"]
