"""What a benchmark is doing, on a terminal; nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def show_bench(stream: TextIO | None = None) -> Iterator[Callable[[str], None]]:
    """A function that shows what goes on beside a moving sign.

    >>> import io
    >>> with show_bench(io.StringIO()) as say:
    ...     say("cuba, round 1 of 7")
    """
    stream = stream or sys.stderr
    if stream is None or not stream.isatty():  # None: a process without standard streams
        yield lambda text: None
        return
    from rich.console import Console

    with Console(file=stream).status("") as status:
        yield status.update
