"""Handwritten digits that come with scikit-learn: no download.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits" (1998), UCI Machine Learning
Repository, https://archive.ics.uci.edu/dataset/80; scikit-learn ships its test part, 1797 images by 13
people. The images do not say who wrote them, so a random split has the same writers in all its parts, and an
accuracy on it is one for known writers.
"""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Labelled


def load_digits() -> Labelled:
    """All 1797 images, ``x`` [1797, 64] in [0, 1] (pixel counts divided by 16), ``y`` the digit.

    >>> digits = load_digits()
    >>> digits.x.shape, float(digits.x.max()), digits.y[:3]
    ((1797, 64), 1.0, array([0, 1, 2]))
    """
    counts, labels = _table()
    return Labelled(np.asarray(counts / 16.0, np.float32), np.asarray(labels, np.int64))


def _table() -> Any:
    """Counts and labels from the file itself, as scikit-learn takes over a second to import."""
    found = importlib.util.find_spec("sklearn")
    file = Path((found and found.origin) or "").parent / "datasets" / "data" / "digits.csv.gz"
    if not file.is_file():  # a release that keeps it elsewhere
        from sklearn import datasets

        return datasets.load_digits(return_X_y=True)
    with gzip.open(file, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",")
    return table[:, :-1], table[:, -1]
