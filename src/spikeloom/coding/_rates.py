"""Encoders whose spike count carries the value."""

from __future__ import annotations

import torch
from torch import Tensor

from ._check import float_tensor, real, rounding, unit_values, whole, wide


def direct(values: Tensor, steps: int) -> Tensor:
    """Show the values unchanged at every step: ``[B, ...]`` to ``[T, B, ...]``. Not spikes, but a held input.

    The first layer then acts as a learned encoder. The result is a view without a copy, and the only encoding
    that passes gradients. Values are not limited to [0, 1].

    Source: Wu et al. 2019, "Direct training for spiking neural networks: faster, larger, better".

    :raises ParameterError: values that are not a floating tensor, or ``steps`` below 1.
    :raises NonFiniteError: NaN or infinity.

    >>> direct(torch.tensor([[0.5, -2.0]]), steps=2).tolist()
    [[[0.5, -2.0]], [[0.5, -2.0]]]
    """
    float_tensor(values, "values", "B")
    return values.expand(whole(steps, "steps"), *values.shape)


def rate(values: Tensor, steps: int, generator: torch.Generator | None = None, *, max_rate: float = 1.0) -> Tensor:
    """Poisson (Bernoulli) coding: ``P(spike at a step) = max_rate * value``, independent over steps.

    The count over T steps has mean ``T p`` and variance ``T p (1 - p)``. ``max_rate`` is the probability
    per step at value 1; for a maximum of f Hz at a step of dt ms it is ``f * dt / 1000``.

    The same seed gives the same spikes for any dtype that holds the values, and fewer steps give the
    beginning of what more steps give. A CPU generator may be used with values on a GPU: draws are made
    where the generator lives.

    Source: Dayan and Abbott 2001, "Theoretical Neuroscience", section 1.4.

    :param values: ``[B, ...]`` in [0, 1].
    :param generator: of the random numbers; without one, torch's global generator is used.
    :raises ParameterError: values outside [0, 1] or not floating, ``steps`` below 1, ``max_rate`` outside
        (0, 1].
    :raises NonFiniteError: NaN or infinity.

    >>> x = torch.tensor([[0.0, 0.25, 1.0]])
    >>> rate(x, steps=1000, generator=torch.Generator().manual_seed(0)).mean(0)
    tensor([[0.0000, 0.2400, 1.0000]])
    """
    values = unit_values(values)
    chance = values.float() * real(max_rate, "max_rate", high=1.0)
    return draw(chance.expand(whole(steps, "steps"), *chance.shape), generator, values.dtype)


def bernoulli(probabilities: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Independent spikes with probabilities that may change over time: ``[T, B, ...]`` to ``[T, B, ...]``.

    With ``probabilities = rate_hz * dt / 1000`` this is an inhomogeneous Poisson process in steps of dt ms.

    Source: Dayan and Abbott 2001, "Theoretical Neuroscience", section 1.4.

    :raises ParameterError: values outside [0, 1] or not floating.
    :raises NonFiniteError: NaN or infinity.
    :raises ShapeError: fewer than two axes.

    >>> bernoulli(torch.tensor([[0.0], [1.0]])).tolist()
    [[0.0], [1.0]]
    """
    checked = unit_values(probabilities, "probabilities", axes="T, B")
    return draw(checked, generator, checked.dtype)


def regular(values: Tensor, steps: int) -> Tensor:
    """Evenly spaced spikes: step t (from 0) spikes when ``floor((t + 1) value) > floor(t value)``.

    This is an integrate-and-fire neuron with threshold 1 and reset by subtraction that is fed ``value`` at
    every step. The count is ``floor(T value)``, never more than one away from ``T value``, and intervals
    differ by at most one step. A float32 value is raised by the rounding it may have suffered, so that ten
    steps of 0.7, stored as 0.69999999, give seven spikes.

    Source: Rueckauer et al. 2017, "Conversion of continuous-valued deep networks to efficient event-driven
    networks".

    :raises ParameterError: values outside [0, 1] or not floating, ``steps`` below 1.
    :raises NonFiniteError: NaN or infinity.

    >>> regular(torch.tensor([[0.5, 0.7]]), steps=10)[:, 0].T
    tensor([[0., 1., 0., 1., 0., 1., 0., 1., 0., 1.],
            [0., 1., 1., 0., 1., 1., 0., 1., 1., 1.]])
    """
    checked = unit_values(values)
    exact, slack = wide(checked), rounding(checked.dtype)
    spikes = torch.empty((whole(steps, "steps"), *checked.shape), dtype=checked.dtype, device=checked.device)
    before = torch.zeros_like(exact)
    for t in range(len(spikes)):
        summed = exact * (t + 1)
        # The slack grows with t, and must stay below one spike however many steps there are.
        summed += (summed * slack).clamp(max=0.5)
        now = summed.floor_()
        torch.sub(now, before, out=before)
        spikes[t] = before
        before = now
    return spikes


def draw(chance: Tensor, generator: torch.Generator | None, dtype: torch.dtype) -> Tensor:
    """Spikes of ``dtype`` with the probabilities ``chance``, from float32 draws whatever the dtype."""
    where = generator.device if generator is not None else chance.device
    # u < p never holds for p = 0 and always for p = 1, since u is in [0, 1).
    uniform = torch.rand(chance.shape, generator=generator, device=where, dtype=torch.float32)
    return uniform.to(chance.device).lt_(chance).to(dtype)
