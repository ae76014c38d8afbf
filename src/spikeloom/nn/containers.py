"""Containers that thread state through layers and call plain torch modules once over all steps."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import ModelError, ShapeError
from ..models.base import NeuronModel
from .dropout import Dropout
from .layer import Layer, checked_parts, checked_sequence, over_time, run_inner
from .needed import marking
from .state import State

_WHOLE_CHANNELS = (torch.nn.Dropout1d, torch.nn.Dropout2d, torch.nn.Dropout3d)
_ANY_DROPOUT = (torch.nn.Dropout, *_WHOLE_CHANNELS, torch.nn.AlphaDropout, torch.nn.FeatureAlphaDropout)


class Sequential(Layer):
    """Layers and plain torch modules, one after the other, over ``[T, B, ...]``.

    A torch module is called once on ``T * B`` samples (batch norm so averages over time and batch). A
    ``torch.nn.Dropout`` becomes :class:`Dropout`, which keeps one mask over time. The state is a :class:`State`
    with one part per stateful layer, named by its place.

    On the CPU a plain ``torch.nn.Linear`` or ``torch.nn.Conv2d`` adds up rows of weights where its input is sparse
    spikes. Straight after a :class:`Neuron` whose surrogate is zero far from the threshold, it forms the gradients of
    only those spikes for which it is not zero; the other gradients are as they would be.

    >>> import spikeloom as sl
    >>> net = Sequential(torch.nn.Linear(4, 3), sl.nn.Neuron(sl.LIF()), torch.nn.Linear(3, 2), sl.nn.Neuron(sl.LI()))
    >>> y, state = net(torch.rand(5, 1, 4))
    >>> y.shape, list(state)
    (torch.Size([5, 1, 2]), ['1', '3'])
    """

    def __init__(self, *modules: torch.nn.Module) -> None:
        super().__init__()
        for index, module in enumerate(modules):
            self.add_module(str(index), _fitting(module))

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        checked_sequence(x, "Sequential")
        # Not named_children(), which passes over the second use of a module that is shared.
        modules = {name: module for name, module in self._modules.items() if module is not None}
        checked_parts(state, [n for n, module in modules.items() if isinstance(module, Layer)], "Sequential")
        new, needed = dict[str, Any](), None
        for (name, module), following in zip(modules.items(), [*modules.values(), None][1:], strict=True):
            if isinstance(module, Layer):
                call = marking(module, following, x)
                x, new[name] = run_inner(name, call or module, x, None if state is None else state[name])
                needed = call.needed_of(x) if call else None
            else:
                x, needed = over_time(module, x, needed), None
        return x, State(new)

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index: int) -> torch.nn.Module:
        return list(self._modules.values())[index]  # type: ignore[return-value]


class Residual(Layer):
    """``y = x + block(x)``, with the block's state threaded through.

    >>> import spikeloom as sl
    >>> layer = Residual(sl.nn.Sequential(torch.nn.Linear(3, 3), sl.nn.Neuron(sl.LIF())))
    >>> layer(torch.zeros(2, 1, 3))[0].shape
    torch.Size([2, 1, 3])
    """

    def __init__(self, *block: torch.nn.Module) -> None:
        super().__init__()
        self.block = block[0] if len(block) == 1 and isinstance(block[0], Layer) else Sequential(*block)

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        checked_parts(state, ["block"], "Residual")
        y, inner = run_inner("block", self.block, x, None if state is None else state["block"])
        if y.shape != x.shape:
            mend = "The block must keep the shape of its input."
            raise ShapeError("Residual: the block's output", got=tuple(y.shape), expected=tuple(x.shape), mend=mend)
        return x + y, State(block=inner)


def _fitting(module: torch.nn.Module) -> torch.nn.Module:
    if isinstance(module, (torch.nn.Dropout, *_WHOLE_CHANNELS)):
        return Dropout(module.p, whole_channels=isinstance(module, _WHOLE_CHANNELS))
    if isinstance(module, Layer):
        return module
    if not isinstance(module, torch.nn.Module):
        mend = f"Wrap it: sl.nn.Neuron({module!r})." if isinstance(module, NeuronModel) else ""
        raise ModelError("Sequential: a part", got=type(module).__name__, expected="a torch module", mend=mend)
    label = type(module).__name__
    if any(isinstance(inner, Layer) for inner in module.modules()):
        raise ModelError(
            "a plain torch container cannot thread state",
            got=f"{label} with spiking layers inside",
            mend="Use sl.nn.Sequential or sl.nn.Residual, or derive from sl.nn.Layer.",
        )
    if any(isinstance(inner, _ANY_DROPOUT) and inner.p > 0 for inner in module.modules()):
        raise ModelError(
            "a dropout inside a plain torch module would draw another mask in every step",
            got=label,
            mend="Use sl.nn.Sequential instead of torch's, and sl.nn.Dropout, which keeps one mask over time.",
        )
    return module
