"""What ``spikeloom report`` does once the options are known; this imports torch."""

from __future__ import annotations

from pathlib import Path

from ..recipes.stored import write_report
from .evaluate_run import opened
from .report import ReportConfig


def run(folder: Path, config: ReportConfig) -> None:
    """Read the run, write the page."""
    stored = opened(folder, config.data.root)
    write_report(stored)
    print(f"-> {folder / 'report.html'}")
