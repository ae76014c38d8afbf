"""What a network costs before it runs: `python benchmarks/network_start.py`.

Seconds to the first step of COBA with an empty kernel cache and with a full one (edges included, imports not), wall and
processor, median and range of seven processes each, and the memory that a CUBA-like network of 100,000 neurons takes
above the imports.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time

from spikeloom.bench.contenders.spikeloom_networks import NETWORKS
from spikeloom.bench.rounds import spread_text

ROUNDS = 7


def first_step() -> tuple[float, float]:
    """Seconds of the first step of COBA, wall and processor."""
    net = NETWORKS["coba"](4000)
    start, busy = time.perf_counter(), time.process_time()
    net.run(0.1, threads=1)
    return time.perf_counter() - start, time.process_time() - busy


def in_a_process(cache: str) -> list[float]:
    command, surroundings = [sys.executable, __file__, "once"], {**os.environ, "SPIKELOOM_CACHE": cache}
    found = subprocess.run(command, env=surroundings, check=True, capture_output=True, text=True)
    return [float(seconds) for seconds in found.stdout.split()]


def line(label: str, runs: list[list[float]]) -> str:
    columns = zip(("wall", "processor"), zip(*runs, strict=True), strict=True)
    texts = [f"{what} {spread_text(s)} s" for what, s in columns]
    return f"first step of COBA, kernel cache {label}: {', '.join(texts)}"


def memory() -> float:
    """MiB at most above what a small network of the kind took."""
    NETWORKS["cuba"](250).run(10.0, threads=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    NETWORKS["cuba"](100_000).run(100.0, threads=1)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    if len(sys.argv) > 1:
        print(*first_step())
        return
    empty, full = list[list[float]](), list[list[float]]()
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as cache:
            empty.append(in_a_process(cache))
            full.append(in_a_process(cache))
    print(line("empty", empty))
    print(line("full", full))
    print(f"CUBA-like, 100,000 neurons, above the imports: {memory():.0f} MiB at most")


if __name__ == "__main__":
    main()
