"""The idx reader against damage: an array or one FileError, in little time and memory, whatever the bytes.

Half of the cases are honest files that are damaged at random; half are built from the format's own fields with
values chosen to break a reader. A case that gives an array must give the one its bytes describe.
"""

from __future__ import annotations

import gzip
import math
import os
import random
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from spikeloom.data.idx import parse_idx, read_idx
from spikeloom.errors import FileError

SIZES = {0x08: 1, 0x09: 1, 0x0B: 2, 0x0C: 4, 0x0D: 4, 0x0E: 8}
EDGES = [0, 1, 2, 3, 7, 127, 128, 255, 256, 2**15, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]
MOST_MEMORY, MOST_TIME = 8 * 2**20, 2.0


def honest(rng: random.Random) -> bytes:
    code = rng.choice(list(SIZES))
    shape = [rng.randint(1, 5) for _ in range(rng.randint(1, 5))]
    return _file(code, shape, rng.randbytes(math.prod(shape) * SIZES[code]))


def _file(code: int, shape: list[int], content: bytes) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape) + content


def damaged(rng: random.Random, content: bytes) -> bytes:
    """A few of: bits flipped, bytes set, cut, doubled, put in, swapped."""
    out = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(out) + 1)
        kind = rng.randrange(7)
        if kind == 0 and out:
            out[place % len(out)] ^= 1 << rng.randrange(8)
        elif kind == 1 and out:
            out[place % len(out)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 2:
            del out[place:]
        elif kind == 3:
            del out[place : place + rng.randint(1, 8)]
        elif kind == 4:
            out[place:place] = rng.randbytes(rng.randint(1, 8))
        elif kind == 5:
            out += out[place:]
        else:
            out[4:8] = struct.pack(">I", rng.choice(EDGES))[: len(out[4:8])]
    return bytes(out)


def hostile(rng: random.Random) -> bytes:
    """Fields that contradict each other or the file's size."""
    axes = rng.choice([0, 1, 2, 3, 3, 4, 8, 9, 255])
    shape = [
        rng.choice(EDGES) if rng.random() < 0.5 else rng.randint(0, 4) for _ in range(min(axes, rng.choice([axes, 2])))
    ]
    code = rng.choice([*SIZES, *SIZES, 0, 0x0A, 0xFF])
    claimed = math.prod(shape) * SIZES.get(code, 1)
    size = max(0, min(claimed, 4096) + rng.choice([-1, 0, 0, 0, 1, 100]))
    header = bytes([rng.choice([0, 0, 0, 0, 1]), 0, code, axes]) + struct.pack(f">{len(shape)}I", *shape)
    return header + rng.randbytes(size)


def packed(rng: random.Random, content: bytes) -> bytes:
    """Gzipped in one member or two, whole or damaged, or a bomb."""
    kind = rng.randrange(6)
    if kind == 0:
        half = len(content) // 2
        return gzip.compress(content[:half], 1) + gzip.compress(content[half:], 1)
    if kind == 1:
        return damaged(rng, gzip.compress(content, 1))
    if kind == 2:
        return gzip.compress(content, 1) + rng.choice([b"\0" * 9, b"more", gzip.compress(b"x", 1), b"\x1f\x8b"])
    if kind == 3:
        return gzip.compress(content[:20] + bytes(2**20), 9)
    if kind == 4:
        squeezed = zlib.compressobj(wbits=-15).compress(content)
        return b"\x1f\x8b\x08" + bytes([rng.randrange(256)]) + bytes(6) + squeezed + rng.randbytes(8)
    return gzip.compress(content, rng.choice([0, 1, 9]))


def case(rng: random.Random) -> bytes:
    content = hostile(rng) if rng.random() < 0.5 else honest(rng)
    content = damaged(rng, content) if rng.random() < 0.4 else content
    return packed(rng, content) if rng.random() < 0.4 else content


def described(content: bytes) -> np.ndarray:
    """What the format's description says about a file that a reader accepted, without any of the reader's checks."""
    plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    assert plain[:2] == b"\0\0"
    shape = struct.unpack_from(f">{plain[3]}I", plain, 4)
    kind = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}[plain[2]]
    body = plain[4 + 4 * plain[3] :]
    assert len(body) == math.prod(shape) * SIZES[plain[2]]
    return np.frombuffer(body, f">{kind}").reshape(shape)


def attack(count: int, seed: int, path: Path) -> dict[str, int]:
    """Run ``count`` cases, every 20th through a real file; return how they ended."""
    rng = random.Random(seed)
    ends = {"read": 0, "refused": 0}
    tracemalloc.start()
    try:
        for number in range(count):
            content = case(rng)
            tracemalloc.reset_peak()
            before, began = tracemalloc.get_traced_memory()[0], time.perf_counter()
            try:
                if number % 20:
                    found = parse_idx(content)
                else:
                    path.write_bytes(content)
                    found = read_idx(path)
            except FileError as error:
                said = str(error)
                ends["refused"] += 1
            else:
                said = ""
                expected = described(content)
                assert found.shape == expected.shape
                assert found.astype(expected.dtype).tobytes() == expected.tobytes(), content
                ends["read"] += 1
            assert len(said) < 1000, content
            assert time.perf_counter() - began < MOST_TIME, content
            assert tracemalloc.get_traced_memory()[1] - before < MOST_MEMORY, content
    finally:
        tracemalloc.stop()
    return ends


def test_a_thousand_files(tmp_path: Path) -> None:
    ends = attack(1_000, 0, tmp_path / "case")
    assert min(ends.values()) > 100  # a campaign that only ever refuses, or reads, shows nothing


@pytest.mark.slow
def test_many_files(tmp_path: Path) -> None:
    count = int(os.environ.get("SPIKELOOM_FUZZ", "10000"))
    ends = attack(count, random.randrange(2**32) if "SPIKELOOM_FUZZ" in os.environ else 1, tmp_path / "case")
    assert sum(ends.values()) == count
    assert min(ends.values()) > count // 10
