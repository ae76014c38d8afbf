"""An MLP of spiking neurons against its own matrix products, and the spike-aware linear layer against the dense one.

    python benchmarks/mlp.py [--rounds 15] [--only train infer memory sweep] [--threads 2] [--cpu-time]

W2: 784-512-512-10, T=100, batch 128, input 10 % dense; one Adam step. W5: its inference, batch 1 and 128. The floor
is the same Linear layers called once over T*B without neurons, with the same loss and optimiser, on the same threads.
All are measured in interleaved rounds of one run; the medians' ratios are quoted with the range of the rounds' ratios.
Before anything is timed, the spikes and gradients of the net are compared with those of the reference backend. Peak
memory is that of a process of its own, above what it held once net and input were there. The sweep compares the
operator alone (forward, and forward with both parameter gradients, tests of the input included) with torch's.
``--cpu-time`` counts the time of the processor instead of the clock on the wall: on one thread, that is what a busy
machine disturbs least.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import numba
import torch

import spikeloom as sl
from spikeloom.kernels.spike_linear import linear

SIZES, STEPS, BATCH, DENSITY, BETA = (784, 512, 512, 10), 100, 128, 0.1, 0.875
SPREAD = (0.034, 0.06, 0.06)  # standard deviations of the weights: hidden layers are 2 to 3 % dense
DENSITIES = (0.001, 0.01, 0.03, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0)
SHAPES = ((12800, 784, 512), (12800, 512, 512), (12800, 512, 10), (12800, 100, 8), (100, 784, 512), (1000, 256, 128))

Tasks = dict[str, Callable[[], object]]


def linears() -> list[torch.nn.Linear]:
    torch.manual_seed(0)
    made: list[torch.nn.Linear] = []
    for inputs, outputs, spread in zip(SIZES, SIZES[1:], SPREAD, strict=False):
        layer = torch.nn.Linear(inputs, outputs, bias=False)
        torch.nn.init.normal_(layer.weight, std=spread)
        made.append(layer)
    return made


def spiking() -> sl.nn.Sequential:
    lif = sl.LIF(tau=-1 / math.log(BETA), r=1 / (1 - BETA), reset_mechanism="value", v_reset=0.0)
    parts = ((layer, sl.nn.Neuron(lif, surrogate=sl.FastSigmoid())) for layer in linears())
    return sl.nn.Sequential(*(part for pair in parts for part in pair))


class Spiking:
    """The net of spikeloom: rates out, and its training step."""

    def __init__(self) -> None:
        self.net: torch.nn.Module = spiking()

    def rates(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)[0].sum(0)


class Floor:
    """The same matrix products, once over T*B."""

    def __init__(self) -> None:
        self.net: torch.nn.Module = torch.nn.Sequential(*linears())

    def rates(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x.flatten(0, 1)).unflatten(0, x.shape[:2]).sum(0)


def data(batch: int, density: float = DENSITY) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return (torch.rand(STEPS, batch, SIZES[0]) < density).float(), torch.randint(0, SIZES[-1], (batch,))


def training(made: Spiking | Floor, x: torch.Tensor, labels: torch.Tensor) -> Callable[[], object]:
    optimiser = torch.optim.Adam(made.net.parameters(), lr=1e-5)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(made.rates(x), labels).backward()
        optimiser.step()

    return step


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


clock = time.perf_counter


def measure(tasks: Tasks, rounds: int) -> dict[str, list[float]]:
    """Seconds of each task in interleaved rounds, after a round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for index in range(rounds):
        for name in list(tasks)[:: 1 if index % 2 else -1]:
            start = clock()
            tasks[name]()
            times[name].append(clock() - start)
    return times


def quoted(times: dict[str, list[float]], name: str, floor: str = "floor") -> str:
    """The ratio of medians, and the quartiles of the rounds' own ratios."""
    ratios = sorted(a / b for a, b in zip(times[name], times[floor], strict=True))
    median = statistics.median(times[name])
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    ratio = median / statistics.median(times[floor])
    return f"{median * 1e3:8.2f} ms  {ratio:5.2f} floors  (quartiles of rounds {low:.2f} to {high:.2f})"


def train(rounds: int) -> None:
    x, labels = data(BATCH)
    tasks = {name: training(made(), x, labels) for name, made in (("floor", Floor), ("spikeloom", Spiking))}
    dense = training(Spiking(), x, labels)

    def without() -> None:
        with dense_products():
            dense()

    report("W2 one Adam step", measure({**tasks, "dense Linear": without}, rounds))


def infer(rounds: int) -> None:
    for batch in (1, BATCH):
        x, _ = data(batch)
        tasks = {name: inferring(made(), x) for name, made in (("floor", Floor), ("spikeloom", Spiking))}
        report(f"W5 inference, batch {batch}", measure(tasks, rounds * (20 if batch == 1 else 1)))


@contextlib.contextmanager
def dense_products() -> Generator[None, None, None]:
    """The same net with torch's dense products: what the linear layers alone bring."""
    kept, linear._FEWEST_ROWS = linear._FEWEST_ROWS, 2**62
    yield
    linear._FEWEST_ROWS = kept


def report(title: str, times: dict[str, list[float]]) -> None:
    print(f"{title}   (load {os.getloadavg()[0]:.1f})")
    print(f"  {'floor':13s}{statistics.median(times['floor']) * 1e3:8.2f} ms")
    for name in times:
        if name != "floor":
            print(f"  {name:13s}{quoted(times, name)}", flush=True)


def sweep(rounds: int) -> None:
    print("operator alone, in dense products: forward / forward with the parameters' gradients")
    for shape in SHAPES:
        print("  {} x {} -> {}: ".format(*shape), end="")
        for density in DENSITIES:
            medians, way = compared(shape, density, rounds if shape[0] > 1000 else rounds * 10)
            forward, both = medians["ours forward"] / medians["floor forward"], medians["ours"] / medians["floor"]
            print(f" {density:g}{way}: {forward:.2f}/{both:.2f}", end="", flush=True)
        print()
    print(f"  (* the dense product was chosen; load {os.getloadavg()[0]:.1f})")


def compared(shape: tuple[int, int, int], density: float, rounds: int) -> tuple[dict[str, float], str]:
    """Median seconds of the operator and of torch's, and a star where ours took torch's."""
    rows, inputs, outputs = shape
    weight, bias = torch.randn(outputs, inputs).requires_grad_(), torch.randn(outputs).requires_grad_()
    x, grad = (torch.rand(rows, inputs) < density).float(), torch.randn(rows, outputs)
    tasks: Tasks = {}
    for name, product in (("floor", torch.nn.functional.linear), ("ours", linear.spike_linear)):
        tasks[f"{name} forward"] = functools.partial(product, x, weight.detach(), bias.detach())
        tasks[name] = lambda p=product: torch.autograd.grad(p(x, weight, bias), (weight, bias), grad)
    sl.last_kernels()
    tasks["ours forward"]()
    way = "" if any("cpu" in k for k in sl.last_kernels()) else "*"
    return {name: statistics.median(values) for name, values in measure(tasks, rounds).items()}, way


def memory() -> None:
    for name in ("Floor", "Spiking"):
        done = subprocess.run([sys.executable, __file__, "--peak", name], capture_output=True, text=True, check=True)
        print(f"  peak memory of W2 above the process: {name.lower():8s} {done.stdout.strip()} MiB")


def peak(name: str) -> None:
    """Print how far the third training step's peak is above what the process held before the first one (Linux)."""
    x, labels = data(BATCH)
    step = training(Floor() if name == "Floor" else Spiking(), x, labels)
    tiny = training(Floor() if name == "Floor" else Spiking(), x[:2, :16].contiguous(), labels[:16])
    tiny()  # loads libraries and the compiler, which are not memory of the step
    before = _kib("VmRSS")
    step()
    Path("/proc/self/clear_refs").write_text("5")
    for _ in range(3):
        step()
    print(f"{(_kib('VmHWM') - before) / 1024:.0f}")


def _kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parts: dict[str, Callable[[int], None]] = {
        "train": train, "infer": infer, "memory": lambda _: memory(), "sweep": sweep,
    }  # fmt: skip
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.cpu_time:
        global clock
        clock = time.process_time
    if options.peak:
        peak(options.peak)
        return
    versions = f"torch {torch.__version__}, numba {numba.__version__}"
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, {clock.__name__}, {versions}"
    )
    check()
    for name in options.only:
        parts[name](options.rounds)


if __name__ == "__main__":
    main()
