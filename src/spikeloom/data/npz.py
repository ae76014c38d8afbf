"""NumPy archives from anywhere: plain arrays only, and no larger than they say."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import FileError

_LARGEST = 2**32


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name.

    Raises :class:`FileError` for a file that is none, that is damaged, that holds Python objects, whose arrays claim
    another size than they have, or that unpacks to more than 4 GiB.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _LARGEST:
                raise FileError(f"{path} is too large", expected="at most 4 GiB unpacked")
            found: dict[str, np.ndarray] = {}
            for entry in archive.infolist():
                with archive.open(entry) as stream:
                    found[entry.filename.removesuffix(".npy")] = _array(stream, entry.file_size)
            return found
    except FileError:
        raise
    except Exception as error:  # whatever zlib, zipfile and NumPy's parser of headers say to damage
        raise FileError(f"cannot read {path} as an .npz file", got=f"{type(error).__name__}: {error}") from error


def _array(stream: IO[bytes], size: int) -> np.ndarray:
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read_header:
        raise ValueError(f"version {version} of the array format")
    shape, fortran, dtype = read_header[version](stream)
    if dtype.hasobject or dtype.kind not in "biuf":
        raise ValueError(f"an array of {dtype}, where numbers are expected")
    count = math.prod(shape)
    if count * dtype.itemsize > size or min(shape, default=0) < 0:
        raise ValueError(f"an array that claims {count} numbers in {size} bytes")
    content = stream.read(count * dtype.itemsize)
    flat = np.frombuffer(content, dtype, count)
    return flat.reshape(shape, order="F" if fortran else "C")


__all__ = ["read_npz"]
