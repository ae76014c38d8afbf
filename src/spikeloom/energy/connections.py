"""How many connections really leave each input element: exact, borders and missing synapses included."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import nn

from ..errors import ModelError

CONNECTIONS = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
POOLS = (*AVERAGES, *ADAPTIVE, *MAXIMA)
_TRANSPOSED = {
    nn.ConvTranspose1d: nn.functional.conv_transpose1d,
    nn.ConvTranspose2d: nn.functional.conv_transpose2d,
    nn.ConvTranspose3d: nn.functional.conv_transpose3d,
}


def sample_axes(module: nn.Module) -> int:
    """How many axes of an input belong to one sample: features of a linear map, channels and space of a convolution.

    >>> sample_axes(nn.Linear(3, 2)), sample_axes(nn.Conv2d(1, 1, 3)), sample_axes(nn.MaxPool2d(2))
    (1, 3, 2)
    """
    if isinstance(module, nn.Linear):
        return 1
    space = int(type(module).__name__[-2]) if type(module).__name__[-2].isdigit() else _space(module)
    return space + (1 if isinstance(module, CONNECTIONS) else 0)


def _space(module: nn.Module) -> int:
    """The number of spatial axes of a subclass with a name of its own."""
    known = (*CONNECTIONS, *POOLS)
    return next(int(k.__name__[-2]) for k in known if isinstance(module, k))


@torch.no_grad()
def fan_out(module: nn.Module, shape: Sequence[int], *, present: bool = True) -> torch.Tensor:
    """Connections that leave each element of an input of ``shape`` (one sample), int64 of that shape.

    It is the gradient of the layer's summed output with respect to its input when every weight is 1: so stride,
    padding, dilation, groups and padding modes count as they work. With ``present`` a weight that is exactly zero is
    no connection (a pruned synapse); without it every weight counts.

    Raises :class:`ModelError` for a layer that is none of the connections.

    >>> fan_out(nn.Conv1d(1, 2, 3, padding=1), (1, 4))
    tensor([[4, 6, 6, 4]])
    """
    if isinstance(module, nn.Linear):
        return _ones(module.weight, present).sum(0).to(torch.int64).expand(tuple(shape)).contiguous()
    if not isinstance(module, CONNECTIONS):
        raise ModelError("a fan-out", got=type(module).__name__, expected="a linear map or a convolution")
    weight = _ones(module.weight, present)
    with torch.enable_grad():
        x = torch.ones((1, *shape), dtype=torch.float64, device=weight.device, requires_grad=True)
        (gradient,) = torch.autograd.grad(_applied(module, x, weight).sum(), x)
    return gradient[0].round().to(torch.int64)


def _ones(weight: torch.Tensor, present: bool) -> torch.Tensor:
    weight = weight.detach()
    return (weight != 0).to(torch.float64) if present else torch.ones_like(weight, dtype=torch.float64)


def _applied(module: nn.Module, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    for kind, function in _TRANSPOSED.items():
        if isinstance(module, kind):
            m = module
            return function(x, weight, None, m.stride, m.padding, m.output_padding, m.groups, m.dilation)  # type: ignore[reportArgumentType,reportCallIssue]
    return module._conv_forward(x, weight, None)  # type: ignore[reportCallIssue] # the only way to all padding modes


def windows(module: nn.Module, shape: Sequence[int], out: Sequence[int]) -> torch.Tensor:
    """Into how many windows of a pooling each element of an input of spatial ``shape`` falls, int64 of that shape.

    ``out`` is the spatial shape of the output. Windows are products over the axes, so counts multiply.

    >>> windows(nn.AvgPool1d(3, stride=2, padding=1), (5,), (3,))
    tensor([1, 2, 1, 2, 1])
    """
    axes = []
    for axis, (size, count) in enumerate(zip(shape, out, strict=True)):
        if isinstance(module, ADAPTIVE):
            spans = [range(o * size // count, -(-(o + 1) * size // count)) for o in range(count)]
        else:
            kernel, stride, padding, dilation = (
                _along(getattr(module, name, default), axis)
                for name, default in (("kernel_size", 1), ("stride", 1), ("padding", 0), ("dilation", 1))
            )
            spans = [
                range(o * stride - padding, o * stride - padding + kernel * dilation, dilation) for o in range(count)
            ]
        hits = torch.zeros(size, dtype=torch.int64)
        for span in spans:
            for index in span:
                if 0 <= index < size:
                    hits[index] += 1
        axes.append(hits)
    return functools.reduce(lambda a, b: a.unsqueeze(-1) * b, axes)


def _along(value: int | Sequence[int], axis: int) -> int:
    return value if isinstance(value, int) else value[axis] if len(value) > 1 else value[0]
