"""What ``spikeloom evaluate`` does once the options are known; this imports torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.arrays import Labelled
from ..errors import ConfigError, FileError
from ..recipes.stored import StoredRun, open_run
from ..report.robustness import headline, write_robustness_page
from ..report.robustness_curves import Robustness
from ..train.evaluate import Evaluation, Task, evaluate
from ..train.metrics import mean_and_sd
from ..train.robustness import Curve, evaluations, robustness_curves, standard_sweeps
from ..train.run_folder import RunFolder
from ..train.seeds import derive_seed
from ..train.threads import torch_threads
from .evaluate import EvaluateConfig
from .progress import Steps, steps_shown

Facts = dict[str, Any]
SPIKING, ANN = "spiking", "ann"


@dataclass(frozen=True)
class Network:
    """The chosen model of one seed, and the facts that ``summary.json`` holds about it."""

    variant: str
    seed: int
    task: Task
    stored: Facts


def run(folder: Path, config: EvaluateConfig) -> None:
    """Evaluate, print, write."""
    stored = opened(folder, config.data.root)
    with torch_threads(stored.config.threads):
        parts = stored.parts()
        data = parts.test if config.split == "test" else parts.validation
        networks = [n for variant in _variants(stored) for n in _networks(stored, variant, config.seed_of_run)]
        sweeps = standard_sweeps(clip=_takes_only_unit_values(stored))
        count = len(networks)
        if config.noise:
            count += sum(evaluations(n.task, sweeps, repeats=config.noise_repeats) for n in networks)
        with steps_shown(count) as bar:
            result = _evaluated(stored, config, networks, data, bar)
            curves = _curves(networks, config, data, sweeps, bar) if config.noise else {}
    print(table(result))
    out = RunFolder(folder)
    out.write_json("evaluation.json", result)
    print(f"-> {folder / 'evaluation.json'}")
    if config.noise:
        _write_robustness(out, stored, config, curves, len(data), len(parts.class_names))


def opened(folder: Path, data_root: Path | None) -> StoredRun:
    """The run in ``folder``, with its data at ``data_root`` where that is given.

    Raises :class:`ConfigError` for a recipe that reads no folder of data.
    """
    stored = open_run(folder)
    _require_summary(stored)
    if data_root is None:
        return stored
    data: Any = getattr(stored.config, "data", None)
    if not hasattr(data, "root"):
        raise ConfigError(f"the recipe {stored.recipe.name} reads no folder of data", got=f"--data.root {data_root}")
    config = dataclasses.replace(stored.config, data=dataclasses.replace(data, root=data_root))
    return dataclasses.replace(stored, config=config)


def _require_summary(stored: StoredRun) -> None:
    summary = stored.summary
    halves = [summary, *([summary["baseline"]] if "baseline" in summary else [])]
    try:
        complete = "fingerprint" in summary["dataset"] and all(
            type(r["seed"]) is int for h in halves for r in h["per_seed"]
        )
    except (KeyError, TypeError):
        complete = False
    if not complete or summary.get("recipe") != stored.recipe.name:
        raise FileError(f"{stored.path / 'summary.json'} is not the summary of this run", mend="Was it altered?")


def table(result: Facts) -> str:
    """The result as aligned text.

    >>> metrics = {"accuracy": 0.9, "accuracy_sd": 0.01, "silent": 0.0, "tied": 0.0, "spikes_per_neuron_step": 0.1}
    >>> row = {"seed": 0, **{name: value for name, value in metrics.items() if name != "accuracy_sd"}}
    >>> found = {"metrics": metrics, "per_seed": [row]}
    >>> facts = {"run": "a", "recipe": "digits", "split": "test", "samples": 9, "differences": []}
    >>> print(table({**facts, "networks": {"spiking": found}}))
    a: digits, 9 test images
    <BLANKLINE>
                accuracy  silent   tied  spikes per neuron and step
    spiking       90.0 %   0.0 %  0.0 %                      0.1000
    <BLANKLINE>
    as in summary.json
    """
    rows = [["", "accuracy", "silent", "tied", "spikes per neuron and step"]]
    for variant, found in result["networks"].items():
        title = {SPIKING: "spiking", ANN: "ANN twin"}[variant]
        several = len(found["per_seed"]) > 1
        rows.append([title, *_cells(found["metrics"], variant, found["metrics"]["accuracy_sd"] if several else None)])
        rows += [[f"  seed {row['seed']}", *_cells(row, variant, None)] for row in found["per_seed"] if several]
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    widths[0] = max(10, widths[0])
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]
    head = f"{result['run']}: {result['recipe']}, {result['samples']:,} {result['split']} images"
    return "\n".join([head, "", *lines, "", *_verdict(result)])


def _cells(row: Facts, variant: str, sd: float | None) -> list[str]:
    spread = "" if sd is None else f" ± {100 * sd:.1f}"
    spikes = "–" if variant == ANN else f"{row['spikes_per_neuron_step']:.4f}"
    return [f"{100 * row['accuracy']:.1f}{spread} %", *(f"{100 * row[k]:.1f} %" for k in ("silent", "tied")), spikes]


def _verdict(result: Facts) -> list[str]:
    differences = result["differences"]
    return (
        ["NOT as in summary.json:", *(f"  {line}" for line in differences)] if differences else ["as in summary.json"]
    )


def _variants(stored: StoredRun) -> list[str]:
    return [SPIKING, ANN] if "baseline" in stored.summary else [SPIKING]


def _networks(stored: StoredRun, variant: str, only: int | None) -> list[Network]:
    rows = {row["seed"]: row for row in _facts(stored, variant)["per_seed"]}
    if only is not None and only not in rows:
        expected = ", ".join(map(str, sorted(rows)))
        raise ConfigError("this run has no such seed", got=only, expected=expected)
    return [Network(variant, s, stored.task(s, variant), row) for s, row in rows.items() if only in (None, s)]


def _facts(stored: StoredRun, variant: str) -> Facts:
    return stored.summary if variant == SPIKING else stored.summary["baseline"]


def _evaluated(stored: StoredRun, config: EvaluateConfig, networks: list[Network], data: Labelled, bar: Steps) -> Facts:
    found: Facts = {}
    differences: list[str] = []
    for network in networks:
        bar.step(f"{network.variant}, seed {network.seed}")
        result = evaluate(network.task, data, seed=derive_seed(network.seed, config.split))
        found.setdefault(network.variant, {"per_seed": []})["per_seed"].append(_row(network.seed, result))
        differences += _differences(network, result, config.split)
    for each in found.values():
        each["metrics"] = _means(each["per_seed"])
    return {
        "run": stored.path.resolve().name,
        "recipe": stored.recipe.name,
        "split": config.split,
        "samples": len(data),
        "networks": found,
        "differences": differences,
    }


def _row(seed: int, result: Evaluation) -> Facts:
    return {
        "seed": seed,
        "accuracy": result.accuracy.correct,
        "silent": result.accuracy.silent,
        "tied": result.accuracy.tied,
        "loss": result.loss,
        "spikes_per_neuron_step": result.spikes_per_neuron_step,
        "activity": result.activity,
    }


def _means(rows: list[Facts]) -> Facts:
    names = ("accuracy", "silent", "tied", "loss", "spikes_per_neuron_step")
    means = {name: mean_and_sd([row[name] for row in rows]) for name in names}
    return {name: m for name, (m, _) in means.items()} | {f"{name}_sd": sd for name, (_, sd) in means.items()}


def _differences(network: Network, result: Evaluation, split: str) -> list[str]:
    """What is not exactly what ``summary.json`` says."""
    now = {f"{split}_accuracy": result.accuracy.correct}
    if split == "test":
        now |= {"test_silent": result.accuracy.silent, "test_tied": result.accuracy.tied, "test_loss": result.loss}
        now["spikes_per_neuron_step"] = result.spikes_per_neuron_step
    return [
        f"{network.variant} seed {network.seed}: {name} is {value!r} here and {network.stored[name]!r} there"
        for name, value in now.items()
        if name in network.stored and network.stored[name] != value
    ]


def _takes_only_unit_values(stored: StoredRun) -> bool:
    return getattr(getattr(stored.config, "encoding", None), "kind", "") == "rate"


def _curves(
    networks: list[Network], config: EvaluateConfig, data: Labelled, sweeps: Any, bar: Steps
) -> dict[str, list[Curve]]:
    """For each variant one curve a perturbation, joined over seeds."""
    part = data
    if 0 < config.noise_images < len(data):
        order = np.random.Generator(np.random.Philox(derive_seed(0, "robustness images"))).permutation(len(data))
        part = data.take(np.sort(order[: config.noise_images]))
    joined: dict[str, list[Curve]] = {}
    for network in networks:
        title = f"{network.variant}, seed {network.seed}"
        curves = robustness_curves(
            network.task,
            part,
            sweeps,
            seed=derive_seed(network.seed, config.split),
            repeats=config.noise_repeats,
            step=lambda text, title=title: bar.step(f"{title}: {text}"),
        )
        before = joined.get(network.variant)
        joined[network.variant] = [a.joined(b) for a, b in zip(before, curves, strict=True)] if before else list(curves)
    return joined


def _write_robustness(
    folder: RunFolder,
    stored: StoredRun,
    config: EvaluateConfig,
    curves: dict[str, list[Curve]],
    size: int,
    classes: int,
) -> None:
    clipped = _takes_only_unit_values(stored)
    only = config.seed_of_run
    record: Facts = {
        "run": stored.path.resolve().name,
        "recipe": stored.recipe.name,
        "split": config.split,
        "split_size": size,
        "images": min(config.noise_images or size, size),
        "repeats": config.noise_repeats,
        "seeds": [row["seed"] for row in stored.summary["per_seed"] if only in (None, row["seed"])],
        "chance": 1.0 / classes,
        "note": "Noisy images are clipped to [0, 1]: the rate encoder takes nothing else." if clipped else "",
        "curves": [
            {"title": c.title, "unit": c.unit, "levels": c.levels}
            | {variant: curves[variant][k].plain() for variant in curves}
            for k, c in enumerate(curves[SPIKING])
        ],
    }
    folder.write_json("robustness.json", record)
    robustness = Robustness.from_json(record)
    write_robustness_page(folder.path / "robustness.html", robustness)
    print(f"\n{headline(robustness)}")
    print(f"-> {folder.path / 'robustness.json'}\n-> {folder.path / 'robustness.html'}")
