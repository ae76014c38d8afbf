"""Fully connected spiking networks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch

from ..errors import ParameterError
from ..models.base import NeuronModel
from ..nn import Dropout, Neuron, Sequential


def mlp(
    sizes: Sequence[int],
    neuron: NeuronModel,
    readout: NeuronModel,
    *,
    dropout: float = 0.0,
    learn: Sequence[str] = (),
) -> Sequential:
    """Linear layers with a spiking ``neuron`` after each but the last, which feeds ``readout``.

    ``sizes`` are the widths from input to output; ``dropout`` is the probability to drop a hidden neuron's spikes for
    the whole sequence in training; ``learn`` names parameters of ``neuron`` that are trained.
    Maps ``x`` [T, B, sizes[0]] to ``y`` [T, B, sizes[-1]]. Raises :class:`ParameterError` for fewer than two
    sizes.

    >>> import spikeloom as sl
    >>> net = mlp([64, 128, 10], sl.LIF(tau=20.0), sl.LI(tau=20.0))
    >>> y, state = net(torch.zeros(5, 2, 64))
    >>> y.shape
    torch.Size([5, 2, 10])
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ParameterError("sizes of a network", got=list(sizes), expected="at least two positive numbers")
    modules: list[torch.nn.Module] = []
    for before, after in pairwise(sizes[:-1]):
        modules += [torch.nn.Linear(before, after), Neuron(neuron, learn=tuple(learn))]
        modules += [Dropout(dropout)] if dropout else []
    return Sequential(*modules, torch.nn.Linear(sizes[-2], sizes[-1]), Neuron(readout))
