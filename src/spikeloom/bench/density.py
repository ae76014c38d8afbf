"""Weights with which every layer of an MLP spikes at a wanted density."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from .contenders.training import DECAY, standard_weights

_STEPS, _SAMPLES, _HALVINGS = 100, 8, 30


def weights_for(sizes: Sequence[int], density: float, steps: int = _STEPS) -> tuple[list[list[float]], list[float]]:
    """Mean and standard deviation of each layer's weights, and the densities that a trial with them had.

    The input is random spikes of the same density. Weights of mean 0 cannot make a layer fire in more than half of
    its steps; above a quarter the mean is above 0.

    >>> weights, densities = weights_for((100, 200, 10), 0.1)
    >>> [round(density, 2) for density in densities], len(weights)
    ([0.1, 0.1], 2)
    """
    steps = min(steps, _STEPS)
    random = np.random.default_rng(2)
    x = (random.random((steps, _SAMPLES, sizes[0]), dtype=np.float32) < density).astype(np.float32)
    found: list[list[float]] = []
    densities: list[float] = []
    for weight in standard_weights("mlp", sizes):
        shift = _shift(density) / np.sqrt(weight.shape[1] * density)
        drive = x @ weight.T + np.float32(shift) * x.sum(-1, keepdims=True)
        gain = _gain(drive, density)
        x = _spikes(gain * drive)
        found.append([float(f"{gain * shift:.6g}"), gain])
        densities.append(float(x.mean()))
    return found, densities


def _shift(density: float) -> float:
    """The mean of the drive in its standard deviations: a normal drive is above 0 more often than wanted."""
    return max(0.0, NormalDist().inv_cdf(min(density, 0.9999)) + 1.0)


def _gain(drive: np.ndarray, density: float) -> float:
    low, high = 1e-4, 1e4
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if _spikes(middle * drive).mean() < density else (low, middle)
    return float(f"{np.sqrt(low * high):.6g}")


def _spikes(drive: np.ndarray) -> np.ndarray:
    v = np.zeros_like(drive[0])
    found = np.empty_like(drive)
    for now, out in zip(drive, found, strict=True):
        v = np.float32(DECAY) * v + now
        np.greater(v, 1.0, out=out)
        v *= 1.0 - out
    return found
