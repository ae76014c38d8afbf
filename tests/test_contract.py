"""Every backend equals the reference: models x solvers x surrogates x sizes, in full for LIF, covering for the rest."""

import dataclasses
import itertools

import pytest
import torch

import spikeloom as sl
from spikeloom import solvers
from spikeloom.check import Case, ContractError, check_backend, check_finite_differences, check_model, run_case
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
OTHERS = [
    Case(sl.IF(), surrogate=sl.FastSigmoid()),
    Case(sl.IF(reset_mechanism="value"), into="i", surrogate=sl.Triangle()),
    Case(sl.LI(tau=3.0)),
    Case(sl.LI(), into="i", dt=0.5),
    Case(sl.ALIF(tau=5.0, beta=0.4), surrogate=sl.Gaussian(width=0.7)),
    Case(sl.ALIF(tau=5.0, v_rest=-0.2), into="i", solver=solvers.Heun(), surrogate=sl.Sigmoid(detach_reset=False)),
    Case(sl.Refractory(sl.LIF(tau=5.0), t_ref=3.0), surrogate=sl.FastSigmoid(detach_reset=False)),
    Case(sl.Refractory(sl.Peak(sl.ALIF(tau=5.0), v_peak=4.0), t_ref=2.0), dt=0.5),
    Case(Mine(tau=5.0), into="i", surrogate=sl.ATan(width=0.5, detach_reset=False)),
    Case(CurrentLIF(), into="current", surrogate=sl.Triangle(width=2.0)),
    Case(sl.EIF(v_peak=-45.0, delta_t=4.0), dt=0.5),
    Case(sl.AdEx(v_peak=-40.0, delta_t=4.0), dt=0.1, surrogate=sl.Sigmoid(detach_reset=False)),
    Case(sl.QIF(), dt=0.1, surrogate=sl.FastSigmoid(detach_reset=False)),
    Case(sl.GLIF1(t_ref=2.0), surrogate=sl.Triangle()),
    Case(sl.GLIF2(t_ref=1.0), surrogate=sl.Gaussian(detach_reset=False)),
    Case(sl.GLIF3(t_ref=0.5), dt=0.5, solver=solvers.Heun()),
    Case(sl.GLIF4(t_ref=1.0), surrogate=sl.Sigmoid()),
    Case(sl.GLIF5(t_ref=2.0), surrogate=sl.ATan(detach_reset=False)),
    Case(sl.HodgkinHuxley(), into="i", dt=0.02, solver=solvers.ExponentialEuler()),
    Case(sl.FitzHughNagumo(), into="i", dt=0.2),
    Case(sl.MorrisLecar.preset("snic"), into="v", dt=0.2),
    Case(sl.HindmarshRose(), into="i", dt=0.05),
    Case(sl.Izhikevich(), into="i", dt=0.25, solver=solvers.SequentialEuler()),
]


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("case", OTHERS, ids=label)
def test_cpu_equals_reference_for_every_model(case: Case, dtype: torch.dtype) -> None:
    check_backend(dataclasses.replace(case, dtype=dtype))


@pytest.mark.parametrize("case", [Case(LIFS[0]), Case(LIFS[1], solver=solvers.RK4()), *OTHERS], ids=label)
def test_gradients_equal_finite_differences_of_the_smoothed_model(case: Case) -> None:
    # A surrogate with kinks has no accurate finite difference; its own derivative is tested in test_surrogates.py.
    smooth = sl.ATan(width=case.surrogate.width)
    check_finite_differences(dataclasses.replace(case, dtype=torch.float64, surrogate=smooth))


@pytest.mark.parametrize("steps", [1, 63, 257])
@pytest.mark.parametrize("neurons", [1, 1000, 4097])
@pytest.mark.parametrize("model", [sl.LIF(tau=5.0), sl.Refractory(sl.ALIF(tau=5.0), t_ref=2.0)], ids=repr)
def test_cpu_equals_reference_at_every_size(model: sl.NeuronModel, steps: int, neurons: int) -> None:
    check_backend(Case(model, steps=steps, neurons=neurons, batch=1 if neurons > 1000 else 3, dtype=torch.float32))


def test_release_kernels_agree_up_to_rounding() -> None:
    """Contracted multiply-adds may change the last bit of v, and a spike only where v is that close to threshold."""
    case = Case(sl.LIF(tau=5.0), steps=200, neurons=500, dtype=torch.float32)
    strict, release = run_case(case, "cpu", strict=True), run_case(case, "cpu", strict=False)
    assert strict.spikes is not None
    assert release.spikes is not None
    first = (strict.spikes != release.spikes).any(0)
    same = ~first
    assert same.float().mean() > 0.99
    difference = (strict.states["v"] - release.states["v"]).abs().amax(0)[same]
    assert difference.max() <= 8 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("model", [sl.LIF, sl.ALIF, sl.LI, sl.IF, Mine, CurrentLIF])
def test_public_check_passes(model: type[sl.NeuronModel]) -> None:
    assert "cpu equals the reference" in check_model(model)


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
