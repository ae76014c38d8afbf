"""Hindmarsh-Rose against REFERENCE section 5 and an integrator of order eight."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate

import spikeloom as sl
from spikeloom.errors import NonFiniteError, ParameterError

HR = sl.HindmarshRose()
START = [-1.6, -11.8, 0.0]
CURRENTS = [1.2, 1.3, 1.5, 2.0, 3.25, 3.3, 4.0]


def textbook(_: float, state: np.ndarray, i: float) -> list[float]:
    x, y, z = state
    return [y - x**3 + 3 * x**2 - z + i, 1 - 5 * x**2 - y, 0.006 * (4 * (x + 1.6) - z)]


@pytest.fixture(scope="module")
def passages() -> dict[float, np.ndarray]:
    """Upward passages of 0 by x, found within the steps, at each current."""
    trace = sl.simulate(HR, np.array(CURRENTS), 8000.0, 0.01, record=("x",))
    found = {}
    for i, x in zip(CURRENTS, trace["x"].T, strict=True):
        k = np.flatnonzero((x[:-1] < 0.0) & (x[1:] >= 0.0))
        found[i] = trace.times[k] - 0.01 * x[k] / (x[k + 1] - x[k])
    return found


@pytest.fixture(scope="module")
def late(passages) -> dict[float, np.ndarray]:
    """Intervals once the transient is over."""
    return {i: np.diff(times[times > 4000.0]) for i, times in passages.items()}


def test_it_starts_close_to_rest() -> None:
    assert HR.initial_values() == pytest.approx({"x": -1.6, "y": -11.8, "z": 0.0})
    assert sl.HindmarshRose(x_r=-1.5, d=4.0).initial_values() == pytest.approx({"x": -1.5, "y": -8.0, "z": 0.0})


@pytest.mark.parametrize("i", [1.2, 1.3])
def test_weak_input_leaves_it_quiet_after_the_onset(passages, i: float) -> None:
    assert 0 < len(passages[i]) < 10
    assert passages[i].max() < 200.0
    assert len(sl.simulate(HR, 0.0, 1000.0, 0.05).spike_times) == 0


def test_single_spikes(late) -> None:
    np.testing.assert_allclose(late[1.5], 149.526, rtol=5e-6)


def test_bursts_of_two(late) -> None:
    gaps = late[2.0]
    within, between = gaps[gaps < 50.0], gaps[gaps >= 50.0]
    assert abs(len(within) - len(between)) <= 1  # two spikes each
    # The table has 128.50448; an integrator of order eight (rtol 1e-11) 14.80652643 + 113.69831817 = 128.5048446.
    assert within.mean() + between.mean() == pytest.approx(128.50448, rel=5e-6)
    assert (within.mean(), between.mean()) == pytest.approx((14.80652643, 113.69831817), rel=1e-6)
    assert max(np.ptp(within), np.ptp(between)) < 1e-3  # each burst is like the last


def test_tonic_spikes(late) -> None:
    np.testing.assert_allclose(late[4.0], 20.128, rtol=2e-5)


def test_periodic_bursts_beyond_the_chaos(late) -> None:
    # 3.3 is periodic: four spikes, whose intervals return.
    gaps = late[3.3][-20:]
    np.testing.assert_allclose(gaps[4:], gaps[:-4], atol=1e-3)
    exact = (13.92211445, 17.96984854, 28.66825495, 66.83639667)  # by an integrator of order eight, rtol 1e-11
    assert np.sort(gaps[-4:]) == pytest.approx(exact, rel=1e-5)


def test_the_chaotic_train_never_repeats(late) -> None:
    for lag in range(1, 40):
        assert np.abs(late[3.25][lag:] - late[3.25][:-lag]).max() > 1.0


def test_statistics_of_the_chaotic_bursts() -> None:
    # Traces of chaos cannot be compared; the distribution of intervals can. The numbers are those of 1000 s by a
    # program of its own (RK4, 0.01 ms and 0.005 ms); this sample of 4500 intervals has a deviation of 0.07 in the mean.
    start = {"x": np.linspace(-1.6, -1.2, 8)}
    trace = sl.simulate(HR, np.full(8, 3.25), 20000.0, 0.02, record=(), state=start)
    gaps = np.concatenate([np.diff(times[times > 1000.0]) for times in trace.spike_times])
    assert gaps.mean() == pytest.approx(33.56, abs=0.3)
    assert gaps.std() == pytest.approx(21.51, abs=0.25)
    assert 1.0 / (gaps > 40.0).mean() == pytest.approx(3.165, abs=0.04)  # spikes per burst
    assert (gaps.min(), gaps.max()) == pytest.approx((12.288, 72.424), abs=0.03)  # the grid rounds to 0.02


def test_every_state_converges_with_order_four() -> None:
    tight = {"method": "DOP853", "rtol": 1e-12, "atol": 1e-12, "dense_output": True}
    exact = scipy.integrate.solve_ivp(textbook, (0, 100), START, args=(2.0,), **tight)
    errors = []
    for dt in (0.01, 0.005):
        trace = sl.simulate(HR, 2.0, 100.0, dt)
        rows = exact.sol(trace.times)
        errors.append(max(np.abs(trace[n] - row).max() for n, row in zip("xyz", rows, strict=True)))
    assert errors[-1] < 1e-6
    assert np.log2(errors[-2] / errors[-1]) == pytest.approx(4.0, abs=0.3)


def test_tau_scales_time() -> None:
    slow = sl.simulate(sl.HindmarshRose(tau=5.0), 2.0, 500.0, 0.1)
    np.testing.assert_allclose(slow["x"], sl.simulate(HR, 2.0, 100.0, 0.02)["x"], atol=1e-9)


def test_each_preset_shows_its_regime() -> None:
    gaps = {}
    for name, preset in sl.HindmarshRose.presets.items():
        trace = sl.simulate(sl.HindmarshRose.preset(name), preset.current, preset.duration, preset.dt)
        gaps[name] = np.diff(trace.spike_times[trace.spike_times > 1000.0])
    assert len(gaps["quiet"]) == 0
    np.testing.assert_allclose(gaps["slow-spiking"], 149.5, atol=1.0)
    np.testing.assert_allclose(gaps["bursting"][2:], gaps["bursting"][:-2], atol=1.0)
    np.testing.assert_allclose(gaps["periodic-bursting"][4:], gaps["periodic-bursting"][:-4], atol=1.0)
    assert np.abs(gaps["chaotic"][4:] - gaps["chaotic"][:-4]).max() > 3.0
    np.testing.assert_allclose(gaps["tonic"], 20.1, atol=0.2)


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(ParameterError, match="tau"):
        sl.HindmarshRose(tau=0.0)
    with pytest.raises(ParameterError, match="chaotic"):
        sl.HindmarshRose.preset("chaos")
    with pytest.raises(NonFiniteError, match="HindmarshRose: state x"):
        sl.simulate(HR, 3.0, 100.0, 1.0)  # a step too long for its cubic
