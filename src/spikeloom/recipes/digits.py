"""The configuration of the digits recipe; torch-free, so that ``--help`` is fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .common import AugmentConfig, EncodingConfig, NeuronConfig, OptimiserConfig, ReadoutConfig, SplitConfig, require


@dataclass(frozen=True)
class DigitsConfig:
    """A spiking network with one hidden layer on scikit-learn's handwritten digits."""

    epochs: int = 30
    """Passes over the training set."""
    seeds: int = 3
    """Number of independent trainings; mean and spread are over these."""
    seed: int = 0
    """The first seed; the others follow it."""
    threads: int = 1
    """Threads of the computation; a network of this size gains nothing from more."""
    out: Path = Path("runs")
    """Folder in which the folder of this run is made."""
    name: str = ""
    """Name of the folder of this run; empty: the recipe and the time."""
    data: SplitConfig = field(default_factory=SplitConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    neuron: NeuronConfig = field(default_factory=NeuronConfig)
    readout: ReadoutConfig = field(default_factory=ReadoutConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def __post_init__(self) -> None:
        require("epochs", self.epochs, low=1)
        require("seeds", self.seeds, low=1, high=1000)
        require("seed", self.seed, low=0)
        require("threads", self.threads, low=1, high=1024)
        # A batch of hidden spikes has to fit into memory.
        elements = self.encoding.steps * self.neuron.width * max(self.optimiser.batch_size, 256)
        require("encoding.steps * neuron.width * optimiser.batch_size", elements, high=1e9)


def digits() -> DigitsConfig:
    """The recipe: one hidden layer of LIF neurons, images as currents.

    >>> digits().data.train
    0.6
    """
    return DigitsConfig()
