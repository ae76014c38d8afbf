"""The synfire chain in Brian2 and here: `python benchmarks/brian_synfire.py --brian PYTHON`.

PYTHON is an interpreter that has brian2. Both are sent the same packets, of five numbers of spikes around the published
half point for each spread, in the trials that are asked for; noise is each one's own. Survival is counted by one rule,
ours: half of the last group fires together. Printed for each spread are the shares that came through and the number of
which half do, with its standard error over 1,000 draws of as many trials.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from spikeloom.networks import synfire_network as chain
from spikeloom.networks.synfire import SynfireConfig
from spikeloom.sim.result import Result
from spikeloom.sim.spike_trains import SpikeTrains

TRIALS = 20  # side by side, of each number of spikes
STEPS = (-10.0, -5.0, 0.0, 5.0, 10.0)  # spikes beside the published half point

THEIRS = """
import sys
import numpy as np
from brian2 import *
given = np.load(sys.argv[1])
seed(int(given["seed"]))
defaultclock.dt = 0.1*ms
taum, taupsp, weight, V_r, V_t = 10*ms, 0.325*ms, 4.86*mV, -70*mV, -55*mV
eqs = Equations('''
dV/dt = (-(V-V_r)+x)*(1./taum) : volt (unless refractory)
dx/dt = (-x+y)*(1./taupsp) : volt
dy/dt = -y*(1./taupsp)+25.27*mV/ms+(39.24*mV/ms**0.5)*xi : volt
''')
chains = int(given["chains"])
P = NeuronGroup(chains*1000, eqs, threshold="V>V_t", refractory=1*ms, reset="V=V_r", method="euler")
P.V = "V_r + rand() * (V_t - V_r)"
within = np.arange(chains*1000).reshape(chains, 10, 100)
shape = (chains, 9, 100, 100)
S = Synapses(P, P, on_pre="y += weight", delay=0.1*ms)
S.connect(i=np.broadcast_to(within[:, :-1, :, None], shape).ravel(),
          j=np.broadcast_to(within[:, 1:, None, :], shape).ravel())
each = int(given["each"])
source = SpikeGeneratorGroup(chains*each, given["numbers"], given["times"]*ms)
first = np.repeat(within[:, 0], each, axis=0)
into = Synapses(source, P, on_pre="y += weight", delay=0.1*ms)
into.connect(i=np.repeat(np.arange(chains*each), 100), j=first.ravel())
recorder = SpikeMonitor(P)
run(float(given["duration"])*ms)
np.savez(sys.argv[2], times=recorder.t/ms, neurons=np.array(recorder.i))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--brian", required=True, help="an interpreter that has brian2")
    parser.add_argument("--trials", type=int, default=200, help="of each number of spikes and spread")
    parser.add_argument("--spread", type=float, nargs="*", default=list(chain.SURVIVAL), help="in ms")
    options = parser.parse_args()
    print("| σ (ms) | published (30 trials) | Brian2 | here |\n|---|---|---|---|")
    for spread in options.spread:
        spikes = tuple(chain.SURVIVAL[spread][0] + step for step in STEPS)
        seeds = range(1, max(options.trials // TRIALS, 1) + 1)
        found = np.array([both(spikes, spread, seed, options.brian) for seed in seeds])  # [seeds, 2, spikes, trials]
        theirs, ours = np.concatenate(found, axis=-1)
        cells = [f"{half(spikes, alive)} ({', '.join(f'{s:.0%}' for s in alive.mean(1))})" for alive in (theirs, ours)]
        numbers = ", ".join(f"{a:g}" for a in spikes)
        print(f"| {spread:g} (a = {numbers}) | {chain.SURVIVAL[spread][0]} | {cells[0]} | {cells[1]} |", flush=True)


def both(spikes: tuple[float, ...], spread: float, seed: int, python: str) -> tuple[np.ndarray, np.ndarray]:
    """Who survives in Brian2 and here, [numbers of spikes, trials] each: one chain for each trial of each number."""
    theirs, ours = [], []
    alone = [
        SynfireConfig(seed=100 * seed + k, trials=TRIALS, spikes=(a,), spread=(spread,)) for k, a in enumerate(spikes)
    ]
    sent = [chain.packets(config) for config in alone]
    each = round(max(spikes))
    times = np.concatenate([t for t, _, _ in sent])
    numbers = np.concatenate([(k * TRIALS + trial) * each + n for k, (_, trial, n) in enumerate(sent)])
    given = {"seed": seed, "chains": TRIALS * len(spikes), "each": each, "duration": alone[0].length}
    with tempfile.TemporaryDirectory() as folder:
        file, answer, script = (Path(folder, name) for name in ("given.npz", "answer.npz", "theirs.py"))
        np.savez(file, times=np.round(times, 1), numbers=numbers, **given)
        script.write_text(THEIRS)
        subprocess.run([python, str(script), str(file), str(answer)], check=True, capture_output=True)
        found = np.load(answer)
    order = np.lexsort((found["neurons"], found["times"]))
    at, who = found["times"][order], found["neurons"][order]
    for k, config in enumerate(alone):
        low = k * TRIALS * config.groups * config.members
        mine = (who >= low) & (who < low + TRIALS * config.groups * config.members)
        trains = SpikeTrains(at[mine], who[mine] - low, TRIALS * config.groups * config.members, 0.0, config.length)
        result = chain.build(config).run(config.length)
        theirs.append(survivors(config, dataclasses.replace(result, spikes={"chain": trains})))
        ours.append(survivors(config, result))
    return np.array(theirs), np.array(ours)


def survivors(config: SynfireConfig, result: Result) -> np.ndarray:
    """Which trials of the only packet came through."""
    sizes, _ = chain.passages(config, result)
    return sizes[0, :, -1] >= 0.5 * config.members


def half(spikes: tuple[float, ...], alive: np.ndarray) -> str:
    """The number of spikes of which half survive, and its standard error."""
    rng = np.random.default_rng(1)
    trials = alive.shape[1]
    draws = [chain.half_point(spikes, alive[:, rng.integers(trials, size=trials)].mean(1)) for _ in range(1000)]
    spread = np.std([d for d in draws if d is not None])
    found = chain.half_point(spikes, alive.mean(1))
    return "none" if found is None else f"{found:.1f} +- {spread:.1f}"


if __name__ == "__main__":
    main()
