"""The state that a layer returns and takes: tensors by name, nested like the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ..errors import StateError, did_you_mean


class State(Mapping[str, Any]):
    """An immutable mapping from names to tensors, or to the states of inner layers (None for layers without one).

    >>> state = State(v=torch.ones(2, 3))
    >>> state["v"].shape, state.detach()["v"].requires_grad
    (torch.Size([2, 3]), False)
    """

    __slots__ = ("_parts",)

    def __init__(self, parts: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        self._parts: dict[str, Any] = {**(parts or {}), **named}

    def __getitem__(self, name: str) -> Any:
        if name not in self._parts:
            raise StateError(f"the state has no part {name!r}", mend=did_you_mean(name, self._parts))
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> State:
        """The same state with ``function`` applied to every tensor."""
        return State({name: _mapped(part, function) for name, part in self._parts.items()})

    def detach(self) -> State:
        """Cut off from the graph, for truncated backpropagation through time."""
        return self.map(torch.Tensor.detach)

    def to(self, *args: Any, **kwargs: Any) -> State:
        """Every tensor moved as by :meth:`torch.Tensor.to`."""
        return self.map(lambda tensor: tensor.to(*args, **kwargs))

    def __repr__(self) -> str:
        return f"State({', '.join(f'{n}={_summary(p)}' for n, p in self._parts.items())})"


def _mapped(part: Any, function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(part, State):
        return part.map(function)
    return function(part) if isinstance(part, torch.Tensor) else part


def _summary(part: Any) -> str:
    if isinstance(part, torch.Tensor):
        return f"<{'x'.join(map(str, part.shape)) or 'scalar'} {str(part.dtype).removeprefix('torch.')}>"
    return repr(part)


def _flatten(state: State) -> tuple[list[Any], list[str]]:
    return list(state.values()), list(state)


def _unflatten(parts: Any, names: list[str]) -> State:
    return State(dict(zip(names, parts, strict=True)))


# Lets torch.compile, checkpointing and vmap see the tensors inside.
pytree.register_pytree_node(State, _flatten, _unflatten, serialized_type_name="spikeloom.State")
