"""The gradient of one batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import NonFiniteError
from ..learn.through_time import checkpointed
from ..nn.recording import record
from .evaluate import Task
from .finite import MEND, blamed
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


def add_gradient(
    task: Task, settings: FitSettings, images: torch.Tensor, labels: torch.Tensor, key: int, share: float, where: str
) -> Outcome:
    """Add ``share`` times the gradient of the mean loss over ``images`` to the parameters' ``grad``.

    All that is random about it follows from ``key``. Raises :class:`NonFiniteError`, naming the layer, when the loss
    or a state is not finite.
    """
    if task.augment is not None:
        images = task.augment(images, derive_seed(key, "augment"))
    x = task.encode(images, key)
    loss_sum, penalty_sum = 0.0, 0.0
    scores = torch.zeros(())
    try:
        for y, penalty, fraction in _pieces(task, settings, x):
            loss = task.loss(y, labels)
            total = loss if penalty is None else loss + penalty
            if not bool(torch.isfinite(total)):
                raise NonFiniteError("the loss is not finite", got=total.item(), expected="a finite number", mend=MEND)
            (total * (share * fraction)).backward()
            scores = scores + y.detach().sum(0)
            loss_sum += loss.item() * fraction
            penalty_sum += 0.0 if penalty is None else penalty.item() * fraction
    except NonFiniteError as error:
        raise blamed(error, task.net, x, where) from error
    count = len(labels)
    hits = int((scores.argmax(1) == labels).sum())
    return Outcome(count, loss_sum * count, penalty_sum * count, hits)


Piece = tuple[torch.Tensor, torch.Tensor | None, float]


def _pieces(task: Task, settings: FitSettings, x: torch.Tensor) -> Iterator[Piece]:
    """Output, penalty and share of the time: once, or for each piece of a truncated sequence."""
    steps = settings.truncate or len(x)
    state: Any = None
    for piece in x.split(steps):
        with torch.autocast(x.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            if task.penalty is None:
                y, state = _call(task.net, piece, state, settings)
                penalty = None
            else:
                with record(task.net) as recording:
                    y, state = _call(task.net, piece, state, settings)
                spikes = {name: recording[name].spikes for name in recording.names()}
                penalty = task.penalty({name: s for name, s in spikes.items() if s is not None})
        # Losses need more digits than bfloat16 has.
        yield y.float() if y.dtype == torch.bfloat16 else y, penalty, len(piece) / len(x)
        if state is not None:
            state = state.detach()


def _call(net: torch.nn.Module, x: torch.Tensor, state: Any, settings: FitSettings) -> tuple[torch.Tensor, Any]:
    if settings.recompute:
        return checkpointed(net, x, state, steps=settings.recompute)
    # Without a state the network is called as it is at evaluation: it need not be one that takes states.
    return net(x) if state is None else net(x, state)
