"""Online learning as a way to train: the gradient is that of ``sl.learn.Online``, and the options it excludes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.cli import main
from spikeloom.cli.options import parse
from spikeloom.data.arrays import Labelled
from spikeloom.errors import ConfigError, ModelError, NonFiniteError, ParameterError
from spikeloom.learn import Regularisers, cross_entropy_of_mean, mean_of_cross_entropy
from spikeloom.recipes import digits, mnist
from spikeloom.recipes.classification import fit_settings
from spikeloom.recipes.problem import ANN
from spikeloom.train.evaluate import Task
from spikeloom.train.loop import fit
from spikeloom.train.settings import FitSettings
from spikeloom.train.step import gradient_of

SETTINGS = FitSettings(epochs=1, learning_rate=0.02, weight_decay=0.0, batch_size=8, clip=1e9, gradient="online")
STEPS, BATCH = 9, 8


def task(**changes: object) -> Task:
    torch.manual_seed(0)
    net = sl.nn.Sequential(
        torch.nn.Linear(6, 12), sl.nn.Neuron(sl.LIF(tau=5.0), learn=("tau",)), torch.nn.Linear(12, 3),
        sl.nn.Neuron(sl.LI(tau=5.0)),
    )  # fmt: skip
    given = {"encode": lambda x, key: sl.encode.direct(x, STEPS), "loss": mean_of_cross_entropy}
    return Task(net, **{**given, **changes})  # type: ignore[arg-type]


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = (torch.rand(STEPS, BATCH, 6, generator=generator) < 0.4).float()
    return x, torch.randint(0, 3, (BATCH,), generator=generator)


def gradients(settings: FitSettings, found: Task, pieces: int = 1) -> tuple[list[torch.Tensor], float]:
    x, labels = data()
    gradient, loss = gradient_of(found, settings), 0.0
    for part, own in zip(x.chunk(pieces, 1), labels.chunk(pieces), strict=True):
        loss += gradient.add(part, own, len(own) / BATCH, "here").loss
    grads = [p.grad.clone() for p in found.net.parameters() if p.grad is not None]
    assert len(grads) == 5
    return grads, loss / BATCH


@pytest.mark.parametrize("pieces", [1, 2])
def test_the_gradient_is_that_of_online_by_hand(pieces: int) -> None:
    found, loss = gradients(SETTINGS, task(), pieces)
    made, (x, labels) = task(), data()
    # After T steps Online has added the gradient of the losses' sum; the trainer minimises their mean.
    learner, traces = sl.learn.Online(made.net, torch.nn.functional.cross_entropy), None  # type: ignore[arg-type]
    losses = []
    for x_t in x:
        _, value, traces = learner.step(x_t, labels, traces)
        losses.append(value.item())
    assert loss == pytest.approx(sum(losses) / STEPS, rel=1e-5)
    for ours, parameter in zip(found, made.net.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(ours, parameter.grad / STEPS, rtol=1e-4, atol=1e-7)


def test_the_last_layer_learns_as_through_time() -> None:
    online, loss = gradients(SETTINGS, task())
    exact, same = gradients(replace(SETTINGS, gradient="through-time"), task())
    assert loss == pytest.approx(same, rel=1e-6)
    for ours, theirs in zip(online[3:], exact[3:], strict=True):  # weight and bias of the last Linear
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)
    assert not torch.allclose(online[0], exact[0], rtol=1e-2)  # below it, ways through later steps are left out


def test_the_outcome_counts_samples_and_hits() -> None:
    made, (x, labels) = task(), data()
    outcome = gradient_of(made, SETTINGS).add(x, labels, 1.0, "here")
    y, _ = made.net(x)
    assert (outcome.samples, outcome.hits) == (BATCH, int((y.mean(0).argmax(1) == labels).sum()))
    assert outcome.loss == pytest.approx(BATCH * mean_of_cross_entropy(y, labels).item(), rel=1e-5)


def test_what_is_not_finite_is_named() -> None:
    x = np.zeros((16, 6), np.float32)
    made = task(encode=lambda x, key: sl.encode.direct(x, STEPS) + torch.nan)
    with pytest.raises(NonFiniteError, match="first in the input, in epoch 1, step 1"):
        fit(made, SETTINGS, Labelled(x, np.zeros(16, np.int64)), Labelled(x, np.zeros(16, np.int64)), seed=0)


def test_other_nets_and_penalties_are_refused() -> None:
    made = task()
    with_norm = sl.nn.Sequential(torch.nn.Linear(6, 3), torch.nn.BatchNorm1d(3), sl.nn.Neuron(sl.LI()))
    with pytest.raises(ModelError, match=r"part 1 of the net: got BatchNorm1d, expected pairs of torch\.nn\.Linear"):
        gradient_of(replace(made, net=with_norm), SETTINGS)
    with pytest.raises(ConfigError, match="online learning has no penalty"):
        gradient_of(replace(made, penalty=Regularisers(rate=1.0)), SETTINGS)


@pytest.mark.parametrize("changes", [{"truncate": 2}, {"recompute": 2}, {"precision": "bfloat16"}])
def test_settings_that_exclude_it(changes: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match=f"{next(iter(changes))} of online learning"):
        replace(SETTINGS, **changes)  # type: ignore[arg-type]


ONLINE = ("--gradient.kind", "online", "--readout.loss", "softmax-then-mean")


@pytest.mark.parametrize(
    ("recipe", "options", "said"),
    [
        (digits, ONLINE[:2], "takes the loss step by step: got mean-then-softmax, expected softmax-then-mean"),
        (digits, (*ONLINE[:2], "--readout.loss", "rate"), "got rate, expected softmax-then-mean"),
        (digits, (*ONLINE, "--gradient.truncate", "2"), "online excludes truncate, recompute and bfloat16"),
        (digits, (*ONLINE, "--gradient.recompute", "2"), "online excludes truncate, recompute and bfloat16"),
        (digits, (*ONLINE, "--gradient.precision", "bfloat16"), "online excludes truncate, recompute and bfloat16"),
        (digits, (*ONLINE, "--penalty.silent", "1"), "online excludes every penalty"),
        (mnist, ONLINE, "got mlp with dropout 0.2, expected net.kind mlp with net.dropout 0"),
        (mnist, (*ONLINE, "--net.kind", "conv", "--net.dropout", "0"), "got conv with dropout 0"),
    ],
)
def test_options_that_exclude_it(recipe: object, options: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(recipe(), options, prog="train", description="")  # type: ignore[operator]


def test_the_twin_is_trained_as_ever() -> None:
    config = parse(digits(), ONLINE, prog="train", description="")
    assert fit_settings(config).gradient == "online"
    assert fit_settings(config, ANN).gradient == "through-time"


def test_digits_learns_online(tmp_path: Path) -> None:
    options = ["--epochs", "3", "--seeds", "1", "--neuron.width", "64", "--encoding.steps", "5", "--baseline"]
    assert main(["train", "digits", *ONLINE, *options, "--out", str(tmp_path), "--name", "a"]) == 0
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    for found in (summary, summary["baseline"]):
        assert found["metrics"]["validation_accuracy"] > 0.75  # chance: 0.1
    settings = json.loads((tmp_path / "a" / "config.json").read_text())["config"]
    assert settings["gradient"]["kind"] == "online"
    assert main(["evaluate", str(tmp_path / "a")]) == 0


def test_every_step_is_judged_by_itself() -> None:
    """Of a single step both cross-entropies are one."""
    found = [gradients_of_one(loss) for loss in (cross_entropy_of_mean, mean_of_cross_entropy)]
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def gradients_of_one(loss: object) -> list[torch.Tensor]:
    made, (x, labels) = task(loss=loss), data()
    gradient_of(made, SETTINGS).add(x, labels, 1.0, "here")
    return [p.grad.clone() for p in made.net.parameters() if p.grad is not None]
