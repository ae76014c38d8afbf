"""A progress bar on a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from .history import Epoch, Observer, Step

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress(Observer, Protocol):
    """An observer of several trainings in a row."""

    def start(self, title: str) -> None:
        """The next training begins."""
        ...

    def note(self, text: str) -> None:
        """A line that stays."""
        ...


class Silent:
    """Shows nothing."""

    def start(self, title: str) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """Ignored."""

    def begin(self, total: int, samples: int) -> None:
        """Ignored."""

    def step(self, done: Step) -> None:
        """Ignored."""

    def epoch(self, row: Epoch) -> None:
        """Ignored."""


class Bar:
    """One bar over all trainings: loss, accuracy, spikes per neuron and step, samples/s, time left."""

    def __init__(self, bar: RichProgress, task: TaskID, epochs: int) -> None:
        self._bar, self._task, self._epochs = bar, task, epochs
        self._title, self._checked = "", ""
        self._loss: float | None = None

    def start(self, title: str) -> None:
        """Name the training that begins."""
        self._title, self._checked, self._loss = title, "", None

    def note(self, text: str) -> None:
        """Print above the bar."""
        self._bar.console.print(text, highlight=False, markup=False)

    def begin(self, total: int, samples: int) -> None:
        """Advance by what an earlier run did."""
        self._bar.update(self._task, advance=samples)

    def step(self, done: Step) -> None:
        """Advance by the samples of a step."""
        # A single minibatch jumps about; the eye wants the trend.
        loss = done.loss + done.penalty
        self._loss = loss if self._loss is None else 0.9 * self._loss + 0.1 * loss
        speed = self._bar.tasks[self._task].speed
        facts = f"loss {self._loss:.3f}{self._checked}{f'  {speed:,.0f}/s' if speed else ''}"
        title = f"{self._title} {done.epoch}/{self._epochs}"
        self._bar.update(self._task, advance=done.samples, description=title, facts=facts)

    def epoch(self, row: Epoch) -> None:
        """Remember what the validation said."""
        self._checked = f"  acc {100 * row.validation_accuracy:.1f} %  spikes {row.spikes_per_neuron_step:.3f}"


@contextmanager
def show_progress(total_samples: int, epochs: int, stream: TextIO | None = None) -> Iterator[Progress]:
    """A :class:`Bar` when ``stream`` (default: standard error) is a terminal, else :class:`Silent`.

    The bar shows the loss, the validation accuracy of the last epoch and its spikes per neuron and step, the samples
    per second and the time left.
    """
    stream = stream or sys.stderr
    if not _is_terminal(stream):
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    # Together they fit into 80 columns.
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=10), TextColumn("{task.fields[facts]}"))
    left = TimeRemainingColumn(compact=True)
    with RichProgress(*columns, left, console=Console(file=stream), transient=True) as bar:
        yield Bar(bar, bar.add_task("", total=total_samples, facts=""), epochs)


@contextmanager
def show_status(text: str, stream: TextIO | None = None) -> Iterator[None]:
    """A moving sign and ``text`` on a terminal while the block runs; nothing elsewhere."""
    stream = stream or sys.stderr
    if not _is_terminal(stream):
        yield
        return
    from rich.console import Console

    with Console(file=stream).status(text):
        yield


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()  # None: a process without standard streams
