"""A net of convolutions and spiking neurons against its own dense convolutions, and the sparse convolution by itself.

    python benchmarks/conv.py [--rounds 10] [--only train compact parts memory sweep needed] [--threads 2]
        [--default-allocator]

W4: conv 2-32-64 of 3 x 3 on 32 x 32, each followed by LIF and an average over 2 x 2, a linear readout, T=16, batch 32,
input 10 % dense; one Adam step. Floors are the same layers of torch without neurons: once over T*B ("merged"), one step
at a time ("steps"), and convolutions and readout alone, their inputs given ("convolutions"). All are measured in
interleaved rounds of one run, with ratios of medians and the quartiles of the rounds' own ratios. Unless
``--default-allocator``, the C library hands no memory back to the system, on both sides: page faults else take half of
the floor's time. Before anything is timed, spikes and gradients are compared with those of the reference backend. Peak
memory is that of a process of its own, above what it held once net and input were there, with the allocator as it is.
``compact`` is a step of the same net with a stride of 2 in place of the first average, so that the second convolution
comes straight after neurons: with surrogates that are zero far from the threshold, with the input gradients that they
make zero left out, and with all of them formed; ``needed`` compares that product alone with the dense one, for shares
of entries that are needed, from their bytes on. The sweep compares the operator (forward, and forward with the
parameters' gradients, the test of its input included) with torch's.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
import statistics
import sys
from collections.abc import Callable

import numpy as np
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
    ratio,
)  # fmt: skip

import spikeloom as sl
from spikeloom.kernels.scan.scan import scan
from spikeloom.kernels.spike_conv import conv
from spikeloom.kernels.spike_conv.op import input_gradient_op
from spikeloom.kernels.spike_conv.reference import whole_input_gradient
from spikeloom.kernels.spike_conv.shape import ConvShape
from spikeloom.kernels.spike_linear.op import pack_op
from spikeloom.surrogates import Surrogate

STEPS, BATCH, SIDE, CHANNELS, CLASSES, DENSITY, BETA = 16, 32, 32, (2, 32, 64), 10, 0.1, 0.875
SPREAD = (0.26, 0.17, 0.02)  # standard deviations of the weights: hidden layers are 4 % dense
DENSITIES = (0.001, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0)
SHAPES = (  # images, channels, outputs, side, kernel, stride
    (512, 2, 32, 32, 3, 1), (512, 32, 64, 16, 3, 1), (128, 64, 128, 16, 3, 1), (512, 128, 128, 4, 3, 1),
    (64, 16, 16, 64, 3, 1), (256, 32, 64, 16, 3, 2), (512, 32, 10, 16, 3, 1), (256, 64, 64, 16, 1, 1),
    (128, 32, 64, 16, 5, 1), (4, 32, 64, 32, 3, 1), (512, 64, 256, 8, 1, 1), (64, 32, 64, 64, 3, 1),
)  # fmt: skip


def keep_memory() -> None:
    """Let the C library keep what is freed, for this process (glibc)."""
    library = ctypes.CDLL(None)
    for setting, value in ((-4, 0), (-1, 2**31 - 1), (-2, 2**28)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
        library.mallopt(setting, value)


def drawn(batch: int) -> list[np.ndarray]:
    """Input, labels and the three layers' weights; one generator, so that they are the same everywhere."""
    generator = np.random.default_rng(0)
    shape = (STEPS, batch, CHANNELS[0], SIDE, SIDE)
    x = (generator.random(shape, dtype=np.float32) < DENSITY).astype(np.float32)
    made = [x, generator.integers(0, CLASSES, batch)]
    sizes = [*((o, i, 3, 3) for i, o in itertools.pairwise(CHANNELS)), (CLASSES, CHANNELS[-1] * (SIDE // 4) ** 2)]
    weights = zip(SPREAD, sizes, strict=True)
    return [*made, *((generator.standard_normal(size) * spread).astype(np.float32) for spread, size in weights)]


def layers(*, strided: bool = False) -> list[torch.nn.Module]:
    """Convolution, average, convolution, average, flat, readout; a stride in place of the first average if wanted."""
    made: list[torch.nn.Module] = []
    *kernels, last = (torch.nn.Parameter(torch.from_numpy(w)) for w in drawn(BATCH)[2:])
    for kernel in kernels:
        stride = 2 if strided and not made else 1
        layer = torch.nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, stride, padding=1, bias=False)
        layer.weight = kernel
        made += [layer] if stride > 1 else [layer, torch.nn.AvgPool2d(2)]
    readout = torch.nn.Linear(last.shape[1], CLASSES, bias=False)
    readout.weight = last
    return [*made, torch.nn.Flatten(), readout]


def spiking(surrogate: Surrogate | None = None, *, strided: bool = False) -> sl.nn.Sequential:
    lif = sl.LIF(tau=-1 / math.log(BETA), r=1 / (1 - BETA), reset_mechanism="value", v_reset=0.0)
    parts: list[torch.nn.Module] = []
    for layer in layers(strided=strided):
        parts.append(layer)
        if isinstance(layer, torch.nn.Conv2d):
            parts.append(sl.nn.Neuron(lif, surrogate=surrogate or sl.FastSigmoid()))
    return sl.nn.Sequential(*parts)


class Spiking:
    def __init__(self, surrogate: Surrogate | None = None, *, strided: bool = False) -> None:
        self.net: torch.nn.Module = spiking(surrogate, strided=strided)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)[0].mean(0)


class Merged:
    def __init__(self, *, strided: bool = False) -> None:
        self.net: torch.nn.Module = torch.nn.Sequential(*layers(strided=strided))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(0)


class Steps(Merged):
    def logits(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.net(step) for step in x]).mean(0)


NETS: dict[str, Callable[[], Spiking | Merged]] = {"spikeloom": Spiking, "merged": Merged, "steps": Steps}


def data() -> tuple[torch.Tensor, torch.Tensor]:
    x, labels = drawn(BATCH)[:2]
    return torch.from_numpy(x), torch.from_numpy(labels)


def training(made: Spiking | Merged, x: torch.Tensor, labels: torch.Tensor) -> Callable[[], object]:
    return adam_step(made.net.parameters(), made.logits, x, labels)


def convolutions() -> Callable[[], object]:
    """The floor without its averages: each product on an input that is there, forward and backward."""
    count, first, _, second, *_, readout = STEPS * BATCH, *layers()
    x = data()[0].flatten(0, 1)
    hidden = torch.rand(count, CHANNELS[1], SIDE // 2, SIDE // 2).requires_grad_()
    last = torch.rand(count, CHANNELS[2] * (SIDE // 4) ** 2).requires_grad_()
    pairs = [(first, x), (second, hidden), (readout, last)]
    grads = [torch.randn(layer(inputs).shape) for layer, inputs in pairs]

    def step() -> None:
        for (layer, inputs), grad in zip(pairs, grads, strict=True):
            wanted = [*layer.parameters(), *([inputs] if inputs.requires_grad else [])]
            torch.autograd.grad(layer(inputs), wanted, grad)

    return step


def check() -> None:
    """Refuse to go on unless the net agrees with the reference backend; print how dense its layers are."""
    x, labels = data()
    found: dict[str | None, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
    for backend in (None, "reference"):
        made, rows = spiking(), list[torch.Tensor]()
        y = x
        with sl.backend(backend):
            for layer in made:
                rows.append(y.detach())
                y = sl.nn.Sequential(layer)(y)[0]
            loss = torch.nn.functional.cross_entropy(y.mean(0), labels)
            found[backend] = rows, list(torch.autograd.grad(loss, list(made.parameters())))
    ours, reference = found[None], found["reference"]
    different = [float((a != b).float().mean()) for a, b in zip(ours[0][2::3], reference[0][2::3], strict=True)]
    errors = [float((a - b).norm() / b.norm()) for a, b in zip(ours[1], reference[1], strict=True)]
    inputs = ", ".join(f"{float((ours[0][k] != 0).float().mean()):.3f}" for k in (0, 2, 3, 5, 7))
    print(f"not zero: input, spikes, average, spikes, average {inputs}")
    print("spikes apart " + ", ".join(f"{d:.1e}" for d in different) + f", gradients {max(errors):.1e}")
    if max(different) > 1e-4 or max(errors) > 1e-2:
        sys.exit("the net does not agree with the reference backend; nothing is measured")


def report(title: str, times: Times, floors: list[str]) -> None:
    print(f"{title}   ({load()})")
    for name, values in times.items():
        line = f"  {name:16s}{statistics.median(values) * 1e3:8.1f} ms"
        for floor in floors if name not in floors else []:
            middle, low, high = ratio(values, times[floor])
            line += f"   {middle:.2f} of {floor} ({low:.2f} to {high:.2f})"
        print(line, flush=True)


def train(rounds: int) -> None:
    x, labels = data()
    tasks: Tasks = {name: training(made(), x, labels) for name, made in NETS.items()}
    dense = training(Spiking(), x, labels)

    def without() -> None:
        with out_of_reach(conv, "_FEWEST_OUTPUTS"):
            dense()

    floors = ["merged", "steps", "convolutions"]
    report(
        "W4 one Adam step", measure({**tasks, "convolutions": convolutions(), "dense Conv2d": without}, rounds), floors
    )


def compact(rounds: int) -> None:
    x, labels = data()
    floor = training(Merged(strided=True), x, labels)
    steps = by_surrogate(
        lambda s: training(Spiking(s, strided=True), x, labels), lambda s: share(s, x), (conv, "_FEWEST_TERMS")
    )
    report("W4 with a stride, one Adam step, by surrogate", measure({"merged": floor, **steps}, rounds), ["merged"])


def share(surrogate: Surrogate, x: torch.Tensor) -> float:
    """How many of the first convolution's gradients are needed."""
    convolution, neuron = list(spiking(surrogate, strided=True).children())[:2]
    assert isinstance(neuron, sl.nn.Neuron)
    v = convolution(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    marks = scan(neuron.model, {"v": v}, surrogate=surrogate, mark_needed=True).needed
    return float((marks != 0).float().mean()) if marks is not None else 1.0


def needed(rounds: int) -> None:
    print("input gradient where some are needed, in dense convolutions")
    for images, channels, outputs, side, kernel, stride in SHAPES:
        print(f"  {images} x {outputs} -> {channels}, side {side}, kernel {kernel}, stride {stride}: ", end="")
        sides = (side, side), (kernel, kernel), (stride, stride), (kernel // 2, kernel // 2)
        shape = ConvShape(images, channels, outputs, *sides)
        grad, weight = torch.randn(images, outputs, *shape.found), torch.randn(outputs, channels, kernel, kernel)
        how = [images, channels, side, side], list(shape.stride), list(shape.padding)
        for fraction in (0.01, 0.05, 0.12, 0.2, 0.3, 0.4, 0.5):
            marks = (torch.rand(images * channels, side * side) < fraction).to(torch.uint8)
            tasks: Tasks = {
                "floor": functools.partial(whole_input_gradient, grad, weight, shape),
                "ours": lambda m=marks, g=grad, w=weight, how=how: input_gradient_op(pack_op(m)[0], g, w, *how),
            }
            times = measure(tasks, rounds)
            middle, low, high = ratio(times["ours"], times["floor"])
            print(f" {fraction:g}: {middle:.2f} ({low:.2f} to {high:.2f})", end="", flush=True)
        print()


def parts(rounds: int) -> None:
    """What the forward pass and the whole pass up to each layer take."""
    x, _ = data()
    made, tasks = list(spiking().children()), Tasks()

    def upto(count: int, *, backward: bool) -> None:
        y = sl.nn.Sequential(*made[:count])(x)[0]
        if backward:
            y.backward(torch.ones(()).expand(y.shape))

    for count, layer in enumerate(made, 1):
        name = f"{count} {type(layer).__name__}"
        tasks[f"{name} forward"] = functools.partial(upto, count, backward=False)
        tasks[f"{name} both"] = functools.partial(upto, count, backward=True)
    report("the net up to each layer", measure(tasks, rounds), [])


def sweep(rounds: int) -> None:
    print("operator alone, in dense convolutions: forward / forward with the parameters' gradients")
    for images, channels, outputs, side, kernel, stride in SHAPES:
        shape = f"{images} x {channels} -> {outputs}, side {side}, kernel {kernel}, stride {stride}"
        print(f"  {shape}: ", end="")
        for density in DENSITIES:
            layer = torch.nn.Conv2d(channels, outputs, kernel, stride, kernel // 2)
            x = (torch.rand(images, channels, side, side) < density).float()
            sides = (stride, stride), (kernel // 2, kernel // 2)
            tasks = against(conv.spike_conv, torch.nn.functional.conv2d, x, layer.weight, layer.bias, *sides)
            print(f" {density:g}{compared(tasks, rounds)}", end="", flush=True)
        print()
    print(f"  (* the dense convolution was chosen; {load()})")


def memory(_: int) -> None:
    peaks("W4", NETS)


def peak_of(name: str) -> None:
    x, labels = data()
    peak(training(NETS[name](), x, labels), training(NETS[name](), x[:2, :16].contiguous(), labels[:16]))


if __name__ == "__main__":
    ways = {
        "train": train, "compact": compact, "parts": parts, "memory": memory, "sweep": sweep, "needed": needed,
    }  # fmt: skip
    command(__doc__, ways, peak_of, check, allocator=keep_memory)
