"""A progress bar on a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .stages import Observer, Progress


@contextmanager
def show(observer: Observer | None) -> Iterator[Observer]:
    """``observer`` itself; for None, a bar per stage if standard error is a terminal, else one that ignores all."""
    if observer is not None:
        yield observer
        return
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
    facts = (TextColumn("loss {task.fields[loss]:.4f}"), TextColumn("{task.speed:.1f}/s"), TimeRemainingColumn())
    with Bars(*columns, *facts, console=Console(file=sys.stderr), transient=True) as bars:
        tasks = {}

        def update(progress: Progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage, total=progress.total, loss=progress.loss)
            bars.update(tasks[progress.stage], completed=progress.done, loss=progress.loss)

        yield update


__all__ = ["show"]
