"""The network of Izhikevich 2003: the configuration; torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError
from .config import NetworkConfig, require


@dataclass(frozen=True)
class Izhikevich2003Config(NetworkConfig):
    """800 excitatory and 200 inhibitory neurons, all connected with all, driven by noise (Izhikevich 2003, IEEE Trans.
    Neural Netw. 14). The network is defined by its scheme: v twice by half a ms, then u by one ms."""

    duration: float = 2000.0
    """Simulated time in ms."""
    discard: float = 0.0
    dt: float = 1.0
    """Time step in ms; the scheme has this one only."""
    excitatory: int = 800
    """Number of excitatory neurons."""
    inhibitory: int = 200
    """Number of inhibitory neurons."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require("excitatory", self.excitatory, low=1, high=20_000)
        require("inhibitory", self.inhibitory, low=1, high=20_000)
        if self.dt != 1.0:
            raise ConfigError("dt of the scheme that defines this network", got=self.dt, expected="1 ms")


__all__ = ["Izhikevich2003Config"]
