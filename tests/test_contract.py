"""Every backend equals the reference: resets x solvers x surrogates for LIF, sizes, and what users see of check_model.

The models one by one are in test_every_model.py.
"""

import dataclasses
import itertools

import pytest
import torch

import spikeloom as sl
from spikeloom import solvers
from spikeloom.check import Case, ContractError, check_backend, check_model
from spikeloom.check.case import run_plainly
from spikeloom.errors import BackendError, ModelError, NonFiniteError, ParameterError
from spikeloom.kernels.backends import backend
from spikeloom.kernels.scan import op
from spikeloom.surrogates import SURROGATES


class Mine(sl.NeuronModel):
    """The fifteen-line neuron of the README."""

    tau = sl.param(20.0, sl.ms, low=0.0)
    v_threshold = sl.param(15.0, sl.mV)
    v = sl.state(0.0, sl.mV)
    i = sl.input(sl.mV)

    def derivative(self, s, x):
        return {"v": (x.i - s.v) / self.tau}

    def threshold(self, s):
        return s.v - self.v_threshold

    def reset(self, s):
        return {"v": 0.0}


class CurrentLIF(sl.NeuronModel):
    """Two coupled linear states: an exponential synaptic current that drives a membrane."""

    tau = sl.param(10.0, sl.ms, low=0.0)
    tau_synapse = sl.param(5.0, sl.ms, low=0.0)
    v = sl.state(0.0)
    current = sl.state(0.0)

    def derivative(self, s, x):
        return {"v": (s.current - s.v) / self.tau, "current": -s.current / self.tau_synapse}

    def threshold(self, s):
        return s.v - 1.0

    def reset(self, s):
        return {"v": s.v - 1.0}


LIFS = [sl.LIF(tau=5.0, reset_mechanism=kind) for kind in ("subtract", "value", "none")]
SOLVERS = [None, solvers.ForwardEuler(), solvers.Heun(), solvers.RK4(), solvers.ExponentialEuler()]


@pytest.fixture(autouse=True)
def poisoned_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every output buffer starts full of NaN, so that an element that no kernel wrote shows."""
    plain = op.empty

    def poisoned(like: torch.Tensor, shape, dtype=None) -> torch.Tensor:
        buffer = plain(like, shape, dtype)
        return buffer.fill_(float("nan")) if buffer.dtype.is_floating_point else buffer.fill_(255)

    monkeypatch.setattr(op, "empty", poisoned)


def cover() -> list[Case]:
    """LIF: the full cross of resets, solvers, surrogates, both reset gradients, alternating precision."""
    full = itertools.product(LIFS, SOLVERS, SURROGATES, (True, False))
    cases = [
        Case(model, solver=solver, surrogate=kind(detach_reset=detached), steps=9, seed=index)
        for index, (model, solver, kind, detached) in enumerate(full)
    ]
    return [dataclasses.replace(c, dtype=(torch.float64, torch.float32)[i % 2]) for i, c in enumerate(cases)]


def label(case: Case) -> str:
    solver = "default" if case.solver is None else case.solver.name
    reset = "" if case.surrogate.detach_reset else "-attached"
    precision = str(case.dtype).removeprefix("torch.")
    return f"{case.model!r}-{solver}-{type(case.surrogate).__name__}{reset}-{precision}"


@pytest.mark.parametrize("case", cover(), ids=label)
def test_cpu_equals_reference_for_every_lif(case: Case) -> None:
    check_backend(case)


@pytest.mark.parametrize("steps", [1, 63, 257])
@pytest.mark.parametrize("neurons", [1, 1000, 4097])
@pytest.mark.parametrize("model", [sl.LIF(tau=5.0), sl.Refractory(sl.ALIF(tau=5.0), t_ref=2.0)], ids=repr)
def test_cpu_equals_reference_at_every_size(model: sl.NeuronModel, steps: int, neurons: int) -> None:
    check_backend(Case(model, steps=steps, neurons=neurons, batch=1 if neurons > 1000 else 3, dtype=torch.float32))


LONG = {"steps": 10_000, "batch": 1, "dtype": torch.float32}


@pytest.mark.parametrize(
    "case",
    [
        Case(sl.Refractory(sl.ALIF(tau=5.0), t_ref=2.0), neurons=5, **LONG),
        Case(sl.Izhikevich(), into={"i": 20.0, "v": 5.0}, dt=0.25, neurons=5, **LONG),
    ],
    ids=label,
)
def test_strict_kernels_give_the_same_bits_for_ten_thousand_steps(case: Case) -> None:
    with backend("reference"):
        expected = run_plainly(case, case.streams(), case.state())
    with backend("cpu", strict=True):
        found = run_plainly(case, case.streams(), case.state())
    assert expected.spikes is not None
    assert expected.spikes.sum() > 100
    assert torch.equal(found.spikes, expected.spikes)
    for name, value in expected.states.items():
        assert torch.equal(found.states[name], value)


def test_release_kernels_agree_up_to_rounding_for_ten_thousand_steps() -> None:
    """Contracted multiply-adds may change last bits of v, and a spike only where v is that close to threshold."""
    case = Case(sl.LIF(tau=5.0), neurons=500, **LONG)
    runs = []
    for strict in (True, False):
        with backend("cpu", strict=strict):
            runs.append(run_plainly(case, case.streams(), case.state()))
    exact, release = runs
    ulp = torch.finfo(torch.float32).eps  # at the threshold, which is 1
    differ = exact.spikes != release.spikes
    before = differ.cumsum(0) == 0
    assert ((exact.states["v"] - release.states["v"]).abs() * before).max() <= 8 * ulp
    first = differ & (differ.cumsum(0) == 1)
    at_the_spike = exact.states["v"] + exact.spikes  # the reset subtracts the threshold
    assert ((at_the_spike - 1.0).abs()[first] < 8 * ulp).all()
    assert before[-1].float().mean() > 0.9


@pytest.mark.parametrize(
    "model", [sl.LIF, Mine, CurrentLIF, sl.LIF(tau=[5.0, 6.0, 7.0], v_threshold=[1.0, 1.1, 1.2])], ids=str
)
def test_public_check_passes(model: type[sl.NeuronModel] | sl.NeuronModel) -> None:
    assert "cpu equals the reference" in check_model(model)


@pytest.mark.parametrize("names", ["g.s.", "g.x.", "g.c"], ids=["states", "streams", "parameters"])
def test_public_check_finds_a_gradient_off_by_a_hair(monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    from spikeloom.kernels.scan import cpu

    honest = cpu.backward

    def wrong(plan, steps, arrays, label, strict) -> None:
        honest(plan, steps, arrays, label, strict)
        for name, value in arrays.items():
            if name.startswith(names):
                value.mul_(1.0 + 1e-7)

    monkeypatch.setattr(cpu, "backward", wrong)
    with pytest.raises(ContractError, match=r"LIF: gradients equal finite differences: the gradient to"):
        check_model(sl.LIF)
    with pytest.raises(ContractError, match=r"gradient to .* differs"):
        check_backend(Case(sl.LIF(tau=5.0)))


def test_public_check_finds_a_derivative_that_is_another_one_on_numbers() -> None:
    class TwoFaced(sl.NeuronModel):
        tau = sl.param(10.0, sl.ms, low=0.0)
        v = sl.state(0.0)

        def derivative(self, s, x):
            return {"v": -s.v / self.tau * (1.0 if hasattr(s.v, "op") else 1.0 + 1e-9)}

    with pytest.raises(ContractError, match="TwoFaced: trace equals methods: dv/dt differs"):
        check_model(TwoFaced)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: check_model(sl.Exponential()), ParameterError, "check_model needs a neuron model: got Exponential"),
        (lambda: check_model(sl.Refractory), ParameterError, r"cannot make a Refractory.* sl.Refractory\(sl.LIF\(\)\)"),
        (lambda: check_model(sl.LIF, into="exc"), ModelError, "LIF has no state or input 'exc'. Known: i, v"),
        (lambda: check_model(sl.LIF, into={"i": 1.0, "exc": 1.0}), ModelError, "LIF has no state or input 'exc'"),
        (lambda: check_model(sl.Refractory(sl.LIF()), into="remaining"), ModelError, "remaining is a timer"),
        (lambda: check_model(sl.HodgkinHuxley), NonFiniteError, r"is not finite.* smaller dt, or drives .*'i': 10"),
        (lambda: check_model(sl.Noisy(sl.LIF()), solver=solvers.RK4()), ModelError, "has noise, which RK4 leaves out"),
        (lambda: check_model(sl.LIF, backends=("cuda",)), BackendError, "no backend 'cuda'"),
        (lambda: check_model(sl.LIF, dt=-1.0), ParameterError, "dt: got -1.0"),
    ],
)
def test_public_check_explains_bad_input(call, error, words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_by_default_every_place_is_driven() -> None:
    case = Case(sl.With(sl.LIF(v_threshold=2.0), exc=sl.Exponential(), gap=sl.GapJunction()))
    assert case.drive == {"i": 2.0, "v_other_gap": 2.0, "v": 2.0, "exc": 2.0}
    port = case.streams()["exc"]
    assert 0 < int((port == 0.0).sum()) < port.numel()


def test_public_check_finds_a_broken_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    from spikeloom.kernels.scan import cpu

    honest = cpu.forward

    def wrong(plan, steps, arrays, label, strict) -> None:
        honest(plan, steps, arrays, label, strict)
        arrays["next.v"].mul_(1.0 + 1e-9)

    monkeypatch.setattr(cpu, "forward", wrong)
    with pytest.raises(ContractError, match=r"LIF: .* differs"):
        check_model(sl.LIF)


def test_public_check_finds_a_model_whose_equations_depend_on_more_than_values() -> None:
    class Drifting(sl.NeuronModel):
        tau = sl.param(10.0, sl.ms, low=0.0)
        v = sl.state(0.0)
        calls = []

        def derivative(self, s, x):
            self.calls.append(1)
            return {"v": -s.v * float(len(self.calls)) / self.tau}

    with pytest.raises(ContractError, match="Drifting"):
        check_model(Drifting(), solver=solvers.RK4())
