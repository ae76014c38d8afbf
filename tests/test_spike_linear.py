"""Products of spikes and weights by gathering rows: equal to the dense product, on any number of threads."""

from collections.abc import Callable, Generator

import pytest
import torch
import torch.nn.utils.prune

import spikeloom as sl
from spikeloom.kernels.spike_linear import cpu, linear, reference
from spikeloom.kernels.spike_linear.linear import spike_linear
from spikeloom.kernels.spike_linear.op import input_gradient_op, linear_op, pack_op, weight_gradient_op

FORWARD, BACKWARD, DENSE = (
    "spike_linear/cpu/Linear/forward", "spike_linear/cpu/Linear/backward", "spike_linear/dense/Linear/forward",
)  # fmt: skip
EPS = 2.0**-24  # half a unit in the last place of float32


@pytest.fixture(autouse=True)
def _seeded(monkeypatch: pytest.MonkeyPatch) -> Generator[None, None, None]:
    monkeypatch.setattr(linear, "_SMALLEST", 0)  # or every test would have to be large
    threads = torch.get_num_threads()
    torch.manual_seed(3)
    yield
    torch.set_num_threads(threads)


def spikes(*shape: int, density: float = 0.1) -> torch.Tensor:
    return (torch.rand(shape) < density).float()


def within_rounding(found: torch.Tensor, x: torch.Tensor, y: torch.Tensor, start: torch.Tensor) -> None:
    """``found`` is ``start + x @ y`` in some order of summing: the a-priori bound of Higham, section 3.1."""
    exact = start.double() + x.double() @ y.double()
    size = start.double().abs() + x.double().abs() @ y.double().abs()
    terms = x.count_nonzero(1).double()[:, None] + 2
    assert ((found.double() - exact).abs() <= terms * EPS / (1 - terms * EPS) * size).all()


def products(x: torch.Tensor, outputs: int, bias: bool = True) -> None:
    weight, start = torch.randn(outputs, x.shape[1]), torch.randn(outputs) * bias
    words, counts = pack_op(x)
    within_rounding(linear_op(x, words, counts, weight, start if bias else None, None), x, weight.T, start)
    grad = torch.randn(len(x), outputs)
    by_weight, by_bias = weight_gradient_op(words, counts, grad, x.shape[1])
    within_rounding(by_weight.T, x.T, grad, torch.zeros(1))
    within_rounding(by_bias[None], torch.ones(1, len(x)), grad, torch.zeros(1))


@pytest.mark.parametrize("rows", [1, 63, 257])
@pytest.mark.parametrize("inputs", [1, 100, 784])
@pytest.mark.parametrize("outputs", [1, 10, 513])
def test_products_over_shapes(rows: int, inputs: int, outputs: int) -> None:
    products(spikes(rows, inputs), outputs, bias=rows != 63)


@pytest.mark.parametrize("density", [0.0, 0.001, 0.03, 0.5, 1.0])
def test_products_over_densities_and_several_chunks(density: float) -> None:
    products(spikes(2500, 130, density=density), 70)


def test_no_rows_at_all() -> None:
    products(torch.zeros(0, 70), 20)


def test_empty_and_full_rows_and_inputs() -> None:
    x = spikes(300, 200)
    x[7], x[8], x[299] = 0, 1, 1
    x[:, 3], x[:, 64], x[:, 199] = 0, 1, 1
    products(x, 40)


def test_wide_inputs_take_narrower_blocks() -> None:
    products(spikes(40, 5000, density=0.02), 70)


@pytest.mark.parametrize("inputs", [1, 63, 64, 65, 784])
def test_packing(inputs: int) -> None:
    x = spikes(70, inputs, density=0.3)
    words, counts = cpu.pack(x)
    expected = reference.pack(x)
    assert torch.equal(words, expected[0])
    assert torch.equal(counts, expected[1])
    assert torch.equal(counts, x.sum(1).int())
    assert torch.equal(reference.unpack(words, inputs, x.dtype), x)


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5, 1 + 2**-23, 1e-45, float("nan"), float("inf")])
@pytest.mark.parametrize("place", [(0, 0), (69, 70), (35, 64), (20, 63)])
def test_anything_but_0_and_1_is_noticed(value: float, place: tuple[int, int]) -> None:
    x = spikes(70, 71)
    x[place] = value
    assert cpu.pack(x)[1][0] == -1
    assert reference.pack(x)[1][0] == -1


def test_a_negative_zero_is_a_zero() -> None:
    assert cpu.pack(-torch.zeros(5, 70))[1].tolist() == [0] * 5


def test_all_samples_of_a_batch_count() -> None:
    # 64 rows are looked at first. Every 16th of 1024 would be one sample of sixteen, the dense one.
    x = torch.zeros(64, 16, 40)
    x[:, 0] = 1.0
    weight = torch.randn(70, 40)
    sl.last_kernels()
    assert torch.allclose(spike_linear(x.flatten(0, 1), weight, None), x.flatten(0, 1) @ weight.T, atol=1e-5)
    assert sl.last_kernels() == [FORWARD]


def test_strided_rows_and_transposed_input() -> None:
    x = spikes(200, 300)
    for view in (x[::3], x[:, 20:120], x.T):
        assert torch.equal(pack_op(view)[0], reference.pack(view)[0])


def run(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, grad: torch.Tensor) -> list[torch.Tensor]:
    leaves = [t.clone().requires_grad_() for t in (x, weight, *([] if bias is None else [bias]))]
    y = spike_linear(leaves[0], leaves[1], leaves[2] if bias is not None else None)
    return [y.detach(), *torch.autograd.grad(y, leaves, grad)]


@pytest.mark.parametrize("bias", [True, False])
def test_gradients_against_torch(bias: bool) -> None:
    x, weight, grad = spikes(2000, 150), torch.randn(70, 150), torch.randn(2000, 70)
    start = torch.randn(70) if bias else None
    sl.last_kernels()
    found = run(x, weight, start, grad)
    assert sl.last_kernels() == [FORWARD, BACKWARD]
    with sl.backend("reference"):
        expected = run(x, weight, start, grad)
        exact = run(x.double(), weight.double(), None if start is None else start.double(), grad.double())
    assert sl.last_kernels() == []
    for ours, dense, true in zip(found, expected, exact, strict=True):
        assert ours.dtype == dense.dtype
        assert (ours - true).norm() <= 1e-6 * true.norm()
        assert (ours - true).norm() <= 4 * (dense - true).norm()  # about as good as the dense product


def test_gradient_may_be_an_expanded_scalar() -> None:
    x, weight = spikes(1000, 150, density=0.05), torch.randn(40, 150, requires_grad=True)
    (found,) = torch.autograd.grad(spike_linear(x, weight, None).sum(), weight)
    assert torch.equal(found, x.sum(0).expand(40, -1))


def test_only_what_is_wanted_gets_a_gradient() -> None:
    x, weight, bias = spikes(1000, 150, density=0.05), torch.randn(40, 150), torch.randn(40, requires_grad=True)
    sl.last_kernels()
    spike_linear(x, weight, bias).sum().backward()
    assert bias.grad is not None
    assert bias.grad.tolist() == [1000.0] * 40
    assert sl.last_kernels() == [FORWARD]


def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    for outputs in (10, 100, 300):
        x, weight, grad = spikes(3000, 200), torch.randn(outputs, 200), torch.randn(3000, outputs)
        words, counts = cpu.pack(x)
        results = []
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            again = cpu.pack(x)
            assert torch.equal(again[0], words)
            assert torch.equal(again[1], counts)
            results.append([cpu.forward(words, weight, None), *cpu.weight_gradient(words, counts, grad, 200)])
        for result in results[1:]:
            assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))


def test_opcheck() -> None:
    x, weight, bias = spikes(70, 65).requires_grad_(), torch.randn(9, 65, requires_grad=True), torch.randn(9)
    torch.library.opcheck(pack_op, (x.detach(),))
    words, counts = pack_op(x.detach())
    torch.library.opcheck(linear_op, (x, words, counts, weight, bias.requires_grad_(), None))
    torch.library.opcheck(linear_op, (x, words, counts, weight, None, words))
    torch.library.opcheck(weight_gradient_op, (words, counts, torch.randn(70, 9), 65))
    torch.library.opcheck(input_gradient_op, (words, torch.randn(70, 9), weight.detach()))


def test_the_operator_runs_in_double_precision_by_reference() -> None:
    x, weight = spikes(70, 65).double(), torch.randn(9, 65, dtype=torch.float64)
    sl.last_kernels()
    assert torch.equal(linear_op(x, *pack_op(x), weight, None, None), x @ weight.T)
    assert sl.last_kernels() == ["spike_linear/reference/Linear/forward"]


def test_second_derivatives_need_the_reference() -> None:
    x, weight = spikes(1000, 150, density=0.05), torch.randn(40, 150, requires_grad=True)

    def second() -> torch.Tensor:
        (first,) = torch.autograd.grad(spike_linear(x, weight, None).pow(2).sum(), weight, create_graph=True)
        return torch.autograd.grad(first.sum(), weight)[0]

    with pytest.raises(sl.errors.BackendError, match="first derivatives only"):
        second()
    with sl.backend("reference"):
        assert second().shape == (40, 150)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.rand(1000, 150),  # graded
        lambda: spikes(1000, 150, density=0.6),
        lambda: spikes(150, 1000).T,  # columns contiguous
    ],
)
def test_other_input_takes_the_dense_product(make: Callable[[], torch.Tensor]) -> None:
    x, weight, bias = make(), torch.randn(40, 150), torch.randn(40)
    sl.last_kernels()
    assert torch.equal(spike_linear(x, weight, bias), torch.nn.functional.linear(x, weight, bias))
    assert FORWARD not in sl.last_kernels()


def test_small_products_are_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert linear.crossover(12800, 784, 512) == linear.CROSSOVER
    assert linear.crossover(200, 784, 512) == linear.crossover(12800, 784, 10) == linear.SMALL_CROSSOVER
    for shape in ((100, 784, 512), (12800, 784, 1), (1000, 64, 64), (10**6, 2**16, 512)):
        assert linear.crossover(*shape) == 0


def test_density_past_the_sample_is_measured_too() -> None:
    x = spikes(6400, 100, density=0.0)
    x[torch.arange(6400) % 100 != 0] = 1  # the rows that are looked at first are empty
    sl.last_kernels()
    spike_linear(x, torch.randn(40, 100), None)
    assert sl.last_kernels() == [DENSE]
    x[:] = 0
    x[3, 3] = 0.5
    spike_linear(x, torch.randn(40, 100), None)
    assert sl.last_kernels() == [DENSE]


def net(layer: torch.nn.Module) -> sl.nn.Sequential:
    return sl.nn.Sequential(layer, sl.nn.Neuron(sl.LIF(tau=4.0)))


def gathered(layer: torch.nn.Module, x: torch.Tensor) -> bool:
    sl.last_kernels()
    net(layer)(x)
    return FORWARD in sl.last_kernels()


def test_a_plain_linear_of_a_net_gathers() -> None:
    x = spikes(20, 50, 150, density=0.05)
    layer = torch.nn.Linear(150, 40)
    assert gathered(layer, x)
    assert gathered(layer, spikes(20, 5, 10, 150, density=0.05))
    y, _ = sl.nn.Sequential(layer)(spikes(20, 5, 10, 150, density=0.05))
    assert y.shape == (20, 5, 10, 40)
    with sl.backend("cpu"):
        assert gathered(layer, x)
    with sl.backend("reference"):
        assert not gathered(layer, x)


def test_whoever_changes_a_linear_gets_the_module_itself() -> None:
    x = spikes(20, 50, 150, density=0.05)

    class Own(torch.nn.Linear):
        pass

    hooked, parametrized, pruned = (torch.nn.Linear(150, 40) for _ in range(3))
    seen: list[int] = []
    handle = hooked.register_forward_hook(lambda *_: seen.append(1))
    torch.nn.utils.parametrizations.weight_norm(parametrized)
    torch.nn.utils.prune.l1_unstructured(pruned, "weight", 0.5)
    assert not any(gathered(layer, x) for layer in (Own(150, 40), hooked, parametrized, pruned))
    assert seen == [1]
    handle.remove()
    assert gathered(hooked, x)


def test_other_precisions_and_autocast_take_the_module_itself() -> None:
    layer = torch.nn.Linear(150, 40)
    assert not gathered(torch.nn.Linear(150, 40, dtype=torch.float64), spikes(20, 50, 150, density=0.05).double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = sl.nn.Sequential(layer)(spikes(20, 50, 150, density=0.05))
    assert y.dtype == torch.bfloat16


def test_functional_transforms_take_the_module_itself() -> None:
    layers, x = sl.nn.Sequential(torch.nn.Linear(150, 40, bias=False)), spikes(20, 50, 150, density=0.05)
    weight = dict(layers.named_parameters())["0.weight"].detach()

    def loss(w: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layers, {"0.weight": w}, (x,))[0].sum()

    torch.testing.assert_close(torch.func.grad(loss)(weight), x.sum((0, 1)).expand(40, -1))
    assert torch.func.vmap(loss)(torch.stack([weight, weight])).shape == (2,)


def test_errors_are_those_of_the_module() -> None:
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        sl.nn.Sequential(torch.nn.Linear(10, 4))(torch.zeros(5, 3, 11))


def trained(backend: str | None) -> list[float]:
    """Losses of a net that learns to tell which half of its inputs fires more."""
    torch.manual_seed(1)
    layers = sl.nn.Sequential(
        torch.nn.Linear(100, 64), sl.nn.Neuron(sl.LIF(tau=4.0)), torch.nn.Linear(64, 10), sl.nn.Neuron(sl.LI(tau=4.0))
    )
    optimiser, losses = torch.optim.Adam(layers.parameters(), 0.01), list[float]()
    with sl.backend(backend):
        for _ in range(50):
            labels = torch.randint(0, 2, (64,))
            rates = torch.where(torch.arange(100) // 50 == labels[:, None], 0.12, 0.05)
            x = (torch.rand(12, 64, 100) < rates).float()
            loss = torch.nn.functional.cross_entropy(layers(x)[0].mean(0), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
    return losses


def test_training_goes_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    sl.last_kernels()
    ours = trained(None)
    assert {FORWARD, BACKWARD} <= set(sl.last_kernels())
    monkeypatch.setattr(linear, "_FEWEST_ROWS", 10**9)  # the same kernels otherwise, with dense products
    dense = trained(None)
    assert {FORWARD, BACKWARD}.isdisjoint(sl.last_kernels())
    assert ours[:3] == pytest.approx(dense[:3], rel=1e-4)
    # A spike at the threshold may fall on the other side once sums round differently; the course stays the same.
    assert ours == pytest.approx(dense, rel=0.1, abs=0.02)
    assert sum(ours[-5:]) < 0.5 * sum(ours[:5])
