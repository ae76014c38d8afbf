"""Where a perturbation acts: the hidden layers of a spiking network, and the same layers of its ANN twin."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..kernels.program import program
from ..nn import Neuron, Recurrent


@dataclass(frozen=True)
class Place:
    """A hidden layer: the output of ``module`` is changed, and ``recorded`` is the layer that recorders know."""

    name: str
    module: torch.nn.Module
    recorded: torch.nn.Module


def has_spikes(net: torch.nn.Module) -> bool:
    """Whether any layer of ``net`` fires.

    >>> import spikeloom as sl
    >>> has_spikes(sl.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())), has_spikes(sl.nn.Neuron(sl.LIF()))
    (False, True)
    """
    return any(_fires(module) for module in net.modules())


def hidden_places(net: torch.nn.Module, *, whole_trains: bool = False) -> list[Place]:
    """The layers that fire, in order; in a net where none does, its ReLUs.

    The last module of the net is its read-out and no hidden layer, even when it fires. A recurrent layer is
    called step by step; ``whole_trains`` asks for a place where its whole spike trains can be seen, which is behind
    its feedback.

    >>> import spikeloom as sl
    >>> net = sl.nn.Sequential(sl.nn.Neuron(sl.LIF()), torch.nn.Linear(2, 2), sl.nn.Neuron(sl.LI()))
    >>> [place.name for place in hidden_places(net)]
    ['0']
    """
    named = [(name, module) for name, module in net.named_modules() if _computes(module)]
    fitting = _fires if has_spikes(net) else _rectifies
    around = {id(m.neuron): m for m in net.modules() if isinstance(m, Recurrent)} if whole_trains else {}
    return [Place(name, around.get(id(m), m), m) for name, m in named[:-1] if fitting(m)]


def _computes(module: torch.nn.Module) -> bool:
    """Leaves, and neurons, whose only children are lists of parameters."""
    if isinstance(module, torch.nn.ParameterDict | torch.nn.ParameterList):
        return False
    return isinstance(module, Neuron) or not any(True for _ in module.children())


def _fires(module: torch.nn.Module) -> bool:
    if not isinstance(module, Neuron):
        return False
    return program(module.model, module.solver, module.surrogate, (module.into,)).fires


def _rectifies(module: torch.nn.Module) -> bool:
    return isinstance(module, torch.nn.ReLU)
