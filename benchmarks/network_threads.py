"""What a second thread brings to a network, beside what a second core of the machine brings to anything.

    python benchmarks/network_threads.py [--rounds 5] [--span 500]

Seconds of the clock per simulated second of CUBA-like networks of 20,000 and 100,000 neurons and of Brunel's: on one
thread, on two, and of two such networks at once, each on one thread in a process of its own that knows nothing of the
other. Interleaved rounds; medians and ranges. Two threads can hardly gain more than the two processes do, which share
caches, memory and the processor's clock, and wait for nobody.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import threading
from typing import Any

from spikeloom.bench.networks import WORKLOADS
from spikeloom.bench.process import Contender
from spikeloom.bench.rounds import spread_text

NETWORKS = ("cuba-20k", "cuba-100k", "brunel")


def started(name: str, threads: int, args: argparse.Namespace) -> Contender:
    """A process with the network, past its beginning."""
    workload = WORKLOADS[name]
    spec: dict[str, Any] = {
        "network": workload.kind, "n": workload.n, "threads": threads, "gpu": False, "span": args.span, "settle": 200.0
    }  # fmt: skip
    contender = Contender(f"{name}, {threads}", "spikeloom_networks", spec, env={"OMP_NUM_THREADS": str(threads)})
    contender.ask("settle")
    return contender


def at_once(contenders: list[Contender]) -> float:
    """Seconds per simulated second of all of them side by side, their mean."""
    found: list[float] = []
    runs = [threading.Thread(target=lambda c=c: found.append(c.ask("run")["wall"])) for c in contenders]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    return statistics.fmean(found)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a second thread brings to a network")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--span", type=float, default=500.0, help="simulated ms of a round")
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; seconds per simulated second")
    for name in NETWORKS:
        with contextlib.ExitStack() as stack:
            one, other = (stack.enter_context(started(name, 1, args)) for _ in range(2))
            both = stack.enter_context(started(name, 2, args))
            rounds = [(at_once([one]), at_once([both]), at_once([one, other])) for _ in range(args.rounds)]
        alone, two, side = map(list, zip(*rounds, strict=True))
        gain = [a / b for a, b, _ in rounds]
        possible = [2 * a / c for a, _, c in rounds]
        one_text, two_text, gained, side_text, could = map(spread_text, (alone, two, gain, side, possible))
        print(f"{name:<10} 1 thread {one_text}, 2 threads {two_text}: {gained} x; "
              f"two networks at once {side_text}: {could} x", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
