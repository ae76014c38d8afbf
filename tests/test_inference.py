"""Nets compiled for inference: the very spikes and states of the net, however a sequence is cut."""

import copy
import itertools
from collections.abc import Generator, Sequence

import pytest
import torch

import spikeloom as sl
from spikeloom.kernels.spike_linear import linear

LINEAR, DENSE = "inference/cpu/Linear/forward", "inference/dense/Linear/forward"


@pytest.fixture(autouse=True)
def _seeded() -> Generator[None, None, None]:
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    yield
    torch.set_num_threads(threads)


def exact(net: torch.nn.Module, spread: float = 1.0) -> None:
    """Weights that are multiples of 1/256: every sum of them is exact, in whatever order it is made."""
    for module in net.modules():
        if isinstance(module, torch.nn.Linear):
            with torch.no_grad():
                for p in module.parameters():
                    p.copy_((torch.randn_like(p) * spread * 256 / module.in_features**0.5).round() / 256)


def mlp(*sizes: int, spread: float = 3.0, bias: bool = True) -> sl.nn.Sequential:
    parts: list[torch.nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        parts += [torch.nn.Linear(before, after, bias=bias), sl.nn.Neuron(sl.LIF(tau=5.0))]
    net = sl.nn.Sequential(*parts)
    exact(net, spread)
    return net.eval()


def spikes(*shape: int, density: float = 0.1) -> torch.Tensor:
    return (torch.rand(shape) < density).to(torch.get_default_dtype())


def tensors(state: object) -> dict[str, torch.Tensor]:
    """All tensors of a nested state, by their place."""
    if isinstance(state, sl.State):
        return {f"{n}.{m}": t for n, part in state.items() for m, t in tensors(part).items()}
    return {"": state} if isinstance(state, torch.Tensor) else {}


def same(found: tuple[torch.Tensor, sl.State], expected: tuple[torch.Tensor, sl.State]) -> None:
    assert torch.equal(found[0], expected[0])
    mine, theirs = tensors(found[1]), tensors(expected[1])
    assert list(mine) == list(theirs)
    for name, value in mine.items():
        assert torch.equal(value, theirs[name]), name


def both(net: sl.nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    """Check that the compiled net does what the net does; the output."""
    sl.last_kernels()
    found = sl.nn.compile_inference(net)(x)
    assert any(name.startswith("inference/cpu/") for name in sl.last_kernels())
    with torch.no_grad():
        same(found, net(x))
    return found[0]


@pytest.mark.parametrize("batch", [1, 3, 128])
@pytest.mark.parametrize("sizes", [(100, 70, 10), (64, 128, 130), (5, 3)])
def test_spikes_and_states_are_those_of_the_net(sizes: Sequence[int], batch: int) -> None:
    y = both(mlp(*sizes), spikes(40, batch, sizes[0], density=0.2))
    assert 0.001 < float(y.mean()) < 0.5


@pytest.mark.parametrize("seed", range(20))
def test_any_weights_give_the_spikes_of_the_spike_aware_layer(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sums run over the inputs in order as well, so that even membranes agree to the bit."""
    for name in ("_SMALLEST", "_FEWEST_ROWS", "_FEWEST_OUTPUTS"):
        monkeypatch.setattr(linear, name, 0)
    monkeypatch.setattr(linear, "SMALL_CROSSOVER", 1.0)
    torch.manual_seed(seed)
    net = mlp(120, 90, 80, 20)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    x = spikes(60, 2, 120)
    assert float(both(net, x).mean()) > 0.001
    assert "spike_linear/dense/Linear/forward" not in sl.last_kernels()


def test_dense_products_of_the_net_differ_by_rounding_only() -> None:
    """The net multiplies by the dense matrix here, in an order of its own; no membrane came close to the threshold."""
    net = mlp(200, 100, 20)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.2)
    x, fast = spikes(50, 4, 200), sl.nn.compile_inference(net)
    (y, state), (expected, theirs) = fast(x), net(x)
    assert "spike_linear/cpu/Linear/forward" not in sl.last_kernels()
    assert torch.equal(y, expected)
    torch.testing.assert_close(state["1"]["v"], theirs["1"]["v"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("batch", [1, 40])
def test_any_number_of_threads_and_any_cut_gives_the_same_bits(threads: int, batch: int) -> None:
    net = mlp(150, 200, 90, 10)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.2)  # sums are rounded
    x, fast = spikes(300, batch, 150), sl.nn.compile_inference(net)
    torch.set_num_threads(1)
    whole = fast(x)
    torch.set_num_threads(threads)
    same(fast(x), whole)
    for length in (1, 7, 257):
        state, rows = None, []
        for piece in x.split(length):
            y, state = fast(piece, state)
            rows.append(y)
        assert state is not None
        same((torch.cat(rows), state), whole)
    single = [fast(x[:, b : b + 1])[0] for b in range(min(batch, 3))]
    assert torch.equal(torch.cat(single, 1), whole[0][:, :3])


def test_states_go_from_the_net_to_the_compiled_one_and_back() -> None:
    net = mlp(60, 70, 10)
    x, fast = spikes(30, 2, 60, density=0.2), sl.nn.compile_inference(net)
    expected = net(x)
    assert float(expected[0].detach()[20:].mean()) > 0.001
    state = net(x[:10])[1].detach()
    kept = copy.deepcopy(state)
    _, later = fast(x[10:20], state)
    for name, value in tensors(state).items():
        assert torch.equal(value, tensors(kept)[name]), f"{name} was given, and is not written to"
    y, later = net(x[20:], later)
    same((y, later), (expected[0][20:], expected[1]))


@pytest.mark.parametrize("density", [0.0, 0.5, 1.0])
def test_silent_and_crowded_inputs(density: float) -> None:
    y = both(mlp(80, 70, 10, bias=density == 0), spikes(20, 2, 80, density=density))
    assert float(y.mean()) > 0.001  # where the input is silent, by the biases


def test_real_inputs_go_through_the_net_s_own_product() -> None:
    net = mlp(80, 70, 10)
    x = (torch.randn(20, 3, 80) * 8).round() / 8
    fast = sl.nn.compile_inference(net)
    sl.last_kernels()
    found = fast(x)
    assert sl.last_kernels() == [DENSE, "inference/cpu/LIF/forward"]
    same(found, net(x))
    x = spikes(20, 3, 80)
    x[-1, -1, -1] = 0.5  # noticed late, in the middle of the work
    same(fast(x), net(x))


def test_a_still_image_and_strides() -> None:
    net = mlp(80, 70, 10)
    image = (torch.rand(3, 80) * 8).round() / 8
    for x in (image.expand(20, 3, 80), spikes(3, 20, 80).transpose(0, 1), spikes(20, 3, 160)[..., ::2]):
        assert float(both(net, x).mean()) > 0.001


def test_float64() -> None:
    net = mlp(100, 70, 10).double()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    x, fast = spikes(40, 3, 100).double(), sl.nn.compile_inference(net)
    (y, state), (expected, theirs) = fast(x), net(x)
    assert LINEAR in sl.last_kernels()
    assert torch.equal(y, expected)
    assert float(y.mean()) > 0.001
    torch.testing.assert_close(state["3"]["v"], theirs["3"]["v"], rtol=1e-12, atol=1e-12)


MODELS = [
    (sl.LIF(tau=5.0, reset_mechanism="value", v_reset=-0.2), "v", 1.0, 1.0),
    (sl.IF(reset_mechanism="none"), "v", 1.0, 1.0),
    (sl.LI(tau=3.0), "v", 1.0, 1.0),
    (sl.ALIF(tau=5.0, beta=0.4), "v", 1.0, 1.0),
    (sl.Refractory(sl.LIF(tau=5.0), t_ref=3.0), "v", 1.0, 1.0),
    (sl.LIF(tau=torch.linspace(2.0, 9.0, 70).numpy()), "v", 1.0, 1.0),
    (sl.Izhikevich(), "i", 30.0, 0.5),
    (sl.AdEx(), "i", 9000.0, 0.2),
    (sl.With(sl.LIF(tau=5.0), s=sl.Exponential()), "s", 1.0, 1.0),
    (sl.EscapeRate(sl.LIF(tau=5.0)), "v", 1.0, 1.0),
]


@pytest.mark.parametrize(("model", "into", "size", "dt"), MODELS, ids=[type(m[0]).__name__ for m in MODELS])
def test_neurons_step_as_the_scan_does(model: sl.NeuronModel, into: str, size: float, dt: float) -> None:
    """Any drive, any model: the same operations, rounded in the same way, and the same random numbers."""
    net = sl.nn.Sequential(sl.nn.Neuron(model, into=into, dt=dt))
    x = torch.randn(50, 3, 70) * size
    with sl.backend(None, strict=isinstance(model, sl.ALIF)):
        fast = sl.nn.compile_inference(net)
        torch.manual_seed(1)
        sl.last_kernels()
        found = fast(x)
        again = fast(x, found[1])
        assert sl.last_kernels() == [f"inference/cpu/{type(model).__name__}/forward"]
        torch.manual_seed(1)
        expected = net(x)
        same(found, expected)
        same(again, net(x, expected[1]))
    assert float(found[0].abs().mean()) > 0.001


def test_random_numbers_are_those_of_the_net() -> None:
    net = mlp(50, 70, 10)
    for layer in net:
        if isinstance(layer, sl.nn.Neuron):
            layer.model = sl.EscapeRate(sl.LIF(tau=5.0))
    x = spikes(30, 2, 50)
    fast = sl.nn.compile_inference(net)
    torch.manual_seed(2)
    found = fast(x)
    torch.manual_seed(2)
    same(found, net(x))
    assert float(found[0].sum()) > 0


def test_learned_parameters_and_a_solver() -> None:
    layer = sl.nn.Neuron(sl.LIF(tau=torch.linspace(2.0, 9.0, 70).numpy()), learn=("tau",), solver=sl.solvers.Heun())
    net = sl.nn.Sequential(torch.nn.Linear(50, 70), layer, torch.nn.Linear(70, 5), sl.nn.Neuron(sl.LI(tau=4.0)))
    exact(net, spread=3.0)
    with torch.no_grad():
        layer.raw["tau"] += 0.3
    x = spikes(30, 2, 50)
    found, (y, state) = sl.nn.compile_inference(net)(x), net(x)
    same(found, (y, state.detach()))
    assert float(y.detach().abs().mean()) > 0.001


NORMS = [sl.nn.BatchNorm(70), sl.nn.ThresholdBatchNorm(70, v_threshold=0.5), torch.nn.BatchNorm1d(70)]


@pytest.mark.parametrize("norm", NORMS, ids=lambda n: type(n).__name__)
def test_norms_dropout_flatten_and_nesting(norm: torch.nn.Module) -> None:
    inner = sl.nn.Sequential(torch.nn.Linear(70, 30), sl.nn.Neuron(sl.LIF()), torch.nn.Flatten(), torch.nn.Identity())
    net = sl.nn.Sequential(
        sl.nn.Dropout(0.3), torch.nn.Linear(50, 70), norm, torch.nn.Dropout(0.2), sl.nn.Neuron(sl.LIF()),
        torch.nn.Flatten(), sl.nn.Dropout(0.5), inner, torch.nn.Linear(30, 4), sl.nn.Neuron(sl.LI()),
    )  # fmt: skip
    exact(net, spread=3.0)
    for _ in range(3):
        net(spikes(30, 4, 50))  # running averages
    x = spikes(30, 2, 50)
    fast = sl.nn.compile_inference(net.train())  # as in evaluation, whatever the net is in now
    with torch.no_grad():
        expected = net.eval()(x)
        same(fast(x), expected)
        same(fast(x, fast(x)[1]), net(x, expected[1]))
    assert len(fast.parts) == 1


def test_what_is_not_known_runs_as_in_the_net() -> None:
    net = sl.nets.conv_net((1, 12, 12), 5, sl.LIF(), sl.LI(), blocks=(sl.nets.ConvBlock(4), sl.nets.ConvBlock(6)))
    net = sl.nn.Sequential(*net, sl.nn.Recurrent(sl.nn.Neuron(sl.LIF()), 5)).eval()
    exact(net)
    x = spikes(6, 2, 1, 12, 12, density=0.4)
    fast = sl.nn.compile_inference(net)
    assert "as in the net: 0 Conv2d" in repr(fast)
    assert "compiled: " in repr(fast)
    with torch.no_grad():
        expected = net(x)
        same(fast(x), expected)
        same(fast(x, fast(x)[1]), net(x, expected[1]))


def test_a_module_with_a_hook_or_of_another_class_runs_as_it_is() -> None:
    class Doubled(torch.nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(input)

    net = sl.nn.Sequential(Doubled(50, 20), sl.nn.Neuron(sl.LIF()), torch.nn.Linear(20, 3), sl.nn.Neuron(sl.LIF()))
    exact(net)
    heard: list[int] = []
    net[2].register_forward_hook(lambda *_: heard.append(1))
    x = spikes(20, 2, 50)
    with torch.no_grad():
        same(sl.nn.compile_inference(net)(x), net(x))
    assert heard


def test_wide_layers_use_narrower_blocks_and_any_batch() -> None:
    for steps, batch in ((300, 1), (3, 100)):
        y = both(mlp(5000, 70, 3, bias=False), spikes(steps, batch, 5000, density=0.01))
        assert float(y.mean()) > 0.001


def test_the_reference_backend_and_no_steps_are_the_net_s() -> None:
    net = mlp(50, 10)
    x, fast = spikes(10, 2, 50), sl.nn.compile_inference(net)
    sl.last_kernels()
    with sl.backend("reference"):
        found = fast(x)
    assert sl.last_kernels() == ["scan/reference/LIF/forward"]
    assert torch.equal(found[0], fast(x)[0])
    for empty in (x[:0], x[:, :0]):
        same(fast(empty), net(empty))


def test_later_changes_of_the_net_have_no_effect() -> None:
    net = mlp(50, 10)
    x, fast = spikes(10, 2, 50), sl.nn.compile_inference(net)
    before = fast(x)
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
    same(fast(x), before)
    assert float(before[0].sum()) > 0 == float(net(x)[0].detach().sum())


def test_errors() -> None:
    net = mlp(50, 60, 10)
    x, fast = spikes(10, 2, 50), sl.nn.compile_inference(net)
    _, state = fast(x)
    with pytest.raises(sl.errors.StateError, match="in layer 1: state v"):
        fast(x[:, :1], state)
    with pytest.raises(sl.errors.StateError, match="another net"):
        fast(x, sl.State())
    with pytest.raises(sl.errors.ShapeError, match="time axis"):
        fast(x[0, 0])
    with pytest.raises(RuntimeError, match="shapes"):
        fast(x[..., :20])
    with pytest.raises(sl.errors.BackendError, match="gradients"):
        fast(x.requires_grad_())
    with pytest.raises(sl.errors.NonFiniteError, match="in layer 1: LIF: state v"):
        fast(torch.full((10, 2, 50), torch.nan))
    with pytest.raises(sl.errors.ModelError, match="Sequential"):
        sl.nn.compile_inference(sl.nn.Neuron(sl.LIF()))
    with pytest.raises(sl.errors.ModelError, match=r"sl\.nn\.Neuron layers"):
        sl.nn.compile_inference(sl.nn.Sequential(torch.nn.Linear(2, 2)))
    with torch.no_grad():
        dict(net.named_parameters())["2.weight"][0, 0] = torch.inf
    with pytest.raises(sl.errors.NonFiniteError, match=r"2\.weight"):
        sl.nn.compile_inference(net)
