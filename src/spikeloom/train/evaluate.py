"""What a network does on a data set, without training it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..coding.classify import Accuracy, Decision, accuracy, classify
from ..coding.decode import membrane_mean
from ..data.arrays import Labelled
from ..nn.recording import record
from .ranks import SINGLE, Ranks
from .seeds import derive_seed


def by_membrane(y: torch.Tensor) -> Decision:
    """The class with the largest output, averaged over time; undecided where all are 0, or the best are equal."""
    return classify(membrane_mean(y))


@dataclass(frozen=True)
class Task:
    """A network and what it is asked.

    ``net(x)`` returns ``(y, state)``; ``encode(images, seed)`` makes ``x`` [T, B, ...] from images [B, ...], using no
    other randomness than ``seed``; ``loss(y, labels)`` returns a scalar tensor; ``augment(images, seed)`` varies
    training images and is used for nothing else. ``penalty(spikes)``, from the spikes ``[T, B, ...]`` of every layer by
    name, returns what is added to the loss in training. ``decide(y)`` reads a class from the output of each sample.
    """

    net: torch.nn.Module
    encode: Callable[[torch.Tensor, int], torch.Tensor]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    augment: Callable[[torch.Tensor, int], torch.Tensor] | None = None
    penalty: Callable[[Mapping[str, torch.Tensor]], torch.Tensor] | None = None
    decide: Callable[[torch.Tensor], Decision] = by_membrane

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

    ``predicted`` [N] is the class by the task's rule; -1 where a silent or tied output decides nothing. ``activity``
    is the number of spikes per neuron and step of each layer that spikes, ``spikes_per_neuron_step`` the same over all
    of them.
    """

    predicted: NDArray[np.int64]
    accuracy: Accuracy
    loss: float
    activity: dict[str, float]
    spikes_per_neuron_step: float


@dataclass(frozen=True)
class _Batch:
    """What one batch adds to an evaluation; ``spikes`` holds spikes and places for them by layer."""

    predicted: NDArray[np.int64]
    hits: Accuracy
    loss: float
    spikes: dict[str, tuple[float, int]]

    def numbers(self) -> list[float]:
        """All of it but the names of the layers; exact, since no count comes near 2^53."""
        h = self.hits
        flat = [number for pair in self.spikes.values() for number in pair]
        return [h.samples, h.hits, h.silences, h.ties, self.loss, *flat, *self.predicted.tolist()]

    def like(self, numbers: list[float]) -> _Batch:
        """The batch whose ``numbers`` these are, of the same network."""
        samples, hits, silences, ties = (int(n) for n in numbers[:4])
        flat, rest = numbers[5 : 5 + 2 * len(self.spikes)], numbers[5 + 2 * len(self.spikes) :]
        spikes = {name: (flat[2 * i], int(flat[2 * i + 1])) for i, name in enumerate(self.spikes)}
        predicted = np.array(rest[:samples], dtype=np.int64)
        return _Batch(predicted, Accuracy(samples, hits, silences, ties), numbers[4], spikes)


@torch.no_grad()
def evaluate(
    task: Task, data: Labelled, *, seed: int, batch_size: int = 256, between: Callable[[], None] | None = None,
    ranks: Ranks = SINGLE,
) -> Evaluation:  # fmt: skip
    """Run ``data`` through the network in evaluation mode; ``seed`` is that of the encoder.

    ``between`` is called before each batch and may raise, for instance to stop. Of several ``ranks`` each computes
    some of the batches, and all get the same result, to the bit that of one process.
    """
    task.net.eval()
    starts = range(0, len(data), batch_size)
    # A process for which no batch is left computes the first one, to know the layers.
    mine = range(ranks.rank, len(starts), ranks.size) or range(1)
    batches: list[_Batch] = []
    for number in mine:
        if between is not None:
            between()
        images, labels = task.batch(data, slice(starts[number], starts[number] + batch_size))
        batches.append(_batch(task, images, labels, derive_seed(seed, "evaluate", number)))
    return _joined(batches if ranks.alone else _of_all(batches, len(starts), batch_size, ranks))


def _batch(task: Task, images: torch.Tensor, labels: torch.Tensor, key: int) -> _Batch:
    with record(task.net) as recording:
        y, _ = task.net(task.encode(images, key))
    decision = task.decide(y)
    spikes: dict[str, tuple[float, int]] = {}
    for name in recording.names():
        found = recording[name].spikes
        if found is not None:
            spikes[name] = found.sum(dtype=torch.float64).item(), found.numel()
    loss = task.loss(y, labels).item() * len(labels)
    return _Batch(decision.prediction.cpu().numpy(), accuracy(decision, labels), loss, spikes)


def _of_all(batches: list[_Batch], count: int, batch_size: int, ranks: Ranks) -> list[_Batch]:
    """The batches of all processes, in order: each one fills in its own, and zeros for the others."""
    row = 5 + 2 * len(batches[0].spikes) + batch_size
    table = [0.0] * (row * count)
    for batch, number in zip(batches, range(ranks.rank, count, ranks.size), strict=False):
        numbers = batch.numbers()
        table[number * row : number * row + len(numbers)] = numbers
    table = ranks.total(table)
    return [batches[0].like(table[start : start + row]) for start in range(0, len(table), row)]


def _joined(batches: list[_Batch]) -> Evaluation:
    hits, loss = Accuracy(0, 0, 0, 0), 0.0
    counts: dict[str, tuple[float, int]] = {}
    for batch in batches:
        hits += batch.hits
        loss += batch.loss
        for name, (spikes, places) in batch.spikes.items():
            before = counts.get(name, (0.0, 0))
            counts[name] = before[0] + spikes, before[1] + places
    return Evaluation(
        predicted=np.concatenate([batch.predicted for batch in batches]),
        accuracy=hits,
        loss=loss / hits.samples,
        activity={name: total / places for name, (total, places) in counts.items()},
        spikes_per_neuron_step=sum(t for t, _ in counts.values()) / max(1, sum(n for _, n in counts.values())),
    )
