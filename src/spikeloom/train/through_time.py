"""Gradients by backpropagation through time: all of it at once, or piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ..learn.through_time import checkpointed
from ..nn.recording import record
from .evaluate import Task
from .finite import require_finite_loss
from .parallel import Parallel
from .ranks import Ranks
from .settings import FitSettings
from .way import Found, Way

Forward = Callable[[torch.Tensor, Any, bool], tuple[torch.Tensor, Any]]


@dataclass(frozen=True)
class ThroughTime(Way):
    """Backpropagation through all steps, or through pieces of them (``settings.truncate``).

    ``forward(x, state, last)`` runs the network; ``last`` tells whether no other call of the same step follows.
    """

    task: Task
    settings: FitSettings
    forward: Forward

    def add(self, x: torch.Tensor, labels: torch.Tensor, share: float, last: bool) -> Found:
        outputs: list[torch.Tensor] = []
        loss_sum, penalty_sum = 0.0, 0.0
        for y, penalty, fraction in self._pieces(x, last):
            loss = self.task.loss(y, labels)
            total = loss if penalty is None else loss + penalty
            require_finite_loss(total)
            (total * (share * fraction)).backward()
            outputs.append(y.detach())
            loss_sum += loss.item() * fraction
            penalty_sum += 0.0 if penalty is None else penalty.item() * fraction
        return Found(torch.cat(outputs), loss_sum, penalty_sum)

    def share_buffers(self) -> None:
        if isinstance(self.forward, Parallel):
            self.forward.same_buffers()

    def _pieces(self, x: torch.Tensor, last: bool) -> Iterator[tuple[torch.Tensor, torch.Tensor | None, float]]:
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


def through_time(task: Task, settings: FitSettings, ranks: Ranks) -> ThroughTime:
    """Backpropagation of ``task`` in one process, or in each of several."""
    if ranks.alone:
        return ThroughTime(task, settings, lambda x, state, last: _call(task.net, x, state, settings))
    return ThroughTime(task, settings, Parallel(task.net, lambda x, state: _call(task.net, x, state, settings)))


def _call(net: torch.nn.Module, x: torch.Tensor, state: Any, settings: FitSettings) -> tuple[torch.Tensor, Any]:
    if settings.recompute:
        return checkpointed(net, x, state, steps=settings.recompute)
    # Without a state the network is called as it is at evaluation: it need not be one that takes states.
    return net(x) if state is None else net(x, state)
