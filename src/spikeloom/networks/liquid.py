"""The column of Maass, Natschlaeger and Markram 2002: the configuration; torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError
from .config import NetworkConfig, require


@dataclass(frozen=True)
class LiquidConfig(NetworkConfig):
    """A column of 3 x 3 x 15 neurons as a liquid state machine: pairs of input trains, and how far apart they drive its
    state (Maass, Natschlaeger & Markram 2002, Neural Comput. 14, figure 2)."""

    duration: float = 500.0
    """Simulated time in ms."""
    discard: float = 0.0
    shape: tuple[int, int, int] = (3, 3, 15)
    """Neurons along each edge of the grid."""
    reach: float = 2.0
    """λ: a pair at the distance D is connected with the probability C exp(-(D/λ)²)."""
    rate: float = 20.0
    """Rate of the input in Hz."""
    distances: tuple[float, ...] = (0.4, 0.2, 0.1, 0.0)
    """Distances of the input trains of a pair; 0 is the same train with other voltages at the beginning."""
    pairs: int = 20
    """Pairs of input trains for each distance; each of their trains has a copy of the column of its own."""
    tau_state: float = 30.0
    """Time constant in ms of the filter that makes a state of spikes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for size in self.shape:
            require("shape", size, low=1, high=100)
        if self.neurons < 5:
            raise ConfigError("shape", got=f"{self.neurons} neurons", expected="at least 5")
        require("reach", self.reach, above=0.0)
        require("rate", self.rate, above=0.0, high=0.2 / (1e-3 * self.dt))
        for distance in self.distances:
            require("distances", distance, low=0.0, high=10.0)
        if len(set(self.distances)) < max(1, len(self.distances)):
            raise ConfigError("distances", got=self.distances, expected="different ones, one at least")
        require("pairs", self.pairs, low=1, high=10_000)
        require("tau_state", self.tau_state, above=0.0)

    @property
    def neurons(self) -> int:
        """Neurons of a column."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def copies(self) -> int:
        """Columns in all: two for each pair."""
        return 2 * self.pairs * len(self.distances)


__all__ = ["LiquidConfig"]
