"""A training at the border of a step, as a checkpoint, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import ConfigError, FileError
from ..storage.checkpoint import load_checkpoint, save_checkpoint
from ..storage.files import Opener, open_new
from .history import Epoch
from .optimiser import optimiser_to_plain, restore_optimiser
from .settings import FitSettings, default_settings
from .step import Outcome

_NET, _BEST, _OPTIMISER = "net/", "best/", "optimiser/"


@dataclass(frozen=True)
class Keep:
    """Where a training keeps its checkpoints: ``last.json`` to go on from, ``best.json`` to use.

    They are written after every epoch, and ``last`` also after every ``every`` steps (0: not) and when a signal stops
    the training. ``meta`` (JSON values) is put into both. ``open_file`` exists so that tests can inject faults.
    """

    folder: Path
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])
    every: int = 0
    open_file: Opener = open_new

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.folder / "last.json"

    @property
    def best(self) -> Path:
        """The checkpoint of the chosen epoch."""
        return self.folder / "best.json"


@dataclass
class Training:
    """All that a training is between two steps; everything random follows from the seed and the position.

    ``step`` steps of ``epoch`` are done, whose sums are ``sums``; ``best`` is the best epoch so far with its tensors.
    """

    settings: FitSettings
    seed: int
    net: torch.nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    epoch: int = 1
    step: int = 0
    sums: Outcome = field(default_factory=Outcome)
    time_s: float = 0.0
    history: list[Epoch] = field(default_factory=list[Epoch])
    best: tuple[Epoch, dict[str, torch.Tensor]] | None = None

    @property
    def done(self) -> bool:
        """Whether all epochs are."""
        return self.epoch > self.settings.epochs

    def save(self, keep: Keep) -> Path:
        """Write ``keep.last``. Raises :class:`FileError`; the checkpoint before then stays as it was."""
        tensors = {_NET + name: tensor for name, tensor in self.net.state_dict().items()}
        moments, plain = optimiser_to_plain(self.optimiser)
        tensors |= {_OPTIMISER + name: tensor for name, tensor in moments.items()}
        if self.best is not None:
            tensors |= {_BEST + name: tensor for name, tensor in self.best[1].items()}
        training = {
            "settings": dataclasses.asdict(self.settings),
            "seed": self.seed,
            "epoch": self.epoch,
            "step": self.step,
            "sums": dataclasses.asdict(self.sums),
            "time_s": self.time_s,
            "history": [dataclasses.asdict(row) for row in self.history],
            "best": None if self.best is None else dataclasses.asdict(self.best[0]),
            "optimiser": plain,
            "schedule": self.schedule.state_dict(),
        }
        return save_checkpoint(keep.last, tensors, {**keep.meta, "training": training}, open_file=keep.open_file)

    def save_best(self, keep: Keep) -> None:
        """Write ``keep.best``."""
        assert self.best is not None
        row, tensors = self.best
        meta = {"seed": self.seed, "epoch": row.epoch, "validation_accuracy": row.validation_accuracy}
        save_checkpoint(keep.best, tensors, {**keep.meta, **meta}, open_file=keep.open_file)

    def restore(self, keep: Keep) -> None:
        """Take over what ``keep.last`` holds.

        Raises :class:`FileError` for a damaged checkpoint or one of another network, and :class:`ConfigError`, naming
        the fields, when it was made with other settings or ``keep.meta`` says something else than it does.
        """
        path = keep.last
        saved = load_checkpoint(path)
        then = saved.meta.get("training")
        if not isinstance(then, dict):
            raise FileError(f"{path} holds a network, not a training that could go on", mend="Use its last.json.")
        try:
            now = {**dataclasses.asdict(self.settings), "seed": self.seed}
            # A checkpoint of an older version lacks fields: it was made as their defaults say.
            require_same({**default_settings(), **then["settings"], "seed": then["seed"]}, now, str(path))
            require_same({n: v for n, v in saved.meta.items() if n != "training"}, keep.meta, str(path))
            load_network(self.net, _under(saved.tensors, _NET), path)
            self._take_over(saved.tensors, then)
        except (KeyError, TypeError, AttributeError) as error:
            # Its hash is right, so it was written so: a field that this version knows is not there.
            what = f"{path} is not a training that this version can go on with: {error!r}"
            raise FileError(what, mend="Load it with the version of spikeloom that wrote it.") from error

    def _take_over(self, tensors: Mapping[str, torch.Tensor], then: Mapping[str, Any]) -> None:
        restore_optimiser(self.optimiser, _under(tensors, _OPTIMISER), then["optimiser"])
        self.schedule.load_state_dict(then["schedule"])
        self.epoch, self.step, self.time_s = then["epoch"], then["step"], then["time_s"]
        self.sums = Outcome(**then["sums"])
        self.history = [Epoch(**row) for row in then["history"]]
        if then["best"] is not None:
            self.best = Epoch(**then["best"]), _under(tensors, _BEST)


def load_network(net: torch.nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Load ``tensors`` into ``net``; raises :class:`FileError`, naming the first difference, for another architecture.

    >>> load_network(torch.nn.Linear(2, 1), {"weight": torch.zeros(1, 3)}, Path("best.json"))
    Traceback (most recent call last):
    ...
    spikeloom.errors.FileError: best.json belongs to another network: weight has shape (1, 3), here (1, 2)
    """
    own = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if own != found:
        name = next(n for n in [*own, *sorted(found)] if own.get(n) != found.get(n))
        if name in own and name in found:
            difference = f"{name} has shape {found[name]}, here {own[name]}"
        else:
            difference = f"it has no {name}" if name in own else f"it has {name}, which is not in this one"
        raise FileError(f"{path} belongs to another network: {difference}")
    net.load_state_dict(dict(tensors))


def require_same(then: Mapping[str, Any], now: Mapping[str, Any], what: str) -> None:
    """Raise :class:`ConfigError`, naming each field, unless a training goes on as it began.

    >>> require_same({"epochs": 3}, {"epochs": 3}, "last.json")
    """
    changed = [
        f"{name} was {then.get(name, 'not set')} and is now {now.get(name, 'not set')}"
        for name in [*now, *(n for n in then if n not in now)]
        if then.get(name) != now.get(name)
    ]
    if changed:
        mend = "Leave these options as they were, or start a new run."
        raise ConfigError(f"{what} was made with another configuration: {'; '.join(changed)}", mend=mend)


def _under(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
