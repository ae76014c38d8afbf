"""What can go wrong with a network in the world: noise at its input, lost and late spikes, inexact weights, dead cells.

Each is a frozen value whose ``applied(task, seed)`` lends, within its block, a task that is disturbed. The network of
the task is the same object, and afterwards exactly what it was, also when the block fails.

Every random number is a function of the seed and of what it disturbs: layer, batch and step, but never of the level.
So two levels of one perturbation share their random numbers (whatever is lost at one level is lost at every higher
one), and so do a spiking network and its ANN twin, whose single pass meets the numbers of the first step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from ..errors import ParameterError
from ..nn.recording import recorders_of
from .evaluate import Task
from .places import Place, has_spikes, hidden_places
from .seeds import derive_seed
from .weights import connection_weights


@dataclass(frozen=True)
class Perturbation(ABC):
    """A kind of disturbance and its strength; level 0 leaves the network undisturbed.

    Raises :class:`ParameterError` for a level that is negative, not finite, or above 1 where it is a share.
    """

    level: float
    title: ClassVar[str]
    unit: ClassVar[str]
    """What ``level`` is, as an axis names it."""
    share: ClassVar[bool] = False
    needs_spikes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        high = 1.0 if self.share else math.inf
        if not (math.isfinite(self.level) and 0.0 <= self.level <= high):
            expected = "0 to 1" if self.share else "a finite number >= 0"
            raise ParameterError(f"level of {self.title}", got=self.level, expected=expected)

    @abstractmethod
    def applied(self, task: Task, seed: int) -> AbstractContextManager[Task]:
        """A block in which the task it gives is disturbed, by the random numbers of ``seed``."""


@dataclass(frozen=True)
class InputNoise(Perturbation):
    """``x + level * n`` before encoding, n standard normal for every pixel; clipped to [0, 1] only with ``clip``.

    An encoder that takes nothing but [0, 1], such as ``rate``, needs ``clip``.
    """

    clip: bool = False
    title: ClassVar[str] = "input noise"
    unit: ClassVar[str] = "standard deviation of the noise (white − black = 1)"

    @contextlib.contextmanager
    def applied(self, task: Task, seed: int) -> Iterator[Task]:
        def noisy(images: torch.Tensor, key: int) -> torch.Tensor:
            noise = _normal(images.shape, seed, "input", key)
            noised = images + self.level * noise.to(images)
            return task.encode(noised.clamp(0.0, 1.0) if self.clip else noised, key)

        yield dataclasses.replace(task, encode=noisy)


@dataclass(frozen=True)
class SpikeDeletion(Perturbation):
    """Each spike of a hidden layer is lost with probability ``level``, on its way to all its targets at once.

    In a recurrent layer it does not come back either. In an ANN each activation becomes 0 with that probability.
    """

    title: ClassVar[str] = "spike deletion"
    unit: ClassVar[str] = "probability that a spike is lost"
    share: ClassVar[bool] = True

    def applied(self, task: Task, seed: int) -> AbstractContextManager[Task]:
        def lose(y: torch.Tensor, layer: int, batch: int, first: int) -> torch.Tensor:
            kept = torch.empty_like(y)
            for t, spikes in enumerate(y):  # step by step, since the draws of a convolution need much memory
                lost = _uniform(spikes.shape, seed, "deletion", layer, batch, first + t) < self.level
                kept[t] = spikes.masked_fill(lost.to(y.device), 0.0)
            return kept

        return _outputs_changed(task, hidden_places(task.net), lose)


@dataclass(frozen=True)
class DeadNeurons(Perturbation):
    """The share ``level`` of the neurons of each hidden layer never fires: exactly that many, rounded to the nearest.

    A neuron is one place of the feature axes, in a convolution one pixel of one channel. In an ANN its activation
    is 0.
    """

    title: ClassVar[str] = "dead neurons"
    unit: ClassVar[str] = "share of the hidden neurons that is dead"
    share: ClassVar[bool] = True

    def applied(self, task: Task, seed: int) -> AbstractContextManager[Task]:
        def silence(y: torch.Tensor, layer: int, batch: int, first: int) -> torch.Tensor:
            neurons = math.prod(y.shape[2:])
            order = _generator(seed, "dead", layer).permutation(neurons)
            dead = torch.zeros(neurons, dtype=torch.bool)
            dead[torch.from_numpy(order[: math.floor(self.level * neurons + 0.5)])] = True
            return y.masked_fill(dead.view(y.shape[2:]).to(y.device), 0.0)

        return _outputs_changed(task, hidden_places(task.net), silence)


@dataclass(frozen=True)
class SpikeJitter(Perturbation):
    """Each spike of a hidden layer moves by ``round(level * n)`` steps, n standard normal.

    A spike that would leave the sequence is folded back at its end, as by a mirror between the last step and the one
    that would follow. Spikes of one neuron that meet in a step become one, so trains stay binary. In a recurrent
    layer the spikes that go on are moved, those that come back are not. Raises :class:`ParameterError` for a
    network without spikes.
    """

    title: ClassVar[str] = "spike jitter"
    unit: ClassVar[str] = "standard deviation of a spike's shift (steps)"
    needs_spikes: ClassVar[bool] = True

    def applied(self, task: Task, seed: int) -> AbstractContextManager[Task]:
        if not has_spikes(task.net):
            raise ParameterError("spike jitter of a network without spikes", mend="An ANN has no spike times.")

        def move(y: torch.Tensor, layer: int, batch: int, first: int) -> torch.Tensor:
            moved = torch.zeros_like(y)
            for t, spikes in enumerate(y):
                at = spikes.nonzero(as_tuple=True)
                draws = _normal(spikes.shape, seed, "jitter", layer, batch, first + t).to(y.device)[at]
                shift = torch.round(self.level * draws).to(torch.int64)
                moved[(_folded(t + shift, len(y)), *at)] = 1.0
            return moved

        return _outputs_changed(task, hidden_places(task.net, whole_trains=True), move)


@dataclass(frozen=True)
class WeightNoise(Perturbation):
    """``w + level * rms(w) * n`` for every weight tensor w, n standard normal, rms its root mean square.

    Weights are parameters with two axes or more; biases and the parameters of norms and neurons stay as they are.
    """

    title: ClassVar[str] = "weight noise"
    unit: ClassVar[str] = "standard deviation of the error / rms of the weights"

    @contextlib.contextmanager
    def applied(self, task: Task, seed: int) -> Iterator[Task]:
        noisy = {
            id(weight): torch.nn.Parameter(self._disturbed(weight, seed, number), weight.requires_grad)
            for number, weight in enumerate(connection_weights(task.net))
        }
        # The parameter objects are exchanged, never written to: what is put back is the very same memory.
        held = [
            (module, name, parameter)
            for module in task.net.modules()
            for name, parameter in module.named_parameters(recurse=False)
            if id(parameter) in noisy
        ]
        try:
            for module, name, parameter in held:
                setattr(module, name, noisy[id(parameter)])
            yield task
        finally:
            for module, name, parameter in held:
                setattr(module, name, parameter)

    def _disturbed(self, weight: torch.Tensor, seed: int, number: int) -> torch.Tensor:
        old = weight.detach()
        rms = old.double().square().mean().sqrt().item() if old.numel() else 0.0
        return old + self.level * rms * _normal(old.shape, seed, "weights", number).to(old)


Change = Callable[[torch.Tensor, int, int, int], torch.Tensor]  # (y [T, B, ...], layer, batch, first step)


@contextlib.contextmanager
def _outputs_changed(task: Task, places: list[Place], change: Change) -> Iterator[Task]:
    """Within the block ``change`` acts on what the places send on, and on what recorders see of them."""
    batch, steps = 0, dict[int, int]()

    def encode(images: torch.Tensor, key: int) -> torch.Tensor:
        nonlocal batch
        batch = key  # an encoder's seed says which batch it is
        steps.clear()
        return task.encode(images, key)

    def hook_of(layer: int, place: Place) -> Callable[..., Any]:
        def hook(module: torch.nn.Module, arguments: Any, output: Any) -> Any:
            sequence = isinstance(output, tuple)  # what is no sl.nn.Layer sees one step: [B, ...]
            y = output[0] if sequence else output.unsqueeze(0)
            first = steps.get(layer, 0)
            steps[layer] = first + len(y)
            changed = change(y, layer, batch, first) if y.numel() else y
            _note(place.recorded, changed)
            return (changed, *output[1:]) if sequence else changed.squeeze(0)

        return hook

    with contextlib.ExitStack() as stack:
        for layer, place in enumerate(places):
            stack.callback(place.module.register_forward_hook(hook_of(layer, place)).remove)
        yield dataclasses.replace(task, encode=encode)


def _note(layer: torch.nn.Module, spikes: torch.Tensor) -> None:
    """Recorders heard of the spikes as they were fired; what counts is what the next layer gets."""
    for recorder in recorders_of(layer):
        name = recorder.path(layer)
        if name in recorder.names():
            recorder.note(layer, spikes, recorder[name].states)


def _folded(step: torch.Tensor, steps: int) -> torch.Tensor:
    """Steps outside 0 ... steps - 1, mirrored at both ends: -1 becomes 0, ``steps`` becomes ``steps - 1``."""
    step = step.remainder(2 * steps)
    return torch.where(step < steps, step, 2 * steps - 1 - step)


def _generator(seed: int, *path: str | int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=derive_seed(seed, *path)))


def _uniform(shape: torch.Size, seed: int, *path: str | int) -> torch.Tensor:
    return torch.from_numpy(_generator(seed, *path).random(tuple(shape), np.float32))


def _normal(shape: torch.Size, seed: int, *path: str | int) -> torch.Tensor:
    return torch.from_numpy(np.asarray(_generator(seed, *path).standard_normal(tuple(shape), np.float32)))
