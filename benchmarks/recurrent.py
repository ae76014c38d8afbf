"""A recurrent net against its own matrix products: one Adam step of W3.

    python benchmarks/recurrent.py [--rounds 10] [--only train parts sweep memory] [--threads 2]

W3: 700 inputs at 2 % -> 256 recurrent neurons -> 20 classes, T=250, batch 128. There are two floors, without neurons
and with the same loss and optimiser: the products over all T*B rows at once, and the recurrent ones step by step,
forward and backward, which is cheaper where T*B rows leave the cache. Ratios are to the cheaper one. All are measured
in interleaved rounds of one run: the ratio of medians with the quartiles of the rounds' own ratios. Before anything is
timed, spikes and gradients are compared with those of the reference backend. ``parts`` times what a step consists of.
``sweep`` is the recurrent layer alone, forward and backward, at other sizes and densities, in the products of the same
layer step by step. Peak memory is that of a process of its own, above what it held once net and input were there.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable
from typing import Any

import torch
from measuring import Tasks, Times, adam_step, command, load, measure, peak, peaks, quoted, ratio

import spikeloom as sl

INPUTS, SIZE, CLASSES, STEPS, BATCH, DENSITY, BETA = 700, 256, 20, 250, 128, 0.02, 0.875
SPREAD = {"w_in": 0.08, "w_rec": 0.028, "w_out": 0.02}


def lif() -> sl.nn.Neuron:
    model = sl.LIF(tau=-1 / math.log(BETA), r=1 / (1 - BETA), reset_mechanism="value", v_reset=0.0)
    return sl.nn.Neuron(model, surrogate=sl.FastSigmoid())


class Spiking(torch.nn.Module):
    """The net of spikeloom."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.w_in = torch.nn.Linear(INPUTS, SIZE, bias=False)
        self.recurrent = sl.nn.Recurrent(lif(), SIZE)
        self.w_out = torch.nn.Linear(SIZE, CLASSES, bias=False)
        for weight, spread in zip(
            (self.w_in.weight, self.recurrent.weight, self.w_out.weight), SPREAD.values(), strict=True
        ):
            torch.nn.init.normal_(weight, std=spread)
        self.hidden = sl.nn.Sequential(self.w_in, self.recurrent)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w_out(self.hidden(x)[0].sum(0))


class Floor(Spiking):
    """The same products without neurons, over all T*B rows at once."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w_out(self.recur(self.w_in(x)).sum(0))

    def recur(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x, self.recurrent.weight)


class FloorBySteps(Floor):
    """The same with the recurrent products step by step; the weight gradient is one product."""

    def recur(self, x: torch.Tensor) -> torch.Tensor:
        return _Steps.apply(x, self.recurrent.weight)


class _Steps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, w)
        out = torch.empty_like(x)
        for x_t, out_t in zip(x.unbind(0), out.unbind(0), strict=True):
            torch.mm(x_t, w.t(), out=out_t)
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, w = ctx.saved_tensors
        grad, back = grad.contiguous(), torch.empty_like(x)
        for g_t, b_t in zip(grad.unbind(0), back.unbind(0), strict=True):
            torch.mm(g_t, w, out=b_t)
        return back, grad.flatten(0, 1).t() @ x.flatten(0, 1)


NETS: dict[str, type[Spiking]] = {"floor": Floor, "floor by steps": FloorBySteps, "spikeloom": Spiking}


def data() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return (torch.rand(STEPS, BATCH, INPUTS) < DENSITY).float(), torch.randint(0, CLASSES, (BATCH,))


def training(net: torch.nn.Module, x: torch.Tensor, labels: torch.Tensor) -> Callable[[], object]:
    return adam_step(net.parameters(), net, x, labels)


def check() -> None:
    """Refuse to go on unless the net agrees with the reference backend; print how dense its layer is."""
    x, labels = data()
    found = dict[str | None, tuple[torch.Tensor, list[torch.Tensor]]]()
    for backend in (None, "reference"):
        net = Spiking()
        with sl.backend(backend):
            spikes = net.hidden(x)[0]
            loss = torch.nn.functional.cross_entropy(net.w_out(spikes.sum(0)), labels)
            found[backend] = spikes.detach(), list(torch.autograd.grad(loss, list(net.parameters())))
    kernels = sl.last_kernels()
    (ours, by_ours), (reference, by_reference) = found[None], found["reference"]
    apart = float((ours != reference).float().mean())
    worst = max(float((a - b).norm() / b.norm()) for a, b in zip(by_ours, by_reference, strict=True))
    print(f"density {float(ours.mean()):.4f}, spikes apart {apart:.1e}, gradients {worst:.1e}; {', '.join(kernels)}")
    if apart > 1e-4 or worst > 1e-2 or "recurrence/cpu/LIF/backward" not in kernels:
        sys.exit("the net does not agree with the reference backend; nothing is measured")


def report(title: str, times: Times) -> None:
    medians = {name: statistics.median(values) for name, values in times.items()}
    floor = min((name for name in times if name.startswith("floor")), key=lambda name: medians[name])
    print(f"{title}   ({load()}); ratios to the {floor}")
    for name in times:
        print(f"  {name:28s}{quoted(times, name, floor)}", flush=True)


def train(rounds: int) -> None:
    x, labels = data()
    report("W3 one Adam step", measure({name: training(net(), x, labels) for name, net in NETS.items()}, rounds))


def parts(rounds: int) -> None:
    """The pieces of a step, each by itself."""
    x, _ = data()
    net, floor = Spiking(), FloorBySteps()
    drive = net.w_in(x).detach()
    wanted = drive.clone().requires_grad_()
    grad = torch.randn(BATCH, SIZE).expand(STEPS, BATCH, SIZE)
    one = sl.nn.Sequential(net.w_in)
    y = net.recurrent(wanted)[0]
    by_input = torch.randn(STEPS, BATCH, SIZE)
    z = one(x)[0]

    def without() -> None:
        with torch.no_grad():
            net.recurrent(drive)

    tasks: Tasks = {
        "floor by steps": lambda: torch.autograd.grad(floor(x).sum(), list(floor.parameters())[:2]),
        "input product": lambda: one(x),
        "its weight gradient": lambda: torch.autograd.grad(z, net.w_in.weight, by_input, retain_graph=True),
        "recurrence": lambda: net.recurrent(wanted),
        "recurrence, no gradient": without,
        "its state gradient": lambda: torch.autograd.grad(y, wanted, grad, retain_graph=True),
        "and weight gradient": lambda: torch.autograd.grad(y, net.recurrent.weight, grad, retain_graph=True),
    }  # fmt: skip
    report("parts of W3", measure(tasks, rounds))


def sweep(rounds: int) -> None:
    print("the recurrent layer alone, forward and backward, in floors by steps (batch 128)")
    for size in (32, 128, 256, 512):
        steps = min(max(250 * 256**2 // size**2, 10), 500)
        print(f"  {size:5d} neurons, T={steps}:", end="")
        for gain in (0.3, 0.6, 1.0, 3.0, 100.0):
            density, ratio = swept(size, steps, gain, rounds)
            print(f"  {density:.3f}: {ratio:.2f}", end="", flush=True)
        print()


def swept(size: int, steps: int, gain: float, rounds: int) -> tuple[float, float]:
    torch.manual_seed(2)
    layer, floor = sl.nn.Recurrent(lif(), size), FloorBySteps()
    floor.recurrent = layer
    x = (torch.randn(steps, BATCH, size) * 0.3 * gain + 0.1 * min(gain, 10.0)).requires_grad_()
    grad, leaves = torch.randn(steps, BATCH, size), (x, layer.weight)
    times = measure(
        {
            "floor": lambda: torch.autograd.grad(floor.recur(x), leaves, grad),
            "ours": lambda: torch.autograd.grad(layer(x)[0], leaves, grad),
        },
        rounds,
    )
    return float(layer(x)[0].detach().mean()), ratio(times["ours"], times["floor"])[0]


def memory(_: int) -> None:
    peaks("W3", NETS)


def peak_of(name: str) -> None:
    x, labels = data()
    peak(training(NETS[name](), x, labels), training(NETS[name](), x[:2, :16].contiguous(), labels[:16]))


if __name__ == "__main__":
    command(__doc__, {"train": train, "parts": parts, "sweep": sweep, "memory": memory}, peak_of, check)
