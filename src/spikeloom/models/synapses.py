"""Synapses: what a weighted spike does to a membrane over time.

A *time course* (:class:`Delta`, :class:`Exponential`, :class:`Alpha`, :class:`DoubleExponential`) is by itself a
current-based synapse: a spike of weight w makes a current that peaks at w. :class:`Conductance` and :class:`NMDA`
turn a time course into a conductance, :class:`TsodyksMarkram` and :class:`Depression` scale each spike by what the
spikes before left. All are put into a neuron with ``sl.With(model, name=synapse)``.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ..errors import ModelError
from ..lang.math import exp, log1p, where
from ..units import Unit, mM, ms, mV, one
from ..units import membrane_conductance as conductance
from ..units import membrane_current as current
from .base import Values
from .declare import State, input, param, state
from .declared import Around
from .mechanism import Mechanism


class TimeCourse(Mechanism):
    """A current that follows each spike; its first state is the current."""

    receives: ClassVar[Unit | None] = current

    def inward(self, s: Any, v: Any, x: Any) -> Any:
        return s.i


class Delta(Mechanism):
    """A spike of weight w makes the membrane jump by w.

    >>> Delta()
    Delta()
    """

    receives: ClassVar[Unit | None] = mV

    def arrive(self, s: Any, amount: Any) -> dict[str, Any]:
        return {"v": amount}


class Exponential(TimeCourse):
    """``di/dt = -i/tau``; a spike of weight w adds w: the current jumps to w and decays.

    >>> Exponential(tau=5.0).tau
    5.0
    """

    tau = param(5.0, ms, low=0.0)
    i = state(0.0, current)

    def derivative(self, s: Any, v: Any, x: Any) -> dict[str, Any]:
        return {"i": -s.i / self.tau}

    def arrive(self, s: Any, amount: Any) -> dict[str, Any]:
        return {"i": s.i + amount}


class Alpha(TimeCourse):
    """``i(t) = w (t/tau) exp(1 - t/tau)`` after a spike of weight w: it peaks at w after ``tau`` (Rall 1967).

    As equations ``di/dt = rise - i/tau``, ``drise/dt = -rise/tau``; a spike adds ``w e/tau`` to ``rise``.

    >>> list(Alpha(tau=2.0).states)
    ['i', 'rise']
    """

    tau = param(2.0, ms, low=0.0)
    i = state(0.0, current)
    rise = state(0.0, current / ms)

    def derivative(self, s: Any, v: Any, x: Any) -> dict[str, Any]:
        return {"i": s.rise - s.i / self.tau, "rise": -s.rise / self.tau}

    def arrive(self, s: Any, amount: Any) -> dict[str, Any]:
        return {"rise": s.rise + amount * (math.e / self.tau)}


class DoubleExponential(TimeCourse):
    """``i(t) = w n (exp(-t/tau_decay) - exp(-t/tau_rise))`` after a spike of weight w, with n such that it peaks at w.

    Written as ``di/dt = rise - i/tau_decay``, ``drise/dt = -rise/tau_rise``, which holds for equal time constants
    too (then it is :class:`Alpha`). With ``r = tau_decay/tau_rise`` a spike adds ``w r^(1/(r - 1)) / tau_rise`` to
    ``rise``. The normalised difference is that of Destexhe, Mainen and Sejnowski 1994.

    >>> DoubleExponential(tau_rise=0.5, tau_decay=3.0).tau_decay
    3.0
    """

    tau_rise = param(0.5, ms, low=0.0)
    tau_decay = param(3.0, ms, low=0.0)
    i = state(0.0, current)
    rise = state(0.0, current / ms)

    def derivative(self, s: Any, v: Any, x: Any) -> dict[str, Any]:
        return {"i": s.rise - s.i / self.tau_decay, "rise": -s.rise / self.tau_rise}

    def arrive(self, s: Any, amount: Any) -> dict[str, Any]:
        excess = self.tau_decay / self.tau_rise - 1.0
        near = abs(excess) < 1e-4
        safe = where(near, 1.0, excess)
        # ln(r)/(r - 1), by its series where r is close to 1 (the next term is below 1e-16 there)
        power = where(near, 1.0 - excess * (0.5 - excess * (1.0 / 3.0 - excess * 0.25)), log1p(safe) / safe)
        return {"rise": s.rise + amount * (exp(power) / self.tau_rise)}


class _Shaped(Around, Mechanism):
    """A synapse made of a time course: it adds to what a spike does, or to what the time course does."""

    inner: Any

    def __init__(self, course: object, **values: object) -> None:
        if not isinstance(course, Mechanism) or course.receives is None:
            mend = "Such as sl.Exponential(tau=5.0)."
            raise ModelError(f"{type(self).__name__} is made of a synapse", got=repr(course), mend=mend)
        super().__init__(course, **values)
        self.__dict__["given_units"] = {**course.given_units, **self.given_units}

    def derivative(self, s: Any, v: Any, x: Any) -> dict[str, Any]:
        return self.inner.derivative(s, v, x)

    def inward(self, s: Any, v: Any, x: Any) -> Any:
        return self.inner.inward(s, v, x)

    def initial(self, v: Any) -> dict[str, Any]:
        return self.inner.initial(v)

    def arrive(self, s: Any, amount: Any) -> dict[str, Any]:
        return self.inner.arrive(s, amount)


class _AsConductance(_Shaped):
    """A time course read as a conductance: its current ``i`` becomes the conductance ``g``."""

    receives: ClassVar[Unit | None] = conductance

    def __init__(self, course: object, **values: object) -> None:
        if not isinstance(course, (TimeCourse, ReleasingSynapse)) or "i" not in course.states:
            mend = "Such as sl.Exponential(tau=5.0)."
            raise ModelError(f"{type(self).__name__} is made of a time course", got=repr(course), mend=mend)
        super().__init__(course, **values)
        units = {current.name: conductance, (current / ms).name: conductance / ms}
        self.__dict__["states"] = {
            "g" if name == "i" else name: State(s.default, units.get(s.unit.name, s.unit))
            for name, s in course.states.items()
        }

    def _inside(self, s: Values) -> Values:
        """Own states under the names that the time course knows."""
        return Values(**{"i" if name == "g" else name: value for name, value in vars(s).items()})

    def _outside(self, found: dict[str, Any]) -> dict[str, Any]:
        return {"g" if name == "i" else name: value for name, value in found.items()}

    def derivative(self, s: Any, v: Any, x: Any) -> dict[str, Any]:
        return self._outside(self.inner.derivative(self._inside(s), v, x))

    def initial(self, v: Any) -> dict[str, Any]:
        return self._outside(self.inner.initial(v))

    def arrive(self, s: Any, amount: Any) -> dict[str, Any]:
        return self._outside(self.inner.arrive(self._inside(s), amount))


class Conductance(_AsConductance):
    """``i = g (e - v)`` with the time course as conductance g; weights are conductances.

    >>> Conductance(Exponential(tau=10.0), e=-80.0)
    Conductance(Exponential(tau=10.0), e=-80.0)
    """

    e = param(0.0, mV)

    def inward(self, s: Any, v: Any, x: Any) -> Any:
        return s.g * (self.e - v)


class NMDA(_AsConductance):
    """``i = g B(v) (e - v)`` with the magnesium block ``B(v) = 1 / (1 + (mg / 3.57 mM) exp(-0.062 v / mV))``.

    Jahr and Stevens 1990, eq. 4a as used by Gerstner et al. 2014, eq. 3.4. ``mg`` is the concentration outside.

    >>> NMDA(DoubleExponential(tau_rise=3.0, tau_decay=100.0), mg=1.2).mg
    1.2
    """

    e = param(0.0, mV)
    mg = param(1.0, mM, low=0.0, inclusive=True)

    def unblocked(self, v: Any) -> Any:
        """The fraction of channels that magnesium leaves open at ``v``."""
        return 1.0 / (1.0 + self.mg * (1.0 / 3.57) * exp(-0.062 * v))

    def inward(self, s: Any, v: Any, x: Any) -> Any:
        return s.g * self.unblocked(v) * (self.e - v)


class ReleasingSynapse(_Shaped):
    """A synapse in which each spike counts by what the spikes before left."""

    @property
    def receives(self) -> Unit | None:  # type: ignore[override]
        """Weights have the unit that the inner synapse takes."""
        return self.inner.receives

    def released(self, s: Any) -> tuple[Any, dict[str, Any]]:
        """The fraction that a spike releases, and the states after it."""
        raise ModelError(f"{type(self).__name__} has no release rule")

    def arrive(self, s: Any, amount: Any) -> dict[str, Any]:
        fraction, after = self.released(s)
        spiked = abs(amount) > 0.0  # a step without a spike sends 0, which releases nothing
        changed = {name: where(spiked, value, getattr(s, name)) for name, value in after.items()}
        return {**self.inner.arrive(s, amount * fraction), **changed}


class TsodyksMarkram(ReleasingSynapse):
    """Short-term depression and facilitation of one connection (Tsodyks, Pawelzik and Markram 1998, eq. 2.1 to 2.4).

    Between spikes ``du/dt = -u/tau_facilitation`` and ``dx/dt = (1 - x)/tau_recovery``. At a spike u grows first,
    ``u <- u + u_release (1 - u)``, then ``w u x`` arrives at the inner synapse and ``x <- x - u x``.

    The states belong to one connection: send a single source into it.

    >>> synapse = TsodyksMarkram(Exponential(tau=3.0), u_release=0.25, tau_recovery=700.0, tau_facilitation=20.0)
    >>> list(synapse.states)
    ['i', 'u', 'x']
    """

    u_release = param(0.5, one, low=0.0, high=1.0, inclusive=True)
    tau_recovery = param(800.0, ms, low=0.0)
    tau_facilitation = param(50.0, ms, low=0.0)
    u = state(0.0, one)
    x = state(1.0, one)

    def derivative(self, s: Any, v: Any, x: Any) -> dict[str, Any]:
        own = {"u": -s.u / self.tau_facilitation, "x": (1.0 - s.x) / self.tau_recovery}
        return {**self.inner.derivative(s, v, x), **own}

    def released(self, s: Any) -> tuple[Any, dict[str, Any]]:
        u = s.u + self.u_release * (1.0 - s.u)
        return u * s.x, {"u": u, "x": s.x - u * s.x}


class Depression(ReleasingSynapse):
    """Short-term depression alone: ``dx/dt = (1 - x)/tau_recovery``; a spike delivers ``w u_release x`` and takes
    ``u_release x`` from x (Tsodyks and Markram 1997, eq. 1 to 3).

    >>> list(Depression(Exponential(tau=3.0)).states)
    ['i', 'x']
    """

    u_release = param(0.5, one, low=0.0, high=1.0, inclusive=True)
    tau_recovery = param(800.0, ms, low=0.0)
    x = state(1.0, one)

    def derivative(self, s: Any, v: Any, x: Any) -> dict[str, Any]:
        return {**self.inner.derivative(s, v, x), "x": (1.0 - s.x) / self.tau_recovery}

    def released(self, s: Any) -> tuple[Any, dict[str, Any]]:
        return self.u_release * s.x, {"x": s.x - self.u_release * s.x}


class GapJunction(Mechanism):
    """An electrical coupling to another cell, ``i = g (v_other - v)``.

    ``v_other`` is the other cell's voltage, held over each step: send it into the input ``v_other_NAME``.

    >>> from spikeloom.models import LIF, With
    >>> list(With(LIF(), gap=GapJunction(g=0.1)).inputs)
    ['i', 'v_other_gap']
    """

    g = param(1.0, conductance, low=0.0, inclusive=True)
    v_other = input(mV)

    def inward(self, s: Any, v: Any, x: Any) -> Any:
        return self.g * (x.v_other - v)


__all__ = [
    "NMDA", "Alpha", "Conductance", "Delta", "Depression", "DoubleExponential", "Exponential", "GapJunction",
    "ReleasingSynapse", "TsodyksMarkram",
]  # fmt: skip
