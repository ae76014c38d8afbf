"""Convolutions of listed input, one torch operation at a time: any device, any precision."""

from __future__ import annotations

import torch

from ..spike_linear.reference import unpack
from .shape import ConvShape

Sparse = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def dense(sparse: Sparse, shape: ConvShape, like: torch.Tensor) -> torch.Tensor:
    """The input ``[N, C, H, W]`` that was listed.

    >>> shape = ConvShape(1, 1, 1, (1, 3), (1, 1))
    >>> dense((torch.tensor([[5]]), torch.tensor([0, 2]), torch.tensor([1.0, 0.5])), shape, torch.zeros(1)).tolist()
    [[[[1.0, 0.0, 0.5]]]]
    """
    words, _, values = sparse
    x = unpack(words, shape.places, like.dtype)
    if len(values):
        x[x != 0] = values.to(like.dtype)
    return x.reshape(shape.batch, shape.channels, *shape.size)


def forward(sparse: Sparse, weight: torch.Tensor, bias: torch.Tensor | None, shape: ConvShape) -> torch.Tensor:
    """The convolution ``[N, O, H', W']``."""
    x = dense(sparse, shape, weight)
    return torch.nn.functional.conv2d(x, weight, bias, shape.stride, shape.padding)


def weight_gradient(sparse: Sparse, grad: torch.Tensor, shape: ConvShape) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of the weights ``[O, C, KH, KW]`` and of the bias ``[O]`` for ``grad`` ``[N, O, H', W']``."""
    x = dense(sparse, shape, grad).transpose(0, 1)
    # The same convolution with the images in the channels' place and the gradient as its weights.
    found = torch.nn.functional.conv2d(x, grad.transpose(0, 1), None, 1, shape.padding, shape.stride)
    whole = found[:, :, : shape.kernel[0], : shape.kernel[1]].transpose(0, 1)
    return whole.contiguous(), grad.sum((0, 2, 3))


def input_gradient(needed: torch.Tensor, grad: torch.Tensor, weight: torch.Tensor, shape: ConvShape) -> torch.Tensor:
    """The gradient ``[N, C, H, W]`` of the input where ``needed`` (packed planes) has a bit, and 0 elsewhere."""
    marks = unpack(needed, shape.places, torch.bool).reshape(shape.batch, shape.channels, *shape.size)
    return torch.where(marks, whole_input_gradient(grad, weight, shape), 0.0)


def whole_input_gradient(grad: torch.Tensor, weight: torch.Tensor, shape: ConvShape) -> torch.Tensor:
    """All of it: torch's own product, in the form that does not ask for the input."""
    sides = zip(shape.size, shape.kernel, shape.stride, shape.padding, strict=True)
    rest = [(n + 2 * p - k) % s for n, k, s, p in sides]  # rows at the end that no output has seen
    return torch.nn.functional.conv_transpose2d(grad, weight, None, shape.stride, shape.padding, rest)
