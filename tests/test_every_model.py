"""The contract over every public model: each class that spikeloom.models exports has a case here, alone or inside one.

A case names the drive that makes some neurons fire, and a solver: a cheap one where kernels are long, and over all
cases every solver and surrogate there is. Longer kernels are built once more, forward only, with the model's default.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spikeloom as sl
from spikeloom import models, solvers, surrogates
from spikeloom.check import Case, check_backend, check_case, run_case
from spikeloom.check.case import close, run_plainly
from spikeloom.check.contract import step_of_methods
from spikeloom.errors import NonFiniteError
from spikeloom.kernels.backends import backend
from spikeloom.kernels.scan import op
from spikeloom.models.channels import Channel
from spikeloom.models.declare import Param
from spikeloom.models.declared import Declared
from spikeloom.models.mechanism import Mechanism
from spikeloom.models.parts import Parts

ATTACHED = {"detach_reset": False}
CASES = [
    # leaky ones
    Case(sl.LIF(tau=5.0), surrogate=sl.ATan(**ATTACHED)),
    Case(sl.LIF(tau=5.0, reset_mechanism="value"), solver=solvers.Heun(), surrogate=sl.Triangle(**ATTACHED)),
    Case(sl.LIF(tau=5.0, reset_mechanism="none"), solver=solvers.ForwardEuler()),
    Case(sl.IF(), surrogate=sl.FastSigmoid()),
    Case(sl.IF(reset_mechanism="value"), surrogate=sl.Triangle()),
    Case(sl.IF(reset_mechanism="none"), solver=solvers.RK4()),
    Case(sl.LI(tau=3.0)),
    Case(sl.ALIF(tau=5.0, beta=0.4), surrogate=sl.Gaussian(width=0.7, **ATTACHED)),
    Case(sl.GLIF1(t_ref=2.0), into={"i": 900.0, "v": 20.0}, surrogate=sl.Triangle()),
    Case(sl.GLIF2(t_ref=1.0), into={"i": 900.0, "v": 20.0}, surrogate=sl.Gaussian(**ATTACHED)),
    Case(sl.GLIF3(t_ref=1.0), into={"i": 900.0, "v": 20.0}, solver=solvers.Midpoint()),
    Case(sl.GLIF4(t_ref=1.0), into={"i": 900.0, "v": 20.0}, surrogate=sl.Sigmoid()),
    Case(sl.GLIF5(t_ref=2.0), into={"i": 900.0, "v": 20.0}, surrogate=sl.ATan(**ATTACHED)),
    Case(
        sl.VoltageThreshold(sl.SpikeThreshold(sl.AfterSpikeCurrents(sl.ResetRule(sl.LIF(tau=6.0), delta_v=0.2)))),
        surrogate=sl.ATan(**ATTACHED),
    ),
    # nonlinear ones
    Case(sl.EIF(), into={"i": 900.0, "v": 10.0}, dt=0.2),
    Case(sl.AdEx(), into={"i": 3000.0, "v": 5.0}, dt=0.2, surrogate=sl.Sigmoid(**ATTACHED)),
    Case(sl.QIF(), dt=0.1, solver=solvers.RK3(), surrogate=sl.FastSigmoid(**ATTACHED)),
    Case(sl.Izhikevich(), into={"i": 30.0, "v": 10.0}, dt=0.5, solver=solvers.SequentialEuler(substeps=2)),
    Case(sl.FitzHughNagumo(), dt=0.2),
    Case(sl.MorrisLecar.preset("snic"), into={"i": 500.0, "v": 10.0}, dt=0.2, solver=solvers.ImplicitEuler()),
    Case(sl.HindmarshRose(), dt=0.05, solver=solvers.CrankNicolson()),
    # channels
    Case(sl.HodgkinHuxley(), into={"i": 500.0, "v": 5.0}, dt=0.05, solver=solvers.ExponentialEuler()),
    Case(sl.ConnorStevens(), into={"i": 1000.0, "v": 3.0}, dt=0.01, solver=solvers.ForwardEuler()),
    Case(sl.WangBuzsaki(), into={"i": 900.0, "v": 5.0}, dt=0.05, solver=solvers.ForwardEuler()),
    Case(sl.TraubMiles(), into={"i": 2e5, "v": 3.0}, dt=0.01, solver=solvers.ForwardEuler()),
    Case(sl.With(sl.Membrane(v_threshold=-60.0), leak=sl.Leak(g=0.3)), into={"i": 30.0, "v": 3.0}),
    # synapses
    Case(
        sl.With(sl.LIF(tau=5.0), a=sl.Exponential(), b=sl.Alpha(), c=sl.DoubleExponential(), d=sl.Delta()),
        surrogate=sl.ATan(**ATTACHED),
    ),
    Case(
        sl.With(sl.ALIF(tau=5.0), exc=sl.Conductance(sl.DoubleExponential(), e=3.0), gap=sl.GapJunction(g=0.3)),
        into={"exc": 1.0, "v_other_gap": 1.0, "v": 0.5},
        solver=solvers.ExponentialEuler(),
    ),
    Case(
        sl.Refractory(sl.With(sl.LIF(tau=5.0), exc=sl.NMDA(sl.Alpha(), e=3.0)), t_ref=2.0),
        into={"exc": 2.0, "v": 0.5},
        solver=solvers.Heun(),
    ),
    Case(
        sl.With(sl.LIF(tau=5.0), exc=sl.Conductance(sl.TsodyksMarkram(sl.Exponential()), e=3.0)),
        into={"exc": 5.0, "i": 0.5},
        solver=solvers.Midpoint(),
    ),
    Case(sl.With(sl.LIF(tau=5.0), exc=sl.Depression(sl.Exponential())), into={"exc": 6.0, "i": 0.5}),
    # noise
    Case(sl.Noisy(sl.LIF(tau=5.0), sigma_noise=0.3), solver=solvers.Milstein()),
    Case(sl.With(sl.LIF(tau=5.0), noise=sl.OrnsteinUhlenbeck(sigma=0.5))),
    Case(sl.EscapeRate(sl.ALIF(tau=5.0), width=0.3), surrogate=sl.FastSigmoid(**ATTACHED), solver=solvers.Heun()),
    # wrappers in one another
    Case(sl.Refractory(sl.Peak(sl.ALIF(tau=5.0), v_peak=4.0), t_ref=2.0), surrogate=sl.Sigmoid(**ATTACHED)),
    Case(
        sl.Noisy(sl.EscapeRate(sl.Refractory(sl.With(sl.LIF(), exc=sl.Exponential()), t_ref=2.0)), sigma_noise=0.1),
        solver=solvers.EulerMaruyama(),
    ),
]  # fmt: skip


def parts_of(value: Declared) -> Iterator[Declared]:
    """A model or mechanism, and everything it is made of."""
    yield value
    inner = getattr(value, "inner", None)
    if isinstance(inner, Declared):
        yield from parts_of(inner)
    parts = getattr(value, "parts", None)
    for part in parts.parts.values() if isinstance(parts, Parts) else ():
        yield from parts_of(part.mechanism)


FOUND = [part for case in CASES for part in parts_of(case.model)]
PUBLIC = [getattr(models, name) for name in models.__all__]
ROLES = (sl.NeuronModel, Mechanism, Channel, sl.Membrane)  # bases, of which only the last can be made


@pytest.fixture(autouse=True)
def poisoned_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every output buffer starts full of NaN, so that an element that no kernel wrote shows."""
    plain = op.empty

    def poisoned(like: torch.Tensor, shape, dtype=None) -> torch.Tensor:
        buffer = plain(like, shape, dtype)
        return buffer.fill_(float("nan")) if buffer.dtype.is_floating_point else buffer.fill_(255)

    monkeypatch.setattr(op, "empty", poisoned)


def label(case: Case) -> str:
    solver = "default" if case.solver is None else case.solver.name
    reset = "" if case.surrogate.detach_reset else "-attached"
    return f"{case.model!r}-{solver}-{type(case.surrogate).__name__}{reset}"


# -- nothing is left out


@pytest.mark.parametrize("cls", [c for c in PUBLIC if issubclass(c, Declared) and c not in ROLES])
def test_every_public_model_and_mechanism_has_a_case(cls: type[Declared]) -> None:
    assert any(type(part) is cls for part in FOUND), f"add a case with {cls.__name__} to CASES of this file"


def test_every_option_has_a_case() -> None:
    options = [(cls, name, option) for cls in PUBLIC for name, option in getattr(cls, "options", {}).items()]
    wanted = {(cls.__name__, name, choice) for cls, name, option in options for choice in option.choices}
    found = {(type(part).__name__, name, getattr(part, name)) for part in FOUND for name in part.options}
    assert sorted(wanted - found) == []


def test_every_kind_of_gate_has_a_case() -> None:
    found = {type(gate) for case in CASES if hasattr(case.model, "gates") for gate in case.model.gates(-60.0).values()}
    assert found == {sl.Rates, sl.Relaxation}


def test_every_solver_and_surrogate_has_a_case() -> None:
    kinds = [getattr(solvers, name) for name in solvers.__all__]
    concrete = {k for k in kinds if inspect.isclass(k) and issubclass(k, solvers.Solver) and not inspect.isabstract(k)}
    used = [case.solver or solvers.default_solver(case.model) for case in CASES]
    found = {type(s) for s in used} | {type(s.base) for s in used if hasattr(s, "base")}
    on_the_grid = {k for k in concrete if not issubclass(k, solvers.OffGrid)} - {solvers.RungeKutta}
    assert not on_the_grid - found
    assert {type(case.surrogate) for case in CASES} == set(surrogates.SURROGATES)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_cases_fire_and_fall_silent(case: Case) -> None:
    """Or equal spikes would say little."""
    with backend("reference"):
        spikes = run_plainly(case, case.streams(), case.state()).spikes
    assert (spikes is None) == (case.model.threshold(case.model.symbols()[0]) is None)
    if spikes is not None:
        assert 0 < int(spikes.sum()) < spikes.numel()


# -- the contract


@pytest.mark.parametrize("case", CASES, ids=label)
def test_contract(case: Case) -> None:
    check_case(case)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_contract_in_float32(case: Case) -> None:
    check_backend(dataclasses.replace(case, dtype=torch.float32))


@pytest.mark.parametrize("case", [case for case in CASES if case.solver is not None], ids=label)
def test_default_solver(case: Case) -> None:
    case = dataclasses.replace(case, solver=None)
    with backend("reference"):
        expected = run_plainly(case, case.streams(), case.state())
    with backend("cpu", strict=True):
        found = run_plainly(case, case.streams(), case.state())
    assert found.spikes is None or torch.equal(found.spikes, expected.spikes)
    for name, value in expected.states.items():
        close(name, found.states[name], value, 1e-13)


# -- any parameters, any input


def values_of(param: Param) -> st.SearchStrategy[float]:
    """Valid values of a parameter, over three decades where it is positive."""
    low, high = param.low, param.high
    if low == 0.0 and high is None:
        return st.floats(-1.5, 1.5).map(lambda x: (param.default or 1.0) * 10.0**x)
    if low is not None or high is not None:
        return st.floats(param.default - 10.0 if low is None else low, param.default + 10.0 if high is None else high)
    return st.floats(-0.5, 0.5).map(lambda x: param.default + (abs(param.default) + 1.0) * x)


@pytest.mark.parametrize("case", CASES, ids=label)
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_step_of_the_scan_is_a_step_of_the_methods(case: Case, data: st.DataObject) -> None:
    changed = {name: data.draw(values_of(param), name) for name, param in case.model.params.items()}
    seed = data.draw(st.integers(0, 1000), "seed")
    case = dataclasses.replace(case, model=case.model.replace(**changed), into=case.drive, steps=1, seed=seed)
    streams, state = case.streams(), case.state()
    now = {name: rows[0] for name, rows in {**streams, **case.random(case.model.random)}.items()}
    expected = step_of_methods(case)(state, now)
    with backend("cpu", strict=True):
        if not all(bool(torch.isfinite(torch.as_tensor(value)).all()) for value in expected.states.values()):
            with pytest.raises(NonFiniteError):
                run_plainly(case, streams, state)
            return
        found = run_plainly(case, streams, state)
    largest = max(float(value.abs().max()) for value in state.values())
    for name, value in expected.states.items():
        close(name, found.final[name], torch.as_tensor(value).expand(found.final[name].shape), 1e-11, 1e-14 * largest)
    if found.spikes is not None:
        assert torch.equal(found.spikes[0], expected.spike)
        assert set(found.spikes.unique().tolist()) <= {0.0, 1.0}


# Products with the voltage, and its powers and exponentials: no fixed step is short enough for any input.
STEEP = (
    sl.Izhikevich, sl.FitzHughNagumo, sl.HindmarshRose, sl.MorrisLecar, sl.HodgkinHuxley, sl.ConnorStevens,
    sl.WangBuzsaki, sl.TraubMiles, sl.Conductance, sl.NMDA,
)  # fmt: skip


@pytest.mark.parametrize("factor", [1e4, -1e4, 1e-42], ids=["huge", "hugely-negative", "denormal"])
@pytest.mark.parametrize("case", CASES, ids=label)
def test_extreme_inputs_in_float32(case: Case, factor: float) -> None:
    """Nothing overflows but what the equations themselves drive out of bounds; neither do gradients."""
    if abs(factor) > 1.0 and any(isinstance(part, STEEP) for part in parts_of(case.model)):
        pytest.skip("its own equations run away")
    drive = {name: size * factor for name, size in case.drive.items()}
    found = run_case(dataclasses.replace(case, into=drive, dtype=torch.float32), "cpu")
    assert found.spikes is None or set(found.spikes.detach().unique().tolist()) <= {0.0, 1.0}
    for name, value in {**found.states, **found.final, **found.gradients}.items():
        assert torch.isfinite(value).all(), name
