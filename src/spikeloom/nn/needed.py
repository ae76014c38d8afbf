"""How a layer with weights learns which gradients of its spikes have any effect: the neurons just before it tell."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch

from ..kernels.scan.scan import ScanResult, scan
from ..kernels.spike_conv import conv
from ..kernels.spike_linear import linear
from .conv import plain_conv
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

    So not where a hook or a recorder listens to the neurons or to the layer after them, and under the conditions of
    :func:`plain_linear` or :func:`plain_conv`, which hold for the spikes as they do for ``x``, of the same shape.
    """
    if following is None or type(module) is not Neuron or not torch.is_grad_enabled():
        return None
    if module.surrogate.support == math.inf or hooked(module) or recorders_of(module):
        return None
    return Marking(module) if _worthwhile(following, x) else None


def _worthwhile(following: torch.nn.Module, x: torch.Tensor) -> bool:
    """Whether ``following`` may leave gradients of an input like ``x`` out."""
    if plain_linear(following, x):
        assert isinstance(following, torch.nn.Linear)
        sizes = x.numel() // x.shape[-1], following.in_features, following.out_features
        return linear.needed_crossover(*sizes) > 0
    if x.dim() != 5:
        return False
    shape = plain_conv(following, x, torch.Size([x.shape[0] * x.shape[1], *x.shape[2:]]))
    return shape is not None and conv.needed_crossover(shape) > 0
