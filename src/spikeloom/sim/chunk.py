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


def in_turn(made: np.ndarray) -> np.ndarray | slice:
    """Where the spikes of each step are that parts listed one part after the other; step t has ``made[t]`` of each.

    >>> in_turn(np.array([[1, 2], [1, 0]])).tolist()  # one of the first part, two of the second, one of the first
    [0, 2, 3, 1]
    """
    if made.shape[1] == 1:
        return slice(None)
    places = np.cumsum(made.T).reshape(made.T.shape).T - made  # where each part's of each step begin
    counts = made.ravel()
    return np.arange(counts.sum()) + np.repeat(places.ravel() - (np.cumsum(counts) - counts), counts)


__all__ = ["Chunk", "in_turn"]
