"""State goes in and comes out: any split of a run in time gives the same bits, and nothing stays on the modules."""

import copy
import gc
import itertools
import threading
import weakref

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.errors import StateError

STEPS, BATCH = 12, 3


def eighths(*shape: int, seed: int = 0) -> torch.Tensor:
    """Multiples of 1/8: matrix products of them are exact in any order of summation."""
    return torch.randint(0, 9, shape, generator=torch.Generator().manual_seed(seed)) / 8


def exact(net: torch.nn.Module) -> torch.nn.Module:
    for name, parameter in net.named_parameters():
        if "raw" not in name:
            parameter.data = (parameter.data * 16).round() / 8
    return net


def deep() -> torch.nn.Module:
    block = sl.nn.Residual(torch.nn.Linear(6, 6), sl.nn.Neuron(sl.ALIF(tau=7.0), learn=("tau",)), sl.nn.Dropout(0.5))
    return sl.nn.Sequential(
        torch.nn.Linear(6, 6), sl.nn.Sequential(sl.nn.Neuron(sl.LIF(tau=5.0)), block), torch.nn.Linear(6, 6),
        sl.nn.Recurrent(sl.nn.Neuron(sl.Refractory(sl.LIF(tau=9.0), t_ref=2.0)), 6), sl.nn.Neuron(sl.LI()),
    )  # fmt: skip


def convolutional() -> torch.nn.Module:
    taus = np.array([3.0, 9.0]).reshape(2, 1, 1)
    return sl.nn.Sequential(
        torch.nn.Unflatten(1, (1, 2, 3)), torch.nn.Conv2d(1, 2, 2), torch.nn.Dropout2d(0.5),
        sl.nn.Neuron(sl.LIF(tau=taus)), torch.nn.Flatten(), torch.nn.Linear(4, 6),
        sl.nn.Neuron(sl.LIF(reset_mechanism="none")),
    )  # fmt: skip


NETS = {
    "LIF": lambda: sl.nn.Neuron(sl.LIF(tau=5.0)),
    "LIF, reset to value": lambda: sl.nn.Neuron(sl.LIF(tau=5.0, reset_mechanism="value", v_reset=-0.25)),
    "LIF, no reset": lambda: sl.nn.Neuron(sl.LIF(tau=2.0, reset_mechanism="none")),
    "LIF, held input": lambda: sl.nn.Neuron(sl.LIF(tau=1.5, r=3.0), into="i"),
    "ALIF": lambda: sl.nn.Neuron(sl.ALIF(tau=5.0)),
    "Refractory": lambda: sl.nn.Neuron(sl.Refractory(sl.LIF(tau=5.0), t_ref=3.0)),
    "LI": lambda: sl.nn.Neuron(sl.LI(tau=5.0)),
    "Recurrent": lambda: sl.nn.Recurrent(sl.nn.Neuron(sl.ALIF(tau=5.0)), 6),
    "Dropout": lambda: sl.nn.Dropout(0.5),
    "deep": deep,
    "convolutional": convolutional,
}
SPLITS = [(1,) * STEPS, (5, 7), (1, 8, 0, 3), (11, 1)]


@pytest.fixture(autouse=True)
def _same_weights_in_every_run():
    torch.manual_seed(0)


def leaves(state) -> list[torch.Tensor]:
    return torch.utils._pytree.tree_leaves(state)


def equal_states(a, b) -> bool:
    return repr(a) == repr(b) and all(torch.equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


def in_parts(net, x, sizes):
    outputs, state = [], None
    for part in x.split(sizes):
        torch.manual_seed(1)  # a mask is drawn at the first call only, with the seed of the undivided run
        y, state = net(part, state)
        outputs.append(y)
    return torch.cat(outputs), state


@pytest.mark.parametrize("sizes", SPLITS, ids=str)
@pytest.mark.parametrize("name", NETS)
def test_any_split_in_time_gives_the_same_bits(name, sizes):
    net, x = exact(NETS[name]()), eighths(STEPS, BATCH, 6)
    whole, state = in_parts(net, x, [STEPS])
    parts, last = in_parts(net, x, list(sizes))
    assert whole.unique().numel() > 1
    assert torch.equal(parts, whole)
    assert equal_states(last, state)


@pytest.mark.parametrize("name", ["LIF, no reset", "Refractory", "deep"])
def test_any_split_on_the_reference(name):
    net, x = exact(NETS[name]()), eighths(STEPS, BATCH, 6)
    with sl.backend("reference"):
        whole, state = in_parts(net, x, [STEPS])
        parts, last = in_parts(net, x, [1, 8, 0, 3])
    assert torch.equal(parts, whole)
    assert equal_states(last, state)


@pytest.mark.parametrize("name", NETS)
def test_gradients_cross_the_splits(name):
    net = NETS[name]().double()
    gradients = []
    for sizes in ([STEPS], [5, 7]):
        net.zero_grad()
        x = eighths(STEPS, BATCH, 6).double().requires_grad_()
        y, state = in_parts(net, x, sizes)
        weights = torch.linspace(0.5, 1.5, y.numel(), dtype=torch.float64).view_as(y)
        ((y * weights).sum() + sum(part.sum() for part in leaves(state))).backward()
        gradients.append([x.grad, *(p.grad for p in net.parameters())])
    for a, b in zip(*gradients, strict=True):
        assert a is not None
        assert a.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["LIF", "Recurrent", "deep"])
def test_detach_truncates(name):
    net = NETS[name]().eval()
    for cut in (False, True):
        first, later = (eighths(6, BATCH, 6, seed=s).requires_grad_() for s in (0, 1))
        _, state = net(first)
        y, _ = net(later, state.detach() if cut else state)
        y.sum().backward()
        assert later.grad is not None
        assert later.grad.abs().max() > 0
        assert (first.grad is None) if cut else (first.grad is not None and first.grad.abs().max() > 0)


@pytest.mark.parametrize("name", NETS)
def test_samples_do_not_meet(name):
    net, x = exact(NETS[name]()).eval(), eighths(STEPS, 5, 6)
    whole, state = net(x)
    alone, own = net(x[:, 3:4])
    assert torch.equal(alone, whole[:, 3:4])
    assert all(torch.equal(a, b[3:4]) for a, b in zip(leaves(own), leaves(state), strict=True))


def everything_on(net: torch.nn.Module) -> dict[str, object]:
    kept: dict[str, object] = {}
    for path, module in net.named_modules():
        kept |= {f"{path}.{name}": id(value) for name, value in vars(module).items() if not name.startswith("_")}
        kept |= {f"{path}.{k}": v.clone() for k, v in (module._parameters | module._buffers).items() if v is not None}
    return kept


@pytest.mark.parametrize("name", ["LIF", "Dropout", "deep", "convolutional"])
def test_nothing_is_kept_on_the_modules(name):
    net, x = NETS[name](), eighths(STEPS, BATCH, 6)
    before, keys = everything_on(net), list(net.state_dict())
    with sl.record(net):
        y, _ = in_parts(net, x, [STEPS])
    if y.requires_grad:
        y.sum().backward()
    after = everything_on(net)
    assert list(net.state_dict()) == keys
    assert list(net.buffers()) == []
    assert before.keys() == after.keys()
    for key, value in before.items():
        same = after[key]
        assert torch.equal(value, same) if isinstance(value, torch.Tensor) else value == same  # type: ignore[arg-type]
    again, _ = in_parts(net, x, [STEPS])
    assert torch.equal(again, y)


@pytest.mark.parametrize("name", ["LIF", "ALIF", "deep"])
def test_backward_as_often_as_one_likes(name):
    net, x = NETS[name]().eval(), eighths(STEPS, BATCH, 6).requires_grad_()
    net(x)[0].sum().backward()
    assert x.grad is not None
    once = x.grad.clone()
    net(x)[0].sum().backward()
    torch.testing.assert_close(x.grad, 2 * once)
    y, _ = net(x)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    torch.testing.assert_close(x.grad, 4 * once)


def test_nets_states_and_outputs_are_freed():
    net = NETS["deep"]()
    with sl.record(net, "v") as rec:
        y, state = net(eighths(STEPS, BATCH, 6))
    watched = [weakref.ref(thing) for thing in (y, leaves(state)[0], net, net[1], rec)]
    del y, state, net, rec
    gc.collect()
    assert [ref() for ref in watched] == [None] * 5


def test_threads_do_not_meet():
    """Threads share the pool that large kernels are spread over."""
    net, found = sl.nn.Sequential(sl.nn.Neuron(sl.LIF(tau=5.0)), sl.nn.Neuron(sl.LI(tau=5.0))), {}
    inputs = [eighths(200, 40, 16, seed=s) for s in range(4)]
    expected = [net(x)[0] for x in inputs]

    def work(index: int) -> None:
        found[index] = [net(inputs[index])[0] for _ in range(5)]

    threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(found) == [0, 1, 2, 3]
    assert all(torch.equal(y, expected[k]) for k in range(4) for y in found[k])


# The state itself


def test_state_is_an_immutable_mapping():
    state = sl.State(v=torch.ones(2), inner=sl.State(w=torch.zeros(1, 2, requires_grad=True)), none=None)
    assert list(state) == ["v", "inner", "none"]
    assert len(state) == 3
    assert repr(state) == "State(v=<2 float32>, inner=State(w=<1x2 float32>), none=None)"
    with pytest.raises(TypeError):
        state["v"] = torch.zeros(2)  # type: ignore[index]
    with pytest.raises(StateError, match=r"no part 'vv'\. Did you mean v\?"):
        state["vv"]
    assert not state.detach()["inner"]["w"].requires_grad
    assert state.to(torch.float64)["inner"]["w"].dtype == torch.float64
    assert state.map(lambda t: t + 1)["v"].tolist() == [2.0, 2.0]
    again = copy.deepcopy(state.detach())
    assert torch.equal(again["inner"]["w"], state["inner"]["w"])
    assert len(leaves(state)) == 3


def test_an_earlier_state_can_be_used_again():
    net, x = exact(deep()).eval(), eighths(STEPS, BATCH, 6)
    _, state = net(x[:5])
    kept = [part.clone() for part in leaves(state)]
    first, _ = net(x[5:], state)
    second, _ = net(x[5:], state)
    assert torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(kept, leaves(state), strict=True))


# Refusals


def carried(batch: int = 3) -> tuple[torch.nn.Module, sl.State]:
    net = sl.nn.Sequential(torch.nn.Linear(4, 4), sl.nn.Neuron(sl.LIF()))
    return net, net(torch.zeros(2, batch, 4))[1]


def test_a_state_of_another_batch_size():
    net, state = carried()
    with pytest.raises(StateError, match=r"in layer 1: state v: got shape \(3, 4\), expected \(2, 4\)\. .*state=None"):
        net(torch.zeros(5, 2, 4), state)
    with pytest.raises(StateError, match=r"are T and B swapped\? Inputs are \[T, B, \.\.\.\]"):
        net(torch.zeros(3, 5, 4), state)


def test_a_state_of_another_dtype_or_device():
    net, state = carried()
    with pytest.raises(StateError, match=r"torch\.float64 on cpu, expected torch\.float32 on cpu.*Move it") as error:
        net(torch.zeros(5, 3, 4), state.to(torch.float64))
    assert 'state.to("cpu", torch.float32)' in error.value.mend
    net(torch.zeros(5, 3, 4), state.to(torch.float64).to("cpu", torch.float32))  # as the message says
    with pytest.raises(StateError, match=r"torch\.float32 on meta, expected torch\.float32 on cpu"):
        net(torch.zeros(5, 3, 4), state.to("meta"))
    with pytest.raises(StateError, match=r"torch\.float32 on cpu, expected torch\.float64 on cpu"):
        net.double()(torch.zeros(5, 3, 4).double(), state)


@pytest.mark.parametrize("wrong", [torch.zeros(3, 4), (torch.zeros(3, 4),), [None], 0.0])
def test_what_is_no_state(wrong):
    net, _ = carried()
    for layer in (net, net[1], sl.nn.Residual(net[1]), sl.nn.Recurrent(net[1], 4), sl.nn.Dropout()):
        with pytest.raises(StateError, match=r"expected an sl\.State|part"):
            layer(torch.zeros(2, 3, 4), wrong)


def test_a_state_of_another_net():
    neuron, x = sl.nn.Neuron(sl.LIF()), torch.zeros(2, 3, 4)
    layers = [
        sl.nn.Sequential(neuron), neuron, sl.nn.Residual(neuron), sl.nn.Recurrent(neuron, 4),
        sl.nn.Neuron(sl.ALIF()), sl.nn.Dropout(0.5), sl.nn.Sequential(sl.nn.Dropout(0.5), neuron),
    ]  # fmt: skip
    states = [layer(x)[1] for layer in layers]
    for (a, layer), (b, state) in itertools.product(enumerate(layers), enumerate(states)):
        if a != b:
            with pytest.raises(StateError, match="Pass on the state that this net returned"):
                layer(x, state)


def test_dropout_and_recurrent_check_their_own_parts():
    """A mask or a spike of one sample would be broadcast over a batch without a word."""
    layer = sl.nn.Dropout(0.5)
    _, state = layer(torch.ones(2, 1, 4))
    with pytest.raises(StateError, match=r"mask in the state: got \(1, 4\) .*, expected \(3, 4\)"):
        layer(torch.ones(2, 3, 4), state)
    with pytest.raises(StateError, match=r"torch\.float64"):
        layer(torch.ones(2, 1, 4), state.to(torch.float64))
    recurrent = sl.nn.Recurrent(sl.nn.Neuron(sl.LIF()), 4)
    _, state = recurrent(torch.ones(2, 3, 4))
    with pytest.raises(StateError, match=r"spikes in the state: got \(1, 4\) on cpu, expected \(3, 4\)"):
        recurrent(torch.ones(2, 3, 4), sl.State(neuron=state["neuron"], spikes=state["spikes"][:1]))
