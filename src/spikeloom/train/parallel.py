"""One network on several processes: torch's DistributedDataParallel around the call of a network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch

from .ranks import Ranks

Call = Callable[[torch.Tensor, Any], tuple[torch.Tensor, Any]]


class Parallel:
    """``call``, a use of ``net``, whose gradients become the mean over all processes.

    All processes start with parameters and buffers of the first one. A neuron's state is carried by the caller and
    never a buffer, so nothing of it is exchanged; batch norm normalises with the statistics of each process's own
    samples, and the running averages of the first process count (torch's convention).
    """

    def __init__(self, net: torch.nn.Module, call: Call) -> None:
        self._net = net
        self._parallel = torch.nn.parallel.DistributedDataParallel(_Module(net, call))

    def __call__(self, x: torch.Tensor, state: Any, last: bool) -> tuple[torch.Tensor, Any]:
        """As ``call``; gradients are exchanged only in the backward pass of the ``last`` call of a step."""
        with contextlib.nullcontext() if last else self._parallel.no_sync():
            return self._parallel(x, state)

    def same_buffers(self) -> None:
        """Give all processes the buffers of the first."""
        for buffer in self._net.buffers():
            torch.distributed.broadcast(buffer, 0)


def same_parameters(net: torch.nn.Module) -> None:
    """Give all processes the parameters of the first."""
    for parameter in net.parameters():
        torch.distributed.broadcast(parameter.detach(), 0)


def mean_of_gradients(net: torch.nn.Module, ranks: Ranks) -> None:
    """Make every gradient its mean over all processes, for gradients that no backward pass computed."""
    for parameter in net.parameters():
        if parameter.grad is not None:
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= ranks.size


def shard(x: torch.Tensor, labels: torch.Tensor, ranks: Ranks) -> tuple[torch.Tensor, torch.Tensor, int]:
    """The samples of this process among ``x`` ``[T, B, ...]`` and ``labels``, and how many count.

    A process for which none are left takes part with the first sample, of which none counts.

    >>> x, labels, count = shard(torch.zeros(4, 3, 7), torch.arange(3), Ranks(1, 2))
    >>> x.shape, labels, count
    (torch.Size([4, 1, 7]), tensor([1]), 1)
    """
    if ranks.alone:
        return x, labels, len(labels)
    mine = slice(ranks.rank, None, ranks.size)
    count = len(labels[mine])
    return (x[:, mine], labels[mine], count) if count else (x[:, :1], labels[:1], 0)


class _Module(torch.nn.Module):
    def __init__(self, net: torch.nn.Module, call: Call) -> None:
        super().__init__()
        self.net = net
        self._call = call

    def forward(self, x: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        return self._call(x, state)
