"""Simulate neurons on their own, driven by currents: voltage traces, spike times, f-I curves."""

from .blow_up import BlowUpError
from .run import simulate
from .trace import Spikes, Trace

__all__ = ["BlowUpError", "Spikes", "Trace", "simulate"]
