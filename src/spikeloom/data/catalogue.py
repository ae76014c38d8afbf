"""The list of data sets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSet:
    """A row of ``spikeloom list``."""

    name: str
    summary: str


DATA_SETS = (DataSet("digits", "1797 real handwritten digits, 8x8 pixels, bundled with scikit-learn"),)
