"""Changes of images that keep what they show; for training only."""

from __future__ import annotations

import torch

from ..errors import ParameterError, ShapeError


def shifted(images: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """Each image moved down and right by its own, also fractional, number of pixels; zeros come in.

    ``images`` [B, H, W] and ``offsets`` [B, 2] (rows, columns). Between pixels the value is interpolated
    bilinearly. Raises :class:`ShapeError` for another layout.

    >>> shifted(torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[0.0, 0.5]]))
    tensor([[[0.5000, 1.5000, 2.5000]]])
    """
    if images.ndim != 3 or offsets.shape != (len(images), 2):
        got = f"{list(images.shape)} and {list(offsets.shape)}"
        raise ShapeError("images and offsets do not fit", got=got, expected="[B, H, W] and [B, 2]")
    rows, columns = (_moves(offsets[:, axis], images.shape[axis + 1]) for axis in (0, 1))
    return rows @ images @ columns.transpose(1, 2)


def random_shifts(images: torch.Tensor, largest: float, generator: torch.Generator) -> torch.Tensor:
    """:func:`shifted` by offsets drawn evenly from [-largest, largest] pixels in both directions.

    Raises :class:`ParameterError` when ``largest`` is negative.

    >>> random_shifts(torch.ones(2, 3, 3), 0.0, torch.Generator()).sum()
    tensor(18.)
    """
    if not largest >= 0:
        raise ParameterError("largest shift", got=largest, expected="at least 0 pixels")
    drawn = torch.rand(len(images), 2, generator=generator) * 2.0 - 1.0
    return shifted(images, (largest * drawn).to(images))


def _moves(offsets: torch.Tensor, size: int) -> torch.Tensor:
    """Matrices [B, size, size] that move a vector by ``offsets`` [B]: row i takes from i - offset."""
    index = torch.arange(size, dtype=offsets.dtype, device=offsets.device)
    distance = index[None, :, None] - offsets[:, None, None] - index[None, None, :]
    return (1.0 - distance.abs()).clamp_min(0.0)
