"""Losses over the output of a network, ``y`` [T, B, C].

Averaging over time before or after the softmax gives two different objectives; the names say which.
"""

from __future__ import annotations

import torch

from ..coding._check import at_least_float32
from ..coding.layout import check_labels
from ..errors import ParameterError


def cross_entropy_of_mean(y: torch.Tensor, labels: torch.Tensor, *, smoothing: float = 0.0) -> torch.Tensor:
    r"""Average over time first, softmax after: :math:`-\log \mathrm{softmax}(\frac1T \sum_t y_t)_{label}`.

    ``y`` [T, B, C] is a membrane or a spike train, ``labels`` [B] are class indices; returns the mean over
    the batch. Use it with ``sl.LI`` read-outs; for spikes see :func:`cross_entropy_of_rate`. ``smoothing`` is
    the share of the target that is spread evenly over all classes (Szegedy et al. 2016, arXiv:1512.00567).
    Raises :class:`ShapeError` when the layout is another, :class:`ParameterError` for labels that are no class
    indices and for a ``smoothing`` outside [0, 1).

    >>> y = torch.tensor([[[2.0, 0.0]], [[0.0, 0.0]]])
    >>> round(cross_entropy_of_mean(y, torch.tensor([0])).item(), 6)   # log(1 + exp(-1))
    0.313262
    """
    check_labels(y, labels)
    return torch.nn.functional.cross_entropy(y.mean(0), labels, label_smoothing=_checked_share(smoothing))


def mean_of_cross_entropy(y: torch.Tensor, labels: torch.Tensor, *, smoothing: float = 0.0) -> torch.Tensor:
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
    share = _checked_share(smoothing)
    return torch.nn.functional.cross_entropy(y.flatten(0, 1), labels.repeat(steps), label_smoothing=share)


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


def mean_square_error_of_count(
    spikes: torch.Tensor, labels: torch.Tensor, *, right: float, wrong: float
) -> torch.Tensor:
    r"""Spikes against wanted spikes: :math:`(n_{bc} - \hat n_{bc})^2`, averaged over batch and classes.

    :math:`n_{bc}` counts the spikes of class c over all T steps, and :math:`\hat n` is ``right`` for the label's
    neuron and ``wrong`` for the others, in spikes per sequence (not per step). A neuron at its wanted count has no
    gradient, silent ones are pulled up like any other. ``spikes`` [T, B, C], ``labels`` [B] are class indices.

    Source: Shrestha and Orchard 2018, "SLAYER: spike layer error reassignment in time", its loss for classification.

    Raises :class:`ShapeError` for another layout, :class:`ParameterError` for labels that are no class indices and
    unless 0 <= ``wrong`` < ``right``, and ``right`` can be reached within T steps.

    >>> spikes = torch.tensor([[[1.0, 1.0]], [[1.0, 0.0]], [[1.0, 0.0]]])   # 3 spikes and 1
    >>> mean_square_error_of_count(spikes, torch.tensor([0]), right=3, wrong=0).item()   # (0 + 1) / 2
    0.5
    """
    check_labels(spikes, labels)
    if not 0 <= wrong < right <= len(spikes):
        expected = f"0 <= wrong < right <= T = {len(spikes)}"
        mend = "Both are spikes per sequence."
        raise ParameterError("wanted counts", got=f"right {right}, wrong {wrong}", expected=expected, mend=mend)
    count = at_least_float32(spikes).sum(0)
    wanted = torch.full_like(count, float(wrong)).scatter_(1, labels.to(count.device)[:, None], float(right))
    return torch.nn.functional.mse_loss(count, wanted)


def _checked_share(smoothing: float) -> float:
    if not 0 <= smoothing < 1:
        raise ParameterError("smoothing is out of range", got=smoothing, expected="at least 0 and below 1")
    return smoothing
