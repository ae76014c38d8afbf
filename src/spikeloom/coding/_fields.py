"""One value shown to a population of neurons, each tuned to its own range."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..errors import ParameterError, did_you_mean
from ._check import real, unit_values, whole, wide
from ._rates import rate
from ._times import latency


def receptive_fields(values: Tensor, neurons: int, *, beta: float = 1.5) -> Tensor:
    """Gaussian tuning curves: ``[B, ...]`` to activations ``[B, ..., N]`` in (0, 1].

    Neuron i (from 1) of N answers with ``exp(-(value - c_i)^2 / (2 sigma^2))``, where
    ``c_i = (2 i - 3) / (2 (N - 2))`` and ``sigma = 1 / (beta (N - 2))``. The first and the last centre lie
    outside [0, 1], so that the ends are covered as well as the middle.

    Source: Bohte, Kok and La Poutre 2002, "Error-backpropagation in temporally encoded networks of spiking
    neurons" (population coding; beta = 1.5).

    :param neurons: N, at least 3.
    :param beta: overlap of the fields; larger is narrower.
    :raises ParameterError: values outside [0, 1] or not floating, fewer than 3 neurons, ``beta`` not
        positive.
    :raises NonFiniteError: NaN or infinity.

    >>> receptive_fields(torch.tensor([0.5]), neurons=5).round(decimals=3)  # at -1/6, 1/6, 3/6, 5/6, 7/6
    tensor([[0.0110, 0.3250, 1.0000, 0.3250, 0.0110]])
    """
    checked = unit_values(values)
    return _activations(checked, neurons, beta).to(checked.dtype)


def population(
    values: Tensor,
    neurons: int,
    steps: int,
    *,
    code: Literal["latency", "rate"] = "latency",
    beta: float = 1.5,
    threshold: float = 0.1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Population coding: ``[B, ...]`` to ``[T, B, ..., N]`` through ``receptive_fields``.

    With ``code="latency"`` each neuron spikes once, the better its field fits the earlier (linear latency),
    and one whose activation is below ``threshold`` stays silent. With ``code="rate"`` it spikes at random
    with its activation as the probability per step; ``threshold`` plays no part there.

    ``.flatten(2)`` makes ``[B, F]`` features ready for a linear layer of ``F * N`` inputs.

    Source: Bohte, Kok and La Poutre 2002 (10 time units, activations that would fire in the last tenth are
    silent).

    :param generator: of the random numbers of ``code="rate"``.
    :raises ParameterError: values outside [0, 1] or not floating, or an option out of range.
    :raises NonFiniteError: NaN or infinity.

    >>> population(torch.tensor([[0.5]]), neurons=5, steps=4)[:, 0, 0].T
    tensor([[0., 0., 0., 0.],
            [0., 0., 1., 0.],
            [1., 0., 0., 0.],
            [0., 0., 1., 0.],
            [0., 0., 0., 0.]])
    """
    checked = unit_values(values)
    precision = torch.promote_types(checked.dtype, torch.float32)
    activations = _activations(checked, neurons, beta).to(precision)
    if code == "latency":
        return latency(activations, steps, threshold=threshold).to(checked.dtype)
    if code == "rate":
        return rate(activations, steps, generator).to(checked.dtype)
    raise ParameterError("code", got=code, mend=did_you_mean(str(code), ["latency", "rate"]))


def _activations(values: Tensor, neurons: int, beta: float) -> Tensor:
    gaps = whole(neurons, "neurons", low=3) - 2
    exact = wide(values)
    centres = (torch.arange(neurons, device=exact.device, dtype=exact.dtype) - 0.5) / gaps
    return torch.exp(-0.5 * ((exact[..., None] - centres) * (real(beta, "beta") * gaps)) ** 2)
