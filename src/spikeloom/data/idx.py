"""The idx format of MNIST and its kin, plain or gzipped, read without trust.

Layout after Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits" (1998), section "File
formats": two zero bytes, one byte for the type of the numbers, one for the number of axes, the sizes as 32-bit
numbers, then the numbers row by row; everything big-endian.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np

from ..errors import FileError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_AXES = 8
_GZIP = b"\x1f\x8b"
# Deflate spends at least two bits on 258 bytes, so no honest file claims more than this much per byte.
_BEST_RATIO = 1032
_LARGEST = 2**32
_PIECE = 2**20


def read_idx(path: str | Path, *, largest: int = _LARGEST) -> np.ndarray:
    """The array of an idx file, gzipped or not whatever its name says, in the machine's byte order.

    Memory is taken only for bytes that are there, and never more than ``largest`` bytes.

    Raises :class:`FileError` with the path and the reason for anything that is not exactly one such array: another
    magic number, sizes that are absurd or zero, bytes missing or left over, a damaged gzip stream, a path that is no
    regular file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "x").write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9]))
    ...     read_idx(Path(folder, "x"))
    array([[7, 8, 9]], dtype=uint8)
    """
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):  # a pipe would wait for ever, a device never end
            raise FileError(f"cannot read {path}", got="no regular file", expected="an idx file")
        with open(path, "rb") as stream:
            return _array(stream, facts.st_size, str(path), largest)
    except FileError:
        raise
    except (OSError, ValueError, TypeError) as error:  # the last two for a path with a zero byte, or no path at all
        reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        raise FileError(f"cannot read {path!s}", got=reason, expected="a readable idx file") from error


def parse_idx(content: bytes, name: str = "the file", *, largest: int = _LARGEST) -> np.ndarray:
    """:func:`read_idx` of a file's content."""
    return _array(io.BytesIO(content), len(content), name, largest)


def _array(raw: IO[bytes], length: int, name: str, largest: int) -> np.ndarray:
    zipped = raw.read(len(_GZIP)) == _GZIP
    raw.seek(0)
    stream = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if zipped else raw
    try:
        dtype, shape = _header(stream, name)
        size = math.prod(shape) * dtype.itemsize  # exact: Python's integers do not wrap
        bound = min(largest, length * _BEST_RATIO if zipped else length)
        if size > bound:
            what = f"{name}: the file claims more numbers than it can hold"
            raise FileError(what, got=f"{_times(shape)} of {dtype.itemsize} bytes", expected=f"at most {bound} bytes")
        content = _exactly(stream, size, name)
        if stream.read(1):  # for gzip this is also where the checksum is compared
            raise FileError(f"{name}: bytes after the array", expected=f"{size} bytes for {_times(shape)} numbers")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(f"{name}: the gzip stream is damaged or cut off", got=str(error) or "an early end") from error
    return np.frombuffer(content, dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def _header(stream: IO[bytes], name: str) -> tuple[np.dtype, tuple[int, ...]]:
    magic = bytes(_exactly(stream, 4, name))
    kind, axes = magic[2:]
    if magic[:2] != b"\0\0" or kind not in _TYPES:
        codes = ", ".join(f"{code:02x}" for code in _TYPES)
        raise FileError(
            f"{name} is no idx file", got=f"magic {magic.hex(' ')}", expected=f"00 00, one of {codes}, axes"
        )
    if not 1 <= axes <= _MOST_AXES:
        raise FileError(f"{name}: number of axes", got=axes, expected=f"1 to {_MOST_AXES}")
    shape = struct.unpack(f">{axes}I", _exactly(stream, 4 * axes, name))
    if 0 in shape:
        raise FileError(f"{name}: an array without numbers", got=_times(shape), expected="sizes of at least 1")
    return np.dtype(_TYPES[kind]), shape


def _exactly(stream: IO[bytes], size: int, name: str) -> bytearray:
    """``size`` bytes, gathered in pieces so that a false claim costs no more memory than there is content."""
    content = bytearray()
    while len(content) < size:
        piece = stream.read(min(_PIECE, size - len(content)))
        if not piece:
            raise FileError(f"{name} is cut off", got=f"{len(content)} bytes", expected=f"{size} bytes at this place")
        content += piece
    return content


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


__all__ = ["parse_idx", "read_idx"]
