"""A bar over a known number of steps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO


@dataclass(frozen=True)
class Steps:
    """``step(text)`` says which step begins."""

    step: Callable[[str], None]


@contextmanager
def steps_shown(total: int, stream: TextIO | None = None) -> Iterator[Steps]:
    """A bar with the step's name, its number and the time left when ``stream`` (standard error) is a terminal.

    >>> import io
    >>> with steps_shown(2, io.StringIO()) as bar:
    ...     bar.step("first")
    """
    stream = stream or sys.stderr
    if stream is None or not stream.isatty():  # None: a process without standard streams
        yield Steps(lambda text: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, TextColumn("{task.description}"), console=Console(file=stream), transient=True) as bar:
        task = bar.add_task("", total=total)
        begun = 0

        def step(text: str) -> None:
            nonlocal begun
            bar.update(task, completed=begun, description=text.replace("[", r"\["))
            begun += 1

        yield Steps(step)


__all__ = ["Steps", "steps_shown"]
