"""Products of packed spikes and weights, one torch operation at a time: any device, any precision."""

from __future__ import annotations

import torch

BITS = 64


def pack(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Words int64 ``[R, ceil(N / 64)]`` and spikes of each row int32 ``[R]``, the first -1 where ``x`` is not binary;
    of bytes each that is not 0 counts.

    >>> words, counts = pack(torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
    >>> words.tolist(), counts.tolist()
    ([[5], [0]], [2, 0])
    """
    rows, inputs = x.shape
    ones = x != 0 if x.dtype == torch.uint8 else x == 1
    whole = torch.nn.functional.pad(ones.long(), (0, -inputs % BITS)).reshape(rows, -1, BITS)
    counts = ones.sum(1, dtype=torch.int32)
    if rows and x.dtype != torch.uint8 and not bool(((x == 0) | (x == 1)).all()):
        counts[0] = -1
    return (whole << torch.arange(BITS, device=x.device)).sum(-1), counts


def unpack(words: torch.Tensor, inputs: int, dtype: torch.dtype) -> torch.Tensor:
    """The spikes ``[R, inputs]`` of packed ``words``.

    >>> unpack(torch.tensor([[5], [0]]), 3, torch.float32).tolist()
    [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    bits = (words[..., None] >> torch.arange(BITS, device=words.device)) & 1
    return bits.flatten(1)[:, :inputs].to(dtype)


def forward(words: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """``x W^T + b`` as ``[R, O]``."""
    return torch.nn.functional.linear(unpack(words, weight.shape[1], weight.dtype), weight, bias)


def weight_gradient(
    words: torch.Tensor, counts: torch.Tensor, grad: torch.Tensor, inputs: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """``g^T x`` as ``[O, N]`` and the sum of ``g`` over rows as ``[O]``."""
    return grad.T @ unpack(words, inputs, grad.dtype), grad.sum(0)


def input_gradient(needed: torch.Tensor, grad: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``g W`` as ``[R, N]`` where ``needed`` (packed) has a bit, and 0 elsewhere."""
    return torch.where(unpack(needed, weight.shape[1], torch.bool), grad @ weight, 0.0)
