"""Let a net compute with other tensors in the places of its parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch


@contextlib.contextmanager
def exchanged(net: torch.nn.Module, others: Mapping[int, torch.Tensor]) -> Iterator[None]:
    """Within the block ``net`` computes with ``others`` in place of its parameters, which are named by their ids.

    Gradients then end at ``others``, and hooks on the parameters do not hear of them. (torch's ``functional_call``
    leaves a module that is used at two places with the other tensors.)
    """
    places = [(m._parameters, n, p) for m in net.modules() for n, p in m._parameters.items() if id(p) in others]
    for table, name, parameter in places:
        table[name] = others[id(parameter)]  # type: ignore[assignment]
    try:
        yield
    finally:
        for table, name, parameter in places:
            table[name] = parameter
