"""Gradient descent on a network, with the model chosen on the validation set.

The order of the samples and every random draw are functions of (seed, epoch, step), not of the state of a generator, so
that a training can be taken up again anywhere, to the bit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from ..data.arrays import Labelled
from ..errors import NonFiniteError
from .evaluate import Evaluation, Task, evaluate
from .finite import require_finite, require_finite_parameters
from .history import Epoch, Observer, Step
from .optimiser import make_optimiser, make_schedule
from .ranks import SINGLE, Ranks
from .seeds import batches, derive_seed
from .settings import FitSettings
from .snapshot import Keep, Training
from .step import Gradient, Outcome, gradient_of
from .stop import StoppedError, StopRequest


@dataclass(frozen=True)
class Fitted:
    """The result: the tensors of the best epoch, which the network also holds, and the learning curves."""

    tensors: dict[str, torch.Tensor]
    best: Epoch
    history: tuple[Epoch, ...]


def fit(
    task: Task,
    settings: FitSettings,
    train: Labelled,
    validation: Labelled,
    *,
    seed: int,
    observer: Observer | None = None,
    keep: Keep | None = None,
    stop: StopRequest | None = None,
    ranks: Ranks = SINGLE,
) -> Fitted:
    """Train ``task.net`` in place and leave it as it was after the best epoch (see ``FitSettings.choose``).

    With ``keep`` checkpoints are written, and a training that is found there goes on, bit by bit as if it had never
    stopped; ``stop`` ends it after the present step, with a checkpoint. Of several ``ranks``, which must have joined,
    each computes its share of every batch; the first one alone writes and tells the observer. The same seed gives the
    same result, bit by bit, on the same machine with the same numbers of threads and processes; torch's own generator
    is left as it was.

    Raises :class:`NonFiniteError`, naming layer, epoch, step and the last checkpoint, when the loss, a state, the
    gradient or a parameter is no longer finite; :class:`StoppedError` when ``stop`` asked for it; :class:`FileError`
    when a checkpoint cannot be written or read; :class:`ConfigError` when one was made with other settings.
    """
    optimiser = make_optimiser(task.net, settings)
    schedule = make_schedule(optimiser, settings, settings.steps(len(train)) * settings.epochs)
    training = Training(settings, seed, task.net, optimiser, schedule)
    if keep is not None and keep.last.exists():
        training.restore(keep)
    ranks.require_equal((training.epoch, training.step), "epoch and step to go on from")
    run = _Run(
        gradient_of(task, settings, ranks), training, train, validation, observer if ranks.first else None, keep, stop
    )
    with torch.random.fork_rng(devices=[task.device] if task.device.type == "cuda" else []):
        run.all_epochs()
    best = run.training.best
    assert best is not None  # epochs is at least 1
    task.net.load_state_dict(best[1])
    return Fitted(best[1], best[0], tuple(run.training.history))


@dataclass
class _Run:
    """A training with what it trains on, tells and obeys."""

    gradient: Gradient
    training: Training
    train: Labelled
    validation: Labelled
    observer: Observer | None
    keep: Keep | None
    stop: StopRequest | None

    @property
    def task(self) -> Task:
        return self.gradient.task

    @property
    def ranks(self) -> Ranks:
        return self.gradient.ranks

    def all_epochs(self) -> None:
        now = self.training
        if self.observer is not None:
            steps = (now.epoch - 1) * now.settings.steps(len(self.train)) + now.step
            self.observer.begin(steps, (now.epoch - 1) * len(self.train) + now.sums.samples)
        try:
            while not now.done:
                self._steps()
                self._end_of_epoch()
        except NonFiniteError as error:
            raise self._with_checkpoint(error) from error

    def _steps(self) -> None:
        now = self.training
        self.task.net.train()
        parts = batches(len(self.train), now.settings.batch_size, now.seed, now.epoch)
        while now.step < len(parts):
            began = time.perf_counter()
            rate = now.optimiser.param_groups[0]["lr"]
            outcome = self._step(*self.task.batch(self.train, parts[now.step]))
            now.step += 1
            now.sums += outcome
            now.time_s += time.perf_counter() - began
            if self.observer is not None:
                total, count = (now.epoch - 1) * len(parts) + now.step, outcome.samples
                loss, penalty = outcome.loss / count, outcome.penalty / count
                self.observer.step(Step(now.epoch, now.step, total, count, outcome.hits, loss, penalty, rate))
            self._stop_if_asked()
            if self.keep is not None and self.keep.every and now.step % self.keep.every == 0:
                self._save()

    def _step(self, images: torch.Tensor, labels: torch.Tensor) -> Outcome:
        """One step of the optimiser."""
        now, settings = self.training, self.training.settings
        where = f"epoch {now.epoch}, step {now.step + 1}"
        key = derive_seed(now.seed, "step", now.epoch, now.step)
        now.optimiser.zero_grad(set_to_none=True)
        outcome = Outcome()
        size = -(-len(labels) // settings.accumulate)
        shown = self.gradient.shown(images, key)
        for number, (x, y) in enumerate(zip(shown.split(size, dim=1), labels.split(size), strict=True)):
            part = derive_seed(key, "part", number) if number else key
            _seed_modules(self.task.device, part if self.ranks.first else derive_seed(part, "rank", self.ranks.rank))
            last = number == -(-len(labels) // size) - 1
            outcome += self.gradient.add(x, y, len(y) / len(labels), where, last)
        norm = torch.nn.utils.clip_grad_norm_(self.task.net.parameters(), settings.clip)
        require_finite(norm.item(), "the norm of the gradient", where)
        now.optimiser.step()
        now.schedule.step()
        require_finite_parameters(self.task.net, where)
        return outcome.over(self.ranks)

    def _end_of_epoch(self) -> None:
        now = self.training
        self.gradient.way.share_buffers()
        checked = self._validate()
        loss, accuracy = now.sums.loss / now.sums.samples, now.sums.hits / now.sums.samples
        row = Epoch(
            now.epoch, loss, accuracy, checked.loss, checked.accuracy.correct, checked.spikes_per_neuron_step,
            round(now.time_s, 3),
        )  # fmt: skip
        now.history.append(row)
        if now.best is None or _better(row, now.best[0], now.settings.choose):
            now.best = row, {name: tensor.detach().clone() for name, tensor in now.net.state_dict().items()}
            if self.keep is not None and self.ranks.first:
                now.save_best(self.keep)
        now.epoch, now.step, now.sums, now.time_s = now.epoch + 1, 0, Outcome(), 0.0
        self._save()
        if self.observer is not None:
            self.observer.epoch(row)

    def _validate(self) -> Evaluation:
        seed, epoch = derive_seed(self.training.seed, "validation"), self.training.epoch
        try:
            # Processes with more batches than others could not agree on a stop in between.
            between = self._stop_if_asked if self.ranks.alone else None
            checked = evaluate(self.task, self.validation, seed=seed, between=between, ranks=self.ranks)
        except NonFiniteError as error:
            raise NonFiniteError(f"{error.what}, in the validation after epoch {epoch}", got=error.got) from error
        require_finite(checked.loss, "the validation loss", f"epoch {epoch}, its end")
        return checked

    def _stop_if_asked(self) -> None:
        number = self.ranks.largest(self.stop.number if self.stop else 0)
        if not number:
            return
        self._save()
        now, mend = self.training, "" if self.keep is None else "Go on with --resume."
        raise StoppedError(f"stopped after epoch {now.epoch}, step {now.step}", number=number, mend=mend)

    def _save(self) -> None:
        if self.keep is not None:
            if self.ranks.first:
                self.training.save(self.keep)
            self.ranks.wait()

    def _with_checkpoint(self, error: NonFiniteError) -> NonFiniteError:
        """The same error with the last checkpoint from before it."""
        if self.keep is None or not self.keep.last.exists():
            return error
        mend = f"{error.mend} The last good checkpoint is {self.keep.last}.".strip()
        return NonFiniteError(error.what, got=error.got, expected=error.expected, mend=mend)


def _better(row: Epoch, best: Epoch, choose: str) -> bool:
    if choose == "accuracy" and row.validation_accuracy != best.validation_accuracy:
        return row.validation_accuracy > best.validation_accuracy
    return row.validation_loss < best.validation_loss


def _seed_modules(device: torch.device, key: int) -> None:
    # What modules such as dropout draw. torch.manual_seed would do, but takes a millisecond.
    torch.default_generator.manual_seed(key)
    if device.type == "cuda":
        torch.cuda.manual_seed(key)


__all__ = ["FitSettings", "Fitted", "Keep", "fit"]
