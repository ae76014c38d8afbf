"""A polite end: a signal asks, and the training stops where it can be taken up again."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from ..errors import SpikeloomError


class StoppedError(SpikeloomError):
    """A training ended early because signal ``number`` asked it to; what was done is saved."""

    def __init__(self, what: str, *, number: int, mend: str = "") -> None:
        super().__init__(what, mend=mend)
        self.number = number

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.what, self.number, self.mend)


def _rebuild(what: str, number: int, mend: str) -> StoppedError:
    return StoppedError(what, number=number, mend=mend)


class StopRequest:
    """Remembers which signal asked to stop; 0: none."""

    def __init__(self) -> None:
        self.number = 0

    def __bool__(self) -> bool:
        return self.number != 0


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the block SIGTERM and the first Ctrl-C only set the request; a second Ctrl-C interrupts at once.

    Outside the main thread, where signals cannot be caught, nothing changes.

    >>> with stop_on_signals() as stop:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     bool(stop)
    True
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        if request and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.number = number

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
