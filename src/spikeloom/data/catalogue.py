"""The list of data sets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSet:
    """A row of ``spikeloom list``."""

    name: str
    summary: str


DATA_SETS = (
    DataSet("digits", "1797 real handwritten digits, 8x8 pixels, bundled with scikit-learn"),
    DataSet("mnist", "70000 handwritten digits, 28x28 pixels, from idx files of yours (--data.root)"),
    DataSet("fashion-mnist", "70000 pieces of clothing, 28x28 pixels, from idx files of yours (--data.root)"),
)
