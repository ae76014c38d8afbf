"""Which parameters are weights of connections."""

from __future__ import annotations

import torch

from ..nn import Neuron


def connection_weights(net: torch.nn.Module) -> list[torch.nn.Parameter]:
    """The parameters that connect: no biases, no norm's factors, no neuron's own parameters, whatever their shape.

    >>> [tuple(w.shape) for w in connection_weights(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2)))]
    [(2, 3)]
    """
    others = {id(p) for module in net.modules() if _has_no_weights(module) for p in module.parameters()}
    return [p for p in net.parameters() if p.ndim > 1 and id(p) not in others]


def _has_no_weights(module: torch.nn.Module) -> bool:
    # A neuron's parameter per channel, or a norm's factor per step and feature, has several axes as well.
    norm = hasattr(module, "running_mean") or isinstance(module, torch.nn.LayerNorm | torch.nn.GroupNorm)
    return norm or isinstance(module, Neuron)
