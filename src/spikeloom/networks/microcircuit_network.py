"""Eight populations of integrate-and-fire neurons in four layers of cortex."""

from __future__ import annotations

import numpy as np

from ..models import LIF, Exponential, Refractory
from ..sim.distributions import normal
from ..sim.inputs import poisson
from ..sim.network import Network
from ..sim.result import Result
from ..sim.rules import fixed_total
from .facts import Fact
from .measures import after_transient, mean_cv
from .microcircuit import MicrocircuitConfig

POPULATIONS = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZES = np.array([20_683, 5_834, 21_915, 5_479, 4_850, 1_065, 14_395, 2_948])
# Probability that a pair is connected, [target, source] (Potjans & Diesmann 2014, table 5).
PROBABILITIES = np.array(
    [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
        [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
    ]
)
EXTERNAL = np.array([1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100])  # synapses from outside, per neuron
RATES = np.array([0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829])  # Hz, at full scale with constant input
# The same at a tenth of neurons and synapses with Poisson input: mean of four seeds of NEST, 500 to 1500 ms. The lost
# synapses change them: correlations are stronger.
TENTH_RATES = np.array([0.469, 2.109, 4.004, 5.037, 6.723, 7.802, 0.880, 7.020])
# Voltages near those of the running network, mean and standard deviation: no volley at the beginning.
START = (
    (-68.28, 5.36), (-63.16, 4.57), (-63.33, 4.74), (-63.45, 4.94),
    (-63.11, 4.94), (-61.66, 4.55), (-66.72, 5.46), (-61.43, 4.48),
)  # fmt: skip
_TAU, _TAU_SYNAPSE, _CAPACITY = 10.0, 0.5, 250.0  # ms, ms, pF
_PEAK, _INHIBITION, _OUTSIDE = 0.15, -4.0, 8.0  # mV at an excitatory spike; ratio of weights; Hz per external synapse
_SPREAD = 0.1  # standard deviation of weights over their mean
_DELAYS = (1.5, 0.75)  # ms, of excitatory and inhibitory spikes; the standard deviation is half the mean
# (scale, of in-degrees too, constant input): rates, tolerance as a share, source
_PUBLISHED = {
    (1.0, 1.0, True): (RATES, 0.15, "NEST, full size, constant input, one run"),
    (0.1, 0.1, False): (TENTH_RATES, 0.1, "NEST 3.10, a tenth, Poisson input, 4 seeds"),
}


def build(config: MicrocircuitConfig) -> Network:
    """Neurons of 10 ms, refractory for 2 ms, with currents of 0.5 ms; every pair of populations has a fixed number of
    synapses, with individual weights and delays."""
    net = Network(config.dt, config.seed, config.precision)
    leak = LIF(tau=_TAU, v_rest=-65.0, v_threshold=-50.0, v_reset=-65.0, r=_TAU / _CAPACITY, reset_mechanism="value")
    cell, synapse = Refractory(leak, t_ref=2.0), Exponential(tau=_TAU_SYNAPSE)
    made = [net.population(cell, size, name) for name, size in zip(POPULATIONS, sizes(config), strict=True)]
    numbers, means, currents = synapses(config), weights() / np.sqrt(config.degrees), constant_currents(config)
    for target, post in enumerate(made):
        mean, sd = START[target]
        post.set(v=normal(mean, sd))
        net.inject(post, float(currents[target]))
        for source, pre in enumerate(made):
            if not numbers[target, source]:
                continue
            mean, delay = float(means[target, source]), _DELAYS[source % 2]
            net.connect(
                pre, post, fixed_total(int(numbers[target, source])), synapse=synapse,
                weight=normal(mean, _SPREAD * abs(mean)), delay=normal(delay, 0.5 * delay, low=config.dt),
            )  # fmt: skip
        if not config.constant:
            rate = _OUTSIDE * round(float(EXTERNAL[target]) * config.degrees)
            net.drive(post, poisson(rate), weight=psc() / np.sqrt(config.degrees), into="exponential")
    return net


def sizes(config: MicrocircuitConfig) -> list[int]:
    """Neurons of each population."""
    return [round(float(n) * config.scale) for n in SIZES]


def full_synapses() -> np.ndarray:
    """Synapses of the full network, [target, source]: K draws of a pair leave it out with (1 - 1 / pairs)^K = 1 - C."""
    pairs = np.outer(SIZES, SIZES).astype(float)
    return np.log(1.0 - PROBABILITIES) / np.log((pairs - 1.0) / pairs)


def synapses(config: MicrocircuitConfig) -> np.ndarray:
    """Synapses of each pair of populations, [target, source]."""
    return np.rint(full_synapses() * config.scale * config.degrees).astype(np.int64)


def psc() -> float:
    """The current in pA, 87.8, that makes the membrane peak at 0.15 mV: for exponentials of both time constants."""
    a, b = _TAU, _TAU_SYNAPSE
    peak = (b / a) ** (b / (a - b)) - (b / a) ** (a / (a - b))
    return _PEAK * _CAPACITY * (a - b) / (a * b * peak)


def weights() -> np.ndarray:
    """Mean weights in pA at full scale, [target, source]; those from L4E to L23E are twice as strong."""
    found = np.full((8, 8), psc())
    found[:, 1::2] *= _INHIBITION
    found[0, 2] *= 2.0
    return found


def constant_currents(config: MicrocircuitConfig) -> np.ndarray:
    """Current into each population in pA: the mean of the background, and of what fewer synapses no longer bring.

    K times the synapses with weights 1 / sqrt(K) bring sqrt(K) times the mean (van Albada et al. 2015, eq. 2).
    """
    lost = 1.0 - np.sqrt(config.degrees)
    within = (weights() * full_synapses() / SIZES[:, None]) @ RATES
    outside = psc() * EXTERNAL * _OUTSIDE
    return 1e-3 * _TAU_SYNAPSE * (lost * within + (1.0 if config.constant else lost) * outside)


def facts(config: MicrocircuitConfig, result: Result) -> dict[str, Fact]:
    """Rates beside those of NEST for the same size and input, how irregularly neurons fire, numbers of synapses."""
    trains = {name: after_transient(config, result, name) for name in POPULATIONS}
    found = {f"rate of {name}": Fact(spikes.rate(), "Hz") for name, spikes in trains.items()}
    if (kind := (config.scale, config.degrees, config.constant)) in _PUBLISHED:
        rates, share, source = _PUBLISHED[kind]
        for (what, fact), known in zip(found.items(), rates.tolist(), strict=True):
            found[what] = Fact.near(fact.value, "Hz", known, share * known, source)
    found |= {f"CV of {name}": Fact(mean_cv(spikes)) for name, spikes in trains.items()}
    count, known = int(synapses(config).sum()), "the paper's probabilities"
    whole = config.scale == config.degrees == 1.0
    return {**found, "synapses": Fact.near(count, "", 298_880_968, 0.0, known) if whole else Fact(count)}
