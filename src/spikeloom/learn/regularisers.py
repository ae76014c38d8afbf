"""Penalties on activity: functions of recorded spikes ``{layer name: [T, B, ...]}`` that give a scalar.

Layers add up, so that the pull on a layer does not depend on how many others there are. Within a layer everything is
a mean, so that it does not depend on batch size, number of neurons or, for rates, number of steps either.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import torch

from ..coding._check import at_least_float32
from ..coding.layout import check_sequence
from ..errors import ParameterError, ShapeError

Spikes = Mapping[str, torch.Tensor]


def firing_rate(spikes: Spikes, *, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    r"""Rates outside [low, high]: :math:`\sum_l \max(0, r_l - high)^2 + \max(0, low - r_l)^2`.

    :math:`r_l` is the mean over steps, batch and neurons of layer l, in spikes per neuron and step; ``low = high``
    penalises any distance from a target. It holds down the layer as a whole (and so the energy), and says nothing
    about single neurons.

    Sources, for the upper bound on a layer's mean: Zenke and Vogels 2021, "The remarkable robustness of surrogate
    gradient learning"; Cramer et al. 2022, "The Heidelberg spiking data sets for the systematic evaluation of spiking
    neural networks".

    Raises :class:`ShapeError` for records that are no sequences, :class:`ParameterError` for an empty record and
    unless 0 <= ``low`` <= ``high``.

    >>> spikes = {"1": torch.tensor([1.0, 0.0, 0.0, 0.0]).view(2, 1, 2)}   # a rate of 1/4
    >>> firing_rate(spikes, high=0.05).item(), firing_rate(spikes, low=0.5).item()   # 0.2^2 and 0.25^2
    (0.04000000283122063, 0.0625)
    """
    _check_bounds("rates", low, high)
    return _over_layers(spikes, lambda s: _outside(s.mean(), low, high))


def spike_count(spikes: Spikes, *, low: float = 0.0, high: float = math.inf) -> torch.Tensor:
    r"""Counts outside [low, high]: the mean over batch and neurons of :math:`\max(0, n - high)^2 + \max(0, low - n)^2`.

    :math:`n` counts the spikes of one neuron over all steps of one sample. Neurons that are busy pay more than quiet
    ones, where :func:`firing_rate` sees only the layer. Layers add up.

    Source: the lower bound on single neurons is that of Cramer et al. 2022 (see :func:`firing_rate`), the upper one
    its mirror image.

    Raises as :func:`firing_rate` does.

    >>> spikes = {"1": torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0]).view(3, 1, 2)}   # 3 spikes and none
    >>> spike_count(spikes, high=1).item(), spike_count(spikes, low=1).item()   # 2^2 / 2 and 1^2 / 2
    (2.0, 0.5)
    """
    _check_bounds("counts", low, high)
    return _over_layers(spikes, lambda s: _outside(s.sum(0), low, high).mean())


def silent_neurons(spikes: Spikes) -> torch.Tensor:
    r"""The fraction of neurons that never fire in the batch, :math:`\frac1N \sum_{j\,silent} (1 - r_j)`. Layers add up.

    :math:`r_j` is the neuron's mean over steps and batch, 0 for a silent one: so the gradient by each spike of a
    silent neuron is :math:`-1 / (T B N)`, which the surrogate passes to its membrane, and 0 for all others. A neuron
    that fires once in the batch is left alone; :func:`spike_count` with ``low`` asks for more.

    Raises :class:`ShapeError` for records that are no sequences, :class:`ParameterError` for an empty record.

    >>> silent_neurons({"1": torch.tensor([1.0, 0.0, 0.0, 0.0]).view(1, 1, 4)}).item()
    0.75
    """
    return _over_layers(spikes, _silent)


@dataclasses.dataclass(frozen=True)
class Regularisers:
    """Strengths of penalties, 0 for none; call it with recorded spikes and add what it returns to the loss.

    ``rate`` times :func:`firing_rate` between ``least_rate`` and ``target`` (spikes per neuron and step), ``count``
    times :func:`spike_count` above ``most`` (spikes per neuron and sample), ``silent`` times :func:`silent_neurons`.
    A rate lies far below 1, and its square further: strengths of ``rate`` are often 1 to 100.

    Raises :class:`ParameterError` for a negative strength and bounds that contradict each other.

    >>> import spikeloom as sl
    >>> net = sl.nn.Sequential(torch.nn.Linear(3, 8), sl.nn.Neuron(sl.LIF()))
    >>> penalty = Regularisers(rate=10.0, target=0.05, silent=0.1)
    >>> with sl.record(net) as rec:
    ...     y, state = net(torch.rand(5, 2, 3))
    >>> penalty({name: rec[name].spikes for name in rec.names()}).requires_grad
    True
    """

    rate: float = 0.0
    target: float = 0.0
    least_rate: float = 0.0
    count: float = 0.0
    most: float = 0.0
    silent: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rate", "count", "silent"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ParameterError(f"the strength {name}", got=getattr(self, name), expected="a finite number >= 0")
        _check_bounds("rates", self.least_rate, self.target)
        _check_bounds("counts", 0.0, self.most)

    def __bool__(self) -> bool:
        """Whether there is anything to penalise, and so any need to record."""
        return bool(self.rate or self.count or self.silent)

    def __call__(self, spikes: Spikes) -> torch.Tensor:
        """The weighted sum for spikes ``[T, B, ...]`` by layer name."""
        total = _over_layers(spikes, lambda s: s.new_zeros(()))
        if self.rate:
            total = total + self.rate * firing_rate(spikes, low=self.least_rate, high=self.target)
        if self.count:
            total = total + self.count * spike_count(spikes, high=self.most)
        if self.silent:
            total = total + self.silent * silent_neurons(spikes)
        return total


def _over_layers(spikes: Spikes, penalty: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    if not spikes:
        mend = "Record the net with sl.record(net), and pass the spikes of layers that fire."
        raise ParameterError("no layer's spikes to penalise", got="an empty record", mend=mend)
    return torch.stack([penalty(_checked(name, s)) for name, s in spikes.items()]).sum()


def _checked(name: str, spikes: torch.Tensor) -> torch.Tensor:
    what = f"spikes of layer {name}"
    if not isinstance(spikes, torch.Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        mend = "A read-out makes no spikes: leave it out."
        raise ShapeError(what, got=type(spikes).__name__, expected="a tensor [T, B, ...]", mend=mend)
    if check_sequence(spikes, what).numel() == 0:
        raise ShapeError(what, got=list(spikes.shape), expected="at least one sample and one neuron")
    return at_least_float32(spikes)


def _check_bounds(what: str, low: float, high: float) -> None:
    if not 0 <= low <= high:
        raise ParameterError(f"bounds of {what}", got=f"{low} to {high}", expected="0 <= low <= high")


def _outside(value: torch.Tensor, low: float, high: float) -> torch.Tensor:
    return torch.relu(value - high) ** 2 + torch.relu(low - value) ** 2


def _silent(spikes: torch.Tensor) -> torch.Tensor:
    never = (spikes.detach() == 0).all(0).all(0)
    return (never * (1.0 - spikes.mean((0, 1)))).mean()
