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
from spikeloom.data.splits import Split, stratified_split
from spikeloom.recipes import DigitsConfig, digits_run
from spikeloom.recipes.common import EncodingConfig, NeuronConfig
from spikeloom.train.checkpoint import load_checkpoint
from spikeloom.train.evaluate import evaluate
from spikeloom.train.run_folder import open_run_folder
from spikeloom.train.seeds import derive_seed
from spikeloom.train.threads import torch_threads


def run_digits(config: DigitsConfig) -> dict:
    with open_run_folder(config.out, config.name, "digits") as folder:
        return digits_run.run(config, folder)


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
    assert {path.name for path in folder.iterdir()} == {"summary.json", "report.html", "checkpoint"}
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
    config, data = DigitsConfig(), load_digits()
    test = data.take(stratified_split(data.y, train=0.6, validation=0.2, seed=0).test)
    for row in summary["per_seed"]:
        saved = load_checkpoint(folder / "checkpoint" / f"seed-{row['seed']}.json")
        assert saved.meta["epoch"] == row["best_epoch"]
        made = digits_run.build(config, seed=99, inputs=64)
        made.net.load_state_dict(saved.tensors)
        checked = evaluate(made, test, seed=derive_seed(row["seed"], "test"))
        assert checked.accuracy.correct == row["test_accuracy"]


@pytest.mark.parametrize("kind", ["direct", "rate"])
def test_same_seed_same_result(tmp_path: Path, kind: str) -> None:
    encoding = EncodingConfig(kind=kind, steps=5)  # type: ignore[arg-type]
    small = {"epochs": 2, "seeds": 1, "encoding": encoding, "neuron": NeuronConfig(width=16, learn_tau=True)}
    first, again = (run_digits(DigitsConfig(out=tmp_path, name=name, **small)) for name in ("a", "b"))  # type: ignore[arg-type]
    assert first["per_seed"] == again["per_seed"]
    files = [sorted((tmp_path / name / "checkpoint").glob("*.safetensors")) for name in ("a", "b")]
    assert files[0][0].read_bytes() == files[1][0].read_bytes()
    assert first["metrics"]["test_accuracy_sd"] == 0.0


def test_the_test_images_choose_nothing() -> None:
    """Whatever the test set holds, the trained networks are the same, bit by bit."""
    data = load_digits()
    split = stratified_split(data.y, train=0.6, validation=0.2, seed=0)
    poisoned = Labelled(data.x.copy(), data.y.copy())
    poisoned.x[split.test] = np.random.default_rng(0).random((len(split.test), 64), np.float32)
    poisoned.y[split.test] = 0
    config = DigitsConfig(epochs=2, seeds=1)

    def train(on: Labelled, parts: Split) -> dict[str, torch.Tensor]:
        with torch_threads(1):
            return digits_run._train(config, on, parts)[0][0].fitted.tensors

    clean, dirty = train(data, split), train(poisoned, split)
    assert all(torch.equal(clean[name], dirty[name]) for name in clean)
