"""The synfire chain of Diesmann, Gewaltig and Aertsen 1999: the configuration; torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError
from .config import NetworkConfig, require

_LEAST = 30.0  # ms between packets: longer than any takes to run through ten groups and be forgotten
MAP_SPIKES = tuple(float(a) for a in range(35, 115, 5))
MAP_SPREADS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)


@dataclass(frozen=True)
class SynfireConfig(NetworkConfig):
    """Groups of neurons, each connected with all of the next; packets of spikes die out on their way or become
    synchronous (Diesmann, Gewaltig & Aertsen 1999, Nature 402, with the parameters of Brian2's example)."""

    duration: float = 0.0
    """Simulated time in ms; 0: as long as the packets need."""
    discard: float = 60.0
    """Time in ms at which the first packet is centred, when the noise has settled."""
    groups: int = 10
    """Groups of the chain."""
    members: int = 100
    """Neurons of a group."""
    spikes: tuple[float, ...] = MAP_SPIKES
    """Numbers of spikes in a packet, a."""
    spread: tuple[float, ...] = MAP_SPREADS
    """Standard deviations of their times in ms, σ. Every number is sent with every spread, one packet after the other,
    evenly over the duration."""
    trials: int = 30
    """Chains side by side, each with noise and packets of its own."""

    def __post_init__(self) -> None:
        if not (self.spikes and self.spread):
            raise ConfigError("spikes and spread", got="none", expected="a number at least")
        for spikes in self.spikes:
            require("spikes", spikes, low=0.0, high=10_000.0)
            if spikes != round(spikes):
                raise ConfigError("spikes", got=spikes, expected="whole numbers")
        for spread in self.spread:
            require("spread", spread, low=0.0, high=100.0)
        require("groups", self.groups, low=2, high=1000)
        require("members", self.members, low=2, high=10_000)
        require("trials", self.trials, low=1, high=10_000)
        super().__post_init__()
        if self.spacing < self.needed * (1.0 - 1e-9):
            whole = self.discard + len(self.packets) * self.needed
            mend = f"Simulate {whole:g} ms or more, or leave the duration out."
            got = f"{len(self.packets)} packets in {self.duration - self.discard:g} ms"
            raise ConfigError(
                "there is no time for the packets", got=got, expected=f"{self.needed:g} ms each", mend=mend
            )

    @property
    def length(self) -> float:
        """Simulated time in ms."""
        return self.duration or self.discard + len(self.packets) * self.needed

    @property
    def packets(self) -> list[tuple[float, float]]:
        """(a, σ) of each packet, in the order they are sent."""
        return [(a, s) for s in self.spread for a in self.spikes]

    @property
    def spacing(self) -> float:
        """Time from packet to packet in ms."""
        return (self.length - self.discard) / len(self.packets)

    @property
    def needed(self) -> float:
        """The least time from packet to packet: a slow way through the chain, and early and late spikes."""
        return _LEAST + 1.5 * max(0, self.groups - 10) + 6.0 * max(self.spread)


__all__ = ["MAP_SPIKES", "MAP_SPREADS", "SynfireConfig"]
