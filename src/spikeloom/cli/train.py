"""``spikeloom train RECIPE``: every field of the recipe's configuration is an option."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from ..errors import ConfigError, did_you_mean
from ..recipes import RECIPES
from ..train.run_folder import open_run_folder
from .interrupts import interrupts_deferred
from .options import parse


def run(arguments: Sequence[str]) -> None:
    """Find the recipe, let the options override its configuration, train."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return
    by_name = {recipe.name: recipe for recipe in RECIPES}
    name = arguments[0]
    if name not in by_name:
        raise ConfigError(
            "there is no such recipe",
            got=repr(name),
            mend=f"{did_you_mean(name, by_name)} See `spikeloom list`.",
        )
    recipe = by_name[name]
    config = parse(
        recipe.configure(),
        arguments[1:],
        prog=f"spikeloom train {name}",
        description=f"Train: {recipe.summary}.",
    )
    # The folder comes first: it is refused at once, while the module that trains takes seconds to import torch.
    with open_run_folder(config.out, config.name, name) as folder:
        with interrupts_deferred():
            module = importlib.import_module(recipe.module)
        module.run(config, folder)


def usage() -> str:
    """The text of ``spikeloom train --help``."""
    width = max(len(recipe.name) for recipe in RECIPES)
    lines = [f"  {recipe.name:<{width}}  {recipe.summary}" for recipe in RECIPES]
    return "\n".join(
        [
            "usage: spikeloom train RECIPE [--field value ...]",
            "",
            "Trains a network and writes summary, report and checkpoint to runs/<name>/.",
            "",
            "recipes:",
            *lines,
            "",
            "  `spikeloom train RECIPE --help` lists every field with its default.",
        ]
    )
