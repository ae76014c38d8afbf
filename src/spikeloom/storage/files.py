"""Files that are either the old one or the new one, never half of it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import FileError, ParameterError

Opener = Callable[[Path], BinaryIO]

_MENDS = {
    errno.ENOSPC: "Free some space, or write to another disk.",
    errno.EDQUOT: "Your quota is used up: free some space, or write to another disk.",
    errno.EACCES: "Choose a folder you may write to.",
    errno.EPERM: "Choose a folder you may write to.",
    errno.EROFS: "That file system is read-only; choose another folder.",
    errno.EEXIST: "There is a file of that name; choose another name for the folder.",
    errno.ENOTDIR: "A part of the path is a file, not a folder.",
    errno.ENOENT: "The file, or a folder of its path, does not exist.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


def as_path(path: Any) -> Path:
    """``path`` as one; raises ParameterError for what is none."""
    if not isinstance(path, (str, os.PathLike)):
        raise ParameterError("path", got=repr(path), expected="a text or a pathlib.Path")
    return Path(path)


def file_error(action: str, path: Path, error: OSError) -> FileError:
    """A :class:`FileError` that names the path, the reason and a way out."""
    return FileError(f"cannot {action} {path}", got=error.strerror or str(error), mend=_MENDS.get(error.errno or 0, ""))


def open_new(path: Path) -> BinaryIO:
    return open(path, "xb")


def write_atomic(path: Path, data: bytes, open_file: Opener = open_new) -> None:
    """Replace ``path`` by ``data`` in one step, on disk when this returns.

    The bytes go to a temporary file in the same folder, which is flushed, fsynced and renamed; after a crash
    or a full disk the old file is intact. ``open_file`` exists so that tests can inject faults. Raises
    :class:`FileError`.
    """
    with replacing(path) as temporary, open_file(temporary) as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path, renamed to ``path`` when the block ends well and removed when it does not."""
    # The extension is kept, since some writers choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        temporary.unlink(missing_ok=True)
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        raise error if isinstance(error, FileError) else file_error("write", path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    # A rename is durable once the folder that holds the name is on disk too. Windows cannot open folders.
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_json(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no NaN, one text for one value.

    >>> to_json({"b": (1, 2), 10: None})
    b'{\\n "10": null,\\n "b": [\\n  1,\\n  2\\n ]\\n}\\n'
    """
    try:
        # Twice: only after a round trip are all keys strings, and then the sorting is that of the text.
        plain = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ParameterError(f"this cannot be written as JSON: {error}") from error
    return (json.dumps(plain, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()
