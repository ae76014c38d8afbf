"""What a network costs before it runs: `python benchmarks/network_start.py`.

Seconds to the first step of COBA with an empty kernel cache and with a full one (edges included, imports not), each
in a process of its own, and the memory that a CUBA-like network of 100,000 neurons takes above the imports.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time

from spikeloom.bench.contenders.spikeloom_networks import NETWORKS


def first_step() -> float:
    """Seconds of the first step of COBA."""
    net = NETWORKS["coba"](4000)
    start = time.perf_counter()
    net.run(0.1, threads=1)
    return time.perf_counter() - start


def memory() -> float:
    """MiB at most above what a small network of the kind took."""
    NETWORKS["cuba"](250).run(10.0, threads=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    NETWORKS["cuba"](100_000).run(100.0, threads=1)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    if len(sys.argv) > 1:
        print(f"{first_step():.2f}")
        return
    with tempfile.TemporaryDirectory() as cache:
        for label in ("empty", "full"):
            command, surroundings = [sys.executable, __file__, "once"], {**os.environ, "SPIKELOOM_CACHE": cache}
            found = subprocess.run(command, env=surroundings, check=True, capture_output=True, text=True)
            print(f"first step of COBA, kernel cache {label}: {found.stdout.strip()} s")
    print(f"CUBA-like, 100,000 neurons, above the imports: {memory():.0f} MiB at most")


if __name__ == "__main__":
    main()
