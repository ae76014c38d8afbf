"""A spike that runs around a ring of Hodgkin-Huxley neurons, after the ring of NEURON's tutorial.

That one has cells with a dendrite, on which the synapses are. These are points, so their figures are their own: what a
single neuron does after one synaptic event says them all.
"""

from __future__ import annotations

import numpy as np

from ..models import Conductance, Exponential, HodgkinHuxley
from ..sim.given import from_pairs
from ..sim.network import Network
from ..sim.result import Result
from .facts import Fact
from .ring import RingConfig

_START = 1.0  # ms at which the source fires


def build(config: RingConfig) -> Network:
    """Neuron k excites neuron k + 1, the last one the first."""
    net = Network(config.dt, config.seed, config.precision)
    ring = net.population(HodgkinHuxley(), config.neurons, "ring")
    start = net.spikes([max(_START, config.dt)], [0], 1, "start")
    synapse = Conductance(Exponential(tau=config.tau), e=0.0)
    here = np.arange(config.neurons)
    nearest = from_pairs(here, np.roll(here, -1))
    for pre, rule in ((ring, nearest), (start, from_pairs([0], [0]))):
        net.connect(pre, ring, rule, weight=config.weight, delay=config.delay, synapse=synapse)
    return net


def facts(config: RingConfig, result: Result) -> dict[str, Fact]:
    """Spikes, and the time from one neuron to the next."""
    times = result.spikes["ring"].times
    gaps = np.diff(times)
    gap = float(gaps.mean()) if len(gaps) else float("nan")
    return {
        "spikes": Fact(float(len(times))),
        "laps": Fact(len(times) / config.neurons),
        "time from neuron to neuron": Fact(gap, "ms"),
    }
