"""Checks that the encoders and decoders share, and the precision they compute in."""

from __future__ import annotations

import math
import operator

import torch
from torch import Tensor

from ..errors import NonFiniteError, ParameterError, ShapeError


def float_tensor(values: object, name: str, axes: str, *, unit: bool = False) -> Tensor:
    """``values`` detached, checked to be a finite floating tensor with as many axes as ``axes`` names.

    With ``unit`` every value has to lie in [0, 1].
    """
    if not isinstance(values, Tensor):
        mend = "Convert it with torch.as_tensor."
        raise ParameterError(name, got=type(values).__name__, expected="a torch tensor", mend=mend)
    if not values.is_floating_point():
        mend = "Scale integers first, for instance images.float() / 255."
        raise ParameterError(name, got=values.dtype, expected="a floating dtype", mend=mend)
    check_axes(values, name, axes)
    values = values.detach()
    if values.numel() == 0:
        return values
    # One pass: NaN spreads into both bounds, infinity shows in one.
    low, high = (float(bound) for bound in torch.aminmax(values))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise NonFiniteError(name, got="NaN or infinity", expected="finite numbers")
    if unit and (low < 0.0 or high > 1.0):
        mend = "Rescale, for instance (x - x.min()) / (x.max() - x.min())."
        raise ParameterError(name, got=f"{low:g} to {high:g}", expected="0 to 1", mend=mend)
    return values


def unit_values(values: object, name: str = "values", axes: str = "B") -> Tensor:
    """``values`` detached, checked to be a floating tensor in [0, 1]."""
    return float_tensor(values, name, axes, unit=True)


def check_axes(tensor: Tensor, name: str, axes: str) -> None:
    """Raise :class:`ShapeError` unless ``tensor`` has at least the axes named, such as ``"T, B"``."""
    if not isinstance(tensor, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ShapeError(name, got=type(tensor).__name__, expected=f"a tensor [{axes}, ...]")
    if tensor.ndim < len(axes.split(",")):
        mend = "The batch axis is never left out." if "B" in axes else ""
        raise ShapeError(name, got=list(tensor.shape), expected=f"[{axes}, ...]", mend=mend)


def whole(value: object, name: str, low: int = 1) -> int:
    """``value`` as an int of at least ``low``; floats are refused even when whole."""
    try:
        number = operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        raise ParameterError(name, got=repr(value), expected="an integer", mend=f"Use int({name}).") from None
    if isinstance(value, bool) or number < low:
        raise ParameterError(name, got=value, expected=f"an integer >= {low}")
    return number


def real(value: float, name: str, low: float = 0.0, high: float = math.inf) -> float:
    """``value`` as a float with ``low < value <= high`` (and finite)."""
    if not (isinstance(value, int | float) and math.isfinite(value) and low < value <= high):
        limit = f"> {low:g}" + ("" if math.isinf(high) else f" and <= {high:g}")
        raise ParameterError(name, got=value, expected=limit)
    return float(value)


def wide(values: Tensor) -> Tensor:
    """``values`` in float64, or in float32 on devices that have no float64."""
    return values.to(torch.float32 if values.device.type == "mps" else torch.float64)


def rounding(dtype: torch.dtype) -> float:
    """Relative error of storing a number in float32 or float64, with a little more for computing in float64.

    0.7 in float32 is 0.69999999. Where an encoder floors or ceils a multiple of a value, the value is moved
    by this much, so that 10 steps of 0.7 give the 7 spikes that were meant.
    """
    # Half precision is read as it stands: its rounding is so coarse that it would show as extra spikes.
    return 0.5 * min(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps) + 2.0**-50


def at_least_float32(values: Tensor) -> Tensor:
    """``values`` in float32, or unchanged in float64: what sums over time are taken in."""
    return values if values.dtype == torch.float64 else values.float()
