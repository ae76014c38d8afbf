"""Small convolutional spiking networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch

from ..errors import ParameterError
from ..models.base import NeuronModel
from ..nn import Dropout, Neuron, Sequential
from .norms import Norm
from .shapes import checked_image, checked_left, checked_size


@dataclass(frozen=True)
class ConvBlock:
    """Convolution, normalisation, neurons, pooling.

    The border is padded with zeros by ``kernel // 2``, so that ``stride`` 1 keeps the size; ``pool`` is the side of the
    squares of which the largest value is kept (1: no pooling). With ``pooled="spikes"`` that is after the neurons, and
    the largest of spikes is a spike. With ``pooled="currents"`` it is right after the convolution, so that there are
    ``pool ** 2`` times fewer neurons, and less to compute in every step. Either way the next block gets spikes.

    Raises :class:`ParameterError` for sizes below 1, an even kernel and another way of pooling.
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    pool: int = 2
    pooled: Literal["spikes", "currents"] = "spikes"

    def __post_init__(self) -> None:
        for name in ("channels", "kernel", "stride", "pool"):
            checked_size(f"ConvBlock: {name}", getattr(self, name))
        if self.kernel % 2 == 0:
            raise ParameterError("ConvBlock: kernel", got=self.kernel, expected="an odd number, which has a middle")
        if self.pooled not in ("spikes", "currents"):
            raise ParameterError("ConvBlock: pooled", got=self.pooled, expected="'spikes' or 'currents'")

    def size(self, before: tuple[int, int]) -> tuple[int, int]:
        """Height and width of what the block makes of an image of ``before``."""
        height, width = (((n - 1) // self.stride + 1) // self.pool for n in before)
        return height, width


SMALL = (ConvBlock(32), ConvBlock(64))


def conv_net(
    shape: Sequence[int],
    classes: int,
    neuron: NeuronModel,
    readout: NeuronModel,
    *,
    blocks: Sequence[ConvBlock] = SMALL,
    hidden: Sequence[int] = (128,),
    norm: Norm = torch.nn.BatchNorm2d,
    dropout: float = 0.0,
    learn: Sequence[str] = (),
) -> Sequential:
    """Blocks of convolution, then fully connected layers, for images of ``shape`` (channels, height, width).

    A spiking ``neuron`` follows the ``norm`` of each convolution and each of the ``hidden`` layers; the last layer
    feeds ``readout``. ``dropout`` is the probability to drop a feature before each fully connected layer, for the
    whole sequence; ``learn`` names parameters of ``neuron`` that are trained.
    Maps ``x`` [T, B, *shape] to ``y`` [T, B, classes]. A convolution has no bias, since ``norm`` brings one.

    Raises :class:`ShapeError` when the blocks leave nothing of the image, :class:`ParameterError` for unusable sizes.

    >>> import spikeloom as sl
    >>> net = conv_net((1, 28, 28), 10, sl.LIF(tau=2.0), sl.LI(tau=2.0), blocks=(ConvBlock(4), ConvBlock(8)))
    >>> y, state = net(torch.rand(3, 2, 1, 28, 28))
    >>> y.shape
    torch.Size([3, 2, 10])
    """
    channels, size = checked_image(shape)
    modules: list[torch.nn.Module] = []
    for block in blocks:
        if not isinstance(block, ConvBlock):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ParameterError("blocks", got=repr(block), expected="each a ConvBlock, such as sl.nets.ConvBlock(16)")
        padding = block.kernel // 2
        conv = torch.nn.Conv2d(channels, block.channels, block.kernel, block.stride, padding, bias=False)
        pool = [torch.nn.MaxPool2d(block.pool)] if block.pool > 1 else []
        fire = [norm(block.channels), Neuron(neuron, learn=tuple(learn))]
        modules += [conv, *pool, *fire] if block.pooled == "currents" else [conv, *fire, *pool]
        channels, size = block.channels, checked_left(block.size(size), shape)
    modules.append(torch.nn.Flatten())
    widths = [channels * size[0] * size[1], *hidden, classes]
    for width in widths:
        checked_size("width of a layer", width)
    drop = [dropout] if dropout else []
    for before, after in pairwise(widths[:-1]):
        modules += [*map(Dropout, drop), torch.nn.Linear(before, after), Neuron(neuron, learn=tuple(learn))]
    return Sequential(*modules, *map(Dropout, drop), torch.nn.Linear(widths[-2], widths[-1]), Neuron(readout))
