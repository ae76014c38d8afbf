"""Logs of a training: what is written, and that a resumed training continues them without a step twice."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from spikeloom.errors import FileError, ParameterError
from spikeloom.train.history import Epoch, Step
from spikeloom.train.logs import JsonLines, Several, TensorBoard, read_lines

STEPS = 4  # per epoch


class Training:
    """What a trainer tells: ``epochs`` of STEPS steps, from after the step ``total`` to before the step ``dies``."""

    def __init__(self, log: JsonLines | TensorBoard | Several) -> None:
        self.log = log

    def run(self, epochs: int, total: int = 0, dies: int | None = None, validated: bool = True) -> None:
        self.log.begin(total, 64 * total)
        if total and total % STEPS == 0 and not validated:
            self.log.epoch(row(total // STEPS))
        for count in range(total + 1, epochs * STEPS + 1):
            if count == dies:
                return
            self.log.step(step(count))
            if count % STEPS == 0:
                self.log.epoch(row(count // STEPS))


def step(count: int, loss: float | None = None) -> Step:
    epoch, inner = divmod(count - 1, STEPS)
    return Step(epoch + 1, inner + 1, count, 64, 16, 1.0 / count if loss is None else loss, 0.25, 0.01)


def row(epoch: int) -> Epoch:
    return Epoch(epoch, 1.0 / epoch, 0.5, 1.1 / epoch, 0.4, 0.07, 3.0)


def told(path: Path) -> list[tuple[str, int]]:
    return [(line["kind"], line["total"]) for line in read_lines(path)]


def undisturbed(epochs: int) -> list[tuple[str, int]]:
    lines: list[tuple[str, int]] = []
    for count in range(1, epochs * STEPS + 1):
        lines.append(("step", count))
        lines += [("epoch", count)] if count % STEPS == 0 else []
    return lines


# -- lines of JSON


def test_each_line_is_an_object_with_all_fields(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    Training(JsonLines(path, every=1)).run(epochs=1)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["kind"], line["total"]) for line in lines] == undisturbed(1)
    assert set(lines[0]) == {
        "kind", "at", "epoch", "step", "total", "samples", "hits", "loss", "penalty", "learning_rate",
    }  # fmt: skip
    assert (lines[1]["loss"], lines[1]["epoch"], lines[1]["step"]) == (0.5, 1, 2)
    assert lines[4] == {
        "kind": "epoch", "at": lines[4]["at"], "total": 4, "epoch": 1, "loss": 1.0, "accuracy": 0.5,
        "validation_loss": 1.1, "validation_accuracy": 0.4, "spikes_per_neuron_step": 0.07, "time_s": 3.0,
    }  # fmt: skip


def test_every_third_step(tmp_path: Path) -> None:
    Training(JsonLines(tmp_path / "log", every=3)).run(epochs=2)
    assert told(tmp_path / "log") == [("step", 1), ("step", 3), ("epoch", 4), ("step", 6), ("epoch", 8)]


def test_a_line_is_there_at_once(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "log", every=1)
    log.begin(0, 0)
    for count in (1, 2, 3):
        log.step(step(count))
        assert len(told(tmp_path / "log")) == count  # nothing was closed


@pytest.mark.parametrize("dies", range(1, 13))
@pytest.mark.parametrize("resumed", range(12))
def test_no_step_twice_and_none_missing(tmp_path: Path, dies: int, resumed: int) -> None:
    if resumed >= dies:
        return  # a checkpoint of the future
    path = tmp_path / "log"
    Training(JsonLines(path, every=1)).run(epochs=3, dies=dies)
    with open(path, "ab") as stream:
        stream.write(b'{"kind": "st')  # killed within a line
    Training(JsonLines(path, every=1)).run(epochs=3, total=resumed)
    assert told(path) == undisturbed(3)


def test_a_validation_done_again_is_not_logged_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    Training(JsonLines(path, every=1)).run(epochs=3, dies=7)
    Training(JsonLines(path, every=1)).run(epochs=3, total=4, validated=False)
    assert told(path) == undisturbed(3)
    # ... and one that had not been reached is.
    log = JsonLines(tmp_path / "other", every=1)
    log.begin(0, 0)
    for count in range(1, 5):
        log.step(step(count))
    Training(JsonLines(tmp_path / "other", every=1)).run(epochs=3, total=4, validated=False)
    assert told(tmp_path / "other") == undisturbed(3)


def test_a_new_training_starts_a_new_log(tmp_path: Path) -> None:
    Training(JsonLines(tmp_path / "log", every=1)).run(epochs=3)
    Training(JsonLines(tmp_path / "log", every=1)).run(epochs=1)
    assert told(tmp_path / "log") == undisturbed(1)


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "log")
    log.step(step(1, math.nan))
    log.close()
    assert "NaN" not in (tmp_path / "log").read_text()
    assert read_lines(tmp_path / "log")[0]["loss"] is None


@pytest.mark.parametrize(
    "text", ["[1]\n", "hello\n", '{"kind": "step"}\n', '{"kind": "step", "total": "x"}\n', "\n", "precious"]
)
def test_another_file_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "log").write_text(text)
    with pytest.raises(FileError, match="log is not a log of a training: line 1 cannot be read"):
        JsonLines(tmp_path / "log").begin(0, 0)
    assert (tmp_path / "log").read_text() == text


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot write .*nowhere"):
        JsonLines(tmp_path / "nowhere" / "log").begin(0, 0)
    with pytest.raises(FileError, match="cannot read"):
        read_lines(tmp_path / "nowhere")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "log")
    log.begin(0, 0)
    with open("/dev/full", "ab", buffering=0) as full:
        log._file = full
        with pytest.raises(FileError, match=r"cannot write .*log.*Free some space"):
            log.step(step(1))


@pytest.mark.parametrize("kind", [JsonLines, TensorBoard])
def test_every_is_at_least_one(tmp_path: Path, kind: type[JsonLines] | type[TensorBoard]) -> None:
    with pytest.raises(ParameterError, match="every is out of range: got 0"):
        kind(tmp_path / "log", every=0)


# -- TensorBoard


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return [(event.step, round(event.value, 6)) for event in events.Scalars(tag)]


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    log = TensorBoard(tmp_path, every=2)
    Training(log).run(epochs=2)
    log.close()
    assert scalars(tmp_path, "train/loss") == [(k, round(1 / k, 6)) for k in (1, 2, 4, 6, 8)]
    assert scalars(tmp_path, "train/accuracy")[0] == (1, 0.25)
    assert scalars(tmp_path, "train/penalty")[0] == (1, 0.25)
    assert scalars(tmp_path, "train/learning_rate")[0] == (1, 0.01)
    assert scalars(tmp_path, "epoch/validation_loss") == [(4, 1.1), (8, 0.55)]


def test_tensorboard_after_a_resume_shows_every_step_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    for total, dies in ((0, 8), (5, None)):
        log = TensorBoard(tmp_path, every=1)
        Training(log).run(epochs=3, total=total, dies=dies)
        log.close()
    assert [count for count, _ in scalars(tmp_path, "train/loss")] == list(range(1, 13))
    assert [count for count, _ in scalars(tmp_path, "epoch/loss")] == [4, 8, 12]


def test_without_tensorboard_the_error_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ParameterError, match=r"needs the package tensorboard.*`pip install tensorboard`"):
        TensorBoard(tmp_path)


# -- several


def test_several_hear_the_same_and_are_all_closed(tmp_path: Path) -> None:
    class Broken(JsonLines):
        def close(self) -> None:
            super().close()
            if self.armed:
                raise FileError("cannot write")

        armed = False

    broken, other = Broken(tmp_path / "a", every=1), JsonLines(tmp_path / "b", every=1)
    log = Several([broken, other])
    Training(log).run(epochs=2)
    assert told(tmp_path / "a") == told(tmp_path / "b") == undisturbed(2)
    broken.armed = True
    with pytest.raises(FileError):
        log.close()
    assert other._file is None
