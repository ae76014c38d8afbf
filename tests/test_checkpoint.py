"""Checkpoints: nothing altered is accepted, nothing half-written is left, loading runs no code."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
from pathlib import Path
from typing import BinaryIO

import pytest
import torch

from spikeloom.errors import FileError, ParameterError
from spikeloom.storage.checkpoint import load_checkpoint, save_checkpoint
from spikeloom.storage.files import replacing, to_json, write_atomic

META = {"epoch": 3, "loss": 0.1, "name": "Müller", "nested": {"a": [1, None, True]}}


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(7, 5, generator=generator),
        "half": torch.randn(3, generator=generator).to(torch.bfloat16),
        "count": torch.arange(4),
        "mask": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.zeros(0, 3),
    }


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def data_file(manifest: Path) -> Path:
    return manifest.parent / json.loads(manifest.read_text())["body"]["tensors"]["file"]


def test_round_trip_is_exact(tmp_path: Path) -> None:
    saved = save_checkpoint(tmp_path / "new" / "best.json", tensors(), META)
    loaded = load_checkpoint(saved)
    assert loaded.meta == META
    assert loaded.tensors.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert loaded.tensors[name].dtype == tensor.dtype
        assert loaded.tensors[name].shape == tensor.shape
        assert torch.equal(loaded.tensors[name], tensor)
    loaded.tensors["weight"].zero_()  # the memory is ours to write


def test_views_shared_memory_and_gradients_are_stored(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    save_checkpoint(tmp_path, {"a": base, "b": base, "t": base.T, "g": base.clone().requires_grad_()}, {})
    loaded = load_checkpoint(tmp_path).tensors
    assert torch.equal(loaded["t"], base.T)
    assert torch.equal(loaded["b"], base)
    assert not loaded["g"].requires_grad


def test_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    one = save_checkpoint(tmp_path / "one", tensors(), META)
    two = save_checkpoint(tmp_path / "two", tensors(), dict(reversed(META.items())))
    assert one.read_bytes() == two.read_bytes()
    assert data_file(one).read_bytes() == data_file(two).read_bytes()


def test_saving_again_replaces_and_leaves_others_alone(tmp_path: Path) -> None:
    (tmp_path / "best-of-all.safetensors").write_bytes(b"mine")
    save_checkpoint(tmp_path / "other.json", {"x": torch.zeros(1)}, {})
    for epoch in range(3):
        save_checkpoint(tmp_path / "best.json", {"x": torch.full((2,), float(epoch))}, {"epoch": epoch})
    assert load_checkpoint(tmp_path / "best.json").meta == {"epoch": 2}
    assert load_checkpoint(tmp_path / "other.json").tensors["x"].item() == 0.0
    assert (tmp_path / "best-of-all.safetensors").exists()
    assert len(files(tmp_path)) == 5  # two manifests, two tensor files, and the file that is not ours


@pytest.mark.parametrize("which", ["manifest", "tensors"])
def test_every_bit_flip_is_rejected(tmp_path: Path, which: str) -> None:
    manifest = save_checkpoint(tmp_path, tensors(), META)
    path = manifest if which == "manifest" else data_file(manifest)
    whole = path.read_bytes()
    random.seed(1)
    for position in random.sample(range(8 * len(whole)), 400):
        flipped = bytearray(whole)
        flipped[position // 8] ^= 1 << (position % 8)
        path.write_bytes(flipped)
        with pytest.raises(FileError):
            load_checkpoint(tmp_path)
    path.write_bytes(whole)
    assert load_checkpoint(tmp_path).meta == META


@pytest.mark.parametrize("which", ["manifest", "tensors"])
@pytest.mark.parametrize("kept", [0, 1, 0.5, -1])
def test_truncation_is_rejected(tmp_path: Path, which: str, kept: float) -> None:
    manifest = save_checkpoint(tmp_path, tensors(), META)
    path = manifest if which == "manifest" else data_file(manifest)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(FileError, match=r"truncated|damaged") as caught:
        load_checkpoint(tmp_path)
    assert str(path) in str(caught.value)


def test_added_bytes_are_rejected(tmp_path: Path) -> None:
    manifest = save_checkpoint(tmp_path, tensors(), META)
    for path in (manifest, data_file(manifest)):
        whole = path.read_bytes()
        path.write_bytes(whole + b" ")
        with pytest.raises(FileError, match=r"damaged|too large"):
            load_checkpoint(tmp_path)
        path.write_bytes(whole)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot read .*checkpoint\.json: got No such file"):
        load_checkpoint(tmp_path)
    manifest = save_checkpoint(tmp_path, tensors(), META)
    missing = data_file(manifest)
    missing.unlink()
    with pytest.raises(FileError, match="No such file") as caught:
        load_checkpoint(manifest)
    assert missing.name in str(caught.value)


@pytest.mark.parametrize("name", ["", "with\0nul", "folder"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder" / "checkpoint.json").mkdir(parents=True)
    with pytest.raises(FileError):
        load_checkpoint(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "checkpoint.json")
    with pytest.raises(FileError, match="is not a file"):
        load_checkpoint(tmp_path)


def rewritten(manifest: Path, **changes: object) -> None:
    """Rewrite the manifest with a hash that fits, as somebody would who means harm."""
    body = json.loads(manifest.read_text())["body"]
    body["tensors"].update({k: v for k, v in changes.items() if k in body["tensors"]})
    outer = {"format": "spikeloom-checkpoint", "version": 1}
    outer |= {key: value for key, value in changes.items() if key in outer}
    manifest.write_bytes(to_json({**outer, "sha256": hashlib.sha256(to_json(body)).hexdigest(), "body": body}))


def test_another_version_and_format_are_named(tmp_path: Path) -> None:
    manifest = save_checkpoint(tmp_path, tensors(), META)
    rewritten(manifest, version=2)
    with pytest.raises(FileError, match="unknown format version: got 2, expected 1"):
        load_checkpoint(manifest)
    rewritten(manifest, format="something-else")
    with pytest.raises(FileError, match="is not a spikeloom checkpoint"):
        load_checkpoint(manifest)


@pytest.mark.parametrize(
    "changes",
    [
        {"file": "../outside.safetensors"},
        {"file": "/etc/hostname"},
        {"bytes": -1},
        {"bytes": 10**30},
        {"bytes": True},
        {"bytes": "12"},
        {"sha256": "0" * 63},
        {"sha256": None},
    ],
)
def test_crafted_manifests_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    manifest = save_checkpoint(tmp_path, tensors(), META)
    rewritten(manifest, **changes)
    with pytest.raises(FileError):
        load_checkpoint(manifest)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b"3",
        b"\xff\xfe",
        b"[" * 100_000,
        b"1" * 5000,
        b'{"format": "spikeloom-checkpoint"}',
        b"{}" * 2,
    ],
)
def test_malformed_manifests_are_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "checkpoint.json").write_bytes(text)
    with pytest.raises(FileError):
        load_checkpoint(tmp_path)


def test_bad_safetensors_with_a_fitting_hash_are_refused(tmp_path: Path) -> None:
    manifest = save_checkpoint(tmp_path, tensors(), META)
    good = data_file(manifest).read_bytes()
    crafted = [
        b"",
        b"\xff" * 16,
        b"\x80\x04cos\nsystem\n(S'false'\ntR.",
        good[:8] + b"X" + good[9:],
        (2**40).to_bytes(8, "little"),
    ]
    for payload in crafted:
        digest = hashlib.sha256(payload).hexdigest()
        name = f"checkpoint-{digest[:16]}.safetensors"
        (tmp_path / name).write_bytes(payload)
        rewritten(manifest, file=name, sha256=digest, bytes=len(payload))
        with pytest.raises(FileError, match="is not a safetensors file"):
            load_checkpoint(manifest)


class FullDisk(io.FileIO):
    """A file on a disk with room for so many bytes."""

    room = 0

    def write(self, data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("failing", ["safetensors", "json"])
def test_a_full_disk_keeps_the_old_checkpoint(tmp_path: Path, failing: str) -> None:
    save_checkpoint(tmp_path, {"x": torch.ones(3)}, {"epoch": 1})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def opener(path: Path) -> BinaryIO:
        return FullDisk(path, "x") if path.name.endswith(failing) else open(path, "xb")  # type: ignore[return-value]

    for _ in range(5):
        with pytest.raises(FileError, match=r"cannot write .*No space left on device.*Free some space"):
            save_checkpoint(tmp_path, {"x": torch.zeros(3)}, {"epoch": 2}, open_file=opener)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert load_checkpoint(tmp_path).meta == {"epoch": 1}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write"):
        save_checkpoint(tmp_path / "file" / "checkpoint.json", {}, {})


def test_meta_must_be_json_and_small(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot be written as JSON"):
        save_checkpoint(tmp_path, {}, {"loss": float("nan")})
    with pytest.raises(ParameterError, match="cannot be written as JSON"):
        save_checkpoint(tmp_path, {}, {"thing": object()})
    with pytest.raises(ParameterError, match="meta is too large"):
        save_checkpoint(tmp_path, {}, {"text": "x" * 5_000_000})
    assert not list(tmp_path.iterdir())


def test_number_keys_load_again(tmp_path: Path) -> None:
    # As text "10" sorts before "2": the hash must not depend on which of the two orders was hashed.
    save_checkpoint(tmp_path, {}, {"by_epoch": {2: "b", 10: "a"}})
    assert load_checkpoint(tmp_path).meta == {"by_epoch": {"2": "b", "10": "a"}}


def test_a_failing_writer_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    write_atomic(target, b"old")

    def fail() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert files(tmp_path) == {"report.html"}
    assert target.read_bytes() == b"old"
