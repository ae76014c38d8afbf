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

import networks

import spikeloom as sl


def first_step() -> float:
    """Seconds of the first step of COBA."""
    lif = sl.LIF(tau=20.0, v_rest=-60.0, v_threshold=-50.0, v_reset=-60.0, r=0.1, reset_mechanism="value")
    net = sl.sim.Network(dt=0.1, seed=1)
    both = [net.population(sl.Refractory(lif, t_ref=5.0), size, name) for name, size in (("exc", 3200), ("inh", 800))]
    ways = (sl.Conductance(sl.Exponential(tau=5.0), e=0.0), sl.Conductance(sl.Exponential(tau=10.0), e=-80.0))
    for post in both:
        post.set(v=sl.sim.uniform(-60.0, -50.0))
        net.inject(post, 200.0)
        for pre, weight, synapse in zip(both, (6.0, 67.0), ways, strict=True):
            net.connect(pre, post, sl.sim.fixed_probability(0.02), weight=weight, delay=0.1, synapse=synapse)
    start = time.perf_counter()
    net.run(0.1, threads=1)
    return time.perf_counter() - start


def memory() -> float:
    """MiB at most above what a small network of the kind took."""
    networks.cuba(200, 1, 10.0)()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    networks.cuba(100_000, 1, 100.0)()
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
