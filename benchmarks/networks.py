"""Wall seconds per simulated second of networks, beside a plain loop, NEST and Brian2: `python benchmarks/networks.py`.

Every contender runs in rounds one after another, so that a busy machine slows all of them; medians and ranges of the
rounds are printed, and ratios to the first contender within rounds. NEST and Brian2 are measured where their
interpreters are given by ``--nest PYTHON`` and ``--brian PYTHON``; ``--gpu`` adds our kernels for a card, where one is.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import plain_networks as plain
import torch

import spikeloom as sl

DT = 0.1
Run = Callable[[], tuple[float, float]]  # wall seconds per simulated second, rate in Hz


def cuba(n: int, threads: int, span: float = 1000.0) -> Run:
    """CUBA (Brette et al. 2007): n neurons, 80 % excitatory, p = 0.02 for 4,000 and 64 + 16 inputs for more."""
    cell = sl.LIF(tau=20.0, v_rest=-49.0, v_threshold=-50.0, v_reset=-60.0, reset_mechanism="value")
    net = sl.sim.Network(dt=DT, seed=1)
    exc = net.population(sl.Refractory(cell, t_ref=5.0), n * 4 // 5, "exc")
    inh = net.population(sl.Refractory(cell, t_ref=5.0), n - n * 4 // 5, "inh")
    for pre, weight, tau, count in ((exc, 1.62, 5.0, 64), (inh, -9.0, 10.0, 16)):
        for post in (exc, inh):
            post.set(v=sl.sim.uniform(-60.0, -50.0))
            rule = sl.sim.fixed_probability(0.02) if n == 4000 else sl.sim.fixed_in_degree(count)
            net.connect(pre, post, rule, weight=weight, delay=DT, synapse=sl.Exponential(tau=tau))
    return _timed(net, threads, span)


def brunel(n: int, threads: int, span: float = 1000.0) -> Run:
    """Brunel 2000, state C: g = 5, twice the threshold rate from outside; in-degree n / 10."""
    cell = sl.Refractory(sl.LIF(tau=20.0, v_threshold=20.0, v_reset=10.0, reset_mechanism="value"), t_ref=2.0)
    net = sl.sim.Network(dt=DT, seed=1)
    exc, inh = net.population(cell, n * 4 // 5, "exc"), net.population(cell, n // 5, "inh")
    for post in (exc, inh):
        net.connect(exc, post, sl.sim.fixed_in_degree(n * 8 // 100), weight=0.1 * 12500 / n, delay=1.5)
        net.connect(inh, post, sl.sim.fixed_in_degree(n * 2 // 100), weight=-0.5 * 12500 / n, delay=1.5)
        net.drive(post, sl.sim.poisson(20_000.0), weight=0.1)
    return _timed(net, threads, span)


def coba(n: int, threads: int, span: float = 1000.0) -> Run:
    """COBA (Brette et al. 2007) with a constant current of 200 pA, by exponential Euler as in Brian2."""
    lif = sl.LIF(tau=20.0, v_rest=-60.0, v_threshold=-50.0, v_reset=-60.0, r=0.1, reset_mechanism="value")
    return _conductances(sl.Refractory(lif, t_ref=5.0), n, threads, span, DT)


def coba_hh(n: int, threads: int, span: float = 1000.0) -> Run:
    """The same of Traub-Miles neurons, by exponential Euler in steps of 0.05 ms."""
    return _conductances(sl.TraubMiles(e_leak=-60.0), n, threads, span, 0.05)


def _conductances(cell: sl.NeuronModel, n: int, threads: int, span: float, dt: float) -> Run:
    net, solver = sl.sim.Network(dt=dt, seed=1), sl.solvers.ExponentialEuler()
    exc = net.population(cell, n * 4 // 5, "exc", solver=solver)
    inh = net.population(cell, n // 5, "inh", solver=solver)
    ways = (sl.Conductance(sl.Exponential(tau=5.0), e=0.0), sl.Conductance(sl.Exponential(tau=10.0), e=-80.0))
    for post in (exc, inh):
        post.set(v=sl.sim.uniform(-65.0, -55.0))
        net.inject(post, 200.0)
        for pre, weight, synapse in ((exc, 6.0, ways[0]), (inh, 67.0, ways[1])):
            net.connect(pre, post, sl.sim.fixed_probability(0.02), weight=weight, delay=DT, synapse=synapse)
    return _timed(net, threads, span)


def _timed(net: sl.sim.Network, threads: int, span: float) -> Run:
    """Runs of ``span`` ms on some threads; 0: on a card."""
    neurons = sum(len(g) for g in net.groups.values())

    def run() -> tuple[float, float]:
        with sl.backend("cpu" if threads else "gpu"):
            result = net.run(span, threads=max(1, threads))
        return result.wall_time / span * 1e3, sum(map(len, result.spikes.values())) / neurons / span * 1e3

    return run


def plain_cuba(n: int, span: float = 1000.0) -> Run:
    """The plain loop on edges drawn by the same rules."""
    starts, targets, excitatory = _edges(n, 64, 16, 0.02 if n == 4000 else None)
    weights = np.full(len(targets), 1.62, np.float32)
    weights[starts[excitatory] :] = -9.0
    m, e, i = (np.exp(-DT / tau) for tau in (20.0, 5.0, 10.0))
    transfer = [tau / (tau - 20.0) * (x - m) for tau, x in ((5.0, e), (10.0, i))]
    constants = tuple(np.float32(x) for x in (-49.0, m, *transfer, e, i, -50.0, -60.0, 50))
    v = np.random.default_rng(1).uniform(-60.0, -50.0, n).astype(np.float32)
    state = (v, *(np.zeros(n, np.float32) for _ in range(3)))
    rings = np.zeros((2, n), np.int32), np.zeros(2, np.int64)
    return _looped(
        lambda t, k: plain.run_cuba(t, k, 1, excitatory, state, constants, starts, targets, weights, *rings), n, span
    )


def plain_brunel(n: int, span: float = 1000.0) -> Run:
    """The plain loop of the Brunel network."""
    starts, targets, excitatory = _edges(n, n * 8 // 100, n * 2 // 100, None)
    weights = np.full(len(targets), 0.1 * 12500 / n, np.float32)
    weights[starts[excitatory] :] = -0.5 * 12500 / n
    constants = tuple(np.float32(x) for x in (np.exp(-DT / 20.0), 20.0, 10.0, 20, 0.1))
    state = tuple(np.zeros(n, np.float32) for _ in range(3))
    rings = np.zeros((16, n), np.int32), np.zeros(16, np.int64)
    table, generator = plain.poisson_table(2.0), np.array([88172645463325252], np.uint64)
    run = lambda t, k: plain.run_brunel(t, k, 15, state, constants, table, generator, starts, targets, weights, *rings)  # noqa: E731
    return _looped(run, n, span)


def _edges(n: int, excitatory: int, inhibitory: int, p: float | None) -> tuple[np.ndarray, np.ndarray, int]:
    split = n * 4 // 5
    post = sl.sim.Side(n)
    parts = []
    for key, (size, count) in enumerate(((split, excitatory), (n - split, inhibitory))):
        rule = sl.sim.fixed_in_degree(count) if p is None else sl.sim.fixed_probability(p)
        parts.append(rule.edges(sl.sim.Side(size), post, False, key))
    starts = np.concatenate([parts[0].starts, parts[1].starts[1:] + parts[0].starts[-1]])
    return starts, np.concatenate([edges.targets for edges in parts]), split


def _looped(run: Callable[[int, int], int], n: int, span: float) -> Run:
    at = [0]

    def timed() -> tuple[float, float]:
        steps = round(span / DT)
        start = time.perf_counter()
        spikes = run(at[0], steps)
        at[0] += steps
        return (time.perf_counter() - start) / span * 1e3, spikes / n / span * 1e3

    return timed


class _Peer:
    """Another simulator in a process of its own, which runs when it is asked to."""

    def __init__(self, python: str, script: str, *arguments: object) -> None:
        command = [python, script, *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def __call__(self) -> tuple[float, float]:
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        wall, rate = self._answer()
        return wall, rate

    def _answer(self) -> list[float]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        raise SystemExit("a peer ended without an answer")


WORKLOADS: dict[str, tuple[Callable[..., Run], Callable[..., Run] | None, int]] = {
    "cuba": (cuba, plain_cuba, 4000),
    "cuba-20k": (cuba, plain_cuba, 20_000),
    "cuba-100k": (cuba, plain_cuba, 100_000),
    "brunel": (brunel, plain_brunel, 12_500),
    "coba": (coba, None, 4000),
    "coba-hh": (coba_hh, None, 4000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--only", nargs="*", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--span", type=float, default=1000.0, help="simulated ms a round")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--gpu", action="store_true", help="our kernels on a CUDA device too")
    parser.add_argument("--nest", help="an interpreter that has nest-simulator")
    parser.add_argument("--brian", help="an interpreter that has brian2")
    options = parser.parse_args()
    if options.gpu:
        there = torch.cuda.is_available()
        print(torch.cuda.get_device_name() if there else "no CUDA device here: networks on a GPU are not measured")
    print(f"{'network':10} {'contender':12} {'s / simulated s':>16} {'range':>16} {'ratio':>9} {'rate Hz':>8}")
    for name in options.only:
        ours, loop, n = WORKLOADS[name]
        contenders: dict[str, Run] = {} if loop is None else {"plain": loop(n, options.span)}
        contenders |= {f"ours, {threads}": ours(n, threads, options.span) for threads in options.threads}
        if options.gpu and torch.cuda.is_available():
            contenders["ours, gpu"] = ours(n, 0, options.span)
        here = __file__.rpartition("/")[0] or "."
        for label, python in (("nest", options.nest), ("brian", options.brian)):
            if python:
                for threads in options.threads:
                    peer = _Peer(
                        python,
                        f"{here}/networks_{label}.py",
                        name.removesuffix("-20k").removesuffix("-100k"),
                        n,
                        threads,
                        options.span,
                    )
                    contenders[f"{label}, {threads}"] = peer
        found: dict[str, list[tuple[float, float]]] = {label: [] for label in contenders}
        for round_ in range(options.rounds + 1):
            for label, run in contenders.items():
                numbers = run()
                if round_:  # the first warms up
                    found[label].append(numbers)
        base = [wall for wall, _ in next(iter(found.values()))]
        for label, numbers in found.items():
            walls = [wall for wall, _ in numbers]
            ratio = statistics.median(a / b for a, b in zip(walls, base, strict=True))
            spread = f"{min(walls):.3f} to {max(walls):.3f}"
            rate = statistics.mean(rate for _, rate in numbers)
            print(
                f"{name:10} {label:12} {statistics.median(walls):16.4f} {spread:>16} {ratio:9.2f} {rate:8.2f}",
                flush=True,
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process {peak:.0f} MiB", file=sys.stderr)


if __name__ == "__main__":
    main()
