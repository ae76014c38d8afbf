"""Wrappers: what any spiking neuron can be given without writing it again."""

from __future__ import annotations

from typing import Any

from ..units import ms, mV
from .declare import param, timer
from .wrapper import Wrapper


class Refractory(Wrapper):
    """Holds the membrane for ``ceil(t_ref / dt)`` steps after each spike; input to it is ignored meanwhile.

    Other states go on evolving. With k held steps the inter-spike interval is k + the time to threshold.

    >>> from spikeloom.models import LIF
    >>> Refractory(LIF(tau=10.0), t_ref=2.0)
    Refractory(LIF(tau=10.0), t_ref=2.0)
    """

    t_ref = param(2.0, ms, low=0.0, inclusive=True)
    remaining = timer()

    def refractory(self, s: Any) -> Any:
        held, own = self.inner.refractory(s), s.remaining > 0.0
        return own if held is None else own | held

    def reset(self, s: Any) -> dict[str, Any]:
        return {**self.inner.reset(s), "remaining": self.t_ref}


class Peak(Wrapper):
    """Shows ``v_peak`` to recorders in the step of a spike; the dynamics do not change.

    >>> from spikeloom.models import LIF
    >>> Peak(LIF(tau=10.0), v_peak=30.0).peak()
    {'v': 30.0}
    """

    v_peak = param(30.0, mV)

    def peak(self) -> dict[str, Any]:
        return {**self.inner.peak(), self.membrane: self.v_peak}


__all__ = ["Peak", "Refractory"]
