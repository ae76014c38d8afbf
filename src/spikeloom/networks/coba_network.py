"""Integrate-and-fire neurons with synaptic conductances that keep each other active."""

from __future__ import annotations

from ..models import LIF, Refractory
from ..sim.network import Network
from ..sim.result import Result
from .balanced import CobaConfig
from .conductances import WEIGHTS, start, synapses
from .facts import Fact
from .measures import activity
from .wiring import connect_balanced, populations

# rule: rate in Hz, what one seed may be off, CV, source; 200 to 1000 ms. NEST's ten seeds with Bernoulli connections
# lay between 15.6 and 19.7 Hz.
_PUBLISHED = {
    "fixed-in-degree": (14.39, 4 * 0.6, 1.45, "NEST 3.10, fixed in-degree, seeds that stayed alive"),
    "bernoulli": (18.1, 2.5, 1.57, "NEST 3.10, Bernoulli"),
}


def build(config: CobaConfig) -> Network:
    """Neurons of 20 ms and 200 pF, refractory for 5 ms."""
    net = Network(config.dt, config.seed, config.precision)
    cell = Refractory(
        LIF(tau=20.0, v_rest=-60.0, v_threshold=-50.0, v_reset=-60.0, r=0.1, reset_mechanism="value"), t_ref=5.0
    )
    both = populations(net, config, cell)
    connect_balanced(net, config, both, WEIGHTS, synapses())
    start(net, config, both, v_rest=-60.0)
    return net


def facts(config: CobaConfig, result: Result) -> dict[str, Fact]:
    """Rates and irregularity, beside those of other simulators."""
    if not config.usual:
        return activity(config, result)
    rate, spread, cv, source = _PUBLISHED[config.rule]
    return activity(config, result, rates={"exc": rate, "inh": rate}, spread=spread, cv=cv, source=source)
