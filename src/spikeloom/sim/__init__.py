"""Sparse networks of spiking neurons, simulated by passing spikes along their connections."""

from . import statistics
from .distributions import Distribution, gamma, lognormal, normal, uniform
from .edges import Edges, Rule, Side
from .given import from_matrix, from_pairs
from .groups import Group, PoissonGroup, Population, SpikeSource
from .inputs import poisson
from .network import Network
from .projection import Delay, Projection
from .result import Recorded, Result
from .rules import all_to_all, fixed_in_degree, fixed_out_degree, fixed_probability, fixed_total, one_to_one
from .spike_blocks import read_spikes
from .spike_trains import SpikeTrains
from .spike_writer import SpikeWriter

__all__ = [
    "Delay", "Distribution", "Edges", "Group", "Network", "PoissonGroup", "Population", "Projection", "Recorded",
    "Result", "Rule", "Side", "SpikeSource", "SpikeTrains", "SpikeWriter", "all_to_all", "fixed_in_degree",
    "fixed_out_degree",
    "fixed_probability", "fixed_total", "from_matrix", "from_pairs", "gamma", "lognormal", "normal", "one_to_one",
    "poisson", "read_spikes", "statistics", "uniform",
]  # fmt: skip
