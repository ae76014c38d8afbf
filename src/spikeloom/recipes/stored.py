"""A run read back from its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import ConfigError, FileError, did_you_mean
from ..storage.checkpoint import load_checkpoint
from ..storage.files import file_error
from ..train.evaluate import Task
from ..train.history import Epoch
from ..train.loop import Fitted
from ..train.snapshot import load_network
from ..train.threads import torch_threads
from . import RECIPES
from .classification import last_look, variants_of
from .common import TrainConfig
from .problem import SPIKING, Parts, build, problem_of
from .recipe import Recipe
from .settings_file import config_from, read_settings
from .trained import Trained
from .training_page import write_page

Facts = dict[str, Any]


@dataclass(frozen=True)
class StoredRun:
    """A finished run: its recipe, its configuration and what ``summary.json`` says."""

    path: Path
    recipe: Recipe
    config: TrainConfig
    summary: Facts

    @cached_property
    def _parts(self) -> Parts:
        parts = problem_of(self.recipe).load(self.config)
        then, now = self.summary["dataset"]["fingerprint"], parts.fingerprint
        if then != now:
            mend = "Name the folder of the data it was made with: --data.root PATH."
            raise ConfigError(f"the data are not those of {self.path}", got=now, expected=then, mend=mend)
        return parts

    def parts(self) -> Parts:
        """The data, split as in the run. Raises :class:`ConfigError` when they are others."""
        return self._parts

    def task(self, seed: int, variant: str = SPIKING) -> Task:
        """The network of one seed with the weights that were chosen.

        Raises :class:`FileError` when the checkpoint is missing, damaged or of another network.
        """
        task = build(self.recipe, self.config, seed, self.parts(), variant)
        path = self.path / "checkpoint" / f"{variant}-seed-{seed}" / "best.json"
        load_network(task.net, load_checkpoint(path).tensors, path)
        return task


def open_run(path: Path | str) -> StoredRun:
    """The finished run in the folder ``path``.

    Raises :class:`FileError` when it is not one, has not finished, or is damaged.
    """
    path = Path(path)
    name, plain = read_settings(path)
    known = {recipe.name: recipe for recipe in RECIPES}
    if name not in known:
        raise FileError(f"{path} was made by an unknown recipe", got=repr(name), mend=did_you_mean(name, known))
    recipe = known[name]
    if not (path / "summary.json").exists():
        mend = f"Go on with `spikeloom train --resume {path}`."
        raise FileError(f"the run {path} has not finished", mend=mend)
    summary = _read(path / "summary.json")
    missing = [part for part in ("dataset", "metrics", "per_seed", "energy") if part not in summary]
    if missing:
        raise FileError(f"{path / 'summary.json'} is not the summary of a run: it has no {missing[0]}")
    return StoredRun(path, recipe, config_from(recipe.configure(), plain, str(path)), summary)


def write_report(stored: StoredRun) -> None:
    """Make ``report.html`` of a finished run again."""
    history = _read(stored.path / "history.json")
    trained = []
    with torch_threads(stored.config.threads):
        for variant in variants_of(stored.config):
            seed = stored.config.seed
            task = stored.task(seed, variant)
            rows = tuple(Epoch(**row) for row in history[f"{variant}-seed-{seed}"])
            chosen = load_checkpoint(stored.path / "checkpoint" / f"{variant}-seed-{seed}" / "best.json").meta["epoch"]
            fitted = Fitted(task.net.state_dict(), rows[chosen - 1], rows)
            trained.append(Trained(variant, seed, task, fitted, last_look(task, stored.parts().test, seed)))
        write_page(stored.path, stored.recipe, stored.config, stored.parts(), trained, stored.summary)


def _read(path: Path) -> Facts:
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise file_error("read", path, error) from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise FileError(f"{path} is damaged: it holds no facts")
    return found
