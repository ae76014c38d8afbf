"""What tests of input gradients that are left out have in common."""

from __future__ import annotations

import contextlib
from types import ModuleType
from unittest import mock

import torch

import spikeloom as sl


def out_of_reach(module: ModuleType, limit: str) -> contextlib.AbstractContextManager[object]:
    """A limit of ``module`` raised so far that nothing reaches it."""
    return mock.patch.object(module, limit, 2**62)


def gradients(
    layers: sl.nn.Sequential, x: torch.Tensor, backend: str | None = None
) -> tuple[torch.Tensor, list[torch.Tensor], bool]:
    """The spikes of a net, the gradients of all it has, and whether some input gradients were left out."""
    torch.manual_seed(8)
    leaf = x.clone().requires_grad_()
    sl.last_kernels()
    with sl.backend(backend):
        y, state = layers(leaf)
        loss = (y * torch.randn(y.shape)).sum() + sum(s.sum() for part in state.values() for s in part.values())
        found = torch.autograd.grad(loss, [leaf, *layers.parameters()])
    return y.detach(), list(found), any(kernel.endswith("/backward-needed") for kernel in sl.last_kernels())


def same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).norm() <= 2e-6 * theirs.norm()


__all__ = ["gradients", "out_of_reach", "same"]
