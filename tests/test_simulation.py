"""L5: simulate in chunks: the same bits for any chunk and thread count, little memory, sparse spikes."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.errors import ParameterError, ShapeError
from spikeloom.kernels.scan import cpu
from spikeloom.kernels.scan.scan import scan
from spikeloom.simulation import Spikes, Trace, run

CELL = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")
MODELS: dict[str, sl.NeuronModel] = {
    "hh": sl.HodgkinHuxley(),
    "refractory": sl.Refractory(CELL, t_ref=1.0),
    "many": sl.Peak(sl.LIF(tau=[5.0, 10.0, 15.0, 20.0, 25.0], v_threshold=15.0)),
    "noisy": sl.Noisy(CELL, sigma_noise=2.0),
}
SOLVERS = {"noisy": sl.solvers.EulerMaruyama()}
STEPS, DT = 301, 0.05
DRIVES: dict[str, object] = {
    "constant": np.linspace(0.0, 40.0, 5),
    "array": np.random.default_rng(0).normal(25.0, 10.0, (STEPS, 5)),
    "function": lambda t: 35.0 + 15.0 * np.sin(t),
}


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def simulated(name: str, drive: object, **options: object) -> Trace:
    return sl.simulate(MODELS[name], drive, STEPS * DT, DT, solver=SOLVERS.get(name), seed=3, **options)  # type: ignore[arg-type]


def assert_equal(one: Trace, other: Trace) -> None:
    assert one.names() == other.names()
    assert all(np.array_equal(one[state], other[state]) for state in one.names())
    assert np.array_equal(one.spikes.flat, other.spikes.flat)
    assert one.spikes.shape == other.spikes.shape


# -- the same bits


@pytest.mark.parametrize("kind", DRIVES)
@pytest.mark.parametrize("name", MODELS)
def test_a_run_is_a_scan(name: str, kind: str) -> None:
    drive, trace = DRIVES[kind], simulated(name, DRIVES[kind])
    width = trace["v"].shape[1] if trace["v"].ndim == 2 else 1
    values = np.asarray(drive(np.arange(STEPS) * DT))[:, None] if callable(drive) else np.asarray(drive)
    x = torch.tensor(np.broadcast_to(values, (STEPS, width)).copy()).unsqueeze(1)
    result = scan(MODELS[name], {"i": x}, solver=SOLVERS.get(name), dt=DT, record=("v",), seed=3)
    assert result.spikes is not None
    assert result.spikes.any()
    assert np.array_equal(trace["v"][1:].reshape(STEPS, width), result.states["v"][:, 0].numpy())
    assert np.array_equal(trace.fired[1:].reshape(STEPS, width), result.spikes[:, 0].numpy() > 0)


@pytest.mark.parametrize("kind", DRIVES)
@pytest.mark.parametrize("name", MODELS)
def test_chunks_do_not_show(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = simulated(name, DRIVES[kind])
    monkeypatch.setattr(run, "_AT_ONCE", 1)
    monkeypatch.setattr(run, "_RECORDED_AT_ONCE", 1)
    for size in (1, 7, 64, 300):
        monkeypatch.setattr(run, "_FEWEST_STEPS", size)
        assert_equal(simulated(name, DRIVES[kind]), whole)
    assert_equal(simulated(name, DRIVES[kind], record=("v",)), simulated(name, DRIVES[kind], record=["v"]))


@pytest.mark.parametrize("name", ["hh", "noisy"])
@pytest.mark.usefixtures("two_threads")
def test_neither_threads_nor_blocks_show(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drive = np.linspace(0.0, 40.0, 999)
    threaded = simulated(name, drive)
    torch.set_num_threads(1)
    assert_equal(simulated(name, drive), threaded)
    monkeypatch.setattr(cpu, "_CACHE", 1)  # 64 neurons at a time
    assert_equal(simulated(name, drive), threaded)


def test_backends_agree_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_AT_ONCE", 1)
    monkeypatch.setattr(run, "_RECORDED_AT_ONCE", 1)
    monkeypatch.setattr(run, "_FEWEST_STEPS", 20)
    found: dict[str, Trace] = {}
    for backend in ("cpu", "reference"):
        with sl.backend(backend, strict=True):
            found[backend] = simulated("refractory", DRIVES["array"])
    assert_equal(found["cpu"], found["reference"])  # arithmetic only, so that bits are equal


INTERPRETED = """
import numpy as np, spikeloom as sl
found = {}
for backend in ("cpu", "gpu"):
    with sl.backend(backend, strict=True):
        found[backend] = sl.simulate(sl.Refractory(sl.LIF(tau=5.0), t_ref=0.3), np.linspace(0.0, 3.0, 5), 10.0, 0.1)
print(np.array_equal(found["cpu"]["v"], found["gpu"]["v"]), np.array_equal(found["cpu"].fired, found["gpu"].fired))
print(len(found["gpu"].spikes) > 5, sl.last_kernels())
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_the_gpu_backend_runs_too() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-c", INTERPRETED]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split("\n")[0] == "True True"
    assert done.stdout.split("\n")[1] == "True ['scan/cpu/Refractory/forward', 'scan/gpu/Refractory/forward']"


def test_a_read_only_file_is_a_drive(tmp_path: Path) -> None:
    np.save(tmp_path / "drive.npy", np.asarray(DRIVES["array"], dtype=np.float32))
    mapped = np.load(tmp_path / "drive.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trace = simulated("refractory", mapped)
    assert_equal(trace, simulated("refractory", np.asarray(mapped, dtype=np.float64)))


# -- memory

LONG = """
import resource, numpy as np, spikeloom as sl
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
cell, currents = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value"), np.linspace(14.0, 16.0, 4000)
sl.simulate(cell, currents, 30.0, 0.1, record=())
before = peak()
trace = sl.simulate(cell, currents, 2000.0, 0.1, record=())
print(len(trace.spikes), peak() - before)
"""


def test_long_runs_need_no_memory_but_for_their_spikes() -> None:
    done = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, check=True)
    spikes, grown = map(float, done.stdout.split())
    # Half of the neurons fire, at intervals of 10 ln(i / (i - 15)) ms: 27.7 ms at 16.
    assert 4e4 < spikes < 2000 * 2000.0 / 27.7
    assert grown < 30 + spikes * 16 / 2**20  # MiB; the drive and the spikes as float64 would take 610 MiB each


# -- what is returned


def test_spikes_are_kept_sparsely() -> None:
    trace = simulated("hh", DRIVES["constant"])
    assert "fired" not in vars(trace)
    assert trace.spikes.shape == trace.fired.shape == (STEPS + 1, 5)
    assert np.array_equal(trace.spikes.flat, np.flatnonzero(trace.fired))
    assert [t.tolist() for t in trace.spike_times] == [trace.times[column].tolist() for column in trace.fired.T]
    assert len(trace.spikes) == trace.fired.sum() == sum(map(len, trace.spike_times)) > 3
    alone = trace.single()
    assert np.array_equal(alone.fired, trace.fired[:, 0])
    assert np.array_equal(alone["m"], trace["m"][:, 0])


def test_spikes_of_a_dense_array_and_back() -> None:
    fired = np.random.default_rng(2).random((50, 3)) < 0.2
    for dense in (fired, fired[:, 0]):
        spikes = Spikes.of(dense)
        assert np.array_equal(spikes.dense(), dense)
        assert [t.tolist() for t in spikes.trains()] == [np.flatnonzero(c).tolist() for c in np.atleast_2d(dense.T)]
        assert np.array_equal(spikes.steps, np.nonzero(dense)[0])
    assert Spikes.of(fired).neurons.tolist() == np.nonzero(fired)[1].tolist()
    assert Spikes.of(np.zeros((4, 2), dtype=bool)).trains()[1].size == 0


def test_a_model_that_never_fires() -> None:
    trace = sl.simulate(sl.LI(tau=10.0), np.array([1.0, 2.0]), 5.0, 0.1)
    assert (len(trace.spikes), trace.fired.any(), [len(t) for t in trace.spike_times]) == (0, False, [0, 0])


def test_only_what_is_asked_for_is_recorded() -> None:
    assert simulated("refractory", 20.0, record=("remaining",)).names() == ["remaining"]
    assert simulated("refractory", 20.0, record=()).names() == []
    with pytest.raises(sl.errors.ModelError, match="Did you mean remaining"):
        simulated("refractory", 20.0, record=("remainin",))


def test_a_recording_larger_than_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_physical_memory", lambda: 2.0**20)
    simulated("hh", DRIVES["constant"])  # 4 states of 5 neurons at 302 times, 8 bytes each: 48 kB
    with pytest.raises(ParameterError, match=r"for v, m of 100 neurons at 10001 times.*record=\(\) keeps the spikes"):
        sl.simulate(sl.HodgkinHuxley(), np.ones(100), 100.0, 0.01, record=("v", "m"))


def test_single_precision_by_choice() -> None:
    double, single = (simulated("hh", DRIVES["constant"], dtype=dtype) for dtype in ("float64", "float32"))
    assert double["v"].dtype == np.float64
    assert single["v"].dtype == np.float32
    assert single.times.dtype == np.float64
    np.testing.assert_allclose(single["v"], double["v"], atol=0.05)  # mV; the upstroke is 400 mV/ms steep
    assert_equal(simulated("hh", DRIVES["constant"], dtype=np.float32), single)


def test_parameters_with_values_for_several_neurons_make_several() -> None:
    trace = sl.simulate(sl.LI(tau=[5.0, 10.0]), 3.0, 20.0, 0.1)
    np.testing.assert_allclose(trace["v"][-1], 3.0 * (1.0 - np.exp(-20.0 / np.array([5.0, 10.0]))), rtol=1e-12)
    assert simulated("many", lambda t: 20.0 + 0.0 * t)["v"].shape == (STEPS + 1, 5)
    with pytest.raises(ShapeError, match="5, one for each value"):
        simulated("many", np.ones(3))


def test_random_numbers_belong_to_the_seed() -> None:
    cell = MODELS["noisy"]
    one, same, other = (
        sl.simulate(cell, 10.0, 5.0, 0.1, solver=SOLVERS["noisy"], seed=seed)["v"] for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("solver", [None, sl.solvers.ForwardEuler(), sl.solvers.Located()])
def test_a_time_that_is_left_is_in_ms(solver: sl.solvers.Solver | None) -> None:
    cell = sl.Refractory(sl.LIF(tau=20.0, reset_mechanism="value"), t_ref=2.0)
    trace = sl.simulate(cell, 2.0, 40.0, dt=0.5, solver=solver, state={"remaining": 0.75})
    assert trace.units["remaining"] == "ms"
    since = (
        trace.times - np.append(-np.inf, trace.spike_times)[np.searchsorted(trace.spike_times, trace.times, "right")]
    )
    first = 0.75 if isinstance(solver, sl.solvers.Located) else 1.0  # whole steps, rounded up
    expected = np.maximum(np.maximum(2.0 - since, 0.0), first - trace.times)
    np.testing.assert_allclose(trace["remaining"], np.maximum(expected, 0.0), atol=1e-9)
    assert len(trace.spike_times) >= 2


# -- bad input


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"current": np.ones((STEPS + 1, 2))}, r"expected a number, \[N\], or \[301, N\]"),
        ({"current": np.ones((STEPS, 2, 2))}, r"shape \(301, 2, 2\)"),
        ({"current": lambda t: np.ones(3)}, r"shape \(3, 1\)"),
        ({"current": np.r_[np.ones(STEPS - 1), np.nan][:, None]}, "current is not finite"),
        ({"current": np.array([1.0, np.inf])}, "current is not finite"),
        ({"current": np.array([1j])}, "real numbers"),
        ({"current": 1.0, "dtype": "float16"}, '"float64" or "float32"'),
        ({"current": 1.0, "state": {"v": np.nan}}, "initial value of v"),
        ({"current": 1.0, "state": {"v": "a"}}, "initial value of v: got 'a', expected numbers"),
        ({"current": 1.0, "state": {"v": [1.0, 2.0]}}, r"initial value of v: got \[2\], expected a number or \[1\]"),
        ({"current": 1.0, "state": [1.0]}, r"state: got \[1.0\], expected initial values by name"),
        ({"current": 1.0, "model": sl.Refractory(CELL), "state": {"remaining": -1.0}}, "at least 0 ms"),
        ({"current": 1.0, "seed": 1.5}, "a whole number"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_simulated(options: dict[str, object], said: str) -> None:
    with pytest.raises((ParameterError, ShapeError), match=said):
        sl.simulate(**{"model": CELL, "duration": STEPS * DT, "dt": DT, **options})  # type: ignore[arg-type]
