"""Spike-element-wise residual networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..errors import ParameterError, ShapeError
from ..models.base import NeuronModel
from ..nn import Neuron, Sequential
from ..nn.layer import Layer, checked_parts, run_inner
from ..nn.state import State
from .norms import Norm, threshold_norm
from .shapes import checked_image, checked_left, checked_size


class SewBlock(Layer):
    """``y = branch(x) + shortcut(x)``, both of spikes: the ADD of Fang et al. 2021 (arXiv:2102.04159, table 1).

    The neurons come before the sum, so that a branch without spikes makes the block the identity, whatever the neuron.
    What comes out counts spikes: 0, 1, 2 and more, one more with every block. The price is that later layers multiply.
    ``shortcut`` None passes ``x`` on.

    Raises :class:`ShapeError` where the two do not fit.

    >>> import spikeloom as sl
    >>> block = SewBlock(sl.nn.Sequential(torch.nn.Linear(3, 3), sl.nn.Neuron(sl.LIF())))
    >>> y, state = block(torch.ones(2, 1, 3))
    >>> y.shape, list(state)
    (torch.Size([2, 1, 3]), ['branch'])
    """

    def __init__(self, branch: Layer, shortcut: Layer | None = None) -> None:
        super().__init__()
        for name, part in (("branch", branch), ("shortcut", shortcut)):
            if not isinstance(part, Layer) and not (part is None and name == "shortcut"):
                raise ParameterError(f"SewBlock: {name}", got=type(part).__name__, expected="an sl.nn.Layer")
        self.branch, self.shortcut = branch, shortcut

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        parts = {"branch": self.branch} | ({} if self.shortcut is None else {"shortcut": self.shortcut})
        checked_parts(state, list(parts), "SewBlock")
        outputs, new = [], {}
        for name, part in parts.items():
            y, new[name] = run_inner(name, part, x, None if state is None else state[name])
            outputs.append(y)
        branch, other = outputs if len(outputs) == 2 else (*outputs, x)
        if branch.shape != other.shape:
            mend = "Give a shortcut that changes the shape as the branch does."
            got, expected = tuple(branch.shape), tuple(other.shape)
            raise ShapeError("SewBlock: the branch's output", got=got, expected=expected, mend=mend)
        return branch + other, State(new)


@dataclass(frozen=True)
class Stage:
    """``blocks`` residual blocks of two convolutions of ``channels``."""

    channels: int
    blocks: int = 2

    def __post_init__(self) -> None:
        for name in ("channels", "blocks"):
            checked_size(f"Stage: {name}", getattr(self, name))


RESNET18 = (Stage(64, 2), Stage(128, 2), Stage(256, 2), Stage(512, 2))
RESNET34 = (Stage(64, 3), Stage(128, 4), Stage(256, 6), Stage(512, 3))


def sew_resnet(
    shape: Sequence[int],
    classes: int,
    neuron: NeuronModel,
    readout: NeuronModel,
    *,
    stages: Sequence[Stage] = RESNET18,
    norm: Norm | None = None,
    learn: Sequence[str] = (),
) -> Sequential:
    """A SEW-ResNet of basic blocks for small images: a 3x3 convolution, ``stages``, the mean over places, one layer.

    Each stage after the first halves the sides, by a stride of 2 in its first block, whose shortcut is a 1x1
    convolution, a norm and neurons. ``norm`` is the threshold-dependent batch norm of ``neuron`` unless given.
    The architecture is that of Fang et al. 2021 (arXiv:2102.04159) with the stem that He et al. 2016
    (arXiv:1512.03385, section 4.2) use for small images. Maps ``x`` [T, B, *shape] to ``y`` [T, B, classes].

    Raises :class:`ParameterError` for unusable sizes.

    >>> import spikeloom as sl
    >>> net = sew_resnet((1, 8, 8), 10, sl.LIF(tau=2.0), sl.LI(tau=2.0), stages=(Stage(4, 1), Stage(8, 1)))
    >>> net(torch.rand(2, 1, 1, 8, 8))[0].shape
    torch.Size([2, 1, 10])
    """
    channels, size = checked_image(shape)
    checked_left(size, shape)
    checked_size("number of classes", classes)
    if not stages:
        raise ParameterError("stages of a residual network", got="none", expected="at least one Stage")
    parts = _Parts(neuron, norm or threshold_norm(neuron), tuple(learn))
    modules: list[torch.nn.Module] = [*parts.conv(channels, stages[0].channels, 3, 1)]
    channels = stages[0].channels
    for number, stage in enumerate(stages):
        for block in range(stage.blocks):
            modules.append(parts.block(channels, stage.channels, 2 if number and not block else 1))
            channels = stage.channels
    modules += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    return Sequential(*modules, torch.nn.Linear(channels, classes), Neuron(readout))


@dataclass(frozen=True)
class _Parts:
    neuron: NeuronModel
    norm: Norm
    learn: tuple[str, ...]

    def conv(self, before: int, after: int, kernel: int, stride: int) -> tuple[torch.nn.Module, ...]:
        """Convolution, norm, neurons."""
        conv = torch.nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
        return conv, self.norm(after), Neuron(self.neuron, learn=self.learn)

    def block(self, before: int, after: int, stride: int) -> SewBlock:
        """Two convolutions beside what keeps or adapts the shape."""
        branch = Sequential(*self.conv(before, after, 3, stride), *self.conv(after, after, 3, 1))
        same = before == after and stride == 1
        return SewBlock(branch, None if same else Sequential(*self.conv(before, after, 1, stride)))
