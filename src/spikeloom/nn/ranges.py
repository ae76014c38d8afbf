"""Smooth maps from the whole line into a parameter's valid range, so that learning cannot leave it."""

from __future__ import annotations

import math

import torch

from ..models.declare import Param


class Range:
    """``value = to_value(raw)`` for the bounds of a declared parameter.

    One bound: softplus beyond it, nearly the identity for values far from it; two bounds: a sigmoid between them.
    """

    def __init__(self, declared: Param) -> None:
        self.low, self.high = declared.low, declared.high
        # The natural size of the parameter, so that a step of the optimiser means the same for tau = 20 and for 0.1.
        self.size = abs(declared.default) or 1.0

    def to_value(self, raw: torch.Tensor) -> torch.Tensor:
        """The parameter's value."""
        if self.low is not None and self.high is not None:
            value = self.low + (self.high - self.low) * torch.sigmoid(raw)
        elif self.low is not None:
            value = self.low + self.size * torch.nn.functional.softplus(raw)
        elif self.high is not None:
            value = self.high - self.size * torch.nn.functional.softplus(raw)
        else:
            return self.size * raw
        # After a step that was far too large both maps round to a bound, where tau = 0 would give NaN.
        return value.clamp(_beside(self.low, math.inf, value.dtype), _beside(self.high, -math.inf, value.dtype))

    def to_raw(self, value: torch.Tensor) -> torch.Tensor:
        """The inverse of :meth:`to_value`, in float64."""
        value = value.to(torch.float64)
        if self.low is not None and self.high is not None:
            return torch.logit((value - self.low) / (self.high - self.low))
        if self.low is not None:
            return _inverse_softplus((value - self.low) / self.size)
        if self.high is not None:
            return _inverse_softplus((self.high - value) / self.size)
        return value / self.size


def _inverse_softplus(y: torch.Tensor) -> torch.Tensor:
    return y + torch.log(-torch.expm1(-y))


def _beside(bound: float | None, towards: float, dtype: torch.dtype) -> float | None:
    """The number next to ``bound`` in the direction of ``towards``; next to 0 the smallest normal one."""
    if bound is None:
        return None
    near = torch.nextafter(torch.tensor(bound, dtype=dtype), torch.tensor(towards, dtype=dtype)).item()
    return near if bound else math.copysign(torch.finfo(dtype).tiny, towards)
