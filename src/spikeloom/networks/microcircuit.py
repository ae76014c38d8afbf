"""The cortical microcircuit of Potjans and Diesmann 2014: the configuration; torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .config import NetworkConfig, require


@dataclass(frozen=True)
class MicrocircuitConfig(NetworkConfig):
    """Four layers of cortex under a square millimetre, each with an excitatory and an inhibitory population (Potjans &
    Diesmann 2014, Cereb. Cortex 24). At full scale 77,169 neurons and 298,880,968 synapses of 9 bytes each."""

    duration: float = 1500.0
    """Simulated time in ms."""
    discard: float = 500.0
    """Time from the beginning, in ms, that all statistics leave out."""
    scale: float = 0.1
    """Numbers of neurons, over those of the full network."""
    in_degree_scale: float | None = None
    """Numbers of synapses per neuron over the full ones; weights grow with the inverse of its square root, and a
    constant current replaces the mean input that is lost. None: as the numbers of neurons."""
    background: Literal["dc", "poisson"] | None = None
    """Input from outside: Poisson spikes of 8 Hz per synapse, or a constant current with their mean. None: constant
    with all synapses, else Poisson: a constant one alone does not bring small networks to threshold."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require("scale", self.scale, low=0.005, high=1.0)
        require("in_degree_scale", self.degrees, low=0.005, high=1.0)

    @property
    def degrees(self) -> float:
        """Numbers of synapses per neuron over the full ones."""
        return self.scale if self.in_degree_scale is None else self.in_degree_scale

    @property
    def constant(self) -> bool:
        """Whether the input from outside is a constant current."""
        return self.degrees == 1.0 if self.background is None else self.background == "dc"


__all__ = ["MicrocircuitConfig"]
