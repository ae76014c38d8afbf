"""The wiring of C. elegans, simulated: the configuration; torch-free."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import ConfigError
from .config import NetworkConfig, require, require_choices, require_delay


@dataclass(frozen=True)
class WiringConfig:
    """The file with the connections."""

    root: Path = Path("data")
    """Folder with herm_full_edgelist.csv (Cook et al. 2019)."""
    cells: Literal["neurons", "all"] = "neurons"
    """`neurons`, or `all` with muscles and other end organs."""

    def __post_init__(self) -> None:
        require_choices(self)


@dataclass(frozen=True)
class CElegansConfig(NetworkConfig):
    """Connections and their numbers of contacts are measured. Everything else is assumed, and most neurons of the
    animal do not spike at all. The values are those of the project c302, level B, which calls them blind guesses; the
    refractory time of 5 ms and the delay are ours. With them activity stays with a few cells, or it takes hold of
    nearly all at 100 Hz and more: nothing here keeps excitation in check."""

    data: WiringConfig = field(default_factory=WiringConfig)
    stimulated: tuple[str, ...] = ("ALML", "ALMR", "AVM", "PLML", "PLMR")
    """Cells that get a constant current; these feel a touch of the body."""
    current: float = 10.0
    """That current in pA; one cell alone fires from 2 pA on. At 5 pA activity does not spread."""
    excitatory: float = 0.01
    """Peak conductance of an excitatory contact in nS (assumed)."""
    inhibitory: float = 0.01
    """Peak conductance of an inhibitory contact in nS (assumed): one of the 26 GABA neurons."""
    gap: float = 0.01
    """Conductance of an electrical contact in nS (assumed)."""
    delay: float = 0.5
    """Delay of chemical synapses in ms (assumed)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require("current", self.current)
        for name in ("excitatory", "inhibitory", "gap"):
            require(name, getattr(self, name), low=0.0)
        require_delay(self.delay, self.dt)
        if len(set(self.stimulated)) < len(self.stimulated):
            raise ConfigError("stimulated names a cell twice", got=" ".join(self.stimulated))


__all__ = ["CElegansConfig", "WiringConfig"]
