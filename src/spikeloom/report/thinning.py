"""Fewer points for the same picture."""

from __future__ import annotations

import numpy as np


def thin(values: np.ndarray, limit: int) -> np.ndarray:
    """Indices of at most ``limit`` points that keep every peak: the lowest and highest of each stretch.

    >>> thin(np.array([0.0, 9.0, 0.0, 0.0, -9.0, 0.0]), limit=4)
    array([0, 1, 3, 4])
    """
    count = len(values)
    if count <= limit:
        return np.arange(count)
    length = -(-count // (limit // 2))
    padded = np.full(-(-count // length) * length, np.nan)
    padded[:count] = values
    blocks = padded.reshape(-1, length)
    start = np.arange(len(blocks)) * length
    low = np.argmin(np.where(np.isnan(blocks), np.inf, blocks), axis=1)
    high = np.argmax(np.where(np.isnan(blocks), -np.inf, blocks), axis=1)
    return np.unique(np.concatenate([start + low, start + high]))


def corner_points(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a curve each of whose values holds until the next.

    >>> [part.tolist() for part in corner_points(np.arange(4.0), np.array([0.0, 0.0, 5.0, 5.0]))]
    [[0.0, 2.0, 2.0, 3.0], [0.0, 0.0, 5.0, 5.0]]
    """
    change = np.flatnonzero(np.diff(values)) + 1
    edges = np.stack([values[change - 1], values[change]], axis=1).ravel()
    x = np.concatenate([times[:1], np.repeat(times[change], 2), times[-1:]])
    return x, np.concatenate([values[:1], edges, values[-1:]])
