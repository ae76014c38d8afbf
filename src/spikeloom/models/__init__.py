"""Neuron models, each written once."""

from .adaptive import ALIF
from .base import NeuronModel
from .bursting import HindmarshRose
from .hodgkin_huxley import HodgkinHuxley
from .integrate_and_fire import IF, LI, LIF
from .izhikevich import Izhikevich
from .planar import FitzHughNagumo, MorrisLecar
from .wrappers import Peak, Refractory

__all__ = [
    "ALIF", "IF", "LI", "LIF", "FitzHughNagumo", "HindmarshRose", "HodgkinHuxley", "Izhikevich", "MorrisLecar",
    "NeuronModel", "Peak", "Refractory",
]  # fmt: skip
