"""Neuron models, each written once."""

from .adaptive import ALIF
from .base import NeuronModel
from .bursting import HindmarshRose
from .channels import Channel, Leak, Rates, Relaxation
from .connor_stevens import ConnorStevens
from .exponential import EIF, AdEx
from .glif import (
    GLIF1,
    GLIF2,
    GLIF3,
    GLIF4,
    GLIF5,
    AfterSpikeCurrents,
    ResetRule,
    SpikeThreshold,
    VoltageThreshold,
)
from .hodgkin_huxley import HodgkinHuxley
from .integrate_and_fire import IF, LI, LIF
from .izhikevich import Izhikevich
from .membrane import Membrane, With
from .noise import EscapeRate, Noisy, OrnsteinUhlenbeck
from .planar import FitzHughNagumo, MorrisLecar
from .quadratic import QIF
from .synapses import (
    NMDA,
    Alpha,
    Conductance,
    Delta,
    Depression,
    DoubleExponential,
    Exponential,
    GapJunction,
    TsodyksMarkram,
)
from .traub_miles import TraubMiles
from .wang_buzsaki import WangBuzsaki
from .wrappers import Peak, Refractory

__all__ = [
    "AdEx", "AfterSpikeCurrents", "ALIF", "Alpha", "Channel", "Conductance", "ConnorStevens", "Delta",
    "Depression", "DoubleExponential", "EIF", "EscapeRate", "Exponential", "FitzHughNagumo", "GapJunction",
    "GLIF1", "GLIF2", "GLIF3", "GLIF4", "GLIF5", "HindmarshRose", "HodgkinHuxley", "IF", "Izhikevich", "Leak",
    "LI", "LIF", "Membrane", "MorrisLecar", "NeuronModel", "NMDA", "Noisy", "OrnsteinUhlenbeck", "Peak", "QIF",
    "Rates", "Refractory", "Relaxation", "ResetRule", "SpikeThreshold", "TraubMiles", "TsodyksMarkram",
    "VoltageThreshold", "WangBuzsaki", "With",
]  # fmt: skip
