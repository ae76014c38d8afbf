"""Decisions that own up: a silent or tied sample has no class, and is counted as such."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..errors import NonFiniteError, ShapeError
from ._check import at_least_float32
from .layout import check_classes

UNDECIDED = -1
"""The prediction for a silent or tied sample."""


@dataclasses.dataclass(frozen=True, eq=False)
class Decision:
    """What a network decided for each sample of a batch.

    ``prediction`` is int64 ``[B]``, the class, or -1 where there is none; ``silent`` and ``tied`` are bool
    ``[B]``, say why, and never overlap. ``classes`` is C.
    """

    prediction: Tensor
    silent: Tensor
    tied: Tensor
    classes: int

    @property
    def decided(self) -> Tensor:
        """Bool ``[B]``: samples with a class."""
        return ~(self.silent | self.tied)


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """Outcomes counted in samples; ``a + b`` joins two batches exactly, whatever their sizes.

    >>> Accuracy(samples=4, hits=3, silences=1, ties=0) + Accuracy(samples=1, hits=0, silences=0, ties=0)
    Accuracy(samples=5, hits=3, silences=1, ties=0)
    """

    samples: int
    hits: int
    silences: int
    ties: int

    @property
    def correct(self) -> float:
        """Fraction of all samples with the right class; silent and tied samples are not right."""
        return self.hits / self.samples

    @property
    def silent(self) -> float:
        """Fraction of samples without any output."""
        return self.silences / self.samples

    @property
    def tied(self) -> float:
        """Fraction of samples with several best classes."""
        return self.ties / self.samples

    @property
    def wrong(self) -> float:
        """Fraction of samples with a class that is not the right one."""
        return (self.samples - self.hits - self.silences - self.ties) / self.samples

    def __add__(self, other: Accuracy) -> Accuracy:
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Accuracy(*(a + b for a, b in pairs))

    def __str__(self) -> str:
        parts = [f"{self.correct:.2%} correct"]
        parts += [f"{part:.2%} {name}" for name, part in (("silent", self.silent), ("tied", self.tied)) if part]
        return f"{', '.join(parts)} of {self.samples} samples"


def classify(scores: Tensor, *, earliest: bool = False) -> Decision:
    """The class with the largest score for each sample; -1 for a silent or tied one.

    A sample is silent when every score is 0 (no spike, or a membrane that never moved), or -inf. It is tied
    when it is not silent and the best score occurs more than once. There is no tie-breaking: with an
    argmax, the first class would win every tie, and a dead network would be right about class 0.

    :param scores: ``[B, C]`` from ``count``, ``rate`` or a membrane.
    :param earliest: the smallest score wins, for ``first_spike``; silent is then a sample whose scores are
        all inf.
    :raises ShapeError: scores that are not ``[B, C]``, or no classes.
    :raises NonFiniteError: NaN, or an infinitely good score.

    >>> decision = classify(torch.tensor([[1.0, 4.0, 0.0], [0.0, 0.0, 0.0], [2.0, 0.0, 2.0]]))
    >>> decision.prediction, decision.silent, decision.tied
    (tensor([ 1, -1, -1]), tensor([False,  True, False]), tensor([False, False,  True]))
    """
    if scores.ndim != 2 or scores.shape[1] == 0:
        mend = "Reduce [T, B, C] over time first, for instance with count or membrane_max."
        raise ShapeError("scores", got=list(scores.shape), expected="[B, C]", mend=mend)
    scores = at_least_float32(scores.detach())
    merit = -scores if earliest else scores
    if bool((torch.isnan(merit) | (merit == torch.inf)).any()):
        allowed = "times, or inf for silence" if earliest else "numbers, or -inf for silence"
        raise NonFiniteError("scores", got="NaN or an infinitely good score", expected=allowed)
    best, prediction = merit.max(1)
    silent = best == -torch.inf
    if not earliest:
        silent = silent | (merit == 0).all(1)
    tied = ((merit == best[:, None]).sum(1) > 1) & ~silent
    return Decision(prediction.masked_fill(silent | tied, UNDECIDED), silent, tied, scores.shape[1])


def accuracy(decision: Decision, labels: Tensor) -> Accuracy:
    """How many decisions agree with the labels; silent and tied samples are reported and never right.

    :param labels: integer classes ``[B]``, on any device.
    :raises ShapeError: another number of labels than decisions, or an empty batch.
    :raises ParameterError: labels that are not integers, or outside 0 to C - 1.

    >>> decision = classify(torch.tensor([[1.0, 4.0], [0.0, 0.0], [2.0, 2.0], [3.0, 0.0]]))
    >>> result = accuracy(decision, torch.tensor([1, 0, 0, 1]))
    >>> result.correct, result.silent, result.tied, result.wrong
    (0.25, 0.25, 0.25, 0.25)
    >>> print(result)
    25.00% correct, 25.00% silent, 25.00% tied of 4 samples
    """
    batch = len(decision.prediction)
    if batch == 0:
        raise ShapeError("an empty batch has no accuracy", got=[0], expected="[B] with B >= 1")
    check_classes(labels, batch, decision.classes)
    # Labels are never negative, so an undecided sample cannot match.
    hits = decision.prediction == labels.to(decision.prediction.device)
    hits, silences, ties = (int(mask.sum()) for mask in (hits, decision.silent, decision.tied))
    return Accuracy(batch, hits, silences, ties)
