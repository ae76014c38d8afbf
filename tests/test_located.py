"""Spikes off the grid: orders of convergence restored, events against independent integrations, and refusals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
import torch

import spikeloom as sl
from spikeloom.cli.models import MODELS
from spikeloom.errors import ModelError, NonFiniteError, ParameterError
from spikeloom.lang import math as m
from spikeloom.solvers import (
    RK3,
    RK4,
    CrankNicolson,
    DormandPrince,
    Exact,
    ExponentialEuler,
    ForwardEuler,
    Heun,
    ImplicitEuler,
    Located,
    Midpoint,
    SequentialEuler,
)
from spikeloom.stimuli import Ramp, Steps, pulses


class Quadratic(sl.NeuronModel):
    """QIF with the closed form ``ISI = tau / sqrt(i) (atan(peak / sqrt(i)) - atan(v_reset / sqrt(i)))``."""

    tau = sl.param(10.0, sl.ms)
    top = sl.param(3.0)
    v = sl.state(-1.0)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": (s.v * s.v + x.i) / self.tau}

    def threshold(self, s):
        return s.v - self.top

    def reset(self, s):
        return {"v": -1.0}


def quadratic_interval(i: np.ndarray | float) -> np.ndarray:
    root = np.sqrt(i)
    return 10.0 / root * (np.arctan(3.0 / root) - np.arctan(-1.0 / root))


class Adaptive(Quadratic):
    """The same with a slow variable that each spike raises."""

    w = sl.state(0.0)

    def derivative(self, s, x):
        return {"v": (s.v * s.v + x.i - s.w) / self.tau, "w": (0.2 * s.v - s.w) / (4.0 * self.tau)}

    def reset(self, s):
        return {"v": -1.0, "w": s.w + 0.3}


def adaptive_reference(duration: float, t_ref: float = 0.0) -> tuple[list[float], np.ndarray]:
    """Spike times and final states of Adaptive at i = 1, by SciPy's own event handling at 1e-13."""

    def field(_, y, free=1.0):
        return [free * (y[0] ** 2 + 1.0 - y[1]) / 10.0, (0.2 * y[0] - y[1]) / 40.0]

    def crossing(_, y):
        return y[0] - 3.0

    crossing.terminal, crossing.direction = True, 1.0  # type: ignore[attr-defined]
    tight = {"method": "DOP853", "rtol": 1e-13, "atol": 1e-13}
    now, y, spikes = 0.0, np.array([-1.0, 0.0]), []
    while now < duration:
        run = scipy.integrate.solve_ivp(field, (now, duration), y, events=crossing, **tight)
        now, y = run.t[-1], run.y[:, -1]
        if run.status == 1:
            spikes.append(now)
            y = np.array([-1.0, y[1] + 0.3])
            if t_ref:
                stop = min(now + t_ref, duration)
                y = scipy.integrate.solve_ivp(field, (now, stop), y, args=(0.0,), **tight).y[:, -1]
                now = stop
    return spikes, y


# -- orders of convergence

EVERY = [
    (ForwardEuler(), 1), (SequentialEuler(), 1), (ImplicitEuler(), 1), (Heun(), 2), (Midpoint(), 2),
    (CrankNicolson(), 2), (ExponentialEuler(), 2), (RK3(), 3), (RK4(), 4),
]  # fmt: skip


@pytest.mark.parametrize(("base", "order"), EVERY, ids=repr)
def test_off_the_grid_each_solver_has_its_own_order(base, order: int) -> None:
    # Exponential Euler has order 2 for a model with one state, whose diagonal is the whole Jacobian.
    expected = 5 * float(quadratic_interval(0.5))
    errors: list[float] = []
    for steps in (64, 128, 256):
        trace = sl.simulate(
            Quadratic(), 0.5, expected * 1.2, 8.0 / steps * (1 if order > 2 else 0.25), solver=Located(base)
        )
        errors.append(abs(trace.spike_times[4] - expected))
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert orders[-1] == pytest.approx(order, abs=0.05 * order)
    assert errors[-1] > 1e-12  # or else rounding was measured


@pytest.mark.parametrize("base", [base for base, _ in EVERY], ids=repr)
def test_on_the_grid_every_solver_has_order_one(base) -> None:
    # Each spike is late by half a step on average: over many neurons, or a single error would jump about.
    drives = np.linspace(0.4, 0.9, 200)
    expected = 20 * quadratic_interval(drives)
    errors: list[float] = []
    for dt in (0.2, 0.1, 0.05, 0.025):
        trace = sl.simulate(Quadratic(), drives, expected.max() * 1.1, dt, solver=base)
        found = np.array([times[19] for times in trace.spike_times])
        errors.append(float(np.mean(np.abs(found - expected))))
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert orders == pytest.approx([1.0] * 3, abs=0.12)
    if base in (RK3(), RK4()):
        assert errors[-1] == pytest.approx(20 * 0.025 / 2, rel=0.05)


def test_the_exact_solver_has_order_one_on_the_grid_and_no_error_off_it() -> None:
    drives = np.linspace(16.0, 40.0, 1000)
    lif = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")
    expected = 20 * 10.0 * np.log(drives / (drives - 15.0))
    errors: list[float] = []
    for dt in (0.2, 0.1, 0.05, 0.025):
        trace = sl.simulate(lif, drives, expected.max() * 1.1, dt)
        errors.append(float(np.mean([times[19] - t for times, t in zip(trace.spike_times, expected, strict=True)])))
    assert [math.log2(a / b) for a, b in itertools.pairwise(errors)] == pytest.approx([1.0] * 3, abs=0.05)
    for dt in (0.1, 1.0, 10.0):
        off = sl.simulate(lif, drives[::200], expected.max() * 1.1, dt, solver=Located())
        found = [times[19] for times in off.spike_times]
        np.testing.assert_allclose(found, expected[::200], rtol=1e-13)


@pytest.mark.parametrize("t_ref", [0.0, 3.3])
@pytest.mark.parametrize(("base", "order"), [(ForwardEuler(), 1), (Heun(), 2), (RK3(), 3), (RK4(), 4)], ids=repr)
def test_orders_with_a_slow_variable_and_a_refractory_time(base, order: int, t_ref: float) -> None:
    model = sl.Refractory(Adaptive(), t_ref=t_ref) if t_ref else Adaptive()
    spikes, final = adaptive_reference(120.0, t_ref)
    assert len(spikes) >= 4
    errors: list[float] = []
    for steps in (600, 1200, 2400):
        trace = sl.simulate(model, 1.0, 120.0, 120.0 / steps, solver=Located(base))
        assert len(trace.spike_times) == len(spikes)
        errors.append(max(abs(trace.spike_times[-1] - spikes[-1]), abs(trace["w"][-1] - final[1])))
    assert math.log2(errors[1] / errors[2]) == pytest.approx(order, abs=0.08 * order)


def test_upward_crossings_of_a_smooth_neuron() -> None:
    reference = sl.simulate(sl.HodgkinHuxley(), 10.0, 50.0, solver=DormandPrince(rtol=1e-12, atol=1e-12)).spike_times
    # SciPy's solve_ivp with the rates of Hodgkin and Huxley written out, DOP853 at 1e-12.
    np.testing.assert_allclose(reference, [1.75338055, 16.63796183, 31.28523149, 45.92225811], atol=1e-8)
    errors, late = [], []
    for dt in (0.04, 0.02, 0.01):
        off = sl.simulate(sl.HodgkinHuxley(), 10.0, 50.0, dt, solver=Located(RK4()))
        on = sl.simulate(sl.HodgkinHuxley(), 10.0, 50.0, dt, solver=RK4())
        np.testing.assert_array_equal(off.fired, on.fired)  # the same grid points show a spike,
        np.testing.assert_allclose(off["v"], on["v"], rtol=1e-9)  # and finding it does not touch the trace
        errors.append(abs(off.spike_times[-1] - reference[-1]))
        late.append(on.spike_times - off.spike_times)
        assert ((late[-1] >= 0.0) & (late[-1] < dt)).all()
    assert math.log2(errors[1] / errors[2]) == pytest.approx(4.0, abs=0.2)


# -- the adaptive pairs


@pytest.mark.parametrize("order", [5, 8])
@pytest.mark.parametrize("t_ref", [0.0, 3.3])
def test_adaptive_against_an_independent_integration(order: int, t_ref: float) -> None:
    model = sl.Refractory(Adaptive(), t_ref=t_ref) if t_ref else Adaptive()
    spikes, final = adaptive_reference(120.0, t_ref)
    errors: list[float] = []
    for tol in (1e-6, 1e-9, 1e-12):
        trace = sl.simulate(model, 1.0, 120.0, 0.5, solver=DormandPrince(rtol=tol, atol=tol, order=order))
        error = np.max(np.abs(trace.spike_times - spikes))
        errors.append(max(error, abs(trace["v"][-1] - final[0]), abs(trace["w"][-1] - final[1])))
        assert errors[-1] < 1000.0 * tol
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 5e-10


def test_the_trace_of_an_adaptive_solver_between_grid_points_and_events() -> None:
    fine = sl.simulate(Adaptive(), 1.0, 100.0, 0.01, solver=Located(RK4()))
    for dt in (0.1, 1.0):
        trace = sl.simulate(Adaptive(), 1.0, 100.0, dt, solver=DormandPrince())
        step = round(dt / 0.01)
        for name in ("v", "w"):
            np.testing.assert_allclose(trace[name], fine[name][::step], atol=3e-7)
        expected = np.unique(np.ceil(trace.spike_times / dt).astype(int))
        np.testing.assert_array_equal(np.flatnonzero(trace.fired), expected)


def leaky(t: np.ndarray, pieces: list[tuple[float, float]]) -> np.ndarray:
    """A leaky integrator of 10 ms at rest, driven by steps (time, value)."""
    edges = [*pieces, (math.inf, 0.0)]
    v, total = 0.0, np.zeros_like(t)
    for (start, value), (end, _) in itertools.pairwise(edges):
        inside = (t >= start) & (t <= end)
        total[inside] = value + (v - value) * np.exp(-(t[inside] - start) / 10.0)
        v = value + (v - value) * math.exp(-(end - start) / 10.0)
    return total


@pytest.mark.parametrize("order", [5, 8])
def test_the_integration_stops_at_the_breaks_of_a_stimulus(order: int) -> None:
    # Off the grid of dt and short: a step over it would miss it.
    current = Steps((3.217, 8.0), (3.3201, -2.0), (20.0, 0.0))
    solver = DormandPrince(rtol=1e-11, atol=1e-12, order=order)
    trace = sl.simulate(sl.LI(tau=10.0), current, 40.0, 0.5, solver=solver)
    expected = leaky(trace.times, [(0.0, 0.0), (3.217, 8.0), (3.3201, -2.0), (20.0, 0.0)])
    np.testing.assert_allclose(trace["v"], expected, atol=1e-9)
    ramp = sl.simulate(sl.LI(tau=10.0), Ramp(0.5, start=2.0, stop=12.0), 20.0, 0.5, solver=solver)
    t = ramp.times[(ramp.times >= 2.0) & (ramp.times <= 12.0)] - 2.0
    np.testing.assert_allclose(ramp["v"][4:25], 0.5 * (t - 10.0 * -np.expm1(-t / 10.0)), atol=1e-9)


def test_a_smooth_function_of_time_is_not_held_over_steps() -> None:
    omega = 0.3
    trace = sl.simulate(sl.LI(tau=10.0), lambda t: np.sin(omega * t), 30.0, 5.0, solver=DormandPrince())
    t, q = trace.times, 1.0 + (10.0 * omega) ** 2
    expected = (np.sin(omega * t) - 10.0 * omega * np.cos(omega * t) + 10.0 * omega * np.exp(-t / 10.0)) / q
    np.testing.assert_allclose(trace["v"], expected, atol=1e-9)


@pytest.mark.parametrize("solver", [Located(), DormandPrince(rtol=1e-12, atol=1e-12)], ids=["exact", "adaptive"])
def test_an_array_is_held_over_its_steps(solver) -> None:
    drive = np.repeat(np.random.default_rng(0).normal(size=(12, 2)), 5, axis=0)
    trace = sl.simulate(sl.LI(tau=10.0), drive, 30.0, 0.5, solver=solver)
    on_grid = sl.simulate(sl.LI(tau=10.0), drive, 30.0, 0.5)
    np.testing.assert_allclose(trace["v"], on_grid["v"], atol=1e-10)


def test_an_explosion_is_followed_to_its_threshold() -> None:
    class Exponential(sl.NeuronModel):
        v = sl.state(0.0)
        i = sl.input()

        def derivative(self, s, x):
            return {"v": (m.exp(s.v) + x.i) * 1.0}

        def threshold(self, s):
            return s.v - 60.0

        def reset(self, s):
            return {"v": 0.0}

    # v = -ln(1 - t): the pole is at t = 1, the threshold e^-60 before it, far below the spacing of numbers there.
    for solver in (DormandPrince(), DormandPrince(rtol=1e-9, atol=1e-9, order=5)):
        trace = sl.simulate(Exponential(), 0.0, 3.5, 0.25, solver=solver)
        np.testing.assert_allclose(trace.spike_times, [1.0, 2.0, 3.0], rtol=1e-8)
    rough = sl.simulate(Exponential(), 0.0, 3.5, 0.001, solver=Located(RK4()))
    np.testing.assert_allclose(rough.spike_times, [1.0, 2.0, 3.0], rtol=2e-3)


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry.name)
def test_the_two_ways_off_the_grid_agree_for_every_model(entry) -> None:
    # Fourth order and eighth, fixed steps and chosen ones, partial steps and dense output: they share the equations.
    model, length = entry.load(), min(entry.duration, 148.3)
    adaptive = sl.simulate(model, entry.current, length, 0.1, solver=DormandPrince()).spike_times
    stepped = sl.simulate(model, entry.current, length, min(entry.dt, 0.02), solver=Located()).spike_times
    assert len(adaptive) == len(stepped)
    # An exponential upstroke takes less than a step: its time is that of the step.
    bound = {"eif": 0.02, "adex": 0.02}.get(entry.name, 1e-4)
    np.testing.assert_allclose(stepped, adaptive, atol=bound)
    assert len(adaptive) >= (entry.name != "li")


# -- what may happen within a step


class Bump(sl.NeuronModel):
    """v(t) = t (2 T - t) rises to T^2 at T and falls again."""

    top = sl.param(0.1)
    clock = sl.state(0.0)
    v = sl.state(0.0)
    i = sl.input()

    def derivative(self, s, x):
        return {"clock": 1.0 + 0.0 * x.i, "v": 2.0 * (self.top - s.clock) * 1.0}

    def threshold(self, s):
        return s.v - 0.009

    def reset(self, s):
        return {"v": s.v - 1.0}


@pytest.mark.parametrize("solver", [Located(RK4()), Located(Heun()), DormandPrince()], ids=repr)
@pytest.mark.parametrize("dt", [0.05, 0.3, 1.0])
def test_a_crossing_up_and_down_within_a_step_is_found(solver, dt: float) -> None:
    trace = sl.simulate(Bump(), 0.0, 3.0, dt, solver=solver)
    np.testing.assert_allclose(trace.spike_times, [0.1 - math.sqrt(0.001)], rtol=1e-10)
    below = sl.simulate(Bump(top=0.09), 0.0, 3.0, dt, solver=solver)  # its top is 0.0081
    assert len(below.spike_times) == 0
    if dt > 0.2:
        assert not sl.simulate(Bump(), 0.0, 3.0, dt, solver=RK4()).fired.any()


def test_many_spikes_within_one_step() -> None:
    lif = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")
    trace = sl.simulate(lif, 2000.0, 1.0, 1.0, solver=Located())
    isi = 10.0 * math.log(2000.0 / 1985.0)
    np.testing.assert_allclose(trace.spike_times, isi * np.arange(1, 14), rtol=1e-12)
    assert trace.fired.tolist() == [False, True]


def test_what_arrives_does_so_at_the_end_of_its_step() -> None:
    lif = sl.LIF(tau=10.0, v_threshold=1.0)
    jumps = np.zeros((20, 1))
    jumps[[2, 3, 10]] = [[0.7], [0.7], [0.4]]
    for solver in (Located(), DormandPrince(rtol=1e-12, atol=1e-12)):
        off = sl.simulate(lif, jumps, 10.0, 0.5, into="v", solver=solver)
        on = sl.simulate(lif, jumps, 10.0, 0.5, into="v")
        np.testing.assert_allclose(off["v"], on["v"], atol=1e-10)
        assert off.spike_times[0].tolist() == [2.0]
    blocked = sl.Refractory(lif, t_ref=1.2)
    jumps[4:7] = 5.0  # at 2.5 and 3.0 ms into the refractory time, at 3.5 ms after it
    trace = sl.simulate(blocked, jumps, 10.0, 0.5, into="v", solver=Located())
    assert trace.spike_times[0].tolist()[:2] == [2.0, 3.5]


@pytest.mark.parametrize(("dt", "t_ref"), [(0.1, 1.0), (0.1, 2.1), (0.05, 0.5), (0.3, 2.1), (0.7, 2.1)])
def test_what_arrives_at_the_end_of_a_refractory_time_is_ignored_as_on_the_grid(dt: float, t_ref: float) -> None:
    model = sl.Refractory(sl.LIF(tau=10.0, reset_mechanism="value"), t_ref=t_ref)
    jumps = np.full((300, 1), 1.5)  # each makes a spike, or is ignored
    held = round(t_ref / dt)
    for solver in (None, Located(), DormandPrince()):
        trace = sl.simulate(model, jumps, 300 * dt, dt, into="v", solver=solver)
        assert trace.spikes.steps.tolist() == list(range(1, 301, held + 1))


def test_a_refractory_time_that_ends_within_a_step() -> None:
    lif = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")
    trace = sl.simulate(sl.Refractory(lif, t_ref=0.3), 20.0, 50.0, 1.0, solver=Located())
    isi = 0.3 + 10.0 * math.log(4.0)
    np.testing.assert_allclose(np.diff(trace.spike_times), isi, rtol=1e-12)
    k = math.ceil(trace.spike_times[0])
    since = k - trace.spike_times[0]
    assert trace["remaining"][k] == pytest.approx(max(0.3 - since, 0.0), abs=1e-12)


def test_a_model_without_reset_that_is_refractory() -> None:
    model = sl.Refractory(sl.HodgkinHuxley(), t_ref=2.0)
    for solver in (Located(RK4()), DormandPrince()):
        trace = sl.simulate(model, 10.0, 40.0, 0.02, solver=solver)
        first = trace.spike_times[0]
        held = (trace.times > first) & (trace.times < first + 2.0)
        np.testing.assert_allclose(trace["v"][held], -30.0, atol=1e-9)
        assert np.diff(trace.spike_times).min() > 5.0


def test_recorders_see_peaks_and_the_right_grid_points() -> None:
    lif = sl.Peak(sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value"), v_peak=40.0)
    for solver in (Located(), DormandPrince()):
        trace = sl.simulate(lif, 20.0, 50.0, 1.0, solver=solver, record=["v"])
        assert np.flatnonzero(trace.fired).tolist() == [14, 28, 42]
        assert trace["v"][[14, 28, 42]].tolist() == [40.0] * 3
        assert trace.names() == ["v"]


def test_a_parameter_and_a_start_for_each_neuron() -> None:
    lif = sl.LIF(tau=np.array([10.0, 20.0]), v_threshold=15.0, reset_mechanism="value")
    trace = sl.simulate(lif, [20.0, 30.0], 60.0, 1.0, solver=Located(), state={"v": [0.0, 5.0]})
    first = [10.0 * math.log(4.0), 20.0 * math.log(25.0 / 15.0)]
    assert [times[0] for times in trace.spike_times] == pytest.approx(first, rel=1e-13)
    assert trace["v"].shape == trace.fired.shape == (61, 2)
    assert trace.rates().shape == (2,)


# -- refusals


@pytest.mark.parametrize(
    "solver", [Located(RK4()), Located(), DormandPrince(), sl.solvers.Interpolated(RK4())], ids=repr
)
def test_layers_refuse_them(solver) -> None:
    x = torch.ones(3, 1, 1)
    for run in (
        lambda: sl.scan(sl.LIF(), {"v": x}, solver=solver),
        lambda: sl.nn.Neuron(sl.LIF(), solver=solver)(x),
    ):
        with pytest.raises(ModelError, match=r"between grid points, which scan and sl.nn layers cannot have") as e:
            run()
        assert "RK4()" in e.value.mend


def test_what_does_not_fit() -> None:
    with pytest.raises(ModelError, match="HodgkinHuxley: dv/dt is not linear"):
        sl.simulate(sl.HodgkinHuxley(), 0.0, 1.0, solver=Located(Exact()))
    for base in (DormandPrince(), Located(), sl.solvers.EulerMaruyama(), RK4):
        with pytest.raises(ModelError, match="Located goes around a deterministic one-step solver"):
            Located(base)
    for bad in ({"rtol": 0.0}, {"rtol": 1e-15}, {"atol": -1.0}, {"rtol": "small"}, {"order": 4}):
        with pytest.raises(ParameterError, match=f"DormandPrince: {next(iter(bad))}"):
            DormandPrince(**bad)
    with pytest.raises(ModelError, match="LIF has no state 'w'"):
        sl.simulate(sl.LIF(), 0.0, 1.0, solver=Located(), record=["w"])


@pytest.mark.parametrize("solver", [Located(), DormandPrince()], ids=repr)
def test_noise_is_refused_by_name(solver) -> None:
    class Noisy(sl.LI):
        def noise(self, s, x):
            return {"v": 0.3}

    with pytest.raises(ModelError, match=rf"Noisy: v is random, and {solver.name} is deterministic") as e:
        sl.simulate(Noisy(), 0.0, 1.0, solver=solver)
    assert "EulerMaruyama" in e.value.mend


@pytest.mark.parametrize("solver", [Located(RK4()), DormandPrince()], ids=repr)
def test_a_reset_that_does_not_reset(solver) -> None:
    class Stuck(Quadratic):
        def reset(self, s):
            return {"v": self.top + 1.0}

    with pytest.raises(ModelError, match=r"Stuck: its reset leaves it at or above its threshold at 32\.45\d* ms"):
        sl.simulate(Stuck(), 0.5, 60.0, 0.5, solver=solver)
    held = sl.simulate(sl.Refractory(Stuck(), t_ref=10.0), 0.5, 60.0, 0.5, solver=solver)
    np.testing.assert_allclose(np.diff(held.spike_times), 10.0, rtol=1e-12)


def test_solutions_that_run_off() -> None:
    class Free(Quadratic):
        def threshold(self, s):
            return None

        def reset(self, s):
            return {}

    pole = 10.0 * math.sqrt(2.0) * (math.pi / 2.0 + math.atan(math.sqrt(2.0)))
    with pytest.raises(NonFiniteError, match=r"Free: the step shrank to nothing at (\S+) ms") as e:
        sl.simulate(Free(), 0.5, 60.0, solver=DormandPrince())
    assert float(e.value.what.split()[-2]) == pytest.approx(pole, rel=1e-5)
    with pytest.raises(NonFiniteError, match=r"Free: state v is not finite after 3\d\.\d+ ms"):
        sl.simulate(Free(), 0.5, 60.0, solver=Located(RK4()))


def test_they_are_values() -> None:
    for solver in (Located(), Located(RK4()), DormandPrince(), DormandPrince(rtol=1e-6)):
        assert eval(repr(solver)) == solver
        assert hash(eval(repr(solver))) == hash(solver)
    assert Located(RK4()) != Located(Heun())
    assert pulses((1.0, 2.0), amplitude=1.0).breaks() == (1.0, 2.0)


@pytest.mark.parametrize("order", [5, 8])
def test_a_pulse_in_a_function_without_breaks_is_not_passed_over(order: int) -> None:
    def current(t):
        return np.where((t >= 30.0) & (t < 30.2), 50.0, 0.0)

    trace = sl.simulate(sl.LI(tau=10.0), current, 60.0, 0.1, solver=DormandPrince(order=order))
    jump = 50.0 * -math.expm1(-0.02)
    assert trace["v"][-1] == pytest.approx(jump * math.exp(-29.8 / 10.0), rel=1e-7)
