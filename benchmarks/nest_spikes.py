"""The same network in NEST and here, spike by spike: `python benchmarks/nest_spikes.py --nest PYTHON`.

PYTHON is an interpreter that has nest-simulator. Edges, weights, delays, initial values and currents are drawn once and
given to both.
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
nest.resolution = 0.1
given = np.load(sys.argv[1])
cells = nest.Create("iaf_psc_exp", len(given["v"]), {"tau_m": 20.0, "C_m": 20.0, "E_L": 0.0, "V_th": 10.0,
                    "V_reset": 0.0, "t_ref": 2.0, "tau_syn_ex": 5.0, "tau_syn_in": 5.0})
cells.V_m, cells.I_e = given["v"].tolist(), given["current"].tolist()
ids = np.array(cells.tolist())
nest.Connect(ids[given["pre"]], ids[given["post"]], "one_to_one",
             {"weight": given["weight"], "delay": given["delay"], "synapse_model": "static_synapse"})
recorder = nest.Create("spike_recorder")
nest.Connect(cells, recorder)
nest.Simulate(float(given["duration"]))
np.savez(sys.argv[2], steps=np.rint(recorder.events["times"] / 0.1), neurons=recorder.events["senders"] - ids[0])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--nest", required=True, help="an interpreter that has nest-simulator")
    parser.add_argument("--duration", type=float, default=1000.0, help="ms")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    chosen = rng.random((N, N)) < 0.1
    np.fill_diagonal(chosen, False)
    pre, post = np.nonzero(chosen)
    weight = np.where(pre < N * 4 // 5, 14.0, -60.0) * rng.uniform(0.5, 1.5, len(pre))  # pA; C is 20 pF
    delay = rng.integers(1, 40, len(pre)) * DT
    v, current = rng.uniform(0.0, 10.0, N), rng.uniform(9.0, 13.0, N)
    given = {"pre": pre, "post": post, "weight": weight, "delay": delay, "v": v, "current": current}
    with tempfile.TemporaryDirectory() as folder:
        file, answer, script = (Path(folder, name) for name in ("given.npz", "answer.npz", "theirs.py"))
        np.savez(file, duration=options.duration, **given)
        script.write_text(THEIRS)
        subprocess.run([options.nest, str(script), str(file), str(answer)], check=True, stdout=subprocess.DEVNULL)
        theirs = np.load(answer)
        other = set(zip(theirs["steps"].astype(int).tolist(), theirs["neurons"].tolist(), strict=True))
    net = sl.sim.Network(dt=DT, dtype="float64")
    lif = sl.LIF(tau=20.0, v_threshold=10.0, reset_mechanism="value")
    cells = net.population(sl.Refractory(lif, t_ref=2.0), N, "cells")
    cells.set(v=v)
    net.inject(cells, current)
    rule = sl.sim.from_pairs(pre, post, weights=weight, delays=delay)
    net.connect(cells, cells, rule, synapse=sl.Exponential(tau=5.0))
    spikes = net.run(options.duration).spikes["cells"]
    mine = set(zip(np.rint(spikes.times / DT).astype(int).tolist(), spikes.neurons.tolist(), strict=True))
    print(f"{len(pre)} synapses, {options.duration:g} ms: {len(mine)} spikes here, {len(other)} in NEST")
    print(f"the same: {len(mine & other)}; only here: {len(mine - other)}; only in NEST: {len(other - mine)}")
    if mine != other:
        first = min(mine ^ other)
        raise SystemExit(f"they part at {first[0] * DT:g} ms, neuron {first[1]}")


if __name__ == "__main__":
    main()
