"""The time of a neuron's first spike as a number that gradients can go through, and the loss of such times."""

from __future__ import annotations

from typing import Any

import torch

from ..coding._check import at_least_float32, real
from ..coding.decode import first_spike
from ..coding.layout import check_labels


def time_to_first_spike(spikes: torch.Tensor) -> torch.Tensor:
    r"""Steps before the first spike, ``[T, B, ...]`` to ``[B, ...]``; T where there is none. Differentiable.

    The time is :math:`t_1 = \sum_t \prod_{u \le t} (1 - s_u)`, the number of steps up to which nothing has fired. Its
    derivative says what adding or taking away a spike would change, exactly: with the first spike at :math:`f` and
    the next one at :math:`n` (T for none)

    .. math:: \partial t_1 / \partial s_u = -(f - u)\ (u < f), \qquad -(n - f)\ (u = f), \qquad 0\ (u > f),

    and :math:`-(T - u)` in every step of a silent neuron, which so can be taught to fire. (For neurons that fire with
    independent probabilities the same sum is the expected time, and the same derivatives are those by the
    probabilities.) The derivative of a spike by the membrane is the surrogate's. The result is float32, float64 for
    float64. Raises :class:`SpikeError` for values other than 0 and 1, :class:`ShapeError` without batch or steps.

    >>> spikes = torch.tensor([0.0, 0.0, 1.0, 0.0, 1.0]).view(5, 1, 1).requires_grad_()
    >>> time = time_to_first_spike(spikes)
    >>> time.backward()
    >>> time.item(), spikes.grad.flatten().tolist()
    (2.0, [-2.0, -1.0, -2.0, 0.0, 0.0])
    """
    found: torch.Tensor = _FirstSpike.apply(at_least_float32(spikes), first_spike(spikes))  # type: ignore[assignment]
    return found


class _FirstSpike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
        first = first.clamp(max=len(spikes)).to(spikes.dtype)
        ctx.save_for_backward(spikes, first)
        return first

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        spikes, first = ctx.saved_tensors
        step = torch.arange(len(spikes), dtype=spikes.dtype, device=spikes.device)
        step = step.view(-1, *[1] * first.dim())
        later = torch.where((spikes != 0) & (step > first), step, float(len(spikes))).amin(0)
        slope = torch.where(step < first, step - first, torch.where(step == first, first - later, 0.0))
        return grad * slope, None


def cross_entropy_of_first_spike(spikes: torch.Tensor, labels: torch.Tensor, *, tau: float) -> torch.Tensor:
    r"""Whoever fires first wins: :math:`-\log \mathrm{softmax}(-t_1 / \tau)_{label}`, averaged over the batch.

    ``spikes`` [T, B, C] are those of the output neurons, ``labels`` [B] class indices, :math:`t_1` is
    :func:`time_to_first_spike` and ``tau`` in steps says what lead is a clear one: a lead of ``tau`` steps makes a
    class e times as likely. A silent neuron counts as firing in step T, right after the end, so that silence is
    neither right nor wrong: where all are silent, the loss is log C for every label, and its gradient pulls the right
    neuron up and pushes the others down. Only the order counts; to make the right neuron fire early as well, add its
    time.

    Sources: Mostafa 2018, "Supervised learning based on temporal coding in spiking neural networks"; Göltz et al.
    2021, "Fast and energy-efficient neuromorphic deep learning with first-spike times" (the same softmax of negative
    times, in continuous time).

    Raises :class:`SpikeError` for a membrane, :class:`ShapeError` for another layout, :class:`ParameterError` for
    labels that are no class indices and unless ``tau`` is positive.

    >>> spikes = torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]])   # class 0 in step 1, class 1 in step 2
    >>> round(cross_entropy_of_first_spike(spikes, torch.tensor([0]), tau=1.0).item(), 6)   # log(1 + exp(-1))
    0.313262
    """
    check_labels(spikes, labels)
    return torch.nn.functional.cross_entropy(time_to_first_spike(spikes) / -real(tau, "tau"), labels)
