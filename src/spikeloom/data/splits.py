"""Disjoint parts of a data set, with the classes in equal shares."""

from __future__ import annotations

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
    if not 0 <= seed < 2**63:
        raise ParameterError("seed of a split", got=seed, expected="0 to 2^63 - 1")
    if len(labels) and labels.min() < 0:
        raise ParameterError("labels of a split", got=labels.min(), expected="at least 0")
    parts: tuple[list[NDArray[np.int64]], ...] = ([], [], [])
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        shuffled = np.random.Generator(np.random.Philox(key=[seed, int(label)])).permutation(members)
        ends = np.round(np.cumsum([train, validation]) * len(members)).astype(int)
        if ends[0] == 0 or ends[1] == ends[0] or ends[1] == len(members):
            mend = "Give more samples or other fractions."
            raise ParameterError(
                f"class {label} is too small to be in every part of the split",
                got=f"{len(members)} samples",
                mend=mend,
            )
        for part, piece in zip(parts, np.split(shuffled, ends), strict=True):
            part.append(piece)
    return Split(*(np.sort(np.concatenate(part)) for part in parts))
