"""``spikeloom compare RUN RUN ...``: finished runs side by side."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ..report.compare import read_results, terminal_table, write_comparison
from ..report.page import require_folder
from .evaluate import refuse_simulation
from .options import parse

_DESCRIPTION = (
    "Compare finished runs: accuracy, spikes, energy, training time and parameters as a table, and a page with the "
    "learning curves over each other."
)


@dataclass(frozen=True)
class CompareConfig:
    """What is compared."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN RUN ...")] = ()
    """Folders of runs, such as runs/a runs/b."""
    out: Path = Path("compare.html")
    """The page; a file of that name is replaced."""


def run(arguments: Sequence[str]) -> None:
    """Print the table and write the page."""
    config = parse(CompareConfig(), arguments, prog="spikeloom compare", description=_DESCRIPTION)
    for folder in config.runs:
        refuse_simulation(folder)
    results = read_results(config.runs)
    require_folder(config.out)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    print(terminal_table(results, width))
    write_comparison(config.out, results)
    print(f"\n-> {config.out}")
