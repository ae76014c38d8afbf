"""Plasticity rules: how the weights of connections change with the spikes on their two sides."""

from .pairs import STDP, AccumulatedSTDP
from .rule import Plasticity, post_trace, pre_trace

__all__ = ["STDP", "AccumulatedSTDP", "Plasticity", "post_trace", "pre_trace"]
