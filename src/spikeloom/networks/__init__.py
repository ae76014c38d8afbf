"""Named networks: a configuration, and the module that builds the network and says what it should do.

Importing this package imports no torch; the module of a network is imported only when it runs.
"""

from __future__ import annotations

from .balanced import CobaConfig, CobaHHConfig, CubaConfig
from .brunel import BrunelConfig
from .c_elegans import CElegansConfig
from .config import NetworkConfig
from .izhikevich_2003 import Izhikevich2003Config
from .liquid import LiquidConfig
from .microcircuit import MicrocircuitConfig
from .named import NamedNetwork
from .polychronization import PolychronizationConfig
from .ring import RingConfig
from .synfire import SynfireConfig

NETWORKS = (
    NamedNetwork(
        "brunel",
        "12,500 excitatory and inhibitory neurons in one of four states (--state A to D)",
        BrunelConfig,
        "spikeloom.networks.brunel_network",
    ),
    NamedNetwork(
        "cuba",
        "4,000 integrate-and-fire neurons with synaptic currents, active by themselves",
        CubaConfig,
        "spikeloom.networks.cuba_network",
    ),
    NamedNetwork(
        "coba",
        "4,000 integrate-and-fire neurons with synaptic conductances, active by themselves",
        CobaConfig,
        "spikeloom.networks.coba_network",
    ),
    NamedNetwork(
        "coba-hh",
        "4,000 Hodgkin-Huxley-type neurons with synaptic conductances, active by themselves",
        CobaHHConfig,
        "spikeloom.networks.coba_hh_network",
    ),
    NamedNetwork(
        "izhikevich-2003",
        "1,000 neurons of all kinds, all connected, by the scheme of the paper",
        Izhikevich2003Config,
        "spikeloom.networks.izhikevich_2003_network",
    ),
    NamedNetwork(
        "polychronization",
        "1,000 neurons with delays up to 20 ms and plasticity: a slow rhythm becomes a fast one",
        PolychronizationConfig,
        "spikeloom.networks.polychronization_network",
    ),
    NamedNetwork(
        "microcircuit",
        "four layers of cortex, 77,169 neurons and 299 million synapses at full size (--scale 1)",
        MicrocircuitConfig,
        "spikeloom.networks.microcircuit_network",
    ),
    NamedNetwork(
        "liquid-state-machine",
        "copies of a column of 135 neurons with plastic synapses, which keep inputs apart",
        LiquidConfig,
        "spikeloom.networks.liquid_network",
    ),
    NamedNetwork(
        "ring", "a spike that runs around a ring of 20 neurons", RingConfig, "spikeloom.networks.ring_network"
    ),
    NamedNetwork(
        "c-elegans",
        "the wiring of a worm's nervous system, with assumed cells and synapses (--data.root PATH)",
        CElegansConfig,
        "spikeloom.networks.c_elegans_network",
    ),
    NamedNetwork(
        "synfire-chain",
        "packets of spikes through ten groups of neurons: they die out, or become synchronous",
        SynfireConfig,
        "spikeloom.networks.synfire_network",
        "spikeloom.plot.synfire",
    ),
)

__all__ = [
    "NETWORKS", "BrunelConfig", "CElegansConfig", "CobaConfig", "CobaHHConfig", "CubaConfig", "NamedNetwork",
    "Izhikevich2003Config", "LiquidConfig", "MicrocircuitConfig", "NetworkConfig",
    "PolychronizationConfig", "RingConfig", "SynfireConfig",
]  # fmt: skip
