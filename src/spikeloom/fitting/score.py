"""How a model does on a recording: what it predicts, and the two scores of that."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.current_clamp import Recording
from ..models.base import NeuronModel, require_model
from ..solvers import Solver
from .metrics import apart_from_spikes, explained_variance, gamma, mean_over
from .objective import Loss, scored_samples
from .prediction import driven


@dataclasses.dataclass(frozen=True)
class SweepScore:
    """One sweep: spikes of the neuron and of the model, ``gamma`` (NaN where it is not defined) and the explained
    variance of the subthreshold voltage."""

    data_spikes: int
    model_spikes: int
    gamma: float
    explained_variance: float


@dataclasses.dataclass(frozen=True)
class Score:
    """Scores by sweep; ``gamma`` is the mean over the sweeps in which it is defined, which leaves out those in which
    both the neuron and the model are silent; ``explained_variance`` is that of all sweeps together."""

    sweeps: tuple[SweepScore, ...]
    explained_variance: float

    @property
    def gamma(self) -> float:
        return mean_over([sweep.gamma for sweep in self.sweeps])

    @property
    def spikes(self) -> tuple[int, int]:
        """Spikes of the neuron and of the model in all sweeps."""
        return sum(s.data_spikes for s in self.sweeps), sum(s.model_spikes for s in self.sweeps)

    def __str__(self) -> str:
        data, model = self.spikes
        return f"gamma {self.gamma:.3f}, explained variance {self.explained_variance:.3f}, {model} of {data} spikes"


def predict(
    model: NeuronModel, recording: Recording, *, solver: Solver | None = None, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Voltage and spikes ``[sweeps, T]`` of ``model`` under the current of ``recording``, on the same grid.

    Each sweep starts at its first recorded voltage, and the other states at the model's initial values.
    """
    require_model("predict", model)
    setting = driven(model, recording, solver=solver, seed=seed)
    with torch.no_grad():
        v, spikes = setting.run({})
    fired = np.zeros(recording.v.shape, dtype=bool)
    if spikes is not None:
        fired[:, 1:] = spikes[..., 0].numpy().T > 0
    return np.concatenate([recording.v[:, :1], v[..., 0].numpy().T], axis=1), fired


def score(
    model: NeuronModel, recording: Recording, *, loss: Loss | None = None, delta: float = 4.0,
    solver: Solver | None = None, seed: int = 0,
) -> Score:  # fmt: skip
    """Run ``model`` on ``recording`` and compare: :func:`.gamma` within ``delta`` ms, and the variance explained
    outside the ``window`` of ``loss`` around the spikes of the data. Its ``settle`` ms at the start are left out."""
    loss = loss or Loss()
    v, fired = predict(model, recording, solver=solver, seed=seed)
    scored = scored_samples(recording, loss)
    kept = scored & apart_from_spikes(recording.spikes, recording.dt, loss.window)
    duration = recording.duration - loss.settle
    rows: list[SweepScore] = []
    for k in range(len(recording)):
        data, found = (np.flatnonzero(s[k] & scored[k]) * recording.dt for s in (recording.spikes, fired))
        variance = explained_variance(recording.v[k], v[k], kept[k])
        rows.append(SweepScore(len(data), len(found), gamma(data, found, duration, delta), variance))
    return Score(tuple(rows), explained_variance(recording.v, v, kept))


__all__ = ["Score", "SweepScore", "predict", "score"]
