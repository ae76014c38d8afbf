"""Spikes of a long run, written to a file while it runs: safe against crashes, readable at any moment."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, final

import numpy as np

from ..errors import FileError, StateError
from ..storage.files import Opener, as_path, file_error
from .engine import Chunk
from .spike_blocks import block, end_mark, head

_SYNC_EVERY = 1.0  # seconds: what a power cut may cost


def _open_raw(path: Path) -> BinaryIO:
    # Unbuffered: after a failed write nothing may be left that would be written later, at another place.
    return open(path, "xb", buffering=0)  # type: ignore[return-value]


@final
class SpikeWriter:
    """A file that takes the spikes of a run while it runs, for runs whose spikes do not fit into memory.

    Give it to :meth:`Network.run`, which appends a block about every tenth of a second; several runs in a row go into
    one file. :func:`read_spikes` reads the file, also while it grows. What was written survives a crash of the program,
    and all but the last second a power cut. States that are recorded stay in memory.

    Where the disk is full, FileError is raised, the file stays readable, and what it could not take is kept: once there
    is room, the next run, or :meth:`close`, writes it first. Raises FileError for a file that is there already.

    >>> import tempfile, spikeloom as sl
    >>> net = sl.sim.Network(dt=0.1, seed=1)
    >>> _ = net.poisson(50.0, 100, name="source")
    >>> path = Path(tempfile.mkdtemp()) / "run.spikes"
    >>> with SpikeWriter(path) as writer:
    ...     _ = net.run(500.0, spikes=writer)
    ...     _ = net.run(500.0, spikes=writer)
    >>> stored = sl.sim.read_spikes(path)
    >>> stored.complete, stored.end, 4500 < len(stored.spikes["source"]) < 5500
    (True, 1000.0, True)
    """

    def __init__(self, path: Path | str, *, open_file: Opener = _open_raw) -> None:
        self.path = as_path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise file_error("write", self.path, error) from error
        try:
            self._stream: BinaryIO | None = open_file(self.path)
        except FileExistsError as error:
            mend = "Choose another name: a file of spikes is never overwritten."
            raise FileError(f"{self.path} is there already", mend=mend) from error
        except OSError as error:
            raise file_error("write", self.path, error) from error
        self._waiting: list[bytes] = []
        self._written = 0  # bytes of whole blocks
        self._network: tuple[dict[str, int], float] | None = None
        self._next = 0
        self._begun = self._synced = time.monotonic()

    def start(self, sizes: Mapping[str, int], dt: float, first: int, synapses: int, timed: Sequence[str] = ()) -> None:
        """Say what follows: groups and their sizes, the first step, and whose spikes have times of their own. Called by
        :meth:`Network.run`.

        Raises StateError where it does not go on from what is there, FileError where the disk is still full.
        """
        self._check_open()
        if self._network is None:
            self._network, self._next = (dict(sizes), dt), first
            self._waiting.append(head(sizes, dt, first, synapses, timed))
        elif self._network != (dict(sizes), dt) or first != self._next:
            got = f"a run of other groups or from another time, step {first}"
            mend = "Take a new SpikeWriter for another network, and after restoring one."
            raise StateError(f"{self.path} cannot take this run", got=got, expected=f"step {self._next}", mend=mend)
        self._flush()

    def append(self, chunk: Chunk) -> Chunk:
        """Write the spikes of ``chunk``, which is returned without them.

        Raises FileError where the disk does not take them; they are kept then.
        """
        self._check_open()
        if self._network is None or chunk.first != self._next:
            raise StateError("spikes have to follow each other", got=f"step {chunk.first}", expected=self._next)
        self._waiting.append(block(chunk, self._network[0], time.monotonic() - self._begun))
        self._next += chunk.steps
        self._flush()
        none = np.empty(0, np.int64), np.empty(0, np.int32)
        ahead = dict.fromkeys(chunk.ahead, np.empty(0))
        return dataclasses.replace(chunk, spikes=dict.fromkeys(chunk.spikes, none), ahead=ahead)

    def close(self) -> None:
        """Write what is left and mark the file as finished. Raises FileError; it can be called again then."""
        if self._stream is None:
            return
        if self._network is None:  # no run: an empty file says nothing
            self._stream.close()
            self._stream = None
            with contextlib.suppress(OSError):
                self.path.unlink()
            return
        self._flush()
        self._write(end_mark(self._next, time.monotonic() - self._begun))
        self._sync()
        self._stream.close()
        self._stream = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What went wrong inside is the better message.
        with contextlib.suppress(*([] if error is None else [FileError])):
            self.close()

    def _check_open(self) -> None:
        if self._stream is None:
            raise StateError(f"{self.path} is closed", mend="Take a new SpikeWriter.")

    def _flush(self) -> None:
        while self._waiting:
            self._write(self._waiting[0])
            del self._waiting[0]
        if time.monotonic() - self._synced > _SYNC_EVERY:
            self._sync()

    def _write(self, data: bytes) -> None:
        """All of ``data``, or none of it."""
        stream = self._stream
        assert stream is not None
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[stream.write(rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                stream.truncate(self._written)
                stream.seek(self._written)
            raise file_error("write", self.path, error) from error
        self._written += len(data)

    def _sync(self) -> None:
        stream = self._stream
        assert stream is not None
        try:
            os.fsync(stream.fileno())
        except OSError as error:
            raise file_error("write", self.path, error) from error
        self._synced = time.monotonic()


__all__ = ["SpikeWriter"]
