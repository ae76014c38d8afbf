"""Convolutions of all kinds that the kernels for sparse input can do."""

from __future__ import annotations

from spikeloom.kernels.spike_conv.shape import ConvShape

SHAPES = [
    ConvShape(6, 3, 10, (12, 12), (3, 3), (1, 1), (1, 1)),
    ConvShape(5, 2, 16, (32, 32), (3, 3), (1, 1), (1, 1)),
    ConvShape(3, 5, 70, (13, 17), (3, 5), (1, 1), (1, 2)),  # more outputs than are summed at once
    ConvShape(3, 3, 16, (13, 18), (3, 3), (2, 2), (1, 0)),
    ConvShape(3, 3, 12, (16, 16), (2, 2), (2, 3), (0, 1)),
    ConvShape(20, 4, 9, (9, 9), (1, 1)),
    ConvShape(20, 4, 9, (9, 9), (1, 1), (3, 2)),  # elements that no output sees
    ConvShape(3, 3, 12, (9, 30), (5, 3), (3, 2), (2, 1)),
    ConvShape(2, 1, 65, (3, 3), (3, 3), (1, 1), (2, 2)),
    ConvShape(1, 40, 12, (1, 70), (1, 7), (1, 1), (0, 3)),
    ConvShape(2, 2, 130, (7, 7), (7, 7)),
]

__all__ = ["SHAPES"]
