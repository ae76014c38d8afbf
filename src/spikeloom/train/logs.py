"""Logs of a training: lines of JSON, TensorBoard, or several observers at once.

A training that is resumed goes on in the log it left. What the log holds beyond the checkpoint is computed again, so
it is dropped first: no step appears twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..errors import FileError, ParameterError
from ..storage.files import file_error, write_atomic
from .history import Epoch, Observer, Step

Line = dict[str, Any]
_START = b'{"kind": "'


class JsonLines:
    """Writes one JSON object a line: every ``every``-th step of the optimiser, and every epoch.

    A step's line holds ``{"kind": "step", "at": ...}`` and the fields of :class:`Step`; an epoch's line ``{"kind":
    "epoch", "at": ..., "total": ...}`` and those of :class:`Epoch`. ``at`` is the time in seconds since 1970 and
    ``total`` the steps of the optimiser so far. A number that is not finite becomes null. Every line is handed to the
    operating system at once, so that another program can follow the file.

    Raises :class:`ParameterError` for ``every`` below 1 and :class:`FileError` when the file cannot be read or
    written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = JsonLines(Path(folder, "log.jsonl"))
    ...     log.begin(0, 0)
    ...     log.step(Step(epoch=1, step=1, total=1, samples=64, hits=9, loss=2.3, penalty=0.0, learning_rate=0.01))
    ...     log.close()
    ...     [(line["kind"], line["total"], line["loss"]) for line in read_lines(Path(folder, "log.jsonl"))]
    [('step', 1, 2.3)]
    """

    def __init__(self, path: Path, every: int = 10) -> None:
        if every < 1:
            raise ParameterError("every is out of range", got=every, expected="at least 1")
        self._path, self._every = Path(path), every
        self._total = 0
        self._epochs: set[int] = set()
        self._file: BinaryIO | None = None

    def begin(self, total: int, samples: int) -> None:
        """Drop what the file says about steps after ``total``, and a last line that was cut short."""
        self.close()
        kept = [line for line in read_lines(self._path) if _count(line) <= total] if self._path.exists() else []
        self._total = total
        self._epochs = {line["epoch"] for line in kept if line["kind"] == "epoch"}
        write_atomic(self._path, b"".join(_encoded(line) for line in kept))
        try:
            self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise file_error("write", self._path, error) from error

    def step(self, done: Step) -> None:
        """Write a line if it is the turn of this step."""
        self._total = done.total
        if done.total % self._every == 0 or done.total == 1:
            self._write("step", dataclasses.asdict(done))

    def epoch(self, row: Epoch) -> None:
        """Write a line, unless this epoch's is there from before."""
        # A checkpoint of an epoch's last step leads to a validation that may have been logged already.
        if row.epoch not in self._epochs:
            self._epochs.add(row.epoch)
            self._write("epoch", {"total": self._total} | dataclasses.asdict(row))

    def close(self) -> None:
        """Close the file; ``begin`` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, kind: str, fields: Line) -> None:
        if self._file is None:
            self.begin(0, 0)
        line = {"kind": kind, "at": round(time.time(), 3)} | fields
        rest = memoryview(_encoded({name: _finite(value) for name, value in line.items()}))
        try:
            while rest:  # a disk that is nearly full takes a part
                rest = rest[cast(BinaryIO, self._file).write(rest) :]
        except OSError as error:
            raise file_error("write", self._path, error) from error


def read_lines(path: Path) -> list[Line]:
    """The lines of a :class:`JsonLines` file; a last line that was cut short by a crash is left out.

    Raises :class:`FileError` when the file cannot be read or when another line is not one of :class:`JsonLines`.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise file_error("read", path, error) from error
    *lines, cut = text.split(b"\n")  # the writer ends every line, so what follows the last end is a part of one
    if cut[: len(_START)] != _START[: len(cut)]:
        raise _no_log(path, len(lines) + 1)
    return [_parsed(path, number, line) for number, line in enumerate(lines, 1)]


class TensorBoard:
    """Writes scalars for TensorBoard into ``folder``, over the steps of the optimiser.

    Tags: ``train/loss``, ``train/penalty``, ``train/accuracy`` and ``train/learning_rate`` of every ``every``-th step;
    ``epoch/...`` with each field of :class:`Epoch`.

    Raises :class:`ParameterError` for ``every`` below 1 or when the package ``tensorboard`` is not installed, and
    :class:`FileError` when the folder cannot be written.
    """

    def __init__(self, folder: Path, every: int = 10) -> None:
        if every < 1:
            raise ParameterError("every is out of range", got=every, expected="at least 1")
        self._folder, self._every = Path(folder), every
        self._total = 0
        self._make_writer = _summary_writer()
        self._writer: Any = None

    def begin(self, total: int, samples: int) -> None:
        """Start a file of events; TensorBoard will show no step after ``total`` of the files before."""
        self.close()
        self._total = total
        try:
            self._writer = self._make_writer(str(self._folder), purge_step=total + 1 if total else 0)
        except OSError as error:
            raise file_error("write", self._folder, error) from error

    def step(self, done: Step) -> None:
        """Write the scalars of a step if it is its turn."""
        self._total = done.total
        if done.total % self._every == 0 or done.total == 1:
            accuracy = done.hits / max(1, done.samples)
            values = {"loss": done.loss, "penalty": done.penalty, "accuracy": accuracy}
            self._write("train", values | {"learning_rate": done.learning_rate})

    def epoch(self, row: Epoch) -> None:
        """Write the scalars of an epoch, and hand all to the operating system."""
        self._write("epoch", {name: value for name, value in dataclasses.asdict(row).items() if name != "epoch"})
        self._opened().flush()

    def close(self) -> None:
        """Close the file of events."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, group: str, values: Mapping[str, float]) -> None:
        writer = self._opened()
        for name, value in values.items():
            writer.add_scalar(f"{group}/{name}", value, self._total)

    def _opened(self) -> Any:
        if self._writer is None:
            self.begin(0, 0)
        return self._writer


class Several:
    """Passes everything on to each of ``observers``, in order.

    >>> class Loud:
    ...     def begin(self, total, samples): print("begin", total)
    ...     def step(self, done): print("step", done.total)
    ...     def epoch(self, row): print("epoch", row.epoch)
    >>> Several([Loud(), Loud()]).begin(5, 320)
    begin 5
    begin 5
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def begin(self, total: int, samples: int) -> None:
        """Passed on."""
        for observer in self._observers:
            observer.begin(total, samples)

    def step(self, done: Step) -> None:
        """Passed on."""
        for observer in self._observers:
            observer.step(done)

    def epoch(self, row: Epoch) -> None:
        """Passed on."""
        for observer in self._observers:
            observer.epoch(row)

    def close(self) -> None:
        """Close those that can be closed, all of them even when one fails."""
        with contextlib.ExitStack() as stack:
            for observer in reversed(self._observers):
                if close := getattr(observer, "close", None):
                    stack.callback(close)


def _summary_writer() -> Any:
    try:
        return importlib.import_module("torch.utils.tensorboard").SummaryWriter
    except ImportError as error:
        mend = "Run `pip install tensorboard`, or leave this log out."
        raise ParameterError("a log for TensorBoard needs the package tensorboard", got=str(error), mend=mend) from None


def _count(line: Line) -> int:
    return int(line["total"])


def _encoded(line: Line) -> bytes:
    return json.dumps(line, allow_nan=False).encode() + b"\n"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parsed(path: Path, number: int, text: bytes) -> Line:
    try:
        line = json.loads(text)
        if isinstance(line, dict) and line["kind"] in ("step", "epoch"):
            return line | {"total": int(line["total"]), "epoch": int(line["epoch"])}
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise _no_log(path, number)


def _no_log(path: Path, number: int) -> FileError:
    mend = "Move it away: a new log will be started."
    return FileError(f"{path} is not a log of a training: line {number} cannot be read", mend=mend)
