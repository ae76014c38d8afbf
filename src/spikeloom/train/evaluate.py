"""What a network does on a data set, without training it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..coding.classify import Accuracy, accuracy, classify
from ..coding.decode import membrane_mean
from ..data.arrays import Labelled
from ..nn.recording import record
from .seeds import derive_seed


@dataclass(frozen=True)
class Task:
    """A network and what it is asked.

    ``net(x)`` returns ``(y, state)``; ``encode(images, seed)`` makes ``x`` [T, B, ...] from images [B, ...], using no
    other randomness than ``seed``; ``loss(y, labels)`` returns a scalar tensor; ``augment(images, seed)`` varies
    training images and is used for nothing else. ``penalty(spikes)``, from the spikes ``[T, B, ...]`` of every layer by
    name, returns what is added to the loss in training.
    """

    net: torch.nn.Module
    encode: Callable[[torch.Tensor, int], torch.Tensor]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    augment: Callable[[torch.Tensor, int], torch.Tensor] | None = None
    penalty: Callable[[Mapping[str, torch.Tensor]], torch.Tensor] | None = None

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next((p.device for p in self.net.parameters()), torch.device("cpu"))

    def batch(self, data: Labelled, index: NDArray[np.int64] | slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and labels at ``index`` on the device of the network."""
        x, y = torch.from_numpy(data.x[index]), torch.from_numpy(data.y[index])
        return x.to(self.device), y.to(self.device)


@dataclass(frozen=True)
class Evaluation:
    """How a network did.

    ``predicted`` [N] is the class with the largest output, averaged over time; -1 where a silent or tied output
    decides nothing. ``activity`` is the number of spikes per neuron and step of each layer that spikes,
    ``spikes_per_neuron_step`` the same over all of them.
    """

    predicted: NDArray[np.int64]
    accuracy: Accuracy
    loss: float
    activity: dict[str, float]
    spikes_per_neuron_step: float


@torch.no_grad()
def evaluate(
    task: Task, data: Labelled, *, seed: int, batch_size: int = 256, between: Callable[[], None] | None = None
) -> Evaluation:
    """Run ``data`` through the network in evaluation mode; ``seed`` is that of the encoder.

    ``between`` is called before each batch and may raise, for instance to stop.
    """
    task.net.eval()
    predicted, hits, loss = [], Accuracy(0, 0, 0, 0), 0.0
    counts: dict[str, tuple[float, int]] = {}
    for number, start in enumerate(range(0, len(data), batch_size)):
        if between is not None:
            between()
        images, labels = task.batch(data, slice(start, start + batch_size))
        with record(task.net) as recording:
            y, _ = task.net(task.encode(images, derive_seed(seed, "evaluate", number)))
        loss += task.loss(y, labels).item() * len(labels)
        decision = classify(membrane_mean(y))
        hits += accuracy(decision, labels)
        predicted.append(decision.prediction.cpu().numpy())
        for name in recording.names():
            spikes = recording[name].spikes
            if spikes is not None:
                total, places = counts.get(name, (0.0, 0))
                counts[name] = (total + spikes.sum(dtype=torch.float64).item(), places + spikes.numel())
    return Evaluation(
        predicted=np.concatenate(predicted),
        accuracy=hits,
        loss=loss / len(data),
        activity={name: total / places for name, (total, places) in counts.items()},
        spikes_per_neuron_step=sum(t for t, _ in counts.values()) / max(1, sum(n for _, n in counts.values())),
    )
