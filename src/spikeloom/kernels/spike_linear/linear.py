"""The linear map of a sequence's rows, by gathering rows of weights where the input is sparse spikes."""

from __future__ import annotations

import torch

from ..backends import choose, note_kernel
from .op import linear_op, pack_op

CROSSOVER = 0.25  # density from which on torch's dense product is as fast (measured; see docs/decisions/0012)
_MOST_INPUTS = 2**16 - 1  # places are held in 16 bits
_FEWEST_OUTPUTS = 8  # below, the dense product costs no more than reading the input, as the test does
_FEWEST_ROWS = 32  # below, arranging the weights costs as much as the dense product
_SMALLEST = 2**21  # products in all, below which the calls themselves cost too much
_SAMPLE = 64  # rows that are looked at first


def spike_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """``y = x W^T + b`` for ``x`` of shape ``[R, N]``, weights ``[O, N]`` and bias ``[O]`` or None; float32.

    On the CPU, where ``x`` holds only 0 and 1 and less than ``CROSSOVER`` ones, rows of ``W^T`` are added up in the
    order of the inputs, so that the result does not depend on the number of threads; it is that of the dense
    product to rounding (an infinite weight counts only where there is a spike). Anything else is the dense product.

    >>> x, weight = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[1.0, 2.0, 4.0]])
    >>> spike_linear(x, weight, None).tolist()
    [[5.0]]
    """
    packed = _packed(x.detach(), weight.shape[0]) if choose(x.device.type).name == "cpu" else None
    if packed is None:
        return torch.nn.functional.linear(x, weight, bias)
    return linear_op(x, *packed, weight, bias)


def _packed(x: torch.Tensor, outputs: int) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The spikes of ``x``, or None where the dense product is better."""
    rows, inputs = x.shape
    if inputs > _MOST_INPUTS or outputs < _FEWEST_OUTPUTS or rows < _FEWEST_ROWS:
        return None
    if rows * inputs * outputs < _SMALLEST or x.dtype != torch.float32 or x.stride(1) != 1:
        return None
    packed = _sparse(x[:: -(-rows // _SAMPLE)]) and _sparse(x)  # a few rows first: dense input is found out at once
    if packed is None:
        note_kernel("spike_linear/dense/Linear/forward")
    return packed


def _sparse(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    words, counts = pack_op(x)
    few = counts[0] >= 0 and int(counts.numpy().sum()) < CROSSOVER * x.numel()
    return (words, counts) if few else None
