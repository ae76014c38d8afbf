"""The recipes for images, on files of a few images made here; the real ones where they are found."""

from __future__ import annotations

import gzip
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spikeloom.cli import main
from spikeloom.recipes import RECIPES, ImagesConfig, images
from spikeloom.recipes.classification import fit_settings
from spikeloom.recipes.problem import ANN, SPIKING, build, problem_of
from spikeloom.train.loop import fit

BY_NAME = {recipe.name: recipe for recipe in RECIPES}
SMALL = ("--epochs", "2", "--seeds", "1", "--optimiser.batch-size", "20", "--augment.shift", "1")


def write_idx(path: Path, array: np.ndarray) -> None:
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten classes, each a bright column at its own place; 200 images to train with and 40 to test."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for part, count in (("train", 200), ("t10k", 40)):
        labels = np.arange(count) % 10
        pixels = random.integers(0, 60, (count, 28, 28))
        for image, label in zip(pixels, labels, strict=True):
            image[:, 2 * label + 4 : 2 * label + 6] += 180
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", pixels)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    return folder


def train(root: Path, out: Path, recipe: str, *options: str) -> dict:
    assert main(["train", recipe, "--data.root", str(root), "--out", str(out), "--name", "run", *SMALL, *options]) == 0
    return json.loads((out / "run" / "summary.json").read_text())


def test_mnist_trains_beside_its_baseline(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = train(root, tmp_path, "mnist", "--epochs", "6", "--baseline", "--penalty.rate", "1.0")
    assert summary["split"] == {"train": 180, "validation": 20, "test": 40}
    assert summary["metrics"]["test_accuracy"] > 0.9
    assert summary["parameters"] == summary["baseline"]["parameters"] == 784 * 512 + 512 + 512 * 10 + 10
    assert "180 train / 20 validation / 40 test, split seed 0" in capsys.readouterr().out
    page = (tmp_path / "run" / "report.html").read_text()
    assert "ANN" in page
    assert "joule" in page.lower() or "µJ" in page or "nJ" in page


@pytest.mark.parametrize(
    "options",
    [
        ("--net.kind", "conv", "--net.channels", "4", "8", "--net.hidden", "16"),
        ("--net.kind", "conv", "--net.channels", "4", "--net.norm", "temporal", "--encoding.steps", "3"),
        ("--net.kind", "vgg", "--net.channels", "4", "--net.norm", "threshold"),
        ("--net.kind", "conv", "--net.channels", "4", "--readout.loss", "first-spike", "--readout.smoothing", "0"),
        ("--net.kind", "sew-resnet", "--net.channels", "4", "8", "--gradient.truncate", "1"),
        ("--net.kind", "mlp", "--gradient.recompute", "2", "--neuron.learn-tau", "--encoding.kind", "rate"),
        ("--net.kind", "mlp", "--gradient.accumulate", "3", "--gradient.precision", "bfloat16", "--augment.flip"),
    ],
    ids=["conv", "temporal", "vgg", "first-spike", "sew-resnet", "recompute", "bfloat16"],
)
def test_every_kind_of_network_trains(root: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    summary = train(root, tmp_path, "fashion-mnist", "--data.set", "mnist", "--epochs", "1", *options)
    assert 0.0 <= summary["metrics"]["test_accuracy"] <= 1.0
    assert summary["metrics"]["spikes_per_neuron_step"] > 0.0
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["differences"] == []


def test_recomputing_changes_nothing_but_rounding(root: Path) -> None:
    config = ImagesConfig(data=images.ImageFilesConfig(root=root), encoding=images.EncodingConfig(steps=6), epochs=1)
    recipe = BY_NAME["mnist"]
    parts = problem_of(recipe).load(config)
    found = []
    for steps in (0, 2):
        task = build(recipe, config, 0, parts)
        settings = replace(fit_settings(config), recompute=steps)
        found.append(fit(task, settings, parts.train, parts.validation, seed=0).tensors)
    for name in found[0]:
        assert torch.allclose(found[0][name], found[1][name], atol=1e-4), name


@pytest.mark.parametrize("name", ["mnist", "mnist-conv", "fashion-mnist"])
def test_the_twin_has_the_same_shape(root: Path, name: str) -> None:
    recipe = BY_NAME[name]
    config = recipe.configure()
    parts = problem_of(BY_NAME["mnist"]).load(ImagesConfig(data=images.ImageFilesConfig(root=root)))
    spiking, ann = (build(recipe, config, 0, parts, variant) for variant in (SPIKING, ANN))
    shapes = [[tuple(p.shape) for p in task.net.parameters()] for task in (spiking, ann)]
    assert shapes[0] == shapes[1]
    y, _ = ann.net(ann.encode(torch.from_numpy(parts.test.x[:3]), 0))
    assert y.shape == (1, 3, 10)


# -- resuming from the command line


def test_a_finished_run_has_nothing_left_to_do(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(root, tmp_path, "mnist")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert "nothing left to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*") if path.name != "probe"} == before


def test_resuming_after_the_summary_was_lost_gives_it_again(root: Path, tmp_path: Path) -> None:
    first = train(root, tmp_path, "mnist")
    (tmp_path / "run" / "summary.json").unlink()
    options = ["--data.root", str(root), "--out", str(tmp_path), "--name", "run", *SMALL, "--resume"]
    assert main(["train", "mnist", *options]) == 0
    again = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert again["metrics"] == first["metrics"]
    assert again["per_seed"] == first["per_seed"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mnist", "--resume"], "which run should go on?"),
        (["--resume"], "no run was named"),
        (["--resume", "{run}", "--epochs", "9"], "epochs was 2 and is now 9"),
        (["--resume", "{run}", "--optimiser.learning-rate", "0.5"], "optimiser.learning-rate was 0.002 and is now 0.5"),
        (["mnist", "--gradient.truncate", "2", "--penalty.silent", "1"], "gradient.truncate excludes penalty.count"),
        (["--resume", "{run}/log"], "is not the folder of a run: there is no config.json"),
        (["digits", "--out", "{out}", "--name", "run", "--resume"], "is a run of another recipe"),
    ],
)
def test_what_cannot_go_on(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    train(root, tmp_path, "mnist", "--epochs", "2")
    (tmp_path / "run" / "summary.json").unlink()
    filled = [a.format(run=tmp_path / "run", out=tmp_path) for a in arguments]
    capsys.readouterr()
    assert main(["train", *filled]) == 2
    assert said in capsys.readouterr().err


def test_a_run_that_could_not_begin_leaves_its_name_free(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data.root", str(tmp_path / "nowhere"), "--out", str(tmp_path), "--name", "run"]
    assert main(["train", "mnist", *options]) == 2
    message = capsys.readouterr().err
    assert "the files of MNIST are not there" in message
    assert "--data.root" in message
    assert not (tmp_path / "run").exists()
