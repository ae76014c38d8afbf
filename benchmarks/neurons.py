"""Populations of single neurons on the CPU: against the same loops in C, and against the reference backend.

    python benchmarks/neurons.py [--fraction 0.05] [--rounds 10] [--neurons 10000] [--threads 2] [--only hh]

1. 10,000 neurons under constant currents for 1 s at dt = 0.01 ms (1e9 updates; ``--fraction`` of that, shared out over
   the rounds) by ``sl.simulate(..., record=())``, which also collects all spike times, and by the loops of
   ``neurons.c``, which count spikes, compiled by gcc with -O3 -ffast-math, and with -march=native in addition. Same
   solver, precision (float64), step and threads. The contenders take turns in every round; printed are nanoseconds per
   update and the ratio within a round: median, and from the smallest to the largest round. CPU time counts all threads
   and suffers less from other work on the machine than wall time.
2. Every model against the reference backend (torch, one operation at a time), by wall time at two sizes.
3. What the kernels of Hodgkin-Huxley with gradients to all its parameters cost to compile.

``--only whole`` runs Hodgkin-Huxley for the whole duration in one call and prints its memory.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import llvmlite
import numba
import numpy as np
import torch

import spikeloom as sl
from spikeloom.cli.models import MODELS

DT, DURATION = 0.01, 1000.0
FLAGS = {"gcc -O3 -ffast-math": [], "  and -march=native": ["-march=native"]}
Clock = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Case:
    """A model, its solver, the largest current, and the C function that does the same."""

    label: str
    model: sl.NeuronModel
    function: str
    largest: float
    solver: sl.solvers.Solver | None = None


CASES = [
    Case("hh rk4", sl.HodgkinHuxley(), "hh_rk4", 30.0),
    Case("hh expeuler", sl.HodgkinHuxley(), "hh_exponential_euler", 30.0, sl.solvers.ExponentialEuler()),
    Case("izhikevich rk4", sl.Izhikevich(), "izhikevich_rk4", 30.0),
    Case("adex rk4", sl.AdEx(), "adex_rk4", 1000.0),
    Case("lif exact", sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value"), "lif", 30.0),
]


def compiled(folder: Path) -> dict[str, ctypes.CDLL]:
    """The C loops, once for each set of flags; none without a compiler."""
    if shutil.which("gcc") is None:
        return {}
    found: dict[str, ctypes.CDLL] = {}
    for index, (name, flags) in enumerate(FLAGS.items()):
        library = folder / f"neurons{index}.so"
        source = Path(__file__).with_name("neurons.c")
        command = ["gcc", "-O3", "-ffast-math", *flags, "-shared", "-fPIC", str(source), "-o", str(library), "-lm"]
        subprocess.run(command, check=True)
        found[name] = ctypes.CDLL(str(library))
    return found


def in_c(case: Case, library: ctypes.CDLL, currents: np.ndarray, pool: ThreadPoolExecutor) -> Callable[[int], int]:
    """A function of the number of steps that runs them from the initial state and returns the spike count."""
    count, threads = len(currents), torch.get_num_threads()
    values = case.model.initial_values()
    function = getattr(library, case.function)
    function.restype = None
    function.argtypes = [ctypes.c_long] * 3 + [ctypes.c_double] + [ctypes.c_void_p] * (2 + len(values))
    bounds = np.linspace(0, count, threads + 1).astype(int)

    def run(steps: int) -> int:
        spikes = np.zeros(count)
        arrays = [currents, spikes, *(np.full(count, v, dtype=np.float64) for v in values.values())]
        pointers = [a.ctypes.data for a in arrays]
        blocks = zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        list(pool.map(lambda block: function(*block, steps, DT, *pointers), blocks))
        return int(spikes.sum())

    return run


def in_spikeloom(case: Case, currents: np.ndarray) -> Callable[[int], int]:
    """The same by simulate."""
    return lambda steps: len(
        sl.simulate(case.model, currents, steps * DT, DT, solver=case.solver, record=()).spikes,
    )


def timed(run: Callable[[int], int], steps: int) -> tuple[Clock, int]:
    """(wall, CPU) seconds, and what ``run`` returned."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = run(steps)
    return (time.perf_counter() - wall, time.process_time() - cpu), found


def against_c(case: Case, libraries: dict[str, ctypes.CDLL], options: argparse.Namespace) -> None:
    neurons = options.neurons
    steps = max(round(options.fraction * DURATION / DT / options.rounds), 1)
    currents = np.linspace(0.0, case.largest, neurons)
    times: dict[str, list[Clock]] = {}
    counts: dict[str, int] = {}
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        runs = {name: in_c(case, library, currents, pool) for name, library in libraries.items()}
        runs["spikeloom"] = in_spikeloom(case, currents)
        for run in runs.values():
            run(min(steps, 100))
        for index in range(options.rounds):
            order = list(runs)[index % len(runs) :] + list(runs)[: index % len(runs)]
            for name in order:
                clock, counts[name] = timed(runs[name], steps)
                times.setdefault(name, []).append(clock)
    print(f"{case.label}: {options.rounds} rounds of {steps} steps, {counts['spikeloom']} spikes in each", flush=True)
    for name, clocks in times.items():
        wall, cpu = (statistics.median(c[k] for c in clocks) / neurons / steps * 1e9 for k in (0, 1))
        line = f"  {name:20s} {wall:8.2f} ns wall {cpu:8.2f} ns CPU"
        if name != "spikeloom":
            line += f"   spikeloom / C: wall {ratios(times, name, 0)}, CPU {ratios(times, name, 1)}"
            line += "" if counts[name] == counts["spikeloom"] else f"   ({counts[name]} spikes)"
        print(line, flush=True)


def ratios(times: dict[str, list[Clock]], name: str, which: int) -> str:
    pairs = zip(times["spikeloom"], times[name], strict=True)
    found = sorted(ours[which] / theirs[which] for ours, theirs in pairs)
    return f"{statistics.median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})"


def everything() -> list[tuple[str, sl.NeuronModel, float, float]]:
    """(name, model, current, dt) of every model on the command line, and of what is composed."""
    listed = [(entry.name, entry.load(), entry.current, entry.dt) for entry in MODELS]
    cell = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")
    composed = [
        ("refractory(lif)", sl.Refractory(cell, t_ref=2.0), 20.0, 0.1),
        ("peak(hh)", sl.Peak(sl.HodgkinHuxley()), 10.0, 0.01),
    ]
    return [*listed, *composed]


def against_reference(sizes: tuple[int, int]) -> None:
    print(f"every model against the reference backend, float64: times faster at N = {sizes[0]} and N = {sizes[1]}")
    for name, model, current, dt in everything():
        cells = []
        for neurons in sizes:
            drive = np.linspace(0.0, current, neurons)
            ours = seconds_per_step(model, drive, dt, None, 4_000_000 // neurons)
            reference = seconds_per_step(model, drive, dt, "reference", 40)
            cells.append(f"{reference / ours:8.0f}")
        print(f"  {name:24s} {''.join(cells)}", flush=True)


def seconds_per_step(model: sl.NeuronModel, drive: np.ndarray, dt: float, backend: str | None, steps: int) -> float:
    """The best of three."""
    steps = min(max(steps, 40), 20_000)
    best = float("inf")
    with sl.backend(backend):
        sl.simulate(model, drive, 2 * dt, dt, record=())
        for _ in range(3):
            start = time.perf_counter()
            sl.simulate(model, drive, steps * dt, dt, record=())
            best = min(best, (time.perf_counter() - start) / steps)
    return best


def whole(options: argparse.Namespace) -> None:
    """All steps in one call: time and memory."""
    currents = np.linspace(0.0, 30.0, options.neurons)
    sl.simulate(sl.HodgkinHuxley(), currents, 1.0, DT, record=())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = in_spikeloom(CASES[0], currents)
    (wall, cpu), spikes = timed(run, round(options.fraction * DURATION / DT))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"in one call: {wall:.1f} s wall, {cpu:.1f} s CPU, {spikes} spikes, peak memory grew by {grown:.0f} MiB")


COMPILE = """
import time, torch, spikeloom as sl
sl.scan(sl.IF(), {"v": torch.zeros(1, 1, 1)})  # loads Numba's own machinery
model, x = sl.HodgkinHuxley(), torch.zeros(2, 1, 4, requires_grad=True)
learned = {n: torch.tensor(v, dtype=torch.float64, requires_grad=True) for n, v in model.values.items()}
start = time.process_time()
result = sl.scan(model, {"i": x}, learned=learned, record=("v",), dt=0.01)
forward = time.process_time()
(result.states["v"].sum() + result.spikes.sum()).backward()
print(f"{forward - start:.1f} s forward, {time.process_time() - forward:.1f} s backward")
"""


def compile_time() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SPIKELOOM_CACHE": folder}
        command = [sys.executable, "-c", COMPILE]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    print(f"first call of Hodgkin-Huxley with all gradients, RK4, float32, CPU time: {done.stdout.strip()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fraction", type=float, default=1.0, help="of the 1e9 updates of each contender")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--neurons", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", default="", help="part of a case's name, 'reference', 'compile' or 'whole'")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    versions = f"numba {numba.__version__}, llvmlite {llvmlite.__version__}, torch {torch.__version__}"
    print(f"{platform.processor() or platform.machine()}, {options.threads} threads, {versions}")
    if hasattr(os, "getloadavg"):
        print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        libraries = compiled(Path(folder))
        if libraries:
            version = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True)
            print(version.stdout.splitlines()[0])
        else:
            print("no C compiler: only spikeloom is timed")
        for case in CASES:
            if options.only in case.label:
                against_c(case, libraries, options)
    if options.only in ("", "reference"):
        against_reference((100, options.neurons))
    if options.only == "whole":
        whole(options)
    if options.only in ("", "compile"):
        compile_time()


if __name__ == "__main__":
    main()
