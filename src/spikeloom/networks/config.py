"""What the configurations of all named networks have in common; torch-free, so that ``--help`` is fast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import ConfigError
from ..recipes.common import require, require_choices

_MOST_STEPS = 100_000_000


@dataclass(frozen=True)
class NetworkConfig:
    """How long a network runs, and where its results go."""

    duration: float = 1000.0
    """Simulated time in ms."""
    discard: float = 200.0
    """Time from the beginning, in ms, that all statistics leave out."""
    dt: float = 0.1
    """Time step in ms."""
    seed: int = 1
    """Seed of connections, initial values and input."""
    threads: int = 0
    """Threads (0: chosen by the size of the network); the spikes are the same for any number."""
    precision: Literal["float32", "float64"] = "float32"
    """How states and weights are kept."""
    out: Path = Path("runs")
    """Folder in which the folder of this run is made."""
    name: str = ""
    """Name of the folder of this run; empty: the network and the time."""

    def __post_init__(self) -> None:
        require_choices(self)
        require("discard", self.discard, low=0.0)
        require("duration", self.length, above=0.0)
        require("dt", self.dt, above=0.0)
        require("duration / dt, the number of steps,", self.length / self.dt, low=1.0, high=_MOST_STEPS)
        require("seed", self.seed, low=0, high=2**62)
        require("threads", self.threads, low=0, high=1024)
        if self.discard >= self.length:
            mend = "Simulate longer, or discard less."
            raise ConfigError("discard leaves nothing", got=self.discard, expected=f"< {self.length:g} ms", mend=mend)

    @property
    def length(self) -> float:
        """Simulated time in ms: the duration, where that is not left to the network."""
        return self.duration


def require_delay(delay: float, dt: float) -> None:
    """Raise ConfigError unless ``delay`` is a step at least, and say which of the two may be changed."""
    require("delay", delay)
    if not dt <= delay:
        mend = "Take a smaller dt, or a longer delay."
        raise ConfigError("delay", got=f"{delay:g} ms", expected=f"at least a step, dt = {dt:g} ms", mend=mend)


__all__ = ["NetworkConfig", "require", "require_choices", "require_delay"]
