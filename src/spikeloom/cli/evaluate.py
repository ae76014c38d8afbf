"""``spikeloom evaluate RUN``: what a finished run does on its test set, and how it stands noise."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..errors import ConfigError
from ..recipes.common import require
from ..train.progress import show_status
from .interrupts import interrupts_deferred
from .options import parse

_DESCRIPTION = (
    "Evaluate the chosen model of every seed of a finished run, beside its ANN twin where one was trained, and write "
    "evaluation.json into its folder. With --noise, measure also how accuracy falls under noise, spike deletion and "
    "jitter, weight noise and dead neurons, and write robustness.json and robustness.html."
)

# None passes the parser, so that the error for no run is ours.
NamedRun = Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help_behavior_hint="(required)")]


@dataclass(frozen=True)
class DataRoot:
    """Where the data are now."""

    root: Path | None = None
    """Folder of the data; None: where they were when the run was made."""


@dataclass(frozen=True)
class EvaluateConfig:
    """What is evaluated."""

    run: NamedRun = None
    """Folder of the run, such as runs/a."""
    split: Literal["test", "validation"] = "test"
    """The part of the data."""
    seed_of_run: int | None = None
    """The seed of training whose model is evaluated; None: all."""
    noise: bool = False
    """Whether the robustness curves are measured."""
    noise_images: int = 2000
    """Images for the curves, drawn at random from the split; 0: all."""
    noise_repeats: int = 3
    """Repeats of each disturbance with other random numbers."""
    data: DataRoot = field(default_factory=DataRoot)

    def __post_init__(self) -> None:
        require("noise-images", self.noise_images, low=0)
        require("noise-repeats", self.noise_repeats, low=1, high=10_000)


def run(arguments: Sequence[str]) -> None:
    """Evaluate, print the table, write the files."""
    config = parse(EvaluateConfig(), arguments, prog="spikeloom evaluate", description=_DESCRIPTION)
    folder = named_run(config.run, "evaluate")
    with show_status("loading"), interrupts_deferred():
        module = importlib.import_module("spikeloom.cli.evaluate_run")
    module.run(folder, config)


def named_run(folder: Path | None, command: str) -> Path:
    """The folder of a run that was named, checked before torch is imported.

    Raises :class:`ConfigError` where none was, or where it is no folder.
    """
    mend = f"Name the folder of a run: `spikeloom {command} runs/NAME`."
    if folder is None:
        raise ConfigError("no run was named", mend=mend)
    if not folder.is_dir():
        got = f"{folder}, which {'is a file' if folder.exists() else 'does not exist'}"
        raise ConfigError("there is no such run", got=got, mend=mend)
    refuse_simulation(folder)
    return folder


def refuse_simulation(folder: Path) -> None:
    """Raises :class:`ConfigError` where ``folder`` is that of ``spikeloom simulate``."""
    if (folder / "result.json").is_file() and not (folder / "config.json").exists():
        mend = f"Its figures are in {folder / 'summary.json'}, its page is {folder / 'report.html'}."
        raise ConfigError("this takes trainings only", got=f"{folder}, a simulated network", mend=mend)
