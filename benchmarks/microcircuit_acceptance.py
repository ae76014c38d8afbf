"""The microcircuit beside NEST's, as its authors compare simulators: `python benchmarks/microcircuit_acceptance.py`.

Distributions over neurons of rates, CV of intervals and correlations of counts in 2 ms, for some seeds each: their
Kolmogorov-Smirnov distances between seeds of one simulator, and between seeds of the two (van Albada et al. 2018,
Front. Neuroinform. 12:291). Two simulators agree where they are as near to each other as seeds of one are.

`--nest PYTHON` is an interpreter that has nest-simulator; without it the distances between our seeds are all there is.
Spikes are kept in `--out` and taken from there when they are there already.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
from pathlib import Path

import numpy as np

from spikeloom.networks import MicrocircuitConfig
from spikeloom.networks import microcircuit_network as circuit
from spikeloom.sim.spike_trains import SpikeTrains
from spikeloom.sim.statistics import correlations, cv

_DISCARD, _BIN, _SAMPLE = 500.0, 2.0, 200  # ms, ms, neurons whose pairs are correlated
Trains = dict[str, SpikeTrains]

THEIRS = """
import json, sys
from pathlib import Path
import numpy as np
import nest
given = json.loads(Path(sys.argv[1]).read_text())
for seed in given["seeds"]:
    file = Path(sys.argv[2], f"nest_{seed}.npz")
    if file.exists():
        continue
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.set(resolution=given["dt"], rng_seed=seed)
    redraw, normal = nest.math.redraw, nest.random.normal
    made = []
    for size, (mean, sd), current, rate in zip(given["sizes"], given["start"], given["currents"], given["rates"]):
        cells = nest.Create("iaf_psc_exp", size, {"tau_m": 10.0, "C_m": 250.0, "E_L": -65.0, "V_th": -50.0,
            "V_reset": -65.0, "t_ref": 2.0, "tau_syn_ex": 0.5, "tau_syn_in": 0.5, "I_e": current})
        cells.V_m = normal(mean, sd)
        if rate:
            source = nest.Create("poisson_generator", params={"rate": rate})
            nest.Connect(source, cells, syn_spec={"weight": given["outside"]})
        made.append(cells)
    for target, post in enumerate(made):
        for source, pre in enumerate(made):
            count, mean = given["numbers"][target][source], given["means"][target][source]
            delay = given["delays"][source % 2]
            if count:
                low, high = (0.0, float("inf")) if mean > 0 else (float("-inf"), 0.0)
                nest.Connect(pre, post, {"rule": "fixed_total_number", "N": count}, {
                    "weight": redraw(normal(mean, 0.1 * abs(mean)), low, high),
                    "delay": redraw(normal(delay, 0.5 * delay), given["dt"], float("inf"))})
    recorders = []
    for cells in made:
        recorder = nest.Create("spike_recorder", params={"start": given["discard"]})
        nest.Connect(cells, recorder)
        recorders.append(recorder)
    nest.Simulate(given["end"])
    found = {}
    for number, (cells, recorder) in enumerate(zip(made, recorders)):
        found[f"times{number}"] = recorder.events["times"]
        found[f"neurons{number}"] = recorder.events["senders"] - cells[0].global_id
    np.savez(file, **found)
    print(f"NEST, seed {seed}: {sum(len(v) for n, v in found.items() if n[0] == 't')} spikes", flush=True)
"""


def configured(options: argparse.Namespace, seed: int) -> MicrocircuitConfig:
    """The circuit that is compared."""
    end = _DISCARD + options.duration
    return MicrocircuitConfig(scale=options.scale, background="poisson", seed=seed, duration=end, discard=_DISCARD)


def ours(options: argparse.Namespace, seed: int) -> Trains:
    """Spikes of one seed here."""
    config, file = configured(options, seed), Path(options.out, f"here_{seed}.npz")
    if not file.exists():
        spikes = circuit.build(config).run(config.duration, threads=options.threads).spikes
        late = [spikes[name].window(_DISCARD, config.duration) for name in circuit.POPULATIONS]
        times = {f"times{k}": trains.times for k, trains in enumerate(late)}
        np.savez(file, **times, **{f"neurons{k}": trains.neurons for k, trains in enumerate(late)})
        print(f"here, seed {seed}: {sum(map(len, late))} spikes", flush=True)
    return kept(options, file)


def theirs(options: argparse.Namespace) -> list[Trains]:
    """Spikes of all seeds in NEST, which is given the same numbers."""
    config = configured(options, 1)
    outside = circuit.EXTERNAL * config.degrees
    given = {
        "seeds": list(range(1, options.seeds + 1)), "dt": config.dt, "sizes": circuit.sizes(config),
        "start": circuit.START, "currents": circuit.constant_currents(config).tolist(),
        "rates": [8.0 * round(float(k)) for k in outside], "outside": circuit.psc() / np.sqrt(config.degrees),
        "numbers": circuit.synapses(config).tolist(), "means": (circuit.weights() / np.sqrt(config.degrees)).tolist(),
        "delays": [1.5, 0.75], "discard": _DISCARD, "end": config.duration,
    }  # fmt: skip
    folder = Path(options.out)
    (folder / "given.json").write_text(json.dumps(given))
    (folder / "theirs.py").write_text(THEIRS)
    subprocess.run([options.nest, folder / "theirs.py", folder / "given.json", folder], check=True)
    return [kept(options, folder / f"nest_{seed}.npz") for seed in given["seeds"]]


def kept(options: argparse.Namespace, file: Path) -> Trains:
    """The spikes of a file, by population."""
    arrays, config = np.load(file), configured(options, 1)
    return {
        name: SpikeTrains.of_arrays(arrays[f"times{k}"], arrays[f"neurons{k}"], size, _DISCARD, config.duration)
        for k, (name, size) in enumerate(zip(circuit.POPULATIONS, circuit.sizes(config), strict=True))
    }


def distributions(trains: SpikeTrains) -> dict[str, np.ndarray]:
    """What is compared, sorted: a number for each neuron, or for each pair of those that are looked at."""
    table = correlations(trains, _BIN, sample=_SAMPLE)
    pairs = {"rate": trains.rates(), "CV": cv(trains), "correlation": table[np.triu_indices(len(table), 1)]}
    return {what: np.sort(values[np.isfinite(values)]) for what, values in pairs.items()}


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of two cumulative distributions, of sorted numbers (Kolmogorov, Smirnov); NaN for none."""
    if not (len(a) and len(b)):
        return float("nan")
    both = np.concatenate([a, b])
    shares = (np.searchsorted(x, both, side="right") / len(x) for x in (a, b))
    return float(np.abs(np.subtract(*shares)).max())


def compare(here: list[Trains], there: list[Trains]) -> bool:
    """Print a table; returns whether the two are nowhere further apart than seeds of NEST are."""
    agree = True
    print("| | population | seeds here | seeds of NEST | limit | here and NEST |\n|---|---|---|---|---|---|")
    mine, other = ([{n: distributions(t) for n, t in one.items()} for one in many] for many in (here, there))
    for what, name in itertools.product(("rate", "CV", "correlation"), circuit.POPULATIONS):
        own = [distance(a[name][what], b[name][what]) for a, b in itertools.combinations(mine, 2)]
        row = f"| {what} | {name} | {np.mean(own):.3f} ± {np.std(own):.3f}"
        if other:
            within = [distance(a[name][what], b[name][what]) for a, b in itertools.combinations(other, 2)]
            across = float(np.mean([distance(a[name][what], b[name][what]) for a in mine for b in other]))
            limit = float(np.mean(within) + 2 * np.std(within))
            agree &= not across > limit
            row += f" | {np.mean(within):.3f} ± {np.std(within):.3f} | {limit:.3f} | {across:.3f}"
        print(f"{row} |")
    return agree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--nest", default="", help="an interpreter that has nest-simulator")
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--duration", type=float, default=5000.0, help="ms, after the first 500")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", default="runs/microcircuit_acceptance", help="folder for the spikes")
    options = parser.parse_args()
    Path(options.out).mkdir(parents=True, exist_ok=True)
    here = [ours(options, seed) for seed in range(1, options.seeds + 1)]
    there = theirs(options) if options.nest else []
    if not compare(here, there):
        raise SystemExit("further apart than two seeds of NEST are")


if __name__ == "__main__":
    main()
