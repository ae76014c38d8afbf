"""Gradient descent on a network, with the model chosen on the validation set.

The order of the samples, the encoder's spikes and the learning rate are functions of (seed, epoch, step), not
of the state of a generator, so that a training can be taken up again anywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from ..data.arrays import Labelled
from ..errors import NonFiniteError, ParameterError
from .evaluate import Evaluation, Task, evaluate
from .history import Epoch, Observer, Step
from .seeds import batches, derive_seed


@dataclass(frozen=True)
class FitSettings:
    """AdamW and its schedule; ``clip`` is the largest norm of the gradient."""

    epochs: int
    learning_rate: float
    weight_decay: float
    batch_size: int
    clip: float
    schedule: Literal["cosine", "constant"] = "cosine"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ParameterError(name, got=getattr(self, name), expected="at least 1")

    def rate_at(self, progress: float) -> float:
        """The learning rate when the fraction ``progress`` of all steps is done.

        >>> FitSettings(1, 0.1, 0.0, 1, 1.0).rate_at(0.5)
        0.05
        """
        factor = 0.5 * (1.0 + math.cos(math.pi * progress)) if self.schedule == "cosine" else 1.0
        return self.learning_rate * factor


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
) -> Fitted:
    """Train ``task.net`` in place and leave it as it was after the epoch with the best validation.

    Best is the lowest validation loss: accuracy on a few hundred samples ties and jumps where the loss does not. The
    same seed gives the same result, bit by bit, on the same machine with the same number of threads; torch's own
    generator is left as it was. Raises :class:`NonFiniteError`, naming epoch and step, when the loss, the gradient or
    a parameter is no longer finite.
    """
    optimiser = _adamw(task.net, settings)
    history: list[Epoch] = []
    best: tuple[Epoch, dict[str, torch.Tensor]] | None = None
    if observer is not None:
        observer.begin(0, 0)
    with torch.random.fork_rng(devices=_cuda_devices(task)):
        for number in range(1, settings.epochs + 1):
            loss, accuracy = _train_epoch(task, settings, optimiser, train, seed, number, observer)
            row = _row(number, loss, accuracy, _validate(task, validation, seed, number))
            history.append(row)
            if observer is not None:
                observer.epoch(row)
            if best is None or row.validation_loss < best[0].validation_loss:
                best = row, {name: tensor.detach().clone() for name, tensor in task.net.state_dict().items()}
    assert best is not None  # epochs is at least 1
    task.net.load_state_dict(best[1])
    return Fitted(best[1], best[0], tuple(history))


def _adamw(net: torch.nn.Module, settings: FitSettings) -> torch.optim.AdamW:
    # Decay belongs to weights; on a bias or a time constant it would pull towards a value that means nothing.
    parameters = [p for p in net.parameters() if p.requires_grad]
    weights, others = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.learning_rate)


def _train_epoch(
    task: Task,
    settings: FitSettings,
    optimiser: torch.optim.Optimizer,
    data: Labelled,
    seed: int,
    epoch: int,
    observer: Observer | None,
) -> tuple[float, float]:
    task.net.train()
    parts = batches(len(data), settings.batch_size, seed, epoch)
    total, right = 0.0, 0
    for step, index in enumerate(parts):
        key = derive_seed(seed, "step", epoch, step)
        _seed_modules(task.device, key)
        for group in optimiser.param_groups:
            group["lr"] = settings.rate_at((epoch - 1 + step / len(parts)) / settings.epochs)
        images, labels = task.batch(data, index)
        if task.augment is not None:
            images = task.augment(images, derive_seed(key, "augment"))
        y, _ = task.net(task.encode(images, key))
        loss = task.loss(y, labels)
        _require_finite(loss.item(), "the loss", epoch, step + 1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(task.net.parameters(), settings.clip)
        _require_finite(norm.item(), "the norm of the gradient", epoch, step + 1)
        optimiser.step()
        _require_finite_parameters(task.net, epoch, step + 1)
        total += loss.item() * len(index)
        hits = int((y.detach().mean(0).argmax(1) == labels).sum())
        right += hits
        if observer is not None:
            rate = optimiser.param_groups[0]["lr"]
            count = (epoch - 1) * len(parts) + step + 1
            observer.step(Step(epoch, step + 1, count, len(index), hits, loss.item(), 0.0, rate))
    return total / len(data), right / len(data)


def _validate(task: Task, data: Labelled, seed: int, epoch: int) -> Evaluation:
    try:
        checked = evaluate(task, data, seed=derive_seed(seed, "validation"))
    except NonFiniteError as error:
        raise NonFiniteError(f"{error.what}, in the validation after epoch {epoch}", got=error.got) from error
    _require_finite(checked.loss, "the validation loss", epoch, "its end")
    return checked


def _row(number: int, loss: float, accuracy: float, checked: Evaluation) -> Epoch:
    return Epoch(number, loss, accuracy, checked.loss, checked.accuracy.correct, checked.spikes_per_neuron_step)


def _require_finite(value: float, what: str, epoch: int, step: int | str) -> None:
    if not math.isfinite(value):
        where = f"epoch {epoch}, {f'step {step}' if isinstance(step, int) else step}"
        mend = "Lower the learning rate, or look for an input far outside [0, 1]."
        raise NonFiniteError(f"{what} is not finite in {where}", got=value, expected="a finite number", mend=mend)


def _require_finite_parameters(net: torch.nn.Module, epoch: int, step: int) -> None:
    # A threshold hides NaN, because NaN >= threshold is false: a broken layer would just fall silent.
    if math.isfinite(torch.nn.utils.get_total_norm(list(net.parameters())).item()):
        return
    broken = [name for name, p in net.named_parameters() if not bool(torch.isfinite(p).all())]
    what = f"parameter {broken[0]}" if broken else "the norm of the parameters"
    _require_finite(math.nan, what, epoch, step)


def _seed_modules(device: torch.device, key: int) -> None:
    # What modules such as dropout draw. torch.manual_seed would do, but takes a millisecond.
    torch.default_generator.manual_seed(key)
    if device.type == "cuda":
        torch.cuda.manual_seed(key)


def _cuda_devices(task: Task) -> list[torch.device]:
    return [task.device] if task.device.type == "cuda" else []
