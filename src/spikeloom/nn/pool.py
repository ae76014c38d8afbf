"""Which calls of a plain torch.nn.AvgPool2d may keep no input: those that nobody could tell apart."""

from __future__ import annotations

import torch

from ..kernels.avg_pool import can_pool
from .linear import untouched

_SMALLEST = 2**16  # elements, below which the call itself costs more


def plain_pool(module: torch.nn.Module, x: torch.Tensor) -> tuple[int, int] | None:
    """The sides of the squares where ``module(x)`` averages squares side by side, in float32 on the CPU; else None."""
    if type(module) is not torch.nn.AvgPool2d or x.numel() < _SMALLEST:
        return None
    kernel, stride, padding = (_two(side) for side in (module.kernel_size, module.stride, module.padding))
    if kernel != stride or padding != (0, 0) or module.ceil_mode or module.divisor_override is not None:
        return None
    return kernel if can_pool(x, kernel) and untouched(module, x) else None


def _two(side: int | tuple[int, ...]) -> tuple[int, int]:
    return (side, side) if isinstance(side, int) else (side[0], side[-1])
