"""Data and network of the digits recipe."""

from __future__ import annotations

import torch

from ..data.augment import random_shifts
from ..data.digits import load_digits
from ..data.splits import stratified_split
from ..models import LIF
from ..nets.mlp import mlp
from ..train.evaluate import Task
from .digits import DigitsConfig
from .problem import Parts, encoder_of, penalty_of
from .readout import readout_of

CLASSES = 10
SHAPE = (8, 8)


def load(config: DigitsConfig) -> Parts:
    """scikit-learn's digits, split with the seed of the configuration."""
    data = load_digits()
    split = stratified_split(data.y, train=config.data.train, validation=config.data.validation, seed=config.data.seed)
    train, validation, test = (data.take(part) for part in (split.train, split.validation, split.test))
    return Parts("digits", train, validation, test, tuple(str(k) for k in range(CLASSES)), SHAPE)


def build(config: DigitsConfig, seed: int, parts: Parts) -> Task:
    """One hidden layer of LIF neurons and the read-out."""
    hidden, readout = LIF(tau=config.neuron.tau), readout_of(config.readout)
    learn = ("tau",) if config.neuron.learn_tau else ()
    net = mlp([SHAPE[0] * SHAPE[1], config.neuron.width, CLASSES], hidden, readout.neuron, learn=learn)

    def shift(images: torch.Tensor, key: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(key)
        return random_shifts(images.unflatten(1, SHAPE), config.augment.shift, generator).flatten(1)

    return Task(net, encoder_of(config.encoding), readout.loss, shift, penalty_of(config), readout.decide)
