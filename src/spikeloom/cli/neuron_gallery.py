"""``spikeloom neuron gallery``: every model and every preset on one page."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, did_you_mean
from ..train.progress import show_status
from ..train.run_folder import open_run_folder
from .interrupts import interrupts_deferred
from .models import MODELS
from .options import parse


@dataclass(frozen=True)
class GalleryConfig:
    """The gallery of neurons."""

    models: tuple[str, ...] = ()
    """Names of models; none: all of them."""
    out: Path = Path("runs")
    """Folder in which the folder of this run is made."""
    name: str = ""
    """Name of the folder of this run; empty: gallery and the time."""


def run(arguments: Sequence[str]) -> None:
    """Simulate and draw them all."""
    description = "Draw every neuron model and every preset into runs/<name>/gallery.html and gallery.png."
    config = parse(GalleryConfig(), arguments, prog="spikeloom neuron gallery", description=description)
    known = [entry.name for entry in MODELS]
    for name in config.models:
        if name not in known:
            mend = f"{did_you_mean(name, known)} See `spikeloom list`."
            raise ConfigError("there is no such neuron model", got=repr(name), mend=mend)
    with open_run_folder(config.out, config.name, "gallery") as folder:
        with show_status("loading"), interrupts_deferred():
            module = importlib.import_module("spikeloom.cli.neuron_gallery_run")
        module.draw_gallery(config, folder)
