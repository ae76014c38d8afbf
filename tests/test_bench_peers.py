"""``spikeloom bench train``: what contenders are given, what counts as memory, and Spyx, whose dynamics are its own."""

import dataclasses
import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from spikeloom.bench import train, worker
from spikeloom.bench.config import TrainConfig
from spikeloom.bench.contenders.reference_training import Reference
from spikeloom.bench.contenders.spikeloom_training import Spikeloom
from spikeloom.bench.contenders.spyx_equations import Equations
from spikeloom.bench.contenders.training import Frame, drawn, fingerprint
from spikeloom.bench.process import has_module
from spikeloom.bench.workloads import TASKS
from spikeloom.errors import BenchError
from spikeloom.kernels.memory import pool

JAX = os.environ.get("SPIKELOOM_BENCH_JAX", sys.executable)
MLP = {
    **dataclasses.asdict(TASKS["mlp"]), "steps": 20, "batch": 4, "sizes": (100, 30, 10), "threads": 1, "seconds": 0.0,
    "weights": [(0.0, 0.3), (0.0, 0.4)],
}  # fmt: skip


def silent(text: str) -> None:
    """Say nothing."""


class Given:
    """A contender that says which numbers it was given, and finds a gradient."""

    numbers: Mapping[str, tuple[int, float]] = {}

    def __init__(self, label: str, name: str, spec: Mapping[str, Any], **_: object) -> None:
        self.label, self.file = label, spec.get("file")
        given, self.gradient = self.numbers[label]
        self.facts = {"given": given, "compile": 0.0}

    def ask(self, action: str) -> dict[str, Any]:
        if action == "compare":
            np.savez(str(self.file), **{"spikes 1": np.ones(3), "gradient 0": np.full(3, self.gradient)})
        return {"first": 0.1, "resident": 1.0, "peak": 2.0}

    def __enter__(self) -> "Given":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def compared(monkeypatch: pytest.MonkeyPatch, **numbers: tuple[int, float]) -> dict[str, str]:
    found = {train.REFERENCE: (1, 1.0), train.EQUATIONS: (1, 5.0), **numbers}
    monkeypatch.setattr(train, "Contender", Given)
    monkeypatch.setattr(Given, "numbers", found)
    names = {label: label.replace(" ", "_") for label in (train.REFERENCE, *numbers)}
    refused, failed = train.compared("mlp", {}, names, {}, silent)
    assert failed == {}
    return refused


def test_other_numbers_are_not_called_another_result(monkeypatch: pytest.MonkeyPatch) -> None:
    # Code that changed while it ran gave some contenders other weights: their spikes differed by 4.27 %.
    refused = compared(monkeypatch, same=(1, 1.0), edited=(2, 3.0), wrong=(1, 3.0))
    assert list(refused) == ["edited", "wrong"]
    assert refused["edited"].startswith("was given other numbers than loop in torch. Was the code changed")
    assert refused["wrong"].startswith("computes something else: gradient 0")


def test_nothing_is_measured_with_other_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "Contender", Given)
    monkeypatch.setattr(Given, "numbers", {"a": (1, 1.0), "b": (2, 1.0)})
    wanted = {label: (label, {"threads": 1}) for label in "ab"}
    with pytest.raises(BenchError, match="different numbers"):
        train.measured("mlp", wanted, {}, TrainConfig(fresh_cache=False), silent)


def test_memory_is_that_of_calls_when_all_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    environments: list[Mapping[str, str]] = []
    resident, peak = iter([100.0]), iter([130.0])

    class Counted(Given):
        def __init__(self, *given: Any, env: Mapping[str, str], **more: object) -> None:
            super().__init__(*given, **more)
            environments.append(env)

        def ask(self, action: str) -> dict[str, Any]:
            asked.append(action)
            values = {"reset": resident, "memory": peak}.get(action)
            return {} if values is None else {"resident" if action == "reset" else "peak": next(values)}

    monkeypatch.setattr(train, "Contender", Counted)
    monkeypatch.setattr(Given, "numbers", {"a": (1, 1.0)})
    assert train.memory("a", "a_training", {"threads": 3}) == 30.0
    assert asked == ["first", "fresh", "reset", "run", "run", "memory"]
    assert environments == [{"OMP_NUM_THREADS": "3"}]  # nothing about the allocator


def test_fingerprints_tell_numbers_apart() -> None:
    same = fingerprint(drawn(MLP))
    assert fingerprint(drawn(MLP)) == same
    assert fingerprint(drawn({**MLP, "weights": [(0.0, 0.3), (0.0, 0.5)]})) != same
    assert fingerprint(drawn({**MLP, "density": 0.2})) != same
    assert Reference(MLP).given == same


def test_freed_memory_goes_back_before_it_is_counted() -> None:
    before = worker.forget_peak()["resident"]
    if before is None:
        pytest.skip("the system does not say how much memory a process holds")
    pieces = [b"x" * (40_000 + k % 2) for k in range(2000)]
    kept = b"x" * 40_002  # the C library gives back what is above it, not what is below
    held = worker.resident()
    assert held is not None
    assert held - before > 60
    del pieces
    assert worker.forget_peak()["resident"] - before < 20
    assert (worker.peak() or 0.0) - before < 20
    assert len(kept) == 40_002


def test_fresh_contenders_hold_nothing() -> None:
    made: Frame = Reference(MLP)
    made.call()
    assert made.optimiser.state
    assert all(weight.grad is not None for weight in made.weights)
    made.fresh()
    assert not made.optimiser.state
    assert all(weight.grad is None for weight in made.weights)
    made = Spikeloom({**dataclasses.asdict(TASKS["neurons-100"]), "threads": 1, "seconds": 0.0})
    made.call()
    assert pool().kept > 2**20
    made.fresh()
    assert pool().kept == 0


def test_equations_of_spyx_by_hand() -> None:
    # v = 1.5; s = 1, v = 0.875 * 1.5 - 1 = 0.3125; s = 0. Gradients of spikes: 1 / 1.5^2 and 1 / 1.6875^2.
    made = Equations({**dataclasses.asdict(TASKS["neurons-100"]), "steps": 3, "batch": 1, "sizes": (1,)})
    x = made.torch.tensor([1.5, 0.0, 0.0]).view(3, 1, 1).requires_grad_()
    spikes = made.output(x)
    assert spikes.flatten().tolist() == [0.0, 1.0, 0.0]
    (grad,) = made.torch.autograd.grad(spikes.sum(), x)
    first, second = 1 / 1.5**2, 1 / 1.6875**2
    assert grad.flatten().tolist() == pytest.approx([first + second * (0.875 - first), second, 0.0])


def test_spyx_is_held_against_its_own_equations(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compared(monkeypatch, **{train.SPYX: (1, 5.0)}) == {}
    assert list(compared(monkeypatch, **{train.SPYX: (1, 1.0)})) == [train.SPYX]


@pytest.mark.parametrize(("kind", "there"), [("mlp", True), ("conv", False), ("recurrent", False)])
def test_spyx_takes_part_where_it_can(kind: str, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(train, "compared", lambda title, spec, names, *_: asked.extend(names) or ({}, {}))
    monkeypatch.setattr(train, "measured", lambda title, wanted, *_: ({label: {} for label in wanted}, {}, None))
    monkeypatch.setattr(train, "memory", lambda *_, **__: None)
    found = train.bench(TASKS[kind], TrainConfig(), {train.SPYX: "python"}, silent)
    assert (train.SPYX in asked, train.SPYX in found["contenders"]) == (there, there)
    assert train.EQUATIONS not in found["contenders"]


def test_an_interpreter_without_spyx_is_refused() -> None:
    with pytest.raises(BenchError, match=r"none of the peers it is given for: .*expected spyx"):
        train.interpreters(TrainConfig(jax="/no/such/python"))


@pytest.mark.skipif(not has_module(JAX, "spyx"), reason="no Spyx; SPIKELOOM_BENCH_JAX names an interpreter that has it")
@pytest.mark.parametrize("mode", ["train", "infer"])
def test_spyx_agrees_with_its_own_equations(mode: str) -> None:
    names = {train.REFERENCE: "reference_training", train.SPYX: "spyx_training"}
    assert train.compared("mlp", {**MLP, "mode": mode}, names, {train.SPYX: JAX}, silent) == ({}, {})
