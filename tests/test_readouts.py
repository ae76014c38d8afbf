"""Losses of the read-out as options: what each asks, how its answer is read, and that a run of it is a whole one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

import spikeloom as sl
from spikeloom.cli import main
from spikeloom.cli.options import parse
from spikeloom.errors import ConfigError
from spikeloom.recipes import RECIPES, digits, fashion_mnist
from spikeloom.recipes.common import PenaltyConfig, ReadoutConfig
from spikeloom.recipes.digits import DigitsConfig
from spikeloom.recipes.problem import ANN, as_ann, build, penalty_of, problem_of
from spikeloom.recipes.readout import readout_of
from spikeloom.train.evaluate import by_membrane

DIGITS = RECIPES[0]
SPIKING = ("rate", "count", "first-spike")
LABELS = torch.tensor([0, 1, 1])
# [T, B, C]: class 0 fires first and class 1 more often; a tie of both rules; silence.
SPIKES = torch.tensor(
    [
        [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]],
        [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]],
        [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]],
        [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]],
    ]
)


def test_each_loss_is_the_one_of_sl_learn() -> None:
    y = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0))
    made = {name: readout_of(ReadoutConfig(loss=name)).loss for name in (*SPIKING, "mean-then-softmax")}  # type: ignore[arg-type]
    smooth = readout_of(ReadoutConfig(loss="softmax-then-mean", smoothing=0.1)).loss
    assert made["mean-then-softmax"](y, LABELS) == sl.learn.cross_entropy_of_mean(y, LABELS)
    assert smooth(y, LABELS) == sl.learn.mean_of_cross_entropy(y, LABELS, smoothing=0.1)
    assert made["rate"](SPIKES, LABELS) == sl.learn.cross_entropy_of_rate(SPIKES, LABELS, scale=10.0)
    # Counts are asked for in spikes per step: half of 4 steps, and a twentieth of them.
    by_hand = ((1 - 2.0) ** 2 + (2 - 0.2) ** 2 + 2 * ((1 - 0.2) ** 2 + (1 - 2.0) ** 2) / 2 + 0.2**2 + 2.0**2) / 6
    assert made["count"](SPIKES, LABELS).item() == pytest.approx(by_hand, rel=1e-6)
    found = readout_of(ReadoutConfig(loss="first-spike", lead=3.0)).loss(SPIKES, LABELS)
    assert found == sl.learn.cross_entropy_of_first_spike(SPIKES, LABELS, tau=3.0)


def test_the_answer_is_read_as_the_loss_asks_for_it() -> None:
    answers = {name: readout_of(ReadoutConfig(loss=name)).decide(SPIKES) for name in SPIKING}  # type: ignore[arg-type]
    assert answers["first-spike"].prediction.tolist() == [0, -1, -1]
    assert answers["rate"].prediction.tolist() == answers["count"].prediction.tolist() == [1, -1, -1]
    for answer in answers.values():
        assert (answer.tied.tolist(), answer.silent.tolist()) == ([False, True, False], [False, False, True])
    assert readout_of(ReadoutConfig()).decide is by_membrane


def test_the_output_neurons_fire_where_the_loss_is_one_of_spikes() -> None:
    config = DigitsConfig(readout=ReadoutConfig(tau=7.0, loss="count"))
    parts = problem_of(DIGITS).load(config)
    task = build(DIGITS, config, 0, parts)
    last = task.net[3]  # type: ignore[index]
    assert isinstance(last, sl.nn.Neuron)
    assert (type(last.model), last.model.tau) == (sl.LIF, 7.0)  # type: ignore[attr-defined]
    y, _ = task.net(task.encode(torch.from_numpy(parts.test.x[:5]), 0))
    assert set(y.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("loss", SPIKING)
def test_the_twin_keeps_the_cross_entropy_of_its_scores(loss: str) -> None:
    config = DigitsConfig(readout=ReadoutConfig(loss=loss))  # type: ignore[arg-type]
    parts = problem_of(DIGITS).load(config)
    twin, spiking = build(DIGITS, config, 0, parts, ANN), build(DIGITS, config, 0, parts)
    assert [type(m).__name__ for m in twin.net.children()] == ["Linear", "ReLU", "Linear", "Identity"]
    assert torch.equal(twin.net[2].weight, spiking.net[2].weight)  # type: ignore[index,union-attr]
    scores = torch.tensor([[[2.0, -1.0], [-3.0, -2.0], [0.5, 0.0]]])  # T = 1
    expected = torch.nn.functional.cross_entropy(scores[0], LABELS)
    assert twin.loss(scores, LABELS).item() == pytest.approx(expected.item(), rel=1e-6)
    assert twin.decide(scores).prediction.tolist() == [0, 1, 0]
    # Where no twin is trained, the one that is priced ends in scores as well.
    priced = as_ann(spiking, sl.nets.ann_twin(spiking.net, scores=True))
    assert [type(m).__name__ for m in priced.net.children()] == ["Linear", "ReLU", "Linear", "Identity"]


def test_penalties_are_for_hidden_neurons_only() -> None:
    spikes = {"1": torch.ones(2, 1, 4), "3": torch.zeros(2, 1, 2)}
    for loss, expected in (("rate", 3.0), ("mean-then-softmax", 3.0 + 2.0)):
        penalty = PenaltyConfig(
            rate=3.0, silent=2.0
        )  # rate 1 and no silent neuron; both of the second layer are silent
        found = penalty_of(DigitsConfig(readout=ReadoutConfig(loss=loss), penalty=penalty))  # type: ignore[arg-type]
        assert found is not None
        assert found(spikes).item() == expected
    assert penalty_of(DigitsConfig()) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--readout.loss", "rate", "--readout.smoothing", "0.1"), "readout.smoothing with readout.loss rate"),
        (("--readout.loss", "first-spike", "--gradient.truncate", "3"), "excludes readout.loss first-spike"),
        (("--readout.loss", "count", "--gradient.truncate", "3"), "excludes readout.loss count"),
        (("--readout.loss", "count", "--readout.right", "0.1", "--readout.wrong", "0.2"), "right is out of range"),
        (("--readout.right", "1.5"), "right is out of range: got 1.5, expected above 0.05 and at most 1"),
        (("--readout.scale", "0"), "scale is out of range"),
        (("--readout.lead", "nan"), "lead is out of range"),
    ],
)
def test_what_does_not_go_together_is_refused(options: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(digits(), options, prog="train", description="")


def test_a_recipe_that_smooths_says_what_to_change() -> None:
    with pytest.raises(ConfigError, match=r"readout.smoothing with readout.loss count, which has none: got 0.05"):
        parse(fashion_mnist(), ["--readout.loss", "count"], prog="train", description="")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of each loss of spikes, with its twin and a penalty."""
    out = tmp_path_factory.mktemp("runs")
    options = ["--epochs", "4", "--seeds", "1", "--neuron.width", "64", "--penalty.rate", "1", "--baseline"]
    for loss in SPIKING:
        made = ["--readout.loss", loss, "--out", str(out), "--name", loss]
        assert main(["train", "digits", *options, *made]) == 0
    return out


@pytest.mark.parametrize("loss", SPIKING)
def test_a_run_with_a_loss_of_spikes_is_a_whole_one(loss: str, runs: Path) -> None:
    run = runs / loss
    summary = json.loads((run / "summary.json").read_text())
    for found in (summary, summary["baseline"]):
        assert found["metrics"]["test_accuracy"] > 0.7  # chance: 0.1
    (row,) = summary["per_seed"]
    assert 0.0 < row["test_tied"] + row["test_silent"] < 0.2  # few steps: some are undecided, and said to be
    assert row["test_accuracy"] + row["test_tied"] + row["test_silent"] <= 1.0
    layers = {layer["name"] for layer in summary["energy"]["spiking"]["layers"]}
    assert {"1", "3"} <= layers
    assert main(["evaluate", str(run), "--noise", "--noise-repeats", "1", "--noise-images", "20"]) == 0
    assert json.loads((run / "evaluation.json").read_text())["differences"] == []
    assert main(["report", str(run)]) == 0
    assert "3 LIF read-out" in (run / "report.html").read_text()


def test_losses_are_compared(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [str(runs / loss) for loss in SPIKING]
    assert main(["compare", *found, "--out", str(runs / "compare.html")]) == 0
    assert re.search(r"^readout.loss +rate +count +first-spike$", capsys.readouterr().out, re.M)
