"""What inference costs: operations counted on real data, priced in joules under named profiles."""

from .counts import LayerCounts, Measured, Neurons, Synapses
from .measure import measure
from .prices import Accuracies, Price
from .profiles import PROFILES, Cost, DigitalLogic, EventChip, Profile
from .report import EnergyReport, compare

__all__ = [
    "PROFILES", "Accuracies", "Cost", "DigitalLogic", "EnergyReport", "EventChip", "LayerCounts", "Measured", "Neurons",
    "Price", "Profile", "Synapses", "compare", "measure",
]  # fmt: skip
