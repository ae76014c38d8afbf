"""Losses, penalties on activity, and learning rules."""

from .first_spike import cross_entropy_of_first_spike, time_to_first_spike
from .losses import (
    cross_entropy_of_mean,
    cross_entropy_of_rate,
    mean_of_cross_entropy,
    mean_square_error_of_count,
)
from .online import Online, OnlineStep
from .regularisers import Regularisers, firing_rate, silent_neurons, spike_count
from .through_time import checkpointed, truncated

__all__ = [
    "Online",
    "OnlineStep",
    "Regularisers",
    "checkpointed",
    "cross_entropy_of_first_spike",
    "cross_entropy_of_mean",
    "cross_entropy_of_rate",
    "firing_rate",
    "mean_of_cross_entropy",
    "mean_square_error_of_count",
    "silent_neurons",
    "spike_count",
    "time_to_first_spike",
    "truncated",
]
