"""Dense recurrent weights around any neuron."""

from __future__ import annotations

import math

import torch

from ..errors import ParameterError, ShapeError
from .layer import Layer, checked_sequence
from .neuron import Neuron
from .recording import recorders_of
from .state import State


class Recurrent(Layer):
    """Neurons whose spikes come back one step later: ``input_t = x_t + W s_{t-1}``.

    ``neuron`` is a :class:`Neuron` of ``size`` features; ``weight`` ``[size, size]`` starts uniform in
    ``±1/sqrt(size)``. The state has the neuron's state and the last spikes.

    >>> import spikeloom as sl
    >>> layer = Recurrent(sl.nn.Neuron(sl.LIF()), 4)
    >>> y, state = layer(torch.rand(6, 2, 4))
    >>> y.shape, list(state)
    (torch.Size([6, 2, 4]), ['neuron', 'spikes'])
    """

    def __init__(self, neuron: Neuron, size: int) -> None:
        super().__init__()
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ParameterError("Recurrent: size", got=size, expected="a whole number >= 1")
        self.neuron, self.size = neuron, size
        self.weight = torch.nn.Parameter(torch.empty(size, size).uniform_(-1, 1) / math.sqrt(size))

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        checked_sequence(x, "Recurrent")
        if x.dim() != 3 or x.shape[2] != self.size:
            raise ShapeError("Recurrent: the input", got=f"shape {tuple(x.shape)}", expected=f"[T, B, {self.size}]")
        spikes = x.new_zeros(x.shape[1:]) if state is None else state["spikes"]
        inner = None if state is None else state["neuron"]
        watching = recorders_of(self.neuron)
        outputs, kept = [], []
        for x_t in x.unbind(0):
            y, inner = self.neuron((x_t + torch.nn.functional.linear(spikes, self.weight)).unsqueeze(0), inner)
            spikes = y[0]
            outputs.append(spikes)
            kept.append([recorder[recorder.path(self.neuron)] for recorder in watching])
        for index, recorder in enumerate(watching):
            recorder.join(self.neuron, [row[index] for row in kept])
        stacked = torch.stack(outputs) if outputs else x
        return stacked, State(neuron=inner, spikes=spikes)

    def extra_repr(self) -> str:
        return f"size={self.size}"
