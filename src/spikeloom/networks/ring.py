"""A ring of neurons around which a spike runs: the configuration; torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from .config import NetworkConfig, require, require_delay


@dataclass(frozen=True)
class RingConfig(NetworkConfig):
    """Hodgkin-Huxley neurons, each of which excites the next; one spike of a source starts the first."""

    duration: float = 200.0
    """Simulated time in ms."""
    discard: float = 0.0
    dt: float = 0.01
    """Time step in ms."""
    neurons: int = 20
    """Number of neurons."""
    weight: float = 2.0
    """Conductance of a synapse at a spike in mS/cm²: 0.01 uS on a cell of 500 square micrometres."""
    tau: float = 2.0
    """Time constant of that conductance in ms."""
    delay: float = 1.0
    """Delay from each neuron to the next in ms."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require("neurons", self.neurons, low=2, high=1_000_000)
        require("weight", self.weight, low=0.0)
        require("tau", self.tau, above=0.0)
        require_delay(self.delay, self.dt)


__all__ = ["RingConfig"]
