"""Noise: in the membrane, as a current with memory, and in the threshold."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

from ..errors import ModelError
from ..lang.math import exp, sqrt, where
from ..units import membrane_current as current
from ..units import ms, mV, one
from .base import NeuronModel, require_model
from .declare import draw, integral, param, state
from .mechanism import Mechanism
from .wrapper import Wrapper

_HALF = Fraction(1, 2)
_FAR = 80.0  # exp(80) is still finite in float32


class OrnsteinUhlenbeck(Mechanism):
    """A noise current with memory: ``di/dt = (mean - i)/tau + sigma sqrt(2/tau) ξ(t)`` (Uhlenbeck and Ornstein 1930).

    It has the stationary mean ``mean``, standard deviation ``sigma`` and autocorrelation ``exp(-|t|/tau)``; it starts
    at ``mean``. Put it into a neuron with ``sl.With(model, noise=sl.OrnsteinUhlenbeck(sigma=50.0))``.

    The current itself is exact for any step under the default solver; what it does to a membrane within a step is not.
    Keep dt well below ``tau``: at a fifth of it the variance of a membrane came out a sixth too low, at a fiftieth 2 %.

    >>> OrnsteinUhlenbeck(sigma=50.0, tau=2.0)
    OrnsteinUhlenbeck(sigma=50.0, tau=2.0)
    """

    mean = param(0.0, current)
    sigma = param(1.0, current, low=0.0, inclusive=True)
    tau = param(5.0, ms, low=0.0)
    i = state(0.0, current)

    def derivative(self, s: Any, v: Any, x: Any) -> dict[str, Any]:
        return {"i": (self.mean - s.i) / self.tau}

    def inward(self, s: Any, v: Any, x: Any) -> Any:
        return s.i

    def initial(self, v: Any) -> dict[str, Any]:
        return {"i": self.mean}

    def noise(self, s: Any) -> dict[str, Any]:
        return {"i": self.sigma * sqrt(2.0 / self.tau)}


class Noisy(Wrapper):
    """White noise in the membrane's equation: ``dv = ... + sigma_noise dW``, in mV per sqrt(ms) for a ``v`` in mV.

    In the convention ``tau dv = (µ - v) dt + σ sqrt(tau) dW`` of Brunel 2000 this is ``sigma_noise = σ / sqrt(tau)``;
    without a threshold v then has the variance σ²/2. Threshold crossings between grid points are missed, so rates
    come out low by O(sqrt(dt)).

    >>> from spikeloom.models import LIF
    >>> Noisy(LIF(tau=20.0), sigma_noise=0.2).random
    ('normal.v',)
    """

    sigma_noise = param(0.1, one, low=0.0, inclusive=True)

    def __init__(self, inner: NeuronModel, **values: object) -> None:
        require_model("Noisy", inner)
        unit = inner.states[inner.membrane].unit / ms**_HALF
        declared = type(self).params["sigma_noise"]
        self.__dict__["params"] = {"sigma_noise": dataclasses.replace(declared, unit=unit)}
        super().__init__(inner, **values)

    def noise(self, s: Any, x: Any) -> dict[str, Any]:
        return {**self.inner.noise(s, x), self.membrane: self.sigma_noise}


class EscapeRate(Wrapper):
    """A stochastic threshold: fires with the rate ``rate exp(q / width)``, q being the wrapped threshold quantity.

    For a LIF, ``q = v - v_threshold``: at the threshold it fires at ``rate`` (per ms), ``width`` above it e times as
    often (Gerstner et al. 2014, eq. 9.6 and 9.7; Jolivet et al. 2006). In a step it fires with the probability
    ``1 - exp(-∫ rate dt)``: where the rate integrated over the step exceeds an exponential random number. The rate is
    capped at ``most`` per ms, since an exponential of a voltage far above threshold overflows. A jump of the membrane
    ends its step, so it raises the chance of a spike from the step after it on.

    >>> from spikeloom.models import LIF
    >>> EscapeRate(LIF(tau=10.0), width=0.2).random
    ('exponential.chance',)
    """

    rate = param(1.0, ms**-1, low=0.0)
    width = param(1.0, mV, low=0.0)
    most = param(1000.0, ms**-1, low=0.0)
    hazard = integral()
    chance = draw("exponential")

    def __init__(self, inner: NeuronModel, **values: object) -> None:
        require_model("EscapeRate", inner)
        if inner.threshold(inner.symbols()[0]) is None:
            raise ModelError(f"{type(inner).__name__} has no threshold for EscapeRate to soften")
        super().__init__(inner, **values)

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        far = self.inner.threshold(s) / self.width
        over = far > _FAR
        rate = self.rate * exp(where(over, _FAR, far))
        return {**self.inner.derivative(s, x), "hazard": where(rate > self.most, self.most, rate)}

    def threshold(self, s: Any) -> Any:
        return s.hazard - s.chance

    def scale(self) -> Any:
        return 1.0
