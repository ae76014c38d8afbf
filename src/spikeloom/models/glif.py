"""Generalised leaky integrate-and-fire neurons: a leaky membrane, wrapped in reset rules, currents and thresholds.

The five levels of the Allen Institute's family are compositions of these wrappers, each of which fits other models
as well. All of them are linear between spikes, so the exact solver takes them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ..errors import ModelError, ParameterError
from ..lang.math import exp
from ..units import ms, mV, nS, one, pA, pF
from .base import NeuronModel, Values
from .declare import input, param, state
from .presets import Preset
from .wrapper import Wrapper
from .wrappers import Refractory


def _rest(model: NeuronModel) -> Any:
    """Where the membrane of ``model`` starts: what reset rules and thresholds measure it from."""
    return model.initial_values()[model.membrane]


def _after_cut(model: NeuronModel, jump: Any, rate: Any) -> Any:
    """The jump at the spike of which ``jump`` is left at the end of the refractory period, as it decays with ``rate``.

    A model that is not refractory has no such period.
    """
    return jump * exp(rate * model.t_ref) if "t_ref" in model.params else jump


class ResetRule(Wrapper):
    """A reset that keeps a part of the voltage: ``v <- v_rest + f_v (v - v_rest) - delta_v`` (Teeter et al., eq. 5).

    ``v_rest`` is where the wrapped model starts. Everything else it resets stays as it is. With rules by which ``v``
    lands above the threshold, the neuron fires again at once or at the end of its refractory period.

    >>> from spikeloom.models import LIF
    >>> ResetRule(LIF(), f_v=0.5, delta_v=0.0).reset(Values(v=1.0))
    {'v': 0.5}
    """

    f_v = param(0.2, one)
    delta_v = param(-18.51, mV)

    def reset(self, s: Any) -> dict[str, Any]:
        rest = _rest(self.inner)
        kept = rest + self.f_v * (getattr(s, self.membrane) - rest) - self.delta_v
        return {**self.inner.reset(s), self.membrane: kept}


class AfterSpikeCurrents(Wrapper):
    """Two currents that each spike sets off: ``d asc_j/dt = -k_j asc_j`` (Teeter et al. 2018, eq. 1, 3 and 7).

    They add to the first input of the wrapped model, which takes pA; negative ones hyperpolarise. A spike leaves
    ``asc_j <- f_j asc_j exp(-k_j t_ref) + delta_asc_j`` at the end of its refractory time, which is what the paper's
    amplitudes mean. While the wrapped model is refractory the currents go on decaying, so at the spike itself they
    become ``f_j asc_j + delta_asc_j exp(k_j t_ref)``. Around a model that is not refractory, or with
    :class:`Refractory` outside, ``delta_asc_j`` is the jump at the spike. An amplitude of 0 takes a current out.

    >>> from spikeloom.models import LIF
    >>> neuron = AfterSpikeCurrents(LIF(), k_1=0.1, delta_asc_1=-2.0)
    >>> neuron.derivative(Values(v=0.0, asc_1=-2.0, asc_2=0.0), Values(i=2.0))["asc_1"]
    0.2
    """

    k_1 = param(0.003, 1 / ms, low=0.0)
    k_2 = param(0.1, 1 / ms, low=0.0)
    f_1 = param(1.0, one)
    f_2 = param(1.0, one)
    delta_asc_1 = param(-9.18, pA)
    delta_asc_2 = param(-198.94, pA)
    asc_1 = state(0.0, pA)
    asc_2 = state(0.0, pA)

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        if not self.inputs:
            raise ModelError(
                f"{self.inner!r} has no input for after-spike currents", mend="Declare i = sl.input(sl.pA)."
            )
        target = next(iter(self.inputs))
        driven = Values(**{**vars(x), target: getattr(x, target) + s.asc_1 + s.asc_2})
        return {**self.inner.derivative(s, driven), "asc_1": -self.k_1 * s.asc_1, "asc_2": -self.k_2 * s.asc_2}

    def reset(self, s: Any) -> dict[str, Any]:
        first = self.f_1 * s.asc_1 + _after_cut(self.inner, self.delta_asc_1, self.k_1)
        second = self.f_2 * s.asc_2 + _after_cut(self.inner, self.delta_asc_2, self.k_2)
        return {**self.inner.reset(s), "asc_1": first, "asc_2": second}


class SpikeThreshold(Wrapper):
    """A threshold that each spike raises: ``d theta_s/dt = -b_s theta_s`` (Teeter et al. 2018, eq. 2 and 6).

    ``theta_s`` is what it lies above the threshold of the wrapped model. A spike leaves
    ``theta_s <- theta_s exp(-b_s t_ref) + delta_theta_s`` at the end of its refractory time, where the wrapped model
    has one (see :class:`AfterSpikeCurrents`).

    >>> from spikeloom.models import LIF
    >>> SpikeThreshold(LIF(), delta_theta_s=0.2).reset(Values(v=1.0, theta_s=0.1))["theta_s"].__round__(3)
    0.3
    """

    b_s = param(0.009, 1 / ms, low=0.0)
    delta_theta_s = param(0.37, mV)
    theta_s = state(0.0, mV)

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        return {**self.inner.derivative(s, x), "theta_s": -self.b_s * s.theta_s}

    def threshold(self, s: Any) -> Any:
        return self.inner.threshold(s) - s.theta_s

    def reset(self, s: Any) -> dict[str, Any]:
        raised = s.theta_s + _after_cut(self.inner, self.delta_theta_s, self.b_s)
        return {**self.inner.reset(s), "theta_s": raised}


class VoltageThreshold(Wrapper):
    """A threshold that follows the voltage: ``d theta_v/dt = a_v (v - v_rest) - b_v theta_v`` (Teeter et al. 2018,
    eq. 4 and 8).

    ``theta_v`` is what it lies above the threshold of the wrapped model, ``theta_v - theta_inf`` in the paper, and
    ``v_rest`` where that model starts. Spikes do not change it, and it stands still while the neuron is refractory.

    >>> from spikeloom.models import LIF
    >>> VoltageThreshold(LIF()).held
    ('v', 'theta_v')
    """

    a_v = param(0.005, 1 / ms)
    b_v = param(0.09, 1 / ms, low=0.0)
    theta_v = state(0.0, mV)

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        distance = getattr(s, self.membrane) - _rest(self.inner)
        return {**self.inner.derivative(s, x), "theta_v": self.a_v * distance - self.b_v * s.theta_v}

    def threshold(self, s: Any) -> Any:
        return self.inner.threshold(s) - s.theta_v

    @property
    def held(self) -> tuple[str, ...]:
        return (*self.inner.held, "theta_v")


class _Leaky(NeuronModel):
    """``C dv/dt = i - g_l (v - e_l)``, fires at ``v >= v_threshold``, back to ``e_l`` (Teeter et al. 2018, eq. 1)."""

    c = param(58.72, pF, low=0.0)
    g_l = param(9.43, nS, low=0.0)
    e_l = param(-78.85, mV)
    v_threshold = param(-51.68, mV)
    v = state(-78.85, mV)
    i = input(pA)

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        return {"v": (x.i - self.g_l * (s.v - self.e_l)) / self.c}

    def threshold(self, s: Any) -> Any:
        return s.v - self.v_threshold

    def reset(self, s: Any) -> dict[str, Any]:
        return {"v": self.e_l}

    def initial(self) -> dict[str, Any]:
        return {"v": self.e_l}

    def scale(self) -> Any:
        return self.v_threshold - self.e_l


class _Composition(Wrapper):
    """A composition under a name of its own: its parameters are those of its parts."""

    def __init__(self, *positional: object, **values: object) -> None:
        if positional:
            raise ParameterError(f"{type(self).__name__} takes no unnamed values", got=positional, mend="Name them.")
        parts = self.compose()
        super().__init__(parts, **values)
        defaults = {name: dataclasses.replace(p, default=getattr(parts, name)) for name, p in self.params.items()}
        self.__dict__["params"] = defaults

    @classmethod
    def compose(cls) -> NeuronModel:
        """The model with its default parameters."""
        raise ModelError(f"{cls.__name__} has no parts", mend="Define compose(cls), which returns a model.")

    def replace(self, **values: object) -> Self:
        options = {name: getattr(self, name) for name in self.options}
        return type(self)(**{**self.values, **options, **values})

    def __repr__(self) -> str:
        return NeuronModel.__repr__(self)


def _cell(current: float = 350.0) -> Mapping[str, Preset]:
    """The published cell, which the defaults are."""
    summary = "a cell of the Allen Cell Types Database"
    source = "cell 490626718, Teeter et al. 2018, as rounded in NEST's glif_psc"
    return {"allen-490626718": Preset(summary, {}, source, current=current, duration=500.0, dt=0.05)}


class GLIF1(_Composition):
    """Level 1, LIF: ``C dv/dt = i - g_l (v - e_l)``; fires at ``v >= v_threshold``; ``v <- e_l``, which holds for
    ``t_ref`` (Teeter et al. 2018, eq. 1). In pF, nS, mV, pA and ms.

    The defaults of all five levels are one cell of the Allen Cell Types Database (490626718, fitted at level 5).
    The paper cuts ``t_ref`` out of the recording; the refractory time is a whole number of steps, rounded up.

    >>> GLIF1(t_ref=2.0)
    GLIF1(t_ref=2.0)
    """

    presets: ClassVar[Mapping[str, Preset]] = _cell()

    @classmethod
    def compose(cls) -> NeuronModel:
        return Refractory(_Leaky(), t_ref=3.75)


class GLIF2(_Composition):
    """Level 2, LIF-R: :class:`GLIF1` with :class:`ResetRule` and :class:`SpikeThreshold` (Teeter et al. 2018).

    ``v <- e_l + f_v (v - e_l) - delta_v``, and the threshold is ``v_threshold + theta_s``.

    >>> GLIF2().threshold(Values(v=-51.68, theta_s=0.5))
    -0.5
    """

    presets: ClassVar[Mapping[str, Preset]] = _cell()

    @classmethod
    def compose(cls) -> NeuronModel:
        return SpikeThreshold(ResetRule(GLIF1.compose()))


class GLIF3(_Composition):
    """Level 3, LIF-ASC: :class:`GLIF1` with :class:`AfterSpikeCurrents` (Teeter et al. 2018).

    >>> sorted(GLIF3().states)
    ['asc_1', 'asc_2', 'remaining', 'v']
    """

    presets: ClassVar[Mapping[str, Preset]] = _cell()

    @classmethod
    def compose(cls) -> NeuronModel:
        return AfterSpikeCurrents(GLIF1.compose())


class GLIF4(_Composition):
    """Level 4, LIF-R-ASC: reset rules of :class:`GLIF2`, after-spike currents of :class:`GLIF3`.

    >>> sorted(GLIF4().states)
    ['asc_1', 'asc_2', 'remaining', 'theta_s', 'v']
    """

    presets: ClassVar[Mapping[str, Preset]] = _cell()

    @classmethod
    def compose(cls) -> NeuronModel:
        return AfterSpikeCurrents(GLIF2.compose())


class GLIF5(_Composition):
    """Level 5, LIF-R-ASC-A: :class:`GLIF4` with :class:`VoltageThreshold` (Teeter et al. 2018).

    The threshold is ``v_threshold + theta_s + theta_v``.

    >>> from spikeloom.solvers import default_solver
    >>> default_solver(GLIF5())
    Exact()
    """

    presets: ClassVar[Mapping[str, Preset]] = _cell()

    @classmethod
    def compose(cls) -> NeuronModel:
        return VoltageThreshold(GLIF4.compose())


__all__ = ["GLIF1", "GLIF2", "GLIF3", "GLIF4", "GLIF5", "AfterSpikeCurrents", "ResetRule", "SpikeThreshold",
           "VoltageThreshold"]  # fmt: skip
