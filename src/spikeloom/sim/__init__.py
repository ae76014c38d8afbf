"""Sparse networks of spiking neurons, simulated by passing spikes along their connections."""

from . import statistics
from .distributions import Distribution, clipped, gamma, lognormal, normal, uniform
from .edges import Edges, Rule, Side
from .export import export, to_neo
from .given import from_frame, from_matrix, from_pairs
from .groups import Group, PoissonGroup, Population, SpikeSource
from .inputs import noise, poisson
from .network import Network
from .per_distance import per_distance
from .projection import Delay, Projection
from .result import Recorded, Result
from .rules import all_to_all, fixed_in_degree, fixed_out_degree, fixed_probability, fixed_total, one_to_one
from .rules_graph import block_model, small_world
from .rules_space import exponential_distance, gaussian_distance, within_distance
from .spike_blocks import read_spikes
from .spike_table import load_spikes
from .spike_trains import SpikeTrains
from .spike_writer import SpikeWriter

__all__ = [
    "Delay", "Distribution", "Edges", "Group", "Network", "PoissonGroup", "Population", "Projection", "Recorded",
    "Result", "Rule", "Side", "SpikeSource", "SpikeTrains", "SpikeWriter", "all_to_all", "block_model", "clipped",
    "exponential_distance", "export", "fixed_in_degree", "fixed_out_degree", "fixed_probability", "fixed_total",
    "from_frame", "from_matrix", "from_pairs", "gamma", "gaussian_distance", "load_spikes", "lognormal", "noise",
    "normal", "one_to_one", "per_distance", "poisson", "read_spikes", "small_world", "statistics", "to_neo", "uniform",
    "within_distance",
]  # fmt: skip
