"""The linear map of a sequence's rows, by adding up rows of weights where the input is sparse spikes."""

from __future__ import annotations

import torch

from ..backends import choose, note_kernel
from ..sample import stride_of
from .op import linear_op, pack_op

# All measured, on the processor that came off worst; see docs/decisions/0012.
CROSSOVER = 0.2  # density from which on the dense product is taken
SMALL_CROSSOVER = 0.1  # the same for few rows or outputs, where packing and arranging weigh more
NEEDED_CROSSOVER = 0.3  # share of needed input gradients from which on all are formed
SMALL_NEEDED_CROSSOVER = 0.15  # the same for few outputs, where listing them weighs more
_MANY_ROWS, _MANY_OUTPUTS = 512, 64
_FEWEST_ROWS = 128  # below, arranging the weights costs about as much as the dense product saves
_FEWEST_OUTPUTS = 8  # below, the dense product costs no more than to read its input, which the test does too
_FEWEST_SKIPPED, _MANY_SKIPPED = 64, 256  # outputs, which each of those products sums over
_SMALLEST = 2**25  # products in all, below which the calls themselves cost too much
_MOST_INPUTS = 2**16 - 1  # places are held in 16 bits
_SAMPLE = 64  # rows that are looked at first


def spike_linear(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, needed: torch.Tensor | None = None
) -> torch.Tensor:
    """``y = x W^T + b`` for ``x`` of shape ``[R, N]``, weights ``[O, N]`` and bias ``[O]`` or None; float32.

    On the CPU, where ``x`` holds only 0 and 1 and few enough ones (:func:`crossover`), rows of ``W^T`` are added up
    in the order of the inputs, so that the result does not depend on the number of threads; it is that of the dense
    product to rounding (an infinite weight counts only where there is a spike). Anything else is the dense product.

    ``needed``, bytes of shape ``[R, N]``, says where the gradient of ``x`` has any effect. Where few are set
    (:func:`needed_crossover`), the others are not computed and come out as 0.

    >>> x, weight = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[1.0, 2.0, 4.0]])
    >>> spike_linear(x, weight, None).tolist()
    [[5.0]]
    """
    packed = None
    if choose(x.device.type).name == "cpu" and x.dtype == weight.dtype == torch.float32 and x.stride(1) == 1:
        packed = _packed(x.detach(), crossover(x.shape[0], x.shape[1], weight.shape[0]))
    if packed is None:
        return torch.nn.functional.linear(x, weight, bias)
    if needed is not None:
        needed = _few(needed, *weight.shape)
    return linear_op(x, *packed, weight, bias, needed)


def crossover(rows: int, inputs: int, outputs: int) -> float:
    """The density of ones from which on the dense product of these sizes is taken; 0 where it always is.

    >>> crossover(12800, 784, 512), crossover(12800, 784, 10), crossover(1, 784, 512)
    (0.2, 0.1, 0.0)
    """
    if rows < _FEWEST_ROWS or outputs < _FEWEST_OUTPUTS or inputs > _MOST_INPUTS or rows * inputs * outputs < _SMALLEST:
        return 0.0
    return CROSSOVER if rows >= _MANY_ROWS and outputs >= _MANY_OUTPUTS else SMALL_CROSSOVER


def needed_crossover(rows: int, inputs: int, outputs: int) -> float:
    """The share of needed input gradients from which on all of them are formed; 0 where they always are.

    >>> needed_crossover(12800, 512, 512), needed_crossover(12800, 512, 128), needed_crossover(12800, 512, 10)
    (0.3, 0.15, 0.0)
    """
    if outputs < _FEWEST_SKIPPED or not crossover(rows, inputs, outputs):
        return 0.0
    return NEEDED_CROSSOVER if outputs >= _MANY_SKIPPED else SMALL_NEEDED_CROSSOVER


def _few(needed: torch.Tensor, outputs: int, inputs: int) -> torch.Tensor | None:
    """The packed bits of ``needed``, or None where all input gradients are as quickly formed."""
    limit = needed_crossover(len(needed), inputs, outputs)
    if not limit:
        return None
    words, counts = pack_op(needed)
    return words if int(counts.numpy().sum()) < limit * needed.numel() else None


def _packed(x: torch.Tensor, limit: float) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The spikes of ``x``, or None where the dense product is better."""
    if not limit:
        return None
    stride = stride_of(len(x), _SAMPLE, len(x))  # a few rows first: dense or graded input is found out at once
    packed = None if stride > 1 and _sparse(x[::stride], limit) is None else _sparse(x, limit)
    if packed is None:
        note_kernel("spike_linear/dense/Linear/forward")
    return packed


def _sparse(x: torch.Tensor, limit: float) -> tuple[torch.Tensor, torch.Tensor] | None:
    words, counts = pack_op(x)
    few = int(counts[0]) >= 0 and int(counts.numpy().sum()) < limit * x.numel()
    return (words, counts) if few else None
