"""Checks of the sizes that architectures are given."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ParameterError, ShapeError


def checked_size(what: str, value: int) -> int:
    """``value``; raises ParameterError unless it is a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ParameterError(what, got=value, expected="a whole number of at least 1")
    return value


def checked_image(shape: Sequence[int]) -> tuple[int, tuple[int, int]]:
    """Channels and (height, width) of the ``shape`` of an image."""
    if len(shape) != 3:
        raise ParameterError("shape of an image", got=tuple(shape), expected="(channels, height, width)")
    channels, height, width = (checked_size("shape of an image", n) for n in shape)
    return channels, (height, width)


def checked_left(size: tuple[int, int], shape: Sequence[int]) -> tuple[int, int]:
    """``size``; raises ShapeError when nothing is left of an image of ``shape``."""
    if min(size) < 1:
        mend = "Pool less, or give larger images."
        raise ShapeError(
            f"nothing is left of an image of {tuple(shape)}", got=size, expected="at least 1 x 1", mend=mend
        )
    return size
