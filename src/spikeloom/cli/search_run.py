"""Runs a search, shows how it goes, and writes what came out."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ConfigError, FileError
from ..recipes.recipe import Recipe
from ..recipes.search import JOURNAL, Plan, Tried, Watch, best, reporting, search
from ..recipes.space import Choice, Space, Span, with_values
from ..report.search import write_search_report
from ..report.trials import SearchReport, Trial
from ..storage.files import file_error
from ..train.history import Step
from ..train.provenance import machine, package_version, versions
from ..train.run_folder import RunFolder, plain_config
from ..train.stop import StoppedError, stop_on_signals
from .search import SearchConfig, train_command

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FILES = ("study.json", "study.html")


def search_and_report(recipe: Recipe, config: Any, space: Space, how: SearchConfig) -> None:
    """Search, then print the best settings and write ``study.json`` and ``study.html`` beside the journal.

    Raises :class:`StoppedError` after a signal, when all that is known is written.
    """
    plan = Plan(recipe, config, space, how.objective, how.trials)
    folder = study_folder(Path(config.out), config.name)
    with stop_on_signals() as stop, show_trials(plan) as watch:
        search(plan, folder.path, stop, watch)
    with reporting(plan, folder.path) as tried:
        text = summarise(plan, folder, tried)
    print(text)
    if stop:
        what = f"stopped; the {len(tried)} trials that ended are kept in {folder.path}"
        raise StoppedError(what, number=stop.number, mend="The same command goes on.")


def study_folder(out: Path, name: str) -> RunFolder:
    """Make ``out/name``, or take it again where it holds a study.

    Raises :class:`ConfigError` for a name that is no plain folder name and :class:`FileError` for a folder that holds
    something else or cannot be used.
    """
    if not _NAME.fullmatch(name):
        expected = "letters, digits, dots, hyphens and underscores"
        raise ConfigError("the name of a study must be a plain folder name", got=repr(name), expected=expected)
    path = out / name
    try:
        path.mkdir(parents=True, exist_ok=True)
        found = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise file_error("write", path, error) from error
    foreign = [entry for entry in found if not entry.startswith((JOURNAL, "study.", ".study."))]
    if foreign:
        mend = "Choose another --name."
        raise FileError(f"{path} holds something other than a study", got=foreign[0], mend=mend)
    return RunFolder(path)


def summarise(plan: Plan, folder: RunFolder, tried: Sequence[Tried]) -> str:
    """Write the files of the study; return what there is to say."""
    winner = best(tried, plan.objective)
    command = train_command(plan.recipe, with_values(plan.config, winner.settings)) if winner else None
    facts = {
        "recipe": plan.recipe.name,
        "objective": f"validation_{plan.objective}",
        "space": {name: str(values) for name, values in plan.space.items()},
        "config": plain_config(plan.config),
        "trials": [dataclasses.asdict(trial) for trial in tried],
        "best": dataclasses.asdict(winner) | {"command": command} if winner else None,
        "versions": versions() | {"optuna": package_version("optuna")},
        "machine": machine(),
    }
    folder.write_json(_FILES[0], facts)
    counts = {state: sum(trial.state == state for trial in tried) for state in ("pruned", "failed")}
    text = f"{plan.recipe.name}: {len(tried)} trials"
    text += f", {counts['pruned']} of them cut short" if counts["pruned"] else ""
    text += f", {counts['failed']} failed" if counts["failed"] else ""
    if winner is None or command is None:
        reasons = [trial.told["reason"] for trial in tried if "reason" in trial.told]
        return f"{text}; none was completed" + (f". The last failed: {reasons[-1]}" if reasons else "")
    write_search_report(folder.path / _FILES[1], _report(plan, folder, tried, command))
    loss, accuracy = winner.told["validation_loss"], 100 * winner.told["validation_accuracy"]
    figures = {"loss": f"lowest validation loss {loss:.4g} (accuracy {accuracy:.2f} %)"}
    figures["accuracy"] = f"highest validation accuracy {accuracy:.2f} % (loss {loss:.4g})"
    return "\n".join(
        [
            text,
            f"{figures[plan.objective]} in trial {winner.number}",
            "",
            "train the best settings with:",
            f"  {command}",
            "",
            f"-> {folder.path / _FILES[1]}",
        ]
    )


def _report(plan: Plan, folder: RunFolder, tried: Sequence[Tried], command: str) -> SearchReport:
    varied = {f"{name} (varied)": str(values) for name, values in plan.space.items()}
    return SearchReport(
        title=folder.path.name,
        quantity=f"validation {plan.objective}",
        lower=plan.objective == "loss",
        trials=[Trial(t.number, t.state, t.value, t.settings) for t in tried],
        logarithmic=frozenset(n for n, values in plan.space.items() if isinstance(values, Span) and values.log),
        choices={n: values.values for n, values in plan.space.items() if isinstance(values, Choice)},
        command=command,
        searched=varied | plan.settings(),
    )


@contextmanager
def show_trials(plan: Plan) -> Iterator[Watch]:
    """A bar over the trials when standard error is a terminal, else nothing."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield Watch()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=16), TextColumn("{task.fields[facts]}"))
    console = Console(file=sys.stderr)
    with Progress(*columns, TimeRemainingColumn(compact=True), console=console, transient=True) as bar:
        yield _Bar(bar, plan)


class _Bar(Watch):
    """Trials that ended, the one that runs, and the best so far."""

    def __init__(self, bar: Any, plan: Plan) -> None:
        self._bar, self._plan = bar, plan
        self._task = bar.add_task("", total=plan.trials, facts="")
        self._best, self._number, self._loss = "", 0, ""

    def begin(self, number: int, settings: dict[str, Any]) -> None:
        self._number, self._loss = number, ""
        self._draw("")

    def step(self, done: Step) -> None:
        self._loss = f"  epoch {done.epoch}, loss {done.loss:.3f}"
        self._draw(self._loss)

    def judged(self, tried: Sequence[Tried]) -> None:
        winner = best(tried, self._plan.objective)
        if winner is not None and winner.value is not None:
            value = f"{winner.value:.4g}" if self._plan.objective == "loss" else f"{100 * winner.value:.2f} %"
            self._best = f"best {value}"
        self._bar.update(self._task, completed=len(tried))
        self._draw("")

    def _draw(self, now: str) -> None:
        self._bar.update(self._task, description=f"trial {self._number}", facts=f"{self._best}{now}")
