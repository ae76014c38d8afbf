"""L2: solvers against closed forms, matrix exponentials, tight reference integrations, and their orders."""

from __future__ import annotations

import copy
import itertools
import math
import pickle

import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import torch

import spikeloom as sl
from spikeloom.errors import ModelError
from spikeloom.kernels.exponential import matrix_exponential
from spikeloom.lang import math as m
from spikeloom.solvers import (
    RK3,
    RK4,
    CrankNicolson,
    Exact,
    ExponentialEuler,
    ForwardEuler,
    Heun,
    ImplicitEuler,
    Midpoint,
    SequentialEuler,
    default_solver,
    is_linear,
)
from spikeloom.solvers.runge_kutta import FORWARD_EULER, HEUN, MIDPOINT, RK3_TABLE, RK4_TABLE


class FitzHughNagumo(sl.NeuronModel):
    """Smooth, nonlinear, two states, no spikes."""

    v = sl.state(-1.2)
    w = sl.state(-0.6)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": (s.v - s.v**3 / 3.0 - s.w + x.i) * 1.0, "w": (s.v + 0.7 - 0.8 * s.w) * 0.08}


class Logistic(sl.NeuronModel):
    """Nonlinear with a single state: v(t) = 1 / (1 + (1/v0 - 1) exp(-t))."""

    v = sl.state(0.1)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": 1.0 * s.v * (1.0 - s.v) + 0.0 * x.i}


class Synaptic(sl.NeuronModel):
    """A LIF membrane behind an exponential synapse: two coupled linear states."""

    tau = sl.param(10.0, sl.ms, low=0.0)
    tau_syn = sl.param(2.0, sl.ms, low=0.0)
    v = sl.state(0.0, sl.mV)
    g = sl.state(0.0, sl.mV)
    i = sl.input(sl.mV)

    def derivative(self, s, x):
        return {"v": (x.i + s.g - s.v) / self.tau, "g": -s.g / self.tau_syn}


class Matrix(sl.NeuronModel):
    """ds/dt = A s + i b with a full 3 x 3 matrix."""

    locals().update({f"a{k}{j}": sl.param(0.0) for k in range(3) for j in range(3)})
    x0, x1, x2 = sl.state(1.0), sl.state(-2.0), sl.state(0.5)
    i = sl.input()

    def derivative(self, s, x):
        states = (s.x0, s.x1, s.x2)
        rows = [sum((getattr(self, f"a{k}{j}") * states[j] for j in range(3)), 0.0) for k in range(3)]
        return {f"x{k}": 1.0 * (row + (k + 1.0) * x.i) for k, row in enumerate(rows)}


def final_error(
    model: sl.NeuronModel, solver, duration: float, dt: float, expected: np.ndarray, current: float
) -> float:
    trace = sl.simulate(model, current, duration, dt, solver=solver)
    return float(np.max(np.abs(np.array([trace[n][-1] for n in model.states]) - expected)))


@pytest.fixture(scope="module")
def fitzhugh() -> np.ndarray:
    def field(_, y):
        return [y[0] - y[0] ** 3 / 3 - y[1] + 0.5, (y[0] + 0.7 - 0.8 * y[1]) * 0.08]

    found = scipy.integrate.solve_ivp(field, (0, 8.0), [-1.2, -0.6], method="DOP853", rtol=1e-13, atol=1e-13)
    return found.y[:, -1]


@pytest.mark.parametrize(
    ("solver", "order", "steps"),
    [
        (ForwardEuler(), 1, (400, 800, 1600)), (Heun(), 2, (200, 400, 800)), (Midpoint(), 2, (200, 400, 800)),
        (RK3(), 3, (320, 640, 1280)), (RK4(), 4, (40, 80, 160)), (ExponentialEuler(), 1, (400, 800, 1600)),
        (SequentialEuler(), 1, (400, 800, 1600)), (SequentialEuler(substeps=3), 1, (400, 800, 1600)),
        (ImplicitEuler(), 1, (400, 800, 1600)), (ImplicitEuler(iterations=1), 1, (800, 1600, 3200)),
        (CrankNicolson(), 2, (200, 400, 800)), (CrankNicolson(iterations=1), 2, (400, 800, 1600)),
    ],
)  # fmt: skip
def test_measured_order(fitzhugh: np.ndarray, solver, order: int, steps: tuple[int, ...]) -> None:
    errors = [final_error(FitzHughNagumo(), solver, 8.0, 8.0 / n, fitzhugh, 0.5) for n in steps]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert orders[-1] == pytest.approx(order, abs=0.06)
    assert orders[0] == pytest.approx(order, abs=0.15)
    assert errors[-1] > 1e-13  # or else rounding was measured


def test_exponential_euler_has_order_two_for_a_single_state() -> None:
    # With one state the diagonal is the whole Jacobian: the exponential Rosenbrock-Euler method.
    exact = np.array([1.0 / (1.0 + 9.0 * math.exp(-4.0))])
    errors = [final_error(Logistic(), ExponentialEuler(), 4.0, 4.0 / n, exact, 0.0) for n in (40, 80, 160)]
    assert math.log2(errors[1] / errors[2]) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("table", [FORWARD_EULER, HEUN, MIDPOINT, RK3_TABLE, RK4_TABLE])
def test_butcher_tables_fulfil_their_order_conditions(table) -> None:
    n = len(table.b)
    a = np.array([[*row, *[0.0] * (n - len(row))] for row in table.a])
    b, c = np.array(table.b), a.sum(axis=1)
    conditions = {
        1: [(b.sum(), 1)], 2: [(b @ c, 1 / 2)], 3: [(b @ c**2, 1 / 3), (b @ a @ c, 1 / 6)],
        4: [(b @ c**3, 1 / 4), ((b * c) @ a @ c, 1 / 8), (b @ a @ c**2, 1 / 12), (b @ a @ a @ c, 1 / 24)],
    }  # fmt: skip
    fulfilled = {k: all(abs(x - y) < 1e-15 for x, y in found) for k, found in conditions.items()}
    assert all(fulfilled[k] for k in range(1, table.order + 1))
    assert not all(fulfilled[k] for k in range(1, min(4, table.order + 1) + 1)) or table.order == 4


def test_a_step_by_hand() -> None:
    model, s, x = Logistic(), {"v": 0.3}, {"i": 0.0}
    slope, dt = 0.3 * 0.7, 0.25
    assert ForwardEuler().update(model, dt)(s, x)["v"] == pytest.approx(0.3 + dt * slope, rel=1e-15)
    predicted = 0.3 + dt * slope
    heun = 0.3 + dt * 0.5 * (slope + predicted * (1 - predicted))
    assert Heun().update(model, dt)(s, x)["v"] == pytest.approx(heun, rel=1e-15)
    jacobian = 1 - 2 * 0.3
    exponential = 0.3 + math.expm1(jacobian * dt) / jacobian * slope
    assert ExponentialEuler().update(model, dt)(s, x)["v"] == pytest.approx(exponential, rel=1e-14)


@pytest.mark.parametrize("solver", [Heun(), RK3(), RK4(), ExponentialEuler(), SequentialEuler(2), CrankNicolson()])
@pytest.mark.parametrize("model", [FitzHughNagumo(), sl.HodgkinHuxley(), Synaptic()], ids=repr)
def test_the_kernel_does_what_the_update_says(model: sl.NeuronModel, solver) -> None:
    update, (target, *_) = solver.update(model, 0.02), model.inputs
    trace = sl.simulate(model, 7.0, 0.2, 0.02, solver=solver)
    states = {n: trace[n][0] for n in model.states}
    for k in range(1, 11):
        states |= update(states, {target: 7.0})
        np.testing.assert_allclose([trace[n][k] for n in states], list(states.values()), rtol=1e-12, atol=1e-13)


# -- the exact propagator


@pytest.mark.parametrize("dt", [0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 20.0])
def test_the_error_of_the_exact_propagator_does_not_depend_on_the_step(dt: float) -> None:
    trace = sl.simulate(sl.LI(tau=10.0, v_rest=-65.0, r=0.04), 300.0, 20.0, dt, state={"v": -60.0})
    expected = -65.0 + 12.0 + (5.0 - 12.0) * np.exp(-trace.times / 10.0)
    # Each step rounds once: 1e-12 leaves room for the 20 000 steps of the smallest dt.
    np.testing.assert_allclose(trace["v"], expected, rtol=1e-12)


@pytest.mark.parametrize("dt", [0.01, 0.1, 1.0, 10.0])
def test_exponential_synapse_against_its_closed_form(dt: float) -> None:
    trace = sl.simulate(Synaptic(), 3.0, 40.0, dt, state={"v": 1.0, "g": 8.0})
    t, tau, tau_syn = trace.times, 10.0, 2.0
    kernel = tau_syn / (tau - tau_syn) * (np.exp(-t / tau) - np.exp(-t / tau_syn))
    expected = np.exp(-t / tau) + 3.0 * -np.expm1(-t / tau) + 8.0 * kernel
    np.testing.assert_allclose(trace["v"], expected, rtol=1e-12)
    np.testing.assert_allclose(trace["g"], 8.0 * np.exp(-t / tau_syn), rtol=1e-12)


@pytest.mark.parametrize("difference", [1e-3, 1e-6, 1e-9, 1e-12, 0.0])
@pytest.mark.parametrize("dt", [0.1, 1.0])
def test_nearly_equal_time_constants_against_mpmath(difference: float, dt: float) -> None:
    # Where the closed form above loses as many digits as the two time constants share.
    model = Synaptic(tau=10.0, tau_syn=10.0 * (1.0 + difference))
    trace = sl.simulate(model, 0.0, 50.0, dt, state={"g": 1.0})
    with mpmath.workdps(60):
        tau, tau_syn = mpmath.mpf(model.tau), mpmath.mpf(model.tau_syn)

        def exact(t: float) -> float:
            if tau == tau_syn:  # the alpha function
                return float(t / tau * mpmath.exp(-t / tau))
            return float(tau_syn / (tau - tau_syn) * (mpmath.exp(-t / tau) - mpmath.exp(-t / tau_syn)))

        expected = [exact(mpmath.mpf(k) * mpmath.mpf(dt)) for k in range(len(trace.times))]
    np.testing.assert_allclose(trace["v"], expected, rtol=1e-12)


@pytest.mark.parametrize("size", [1e-5, 1e-3, 0.01, 0.04, 0.3, 1.0, 8.0, 40.0])
@pytest.mark.parametrize("kind", ["rotation", "cascade", "stiff", "coupled over 6 decades", "random"])
def test_every_entry_of_a_matrix_exponential(size: float, kind: str) -> None:
    # Entry by entry, so that a small one counts: torch.linalg.matrix_exp misses this by up to 1e-7.
    a = {
        "rotation": [[0, -1], [1, 0]], "cascade": [[-1, 0.5], [0, -0.3]], "stiff": [[-1e-3, 1], [0, -1]],
        "coupled over 6 decades": [[-1, 1e6], [1e-7, -0.3]], "random": np.random.default_rng(3).normal(size=(2, 2)),
    }[kind]  # fmt: skip
    matrix = np.zeros((4, 4))
    matrix[:2, :2], matrix[:2, 2:] = size * np.array(a), min(size, 1.0) * np.eye(2)
    with mpmath.workdps(60):
        exact = np.array(mpmath.expm(mpmath.matrix(matrix.tolist()), method="taylor").tolist(), dtype=float)
    found = matrix_exponential(torch.from_numpy(np.stack([matrix, matrix]))).numpy()
    np.testing.assert_allclose(found[0], exact, rtol=1e-14 * max(1.0, size))
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("seed", range(6))
def test_coupled_states_against_the_matrix_exponential(seed: int) -> None:
    a = np.random.default_rng(seed).normal(size=(3, 3)) - 1.2 * np.eye(3)
    if seed >= 4:
        a = np.triu(a)  # which leaves entries of the propagator that are exactly 0
    model = Matrix(**{f"a{k}{j}": a[k, j] for k in range(3) for j in range(3)})
    assert default_solver(model) == Exact()
    trace = sl.simulate(model, 0.7, 3.0, 0.5)
    b, start = 0.7 * np.array([1.0, 2.0, 3.0]), np.array([1.0, -2.0, 0.5])
    steady = -np.linalg.solve(a, b)
    for k, t in enumerate(trace.times):
        expected = steady + scipy.linalg.expm(a * t) @ (start - steady)
        found = [trace[f"x{j}"][k] for j in range(3)]
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13 * np.abs(expected).max())


def test_a_singular_matrix_and_a_rotation() -> None:
    trace = sl.simulate(Matrix(a01=-2.0, a10=2.0), 0.0, 100.0, 0.01)
    x, y = trace["x0"], trace["x1"]
    np.testing.assert_allclose(np.hypot(x, y), math.sqrt(5.0), rtol=1e-11)  # 10 000 steps
    np.testing.assert_allclose(x, np.cos(2 * trace.times) + 2 * np.sin(2 * trace.times), atol=1e-11)
    still = sl.simulate(Matrix(a01=1.0), 2.0, 3.0, 0.25)  # x1 grows by 4 t, x0 by its integral and 2 t
    t = still.times
    np.testing.assert_allclose(still["x1"], -2.0 + 4.0 * t, rtol=1e-13)
    np.testing.assert_allclose(still["x0"], 1.0 - 2.0 * t + 2.0 * t**2 + 2.0 * t, rtol=1e-12)


def test_adaptive_threshold_between_spikes() -> None:
    model = sl.ALIF(tau=10.0, tau_adaptation=150.0, beta=2.0, v_threshold=1e6)
    trace = sl.simulate(model, 5.0, 60.0, 0.3, state={"v": 1.0, "a": 3.0})
    np.testing.assert_allclose(trace["v"], 5.0 - 4.0 * np.exp(-trace.times / 10.0), rtol=1e-13)
    np.testing.assert_allclose(trace["a"], 3.0 * np.exp(-trace.times / 150.0), rtol=1e-12)


def test_perfect_integration_has_no_rounding_bias_from_a_vanishing_leak() -> None:
    # tau = 1e9 ms: 1 - exp(-dt/tau) would keep 7 digits of the drive; dt exprel(-dt/tau) keeps all.
    trace = sl.simulate(sl.LI(tau=1e9, r=1e9), 1.0, 10.0, 0.1)
    expected = [float(-mpmath.expm1(mpmath.mpf(-t) / 10**9) * 10**9) for t in trace.times]
    np.testing.assert_allclose(trace["v"], expected, rtol=1e-13)


@pytest.mark.parametrize("difference", [0.5, 1e-9])
def test_gradients_to_time_constants_through_the_matrix_exponential(difference: float) -> None:
    # d/dtau and d/dtau_syn of v(t), differentiated in 40 digits.
    tau, tau_syn, t = 10.0, 10.0 * (1.0 + difference), 12.0
    learned = {
        n: torch.tensor(v, dtype=torch.float64, requires_grad=True) for n, v in (("tau", tau), ("tau_syn", tau_syn))
    }
    start = {"v": torch.zeros(1, 1, dtype=torch.float64), "g": torch.ones(1, 1, dtype=torch.float64)}
    x = torch.zeros(24, 1, 1, dtype=torch.float64)
    final = sl.scan(Synaptic(tau=tau, tau_syn=tau_syn), {"v": x}, start, learned=learned, dt=0.5).final["v"]
    final.sum().backward()

    def exact(a, b):
        return b / (a - b) * (mpmath.exp(-t / a) - mpmath.exp(-t / b))

    with mpmath.workdps(60):
        expected = [
            float(mpmath.diff(exact, (mpmath.mpf(tau), mpmath.mpf(tau_syn)), order)) for order in ((1, 0), (0, 1))
        ]
    found = [learned[n].grad.item() for n in ("tau", "tau_syn")]  # type: ignore[union-attr]
    np.testing.assert_allclose(found, expected, rtol=1e-11)


# -- which solver fits


class Product(Synaptic):
    def derivative(self, s, x):
        return {"v": s.g * s.v / (self.tau * 1.0), "g": -s.g / self.tau_syn}


class Conductance(Synaptic):
    def derivative(self, s, x):
        return {"v": -x.i * s.v / (self.tau * 1.0), "g": -s.g / self.tau_syn}


class Paused(Synaptic):
    left = sl.timer()

    def derivative(self, s, x):
        return {"v": m.where(s.left > 0.0, 0.0, -s.v / self.tau), "g": -s.g / self.tau_syn}


class Rectified(Synaptic):
    def derivative(self, s, x):
        return {"v": -s.v / self.tau, "g": m.maximum(s.v, 0.0) / self.tau}


class SquaredDrive(Synaptic):
    """Not linear in the input, which is held, so that the exact solver fits."""

    def derivative(self, s, x):
        return {"v": (x.i * x.i * 1.0 - s.v) / self.tau, "g": -s.g / self.tau_syn}


@pytest.mark.parametrize(
    ("model", "culprit"),
    [
        (sl.HodgkinHuxley(), "dv/dt"), (Product(), "dv/dt"), (Conductance(), "dv/dt"), (Rectified(), "dg/dt"),
        (FitzHughNagumo(), "dv/dt"), (Logistic(), "dv/dt"), (Paused(), "dv/dt"),
    ],
    ids=repr,
)  # fmt: skip
def test_exact_refuses_what_is_not_linear_and_names_it(model: sl.NeuronModel, culprit: str) -> None:
    with pytest.raises(ModelError, match=f"{type(model).__name__}: {culprit} is not linear") as caught:
        sl.simulate(model, 0.0, 1.0, 0.1, solver=Exact())
    assert "RK4" in caught.value.mend
    assert not is_linear(model)
    assert default_solver(model) == RK4()


@pytest.mark.parametrize(
    "model",
    [sl.LIF(), sl.IF(), sl.LI(), sl.ALIF(), Synaptic(), Matrix(), SquaredDrive(), sl.Refractory(sl.LIF())],
    ids=repr,
)
def test_linear_models_get_the_exact_solver(model: sl.NeuronModel) -> None:
    assert default_solver(model) == Exact()


def test_a_drive_that_is_not_linear_in_the_input() -> None:
    trace = sl.simulate(SquaredDrive(), 3.0, 20.0, 0.5)
    np.testing.assert_allclose(trace["v"], 9.0 * -np.expm1(-trace.times / 10.0), rtol=1e-13)


# -- the order of events in a step


def one_step(model: sl.NeuronModel, streams: dict[str, float], start: dict[str, float], dt: float = 1.0):
    tensors = {n: torch.full((1, 1, 1), v, dtype=torch.float64) for n, v in streams.items()}
    begin = {n: torch.full((1, 1), v, dtype=torch.float64) for n, v in start.items()}
    result = sl.scan(model, tensors, begin, dt=dt)
    return {n: f.item() for n, f in result.final.items()}, None if result.spikes is None else result.spikes.item()


def test_integrate_then_jump_then_compare_then_reset_all_in_one_step() -> None:
    lif = sl.LIF(tau=10.0, v_threshold=1.0, r=2.0)
    decay = math.exp(-0.1)
    held = 0.5 * decay + 2.0 * 0.3 * (1 - decay)  # the input is held over the whole step
    final, spike = one_step(lif, {"i": 0.3, "v": 0.2}, {"v": 0.5})
    assert spike == 0.0
    assert final["v"] == pytest.approx(held + 0.2, rel=1e-15)  # the jump does not decay in its own step
    final, spike = one_step(lif, {"i": 0.3, "v": 0.8}, {"v": 0.5})
    assert spike == 1.0
    assert final["v"] == pytest.approx(held + 0.8 - 1.0, rel=1e-14)  # reset in the step of the spike


def test_a_jump_onto_the_threshold_fires_at_once_and_one_before_it_does_not() -> None:
    lif = sl.LIF(tau=10.0)
    assert one_step(lif, {"v": 1.0}, {"v": 0.0}) == ({"v": 0.0}, 1.0)
    below = math.nextafter(1.0, 0.0)
    assert one_step(lif, {"v": below}, {"v": 0.0}) == ({"v": below}, 0.0)


def test_a_held_state_stands_still_while_the_others_go_on() -> None:
    model = sl.Refractory(type("Firing", (Synaptic,), {
        "threshold": lambda self, s: s.v - 5.0, "reset": lambda self, s: {"v": 1.5}})(), t_ref=3.0)  # fmt: skip
    trace = sl.simulate(model, 40.0, 12.0, 0.5, state={"g": 2.0})
    first = int(np.flatnonzero(trace.fired)[0])
    np.testing.assert_array_equal(trace["v"][first : first + 7], 1.5)  # the reset value and 6 held steps
    np.testing.assert_allclose(trace["g"], 2.0 * np.exp(-trace.times / 2.0), rtol=1e-12)
    held, t = 2.0 * math.exp(-trace.times[first + 6] / 2.0), 0.5
    kernel = 0.25 * (math.exp(-t / 10.0) - math.exp(-t / 2.0))
    after = 1.5 * math.exp(-t / 10.0) - 40.0 * math.expm1(-t / 10.0) + held * kernel
    assert trace["v"][first + 7] == pytest.approx(after, rel=1e-13)


def test_input_to_a_held_membrane_is_ignored_but_not_that_to_other_states() -> None:
    model = sl.Refractory(Synaptic(), t_ref=3.0)
    final, _ = one_step(model, {"v": 100.0, "g": 5.0, "i": 9.0}, {"v": 1.0, "g": 2.0, "remaining": 2.0})
    assert final == pytest.approx({"v": 1.0, "g": 2.0 * math.exp(-0.5) + 5.0, "remaining": 1.0}, rel=1e-15)


# -- values


def test_solvers_are_values() -> None:
    plain = [ForwardEuler(), Midpoint(), Heun(), RK3(), RK4(), Exact(), ExponentialEuler()]
    every = [*plain, SequentialEuler(), SequentialEuler(2), ImplicitEuler(), ImplicitEuler(3), CrankNicolson()]
    for a, b in itertools.product(every, repeat=2):
        assert (a == b) == (a is b)
    for solver in every:
        for same in (copy.deepcopy(solver), pickle.loads(pickle.dumps(solver)), eval(repr(solver))):
            assert same == solver
            assert hash(same) == hash(solver)
    assert [repr(solver) for solver in plain] == [f"{type(solver).__name__}()" for solver in plain]
