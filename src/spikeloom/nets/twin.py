"""The equally shaped artificial network, for tables that show both."""

from __future__ import annotations

import copy

import torch

from ..errors import ModelError
from ..kernels.program import program
from ..nn import BatchNorm, BatchNormThroughTime, Neuron, Recurrent, Sequential, TemporalBatchNorm, ThresholdBatchNorm
from ..nn.layer import Layer, checked_parts, checked_sequence, over_time
from ..nn.state import State

_NORMS = (ThresholdBatchNorm, TemporalBatchNorm, BatchNormThroughTime)


class Stateless(Layer):
    """A plain torch module where a layer with a state is expected; its state has no parts.

    >>> Stateless(torch.nn.ReLU())(torch.tensor([[[-1.0, 2.0]]]))[0].tolist()
    [[[0.0, 2.0]]]
    """

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        checked_sequence(x, "Stateless")
        checked_parts(state, [], "Stateless")
        return over_time(self.module, x), State()


def ann_twin(net: torch.nn.Module, *, scores: bool = False) -> torch.nn.Module:
    """A copy of ``net`` with each spiking layer replaced by rectifiers and each read-out by the identity.

    Threshold-dependent and step-wise batch norms become :class:`BatchNorm` as it starts out; everything else, weights
    included, is copied, so that whoever wants fresh weights calls this on a fresh net. The twin has no time: run it on
    the image itself, as a sequence with T = 1. Learned neuron parameters and factors of steps go with what they
    belonged to. With ``scores`` neurons at the end of the net become the identity even where they fire: what comes out
    are scores for a softmax.

    Raises :class:`ModelError` for recurrent layers, whose work is in time: a twin without them is another network, and
    one with them is a recurrent network of artificial units, which has no single form.

    >>> import spikeloom as sl
    >>> from spikeloom.nets import mlp
    >>> ann_twin(mlp([3, 2, 1], sl.LIF(), sl.LI()))
    Sequential(
      (0): Linear(in_features=3, out_features=2, bias=True)
      (1): ReLU()
      (2): Linear(in_features=2, out_features=1, bias=True)
      (3): Identity()
    )
    """
    for name, module in net.named_modules():
        if isinstance(module, Recurrent):
            raise ModelError(
                "a recurrent layer has no artificial twin that runs without time",
                got=f"sl.nn.Recurrent at {name or 'the top'}",
                expected="layers that feed forward",
                mend="Compare with a recurrent network that you build yourself, such as torch.nn.RNN.",
            )
    twin = copy.deepcopy(net)
    last = twin[len(twin) - 1] if scores and isinstance(twin, Sequential) and len(twin) else None
    done: dict[int, torch.nn.Module] = {id(last): torch.nn.Identity()} if isinstance(last, Neuron) else {}
    return _twin(twin, in_sequential=False, done=done)


def _twin(module: torch.nn.Module, *, in_sequential: bool, done: dict[int, torch.nn.Module]) -> torch.nn.Module:
    """``module``, changed in place or replaced; what is shared stays shared."""
    if id(module) not in done:
        done[id(module)] = _replacement(module, in_sequential, done)
    return done[id(module)]


def _replacement(module: torch.nn.Module, in_sequential: bool, done: dict[int, torch.nn.Module]) -> torch.nn.Module:
    if isinstance(module, Neuron):
        fires = program(module.model, module.solver, module.surrogate, (module.into,)).fires
        unit = torch.nn.ReLU() if fires else torch.nn.Identity()
        return unit if in_sequential else Stateless(unit)
    if isinstance(module, _NORMS):
        fresh = BatchNorm(module.features, eps=module.eps, momentum=module.momentum)
        return fresh.to(module.running_mean).train(module.training)
    for name, part in module._modules.items():
        if part is not None:
            module._modules[name] = _twin(part, in_sequential=isinstance(module, Sequential), done=done)
    return module


__all__ = ["Stateless", "ann_twin"]
