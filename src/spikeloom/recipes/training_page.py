"""``report.html`` of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..coding.classify import UNDECIDED
from ..data.arrays import Labelled
from ..energy import EnergyReport
from ..nn.recording import record
from ..report.energy import energy_extra
from ..report.robustness import as_extra
from ..report.robustness_curves import stored_robustness
from ..report.training import LayerActivity, TrainingReport, write_training_report
from ..train.metrics import confusion
from ..train.run_folder import plain_config
from ..train.seeds import derive_seed
from .common import TrainConfig
from .problem import DT, Parts
from .recipe import Recipe
from .summary import percent

if TYPE_CHECKING:
    from .trained import Trained

Facts = dict[str, Any]


def write_page(
    folder: Path, recipe: Recipe, config: TrainConfig, parts: Parts, trained: Sequence[Trained], summary: Facts
) -> None:
    """Write ``report.html`` into ``folder``; ``robustness.json`` becomes a part of it where it is there."""
    first = trained[0]  # the first seed, not the best: nothing may be chosen by the test set
    test, names = parts.test, parts.class_names
    rows, robustness = first.fitted.history, stored_robustness(folder)
    extras = [energy_extra(EnergyReport.from_plain(summary["energy"])), *([as_extra(robustness)] if robustness else [])]
    report = TrainingReport(
        title=f"{folder.resolve().name}, seed {first.seed}",
        summary=_facts(summary, first),
        config=plain_config(config),
        curves={
            "train loss": [row.loss for row in rows],
            "validation loss": [row.validation_loss for row in rows],
            "train accuracy": [row.accuracy for row in rows],
            "validation accuracy": [row.validation_accuracy for row in rows],
        },
        confusion=confusion(first.test.predicted, test.y, len(names)),
        class_names=names,
        image=test.x[0].reshape(parts.picture),
        label=names[test.y[0]],
        prediction="undecided" if first.test.predicted[0] == UNDECIDED else names[first.test.predicted[0]],
        layers=_activity(first, test),
        dt=DT,
        extras=extras,
    )
    write_training_report(folder / "report.html", report)


def _facts(summary: Facts, first: Trained) -> Facts:
    twin = {"ANN of equal shape": percent(summary["baseline"]["metrics"])} if "baseline" in summary else {}
    return {
        "test accuracy, mean ± sd": percent(summary["metrics"]),
        **twin,
        "seeds": summary["metrics"]["seeds"],
        "test accuracy, this seed": first.test.accuracy.correct,
        "validation accuracy, this seed": first.fitted.best.validation_accuracy,
        "epoch chosen on validation": first.fitted.best.epoch,
        "spikes per neuron and step": round(first.test.spikes_per_neuron_step, 4),
        "parameters": summary["parameters"],
        "all seeds": {f"seed {row['seed']}": row for row in summary["per_seed"]},
        **{name: summary[name] for name in ("split", "kernels", "versions", "machine")},
    }


@torch.no_grad()
def _activity(trained: Trained, data: Labelled) -> list[LayerActivity]:
    """What every layer does while the first test image is shown, and its mean over the test set."""
    task = trained.task
    task.net.eval()
    images, _ = task.batch(data, slice(0, 1))
    with record(task.net, "v") as recording:
        task.net(task.encode(images, derive_seed(trained.seed, "report")))
    layers = []
    for name in recording.names():
        layer = recording[name]
        spikes = None if layer.spikes is None else layer.spikes[:, 0].flatten(1).numpy()
        label = " ".join([name, *["LIF"] * (spikes is not None), *["read-out"] * (name == recording.names()[-1])])
        activity = trained.test.activity.get(name)
        layers.append(LayerActivity(label, spikes, layer["v"][:, 0].flatten(1).numpy(), activity))
    return layers
