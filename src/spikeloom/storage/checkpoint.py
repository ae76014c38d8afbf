"""Checkpoints: named tensors and a small JSON text, verified by SHA-256 before anything is used.

A checkpoint ``best.json`` is the commit point: it names ``best-<hash>.safetensors`` beside it, together with
that file's size and SHA-256, and carries a SHA-256 of its own text. The tensors are written first, under a
name no earlier checkpoint has; then the JSON file is replaced in one step; then the tensors of the previous
checkpoint are removed. So at every moment the JSON file on disk belongs to a complete checkpoint. Loading
runs no code.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from ..errors import FileError, ParameterError
from .files import Opener, as_path, file_error, open_new, to_json, write_atomic

FORMAT = "spikeloom-checkpoint"
VERSION = 1
_LARGEST_MANIFEST = 4 * 1024 * 1024  # bytes; a larger text is not read at all
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Checkpoint:
    """What :func:`load_checkpoint` returns: ``tensors`` by name, and ``meta`` as JSON values."""

    tensors: dict[str, torch.Tensor]
    meta: dict[str, Any]


def save_checkpoint(
    path: Path | str,
    tensors: Mapping[str, torch.Tensor],
    meta: Mapping[str, Any],
    *,
    open_file: Opener = open_new,
) -> Path:
    """Write ``tensors`` (of any kind) and ``meta`` (JSON values); return the path of the JSON file.

    ``path`` is a file that ends in ``.json``, or a folder, in which it becomes ``checkpoint.json``. A
    previous checkpoint of that name is replaced, and stays intact when anything fails. Raises
    :class:`FileError`.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> saved = save_checkpoint(folder, {"w": torch.ones(2)}, {"epoch": 3})
    >>> load_checkpoint(folder).meta, load_checkpoint(saved).tensors["w"]
    ({'epoch': 3}, tensor([1., 1.]))
    """
    manifest = _manifest_path(path)
    payload = safetensors.torch.save({name: _storable(tensor) for name, tensor in tensors.items()})
    digest = hashlib.sha256(payload).hexdigest()
    record = {"file": f"{manifest.stem}-{digest[:16]}.safetensors", "sha256": digest, "bytes": len(payload)}
    text = _manifest({"tensors": record, "meta": dict(meta)})
    if len(text) > _LARGEST_MANIFEST:
        mend = "Put large arrays into the tensors."
        raise ParameterError("meta is too large", got=f"{len(text)} bytes", expected=f"{_LARGEST_MANIFEST}", mend=mend)
    try:
        manifest.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error("write", manifest, error) from error
    write_atomic(manifest.parent / record["file"], payload, open_file)
    try:
        write_atomic(manifest, text, open_file)
    finally:
        _remove_unnamed(manifest)
    return manifest


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Read and verify a checkpoint.

    Raises :class:`FileError`, naming the file and the reason, when a file is missing, truncated, altered, of
    another format or of a newer version.
    """
    manifest = _manifest_path(path)
    body = _verified_body(manifest, _read(manifest, _LARGEST_MANIFEST))
    record = body["tensors"]
    file = manifest.parent / record["file"]
    payload = _read(file, record["bytes"])
    if len(payload) != record["bytes"]:
        expected = f"{record['bytes']} bytes"
        raise FileError(f"{file} is truncated", got=f"{len(payload)} bytes", expected=expected, mend=_ANOTHER)
    if hashlib.sha256(payload).hexdigest() != record["sha256"]:
        raise FileError(f"{file} is damaged: its SHA-256 is not the one that was saved", mend=_ANOTHER)
    try:
        return Checkpoint(safetensors.torch.load(payload), body["meta"])
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise FileError(f"{file} is not a safetensors file: {error}") from error


_ANOTHER = "Use another checkpoint."


def _manifest_path(path: Path | str) -> Path:
    path = as_path(path)
    return path if path.suffix == ".json" else path / "checkpoint.json"


def _storable(tensor: torch.Tensor) -> torch.Tensor:
    # A copy, because two names may share memory, which the format refuses.
    return tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)


def _manifest(body: dict[str, Any]) -> bytes:
    digest = hashlib.sha256(to_json(body)).hexdigest()
    return to_json({"format": FORMAT, "version": VERSION, "sha256": digest, "body": body})


def _read(path: Path, largest: int) -> bytes:
    try:
        # Opening a pipe or a device would wait or never end.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{path} is not a file")
        if status.st_size > largest:
            raise FileError(f"{path} is too large", got=f"{status.st_size} bytes", expected=f"{largest}", mend=_ANOTHER)
        return path.read_bytes()
    except FileError:
        raise
    except OSError as error:
        raise file_error("read", path, error) from error
    except ValueError as error:  # a name with a NUL byte
        raise FileError(f"cannot read {path}: {error}") from error


def _verified_body(path: Path, text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is truncated or damaged: {error}", mend=_ANOTHER) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise FileError(f"{path} is not a spikeloom checkpoint")
    if content.get("version") != VERSION:
        mend = "It was written by another version of spikeloom; load it with that one."
        raise FileError(
            f"{path} has an unknown format version", got=content.get("version"), expected=VERSION, mend=mend
        )
    # Writing it again must give the same bytes, so that not even a changed space passes.
    try:
        intact = _manifest(content["body"]) == text
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"{path} is damaged: {error}", mend=_ANOTHER) from error
    if not intact:
        raise FileError(f"{path} is damaged: its SHA-256 is not the one that was saved", mend=_ANOTHER)
    if not _well_formed(content["body"], path.stem):
        raise FileError(f"{path} is not a complete spikeloom checkpoint", mend=_ANOTHER)
    return content["body"]


def _well_formed(body: Any, stem: str) -> bool:
    record = body.get("tensors") if isinstance(body, dict) else None
    if not isinstance(record, dict) or not isinstance(body.get("meta"), dict):
        return False
    digest, size = record.get("sha256"), record.get("bytes")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        return False
    # The name follows from the hash, so a manifest cannot point at a file elsewhere.
    return type(size) is int and size >= 0 and record.get("file") == f"{stem}-{digest[:16]}.safetensors"


def _remove_unnamed(manifest: Path) -> None:
    """Remove tensor files that the manifest on disk does not name, be it the old or the new one."""
    try:
        keep = _verified_body(manifest, _read(manifest, _LARGEST_MANIFEST))["tensors"]["file"]
    except FileError:
        return
    own = re.compile(re.escape(manifest.stem) + r"-[0-9a-f]{16}\.safetensors")
    with contextlib.suppress(OSError):
        for file in manifest.parent.iterdir():
            if own.fullmatch(file.name) and file.name != keep:
                file.unlink(missing_ok=True)
