"""The same network in NEST and here, spike by spike: `python benchmarks/nest_spikes.py --nest PYTHON`.

PYTHON is an interpreter that has nest-simulator. Edges, weights, delays, initial values and currents are drawn once and
given to both. With `--exact exp` or `--exact delta` spikes have their exact times, here by `Located()` and in NEST by
`iaf_psc_exp_ps` or `iaf_psc_delta_ps`, and these are compared. Then the refractory time is no multiple of 0.1 ms as
delays are: a spike would often arrive at its very end, where it is lost here as on the grid, but not in NEST.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import spikeloom as sl

DT, N = 0.1, 400

THEIRS = """
import sys
import numpy as np
import nest
nest.verbosity = nest.VerbosityLevel.ERROR
nest.ResetKernel()
nest.resolution = 0.1 if sys.argv[3] == "iaf_psc_exp" else 0.05
given = np.load(sys.argv[1])
common = {"tau_m": 20.0, "C_m": 20.0, "E_L": 0.0, "V_th": 10.0, "V_reset": 0.0, "t_ref": float(sys.argv[4])}
synapses = {} if "delta" in sys.argv[3] else {"tau_syn_ex": 5.0, "tau_syn_in": 5.0}
cells = nest.Create(sys.argv[3], len(given["v"]), {**common, **synapses})
cells.V_m, cells.I_e = given["v"].tolist(), given["current"].tolist()
ids = np.array(cells.tolist())
nest.Connect(ids[given["pre"]], ids[given["post"]], "one_to_one",
             {"weight": given["weight"], "delay": given["delay"], "synapse_model": "static_synapse"})
recorder = nest.Create("spike_recorder")
nest.Connect(cells, recorder)
nest.Simulate(float(given["duration"]))
np.savez(sys.argv[2], times=recorder.events["times"], neurons=recorder.events["senders"] - ids[0])
"""
MODELS = {None: "iaf_psc_exp", "exp": "iaf_psc_exp_ps", "delta": "iaf_psc_delta_ps"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--nest", required=True, help="an interpreter that has nest-simulator")
    parser.add_argument("--duration", type=float, default=1000.0, help="ms")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--exact", choices=["exp", "delta"], help="exact times, with this kind of synapse")
    options = parser.parse_args()
    given = drawn(options.seed, options.exact)
    with tempfile.TemporaryDirectory() as folder:
        file, answer, script = (Path(folder, name) for name in ("given.npz", "answer.npz", "theirs.py"))
        np.savez(file, duration=options.duration, **given)
        script.write_text(THEIRS)
        command = [
            options.nest,
            str(script),
            str(file),
            str(answer),
            MODELS[options.exact],
            str(refractory(options.exact)),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found = np.load(answer)
        theirs = found["times"], found["neurons"]
    mine = here(given, options.duration, options.exact)
    print(
        f"{len(given['pre'])} synapses, {options.duration:g} ms: {len(mine[0])} spikes here, {len(theirs[0])} in NEST"
    )
    if options.exact is None:
        compare_steps(mine, theirs)
        return
    compare_times("NEST", mine, theirs)
    compare_times("half the dt here", mine, here(given, options.duration, options.exact, DT / 2.0))


def drawn(seed: int, exact: str | None) -> dict[str, np.ndarray]:
    """Edges, initial values and currents."""
    rng = np.random.default_rng(seed)
    chosen = rng.random((N, N)) < 0.1
    np.fill_diagonal(chosen, False)
    pre, post = np.nonzero(chosen)
    size = np.where(pre < N * 4 // 5, 14.0, -60.0) if exact != "delta" else np.where(pre < N * 4 // 5, 0.2, -1.0)
    weight = size * rng.uniform(0.5, 1.5, len(pre))  # pA; C is 20 pF
    delay = rng.integers(1, 40, len(pre)) * DT
    v, current = rng.uniform(0.0, 10.0, N), rng.uniform(9.0, 13.0, N)
    return {"pre": pre, "post": post, "weight": weight, "delay": delay, "v": v, "current": current}


def refractory(exact: str | None) -> float:
    """Refractory time in ms."""
    return 2.0 if exact is None else 2.05


def here(
    given: dict[str, np.ndarray], duration: float, exact: str | None, dt: float = DT
) -> tuple[np.ndarray, np.ndarray]:
    """Times and neurons of our spikes."""
    net = sl.sim.Network(dt=dt, dtype="float64")
    lif = sl.LIF(tau=20.0, v_threshold=10.0, reset_mechanism="value")
    solver = None if exact is None else sl.solvers.Located()
    cells = net.population(sl.Refractory(lif, t_ref=refractory(exact)), N, "cells", solver=solver)
    cells.set(v=given["v"])
    net.inject(cells, given["current"])
    rule = sl.sim.from_pairs(given["pre"], given["post"], weights=given["weight"], delays=given["delay"])
    net.connect(cells, cells, rule, synapse=sl.Delta() if exact == "delta" else sl.Exponential(tau=5.0))
    spikes = net.run(duration).spikes["cells"]
    return spikes.times, spikes.neurons


def compare_steps(mine: tuple[np.ndarray, np.ndarray], theirs: tuple[np.ndarray, np.ndarray]) -> None:
    """Every spike in the same step."""
    a, b = (set(zip(np.rint(t / DT).astype(int).tolist(), n.tolist(), strict=True)) for t, n in (mine, theirs))
    print(f"the same: {len(a & b)}; only here: {len(a - b)}; only in NEST: {len(b - a)}")
    if a != b:
        first = min(a ^ b)
        raise SystemExit(f"they part at {first[0] * DT:g} ms, neuron {first[1]}")


def compare_times(other: str, mine: tuple[np.ndarray, np.ndarray], theirs: tuple[np.ndarray, np.ndarray]) -> None:
    """Every spike at the same time, as far as networks that amplify rounding can have one."""
    parted = np.inf
    differences: list[tuple[float, float]] = []
    for n in range(N):
        a, b = (np.sort(t[of == n]) for t, of in (mine, theirs))
        count = min(len(a), len(b))
        apart = np.abs(a[:count] - b[:count])
        wrong = np.flatnonzero(apart > 1e-6)
        last = int(wrong[0]) if len(wrong) else count
        if len(wrong) or len(a) != len(b):
            parted = min([parted, *a[last : last + 1], *b[last : last + 1]])
        differences += zip(a[:last].tolist(), apart[:last].tolist(), strict=True)
    before = np.array([d for t, d in differences if t < parted])
    spread = ", ".join(f"{np.quantile(before, q):.2g}" for q in (0.5, 0.9, 1.0))
    print(f"{other}: {len(before)} spikes are the same, but for {spread} ms (median, nine in ten, most)")
    print("and so to the end" if parted == np.inf else f"  up to {parted:g} ms, where they part by more than 1e-6 ms")


if __name__ == "__main__":
    main()
