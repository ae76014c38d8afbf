"""Implicit solvers and forward Euler one state after the other: what each step must fulfil, written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import torch

import spikeloom as sl
from spikeloom.errors import ModelError, NonFiniteError, ParameterError
from spikeloom.kernels.field import vector_field
from spikeloom.solvers import RK4, CrankNicolson, ImplicitEuler, SequentialEuler
from spikeloom.solvers.implicit import _least_fill, _solved


class VanDerPol(sl.NeuronModel):
    """Stiff for large mu."""

    mu = sl.param(5.0)
    v = sl.state(2.0)
    w = sl.state(0.0)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": s.w * 1.0, "w": (self.mu * (1.0 - s.v * s.v) * s.w - s.v + x.i) * 1.0}


def stepped(model: sl.NeuronModel, solver, dt: float, x: float) -> tuple[np.ndarray, np.ndarray]:
    """The initial states and those one step later."""
    start = vector_field(model).start
    states = dict(zip(vector_field(model).names, start.tolist(), strict=True))
    found = solver.update(model, dt)(states, {next(iter(model.inputs)): x})
    return start, np.array(list(found.values()))


@pytest.mark.parametrize(("solver", "theta"), [(ImplicitEuler(8), 1.0), (CrankNicolson(8), 0.5)])
@pytest.mark.parametrize(("model", "x", "dt"), [(sl.HodgkinHuxley(), 10.0, 0.2), (VanDerPol(), 0.5, 0.3)], ids=repr)
def test_a_step_fulfils_its_equation(solver, theta: float, model: sl.NeuronModel, x: float, dt: float) -> None:
    start, end = stepped(model, solver, dt, x)
    field = vector_field(model, {"i": x})

    def residual(y: np.ndarray) -> np.ndarray:
        return y - start - dt * ((1.0 - theta) * field(start) + theta * field(y))

    found = scipy.optimize.fsolve(residual, start, xtol=1e-12)
    np.testing.assert_allclose(residual(end), 0.0, atol=1e-11)
    np.testing.assert_allclose(end, found, rtol=1e-10)


@pytest.mark.parametrize("iterations", [1, 5])
def test_a_linear_model_takes_one_iteration(iterations: int) -> None:
    lif, dt, v, i = sl.LIF(tau=10.0), 4.0, 2.0, 3.0
    state, inputs = {"v": v}, {"i": i}
    implicit = (v + dt / 10.0 * i) / (1.0 + dt / 10.0)
    middle = (v * (1.0 - dt / 20.0) + dt / 10.0 * i) / (1.0 + dt / 20.0)
    assert ImplicitEuler(iterations).update(lif, dt)(state, inputs)["v"] == pytest.approx(implicit, rel=1e-15)
    assert CrankNicolson(iterations).update(lif, dt)(state, inputs)["v"] == pytest.approx(middle, rel=1e-15)


def test_a_step_far_beyond_the_fastest_time_constant() -> None:
    # tau = 0.01 ms at dt = 1 ms: forward Euler multiplies by -99 a step.
    fast = sl.LI(tau=0.01)
    assert sl.simulate(fast, 1.0, 50.0, 1.0, solver=ImplicitEuler())["v"][-1] == pytest.approx(1.0, rel=1e-14)
    ringing = sl.simulate(fast, 1.0, 50.0, 1.0, solver=CrankNicolson())["v"]
    factor = (1.0 - 50.0) / (1.0 + 50.0)
    np.testing.assert_allclose(ringing, 1.0 - factor ** np.arange(51), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", [ImplicitEuler(), CrankNicolson()], ids=repr)
def test_a_step_at_which_explicit_solvers_blow_up(solver) -> None:
    times = sl.simulate(sl.HodgkinHuxley(), 10.0, 50.0, 0.1, solver=solver).spike_times
    np.testing.assert_allclose(times, [1.7534, 16.6380, 31.2852, 45.9223], atol=0.11)  # scipy's DOP853 at 1e-12
    if solver == CrankNicolson():
        with pytest.raises(NonFiniteError):
            sl.simulate(sl.HodgkinHuxley(), 10.0, 4.0, 0.1, solver=RK4())


@pytest.mark.parametrize("solver", [ImplicitEuler(), CrankNicolson()], ids=repr)
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_gradients_through_newtons_iterations(solver, backend: str) -> None:
    def final(mu: float, v: float, grad: bool):
        learned = {"mu": torch.tensor(mu, dtype=torch.float64, requires_grad=grad)}
        start = {
            "v": torch.full((1, 1), v, dtype=torch.float64, requires_grad=grad),
            "w": torch.zeros(1, 1, dtype=torch.float64),
        }
        x = torch.full((40, 1, 1), 0.3, dtype=torch.float64)
        with sl.backend(backend):
            found = sl.scan(VanDerPol(), {"i": x}, start, learned=learned, solver=solver, dt=0.05).final
        return found["v"].sum() + found["w"].sum(), learned["mu"], start["v"]

    total, mu, v = final(2.0, 1.5, True)
    total.backward()
    h = 1e-5
    by_mu = (final(2.0 + h, 1.5, False)[0] - final(2.0 - h, 1.5, False)[0]).item() / (2 * h)
    by_v = (final(2.0, 1.5 + h, False)[0] - final(2.0, 1.5 - h, False)[0]).item() / (2 * h)
    assert mu.grad.item() == pytest.approx(by_mu, rel=1e-7)
    assert v.grad.item() == pytest.approx(by_v, rel=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_elimination_solves_what_it_is_given(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"s{k}" for k in range(6)]
    full = rng.normal(size=(6, 6)) * (rng.random((6, 6)) < 0.5) + 6.0 * np.eye(6)
    entries = {(a, b): full[i, j] for i, a in enumerate(names) for j, b in enumerate(names) if full[i, j] or i == j}
    right = rng.normal(size=6)
    order = _least_fill({a: {b for r, b in entries if r == a} for a in names})
    assert sorted(order) == names
    found = _solved(dict(entries), dict(zip(names, right, strict=True)), order)
    np.testing.assert_allclose([found[n] for n in names], np.linalg.solve(full, right), rtol=1e-12)


def test_gates_are_eliminated_before_the_membrane_that_couples_them() -> None:
    order = _least_fill({"v": {"v", "m", "h", "n"}, "m": {"m", "v"}, "h": {"h", "v"}, "n": {"n", "v"}})
    assert order.index("v") >= 2  # so that nothing fills in
    cost = {
        solver: sum(_operations(sl.HodgkinHuxley(), solver).values())
        for solver in (sl.solvers.ForwardEuler(), ImplicitEuler(1), ImplicitEuler(2))
    }
    once, first, second = cost.values()
    assert second - first < 4 * once  # what the documentation says an iteration costs


def _operations(model: sl.NeuronModel, solver) -> dict[str, int]:
    from spikeloom.kernels.program import program

    return program(model, solver, sl.ATan(), ("i",)).operation_counts()["step"]


class Long(sl.NeuronModel):
    locals().update({f"s{k}": sl.state(0.0) for k in range(17)})
    i = sl.input()

    def derivative(self, s, x):
        return {f"s{k}": (x.i - getattr(s, f"s{k}")) * 1.0 for k in range(17)}


def test_refusals() -> None:
    with pytest.raises(ModelError, match="Long has 17 states, s16 and on too many: expected at most 16 for Crank") as e:
        sl.simulate(Long(), 0.0, 1.0, 0.1, solver=CrankNicolson())
    assert "ExponentialEuler" in e.value.mend
    for value in (0, -1, 1.5, True):
        with pytest.raises(ParameterError, match=r"iterations: got .*, expected a whole number >= 1"):
            ImplicitEuler(value)  # type: ignore[arg-type]
        with pytest.raises(ParameterError, match=r"substeps: got .*, expected a whole number >= 1"):
            SequentialEuler(value)  # type: ignore[arg-type]


# -- one state after the other


class Izhikevich2003(sl.NeuronModel):
    a, b, c, d = sl.param(0.02), sl.param(0.2), sl.param(-65.0), sl.param(8.0)
    v = sl.state(-65.0)
    u = sl.state(-13.0)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": (0.04 * s.v * s.v + 5.0 * s.v + 140.0 - s.u + x.i) * 1.0, "u": self.a * (self.b * s.v - s.u) * 1.0}

    def threshold(self, s):
        return s.v - 30.0

    def reset(self, s):
        return {"v": self.c, "u": s.u + self.d}


def script(current: np.ndarray, dt: float, halves: int) -> tuple[list[int], list[float]]:
    """The published loop: v in ``halves`` forward Euler steps, u once with the new v, then the test for a spike."""
    v, u, fired, trace = -65.0, -13.0, [], []
    for k, i in enumerate(current):
        for _ in range(halves):
            v = v + dt / halves * (0.04 * v * v + 5.0 * v + 140.0 - u + i)
        u = u + dt * 0.02 * (0.2 * v - u)
        if v >= 30.0:
            fired.append(k + 1)
            v, u = -65.0, u + 8.0
        trace.append(v)
    return fired, trace


@pytest.mark.parametrize(("dt", "halves"), [(1.0, 2), (0.25, 1), (1.0, 1)])
def test_the_schemes_of_izhikevichs_scripts(dt: float, halves: int) -> None:
    current = 10.0 + 4.0 * np.random.default_rng(1).normal(size=400)
    fired, expected = script(current, dt, halves)
    trace = sl.simulate(Izhikevich2003(), current[:, None], 400 * dt, dt, solver=SequentialEuler(substeps=halves))
    assert np.flatnonzero(trace.fired[:, 0]).tolist() == fired
    assert len(fired) >= 3
    # An upstroke makes a million out of each rounding error, so that only the beginning can agree to many digits.
    np.testing.assert_allclose(trace["v"][1:41, 0], expected[:40], rtol=1e-11)


def test_sequential_euler_is_not_forward_euler() -> None:
    states, inputs = {"v": 2.0, "w": 1.0}, {"i": 0.0}
    new = SequentialEuler().update(VanDerPol(mu=1.0), 0.5)(states, inputs)
    assert new["v"] == 2.5
    assert new["w"] == 1.0 + 0.5 * ((1.0 - 2.5**2) * 1.0 - 2.5)


def test_sequential_euler_keeps_a_circle_closed() -> None:
    # On a harmonic oscillator it is the symplectic Euler method: v^2 + w^2 - dt v w does not change.
    trace = sl.simulate(VanDerPol(mu=0.0), 0.0, 500.0, 0.1, solver=SequentialEuler())
    v, w = trace["v"], trace["w"]
    energy = v * v + w * w + 0.1 * v * w
    np.testing.assert_allclose(energy, 4.0, rtol=1e-11)


def test_held_states_stand_still() -> None:
    for solver in (SequentialEuler(2), ImplicitEuler(), CrankNicolson()):
        update = solver.update(VanDerPol(), 0.1, held=("v",))
        found = update({"v": 2.0, "w": 0.5}, {"i": 1.0})
        assert found["v"] == 2.0
        assert found["w"] != 0.5
