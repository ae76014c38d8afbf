"""Networks by NEST, with its own models and connection rules."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

from .timed import actions


def load() -> dict[str, str]:
    """What takes part in the numbers."""
    nest = importlib.import_module("nest")
    return {"nest": nest.__version__}


def start(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Build; nothing is compiled."""
    nest: Any = importlib.import_module("nest")
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.ResetKernel()
    nest.local_num_threads, nest.resolution = spec["threads"], 0.1
    begun = time.perf_counter()
    outside = NETWORKS[spec["network"]](nest, spec["n"])
    synapses = nest.num_connections - outside
    nest.Prepare()
    facts = {"build": time.perf_counter() - begun, "synapses": synapses}

    def run(ms: float) -> int:
        nest.Run(ms)
        return nest.local_spike_counter

    return facts, actions(spec, run)


def cuba(nest: Any, n: int) -> int:
    """Returns how many of the connections come from outside of the network."""
    start = nest.random.uniform(-60.0, -50.0)
    parameters = {"tau_m": 20.0, "C_m": 20.0, "E_L": -49.0, "V_th": -50.0, "V_reset": -60.0, "t_ref": 5.0}
    cells = nest.Create("iaf_psc_exp", n, {**parameters, "tau_syn_ex": 5.0, "tau_syn_in": 10.0, "V_m": start})
    split = n * 4 // 5
    for pre, weight, count in ((cells[:split], 1.62, 64), (cells[split:], -9.0, 16)):
        rule: dict[str, Any] = {"rule": "fixed_indegree", "indegree": count}
        rule = {"rule": "pairwise_bernoulli", "p": 0.02} if n == 4000 else rule
        nest.Connect(pre, cells, rule, {"weight": weight, "delay": 0.1})
    return 0


def brunel(nest: Any, n: int) -> int:
    """The same, with Poisson input."""
    parameters = {"tau_m": 20.0, "C_m": 1.0, "E_L": 0.0, "V_m": 0.0, "V_th": 20.0, "V_reset": 10.0, "t_ref": 2.0}
    cells = nest.Create("iaf_psc_delta", n, parameters)
    split = n * 4 // 5
    for pre, weight, share in ((cells[:split], 0.1, 8), (cells[split:], -0.5, 2)):
        rule = {"rule": "fixed_indegree", "indegree": n * share // 100}
        nest.Connect(pre, cells, rule, {"weight": weight * 12500 / n, "delay": 1.5})
    noise = nest.Create("poisson_generator", params={"rate": 20_000.0})
    nest.Connect(noise, cells, syn_spec={"weight": 0.1, "delay": 1.5})
    return n


def coba(nest: Any, n: int) -> int:
    """By NEST's adaptive solver; it has no other for this model."""
    return _conductances(nest, n, "iaf_cond_exp", V_th=-50.0, V_reset=-60.0, t_ref=5.0)


def coba_hh(nest: Any, n: int) -> int:
    """The same, communicating in steps of 0.05 ms."""
    nest.resolution = 0.05
    return _conductances(nest, n, "hh_cond_exp_traub", E_K=-90.0, E_Na=50.0, g_Na=20000.0, g_K=6000.0, V_T=-63.0)


def _conductances(nest: Any, n: int, model: str, **own: float) -> int:
    parameters = {"C_m": 200.0, "g_L": 10.0, "E_L": -60.0, "E_ex": 0.0, "E_in": -80.0, "tau_syn_ex": 5.0}
    more = {"tau_syn_in": 10.0, "I_e": 200.0, "V_m": nest.random.uniform(-65.0, -55.0), **own}
    cells = nest.Create(model, n, {**parameters, **more})
    split = n * 4 // 5
    for pre, weight in ((cells[:split], 6.0), (cells[split:], -67.0)):
        nest.Connect(pre, cells, {"rule": "pairwise_bernoulli", "p": 0.02}, {"weight": weight, "delay": 0.1})
    return 0


def izhikevich(nest: Any, n: int) -> int:
    """By the author's scheme, in which NEST calls the integration inconsistent, and noise of NEST's."""
    np = importlib.import_module("numpy")
    nest.resolution = 1.0
    random, split = np.random.default_rng(1), n * 4 // 5
    r, s = random.random(split), random.random(n - split)
    b = np.concatenate([np.full(split, 0.2), 0.25 - 0.05 * s])
    parameters = {
        "a": np.concatenate([np.full(split, 0.02), 0.02 + 0.08 * s]),
        "b": b,
        "c": np.concatenate([-65.0 + 15.0 * r * r, np.full(n - split, -65.0)]),
        "d": np.concatenate([8.0 - 6.0 * r * r, np.full(n - split, 2.0)]),
    }
    cells = nest.Create(
        "izhikevich", n, {**parameters, "V_m": -65.0, "U_m": -65.0 * b, "consistent_integration": False}
    )
    for pre, low, high, spread in ((cells[:split], 0.0, 0.5, 5.0), (cells[split:], -1.0, 0.0, 2.0)):
        nest.Connect(pre, cells, "all_to_all", {"weight": nest.random.uniform(low, high), "delay": 1.0})
        noise = nest.Create("noise_generator", params={"std": spread, "dt": 1.0})
        nest.Connect(noise, pre, syn_spec={"delay": 1.0})
    return n


NETWORKS: dict[str, Callable[[Any, int], int]] = {
    "cuba": cuba, "brunel": brunel, "coba": coba, "coba-hh": coba_hh, "izhikevich": izhikevich,
}  # fmt: skip
