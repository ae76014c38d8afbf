"""Integrate-and-fire neurons against closed forms (REFERENCE section 1; NEST's own tests)."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch

import spikeloom as sl

# RI in mV, inter-spike interval in ms, rate in Hz for tau 10 ms, t_ref 2 ms, reset 0, threshold 15 mV.
TABLE = [
    (15.0001, 121.183972, 8.251916), (16.0, 29.725887, 33.640712), (20.0, 15.862944, 63.040002),
    (30.0, 8.931472, 111.963629), (60.0, 4.876821, 205.051622),
]  # fmt: skip
REFERENCE_CELL = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")


def steps_to_threshold(drive: float, dt: float, start: float = 0.0, tau: float = 10.0, threshold: float = 15.0) -> int:
    """Steps until ``drive + (start - drive) exp(-t/tau)`` has reached the threshold, in 40 digits."""
    with mpmath.workdps(40):
        drive, start = mpmath.mpf(drive), mpmath.mpf(start)
        return int(mpmath.ceil(tau * mpmath.log((drive - start) / (drive - threshold)) / mpmath.mpf(dt)))


def spike_steps(trace, neuron: int | None = None) -> np.ndarray:
    return np.flatnonzero(trace.fired if neuron is None else trace.fired[:, neuron])


# -- the membrane


@pytest.mark.parametrize("dt", [0.01, 0.1, 1.0])
def test_the_membrane_follows_the_closed_form(dt: float) -> None:
    cell = sl.LIF(tau=12.5, v_rest=-65.0, v_threshold=-40.0, r=0.1)
    trace = sl.simulate(cell, current=[-300.0, 0.0, 200.0], duration=50.0, dt=dt, state={"v": -70.0})
    steady = -65.0 + 0.1 * np.array([-300.0, 0.0, 200.0])
    expected = steady + (-70.0 - steady) * np.exp(-trace.times[:, None] / 12.5)
    np.testing.assert_allclose(trace["v"], expected, rtol=1e-12)
    assert not trace.fired.any()
    assert trace.units["v"] == "mV"


@pytest.mark.parametrize("exponent", range(0, 14, 2))
def test_nest_membrane_and_first_spike(exponent: int) -> None:
    # NEST: iaf_psc_alpha, C 250 pF, tau 10 ms, 1000 pA, threshold 15 mV above rest, resolutions 2^0 to 2^-13 ms.
    dt = 2.0**-exponent
    free = sl.simulate(sl.LI(tau=10.0, r=10.0 / 250.0), 1000.0, 5.0, dt)
    assert free["v"][-1] == pytest.approx(40.0 * -math.expm1(-0.5), rel=1e-12)
    trace = sl.simulate(sl.LIF(tau=10.0, r=10.0 / 250.0, v_threshold=15.0), 1000.0, 5.0, dt)
    assert spike_steps(trace)[0] == math.ceil(4.700036292457 / dt)


# -- intervals


@pytest.mark.parametrize("dt", [0.01, 0.1, 0.25, 1.0])
def test_intervals_are_those_of_the_closed_form_on_the_grid(dt: float) -> None:
    drives = [row[0] for row in TABLE]
    trace = sl.simulate(sl.Refractory(REFERENCE_CELL, t_ref=2.0), np.array(drives), 400.0, dt)
    for n, (drive, interval, rate) in enumerate(TABLE):
        exact = 2.0 + 10.0 * math.log(drive / (drive - 15.0))
        assert exact == pytest.approx(interval, abs=6e-7)  # the table itself
        assert 1000.0 / exact == pytest.approx(rate, abs=6e-7)
        rise, pause = steps_to_threshold(drive, dt), math.ceil(2.0 / dt - 1e-9)
        expected = np.arange(rise, 400.0 / dt + 0.5, rise + pause)
        np.testing.assert_array_equal(spike_steps(trace, n), expected)
        assert interval <= (rise + pause) * dt + 1e-6
        assert (rise + pause) * dt < interval + 2 * dt
        if dt == 0.01:
            assert trace.rates()[n] == pytest.approx(rate, rel=0.02 / interval)


def test_no_spike_at_or_below_the_threshold_current() -> None:
    trace = sl.simulate(REFERENCE_CELL, np.array([-5.0, 0.0, 14.9, 15.0, 15.0001]), 500.0, 0.1)
    assert [len(t) > 0 for t in trace.spike_times] == [False, False, False, False, True]
    assert list(trace.rates()[:4]) == [0.0] * 4


def test_perfect_integrator_fires_at_100_hz() -> None:
    cell = sl.IF(c=250.0, v_threshold=15.0)
    # 375 pA / 250 pF = 1.5 mV/ms; in steps of 1/8 ms every sum is exact and v lands on the threshold.
    trace = sl.simulate(cell, 375.0, 1000.0, 0.125)
    np.testing.assert_array_equal(trace.spike_times, np.arange(1, 101) * 10.0)
    np.testing.assert_array_equal(trace["v"][trace.fired], 0.0)
    assert trace.rates() == 100.0
    # Elsewhere the subtractive reset loses nothing: the count follows the charge, whatever the step.
    for dt in (0.1, 0.7, 3.0):
        trace = sl.simulate(cell, 375.0, 1000.0, dt)
        charge = 1.5 * trace.times[-1] / 15.0
        assert abs(len(trace.spike_times) - charge) <= 1.0
        assert trace["v"][-1] + 15.0 * len(trace.spike_times) == pytest.approx(15.0 * charge, rel=1e-12)


@pytest.mark.parametrize(
    ("t_ref", "dt", "steps"),
    [
        (2.0, 0.1, 20), (1.1, 0.1, 11), (0.3, 0.1, 3), (0.7, 0.1, 7), (0.25, 0.1, 3), (0.05, 0.1, 1), (0.0, 0.1, 0),
        (5.0, 1.0, 5), (2.0, 0.3, 7), (1.0, 0.125, 8), (2.9, 1.0, 3), (4.35, 0.15, 29), (0.1, 1.0, 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_refractory_time_is_rounded_up_to_whole_steps(t_ref: float, dt: float, steps: int, dtype) -> None:
    # Each step brings a jump over the threshold, so that the interval is the held steps and the one that fires.
    cell = sl.Refractory(sl.LIF(tau=10.0, v_reset=0.25, reset_mechanism="value"), t_ref=t_ref)
    x = torch.full((70, 1, 1), 5.0, dtype=dtype)
    result = sl.scan(cell, {"v": x}, dt=dt, record=("v", "remaining"))
    assert result.spikes is not None
    fired = np.flatnonzero(result.spikes.flatten().numpy())
    assert fired[0] == 0
    assert set(np.diff(fired)) == {steps + 1}
    np.testing.assert_array_equal(result.states["v"].flatten().numpy(), 0.25)  # held, and reset in each spike's step
    assert result.states["remaining"].max() == steps


def test_refractory_interval_is_the_pause_and_the_time_to_threshold() -> None:
    free = sl.simulate(REFERENCE_CELL, 20.0, 200.0, 0.1)
    paused = sl.simulate(sl.Refractory(REFERENCE_CELL, t_ref=5.0), 20.0, 200.0, 0.1)
    assert set(np.diff(spike_steps(free))) == {139}
    assert set(np.diff(spike_steps(paused))) == {139 + 50}
    first = spike_steps(paused)[0]
    np.testing.assert_array_equal(paused["v"][first : first + 51], 0.0)
    assert paused["v"][first + 51] > 0.0


# -- threshold and reset


def jumps(model: sl.NeuronModel, values: list[float], **options) -> tuple[list[float], list[float]]:
    x = torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1)
    result = sl.scan(model, {"v": x}, record=("v",), **options)
    assert result.spikes is not None
    return result.spikes.flatten().tolist(), result.states["v"].flatten().tolist()


def test_landing_on_the_threshold_fires() -> None:
    for threshold in (1.0, 15.0, 0.1, 1e-3):
        spikes, v = jumps(sl.IF(v_threshold=threshold), [threshold, math.nextafter(threshold, 0.0), 0.0])
        assert spikes == [1.0, 0.0, 0.0]
        assert v[0] == 0.0
    assert jumps(sl.IF(v_threshold=4.0), [1.0] * 9)[0] == [0, 0, 0, 1, 0, 0, 0, 1, 0]


def test_a_residual_above_the_threshold_fires_again() -> None:
    # After 2.5 the subtractive reset leaves 1.5; it leaks to 1.35, fires again and leaves 0.35.
    leak = sl.LIF(tau=-1.0 / math.log(0.9))
    spikes, v = jumps(leak, [2.5, 0.0, 0.0])
    assert spikes == [1.0, 1.0, 0.0]
    assert v == pytest.approx([1.5, 0.35, 0.315], rel=1e-14)


def test_one_spike_a_step_and_none_is_lost() -> None:
    spikes, v = jumps(sl.IF(), [3.0, 0.0, 0.0, 0.0, 0.0])
    assert spikes == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert v == [2.0, 1.0, 0.0, 0.0, 0.0]


def test_three_ways_to_reset() -> None:
    base = sl.IF(v_threshold=2.0, v_reset=-0.5)
    assert jumps(base, [2.5, 1.0, 1.0]) == ([1.0, 0.0, 1.0], [0.5, 1.5, 0.5])
    assert jumps(base.replace(reset_mechanism="value"), [2.5, 1.0, 1.0]) == ([1.0, 0.0, 0.0], [-0.5, 0.5, 1.5])
    spikes, v = jumps(base.replace(reset_mechanism="none"), [2.5, 1.0, -3.0, 0.5, 1.0])
    assert v == [2.5, 3.5, 0.5, 1.0, 2.0]
    assert spikes == [1.0, 0.0, 0.0, 0.0, 1.0]  # upward crossings only


def test_subtraction_takes_the_distance_from_rest_to_threshold() -> None:
    cell = sl.LIF(tau=10.0, v_rest=-65.0, v_threshold=-50.0)
    spikes, v = jumps(cell, [18.0, 0.0])
    assert spikes == [1.0, 0.0]
    assert v == pytest.approx([-62.0, -65.0 + 3.0 * math.exp(-0.1)], rel=1e-15)


@pytest.mark.parametrize("rest", [20.0, 15.0])
def test_a_pacemaker_that_rests_above_its_threshold_fires_upward_too(rest: float) -> None:
    cell = sl.LIF(tau=10.0, v_rest=rest, v_threshold=15.0, v_reset=0.0, reset_mechanism="value")
    trace = sl.simulate(cell, 5.0, 100.0, 0.1, state={"v": 0.0})
    period = steps_to_threshold(rest + 5.0, 0.1)
    np.testing.assert_array_equal(spike_steps(trace), np.arange(period, 1001, period))


def test_the_peak_is_shown_in_the_step_of_a_spike_and_changes_nothing() -> None:
    plain = sl.simulate(REFERENCE_CELL, np.array([20.0, 33.0]), 100.0, 0.1)
    shown = sl.simulate(sl.Peak(REFERENCE_CELL, v_peak=42.0), np.array([20.0, 33.0]), 100.0, 0.1)
    np.testing.assert_array_equal(shown.fired, plain.fired)
    assert shown.fired.sum() > 10
    assert (shown["v"][shown.fired] == 42.0).all()
    np.testing.assert_array_equal(shown["v"][~shown.fired], plain["v"][~plain.fired])


# -- adaptation, and the whole against a loop written out by hand


def by_hand(current: np.ndarray, dt: float) -> tuple[list[int], list[float]]:
    """ALIF with a refractory time of 1.5 ms, in plain Python, as the design says it."""
    tau, tau_a, beta, threshold, steps = 10.0, 80.0, 3.0, 15.0, math.ceil(1.5 / dt)
    v = a = 0.0
    left, spikes, trace = 0, [], [0.0]
    for k, i in enumerate(current, start=1):
        a *= math.exp(-dt / tau_a)
        if left:
            left -= 1
        else:
            v = i + (v - i) * math.exp(-dt / tau)
            if v >= threshold + beta * a:
                spikes.append(k)
                v, a, left = v - threshold, a + 1.0, steps
        trace.append(v)
    return spikes, trace


def test_adaptive_neuron_against_a_loop_by_hand() -> None:
    current = 18.0 + 12.0 * np.random.default_rng(1).random(3000)
    model = sl.Refractory(sl.ALIF(tau=10.0, tau_adaptation=80.0, beta=3.0, v_threshold=15.0), t_ref=1.5)
    trace = sl.simulate(model, lambda times: current, 300.0, 0.1)
    spikes, v = by_hand(current, 0.1)
    assert len(spikes) > 10
    np.testing.assert_array_equal(spike_steps(trace), spikes)
    np.testing.assert_allclose(trace["v"], v, rtol=1e-12, atol=1e-12)
    gaps = np.diff(spikes)
    assert gaps[-3:].mean() > 1.5 * gaps[0]  # it adapts


@pytest.mark.parametrize("cuts", [(1, 2, 3), (100,), (57, 133, 134)])
def test_any_split_of_a_run_gives_the_same_bits(cuts: tuple[int, ...]) -> None:
    model = sl.Refractory(sl.ALIF(tau=10.0, v_threshold=1.0), t_ref=3.0)
    x = torch.rand(200, 2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.4
    whole = sl.scan(model, {"v": x}, record=("v",))
    state, spikes, v = None, [], []
    for part in torch.tensor_split(x, cuts):
        found = sl.scan(model, {"v": part}, state, record=("v",))
        state = found.final
        spikes.append(found.spikes)
        v.append(found.states["v"])
    assert whole.spikes is not None
    assert whole.spikes.sum() > 20
    assert torch.equal(torch.cat(spikes), whole.spikes)
    assert torch.equal(torch.cat(v), whole.states["v"])


def test_many_small_inputs_add_up_in_low_precision_too() -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        final = sl.scan(sl.IF(v_threshold=100.0), {"v": torch.full((1000, 1, 1), 0.01, dtype=dtype)}).final["v"]
        expected = 1000 * float(torch.tensor(0.01, dtype=dtype))
        assert final.item() == pytest.approx(expected, rel=1000 * 2.0**-24)  # a thousand roundings of float32
