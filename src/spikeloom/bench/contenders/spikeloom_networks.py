"""Networks by spikeloom itself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import spikeloom as sl
from spikeloom.networks import izhikevich_2003_network
from spikeloom.networks.izhikevich_2003 import Izhikevich2003Config

from .timed import actions

DT = 0.1


def load() -> dict[str, str]:
    """What takes part in the numbers."""
    import numba
    import numpy as np

    sl.sim.Network(dt=DT, seed=1)  # imports torch
    return {"spikeloom": sl.__version__, "numba": numba.__version__, "numpy": np.__version__}


def warm(spec: dict[str, Any]) -> None:
    """Compile what a small network of the kind needs."""
    small = NETWORKS[spec["network"]](max(spec["n"] // 50, 250))
    with _device(spec):
        small.run(small.dt, threads=spec["threads"])


def start(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Build, and make the first step."""
    threads, begun = spec["threads"], time.perf_counter()
    net = NETWORKS[spec["network"]](spec["n"])
    net.prepare()
    built = time.perf_counter()
    with _device(spec):
        net.run(net.dt, threads=threads)  # compiles kernels that depend on the size
    facts = {
        "build": built - begun,
        "compile": time.perf_counter() - built,
        "synapses": sum(p.size for p in net.projections.values()),
    }

    def run(ms: float) -> int:
        with _device(spec):
            return sum(map(len, net.run(ms, threads=threads).spikes.values()))

    return facts, actions(spec, run)


def _device(spec: dict[str, Any]) -> contextlib.AbstractContextManager[Any]:
    return sl.backend("gpu" if spec["gpu"] else None)


def cuba(n: int) -> sl.sim.Network:
    """CUBA (Brette et al. 2007): p = 0.02 for 4,000 neurons, 64 and 16 inputs for other sizes."""
    cell = sl.LIF(tau=20.0, v_rest=-49.0, v_threshold=-50.0, v_reset=-60.0, reset_mechanism="value")
    net, exc, inh = _halves(sl.Refractory(cell, t_ref=5.0), n, DT)
    for pre, weight, tau, count in ((exc, 1.62, 5.0, 64), (inh, -9.0, 10.0, 16)):
        for post in (exc, inh):
            post.set(v=sl.sim.uniform(-60.0, -50.0))
            rule = sl.sim.fixed_probability(0.02) if n == 4000 else sl.sim.fixed_in_degree(min(count, len(pre) - 1))
            net.connect(pre, post, rule, weight=weight, delay=DT, synapse=sl.Exponential(tau=tau))
    return net


def brunel(n: int) -> sl.sim.Network:
    """Brunel 2000: g = 5, twice the threshold rate from outside; in-degree n / 10."""
    cell = sl.LIF(tau=20.0, v_threshold=20.0, v_reset=10.0, reset_mechanism="value")
    net, exc, inh = _halves(sl.Refractory(cell, t_ref=2.0), n, DT)
    for post in (exc, inh):
        net.connect(exc, post, sl.sim.fixed_in_degree(n * 8 // 100), weight=0.1 * 12500 / n, delay=1.5)
        net.connect(inh, post, sl.sim.fixed_in_degree(n * 2 // 100), weight=-0.5 * 12500 / n, delay=1.5)
        net.drive(post, sl.sim.poisson(20_000.0), weight=0.1)
    return net


def coba(n: int) -> sl.sim.Network:
    """COBA (Brette et al. 2007) with a constant current of 200 pA, by exponential Euler as in Brian2."""
    lif = sl.LIF(tau=20.0, v_rest=-60.0, v_threshold=-50.0, v_reset=-60.0, r=0.1, reset_mechanism="value")
    return _conductances(sl.Refractory(lif, t_ref=5.0), n, DT)


def coba_hh(n: int) -> sl.sim.Network:
    """The same of Traub-Miles neurons, by exponential Euler in steps of 0.05 ms."""
    return _conductances(sl.TraubMiles(e_leak=-60.0), n, 0.05)


def _conductances(cell: sl.NeuronModel, n: int, dt: float) -> sl.sim.Network:
    net, exc, inh = _halves(cell, n, dt, sl.solvers.ExponentialEuler())
    ways = (sl.Conductance(sl.Exponential(tau=5.0), e=0.0), sl.Conductance(sl.Exponential(tau=10.0), e=-80.0))
    for post in (exc, inh):
        post.set(v=sl.sim.uniform(-65.0, -55.0))
        net.inject(post, 200.0)
        for pre, weight, synapse in ((exc, 6.0, ways[0]), (inh, 67.0, ways[1])):
            net.connect(pre, post, sl.sim.fixed_probability(0.02), weight=weight, delay=DT, synapse=synapse)
    return net


def izhikevich(n: int) -> sl.sim.Network:
    """All to all with weights of their own, noise, the author's scheme (Izhikevich 2003)."""
    config = Izhikevich2003Config(excitatory=n * 4 // 5, inhibitory=n - n * 4 // 5)
    return izhikevich_2003_network.build(config)


def _halves(cell: sl.NeuronModel, n: int, dt: float, solver: Any = None) -> tuple[sl.sim.Network, Any, Any]:
    net, more = sl.sim.Network(dt=dt, seed=1), {} if solver is None else {"solver": solver}
    exc = net.population(cell, n * 4 // 5, "exc", **more)
    return net, exc, net.population(cell, n - n * 4 // 5, "inh", **more)


NETWORKS: dict[str, Callable[[int], sl.sim.Network]] = {
    "cuba": cuba, "brunel": brunel, "coba": coba, "coba-hh": coba_hh, "izhikevich": izhikevich,
}  # fmt: skip
