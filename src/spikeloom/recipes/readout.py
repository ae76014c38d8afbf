"""The output neurons, what is asked of them, and how their answer is understood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..coding.classify import Decision, classify
from ..coding.decode import count, first_spike
from ..learn.first_spike import cross_entropy_of_first_spike
from ..learn.losses import (
    cross_entropy_of_mean,
    cross_entropy_of_rate,
    mean_of_cross_entropy,
    mean_square_error_of_count,
)
from ..models import LI, LIF
from ..models.base import NeuronModel
from ..train.evaluate import by_membrane
from .common import ReadoutConfig

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Readout:
    """The model of the output neurons, the loss of their output ``[T, B, C]``, and the rule that reads a class from it.

    The rule fits the loss: the highest mean membrane, the most spikes, or the first spike.
    """

    neuron: NeuronModel
    loss: Loss
    decide: Callable[[torch.Tensor], Decision]


def readout_of(config: ReadoutConfig) -> Readout:
    """The read-out that ``config`` describes.

    >>> readout = readout_of(ReadoutConfig(tau=5.0, loss="first-spike"))
    >>> type(readout.neuron).__name__, readout.decide(torch.tensor([[[0.0, 1.0]], [[1.0, 1.0]]])).prediction
    ('LIF', tensor([1]))
    """
    rules = {"first-spike": by_first_spike, "rate": by_count, "count": by_count}
    neuron = LIF(tau=config.tau) if config.fires else LI(tau=config.tau)
    return Readout(neuron, _loss(config), rules.get(config.loss, by_membrane))


def by_count(y: torch.Tensor) -> Decision:
    """The class with the most spikes; undecided where there is no spike, or several classes have as many."""
    return classify(count(y))


def by_first_spike(y: torch.Tensor) -> Decision:
    """The class that fires first; undecided where none fires, or several do so in the same step."""
    return classify(first_spike(y), earliest=True)


def _loss(config: ReadoutConfig) -> Loss:
    def membrane_mean(y: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return cross_entropy_of_mean(y, labels, smoothing=config.smoothing)

    def mean_over_steps(y: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return mean_of_cross_entropy(y, labels, smoothing=config.smoothing)

    def rate(y: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return cross_entropy_of_rate(y, labels, scale=config.scale)

    def counts(y: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return mean_square_error_of_count(y, labels, right=config.right * len(y), wrong=config.wrong * len(y))

    def first(y: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return cross_entropy_of_first_spike(y, labels, tau=config.lead)

    return {
        "mean-then-softmax": membrane_mean, "softmax-then-mean": mean_over_steps, "rate": rate, "count": counts,
        "first-spike": first,
    }[config.loss]  # fmt: skip
