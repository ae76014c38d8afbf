"""What benchmarks of a training step share: interleaved rounds, ratios with their spread, memory, the command line.

``clock`` is that of the wall, or with ``--cpu-time`` the time of the processor: on one thread, that is what a busy
machine disturbs least.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from unittest import mock

import numba
import torch

import spikeloom as sl
from spikeloom.surrogates import Surrogate

Tasks = dict[str, Callable[[], object]]
Times = dict[str, list[float]]

clock = time.perf_counter


def measure(tasks: Tasks, rounds: int) -> Times:
    """Seconds of each task in interleaved rounds, after two rounds to warm up."""
    times: Times = {name: [] for name in tasks}
    for index in range(-2, rounds):
        for name in list(tasks)[:: 1 if index % 2 else -1]:
            start = clock()
            tasks[name]()
            if index >= 0:
                times[name].append(clock() - start)
    return times


def ratio(values: list[float], floor: list[float]) -> tuple[float, float, float]:
    """The ratio of medians, and the quartiles of the rounds' own ratios."""
    ratios = sorted(a / b for a, b in zip(values, floor, strict=True))
    middle = statistics.median(values) / statistics.median(floor)
    return middle, ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]


def quoted(times: Times, name: str, floor: str = "floor") -> str:
    """Milliseconds and :func:`ratio` in words."""
    middle, low, high = ratio(times[name], times[floor])
    milliseconds = statistics.median(times[name]) * 1e3
    return f"{milliseconds:8.2f} ms  {middle:5.2f} floors  (quartiles of rounds {low:.2f} to {high:.2f})"


def load() -> str:
    """How busy the machine is."""
    return f"load {os.getloadavg()[0]:.1f}"


def adam_step(
    parameters: Iterable[torch.nn.Parameter], logits: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor,
    labels: torch.Tensor,
) -> Callable[[], object]:  # fmt: skip
    """A training step with Adam on the cross entropy of ``logits(x)``."""
    optimiser = torch.optim.Adam(parameters, lr=1e-5)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(logits(x), labels).backward()
        optimiser.step()

    return step


def against(operator: Callable[..., torch.Tensor], theirs: Callable[..., torch.Tensor], *given: object) -> Tasks:
    """An operator beside torch's on ``given``, an input, weight, bias and what else they take: forward, and forward
    with the gradients of weight and bias."""
    x, weight, bias, *more = given
    assert isinstance(weight, torch.Tensor)
    assert isinstance(bias, torch.Tensor)
    grad, tasks = torch.randn_like(theirs(*given)), Tasks()
    for name, product in (("floor", theirs), ("ours", operator)):
        tasks[f"{name} forward"] = lambda p=product: p(x, weight.detach(), bias.detach(), *more)
        tasks[name] = lambda p=product: torch.autograd.grad(p(x, weight, bias, *more), (weight, bias), grad)
    return tasks


def compared(tasks: Tasks, rounds: int) -> str:
    """The ratios of :func:`against`'s tasks in words, with a star where ours took torch's."""
    sl.last_kernels()
    tasks["ours forward"]()
    way = "" if any("cpu" in k for k in sl.last_kernels()) else "*"
    medians = {name: statistics.median(values) for name, values in measure(tasks, rounds).items()}
    forward, both = medians["ours forward"] / medians["floor forward"], medians["ours"] / medians["floor"]
    return f"{way}: {forward:.2f}/{both:.2f}"


def out_of_reach(module: ModuleType, limit: str) -> contextlib.AbstractContextManager[object]:
    """A limit of ``module`` raised so far that nothing reaches it."""
    return mock.patch.object(module, limit, 2**62)


def by_surrogate(
    step_of: Callable[[Surrogate], Callable[[], object]],
    share: Callable[[Surrogate], float],
    limit: tuple[ModuleType, str],
) -> Tasks:
    """Steps with surrogates that are zero far from the threshold, as they are and with all input gradients formed, as
    they are with ``limit`` out of reach; prints how many are needed."""
    tasks: Tasks = {"ATan": step_of(sl.ATan())}
    for width in (1.0, 0.5, 0.25):
        surrogate = sl.Triangle(width=width)
        step, name = step_of(surrogate), f"Triangle({width:g})"

        def whole(step: Callable[[], object] = step) -> None:
            with out_of_reach(*limit):
                step()

        tasks |= {name: step, f"{name}, all": whole}
        sl.last_kernels()
        step()
        formed = "some are left out" if any("needed" in k for k in sl.last_kernels()) else "all are formed"
        print(f"{name}: {share(surrogate):.0%} of the first hidden layer's are needed, {formed}")
    return tasks


def peaks(title: str, names: Iterable[str]) -> None:
    """Print what :func:`peak` finds in a process of its own for each of ``names``."""
    for name in names:
        command = [sys.executable, sys.argv[0], "--peak", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"  peak memory of {title} above the process: {name:15s} {done.stdout.strip()} MiB")


def peak(step: Callable[[], object], small: Callable[[], object]) -> None:
    """Print how far the third ``step``'s peak is above what the process held before the first one (Linux)."""
    small()  # loads libraries and the compiler, which are not memory of the step
    before = _kib("VmRSS")
    step()
    Path("/proc/self/clear_refs").write_text("5")
    for _ in range(3):
        step()
    print(f"{(_kib('VmHWM') - before) / 1024:.0f}")


def _kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def command(
    doc: str | None, ways: Mapping[str, Callable[[int], None]], peak_of: Callable[[str], None] | None = None,
    check: Callable[[], None] | None = None, *, rounds: int = 10, allocator: Callable[[], None] | None = None,
) -> None:  # fmt: skip
    """Read the options, say what the machine is, ``check``, and go through the ``ways``.

    ``allocator`` sets how memory is kept, but where its peak is measured.
    """
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--only", nargs="+", choices=ways, default=list(ways))
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true", help="for one thread on a busy machine")
    if allocator is not None:
        parser.add_argument("--default-allocator", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak and peak_of is not None:
        peak_of(options.peak)
        return
    if options.cpu_time:
        global clock
        clock = time.process_time
    if allocator is not None and not options.default_allocator:
        allocator()
    machine = platform.processor() or platform.machine()
    versions = f"torch {torch.__version__}, numba {numba.__version__}"
    print(f"{machine}, {torch.get_num_threads()} threads, {clock.__name__}, {versions}")
    if check is not None:
        check()
    for name in options.only:
        ways[name](options.rounds)
