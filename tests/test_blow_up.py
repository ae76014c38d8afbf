"""L5: a simulation that leaves the finite numbers says where, and with what step it would not have."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.errors import NonFiniteError
from spikeloom.simulation import BlowUpError, blow_up, run

EULER = sl.solvers.ForwardEuler()


def failing(model: sl.NeuronModel, current: object, duration: float, dt: float, **options: object) -> BlowUpError:
    with pytest.raises(BlowUpError) as caught:
        sl.simulate(model, current, duration, dt, **options)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("solver", [EULER, sl.solvers.Heun(), sl.solvers.RK4()], ids=repr)
@pytest.mark.parametrize("factor", [1.05, 1.7, 40.0])
def test_the_step_is_a_little_below_the_bound_of_a_linear_model(solver: sl.solvers.Solver, factor: float) -> None:
    # |R(z)| <= 1 on the real axis down to z = -2 for Euler and Heun, -2.785293563405 for RK4 (Hairer and Wanner, IV.2)
    tau = 0.5
    bound = tau * (2.785293563405 if isinstance(solver, sl.solvers.RK4) else 2.0)
    error = failing(sl.LI(tau=tau), 3.0, 20_000.0, factor * bound, solver=solver, record=())
    assert (error.state, error.neuron) == ("v", 0)
    assert error.stable_dt is not None
    assert 0.75 * bound <= error.stable_dt <= bound
    calm = sl.simulate(sl.LI(tau=tau), 3.0, 5000.0, error.stable_dt, solver=solver)
    assert np.abs(calm["v"]).max() < 7.0  # it settles at 3, or swings about it and less and less


def test_the_time_is_that_of_the_first_state_beyond_all_numbers() -> None:
    # v - 3 is multiplied by 1 - dt / tau = -4 in each step, and begins at -3: the next power of 4 is too much.
    error = failing(sl.LI(tau=1.0), 3.0, 10_000.0, 5.0, solver=EULER)
    steps = math.floor(math.log(np.finfo(np.float64).max / 3.0, 4.0)) + 1
    assert error.time == steps * 5.0
    single = failing(sl.LI(tau=1.0), 3.0, 10_000.0, 5.0, solver=EULER, dtype="float32")
    assert single.time == (math.floor(math.log(float(np.finfo(np.float32).max) / 3.0, 4.0)) + 1) * 5.0


def test_hodgkin_huxley_with_forward_euler() -> None:
    error = failing(sl.HodgkinHuxley(), np.array([0.0, 0.0, 10.0]), 60.0, 0.2, solver=EULER, record=())
    assert error.neuron == 2  # the ones at rest do not spike, and stay
    assert error.state in ("v", "m", "h", "n")
    assert 0.0 < error.time < 60.0
    assert error.stable_dt is not None
    assert 0.01 < error.stable_dt < 0.2
    trace = sl.simulate(sl.HodgkinHuxley(), 10.0, 60.0, error.stable_dt, solver=EULER)
    assert -90.0 < trace["v"].min() < trace["v"].max() < 100.0
    said = str(error)
    for part in ("HodgkinHuxley", f"state {error.state}", f"{error.time:g} ms", "neuron 2", "dt = 0.2 ms",
                 "ForwardEuler()", f"dt <= {error.stable_dt:g} ms"):  # fmt: skip
        assert part in said


def test_the_neuron_is_judged_by_its_own_parameters_and_drive() -> None:
    drive = np.zeros((4000, 3))
    drive[1000:] = (1.0, 2.0, 3.0)
    error = failing(sl.LI(tau=[10.0, 1.0, 10.0]), drive, 10_000.0, 2.5, solver=EULER)
    assert error.neuron == 1
    assert error.time > 2500.0  # nothing moves before the drive begins
    assert error.stable_dt is not None
    assert 1.5 <= error.stable_dt <= 2.0


def test_equations_that_grow_without_bound_are_not_blamed_on_the_step() -> None:
    class Explosive(sl.NeuronModel):
        tau = sl.param(10.0, sl.ms, low=0.0)
        v = sl.state(1.0)
        i = sl.input()

        def derivative(self, s, x):
            return {"v": (s.v * s.v + x.i) / self.tau}

    error = failing(Explosive(), 0.0, 100.0, 0.1)  # 1 / (1 - t/10)
    assert error.time == pytest.approx(10.0, abs=0.5)
    assert error.stable_dt is None
    assert "grow without bound" in str(error)


def test_the_same_on_every_backend_and_in_any_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    def facts() -> tuple[object, ...]:
        error = failing(sl.LI(tau=1.0), np.array([0.0, 1.0]), 5000.0, 2.5, solver=EULER, record=())
        return error.state, error.neuron, error.time, error.stable_dt

    whole = facts()
    for size in (1, 100, 1999):
        monkeypatch.setattr(run, "_AT_ONCE", 1)
        monkeypatch.setattr(run, "_FEWEST_STEPS", size)
        assert facts() == whole
    monkeypatch.setattr(blow_up, "_EFFORT", 20_000)
    with sl.backend("reference"):  # where sums round otherwise, so that infinity may come a step sooner or later
        state, neuron, time, _ = facts()
    assert (state, neuron) == whole[:2]
    assert time == pytest.approx(whole[2], abs=2.5)


def test_effort_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blow_up, "_EFFORT", 1000)
    error = failing(sl.LI(tau=1.0), 1.0, 10_000.0, 2.5, solver=EULER)
    assert error.stable_dt is None
    assert "Use a smaller step" in str(error)


def test_it_is_a_non_finite_error_that_survives_a_pickle() -> None:
    error = failing(sl.LI(tau=1.0), 1.0, 10_000.0, 2.5, solver=EULER)
    assert isinstance(error, NonFiniteError)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is BlowUpError
    assert vars(again) == vars(error)
    assert str(again) == str(error)
