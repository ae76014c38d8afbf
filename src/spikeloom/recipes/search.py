"""Looks for settings with optuna: many trainings, each judged on the validation set, the hopeless ones cut short.

The trials are kept in a journal, a file to which any number of processes on one machine may add at once.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from ..errors import ConfigError, FileError, NonFiniteError
from ..storage.files import file_error, to_json
from ..train.history import Epoch, Step
from ..train.loop import Fitted, fit
from ..train.seeds import derive_seed
from ..train.snapshot import require_same
from ..train.stop import StoppedError, StopRequest
from ..train.threads import torch_threads
from .classification import fit_settings
from .problem import Parts, build, problem_of
from .recipe import Recipe
from .space import Choice, Space, with_values

Objective = Literal["loss", "accuracy"]
JOURNAL, _STUDY = "journal.log", "search"
_REPORT = ".study"
_JUDGED = (TrialState.COMPLETE, TrialState.PRUNED)
_MADE, _PROCESS, _TOLD = "made", "process", "told"


@dataclass(frozen=True)
class Plan:
    """What is looked for: the best ``objective`` on validation over ``space``, all else as in ``config``.

    Trials are counted over all processes and all times the study went on, until there are ``trials``.
    """

    recipe: Recipe
    config: Any
    space: Space
    objective: Objective
    trials: int

    def settings(self) -> dict[str, Any]:
        """What may not change while a study goes on."""
        kept = ("out", "name", "threads", "keep", *(name for name in self.space if "." not in name))
        fixed = {name: value for name, value in dataclasses.asdict(self.config).items() if name not in kept}
        varied = {f"--vary {name}": str(values) for name, values in self.space.items()}
        settings = {"recipe": self.recipe.name, "objective": self.objective} | varied | _flat(fixed, self.space)
        return json.loads(to_json(settings))  # as it comes back from the journal


@dataclass(frozen=True)
class Tried:
    """One trial that has ended; ``value`` is what was to be optimised, None where nothing could be measured.

    ``settings`` are the varied fields; ``state`` is "complete", "pruned" (cut short) or "failed"; ``told`` says why a
    trial failed, and in a complete one holds the validation loss and accuracy of the chosen epoch.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    value: float | None
    settings: dict[str, Any]
    told: dict[str, Any]


class Watch:
    """Hears of the trials of this process; the base class does nothing with it."""

    def begin(self, number: int, settings: dict[str, Any]) -> None:
        """A trial begins."""

    def step(self, done: Step) -> None:
        """A step of its training is done."""

    def judged(self, tried: Sequence[Tried]) -> None:
        """A trial has ended; ``tried`` are all of the study."""


@contextmanager
def open_study(folder: Path, plan: Plan) -> Iterator[optuna.Study]:
    """The study in ``folder``, made if it is not there.

    Raises :class:`ConfigError`, naming the fields, when it was made with another plan (the number of trials may
    change), and :class:`FileError` when its journal cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # The lock is a file beside the journal; a relative path would be read from another folder.
    path = (folder / JOURNAL).absolute()
    direction = "minimize" if plan.objective == "loss" else "maximize"
    try:
        backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
        _drop_half_line(path)
        study = optuna.create_study(
            storage=JournalStorage(backend),
            study_name=_STUDY,
            direction=direction,
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, plan.config.epochs // 5)),
        )
        made = study.user_attrs.get(_MADE)
        if made is None:
            study.set_user_attr(_MADE, plan.settings())
    except FileError:
        raise
    except OSError as error:
        raise file_error("write", path, error) from error
    except (ValueError, KeyError, TypeError) as error:
        mend = "Move the folder away to start anew."
        raise FileError(f"{path} is no journal of a search, or was damaged", got=str(error)[:120], mend=mend) from None
    if made is not None:
        # A study of an older version lacks fields: it was made as their defaults say.
        defaults = dataclasses.replace(plan, config=plan.recipe.configure()).settings()
        require_same({**defaults, **made}, plan.settings(), str(folder))
    yield study


def search(plan: Plan, folder: Path, stop: StopRequest, watch: Watch) -> list[Tried]:
    """Try until the study in ``folder`` has ``plan.trials`` trials, or until ``stop``; return all trials that ended.

    Each trial trains ``config.seeds`` networks from the same seeds, and is judged by the mean over them of the
    validation loss or accuracy of the chosen epoch. A trial whose first network does worse than the median of the
    others at the same epoch is cut short. The test set is dropped before the first trial. A training that diverges and
    settings that exclude each other count as trials with the worst outcome.
    """
    with open_study(folder, plan) as study, torch_threads(plan.config.threads):
        _bury_the_dead(study)
        parts: Parts | None = None
        while not stop and len(_claimed(study)) < plan.trials:
            parts = parts or _without_test(problem_of(plan.recipe).load(plan.config))
            trial = study.ask()
            trial.set_user_attr(_PROCESS, _process())
            if _surplus(study, trial.number, plan.trials):
                study.tell(trial, state=TrialState.FAIL)
                break
            study.sampler = _sampler(plan.config.seed, trial.number)
            try:
                _run(plan, study, trial, parts, stop, watch)
            except StoppedError:
                break
            watch.judged(tried(study))
        return tried(study)


def tried(study: optuna.Study) -> list[Tried]:
    """The trials that have ended, in order, without those that were interrupted."""
    names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    found = []
    for trial in study.get_trials(deepcopy=False):
        told = trial.user_attrs.get(_TOLD)
        if trial.state in names and told is not None:
            state = "failed" if "reason" in told else names[trial.state]
            value = None if state == "failed" else trial.value
            found.append(Tried(trial.number, state, value, told.get("settings", {}), told))  # type: ignore[arg-type]
    return found


@contextmanager
def reporting(plan: Plan, folder: Path) -> Iterator[list[Tried]]:
    """All trials that have ended, of which to write in the block; other processes wait with theirs until it is over.

    So what is written last tells of all trials. Raises as :func:`open_study`.
    """
    with _locked(folder / _REPORT), open_study(folder, plan) as study:
        yield tried(study)


def best(trials: Sequence[Tried], objective: Objective) -> Tried | None:
    """The complete trial with the best value, the first of equal ones; None where there is none."""
    complete = [t for t in trials if t.state == "complete" and t.value is not None]
    sign = 1.0 if objective == "loss" else -1.0
    return min(complete, key=lambda t: (sign * (t.value or 0.0), t.number), default=None)


def _run(plan: Plan, study: optuna.Study, trial: optuna.Trial, parts: Parts, stop: StopRequest, watch: Watch) -> None:
    """One trial, told to the study however it ends."""
    state, value, told = TrialState.FAIL, None, None
    settings: dict[str, Any] = {}
    try:
        settings = _suggested(plan.space, trial)
        watch.begin(trial.number, settings)
        fitted = _train(plan, with_values(plan.config, settings), trial, parts, stop, watch)
        losses = [each.best.validation_loss for each in fitted]
        accuracies = [each.best.validation_accuracy for each in fitted]
        told = {
            "settings": settings,
            "validation_loss": float(np.mean(losses)),
            "validation_accuracy": float(np.mean(accuracies)),
            "epochs": [each.best.epoch for each in fitted],
        }
        state, value = TrialState.COMPLETE, told[f"validation_{plan.objective}"]
    except optuna.TrialPruned:
        state, told = TrialState.PRUNED, {"settings": settings}
    except (NonFiniteError, ConfigError) as error:
        # To the sampler a pruned trial without a value is one of the worst.
        state, told = TrialState.PRUNED, {"settings": settings, "reason": str(error)}
    finally:
        if told is not None:
            trial.set_user_attr(_TOLD, told)
        study.tell(trial, value, state=state)


def _train(plan: Plan, config: Any, trial: optuna.Trial, parts: Parts, stop: StopRequest, watch: Watch) -> list[Fitted]:
    fitted = []
    for seed in range(config.seed, config.seed + config.seeds):
        task = build(plan.recipe, config, seed, parts)
        observer = _Judge(trial if seed == config.seed else None, plan.objective, watch)
        settings = fit_settings(config)
        fitted.append(fit(task, settings, parts.train, parts.validation, seed=seed, observer=observer, stop=stop))
    return fitted


@dataclass
class _Judge:
    """Reports each epoch to the trial, if there is one, and ends a training that does worse than the median."""

    trial: optuna.Trial | None
    objective: Objective
    watch: Watch

    def begin(self, total: int, samples: int) -> None:
        """Nothing is resumed within a trial."""

    def step(self, done: Step) -> None:
        """Passed on."""
        self.watch.step(done)

    def epoch(self, row: Epoch) -> None:
        """Report, and stop if the pruner says so."""
        if self.trial is not None:
            self.trial.report(row.validation_loss if self.objective == "loss" else row.validation_accuracy, row.epoch)
            if self.trial.should_prune():
                raise optuna.TrialPruned


def _suggested(space: Space, trial: optuna.Trial) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in space.items():
        if isinstance(values, Choice):
            found[name] = trial.suggest_categorical(name, values.values)
        elif values.whole:
            low, high, step = int(values.low), int(values.high), int(values.step or 1)
            found[name] = trial.suggest_int(name, low, high, step=step, log=values.log)
        else:
            number = trial.suggest_float(name, values.low, values.high, step=values.step, log=values.log)
            found[name] = values.rounded(number)
    return found


def _sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    # A seed for each trial: with one for each process, two of them would try the same values.
    key = derive_seed(seed, "search", number) % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # optuna 4 calls the second option experimental
        return optuna.samplers.TPESampler(seed=key, constant_liar=True)


def _without_test(parts: Parts) -> Parts:
    return dataclasses.replace(parts, test=parts.test.take(np.arange(0)))


def _claimed(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that count: judged ones, and those that a process is at work on."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state in _JUDGED or (trial.state == TrialState.RUNNING and _alive(trial))
    ]


def _surplus(study: optuna.Study, number: int, trials: int) -> bool:
    """Whether others, who began before, have taken all the places: two processes may have seen the last free one."""
    return sum(trial.number < number for trial in _claimed(study)) >= trials


def _process() -> list[int]:
    return [zlib.crc32(platform.node().encode()), os.getpid()]


def _alive(trial: FrozenTrial) -> bool:
    """Whether the process of a running trial may still be there."""
    process = trial.user_attrs.get(_PROCESS)
    if process is None:  # it has only just begun, or died at once
        return trial.datetime_start is None or time.time() - trial.datetime_start.timestamp() < 60.0
    if os.name == "nt" or process[0] != _process()[0]:
        return True
    try:
        os.kill(process[1], 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _bury_the_dead(study: optuna.Study) -> None:
    """Trials whose process was killed are told as failed; their settings are not held against them."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not _alive(trial):
            try:
                study.tell(trial.number, state=TrialState.FAIL)
            except (ValueError, RuntimeError):
                continue  # another process was first


def _drop_half_line(path: Path) -> None:
    """Cut off a last line without its end: with a line of the next trial behind it, the journal could not be read."""
    with _locked(path), open(path, "r+b") as file:
        data = file.read()
        if data and not data.endswith(b"\n"):
            file.truncate(data.rfind(b"\n") + 1)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time, by a file beside ``path``; the one that a dead process left is removed after 30 s."""
    lock = JournalFileOpenLock(str(path.absolute()))
    try:
        lock.acquire()
    except OSError as error:
        raise file_error("write", path, error) from error
    try:
        yield
    finally:
        with suppress(RuntimeError):  # we took so long that another process has removed ours
            lock.release()


def _flat(config: dict[str, Any], varied: Space, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, varied, f"{prefix}{name}.")
        elif prefix + name not in varied:
            flat[prefix + name] = str(value) if isinstance(value, Path) else value
    return flat
