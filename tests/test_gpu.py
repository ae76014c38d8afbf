"""The Triton backend of the scan: interpreted on the CPU, compiled for a card that is not there, run on one that is.

Both halves are needed without a card: the interpreter accepts what the compiler rejects. After a wanted change,
``SPIKELOOM_REGENERATE_GOLDEN=1 pytest tests/test_gpu.py`` writes the golden sources again; read the difference.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import spikeloom as sl
from spikeloom.check import Case, check_backend
from spikeloom.errors import BackendError
from spikeloom.kernels import cache
from spikeloom.kernels.program import program
from spikeloom.kernels.scan import gpu, op
from spikeloom.kernels.scan.plan import Plan, training_plan
from spikeloom.kernels.scan.scan import ScanResult
from spikeloom.lang import math as m
from spikeloom.lang.emit import identifier
from spikeloom.lang.expr import symbol
from spikeloom.lang.graph import Graph

from .interpreted import interpreted

GOLDEN = Path(__file__).parent / "golden"
HAS_TRITON = importlib.util.find_spec("triton") is not None


def triton_version() -> list[int]:
    return [int(n) for n in importlib.metadata.version("triton").split(".")[:2]] if HAS_TRITON else [0, 0]


needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed")
needs_interpreter = pytest.mark.skipif(
    triton_version() < [3, 7],
    reason="needs Triton 3.7, whose interpreter knows NumPy 2.4 and leaves no traces in the process",
)
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


class Odd(sl.NeuronModel):
    """Not biology: every operation of the language in one derivative."""

    tau = sl.param(20.0, sl.ms, low=0.0)
    gate = sl.param(1.0)
    v = sl.state(0.1)
    w = sl.state(0.3)
    i = sl.input()

    def derivative(self, s, x):
        v, w = s.v, s.w
        smooth = m.exp(w) + m.expm1(v) + m.log(2.0 + v * v) + m.log1p(w * w) + m.sqrt(1.0 + v * v) + m.tanh(w)
        turning = m.sin(v) + m.cos(w) + m.atan(v) + m.erf(w) + m.sigmoid(v) + (1.0 + v * v) ** 1.5 + abs(w)
        chosen = m.where((v > 0.0) & ~(w >= 0.5) & (self.gate > 0.0), m.minimum(v, w), m.maximum(v, -w)) + m.detach(
            m.ceil(w)
        )
        return {"v": (smooth + chosen - v * 8.0 + x.i) / self.tau, "w": (turning - w * 8.0) / self.tau}


CASES = {
    "LIF": Case(sl.LIF(tau=3.0), into={"v": 0.9}),
    "LIF to a value": Case(sl.LIF(tau=3.0, reset_mechanism="value", v_reset=0.25), into={"v": 0.9}),
    "ALIF": Case(sl.ALIF(tau=3.0), into={"v": 0.9}),
    "Refractory": Case(sl.Refractory(sl.LIF(tau=3.0), t_ref=2.0), into={"v": 1.2}),
    "LI": Case(sl.LI(tau=3.0), into={"v": 0.9}),
    "HodgkinHuxley": Case(sl.HodgkinHuxley(), into={"i": 60.0}, dt=0.05),
    "Odd": Case(Odd(), into={"i": 1.0}, dt=0.5),
}
# One of each new kind of equation: products, exponentials, ports, synapses that count spikes, random numbers.
SMALL = {"steps": 3, "batch": 1, "neurons": 3, "backend": "gpu"}
ZOO = {
    "Izhikevich": Case(sl.Izhikevich(), into={"i": 300.0, "v": 30.0}, dt=0.25, **SMALL),
    "AdEx": Case(sl.AdEx(), into={"i": 9000.0, "v": 20.0}, dt=0.1, solver=sl.solvers.Heun(), **SMALL),
    "HodgkinHuxley": Case(
        sl.HodgkinHuxley(), into={"i": 900.0, "v": 20.0}, dt=0.05, solver=sl.solvers.ExponentialEuler(), **SMALL
    ),
    "Exponential": Case(sl.With(sl.LIF(tau=5.0), exc=sl.Exponential(tau=2.0)), into={"v": 2.0, "exc": 1.0}, **SMALL),
    "TsodyksMarkram": Case(
        sl.With(sl.LIF(tau=5.0), exc=sl.Conductance(sl.TsodyksMarkram(sl.Exponential()), e=3.0)),
        into={"v": 2.0, "exc": 5.0}, solver=sl.solvers.ForwardEuler(), **SMALL,
    ),
    "EscapeRate": Case(sl.EscapeRate(sl.LIF(tau=5.0), width=0.3), solver=sl.solvers.ForwardEuler(), **SMALL),
    "Noisy": Case(sl.Noisy(sl.LIF(tau=5.0), sigma_noise=0.5), **SMALL),
}  # fmt: skip
SHAPES = [(1, 1, 1), (7, 1, 5), (1, 2, 65), (7, 1, 130)]
FULL = [(name, shape) for name in ("LIF", "ALIF", "Refractory", "LI") for shape in SHAPES]
# The interpreter takes about half a millisecond for an operation, and these have many.
FEW = [("LIF to a value", (7, 1, 5)), ("HodgkinHuxley", (2, 1, 3)), ("Odd", (3, 1, 5)), ("LIF", (19, 1, 5))]


def noise(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def run(
    name: str, shape: tuple[int, int, int], dtype: torch.dtype, device: str = "cpu", per_neuron: bool = False
) -> tuple[ScanResult, dict[str, torch.Tensor]]:
    """A scan and the gradients of a loss of all its outputs to all its inputs."""
    case = CASES[name]
    model, ((stream, scale),) = case.model, case.drive.items()
    x = (scale * noise(*shape, seed=0).abs()).to(device, dtype).requires_grad_()
    state = {n: (0.1 + 0.2 * noise(*shape[1:], seed=1).abs()).to(device, dtype) for n in model.states}
    if "remaining" in state:
        state["remaining"] = state["remaining"].round()
    if name == "HodgkinHuxley":
        # Gates that are all open take the membrane farther in a step than the solver can follow.
        state = {n: s.clamp(max=0.4) for n, s in state.items()} | {"v": state["v"] * 10.0 - 65.0}
    state = {n: s.requires_grad_() for n, s in state.items()}
    learned = {n: torch.tensor(float(v), dtype=torch.float64, device=device) for n, v in model.values.items()}
    if per_neuron:
        factors = torch.linspace(1.0, 1.2, shape[2], dtype=torch.float64, device=device)
        learned = {n: v * factors for n, v in learned.items()}
    learned = {n: v.requires_grad_() for n, v in learned.items()}
    result = sl.scan(model, {stream: x}, state, learned=learned, dt=case.dt, record=tuple(model.states))
    outputs = [*([] if result.spikes is None else [result.spikes]), *result.states.values(), *result.final.values()]
    weights = [noise(*o.shape, seed=2 + k).to(device, dtype) for k, o in enumerate(outputs)]
    torch.stack([(o * w).sum() for o, w in zip(outputs, weights, strict=True)]).sum().backward()
    leaves = {"x": x, **{f"state {n}": s for n, s in state.items()}, **{f"param {n}": p for n, p in learned.items()}}
    # Autograd leaves None where nothing depends on a leaf, and kernels give zeros.
    return result, {n: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for n, leaf in leaves.items()}


def compare(
    name: str, shape: tuple[int, int, int], dtype: torch.dtype, device: str = "cpu", per_neuron: bool = False
) -> None:
    """The gpu backend gives the reference's spikes, states and gradients."""
    with sl.backend("reference"):
        expected, expected_grads = run(name, shape, dtype, device, per_neuron)
    sl.last_kernels()
    with sl.backend("gpu", strict=True):
        found, grads = run(name, shape, dtype, device, per_neuron)
    label = type(CASES[name].model).__name__
    assert sl.last_kernels() == [f"scan/gpu/{label}/forward", f"scan/gpu/{label}/backward"]
    if found.spikes is None or expected.spikes is None:
        assert found.spikes is expected.spikes
    else:
        assert torch.equal(found.spikes, expected.spikes)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-12
    for part in ("states", "final"):
        for key, value in getattr(expected, part).items():
            torch.testing.assert_close(getattr(found, part)[key], value, rtol=tolerance, atol=tolerance)
    for key, value in expected_grads.items():
        atol = 4.0 * tolerance * max(1.0, float(value.abs().max()))
        torch.testing.assert_close(grads[key], value, rtol=0, atol=atol, msg=lambda t, k=key: f"{k}: {t}")


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """No other test finds these kernels among its own."""
    yield
    sl.last_kernels()


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's interpreter on the CPU, and outputs that start as NaN."""
    interpreted(monkeypatch, op)


# NumPy warns of what compiled code computes in silence, for instance in the lanes that are masked out.
@needs_interpreter
@pytest.mark.filterwarnings("ignore::RuntimeWarning:triton")
@pytest.mark.usefixtures("interpreter")
class TestInterpreted:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
    @pytest.mark.parametrize(("name", "shape"), [*FULL, *FEW])
    def test_equals_the_reference(self, name: str, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
        compare(name, shape, dtype)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
    @pytest.mark.parametrize("case", ZOO.values(), ids=ZOO)
    def test_the_zoo_equals_the_reference(self, case: Case, dtype: torch.dtype) -> None:
        check_backend(dataclasses.replace(case, dtype=dtype))

    def test_parameters_of_each_neuron(self) -> None:
        compare("ALIF", (7, 2, 3), torch.float64, per_neuron=True)

    def test_larger_programs_with_a_tail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gpu, "_FEW_LANES", 0)
        gpu._launch_shape.cache_clear()
        compare("LIF", (2, 1, 130), torch.float64)
        gpu._launch_shape.cache_clear()

    @pytest.mark.parametrize("shape", [(0, 2, 3), (4, 0, 3), (4, 2, 0)])
    def test_nothing_to_do(self, shape: tuple[int, int, int]) -> None:
        result, grads = run_on_gpu("LIF", shape)
        assert result.spikes is not None
        assert result.spikes.shape == shape
        assert grads["x"].shape == shape

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("name", ["LIF", "LI"])
    def test_half_precision_goes_in_and_comes_out(self, name: str, dtype: torch.dtype) -> None:
        """The kernel's own arithmetic is the float32 kernel's on the rounded input; its results are rounded once."""
        (narrow, narrow_grad), (wide, wide_grad) = (half_run(name, dtype, t) for t in (dtype, torch.float32))
        for part in ("states", "final"):
            for key, value in getattr(wide, part).items():
                assert torch.equal(getattr(narrow, part)[key], value)
        if wide.spikes is not None:
            assert narrow.spikes is not None
            assert 0 < wide.spikes.sum() < wide.spikes.numel()
            assert torch.equal(narrow.spikes, wide.spikes.to(dtype))
        assert wide_grad.abs().max() > 0
        # Triton's interpreter cuts off what a bfloat16 has no room for, where a card rounds to the nearest.
        if dtype == torch.bfloat16:
            wide_grad = (wide_grad.view(torch.int32) & ~0xFFFF).view(torch.float32)
        assert torch.equal(narrow_grad, wide_grad.to(dtype))

    def test_each_stream_keeps_its_type(self) -> None:
        streams = {"v": noise(3, 1, 2, seed=0).bfloat16(), "i": noise(3, 1, 2, seed=1).float()}
        found: list[tuple[torch.Tensor, ...]] = []
        for backend in ("gpu", "reference"):
            leaves = {n: x.clone().requires_grad_() for n, x in streams.items()}
            with sl.backend(backend):
                result = sl.scan(sl.LIF(tau=3.0), leaves)
            assert result.spikes is not None
            found.append((result.spikes, *torch.autograd.grad(result.final["v"].sum(), tuple(leaves.values()))))
        for ours, theirs, dtype in zip(*found, (torch.bfloat16, torch.bfloat16, torch.float32), strict=True):
            assert ours.dtype == theirs.dtype == dtype
            # The interpreter cuts off what a bfloat16 has no room for: at most one unit in its last place.
            torch.testing.assert_close(ours, theirs, rtol=2 * torch.finfo(dtype).eps, atol=0)

    def test_without_gradients_nothing_is_saved(self) -> None:
        x = 0.9 * noise(4, 1, 3, seed=0).abs()
        with sl.backend("gpu"), torch.no_grad():
            result = sl.scan(sl.LIF(tau=3.0), {"v": x})
        with sl.backend("reference"), torch.no_grad():
            expected = sl.scan(sl.LIF(tau=3.0), {"v": x})
        assert torch.equal(result.final["v"], expected.final["v"])

    def test_gradients_add_to_what_is_in_the_sums(self) -> None:
        """``g.c*`` are sums over time that start from what the array holds, as on the CPU."""
        arrays = {
            "g.s.v": torch.ones(3, dtype=torch.float64), "x.v": torch.full((4, 3), 2.0, dtype=torch.float64),
            "c0": torch.tensor([0.5], dtype=torch.float64), "g.c0": torch.full((3,), 10.0, dtype=torch.float64),
        }  # fmt: skip
        g, x, c = symbol("g.next.v"), symbol("x.v"), symbol("c0")
        backward = Graph.make({"g.s.v": g * c, "g.c0": g * x})
        gpu.backward(Plan(Graph((), {}), backward, frozenset()), 4, arrays, "Test", False)
        assert arrays["g.s.v"].tolist() == [0.5**4] * 3
        assert arrays["g.c0"].tolist() == [10.0 + 2.0 * (1.0 + 0.5 + 0.25 + 0.125)] * 3


def half_run(name: str, rounded: torch.dtype, dtype: torch.dtype) -> tuple[ScanResult, torch.Tensor]:
    """A scan of input that fits ``rounded``, given as ``dtype``, and the gradient to it."""
    x = (0.9 * noise(7, 1, 5, seed=0).abs()).to(rounded).to(dtype).requires_grad_()
    sl.last_kernels()
    with sl.backend("gpu"):
        result = sl.scan(CASES[name].model, {"v": x}, record=("v",))
        output = result.states["v"] if result.spikes is None else result.spikes
        weights = noise(7, 1, 5, seed=1).to(rounded).to(output.dtype)
        (grad,) = torch.autograd.grad(output, x, weights)
    assert sl.last_kernels() == [f"scan/gpu/{name}/forward", f"scan/gpu/{name}/backward"]
    return result, grad


def run_on_gpu(name: str, shape: tuple[int, int, int]) -> tuple[ScanResult, dict[str, torch.Tensor]]:
    with sl.backend("gpu"):
        return run(name, shape, torch.float32)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Triton's compiler, with nothing compiled before."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


class Kernel:
    """One kernel of a model: its source, and what a launch would tell Triton."""

    def __init__(
        self, case: str | Case, direction: str, precision: str, learn: bool = True, narrow: str | None = None
    ) -> None:
        case = CASES[case] if isinstance(case, str) else case
        found = program(case.model, case.solver, sl.ATan(), case.targets)
        streams = tuple(name in case.targets for name in found.streams)
        plan = training_plan(found.text, (), streams, (learn,) * len(found.prepare))
        graph = plan.forward if direction == "forward" else plan.backward
        self.names = tuple(dict.fromkeys([*map(gpu._array, graph.inputs), *graph.outputs]))
        shared = frozenset(n for n in self.names if re.fullmatch(r"c\d+", n))
        label = type(case.model).__name__
        self.narrow = {n: narrow for n in self.names if narrow and n.removeprefix("g.").startswith(("x.", "spike"))}
        kinds = gpu.Kinds(shared, plan.conditions, frozenset(self.narrow))
        self.source = gpu.kernel_source(graph, self.names, kinds, precision, direction, label)
        self.direction, self.conditions = direction, plan.conditions
        self.floats = {"f32": "*fp32", "f64": "*fp64"}[precision]
        self.block, self.ahead = gpu.launch_shape(graph, 100, 100_000)

    def _pointer(self, name: str) -> str:
        if name in self.narrow:
            return f"*{self.narrow[name]}"
        return "*u8" if name in self.conditions else "*fp64" if name.startswith("g.c") else self.floats

    def compiled(self, strict: bool = False, width: str = "i32", ahead: int = 2) -> dict[str, str | bytes]:
        """Everything the compiler makes for compute capability 9.0; no card is needed for that."""
        from triton import compile as build
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        function = getattr(cache.load_for_triton(self.source, False), self.direction)
        signature = {"steps": "i32", "width": width, **{f"{identifier(n)}_all": self._pointer(n) for n in self.names}}
        constants = {
            "block": self.block,
            "ahead": min(ahead, self.ahead),
            **({"width": 1} if width == "constexpr" else {}),
        }
        source = ASTSource(function, {**signature, "block": "constexpr", "ahead": "constexpr"}, constexprs=constants)
        options = {"num_warps": self.block // 32, "enable_fp_fusion": not strict}
        return build(source, target=GPUTarget("cuda", 90, 32), options=options).asm


@needs_triton
@pytest.mark.usefixtures("compiler")
class TestCompiled:
    @pytest.mark.parametrize("direction", ["forward", "backward"])
    @pytest.mark.parametrize(
        ("name", "precision"), [("LIF", "f32"), ("LIF", "f64"), ("ALIF", "f32"), ("Refractory", "f32")]
    )
    def test_compiles_for_a_card(self, name: str, precision: str, direction: str) -> None:
        made = Kernel(name, direction, precision).compiled(ahead=8 if name == "LIF" else 2)
        assert made["cubin"]
        assert "approx" not in str(made["ptx"])

    @pytest.mark.parametrize(("direction", "narrow"), [("forward", "bf16"), ("backward", "bf16"), ("backward", "fp16")])
    def test_half_precision_compiles_for_a_card(self, direction: str, narrow: str) -> None:
        """Streams, spikes and their gradients are loaded and stored as they are, rounded to the nearest."""
        kernel = Kernel("LIF", direction, "f32", narrow=narrow)
        assert set(kernel.narrow) == ({"x.v", "spike"} if direction == "forward" else {"x.v", "g.x.v", "g.spike"})
        ptx = str(kernel.compiled()["ptx"])
        assert "approx" not in ptx
        assert (f"cvt.rn.{narrow.replace('fp', 'f')}" in ptx) == (direction == "backward")  # a spike needs no rounding
        assert "st.global.b16" in ptx

    @pytest.mark.parametrize("direction", ["forward", "backward"])
    @pytest.mark.parametrize("case", ZOO.values(), ids=ZOO)
    def test_the_zoo_compiles_for_a_card(self, case: Case, direction: str) -> None:
        made = Kernel(case, direction, "f32").compiled()
        assert made["cubin"]
        assert "approx" not in str(made["ptx"])

    @pytest.mark.parametrize("direction", ["forward", "backward"])
    def test_hodgkin_huxley_compiles_for_a_card(self, direction: str) -> None:
        """The longest programs; no approximate exp or division finds its way in."""
        made = Kernel("HodgkinHuxley", direction, "f32", learn=False).compiled()
        assert made["cubin"]
        assert "approx" not in str(made["ptx"])

    @pytest.mark.parametrize("precision", ["f32", "f64"])
    def test_every_operation_compiles(self, precision: str) -> None:
        assert Kernel("Odd", "forward", precision).compiled()["cubin"]

    def test_strict_kernels_fuse_nothing(self) -> None:
        kernel = Kernel("LIF", "backward", "f32")
        fused, strict = (str(kernel.compiled(strict=s)["ptx"]) for s in (False, True))
        assert "fma.rn.f32" in fused
        assert "fma.rn.f32" not in strict
        assert re.search(r"div\.rn(\.ftz)?\.f32", strict)

    @pytest.mark.parametrize("width", ["i64", "constexpr"])
    def test_very_wide_and_single_lanes(self, width: str) -> None:
        """Triton passes a width of 2**31 and more as int64, and a width of 1 as a constant."""
        assert Kernel("LIF", "backward", "f32").compiled(width=width)["cubin"]

    def test_offsets_are_64_bit(self) -> None:
        """T times M may exceed 2**31: the row's offset is multiplied in 64 bits."""
        ir = str(Kernel("LIF", "forward", "f32").compiled()["ttir"])
        assert re.search(r"arith.muli .* : i64", ir)
        assert not re.search(r"arith.muli .*%width.* : i32", ir)

    def test_what_is_compiled_is_what_was_generated(self) -> None:
        """Triton asks for a kernel's text later; a file that was changed meanwhile is not what it gets."""
        kernel = Kernel("LI", "forward", "f32")
        cache.load_for_triton.cache_clear()
        module = cache.load_for_triton(kernel.source, False)
        path = Path(str(module.__file__))
        assert path.read_text(encoding="utf-8") == kernel.source
        path.write_text("raise SystemExit('this must never run')\n", encoding="utf-8")
        text, _ = inspect.getsourcelines(module.forward.fn)
        assert "".join(text) in kernel.source
        cache.load_for_triton.cache_clear()
        with pytest.warns(UserWarning, match="built again"):
            module = cache.load_for_triton(kernel.source, False)
        assert Path(str(module.__file__)).read_text(encoding="utf-8") == kernel.source


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_golden_source(direction: str) -> None:
    path = GOLDEN / f"scan_lif_{direction}_triton.txt"
    found = Kernel("LIF", direction, "f32").source
    if os.environ.get("SPIKELOOM_REGENERATE_GOLDEN"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8"), f"{path} differs; see the top of this file"


@pytest.mark.parametrize(("steps", "width"), [(1, 1), (7, 100), (8, 100), (1000, 10_000_000)])
def test_launch_shapes(steps: int, width: int) -> None:
    small = training_plan(program(sl.LIF(), None, sl.ATan(), ("v",)).text, (), (True,), (False,) * 5).forward
    large = training_plan(program(sl.HodgkinHuxley(), None, sl.ATan(), ("i",)).text, (), (True,), (False,) * 12).forward
    block, ahead = gpu.launch_shape(small, steps, width)
    assert block == (32 if width < 1000 else 128)
    assert ahead == (8 if steps >= 8 else 1)
    assert gpu.launch_shape(large, steps, width) == (block, 1)


@needs_triton
def test_data_on_the_cpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with sl.backend("gpu"), pytest.raises(BackendError, match=r"data on cpu.*TRITON_INTERPRET=1"):
        sl.scan(sl.LIF(), {"v": torch.ones(2, 1, 1)})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with sl.backend("gpu"), pytest.raises(BackendError, match=r"data on cpu\. .*\.to\('cuda'\)"):
        sl.scan(sl.LIF(), {"v": torch.ones(2, 1, 1)})


def test_a_missing_triton_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    with sl.backend("gpu"), pytest.raises(BackendError, match=r"pip install 'spikeloom\[gpu\]'"):
        sl.scan(sl.LIF(), {"v": torch.ones(2, 1, 1)})


@needs_interpreter
def test_the_interpreter_from_a_shell(tmp_path: Path) -> None:
    """What the error's advice leads to."""
    code = (
        "import torch, spikeloom as sl\n"
        "with sl.backend('gpu'):\n"
        "    y, state = sl.nn.Neuron(sl.LIF(tau=10.0))(torch.full((5, 1, 1), 0.5))\n"
        "print(y.flatten().tolist(), sl.last_kernels())"
    )
    environment = {**os.environ, "TRITON_INTERPRET": "1", "SPIKELOOM_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[0.0, 0.0, 1.0, 0.0, 1.0] ['scan/gpu/LIF/forward']"
    (kernel,) = tmp_path.glob("*/kernel.py")
    assert "import triton" in kernel.read_text(encoding="utf-8")


@needs_triton
@needs_card
class TestOnACard:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
    @pytest.mark.parametrize("shape", [(1, 1, 1), (63, 1, 1000), (257, 3, 4097)])
    @pytest.mark.parametrize("name", ["LIF", "LIF to a value", "ALIF", "Refractory", "LI"])
    def test_equals_the_reference(self, name: str, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
        compare(name, shape, dtype, "cuda")

    @pytest.mark.parametrize("case", ZOO.values(), ids=ZOO)
    def test_the_zoo_equals_the_reference(self, case: Case) -> None:
        check_backend(dataclasses.replace(case, steps=21, neurons=1000, device="cuda"))

    @pytest.mark.parametrize("name", ["HodgkinHuxley", "Odd"])
    def test_long_programs_equal_the_reference(self, name: str) -> None:
        compare(name, (20, 2, 1000), torch.float64, "cuda")

    def test_the_backend_follows_the_device(self) -> None:
        sl.last_kernels()
        sl.scan(sl.LIF(), {"v": torch.ones(3, 1, 5, device="cuda")})
        assert sl.last_kernels() == ["scan/gpu/LIF/forward"]

    def test_more_than_two_to_the_31_elements(self) -> None:
        steps, width = 3, 2**30
        free, _ = torch.cuda.mem_get_info()
        if free < 40 * 2**30:
            pytest.skip("needs 40 GiB of free memory on the card")
        x = torch.zeros(steps, 1, width, device="cuda")
        x[-1, 0, -5:] = 2.0
        with torch.no_grad():
            result = sl.scan(sl.LIF(), {"v": x})
        assert result.spikes is not None
        assert result.spikes[-1, 0, -6:].tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]
        assert float(result.spikes.sum(dtype=torch.float64)) == 5.0
