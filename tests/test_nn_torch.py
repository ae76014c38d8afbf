"""Layers among torch's other machinery: precisions, copies, files, checkpointing, the compiler, several processes."""

import copy
import io
import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import spikeloom as sl

HALVES = [torch.bfloat16, torch.float16]


@pytest.fixture(autouse=True)
def _same_weights_in_every_run():
    torch.manual_seed(0)


def net_of(*sizes: int, dropout: float = 0.0) -> sl.nn.Sequential:
    return sl.nn.Sequential(
        torch.nn.Linear(sizes[0], sizes[1]), sl.nn.Neuron(sl.LIF(tau=10.0), learn=("tau",)), torch.nn.Dropout(dropout),
        sl.nn.Recurrent(sl.nn.Neuron(sl.Refractory(sl.ALIF(tau=8.0), t_ref=1.0)), sizes[1]),
        torch.nn.Linear(sizes[1], sizes[2]), sl.nn.Neuron(sl.LI()),
    )  # fmt: skip


def inputs(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2


def leaves(state) -> list[torch.Tensor]:
    return torch.utils._pytree.tree_leaves(state)


# Precision


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_input(dtype):
    """Spikes have the input's type, states and gradients of the neuron's own arithmetic are float32."""
    x = inputs(20, 2, 4).to(dtype).requires_grad_()
    layer = sl.nn.Neuron(sl.LIF(tau=10.0), learn=("tau",))
    with sl.record(layer, "v") as rec:
        y, state = layer(x)
    wide = x.detach().float().requires_grad_()
    y2, state2 = layer(wide)
    assert (y.dtype, rec[""].spikes.dtype, rec[""]["v"].dtype, state["v"].dtype) == (dtype, dtype, *[torch.float32] * 2)
    assert torch.equal(y.float(), y2)
    assert torch.equal(state["v"], state2["v"])
    y.sum().backward()
    tau_half = layer.raw["tau"].grad
    layer.zero_grad()
    y2.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == dtype
    assert torch.equal(x.grad, wide.grad.to(dtype))
    torch.testing.assert_close(tau_half, layer.raw["tau"].grad, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_net_in_half_precision(dtype):
    net = net_of(4, 5, 3, dropout=0.2).to(dtype)
    y, state = net(inputs(10, 2, 4).to(dtype))
    y, state = net(inputs(10, 2, 4).to(dtype), state)
    assert y.dtype == torch.float32  # a membrane
    assert state["3"]["spikes"].dtype == dtype
    assert {part.dtype for name in ("1", "5") for part in state[name].values()} == {torch.float32}
    y.sum().backward()
    assert all(p.grad is not None and p.grad.dtype == dtype for p in net.parameters())


@pytest.mark.parametrize("dtype", HALVES)
def test_autocast_leaves_the_neurons_in_float32(dtype):
    net, x = net_of(4, 5, 3), inputs(30, 2, 4)
    with torch.autocast("cpu", dtype=dtype):
        y, state = net(x[:10])
        y, state = net(x[10:], state)
    assert {part.dtype for part in leaves(state["1"])} == {torch.float32}
    assert {part.dtype for part in leaves(state["5"])} == {torch.float32}
    y.sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in net.parameters())
    # The neuron itself sees what it is given: a linear layer in half precision changes its input and nothing else.
    with torch.autocast("cpu", dtype=dtype):
        drive = net[0](x)
        spikes, _ = net[1](drive)
    assert drive.dtype == dtype
    assert torch.equal(spikes.float(), net[1](drive.float())[0])


def test_float64_follows_the_module():
    net = net_of(4, 5, 3).double()
    y, state = net(inputs(10, 2, 4).double())
    assert y.dtype == torch.float64
    assert {part.dtype for part in leaves(state)} == {torch.float64}
    assert net[1].learned()["tau"].dtype == torch.float64  # type: ignore[union-attr]
    layer = sl.nn.Neuron(sl.LIF(v_rest=np.array([-65.0, -70.1]), v_threshold=-50.0)).double()
    assert layer(torch.zeros(1, 1, 2).double())[1]["v"].tolist() == [[-65.0, -70.1]]


def test_train_and_eval_differ_in_dropout_only():
    net, x = net_of(4, 50, 3, dropout=0.5), inputs(10, 2, 4)
    plain = net_of(4, 50, 3)
    plain.load_state_dict(net.state_dict())
    assert not torch.equal(net(x)[0], plain(x)[0])
    assert torch.equal(net.eval()(x)[0], plain(x)[0])
    assert torch.equal(net(x)[0], plain.eval()(x)[0])
    _, state = net(x)
    net.train()(x, state)  # a state of evaluation has no mask yet; training draws one


def test_inference_mode_first_and_training_after():
    """Constants that are prepared once must not be inference tensors for ever."""
    layer = sl.nn.Neuron(sl.LIF(tau=12.34567))
    with torch.inference_mode():
        y, _ = layer(inputs(5, 1, 2))
    x = inputs(5, 1, 2).requires_grad_()
    z, _ = layer(x)
    z.sum().backward()
    assert torch.equal(z, y)
    assert x.grad is not None


def test_meta_device():
    net = net_of(4, 5, 3).to("meta")
    y, state = net(torch.zeros(7, 2, 4, device="meta"))
    assert (y.shape, y.device.type) == ((7, 2, 3), "meta")
    assert {part.device.type for part in leaves(state)} == {"meta"}


# Copies and files


def test_copies_and_pickles_are_independent():
    net, x = net_of(4, 6, 3, dropout=0.5).eval(), inputs(20, 3, 4)
    y, state = net(x)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        again, state2 = other(x)
        assert torch.equal(again, y)
        assert all(torch.equal(a, b) for a, b in zip(leaves(state), leaves(state2), strict=True))
        assert torch.equal(other(x, state)[0], net(x, state)[0])
        for parameter in other.parameters():
            parameter.data.add_(1.0)
        assert not torch.equal(other(x)[0], y)
    assert torch.equal(net(x)[0], y)


def test_per_neuron_models_survive_a_pickle():
    layer = sl.nn.Neuron(sl.LIF(tau=np.linspace(2.0, 30.0, 4)), surrogate=sl.Triangle(width=0.5), dt=0.5)
    again = pickle.loads(pickle.dumps(layer))
    assert again.model == layer.model
    assert (again.surrogate, again.dt, again.into) == (layer.surrogate, 0.5, "v")
    assert not again.model.tau.flags.writeable
    assert torch.equal(again(inputs(20, 2, 4))[0], layer(inputs(20, 2, 4))[0])


def test_states_survive_torch_save():
    net, x = net_of(4, 6, 3).eval(), inputs(20, 3, 4)
    _, state = net(x)
    file = io.BytesIO()
    torch.save({"leaves": leaves(state.detach())}, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)["leaves"]
    rebuilt = torch.utils._pytree.tree_unflatten(loaded, torch.utils._pytree.tree_structure(state))
    assert torch.equal(net(x, rebuilt)[0], net(x, state)[0])
    assert torch.equal(net(x, pickle.loads(pickle.dumps(state.detach())))[0], net(x, state)[0])


def test_safetensors_round_trip(tmp_path):
    net, fresh = net_of(4, 6, 3), net_of(4, 6, 3)
    net[1].raw["tau"].data.add_(0.5)  # type: ignore[union-attr]
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    assert fresh.load_state_dict(load_file(tmp_path / "net.safetensors")).missing_keys == []
    x = inputs(20, 3, 4)
    assert torch.equal(fresh.eval()(x)[0], net.eval()(x)[0])


# Transformations


def test_forward_mode_is_the_references():
    """Torch passes over a tangent that an operator does not know: zeros without a word."""
    layer, x = sl.nn.Neuron(sl.LI(tau=10.0)), inputs(3, 1, 2).double()

    def total(z: torch.Tensor) -> torch.Tensor:
        return layer(z)[0][-1].sum()

    for jvp in (torch.func.jvp, torch.autograd.functional.jvp):
        with sl.backend("reference"):
            tangent = jvp(total, (x,), (torch.ones_like(x),))[1]
        assert tangent.item() == pytest.approx(2 * (1 + math.exp(-0.1) + math.exp(-0.2)), rel=1e-12)
    with pytest.raises(sl.errors.BackendError, match=r'forward-mode.*sl\.backend\("reference"\)'):
        torch.func.jvp(total, (x,), (torch.ones_like(x),))


@pytest.mark.parametrize("name", [None, "reference"], ids=["default", "reference"])
def test_any_memory_layout(name):
    """Batch-first data transposed, broadcast inputs and states: views with other strides."""
    layer = sl.nn.Neuron(sl.ALIF(tau=np.array([5.0, 9.0, 30.0])))
    batch_first = inputs(4, 11, 3).requires_grad_()
    plain = batch_first.detach().transpose(0, 1).contiguous().requires_grad_()
    with sl.backend(name):
        y, _ = layer(plain)
        z, _ = layer(batch_first.transpose(0, 1), sl.State(v=torch.zeros(1).expand(4, 3), a=torch.zeros(3, 4).T))
        y.sum().backward()
        z.sum().backward()
        assert torch.equal(z, y)
        assert plain.grad is not None
        assert batch_first.grad is not None
        assert torch.equal(batch_first.grad.transpose(0, 1), plain.grad)
        spread = inputs(11, 1, 3).expand(11, 4, 3)
        assert torch.equal(layer(spread)[0], layer(spread.contiguous())[0])


def test_second_derivatives_are_the_references():
    """The fused kernels have first derivatives only; zeros without a word would be worse than an error."""
    layer, x = sl.nn.Neuron(sl.LI(tau=10.0)), inputs(3, 1, 2).double().requires_grad_()

    def gradient() -> torch.Tensor:
        return torch.autograd.grad((layer(x)[0] ** 2).sum(), x, create_graph=True)[0]

    with pytest.raises(sl.errors.BackendError, match=r'sl\.backend\("reference"\)'):
        gradient().sum().backward()
    with sl.backend("reference"):
        gradient().sum().backward()
    d = math.exp(-0.1)  # y = D x with D_tk = d^(t - k): the second derivative of sum y^2 along 1 is 2 D^T D 1
    decay = torch.tensor([[1.0, 0.0, 0.0], [d, 1.0, 0.0], [d * d, d, 1.0]], dtype=torch.float64)
    assert x.grad is not None
    expected = (2 * decay.T @ decay @ torch.ones(3, dtype=torch.float64)).view(3, 1, 1).expand(3, 1, 2)
    torch.testing.assert_close(x.grad, expected, rtol=1e-12, atol=0)


def test_activation_checkpointing_gives_the_same_gradients():
    net, x = net_of(4, 6, 3).double(), inputs(12, 2, 4).double()
    gradients = []
    for checkpointed in (False, True):
        net.zero_grad()
        state = None
        for part in x.split(4):
            if checkpointed:
                y, state = torch.utils.checkpoint.checkpoint(net, part, state, use_reentrant=False)
            else:
                y, state = net(part, state)
        y.sum().backward()
        gradients.append([p.grad.clone() for p in net.parameters()])
    for a, b in zip(*gradients, strict=True):
        assert torch.equal(a, b)
        assert a.abs().max() > 0


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_net_is_the_same_net(backend):
    net = sl.nn.Sequential(
        torch.nn.Linear(4, 3), sl.nn.Neuron(sl.LIF(tau=10.0), learn=("tau",)),
        torch.nn.Linear(3, 2), sl.nn.Neuron(sl.LI()),
    )  # fmt: skip
    x = inputs(6, 2, 4)
    torch._dynamo.reset()
    compiled = torch.compile(net, backend=backend)
    found = []
    for run in (net, compiled):
        net.zero_grad()
        y, state = run(x)
        later, _ = run(x, state)
        (y.sum() + later.sum()).backward()
        found.append([y, later, *leaves(state), *(p.grad.clone() for p in net.parameters())])
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)
        assert a.abs().max() > 0
    with sl.record(net, "v") as rec:  # what was compiled without a recorder is still recorded
        compiled(x)
    assert rec.names() == ["1", "3"]
    assert torch.equal(rec["3"]["v"], found[0][0])
    x[0] = math.nan
    with pytest.raises(sl.errors.NonFiniteError, match="state v is not finite"):
        compiled(x)


DDP = """
import os, sys, torch
import spikeloom as sl
import torch.distributed as dist

def net_of():
    torch.manual_seed(0)
    return sl.nn.Sequential(
        torch.nn.Linear(4, 6), sl.nn.Neuron(sl.LIF(tau=10.0), learn=("tau",)),
        sl.nn.Residual(torch.nn.Linear(6, 3), torch.nn.Linear(3, 6)), sl.nn.Neuron(sl.LI()),
    ).double()

def two_chunks(net, x):
    first, state = net(x[:5])
    later, state = net(x[5:], state)
    (later ** 2).mean().backward()
    return later, state

rank, folder = int(sys.argv[1]), sys.argv[2]
os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
x = torch.rand(12, 6, 4, generator=torch.Generator().manual_seed(1)).double() * 2
mine = x[:, rank * 3:rank * 3 + 3]

alone = net_of()                       # what this rank would get by itself
y_alone, state_alone = two_chunks(alone, mine)
whole = net_of()                       # one process with the whole batch
two_chunks(whole, x)

net = net_of()
y, state = two_chunks(torch.nn.parallel.DistributedDataParallel(net), mine)
leaves = torch.utils._pytree.tree_leaves
assert torch.equal(y, y_alone), "the output of a rank depends on another"
for a, b in zip(leaves(state), leaves(state_alone), strict=True):
    assert torch.equal(a, b), "the state of a rank was overwritten"
for (name, p), q in zip(net.named_parameters(), whole.parameters(), strict=True):
    torch.testing.assert_close(p.grad, q.grad, rtol=1e-12, atol=1e-14)
    assert p.grad.abs().max() > 0, name
dist.barrier()
dist.destroy_process_group()
print("fine")
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_trap_08_two_processes_share_gradients_and_no_state(tmp_path: Path):
    """Hidden state in a buffer is overwritten with rank 0's at every forward; ours shares averaged gradients only."""
    script = tmp_path / "two.py"
    script.write_text(DDP)
    ranks = [
        subprocess.Popen([sys.executable, script, str(rank), tmp_path], stdout=-1, stderr=-1, text=True)
        for rank in range(2)
    ]
    try:
        for process in ranks:
            out, errors = process.communicate(timeout=120)
            assert (process.returncode, out.strip()) == (0, "fine"), errors[-3000:]
    finally:
        for process in ranks:
            process.kill()
