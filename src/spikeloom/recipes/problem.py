"""What a recipe gives to the runner: data in three parts, and a network with its task."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np
import torch

from ..coding import encode
from ..data.arrays import Labelled
from ..learn.regularisers import Regularisers
from ..nets.twin import ann_twin
from ..train.evaluate import Task
from ..train.seeds import derive_seed
from .common import EncodingConfig, TrainConfig
from .recipe import Recipe

SPIKING, ANN = "spiking", "ann"
DT = 1.0  # ms


@dataclass(frozen=True)
class Parts:
    """Three disjoint parts of the data set ``name``; ``picture`` is height and width of a sample as an image."""

    name: str
    train: Labelled
    validation: Labelled
    test: Labelled
    class_names: tuple[str, ...]
    picture: tuple[int, int]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all samples and labels, by which other data are recognised."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.train, self.validation, self.test):
            for array in (part.x, part.y):
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @property
    def sizes(self) -> dict[str, int]:
        """The number of samples of each part."""
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}


class Problem(Protocol):
    """The module of a recipe."""

    def load(self, config: Any) -> Parts:
        """The data that ``config`` names."""
        ...

    def build(self, config: Any, seed: int, parts: Parts) -> Task:
        """The spiking network with the initial weights of ``seed``, its encoder, loss and augmentation."""
        ...


def problem_of(recipe: Recipe) -> Problem:
    """The module of ``recipe``; importing it imports torch."""
    return cast(Problem, importlib.import_module(recipe.module))


def build(recipe: Recipe, config: TrainConfig, seed: int, parts: Parts, variant: str = SPIKING) -> Task:
    """The task of one seed: the spiking network, or with ``variant="ann"`` its artificial twin.

    The twin sees the image itself (T = 1), is trained with the same optimiser and augmentation, and pays no penalty for
    spikes, of which it has none. Its loss is the same as well, or where that is one of spikes, the cross-entropy of its
    scores.
    """
    if variant == ANN and config.readout.fires:
        config = dataclasses.replace(config, readout=dataclasses.replace(config.readout, loss="mean-then-softmax"))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "weights"))
        task = problem_of(recipe).build(config, seed, parts)
    # The twin starts from the same weights: they were drawn by torch's usual rules.
    return task if variant == SPIKING else as_ann(task, ann_twin(task.net))


def as_ann(task: Task, net: torch.nn.Module) -> Task:
    """The task of ``net``, an artificial twin of the network of ``task``."""

    def once(images: torch.Tensor, key: int) -> torch.Tensor:
        # The encoder decides on the shape of a sample; its one step must be the image, not spikes.
        shape = task.encode(images[:1], key).shape[2:]
        return encode.direct(images.reshape(len(images), *shape), 1)

    return Task(net, once, task.loss, task.augment)


def encoder_of(encoding: EncodingConfig) -> Any:
    """The encoder that ``encoding`` names."""

    def spikes(images: torch.Tensor, key: int) -> torch.Tensor:
        return encode.rate(images, encoding.steps, torch.Generator().manual_seed(key))

    def currents(images: torch.Tensor, key: int) -> torch.Tensor:
        return encode.direct(images, encoding.steps)

    return spikes if encoding.kind == "rate" else currents


def penalty_of(config: TrainConfig) -> Callable[[Mapping[str, torch.Tensor]], torch.Tensor] | None:
    """The regularisers that ``config.penalty`` asks for, if any; the output neurons pay nothing, firing or not."""
    p = config.penalty
    regularisers = Regularisers(p.rate, p.target, p.least_rate, p.count, p.most, p.silent)
    if not regularisers or not config.readout.fires:
        return regularisers or None

    def of_hidden(spikes: Mapping[str, torch.Tensor]) -> torch.Tensor:
        hidden = list(spikes)[:-1]  # in the order in which they ran
        return regularisers({name: spikes[name] for name in hidden})

    return of_hidden
