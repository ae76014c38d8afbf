"""Gradients of spikes are formed only where the surrogate's slope is not 0: nothing else may change by that."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Generator
from typing import Any

import pytest
import torch

import spikeloom as sl
from spikeloom.kernels.program import DISTANCE, NEEDED, SPIKE, program
from spikeloom.kernels.scan.needed import with_needed
from spikeloom.kernels.scan.plan import ADJOINT, adjoints_of
from spikeloom.kernels.spike_linear import cpu, linear, reference
from spikeloom.kernels.spike_linear.op import input_gradient_op, pack_op
from spikeloom.lang import math as m
from spikeloom.lang.evaluate import evaluate
from spikeloom.lang.expr import symbol
from spikeloom.lang.graph import Graph
from spikeloom.nn.needed import Marking
from spikeloom.surrogates import Surrogate

from .leaving_out import gradients as gradients_of
from .leaving_out import out_of_reach, same

SKIPPED = "spike_linear/cpu/Linear/backward-needed"
SAMPLES = 4000
FIRE = {"fire": lambda u: (u >= 0).double(), "where": lambda c, x, y: torch.where(torch.as_tensor(c), x, y)}
NARROW = sl.Triangle(width=0.25)


@dataclasses.dataclass(frozen=True)
class Boxcar(Surrogate):
    """1 within one width on both sides, 0 elsewhere; a user's own."""

    def shape(self, x: Any) -> Any:
        return m.where(abs(x) < 1.0, 1.0, 0.0)

    def primitive(self, x: Any) -> Any:
        return 0.5 + m.minimum(m.maximum(x, -1.0), 1.0)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Generator[None, None, None]:
    monkeypatch.setattr(linear, "_SMALLEST", 0)  # or every test would have to be large
    monkeypatch.setattr(linear, "SMALL_CROSSOVER", 0.6)
    monkeypatch.setattr(linear, "_FEWEST_SKIPPED", 8)
    monkeypatch.setattr(linear, "_MANY_SKIPPED", 8)
    monkeypatch.setattr(linear, "NEEDED_CROSSOVER", 0.7)
    threads = torch.get_num_threads()
    torch.manual_seed(3)
    yield
    torch.set_num_threads(threads)


def dense() -> contextlib.AbstractContextManager[None]:
    """The same kernels, with all input gradients formed."""
    return out_of_reach(linear, "_FEWEST_SKIPPED")


# --- where a surrogate is 0 ---


def test_support_is_read_off_the_shape() -> None:
    assert sl.Triangle().support == 1.0
    assert sl.Triangle(width=0.3, height=2.0).support == pytest.approx(0.3, rel=1e-15)
    assert Boxcar(width=0.5).support == 0.5
    assert {kind().support for kind in (sl.ATan, sl.FastSigmoid, sl.Sigmoid, sl.Gaussian)} == {float("inf")}


class Lopsided(Boxcar):
    """A tail to one side."""

    def shape(self, x: Any) -> Any:
        return m.where(x < -1.0, -0.5 / x, m.where(x > 1.0, 0.0, 1.0))


def test_a_tail_to_one_side_is_seen() -> None:
    assert Lopsided().support == float("inf")


# --- which gradients have an effect, from the adjoint step itself ---

ATTACHED = sl.Triangle(width=0.5, detach_reset=False)
MODELS = [
    (sl.LIF(tau=5.0), NARROW), (sl.LIF(tau=5.0, reset_mechanism="value"), ATTACHED), (sl.ALIF(beta=0.4), ATTACHED),
    (sl.IF(reset_mechanism="none"), NARROW), (sl.Refractory(sl.LIF(), t_ref=2.0), Boxcar()), (sl.GLIF5(), ATTACHED),
    (sl.EIF(), NARROW), (sl.AdEx(), ATTACHED), (sl.Izhikevich(), NARROW),
]  # fmt: skip


@pytest.mark.parametrize(("model", "surrogate"), MODELS, ids=lambda value: type(value).__name__)
def test_marks_say_exactly_where_the_spikes_gradient_counts(model: sl.NeuronModel, surrogate: Surrogate) -> None:
    text = with_needed(program(model, None, surrogate, (model.membrane,)).text)
    assert text is not None
    step = Graph.parse(text)
    inputs = [n for n in step.inputs if n != DISTANCE]
    values = {n: 0.7 + torch.randn(SAMPLES).double() for n in step.inputs}
    seeds = {ADJOINT + n: torch.randn(SAMPLES).double() for n in step.outputs}
    _, adjoints = adjoints_of(step, (), inputs)
    marks = evaluate([step.outputs[NEEDED]], values, FIRE)[0]
    found = [
        torch.stack(
            [
                torch.as_tensor(a).expand(SAMPLES)
                for a in evaluate(adjoints, {**values, **seeds, ADJOINT + SPIKE: g}, FIRE)
            ]
        )
        for g in (seeds[ADJOINT + SPIKE], torch.full((SAMPLES,), 7.0).double())
    ]
    changed = ~((found[0] == found[1]) | found[0].isnan()).all(0)
    assert not (changed & ~marks).any()  # nothing is left out
    assert 0 < changed.sum() <= marks.sum() < SAMPLES
    assert (marks & ~changed).sum() <= 0.02 * marks.sum()  # and next to nothing is formed in vain


def test_a_spike_that_is_used_by_itself_is_always_needed() -> None:
    v, x = symbol("s.v"), symbol("x.v")
    fired = m.fire(v - 1.0)
    slope = sl.Triangle().derivative(symbol(DISTANCE))
    inputs = ["s.v", "x.v", DISTANCE]

    def known(spike: Any) -> bool:
        return with_needed(Graph.make({"next.v": v * 0.5 + x, SPIKE: spike, "slope": slope}, inputs).text()) is not None

    assert known(fired)
    assert known(m.where(x >= 0.0, fired, 0.0))
    assert not known(fired + v)
    assert with_needed(program(sl.LI(), None, sl.Triangle(), ("v",)).text) is None


# --- the products ---


def needed(*shape: int, share: float = 0.2) -> torch.Tensor:
    return (torch.rand(shape) < share).to(torch.uint8) * 255


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 1, 1), (63, 64, 10), (129, 130, 64), (300, 257, 100)])
@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_products_over_shapes(rows: int, inputs: int, outputs: int, share: float) -> None:
    marks, grad, weight = needed(rows, inputs, share=share), torch.randn(rows, outputs), torch.randn(outputs, inputs)
    words, counts = cpu.pack(marks)
    expected = reference.pack(marks)
    assert torch.equal(words, expected[0])
    assert torch.equal(counts, expected[1])
    found = input_gradient_op(words, grad, weight)
    exact = grad.double() @ weight.double()
    bound = 2.0**-24 * (outputs + 2) * (grad.double().abs() @ weight.double().abs())  # Higham, section 3.1
    assert ((found - exact).abs() <= bound)[marks != 0].all()
    assert (found[marks == 0] == 0).all()
    assert torch.allclose(reference.input_gradient(words, grad, weight), found, atol=1e-4)


def test_bits_depend_on_neither_threads_nor_what_else_is_needed() -> None:
    grad, weight, marks = torch.randn(2000, 100), torch.randn(100, 150), needed(2000, 150)
    torch.set_num_threads(1)
    everything = cpu.input_gradient(cpu.pack(torch.ones_like(marks))[0], grad, weight)
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        words, _ = cpu.pack(marks)
        assert torch.equal(cpu.input_gradient(words, grad, weight), everything * (marks != 0))


def test_no_second_derivative() -> None:
    words, _ = pack_op(needed(40, 70))
    grad, weight = torch.randn(40, 9, requires_grad=True), torch.randn(9, 70)
    with pytest.raises(sl.errors.BackendError, match="first derivatives only"):
        torch.autograd.grad(input_gradient_op(words, grad, weight).sum(), grad)


# --- whole nets ---

STEPS, BATCH, SIZES = 12, 20, (30, 40, 24, 16)


def net(neuron: Callable[[], torch.nn.Module], *between: torch.nn.Module) -> sl.nn.Sequential:
    torch.manual_seed(7)
    parts: list[torch.nn.Module] = []
    for inputs, outputs in itertools.pairwise(SIZES):
        parts += [torch.nn.Linear(inputs, outputs), neuron(), *between]
    for part in parts:
        if isinstance(part, torch.nn.Linear):
            torch.nn.init.normal_(part.weight, std=0.15)
    return sl.nn.Sequential(*parts)


def drawn_input() -> torch.Tensor:
    torch.manual_seed(8)
    return (torch.rand(STEPS, BATCH, SIZES[0]) < 0.3).float()


def gradients(layers: sl.nn.Sequential, backend: str | None = None) -> tuple[torch.Tensor, list[torch.Tensor], bool]:
    return gradients_of(layers, drawn_input(), backend)


CASES = [
    (sl.LIF(tau=4.0), NARROW, ("tau", "v_threshold")),
    (sl.LIF(tau=4.0, reset_mechanism="value", v_reset=0.1), ATTACHED, ()),
    (sl.ALIF(tau=4.0, beta=0.4), ATTACHED, ()),
    (sl.Refractory(sl.LIF(tau=4.0), t_ref=2.0), Boxcar(width=0.2), ()),
]


@pytest.mark.parametrize(("model", "surrogate", "learn"), CASES, ids=lambda value: type(value).__name__)
def test_all_gradients_are_those_of_the_whole_product(
    model: sl.NeuronModel, surrogate: Surrogate, learn: tuple[str, ...]
) -> None:
    layers = net(lambda: sl.nn.Neuron(model, surrogate=surrogate, learn=learn))
    spikes, found, skipped = gradients(layers)
    assert skipped
    with dense():
        plain, expected, skipped = gradients(layers)
    assert not skipped
    assert torch.equal(spikes, plain)
    same(found, expected)
    _, by_reference, skipped = gradients(layers, "reference")
    assert not skipped
    same(found, by_reference)
    for threads in (1, 3):
        torch.set_num_threads(threads)
        again = gradients(layers)[1]  # the first, of the input, is torch's product
        assert all(torch.equal(a, b) for a, b in zip(again[1:], found[1:], strict=True))


def lif(surrogate: Surrogate = NARROW) -> sl.nn.Neuron:
    return sl.nn.Neuron(sl.LIF(tau=4.0), surrogate=surrogate)


@pytest.mark.parametrize("surrogate", [sl.ATan(), sl.Gaussian(width=0.1), sl.Triangle(width=3.0)], ids=repr)
def test_where_nearly_all_are_needed_all_are_formed(surrogate: Surrogate) -> None:
    assert not gradients(net(lambda: lif(surrogate)))[2]


@pytest.mark.parametrize("between", [sl.nn.Dropout(0.3), torch.nn.Identity(), torch.nn.Tanh()], ids=repr)
def test_something_in_between_gets_the_whole_gradient(between: torch.nn.Module) -> None:
    assert not gradients(net(lif, between))[2]


def test_few_outputs_and_runs_without_gradients() -> None:
    layers, x = net(lif), (torch.rand(STEPS, BATCH, SIZES[0]) < 0.3).float()
    linear._FEWEST_SKIPPED = 25
    assert not gradients(layers)[2]
    with torch.no_grad():
        assert layers(x)[0].grad_fn is None


class Own(sl.nn.Neuron):
    """A subclass may do anything with its spikes."""


def test_nobody_who_listens_sees_less() -> None:
    assert not gradients(net(lambda: Own(sl.LIF(tau=4.0), surrogate=NARROW)))[2]
    for place in (slice(1, None, 2), slice(0, None, 2)):
        layers = net(lif)
        handles = [layer.register_forward_hook(lambda *_: None) for layer in list(layers.children())[place]]
        assert not gradients(layers)[2]
        for handle in handles:
            handle.remove()
        assert gradients(layers)[2]


def test_recorded_spikes_have_their_whole_gradient() -> None:
    layers, x = net(lif), (torch.rand(STEPS, BATCH, SIZES[0]) < 0.3).float()
    sl.last_kernels()
    with sl.record(layers) as rec:
        y, _ = layers(x)
    spikes = rec["1"].spikes
    assert spikes is not None
    (found,) = torch.autograd.grad(y.sum(), spikes)
    assert SKIPPED not in sl.last_kernels()
    assert (found != 0).float().mean() > 0.9


def test_marks_belong_to_the_spikes_they_came_with() -> None:
    call = Marking(lif())
    x = torch.rand(5, 3, 4, requires_grad=True)
    y, _ = call(x, None)
    marks = call.needed_of(y)
    assert marks is not None
    # The level before the reset, from the equation: v decays by exp(-1/4) and gets x.
    v, near = torch.zeros(3, 4), []
    for x_t in x.detach():
        v = v * torch.exp(torch.tensor(-0.25)) + x_t
        near.append((v - 1.0).abs() < 0.25)
        v = v - (v >= 1.0).float()
    assert torch.equal(marks.reshape(5, 3, 4) != 0, torch.stack(near))
    for other in (y.clone(), y.detach(), y[:], y * 2):
        assert call.needed_of(other) is None


def test_state_goes_on_from_call_to_call() -> None:
    layers, x = net(lif), (torch.rand(STEPS, BATCH, SIZES[0]) < 0.3).float()

    def run() -> list[torch.Tensor]:
        y, state = layers(x)
        again, _ = layers(x, state)
        return list(torch.autograd.grad((y + 2 * again).sum(), list(layers.parameters())))

    sl.last_kernels()
    found = run()
    assert SKIPPED in sl.last_kernels()
    with dense():
        same(found, run())
