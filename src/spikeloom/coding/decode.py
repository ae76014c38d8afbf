"""From spikes and membranes to numbers and decisions. Public as ``sl.decode``.

An output sequence ``y [T, B, C]`` becomes scores ``[B, C]``, and scores become a decision that says which
samples were silent or tied instead of counting them as class 0:

>>> y = torch.tensor([[[0.0, 1.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]])
>>> classify(count(y)).prediction
tensor([ 1, -1])

=========  ==================================================================================
scores     ``count``, ``rate``, ``first_spike``,
           ``membrane_max``, ``membrane_mean``, ``membrane_last``
decisions  ``classify``, ``accuracy``, giving ``Decision`` and ``Accuracy``
inverses   ``latency``, ``phase``, ``delta`` undo the encoders of the same name
=========  ==================================================================================

All but ``first_spike`` and the decisions are differentiable. Sums and means are taken in float32 at least,
since float16 cannot count beyond 2048 and bfloat16 not beyond 256.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ShapeError
from ._change import reference_start
from ._check import at_least_float32, check_axes, real, wide
from ._times import phase_weights
from .classify import Accuracy, Decision, accuracy, classify
from .layout import check_labels, check_sequence, check_spikes

__all__ = [
    "Accuracy",
    "Decision",
    "accuracy",
    "check_labels",
    "classify",
    "count",
    "delta",
    "first_spike",
    "latency",
    "membrane_last",
    "membrane_max",
    "membrane_mean",
    "phase",
    "rate",
]


def count(spikes: Tensor, *, multiple: bool = False) -> Tensor:
    """Spikes over time, ``[T, B, C]`` to ``[B, C]``, summed in float32 (float64 for float64). Differentiable.

    :param multiple: allow several spikes in one step (whole numbers).
    :raises SpikeError: values other than 0 and 1 (or other than whole numbers).
    :raises ShapeError: fewer than two axes, or no steps.

    >>> count(torch.ones(3000, 1, 1, dtype=torch.float16))
    tensor([[3000.]])
    """
    return at_least_float32(check_spikes(spikes, multiple=multiple)).sum(0)


def rate(spikes: Tensor, *, multiple: bool = False) -> Tensor:
    """Spikes per step, ``count / T``: ``[T, B, C]`` to ``[B, C]``; times 1000 / dt in Hz. Differentiable.

    :raises SpikeError: values other than 0 and 1 (or other than whole numbers, with ``multiple``).
    :raises ShapeError: fewer than two axes, or no steps.

    >>> rate(torch.tensor([[[1.0]], [[0.0]], [[0.0]], [[1.0]]]))
    tensor([[0.5000]])
    """
    return count(spikes, multiple=multiple) / spikes.shape[0]


def first_spike(spikes: Tensor, *, multiple: bool = False) -> Tensor:
    """The step of the first spike, ``[T, B, C]`` to float32 ``[B, C]``; infinity where there is none.

    Infinity cannot be taken for a time and does not depend on T; ``first_spike(y).clamp(max=T)`` puts silent
    neurons at T where a finite number is wanted. Not differentiable.

    :raises SpikeError: values other than 0 and 1 (or other than whole numbers, with ``multiple``).
    :raises ShapeError: fewer than two axes, or no steps.

    >>> first_spike(torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]], [[1.0, 0.0]]]))
    tensor([[1., inf]])
    """
    fired = check_spikes(spikes, multiple=multiple).detach() != 0
    # argmax gives the first of equal maxima; uint8 because argmax is not defined for bool.
    step = fired.to(torch.uint8).argmax(0).float()
    return step.masked_fill(~fired.any(0), torch.inf)


def membrane_max(v: Tensor) -> Tensor:
    """The largest membrane over time: ``[T, B, C]`` to logits ``[B, C]``. The gradient goes to that step.

    :raises ShapeError: fewer than two axes, or no steps.

    >>> membrane_max(torch.tensor([[[0.1]], [[0.7]], [[-0.2]]]))
    tensor([[0.7000]])
    """
    return at_least_float32(check_sequence(v, "v")).max(0).values


def membrane_last(v: Tensor) -> Tensor:
    """The membrane at the last step: ``[T, B, C]`` to logits ``[B, C]``. Differentiable.

    :raises ShapeError: fewer than two axes, or no steps.

    >>> membrane_last(torch.tensor([[[0.1]], [[0.7]], [[-0.2]]]))
    tensor([[-0.2000]])
    """
    return at_least_float32(check_sequence(v, "v")[-1])


def membrane_mean(v: Tensor) -> Tensor:
    """The membrane averaged over time: ``[T, B, C]`` to logits ``[B, C]``. Differentiable.

    A loss of this mean is not the mean over steps of the loss ("TET", Deng et al. 2022): those are two
    objectives.

    :raises ShapeError: fewer than two axes, or no steps.

    >>> membrane_mean(torch.tensor([[[0.0]], [[0.5]], [[1.0]]]))
    tensor([[0.5000]])
    """
    return at_least_float32(check_sequence(v, "v")).mean(0)


def latency(spikes: Tensor, tau: float | None = None, *, threshold: float = 0.01) -> Tensor:
    """Values from first-spike times, ``[T, B, ...]`` to ``[B, ...]``: undoes ``sl.encode.latency``.

    Linear: ``1 - step / (T - 1)``, within ``1 / (2 (T - 1))`` of the value. With ``tau``:
    ``threshold / (1 - exp(-(step + 1) / tau))``, the smallest value that gets to the threshold within that
    step. Silence reads as 0. The result is float32.

    :raises SpikeError: values other than 0 and 1.
    :raises ShapeError: fewer than two axes, or no steps.
    :raises ParameterError: ``tau`` or ``threshold`` not positive.

    >>> latency(torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.0]], [[0.0, 0.0]]]))
    tensor([[1.0000, 0.5000]])
    """
    step = first_spike(spikes)
    if tau is None:
        values = 1.0 - step / max(spikes.shape[0] - 1, 1)
    else:
        charged = -torch.expm1(-(wide(step) + 1.0) / real(tau, "tau"))
        values = (real(threshold, "threshold", high=1.0) / charged).float()
    return values.masked_fill(step.isinf(), 0.0)


def phase(spikes: Tensor, *, period: int = 8) -> Tensor:
    """Values from weighted-spike phases, ``[T, B, ...]`` to ``[B, ...]``: undoes ``sl.encode.phase``.

    ``value = sum_t w(t) spike(t) / periods`` with ``w(t) = 2 ** -(1 + t mod period)``. What
    ``sl.encode.phase`` wrote comes back exactly, cut to ``period`` binary digits; above 24 digits pass
    float64 spikes.

    Source: Kim et al. 2018, "Deep neural networks with weighted spikes".

    :raises SpikeError: values other than 0 and 1.
    :raises ShapeError: fewer than two axes, or no steps.
    :raises ParameterError: T not a multiple of ``period``.

    >>> phase(torch.tensor([[[1.0]], [[0.0]], [[1.0]], [[0.0]]]), period=4)
    tensor([[0.6250]])
    """
    work = at_least_float32(check_spikes(spikes))
    weights = phase_weights(work.shape[0], period=period).to(work)
    # Not einsum: under autocast that would be a bfloat16 product, which keeps 8 digits.
    return (work * weights.view(-1, *[1] * (work.ndim - 1))).sum(0) / (work.shape[0] // period)


def delta(events: Tensor, threshold: float, start: Tensor | float) -> Tensor:
    """The signal a receiver sees, ``[T, B, 2, ...]`` to ``[T, B, ...]``: undoes ``sl.encode.delta``.

    ``signal(t) = start + threshold * (ON - OFF events up to t)``. Differentiable.

    :param start: the reference the sender started from, a number or ``[B, ...]``; for the encoder's default
        that is the first sample of the signal.
    :raises SpikeError: events that are not whole numbers.
    :raises ShapeError: no axis of two channels after the batch, no steps, or a ``start`` that does not fit.
    :raises ParameterError: a ``threshold`` that is not positive.

    >>> delta(torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]], [[0.0, 1.0]]]), threshold=0.5, start=1.0)[:, 0]
    tensor([1.5000, 1.5000, 1.0000])
    """
    check_axes(events, "events", "T, B, 2")
    if events.shape[2] != 2:
        mend = "Channel 0 is ON, channel 1 is OFF."
        raise ShapeError("events", got=list(events.shape), expected="[T, B, 2, ...]", mend=mend)
    work = at_least_float32(check_spikes(events, multiple=True))
    net = (work[:, :, 0] - work[:, :, 1]).cumsum(0)
    return reference_start(start, net) + real(threshold, "threshold") * net
