"""What the folder of a finished run says about it, read from ``summary.json`` and ``history.json`` alone."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..data.catalogue import DATA_SETS
from ..errors import FileError

_UNITS = {"J": 1.0, "mJ": 1e-3, "µJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12}
T = TypeVar("T")
Rows = Sequence[Mapping[str, float]]
# Where things lie and what is kept does not change what a run does.
_NOT_SETTINGS = ("out", "name", "data.root")


@dataclass(frozen=True)
class Scores:
    """What a network reached: mean and standard deviation over ``seeds`` trainings; None where it was not measured.

    ``accuracy`` is a fraction of the test set, ``energy`` is in joules per sample under the first profile of the run,
    ``train_time`` in seconds a seed.
    ``curves`` holds, for each seed, one mapping per epoch.
    """

    accuracy: float
    accuracy_sd: float
    seeds: int
    spikes: float | None
    energy: float | None
    train_time: float | None
    parameters: int | None
    curves: Sequence[Rows] = ()


@dataclass(frozen=True)
class Result:
    """A finished run; ``baseline`` is the equal-shaped network without spikes, where one was trained."""

    path: Path
    recipe: str
    data: str
    split: Mapping[str, Any]
    config: Mapping[str, Any]
    profile: str
    machine: Any
    spiking: Scores
    baseline: Scores | None = None

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.path.resolve().name

    @property
    def test_samples(self) -> int:
        """Size of the test set."""
        return int(self.split["test"])


def read_result(path: str | os.PathLike[str]) -> Result:
    """Read the folder of a run.

    Raises :class:`FileError` when it is no folder of a run, when the run has not finished, and when a file in it
    cannot be read or is not what a training writes.
    """
    folder = Path(path)
    summary = folder / "summary.json"
    if not folder.is_dir():
        what = "a file" if folder.exists() else "nothing"
        raise FileError(f"{folder} is not the folder of a run", got=what, mend="Give the folder, such as runs/NAME.")
    if not summary.exists():
        started = any((folder / name).exists() for name in ("checkpoint", "history.json", "config.json"))
        if started:
            mend = "Let it end, or take it up again with `spikeloom train ... --resume`."
            raise FileError(f"the run {folder} has not finished: there is no summary.json", mend=mend)
        mend = "Give the folder that `spikeloom train` wrote, such as runs/NAME."
        raise FileError(f"{folder} is not the folder of a run: there is no summary.json", mend=mend)
    history = folder / "history.json"
    curves = _checked(history, _curves, _read(history)) if history.exists() else {}
    return _checked(summary, partial(_result, folder, curves), _read(summary))


_MEND = "The file was changed or written by another version: train again."


def _checked(path: Path, understand: Callable[[dict[str, Any]], T], facts: dict[str, Any]) -> T:
    try:
        return understand(facts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        missing = f"no {error.args[0]}" if isinstance(error, KeyError) and error.args else str(error)
        raise FileError(f"{path} is not that of a training", got=missing, mend=_MEND) from None


def energy_unit(energies: Sequence[float | None]) -> tuple[str, float]:
    """One unit for all of them, that of the largest, so that the figures can be compared; and its size in joules.

    >>> energy_unit([2e-9, 3e-6, None])
    ('µJ', 1e-06)
    """
    largest = max((energy for energy in energies if energy), default=0.0)
    return next(((unit, size) for unit, size in _UNITS.items() if largest >= size), ("J", 1.0))


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise FileError(f"cannot read {path}", got=error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is not JSON", got=str(error)[:120], mend=_MEND) from None
    if not isinstance(value, dict):
        raise FileError(f"{path} holds no run", got=type(value).__name__, expected="an object", mend=_MEND)
    return value


def _result(folder: Path, curves: Mapping[str, Sequence[Rows]], facts: dict[str, Any]) -> Result:
    baseline = facts.get("baseline")
    energy = facts.get("energy") or {}
    split = facts["split"] | {"test": facts["metrics"]["test_samples"]}
    return Result(
        path=folder,
        recipe=str(facts["recipe"]),
        data=_data(facts),
        split={str(name): int(size) for name, size in split.items()},
        config={name: value for name, value in _flat(facts["config"]).items() if _is_setting(name)},
        profile=str(_default_price(energy).get("name", "")),
        machine=facts.get("machine"),
        spiking=_scores(facts, _joules(energy, "spiking"), curves.get("spiking", ())),
        baseline=_scores(baseline, _joules(energy, "ann"), curves.get("ann", ())) if baseline else None,
    )


def _scores(facts: dict[str, Any], energy: float | None, curves: Sequence[Rows]) -> Scores:
    metrics = facts["metrics"]
    times = [row.get("train_time_s") for row in facts.get("per_seed", ())]
    known = [float(seconds) for seconds in times if seconds is not None]
    accuracy = float(metrics["test_accuracy"])
    if not 0.0 <= accuracy <= 1.0:
        raise ValueError(f"a test accuracy of {accuracy}")
    return Scores(
        accuracy=accuracy,
        accuracy_sd=float(metrics["test_accuracy_sd"]),
        seeds=int(metrics["seeds"]),
        spikes=_number(metrics.get("spikes_per_neuron_step")),
        energy=energy,
        train_time=sum(known) / len(known) if known else None,
        parameters=int(facts["parameters"]) if facts.get("parameters") is not None else None,
        curves=curves,
    )


def _data(facts: dict[str, Any]) -> str:
    told = facts.get("dataset") or facts["config"].get("data", {}).get("set")
    if told:
        return str(told["name"] if isinstance(told, dict) else told)
    # A recipe is named after its data set, perhaps with a word about the network behind it.
    recipe = str(facts["recipe"])
    known = [entry.name for entry in DATA_SETS if recipe == entry.name or recipe.startswith(f"{entry.name}-")]
    return max(known, key=len, default=recipe)


def _default_price(energy: dict[str, Any]) -> dict[str, Any]:
    return next(iter(energy.get("profiles") or ()), {})


def _joules(energy: dict[str, Any], net: str) -> float | None:
    cost = _default_price(energy).get(net)
    # A sum that leaves operations out, because the hardware has none of that kind, is no energy of the network.
    return None if not cost or cost.get("unpriced") else _number(cost["total"])


def _curves(history: dict[str, Any]) -> dict[str, list[Rows]]:
    """The curves of the seeds, by the kind of network: the word before ``-seed-``."""
    found: dict[str, list[Rows]] = {}
    for name, rows in history.items():
        curve = [{key: float(value) for key, value in row.items() if value is not None} for row in rows]
        found.setdefault(name.partition("-")[0], []).append(curve)
    return found


def _is_setting(name: str) -> bool:
    return name not in _NOT_SETTINGS and not name.startswith("keep.")


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
