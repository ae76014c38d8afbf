"""The gradient of one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ..coding.classify import accuracy
from ..errors import NonFiniteError
from ..learn.through_time import checkpointed
from ..nn.recording import record
from .evaluate import Task
from .finite import MEND, blamed
from .parallel import Parallel, shard
from .ranks import SINGLE, Ranks
from .seeds import derive_seed
from .settings import FitSettings


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


Forward = Callable[[torch.Tensor, Any, bool], tuple[torch.Tensor, Any]]


@dataclass(frozen=True)
class Gradient:
    """Computes gradients of ``task``: by the process alone, or with others of which each takes a share of the samples.

    ``forward(x, state, last)`` runs the network; ``last`` tells whether no other call of the same step follows.
    """

    task: Task
    settings: FitSettings
    forward: Forward
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
        task = self.task
        x, own, count = shard(x, labels, self.ranks)
        # The exchange takes the mean over processes; asked for is the mean over samples.
        share *= count * self.ranks.size / len(labels)
        loss_sum, penalty_sum = 0.0, 0.0
        outputs: list[torch.Tensor] = []
        try:
            for y, penalty, fraction in self._pieces(x, last):
                loss = task.loss(y, own)
                total = loss if penalty is None else loss + penalty
                if not bool(torch.isfinite(total)):
                    raise NonFiniteError(
                        "the loss is not finite", got=total.item(), expected="a finite number", mend=MEND
                    )
                (total * (share * fraction)).backward()
                outputs.append(y.detach())
                loss_sum += loss.item() * fraction
                penalty_sum += 0.0 if penalty is None else penalty.item() * fraction
        except NonFiniteError as error:
            raise blamed(error, task.net, x, where) from error
        hits = accuracy(task.decide(torch.cat(outputs)), own).hits if count else 0
        return Outcome(count, loss_sum * count, penalty_sum * count, hits)

    def _pieces(self, x: torch.Tensor, last: bool) -> Iterator[Piece]:
        """Output, penalty and share of the time: once, or for each piece of a truncated sequence."""
        task, settings = self.task, self.settings
        pieces = x.split(settings.truncate or len(x))
        state: Any = None
        for number, piece in enumerate(pieces, 1):
            final = last and number == len(pieces)
            with torch.autocast(x.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
                if task.penalty is None:
                    y, state = self.forward(piece, state, final)
                    penalty = None
                else:
                    with record(task.net) as recording:
                        y, state = self.forward(piece, state, final)
                    spikes = {name: recording[name].spikes for name in recording.names()}
                    penalty = task.penalty({name: s for name, s in spikes.items() if s is not None})
            # Losses need more digits than bfloat16 has.
            yield y.float() if y.dtype == torch.bfloat16 else y, penalty, len(piece) / len(x)
            if state is not None:
                state = state.detach()


Piece = tuple[torch.Tensor, torch.Tensor | None, float]


def forward_of(net: torch.nn.Module, settings: FitSettings) -> Forward:
    """How one process runs ``net``."""
    return lambda x, state, last: _call(net, x, state, settings)


def parallel_of(net: torch.nn.Module, settings: FitSettings) -> Parallel:
    """How one of several processes runs ``net``."""
    return Parallel(net, lambda x, state: _call(net, x, state, settings))


def _call(net: torch.nn.Module, x: torch.Tensor, state: Any, settings: FitSettings) -> tuple[torch.Tensor, Any]:
    if settings.recompute:
        return checkpointed(net, x, state, steps=settings.recompute)
    # Without a state the network is called as it is at evaluation: it need not be one that takes states.
    return net(x) if state is None else net(x, state)
