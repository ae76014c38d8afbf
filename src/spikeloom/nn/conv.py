"""Which calls of a plain torch.nn.Conv2d may add up rows of weights instead: those that nobody could tell apart."""

from __future__ import annotations

import torch

from ..kernels.spike_conv.conv import crossover
from ..kernels.spike_conv.shape import ConvShape, Two
from .linear import untouched


def plain_conv(module: torch.nn.Module, x: torch.Tensor, sizes: torch.Size) -> ConvShape | None:
    """The sizes where a call of ``module`` with ``x``, or a view of it, of the shape ``sizes`` is just a convolution of
    images in float32 on the CPU, with the CPU's kernels allowed and worth it.

    None otherwise, so with groups, dilation or a padding with anything but zeros.
    """
    if type(module) is not torch.nn.Conv2d or len(sizes) != 4 or not x.numel() or sizes[1] != module.in_channels:
        return None
    if module.groups != 1 or module.dilation != (1, 1) or module.padding_mode != "zeros":
        return None
    padding = _symmetric(module)
    if padding is None:
        return None
    stride, kernel = _two(module.stride), _two(module.kernel_size)
    batch, channels, height, width = sizes
    shape = ConvShape(batch, channels, module.out_channels, (height, width), kernel, stride, padding)
    return shape if crossover(shape) and untouched(module, x) else None


def _symmetric(module: torch.nn.Conv2d) -> Two | None:
    """The padding on either side; None where "same" asks for one more on one side."""
    if not isinstance(module.padding, str):
        return _two(module.padding)
    whole = [0, 0] if module.padding == "valid" else [k - 1 for k in module.kernel_size]
    return None if any(p % 2 for p in whole) else (whole[0] // 2, whole[1] // 2)


def _two(sides: tuple[int, ...]) -> Two:
    return sides[0], sides[1]
