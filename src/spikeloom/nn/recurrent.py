"""Dense recurrent weights around any neuron."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch.nn.utils import parametrize

from ..errors import ParameterError, ShapeError, StateError
from ..kernels.backends import choose, note_kernel
from ..kernels.program import program
from ..kernels.recurrence.engines import ENGINES
from ..kernels.recurrence.recurrence import fits, recurrence
from .layer import Layer, checked_parts, checked_sequence, run_inner
from .linear import hooked
from .neuron import Neuron
from .recording import recorders_of
from .state import State


class Recurrent(Layer):
    """Neurons whose spikes come back one step later: ``input_t = x_t + W s_{t-1}``.

    ``neuron`` is a :class:`Neuron` of ``size`` features; ``weight`` ``[size, size]`` starts uniform in
    ``±1/sqrt(size)``. The state has the neuron's state and the last spikes.

    On the CPU and (up to 1024 neurons) on a GPU all steps are one call of a kernel that adds up rows of the weights
    where there is a spike. A neuron that draws random numbers or never fires, is a subclass or has a hook, a weight
    that is parametrized, half precision, autocast, torch.func, torch.compile and the reference take one step at a time
    in Python; ``sl.last_kernels()`` says which it was.

    >>> import spikeloom as sl
    >>> layer = Recurrent(sl.nn.Neuron(sl.LIF()), 4)
    >>> y, state = layer(torch.rand(6, 2, 4))
    >>> y.shape, list(state)
    (torch.Size([6, 2, 4]), ['neuron', 'spikes'])
    """

    def __init__(self, neuron: Neuron, size: int) -> None:
        super().__init__()
        if not isinstance(neuron, Neuron):
            raise ParameterError("Recurrent: neuron", got=repr(neuron), expected="an sl.nn.Neuron")
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ParameterError("Recurrent: size", got=size, expected="a whole number >= 1")
        self.neuron, self.size = neuron, size
        self.weight = torch.nn.Parameter(torch.empty(size, size).uniform_(-1, 1) / math.sqrt(size))

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        checked_sequence(x, "Recurrent")
        if x.dim() != 3 or x.shape[2] != self.size:
            raise ShapeError("Recurrent: the input", got=f"shape {tuple(x.shape)}", expected=f"[T, B, {self.size}]")
        checked_parts(state, ["neuron", "spikes"], "Recurrent")
        spikes = x.new_zeros(x.shape[1:]) if state is None else state["spikes"]
        if spikes.shape != x.shape[1:] or spikes.device != x.device:
            got, expected = (f"{tuple(t.shape)} on {t.device}" for t in (spikes, x[0:1].flatten(0, 1)))
            mend = "Start a new batch with state=None, or keep the batch size."
            raise StateError("Recurrent: the spikes in the state", got=got, expected=expected, mend=mend)
        inner = None if state is None else state["neuron"]
        if not len(x):  # even no step at all leaves a state
            y, inner = run_inner("neuron", self.neuron, x, inner)
            return y, State(neuron=inner, spikes=spikes)
        if _fused(self, x):
            run = functools.partial(recurrence, weight=self.weight, spikes=spikes)
            advance: Any = functools.partial(self.neuron.advance, run=run)
            y, inner = run_inner("neuron", advance, x, inner)
            return y, State(neuron=inner, spikes=y[-1].clone())  # a view would keep all steps alive
        return self._step_by_step(x, spikes, inner)

    def _step_by_step(self, x: torch.Tensor, spikes: torch.Tensor, inner: State | None) -> tuple[torch.Tensor, State]:
        watching = recorders_of(self.neuron)
        outputs, kept = [], []
        for x_t in x.unbind(0):
            total = x_t + torch.nn.functional.linear(spikes, self.weight)
            y, inner = run_inner("neuron", self.neuron, total.unsqueeze(0), inner)
            spikes = y[0]
            outputs.append(spikes)
            kept.append([recorder[recorder.path(self.neuron)] for recorder in watching])
        for index, recorder in enumerate(watching):
            recorder.join(self.neuron, [row[index] for row in kept])
        return torch.stack(outputs), State(neuron=inner, spikes=spikes)

    def extra_repr(self) -> str:
        return f"size={self.size}"


def _fused(layer: Recurrent, x: torch.Tensor) -> bool:
    """Whether one kernel may do all steps: where nobody could tell it from the loop."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[reportPrivateImportUsage]
        return False
    if choose(x.device.type).name not in ENGINES:
        return False
    neuron = layer.neuron
    plain = type(neuron) is Neuron and not hooked(neuron) and not parametrize.is_parametrized(layer)
    plain = plain and "weight" in layer._parameters and not torch.is_autocast_enabled(x.device.type)
    found = program(neuron.model, neuron.solver, neuron.surrogate, (neuron.into,))
    if plain and fits(found, x, layer.weight):
        return True
    note_kernel(f"recurrence/steps/{type(neuron.model).__name__}/forward")
    return False
