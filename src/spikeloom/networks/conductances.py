"""What the two networks with synaptic conductances share: synapses, and how they are started."""

from __future__ import annotations

import numpy as np

from ..models import Conductance, Exponential
from ..sim.distributions import normal
from ..sim.given import from_pairs
from ..sim.groups import Population
from ..sim.network import Network
from .balanced import CobaConfig

WEIGHTS = (6.0, 67.0)  # nS
_KICKED, _KICK, _KICK_RATE = 50, 50.0, 300.0  # neurons, ms, Hz


def synapses() -> tuple[Conductance, Conductance]:
    """The excitatory and the inhibitory conductance."""
    return Conductance(Exponential(tau=5.0), e=0.0), Conductance(Exponential(tau=10.0), e=-80.0)


def start(net: Network, config: CobaConfig, both: tuple[Population, Population], v_rest: float) -> None:
    """Random voltages and conductances as in Brian2's example, or a kick of some of the excitatory neurons.

    In the former one inhibitory conductance in twenty begins below zero. These are what keeps the network going: with
    the negative ones drawn again the first spikes come all at once, and nothing follows.
    """
    excitation, inhibition = synapses()
    if config.start == "kick":
        count = min(_KICKED, both[0].size)
        kick = net.poisson(_kick_rate, count, "kick")
        first = np.arange(count)
        net.connect(kick, both[0], from_pairs(first, first), weight=WEIGHTS[0], delay=config.delay, synapse=excitation)
        return
    for population in both:
        ports = {repr(synapse): name for name, synapse in population.synapses.items()}
        population.set(
            v=normal(v_rest - 5.0, 5.0),
            **{
                f"g_{ports[repr(excitation)]}": normal(40.0, 15.0),
                f"g_{ports[repr(inhibition)]}": normal(200.0, 120.0),
            },
        )


def _kick_rate(times: np.ndarray) -> np.ndarray:
    return np.where(times < _KICK, _KICK_RATE, 0.0)


__all__ = ["WEIGHTS", "start", "synapses"]
