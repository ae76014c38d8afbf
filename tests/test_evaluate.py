"""``spikeloom evaluate`` and ``spikeloom report``: what a finished run does, read back from its folder."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from spikeloom.cli import main

SMALL = ("--epochs", "2", "--encoding.steps", "4", "--neuron.width", "12")


def train(out: Path, name: str, *options: str) -> Path:
    assert main(["train", "digits", *SMALL, "--out", str(out), "--name", name, *options]) == 0
    return out / name


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("runs"), "small", "--seeds", "2", "--baseline")


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be done with as one likes."""
    return Path(shutil.copytree(trained, tmp_path / "small"))


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one message of a request that cannot be carried out."""
    capsys.readouterr()
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("spikeloom: ")
    assert "Traceback" not in message
    assert message.count("\n") == 1
    return message


# Evaluation


def test_the_stored_network_does_what_the_summary_says(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["evaluate", str(run)]) == 0
    out = capsys.readouterr().out
    summary, found = read(run / "summary.json"), read(run / "evaluation.json")
    assert "as in summary.json" in out
    assert "NOT" not in out
    assert found["differences"] == []
    assert found["samples"] == 359
    for stored, variant in ((summary, "spiking"), (summary["baseline"], "ann")):
        rows = found["networks"][variant]["per_seed"]
        assert [row["seed"] for row in rows] == [0, 1]
        assert [row["accuracy"] for row in rows] == [row["test_accuracy"] for row in stored["per_seed"]]
        assert found["networks"][variant]["metrics"]["accuracy"] == stored["metrics"]["test_accuracy"]
        assert found["networks"][variant]["metrics"]["accuracy_sd"] == stored["metrics"]["test_accuracy_sd"]
        assert f"{100 * stored['metrics']['test_accuracy']:.1f} ± " in out
    assert "ANN twin" in out


def test_the_validation_part(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--split", "validation"]) == 0
    assert "360 validation images" in capsys.readouterr().out
    rows = read(run / "evaluation.json")["networks"]["spiking"]["per_seed"]
    stored = read(run / "summary.json")["per_seed"]
    assert [row["accuracy"] for row in rows] == [row["validation_accuracy"] for row in stored]


def test_one_seed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--seed-of-run", "1"]) == 0
    assert "±" not in capsys.readouterr().out
    assert [r["seed"] for r in read(run / "evaluation.json")["networks"]["spiking"]["per_seed"]] == [1]
    assert "0, 1" in refused(capsys, "evaluate", str(run), "--seed-of-run", "7")


def test_a_summary_that_says_something_else_is_contradicted(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = read(run / "summary.json")
    summary["per_seed"][1]["test_accuracy"] = 0.999
    (run / "summary.json").write_text(json.dumps(summary))
    assert main(["evaluate", str(run)]) == 0
    out = capsys.readouterr().out
    assert "NOT as in summary.json" in out
    assert re.search(r"spiking seed 1: test_accuracy is 0\.\d+ here and 0.999 there", out)
    (line,) = read(run / "evaluation.json")["differences"]
    assert "0.999" in line


# Robustness


def test_noise_writes_curves_of_network_and_twin(run: Path) -> None:
    options = ("--noise", "--noise-repeats", "2", "--noise-images", "0")
    assert main(["evaluate", str(run), *options]) == 0
    found, summary = read(run / "robustness.json"), read(run / "summary.json")
    assert (found["images"], found["split_size"], found["repeats"], found["seeds"]) == (359, 359, 2, [0, 1])
    assert found["chance"] == 0.1
    titles = [curve["title"] for curve in found["curves"]]
    assert titles == ["input noise", "spike deletion", "spike jitter", "weight noise", "dead neurons"]
    for curve in found["curves"]:
        for variant, stored in (("spiking", summary), ("ann", summary["baseline"])):
            if curve["title"] == "spike jitter" and variant == "ann":
                assert curve[variant] == {"skipped": "it has no spikes to move"}
                continue
            assert curve["levels"][0] == 0.0
            expected = [row["test_accuracy"] for row in stored["per_seed"] for _ in range(2)]
            assert curve[variant]["accuracy"][0] == expected
            assert len(curve[variant]["mean"]) == len(curve["levels"])
    text = (run / "robustness.html").read_text(encoding="utf-8")
    assert "</html>" in text
    assert "359 of 359 (test)" in text


def test_noise_on_some_of_the_images_of_one_seed(run: Path) -> None:
    options = ("--noise", "--noise-repeats", "1", "--noise-images", "50", "--seed-of-run", "0")
    assert main(["evaluate", str(run), *options]) == 0
    found = read(run / "robustness.json")
    assert (found["images"], found["seeds"]) == (50, [0])
    assert all(len(row) == 1 for row in found["curves"][0]["spiking"]["accuracy"])
    assert (50 * found["curves"][0]["spiking"]["mean"][0]) % 1 == pytest.approx(0.0, abs=1e-9)


def test_a_rate_coded_network_gets_clipped_noise(tmp_path: Path) -> None:
    folder = train(tmp_path, "rate", "--seeds", "1", "--encoding.kind", "rate")
    assert main(["evaluate", str(folder), "--noise", "--noise-repeats", "1", "--noise-images", "40"]) == 0
    found = read(folder / "robustness.json")
    assert "clipped" in found["note"]
    assert "ann" not in found["curves"][0]
    assert "ANN" not in re.sub(r"<script>.*?</script>", "", (folder / "robustness.html").read_text(), flags=re.DOTALL)


# The report, made again


def test_a_report_made_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "report.html").read_text(encoding="utf-8")
    (run / "report.html").unlink()
    assert main(["report", str(run)]) == 0
    assert "report.html" in capsys.readouterr().out
    again = (run / "report.html").read_text(encoding="utf-8")
    visible = [
        re.sub(r"<script>.*?</script>|id=\"[^\"]*\"|content=\"[^\"]*\"", "", t, flags=re.DOTALL)
        for t in (before, again)
    ]
    assert "id=robustness" not in again
    assert len(visible[0]) == pytest.approx(len(visible[1]), rel=0.02)
    assert main(["evaluate", str(run), "--noise", "--noise-repeats", "1", "--noise-images", "30"]) == 0
    assert main(["report", str(run)]) == 0
    with_noise = (run / "report.html").read_text(encoding="utf-8")
    assert 'id="robustness"' in with_noise
    assert "Spike deletion" in with_noise


# Bad input


@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_what_is_no_run_is_refused(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no run was named" in refused(capsys, command)
    assert "does not exist" in refused(capsys, command, str(tmp_path / "none"))
    (tmp_path / "file").write_text("x")
    assert "is a file" in refused(capsys, command, str(tmp_path / "file"))
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(capsys, command, str(tmp_path / "empty"))
    assert "no such option" in refused(capsys, command, str(tmp_path), "--nois")


def checkpoints(run: Path) -> list[Path]:
    return sorted(run.glob("checkpoint/spiking-seed-0/best*"))


def test_a_missing_checkpoint(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in checkpoints(run):
        file.unlink()
    assert "best.json" in refused(capsys, "evaluate", str(run))


def test_a_damaged_checkpoint(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tensors,) = (f for f in checkpoints(run) if f.suffix == ".safetensors")
    damaged = bytearray(tensors.read_bytes())
    damaged[-1] ^= 1
    tensors.write_bytes(damaged)
    assert "damaged" in refused(capsys, "evaluate", str(run))


def test_a_checkpoint_of_another_version(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (manifest,) = (f for f in checkpoints(run) if f.suffix == ".json")
    text = manifest.read_text()
    assert '"version": 1' in text
    manifest.write_text(text.replace('"version": 1', '"version": 2'))
    assert "another version of spikeloom" in refused(capsys, "evaluate", str(run))


def test_a_checkpoint_of_another_architecture(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = train(tmp_path, "other", "--seeds", "1", "--neuron.width", "9")
    for file in checkpoints(run):
        file.unlink()
    for file in checkpoints(other):
        shutil.copy(file, run / "checkpoint" / "spiking-seed-0" / file.name)
    message = refused(capsys, "evaluate", str(run))
    assert "best.json" in message


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"recipe": "none"}', '{"recipe": "digits"}', "\x00"])
def test_a_summary_that_is_none(run: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "summary.json").write_text(text)
    assert "summary.json" in refused(capsys, "evaluate", str(run))


def test_unusable_options(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "noise-images" in refused(capsys, "evaluate", str(run), "--noise-images", "-1")
    assert "noise-repeats" in refused(capsys, "evaluate", str(run), "--noise-repeats", "0")
    assert "split" in refused(capsys, "evaluate", str(run), "--split", "train")


def test_digits_have_no_folder_of_data(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "digits" in refused(capsys, "evaluate", str(run), "--data.root", str(tmp_path))


def test_a_broken_robustness_file(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("{", "{}", "[]", '{"curves": []}'):
        (run / "robustness.json").write_text(text)
        assert "robustness.json" in refused(capsys, "report", str(run))
