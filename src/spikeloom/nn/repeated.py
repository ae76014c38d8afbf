"""Which modules may see a repeated input only once: those that nobody could tell apart."""

from __future__ import annotations

import torch

from .linear import hooked

# Exact types, since a subclass may do anything, and the axes of a batch for each; torch's convolutions would take a
# batch with one axis less for a single sample. No batch norm: it would count fewer values than it was given.
_SAMPLE_BY_SAMPLE = {
    torch.nn.Linear: 2,
    torch.nn.Conv1d: 3, torch.nn.MaxPool1d: 3, torch.nn.AvgPool1d: 3,
    torch.nn.Conv2d: 4, torch.nn.MaxPool2d: 4, torch.nn.AvgPool2d: 4,
    torch.nn.Conv3d: 5, torch.nn.MaxPool3d: 5, torch.nn.AvgPool3d: 5,
}  # fmt: skip


def repeats(module: torch.nn.Module, x: torch.Tensor) -> bool:
    """Whether ``x`` [T, ...] is a view of one step, T > 1 times, and ``module`` maps each sample by itself.

    Not where somebody listens: a hook would see B samples instead of T * B.

    >>> image = torch.rand(2, 3)
    >>> repeats(torch.nn.Linear(3, 1), image.expand(5, 2, 3)), repeats(torch.nn.Linear(3, 1), image.repeat(5, 1, 1))
    (True, False)
    """
    if x.dim() <= _SAMPLE_BY_SAMPLE.get(type(module), x.dim()) or x.shape[0] < 2 or type(x) is not torch.Tensor:
        return False
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[reportPrivateImportUsage]
        return False
    return x.stride(0) == 0 and not hooked(module)
