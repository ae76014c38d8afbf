"""What every stateful layer promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..errors import ModelError, ShapeError, SpikeloomError, StateError
from ..kernels.avg_pool import avg_pool
from ..kernels.spike_conv.conv import spike_conv
from ..kernels.spike_linear.linear import spike_linear
from .conv import plain_conv
from .linear import plain_linear
from .pool import plain_pool
from .repeated import repeats
from .state import State

_PLACE = "in layer "


class Layer(torch.nn.Module, ABC):
    """A module over sequences: ``y, state = layer(x, state=None)`` with ``x`` of shape ``[T, B, ...]``.

    Nothing is kept on the module between calls: the state goes in and comes out.
    """

    @abstractmethod
    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State | None]:
        """Run over the sequence ``x`` from ``state`` (None: from the beginning)."""

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, Any]:
        return super().__call__(*args, **kwargs)


def checked_sequence(x: torch.Tensor, layer: str) -> None:
    """Raise ShapeError unless ``x`` looks like ``[T, B, ...]``."""
    if not isinstance(x, torch.Tensor):
        raise ShapeError(f"{layer}: the input", got=type(x).__name__, expected="a tensor [T, B, ...]")
    if x.dim() < 2:
        mend = "For a single step, add the time axis: x.unsqueeze(0)."
        raise ShapeError(f"{layer}: the input", got=f"shape {tuple(x.shape)}", expected="[T, B, ...]", mend=mend)


def checked_parts(state: Any, expected: Sequence[str], layer: str) -> None:
    """Raise StateError unless ``state`` (None: the beginning) has exactly the ``expected`` parts."""
    mend = "Pass on the state that this net returned, or None to start afresh."
    if state is not None and not isinstance(state, Mapping):
        raise StateError(f"{layer}: the state", got=type(state).__name__, expected="an sl.State", mend=mend)
    if state is not None and set(state) != set(expected):
        raise StateError(f"{layer}: a state of another net", got=sorted(state), expected=sorted(expected), mend=mend)


def run_inner(name: str, layer: Callable[..., Any], x: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
    """Call the inner ``layer``; an error from inside says where, by the names of :meth:`named_modules`."""
    try:
        return layer(x, state)
    except SpikeloomError as error:
        inside = error.what.removeprefix(_PLACE) if error.what.startswith(_PLACE) else f": {error.what}"
        joint = "." if error.what.startswith(_PLACE) else ""
        what = f"{_PLACE}{name}{joint}{inside}"
        raise type(error)(what, got=error.got, expected=error.expected, mend=error.mend) from None


def over_time(module: torch.nn.Module, x: torch.Tensor, needed: torch.Tensor | None = None) -> torch.Tensor:
    """A module without state, called once on ``T * B`` samples; batch norm so averages over time and batch.

    An input that is one image repeated, as ``encode.direct`` makes it, goes through a plain map once, and the result is
    repeated in its place. ``needed``, of as many bytes, may say where the gradient of ``x`` has an effect.
    """
    repeated = repeats(module, x)
    try:
        y = _called(module, x[0]) if repeated else _called(module, x.flatten(0, 1), needed)
        if isinstance(y, torch.Tensor):
            return y.expand(x.shape[0], *y.shape) if repeated else y.unflatten(0, x.shape[:2])
    except RuntimeError as error:
        if x.dim() > 2:
            raise
        got, mend = f"shape {tuple(x.shape)}", "Is the batch axis missing? Add it with x.unsqueeze(1)."
        what = f"{type(module).__name__} cannot take samples without features"
        raise ShapeError(what, got=got, expected="[T, B, N]", mend=mend) from error
    mend = "Derive from sl.nn.Layer to thread its state."
    raise ModelError(f"{type(module).__name__} returns no tensor", got=type(y).__name__, mend=mend)


def _called(module: torch.nn.Module, x: torch.Tensor, needed: torch.Tensor | None = None) -> object:
    """``module(x)``; a plain linear map or convolution makes use of sparse spikes, a plain average needs no input."""
    if plain_linear(module, x):
        size = x.shape[-1]
        marks = None if needed is None else needed.reshape(-1, size)
        y = spike_linear(x.reshape(-1, size), module.weight, module.bias, marks)  # type: ignore[reportArgumentType]
        return y.unflatten(0, x.shape[:-1])
    shape = plain_conv(module, x, x.shape)
    if shape is not None:
        marks = None if needed is None else needed.flatten(0, 1)
        sides = shape.stride, shape.padding
        return spike_conv(x, module.weight, module.bias, *sides, marks)  # type: ignore[reportArgumentType]
    square = plain_pool(module, x)
    if square is not None:
        return avg_pool(x, square)
    return module(x)
