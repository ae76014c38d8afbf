"""What differs between devices: how spikes are kept between the passes, and which kernels run."""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar, final

import numpy as np
import torch

from ..program import SPIKE
from ..scan.op import contiguous, empty
from ..scan.plan import Plan
from ..spike_linear.op import pack_op, weight_gradient_op
from . import cpu, gpu
from .cpu import How, NamedArrays

DENSE = 0.25  # density of spikes from which on the weight gradient is a dense product
Tensors = tuple[torch.Tensor, ...]
__all__ = ["ENGINES", "Before", "Engine", "How"]


@dataclasses.dataclass(frozen=True)
class Before:
    """What comes back at the first step: ``kept`` are spikes as the kernels hold them, ``added`` are numbers ``[M]``
    that are added to what they bring; ``bring`` are the spikes themselves, where they bring all."""

    kept: Tensors
    bring: torch.Tensor | None
    added: torch.Tensor | None


class Engine(abc.ABC):
    """The kernels of one backend."""

    name: ClassVar[str]
    most: ClassVar[int]  # neurons

    @abc.abstractmethod
    def before(self, spikes: torch.Tensor, weight: torch.Tensor) -> Before:
        """Spikes ``[B, N]`` (or any numbers) before the first step."""

    @abc.abstractmethod
    def forward(
        self, plan: Plan, arrays: NamedArrays, x: torch.Tensor, before: Before, weight: torch.Tensor, how: How
    ) -> Tensors:
        """Run all steps in place, and return the spikes before each step as :meth:`weight_gradient` takes them."""

    @abc.abstractmethod
    def backward(self, plan: Plan, arrays: NamedArrays, weight: torch.Tensor, steps: int, batch: int, how: How) -> None:
        """Run all steps in reverse, in place."""

    def row(self, name: str, grad: torch.Tensor) -> torch.Tensor:
        """The gradient of an output ``[T, M]`` as :meth:`backward` takes it."""
        return contiguous(grad)

    @abc.abstractmethod
    def weight_gradient(self, kept: Tensors, grad: torch.Tensor) -> torch.Tensor:
        """The sum over steps of ``g_t^T s_{t-1}`` for ``g`` ``[T, B, N]``."""


@final
class CpuEngine(Engine):
    """Spikes are words of bits ``[(T + 1) * B, W]`` and their counts."""

    name, most = "cpu", 2**16 - 1  # places are held in 16 bits

    def before(self, spikes: torch.Tensor, weight: torch.Tensor) -> Before:
        packed, none = pack_op(spikes.detach()), weight.new_zeros(spikes.numel())
        if int(packed[1][0]) >= 0:
            return Before(packed, spikes, none)
        # Numbers that are no spikes take a product of torch's.
        return Before(pack_op(torch.zeros_like(spikes)), None, torch.nn.functional.linear(spikes, weight).flatten())

    def forward(
        self, plan: Plan, arrays: NamedArrays, x: torch.Tensor, before: Before, weight: torch.Tensor, how: How
    ) -> Tensors:
        steps, batch, _ = x.shape
        words, counts = (empty(x, (steps * batch + batch, *t.shape[1:]), t.dtype) for t in before.kept)
        words[:batch], counts[:batch] = before.kept
        assert before.added is not None
        cpu.forward(plan, arrays, contiguous(x), before.added.contiguous(), weight.contiguous(), (words, counts), how)
        return words, counts

    def backward(self, plan: Plan, arrays: NamedArrays, weight: torch.Tensor, steps: int, batch: int, how: How) -> None:
        cpu.backward(plan, arrays, weight.contiguous(), steps, batch, how)

    def row(self, name: str, grad: torch.Tensor) -> torch.Tensor:
        """A gradient that is the same in every step, as that of a sum over time, is read as one row."""
        return contiguous(grad[0] if name == SPIKE and grad.stride(0) == 0 and len(grad) else grad)

    def weight_gradient(self, kept: Tensors, grad: torch.Tensor) -> torch.Tensor:
        rows, size = grad.flatten(0, 1), grad.shape[2]
        words, counts = (t[: len(rows)] for t in kept)
        if int(counts.numpy().sum()) < DENSE * rows.numel():
            return weight_gradient_op(words, counts, rows, size)[0]
        bits = np.unpackbits(words.numpy().view(np.uint8), axis=1, count=size, bitorder="little")
        return rows.T @ torch.from_numpy(bits).to(grad.dtype)


@final
class GpuEngine(Engine):
    """Spikes are what the layer returns, which the next layer keeps anyway, and those before the first step."""

    name, most = "gpu", gpu.MOST

    def before(self, spikes: torch.Tensor, weight: torch.Tensor) -> Before:
        return Before((spikes.detach().contiguous(),), spikes, None)

    def forward(
        self, plan: Plan, arrays: NamedArrays, x: torch.Tensor, before: Before, weight: torch.Tensor, how: How
    ) -> Tensors:
        gpu.forward(plan, arrays, x.contiguous(), before.kept[0], weight, how)
        return (*before.kept, arrays[SPIKE])

    def backward(self, plan: Plan, arrays: NamedArrays, weight: torch.Tensor, steps: int, batch: int, how: How) -> None:
        gpu.backward(plan, arrays, weight, steps, batch, how)

    def weight_gradient(self, kept: Tensors, grad: torch.Tensor) -> torch.Tensor:
        first, spikes = kept[0], kept[1].view(grad.shape)
        later = grad[1:].flatten(0, 1).T @ spikes[:-1].flatten(0, 1)
        return torch.addmm(later, grad[0].T, first)


ENGINES: dict[str, Engine] = {engine.name: engine for engine in (CpuEngine(), GpuEngine())}
