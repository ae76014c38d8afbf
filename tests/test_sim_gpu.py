"""Networks on a GPU: interpreted on the CPU, compiled for a card that is not there, run on one that is.

The interpreter takes about a tenth of a millisecond for an operation, so networks here are small and runs are short.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.errors import BackendError, NonFiniteError, ParameterError
from spikeloom.kernels import cache
from spikeloom.kernels.propagate.gpu import Launch
from spikeloom.sim import card

from .test_sim_engine import CELL, everything, plain_network, spikes

HAS_TRITON = importlib.util.find_spec("triton") is not None
VERSION = [int(n) for n in importlib.metadata.version("triton").split(".")[:2]] if HAS_TRITON else [0, 0]
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed")
needs_interpreter = pytest.mark.skipif(VERSION < [3, 7], reason="needs the interpreter of Triton 3.7")
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
FEW = sl.sim.fixed_probability(0.3)


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """No other test finds these kernels among its own."""
    sl.last_kernels()
    yield
    sl.last_kernels()


@pytest.fixture(
    params=[
        pytest.param("interpreter", marks=needs_interpreter),
        pytest.param("card", marks=[needs_triton, needs_card]),
    ]
)
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Networks run in Triton's interpreter, or on a card."""
    if request.param == "interpreter":
        monkeypatch.setenv("TRITON_INTERPRET", "1")
    return request.param


def on_card(net: sl.sim.Network, *durations: float) -> list[Any]:
    """Results of runs one after another."""
    sl.last_kernels()
    with sl.backend("gpu", strict=True):
        found = [net.run(duration) for duration in durations]
    assert sl.last_kernels() == ["propagate/gpu"]
    return found


def compare(found: Any, expected: Any, tolerance: float) -> None:
    """The same spikes, and the same states within a tolerance."""
    assert spikes(found) == spikes(expected)
    for name, states in expected.states.items():
        for state, recorded in states.items():
            other = found.states[name][state]
            np.testing.assert_allclose(other.times, recorded.times)
            np.testing.assert_allclose(other.values, recorded.values, rtol=tolerance, atol=tolerance)


# NumPy warns of what compiled code computes in silence, for instance in the lanes that are masked out.
@pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")
@pytest.mark.usefixtures("where")
class TestOnAGpu:
    @pytest.mark.parametrize(("dtype", "length"), [("float64", 1.2), ("float32", 0.5)])
    def test_equals_the_cpu(self, dtype: str, length: float, where: str) -> None:
        length *= 20 if where == "card" and dtype == "float64" else 1
        (found,) = on_card(everything(dtype), length)
        with sl.backend("cpu", strict=True):
            expected = everything(dtype).run(length)
        assert len(expected.spikes["own"]) > 0
        compare(found, expected, 1e-12 if dtype == "float64" else 2e-5)

    def test_the_spikes_of_a_plain_simulation(self) -> None:
        rng, n = np.random.default_rng(0), 20
        weights = np.where(rng.random((n, n)) < 0.4, rng.normal(0.0, 90.0, (n, n)), 0.0)
        delays, v, current = rng.integers(3, 9, (n, n)), rng.uniform(0.0, 10.0, n), rng.uniform(60.0, 150.0, n)
        steps, neurons = np.nonzero(plain_network(40, weights, delays, v.copy(), current))
        assert len(steps) > 20
        (found,) = on_card(recurrent(weights, delays, v, current), 4.0)
        np.testing.assert_allclose(found.spikes["cells"].times, (steps + 1) * 0.1, atol=1e-9)
        assert found.spikes["cells"].neurons.tolist() == neurons.tolist()

    def test_any_splitting_saving_and_restoring_give_the_same_bits(self, tmp_path: Path) -> None:
        """With spikes and sums under way, in float32."""
        (whole,) = on_card(busy(), 2.0)
        net = busy()
        one, two = on_card(net, 0.1, 0.8)
        net.save(tmp_path)
        other = busy()
        other.restore(tmp_path)
        (three,) = on_card(other, 1.1)
        assert len(whole.spikes["cells"]) > 5
        assert spikes(whole) == spikes(one, two, three)
        joined = np.concatenate([r.states["cells"]["v"].values for r in (one, two, three)])
        assert np.array_equal(whole.states["cells"]["v"].values, joined)

    def test_a_run_goes_on_elsewhere(self, tmp_path: Path) -> None:
        """From the CPU to a card and back, by a file as well."""
        expected, net = busy("float64").run(2.0), busy("float64")
        pieces = [net.run(0.6), *on_card(net, 0.5)]
        net.save(tmp_path)
        other = busy("float64")
        other.restore(tmp_path)
        for rest in (net, other):
            found = [*pieces, rest.run(0.9)]
            assert spikes(expected) == spikes(*found)
            joined = np.concatenate([r.states["cells"]["v"].values for r in found])
            np.testing.assert_allclose(joined, expected.states["cells"]["v"].values, rtol=1e-12, atol=1e-12)

    def test_sums_do_not_depend_on_their_order(self) -> None:
        """In float32 a sum in the order of the sources would lose the 1; it arrives with a lag, so it is kept long."""
        net = sl.sim.Network(dt=0.1)
        source = net.spikes([0.1] * 3, [0, 1, 2], 3, "source")
        target = net.population(sl.LI(tau=1e9), 1, "target")
        for weights in ([1e9, 1.0, -1e9], [1.0, 1.0, 1.0]):
            rule = sl.sim.from_pairs([0, 1, 2], [0, 0, 0], weights=weights, delays=[0.1, 0.1, 0.1])
            net.connect(source, target, rule, into="v")
        net.record(target, "v")
        (found,) = on_card(net, 0.3)
        assert found.states["target"]["v"].values[:, 0].tolist() == [0.0, 4.0, 4.0]

    def test_what_goes_wrong_is_said(self) -> None:
        net = sl.sim.Network(dt=0.1)
        source, target = net.spikes([0.1, 0.2], [0, 0], 1, "source"), net.population(sl.LI(tau=1e9), 2, "target")
        net.connect(source, target, sl.sim.from_pairs([0], [1]), weight=3e38)
        with sl.backend("gpu"), pytest.raises(NonFiniteError, match="state v of neuron 1 is not finite"):
            net.run(0.4)
        net = sl.sim.Network(dt=0.1)
        source, target = net.spikes([0.1], [0], 1, "source"), net.population(sl.LI(), 1, "target")
        net.connect(source, target, sl.sim.one_to_one(), weight=1.0, synapse=Flood(sl.Delta()))
        with sl.backend("gpu"), pytest.raises(NonFiniteError, match="released"):
            net.run(0.5)


class Flood(sl.Depression):
    """Releases far more than there is."""

    def released(self, s):
        return 400.0 * s.x, {"x": s.x}


def recurrent(weights: np.ndarray, delays: np.ndarray, v: np.ndarray, current: np.ndarray) -> sl.sim.Network:
    """The network of ``plain_network``."""
    net = sl.sim.Network(dt=0.1, dtype="float64")
    cells = net.population(CELL, len(v), "cells")
    cells.set(v=v)
    net.inject(cells, current)
    pre, post = np.nonzero(weights)
    rule = sl.sim.from_pairs(pre, post, weights=weights[pre, post], delays=delays[pre, post] * 0.1)
    net.connect(cells, cells, rule, synapse=sl.Exponential(tau=5.0))
    return net


def busy(dtype: Any = "float32") -> sl.sim.Network:
    """Cells that fire all the time, with delays of 0.2 to 1.5 ms and short-term plasticity."""
    net = sl.sim.Network(dt=0.1, seed=7, dtype=dtype)
    cells = net.population(CELL, 12, "cells")
    cells.set(v=sl.sim.uniform(0.0, 10.0))
    net.inject(cells, 150.0)
    net.inject(cells, sl.sim.noise(sd=20.0, every=0.3))
    net.inject(cells, sl.sim.noise(sd=np.linspace(0.0, 9.0, 12)))
    delay, weight = sl.sim.uniform(0.2, 1.5), sl.sim.uniform(-1.0, 1.0)
    net.connect(cells, cells, FEW, weight=weight, delay=delay, into="v")
    net.connect(cells, cells, FEW, weight=weight, delay=delay, synapse=sl.TsodyksMarkram(sl.Alpha(tau=2.0)))
    net.record(cells, "v")
    return net


@needs_interpreter
def test_where_there_is_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    net = sl.sim.Network(device="cuda")
    net.population(CELL, 3, "cells")
    with pytest.raises(BackendError, match="no CUDA device"):
        net.run(1.0)
    with sl.backend("cpu"):
        assert net.run(1.0).complete
    with pytest.raises(ParameterError, match="device"):
        sl.sim.Network(device="tpu")  # type: ignore[arg-type]


def launches(net: sl.sim.Network, monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """What a run of ``net`` would launch."""
    made: list[Launch] = []
    monkeypatch.setattr(card.gpu, "device", lambda: (torch.device("cpu"), False))
    monkeypatch.setattr(card.gpu, "drive", lambda found, *_: made.extend(found))
    with sl.backend("gpu"):
        net.run(net.dt)
    return made


def compiled(launch: Launch) -> dict[str, Any]:
    """Everything the compiler makes for compute capability 9.0; no card is needed for that."""
    from triton import compile as build
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    function = getattr(cache.load_for_triton(launch.source, False), launch.name)
    kinds = {"float32": "fp32", "float64": "fp64", "int64": "i64", "int32": "i32", "uint8": "u8", "uint16": "u16"}
    clock, second, width, *arrays, _ = function.arg_names
    pointers = [f"*{kinds[str(t.dtype).removeprefix('torch.')]}" for t in launch.tensors]
    signature = {clock: "*i64", second: "i32", width: "i32", **dict(zip(arrays, pointers, strict=True))}
    source = ASTSource(function, {**signature, "block": "constexpr"}, constexprs={"block": launch.block})
    options = {"num_warps": 4, "enable_fp_fusion": not launch.strict}
    return build(source, target=GPUTarget("cuda", 90, 32), options=options).asm


@needs_triton
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kernel_compiles_for_a_card(dtype: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    made = {launch.source: launch for launch in launches(everything(dtype), monkeypatch)}
    assert {launch.name for launch in made.values()} == {"advance", "chance", "coupling", "deliver", "sample"}
    for launch in made.values():
        asm = compiled(launch)
        assert asm["cubin"]
        # Whole numbers are added where they lie, and nothing else is added by several programs but lengths of lists.
        assert bool(re.search(r"(red|atom)\.global\.gpu\.\S*add\.u64", asm["ptx"])) == (launch.name == "deliver")
        assert not re.search(r"(red|atom)\.\S*\.f(32|64)", asm["ptx"])
        assert not re.search(r"approx\S*\.f32", asm["ptx"])


def test_what_there_is_not_on_a_card_is_named() -> None:
    net = sl.sim.Network(dt=0.1)
    net.population(CELL, 3, "cells", solver=sl.solvers.Interpolated())
    with sl.backend("gpu"), pytest.raises(BackendError, match="spike times between the points of the grid"):
        net.run(1.0)
