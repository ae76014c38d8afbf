"""Statistics of spike trains against closed forms: Poisson and gamma processes, common input, rhythms, clocks."""

import time

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.errors import ParameterError, ShapeError
from spikeloom.sim import SpikeTrains, statistics


def renewal(rng, order, rate, size, duration):
    """Gamma processes of ``order`` (1: Poisson) at ``rate`` Hz, stationary from before the beginning on."""
    mean, warm = 1e3 / rate, 20e3 / rate
    count = int(1.3 * (duration + warm) / mean) + 100
    times = np.cumsum(rng.gamma(order, mean / order, (size, count)), axis=1) - warm
    neurons, _ = np.nonzero((times > 0) & (times <= duration))
    return SpikeTrains.of_arrays(times[(times > 0) & (times <= duration)], neurons, size, 0.0, duration)


@pytest.fixture(scope="module")
def poisson():
    return renewal(np.random.default_rng(1), 1.0, 20.0, 200, 100_000.0)  # 2000 spikes a neuron


@pytest.fixture(scope="module")
def gamma():
    return renewal(np.random.default_rng(2), 4.0, 20.0, 200, 100_000.0)


def test_poisson(poisson):
    # Standard errors: rate sqrt(20 / (200 * 100 s)); CV and CV2 about 1 / sqrt(spikes) of each neuron over sqrt(200).
    assert poisson.rate() == pytest.approx(20.0, abs=4 * 0.032)
    assert np.mean(statistics.cv(poisson)) == pytest.approx(1.0, abs=0.006)
    assert np.mean(statistics.cv2(poisson)) == pytest.approx(1.0, abs=0.006)
    assert np.mean(statistics.lv(poisson)) == pytest.approx(1.0, abs=0.008)
    for bin in (5.0, 100.0):
        # sd of a variance over its mean, from B bins: sqrt(2 / B) and a little more for small means
        error = np.sqrt((2 + 1 / (0.02 * bin)) / (100_000 / bin) / 200)
        assert np.mean(statistics.fano(poisson, bin)) == pytest.approx(1.0, abs=4 * error)


def test_gamma(gamma):
    assert np.mean(statistics.cv(gamma)) == pytest.approx(0.5, abs=0.003)  # 1 / sqrt(order)
    assert np.mean(statistics.lv(gamma)) == pytest.approx(3 / 9, abs=0.004)  # 3 / (2 order + 1)
    # F(T) = CV^2 + (1 - CV^4) / (6 rate T) for long bins (Cox 1962): 1/4 + (15/16) / (6 * 10)
    assert np.mean(statistics.fano(gamma, 500.0)) == pytest.approx(0.25 + 15 / 16 / 60, abs=0.008)
    # a / (a + b) = x of two gamma variables of order k is beta(k, k) distributed, E|2x - 1| = 2^(1-2k) / (k B(k, k))
    expected = 2.0 * 2.0 ** (1 - 8) / 4.0 / (6 * 6 / 5040)
    assert np.mean(statistics.cv2(gamma)) == pytest.approx(expected, abs=0.004)


def test_a_clock_is_exactly_regular():
    times = np.tile(np.arange(1, 1001) * 10.0, 3)
    clock = SpikeTrains.of_arrays(times, np.repeat([0, 1, 2], 1000), 4, 0.0, 10_000.0)
    assert np.array_equal(statistics.cv(clock)[:3], np.zeros(3))
    assert np.array_equal(statistics.fano(clock, 10.0)[:3], np.zeros(3))
    gaps, owners = statistics.isi(clock)
    assert np.array_equal(gaps, np.full(2997, 10.0))
    assert np.array_equal(owners, np.repeat([0, 1, 2], 999))
    assert np.isnan([statistics.cv(clock)[3], statistics.lv(clock)[3], statistics.cv2(clock)[3]]).all()
    assert np.isnan(statistics.fano(clock, 10.0)[3])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_common_input_correlates(share):
    # Each train keeps spikes of a mother process with probability c, by itself, and adds its own up to the same rate.
    rng = np.random.default_rng(3)
    mother, size, duration = rng.uniform(0, 200_000.0, 8000), 20, 200_000.0
    pieces = [(mother[rng.random(8000) < share], rng.uniform(0, duration, rng.poisson(8000 * (1 - share))))
              for _ in range(size)]  # fmt: skip
    times = [np.concatenate(both) for both in pieces]
    # Two trains share a spike with c^2: covariance c^2 * rate, variance (c + 1 - c) * rate.
    trains = SpikeTrains.of_arrays(
        np.concatenate(times), np.repeat(np.arange(size), [len(t) for t in times]), size, 0.0, duration
    )
    table = statistics.correlations(trains, 20.0)
    assert table.shape == (20, 20)
    assert np.allclose(np.diag(table), 1.0)
    # 10,000 bins: each pair is known to 0.01; pairs share the mother, so that their errors do not average out
    assert statistics.mean_correlation(trains, 20.0) == pytest.approx(share**2, abs=0.02)
    some = statistics.correlations(trains, 20.0, sample=5, seed=1)
    assert some.shape == (5, 5)
    assert np.isclose(some[:, :, None], table.ravel(), rtol=1e-9).any(2).all()
    # chi^2 of exchangeable counts: (1 + (N - 1) c) / N
    expected = np.sqrt((1 + 19 * share**2) / 20)
    assert statistics.spike_synchrony(trains, 20.0) == pytest.approx(expected, abs=0.02)


def test_correlations_equal_numpy(poisson):
    some = poisson.select(np.arange(10)).window(0.0, 5000.0)
    counts = np.stack([np.histogram(some.of(k), np.arange(0, 5001, 25.0))[0] for k in range(10)])
    assert np.allclose(statistics.correlations(some, 25.0), np.corrcoef(counts), atol=1e-12)
    table = np.stack([c.var(ddof=1) / c.mean() for c in counts])
    assert np.allclose(statistics.fano(some, 25.0), table, rtol=1e-12)


def test_a_silent_neuron_correlates_with_nobody():
    trains = SpikeTrains.of_arrays([1.0, 3.0], [0, 1], 3, 0.0, 10.0)
    table = statistics.correlations(trains, 1.0)
    assert np.isnan(table[2]).all()
    assert np.isfinite(table[:2, :2]).all()
    assert statistics.mean_correlation(trains, 1.0) == table[0, 1]
    assert np.isnan(statistics.mean_correlation(SpikeTrains.of_arrays([], [], 3, 0.0, 10.0), 1.0))


def test_spectrum_of_poisson_is_its_rate(poisson):
    frequencies, power = statistics.spectrum(poisson, 1.0, 1000.0)
    assert frequencies[0] == pytest.approx(1.0)
    assert frequencies[-1] == pytest.approx(500.0)
    # 199 windows that half overlap: about 190 independent ones and 500 frequencies
    assert power.mean() == pytest.approx(20.0, abs=4 * 20 / np.sqrt(500 * 100))
    assert power.std() < 20 * 1.5 / np.sqrt(100)


def test_spectrum_of_gamma_starts_at_cv_squared(gamma):
    # S(f -> 0) = rate CV^2; S(f -> inf) = rate. (Cox and Lewis 1966)
    _, power = statistics.spectrum(gamma, 1.0, 2000.0)
    assert power[:4].mean() == pytest.approx(20.0 / 4, rel=0.15)
    assert power[-200:].mean() == pytest.approx(20.0, rel=0.03)


def test_a_rhythm_is_found():
    # Poisson neurons with rate r (1 + sin(2 pi 37 t)): S has a line of N r^2 T_eff / 4 over the floor r.
    rng = np.random.default_rng(4)
    times = rng.uniform(0.0, 20_000.0, 100_000)
    kept = rng.random(100_000) < 0.5 * (1 + np.sin(2 * np.pi * 37.0 * times * 1e-3))
    trains = SpikeTrains.of_arrays(times[kept], rng.integers(0, 100, kept.sum()), 100, 0.0, 20_000.0)
    assert statistics.peak_frequency(trains, 1.0, 1000.0) == pytest.approx(37.0, abs=0.5)
    frequencies, power = statistics.spectrum(trains, 1.0, 1000.0)
    rate = trains.rate()
    # The power in the line, which the window spreads over neighbours, is that of the modulation: N r^2 / 4 on a side.
    line = (np.abs(frequencies - 37) <= 3).nonzero()[0]
    assert (power[line] - rate).sum() * frequencies[0] == pytest.approx(100 * rate**2 / 4, rel=0.05)
    away = np.abs(frequencies - 37) > 5
    assert power[away].mean() == pytest.approx(rate, rel=0.02)
    assert statistics.peak_frequency(trains, 1.0, 1000.0, low=100.0) >= 100.0
    with pytest.raises(ParameterError, match="range of frequencies"):
        statistics.peak_frequency(trains, 1.0, low=600.0)


def test_synchrony():
    rng = np.random.default_rng(5)
    assert statistics.synchrony(rng.standard_normal((20_000, 100))) == pytest.approx(0.1, abs=0.003)
    common = rng.standard_normal((20_000, 1))
    mixed = np.sqrt(0.5) * (common + rng.standard_normal((20_000, 400)))
    assert statistics.synchrony(mixed) == pytest.approx(np.sqrt(0.5 + 0.5 / 400), abs=0.01)
    assert np.isnan(statistics.synchrony(np.ones((10, 3))))
    with pytest.raises(ShapeError):
        statistics.synchrony(np.ones(10))


def test_bins_hold_what_ends_with_them():
    # Times as the engine makes them: (step + 1) * dt, with rounding; every bin of 10 steps has 10.
    trains = SpikeTrains.from_steps(np.arange(100_000), np.zeros(100_000, np.int32), 0.1, 1, 0.0, 10_000.0)
    assert np.array_equal(statistics.binned(trains, 1.0), np.full(10_000, 10))
    late = trains.window(0.3, 9_999.3)
    assert len(late) == 99_990
    assert np.array_equal(statistics.binned(late, 0.7), np.full(14_284, 7))
    times, rate = statistics.population_rate(trains, 2500.0)
    assert times.tolist() == [1250.0, 3750.0, 6250.0, 8750.0]
    assert rate == pytest.approx([10_000.0] * 4)
    assert statistics.binned(trains, 3000.0).tolist() == [30_000] * 3  # what is left over is not looked at


def test_steps_beside_the_end_of_a_wide_bin():
    late = SpikeTrains.from_steps(np.array([4_999_999, 5_000_000]), np.zeros(2, np.int32), 0.1, 1, 0.0, 1e6)
    assert statistics.binned(late, 5e5).tolist() == [1, 1]  # at 500,000.0 and 500,000.1 ms
    assert statistics.binned(SpikeTrains.of_arrays([5000.004], [0], 1, 0.0, 10_000.0), 5000.0).tolist() == [0, 1]
    assert len(statistics.binned(SpikeTrains.of_arrays([], [], 1, 0.0, 9999.996), 5000.0)) == 1


@pytest.mark.parametrize("dt", [1e-7, 1e-4, 0.001, 0.01, 0.025, 0.1, 0.3, 1 / 3, 1.0, 7.7])
@pytest.mark.parametrize("first", [0, 10_000_000])
def test_steps_at_the_end_of_a_bin_belong_to_it(dt, first):
    each = 10
    steps = first + np.arange(20_000 * each)
    trains = SpikeTrains.from_steps(
        steps, np.zeros(len(steps), np.int32), dt, 1, first * dt, (first + len(steps)) * dt
    )  # fmt: skip
    for many in (1, each, 50 * each, 10_000 * each):  # steps a bin
        assert np.array_equal(statistics.binned(trains, many * dt), np.full(len(steps) // many, many))


def test_units_of_a_bin():
    trains = SpikeTrains.of_arrays([1.0], [0], 1, 0.0, 2000.0)
    assert len(statistics.binned(trains, 1 * sl.units.second)) == 2


@pytest.mark.parametrize("bin", [0.0, -1.0, float("nan"), float("inf"), "1 ms", None, [1.0], 10**400, 51.0])
def test_bad_bins(bin):
    trains = SpikeTrains.of_arrays([1.0], [0], 1, 0.0, 100.0)
    with pytest.raises(ParameterError, match="bin"):
        statistics.fano(trains, bin)


def test_too_much_is_refused_with_a_way_out():
    trains = SpikeTrains.of_arrays([1.0, 2.0], [0, 7], 100_000, 0.0, 10_000.0)
    with pytest.raises(ParameterError, match="sample=13421"):
        statistics.correlations(trains, 1.0)
    assert statistics.correlations(trains, 1.0, sample=50).shape == (2, 2)
    with pytest.raises(ParameterError, match="sample"):
        statistics.correlations(trains, 1.0, sample=1)
    for look in (statistics.population_rate, statistics.binned, statistics.fano):
        with pytest.raises(ParameterError, match=r"bin: got 1e-09 ms, expected at least 7.45e-05 ms"):
            look(trains, 1e-9)
    with pytest.raises(ParameterError, match="segment"):
        statistics.spectrum(trains, 1.0, 20_000.0)
    with pytest.raises(ParameterError, match="least"):
        statistics.cv(trains, 2)


def test_nothing_fires():
    silent = SpikeTrains.of_arrays([], [], 5, 0.0, 100.0)
    assert silent.rate() == 0.0
    assert np.isnan(statistics.cv(silent)).all()
    assert np.isnan(statistics.fano(silent, 10.0)).all()
    assert statistics.population_rate(silent, 50.0)[1].tolist() == [0.0, 0.0]
    assert not statistics.spectrum(silent, 1.0)[1].any()
    assert np.isnan(statistics.spike_synchrony(silent, 10.0))


def test_silence_has_no_peak():
    silent = SpikeTrains.of_arrays([], [], 5, 0.0, 100.0)
    assert np.isnan(statistics.peak_frequency(silent, 1.0))
    assert np.isnan(statistics.peak_frequency(silent, 1.0, low=100.0, high=200 * sl.Hz))
    with pytest.raises(ParameterError, match="range of frequencies"):
        statistics.peak_frequency(silent, 1.0, low=600.0)


NO_NUMBERS = ["5", None, [5], [5, 6], float("nan"), {}]


@pytest.mark.parametrize("bad", NO_NUMBERS)
def test_arguments_that_are_no_numbers(bad):
    trains = SpikeTrains.of_arrays([1.0, 2.0, 4.0, 8.0], [0, 1, 0, 1], 2, 0.0, 10.0)
    for look in (statistics.cv, statistics.cv2, statistics.lv):
        with pytest.raises(ParameterError, match=r"least: .* a whole number of at least 3"):
            look(trains, bad)
    for look in (statistics.correlations, statistics.mean_correlation):
        with pytest.raises(ParameterError, match=r"seed: .* a whole number"):
            look(trains, 1.0, seed=bad)
        if bad is not None:
            with pytest.raises(ParameterError, match=r"sample: .* a whole number of at least 2"):
                look(trains, 1.0, sample=bad)
    for name in ("low", "high"):
        with pytest.raises(ParameterError, match=f"{name}: .* a frequency in Hz"):
            statistics.peak_frequency(trains, 1.0, **{name: bad})
    if bad is not None:
        with pytest.raises(ParameterError, match="segment"):
            statistics.spectrum(trains, 1.0, bad)


def test_numbers_of_numpy_are_numbers():
    trains = SpikeTrains.of_arrays([1.0, 2.0, 4.0, 8.0], [0, 1, 0, 1], 2, 0.0, 10.0)
    assert np.isnan(statistics.cv(trains, np.int64(3))).all()
    assert statistics.correlations(trains, np.float32(1.0), sample=np.int64(2), seed=np.uint8(1)).shape == (2, 2)
    with pytest.raises(ParameterError, match="seed"):
        statistics.correlations(trains, 1.0, sample=2, seed=-1)


@pytest.mark.parametrize("bad", ["v", None, [["a"]], [[1.0], [1.0, 2.0]], [[1.0, None]], np.full((3, 2), np.nan),
                                 np.array([[1.0, np.inf], [0.0, 1.0]]), [[1j]]])  # fmt: skip
def test_synchrony_of_anything_else(bad):
    with pytest.raises(ParameterError, match="values"):
        statistics.synchrony(bad)


def test_bins_below_all_times():
    for duration in (1.0, np.float64(1e6)):
        trains = SpikeTrains(np.array([0.5]), np.zeros(1, np.int32), 1, 0.0, duration)
        with pytest.raises(ParameterError, match=r"bin: .* expected at least"):
            statistics.binned(trains, 1e-320)


def test_millions_of_spikes_take_seconds():
    rng = np.random.default_rng(6)
    steps, neurons = np.sort(rng.integers(0, 100_000, 2_000_000)), rng.integers(0, 77_000, 2_000_000, np.int32)
    trains = SpikeTrains.from_steps(steps, neurons, 0.1, 77_000, 0.0, 10_000.0)
    begun = time.process_time()
    statistics.cv(trains)
    statistics.lv(trains)
    statistics.fano(trains, 100.0)
    statistics.spectrum(trains)
    statistics.spike_synchrony(trains, 5.0)
    statistics.correlations(trains, 5.0, sample=200)
    assert time.process_time() - begun < 15.0


def test_spikes_at_the_same_time_vary_by_nothing():
    # Off-grid sources and rounding may put three spikes of a neuron at one time: intervals 0, 0, then 2, 2.
    same = SpikeTrains.of_arrays([1.0, 1.0, 1.0, 3.0, 5.0], [0] * 5, 1, 0.0, 10.0)
    assert statistics.cv2(same)[0] == pytest.approx((0 + 2 + 0) / 3)
    assert statistics.lv(same)[0] == pytest.approx((0 + 3 + 0) / 3)
    once = SpikeTrains.of_arrays([2.0] * 5, [0] * 5, 1, 0.0, 10.0)
    assert np.isnan(statistics.cv(once)).all()  # 0 / 0


class TestSpikeTrains:
    def test_any_order_is_sorted(self):
        trains = SpikeTrains.of_arrays([3.0, 1.0, 3.0, 0.0], [4, 2, 1, 0], 5, 0.0, 3.0)
        assert trains.times.tolist() == [0.0, 1.0, 3.0, 3.0]
        assert trains.neurons.tolist() == [0, 2, 1, 4]
        assert trains.counts().tolist() == [1, 1, 1, 0, 1]
        assert trains.of(4).tolist() == [3.0]
        with pytest.raises(ParameterError):
            trains.of(5)

    @pytest.mark.parametrize(
        ("times", "neurons", "word"),
        [([1.0], [3], "neurons"), ([1.0], [-1], "neurons"), ([1.0], [0.5], "neurons"), ([11.0], [0], "times"),
         ([-1.0], [0], "times"), ([float("nan")], [0], "times"), ([1.0, 2.0], [0], "times and neurons")],
    )  # fmt: skip
    def test_what_cannot_be_is_refused(self, times, neurons, word):
        with pytest.raises((ParameterError, ShapeError), match=word):
            SpikeTrains.of_arrays(times, neurons, 3, 0.0, 10.0)

    def test_windows_share_nothing_and_lose_nothing(self):
        trains = SpikeTrains.from_steps(np.arange(1000), np.zeros(1000, np.int32), 0.1, 1, 0.0, 100.0)
        pieces = [trains.window(a, a + 0.3) for a in (np.arange(300) * 3) * 0.1]
        assert [len(p) for p in pieces] == [3] * 300
        for bad in ((-1.0, 5.0), (5.0, 101.0), (5.0, 5.0), (6.0, 5.0)):
            with pytest.raises(ParameterError):
                trains.window(*bad)

    def test_selecting(self):
        trains = SpikeTrains.of_arrays([1.0, 1.0, 2.0, 3.0], [0, 2, 1, 2], 3, 0.0, 10.0)
        swapped = trains.select([2, 0])
        assert swapped.size == 2
        assert swapped.times.tolist() == [1.0, 1.0, 3.0]
        assert swapped.neurons.tolist() == [0, 1, 0]
        assert trains.select(slice(1, None)).rates().tolist() == [100.0, 200.0]
        assert trains.select(np.array([False, True, False])).times.tolist() == [2.0]
        assert trains.select(-1).times.tolist() == [1.0, 3.0]
        for bad in ([3], [], [1, 1]):
            with pytest.raises(ParameterError, match="select"):
                trains.select(bad)

    def test_a_table_is_no_choice_of_neurons(self):
        trains = SpikeTrains.of_arrays([1.0, 2.0, 3.0], [0, 1, 2], 3, 0.0, 10.0)
        mask = np.array([True, False, True])
        for bad in (np.where(mask), [[0, 1]], mask[None]):
            with pytest.raises(ShapeError, match=r"neurons to select: .*\[K\].* Take np.flatnonzero\(mask\)"):
                trains.select(bad)
        assert trains.select(np.flatnonzero(mask)).neurons.tolist() == [0, 1]
        for bad in ("01", ["0"], [[0], [1, 2]], [0.0], None, True, [None], mask[:2], slice("a", "b"), slice(0, 2, 0)):
            with pytest.raises(ParameterError, match="neurons to select"):
                trains.select(bad)
        for bad in (0.5, "0", None, [0], True):
            with pytest.raises(ParameterError, match=r"neuron: .*whole number from 0 to 2"):
                trains.of(bad)

    def test_sizes_are_those_that_neurons_have_numbers_for(self):
        assert SpikeTrains.of_arrays([1.0], [2**31 - 2], 2**31 - 1, 0.0, 2.0).neurons.tolist() == [2**31 - 2]
        trains = SpikeTrains.of_arrays([1.0], [2], np.int64(3), 0.0, 2.0)
        assert (trains.size, type(trains.size)) == (3, int)
        for size in (2**31, 10**30, 0, 2.0, "3", None, [3], True):
            with pytest.raises(ParameterError, match=r"size: .* a whole number from 1 to 2147483647"):
                SpikeTrains.of_arrays([1.0], [0], size, 0.0, 2.0)
        for neuron in (2**31, 2**32, 2**63, 10**30):
            with pytest.raises(ParameterError, match="neurons of spikes"):
                SpikeTrains.of_arrays([1.0], [neuron], 3, 0.0, 2.0)

    @pytest.mark.parametrize("bad", ["a", ["a"], [1j], None, [None], [[0], [1, 2]], [10**400], [{}]])
    def test_arrays_of_anything_else_are_refused(self, bad):
        with pytest.raises(ParameterError, match="times of spikes"):
            SpikeTrains.of_arrays(bad, [0], 3, 0.0, 10.0)
        with pytest.raises(ParameterError, match="neurons of spikes"):
            SpikeTrains.of_arrays([1.0], bad, 3, 0.0, 10.0)

    def test_stretches_of_time(self):
        second = sl.units.second
        trains = SpikeTrains.of_arrays([0.001, 0.002] * second, [0, 0], 1, 0 * second, 0.01 * second)
        assert (trains.times.tolist(), trains.begin, trains.end) == ([1.0, 2.0], 0.0, 10.0)
        assert trains.window(0.001 * second, 5.0).times.tolist() == [2.0]
        for bad in ("1", None, [1.0], float("nan"), float("inf"), 10**400, 1j):
            for begin, end in ((bad, 10.0), (0.0, bad)):
                with pytest.raises(ParameterError, match="a stretch of time"):
                    trains.window(begin, end)
                with pytest.raises(ParameterError, match="a stretch of time"):
                    SpikeTrains.of_arrays([1.0], [0], 1, begin, end)

    def test_no_time_has_no_rate(self):
        for trains in (SpikeTrains(np.zeros(1), np.zeros(1, np.int32), 2, 0.0, 0.0),
                       SpikeTrains.of_arrays([], [], 2, 5.0, 5.0),
                       SpikeTrains.of_arrays([5.0], [1], 2, np.float64(5.0), np.float64(5.0))):  # fmt: skip
            assert np.isnan(trains.rate())
            assert np.isnan(trains.rates()).tolist() == [True, True]
            with pytest.raises(ParameterError, match="bin"):
                statistics.binned(trains, 1.0)
