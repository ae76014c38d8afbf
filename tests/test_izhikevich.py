"""Izhikevich's neuron against REFERENCE section 6: the twenty patterns, the network of 1000, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.signal
import torch

import spikeloom as sl
from spikeloom.errors import DimensionError, ParameterError
from spikeloom.models.izhikevich_presets import CELL_TYPES, PATTERNS
from spikeloom.solvers import DormandPrince, Located, SequentialEuler
from spikeloom.stimuli import Steps

# Spikes of the author's script for figure 1 of 2004 (ms). Where the table gives a count, first and last times or
# intervals, so does this; the remaining times of each train follow from the script, run on its own.
TIMES = {
    "tonic-spiking": [13, 17, 31.5, 59.25, 86.75],
    "phasic-spiking": [43.75],
    "phasic-bursting": [39, 42.8, 47, 51.8, 57.6, 67.2],
    "mixed-mode": [20, 22.75, 27.25, 67, 99.25, 131.5],
    "spike-frequency-adaptation": [10.25, 12.25, 15, 19.75, 42.5, 71.5],
    "spike-latency": [26.6],
    "subthreshold-oscillations": [26.5],
    "resonator": [338],
    "integrator": [20],
    "rebound-spike": [68],
    "rebound-burst": [68, 71, 74.2, 77.8, 81.8, 86.4, 92.2],
    "threshold-variability": [93.25],
    "bistability": [45.25, 86, 126.5, 167.25, 208],
    "depolarising-after-potential": [11.3],
    "accommodation": [311.5],
    "inhibition-induced-spiking": [94.5, 166, 236],
}  # fmt: skip


def run(name: str, **changes: object) -> sl.simulation.Trace:
    """A preset as published."""
    preset = sl.Izhikevich.presets[name]
    solver = SequentialEuler() if preset.solver == "SequentialEuler" else None
    how: dict = {"dt": preset.dt, "solver": solver, **changes}
    return sl.simulate(sl.Izhikevich.preset(name), preset.current, preset.duration, state=preset.state, **how)


# -- the twenty patterns


@pytest.mark.parametrize("name", TIMES)
def test_spikes_of_the_patterns(name: str) -> None:
    assert run(name).spike_times == pytest.approx(TIMES[name], abs=1e-9)


def test_trains_of_which_the_table_gives_count_and_intervals() -> None:
    train = run("tonic-bursting").spike_times
    gaps = np.diff(train)
    assert len(train) == 28
    assert (gaps.min(), gaps[:3].max()) == (1.5, 1.75)
    assert set(np.round(gaps[gaps < 2.6], 9)) <= {1.5, 1.75, 2.0, 2.25, 2.5}  # within bursts
    train = run("class-1-excitable").spike_times
    assert (len(train), train[1] - train[0], train[-1] - train[-2]) == (10, 40.5, 15.0)
    train = run("class-2-excitable").spike_times
    assert (len(train), train[1] - train[0], train[-1] - train[-2]) == (14, 20.75, 11.0)
    train = run("inhibition-induced-bursting").spike_times
    assert (len(train), train[0]) == (12, 86.5)
    gaps = np.diff(run("spike-frequency-adaptation").spike_times)
    assert (gaps[0], gaps[-1]) == (2.0, 29.0)


def script(name: str) -> list[float]:
    """The schedule of the author's loop once more, apart from ours: all of it as he writes it, in his time.

    At each t of 0, dt, 2 dt, ...: the input at t, v, then u with the new v, then a spike at t if v > 30.
    """
    dt, v, u, i, quadratic, recovery, duration = SCRIPTS[name]
    a, b, c, d = (sl.Izhikevich.presets[name].values[n] for n in "abcd")
    u, spikes = (b * v if u is None else u), []
    for t in np.arange(round(duration / dt) + 1) * dt:
        v = v + dt * (0.04 * v**2 + quadratic[0] * v + quadratic[1] - u + i(t))
        u = u + dt * recovery(a, b, v, u)
        if v > 30:
            spikes.append(t)
            v, u = c, u + d
    return spikes


def usual(a: float, b: float, v: float, u: float) -> float:
    return a * (b * v - u)


# dt, initial v and u, the input at t, (k1, k0), du/dt, duration: one of each special kind.
SCRIPTS = {
    "tonic-bursting": (0.25, -70.0, None, lambda t: 15.0 * (t > 22), (5.0, 140.0), usual, 220.0),
    "class-1-excitable": (0.25, -60.0, None, lambda t: 0.075 * (t - 30) * (t > 30), (4.1, 108.0), usual, 300.0),
    "class-2-excitable": (0.25, -64.0, None, lambda t: -0.5 + 0.015 * (t - 30) * (t > 30), (5.0, 140.0), usual, 300.0),
    "accommodation": (
        0.5, -65.0, -16.0,
        lambda t: t / 25 if t < 200 else (t - 300) / 12.5 * 4 * (300 <= t < 312.5),
        (5.0, 140.0), lambda a, b, v, u: a * b * (v + 65), 400.0,
    ),
    "bistability": (
        0.25, -61.0, None, lambda t: 1.24 if 37.5 < t < 42.5 or 216 < t < 221 else 0.24, (5.0, 140.0), usual, 300.0
    ),
    "inhibition-induced-bursting": (
        0.5, -63.8, None, lambda t: 80.0 if t < 50 or t > 250 else 75.0, (5.0, 140.0), usual, 350.0
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_whole_trains_equal_those_of_the_script(name: str) -> None:
    assert run(name).spike_times == pytest.approx(script(name), abs=1e-9)


def test_the_scheme_is_part_of_the_patterns() -> None:
    # With an accurate solver the rebound comes elsewhere: the published figure belongs to its scheme.
    accurate = run("rebound-spike", dt=0.01, solver=None).spike_times
    assert np.abs(accurate - 68.0).min(initial=99.0) > 1.0


def test_what_the_patterns_are_there_to_show() -> None:
    ringing = run("subthreshold-oscillations")["v"]
    tail = ringing[round(60 / 0.25) :]
    turns = np.flatnonzero(np.diff(np.sign(np.diff(tail))))
    assert len(turns) >= 4  # rings on after its spike
    hump = run("depolarising-after-potential")["v"]
    after = hump[int(hump.argmax()) + 1 :]
    assert after[0] == pytest.approx(-59.0, abs=1.0)  # the reset value is -60
    assert after.max() > -52.0  # the after-potential
    assert after[-1] == pytest.approx(-70.0, abs=1e-6)
    assert len(PATTERNS) == 20


# -- one step, and recorders


def test_a_step_by_hand() -> None:
    # v = -60 + 0.5 (0.04·3600 - 300 + 140 + 14 + 10) = -56, u = -14 + 0.5·0.02 (0.2·(-56) + 14) = -13.972
    model = sl.Izhikevich()
    trace = sl.simulate(model, 10.0, 0.5, 0.5, state={"v": -60.0, "u": -14.0}, solver=SequentialEuler())
    assert (trace["v"][-1], trace["u"][-1]) == pytest.approx((-56.0, -13.972), rel=1e-14)
    # In halves: -58 after 0.25 ms, then -58 + 0.25 (0.04·3364 - 290 + 140 + 24) = -55.86.
    trace = sl.simulate(model, 10.0, 0.5, 0.5, state={"v": -60.0, "u": -14.0}, solver=SequentialEuler(substeps=2))
    assert (trace["v"][-1], trace["u"][-1]) == pytest.approx((-55.86, -14 + 0.01 * (14 - 11.172)), rel=1e-14)


def test_reset_and_recorded_peak() -> None:
    model = sl.Izhikevich(d=2.0, c=-50.0)
    trace = sl.simulate(model, 0.0, 0.2, 0.1, state={"v": 29.0, "u": 1.0}, solver=SequentialEuler())
    v = 29.0 + 0.1 * (0.04 * 841 + 145 + 140 - 1)
    assert v > 30.0
    assert trace.fired.tolist() == [False, True, False]
    assert trace["v"][1] == 30.0
    assert trace["u"][1] == pytest.approx(1.0 + 0.1 * 0.02 * (0.2 * v - 1.0) + 2.0, rel=1e-14)
    assert trace["v"][2] == pytest.approx(-50.0 + 0.1 * (100.0 - 250 + 140 - trace["u"][1]), rel=1e-13)


# -- accurate integration


def rest(b: float, i: float) -> tuple[float, float]:
    v = (-(5 - b) - np.sqrt((5 - b) ** 2 - 0.16 * (140 + i))) / 0.08
    return v, b * v


@pytest.mark.parametrize("cell", ["regular-spiking", "fast-spiking"])
def test_accurate_spikes_against_an_integrator_that_locates_them(cell: str) -> None:
    values = CELL_TYPES[cell].values
    a, b, c, d = (values[n] for n in "abcd")

    def slopes(_: float, y: np.ndarray) -> list[float]:
        return [0.04 * y[0] ** 2 + 5 * y[0] + 140 - y[1] + 10.0, a * (b * y[0] - y[1])]

    def peak(_: float, y: np.ndarray) -> float:
        return y[0] - 30.0

    peak.terminal = True
    times, state = [], [-70.0, -14.0]
    while len(times) < 4:
        begin = times[-1] if times else 0.0
        found = scipy.integrate.solve_ivp(
            slopes, (begin, begin + 200), state, method="DOP853", rtol=1e-10, atol=1e-10, events=peak
        )
        times.append(float(found.t_events[0][0]))
        state = [c, found.y_events[0][0][1] + d]
    model, how = sl.Izhikevich(**values), {"duration": times[-1] + 1.0, "state": {"v": -70.0, "u": -14.0}}
    assert sl.simulate(model, 10.0, solver=DormandPrince(), **how).spike_times == pytest.approx(times, abs=1e-6)
    assert sl.simulate(model, 10.0, dt=0.02, solver=Located(), **how).spike_times == pytest.approx(times, abs=1e-6)
    errors = []
    for dt in (0.02, 0.005):
        trace = sl.simulate(model, 10.0, dt=dt, **how)
        assert len(trace.spike_times) == 4
        errors.append(np.abs(trace.spike_times - times).max())
    assert errors[1] < 0.04
    assert errors[0] / errors[1] == pytest.approx(4.0, abs=1.5)  # order 1: spikes and resets wait for the grid


def test_rest_loses_stability_where_the_trace_of_the_jacobian_vanishes() -> None:
    # 0.08 v + 5 - a = 0 with a = 0.02 at v = -62.25, which is the rest at i = 3.7975.
    v, current = -62.25, -(0.04 * 62.25**2 - 4.8 * 62.25 + 140)
    assert current == pytest.approx(3.7975)
    assert rest(0.2, current)[0] == pytest.approx(v)
    currents = current + np.array([-0.05, 0.05])
    points = [rest(0.2, i) for i in currents]
    start = {"v": np.array([p[0] for p in points]) + 1e-3, "u": np.array([p[1] for p in points])}
    trace = sl.simulate(sl.Izhikevich(), currents, 3000.0, 0.1, state=start)
    assert [len(times) > 0 for times in trace.spike_times] == [False, True]


def test_cell_types() -> None:
    trains = {name: run(name).spike_times for name in CELL_TYPES}
    gaps = {name: np.diff(times) for name, times in trains.items()}
    assert gaps["regular-spiking"][-1] > 2 * gaps["regular-spiking"][0]
    assert (gaps["intrinsically-bursting"][:2] < 5).all()
    assert (gaps["intrinsically-bursting"][2:] > 25).all()
    assert (gaps["chattering"] > 30).sum() >= 3
    assert np.median(gaps["chattering"]) < 3
    assert len(trains["fast-spiking"]) > 4 * len(trains["regular-spiking"])
    assert np.ptp(gaps["fast-spiking"][5:]) < 0.2
    assert gaps["low-threshold-spiking"][-1] > 2 * gaps["low-threshold-spiking"][0]
    burst, tonic = trains["thalamo-cortical"], trains["thalamo-cortical"]
    burst, tonic = burst[burst < 160], tonic[tonic >= 160]
    assert burst[0] > 50.0
    assert np.diff(burst)[0] < 6.0
    assert len(tonic) >= 2
    assert (trains["resonator-cell"] < 60).sum() == 0
    assert (trains["resonator-cell"] > 100).sum() >= 3  # goes on without its pulse


def test_a_weak_step_does_not_wake_a_regular_spiking_cell() -> None:
    assert len(sl.simulate(sl.Izhikevich(), Steps((10.0, 3.0)), 300.0, 0.1).spike_times) == 0


# -- the network of 2003


@pytest.fixture(scope="module")
def raster() -> np.ndarray:
    """Spikes ``[T, S, N]`` of 2 s for ten seeds: first 800 excitatory cells, then 200 inhibitory."""
    return network(range(10), 2000)


def cells(seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.random.Generator]:
    """Parameters of the 1000 cells, and weights with the row the sender."""
    generator = np.random.default_rng(seed)
    excitatory, inhibitory = generator.random(800), generator.random(200)
    values = {
        "a": np.concatenate([np.full(800, 0.02), 0.02 + 0.08 * inhibitory]),
        "b": np.concatenate([np.full(800, 0.2), 0.25 - 0.05 * inhibitory]),
        "c": np.concatenate([-65 + 15 * excitatory**2, np.full(200, -65.0)]),
        "d": np.concatenate([8 - 6 * excitatory**2, np.full(200, 2.0)]),
    }
    weights = generator.random((1000, 1000))
    weights[:800] *= 0.5
    weights[800:] *= -1.0
    return values, weights, generator


NOISE = np.concatenate([np.full(800, 5.0), np.full(200, 2.0)])


def network(seeds, steps: int) -> np.ndarray:
    made = [cells(seed) for seed in seeds]
    model = sl.Izhikevich(**{n: np.concatenate([values[n] for values, _, _ in made]) for n in "abcd"})
    state, fired = None, np.zeros((len(made), 1000), dtype=bool)
    raster = np.zeros((steps, len(made), 1000), dtype=bool)
    for t in range(steps):
        drive = [
            NOISE * generator.standard_normal(1000) + weights[spikes].sum(axis=0)
            for (_, weights, generator), spikes in zip(made, fired, strict=True)
        ]
        x = torch.from_numpy(np.concatenate(drive)).reshape(1, 1, -1)
        result = sl.scan(model, {"i": x}, state, solver=SequentialEuler(substeps=2), dt=1.0)
        assert result.spikes is not None
        state, fired = result.final, result.spikes.numpy().reshape(len(made), 1000) > 0
        raster[t] = fired
    return raster


def published(seed: int, steps: int) -> np.ndarray:
    """The schedule of the paper's script: detect, reset, gather the input, v twice by half a step, u by a whole one."""
    values, weights, generator = cells(seed)
    a, b, c, d = (values[n] for n in "abcd")
    v = np.full(1000, -65.0)
    u = b * v
    raster = np.zeros((steps, 1000), dtype=bool)
    for t in range(steps):
        raster[t] = fired = v >= 30
        v[fired] = c[fired]
        u[fired] += d[fired]
        i = NOISE * generator.standard_normal(1000) + weights[fired].sum(axis=0)
        for _ in range(2):
            v += 0.5 * (0.04 * v**2 + 5 * v + 140 - u + i)
        u += a * (b * v - u)
    return raster


def test_the_network_is_that_of_the_published_schedule() -> None:
    # The paper detects a spike when the next step begins, we when the step ends: the same spikes, one row earlier.
    ours, theirs = network([3], 200)[:, 0], published(3, 201)
    assert not theirs[0].any()
    assert ours[:100].sum() > 300
    np.testing.assert_array_equal(ours, theirs[1:])


def test_rates_of_the_network(raster: np.ndarray) -> None:
    excitatory = 1000.0 * raster[:, :, :800].mean(axis=(0, 2))
    inhibitory = 1000.0 * raster[:, :, 800:].mean(axis=(0, 2))
    for rates, mean, deviation in ((excitatory, 7.420, 0.130), (inhibitory, 7.011, 0.197)):
        assert np.abs(rates - mean).max() < 4 * deviation
        assert abs(rates.mean() - mean) < 4 * deviation / np.sqrt(len(rates))


def test_rhythms_of_the_network(raster: np.ndarray) -> None:
    activity = raster.sum(axis=2).astype(float)
    frequencies, power = scipy.signal.periodogram(activity, fs=1000.0, axis=0)
    power = power.mean(axis=1)
    slow = (frequencies >= 2.0) & (frequencies <= 20.0)
    assert frequencies[slow][power[slow].argmax()] == pytest.approx(8.0, abs=1.0)
    # The share of the band depends on where the whole ends: 24 % of all power, 29 % of that below 100 Hz.
    gamma = (frequencies >= 30.0) & (frequencies <= 60.0)
    assert power[gamma].sum() / power[frequencies <= 200.0].sum() == pytest.approx(0.27, abs=0.03)


# -- bad input


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(DimensionError, match="c has"):
        sl.Izhikevich(c=20 * sl.ms)
    with pytest.raises(ParameterError, match="tonic-spiking"):
        sl.Izhikevich.preset("tonic-spikin")
    with pytest.raises(ParameterError, match="a is not finite"):
        sl.Izhikevich(a=float("nan"))
