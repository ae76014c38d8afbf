"""The convolution of a sequence's images, by adding up rows of weights where the input is sparse."""

from __future__ import annotations

import torch

from ..backends import note_kernel
from ..sample import stride_of
from ..spike_linear.op import pack_op
from .op import conv_op
from .shape import ConvShape, Two

# All measured; see docs/decisions/0020.
CROSSOVER = 0.22  # density from which on the dense convolution is taken
FORWARD_CROSSOVER = 0.05  # the same for few products an output where no gradient of the weights follows
NEEDED_CROSSOVER = 0.3  # share of needed input gradients from which on all are formed
SMALL_NEEDED_CROSSOVER = 0.15  # the same where each is a sum of few terms, and listing them weighs more
_FEWEST_TERMS, _MANY_TERMS = 64, 256  # outputs times taps that meet an element
_MOST_PLACES = 2**16  # of an image with its margins: places are held in 16 bits
_FEW_PRODUCTS = 64  # channels times taps, below which going through the places costs as much as the dense product
_SMALLEST = 2**27  # products in all, below which the calls themselves cost too much
_FEWEST_OUTPUTS = 8
_SAMPLE = 64  # planes that are looked at first


def spike_conv(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, stride: Two = (1, 1), padding: Two = (0, 0),
    needed: torch.Tensor | None = None,
) -> torch.Tensor:  # fmt: skip
    """``torch.nn.functional.conv2d`` of contiguous ``x`` ``[N, C, H, W]``, weights ``[O, C, KH, KW]``; float32, CPU.

    Where few enough elements of ``x`` are not zero (:func:`crossover`), rows of the weights are scaled and added up, in
    an order that does not depend on the number of threads; the result is that of the dense convolution to rounding (an
    infinite weight counts only where the input is not zero). Anything else is the dense convolution.

    ``needed``, bytes of the shape of ``x``, says where the gradient of ``x`` has any effect. Where few are set
    (:func:`needed_crossover`), the others are not computed and come out as 0.

    >>> x, weight = torch.tensor([[[[0.0, 1.0, 0.0]]]]), torch.tensor([[[[1.0, 2.0, 4.0]]]])
    >>> spike_conv(x, weight, None, padding=(0, 1)).tolist()
    [[[[4.0, 2.0, 1.0]]]]
    """
    sizes = (x.shape[2], x.shape[3]), (weight.shape[2], weight.shape[3])
    shape = ConvShape(x.shape[0], x.shape[1], weight.shape[0], *sizes, stride, padding)
    limit = crossover(shape, training=torch.is_grad_enabled() and weight.requires_grad)
    listed = _listed(x.detach(), shape, limit) if limit and x.is_contiguous() else None
    if listed is None:
        return torch.nn.functional.conv2d(x, weight, bias, stride, padding)
    marks = None if needed is None else _few(needed, shape)
    return conv_op(x, *listed, weight, bias, stride, padding, marks)


def crossover(shape: ConvShape, *, training: bool = True) -> float:
    """The density from which on the dense convolution of these sizes is taken; 0 where it always is.

    ``training`` says that the gradient of the weights will be asked for, where the dense way loses more.

    >>> crossover(ConvShape(512, 32, 64, (16, 16), (3, 3), padding=(1, 1)))
    0.22
    >>> crossover(ConvShape(1, 32, 64, (16, 16), (3, 3), padding=(1, 1)))
    0.0
    """
    if not shape.fits or shape.outputs < _FEWEST_OUTPUTS or shape.products < _SMALLEST:
        return 0.0
    few = shape.channels * shape.kernel[0] * shape.kernel[1] < _FEW_PRODUCTS
    return FORWARD_CROSSOVER if few and not training else CROSSOVER


def needed_crossover(shape: ConvShape) -> float:
    """The share of needed input gradients from which on all of them are formed; 0 where they always are.

    >>> needed_crossover(ConvShape(512, 32, 64, (16, 16), (3, 3), padding=(1, 1)))
    0.3
    >>> needed_crossover(ConvShape(512, 32, 64, (16, 16), (3, 3), stride=(2, 2), padding=(1, 1)))
    0.15
    """
    terms = shape.outputs * shape.kernel[0] * shape.kernel[1] // (shape.stride[0] * shape.stride[1])
    if terms < _FEWEST_TERMS or shape.reach > _MOST_PLACES or not crossover(shape):
        return 0.0
    return NEEDED_CROSSOVER if terms >= _MANY_TERMS else SMALL_NEEDED_CROSSOVER


def _few(needed: torch.Tensor, shape: ConvShape) -> torch.Tensor | None:
    """The packed bits of ``needed``, or None where all input gradients are as quickly formed."""
    limit = needed_crossover(shape)
    if not limit:
        return None
    words, counts = pack_op(needed.reshape(-1, shape.places))
    return words if int(counts.numpy().sum()) < limit * needed.numel() else None


def _listed(
    x: torch.Tensor, shape: ConvShape, limit: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:  # fmt: skip
    """What of ``x`` is not zero, or None where the dense convolution is better."""
    from . import cpu

    planes = x.view(-1, shape.places)
    stride = stride_of(len(planes), _SAMPLE, shape.channels)  # a few planes first: dense input is found out at once
    few = stride < 2 or _sparse(cpu.mark(planes[::stride].contiguous())[1], shape, limit)
    words, counts, binary = cpu.mark(planes) if few else (None, None, False)
    if words is None or counts is None or not _sparse(counts, shape, limit):
        note_kernel("spike_conv/dense/Conv2d/forward")
        return None
    starts = torch.zeros(len(planes) + 1, dtype=torch.int64)
    torch.cumsum(counts, 0, out=starts[1:])
    return words, starts, torch.empty(0) if binary else cpu.values(planes, words, starts)


def _sparse(counts: torch.Tensor, shape: ConvShape, limit: float) -> bool:
    return int(counts.numpy().sum()) < limit * len(counts) * shape.places
