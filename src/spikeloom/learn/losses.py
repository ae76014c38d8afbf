"""Losses over the output of a network, ``y`` [T, B, C].

Averaging over time before or after the softmax gives two different objectives; the names say which.
"""

from __future__ import annotations

import torch

from ..coding.layout import check_labels
from ..errors import ParameterError


def cross_entropy_of_mean(y: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    r"""Average over time first, softmax after: :math:`-\log \mathrm{softmax}(\frac1T \sum_t y_t)_{label}`.

    ``y`` [T, B, C] is a membrane or a spike train, ``labels`` [B] are class indices; returns the mean over
    the batch. Use it with ``sl.LI`` read-outs; for spikes see :func:`cross_entropy_of_rate`. Raises
    :class:`ShapeError` when the layout is another, :class:`ParameterError` for labels that are no class
    indices.

    >>> y = torch.tensor([[[2.0, 0.0]], [[0.0, 0.0]]])
    >>> round(cross_entropy_of_mean(y, torch.tensor([0])).item(), 6)   # log(1 + exp(-1))
    0.313262
    """
    check_labels(y, labels)
    return torch.nn.functional.cross_entropy(y.mean(0), labels)


def mean_of_cross_entropy(y: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    r"""Softmax in every step, average after: :math:`-\frac1T \sum_t \log \mathrm{softmax}(y_t)_{label}`.

    Layout, return value and errors as in :func:`cross_entropy_of_mean`, which it never falls below (the
    cross-entropy is convex). Source: Deng et al. 2022, "Temporal efficient training of spiking neural network
    via gradient re-weighting", arXiv:2202.11946.

    >>> y = torch.tensor([[[2.0, 0.0]], [[0.0, 0.0]]])
    >>> round(mean_of_cross_entropy(y, torch.tensor([0])).item(), 6)   # (log(1 + exp(-2)) + log(2)) / 2
    0.410038
    """
    check_labels(y, labels)
    steps = y.shape[0]
    return torch.nn.functional.cross_entropy(y.flatten(0, 1), labels.repeat(steps))


def cross_entropy_of_rate(spikes: torch.Tensor, labels: torch.Tensor, *, scale: float = 10.0) -> torch.Tensor:
    """:func:`cross_entropy_of_mean` of ``scale`` times the firing rate in spikes per step.

    A rate lies in [0, 1], and the softmax of such numbers can never be sharp: with ten classes and ``scale =
    1`` the loss cannot fall below 1.46. ``scale`` is the score of a neuron that fires in every step. Raises
    :class:`ShapeError` for another layout and :class:`ParameterError` unless ``scale`` is positive.

    >>> spikes = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    >>> round(cross_entropy_of_rate(spikes, torch.tensor([0]), scale=1.0).item(), 6)   # log(1 + exp(-1))
    0.313262
    """
    if not scale > 0:
        raise ParameterError("scale is out of range", got=scale, expected="> 0")
    return cross_entropy_of_mean(scale * spikes, labels)
