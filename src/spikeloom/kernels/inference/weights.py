"""Weights laid out for sums over lists of inputs."""

from __future__ import annotations

import dataclasses

import torch

from .neuron import LANES

MOST_INPUTS = 2**16 - 1  # places are held in 16 bits
_CACHE = 2**18  # bytes: half of a small second-level cache
_NARROWEST, _REGISTERS = 16, 256  # outputs at least, bytes at most that are summed at once


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """``(x W^T + b) scale + shift``, the latter two for each output or None.

    ``table`` is [blocks of ``width`` outputs, inputs, width]; the others are padded to blocks of 64 outputs.
    """

    inputs: int
    outputs: int
    width: int
    table: torch.Tensor
    bias: torch.Tensor
    scale: torch.Tensor | None
    shift: torch.Tensor | None

    @property
    def narrowed(self) -> bool:
        """Whether blocks are narrow for the cache's sake: each should then be used for many rows before the next."""
        return self.width < _width(1, self.outputs, self.table.element_size())


def weights(
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    scale: torch.Tensor | None = None,
    shift: torch.Tensor | None = None,
) -> Weights:
    """The layout of ``weight`` [O, N]: a block's weights to all inputs stay in the cache."""
    outputs, inputs = weight.shape
    width = _width(inputs, outputs, weight.element_size())
    blocks = -(-outputs // width)
    columns = torch.nn.functional.pad(weight.detach().T, (0, blocks * width - outputs))
    table = columns.reshape(inputs, blocks, width).transpose(0, 1).contiguous()
    start = torch.zeros(outputs, dtype=weight.dtype) if bias is None else bias
    factors = (None if v is None else _padded(v) for v in (scale, shift))
    return Weights(inputs, outputs, width, table, _padded(start), *factors)


def _width(inputs: int, outputs: int, size: int) -> int:
    """How many outputs to sum at once: a power of two."""
    fitting = max(_CACHE // (size * max(inputs, 1)), 1)
    needed = 1 << (max(outputs, 1) - 1).bit_length()
    return max(min(_REGISTERS // size, 1 << (fitting.bit_length() - 1), needed), _NARROWEST)


def _padded(values: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.pad(values.detach(), (0, -len(values) % LANES)).contiguous()


__all__ = ["MOST_INPUTS", "Weights", "weights"]
