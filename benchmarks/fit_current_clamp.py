"""Fit a plain and two adaptive neurons to real recordings, and predict the sweeps that were held out.

    python benchmarks/fit_current_clamp.py [--recordings ...] [--models ...] [--seeds 0 1 2] [--results FILE.json]

Data: three current-clamp recordings of the pyABF collection, looked for in the folder of the environment variable
SPIKELOOM_DATA, or in ../shared/data beside the repository. Set beforehand, for all recordings and models alike: every
third sweep (0, 3, 6, ...) is fitted, the others are held out and touched by nothing but the last score; dt = 0.1 ms;
the default loss; a search of 100 generations of 32 candidates from 4 starts, then 60 steps along the gradient.

Gamma is at +-4 ms, averaged over the held-out sweeps in which neuron or model fires. Its correction for chance assumes
a Poisson train of one rate for the whole sweep, but under a step all spikes crowd into a part of it, so "by chance" is
measured too: gamma of the same predictions with each spike moved at random by up to 25 ms. The current is the same in
each presentation of a sweep, and each was presented once, so how reliable the neuron itself is cannot be known, nor
gamma related to it. --results keeps finished fits in a file, from which a second run goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np

import spikeloom as sl
from spikeloom.fitting import Fit, Refine, Search, gamma, predict

RECORDINGS = ("171116sh_0018", "17o05028_ic_steps", "2019_07_24_0055_fsi")
JITTER, DRAWS = 25.0, 100

Ranges = dict[str, tuple[float, float]]
VOLTAGES: Ranges = {"v_reset": (-85.0, -20.0), "t_ref": (0.3, 100.0)}
MEMBRANE: Ranges = {
    "tau": (3.0, 100.0), "r": (0.03, 2.0), "v_rest": (-80.0, -35.0), "v_threshold": (-60.0, -20.0), **VOLTAGES,
}  # fmt: skip


def plain() -> tuple[sl.NeuronModel, Ranges]:
    lif = sl.LIF(tau=20.0, r=0.2, v_rest=-60.0, v_threshold=-40.0, v_reset=-50.0, reset_mechanism="value")
    return sl.Refractory(lif, t_ref=2.0), MEMBRANE


def adex() -> tuple[sl.NeuronModel, Ranges]:
    start = sl.AdEx(
        c=100.0, g_l=5.0, e_l=-60.0, v_t=-42.0, delta_t=2.0, a=1.0, b=10.0, tau_w=100.0, v_peak=0.0, v_reset=-50.0
    )
    own: Ranges = {
        "c": (10.0, 500.0), "g_l": (0.5, 30.0), "e_l": (-80.0, -35.0), "v_t": (-60.0, -20.0), "delta_t": (0.3, 6.0),
        "a": (-5.0, 30.0), "b": (0.0, 300.0), "tau_w": (5.0, 1500.0),
    }  # fmt: skip
    return sl.Refractory(start, t_ref=2.0), {**own, **VOLTAGES}


def adaptive_threshold() -> tuple[sl.NeuronModel, Ranges]:
    """The plain LIF with an after-spike current and a threshold that spikes raise and the voltage moves (GLIF)."""
    model = sl.AfterSpikeCurrents(plain()[0], k_1=0.01, delta_asc_1=-10.0, delta_asc_2=0.0)
    model = sl.VoltageThreshold(model, a_v=0.001, b_v=0.02)
    model = sl.SpikeThreshold(model, b_s=0.02, delta_theta_s=2.0)
    own: Ranges = {
        "k_1": (0.0005, 1.0), "delta_asc_1": (-500.0, 20.0), "a_v": (-0.01, 0.05), "b_v": (0.002, 0.5),
        "b_s": (0.001, 0.5), "delta_theta_s": (0.0, 20.0),
    }  # fmt: skip
    return model, {**MEMBRANE, **own}


MODELS = {"LIF": plain, "AdEx": adex, "adaptive threshold": adaptive_threshold}


@dataclasses.dataclass(frozen=True)
class Row:
    """One fit."""

    recording: str
    model: str
    seed: int
    seconds: float
    losses: tuple[float, ...]
    train_gamma: float
    train_variance: float
    gamma: float
    chance: float
    variance: float
    spikes: tuple[int, int]
    values: dict[str, float]

    @classmethod
    def of(cls, name: str, kind: str, seed: int, generations: int) -> Row:
        recording = sl.load_recording(folder() / f"{name}.npz").resampled(0.1)
        training = [k for k in range(len(recording)) if k % 3 == 0]
        held_out = recording.sweeps([k for k in range(len(recording)) if k % 3])
        model, ranges = MODELS[kind]()
        began = time.perf_counter()
        methods = (Search(generations, population=32), Refine())
        fitted = sl.fit(model, recording.sweeps(training), ranges, methods=methods, seed=seed)
        seconds, found = time.perf_counter() - began, fitted.score(held_out)
        ends = tuple(stage.losses[k] for stage in fitted.stages for k in (0, -1))
        return cls(
            name, kind, seed, seconds, ends, fitted.train.gamma, fitted.train.explained_variance, found.gamma,
            by_chance(fitted, held_out), found.explained_variance, found.spikes, dict(fitted.values),
        )  # fmt: skip


def by_chance(fitted: Fit, recording: sl.Recording) -> float:
    """The mean of gamma over sweeps and draws, with the predicted spikes moved at random."""
    random, settle = np.random.default_rng(0), fitted.loss.settle
    _, fired = predict(fitted.model, recording)
    found: list[float] = []
    for k in range(len(recording)):
        data, model = (np.flatnonzero(s[k]) * recording.dt for s in (recording.spikes, fired))
        data, model = data[data >= settle], model[model >= settle]
        for _ in range(DRAWS):
            moved = model + random.uniform(-JITTER, JITTER, len(model))
            found.append(gamma(data, moved, recording.duration - settle))
    return float(np.nanmean(found))


def folder() -> Path:
    root = os.environ.get("SPIKELOOM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    return Path(root) / "patch_clamp_abf"


def spread(values: list[float]) -> str:
    return f"{statistics.mean(values):6.3f} +- {statistics.stdev(values) if len(values) > 1 else 0.0:.3f}"


def table(rows: list[Row]) -> str:
    names = ("recording", "model", "fits", "gamma", "by chance", "explained variance", "training gamma", "spikes")
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for key in dict.fromkeys((row.recording, row.model) for row in rows):
        same = [row for row in rows if (row.recording, row.model) == key]
        columns = [spread([getattr(row, n) for row in same]) for n in ("gamma", "chance", "variance", "train_gamma")]
        made = " ".join(str(row.spikes[1]) for row in same)
        lines.append("| " + " | ".join([*key, str(len(same)), *columns, f"{made} of {same[0].spikes[0]}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--recordings", nargs="+", choices=RECORDINGS, default=list(RECORDINGS))
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--generations", type=int, default=100)
    parser.add_argument("--results", type=Path, help="a JSON file that keeps the fits between runs")
    given = parser.parse_args()
    rows: list[Row] = []
    if given.results and given.results.exists():
        rows = [Row(**row) for row in json.loads(given.results.read_text())]
    done = {(row.recording, row.model, row.seed) for row in rows}
    for name in given.recordings:
        for kind in given.models:
            for seed in given.seeds:
                if (name, kind, seed) in done:
                    continue
                rows.append(Row.of(name, kind, seed, given.generations))
                row = rows[-1]
                ends = ", ".join(f"{loss:.4f}" for loss in row.losses)
                print(
                    f"{name} {kind} seed {seed}: losses {ends}; gamma {row.gamma:.3f}; {row.seconds:.0f} s", flush=True
                )
                if given.results:
                    given.results.write_text(json.dumps([dataclasses.asdict(row) for row in rows]))
    print(table(rows))


if __name__ == "__main__":
    main()
