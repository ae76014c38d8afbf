"""Fused scan, forward + backward, against the floor of moving its bytes and against the reference backend.

    python benchmarks/scan.py [--repeats 5] [--rounds 15] [--parts] [--sizes]

Everything is measured in one interleaved run and quoted as a ratio to the floor: the time to copy the bytes that must
move (input, spikes, saved state, gradient of the spikes, gradient of the input: 20 bytes per element and step in
float32) at the speed of a torch copy of the same size on the same threads, between buffers that are mapped already.
A repeat gives the medians of its rounds; shown are the median and the range of the repeats, what share of the machine
other processes took meanwhile, and the peak of memory above the inputs, in a process of its own. Also prints what a
kernel costs to compile, cold and from the cache.

``--parts`` leaves out one measure at a time: reuse of buffers, streaming stores, torch's threads. ``--sizes`` compares
streaming with ordinary stores over sizes, a matrix product reading the spikes in between.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numba
import torch

import spikeloom as sl
from spikeloom.kernels import memory, threads
from spikeloom.kernels.scan import streaming

SHAPES = [(100, 32, 1024), (500, 16, 512)]
BYTES = 20

Task = Callable[[], object]


def copying(shape: tuple[int, ...]) -> Task:
    """Move BYTES per element: read and write 10 bytes' worth of buffers that are already mapped."""
    source, target = torch.rand(5, *shape)[:, : shape[0] // 2], torch.empty(5, shape[0] // 2, *shape[1:])
    return lambda: target.copy_(source)


def scanning(shape: tuple[int, ...], backend: str, without: Any = contextlib.nullcontext) -> Task:
    x = (torch.rand(shape) * 1.55 - 0.6).requires_grad_()
    grad = torch.randn(shape)
    model = sl.LIF(tau=7.5)

    def run() -> None:
        with sl.backend(backend), without():
            spikes = sl.scan(model, {"v": x}).spikes
            assert spikes is not None
            torch.autograd.grad(spikes, x, grad)

    return run


def parts() -> dict[str, Any]:
    """Contexts in which one measure is missing."""
    without = functools.partial(functools.partial, mock.patch.object)
    alone = threads._Threads()
    alone._importer = -1  # as in a forked child: threads of our own
    return {
        "no reuse": without(memory, "pool", return_value=memory.BlockPool(0)),
        "no streaming": without(streaming, "_LARGE", 2**60),
        "own threads": without(threads, "_threads", alone),
    }


@contextlib.contextmanager
def others() -> Iterator[Callable[[], str]]:
    """What share of the processors other processes (and the host) took within the block, where Linux says it."""

    def busy() -> float:
        user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9])
        return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")

    known = Path("/proc/stat").exists()
    begin = (busy() - time.process_time(), time.perf_counter()) if known else (0.0, 0.0)

    def share() -> str:
        if not known:
            return "unknown"
        spent = busy() - time.process_time() - begin[0]
        return f"{max(spent, 0.0) / (time.perf_counter() - begin[1]) / (os.cpu_count() or 1):.0%}"

    yield share


def measure(tasks: dict[str, Task], rounds: int, seldom: str = "") -> dict[str, float]:
    """Median seconds of each task over interleaved rounds; the slow one runs in every fifth round only.

    The order changes from round to round: each task finds the caches as another one left them.
    """
    times: dict[str, list[float]] = {name: [] for name in tasks}
    chance = random.Random(0)
    for index in range(rounds):
        for name in chance.sample(list(tasks), len(tasks)):
            if name == seldom and index % 5:
                continue
            start = time.perf_counter()
            tasks[name]()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


PEAK = """
import sys, torch, spikeloom as sl
sys.path.insert(0, sys.argv[1])
import scan
shape, backend = tuple(map(int, sys.argv[2].split(","))), sys.argv[3]
def status(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) / 1024
scan.scanning((2, 1, 2), backend)()   # compiles, and loads what is loaded once
task = scan.scanning(shape, backend)  # the inputs
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS:")
for _ in range(3):
    task()
print(status("VmHWM:") - before)
"""


def peak(shape: tuple[int, ...], backend: str) -> str:
    """MiB above the inputs at the worst moment of three calls; only Linux tells."""
    if not Path("/proc/self/clear_refs").exists():
        return ""
    arguments = [str(Path(__file__).parent), ",".join(map(str, shape)), backend]
    done = subprocess.run([sys.executable, "-c", PEAK, *arguments], capture_output=True, text=True, check=True)
    return f"  {float(done.stdout):6.0f} MiB above the inputs"


def against_the_floor(shape: tuple[int, ...], repeats: int, rounds: int, ablate: bool) -> None:
    tasks = {"floor": copying(shape), "cpu": scanning(shape, "cpu"), "reference": scanning(shape, "reference")}
    if ablate:
        del tasks["reference"]
        tasks |= {name: scanning(shape, "cpu", without) for name, without in parts().items()}
    measure(tasks, 2)
    with others() as share:
        found = [measure(tasks, rounds, "reference") for _ in range(repeats)]
        taken = share()
    floor = statistics.median(f["floor"] for f in found)
    print(f"LIF {list(shape)} float32, forward + backward; other processes took {taken} of the machine")
    print(f"  {'floor':12} {floor * 1e3:8.2f} ms  ({BYTES * torch.Size(shape).numel() / floor / 1e9:.1f} GB/s)")
    for name in [n for n in tasks if n != "floor"]:
        ratios = sorted(f[name] / f["floor"] for f in found)
        middle, used = statistics.median(f[name] for f in found), "" if ablate else peak(shape, name)
        spread = f"{statistics.median(ratios):6.2f} floors ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"  {name:12} {middle * 1e3:8.2f} ms {spread}{used}")


def over_sizes(rounds: int) -> None:
    """Streaming against ordinary stores, forward, a linear layer and backward."""
    print("LIF float32, forward + linear layer of 64 + backward: milliseconds by size of a row array")
    for batch, width in ((8, 256), (16, 256), (16, 512), (32, 512), (32, 1024), (64, 1024), (128, 1024)):
        shape = (100, batch, width)
        x, grad = (torch.rand(shape) * 1.55 - 0.6).requires_grad_(), torch.randn(shape)
        weight, model = torch.randn(width, 64), sl.LIF(tau=7.5)

        def run(large: int, x=x, grad=grad, weight=weight, model=model) -> None:
            with mock.patch.object(streaming, "_LARGE", large), sl.backend("cpu"):
                spikes = sl.scan(model, {"v": x}).spikes
                assert spikes is not None
                torch.matmul(spikes.detach(), weight)
                torch.autograd.grad(spikes, x, grad)

        tasks: dict[str, Task] = {"ordinary": lambda run=run: run(2**60), "streaming": lambda run=run: run(0)}
        measure(tasks, 3)
        found = measure(tasks, 3 * rounds)
        columns = "  ".join(f"{name} {seconds * 1e3:7.2f}" for name, seconds in found.items())
        print(f"  {x.nbytes / 2**20:6.1f} MiB  {columns}  ratio {found['streaming'] / found['ordinary']:5.2f}")


COMPILE = """
import time, torch, numba, spikeloom as sl
from spikeloom.kernels import cache
sl.scan(sl.IF(), {"v": torch.zeros(1, 1, 1)})                      # loads Numba's own machinery once
run, spent = cache._run, []
def timed(*how):
    start = time.perf_counter(); module = run(*how); spent.append(time.perf_counter() - start); return module
cache._run = timed
x = torch.zeros(%s, requires_grad=True)
sl.scan(sl.LIF(), {"v": x}).spikes.sum().backward()
print(" ".join(f"{s:.3f}" for s in spent))
"""


def compile_times() -> None:
    for title, shape in (("small", "1, 1, 1"), ("large", "100, 32, 1024")):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("cold", "cached"):
                environment = {**os.environ, "SPIKELOOM_CACHE": folder}
                done = subprocess.run(
                    [sys.executable, "-c", COMPILE % shape], env=environment, capture_output=True, text=True, check=True
                )
                print(f"  kernels of a {title} LIF layer, {name:6}: {' + '.join(done.stdout.split())} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--parts", action="store_true", help="leave out one measure at a time")
    parser.add_argument("--sizes", action="store_true", help="streaming against ordinary stores")
    arguments = parser.parse_args()
    versions = f"torch {torch.__version__}, numba {numba.__version__}"
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, {versions}")
    if arguments.sizes:
        over_sizes(arguments.rounds)
        return
    for shape in SHAPES:
        against_the_floor(shape, arguments.repeats, arguments.rounds, arguments.parts)
    if not arguments.parts:
        compile_times()


if __name__ == "__main__":
    main()
