"""The gradient of one batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..coding.classify import accuracy
from ..errors import NonFiniteError
from .evaluate import Task
from .finite import blamed
from .online import StepByStep
from .parallel import shard
from .ranks import SINGLE, Ranks
from .seeds import derive_seed
from .settings import FitSettings
from .through_time import through_time
from .way import Way


@dataclass(frozen=True)
class Outcome:
    """Sums over ``samples`` samples: loss, penalty of the regularisers, recognised samples."""

    samples: int = 0
    loss: float = 0.0
    penalty: float = 0.0
    hits: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.samples + other.samples, self.loss + other.loss, self.penalty + other.penalty, self.hits + other.hits
        )

    def over(self, ranks: Ranks) -> Outcome:
        """The sum over all processes."""
        if ranks.alone:
            return self
        samples, loss, penalty, hits = ranks.total([self.samples, self.loss, self.penalty, self.hits])
        return Outcome(int(samples), loss, penalty, int(hits))


@dataclass(frozen=True)
class Gradient:
    """Computes gradients of ``task`` in the given ``way``: alone, or with others, each of which takes some samples."""

    task: Task
    way: Way
    ranks: Ranks = SINGLE

    def shown(self, images: torch.Tensor, key: int) -> torch.Tensor:
        """What the network sees of a whole batch: varied and encoded, with no other randomness than ``key``.

        As a whole, whoever takes which sample and in how many pieces: the draws depend on neither.
        """
        if self.task.augment is not None:
            images = self.task.augment(images, derive_seed(key, "augment"))
        # A key of its own: with the one that seeds dropout, both would draw the same numbers.
        return self.task.encode(images, derive_seed(key, "encode"))

    def add(self, x: torch.Tensor, labels: torch.Tensor, share: float, where: str, last: bool = True) -> Outcome:
        """Add ``share`` times the gradient of the mean loss over ``x`` [T, B, ...] to the parameters' ``grad``.

        The outcome is that of this process's samples. Raises :class:`NonFiniteError`, naming the layer, when the loss
        or a state is not finite.
        """
        x, own, count = shard(x, labels, self.ranks)
        # The exchange takes the mean over processes; asked for is the mean over samples.
        share *= count * self.ranks.size / len(labels)
        try:
            found = self.way.add(x, own, share, last)
        except NonFiniteError as error:
            raise blamed(error, self.task.net, x, where) from error
        hits = accuracy(self.task.decide(found.y), own).hits if count else 0
        return Outcome(count, found.loss * count, found.penalty * count, hits)


def gradient_of(task: Task, settings: FitSettings, ranks: Ranks = SINGLE) -> Gradient:
    """Gradients of ``task`` in the way that ``settings`` names."""
    online = settings.gradient == "online"
    return Gradient(task, StepByStep(task, ranks) if online else through_time(task, settings, ranks), ranks)
