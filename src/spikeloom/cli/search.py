"""``spikeloom search RECIPE``: optuna looks for settings of a recipe."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import ConfigError, did_you_mean
from ..recipes import RECIPES
from ..recipes.common import require
from ..recipes.recipe import Recipe
from ..recipes.space import Space, can_vary, parse_space
from ..train.progress import show_status
from .interrupts import interrupts_deferred
from .options import near_options, option_names, parse

_OWN = ("--trials", "--objective")
# Whose choice changes what the loss means.
_LOSS = tuple(f"readout.{name}" for name in ("loss", "smoothing", "scale", "right", "wrong", "lead"))


@dataclass(frozen=True)
class SearchConfig:
    """How a search goes."""

    trials: int = 50
    """Number of trials of the study, over all processes and all times it went on."""
    objective: Literal["loss", "accuracy"] = "loss"
    """What of the validation is optimised, in the epoch that was chosen on it."""

    def __post_init__(self) -> None:
        require("trials", self.trials, low=1, high=1_000_000)


def run(arguments: Sequence[str]) -> None:
    """Read what to vary and what to fix, search, print the best settings as a command."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return
    recipe = _recipe(arguments[0])
    if {"-h", "--help"} & set(arguments):
        print(usage_of(recipe))
        return
    vary, own, fixed = split(arguments[1:])
    prog = f"spikeloom search {recipe.name}"
    how = parse(SearchConfig(), own, prog=prog, description="")
    # One seed tells settings apart well enough to go on from; the best are then trained with more.
    default = dataclasses.replace(recipe.configure(), seeds=1, name=f"search-{recipe.name}")
    config = parse(default, fixed, prog=prog, description="")
    space = _space(vary, config, how)
    if importlib.util.find_spec("optuna") is None:
        mend = "Run `pip install 'spikeloom[search]'`."
        raise ConfigError("a search needs the package optuna, which is not installed", mend=mend)
    with show_status("loading"), interrupts_deferred():
        module = importlib.import_module("spikeloom.cli.search_run")
    module.search_and_report(recipe, config, space, how)


def split(arguments: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """What stands after ``--vary``, the options of the search, and those of the recipe.

    >>> split(["--vary", "a=1:2", "b=x,y", "--trials", "9", "--epochs", "3"])
    (['a=1:2', 'b=x,y'], ['--trials', '9'], ['--epochs', '3'])
    """
    vary: list[str] = []
    own: list[str] = []
    fixed: list[str] = []
    target = fixed
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("--"):
            target = vary if name == "--vary" else own if name in _OWN else fixed
            if target is vary:
                vary += [value] if equals else []
                continue
        target.append(argument)
    return vary, own, fixed


def train_command(recipe: Recipe, config: Any) -> str:
    """The command line that trains ``config``, except for where, how often and with how many threads.

    >>> from spikeloom.recipes import digits
    >>> train_command(RECIPES[0], dataclasses.replace(digits(), epochs=3))
    'spikeloom train digits --epochs 3'
    """
    words = ["spikeloom", "train", recipe.name]
    for option in option_names(recipe.configure()):
        name = option.replace("-", "_")
        if name in ("out", "name", "seeds", "threads") or name.startswith("keep."):
            continue
        value, default = _field(config, name), _field(recipe.configure(), name)
        if value != default:
            words += _option(option, value)
    return shlex.join(words)


def usage() -> str:
    """The text of ``spikeloom search --help``."""
    width = max(len(recipe.name) for recipe in RECIPES)
    return "\n".join(
        [
            "usage: spikeloom search RECIPE --vary NAME=VALUES ... [--trials N] [--objective loss|accuracy]",
            "                        [--name STUDY] [--field value ...]",
            "",
            "Tries settings of a recipe (with optuna) and judges them on the validation set, never on the test set.",
            "",
            "  --vary       what to try, for instance  optimiser.learning_rate=log:1e-4:1e-1  neuron.tau=2:50",
            "               neuron.width=64:256:64  optimiser.schedule=cosine,constant",
            f"  --trials     trials of the study, over all processes (default: {SearchConfig().trials})",
            "  --objective  the lowest validation loss (default), or the highest validation accuracy",
            "  --name       the study; its folder is runs/STUDY (default: search-RECIPE)",
            "",
            "All other options are those of `spikeloom train RECIPE` and stay the same in all trials; --seeds is 1.",
            "The same command again goes on with the study, also from several terminals at once.",
            "",
            "recipes:",
            *(f"  {recipe.name:<{width}}  {recipe.summary}" for recipe in RECIPES),
            "",
            "  `spikeloom search RECIPE --help` lists what can be varied.",
        ]
    )


def usage_of(recipe: Recipe) -> str:
    """The text of ``spikeloom search RECIPE --help``: the fields that can be varied, with their defaults."""
    config = recipe.configure()
    names = [name for option in option_names(config) if can_vary(config, name := option.replace("-", "_"))]
    width = max(map(len, names))
    lines = [f"  {name:<{width}}  {_field(config, name)}" for name in names]
    title = f"fields of {recipe.name} that can be varied, with their defaults:"
    return "\n".join([*usage().splitlines()[:16], "", title, *lines])


def _recipe(name: str) -> Recipe:
    by_name = {recipe.name: recipe for recipe in RECIPES}
    if name not in by_name:
        mend = f"{did_you_mean(name, by_name)} See `spikeloom list`."
        raise ConfigError("there is no such recipe", got=repr(name), mend=mend)
    return by_name[name]


def _space(vary: Sequence[str], config: Any, how: SearchConfig) -> Space:
    known = [option.replace("-", "_") for option in option_names(config)]

    def near(name: str) -> str:
        varied = [name for name in known if can_vary(config, name)]
        found = near_options(name.lstrip("-").replace("-", "_"), varied, prefix="")
        return f"{found} `spikeloom search RECIPE --help` lists what can be varied.".strip()

    space = parse_space(vary, config, near)
    if config.baseline:
        raise ConfigError("a search trains the spiking network only", got="--baseline", mend="Leave it out.")
    changed = [name for name in _LOSS if name in space]
    if changed and how.objective == "loss":
        mend = "Add --objective accuracy."
        raise ConfigError(f"losses of different {changed[0]} cannot be compared", mend=mend)
    return space


def _field(config: Any, name: str) -> Any:
    for part in name.split("."):
        config = getattr(config, part)
    return config


def _option(option: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        head, dot, leaf = option.rpartition(".")
        return [f"--{option}" if value else f"--{head}{dot}no-{leaf}"]
    if isinstance(value, tuple):
        return [f"--{option}", *map(str, value)]
    return [f"--{option}", str(value) if isinstance(value, (str, Path)) else repr(value)]
