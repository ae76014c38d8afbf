"""Recurrent layers as one kernel over time: equal to the loop of single steps, and chosen only where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.errors import BackendError, NonFiniteError, StateError
from spikeloom.kernels.recurrence import cpu, engines, op

FUSED = {"recurrence/{}/{}/forward", "recurrence/{}/{}/backward"}


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    sl.last_kernels()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def full_of_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that should be written before it is read holds NaN, or ones in every bit."""

    def empty(like: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> torch.Tensor:
        dtype = dtype or like.dtype
        return torch.full(shape, torch.nan if dtype.is_floating_point else -1 if dtype.is_signed else 255, dtype=dtype)

    def scratch(shape: tuple[int, ...], kind: object) -> np.ndarray:
        dtype = np.dtype(kind)  # type: ignore[call-overload]
        return np.full(shape, np.nan if dtype.kind == "f" else 2**16 - 1, dtype)

    monkeypatch.setattr(op, "empty", empty)
    monkeypatch.setattr(engines, "empty", empty)
    monkeypatch.setattr(cpu, "scratch", scratch)


def dyadic(*shape: int, spread: float, dtype: torch.dtype) -> torch.Tensor:
    """Numbers whose sums are exact in any order, so that spikes cannot differ by rounding."""
    return (torch.randn(shape) * spread * 64).round().to(dtype) / 64


def layer_of(neuron: sl.nn.Neuron, size: int, dtype: torch.dtype, spread: float = 0.4) -> sl.nn.Recurrent:
    layer = sl.nn.Recurrent(neuron, size).to(dtype)
    with torch.no_grad():
        layer.weight.copy_(dyadic(size, size, spread=spread, dtype=dtype))
    return layer


def ran(
    layer: sl.nn.Recurrent, x: torch.Tensor, state: sl.State | None, names: tuple[str, ...] = ("v",)
) -> list[torch.Tensor]:
    """Output, records, final state, and all gradients of a loss that takes every one of them into account."""
    leaf = x.clone().requires_grad_()
    if state is not None:
        state = state.map(lambda t: t.detach().clone().requires_grad_())
    with sl.record(layer, *names) as rec:
        y, final = layer(leaf, state)
    outputs = [y, *(rec["neuron"][n] for n in names), *final["neuron"].values(), final["spikes"]]
    loss = sum(
        (t * torch.linspace(-1, 2, t.numel(), dtype=t.dtype, device=t.device).view(t.shape)).sum() for t in outputs
    )
    given = [] if state is None else [*state["neuron"].values(), state["spikes"]]
    leaves = [leaf, *given, *layer.parameters()]
    found = torch.autograd.grad(loss, leaves, allow_unused=True)  # type: ignore[arg-type]
    return [
        *(t.detach() for t in outputs),
        *(torch.zeros_like(a) if g is None else g for g, a in zip(found, leaves, strict=True)),
    ]


def agree(
    layer: sl.nn.Recurrent,
    x: torch.Tensor,
    state: sl.State | None = None,
    names: tuple[str, ...] = ("v",),
    tolerance: float = 1e-11,
    backend: str = "cpu",
) -> list[torch.Tensor]:
    """The kernel's and the reference's outputs are equal, the gradients to rounding; returns the kernel's."""
    sl.last_kernels()
    with sl.backend(backend):
        found = ran(layer, x, state, names)
    label = type(layer.neuron.model).__name__
    kernels = sl.last_kernels()
    assert {name.format(backend, label) for name in FUSED} <= set(kernels)
    assert not any(k.startswith(("scan", "recurrence/steps")) for k in kernels)
    with sl.backend("reference"):
        expected = ran(layer, x, state, names)
    assert torch.equal(found[0], expected[0])
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype == x.dtype
        assert (ours - theirs).norm() <= tolerance * theirs.norm()
    return found


def lif(**options: object) -> sl.nn.Neuron:
    return sl.nn.Neuron(sl.LIF(tau=1 / np.log(2.0)), learn=("tau", "v_threshold"), **options)  # type: ignore[arg-type]


@pytest.mark.usefixtures("full_of_nan")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
@pytest.mark.parametrize(("steps", "batch", "size"), [(1, 1, 1), (1, 71, 64), (63, 5, 3), (257, 3, 71), (20, 9, 300)])
def test_sizes(steps: int, batch: int, size: int, dtype: torch.dtype) -> None:
    layer = layer_of(lif(), size, dtype, spread=2 / size**0.5)
    x = dyadic(steps, batch, size, spread=0.7, dtype=dtype)
    found = agree(layer, x, tolerance=2e-5 if dtype == torch.float32 else 1e-11)
    if steps > 1:
        assert 0.05 < found[0].mean() < 0.5
        assert all(t.abs().max() > 0 for t in found[1:])


MODELS: dict[str, Callable[[], tuple[sl.nn.Neuron, float]]] = {
    "adaptive, per neuron, attached reset": lambda: (
        sl.nn.Neuron(
            sl.ALIF(tau=np.linspace(2.0, 6.0, 9), beta=0.4),
            learn=("tau", "beta"),
            surrogate=sl.Sigmoid(detach_reset=False),
        ),
        1.0,
    ),
    "refractory, to a value": lambda: (
        sl.nn.Neuron(sl.Refractory(sl.LIF(tau=5.0, reset_mechanism="value"), t_ref=2.0), surrogate=sl.Triangle()), 1.0,
    ),
    "into a current": lambda: (sl.nn.Neuron(sl.Izhikevich(), into="i", dt=0.5, learn=("a", "d")), 30.0),
    "crossing": lambda: (sl.nn.Neuron(sl.LIF(tau=5.0, reset_mechanism="none"), surrogate=sl.Gaussian()), 1.0),
}  # fmt: skip


@pytest.mark.usefixtures("full_of_nan")
@pytest.mark.parametrize("name", MODELS)
def test_models_from_a_state_with_records(name: str) -> None:
    neuron, scale = MODELS[name]()
    layer = layer_of(neuron, 9, torch.float64, spread=0.5 * scale)
    x = dyadic(41, 5, 9, spread=0.8 * scale, dtype=torch.float64) + scale / 4
    _, state = layer(x[:10])
    assert state["spikes"].sum() > 0
    found = agree(layer, x[10:], state, tuple(n for n, s in neuron.model.states.items() if not s.timer), 1e-9)
    assert 0.02 < found[0].mean() < 0.9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
def test_against_a_net_that_is_written_out(dtype: torch.dtype) -> None:
    """v_t = d v_{t-1} (1 - s_{t-1}) + x_t + W s_{t-1}, s = (v >= 1), ds/dv = 1 / (1 + |v - 1|)^2."""

    class Fire(torch.autograd.Function):
        @staticmethod
        def forward(ctx, v):  # type: ignore[no-untyped-def]
            ctx.save_for_backward(v)
            return (v >= 1).to(v.dtype)

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            return g / (1 + (ctx.saved_tensors[0] - 1).abs()) ** 2

    model = sl.LIF(tau=1 / np.log(2.0), r=2.0, reset_mechanism="value", v_reset=0.0)
    layer = layer_of(sl.nn.Neuron(model, surrogate=sl.FastSigmoid(width=1.0)), 33, dtype)
    x = dyadic(30, 7, 33, spread=0.7, dtype=dtype).requires_grad_()
    y, _ = layer(x)
    weights = torch.randn(y.shape, dtype=dtype)
    found = torch.autograd.grad((y * weights).sum(), (x, layer.weight))
    assert sl.last_kernels()[:2] == ["recurrence/cpu/LIF/forward", "recurrence/cpu/LIF/backward"]
    v = s = torch.zeros(7, 33, dtype=dtype)
    rows = []
    for x_t in x:
        v = 0.5 * v * (1 - s.detach()) + (x_t + s @ layer.weight.T)
        s = Fire.apply(v)
        rows.append(s)
    assert torch.equal(y, torch.stack(rows))
    expected = torch.autograd.grad((torch.stack(rows) * weights).sum(), (x, layer.weight))
    for ours, theirs in zip(found, expected, strict=True):
        # A weight's gradient sums 30 steps of 7 samples, terms of about 1 that each round once.
        rounding = 30 * 7 * torch.finfo(dtype).eps
        torch.testing.assert_close(ours, theirs, rtol=1e-4 if dtype == torch.float32 else 1e-10, atol=rounding)


def test_the_number_of_threads_changes_no_bit() -> None:
    layer, x = sl.nn.Recurrent(lif(), 70), torch.randn(40, 131, 70)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(ran(layer, x, None))
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_pieces_give_the_bits_of_the_whole() -> None:
    layer, x = sl.nn.Recurrent(lif(), 70), torch.randn(40, 3, 70)
    y, final = layer(x)
    state, rows = None, []
    for piece in x.split([1, 1, 30, 8]):
        row, state = layer(piece, state)
        rows.append(row)
    assert torch.equal(torch.cat(rows), y)
    assert state is not None
    assert torch.equal(state["spikes"], y[-1])
    assert torch.equal(state["neuron"]["v"], final["neuron"]["v"])
    assert state["spikes"].untyped_storage().nbytes() < y.untyped_storage().nbytes()


def test_what_came_before_may_be_any_numbers() -> None:
    layer = layer_of(lif(), 9, torch.float64)
    state = sl.State(
        neuron=sl.State(v=torch.zeros(5, 9).double()), spikes=dyadic(5, 9, spread=1.0, dtype=torch.float64)
    )
    agree(layer, dyadic(20, 5, 9, spread=0.7, dtype=torch.float64), state)


def test_dense_spikes() -> None:
    layer = layer_of(lif(), 40, torch.float32)
    found = agree(layer, dyadic(30, 6, 40, spread=0.5, dtype=torch.float32) + 3, tolerance=2e-5)
    assert found[0].mean() > 0.5
    layer(torch.full((30, 6, 40), 3.0))[0].sum().backward()
    assert not any(k.startswith("spike_linear") for k in sl.last_kernels())  # the product with what is dense


def test_sums_over_time_and_strided_input() -> None:
    layer, x = layer_of(lif(), 9, torch.float64), dyadic(5, 30, 9, spread=0.7, dtype=torch.float64)
    for given in (x.transpose(0, 1), x[0, 0].expand(30, 5, 9) + 0):
        sums = []
        for backend in (None, "reference"):
            with sl.backend(backend):
                leaf = given.detach().requires_grad_()
                sums.append(torch.autograd.grad(layer(leaf)[0].sum(0).pow(2).sum(), (leaf, layer.weight)))
        for ours, theirs in zip(*sums, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("wanted", ["weight", "x", "neuron.raw.tau"])
def test_gradients_of_one_thing_only(wanted: str) -> None:
    layer = layer_of(lif(), 9, torch.float64)
    x = dyadic(20, 5, 9, spread=0.7, dtype=torch.float64).requires_grad_()
    every = {"x": x, **dict(layer.named_parameters())}
    expected = torch.autograd.grad(layer(x)[0].sum(), every[wanted])[0]
    for name, tensor in every.items():
        tensor.requires_grad_(name == wanted)
    layer(x)[0].sum().backward()
    assert torch.equal(every[wanted].grad, expected)  # type: ignore[arg-type]
    assert all(tensor.grad is None for name, tensor in every.items() if name != wanted)


def test_backward_twice_and_its_derivative() -> None:
    layer = layer_of(lif(), 9, torch.float64)
    x = dyadic(20, 5, 9, spread=0.7, dtype=torch.float64).requires_grad_()
    total = layer(x)[0].sum()
    first, second = (torch.autograd.grad(total, x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    (again,) = torch.autograd.grad(total, x, create_graph=True)
    assert torch.equal(first, again)
    with pytest.raises(BackendError, match=r'first derivatives only.*sl\.backend\("reference"\)'):
        again.sum().backward()


def test_errors_name_the_layer() -> None:
    layer = layer_of(lif(), 9, torch.float32)
    with pytest.raises(NonFiniteError, match=r"in layer neuron: LIF: state v is not finite"):
        layer(torch.full((3, 2, 9), torch.nan))
    bad = sl.State(neuron=sl.State(v=torch.zeros(2, 9).double()), spikes=torch.zeros(2, 9))
    with pytest.raises(StateError, match=r"in layer neuron: state v"):
        layer(torch.zeros(3, 2, 9), bad)
    assert sl.last_kernels() == ["recurrence/cpu/LIF/forward"]


class Own(sl.nn.Neuron):
    """A subclass may do anything."""


def _hooked() -> sl.nn.Recurrent:
    layer = sl.nn.Recurrent(lif(), 9)
    layer.neuron.register_forward_hook(lambda *_: None)
    return layer


def _parametrized() -> sl.nn.Recurrent:
    layer = sl.nn.Recurrent(lif(), 9)
    torch.nn.utils.parametrizations.orthogonal(layer, "weight")
    return layer


LOOPS: dict[str, tuple[Callable[[], sl.nn.Recurrent], Callable[..., object]]] = {
    "hook": (_hooked, lambda layer, x: layer(x)),
    "parametrization": (_parametrized, lambda layer, x: layer(x)),
    "subclass": (lambda: sl.nn.Recurrent(Own(sl.LIF()), 9), lambda layer, x: layer(x)),
    "no spikes": (lambda: sl.nn.Recurrent(sl.nn.Neuron(sl.LI()), 9), lambda layer, x: layer(x)),
    "half": (lambda: sl.nn.Recurrent(lif(), 9).bfloat16(), lambda layer, x: layer(x.bfloat16())),
    "autocast": (_hooked, lambda layer, x: torch.autocast("cpu", torch.bfloat16)(layer)(x)),
    "strict": (lambda: sl.nn.Recurrent(lif(), 9), lambda layer, x: sl.backend(None, strict=True)(layer)(x)),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_what_goes_step_by_step(name: str) -> None:
    make, call = LOOPS[name]
    layer = make()
    call(layer, torch.rand(3, 2, 9))
    kernels = sl.last_kernels()
    assert any(k.startswith("recurrence/steps/") for k in kernels)
    assert not any(k.startswith("recurrence/cpu/") for k in kernels)


def test_the_reference_goes_step_by_step() -> None:
    with sl.backend("reference"):
        sl.nn.Recurrent(lif(), 9)(torch.rand(3, 2, 9))
    assert sl.last_kernels() == ["scan/reference/LIF/forward"]
