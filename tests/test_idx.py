"""The idx reader: what it reads, what it refuses, and that a false claim costs no memory."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from spikeloom.data.idx import parse_idx, read_idx
from spikeloom.errors import FileError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    """The format as its description gives it, written independently of the reader."""
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


GOOD = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dtype", CODES)
def test_every_type_of_number_comes_back(dtype: str, zipped: bool, tmp_path: Path) -> None:
    array = (np.arange(30).reshape(5, 3, 2) * 37 - 300).astype(dtype)
    content = idx_bytes(array)
    path = tmp_path / "no-suffix-needed"
    path.write_bytes(gzip.compress(content) if zipped else content)
    found = read_idx(path)
    assert found.dtype == np.dtype(dtype)
    assert found.dtype.isnative
    assert np.array_equal(found, array)


def test_a_known_file_by_hand() -> None:
    content = bytes.fromhex("00 00 0b 01 00 00 00 02 01 00 ff fe")
    assert parse_idx(content).tolist() == [256, -2]


@pytest.mark.parametrize("axes", [1, 8])
def test_one_to_eight_axes(axes: int) -> None:
    array = np.ones((2,) * axes, np.uint8)
    assert np.array_equal(parse_idx(idx_bytes(array)), array)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cut off"),
        (GOOD[:3], "cut off"),
        (GOOD[:10], "cut off"),
        (GOOD[:-1], "cut off: got 23 bytes, expected 24"),
        (GOOD + b"\0", "bytes after the array"),
        (b"\x01" + GOOD[1:], "no idx file: got magic 01 00 08 03"),
        (b"\0\0\x0a" + GOOD[3:], "no idx file"),
        (b"\x93NUMPY" + GOOD, "no idx file"),
        (bytes([0, 0, 8, 0]) + b"\x07", "number of axes: got 0"),
        (bytes([0, 0, 8, 9]) + bytes(40), "number of axes: got 9"),
        (struct.pack(">BBBB2I", 0, 0, 8, 2, 0, 2**32 - 1), "without numbers"),
        (struct.pack(">BBBB8I", 0, 0, 14, 8, *[2**32 - 1] * 8), "claims more numbers"),
        (struct.pack(">BBBB2I", 0, 0, 8, 2, 2**31, 2**33 // 2 - 1) + bytes(100), "claims more numbers"),
    ],
)
def test_what_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(FileError, match=reason) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_damaged_gzip_is_refused() -> None:
    packed = bytearray(gzip.compress(GOOD, mtime=0))
    for cut in range(2, len(packed)):
        with pytest.raises(FileError):
            parse_idx(bytes(packed[:cut]))
    wrong_sum = packed.copy()
    wrong_sum[-8] ^= 1  # the CRC of the content
    with pytest.raises(FileError, match="damaged or cut off"):
        parse_idx(bytes(wrong_sum))
    with pytest.raises(FileError, match="damaged or cut off"):
        parse_idx(bytes(packed) + b"more")
    with pytest.raises(FileError, match="bytes after the array"):
        parse_idx(bytes(packed) + gzip.compress(b"x"))


def test_a_false_claim_takes_no_memory() -> None:
    claim = struct.pack(">BBBB2I", 0, 0, 8, 2, 2**16, 2**15)  # 2 GiB
    bomb = gzip.compress(bytes(100 * 2**20), 9)  # 100 MiB of zeros in 100 kB, behind a small array
    small = zlib.compressobj(wbits=31)
    head = small.compress(GOOD[:4] + struct.pack(">3I", 1, 1, 1) + b"\x05") + small.flush()
    cases = [claim, claim + bytes(1000), gzip.compress(claim), gzip.compress(claim + bytes(100)), head + bomb, bomb]
    for content in cases:
        tracemalloc.start()
        try:
            with pytest.raises(FileError):
                parse_idx(content)
            assert tracemalloc.get_traced_memory()[1] < 3 * 2**20
        finally:
            tracemalloc.stop()


def test_the_limit_is_kept_for_real_content() -> None:
    assert parse_idx(GOOD, largest=24).size == 24
    with pytest.raises(FileError, match="expected at most 23 bytes"):
        parse_idx(GOOD, largest=23)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret").write_bytes(GOOD)
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "missing", "/dev/zero", "a\0b", tmp_path / ("n" * 300)):
        with pytest.raises(FileError, match="cannot read"):
            read_idx(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(GOOD)
    (tmp_path / "secret").chmod(0)
    with pytest.raises(FileError, match="Permission denied"):
        read_idx(tmp_path / "secret")
