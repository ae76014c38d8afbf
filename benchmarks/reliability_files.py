"""Disks that fail, bits that flip, files made to do harm: what a checkpoint stands."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import pickle
import random
import resource
import shutil
import signal
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO
from unittest import mock

import torch
from reliability_cases import SETTINGS, TRAIN, VALIDATION, task

from spikeloom.errors import FileError
from spikeloom.storage import checkpoint
from spikeloom.storage.checkpoint import load_checkpoint, save_checkpoint
from spikeloom.storage.files import to_json
from spikeloom.train.loop import Keep, fit

ERRORS = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.EDQUOT)


class _Failing(io.FileIO):
    """A file whose disk fails on writing, or only when asked to keep what was written."""

    number, late = errno.ENOSPC, False

    def write(self, data: object) -> int:
        if not self.late:
            raise OSError(self.number, os.strerror(self.number))
        return super().write(data)  # type: ignore[arg-type]

    def flush(self) -> None:
        if self.late:
            raise OSError(self.number, os.strerror(self.number))


def _opener(number: int, where: str, suffix: str) -> Callable[[Path], BinaryIO]:
    def opened(path: Path) -> BinaryIO:
        if path.suffix != suffix:
            return open(path, "xb")
        if where == "open":
            raise OSError(number, os.strerror(number), str(path))
        stream = _Failing(path, "x")
        stream.number, stream.late = number, where == "flush"
        return stream  # type: ignore[return-value]

    return opened


def faults() -> tuple[int, int, list[str]]:
    """Every error at every place of a save in a training, and a real limit of file size: tried, survived, others."""
    tried, survived, wrong = 0, 0, list[str]()
    cases = [(n, where, suffix) for n in ERRORS for where in ("open", "write") for suffix in (".safetensors", ".json")]
    cases += [(n, "flush", suffix) for n in ERRORS[:2] for suffix in (".safetensors", ".json")]
    for number, where, suffix in cases:
        tried += 1
        text = f"{errno.errorcode[number]} on {where} of {suffix}"
        survived += _survives(lambda folder, c=(number, where, suffix): _train_with(folder, c), text, wrong)
    for size in (1, 100, 1000, 2000):
        tried += 1
        survived += _survives(lambda folder, n=size: _train_limited(folder, n), f"file size limit {size}", wrong)
    return tried, survived, wrong


def _train_with(folder: Path, case: tuple[int, str, str]) -> None:
    fit(task("lif"), SETTINGS, TRAIN, VALIDATION, seed=7, keep=Keep(folder, every=1, open_file=_opener(*case)))


def _train_limited(folder: Path, size: int) -> None:
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        fit(task("lif"), SETTINGS, TRAIN, VALIDATION, seed=7, keep=Keep(folder, every=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


class _EnoughError(Exception):
    pass


def _begun(folder: Path) -> None:
    """Two steps of a training, with a checkpoint."""

    class Stop:
        def begin(self, total: int, samples: int) -> None: ...

        def step(self, done: object) -> None:
            if done.total == 3:  # type: ignore[attr-defined]
                raise _EnoughError

        def epoch(self, row: object) -> None: ...

    try:
        fit(task("lif"), SETTINGS, TRAIN, VALIDATION, seed=7, keep=Keep(folder, every=1), observer=Stop())
    except _EnoughError:
        return


def _survives(attempt: Callable[[Path], None], text: str, wrong: list[str]) -> bool:
    """One FileError with the path, every file as before, and the old checkpoint loads."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        _begun(folder)
        before = _files(folder)
        try:
            attempt(folder)
        except FileError as error:
            good = str(folder) in str(error) and _files(folder) == before
            load_checkpoint(folder / "last.json")
            if not good:
                wrong.append(f"{text}: {error}")
            return good
        except Exception as error:
            wrong.append(f"{text}: {error!r}")
            return False
        wrong.append(f"{text}: nothing was raised")
        return False


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def flips(count: int, seed: int = 0) -> tuple[int, int, list[str]]:
    """Single bits of a real checkpoint, read from memory: tried, accepted, other exceptions.

    Every second flip is in the small manifest, the others in the tensors.
    """
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        _begun(folder)
        held = {path: path.read_bytes() for path in folder.iterdir()}
        load_checkpoint(folder / "last.json")
        accepted, other = 0, list[str]()
        with mock.patch.object(checkpoint, "_read", lambda path, largest: bytes(held[path])):
            paths = sorted(held, key=lambda path: path.suffix)
            for number in range(count):
                path = paths[number % len(paths)]
                whole, position = held[path], draw.randrange(8 * len(held[path]))
                changed = bytearray(whole)
                changed[position // 8] ^= 1 << position % 8
                held[path] = bytes(changed)
                try:
                    load_checkpoint(folder / "last.json")
                    accepted += 1
                except FileError:
                    pass
                except Exception as error:
                    other.append(f"{path.name} bit {position}: {error!r}")
                held[path] = whole
    return count, accepted, other


class _Evil:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def _manifest(folder: Path, payload: bytes, **record: object) -> None:
    """A manifest whose every hash fits ``payload``, with fields of the record replaced."""
    digest = hashlib.sha256(payload).hexdigest()
    fields = {"file": f"last-{digest[:16]}.safetensors", "sha256": digest, "bytes": len(payload)} | record
    (folder / f"last-{digest[:16]}.safetensors").write_bytes(payload)
    _sealed(folder, {"tensors": fields, "meta": {}})


def _sealed(folder: Path, body: object) -> None:
    outer = {"format": checkpoint.FORMAT, "version": checkpoint.VERSION}
    (folder / "last.json").write_bytes(to_json({**outer, "sha256": _hash(to_json(body)), "body": body}))


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def _zip(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", data)
    return stream.getvalue()


def payloads(folder: Path, mark: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Named attacks; each writes ``last.json`` and what belongs to it into ``folder``."""
    evil = pickle.dumps(_Evil(mark))
    stream = io.BytesIO()
    torch.save({"x": _Evil(mark)}, stream)
    one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    good = _safetensors({"w": one}, b"\0" * 4)
    text = folder / "last.json"
    inside: dict[str, bytes] = {
        "a pickle for tensors": evil,
        "torch.save for tensors": stream.getvalue(),
        "a zip bomb for tensors": _zip(b"\0" * 50_000_000),
        "a zip with a pickle": _zip(evil),
        "a header of 2**62 bytes": (2**62).to_bytes(8, "little") + b"{}",
        "a header of 90 MB that is not there": (90_000_000).to_bytes(8, "little") + b"{}",
        "a header nested 100,000 deep": _safetensors(b'{"a":' * 100_000),
        "a shape that overflows": _safetensors({"w": {**one, "shape": [2**62, 4]}}, b"\0" * 4),
        "a tensor beyond the end": _safetensors({"w": {**one, "data_offsets": [0, 2**40], "shape": [2**38]}}),
        "offsets that go back": _safetensors({"w": {**one, "data_offsets": [4, 0]}}, b"\0" * 4),
        "tensors that overlap": _safetensors({"v": one, "w": one}, b"\0" * 4),
        "an unknown type": _safetensors({"w": {**one, "dtype": "O"}}, b"\0" * 4),
        "a shape below zero": _safetensors({"w": {**one, "shape": [-1]}}, b"\0" * 4),
    }
    for name, data in inside.items():
        yield name, lambda data=data: _manifest(folder, data)
    yield "a pickle for the manifest", lambda: void(text.write_bytes(evil))
    yield "a path upwards", lambda: _manifest(folder, good, file="../secret.safetensors")
    yield "an absolute path", lambda: _manifest(folder, good, file="/etc/passwd")
    yield "NaN in the manifest", lambda: _replaced(folder, good, b'"meta": {}', b'"meta": {"x": NaN}')
    yield "Infinity for a size", lambda: _replaced(folder, good, b'"bytes": ', b'"bytes": Infinity, "b": ')
    yield "a key twice", lambda: _replaced(folder, good, b'"meta": {}', b'"meta": {}, "meta": {"a": 1}')
    yield "a size of 10**4000", lambda: _manifest(folder, good, bytes=10**4000)
    yield "true for a size", lambda: _manifest(folder, good, bytes=True)
    yield "100,000 brackets", lambda: void(text.write_bytes(b"[" * 100_000))
    yield "a manifest of 5 MB", lambda: void(text.write_bytes(b" " * 5_000_000))
    yield "a body that is a list", lambda: _sealed(folder, [1])
    yield "a device for the manifest", lambda: text.symlink_to("/dev/zero")


def void(_: object) -> None:
    """Drop a result."""


def _replaced(folder: Path, good: bytes, old: bytes, new: bytes) -> None:
    _manifest(folder, good)
    text = (folder / "last.json").read_bytes()
    assert old in text
    (folder / "last.json").write_bytes(text.replace(old, new, 1))


def crafted() -> tuple[int, int, list[str]]:
    """Tried, refused with FileError, and what else came of it."""
    tried, refused, other = 0, 0, list[str]()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder, mark = root / "run", root / "mark"
        save_checkpoint(root / "secret.json", {"w": torch.zeros(1)}, {})
        for title, write in payloads(folder, mark):
            folder.mkdir()
            write()
            tried += 1
            try:
                load_checkpoint(folder / "last.json")
                other.append(f"{title}: accepted")
            except FileError:
                refused += 1
            except BaseException as error:
                other.append(f"{title}: {error!r}")
            if mark.exists():
                other.append(f"{title}: its code ran")
                mark.unlink()
            shutil.rmtree(folder)
    return tried, refused, other
