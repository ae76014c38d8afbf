"""Losses, the training loop, progress and the run folder."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spikeloom.data.arrays import Labelled
from spikeloom.data.augment import random_shifts, shifted
from spikeloom.errors import ConfigError, FileError, NonFiniteError, ParameterError, ShapeError
from spikeloom.learn import cross_entropy_of_mean, cross_entropy_of_rate, mean_of_cross_entropy
from spikeloom.train.evaluate import Task, evaluate
from spikeloom.train.history import Epoch, Step
from spikeloom.train.loop import Fitted, fit
from spikeloom.train.optimiser import make_optimiser, make_schedule
from spikeloom.train.progress import Bar, Silent, show_progress
from spikeloom.train.run_folder import open_run_folder
from spikeloom.train.seeds import batches, derive_seed
from spikeloom.train.settings import FitSettings

# -- losses

Y = [[[1.0, 2.0, 0.0], [0.5, 0.5, 0.5]], [[3.0, -1.0, 0.0], [0.0, 4.0, -2.0]]]  # [T, B, C]
LABELS = [0, 1]


def by_hand(row: list[float], label: int) -> float:
    return math.log(sum(math.exp(x) for x in row)) - row[label]


def test_average_before_the_softmax() -> None:
    means = [[2.0, 0.5, 0.0], [0.25, 2.25, -0.75]]
    expected = sum(by_hand(row, label) for row, label in zip(means, LABELS, strict=True)) / 2
    assert cross_entropy_of_mean(torch.tensor(Y), torch.tensor(LABELS)).item() == pytest.approx(expected, rel=1e-6)


def test_average_after_the_softmax() -> None:
    terms = [by_hand(row, label) for step in Y for row, label in zip(step, LABELS, strict=True)]
    loss = mean_of_cross_entropy(torch.tensor(Y), torch.tensor(LABELS)).item()
    assert loss == pytest.approx(sum(terms) / 4, rel=1e-6)
    assert loss > cross_entropy_of_mean(torch.tensor(Y), torch.tensor(LABELS)).item()  # Jensen


def test_rates_are_scaled() -> None:
    spikes = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]])  # rates 0.5 and 0
    loss = cross_entropy_of_rate(spikes, torch.tensor([1]), scale=6.0).item()
    assert loss == pytest.approx(math.log(1 + math.exp(3.0)), rel=1e-6)
    with pytest.raises(ParameterError, match="scale is out of range"):
        cross_entropy_of_rate(spikes, torch.tensor([1]), scale=0.0)


def test_gradient_is_shared_over_time() -> None:
    y = torch.tensor(Y, dtype=torch.float64, requires_grad=True)
    cross_entropy_of_mean(y, torch.tensor(LABELS)).backward()
    probability = torch.softmax(y.detach().mean(0), -1)
    expected = (probability - torch.eye(3)[LABELS]) / 2 / 2  # over B and over T
    assert y.grad is not None
    assert torch.allclose(y.grad, expected.expand(2, 2, 3), rtol=1e-12)


@pytest.mark.parametrize("loss", [cross_entropy_of_mean, mean_of_cross_entropy, cross_entropy_of_rate])
def test_a_wrong_layout_is_refused(loss: Callable[..., torch.Tensor]) -> None:
    with pytest.raises(ShapeError, match="batch and time look swapped"):
        loss(torch.zeros(4, 7, 3), torch.zeros(4, dtype=torch.long))
    with pytest.raises(ShapeError):
        loss(torch.zeros(7, 3), torch.zeros(7, dtype=torch.long))
    with pytest.raises(ShapeError):
        loss(torch.zeros(0, 7, 3), torch.zeros(7, dtype=torch.long))
    with pytest.raises(ParameterError, match="out of range"):
        loss(torch.zeros(4, 2, 3), torch.tensor([0, 3]))


# -- the loop, on a network that is no network of ours


class Flat(torch.nn.Module):
    """A linear read-out in every step: called and answering as our networks do."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.linear = torch.nn.Linear(inputs, classes)
            self.drop = torch.nn.Dropout(0.2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        return self.linear(self.drop(x)), None


def blobs(samples: int, seed: int) -> Labelled:
    """Three well separated clouds."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, samples)
    return Labelled((3 * np.eye(3)[labels] + generator.normal(size=(samples, 3))).astype(np.float32), labels)


def task(**changes: Callable[..., torch.Tensor]) -> Task:
    return Task(
        Flat(3, 3),
        **{"encode": lambda x, key: x.expand(2, *x.shape), "loss": cross_entropy_of_mean} | changes,
    )


SETTINGS = FitSettings(epochs=4, learning_rate=0.05, weight_decay=0.0, batch_size=32, clip=1.0)
TRAIN, VALIDATION = blobs(200, 1), blobs(100, 2)


def run_fit(
    seed: int = 0, settings: FitSettings = SETTINGS, **changes: Callable[..., torch.Tensor]
) -> tuple[Task, Fitted]:
    made = task(**changes)
    return made, fit(made, settings, TRAIN, VALIDATION, seed=seed)


def test_fit_learns_and_keeps_the_best_epoch() -> None:
    made, fitted = run_fit()
    assert [row.epoch for row in fitted.history] == [1, 2, 3, 4]
    assert fitted.best.validation_accuracy > 0.9
    losses = [row.validation_loss for row in fitted.history]
    assert fitted.best is fitted.history[losses.index(min(losses))]
    # The network holds what was best, not what was last.
    again = evaluate(made, VALIDATION, seed=derive_seed(0, "validation"))
    assert again.accuracy.correct == fitted.best.validation_accuracy
    assert again.loss == pytest.approx(fitted.best.validation_loss)


def test_the_best_epoch_need_not_be_the_last() -> None:
    # So large a rate that the loss goes up and down.
    _, fitted = run_fit(settings=FitSettings(6, 5.0, 0.0, 100, 1.0, "constant"))
    worst = max(fitted.history, key=lambda row: row.validation_loss)
    assert fitted.best.validation_loss < worst.validation_loss


def test_same_seed_same_bits_and_torch_is_left_alone() -> None:
    state = torch.random.get_rng_state()
    noisy = {"encode": lambda x, key: x + torch.rand(2, *x.shape, generator=torch.Generator().manual_seed(key))}
    first, again, other = (run_fit(seed, **noisy)[1] for seed in (3, 3, 4))
    assert first.history == again.history
    assert all(torch.equal(first.tensors[name], again.tensors[name]) for name in first.tensors)
    assert not torch.equal(first.tensors["linear.weight"], other.tensors["linear.weight"])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_every_batch_is_seen_once_and_the_last_may_be_smaller() -> None:
    parts = batches(200, 32, seed=5, epoch=2)
    assert [len(part) for part in parts] == [32] * 6 + [8]
    assert sorted(np.concatenate(parts).tolist()) == list(range(200))
    assert not np.array_equal(parts[0], batches(200, 32, seed=5, epoch=3)[0])
    assert not np.array_equal(parts[0], batches(200, 32, seed=6, epoch=2)[0])


def rates(settings: FitSettings, steps: int) -> list[float]:
    optimiser = make_optimiser(torch.nn.Linear(2, 2), settings)
    schedule = make_schedule(optimiser, settings, steps)
    found = []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


def test_schedules() -> None:
    cosine = [0.05 * (1 + math.cos(math.pi * k / 6)) / 2 for k in range(6)]
    assert rates(SETTINGS, 6) == pytest.approx(cosine)
    assert rates(replace(SETTINGS, schedule="constant"), 3) == [0.05] * 3
    # Two of eight steps rise by equal parts, then the cosine over the six that are left.
    assert rates(replace(SETTINGS, warmup=0.25), 8) == pytest.approx([0.05 / 3, 0.1 / 3, *cosine])
    cycle = rates(replace(SETTINGS, schedule="one-cycle"), 100)
    assert cycle.index(max(cycle)) == 29
    assert (max(cycle), cycle[-1]) == pytest.approx((0.05, 0.0), abs=1e-6)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("epochs", 0, "epochs: got 0, expected at least 1"),
        ("accumulate", 0, "accumulate: got 0"),
        ("truncate", -1, "truncate: got -1"),
        ("warmup", 1.0, "warmup: got 1.0"),
    ],
)
def test_settings_that_make_no_training(field: str, value: float, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        replace(SETTINGS, **{field: value})
    with pytest.raises(ParameterError, match="exclude each other"):
        replace(SETTINGS, truncate=5, recompute=5)
    with pytest.raises(ParameterError, match="rise of its own"):
        replace(SETTINGS, warmup=0.1, schedule="one-cycle")


def test_sgd_is_torch_s() -> None:
    settings = replace(SETTINGS, optimiser="sgd", momentum=0.5, schedule="constant", epochs=1, batch_size=200, clip=1e9)
    made = task()
    weight = made.net.linear.weight.detach().clone()  # type: ignore[union-attr]
    made.net.drop.p = 0.0  # type: ignore[union-attr]
    fit(made, settings, TRAIN, VALIDATION, seed=0)
    w = weight.clone().requires_grad_()
    bias = task().net.linear.bias.detach()  # type: ignore[union-attr]
    loss = torch.nn.functional.cross_entropy(
        torch.nn.functional.linear(torch.from_numpy(TRAIN.x), w, bias), torch.from_numpy(TRAIN.y)
    )
    (gradient,) = torch.autograd.grad(loss, w)
    # Nesterov's first step: g + momentum * g.
    assert torch.allclose(made.net.linear.weight, weight - 0.05 * 1.5 * gradient, atol=1e-6)  # type: ignore[union-attr]


def test_accumulation_gives_the_gradient_of_the_batch() -> None:
    whole, parts = (task() for _ in range(2))
    for made, pieces in ((whole, 1), (parts, 3)):
        made.net.drop.p = 0.0  # type: ignore[union-attr]
        fit(made, replace(SETTINGS, accumulate=pieces), TRAIN, VALIDATION, seed=0)
    for a, b in zip(whole.net.parameters(), parts.net.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
        assert not torch.equal(a, b)  # another order of summation: it did run in parts


def test_random_encoding_is_of_the_batch_not_of_its_pieces() -> None:
    found = []
    for pieces in (1, 4):
        made = task(encode=lambda x, key: x + torch.rand(2, *x.shape, generator=torch.Generator().manual_seed(key)))
        made.net.drop.p = 0.0  # type: ignore[union-attr]
        fit(made, replace(SETTINGS, accumulate=pieces), TRAIN, VALIDATION, seed=0)
        found.append(made.net.linear.weight.detach())  # type: ignore[union-attr]
    assert torch.allclose(*found, atol=1e-5)


def test_dropout_and_encoder_draw_different_numbers() -> None:
    """With one seed for both, a unit would be dropped just where its input has no spike."""
    drawn: list[tuple[torch.Tensor, torch.Tensor]] = []
    spikes: list[torch.Tensor] = []

    class Watched(Flat):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
            if self.training:
                drawn.append((spikes[-1][0], torch.rand(x.shape[1:])))
            return super().forward(x)

    def encode(x: torch.Tensor, key: int) -> torch.Tensor:
        spikes.append(torch.rand(2, *x.shape, generator=torch.Generator().manual_seed(key)))
        return spikes[-1]

    fit(Task(Watched(3, 3), encode, cross_entropy_of_mean), SETTINGS, TRAIN, VALIDATION, seed=0)
    a, b = (torch.cat([pair[k].flatten() for pair in drawn]) for k in (0, 1))
    assert len(a) == 4 * 200 * 3
    correlation = torch.corrcoef(torch.stack([a, b]))[0, 1].item()
    assert abs(correlation) < 4 / len(a) ** 0.5


def test_one_cycle_leaves_the_momentum_alone() -> None:
    settings = replace(SETTINGS, optimiser="sgd", momentum=0.5, schedule="one-cycle")
    optimiser = make_optimiser(torch.nn.Linear(2, 2), settings)
    make_schedule(optimiser, settings, 10)
    assert optimiser.param_groups[0]["momentum"] == 0.5


def test_decay_reaches_weights_only() -> None:
    made = task(loss=lambda y, labels: 0.0 * y.sum())
    before = {name: p.detach().clone() for name, p in made.net.named_parameters()}
    fit(made, FitSettings(1, 0.1, 0.5, 200, 1.0, "constant"), TRAIN, VALIDATION, seed=0)
    after = dict(made.net.named_parameters())
    assert torch.allclose(after["linear.weight"], before["linear.weight"] * (1 - 0.1 * 0.5))
    assert torch.equal(after["linear.bias"], before["linear.bias"])


def test_an_undecided_network_is_wrong() -> None:
    made = task(encode=lambda x, key: 0.0 * x.expand(2, *x.shape))
    torch.nn.init.zeros_(made.net.linear.bias)  # type: ignore[union-attr]
    checked = evaluate(made, VALIDATION, seed=0)
    assert (checked.accuracy.correct, checked.accuracy.silent) == (0.0, 1.0)
    assert set(checked.predicted) == {-1}


# -- NaN stops the training and says where


def failing_at(call: int, value: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    calls = iter(range(1, 10_000))

    def loss(y: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        ordinary = cross_entropy_of_mean(y, labels)
        return ordinary * value if next(calls) == call else ordinary

    return loss


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(("call", "where"), [(1, "epoch 1, step 1"), (7, "epoch 1, step 7"), (10, "epoch 2, step 2")])
def test_a_loss_that_is_not_finite(call: int, where: str, value: float) -> None:
    # 7 steps in an epoch and one call for the validation.
    with pytest.raises(NonFiniteError, match=f"the loss is not finite, in {where}: got {value}"):
        run_fit(loss=failing_at(call, value))


def test_a_validation_loss_that_is_not_finite() -> None:
    with pytest.raises(NonFiniteError, match="the validation loss is not finite in epoch 1, its end"):
        run_fit(loss=failing_at(8, math.nan))


def test_a_gradient_that_is_not_finite() -> None:
    # sqrt has an infinite slope at 0, where its value is fine.
    with pytest.raises(NonFiniteError, match="the norm of the gradient is not finite in epoch 1, step 1"):
        run_fit(loss=lambda y, labels: torch.sqrt(0.0 * y.sum()))


def test_a_parameter_that_is_not_finite() -> None:
    class Hidden(Flat):
        """NaN in a parameter that does not reach the loss, as behind a threshold, which is never NaN."""

        def __init__(self) -> None:
            super().__init__(3, 3)
            self.threshold = torch.nn.Parameter(torch.tensor([0.0, math.nan]))

    made = Task(Hidden(), lambda x, key: x.expand(2, *x.shape), cross_entropy_of_mean)
    with pytest.raises(NonFiniteError, match="parameter threshold is not finite in epoch 1, step 1"):
        fit(made, SETTINGS, TRAIN, VALIDATION, seed=0)


# -- progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def done(epoch: int, samples: int, loss: float) -> Step:
    return Step(epoch, 1, epoch, samples, 0, loss, 0.0, 0.1)


def test_no_bar_without_a_terminal() -> None:
    stream = io.StringIO()
    with show_progress(10, 1, stream) as progress:
        assert isinstance(progress, Silent)
        progress.step(done(1, 10, 0.5))
    assert stream.getvalue() == ""


def test_the_bar_shows_what_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with show_progress(20, 2, stream) as progress:
        assert isinstance(progress, Bar)
        progress.start("seed 4")
        progress.step(done(1, 5, 0.75))
        progress.epoch(Epoch(1, 0.7, 0.5, 0.6, 0.875, 0.0625))
        progress.step(done(2, 5, 0.75))
        progress.note("kept")
    shown = stream.getvalue()
    for part in ("seed 4 2/2", "loss 0.750", "acc 87.5 %", "spikes 0.062", "kept"):
        assert part in shown


# -- augmentation


def test_only_training_images_are_varied() -> None:
    def fail(images: torch.Tensor, seed: int) -> torch.Tensor:
        raise ZeroDivisionError

    made = task(augment=fail)
    evaluate(made, VALIDATION, seed=0)
    with pytest.raises(ZeroDivisionError):
        fit(made, SETTINGS, TRAIN, VALIDATION, seed=0)
    with pytest.raises(ParameterError, match="largest shift: got -1"):
        random_shifts(torch.zeros(1, 2, 2), -1.0, torch.Generator())
    with pytest.raises(ShapeError, match="do not fit"):
        shifted(torch.zeros(2, 2), torch.zeros(2, 2))


# -- the run folder


def test_a_run_folder_is_new_or_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        with open_run_folder(tmp_path, name, "digits") as folder:
            folder.write_json("summary.json", {"a": 1})
        assert json.loads((tmp_path / name / "summary.json").read_text()) == {"a": 1}
        with (
            pytest.raises(FileError, match="already exists and is not overwritten"),
            open_run_folder(tmp_path, name, "x"),
        ):
            pass


def test_unnamed_runs_never_meet(tmp_path: Path) -> None:
    paths = []
    for _ in range(5):  # several in the same second
        with open_run_folder(tmp_path, "", "digits") as folder:
            folder.write_json("summary.json", {})
            paths.append(folder.path)
    assert len(set(paths)) == 5
    assert all(path.name.startswith("digits-") for path in paths)


def test_a_failed_run_leaves_no_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_run_folder(tmp_path, "mine", "digits"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []

    def fail_later() -> None:
        with open_run_folder(tmp_path, "mine", "digits") as folder:
            folder.write_json("partial.json", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_later()
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["partial.json"]


@pytest.mark.parametrize("name", ["../up", "a/b", ".", "..", ".hidden", "with space", "nul\0", "-x", "new\nline", "é"])
def test_names_are_plain(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(ConfigError, match="plain folder name"),
        open_run_folder(tmp_path / "runs", name, "digits"),
    ):
        pass
    assert not (tmp_path / "runs").exists()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(FileError, match="cannot write"), open_run_folder(tmp_path / "runs", "a", "digits"):
        pass
    (tmp_path / "a").write_text("")
    with pytest.raises(FileError, match="already exists"), open_run_folder(tmp_path, "a", "digits"):
        pass
