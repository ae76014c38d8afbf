"""Numbers about decisions; the decisions themselves are made by ``sl.decode.classify``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..coding.classify import UNDECIDED


def confusion(predicted: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts [true class, predicted class]; undecided samples (-1) are in no cell.

    >>> confusion(np.array([1, 0, -1]), np.array([1, 1, 0]), 2)
    array([[0, 0],
           [1, 1]])
    """
    table = np.zeros((classes, classes), np.int64)
    seen = predicted != UNDECIDED
    np.add.at(table, (labels[seen], predicted[seen]), 1)
    return table


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (divisor n - 1); the deviation of a single value is 0.

    >>> mean_and_sd([1.0, 3.0]) == (2.0, 2.0**0.5)
    True
    """
    array = np.asarray(values, dtype=float)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else 0.0
