"""The folder of a run: refused before the work starts when it cannot be used, never overwritten."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, FileError
from ..storage.files import file_error, replacing, to_json, write_atomic

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class RunFolder:
    """An existing, writable folder. Every file in it appears complete or not at all."""

    path: Path

    def write_json(self, name: str, value: Any) -> None:
        """Write ``value`` to ``name`` in one step."""
        write_atomic(self.path / name, to_json(value))

    def make(self, name: str) -> Path:
        """The inner folder ``name``, made if it is not there. Raises :class:`FileError`."""
        path = self.path / name
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise file_error("write", path, error) from error
        return path

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """A path for a writer that opens the file itself; it becomes ``name`` when the block ends well."""
        with replacing(self.path / name) as temporary:
            yield temporary


@contextlib.contextmanager
def open_run_folder(out: Path, name: str, prefix: str) -> Iterator[RunFolder]:
    """Make ``out/name``; an empty ``name`` becomes ``prefix`` and the time, with a number when that is taken.

    Raises :class:`ConfigError` for a name that is no plain folder name, and :class:`FileError` when the
    folder cannot be written or already holds something. When the block fails, a folder that is still empty is
    removed.
    """
    if name and not _NAME.fullmatch(name):
        expected = "letters, digits, dots, hyphens and underscores"
        raise ConfigError("the name of a run must be a plain folder name", got=repr(name), expected=expected)
    path = _make(Path(out), name, prefix)
    try:
        _probe(path)
        yield RunFolder(path)
    except OSError as error:
        raise error if isinstance(error, FileError) else file_error("write", path, error) from error
    finally:
        # Not empty means that something finished: then the folder stays.
        with contextlib.suppress(OSError):
            path.rmdir()


@contextlib.contextmanager
def reopen_run_folder(path: Path) -> Iterator[RunFolder]:
    """The folder of a run that has begun, to go on with it.

    Raises :class:`FileError` when it cannot be written.
    """
    try:
        _probe(path)
        yield RunFolder(path)
    except OSError as error:
        raise error if isinstance(error, FileError) else file_error("write", path, error) from error


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Within the block no other process works in the folder ``path``; the claim ends with the process, however it does.

    Raises :class:`FileError` when another process is at work there.
    """
    try:
        import fcntl
    except ImportError:  # Windows has none: there the block is entered without a claim
        yield
        return
    # The folder itself is locked, so that no file is left behind.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise FileError(f"another process is at work in {path}", mend="Wait for it, or stop it first.") from error
    finally:
        os.close(descriptor)


def _probe(path: Path) -> None:
    try:
        write_atomic(path / "probe", b"")
    finally:
        (path / "probe").unlink(missing_ok=True)


def _make(out: Path, name: str, prefix: str) -> Path:
    stem = name or f"{prefix}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            path = out / (stem if number == 1 else f"{stem}-{number}")
            try:
                path.mkdir()
                return path
            except FileExistsError:
                if not name:
                    continue
                if path.is_dir() and not any(path.iterdir()):
                    return path
                raise FileError(
                    f"{path} already exists and is not overwritten",
                    mend="Choose another --name, or remove it first.",
                ) from None
    except OSError as error:
        raise error if isinstance(error, FileError) else file_error("write", out / stem, error) from error
    raise FileError(f"there are a thousand runs named {stem} in {out}", mend="Choose a --name.")


def plain_config(config: Any) -> dict[str, Any]:
    """A configuration as JSON values.

    >>> from spikeloom.recipes.common import LIFConfig
    >>> plain_config(LIFConfig())
    {'tau': 20.0, 'learn_tau': False}
    """

    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: convert(item) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return [convert(item) for item in value]
        return str(value) if isinstance(value, Path) else value

    return convert(dataclasses.asdict(config))
