"""The file of spikes that :class:`SpikeWriter` writes, and its reader.

The file is a head and blocks. All numbers are little-endian.

* Head: the 17 bytes ``spikeloom spikes\\n``, uint32 version, uint32 length, SHA-256 of the text that follows, and that
  JSON text: ``dt`` (ms), ``first`` step, ``synapses``, ``groups`` (name and size of each, in order). Version 2 adds
  ``timed``, the names of groups whose spikes have times of their own; without such groups the version is 1.
* Block: ``SPKB``, uint64 first step, uint64 steps, float64 seconds since the beginning, uint64 length of the content,
  SHA-256 of the content, uint32 CRC-32 of all that; then the content: for each group uint64 count, uint32 [count] steps
  from the first step of the block on, ascending, int32 [count] neurons. A spike belongs to the end of its step; for
  a timed group float64 [count] ms follow, by which it was before that.
* A file that was finished ends with a block ``SPKE`` without content.

A block that is cut off at the end of the file was being written, or a crash came between; it is left out. Anything else
that does not fit its check sum is refused.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import FileError, ParameterError
from ..storage.files import as_path, file_error, to_json
from ..units import Quantity
from .engine import Chunk
from .numbers import time_of
from .result import Result
from .spike_trains import SpikeTrains

_MAGIC, _PLAIN, _TIMED = b"spikeloom spikes\n", 1, 2
_HEAD = struct.Struct("<17sII32s")
_BLOCK, _CHECK = struct.Struct("<4sQQdQ32s"), struct.Struct("<I")
_SPIKES, _END = b"SPKB", b"SPKE"
_LONGEST_TEXT = 1 << 22

Found = dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]


def head(sizes: Mapping[str, int], dt: float, first: int, synapses: int, timed: Sequence[str] = ()) -> bytes:
    """The beginning of a file."""
    groups = [[name, size] for name, size in sizes.items()]
    about = {"dt": dt, "first": first, "synapses": synapses, "groups": groups}
    text = to_json({**about, "timed": list(timed)} if timed else about)
    return _HEAD.pack(_MAGIC, _TIMED if timed else _PLAIN, len(text), hashlib.sha256(text).digest()) + text


def block(chunk: Chunk, sizes: Mapping[str, int], seconds: float) -> bytes:
    """The spikes of ``chunk``."""
    pieces: list[bytes] = []
    for name in sizes:
        steps, neurons = chunk.spikes[name]
        pieces += [
            struct.pack("<Q", len(steps)), (steps - chunk.first).astype("<u4").tobytes(),
            neurons.astype("<i4").tobytes(),
        ]  # fmt: skip
        if name in chunk.ahead:
            pieces.append(chunk.ahead[name].astype("<f8").tobytes())
    content = b"".join(pieces)
    return _sealed(_SPIKES, chunk.first, chunk.steps, seconds, content) + content


def end_mark(step: int, seconds: float) -> bytes:
    """The end of a file that is finished."""
    return _sealed(_END, step, 0, seconds, b"")


def read_spikes(path: Path | str, begin: float | Quantity | None = None, end: float | Quantity | None = None) -> Result:
    """The spikes in a file of :class:`SpikeWriter`, which may still be growing, as a result without states.

    ``begin`` and ``end`` (ms) choose a part, so that a file larger than the memory can be read piece by piece; ``end``
    may lie before damage. ``complete`` says whether the file was finished; the result ends with the last whole block.

    Raises FileError for a file that is missing, damaged or of another kind, ParameterError for a part not in it.
    """
    path = as_path(path)
    first, last = (None if t is None else time_of(t, what) for t, what in ((begin, "begin"), (end, "end")))
    try:
        with open(path, "rb") as stream:
            return _read(stream, path, first, last)
    except FileError:
        raise
    except OSError as error:
        raise file_error("read", path, error) from error


def _sealed(kind: bytes, first: int, steps: int, seconds: float, content: bytes) -> bytes:
    packed = _BLOCK.pack(kind, first, steps, seconds, len(content), hashlib.sha256(content).digest())
    return packed + _CHECK.pack(zlib.crc32(packed))


def _read(stream: BinaryIO, path: Path, begin: float | None, end: float | None) -> Result:
    about = _read_head(stream, path)
    sizes, dt, first, timed = dict(about["groups"]), about["dt"], about["first"], set(about.get("timed", ()))
    low = first if begin is None else round(begin / dt)
    high = None if end is None else round(end / dt)
    part = f"the part of {path} from {low * dt:g} to {'the end' if high is None else f'{high * dt:g} ms'}"
    if not first <= low or (high is not None and high <= low):
        raise ParameterError(part, expected=f"from {first * dt:g} ms on, a beginning before an end")
    found: Found = {name: [(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0))] for name in sizes}
    last, seconds, closed = first, 0.0, False
    for kind, start, steps, at, content in _blocks(stream, path, first, dt, low):
        last, seconds = start + steps, at
        closed = kind == _END
        if content is not None and not closed:
            _take(content, (start, steps, dt), sizes, timed, found, path)
        if high is not None and last >= high:
            break
    stop = last if high is None else high
    if stop > last or (begin is not None and low >= last):
        raise ParameterError(part, expected=f"within {first * dt:g} to {last * dt:g} ms")
    spikes = {name: _trains(pieces, dt, sizes[name], (low, stop), name in timed) for name, pieces in found.items()}
    complete = closed or high is not None
    return Result(spikes, {}, low * dt, stop * dt, dt, complete, seconds, about["synapses"])


def _trains(
    pieces: list[tuple[np.ndarray, np.ndarray, np.ndarray]], dt: float, size: int, span: tuple[int, int], timed: bool
) -> SpikeTrains:
    steps, neurons, ahead = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    a, b = np.searchsorted(steps, span)
    given = steps[a:b], neurons[a:b], dt, size, span[0] * dt, span[1] * dt
    return SpikeTrains.from_steps(*given, ahead[a:b] if timed else None)


def _read_head(stream: BinaryIO, path: Path) -> dict[str, Any]:
    packed = stream.read(_HEAD.size)
    if not _MAGIC.startswith(packed[: len(_MAGIC)]):
        raise FileError(f"{path} is not a file of spikes of SpikeWriter")
    if len(packed) < _HEAD.size:
        raise FileError(f"{path} has no head yet", mend="The run had not begun.")
    _, version, length, digest = _HEAD.unpack(packed)
    if version not in (_PLAIN, _TIMED):
        mend = "It was written by another version of spikeloom; read it with that one."
        raise FileError(f"{path} has an unknown format version", got=version, expected=_TIMED, mend=mend)
    text = stream.read(min(length, _LONGEST_TEXT))
    if hashlib.sha256(text).digest() != digest:
        raise FileError(f"{path} is damaged: its head does not fit its SHA-256")
    about = json.loads(text)
    if not _well_formed(about, version == _TIMED):
        raise FileError(f"{path} is damaged: its head says nothing of use")
    return about


def _well_formed(about: Any, timed: bool) -> bool:
    names = {"dt", "first", "synapses", "groups", *(["timed"] if timed else [])}
    if not isinstance(about, dict) or about.keys() != names:
        return False
    groups = about["groups"]
    whole = [about["first"], about["synapses"]]
    if not isinstance(groups, list) or not (isinstance(about["dt"], float) and 0.0 < about["dt"] < float("inf")):
        return False
    for group in groups:
        if not (isinstance(group, list) and len(group) == 2 and isinstance(group[0], str)):
            return False
        whole.append(group[1])
    if timed and not (isinstance(about["timed"], list) and all(isinstance(name, str) for name in about["timed"])):
        return False
    return all(type(w) is int and 0 <= w < 1 << 62 for w in whole)


def _blocks(
    stream: BinaryIO, path: Path, expected: int, dt: float, low: int
) -> Iterator[tuple[bytes, int, int, float, bytes | None]]:
    """Kind, first step, steps, seconds and content of each whole block; None for those that end before ``low``."""
    place = stream.tell()
    size = stream.seek(0, 2)
    stream.seek(place)
    while size - place >= _BLOCK.size + _CHECK.size:
        packed, check = stream.read(_BLOCK.size), stream.read(_CHECK.size)
        kind, first, steps, seconds, length, digest = _BLOCK.unpack(packed)
        where = f"{path} is damaged at byte {place}, after {expected * dt:g} ms"
        mend = f"What comes before can be read: read_spikes(path, end={expected * dt:g})." if expected else ""
        whole = _CHECK.unpack(check)[0] == zlib.crc32(packed) and kind in (_SPIKES, _END) and first == expected
        if not whole or (kind == _END and (length or place + _BLOCK.size + _CHECK.size != size)):
            # A crash of the whole machine may leave zeros where the file had been made longer.
            if not any(packed) and not any(check) and _only_zeros(stream):
                return
            raise FileError(where, mend=mend)
        place += _BLOCK.size + _CHECK.size + length
        if place > size:
            return
        if first + steps <= low:
            stream.seek(length, 1)
            yield kind, first, steps, seconds, None
        else:
            content = stream.read(length)
            if hashlib.sha256(content).digest() != digest:
                raise FileError(where, mend=mend)
            yield kind, first, steps, seconds, content
        expected = first + steps


def _only_zeros(stream: BinaryIO) -> bool:
    while piece := stream.read(1 << 20):
        if any(piece):
            return False
    return True


def _take(
    content: bytes, span: tuple[int, int, float], sizes: Mapping[str, int], timed: set[str], found: Found, path: Path
) -> None:
    """Add a block's spikes to those found. Check sums fit here; this refuses what was made to harm."""
    first, steps, dt = span
    bad = FileError(f"{path} is damaged: the block of step {first} does not hold spikes of its groups")
    place = 0
    for name, size in sizes.items():
        count = int.from_bytes(content[place : place + 8], "little")
        place += 8
        width = 16 if name in timed else 8
        if count * width > len(content) - place:
            raise bad
        offsets = np.frombuffer(content, "<u4", count, place).astype(np.int64)
        neurons = np.frombuffer(content, "<i4", count, place + 4 * count).astype(np.int32)
        ahead = np.frombuffer(content, "<f8", count, place + 8 * count) if name in timed else np.zeros(count)
        place += width * count
        if count and not (ahead.min() >= 0.0 and ahead.max() <= dt):
            raise bad
        if count and not (offsets[-1] < steps and (np.diff(offsets) >= 0).all()):
            raise bad
        if count and not (neurons.min() >= 0 and neurons.max() < size):
            raise bad
        found[name].append((offsets + first, neurons, ahead))
    if place != len(content):
        raise bad


__all__ = ["block", "end_mark", "head", "read_spikes"]
