"""``spikeloom train RECIPE``: every field of the recipe's configuration is an option."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError, did_you_mean
from ..recipes import RECIPES, Recipe
from ..recipes.settings_file import changed_fields, config_from, forget_settings, read_settings, write_settings
from ..train.progress import show_status
from ..train.ranks import ranks_from
from ..train.run_folder import RunFolder, alone, open_run_folder, plain_config, reopen_run_folder
from ..train.stop import StoppedError
from .interrupts import interrupts_deferred
from .options import parse

_RESUME = "--resume"
SIGNAL = 128


def run(arguments: Sequence[str]) -> None:
    """Find the recipe, let the options override its configuration, train."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return
    if arguments[0] == _RESUME:
        recipe, config, folder = _from_folder(arguments[1:])
        resume = True
    else:
        recipe = _recipe(arguments[0])
        resume = _RESUME in arguments
        options = [argument for argument in arguments[1:] if argument != _RESUME]
        config = _parsed(recipe, recipe.configure(), options, f"spikeloom train {recipe.name}")
        folder = _named(config, recipe) if resume else None
    ranks = ranks_from(os.environ)
    # The folder comes first: it is refused at once, while the module that trains takes seconds to import torch.
    with (
        _opened(recipe, config, folder) if ranks.first else _theirs(folder) as opened,
        alone(opened.path) if ranks.first else contextlib.nullcontext(),
    ):
        # Every process looks, so that none waits for others that have left.
        if resume and (opened.path / "summary.json").exists():
            if ranks.first:
                print(f"{opened.path} is finished: there is nothing left to do.")
            return
        with show_status("loading") if ranks.first else contextlib.nullcontext(), interrupts_deferred():
            runner = importlib.import_module("spikeloom.recipes.classification")
        runner.run(recipe, config, opened, ranks)


def _recipe(name: str) -> Recipe:
    by_name = {recipe.name: recipe for recipe in RECIPES}
    if name not in by_name:
        mend = f"{did_you_mean(name, by_name)} See `spikeloom list`."
        raise ConfigError("there is no such recipe", got=repr(name), mend=mend)
    return by_name[name]


def _parsed(recipe: Recipe, default: Any, options: Sequence[str], prog: str) -> Any:
    return parse(default, options, prog=prog, description=f"Train: {recipe.summary}.")


def _from_folder(arguments: Sequence[str]) -> tuple[Recipe, Any, Path]:
    """``--resume RUN``: recipe and configuration are those of the folder."""
    if not arguments or arguments[0].startswith("-"):
        raise ConfigError("no run was named", mend="Name its folder: `spikeloom train --resume runs/NAME`.")
    folder = Path(arguments[0])
    name, plain = read_settings(folder)
    recipe = _recipe(name)
    config = config_from(recipe.configure(), plain, str(folder))
    config = _parsed(recipe, config, arguments[1:], "spikeloom train --resume RUN")
    return recipe, config, folder


def _named(config: Any, recipe: Recipe) -> Path:
    """``RECIPE --name NAME --resume``: the folder of that name."""
    if not config.name:
        mend = (
            f"Name it: `spikeloom train {recipe.name} --name NAME --resume`, or `spikeloom train --resume runs/NAME`."
        )
        raise ConfigError("which run should go on?", mend=mend)
    return Path(config.out) / config.name


@contextlib.contextmanager
def _opened(recipe: Recipe, config: Any, folder: Path | None) -> Iterator[RunFolder]:
    """A new folder with its ``config.json``, or the one to go on with, made from the same configuration."""
    if folder is None:
        with open_run_folder(config.out, config.name, recipe.name) as opened:
            write_settings(opened, recipe.name, config)
            try:
                yield opened
            except BaseException:
                forget_settings(opened)
                raise
        return
    name, then = read_settings(folder)
    if name != recipe.name:
        raise ConfigError(f"{folder} is a run of another recipe", got=recipe.name, expected=name)
    # A run of an older version lacks fields: it was trained as their defaults say.
    then = plain_config(config_from(recipe.configure(), then, str(folder)))
    changed = changed_fields(then, plain_config(config))
    if changed:
        mend = "Leave these options as they were, or start a new run."
        raise ConfigError(f"{folder} was begun with another configuration: {'; '.join(changed)}", mend=mend)
    with reopen_run_folder(folder) as opened:
        yield opened


@contextlib.contextmanager
def _theirs(folder: Path | None) -> Iterator[RunFolder]:
    """For all processes but the first, which checks and opens the folder and tells them where a new one is."""
    try:
        yield RunFolder(folder or Path())
    except StoppedError as error:
        raise SystemExit(SIGNAL + error.number) from error  # the first one says it


def usage() -> str:
    """The text of ``spikeloom train --help``."""
    width = max(len(recipe.name) for recipe in RECIPES)
    lines = [f"  {recipe.name:<{width}}  {recipe.summary}" for recipe in RECIPES]
    return "\n".join(
        [
            "usage: spikeloom train RECIPE [--field value ...]",
            "       spikeloom train RECIPE [...] --name NAME --resume",
            "       spikeloom train --resume runs/NAME",
            "",
            "Trains a network and writes summary, report, log and checkpoints to runs/<name>/. Ctrl-C, SIGTERM and",
            "even a power cut lose nothing but the work since the last checkpoint: --resume goes on, to the bit as if",
            "nothing had happened.",
            "",
            "recipes:",
            *lines,
            "",
            "  `spikeloom train RECIPE --help` lists every field with its default.",
        ]
    )
