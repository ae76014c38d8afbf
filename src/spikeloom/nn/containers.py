"""Containers that thread state through layers and call plain torch modules once over all steps."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import ModelError, StateError
from .dropout import Dropout
from .layer import Layer, checked_sequence, over_time
from .state import State

_DROPOUTS = (torch.nn.Dropout, torch.nn.Dropout1d, torch.nn.Dropout2d, torch.nn.Dropout3d)


class Sequential(Layer):
    """Layers and plain torch modules, one after the other, over ``[T, B, ...]``.

    A torch module is called once on ``T * B`` samples (batch norm so averages over time and batch). A
    ``torch.nn.Dropout`` becomes :class:`Dropout`, which keeps one mask over time. The state is a :class:`State`
    with one part per stateful layer, named by its place.

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
        expected = [name for name, module in self.named_children() if isinstance(module, Layer)]
        if state is not None and set(state) != set(expected):
            mend = "Pass on the state that this net returned, or None to start afresh."
            raise StateError("a state of another net", got=sorted(state), expected=sorted(expected), mend=mend)
        new: dict[str, Any] = {}
        for name, module in self.named_children():
            if isinstance(module, Layer):
                x, new[name] = module(x, None if state is None else state[name])
            else:
                x = over_time(module, x)
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
        y, inner = self.block(x, None if state is None else state["block"])
        return x + y, State(block=inner)


def _fitting(module: torch.nn.Module) -> torch.nn.Module:
    if isinstance(module, _DROPOUTS):
        return Dropout(module.p, whole_channels=not isinstance(module, torch.nn.Dropout))
    if not isinstance(module, Layer) and any(isinstance(inner, Layer) for inner in module.modules()):
        raise ModelError(
            "a plain torch container cannot thread state",
            got=f"{type(module).__name__} with spiking layers inside",
            mend="Use sl.nn.Sequential or sl.nn.Residual, or derive from sl.nn.Layer.",
        )
    return module
