"""The configuration of the digits recipe; torch-free, so that ``--help`` is fast."""

from __future__ import annotations

from dataclasses import dataclass, field

from .common import AugmentConfig, EncodingConfig, NeuronConfig, SplitConfig, TrainConfig, require


@dataclass(frozen=True)
class DigitsConfig(TrainConfig):
    """A spiking network with one hidden layer on scikit-learn's handwritten digits."""

    data: SplitConfig = field(default_factory=SplitConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    neuron: NeuronConfig = field(default_factory=NeuronConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        # A batch of hidden spikes has to fit into memory.
        elements = self.encoding.steps * self.neuron.width * max(self.optimiser.batch_size, 256)
        require("encoding.steps * neuron.width * optimiser.batch_size", elements, high=1e9)


def digits() -> DigitsConfig:
    """The recipe: one hidden layer of LIF neurons, images as currents.

    >>> digits().data.train
    0.6
    """
    return DigitsConfig()
