"""What the named networks measure alike."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..sim.result import Result
from ..sim.spike_trains import SpikeTrains
from ..sim.statistics import isi, peak_frequency
from .config import NetworkConfig
from .facts import Fact

BOTH = ("exc", "inh")
RECORD = (700.0, 900.0)  # ms of the records whose CV is like that of 800 ms, which most published ones are of
_ROUNDING = 1e-6  # ms
_FEWEST = 5  # spikes of a neuron whose intervals are counted
_BIN = 0.5  # ms, about
_SHORTEST = 50.0  # ms of a record in which a rhythm can be seen


def after_transient(config: NetworkConfig, result: Result, group: str) -> SpikeTrains:
    """Spikes of ``group`` without those of the first ``discard`` ms."""
    return result.spikes[group].window(config.discard, result.end)


def activity(
    config: NetworkConfig, result: Result, *, rates: Mapping[str, float] | None = None, spread: float = 0.0,
    cv: float | None = None, record: tuple[float, float] = RECORD, source: str = "",
) -> dict[str, Fact]:  # fmt: skip
    """The rates of the excitatory and inhibitory population and the mean CV of the first, beside those published.

    ``rates`` may be off by ``spread`` Hz, and the CV by a tenth, 0.06 at least. A short record holds no long intervals,
    so that only a CV of ``record``, from so many to so many ms after the transient, is compared.
    """
    found: dict[str, Fact] = {}
    for name in BOTH:
        rate, known = after_transient(config, result, name).rate(), (rates or {}).get(name)
        found[f"rate of {name}"] = Fact(rate, "Hz") if known is None else Fact.near(rate, "Hz", known, spread, source)
    trains = after_transient(config, result, BOTH[0])
    value = mean_cv(trains)
    comparable = cv if record[0] - _ROUNDING <= trains.duration <= record[1] + _ROUNDING else None
    fact = Fact(value) if comparable is None else Fact.near(value, "", comparable, max(0.1 * comparable, 0.06), source)
    return {**found, f"CV of {BOTH[0]}": fact}


def mean_cv(trains: SpikeTrains, least: int = _FEWEST) -> float:
    """Mean over neurons of the CV of their intervals; NaN where none has ``least`` spikes.

    With the variance divided by n, as the published figures have it.
    """
    gaps, owners = isi(trains)
    count = np.bincount(owners, minlength=trains.size)
    kept = count >= least - 1
    if not kept.any():
        return float("nan")
    mean = np.bincount(owners, gaps, trains.size) / np.maximum(count, 1)
    square = np.bincount(owners, (gaps - mean[owners]) ** 2, trains.size)
    return float(np.mean(np.sqrt(square[kept] / count[kept]) / mean[kept]))


def rhythm(trains: SpikeTrains, dt: float, low: float = 5.0, high: float = 400.0) -> float:
    """Frequency in Hz between ``low`` and ``high`` at which the population's activity has the most power.

    Half of the record decides on the resolution: 2 / its length. NaN for a record in which nothing can be told.
    """
    if not len(trains) or trains.duration < _SHORTEST:
        return float("nan")
    bin = dt * max(1, round(_BIN / dt))  # whole steps: else neighbours hold different numbers of them
    return peak_frequency(trains, bin, trains.duration / 2.0, low=low, high=high)


__all__ = ["BOTH", "RECORD", "activity", "after_transient", "mean_cv", "rhythm"]
