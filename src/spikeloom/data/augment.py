"""Changes of images that keep what they show; for training only.

Images are ``[B, ..., H, W]``: all channels of an image change alike. Everything random comes from the generator that is
passed in, and every image draws for itself.
"""

from __future__ import annotations

import torch

from ..errors import ParameterError, ShapeError


def shifted(images: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """Each image moved down and right by its own, also fractional, number of pixels; zeros come in.

    ``images`` [B, ..., H, W] and ``offsets`` [B, 2] (rows, columns). Between pixels the value is interpolated
    bilinearly. Raises :class:`ShapeError` for another layout.

    >>> shifted(torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[0.0, 0.5]]))
    tensor([[[0.5000, 1.5000, 2.5000]]])
    """
    if images.ndim < 3 or offsets.shape != (len(images), 2):
        got = f"{list(images.shape)} and {list(offsets.shape)}"
        raise ShapeError("images and offsets do not fit", got=got, expected="[B, ..., H, W] and [B, 2]")
    rows, columns = (_moves(offsets[:, axis], images.shape[axis - 2]) for axis in (0, 1))
    rows, columns = (_beside(moves, images, keep=2) for moves in (rows, columns))
    return rows @ images @ columns.transpose(-1, -2)


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


def random_flips(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each image mirrored left and right, or not, with equal probability.

    Raises :class:`ShapeError` unless ``images`` is [B, ..., H, W].

    >>> random_flips(torch.tensor([[[1.0, 2.0]]]), torch.Generator().manual_seed(0))
    tensor([[[2., 1.]]])
    """
    _check_layout(images)
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(_beside(mirrored.to(images.device), images), images.flip(-1), images)


def random_crops(images: torch.Tensor, padding: int, generator: torch.Generator) -> torch.Tensor:
    """A window of the image's own size, anywhere in the image with ``padding`` pixels of zeros around it.

    A shift by whole pixels, and so without the smoothing of :func:`random_shifts`: pixels keep their values.
    He et al. 2016 (arXiv:1512.03385, section 4.2). Raises :class:`ParameterError` for a negative padding,
    :class:`ShapeError` unless ``images`` is [B, ..., H, W].

    >>> random_crops(torch.ones(1, 2, 2), 0, torch.Generator()).sum()
    tensor(4.)
    """
    _check_layout(images)
    _check_count("padding", padding)
    drawn = torch.randint(-padding, padding + 1, (len(images), 2), generator=generator)
    return shifted(images, drawn.to(images))


def random_erasures(images: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """Zeros in a square of ``side`` pixels around a point drawn evenly from the image; what lies outside is cut off.

    Cutout, DeVries & Taylor 2017 (arXiv:1708.04552). Raises :class:`ParameterError` for a negative side,
    :class:`ShapeError` unless ``images`` is [B, ..., H, W].

    >>> random_erasures(torch.ones(1, 5, 5), 1, torch.Generator()).sum()
    tensor(24.)
    """
    _check_layout(images)
    _check_count("side of the square", side)
    inside = []
    for axis in (-2, -1):
        size = images.shape[axis]
        first = torch.randint(0, size, (len(images), 1), generator=generator) - side // 2
        place = torch.arange(size)
        inside.append((place >= first) & (place < first + side))
    erased = (inside[0][:, :, None] & inside[1][:, None, :]).to(images.device)
    return images.masked_fill(_beside(erased, images, keep=2), 0.0)


def _moves(offsets: torch.Tensor, size: int) -> torch.Tensor:
    """Matrices [B, size, size] that move a vector by ``offsets`` [B]: row i takes from i - offset."""
    index = torch.arange(size, dtype=offsets.dtype, device=offsets.device)
    distance = index[None, :, None] - offsets[:, None, None] - index[None, None, :]
    return (1.0 - distance.abs()).clamp_min(0.0)


def _beside(values: torch.Tensor, images: torch.Tensor, *, keep: int = 0) -> torch.Tensor:
    """``values`` [B, ...] with axes of size 1 between, so that the rest meets the last ``keep`` axes of images."""
    between = (1,) * (images.ndim - 1 - keep)
    return values.reshape(len(values), *between, *values.shape[1:])


def _check_layout(images: torch.Tensor) -> None:
    if images.ndim < 3:
        raise ShapeError("images", got=f"shape {tuple(images.shape)}", expected="[B, ..., H, W]")


def _check_count(what: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ParameterError(what, got=value, expected="a whole number of at least 0")
