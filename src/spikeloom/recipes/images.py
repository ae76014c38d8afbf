"""The configurations of the recipes for MNIST and Fashion-MNIST; torch-free, so that ``--help`` is fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

from ..errors import ConfigError
from .common import AugmentConfig, EncodingConfig, LIFConfig, OptimiserConfig, ReadoutConfig, TrainConfig, require


@dataclass(frozen=True)
class ImageFilesConfig:
    """The four idx files of a set of images."""

    set: Literal["mnist", "fashion-mnist"] = "mnist"
    """Which set."""
    root: Path = Path("data")
    """Folder with the four files, or with a folder of the set's name that has them."""
    validation: float = 1 / 12
    """Fraction of the official training set that is held out for choosing the model."""
    seed: int = 0
    """Seed of that choice; it does not change with the seeds of training."""

    def __post_init__(self) -> None:
        require("validation", self.validation, above=0.0, high=0.9)
        require("seed", self.seed, low=0, high=2**63 - 1)


@dataclass(frozen=True)
class ImageAugmentConfig(AugmentConfig):
    """How training images are varied; validation and test images never are."""

    flip: bool = False
    """Whether half of them are mirrored, left and right."""
    erase: int = 0
    """Side of a square, anywhere in the image, that is set to zero (0: none)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require("erase", self.erase, low=0, high=1000)


@dataclass(frozen=True)
class NetConfig:
    """The network between the image and the read-out."""

    kind: Literal["mlp", "conv", "vgg", "sew-resnet"] = "mlp"
    """`mlp`: fully connected; `conv`: blocks of convolution, then fully connected; `vgg` and `sew-resnet`: deep."""
    hidden: tuple[int, ...] = (512,)
    """Widths of the fully connected layers (`mlp`, `conv`)."""
    channels: tuple[int, ...] = (32, 64)
    """Channels of the blocks (`conv`), of the stages (`sew-resnet`), of the first convolution (`vgg`)."""
    depth: int = 5
    """Layers of weights of `vgg`: 5, 9 or 11."""
    norm: Literal["batch", "threshold", "temporal"] = "batch"
    """Normalisation of convolutions: over time and batch; the same, scaled to the threshold; with a factor per step."""
    dropout: float = 0.0
    """Probability to drop a feature before each fully connected layer (`mlp`, `conv`)."""

    def __post_init__(self) -> None:
        for width in (*self.hidden, *self.channels):
            require("a width", width, low=1, high=1_000_000)
        require("number of hidden layers", len(self.hidden), high=100)
        require("number of channels", len(self.channels), low=1, high=100)
        if self.kind == "vgg" and self.depth not in (5, 9, 11):
            raise ConfigError("depth of a vgg", got=self.depth, expected="5, 9 or 11")
        require("dropout", self.dropout, low=0.0, high=0.99)


@dataclass(frozen=True)
class ImagesConfig(TrainConfig):
    """A spiking network on small grey images."""

    data: ImageFilesConfig = field(default_factory=ImageFilesConfig)
    augment: ImageAugmentConfig = field(default_factory=ImageAugmentConfig)
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    net: NetConfig = field(default_factory=NetConfig)
    neuron: LIFConfig = field(default_factory=LIFConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gradient.recompute and self.net.kind != "mlp":
            what = f"gradient.recompute with {self.net.kind}, whose batch norm averages over the whole sequence"
            raise ConfigError(what, got=self.gradient.recompute, expected="0")
        if self.gradient.kind == "online" and (self.net.kind != "mlp" or self.net.dropout):
            got = f"{self.net.kind} with dropout {self.net.dropout:g}"
            what = "gradient.kind online, which knows only linear layers and neurons"
            raise ConfigError(what, got=got, expected="net.kind mlp with net.dropout 0")
        # Weights, and a batch of hidden spikes, have to fit into memory.
        widths = (28 * 28, *self.net.hidden) if self.net.kind == "mlp" else self.net.hidden
        for before, after in pairwise(widths):
            require("weights between two layers of net.hidden", before * after, high=1e9)
        deep = 0 if self.net.kind == "mlp" else 14 * 14 * max(self.net.channels)
        if deep:
            require("weights between two layers of net.channels", 9 * max(self.net.channels) ** 2, high=1e9)
        elements = self.encoding.steps * max(deep, *widths, 1) * max(self.optimiser.batch_size, 256)
        require("encoding.steps * widest layer * optimiser.batch_size", elements, high=1e10)


def mnist() -> ImagesConfig:
    """784-512-10 on MNIST, images as currents over 6 steps.

    >>> mnist().net.hidden
    (512,)
    """
    return ImagesConfig(
        epochs=15,
        augment=ImageAugmentConfig(shift=1.5),
        encoding=EncodingConfig(steps=6),
        net=NetConfig(dropout=0.2),
        neuron=LIFConfig(tau=5.0),
        readout=ReadoutConfig(tau=10.0, smoothing=0.05),
        optimiser=OptimiserConfig(learning_rate=2e-3, batch_size=128),
    )


def mnist_conv() -> ImagesConfig:
    """A small convolutional network on MNIST.

    >>> mnist_conv().net.kind
    'conv'
    """
    return ImagesConfig(
        epochs=16,
        seeds=1,
        augment=ImageAugmentConfig(shift=1.5),
        encoding=EncodingConfig(steps=2),
        net=NetConfig(kind="conv", hidden=(256,), dropout=0.1),
        neuron=LIFConfig(tau=2.0),
        readout=ReadoutConfig(tau=10.0, smoothing=0.05),
        optimiser=OptimiserConfig(learning_rate=2e-3, batch_size=128),
    )


def fashion_mnist() -> ImagesConfig:
    """A convolutional network on Fashion-MNIST.

    >>> fashion_mnist().data.set
    'fashion-mnist'
    """
    return ImagesConfig(
        epochs=20,
        seeds=1,
        data=ImageFilesConfig(set="fashion-mnist"),
        augment=ImageAugmentConfig(shift=1.0, flip=True),
        encoding=EncodingConfig(steps=2),
        net=NetConfig(kind="conv", hidden=(256,), dropout=0.1),
        neuron=LIFConfig(tau=2.0),
        readout=ReadoutConfig(tau=10.0, smoothing=0.05),
        optimiser=OptimiserConfig(learning_rate=2e-3, batch_size=128),
    )
