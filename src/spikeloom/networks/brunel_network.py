"""Excitatory and inhibitory neurons in the four states of Brunel 2000."""

from __future__ import annotations

from ..models import LIF, Delta, Refractory
from ..sim.inputs import poisson
from ..sim.network import Network
from ..sim.result import Result
from ..sim.rules import fixed_in_degree
from .brunel import BrunelConfig
from .facts import Fact
from .measures import activity, after_transient, rhythm

_THRESHOLD, _TAU = 20.0, 20.0  # mV, ms
_EXCITATORY, _INHIBITORY, _FROM_EXC, _FROM_INH = 10_000, 2_500, 1_000, 250
_SOURCE = "NEST 3.10, full size"
# state: rates of exc and inh, their tolerance (a share), CV, frequency of the population with its range
_PUBLISHED = {
    "A": (332.7, 332.7, 0.03, 0.0, (332.7, 325.0, 340.0)),
    "B": (58.7, 59.0, 0.05, 0.77, (178.0, 165.0, 195.0)),
    "C": (37.4, 37.6, 0.05, 0.42, None),
    "D": (5.64, 5.68, 0.10, 0.56, (19.0, 15.0, 25.0)),
}
# ms of records whose CV is compared. How long NEST's was is not known: in state D the CV goes on growing with the
# record, in the others it does so only up to the first of these.
_RECORDS = {"A": (50.0, 1000.0), "B": (200.0, 1000.0), "C": (200.0, 1000.0), "D": (900.0, 1000.0)}


def build(config: BrunelConfig) -> Network:
    """Neurons of 20 ms, refractory for 2 ms; each gets ``eta`` 10 Hz from 1,000 external synapses, from rest."""
    net = Network(config.dt, config.seed, config.precision)
    cell = Refractory(LIF(tau=_TAU, v_threshold=_THRESHOLD, v_reset=10.0, r=1.0, reset_mechanism="value"), t_ref=2.0)
    sizes = {"exc": round(config.scale * _EXCITATORY), "inh": round(config.scale * _INHIBITORY)}
    both = [net.population(cell, size, name) for name, size in sizes.items()]
    j = config.j / config.scale
    weights = j, -config.ratio * j
    degrees = round(config.scale * _FROM_EXC), round(config.scale * _FROM_INH)
    for post in both:
        for pre, weight, degree in zip(both, weights, degrees, strict=True):
            net.connect(pre, post, fixed_in_degree(degree), weight=weight, delay=config.delay, synapse=Delta())
        # External synapses keep number and weight at any scale.
        net.drive(post, poisson(1e3 * config.drive * _THRESHOLD / (config.j * _TAU)), weight=config.j)
    return net


def facts(config: BrunelConfig, result: Result) -> dict[str, Fact]:
    """Rates, irregularity and the rhythm of the population, beside those of NEST."""
    peak = rhythm(after_transient(config, result, "exc"), config.dt)
    if not config.published:
        return {**activity(config, result), "peak of the spectrum below 400 Hz": Fact(peak, "Hz")}
    exc, inh, share, cv, known = _PUBLISHED[config.state]
    fact = Fact(peak, "Hz")
    if known is not None:
        usual, low, high = known
        fact = Fact(peak, "Hz", usual, low, high, _SOURCE)
    rates, record = {"exc": exc, "inh": inh}, _RECORDS[config.state]
    found = activity(config, result, rates=rates, spread=share * exc, cv=cv, record=record, source=_SOURCE)
    return {**found, "peak of the spectrum below 400 Hz": fact}
