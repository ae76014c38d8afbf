"""Simulate neurons on their own, driven by currents: voltage traces, spike times, f-I curves."""

from .run import simulate
from .trace import Spikes, Trace

__all__ = ["Spikes", "Trace", "simulate"]
