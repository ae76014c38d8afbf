"""Random configurations: each takes a step, or is refused with one message."""

from __future__ import annotations

import dataclasses
import math
import random
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from spikeloom.cli.options import parse
from spikeloom.data.arrays import Labelled
from spikeloom.errors import ConfigError, NonFiniteError, ParameterError
from spikeloom.recipes import RECIPES
from spikeloom.recipes.classification import fit_settings, variants_of
from spikeloom.recipes.problem import Parts, build
from spikeloom.train.loop import fit

# What a step on tiny data takes has to stay small, or the fuzzer measures the machine.
_COSTLY = {
    "encoding.steps": (1, 2, 5), "neuron.width": (1, 3, 20), "net.hidden": ("", "1", "8", "5 3"),
    "net.channels": ("1", "4", "2 3", "2 2 2"), "optimiser.batch-size": (2, 8, 1000), "threads": (1,),
    "keep.tensorboard": (False,), "epochs": (1, 2), "seeds": (1, 2), "out": ("runs", ""), "data.root": ("data", ""),
}  # fmt: skip
_NUMBERS = (0, 1, 2, 3, 5, 0.5, 0.1, 0.9, 0.99, 20.0, 1e-3)
_ODD = (-1, -0.5, math.nan, math.inf, -math.inf, 1e-300, 1e-30, 1e30, 1e300, 10**18, 10**30, "", "x", "1e400", "0x10")
_LIMIT = 60


def _fields(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), prefix + field.name.replace("_", "-")
        if dataclasses.is_dataclass(value):
            yield from _fields(value, f"{name}.")
        else:
            yield name, hints[field.name]


def _value(draw: random.Random, name: str, kind: Any, odd: float) -> list[str]:
    """Words for one option: usually a usable value, sometimes any."""
    if draw.random() < odd:
        return [str(draw.choice(_ODD))]
    if name in _COSTLY:
        value = draw.choice(_COSTLY[name])
        return str(value).split() if name.startswith("net.") else [str(value)]
    if get_origin(kind) is Literal:
        return [draw.choice(get_args(kind))]
    if kind is bool:
        return [draw.choice(("True", "False"))]
    if kind in (str, Path):
        return [draw.choice(("", "a", "b-1", "runs"))]
    value = draw.choice(_NUMBERS)
    return [str(int(value) if kind is int else float(value))]


def arguments(draw: random.Random, config: Any) -> list[str]:
    """Options for some of the fields of ``config``."""
    odd = draw.choice((0.0, 0.0, 0.0, 0.1, 0.5))
    found: list[str] = []
    for name, kind in draw.sample(list(_fields(config)), k=draw.randint(1, 8)):
        if kind is bool:
            found += [f"--{name}" if draw.random() < 0.5 else f"--{_negated(name)}"]
        else:
            found += [f"--{name}", *_value(draw, name, kind, odd)]
    # Few steps and small layers, unless drawn otherwise: a step must stay cheap.
    for name, value in (("encoding.steps", "2"), ("neuron.width", "8"), ("net.hidden", "8"), ("net.channels", "2")):
        if name in dict(_fields(config)) and f"--{name}" not in found:
            found += [f"--{name}", value]
    return found


def _negated(name: str) -> str:
    group, _, leaf = name.rpartition(".")
    return f"{group}.no-{leaf}" if group else f"no-{leaf}"


def _parts(recipe: str, side: int) -> Parts:
    generator = np.random.default_rng(0)
    shape = (side * side,) if recipe == "digits" else (1, side, side)
    made = Labelled(generator.random((10, *shape), dtype=np.float32), np.arange(10))
    return Parts("tiny", made, made, made, tuple("0123456789"), (side, side))


class _HangError(Exception):
    pass


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """Raise when the block takes longer (where there are alarms)."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def ring(*_: object) -> None:
        raise _HangError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fuzz(count: int, seed: int = 0) -> tuple[int, int, list[str]]:
    """Configurations that trained, that were refused with one message, and what else happened, with the options."""
    draw = random.Random(seed)
    parts = {recipe.name: _parts(recipe.name, 8 if recipe.name == "digits" else 16) for recipe in RECIPES}
    ran, refused, wrong = 0, 0, list[str]()
    for _ in range(count):
        recipe = draw.choice(RECIPES)
        words = arguments(draw, recipe.configure())
        try:
            with _limited(_LIMIT):
                config = parse(recipe.configure(), words, prog="train", description="")
                for variant in variants_of(config):
                    task = build(recipe, config, config.seed, parts[recipe.name], variant)
                    settings = dataclasses.replace(fit_settings(config, variant), epochs=1)
                    data = parts[recipe.name]
                    fit(task, settings, data.train, data.validation, seed=config.seed)
            ran += 1
        except (ConfigError, ParameterError, NonFiniteError) as error:
            refused += 1
            if not str(error).strip() or "\n" in str(error).strip():
                wrong.append(f"{recipe.name} {' '.join(words)}: no one-line message: {error}")
        except (Exception, SystemExit) as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__}: {str(error)[:150]} at {Path(place.filename).name}:{place.lineno}"
            wrong.append(f"{recipe.name} {' '.join(words)}: {text}")
    return ran, refused, wrong
