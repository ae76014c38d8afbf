"""The network of Izhikevich 2006: the configuration; torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError
from .config import NetworkConfig, require


@dataclass(frozen=True)
class PolychronizationConfig(NetworkConfig):
    """800 excitatory and 200 inhibitory neurons with 100 contacts each, conduction delays up to 20 ms, and
    spike-timing-dependent plasticity (Izhikevich 2006, Neural Computation 18). The network is defined by its
    scheme: v twice by half a ms, then u by one ms."""

    duration: float = 600_000.0
    """Simulated time in ms. In the first seconds the network has a slow rhythm; a fast one takes an hour."""
    discard: float = 0.0
    dt: float = 1.0
    """Time step in ms; the scheme has this one only."""
    excitatory: int = 800
    """Number of excitatory neurons."""
    inhibitory: int = 200
    """Number of inhibitory neurons."""
    contacts: int = 100
    """Number of targets of each neuron."""
    longest: int = 20
    """Longest conduction delay of excitatory neurons, in ms: each delay from 1 ms on has as many contacts."""
    plastic: bool = True
    """Whether excitatory weights change."""
    groups: bool = False
    """Whether polychronous groups are counted in the end, which takes minutes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require("excitatory", self.excitatory, low=2, high=100_000)
        require("inhibitory", self.inhibitory, low=1, high=100_000)
        require("contacts", self.contacts, low=1, high=self.excitatory - 1)
        require("longest", self.longest, low=1, high=200)
        if self.contacts % self.longest:
            got, expected = f"{self.contacts} for delays of 1 to {self.longest} ms", f"a multiple of {self.longest}"
            raise ConfigError("contacts", got=got, expected=expected)
        if self.dt != 1.0:
            raise ConfigError("dt of the scheme that defines this network", got=self.dt, expected="1 ms")


__all__ = ["PolychronizationConfig"]
