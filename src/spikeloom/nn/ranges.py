"""Smooth maps from the whole line into a parameter's valid range, so that learning cannot leave it."""

from __future__ import annotations

import math

import torch

from ..models.base import Param


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
            return self.low + (self.high - self.low) * torch.sigmoid(raw)
        if self.low is not None:
            return self.low + self.size * torch.nn.functional.softplus(raw)
        if self.high is not None:
            return self.high - self.size * torch.nn.functional.softplus(raw)
        return self.size * raw

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
    tiny = math.ulp(0.0)
    return y + torch.log(-torch.expm1(-y.clamp_min(tiny)))
