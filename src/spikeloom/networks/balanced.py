"""The balanced networks of Vogels and Abbott as benchmarks 1 to 4 of Brette et al. 2007: configurations; torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .config import NetworkConfig, require, require_delay

Rule = Literal["fixed-in-degree", "bernoulli"]


@dataclass(frozen=True)
class BalancedConfig(NetworkConfig):
    """Four fifths excitatory, one fifth inhibitory neurons with sparse random connections."""

    neurons: int = 4000
    """Number of neurons; every fifth is inhibitory."""
    in_degree: int = 80
    """Synapses per neuron, on average: four fifths excitatory; each pair has the probability in-degree / neurons."""
    rule: Rule = "fixed-in-degree"
    """Whether every neuron has exactly as many synapses, or every pair is connected with the same probability."""
    delay: float = 0.1
    """Delay of all connections in ms."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require("neurons", self.neurons, low=10, high=100_000_000)
        require("in_degree", self.in_degree, low=5, high=self.neurons)
        require_delay(self.delay, self.dt)

    @property
    def excitatory(self) -> int:
        """Number of excitatory neurons."""
        return self.neurons - self.inhibitory

    @property
    def inhibitory(self) -> int:
        """Number of inhibitory neurons."""
        return self.neurons // 5

    @property
    def usual(self) -> bool:
        """Whether size and connections are those of the benchmark."""
        return (self.neurons, self.in_degree) == (4000, 80)


@dataclass(frozen=True)
class CubaConfig(BalancedConfig):
    """Integrate-and-fire neurons with synaptic currents (Brette et al. 2007, benchmarks 2 and 4): above threshold at
    rest, so that they fire without input."""

    weights: Literal["brette", "nest", "delta"] = "brette"
    """`brette`: currents of 16.2 and -90 pA (1.62 and -9 mV); `nest`: 16.2 and -139.5 pA; `delta`: jumps of the
    membrane by 0.25 and -2.25 mV (published with --dt 0.125 --delay 0.125)."""


Start = Literal["random", "kick"]


@dataclass(frozen=True)
class CobaConfig(BalancedConfig):
    """Integrate-and-fire neurons with synaptic conductances (Brette et al. 2007, benchmark 1): silent at rest, active
    by themselves once they were started."""

    start: Start = "random"
    """`random`: random voltages and conductances; `kick`: from rest, 50 neurons get Poisson spikes at 300 Hz for 50 ms,
    after which about a quarter of all networks stay silent."""


@dataclass(frozen=True)
class CobaHHConfig(CobaConfig):
    """Neurons with sodium and potassium channels and synaptic conductances (Brette et al. 2007, benchmark 3)."""

    duration: float = 500.0
    """Simulated time in ms."""
    dt: float = 0.05
    """Time step in ms."""
    solver: Literal["rk4", "midpoint", "exponential-euler"] = "rk4"
    """How the membrane is integrated; the first is the most accurate and the slowest, and needs dt < 0.1."""


__all__ = ["BalancedConfig", "CobaConfig", "CobaHHConfig", "CubaConfig"]
