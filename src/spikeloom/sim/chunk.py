"""What happened in some steps of a network."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Chunk:
    """What happened in some steps: spikes (step, neuron) by group, samples [K, neurons] by recorder.

    ``ahead`` says, for groups whose spikes have times of their own, how many ms before the end of its step each was.
    """

    first: int
    steps: int
    spikes: dict[str, tuple[np.ndarray, np.ndarray]]
    samples: list[np.ndarray]
    ahead: dict[str, np.ndarray] = dataclasses.field(default_factory=dict[str, np.ndarray])


__all__ = ["Chunk"]
