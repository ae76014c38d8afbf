"""How a linear layer learns which gradients of its spikes have any effect: it is told by the neurons just before it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch

from ..kernels.scan.scan import ScanResult, scan
from ..kernels.spike_linear.linear import needed_crossover
from .linear import hooked, plain_linear
from .neuron import Neuron
from .recording import recorders_of
from .state import State


@dataclasses.dataclass(eq=False)
class Marking:
    """A call of ``neuron`` that also finds out where the gradients of its spikes have an effect."""

    neuron: Neuron
    result: ScanResult | None = None

    def __call__(self, x: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        return self.neuron.advance(x, state, self._scan)

    def _scan(self, *args: Any, **kwargs: Any) -> ScanResult:
        self.result = scan(*args, **kwargs, mark_needed=True)
        return self.result

    def needed_of(self, spikes: torch.Tensor) -> torch.Tensor | None:
        """Where the gradients of ``spikes`` have an effect, as bytes; None where that is not known, as of any but
        the very one that came out of the call."""
        return self.result.needed if self.result is not None and self.result.spikes is spikes else None


def marking(module: torch.nn.Module, following: torch.nn.Module | None, x: torch.Tensor) -> Marking | None:
    """The call of ``module`` on ``x`` that marks gradients, where ``following`` makes use of it and nobody else could
    tell: nobody else sees the spikes, whose own gradient is not the full one then.

    So not where a hook or a recorder listens to the neurons or to the linear layer, and under the conditions of
    :func:`plain_linear`, which hold for the spikes as they do for ``x``, of the same shape and type.
    """
    if following is None or type(module) is not Neuron or not torch.is_grad_enabled():
        return None
    if hooked(module) or recorders_of(module) or not plain_linear(following, x):
        return None
    assert isinstance(following, torch.nn.Linear)
    worth = needed_crossover(x.numel() // x.shape[-1], following.in_features, following.out_features)
    return Marking(module) if worth and module.surrogate.support < math.inf else None
