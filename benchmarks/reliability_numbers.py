"""Trainings repeated, on other numbers of threads, and with a number in them that is none."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from reliability_cases import KINDS, SETTINGS, TRAIN, VALIDATION, task

from spikeloom.data.arrays import Labelled
from spikeloom.errors import NonFiniteError
from spikeloom.recipes import RECIPES
from spikeloom.recipes.problem import build, problem_of
from spikeloom.storage.checkpoint import load_checkpoint
from spikeloom.train.evaluate import Task
from spikeloom.train.loop import FitSettings, Keep, fit
from spikeloom.train.threads import torch_threads

_DIGITS = next(recipe for recipe in RECIPES if recipe.name == "digits")


def repeats(count: int) -> int:
    """Distinct results of ``count`` equal trainings on the digits: rate coding, shifted images, learned tau."""
    config = _DIGITS.configure()
    config = replace(
        config, encoding=replace(config.encoding, kind="rate", steps=4), neuron=replace(config.neuron, learn_tau=True)
    )
    parts = problem_of(_DIGITS).load(config)
    found = set[str]()
    with torch_threads(1):
        for _ in range(count):
            made = build(_DIGITS, config, 0, parts)
            fitted = fit(made, replace(SETTINGS, epochs=1, batch_size=64), parts.train, parts.validation, seed=0)
            digest = hashlib.sha256(repr(fitted.history[0].loss).encode())
            for name in sorted(fitted.tensors):
                digest.update(fitted.tensors[name].numpy().tobytes())
            found.add(digest.hexdigest())
    return len(found)


def threads(batch: int = 256) -> dict[str, tuple[float, bool]]:
    """Largest relative difference of a step's gradients on 1 and on 2 threads, and whether they are equal to the bit.

    The digits recipe's network on ``batch`` images, and the five small ones on all of theirs.
    """
    config = _DIGITS.configure()
    parts = problem_of(_DIGITS).load(config)
    cases: dict[str, tuple[Callable[[], Task], Any]] = {
        "digits": (lambda: build(_DIGITS, config, 0, parts), parts.train)
    } | {kind: (lambda kind=kind: task(kind), TRAIN) for kind in KINDS}
    found = {}
    for name, (make, data) in cases.items():
        one, two = (_gradients(make(), data.x[:batch], data.y[:batch], n) for n in (1, 2))
        scale = torch.cat([g.flatten() for g in one]).norm().item()
        apart = torch.cat([(a - b).flatten() for a, b in zip(one, two, strict=True)]).norm().item()
        found[name] = apart / scale, all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    return found


def _gradients(made: Task, x: Any, y: Any, count: int) -> list[torch.Tensor]:
    data, settings = Labelled(x, y), FitSettings(1, 0.01, 0.0, len(y), 1e9)
    with torch_threads(count):
        fit(made, settings, data, data, seed=0)
    # Those of the only step are still there.
    return [p.grad.clone() for p in made.net.parameters() if p.grad is not None]


# -- what is not finite

VALUES = (math.nan, math.inf, -math.inf)
PLACES = ("loss", "weight", "state")


def nonfinite() -> tuple[int, int, list[str]]:
    """30 injections, in the first epoch and in the second: tried, well reported, what was wrong with the others."""
    tried, good, wrong = 0, 0, list[str]()
    for kind in KINDS:
        for place in PLACES:
            for index, step in enumerate((4, 9)):
                value = VALUES[(tried + index) % 3]
                tried += 1
                fault = _injected(kind, place, value, step)
                good += not fault
                wrong += [f"{kind}, {value} in {place} at step {step}: {fault}"] if fault else []
    return tried, good, wrong


def _injected(kind: str, place: str, value: float, step: int) -> str:
    """What is wrong with the report of one injection; "" for nothing."""
    made = task(kind)
    spoilt = _spoilt(made, place, value, step)
    per_epoch = SETTINGS.steps(len(TRAIN))
    where = f"epoch {(step - 1) // per_epoch + 1}, step {(step - 1) % per_epoch + 1}"
    with tempfile.TemporaryDirectory() as name:
        keep = Keep(Path(name), every=1)
        try:
            fit(spoilt, SETTINGS, TRAIN, VALIDATION, seed=7, keep=keep)
        except NonFiniteError as error:
            text = str(error)
            done = load_checkpoint(keep.last).meta["training"]
            if (done["epoch"] - 1) * per_epoch + done["step"] != step - 1:
                return f"the checkpoint is not from just before: {text}"
            named = "the loss" if place == "loss" else "layer"
            missing = [part for part in (named, where, str(keep.last)) if part not in text]
            broken = [n for n, t in load_checkpoint(keep.last).tensors.items() if not bool(torch.isfinite(t).all())]
            return f"no {missing} in {text!r}" if missing else f"kept {broken}" if broken else ""
        return "nothing was raised"


def _spoilt(made: Task, place: str, value: float, step: int) -> Task:
    """``made`` with ``value`` in the loss, in a weight, or in what a membrane adds up, when ``step`` begins."""
    calls = 0

    def due() -> bool:
        return made.net.training and calls == step

    def encode(x: torch.Tensor, key: int) -> torch.Tensor:
        nonlocal calls
        calls += made.net.training
        if due() and place == "weight":
            next(p for p in made.net.parameters() if p.dim() > 1).data.view(-1)[0] = value
        return made.encode(x, key)

    def loss(y: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        found = made.loss(y, labels)
        return found + value if due() and place == "loss" else found

    if place == "state":
        first = next(m for m in made.net.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d))

        def hook(_: object, inputs: object, output: torch.Tensor) -> torch.Tensor:
            if not due():
                return output
            output = output.clone()
            output.view(-1)[0] = value
            return output

        first.register_forward_hook(hook)
    return Task(made.net, encode, loss)
