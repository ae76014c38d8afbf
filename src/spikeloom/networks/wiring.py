"""What the balanced networks share: two populations, and random connections from each to both."""

from __future__ import annotations

from ..models.base import NeuronModel
from ..models.mechanism import Mechanism
from ..sim.edges import Rule
from ..sim.groups import Population
from ..sim.network import Network
from ..sim.rules import fixed_in_degree, fixed_probability
from ..solvers import Solver
from .balanced import BalancedConfig


def populations(
    net: Network, config: BalancedConfig, model: NeuronModel, solver: Solver | None = None
) -> tuple[Population, Population]:
    """The excitatory and the inhibitory population, called "exc" and "inh"."""
    exc = net.population(model, config.excitatory, "exc", solver=solver)
    return exc, net.population(model, config.inhibitory, "inh", solver=solver)


def connect_balanced(
    net: Network, config: BalancedConfig, both: tuple[Population, Population], weights: tuple[float, float],
    synapses: tuple[Mechanism, Mechanism],
) -> None:  # fmt: skip
    """Connect each population to both; ``weights`` and ``synapses`` belong to the source."""
    degrees = config.in_degree - config.in_degree // 5, config.in_degree // 5
    for pre, weight, synapse, degree in zip(both, weights, synapses, degrees, strict=True):
        for post in both:
            net.connect(pre, post, _rule(config, degree), weight=weight, delay=config.delay, synapse=synapse)


def _rule(config: BalancedConfig, degree: int) -> Rule:
    if config.rule == "fixed-in-degree":
        return fixed_in_degree(degree)
    return fixed_probability(config.in_degree / config.neurons)


__all__ = ["connect_balanced", "populations"]
