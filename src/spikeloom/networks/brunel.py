"""The network of Brunel 2000 in its four states: the configuration; torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .config import NetworkConfig, require, require_delay

State = Literal["A", "B", "C", "D"]


@dataclass(frozen=True)
class BrunelState:
    """Where a state lies: inhibition ``g`` times as strong as excitation, external input ``eta`` times what alone would
    bring the mean membrane to threshold."""

    g: float
    eta: float
    summary: str


STATES = {
    "A": BrunelState(3.0, 2.0, "synchronous regular"),
    "B": BrunelState(6.0, 4.0, "synchronous irregular, fast oscillation"),
    "C": BrunelState(5.0, 2.0, "asynchronous irregular"),
    "D": BrunelState(4.5, 0.9, "synchronous irregular, slow oscillation"),
}


@dataclass(frozen=True)
class BrunelConfig(NetworkConfig):
    """Excitatory and inhibitory integrate-and-fire neurons with fixed in-degree and jumps of the membrane (Brunel 2000,
    J. Comput. Neurosci. 8, model A)."""

    state: State = "C"
    """A: synchronous regular; B: fast oscillation; C: asynchronous irregular; D: slow oscillation."""
    g: float | None = None
    """Inhibitory weight over excitatory; None: that of the state."""
    eta: float | None = None
    """External rate over the rate that brings the mean membrane to threshold; None: that of the state."""
    scale: float = 1.0
    """Size of the network; numbers of synapses per neuron scale with it, weights against it. Small networks with large
    weights are in other states."""
    j: float = 0.1
    """Jump of the membrane at an excitatory spike in mV, at scale 1."""
    delay: float = 1.5
    """Delay of all connections in ms."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require("g", self.ratio, low=0.0)
        require("eta", self.drive, low=0.0)
        require("scale", self.scale, low=0.01, high=100.0)
        require("j", self.j, above=0.0)
        require_delay(self.delay, self.dt)

    @property
    def ratio(self) -> float:
        """Inhibitory weight over excitatory."""
        return STATES[self.state].g if self.g is None else self.g

    @property
    def drive(self) -> float:
        """External rate over the rate at threshold."""
        return STATES[self.state].eta if self.eta is None else self.eta

    @property
    def published(self) -> bool:
        """Whether this is one of the four networks whose figures are known."""
        return self.g is None and self.eta is None and self.scale == 1.0 and self.j == 0.1 and self.delay == 1.5


__all__ = ["STATES", "BrunelConfig", "BrunelState"]
