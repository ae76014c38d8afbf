"""What a training tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Step:
    """One step of the optimiser: ``step`` counts from 1 within its epoch, ``total`` over the whole training.

    ``loss`` is without, ``penalty`` is what the regularisers add; both are means over the ``samples`` of the step,
    of which ``hits`` were recognised.
    """

    epoch: int
    step: int
    total: int
    samples: int
    hits: int
    loss: float
    penalty: float
    learning_rate: float


@dataclass(frozen=True)
class Epoch:
    """One row of the learning curves; ``loss`` and ``accuracy`` are means over the steps of the epoch.

    ``time_s`` is the wall time of training, without the validation; two equal trainings may differ in it.
    """

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    spikes_per_neuron_step: float
    time_s: float = field(default=0.0, compare=False)


class Observer(Protocol):
    """Hears of every step and epoch, for instance to draw a progress bar."""

    def begin(self, total: int, samples: int) -> None:
        """The training starts after ``total`` steps on ``samples`` samples: 0 and 0, or more when it is resumed."""
        ...

    def step(self, done: Step) -> None:
        """A step of the optimiser is done."""
        ...

    def epoch(self, row: Epoch) -> None:
        """An epoch and its validation are done."""
        ...
