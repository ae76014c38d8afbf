"""Bursting in three variables: spikes and silence of a fast pair, in turns set by a slow one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..units import ms, one
from .base import NeuronModel
from .declare import input, param, state
from .presets import Preset


def _at(current: float, summary: str) -> Preset:
    source = "Hindmarsh and Rose 1984, Proc. R. Soc. Lond. B 221; regimes after Gonzalez-Miranda 2003, Chaos 13"
    return Preset(summary, {}, source, current=current, duration=2000.0, dt=0.05)


class HindmarshRose(NeuronModel):
    """The three equations of Hindmarsh and Rose (1984)::

        tau dx/dt = y - a x³ + b x² - z + i
        tau dy/dt = c - d x² - y
        tau dz/dt = r (s (x - x_r) - z)

    ``x`` is the membrane, ``y`` its fast recovery, ``z`` the slow adaptation. Nothing has a unit in the paper, time
    included; here its unit is ``tau`` = 1 ms. It starts at ``x = x_r``, which is close to rest without input.

    A spike is an upward crossing of ``v_threshold`` = 0 by ``x``: within a burst x falls below it between spikes.
    In the chaotic presets single spikes depend on the last digit: compare statistics, never traces.

    >>> HindmarshRose().membrane
    'x'
    >>> sorted(HindmarshRose.presets)[:3]
    ['bursting', 'chaotic', 'periodic-bursting']
    """

    tau = param(1.0, ms, low=0.0)
    a = param(1.0, one)
    b = param(3.0, one)
    c = param(1.0, one)
    d = param(5.0, one)
    r = param(0.006, one)
    s = param(4.0, one)
    x_r = param(-1.6, one)
    v_threshold = param(0.0, one)
    x = state(-1.6, one)
    y = state(-11.8, one)
    z = state(0.0, one)
    i = input(one)

    presets: ClassVar[Mapping[str, Preset]] = {
        "quiet": _at(1.2, "a few spikes at the onset, then silence"),
        "slow-spiking": _at(1.5, "single spikes, far apart"),
        "bursting": _at(2.0, "bursts of two spikes, each like the last"),
        "chaotic": _at(3.25, "bursts that never repeat"),
        "periodic-bursting": _at(3.3, "bursts of four spikes, each like the last"),
        "tonic": _at(4.0, "spikes at even intervals"),
    }

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        square = s.x * s.x
        return {
            "x": (s.y + square * (self.b - self.a * s.x) - s.z + x.i) / self.tau,
            "y": (self.c - self.d * square - s.y) / self.tau,
            "z": self.r * (self.s * (s.x - self.x_r) - s.z) / self.tau,
        }

    def threshold(self, s: Any) -> Any:
        return s.x - self.v_threshold

    def initial(self) -> dict[str, Any]:
        """The fast pair close to rest, the slow state at 0."""
        return {"x": self.x_r, "y": self.c - self.d * self.x_r * self.x_r}


__all__ = ["HindmarshRose"]
