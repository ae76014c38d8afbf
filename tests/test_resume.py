"""A training that was stopped and taken up again is, bit by bit, the one that was not."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.data.arrays import Labelled
from spikeloom.errors import ConfigError, FileError, NonFiniteError
from spikeloom.learn import cross_entropy_of_mean, mean_of_cross_entropy
from spikeloom.storage.checkpoint import load_checkpoint, save_checkpoint
from spikeloom.train.evaluate import Task
from spikeloom.train.history import Epoch, Step
from spikeloom.train.loop import Fitted, fit
from spikeloom.train.settings import FitSettings
from spikeloom.train.snapshot import Keep
from spikeloom.train.stop import StoppedError, StopRequest, stop_on_signals

SETTINGS = FitSettings(epochs=3, learning_rate=0.02, weight_decay=0.01, batch_size=16, clip=1.0)
STEPS = 3 * 4  # of 64 samples


def samples(count: int, seed: int) -> Labelled:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    return Labelled((2 * np.eye(3, 6)[labels] + generator.normal(size=(count, 6))).astype(np.float32), labels)


TRAIN, VALIDATION = samples(64, 1), samples(30, 2)


def task(seed: int = 0) -> Task:
    """Everything that draws random numbers: weights, dropout, encoder; everything that has a state: batch norm."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = sl.nn.Sequential(
            torch.nn.Linear(6, 12), torch.nn.BatchNorm1d(12), sl.nn.Neuron(sl.LIF(tau=5.0), learn=("tau",)),
            torch.nn.Dropout(0.3), torch.nn.Linear(12, 3), sl.nn.Neuron(sl.LI(tau=5.0)),
        )  # fmt: skip

    def encode(x: torch.Tensor, key: int) -> torch.Tensor:
        return x + torch.randn(4, *x.shape, generator=torch.Generator().manual_seed(key))

    return Task(net, encode, cross_entropy_of_mean)


def pairs(seed: int = 0) -> Task:
    """The same of pairs only, as online learning asks for."""
    drawing = task(seed)
    kept = (torch.nn.Linear, sl.nn.Neuron)
    net = sl.nn.Sequential(*(part for part in drawing.net.children() if isinstance(part, kept)))
    return Task(net, drawing.encode, mean_of_cross_entropy)


class StopAfter(StopRequest):
    """An observer that asks to stop after some steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.seen: list[int] = []

    def begin(self, total: int, samples: int) -> None:
        assert total * 16 == samples

    def step(self, done: Step) -> None:
        self.seen.append(done.total)
        if done.total == self.steps:
            self.number = signal.SIGTERM

    def epoch(self, row: Epoch) -> None:
        pass


def with_stops(
    folder: Path, stops: list[int], settings: FitSettings = SETTINGS, task: Callable[[int], Task] = task
) -> tuple[Fitted, list[int]]:
    keep, seen = Keep(folder), list[int]()
    for at in stops:
        ask = StopAfter(at)
        with pytest.raises(StoppedError, match="stopped after epoch"):
            fit(task(0), settings, TRAIN, VALIDATION, seed=7, keep=keep, stop=ask, observer=ask)
        seen += ask.seen
    last = StopAfter(-1)
    # The weights it starts from do not matter: they are in the checkpoint.
    fitted = fit(task(1), settings, TRAIN, VALIDATION, seed=7, keep=keep, observer=last)
    return fitted, seen + last.seen


def same(a: Fitted, b: Fitted) -> bool:
    return a.history == b.history and all(torch.equal(a.tensors[n], b.tensors[n]) for n in a.tensors)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimiser": "sgd", "schedule": "one-cycle"},
        {"schedule": "constant", "accumulate": 2, "warmup": 0.2, "choose": "accuracy"},
        {"truncate": 2},
        {"precision": "bfloat16"},
        {"gradient": "online", "accumulate": 2},
    ],
    ids=["adamw", "sgd", "accumulate", "truncated", "bfloat16", "online"],
)
def test_stopped_anywhere_the_result_is_the_same(tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = replace(SETTINGS, **changes)
    made = pairs if settings.gradient == "online" else task
    whole = fit(made(), settings, TRAIN, VALIDATION, seed=7)
    for at in range(1, STEPS + 1):
        stopped, seen = with_stops(tmp_path / str(at), [at], settings, made)
        assert same(stopped, whole), f"stopped after step {at}"
        assert seen == list(range(1, STEPS + 1))  # no step twice, none left out
    twice, _ = with_stops(tmp_path / "twice", [2, 7], settings, made)
    assert same(twice, whole)


def test_both_checkpoints_are_what_they_say(tmp_path: Path) -> None:
    keep = Keep(tmp_path, {"recipe": "test"})
    fitted = fit(task(), SETTINGS, TRAIN, VALIDATION, seed=7, keep=keep)
    best, last = load_checkpoint(keep.best), load_checkpoint(keep.last)
    assert best.meta == {
        "recipe": "test", "seed": 7, "epoch": fitted.best.epoch,
        "validation_accuracy": fitted.best.validation_accuracy,
    }  # fmt: skip
    assert all(torch.equal(best.tensors[n], fitted.tensors[n]) for n in fitted.tensors)
    assert last.meta["training"]["epoch"] == 4
    assert {p.suffix for p in tmp_path.iterdir()} == {".json", ".safetensors"}
    assert len(list(tmp_path.iterdir())) == 4
    # Done is done: going on gives the same and trains nothing.
    ask = StopAfter(-1)
    assert same(fit(task(), SETTINGS, TRAIN, VALIDATION, seed=7, keep=keep, observer=ask), fitted)
    assert ask.seen == []


def test_checkpoints_between_epochs(tmp_path: Path) -> None:
    written: list[Path] = []

    def note(path: Path) -> Any:
        written.append(path)
        return open(path, "xb")

    fit(task(), SETTINGS, TRAIN, VALIDATION, seed=7, keep=Keep(tmp_path, every=2, open_file=note))
    lasts = [path for path in written if path.suffix == ".json" and "last" in path.name]
    assert len(lasts) == 3 * (2 + 1)  # after steps 2 and 4 of each epoch, and after its validation


def test_going_on_with_other_settings_is_refused(tmp_path: Path) -> None:
    with_stops(tmp_path, [5])
    for settings, seed, said in (
        (replace(SETTINGS, epochs=9), 7, "epochs was 3 and is now 9"),
        (replace(SETTINGS, learning_rate=0.5, clip=2.0), 7, "learning_rate was 0.02 and is now 0.5; clip was 1.0"),
        (SETTINGS, 8, "seed was 7 and is now 8"),
    ):
        with pytest.raises(ConfigError, match=said):
            fit(task(), settings, TRAIN, VALIDATION, seed=seed, keep=Keep(tmp_path))


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    keep = Keep(tmp_path)
    with_stops(tmp_path, [5])
    wider = Task(sl.nn.Sequential(torch.nn.Linear(6, 13)), task().encode, cross_entropy_of_mean)
    with pytest.raises(FileError, match=r"another network: 0.weight has shape \(12, 6\), here \(13, 6\)"):
        fit(wider, SETTINGS, TRAIN, VALIDATION, seed=7, keep=keep)
    fewer = Task(sl.nn.Sequential(torch.nn.Linear(6, 12)), task().encode, cross_entropy_of_mean)
    with pytest.raises(FileError, match=r"it has 1\.bias, which is not in this one"):
        fit(fewer, SETTINGS, TRAIN, VALIDATION, seed=7, keep=keep)


def test_a_network_alone_is_not_a_training(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.json", task().net.state_dict(), {})
    with pytest.raises(FileError, match="not a training that could go on"):
        fit(task(), SETTINGS, TRAIN, VALIDATION, seed=7, keep=Keep(tmp_path))


def test_a_signal_during_the_validation_stops_too(tmp_path: Path) -> None:
    stop = StopRequest()
    plain = task()
    large = Labelled(np.tile(VALIDATION.x, (20, 1)), np.tile(VALIDATION.y, 20))
    data = Labelled(large.x[: 256 + len(VALIDATION)], large.y[: 256 + len(VALIDATION)])
    whole = fit(task(), SETTINGS, TRAIN, data, seed=7)

    def encode_first(x: torch.Tensor, key: int) -> torch.Tensor:
        if len(x) == 256:
            stop.number = signal.SIGTERM
        return plain.encode(x, key)

    made = Task(plain.net, encode_first, cross_entropy_of_mean)
    with pytest.raises(StoppedError, match="stopped after epoch 1, step 4"):
        fit(made, SETTINGS, TRAIN, data, seed=7, keep=Keep(tmp_path), stop=stop)
    assert same(fit(task(), SETTINGS, TRAIN, data, seed=7, keep=Keep(tmp_path)), whole)


def test_signals_ask_and_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stop_on_signals() as stop:
        assert not stop
        signal.raise_signal(signal.SIGINT)
        assert stop.number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


# -- what is not finite is named, with the checkpoint from before it


def test_a_broken_weight_names_layer_step_and_checkpoint(tmp_path: Path) -> None:
    made = task()

    def spoil(x: torch.Tensor, key: int) -> torch.Tensor:
        if made.net.training and fired() == 6:
            made.net[4].weight.data[0, 0] = math.nan  # type: ignore[index,union-attr]
        return task().encode(x, key)

    calls = iter(range(1, 1000))

    def fired() -> int:
        return next(calls)

    with pytest.raises(NonFiniteError, match=r"first in layer 4 \(Linear\), in epoch 2, step 2") as caught:
        fit(Task(made.net, spoil, cross_entropy_of_mean), SETTINGS, TRAIN, VALIDATION, seed=7, keep=Keep(tmp_path))
    assert f"The last good checkpoint is {tmp_path / 'last.json'}" in str(caught.value)
    assert load_checkpoint(tmp_path / "last.json").meta["training"]["epoch"] == 2


def test_a_broken_input_and_a_broken_state_are_named() -> None:
    made = task()

    def poisoned(x: torch.Tensor, key: int) -> torch.Tensor:
        return made.encode(x, key) * math.inf

    with pytest.raises(NonFiniteError, match="not finite, first in the input, in epoch 1, step 1"):
        fit(Task(made.net, poisoned, cross_entropy_of_mean), SETTINGS, TRAIN, VALIDATION, seed=7)

    # The first layer's NaN is hidden by its threshold: the spikes, and the loss, are finite.
    net = sl.nn.Sequential(torch.nn.Linear(6, 4), sl.nn.Neuron(sl.LIF()), torch.nn.Linear(4, 3), sl.nn.Neuron(sl.LI()))
    net[0].bias.data[1] = math.nan  # type: ignore[union-attr]
    with pytest.raises(
        NonFiniteError, match=r"layer 1: LIF: state v is not finite, first in layer 0 \(Linear\), in epoch 1, step 1"
    ):
        fit(Task(net, made.encode, cross_entropy_of_mean), SETTINGS, TRAIN, VALIDATION, seed=7)
