"""Data and networks of the recipes for MNIST and Fashion-MNIST."""

from __future__ import annotations

import torch

from ..data.augment import random_erasures, random_flips, random_shifts
from ..data.images import load_images
from ..models import LIF
from ..models.base import NeuronModel
from ..nets import ConvBlock, Stage, conv_net, mlp, sew_resnet, threshold_norm, vgg
from ..nets.norms import Norm
from ..nn import TemporalBatchNorm
from ..train.evaluate import Task
from .images import ImagesConfig
from .problem import Parts, encoder_of, penalty_of
from .readout import readout_of


def load(config: ImagesConfig) -> Parts:
    """The official files; a part of their training set is held out for the validation."""
    data = config.data
    found = load_images(data.root, data.set, validation=data.validation, seed=data.seed)
    _, height, width = found.shape
    return Parts(data.set, found.train, found.validation, found.test, found.class_names, (height, width))


def build(config: ImagesConfig, seed: int, parts: Parts) -> Task:
    """The network that ``config.net`` describes, and the read-out."""
    flat = config.net.kind == "mlp"
    encode = encoder_of(config.encoding)

    def shown(images: torch.Tensor, key: int) -> torch.Tensor:
        return encode(images.flatten(1) if flat else images, key)

    def varied(images: torch.Tensor, key: int) -> torch.Tensor:
        augment = config.augment
        generator = torch.Generator().manual_seed(key)
        images = random_shifts(images, augment.shift, generator) if augment.shift else images
        images = random_flips(images, generator) if augment.flip else images
        return random_erasures(images, augment.erase, generator) if augment.erase else images

    readout = readout_of(config.readout)
    net = _net(config, (1, *parts.picture), len(parts.class_names), readout.neuron)
    return Task(net, shown, readout.loss, varied, penalty_of(config), readout.decide)


def _net(config: ImagesConfig, shape: tuple[int, int, int], classes: int, readout: NeuronModel) -> torch.nn.Module:
    net, neuron = config.net, LIF(tau=config.neuron.tau)
    learn = ("tau",) if config.neuron.learn_tau else ()
    if net.kind == "mlp":
        sizes = [shape[0] * shape[1] * shape[2], *net.hidden, classes]
        return mlp(sizes, neuron, readout, dropout=net.dropout, learn=learn)
    norms: dict[str, Norm] = {
        "batch": torch.nn.BatchNorm2d,
        "threshold": threshold_norm(neuron),
        "temporal": lambda channels: TemporalBatchNorm(channels, steps=config.encoding.steps),
    }
    norm = norms[net.norm]
    if net.kind == "conv":
        blocks = [ConvBlock(channels, pooled="currents") for channels in net.channels]
        made = conv_net(
            shape, classes, neuron, readout, blocks=blocks, hidden=net.hidden, norm=norm, dropout=net.dropout,
            learn=learn,
        )  # fmt: skip
        # A third less time on a CPU; the numbers are the same up to rounding. Not for the others: in this layout
        # torch 2.13 corrupts the heap in the gradient of a 1 x 1 convolution of stride 2 with 4 channels.
        return made.to(memory_format=torch.channels_last)  # type: ignore[reportCallIssue]
    if net.kind == "vgg":
        depth, width = net.depth, net.channels[0]
        return vgg(depth, shape, classes, neuron, readout, width=width, norm=norm, dropout=net.dropout, learn=learn)
    stages = [Stage(channels) for channels in net.channels]
    return sew_resnet(shape, classes, neuron, readout, stages=stages, norm=norm, learn=learn)
