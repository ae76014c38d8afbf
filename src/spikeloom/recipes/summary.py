"""What ``summary.json`` and ``history.json`` say of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..energy import EnergyReport
from ..train.metrics import mean_and_sd
from ..train.provenance import machine, versions
from ..train.run_folder import plain_config
from .common import TrainConfig
from .problem import ANN, SPIKING, Parts
from .recipe import Recipe

if TYPE_CHECKING:
    from .trained import Trained

Facts = dict[str, Any]


def summarise(
    recipe: Recipe, config: TrainConfig, parts: Parts, trained: Sequence[Trained], energy: EnergyReport
) -> Facts:
    """Metrics with their spread over seeds, each seed's own, and what they depend on."""
    twins = [each for each in trained if each.variant == ANN]
    return {
        "recipe": recipe.name,
        "dataset": {"name": parts.name, "fingerprint": parts.fingerprint},
        **_results([each for each in trained if each.variant == SPIKING], len(parts.test)),
        **({"baseline": _results(twins, len(parts.test))} if twins else {}),
        "energy": energy.plain(),
        "split": parts.sizes,
        "config": plain_config(config),
        "versions": versions(),
        "machine": machine(),
    }


def _results(trained: Sequence[Trained], test_samples: int) -> Facts:
    rows = [
        {
            "seed": each.seed,
            "best_epoch": each.fitted.best.epoch,
            "validation_accuracy": each.fitted.best.validation_accuracy,
            "test_accuracy": each.test.accuracy.correct,
            "test_silent": each.test.accuracy.silent,
            "test_tied": each.test.accuracy.tied,
            "test_loss": each.test.loss,
            "spikes_per_neuron_step": each.test.spikes_per_neuron_step,
            "train_time_s": round(sum(row.time_s for row in each.fitted.history), 3),
        }
        for each in trained
    ]
    metrics: Facts = {"seeds": len(rows), "test_samples": test_samples}
    for name in ("test_accuracy", "validation_accuracy", "spikes_per_neuron_step"):
        metrics[name], metrics[f"{name}_sd"] = mean_and_sd([row[name] for row in rows])
    parameters = sum(p.numel() for p in trained[0].task.net.parameters() if p.requires_grad)
    return {"metrics": metrics, "per_seed": rows, "parameters": parameters}


def plain_history(trained: Sequence[Trained]) -> Facts:
    """The learning curves of every network, by variant and seed."""
    return {f"{t.variant}-seed-{t.seed}": [dataclasses.asdict(row) for row in t.fitted.history] for t in trained}


def percent(metrics: Mapping[str, Any], name: str = "test_accuracy") -> str:
    """Mean and spread over seeds.

    >>> percent({"seeds": 3, "test_accuracy": 0.9751, "test_accuracy_sd": 0.004})
    '97.5 ± 0.4 %'
    """
    spread = f" ± {100 * metrics[f'{name}_sd']:.1f}" if metrics["seeds"] > 1 else ""
    return f"{100 * metrics[name]:.1f}{spread} %"


def sentence(summary: Mapping[str, Any]) -> str:
    """The result of a run in a line."""
    metrics, count = summary["metrics"], summary["metrics"]["seeds"]
    seeds = f"mean ± sd of {count} seeds" if count > 1 else "1 seed"
    twin = f", ANN {percent(summary['baseline']['metrics'])}" if "baseline" in summary else ""
    return (
        f"{summary['recipe']}: test accuracy {percent(metrics)}{twin} ({seeds}; {sizes_text(summary['split'])}, "
        f"split seed {summary['config']['data']['seed']}), {metrics['spikes_per_neuron_step']:.3f} spikes per neuron "
        f"and step, {summary['wall_time_s']:.1f} s"
    )


def sizes_text(sizes: Mapping[str, int]) -> str:
    """The sizes of the parts.

    >>> sizes_text({"train": 60, "test": 20})
    '60 train / 20 test'
    """
    return " / ".join(f"{count} {name}" for name, count in sizes.items())
