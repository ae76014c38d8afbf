"""Memory and time of time-checkpointing against plain backpropagation through time.

    python benchmarks/long_sequences.py [--steps 10000] [--neurons 512] [--batch 16] [--piece 500] [--rounds 3]

One pass forward and backward of ``Linear(64, N) - LIF - Linear(N, 10) - LI`` (feedforward) and of the same net with
recurrent weights among the LIF neurons, with a loss on the last output. Each measurement is a process of its own, in
interleaved rounds. Peak memory is counted above what the process held once net and input were there and a short
sequence had been run (Linux); time is that of the processor, which other programs on the machine disturb least, and
of the clock on the wall. Before anything is measured, outputs and gradients are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

import spikeloom as sl

KINDS, WAYS, INPUTS = ("feedforward", "recurrent"), ("plain", "checkpointed"), 64


def net_of(kind: str, neurons: int) -> sl.nn.Sequential:
    torch.manual_seed(0)
    hidden = sl.nn.Neuron(sl.LIF(tau=20.0))
    middle = hidden if kind == "feedforward" else sl.nn.Recurrent(hidden, neurons)
    if isinstance(middle, sl.nn.Recurrent):
        middle.weight.data.mul_(0.1)  # or gradients through 10,000 recurrent steps would overflow
    return sl.nn.Sequential(
        torch.nn.Linear(INPUTS, neurons), middle, torch.nn.Linear(neurons, 10), sl.nn.Neuron(sl.LI(tau=20.0))
    )


def once(way: str, net: sl.nn.Sequential, x: torch.Tensor, piece: int) -> torch.Tensor:
    """Forward and backward; the output."""
    net.zero_grad(set_to_none=True)
    y, _ = net(x) if way == "plain" else sl.learn.checkpointed(net, x, steps=piece)
    torch.nn.functional.cross_entropy(y[-1], torch.zeros(x.shape[1], dtype=torch.long)).backward()
    return y.detach()


def child(kind: str, way: str, options: argparse.Namespace) -> None:
    """Print peak MiB and seconds of this process's passes."""
    net = net_of(kind, options.neurons)
    x = (torch.rand(options.steps, options.batch, INPUTS) < 0.1).float()
    once(way, net, x[: 3 * options.piece], options.piece)  # loads libraries and compiles
    before = _kib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    wall, processor = [], []
    for _ in range(2):
        start = time.perf_counter(), time.process_time()
        once(way, net, x, options.piece)
        wall.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    peak = (_kib("VmHWM") - before) / 1024
    print(json.dumps({"peak": peak, "wall": min(wall), "processor": min(processor)}))


def _kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def check(kind: str, options: argparse.Namespace) -> None:
    net, found = net_of(kind, options.neurons), {}
    x = (torch.rand(options.steps, options.batch, INPUTS) < 0.1).float()
    for way in WAYS:
        y = once(way, net, x, options.piece)
        found[way] = y, [p.grad for p in net.parameters() if p.grad is not None]
    (y, grads), (y2, grads2) = found["plain"], found["checkpointed"]
    error = max(float((a - b).norm() / b.norm()) for a, b in zip(grads2, grads, strict=True) if b.any())
    same = "equal to the bit" if torch.equal(y, y2) else f"up to {float((y - y2).abs().max()):.1e} apart"
    print(f"{kind}: outputs {same}; gradients within {error:.1e}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (("steps", 10_000), ("neurons", 512), ("batch", 16), ("piece", 500), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child, options)
        return
    sizes = [f"--{name}={getattr(options, name)}" for name in ("steps", "neurons", "batch", "piece")]
    print(f"T={options.steps}, {options.neurons} neurons, batch {options.batch}, pieces of {options.piece} steps")
    for kind in options.only:
        check(kind, options)
        rows: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way in WAYS:
                command = [sys.executable, __file__, *sizes, "--child", kind, way]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                rows[way].append(json.loads(done.stdout))
        for what, unit in (("peak", "MiB"), ("processor", "s"), ("wall", "s")):
            plain, ours = (statistics.median(row[what] for row in rows[way]) for way in WAYS)
            print(f"  {what:10s} plain {plain:8.2f} {unit}, checkpointed {ours:8.2f} {unit}, ratio {ours / plain:.2f}")


if __name__ == "__main__":
    main()
