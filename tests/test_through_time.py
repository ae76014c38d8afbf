"""Long sequences: recomputing gives the plain call's outputs and gradients in less memory, truncating cuts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import spikeloom as sl
from spikeloom.errors import BackendError, ModelError, ParameterError, ShapeError
from spikeloom.learn import checkpointed, silent_neurons, truncated

STEPS, BATCH, INPUTS = 60, 3, 6


def feedforward() -> sl.nn.Sequential:
    hidden = sl.nn.Neuron(sl.LIF(tau=8.0), learn=("tau", "v_threshold"))
    return sl.nn.Sequential(torch.nn.Linear(INPUTS, 20), hidden, torch.nn.Linear(20, 4), sl.nn.Neuron(sl.LI(tau=8.0)))


def recurrent() -> sl.nn.Sequential:
    layer = sl.nn.Recurrent(sl.nn.Neuron(sl.ALIF()), 12)
    return sl.nn.Sequential(torch.nn.Linear(INPUTS, 12), layer, torch.nn.Linear(12, 4), sl.nn.Neuron(sl.LIF()))


def dropping() -> sl.nn.Sequential:
    block = sl.nn.Residual(torch.nn.Linear(12, 12), sl.nn.Dropout(0.3), sl.nn.Neuron(sl.LIF()))
    return sl.nn.Sequential(torch.nn.Linear(INPUTS, 12), torch.nn.Dropout(0.3), block, torch.nn.Dropout(0.5))


def tied() -> sl.nn.Sequential:
    """One Linear at two places, its bias at a third, and a frozen weight."""
    shared, neuron = torch.nn.Linear(INPUTS, INPUTS), sl.nn.Neuron(sl.LIF(tau=4.0))
    other = torch.nn.Linear(INPUTS, INPUTS)
    other.bias = shared.bias
    frozen = torch.nn.Linear(INPUTS, 4).requires_grad_(False)
    return sl.nn.Sequential(shared, neuron, shared, sl.nn.Neuron(sl.LIF()), other, frozen, sl.nn.Neuron(sl.LI()))


def image() -> sl.nn.Sequential:
    norm = sl.nn.TemporalBatchNorm(3, STEPS + 5)
    net = sl.nn.Sequential(
        torch.nn.Unflatten(1, (1, 2, 3)), torch.nn.Conv2d(1, 3, 2), norm, sl.nn.Neuron(sl.Izhikevich(), into="i"),
        torch.nn.Flatten(), sl.nn.Neuron(sl.LI()),
    )  # fmt: skip
    with torch.no_grad():
        norm.factor.uniform_(5.0, 20.0)
        norm.bias.fill_(1.0)
    norm.eval()
    return net


NETS = {f.__name__: f for f in (feedforward, recurrent, dropping, tied, image)}
Way = Callable[..., tuple[torch.Tensor, sl.State]]


def passed(way: Way, net: sl.nn.Sequential, x: torch.Tensor, state: sl.State | None) -> list[torch.Tensor]:
    """Output, final state, records, and all gradients of a loss that takes all of these into account."""
    torch.manual_seed(7)
    x = x.clone().requires_grad_()
    net.zero_grad()
    if state is not None:
        state = state.map(lambda t: t.clone().requires_grad_(t.is_floating_point()))
    with sl.record(net, "v") as rec:
        y, final = way(net, x, state)
    records = [t for n in rec.names() for t in (rec[n].spikes, rec[n]["v"]) if t is not None]
    finals = flat(final)
    outputs = [y, *finals, *records]
    loss = sum((t * torch.linspace(-1, 2, t.numel(), dtype=t.dtype).view(t.shape)).sum() for t in outputs)
    loss.backward()
    torch.rand(1)  # backward leaves the generator where it was
    gradients = [x.grad, *(p.grad for p in net.parameters() if p.grad is not None)]
    return [*(t.detach() for t in outputs), *gradients, *(t.grad for t in flat(state) if t.grad is not None)]


def flat(state: object) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state] if state.is_floating_point() else []
    return [t for part in state.values() for t in flat(part)] if isinstance(state, sl.State) else []


def plain(net, x, state):
    return net(x, state)


def drive(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    torch.manual_seed(3)
    return torch.rand(STEPS, BATCH, INPUTS, dtype=dtype) * 2


@pytest.mark.parametrize("steps", [1, 7, 30, STEPS, 1000])
@pytest.mark.parametrize("name", NETS)
def test_checkpointed_is_the_plain_call(name: str, steps: int):
    """Outputs, states, what is recorded, and gradients from all of these to weights, input and first state."""
    torch.manual_seed(0)
    net, x = NETS[name]().double(), drive()
    _, state = net(x[:5])
    for start in (None, state.detach()):
        expected = passed(plain, net, x, start)
        found = passed(lambda *args: checkpointed(*args, steps=steps), net, x, start)
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12 * (1 + float(theirs.abs().max())))
        if name != "dropping":  # whose products of 3 and of 180 rows the library rounds differently
            assert torch.equal(found[0], expected[0])
        assert any(float(t.abs().max()) > 0 for t in expected[-2:])


def test_float32_gradients():
    torch.manual_seed(0)
    net, x = feedforward(), drive(torch.float32)
    expected = passed(plain, net, x, None)
    for ours, theirs in zip(passed(lambda *args: checkpointed(*args, steps=8), net, x, None), expected, strict=True):
        assert float((ours - theirs).norm()) <= 1e-6 * float(theirs.norm())


def test_dropout_keeps_one_mask_and_leaves_the_generator_as_the_plain_call_does():
    net, x = sl.nn.Sequential(torch.nn.Dropout(0.5)), torch.ones(40, 2, 50, requires_grad=True)
    torch.manual_seed(1)
    y, _ = net(x)
    after = torch.rand(1)
    torch.manual_seed(1)
    y2, _ = checkpointed(net, x, steps=7)
    assert torch.equal(torch.rand(1), after)
    assert torch.equal(y, y2)
    torch.manual_seed(2)  # whatever happens before backward
    y2.sum().backward()
    assert torch.equal(torch.rand(1), torch.rand(1, generator=torch.Generator().manual_seed(2)))
    assert torch.equal(x.grad, y2)  # the mask of forward


def test_noise_is_the_same_in_forward_and_backward():
    """With a membrane that sums its noise, d(v^2)/dx needs the noise of the forward run."""
    net = sl.nn.Sequential(sl.nn.Neuron(sl.Noisy(sl.LI(tau=5.0), sigma_noise=1.0), solver=sl.solvers.EulerMaruyama()))
    x = torch.zeros(30, 1, 4, dtype=torch.float64, requires_grad=True)
    y, _ = checkpointed(net, x, steps=7)
    (grad,) = torch.autograd.grad((y[-1] ** 2).sum(), x)
    torch.testing.assert_close(grad[-1], 2 * y[-1].detach())  # the last jump arrives as it is


def test_backward_runs_under_the_backend_and_precision_of_forward():
    torch.manual_seed(0)
    net, x = feedforward(), drive(torch.float32)
    with sl.backend("reference"), torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = checkpointed(net, x, steps=20)
        twin, _ = net(x)
    twin.square().sum().backward()
    expected = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    sl.last_kernels()
    y.square().sum().backward()
    assert all(kernel.startswith("scan/reference") for kernel in sl.last_kernels())
    for p, grad in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, grad, rtol=0.02, atol=0.02 * float(grad.abs().max()))  # bfloat16 sums


def test_hooks_of_parameters_run_once():
    torch.manual_seed(0)
    net, x = feedforward().double(), drive()
    plain(net, x, None)[0].sum().backward()
    expected = net[0].weight.grad.clone()
    net.zero_grad()
    net[0].weight.register_hook(lambda grad: 3 * grad)
    checkpointed(net, x, steps=25)[0].sum().backward()
    torch.testing.assert_close(net[0].weight.grad, 3 * expected)


def test_regularisers_reach_recomputed_layers():
    torch.manual_seed(0)
    net = feedforward()
    with torch.no_grad():
        net[0].weight.mul_(0.01)
        net[0].bias.fill_(0.0)
    with sl.record(net) as rec:
        checkpointed(net, drive(torch.float32), steps=10)
    assert rec["1"].spikes.shape == (STEPS, BATCH, 20)
    silent_neurons({"1": rec["1"].spikes}).backward()
    assert float(net[0].weight.grad.abs().sum()) > 0


def test_without_gradients_and_without_steps():
    net, x = feedforward(), drive(torch.float32)
    with torch.no_grad():
        y, _ = checkpointed(net, x, steps=9)
    assert not y.requires_grad
    y, state = checkpointed(net, x[:0], steps=9)
    assert y.shape == (0, BATCH, 4)
    assert state["3"]["v"].shape == (BATCH, 4)


def test_a_weight_that_changes_before_backward_is_noticed():
    net = feedforward()
    y, _ = checkpointed(net, drive(torch.float32), steps=9)
    with torch.no_grad():
        net[0].weight.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize(
    "norm",
    [torch.nn.BatchNorm1d(5), sl.nn.BatchNorm(5), sl.nn.ThresholdBatchNorm(5), sl.nn.BatchNormThroughTime(5, 9)],
    ids=lambda norm: type(norm).__name__,
)
def test_batch_norm_is_refused_in_training(norm: torch.nn.Module):
    net, x = (
        sl.nn.Sequential(sl.nn.Sequential(torch.nn.Linear(3, 5), norm), sl.nn.Neuron(sl.LIF())),
        torch.rand(9, 4, 3),
    )
    with pytest.raises(ModelError, match=rf"0\.1 would average.*got {type(norm).__name__}.*net\.0\.1\.eval"):
        checkpointed(net, x, steps=3)
    net.eval()
    assert torch.equal(checkpointed(net, x, steps=3)[0], net(x)[0])


def test_batch_norm_without_running_averages_is_refused_always():
    net = sl.nn.Sequential(torch.nn.BatchNorm1d(3, track_running_stats=False)).eval()
    with pytest.raises(ModelError, match="0 would average"):
        checkpointed(net, torch.rand(9, 4, 3), steps=3)


@pytest.mark.parametrize("way", [checkpointed, truncated])
def test_bad_arguments(way):
    net, x = feedforward(), drive(torch.float32)
    for steps in (0, -1, 2.0, True):
        with pytest.raises(ParameterError, match="steps"):
            way(net, x, steps=steps)
    with pytest.raises(ShapeError):
        way(net, x[:, 0, 0], steps=5)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_memory_stays_below_a_quarter():
    """512 neurons, in processes of their own; benchmarks/long_sequences.py measures T = 10,000, and time."""
    script = Path(__file__).resolve().parent.parent / "benchmarks" / "long_sequences.py"
    peak = {}
    for way in ("plain", "checkpointed"):
        command = [
            sys.executable,
            str(script),
            "--steps=4000",
            "--batch=4",
            "--piece=200",
            "--child",
            "feedforward",
            way,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peak[way] = float(done.stdout.split('"peak": ')[1].split(",")[0])
    assert peak["plain"] > 60  # MiB: several arrays of 31 MiB
    assert peak["checkpointed"] <= peak["plain"] / 4


# -- truncated


def test_one_piece_is_the_whole():
    torch.manual_seed(0)
    net, x = recurrent().double(), drive()
    net(x)[0].square().sum().backward()
    expected = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    for y, _ in truncated(net, x, steps=STEPS):
        y.square().sum().backward()
    assert all(torch.equal(p.grad, grad) for p, grad in zip(net.parameters(), expected, strict=True))


@pytest.mark.parametrize("steps", [1, 13, 30])
def test_truncated_is_the_loop_by_hand(steps: int):
    torch.manual_seed(0)
    net, x = recurrent().double(), drive()
    state, outputs = net(x[:4])[1].detach(), []
    carried = state
    for begin in range(0, STEPS, steps):
        y, carried = net(x[begin : begin + steps], carried)
        y.square().sum().backward()
        carried = sl.State({name: part and sl.State(part).detach() for name, part in carried.items()})
        outputs.append(y)
    expected = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    found, last = [], state
    for y, last in truncated(net, x, state, steps=steps):  # noqa: B007
        y.square().sum().backward()
        found.append(y)
    assert [len(y) for y in found] == [len(y) for y in outputs]
    assert torch.equal(torch.cat(found), torch.cat(outputs))
    assert torch.equal(last["1"]["neuron"]["v"], carried["1"]["neuron"]["v"])
    for p, grad in zip(net.parameters(), expected, strict=True):
        assert torch.equal(p.grad, grad)


def test_truncated_cuts_at_borders_only():
    net = sl.nn.Sequential(sl.nn.Neuron(sl.LI(tau=4.0)))
    x = torch.zeros(10, 1, 1, dtype=torch.float64, requires_grad=True)
    last = [y for y, _ in truncated(net, x, steps=4)][-1]
    (grad,) = torch.autograd.grad(last[-1].sum(), x)
    decay = torch.exp(torch.tensor(-0.25, dtype=torch.float64))
    expected = torch.zeros(10, dtype=torch.float64)
    expected[8], expected[9] = decay, 1.0
    torch.testing.assert_close(grad.flatten(), expected)


def test_the_optimiser_may_step_between_pieces():
    weights = []
    for by_hand in (False, True):
        torch.manual_seed(0)
        net, x = recurrent(), drive(torch.float32)
        before = [p.detach().clone() for p in net.parameters()]
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
        pieces, state = (x.split(20), None) if by_hand else (truncated(net, x, steps=20), None)
        for piece in pieces:
            y, state = net(piece, state) if by_hand else piece
            optimiser.zero_grad()
            y.mean().backward()
            optimiser.step()
            state = state.detach()
        weights.append([p.detach() for p in net.parameters()])
        assert any(not torch.equal(a, b) for a, b in zip(before, weights[-1], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_second_derivatives_are_refused():
    net, x = feedforward().double(), drive().requires_grad_()
    with sl.backend("reference"):
        y, _ = checkpointed(net, x, steps=20)
        (grad,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        with pytest.raises((RuntimeError, BackendError)):
            grad.sum().backward()
