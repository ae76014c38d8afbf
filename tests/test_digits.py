"""The digits recipe as a whole: from the configuration to the folder of a run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from spikeloom.data.arrays import Labelled
from spikeloom.data.digits import load_digits
from spikeloom.data.splits import stratified_split
from spikeloom.recipes import RECIPES, DigitsConfig, classification, digits_task
from spikeloom.recipes.common import EncodingConfig, NeuronConfig
from spikeloom.recipes.problem import ANN, build
from spikeloom.recipes.settings_file import write_settings
from spikeloom.recipes.stored import open_run
from spikeloom.storage.checkpoint import load_checkpoint
from spikeloom.train.evaluate import evaluate
from spikeloom.train.run_folder import open_run_folder
from spikeloom.train.seeds import derive_seed

DIGITS = RECIPES[0]


def run_digits(config: DigitsConfig) -> dict:
    with open_run_folder(config.out, config.name, "digits") as folder:
        write_settings(folder, "digits", config)
        return classification.run(DIGITS, config, folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("runs")
    summary = run_digits(DigitsConfig(out=out, name="full"))
    return out / "full", summary


def test_digits_reaches_its_accuracy(finished: tuple[Path, dict]) -> None:
    _, summary = finished
    assert summary["metrics"]["seeds"] == 3
    assert summary["metrics"]["test_accuracy"] >= 0.97
    assert min(row["test_accuracy"] for row in summary["per_seed"]) >= 0.95
    assert 0.0 < summary["metrics"]["spikes_per_neuron_step"] < 0.5
    accuracies = [row["test_accuracy"] for row in summary["per_seed"]]
    assert summary["metrics"]["test_accuracy"] == pytest.approx(sum(accuracies) / 3)
    spread = math.sqrt(sum((a - sum(accuracies) / 3) ** 2 for a in accuracies) / 2)
    assert summary["metrics"]["test_accuracy_sd"] == pytest.approx(spread)


def test_digits_writes_its_folder(finished: tuple[Path, dict]) -> None:
    folder, summary = finished
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "summary.json", "history.json", "report.html", "checkpoint", "log",
    }  # fmt: skip
    written = json.loads((folder / "summary.json").read_text())
    assert written == json.loads(json.dumps(summary))
    assert written["split"] == {"train": 1078, "validation": 360, "test": 359}
    assert written["config"]["neuron"]["tau"] == DigitsConfig().neuron.tau
    assert written["versions"]["torch"] == torch.__version__
    assert any("LIF/forward" in name for name in written["kernels"])
    assert any("LIF/backward" in name for name in written["kernels"])
    assert "</html>" in (folder / "report.html").read_text()


def test_the_checkpoint_gives_the_tested_network(finished: tuple[Path, dict]) -> None:
    folder, summary = finished
    stored = open_run(folder)
    for row in summary["per_seed"]:
        saved = load_checkpoint(folder / "checkpoint" / f"spiking-seed-{row['seed']}" / "best.json")
        assert saved.meta["epoch"] == row["best_epoch"]
        checked = evaluate(stored.task(row["seed"]), stored.parts().test, seed=derive_seed(row["seed"], "test"))
        assert checked.accuracy.correct == row["test_accuracy"]
        assert checked.predicted.shape == (359,)


@pytest.mark.parametrize("kind", ["direct", "rate"])
def test_same_seed_same_result(tmp_path: Path, kind: str) -> None:
    encoding = EncodingConfig(kind=kind, steps=5)  # type: ignore[arg-type]
    small = {"epochs": 2, "seeds": 1, "encoding": encoding, "neuron": NeuronConfig(width=16, learn_tau=True)}
    first, again = (run_digits(DigitsConfig(out=tmp_path, name=name, **small)) for name in ("a", "b"))  # type: ignore[arg-type]
    timeless = [[{**row, "train_time_s": 0} for row in each["per_seed"]] for each in (first, again)]
    assert timeless[0] == timeless[1]
    files = [sorted((tmp_path / name / "checkpoint").rglob("best*.safetensors")) for name in ("a", "b")]
    assert [path.name for path in files[0]] == [path.name for path in files[1]]  # named by their hash
    assert files[0][0].read_bytes() == files[1][0].read_bytes()
    assert first["metrics"]["test_accuracy_sd"] == 0.0


def test_the_test_images_choose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the test set holds, the trained networks are the same, bit by bit."""
    data = load_digits()
    split = stratified_split(data.y, train=0.6, validation=0.2, seed=0)
    poisoned = Labelled(data.x.copy(), data.y.copy())
    poisoned.x[split.test] = np.random.default_rng(0).random((len(split.test), 64), np.float32)
    poisoned.y[split.test] = np.arange(len(split.test)) % 10
    chosen = []
    for name, source in (("clean", data), ("dirty", poisoned)):
        # The split goes by the true labels in both: a test set is not known by its labels.
        monkeypatch.setattr(digits_task, "load_digits", lambda source=source: source)
        monkeypatch.setattr(digits_task, "stratified_split", lambda labels, **_: split)
        run_digits(DigitsConfig(out=tmp_path, name=name, epochs=2, seeds=1))
        chosen.append(next((tmp_path / name / "checkpoint" / "spiking-seed-0").glob("best-*.safetensors")).name)
    assert chosen[0] == chosen[1]


def test_the_baseline_is_the_artificial_network_of_equal_shape(tmp_path: Path) -> None:
    config = DigitsConfig(epochs=4, seeds=2, baseline=True, out=tmp_path, name="both", neuron=NeuronConfig(width=32))
    summary = run_digits(config)
    baseline = summary["baseline"]
    assert baseline["parameters"] == summary["parameters"] == 64 * 32 + 32 + 32 * 10 + 10
    assert [row["seed"] for row in baseline["per_seed"]] == [0, 1]
    assert baseline["metrics"]["test_accuracy"] > 0.8
    assert baseline["metrics"]["spikes_per_neuron_step"] == 0.0
    energy = summary["energy"]
    assert energy["accuracies"] == {
        "spiking": summary["metrics"]["test_accuracy"], "ann": baseline["metrics"]["test_accuracy"],
    }  # fmt: skip
    parts = digits_task.load(config)
    twin = build(DIGITS, config, 0, parts, ANN)
    assert [type(m).__name__ for m in twin.net.children()] == ["Linear", "ReLU", "Linear", "Identity"]
    spiking = build(DIGITS, config, 0, parts)
    assert torch.equal(twin.net[0].weight, spiking.net[0].weight)  # type: ignore[index,union-attr]
    x = torch.from_numpy(parts.test.x[:5])
    assert torch.equal(twin.encode(x, 0), x.unsqueeze(0))
