"""An MLP of spiking neurons against its own matrix products, and the spike-aware linear layer against the dense one.

    python benchmarks/mlp.py [--rounds 15] [--only train compact infer memory sweep needed] [--threads 2] [--cpu-time]

W2: 784-512-512-10, T=100, batch 128, input 10 % dense; one Adam step. W5: its inference, batch 1 and 128. The floor
is the same Linear layers called once over T*B without neurons, with the same loss and optimiser, on the same threads.
All are measured in interleaved rounds of one run; the medians' ratios are quoted with the range of the rounds' ratios.
Before anything is timed, the spikes and gradients of the net are compared with those of the reference backend. Peak
memory is that of a process of its own, above what it held once net and input were there. The sweep compares the
operator alone (forward, and forward with both parameter gradients, tests of the input included) with torch's.
``compact`` is the same step with surrogates that are zero far from the threshold, with the input gradients that they
make zero left out, and with all of them formed; ``needed`` compares that product alone with the dense one, for shares
of entries that are needed, from their bytes on.
``--cpu-time`` counts the time of the processor instead of the clock on the wall: on one thread, that is what a busy
machine disturbs least.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable

import torch
from measuring import (
    Tasks,
    Times,
    adam_step,
    against,
    by_surrogate,
    command,
    compared,
    load,
    measure,
    out_of_reach,
    peak,
    peaks,
    quoted,
    ratio,
)  # fmt: skip

import spikeloom as sl
from spikeloom.kernels.scan.scan import scan
from spikeloom.kernels.spike_linear import linear
from spikeloom.kernels.spike_linear.op import input_gradient_op, pack_op
from spikeloom.surrogates import Surrogate

SIZES, STEPS, BATCH, DENSITY, BETA = (784, 512, 512, 10), 100, 128, 0.1, 0.875
SPREAD = (0.034, 0.06, 0.06)  # standard deviations of the weights: hidden layers are 2 to 3 % dense
DENSITIES = (0.001, 0.01, 0.03, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0)
SHAPES = ((12800, 784, 512), (12800, 512, 512), (12800, 512, 10), (12800, 100, 8), (100, 784, 512), (1000, 256, 128))


def linears() -> list[torch.nn.Linear]:
    torch.manual_seed(0)
    made: list[torch.nn.Linear] = []
    for inputs, outputs, spread in zip(SIZES, SIZES[1:], SPREAD, strict=False):
        layer = torch.nn.Linear(inputs, outputs, bias=False)
        torch.nn.init.normal_(layer.weight, std=spread)
        made.append(layer)
    return made


def spiking(surrogate: Surrogate | None = None) -> sl.nn.Sequential:
    lif = sl.LIF(tau=-1 / math.log(BETA), r=1 / (1 - BETA), reset_mechanism="value", v_reset=0.0)
    parts = ((layer, sl.nn.Neuron(lif, surrogate=surrogate or sl.FastSigmoid())) for layer in linears())
    return sl.nn.Sequential(*(part for pair in parts for part in pair))


class Spiking:
    """The net of spikeloom: rates out, and its training step."""

    def __init__(self, surrogate: Surrogate | None = None) -> None:
        self.net: torch.nn.Module = spiking(surrogate)

    def rates(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)[0].sum(0)


class Floor:
    """The same matrix products, once over T*B."""

    def __init__(self) -> None:
        self.net: torch.nn.Module = torch.nn.Sequential(*linears())

    def rates(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x.flatten(0, 1)).unflatten(0, x.shape[:2]).sum(0)


NETS: dict[str, Callable[[], Spiking | Floor]] = {"floor": Floor, "spikeloom": Spiking}


def data(batch: int, density: float = DENSITY) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return (torch.rand(STEPS, batch, SIZES[0]) < density).float(), torch.randint(0, SIZES[-1], (batch,))


def training(made: Spiking | Floor, x: torch.Tensor, labels: torch.Tensor) -> Callable[[], object]:
    return adam_step(made.net.parameters(), made.rates, x, labels)


def inferring(made: Spiking | Floor, x: torch.Tensor) -> Callable[[], object]:
    def run() -> None:
        with torch.no_grad():
            made.rates(x)

    return run


def check() -> None:
    """Refuse to go on unless the net agrees with the reference backend; print how dense its layers are."""
    x, labels = data(BATCH)
    found: dict[str | None, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
    for backend in (None, "reference"):
        made, rows = spiking(), list[torch.Tensor]()
        y = x
        with sl.backend(backend):
            for layer in made:
                y = sl.nn.Sequential(layer)(y)[0]
                rows.append(y.detach())
            loss = torch.nn.functional.cross_entropy(y.sum(0), labels)
            found[backend] = rows[1::2], list(torch.autograd.grad(loss, list(made.parameters())))
    ours, reference = found[None], found["reference"]
    different = [float((a != b).float().mean()) for a, b in zip(ours[0], reference[0], strict=True)]
    errors = [float((a - b).norm() / b.norm()) for a, b in zip(ours[1], reference[1], strict=True)]
    print("densities    " + ", ".join(f"{float(s.mean()):.4f}" for s in (x, *ours[0])))
    print("spikes apart " + ", ".join(f"{d:.1e}" for d in different) + f", gradients {max(errors):.1e}")
    if max(different) > 1e-4 or max(errors) > 1e-2:
        sys.exit("the net does not agree with the reference backend; nothing is measured")


def train(rounds: int) -> None:
    x, labels = data(BATCH)
    tasks = {name: training(made(), x, labels) for name, made in NETS.items()}
    dense = training(Spiking(), x, labels)

    def without() -> None:
        with out_of_reach(linear, "_FEWEST_ROWS"):  # torch's dense products: what the linear layers alone bring
            dense()

    report("W2 one Adam step", measure({**tasks, "dense Linear": without}, rounds))


def compact(rounds: int) -> None:
    x, labels = data(BATCH)
    steps = by_surrogate(lambda s: training(Spiking(s), x, labels), lambda s: share(s, x), (linear, "_FEWEST_SKIPPED"))
    report("W2 one Adam step, by surrogate", measure({"floor": training(Floor(), x, labels), **steps}, rounds))


def share(surrogate: Surrogate, x: torch.Tensor) -> float:
    """How many of the first hidden layer's gradients are needed."""
    neuron, weight = spiking(surrogate)[1], linears()[0].weight
    assert isinstance(neuron, sl.nn.Neuron)
    marks = scan(
        neuron.model, {"v": torch.nn.functional.linear(x, weight)}, surrogate=surrogate, mark_needed=True
    ).needed  # fmt: skip
    return float((marks != 0).float().mean()) if marks is not None else 1.0


def needed(rounds: int) -> None:
    print("input gradient where some are needed, in dense products")
    for rows, inputs, outputs in ((12800, 512, 512), (12800, 1024, 256), (12800, 512, 64), (1000, 256, 128)):
        print(f"  {rows} x {outputs} -> {inputs}: ", end="")
        grad, weight = torch.randn(rows, outputs), torch.randn(outputs, inputs)
        for share in (0.01, 0.05, 0.13, 0.17, 0.3, 0.45):
            marks = (torch.rand(rows, inputs) < share).to(torch.uint8)
            tasks: Tasks = {
                "floor": lambda g=grad, w=weight: g @ w,
                "ours": lambda g=grad, w=weight, m=marks: input_gradient_op(pack_op(m)[0], g, w),
            }
            times = measure(tasks, rounds)
            middle, low, high = ratio(times["ours"], times["floor"])
            print(f" {share:g}: {middle:.2f} ({low:.2f} to {high:.2f})", end="", flush=True)
        print()


def infer(rounds: int) -> None:
    for batch in (1, BATCH):
        x, _ = data(batch)
        tasks = {name: inferring(made(), x) for name, made in NETS.items()}
        report(f"W5 inference, batch {batch}", measure(tasks, rounds * (20 if batch == 1 else 1)))


def report(title: str, times: Times) -> None:
    print(f"{title}   ({load()})")
    print(f"  {'floor':19s}{statistics.median(times['floor']) * 1e3:8.2f} ms")
    for name in times:
        if name != "floor":
            print(f"  {name:19s}{quoted(times, name)}", flush=True)


def sweep(rounds: int) -> None:
    print("operator alone, in dense products: forward / forward with the parameters' gradients")
    for rows, inputs, outputs in SHAPES:
        print(f"  {rows} x {inputs} -> {outputs}: ", end="")
        for density in DENSITIES:
            weight, bias = torch.randn(outputs, inputs).requires_grad_(), torch.randn(outputs).requires_grad_()
            x = (torch.rand(rows, inputs) < density).float()
            tasks = against(linear.spike_linear, torch.nn.functional.linear, x, weight, bias)
            print(f" {density:g}{compared(tasks, rounds if rows > 1000 else rounds * 10)}", end="", flush=True)
        print()
    print(f"  (* the dense product was chosen; {load()})")


def memory(_: int) -> None:
    peaks("W2", NETS)


def peak_of(name: str) -> None:
    x, labels = data(BATCH)
    step = training(NETS[name](), x, labels)
    peak(step, training(NETS[name](), x[:2, :16].contiguous(), labels[:16]))


if __name__ == "__main__":
    ways = {
        "train": train, "compact": compact, "infer": infer, "memory": memory, "sweep": sweep, "needed": needed,
    }  # fmt: skip
    command(__doc__, ways, peak_of, check, rounds=15)
