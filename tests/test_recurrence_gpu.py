"""Recurrent layers on a GPU: interpreted on the CPU, compiled for a card that is not there, run on one that is.

The interpreter takes about a tenth of a millisecond for an operation, so layers here are small and runs are short.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.kernels import cache
from spikeloom.kernels.program import CONSTANT, program
from spikeloom.kernels.recurrence import engines, gpu, op
from spikeloom.kernels.scan.plan import ADJOINT, training_plan
from spikeloom.lang.emit import identifier

from .interpreted import interpreted
from .test_gpu import needs_card, needs_interpreter, needs_triton
from .test_recurrence import agree, dyadic, layer_of, lif, ran


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    torch.manual_seed(5)
    sl.last_kernels()
    yield
    sl.last_kernels()


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's interpreter on the CPU, outputs that start as NaN, two rows of a table and two samples together."""
    interpreted(monkeypatch, op)
    monkeypatch.setattr(gpu, "_PROGRAMS", 1)
    monkeypatch.setattr(gpu, "_TOGETHER", 2)
    monkeypatch.setattr(gpu, "_TILE", 512)


# NumPy warns of what compiled code computes in silence, for instance in the lanes that are masked out.
@needs_interpreter
@pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")
@pytest.mark.usefixtures("interpreter")
class TestInterpreted:
    @pytest.mark.parametrize(
        ("steps", "batch", "size", "dtype"),
        [(1, 1, 1, torch.float64), (6, 3, 5, torch.float64), (4, 1, 33, torch.float32)],
    )
    def test_sizes(self, steps: int, batch: int, size: int, dtype: torch.dtype) -> None:
        layer = layer_of(lif(), size, dtype, spread=2 / size**0.5)
        x = dyadic(steps, batch, size, spread=0.9, dtype=dtype) + 0.25
        found = agree(layer, x, tolerance=2e-5 if dtype == torch.float32 else 1e-11, backend="gpu")
        if steps > 1:
            assert 0.05 < found[0].mean() < 0.8
            assert all(t.abs().max() > 0 for t in found[1:])

    def test_a_model_with_more_states_from_a_state(self) -> None:
        """Per-neuron and learned constants, an attached reset, spikes before the first step."""
        model = sl.ALIF(tau=np.linspace(2.0, 6.0, 3), beta=0.4)
        neuron = sl.nn.Neuron(model, learn=("tau", "beta"), surrogate=sl.Sigmoid(detach_reset=False))
        layer = layer_of(neuron, 3, torch.float64, spread=0.5)
        x = dyadic(15, 2, 3, spread=0.8, dtype=torch.float64) + 0.5
        with sl.backend("reference"):
            _, state = layer(x[:10])
        assert state["spikes"].sum() > 0
        agree(layer, x[10:], state, ("v", "a"), 1e-9, backend="gpu")

    def test_what_came_before_may_be_any_numbers(self) -> None:
        layer = layer_of(sl.nn.Neuron(sl.Refractory(sl.LIF(tau=5.0), t_ref=2.0)), 3, torch.float64)
        spikes = dyadic(2, 3, spread=1.0, dtype=torch.float64)
        state = sl.State(
            neuron=sl.State(v=torch.zeros(2, 3).double(), remaining=torch.zeros(2, 3).double()), spikes=spikes
        )
        agree(layer, dyadic(5, 2, 3, spread=1.5, dtype=torch.float64), state, ("v",), backend="gpu")

    def test_pieces_give_the_bits_of_the_whole(self) -> None:
        layer, x = sl.nn.Recurrent(lif(), 5), torch.randn(6, 1, 5)
        with sl.backend("gpu"), torch.no_grad():
            y, final = layer(x)
            one, state = layer(x[:2])
            two, state = layer(x[2:], state)
        assert torch.equal(torch.cat([one, two]), y)
        assert torch.equal(state["neuron"]["v"], final["neuron"]["v"])
        assert set(sl.last_kernels()) == {"recurrence/gpu/LIF/forward"}

    @pytest.mark.parametrize("what", ["wide", "strict", "half", "noise"])
    def test_what_goes_step_by_step(self, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
        model = sl.Noisy(sl.LIF(), sigma_noise=0.1) if what == "noise" else sl.LIF()
        layer, x = sl.nn.Recurrent(sl.nn.Neuron(model), 3), torch.rand(1, 1, 3)
        if what == "wide":
            monkeypatch.setattr(engines.GpuEngine, "most", 2)
        if what == "half":
            layer, x = layer.bfloat16(), x.bfloat16()
        with sl.backend("gpu", strict=what == "strict"), torch.no_grad():
            layer(x)
        kernels = sl.last_kernels()
        assert f"recurrence/steps/{type(model).__name__}/forward" in kernels
        assert not any(k.startswith("recurrence/gpu") for k in kernels)


def source(direction: str, dtype: torch.dtype) -> tuple[str, dict[str, str]]:
    """A kernel of ALIF with gradients to everything, and the types of its arguments."""
    found = program(sl.ALIF(), None, sl.Sigmoid(detach_reset=False), ("v",))
    plan = training_plan(found.text, (), (True,), (True,) * len(found.prepare))
    graph = plan.forward if direction == "forward" else plan.backward
    arrays = dict.fromkeys([*graph.inputs, *graph.outputs])
    names = tuple(dict.fromkeys(gpu_array(n) for n in arrays if n != "x.v" or direction == "backward"))
    shared = frozenset(n for n in names if n.startswith(CONSTANT))
    real = {torch.float32: "fp32", torch.float64: "fp64"}[dtype]
    text = gpu.kernel_source(
        plan,
        names,
        shared,
        {"fp32": "f32", "fp64": "f64"}[real],
        direction,
        ("ALIF", False, "x.v"),
        gpu.samples_of(128) if direction == "backward" else 1,
    )
    kinds = {"u8": plan.conditions, "fp64": {n for n in names if n.startswith(ADJOINT + CONSTANT)}}
    pointers = {n: next((k for k, those in kinds.items() if n in those), real) for n in names}
    own = {"x": real, "first": real} if direction == "forward" else {}
    own |= {"table": real, **({"places": "i32"} if direction == "forward" else {}), "numbers": real}
    return text, {n: f"*{k}" for n, k in own.items()} | {f"{identifier(n)}_all": f"*{k}" for n, k in pointers.items()}


def gpu_array(name: str) -> str:
    """States and their adjoints are carried in the place of the output."""
    return re.sub("^g.next", "g.s", re.sub(r"^s\.", "next.", name))


@needs_triton
@pytest.mark.parametrize(
    ("direction", "dtype", "size"),
    [
        ("forward", torch.float32, 256),
        ("backward", torch.float32, 256),
        ("forward", torch.float32, 1),
        ("backward", torch.float64, 1),
    ],
)
def test_compiles_for_a_card(
    direction: str, dtype: torch.dtype, size: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Triton passes a size of 1 as a constant."""
    from triton import compile as build
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    text, pointers = source(direction, dtype)
    block, together, warps = gpu.launch_shape(size, direction, dtype.itemsize)
    function = getattr(cache.load_for_triton(text, False), direction)
    number, fixed = ("constexpr", {"batch": 1, "size": 1}) if size == 1 else ("i32", {})
    signature = {"steps": "i32", "batch": number, "size": number, **pointers}
    signature |= dict.fromkeys(("block", "together"), "constexpr")
    constants = {**fixed, "block": block, "together": together}
    # What a launch finds out about its arguments.
    aligned = [k for k, n in enumerate(signature) if "*" in signature[n] or (n == "size" and size % 16 == 0)]
    made = build(
        ASTSource(function, signature, constexprs=constants, attrs={(k,): [["tt.divisibility", 16]] for k in aligned}),
        target=GPUTarget("cuda", 90, 32),
        options={"num_warps": warps, "enable_fp_fusion": True},
    ).asm
    assert made["cubin"]
    ptx = str(made["ptx"])
    assert "approx" not in ptx
    body = ptx[: ptx.index(".section")] if ".section" in ptx else ptx
    # All have written what any reads; then all loads of several rows, with no waiting between.
    kinds = {"st.global": "S", "bar.sync": "B", "ld.global": "L"}
    order = "".join(kinds[k] for k in re.findall(r"(?:st|ld)\.global|bar\.sync", body))
    assert "SB" + "L" * 24 in order, order
    if size % 16 == 0:
        assert len(re.findall(r"ld\.global\S*v4\.b32", body)) >= 8
    assert f"fma.rn.{'f32' if dtype == torch.float32 else 'f64'}" in body


@needs_triton
@needs_card
@pytest.mark.parametrize(("steps", "batch", "size"), [(1, 1, 1), (63, 5, 3), (100, 7, 71), (20, 200, 1000)])
def test_on_a_card(steps: int, batch: int, size: int) -> None:
    layer = layer_of(lif(), size, torch.float64, spread=2 / size**0.5).cuda()
    x = dyadic(steps, batch, size, spread=0.7, dtype=torch.float64).cuda()
    agree(layer, x, tolerance=1e-9, backend="gpu")
    once, again = (ran(layer, x, None) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
