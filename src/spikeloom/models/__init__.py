"""Neuron models, each written once."""

from .adaptive import ALIF
from .base import NeuronModel
from .hodgkin_huxley import HodgkinHuxley
from .integrate_and_fire import IF, LI, LIF
from .wrappers import Peak, Refractory

__all__ = ["ALIF", "IF", "LI", "LIF", "HodgkinHuxley", "NeuronModel", "Peak", "Refractory"]
