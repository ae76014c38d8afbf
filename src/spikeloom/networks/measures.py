"""What the named networks measure alike."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..sim.result import Result
from ..sim.spike_trains import SpikeTrains
from .config import NetworkConfig
from .facts import Fact

BOTH = ("exc", "inh")
_FEWEST = 5  # spikes of a neuron whose intervals are counted


def after_transient(config: NetworkConfig, result: Result, group: str) -> SpikeTrains:
    """Spikes of ``group`` without those of the first ``discard`` ms."""
    return result.spikes[group].window(config.discard, result.end)


def activity(
    config: NetworkConfig, result: Result, *, rates: Mapping[str, float] | None = None, spread: float = 0.0,
    cv: float | None = None, source: str = "", groups: tuple[str, ...] = BOTH,
) -> dict[str, Fact]:  # fmt: skip
    """The rate of each of ``groups`` and the mean CV of the intervals of the first, beside those published.

    ``rates`` by group may be off by ``spread`` Hz, and the CV by a tenth, 0.06 at least.
    """
    found: dict[str, Fact] = {}
    for name in groups:
        rate, known = after_transient(config, result, name).rate(), (rates or {}).get(name)
        found[f"rate of {name}"] = Fact(rate, "Hz") if known is None else Fact.near(rate, "Hz", known, spread, source)
    value = mean_cv(after_transient(config, result, groups[0]))
    known = None if cv is None else Fact.near(value, "", cv, max(0.1 * cv, 0.06), source)
    found[f"CV of {groups[0]}"] = known or Fact(value)
    return found


def mean_cv(trains: SpikeTrains, least: int = _FEWEST) -> float:
    """Mean over neurons of the coefficient of variation of their intervals; NaN where none has ``least`` spikes."""
    order = np.lexsort((trains.times, trains.neurons))
    times, neurons = trains.times[order], trains.neurons[order]
    gaps, owners = np.diff(times), neurons[1:]
    own = np.diff(neurons) == 0
    gaps, owners = gaps[own], owners[own]
    count = np.bincount(owners, minlength=trains.size)
    kept = count >= least - 1
    if not kept.any():
        return float("nan")
    mean = np.bincount(owners, gaps, trains.size)[kept] / count[kept]
    square = np.bincount(owners, gaps * gaps, trains.size)[kept] / count[kept]
    return float(np.mean(np.sqrt(np.maximum(square - mean * mean, 0.0)) / mean))


def oscillation(trains: SpikeTrains, bin: float = 0.5, low: float = 5.0, high: float = 400.0) -> float:
    """Frequency in Hz between ``low`` and ``high`` at which the population's activity has the most power.

    From counts in bins of ``bin`` ms, with the spectrum averaged over neighbouring frequencies (3 Hz).
    """
    counts = binned(trains, bin)
    power = np.abs(np.fft.rfft(counts - counts.mean())) ** 2
    frequencies = np.fft.rfftfreq(len(counts), bin * 1e-3)
    width = max(1, round(3.0 / frequencies[1])) if len(frequencies) > 1 else 1
    smooth = np.convolve(power, np.ones(width) / width, mode="same")
    smooth[(frequencies < low) | (frequencies > high)] = 0.0
    return float(frequencies[smooth.argmax()])


def binned(trains: SpikeTrains, bin: float) -> np.ndarray:
    """Spikes in bins of ``bin`` ms; those at the end of a bin belong to it."""
    edges = trains.begin + np.arange(round((trains.end - trains.begin) / bin) + 1) * bin
    # A time is a whole number of steps, but for rounding.
    return np.histogram(trains.times - 1e-6 * bin, edges)[0].astype(np.float64)


__all__ = ["activity", "after_transient", "binned", "mean_cv", "oscillation"]
