"""Gradients without backpropagation through time: each step adds its own, from traces that are carried on."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import ConfigError
from ..learn.online import Online, Traces
from .evaluate import Task
from .finite import require_finite_loss
from .parallel import mean_of_gradients, same_parameters
from .ranks import Ranks
from .way import Found, Way


class StepByStep(Way):
    """:class:`~spikeloom.learn.Online` on every sample from its first step to its last.

    The loss of a step is ``task.loss`` of that step alone, and what is minimised the mean over all steps: for a loss
    that is such a mean, as :func:`~spikeloom.learn.mean_of_cross_entropy`, the same as through time. What is kept does
    not depend on the number of steps, but for input and output themselves.

    Raises :class:`ModelError` for a net that is no sequence of pairs of Linear and Neuron or Recurrent, and
    :class:`ConfigError` for a task with a penalty, which asks for spikes of whole sequences.
    """

    def __init__(self, task: Task, ranks: Ranks) -> None:
        if task.penalty is not None:
            mend = "Leave the penalty out, or train through time."
            raise ConfigError("online learning has no penalty for spikes", mend=mend)
        self._task, self._ranks = task, ranks
        self._learner = Online(task.net, self._weighted)  # type: ignore[arg-type]
        if not ranks.alone:
            same_parameters(task.net)

    def add(self, x: torch.Tensor, labels: torch.Tensor, share: float, last: bool) -> Found:
        weight = share / len(x)
        traces: Traces | None = None
        outputs: list[torch.Tensor] = []
        losses: list[torch.Tensor] = []
        for now in x:
            y, loss, traces = self._learner.step(now, (labels, weight), traces)
            outputs.append(y)
            losses.append(loss)
        # A process of which no sample counts has a share of zero.
        loss = torch.stack(losses).sum() / (share or 1.0)
        require_finite_loss(loss)
        if last and not self._ranks.alone:
            mean_of_gradients(self._task.net, self._ranks)
        return Found(torch.stack(outputs), loss.item())

    def share_buffers(self) -> None:
        """Linear maps and neurons have none."""

    def _weighted(self, y: torch.Tensor, target: Any) -> torch.Tensor:
        labels, weight = target
        return weight * self._task.loss(y.unsqueeze(0), labels)
