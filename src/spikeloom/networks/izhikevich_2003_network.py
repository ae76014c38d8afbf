"""Izhikevich's 1000 neurons, by his own scheme."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.random import key_of
from ..models import Izhikevich, With
from ..models.declare import input
from ..models.mechanism import Mechanism
from ..sim.distributions import uniform
from ..sim.groups import Population
from ..sim.inputs import noise
from ..sim.network import Network
from ..sim.result import Result
from ..sim.rules import all_to_all
from ..sim.statistics import binned
from ..solvers import SequentialEuler
from ..units import membrane_current as current
from .facts import Fact
from .izhikevich_2003 import Izhikevich2003Config
from .measures import BOTH, activity, after_transient

_NOISE = {"exc": 5.0, "inh": 2.0}  # standard deviation, mV/ms
_TOP = {"exc": 0.5, "inh": -1.0}  # weights lie between 0 and this
_SOURCE = "the author's script, 20 seeds of 2 s"


class Thalamus(Mechanism):
    """A current beside the one that spikes feed, held over each step."""

    amount = input(current)

    def inward(self, s: Any, v: Any, x: Any) -> Any:
        return x.amount


def build(config: Izhikevich2003Config) -> Network:
    """Cells between regular spiking and chattering, and between fast spiking and low-threshold spiking.

    Spikes of a step are part of the current of the next one, as in the script: they feed the input ``i`` with a delay
    of one step.
    """
    net = Network(config.dt, config.seed, config.precision)
    r, s = (uniform(0.0, 1.0).draw(key_of(config.seed, f"kind of {n}"), k)
            for n, k in (("exc", config.excitatory), ("inh", config.inhibitory)))  # fmt: skip
    cells = {
        "exc": Izhikevich(a=0.02, b=0.2, c=-65.0 + 15.0 * r * r, d=8.0 - 6.0 * r * r),
        "inh": Izhikevich(a=0.02 + 0.08 * s, b=0.25 - 0.05 * s, c=-65.0, d=2.0),
    }
    made: dict[str, Population] = {}
    for name, cell in cells.items():
        size = config.excitatory if name == "exc" else config.inhibitory
        made[name] = net.population(With(cell, thalamus=Thalamus()), size, name, solver=SequentialEuler(substeps=2))
        net.inject(made[name], noise(sd=_NOISE[name]), into="amount_thalamus")
    for pre in cells:
        weight = uniform(min(0.0, _TOP[pre]), max(0.0, _TOP[pre]))
        for post in cells:
            net.connect(made[pre], made[post], all_to_all(), weight=weight, delay=1.0, into="i")
    return net


def facts(config: Izhikevich2003Config, result: Result) -> dict[str, Fact]:
    """Rates, the slow rhythm, and the share of the gamma band in the power up to 200 Hz."""
    counts = np.sum([binned(after_transient(config, result, name), 1.0) for name in BOTH], axis=0)
    frequencies = np.fft.rfftfreq(len(counts), 1e-3)
    power = np.abs(np.fft.rfft(counts - counts.mean())) ** 2
    slow, gamma = (frequencies >= 2) & (frequencies <= 20), (frequencies >= 30) & (frequencies <= 60)
    share = float(power[gamma].sum() / max(power[frequencies <= 200].sum(), 1e-300))
    rates = activity(config, result)
    if (config.excitatory, config.inhibitory, config.duration, config.discard) == (800, 200, 2000.0, 0.0):
        rates["rate of exc"] = Fact.near(rates["rate of exc"].value, "Hz", 7.42, 4 * 0.13, _SOURCE)
        rates["rate of inh"] = Fact.near(rates["rate of inh"].value, "Hz", 7.011, 4 * 0.197, _SOURCE)
    slow_peak = float(frequencies[slow][power[slow].argmax()]) if slow.any() else float("nan")
    return {**rates, "slow peak of the spectrum": Fact(slow_peak, "Hz"), "share of 30 to 60 Hz": Fact(share)}
