"""Turns a recipe and its configuration into a run: train, choose on validation, test once, price, report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..data.arrays import Labelled
from ..errors import SpikeloomError
from ..kernels.backends import last_kernels
from ..train.evaluate import Evaluation, Task, evaluate
from ..train.history import Observer
from ..train.logs import JsonLines, Several, TensorBoard
from ..train.loop import Fitted, fit
from ..train.progress import Progress, Silent, show_progress, show_status
from ..train.ranks import SINGLE, Ranks
from ..train.run_folder import RunFolder
from ..train.seeds import derive_seed
from ..train.settings import FitSettings
from ..train.snapshot import Keep
from ..train.stop import StoppedError, StopRequest, stop_on_signals
from ..train.threads import torch_threads
from .common import TrainConfig
from .pricing import energy_of
from .problem import ANN, SPIKING, Parts, build, problem_of
from .recipe import Recipe
from .summary import plain_history, sentence, sizes_text, summarise
from .trained import Trained
from .training_page import write_page

Facts = dict[str, Any]


def run(recipe: Recipe, config: TrainConfig, folder: RunFolder, ranks: Ranks = SINGLE) -> Facts:
    """Train in ``folder``, or go on with what is there; return the summary.

    Writes ``checkpoint/<variant>-seed-<n>/{last,best}.json``, ``log/``, ``history.json``, ``report.html`` and last of
    all ``summary.json``. The model of each seed is the best epoch on the validation set; the test set is used once per
    seed, after the last training. Several ``ranks`` train together; then the first goes on alone, and it alone writes
    and prints, while the others return no facts.

    Raises :class:`NonFiniteError` when a training diverges, :class:`FileError` when a file cannot be read or written,
    and :class:`StoppedError` when a signal asked to stop.
    """
    began = time.perf_counter()
    try:
        with torch_threads(config.threads), stop_on_signals() as stop:
            parts = problem_of(recipe).load(config)
            with ranks.joined():
                jobs, kernels = _train(recipe, config, parts, folder, stop, ranks)
            if not ranks.first:
                return {}
            with show_status("testing, counting operations, drawing the page"):
                trained = _test(jobs, parts, stop)
                kernels = sorted(kernels | set(last_kernels()))
                energy = energy_of(trained, parts.test, lambda: _obey(stop))
                summary = summarise(recipe, config, parts, trained, energy) | {"kernels": kernels}
                folder.write_json("history.json", plain_history(trained))
                write_page(folder.path, recipe, config, parts, trained, summary)
            summary["wall_time_s"] = round(time.perf_counter() - began, 3)
            folder.write_json("summary.json", summary)
    except StoppedError as error:
        mend = f"Go on with `spikeloom train --resume {folder.path}`."
        raise StoppedError(error.what, number=error.number, mend=mend) from error
    print(f"{sentence(summary)} -> {folder.path}")
    return summary


def fit_settings(config: TrainConfig, variant: str = SPIKING) -> FitSettings:
    """How ``config`` trains; the twin, which has no time, by ordinary backpropagation."""
    o, g = config.optimiser, config.gradient
    kind = g.kind if variant == SPIKING else "through-time"
    return FitSettings(
        config.epochs, o.learning_rate, o.weight_decay, o.batch_size, o.clip, o.schedule, o.kind, o.momentum, o.warmup,
        g.accumulate, g.precision, g.truncate, g.recompute, config.choose, kind,
    )  # fmt: skip


def variants_of(config: TrainConfig) -> tuple[str, ...]:
    """The spiking network, and its artificial twin where the configuration asks for it."""
    return (SPIKING, ANN) if config.baseline else (SPIKING,)


Job = tuple[str, int, Task, Fitted]


def _train(
    recipe: Recipe, config: TrainConfig, parts: Parts, folder: RunFolder, stop: StopRequest, ranks: Ranks
) -> tuple[list[Job], set[str]]:
    seeds = range(config.seed, config.seed + config.seeds)
    jobs = [(variant, seed) for variant in variants_of(config) for seed in seeds]
    trained: list[Job] = []
    kernels: set[str] = set()
    folder = RunFolder(Path(ranks.told(str(folder.path))))
    total = len(parts.train) * config.epochs * len(jobs)
    with show_progress(total, config.epochs) if ranks.first else contextlib.nullcontext(Silent()) as progress:
        progress.note(f"{parts.name}: {sizes_text(parts.sizes)} images")
        for variant, seed in jobs:
            progress.start(f"{'ANN ' if variant == ANN else ''}seed {seed}")
            task = build(recipe, config, seed, parts, variant)
            name = f"{variant}-seed-{seed}"
            settings = fit_settings(config, variant)
            fitted = _fit(config, settings, parts, task, folder, name, seed, progress, stop, ranks)
            trained.append((variant, seed, task, fitted))
            chosen = f"chose epoch {fitted.best.epoch}, validation {100 * fitted.best.validation_accuracy:.1f} %"
            progress.note(f"{'ANN ' if variant == ANN else ''}seed {seed}: {chosen}")
            kernels |= set(last_kernels())
    return trained, kernels


def _test(jobs: list[Job], parts: Parts, stop: StopRequest) -> list[Trained]:
    # Only here, when nothing can be chosen any more, is the test set looked at.
    return [
        Trained(variant, seed, task, fitted, last_look(task, parts.test, seed, lambda: _obey(stop)))
        for variant, seed, task, fitted in jobs
    ]


def last_look(task: Task, test: Labelled, seed: int, between: Callable[[], None] | None = None) -> Evaluation:
    """The one look at the test set."""
    return evaluate(task, test, seed=derive_seed(seed, "test"), between=between)


def _fit(
    config: TrainConfig, settings: FitSettings, parts: Parts, task: Task, folder: RunFolder, name: str, seed: int,
    progress: Progress, stop: StopRequest, ranks: Ranks,
) -> Fitted:  # fmt: skip
    keep = Keep(folder.path / "checkpoint" / name, {"data": parts.fingerprint}, every=config.keep.every)
    observer = _observer(config, folder, name, progress) if ranks.first else Several([])
    try:
        return fit(
            task, settings, parts.train, parts.validation, seed=seed, observer=observer, keep=keep, stop=stop,
            ranks=ranks,
        )  # fmt: skip
    except SpikeloomError as error:
        if not isinstance(error, StoppedError):
            error.add_note(f"while training {name}")
        raise
    finally:
        observer.close()


def _observer(config: TrainConfig, folder: RunFolder, name: str, progress: Progress) -> Several:
    log, every = folder.make("log"), config.keep.log_every
    observers: list[Observer] = [progress, JsonLines(log / f"{name}.jsonl", every)]
    if config.keep.tensorboard:
        observers.append(TensorBoard(log / name, every))
    return Several(observers)


def _obey(stop: StopRequest) -> None:
    if stop:
        raise StoppedError("stopped after the training, before the end of the test", number=stop.number)
