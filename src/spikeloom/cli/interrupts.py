"""Ctrl-C, and SIGTERM, at awkward moments."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class Interrupts:
    """Within the block a Ctrl-C raises KeyboardInterrupt, as usual, and ``seen`` remembers it.

    A library whose import is interrupted may turn the KeyboardInterrupt into an error of its own. SIGTERM does what a
    Ctrl-C does at that moment; ``number`` says which of both came first, 0 where none did.
    """

    def __init__(self) -> None:
        self.seen, self.number = False, 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            handlers = {signal.SIGINT: self._note, signal.SIGTERM: self._terminate}
            self._before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, *_: object) -> None:
        self.seen, self.number = True, self.number or signal.SIGINT
        raise KeyboardInterrupt

    def _terminate(self, *_: object) -> None:
        self.number = self.number or signal.SIGTERM
        signal.raise_signal(signal.SIGINT)  # whoever waits for a Ctrl-C hears of it


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[None]:
    """A first Ctrl-C takes effect at the end of the block: the initialisation of torch aborts on one in its midst."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = 0

    def note(*_: object) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
