"""What a fit minimises: the distance of spike trains at several time scales, and the voltage between spikes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from ..data.current_clamp import Recording
from ..errors import ParameterError
from ..kernels.scan.scan import scan
from ..models import LI
from .metrics import apart_from_spikes

_TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class Loss:
    """``voltage_weight * E_v + spike_weight * mean of E_s over the scales and sweeps``.

    ``E_v = mean((v - v_data)^2) / var(v_data)`` over the samples further than ``window`` (ms before, ms after) from
    every spike of the data: one minus the explained variance.

    ``E_s = |f - g|^2 / (|f|^2 + |g|^2 + |h|^2)`` where f and g are the spike trains of model and data, filtered with
    ``h(t) = exp(-t / tau)`` for each tau of ``scales``: the distance of van Rossum (2001) relative to the powers of
    both. It is 0 for equal trains and near 1 for trains without anything in common, a silent one included, so that
    spikes at wrong times cost no more than none. (Divided by the data's power alone, a model that fires at the right
    rate but out of phase would cost up to 2, and a search would settle for silence.) The short scale asks for the right
    times, the long one for the right rate. ``|h|^2``, one lone spike, keeps it defined where both are silent. The
    convolution is the exact step of the package's own leaky integrator.

    ``settle`` ms at the start of each sweep are left out of both, since the state of a neuron before a recording is not
    known beyond its voltage.

    >>> Loss(scales=(4.0, 40.0)).window
    (2.0, 5.0)
    """

    voltage_weight: float = 1.0
    spike_weight: float = 1.0
    scales: tuple[float, ...] = (5.0, 50.0)
    window: tuple[float, float] = (2.0, 5.0)
    settle: float = 50.0

    def __post_init__(self) -> None:
        numbers = {"voltage_weight": (self.voltage_weight,), "spike_weight": (self.spike_weight,)}
        numbers |= {"scales": tuple(self.scales), "window": tuple(self.window), "settle": (self.settle,)}
        for name, values in numbers.items():
            low = _TINY if name == "scales" else 0.0
            for value in values:
                if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value < math.inf:
                    expected = "finite numbers > 0" if name == "scales" else "finite numbers >= 0"
                    raise ParameterError(f"Loss: {name}", got=values, expected=expected)
        if len(self.window) != 2 or not self.scales:
            got = f"window={self.window}, scales={self.scales}"
            raise ParameterError("Loss", got=got, expected="(before, after) and at least one time scale, in ms")
        if self.voltage_weight + self.spike_weight <= 0:
            raise ParameterError("Loss: both weights are 0, so that every model is as good", expected="one > 0")


class Objective:
    """The loss of predicted voltages and spikes against one recording.

    Predictions are ``[T - 1, S, N]``: N candidates in S sweeps after each step, so that step k is compared with sample
    k + 1.
    """

    def __init__(self, recording: Recording, loss: Loss) -> None:
        self.loss, self.dt = loss, recording.dt
        scored = scored_samples(recording, loss)[:, 1:]
        kept = scored & apart_from_spikes(recording.spikes, recording.dt, loss.window)[:, 1:]
        v = recording.v[:, 1:]
        spread = float(v[kept].var()) if kept.any() else 0.0
        # One factor holds the mask, the mean and the division by the variance.
        scale = 1.0 / (kept.sum() * spread) if spread > 0 else 0.0
        self._start = int(np.argmax(scored[0]))
        self._v, self._scale = (_columns(x)[self._start :] for x in (v, kept * np.sqrt(scale)))
        data = _columns(recording.spikes[:, 1:])
        self._trains = [self._filtered(data, tau)[..., 0] for tau in loss.scales]

    def __call__(self, v: torch.Tensor, spikes: torch.Tensor | None) -> torch.Tensor:
        """Losses ``[N]``."""
        total = torch.zeros(v.shape[-1], dtype=torch.float64)
        if self.loss.voltage_weight:
            # In place and by norms, since each fresh array of this size costs more than what is done with it.
            error = (v[self._start :] - self._v).mul_(self._scale)
            total = total + self.loss.voltage_weight * torch.linalg.vector_norm(error, dim=(0, 1)).square()
        if self.loss.spike_weight:
            fired = torch.zeros_like(v) if spikes is None else spikes
            for tau, data in zip(self.loss.scales, self._trains, strict=True):
                found = self._distance(self._filtered(fired, tau), data, tau)
                total = total + self.loss.spike_weight / len(self._trains) * found
        return total

    def _filtered(self, spikes: torch.Tensor, tau: float) -> torch.Tensor:
        return scan(LI(tau=tau), {"v": spikes[self._start :]}, dt=self.dt, record=("v",)).states["v"]

    def _distance(self, model: torch.Tensor, data: torch.Tensor, tau: float) -> torch.Tensor:
        """``E_s`` averaged over the sweeps, ``[N]``."""
        own = torch.linalg.vector_norm(model, dim=0).square()
        theirs = data.square().sum(0)[:, None]
        shared = torch.einsum("ts,tsn->sn", data, model)
        lone = tau / (2.0 * self.dt)
        return ((own + theirs - 2.0 * shared) / (own + theirs + lone)).mean(0)


def _columns(sweeps: np.ndarray) -> torch.Tensor:
    """``[S, T]`` as a tensor ``[T, S, 1]``."""
    return torch.from_numpy(np.array(sweeps.T, dtype=np.float64, order="C"))[..., None]


def scored_samples(recording: Recording, loss: Loss) -> np.ndarray:
    """``[sweeps, T]``: true after the first ``settle`` ms."""
    if loss.settle >= recording.duration:
        got, expected = f"{loss.settle:g} ms", f"less than a sweep of {recording.duration:g} ms"
        raise ParameterError("Loss: settle leaves nothing of the recording", got=got, expected=expected)
    times = np.arange(recording.v.shape[1]) * recording.dt
    return np.broadcast_to(times >= loss.settle, recording.v.shape)


__all__ = ["Loss", "Objective", "scored_samples"]
