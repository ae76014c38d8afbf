"""Spiking VGG: the small convolutional network, deeper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ..errors import ParameterError
from ..models.base import NeuronModel
from ..nn import Sequential
from .conv import ConvBlock, conv_net
from .norms import Norm, threshold_norm
from .shapes import checked_size


@dataclass(frozen=True)
class VggPlan:
    """``groups`` of convolutions, each by its channels in units of the first, with a pooling after each; then the
    widths of fully connected layers, in the same unit."""

    groups: tuple[tuple[int, ...], ...]
    hidden: tuple[int, ...]

    def blocks(self, width: int) -> tuple[ConvBlock, ...]:
        """The blocks for ``width`` channels in the first convolution."""
        return tuple(
            ConvBlock(units * width, pool=2 if last else 1)
            for group in self.groups
            for units, last in zip(group, (*(False,) * (len(group) - 1), True), strict=True)
        )


VGG_PLANS = MappingProxyType(
    {
        5: VggPlan(((1,), (2, 2)), (16,)),
        9: VggPlan(((1, 1), (2, 2), (4, 4, 4)), (16,)),
        11: VggPlan(((1,), (2,), (4, 4), (8, 8), (8, 8)), (64, 64)),
    }
)


def vgg(
    depth: int,
    shape: Sequence[int],
    classes: int,
    neuron: NeuronModel,
    readout: NeuronModel,
    *,
    width: int = 64,
    norm: Norm | None = None,
    dropout: float = 0.0,
    learn: Sequence[str] = (),
) -> Sequential:
    """A spiking VGG with ``depth`` layers of weights: 5, 9 or 11, with ``width`` channels in its first convolution.

    Simonyan & Zisserman 2015 (arXiv:1409.1556; 11 is their configuration A), as used with spikes by Sengupta et al.
    2019 (arXiv:1802.02627) and Kim & Panda 2021 (arXiv:2010.01729; theirs is the 9). ``norm`` is the
    threshold-dependent batch norm of ``neuron`` unless given. Pooling keeps the largest spike, and the
    rest is :func:`conv_net`.

    Maps ``x`` [T, B, *shape] to ``y`` [T, B, classes]; the sides of an image are at least 4, 8 and 32.

    Raises :class:`ParameterError` for another depth, and the errors of :func:`conv_net`.

    >>> import spikeloom as sl
    >>> import torch
    >>> net = vgg(9, (1, 28, 28), 10, sl.LIF(tau=2.0), sl.LI(tau=2.0), width=4)
    >>> net(torch.rand(2, 1, 1, 28, 28))[0].shape
    torch.Size([2, 1, 10])
    """
    if depth not in VGG_PLANS:
        raise ParameterError("depth of a VGG", got=depth, expected=f"one of {', '.join(map(str, VGG_PLANS))}")
    plan = VGG_PLANS[depth]
    checked_size("width of a VGG", width)
    return conv_net(
        shape,
        classes,
        neuron,
        readout,
        blocks=plan.blocks(width),
        hidden=[units * width for units in plan.hidden],
        norm=norm or threshold_norm(neuron),
        dropout=dropout,
        learn=learn,
    )
