"""A bar over simulated time, with the real-time factor; nothing where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Progress = Callable[[float, float, float], None]


@contextmanager
def show_simulation(text: str, stream: TextIO | None = None) -> Iterator[Progress]:
    """What ``Network.run`` calls with simulated ms, all of them, and the seconds since the start.

    >>> import io
    >>> with show_simulation("4 synapses", io.StringIO()) as progress:
    ...     progress(10.0, 100.0, 0.5)
    """
    stream = stream or sys.stderr
    if stream is None or not stream.isatty():  # None: a process without standard streams
        yield lambda done, total, seconds: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[facts]}"))
    left = TimeRemainingColumn(compact=True)
    with Bars(*columns, left, console=Console(file=stream), transient=True) as bars:
        task = bars.add_task(text, total=None, facts="compiling on the first run")

        def update(done: float, total: float, seconds: float) -> None:
            facts = f"{done:,.0f} of {total:,.0f} ms{speed(done, seconds)}"
            bars.update(task, completed=done, total=total, facts=facts)

        yield update


def speed(done: float, seconds: float) -> str:
    """How simulated time compares with that of the clock.

    >>> speed(1000.0, 0.25), speed(10.0, 0.5)
    ('  4x real time', '  1/50 of real time')
    """
    factor = done / 1e3 / max(seconds, 1e-9)
    if not factor:
        return ""
    return f"  {factor:.3g}x real time" if factor >= 1.0 else f"  1/{1.0 / factor:.3g} of real time"


__all__ = ["Progress", "show_simulation", "speed"]
