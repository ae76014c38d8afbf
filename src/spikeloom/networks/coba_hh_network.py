"""Neurons with sodium and potassium channels and synaptic conductances that keep each other active."""

from __future__ import annotations

from ..models import TraubMiles
from ..sim.network import Network
from ..sim.result import Result
from ..solvers import RK4, ExponentialEuler, Midpoint
from .balanced import CobaHHConfig
from .conductances import WEIGHTS, start, synapses
from .facts import Fact
from .measures import activity
from .wiring import connect_balanced, populations

_RECORD = (260.0, 340.0)  # ms of records whose CV is like that of 300 ms, which grows by 0.3 from 225 ms
_SOLVERS = {"rk4": RK4(), "midpoint": Midpoint(), "exponential-euler": ExponentialEuler()}


def build(config: CobaHHConfig) -> Network:
    """Traub-Miles neurons of 20,000 square micrometres that rest at -60 mV."""
    net = Network(config.dt, config.seed, config.precision)
    both = populations(net, config, TraubMiles(e_leak=-60.0), _SOLVERS[config.solver])
    connect_balanced(net, config, both, WEIGHTS, synapses())
    start(net, config, both, v_rest=-60.0)
    return net


def facts(config: CobaHHConfig, result: Result) -> dict[str, Fact]:
    """Rates and irregularity, beside those of NEST."""
    if not config.usual or config.rule != "fixed-in-degree":
        return activity(config, result)
    source, rates = "NEST 3.10, fixed in-degree, 200 to 500 ms", {"exc": 31.6, "inh": 31.5}
    return activity(config, result, rates=rates, spread=4 * 1.8, cv=1.46, record=_RECORD, source=source)
