"""Fused scan, forward + backward, against the floor of moving its bytes and against the reference backend.

    python benchmarks/scan.py [--rounds 15]

Everything is measured in one interleaved run and quoted as a ratio to the floor: the time to copy the bytes that must
move (input, spikes, saved state, gradient of the spikes, gradient of the input: 20 bytes per element and step in
float32) at the speed of a torch copy of the same size on the same threads. Also prints what a kernel costs to compile,
cold and from the cache. The machine is shared and noisy: medians of interleaved rounds.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numba
import torch

import spikeloom as sl

SHAPES = [(100, 32, 1024), (500, 16, 512)]
BYTES = 20


def copying(shape: tuple[int, ...]) -> Callable[[], None]:
    """Move BYTES per element: read and write 10 bytes' worth of buffers that are already mapped."""
    source, target = torch.rand(5, *shape)[:, : shape[0] // 2], torch.empty(5, shape[0] // 2, *shape[1:])
    return lambda: target.copy_(source)


def scanning(shape: tuple[int, ...], backend: str) -> Callable[[], None]:
    x = (torch.rand(shape) * 1.55 - 0.6).requires_grad_()
    grad = torch.randn(shape)
    model = sl.LIF(tau=7.5)

    def run() -> None:
        with sl.backend(backend):
            spikes = sl.scan(model, {"v": x}).spikes
            torch.autograd.grad(spikes, x, grad)

    return run


def measure(tasks: dict[str, Callable[[], None]], rounds: int, seldom: str) -> dict[str, float]:
    """Median seconds of each task over interleaved rounds; the slow one runs in every fifth round only."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for index in range(rounds):
        for name, task in tasks.items():
            if name == seldom and index % 5:
                continue
            start = time.perf_counter()
            task()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


COMPILE = """
import time, torch, numba, spikeloom as sl
from spikeloom.kernels import cache
sl.scan(sl.IF(), {"v": torch.zeros(1, 1, 1)})                      # loads Numba's own machinery once
run, spent = cache._run, []
def timed(*how):
    start = time.perf_counter(); module = run(*how); spent.append(time.perf_counter() - start); return module
cache._run = timed
x = torch.zeros(1, 1, 1, requires_grad=True)
sl.scan(sl.LIF(), {"v": x}).spikes.sum().backward()
print(" ".join(f"{s:.3f}" for s in spent))
"""


def compile_times() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "cached"):
            environment = {**os.environ, "SPIKELOOM_CACHE": folder}
            done = subprocess.run(
                [sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=True
            )
            forward, backward = done.stdout.split()
            print(f"  LIF kernels {name:7s} forward {forward} s, backward {backward} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    versions = f"torch {torch.__version__}, numba {numba.__version__}"
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, {versions}")
    for shape in SHAPES:
        tasks = {"floor": copying(shape), "cpu": scanning(shape, "cpu"), "reference": scanning(shape, "reference")}
        found = measure(tasks, rounds, "reference")
        moved = BYTES * torch.Size(shape).numel()
        print(f"LIF {list(shape)} float32, forward + backward")
        print(f"  floor      {found['floor'] * 1e3:8.2f} ms  ({moved / found['floor'] / 1e9:.1f} GB/s)")
        for name in ("cpu", "reference"):
            print(f"  {name:10s} {found[name] * 1e3:8.2f} ms  {found[name] / found['floor']:6.2f} floors")
    compile_times()


if __name__ == "__main__":
    main()
