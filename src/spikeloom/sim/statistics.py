"""Statistics of spike trains: rates, irregularity, correlations, spectra, synchrony.

All take :class:`SpikeTrains`; leave out a transient first, with ``trains.window(begin, end)``. Bins are counted from
the beginning of the observation; a spike at the end of a bin belongs to it, and what is left over after the last whole
bin is not looked at. A bin should be a whole number of steps, or neighbouring bins hold different numbers of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ParameterError, ShapeError
from ..units import Hz, Quantity
from .numbers import array_of, numbers_of, require_finite, said, time_of, whole
from .spike_trains import SpikeTrains, require_trains, slack

_FEWEST_SPIKES = 5
_DENSE = 1 << 27  # counts that a table [neurons, bins], or one of all neurons, may have


def binned(trains: SpikeTrains, bin: float | Quantity) -> np.ndarray:
    """Spikes of all neurons together in bins of ``bin`` ms, int64 [bins].

    Raises ParameterError for a bin that is no positive time or longer than the observation.

    >>> binned(SpikeTrains.of_arrays([1.0, 2.0, 2.5], [0, 0, 1], 2, 0.0, 4.0), 2.0).tolist()
    [2, 1]
    """
    width, bins = _bins(trains, bin)
    places = _places(trains, width)
    return np.bincount(places[places < bins], minlength=bins)


def population_rate(trains: SpikeTrains, bin: float | Quantity = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The rate of a neuron in bins of ``bin`` ms, averaged over neurons: middle of each bin in ms, and Hz.

    >>> times, rates = population_rate(SpikeTrains.of_arrays([1.0, 2.0], [0, 1], 4, 0.0, 10.0), 5.0)
    >>> times.tolist(), rates.tolist()
    ([2.5, 7.5], [100.0, 0.0])
    """
    width, bins = _bins(trains, bin)
    return trains.begin + (np.arange(bins) + 0.5) * width, binned(trains, bin) / (width * trains.size) * 1e3


def isi(trains: SpikeTrains) -> tuple[np.ndarray, np.ndarray]:
    """Intervals between spikes in ms, sorted by neuron and in order, and the neuron of each.

    >>> isi(SpikeTrains.of_arrays([1.0, 2.0, 4.0], [1, 0, 1], 2, 0.0, 5.0))
    (array([3.]), array([1]))
    """
    require_trains(trains)
    times, starts = trains.by_neuron()
    owners = np.repeat(np.arange(trains.size), np.diff(starts))
    own = owners[1:] == owners[:-1]
    return np.diff(times)[own], owners[1:][own]


def cv(trains: SpikeTrains, least: int = _FEWEST_SPIKES) -> np.ndarray:
    """Coefficient of variation of each neuron's intervals, sd / mean, [size]; NaN below ``least`` spikes.

    1 for a Poisson process, 0 for a clock; NaN also where all spikes of a neuron are at one time. The variance is the
    unbiased one. ``np.nanmean`` gives the mean over neurons. Raises ParameterError for ``least`` below 3: an sd takes
    two intervals.
    """
    gaps, owners = isi(trains)
    count = _enough(trains, owners, least, 3)
    mean = np.bincount(owners, gaps, trains.size) / count
    # Around each mean: a difference of squares would lose all digits of a clock.
    square = np.bincount(owners, (gaps - mean[owners]) ** 2, trains.size)
    with np.errstate(invalid="ignore"):  # all spikes of a neuron at one time
        return np.sqrt(square / (count - 1.0)) / mean


def cv2(trains: SpikeTrains, least: int = _FEWEST_SPIKES) -> np.ndarray:
    """Mean of 2 |b - a| / (b + a) over each neuron's neighbouring intervals a, b, [size]; NaN below ``least`` spikes.

    1 for a Poisson process; other than :func:`cv`, little moved by a rate that changes slowly. Source: Holt, Softky,
    Koch and Douglas 1996, J. Neurophysiol. 75:1806. Raises ParameterError for ``least`` below 3.
    """
    change, owners = _changes(trains)
    return np.bincount(owners, 2.0 * np.abs(change), trains.size) / _enough(trains, owners, least, 3, each=2)


def lv(trains: SpikeTrains, least: int = _FEWEST_SPIKES) -> np.ndarray:
    """Local variation: mean of 3 (b - a)^2 / (b + a)^2 over neighbouring intervals, [size]; NaN below ``least`` spikes.

    1 for a Poisson process, 3 / (2 k + 1) for a gamma process of order k. Source: Shinomoto, Shima and Tanji 2003,
    Neural Comput. 15:2823. Raises ParameterError for ``least`` below 3.
    """
    change, owners = _changes(trains)
    return np.bincount(owners, 3.0 * change**2, trains.size) / _enough(trains, owners, least, 3, each=2)


def fano(trains: SpikeTrains, bin: float | Quantity) -> np.ndarray:
    """Variance over mean of each neuron's counts in bins of ``bin`` ms, [size]; NaN for one that is silent.

    1 for a Poisson process; CV^2 for a renewal process and long bins. The variance is the unbiased one.
    Raises ParameterError where there are not two bins.
    """
    mean, variance = _count_moments(trains, bin)
    with np.errstate(invalid="ignore"):
        return variance / mean


def correlations(trains: SpikeTrains, bin: float | Quantity, *, sample: int | None = None, seed: int = 0) -> np.ndarray:
    """Pearson correlation of the counts in bins of ``bin`` ms of all pairs, [K, K]; NaN where a count never changes.

    ``sample``: look at so many neurons only, drawn from those that fire, in ascending order. Raises ParameterError for
    tables [neurons, bins] of more than 134 million counts: take a ``sample`` then, or wider bins.

    >>> twins = SpikeTrains.of_arrays([1.0, 1.0, 3.0, 3.0], [0, 1, 0, 1], 2, 0.0, 4.0)
    >>> correlations(twins, 1.0).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    width, bins = _bins(trains, bin, 2)
    seed = whole(seed, "seed", 0)
    if sample is not None:
        trains = trains.select(_drawn(trains, sample, seed))
    if bins * trains.size > _DENSE:
        mend = f"Take sample={max(2, _DENSE // bins)} neurons, or wider bins."
        raise ParameterError("counts to correlate", got=f"{trains.size} x {bins}", expected=f"<= {_DENSE}", mend=mend)
    places = _places(trains, width)
    kept = places < bins
    flat = np.bincount(trains.neurons[kept] * np.int64(bins) + places[kept], minlength=trains.size * bins)
    counts = flat.reshape(trains.size, bins).astype(np.float64)
    counts -= counts.mean(1, keepdims=True)
    norms = np.sqrt(np.einsum("nb,nb->n", counts, counts))
    with np.errstate(invalid="ignore", divide="ignore"):
        counts /= norms[:, None]
    found = np.clip(counts @ counts.T, -1.0, 1.0)
    found[np.diag_indices_from(found)] = np.where(norms > 0.0, 1.0, np.nan)
    return found


def mean_correlation(trains: SpikeTrains, bin: float | Quantity, *, sample: int | None = None, seed: int = 0) -> float:
    """Mean of :func:`correlations` over the pairs of different neurons; NaN where no pair has one."""
    table = correlations(trains, bin, sample=sample, seed=seed)
    pairs = table[np.triu_indices(len(table), 1)]
    pairs = pairs[np.isfinite(pairs)]
    return float(pairs.mean()) if pairs.size else float("nan")


def spectrum(
    trains: SpikeTrains, bin: float | Quantity = 1.0, segment: float | Quantity | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Power spectrum of the population's spikes for each neuron: frequencies and power, both in Hz.

    S(f) = <|sum_k exp(-2 pi i f t_k)|^2> / (T size), two-sided, with the mean taken away, from counts in bins of
    ``bin`` ms; it is given for 0 < f <= 500 / bin. For independent Poisson neurons it is flat at their mean rate; a
    rhythm that they share stands out by a factor of up to their number. The mean is over half-overlapping Hann windows
    of ``segment`` ms (Welch 1967; by default an eighth of the observation), whose lengths give the resolution.

    Raises ParameterError for bins and segments that do not fit into the observation.
    """
    width, bins = _bins(trains, bin, 4)
    given = bins // 8 if segment is None else _duration(segment, "segment") / width
    if given > bins + 0.5:
        raise ParameterError("segment", got=f"{given * width:g} ms", expected=f"at most {bins * width:g} ms")
    length = max(4, round(given))
    counts = binned(trains, bin).astype(np.float64)
    counts -= counts.mean()
    hann = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    pieces = np.lib.stride_tricks.sliding_window_view(counts, length)[:: max(1, length // 2)]
    power = np.zeros(length // 2 + 1)
    for some in np.array_split(pieces, max(1, pieces.size // (1 << 22))):  # keeps the copies small
        power += (np.abs(np.fft.rfft(some * hann, axis=1)) ** 2).sum(0)
    power /= len(pieces) * (hann**2).sum() * (width * 1e-3) * trains.size
    return np.fft.rfftfreq(length, width * 1e-3)[1:], power[1:]


def peak_frequency(
    trains: SpikeTrains, bin: float | Quantity = 1.0, segment: float | Quantity | None = None, *,
    low: float | Quantity = 0.0, high: float | Quantity = np.inf,
) -> float:  # fmt: skip
    """The frequency from ``low`` to ``high`` (Hz) at which :func:`spectrum` is largest; NaN where it is 0: in silence.

    Raises ParameterError where the spectrum has no frequency there.
    """
    low, high = _frequency(low, "low"), _frequency(high, "high")
    frequencies, power = spectrum(trains, bin, segment)
    within = (frequencies >= low) & (frequencies <= high)
    if not within.any():
        got, expected = f"{low:g} to {high:g} Hz", f"some of {frequencies[0]:g} to {frequencies[-1]:g} Hz"
        raise ParameterError("the range of frequencies", got=got, expected=expected)
    return float(frequencies[within][power[within].argmax()]) if power[within].any() else float("nan")


def synchrony(values: Any) -> float:
    """Golomb's chi of values [T, N], such as voltages: 1 where all are alike, of order 1 / sqrt(N) where independent.

    chi^2 = var_t(mean_i v_i) / mean_i(var_t(v_i)); NaN where nothing changes. Source: Golomb and Rinzel 1993, Phys.
    Rev. E 48:4810. A record of a result gives the values: ``synchrony(result.states["exc"]["v"].values)``.
    Raises ShapeError for anything but [T, N], ParameterError for values that are no finite numbers.

    >>> synchrony(np.sin(np.arange(100.0))[:, None] * np.ones(7))
    1.0
    """
    table = array_of(values)
    if table.dtype.kind not in "biuf":
        raise ParameterError("values", got=said(values), expected="numbers [T, N]")
    if table.ndim != 2 or 0 in table.shape:
        raise ShapeError("values", got=table.shape, expected="[T, N]")
    require_finite("values", table)
    alone = table.var(0, dtype=np.float64).mean()
    return _chi(table.mean(1, dtype=np.float64).var(), alone)


def spike_synchrony(trains: SpikeTrains, bin: float | Quantity) -> float:
    """:func:`synchrony` of the counts in bins of ``bin`` ms."""
    _, variance = _count_moments(trains, bin)
    return _chi(float((binned(trains, bin) / trains.size).var(ddof=1)), float(variance.mean()))


def _chi(together: float, alone: float) -> float:
    # Rounding takes the ratio of equals past 1.
    return min(1.0, float(np.sqrt(together / alone))) if alone > 0.0 else float("nan")


def _duration(value: Any, label: str) -> float:
    time = time_of(value, label)
    if time <= 0.0:
        raise ParameterError(label, got=said(value), expected="a time > 0 ms")
    return time


def _frequency(value: Any, label: str) -> float:
    frequency = numbers_of(value, Hz, label, expected := "a frequency in Hz")
    if frequency.ndim or np.isnan(frequency):
        raise ParameterError(label, got=said(value), expected=expected)
    return float(frequency)


def _bins(trains: SpikeTrains, bin: Any, fewest: int = 1) -> tuple[float, int]:
    """The width of a bin in ms, and how many whole ones there are."""
    require_trains(trains)
    width = _duration(bin, "bin")
    bins = float(trains.duration + _slack(trains.end, width)) / width  # perhaps infinite
    if bins < fewest:
        expected = f"at most {trains.duration / fewest:g} ms"
        raise ParameterError("bin", got=f"{width:g} ms", expected=expected)
    if bins >= _DENSE + 1:
        expected = f"at least {trains.duration / _DENSE:.3g} ms"
        raise ParameterError("bin", got=f"{width:g} ms", expected=expected)
    return width, int(bins)


def _places(trains: SpikeTrains, width: float) -> np.ndarray:
    """The bin of each spike; those at the end of a bin belong to it."""
    early = trains.times - _slack(trains.times, width)
    places = np.ceil((early - trains.begin) / width).astype(np.int64) - 1
    return np.maximum(places, 0, out=places)


def _slack(times: Any, width: float) -> Any:
    """What rounding may add to ``times``, but never much of a bin."""
    return np.minimum(slack(times), 0.01 * width)


def _count_moments(trains: SpikeTrains, bin: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance over bins of each neuron's counts, without a table of all counts."""
    width, bins = _bins(trains, bin, 2)
    places = _places(trains, width)
    kept = places < bins
    cells = np.sort(trains.neurons[kept] * np.int64(bins) + places[kept])
    begins = np.flatnonzero(np.diff(cells, prepend=-1))
    counts = np.diff(begins, append=len(cells)).astype(np.float64)
    owners = cells[begins] // bins
    mean = np.bincount(owners, counts, trains.size) / bins
    square = np.bincount(owners, (counts - mean[owners]) ** 2, trains.size)
    empty = bins - np.bincount(owners, minlength=trains.size)
    return mean, (square + empty * mean**2) / (bins - 1)


def _changes(trains: SpikeTrains) -> tuple[np.ndarray, np.ndarray]:
    """(b - a) / (b + a) of intervals a, b that follow each other, and their neurons."""
    gaps, owners = isi(trains)
    own = owners[1:] == owners[:-1]
    first, second = gaps[:-1][own], gaps[1:][own]
    return (second - first) / np.maximum(second + first, np.finfo(np.float64).tiny), owners[1:][own]


def _enough(trains: SpikeTrains, owners: np.ndarray, least: int, fewest: int, each: int = 1) -> np.ndarray:
    """How many each neuron owns, NaN for less than ``least`` spikes, of which there are ``each`` more."""
    least = whole(least, "least", fewest)
    count = np.bincount(owners, minlength=trains.size).astype(np.float64)
    return np.where(count >= least - each, count, np.nan)


def _drawn(trains: SpikeTrains, sample: int, seed: int) -> np.ndarray:
    sample = whole(sample, "sample", 2)
    firing = np.flatnonzero(trains.counts())
    if len(firing) < 2:
        got = f"{sample} of {len(firing)} that fire"
        raise ParameterError("sample", got=got, expected="at least 2 neurons that fire")
    chosen = np.random.default_rng(seed).choice(firing, min(sample, len(firing)), replace=False)
    return np.sort(chosen)


__all__ = [
    "binned", "correlations", "cv", "cv2", "fano", "isi", "lv", "mean_correlation", "peak_frequency",
    "population_rate", "spectrum", "spike_synchrony", "synchrony",
]  # fmt: skip
