"""Turns the configuration of the digits recipe into a run: train, choose on validation, test once, report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from ..coding import encode
from ..coding.classify import UNDECIDED
from ..data.arrays import Labelled
from ..data.augment import random_shifts
from ..data.digits import load_digits
from ..data.splits import Split, stratified_split
from ..kernels.backends import last_kernels
from ..learn.losses import cross_entropy_of_mean, mean_of_cross_entropy
from ..models import LI, LIF
from ..nets.mlp import mlp
from ..nn.recording import record
from ..report.training import LayerActivity, TrainingReport, write_training_report
from ..train.checkpoint import save_checkpoint
from ..train.evaluate import Evaluation, Task, evaluate
from ..train.loop import Fitted, fit
from ..train.metrics import confusion, mean_and_sd
from ..train.progress import show_progress
from ..train.provenance import machine, versions
from ..train.run_folder import RunFolder, plain_config
from ..train.seeds import derive_seed
from ..train.settings import FitSettings
from ..train.threads import torch_threads
from .digits import DigitsConfig

Facts = dict[str, Any]
CLASSES = 10
SHAPE = (8, 8)
DT = 1.0  # ms


@dataclass(frozen=True)
class Trained:
    """One seed: what was trained, and what the chosen model does on the test set."""

    seed: int
    task: Task
    fitted: Fitted
    test: Evaluation


def run(config: DigitsConfig, folder: RunFolder) -> Facts:
    """Train, and write ``summary.json``, ``report.html`` and ``checkpoint/`` to ``folder``; return the summary.

    The model of each seed is the epoch with the lowest validation loss; the test set is used once per seed, after the
    last training. Raises :class:`NonFiniteError` when a training diverges and :class:`FileError` when a file cannot
    be written.
    """
    began = time.perf_counter()
    data = load_digits()
    split = stratified_split(data.y, train=config.data.train, validation=config.data.validation, seed=config.data.seed)
    with torch_threads(config.threads):
        trained, kernels = _train(config, data, split)
        for each in trained:
            _save(folder, config, each)
        summary = _summary(config, split, trained) | {"kernels": kernels}
        _report(folder, config, trained, data.take(split.test), _facts(summary, trained[0]))
        summary["wall_time_s"] = round(time.perf_counter() - began, 3)
        folder.write_json("summary.json", summary)
        print(f"{_sentence(summary)} -> {folder.path}")
    return summary


def build(config: DigitsConfig, seed: int, inputs: int) -> Task:
    """The network with the initial weights of ``seed``, its encoder and its loss."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "weights"))
        hidden, readout = LIF(tau=config.neuron.tau), LI(tau=config.readout.tau)
        net = mlp(
            [inputs, config.neuron.width, CLASSES],
            hidden,
            readout,
            learn=("tau",) if config.neuron.learn_tau else (),
        )

    def spikes(images: torch.Tensor, key: int) -> torch.Tensor:
        return encode.rate(images, config.encoding.steps, torch.Generator().manual_seed(key))

    def currents(images: torch.Tensor, key: int) -> torch.Tensor:
        return encode.direct(images, config.encoding.steps)

    def shift(images: torch.Tensor, key: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(key)
        return random_shifts(images.unflatten(1, SHAPE), config.augment.shift, generator).flatten(1)

    losses = {"mean-then-softmax": cross_entropy_of_mean, "softmax-then-mean": mean_of_cross_entropy}
    return Task(net, spikes if config.encoding.kind == "rate" else currents, losses[config.readout.loss], shift)


def _train(config: DigitsConfig, data: Labelled, split: Split) -> tuple[list[Trained], list[str]]:
    train, validation, test = data.take(split.train), data.take(split.validation), data.take(split.test)
    o = config.optimiser
    settings = FitSettings(config.epochs, o.learning_rate, o.weight_decay, o.batch_size, o.clip, o.schedule)
    seeds = range(config.seed, config.seed + config.seeds)
    fitted: list[tuple[Task, Fitted]] = []
    with show_progress(len(train) * config.epochs * config.seeds, config.epochs) as progress:
        progress.note(f"digits: {_sizes(split.sizes)} images, split with seed {config.data.seed}")
        for seed in seeds:
            progress.start(f"seed {seed}")
            task = build(config, seed, data.x.shape[1])
            fitted.append((task, fit(task, settings, train, validation, seed=seed, observer=progress)))
            best = fitted[-1][1].best
            progress.note(f"seed {seed}: chose epoch {best.epoch}, validation {100 * best.validation_accuracy:.1f} %")
    kernels = set(last_kernels())
    # Only here, when nothing can be chosen any more, is the test set looked at.
    results = [
        Trained(seed, task, result, evaluate(task, test, seed=derive_seed(seed, "test")))
        for seed, (task, result) in zip(seeds, fitted, strict=True)
    ]
    return results, sorted(kernels | set(last_kernels()))


def _save(folder: RunFolder, config: DigitsConfig, each: Trained) -> None:
    best = each.fitted.best
    meta = {
        "recipe": "digits",
        "config": plain_config(config),
        "seed": each.seed,
        "epoch": best.epoch,
        "validation_accuracy": best.validation_accuracy,
    }
    save_checkpoint(folder.path / "checkpoint" / f"seed-{each.seed}.json", each.fitted.tensors, meta)


def _summary(config: DigitsConfig, split: Split, trained: list[Trained]) -> Facts:
    per_seed = [
        {
            "seed": each.seed,
            "best_epoch": each.fitted.best.epoch,
            "validation_accuracy": each.fitted.best.validation_accuracy,
            "test_accuracy": each.test.accuracy.correct,
            "test_silent": each.test.accuracy.silent,
            "test_tied": each.test.accuracy.tied,
            "test_loss": each.test.loss,
            "spikes_per_neuron_step": each.test.spikes_per_neuron_step,
        }
        for each in trained
    ]
    metrics: Facts = {"seeds": len(per_seed), "test_samples": len(split.test)}
    for name in ("test_accuracy", "validation_accuracy", "spikes_per_neuron_step"):
        metrics[name], metrics[f"{name}_sd"] = mean_and_sd([row[name] for row in per_seed])
    return {
        "recipe": "digits",
        "metrics": metrics,
        "per_seed": per_seed,
        "split": split.sizes,
        "config": plain_config(config),
        "versions": versions(),
        "machine": machine(),
    }


def _sentence(summary: Facts) -> str:
    metrics, count = summary["metrics"], summary["metrics"]["seeds"]
    spread = f" ± {100 * metrics['test_accuracy_sd']:.1f}" if count > 1 else ""
    seeds = f"mean ± sd of {count} seeds" if count > 1 else "1 seed"
    return (
        f"digits: test accuracy {100 * metrics['test_accuracy']:.1f}{spread} % ({seeds}; "
        f"{_sizes(summary['split'])}, split seed {summary['config']['data']['seed']}), "
        f"{metrics['spikes_per_neuron_step']:.3f} spikes per neuron and step, {summary['wall_time_s']:.1f} s"
    )


def _sizes(sizes: dict[str, int]) -> str:
    return " / ".join(f"{count} {name}" for name, count in sizes.items())


def _report(folder: RunFolder, config: DigitsConfig, trained: list[Trained], test: Labelled, facts: Facts) -> None:
    first = trained[0]  # the first, not the best: nothing may be chosen by the test set
    rows = first.fitted.history
    report = TrainingReport(
        title=f"{folder.path.name}, seed {first.seed}",
        summary=facts,
        config=plain_config(config),
        curves={
            "train loss": [row.loss for row in rows],
            "validation loss": [row.validation_loss for row in rows],
            "train accuracy": [row.accuracy for row in rows],
            "validation accuracy": [row.validation_accuracy for row in rows],
        },
        confusion=confusion(first.test.predicted, test.y, CLASSES),
        class_names=[str(k) for k in range(CLASSES)],
        image=test.x[0].reshape(SHAPE),
        label=str(test.y[0]),
        prediction="undecided" if first.test.predicted[0] == UNDECIDED else str(first.test.predicted[0]),
        layers=_activity(first, test),
        dt=DT,
    )
    write_training_report(folder.path / "report.html", report)


def _facts(summary: Facts, first: Trained) -> Facts:
    metrics = summary["metrics"]
    spread = f" ± {100 * metrics['test_accuracy_sd']:.1f}" if metrics["seeds"] > 1 else ""
    return {
        "test accuracy, mean ± sd": f"{100 * metrics['test_accuracy']:.1f}{spread} %",
        "seeds": metrics["seeds"],
        "test accuracy, this seed": first.test.accuracy.correct,
        "validation accuracy, this seed": first.fitted.best.validation_accuracy,
        "epoch chosen on validation": first.fitted.best.epoch,
        "spikes per neuron and step": round(first.test.spikes_per_neuron_step, 4),
        "all seeds": {f"seed {row['seed']}": row for row in summary["per_seed"]},
        **{name: summary[name] for name in ("split", "kernels", "versions", "machine")},
    }


@torch.no_grad()
def _activity(trained: Trained, data: Labelled) -> list[LayerActivity]:
    """What every layer does while the first test image is shown, and its mean over the test set."""
    task = trained.task
    images, _ = task.batch(data, slice(0, 1))
    with record(task.net, "v") as recording:
        task.net(task.encode(images, derive_seed(trained.seed, "report")))
    layers = []
    for name in recording.names():
        layer = recording[name]
        spikes = None if layer.spikes is None else layer.spikes[:, 0].numpy()
        label = f"{name} {'read-out' if spikes is None else 'LIF'}"
        layers.append(LayerActivity(label, spikes, layer["v"][:, 0].numpy(), trained.test.activity.get(name)))
    return layers
