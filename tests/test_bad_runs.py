"""Bad input to the commands that train and read runs: one clear message, exit code 2, no traceback."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.cli import main
from spikeloom.storage.files import to_json
from spikeloom.train.run_folder import alone

KINDS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
SMALL = (
    "--epochs", "2", "--seeds", "1", "--encoding.steps", "2", "--net.hidden", "8", "--augment.shift", "0",
    "--optimiser.batch-size", "16", "--keep.every", "1", "--keep.log-every", "1",
)  # fmt: skip


def write(path: Path, array: np.ndarray, magic: bytes = b"\0\0\x08") -> None:
    header = magic + struct.pack(f">B{array.ndim}I", array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def make(root: Path, seed: int = 0) -> Path:
    """A set of 120 and 30 images, ten classes."""
    root.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for part, count in (("train", 120), ("t10k", 30)):
        write(root / f"{part}-images-idx3-ubyte.gz", generator.integers(0, 256, (count, 6, 6)))
        write(root / f"{part}-labels-idx1-ubyte.gz", np.arange(count) % 10)
    return root


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one message of a request that cannot be carried out."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("spikeloom: ")
    assert "Traceback" not in message
    assert message.count("\n") == 1
    return message


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished run, and its data."""
    root = tmp_path_factory.mktemp("all")
    data = make(root / "data")
    assert main(["train", "mnist", *SMALL, "--data.root", str(data), "--out", str(root), "--name", "done"]) == 0
    return root / "done", data


@pytest.fixture
def begun(trained: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the run that looks as if it had been killed before its end."""
    run = Path(shutil.copytree(trained[0], tmp_path / "begun"))
    (run / "summary.json").unlink()
    return run


def last(run: Path) -> Path:
    return run / "checkpoint" / "spiking-seed-0" / "last.json"


# -- files of images


def _cut(path: Path) -> None:
    whole = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(whole[: len(whole) // 2]))


def _cut_gzip(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _wrong_magic(path: Path) -> None:
    write(path, np.zeros((120, 6, 6)), magic=b"\x01\0\x08")


def _fewer_labels(path: Path) -> None:
    write(path, np.arange(119) % 10)


def _label_11(path: Path) -> None:
    write(path, np.r_[np.arange(119) % 10, 11])


def _no_threes(path: Path) -> None:
    labels = np.arange(120) % 10
    write(path, np.where(labels == 3, 4, labels))


@pytest.mark.parametrize(
    ("file", "spoil", "parts"),
    [
        (KINDS[0], Path.unlink, [KINDS[0], "missing"]),
        (KINDS[3], Path.unlink, [KINDS[3], "missing"]),
        (KINDS[0], _cut, [KINDS[0], "is cut off", "bytes"]),
        (KINDS[0], _cut_gzip, [KINDS[0], "damaged or cut off"]),
        (KINDS[2], lambda path: path.write_bytes(b""), [KINDS[2], "is cut off"]),
        (KINDS[0], _wrong_magic, [KINDS[0], "is no idx file", "magic 01 00"]),
        (KINDS[1], _fewer_labels, ["120 images and 119 labels"]),
        (KINDS[1], _label_11, [KINDS[1], "label is out of range", "11 at 119", "0 to 9"]),
        (KINDS[1], _no_threes, ["no image of a class", "none of [3]"]),
    ],
    ids=["missing", "missing-test", "cut", "cut-gzip", "empty", "magic", "counts", "range", "absent"],
)
def test_files_that_cannot_be_used(
    file: str, spoil: Callable[[Path], Any], parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make(tmp_path / "data")
    spoil(data / f"{file}.gz")
    message = refused(
        capsys, "train", "mnist", *SMALL, "--data.root", data, "--out", tmp_path / "runs", "--name", "new"
    )
    assert all(part in message for part in parts), message
    # The name is free again.
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_folder_without_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "train", "mnist", "--data.root", tmp_path / "no", "--out", tmp_path / "runs")
    assert "the files of MNIST are not there" in message
    assert "--data.root" in message


# -- going on


def test_going_on_with_another_configuration(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "train", "--resume", begun, "--epochs", "3", "--neuron.tau", "7")
    assert "epochs was 2 and is now 3" in message
    assert "neuron.tau was 5.0 and is now 7.0" in message


def test_going_on_with_another_architecture(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = json.loads((begun / "config.json").read_text())
    settings["config"]["net"]["hidden"] = [9]
    (begun / "config.json").write_text(json.dumps(settings))
    message = refused(capsys, "train", "--resume", begun)
    assert f"{last(begun)} belongs to another network" in message
    assert "has shape (8, 36), here (9, 36)" in message


def test_going_on_with_edited_settings_of_the_training(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = json.loads((begun / "config.json").read_text())
    settings["config"]["optimiser"]["learning_rate"] = 0.5
    (begun / "config.json").write_text(json.dumps(settings))
    assert "learning_rate was 0.002 and is now 0.5" in refused(capsys, "train", "--resume", begun)


def test_going_on_from_another_version(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outer = json.loads(last(begun).read_text())
    last(begun).write_bytes(to_json({**outer, "version": 99}))
    message = refused(capsys, "train", "--resume", begun)
    assert "unknown format version: got 99, expected 1" in message
    assert "another version of spikeloom" in message


def test_going_on_from_a_damaged_checkpoint(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = last(begun).read_text()
    last(begun).write_text(text.replace('"epoch": 3', '"epoch": 2', 1))
    assert f"{last(begun)} is damaged" in refused(capsys, "train", "--resume", begun)
    last(begun).write_text(text[:-5])
    assert f"{last(begun)} is truncated or damaged" in refused(capsys, "train", "--resume", begun)


def test_a_sealed_checkpoint_that_lacks_a_field(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outer = json.loads(last(begun).read_text())
    for name in list(outer["body"]["meta"]["training"]):
        body = json.loads(json.dumps(outer["body"]))
        del body["meta"]["training"][name]
        sealed = {**outer, "body": body, "sha256": hashlib.sha256(to_json(body)).hexdigest()}
        last(begun).write_bytes(to_json(sealed))
        assert str(last(begun)) in refused(capsys, "train", "--resume", begun), name


@pytest.mark.parametrize("text", ["", "[]", "{", '{"recipe": 3, "config": {}}', '{"recipe": "mnist"}', "[" * 100_000])
def test_going_on_with_damaged_settings(text: str, begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (begun / "config.json").write_text(text)
    assert "config.json is damaged" in refused(capsys, "train", "--resume", begun)


def test_going_on_with_a_setting_of_another_version(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = json.loads((begun / "config.json").read_text())
    settings["config"]["new_thing"] = 1
    (begun / "config.json").write_text(json.dumps(settings))
    assert "does not know: got new_thing" in refused(capsys, "train", "--resume", begun)


def test_a_run_of_an_older_version_goes_on(
    trained: tuple[Path, Path], begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fields that have come since stand at what the older version did."""
    settings = json.loads((begun / "config.json").read_text())
    for name in ("scale", "right", "wrong", "lead"):
        del settings["config"]["readout"][name]
    del settings["config"]["gradient"]["kind"]
    (begun / "config.json").write_text(json.dumps(settings))
    outer = json.loads(last(begun).read_text())
    del outer["body"]["meta"]["training"]["settings"]["gradient"]
    last(begun).write_bytes(to_json({**outer, "sha256": hashlib.sha256(to_json(outer["body"])).hexdigest()}))
    refusal = refused(capsys, "train", "--resume", begun, "--readout.scale", "3")
    assert "readout.scale was 10.0 and is now 3.0" in refusal
    assert main(["train", "--resume", str(begun)]) == 0
    found = [json.loads((run / "summary.json").read_text()) for run in (begun, trained[0])]
    assert found[0]["metrics"] == found[1]["metrics"]


def test_going_on_where_another_process_works(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("fcntl")
    with alone(begun):
        message = refused(capsys, "train", "--resume", begun)
    assert f"another process is at work in {begun}" in message


def test_going_on_with_other_data(begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = make(tmp_path / "other", seed=5)
    message = refused(capsys, "train", "--resume", begun, "--data.root", other)
    assert "data" in message
    assert str(last(begun)) in message or str(begun) in message


def test_going_on_where_nothing_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not the folder of a run" in refused(capsys, "train", "--resume", tmp_path)
    assert "no run was named" in refused(capsys, "train", "--resume")


@pytest.mark.parametrize("command", ["evaluate", "report", "compare"])
def test_a_simulated_network_is_no_training(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("result.json", "summary.json"):
        (tmp_path / name).write_text("{}")
    message = refused(capsys, command, tmp_path, *([tmp_path] if command == "compare" else []))
    assert "takes trainings only" in message
    assert str(tmp_path / "report.html") in message


def test_a_finished_run_has_nothing_left(trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", str(trained[0])]) == 0
    assert "is finished" in capsys.readouterr().out


# -- reading runs


def test_an_unfinished_run_is_no_run_to_read(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("evaluate", "report"):
        message = refused(capsys, command, begun)
        assert "has not finished" in message
        assert "--resume" in message


def test_an_unfinished_run_is_not_compared(
    begun: Path, trained: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(capsys, "compare", begun, trained[0], "--out", tmp_path / "page.html")
    assert str(begun) in message


def test_other_data_are_not_evaluated(
    trained: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make(tmp_path / "other", seed=5)
    assert "the data are not those" in refused(capsys, "evaluate", trained[0], "--data.root", other)


# -- a full disk


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs limits of file size")
def test_a_full_disk_stops_the_run_and_keeps_the_checkpoint(
    trained: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import resource

    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    options = ("train", "mnist", *SMALL, "--data.root", trained[1], "--out", tmp_path, "--name", "full")
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, before[1]))
    try:
        message = refused(capsys, *options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "cannot write" in message
    assert str(tmp_path / "full") in message
