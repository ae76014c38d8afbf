"""Encoders whose spike times carry the value."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ParameterError
from ._check import real, rounding, unit_values, whole, wide


def latency(values: Tensor, steps: int, tau: float | None = None, *, threshold: float = 0.01) -> Tensor:
    """Time to first spike: at most one spike per value, earlier for larger values.

    Without ``tau`` the latency is linear: the spike falls into step ``round((1 - value) (T - 1))``, so that
    1 spikes at once and the smallest value at the last step; values below ``threshold`` stay silent.

    With ``tau`` (in steps) the value is a constant input that charges an RC circuit:

        v(t) = value (1 - exp(-t / tau)),    v = threshold at t = tau ln(value / (value - threshold)).

    The spike falls into the step that contains this time, ``ceil(t) - 1``: the first spike of a leaky
    integrate-and-fire neuron with this threshold. A value that does not exceed ``threshold`` never gets
    there, and one that gets there after T steps is silent too.

    A value of 0 never spikes in either form; there is no spike at the last step "for lack of another".

    Source: Thorpe, Delorme and Van Rullen 2001, "Spike-based strategies for rapid processing" (the code);
    Gerstner et al. 2014, "Neuronal Dynamics", section 1.3 (charging).

    :param values: ``[B, ...]`` in [0, 1].
    :param threshold: the smallest value that is encoded; 0 or above for the linear form, above 0 with
        ``tau``.
    :raises ParameterError: values outside [0, 1] or not floating, ``steps`` below 1, ``tau`` or
        ``threshold`` out of range.
    :raises NonFiniteError: NaN or infinity.

    >>> latency(torch.tensor([[1.0, 0.5, 0.1, 0.0]]), steps=5)[:, 0].T
    tensor([[1., 0., 0., 0., 0.],
            [0., 0., 1., 0., 0.],
            [0., 0., 0., 0., 1.],
            [0., 0., 0., 0., 0.]])
    """
    checked, steps = unit_values(values), whole(steps, "steps")
    exact = wide(checked)
    if tau is None:
        if threshold != 0.0:
            real(threshold, "threshold", high=1.0)
        fires = (checked >= threshold) & (checked > 0)
        step = torch.round((1.0 - exact) * (steps - 1))
    else:
        real(threshold, "threshold", high=1.0)
        fires = checked > threshold
        raised = exact * (1.0 + rounding(checked.dtype))
        ratio = torch.where(fires, threshold / raised, 0.0)
        step = (torch.log1p(-ratio) * -real(tau, "tau")).ceil() - 1.0
        fires &= step < steps
    step = step.clamp(0, steps - 1).long()
    spikes = torch.zeros((steps, *checked.shape), dtype=checked.dtype, device=checked.device)
    return spikes.scatter_(0, step[None], fires[None].to(checked.dtype))


def phase(values: Tensor, steps: int, *, period: int = 8) -> Tensor:
    """Weighted-spike phase coding: the first ``period`` binary digits of the value, repeated over T.

    A spike in phase k of a period (from 0) is worth ``2 ** -(1 + k)``, the most significant digit first:
    ``value = sum_k 2 ** -(1 + k) spike_k`` up to ``2 ** -period`` below the value. The value 1 has no such
    expansion and becomes all ones, ``1 - 2 ** -period``. ``sl.decode.phase`` is the way back; to feed a
    layer, multiply by ``phase_weights``.

    With ``period=8`` an 8-bit image divided by 255 in float32 gives exactly the bits of its pixels.

    Source: Kim et al. 2018, "Deep neural networks with weighted spikes" (with steps counted from 1 the
    weight is ``2 ** -(1 + mod(t - 1, 8))``).

    :param values: ``[B, ...]`` in [0, 1].
    :param steps: a whole number of periods.
    :raises ParameterError: values outside [0, 1] or not floating; ``steps`` not a multiple of ``period``;
        ``period`` outside 1 to 52.
    :raises NonFiniteError: NaN or infinity.

    >>> phase(torch.tensor([[0.625]]), steps=4, period=4).flatten()  # 0.1010 in binary
    tensor([1., 0., 1., 0.])
    """
    checked = unit_values(values)
    periods = whole_periods(steps, period)
    digits = wide(checked).mul(2.0**period).floor_().clamp_(max=2.0**period - 1.0).long()
    shifts = torch.arange(period - 1, -1, -1, device=checked.device).view(-1, *[1] * checked.ndim)
    bits = ((digits >> shifts) & 1).to(checked.dtype)
    return bits.repeat(periods, *[1] * checked.ndim)


def phase_weights(steps: int, *, period: int = 8) -> Tensor:
    """What a spike of ``phase`` is worth at each step: float32 ``[T]``, ``2 ** -(1 + t mod period)``.

    ``phase(x, 16) * phase_weights(16).view(-1, 1, 1)`` are the weighted spikes of Kim et al. 2018.

    :raises ParameterError: ``steps`` not a multiple of ``period``, ``period`` outside 1 to 52.

    >>> phase_weights(4, period=2)
    tensor([0.5000, 0.2500, 0.5000, 0.2500])
    """
    periods = whole_periods(steps, period)
    return torch.pow(2.0, -torch.arange(1, period + 1, dtype=torch.float32)).repeat(periods)


def burst(values: Tensor, steps: int, n_max: int = 5, t_min: int = 2, t_max: int | None = None) -> Tensor:
    """Burst coding: the value sets how many spikes come from step 0 on, and how far apart they are.

    ``ceil(n_max value)`` spikes are ``ceil(t_max - (t_max - t_min) value)`` steps apart. Larger values give
    more spikes and shorter intervals, from ``t_max`` down to ``t_min``; 0 gives none, and a single spike
    has no interval. The burst that lasts longest has to fit into ``steps``, so that a count is never cut
    off without notice.

    Source: Guo et al. 2021, "Neural coding in spiking neural networks: a comparative study for robust
    neuromorphic systems", burst coding; after Park et al. 2019, "Fast and efficient information
    transmission with burst spikes".

    :param values: ``[B, ...]`` in [0, 1].
    :param n_max: spikes at value 1.
    :param t_min: interval in steps at value 1, at least 1.
    :param t_max: interval in steps towards value 0; by default the largest with which every burst fits.
    :raises ParameterError: values outside [0, 1] or not floating; a burst that does not fit; limits out of
        order.
    :raises NonFiniteError: NaN or infinity.

    >>> burst(torch.tensor([[1.0, 0.4, 0.0]]), steps=8, n_max=4, t_min=1, t_max=3)[:, 0].T
    tensor([[1., 1., 1., 1., 0., 0., 0., 0.],
            [1., 0., 0., 1., 0., 0., 0., 0.],
            [0., 0., 0., 0., 0., 0., 0., 0.]])
    """
    checked, steps = unit_values(values), whole(steps, "steps")
    n_max, t_min = whole(n_max, "n_max"), whole(t_min, "t_min")
    t_max = _longest_interval(steps, n_max, t_min) if t_max is None else whole(t_max, "t_max", low=t_min)
    if (need := _burst_steps(n_max, t_min, t_max)) > steps:
        mend = f"Use steps >= {need}, or a smaller n_max or t_max."
        raise ParameterError("the longest burst does not fit", got=f"{steps} steps", expected=need, mend=mend)
    exact, slack = wide(checked), rounding(checked.dtype)
    count = (exact * (n_max * (1.0 - slack))).ceil()
    interval = (t_max - exact * ((t_max - t_min) * (1.0 + slack))).ceil().clamp(min=t_min).long()
    spikes = torch.zeros((steps, *checked.shape), dtype=checked.dtype, device=checked.device)
    for nth in range(n_max):
        # A spike beyond the count adds 0, wherever it would fall.
        at = (interval * nth).clamp_(max=steps - 1)
        spikes.scatter_add_(0, at[None], (count > nth)[None].to(checked.dtype))
    return spikes


def whole_periods(steps: int, period: int) -> int:
    """How many periods ``steps`` holds; raises :class:`ParameterError` unless that is a whole number."""
    steps, period = whole(steps, "steps"), whole(period, "period")
    if period > 52:
        raise ParameterError("period", got=period, expected="1 to 52 binary digits")
    if steps % period:
        mend = f"Use {math.ceil(steps / period) * period} steps."
        raise ParameterError("a phase code needs whole periods", got=steps, expected=f"multiple of {period}", mend=mend)
    return steps // period


def _burst_steps(n_max: int, t_min: int, t_max: int) -> int:
    """Steps of the longest burst: n spikes mean a value above (n - 1) / n_max, which bounds the interval."""
    return 1 + max((n - 1) * (t_max - (t_max - t_min) * (n - 1) // n_max) for n in range(1, n_max + 1))


def _longest_interval(steps: int, n_max: int, t_min: int) -> int:
    """The largest ``t_max`` for which every burst fits; ``t_min`` when none does."""
    t_max = t_min
    while t_max < steps and _burst_steps(n_max, t_min, t_max + 1) <= steps:
        t_max += 1
    return t_max
