"""Integrate-and-fire neurons with synaptic currents that keep each other active."""

from __future__ import annotations

from ..models import LIF, Delta, Exponential, Refractory
from ..models.mechanism import Mechanism
from ..sim.distributions import uniform
from ..sim.network import Network
from ..sim.result import Result
from .balanced import CubaConfig
from .facts import Fact
from .measures import activity
from .wiring import connect_balanced, populations

# Excitatory and inhibitory weight: pA, or mV where the synapse is a jump.
_WEIGHTS = {"brette": (16.2, -90.0), "nest": (16.2, -139.5), "delta": (0.25, -2.25)}
# (weights, rule): excitatory rate, inhibitory rate, tolerance of both in Hz, CV, source; 200 to 1000 ms.
_NEST, _BRIAN = "NEST 3.10, fixed in-degree", "Brian2 2.9, Bernoulli"
_PUBLISHED = {
    ("brette", "fixed-in-degree"): (5.26, 5.17, 0.13, 0.58, _NEST),
    ("brette", "bernoulli"): (5.7, 5.6, 0.4, None, _BRIAN),
    ("nest", "fixed-in-degree"): (3.93, 3.99, 0.07, 0.64, _NEST),
    ("delta", "fixed-in-degree"): (9.51, 9.55, 0.09, 0.42, _NEST + ", dt 0.125 ms"),
}
_SEEDS = 4.0  # standard deviations over seeds that one run may be off


def build(config: CubaConfig) -> Network:
    """Neurons of 20 ms, 200 pF, resting 1 mV above threshold, refractory for 5 ms; voltages start between reset and
    threshold."""
    net = Network(config.dt, config.seed, config.precision)
    cell = Refractory(
        LIF(tau=20.0, v_rest=-49.0, v_threshold=-50.0, v_reset=-60.0, r=0.1, reset_mechanism="value"), t_ref=5.0
    )
    exc, inh = populations(net, config, cell)
    for population in (exc, inh):
        population.set(v=uniform(-60.0, -50.0))
    delta = config.weights == "delta"
    synapses: tuple[Mechanism, Mechanism] = (
        (Delta(), Delta()) if delta else (Exponential(tau=5.0), Exponential(tau=10.0))
    )
    connect_balanced(net, config, (exc, inh), _WEIGHTS[config.weights], synapses)
    return net


def facts(config: CubaConfig, result: Result) -> dict[str, Fact]:
    """Rates and irregularity, beside those of other simulators."""
    known = _PUBLISHED.get((config.weights, config.rule))
    step = 0.125 if config.weights == "delta" else 0.1
    if known is None or not config.usual or abs(config.dt - step) > 1e-9:
        return activity(config, result)
    exc, inh, spread, cv, source = known
    return activity(config, result, rates={"exc": exc, "inh": inh}, spread=_SEEDS * spread, cv=cv, source=source)
