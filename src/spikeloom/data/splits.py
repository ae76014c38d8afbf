"""Disjoint parts of a data set, with the classes in equal shares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError


@dataclass(frozen=True)
class Split:
    """Indices of three disjoint parts that together are the whole."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def sizes(self) -> dict[str, int]:
        """The number of samples of each part."""
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}


def stratified_split(labels: NDArray[np.int64], *, train: float, validation: float, seed: int) -> Split:
    """Split into train, validation and test, each class in proportion; what is left is the test part.

    Every class is shuffled by a generator of its own, keyed by (seed, class), so that adding a class does not
    move the samples of another. Within a class the sizes are rounded to the nearest whole number.

    Raises :class:`ParameterError` when a class is too small to be in every part, and for unusable arguments.

    >>> split = stratified_split(np.repeat([0, 1], 10), train=0.6, validation=0.2, seed=0)
    >>> split.sizes
    {'train': 12, 'validation': 4, 'test': 4}
    """
    if not (train > 0 and validation > 0 and train + validation < 1):
        raise ParameterError(
            "the fractions of a split must be positive and leave a test part",
            got=f"{train} and {validation}",
            expected="a sum below 1",
        )
    parts: tuple[list[NDArray[np.int64]], ...] = ([], [], [])
    for label, shuffled in _shuffled_classes(labels, seed):
        ends = np.round(np.cumsum([train, validation]) * len(shuffled)).astype(int)
        if ends[0] == 0 or ends[1] == ends[0] or ends[1] == len(shuffled):
            raise _too_small(label, len(shuffled))
        for part, piece in zip(parts, np.split(shuffled, ends), strict=True):
            part.append(piece)
    return Split(*(np.sort(np.concatenate(part)) for part in parts))


def hold_out(labels: NDArray[np.int64], *, validation: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices ``(train, validation)`` of two disjoint parts that are the whole, where a test set exists already.

    The classes are shuffled as in :func:`stratified_split`, and so are the errors.

    >>> train, validation = hold_out(np.repeat([0, 1], 10), validation=0.2, seed=0)
    >>> len(train), len(validation)
    (16, 4)
    """
    if not 0 < validation < 1:
        raise ParameterError("the validation part", got=validation, expected="a fraction between 0 and 1")
    kept: list[NDArray[np.int64]] = []
    held: list[NDArray[np.int64]] = []
    for label, shuffled in _shuffled_classes(labels, seed):
        size = round(validation * len(shuffled))
        if not 0 < size < len(shuffled):
            raise _too_small(label, len(shuffled))
        held.append(shuffled[:size])
        kept.append(shuffled[size:])
    return np.sort(np.concatenate(kept)), np.sort(np.concatenate(held))


def _shuffled_classes(labels: NDArray[np.int64], seed: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each class with the indices of its samples in an order that depends on (seed, class) alone."""
    if not 0 <= seed < 2**63:
        raise ParameterError("seed of a split", got=seed, expected="0 to 2^63 - 1")
    if not len(labels):
        raise ParameterError("labels of a split", got="none", expected="at least one sample")
    if labels.min() < 0:
        raise ParameterError("labels of a split", got=labels.min(), expected="at least 0")
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        yield int(label), np.random.Generator(np.random.Philox(key=[seed, int(label)])).permutation(members)


def _too_small(label: int, size: int) -> ParameterError:
    mend = "Give more samples or other fractions."
    return ParameterError(
        f"class {label} is too small to be in every part of the split", got=f"{size} samples", mend=mend
    )
