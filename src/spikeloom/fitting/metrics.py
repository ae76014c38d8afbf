"""How well a model predicts a neuron: coincident spikes, and the voltage between spikes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import NonFiniteError, ParameterError, ShapeError

Floats = NDArray[np.float64]

# Spike times on a grid are rounded products, and two of them 40 steps of 0.1 ms apart are 4 ms apart for everybody.
_ROUNDING = 1e-6


def coincidences(data: ArrayLike, model: ArrayLike, delta: float) -> int:
    """The number of pairs of a ``data`` and a ``model`` spike at most ``delta`` ms apart, each spike in one pair at
    most: the largest such number.

    >>> coincidences([10.0, 20.0], [11.0, 12.0, 40.0], delta=4.0)
    1
    """
    first, second = _train("data", data), _train("model", model)
    delta += _ROUNDING
    count = j = 0
    # In order of time the earliest partner in reach never costs a later pair.
    for time in first:
        while j < len(second) and second[j] < time - delta:
            j += 1
        if j < len(second) and second[j] <= time + delta:
            count, j = count + 1, j + 1
    return count


def gamma(data: ArrayLike, model: ArrayLike, duration: float, delta: float = 4.0) -> float:
    """The spike coincidence factor of a predicted spike train (Kistler, Gerstner and van Hemmen 1997)::

        gamma = (N_coinc - <N_coinc>) / ((N_data + N_model) / 2) / (1 - 2 f delta),    <N_coinc> = 2 f delta N_data

    ``data`` and ``model`` are spike times in ms within ``duration`` ms, ``delta`` is the precision to either side
    (4 ms: Jolivet et al. 2008; 2 ms: Jolivet et al. 2004), and f = ``N_model / duration`` the model's rate. 1 for equal
    trains; 0 is what a Poisson train of the model's rate gets, up to the second order in f delta; it is not bounded
    below. The rate is one for the whole duration: where spikes crowd together, chance makes more coincidences.

    NaN where it is not defined: neither train has a spike, or ``2 f delta >= 1``. The competition of Jolivet et al.
    divides by the neuron's reliability across repetitions in addition, which a recording without any cannot give.

    >>> gamma([10.0, 50.0], [10.0, 50.0], duration=1000.0)
    1.0
    """
    for name, value in (("duration", duration), ("delta", delta)):
        if isinstance(value, bool) or not 0 < value < math.inf:
            raise ParameterError(f"gamma: {name}", got=value, expected="a finite time > 0 in ms")
    first, second = _train("data", data), _train("model", model)
    chance = 2.0 * delta * len(second) / duration
    if len(first) + len(second) == 0 or chance >= 1:
        return math.nan
    excess = coincidences(first, second, delta) - chance * len(first)
    return excess / (0.5 * (len(first) + len(second))) / (1.0 - chance)


def apart_from_spikes(spikes: NDArray[np.bool_], dt: float, window: tuple[float, float]) -> NDArray[np.bool_]:
    """``[..., T]``: false from ``window[0]`` ms before to ``window[1]`` ms after each of ``spikes``, true elsewhere.

    >>> apart_from_spikes(np.array([False, False, True, False, False]), dt=1.0, window=(1.0, 1.0)).tolist()
    [True, False, False, False, True]
    """
    before, after = (round(w / dt) for w in window)
    steps = np.arange(spikes.shape[-1])
    edges = np.zeros((*spikes.shape[:-1], spikes.shape[-1] + 1), dtype=np.int64)
    where = np.nonzero(spikes)
    start, stop = np.maximum(where[-1] - before, 0), np.minimum(where[-1] + after + 1, len(steps))
    np.add.at(edges, (*where[:-1], start), 1)
    np.add.at(edges, (*where[:-1], stop), -1)
    return np.cumsum(edges, axis=-1)[..., :-1] == 0


def explained_variance(data: ArrayLike, model: ArrayLike, kept: ArrayLike | None = None) -> float:
    """``1 - mean((data - model)^2) / var(data)`` over the samples that are ``kept``, of all sweeps together.

    1 for equal traces; 0 for a model that stands still at the mean; a wrong offset counts, unlike in a correlation.
    NaN where nothing is kept or the data do not vary. For a subthreshold score keep what is
    :func:`apart_from_spikes` of the data, so that every model is judged by the same samples.

    >>> explained_variance([-70.0, -60.0, -50.0], [-70.0, -65.0, -50.0])
    0.875
    """
    first, second = np.asarray(data, np.float64), np.asarray(model, np.float64)
    chosen = np.ones(first.shape, bool) if kept is None else np.asarray(kept, bool)
    if not first.shape == second.shape == chosen.shape:
        got = f"{first.shape}, {second.shape} and {chosen.shape}"
        raise ShapeError("data, model and kept differ in shape", got=got, expected="one shape")
    first, second = first[chosen], second[chosen]
    variance = float(first.var()) if first.size else 0.0
    return 1.0 - float(np.square(first - second).mean()) / variance if variance > 0 else math.nan


def mean_over(values: Sequence[float]) -> float:
    """The mean of the values that are defined; NaN where none is."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


def _train(name: str, times: ArrayLike) -> Floats:
    train = np.asarray(times, np.float64)
    if train.ndim != 1:
        raise ShapeError(f"{name}: spike times", got=f"shape {list(train.shape)}", expected="[spikes], in ms")
    if not np.isfinite(train).all():
        raise NonFiniteError(f"{name}: spike times hold NaN or infinity")
    return np.sort(train)


__all__ = ["apart_from_spikes", "coincidences", "explained_variance", "gamma", "mean_over"]
