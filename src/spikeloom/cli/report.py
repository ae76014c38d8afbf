"""``spikeloom report RUN``: the report of a finished run, made again from what its folder holds."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..train.progress import show_status
from .bench_pages import draw, is_benchmark
from .evaluate import DataRoot, NamedRun, named_run
from .interrupts import interrupts_deferred
from .options import parse

_DESCRIPTION = (
    "Make report.html of a finished run again. The robustness curves that `spikeloom evaluate RUN --noise` measured "
    "become a part of it. Of a benchmark, its page and its pictures are made again."
)


@dataclass(frozen=True)
class ReportConfig:
    """What is reported."""

    run: NamedRun = None
    """Folder of the run, such as runs/a."""
    data: DataRoot = field(default_factory=DataRoot)


def run(arguments: Sequence[str]) -> None:
    """Read the run, write the page."""
    config = parse(ReportConfig(), arguments, prog="spikeloom report", description=_DESCRIPTION)
    folder = named_run(config.run, "report")
    if is_benchmark(folder):
        for path in draw(folder):
            print(f"-> {path}")
        return
    with show_status("loading"), interrupts_deferred():
        module = importlib.import_module("spikeloom.cli.report_run")
    module.run(folder, config)
