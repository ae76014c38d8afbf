"""The curves of ``robustness.json``, read back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError


@dataclasses.dataclass(frozen=True)
class Line:
    """One network at every level: ``accuracy`` is [level][repeat]; ``skipped`` says why there is none."""

    accuracy: np.ndarray
    skipped: str = ""

    @property
    def mean(self) -> np.ndarray:
        """Mean over repeats [level]."""
        return self.accuracy.mean(1)

    @property
    def sd(self) -> np.ndarray:
        """Sample standard deviation over repeats [level]; 0 for a single one."""
        return self.accuracy.std(1, ddof=1) if self.accuracy.shape[1] > 1 else np.zeros(len(self.accuracy))

    @property
    def lost(self) -> np.ndarray:
        """Accuracy lost by each repeat, averaged over the levels above 0."""
        return self.accuracy[0] - self.accuracy[1:].mean(0)


@dataclasses.dataclass(frozen=True)
class Panel:
    """One perturbation; ``ann`` is None where no ANN twin was trained."""

    title: str
    unit: str
    levels: np.ndarray
    spiking: Line
    ann: Line | None

    @property
    def compared(self) -> bool:
        """Whether both networks were measured at more than the level 0."""
        return self.ann is not None and not (self.ann.skipped or self.spiking.skipped) and len(self.levels) > 1


@dataclasses.dataclass(frozen=True)
class Robustness:
    """What ``robustness.json`` holds."""

    run: str
    chance: float
    facts: Mapping[str, object]
    panels: Sequence[Panel]
    note: str = ""

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Robustness:
        """Raises :class:`FileError` for values that are not those of a ``robustness.json``."""
        try:
            panels = [
                Panel(c["title"], c["unit"], np.array(c["levels"], float), _line(c["spiking"]), _twin(c))
                for c in stored["curves"]
            ]
            facts = {
                "images": f"{stored['images']:,} of {stored['split_size']:,} ({stored['split']})",
                "seeds of training": len(stored["seeds"]),
                "repeats for each": stored["repeats"],
            }
            return cls(stored["run"], float(stored["chance"]), facts, panels, stored["note"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            mend = "Run `spikeloom evaluate RUN --noise` again."
            raise FileError(f"robustness.json is not complete ({error!r})", mend=mend) from error


def stored_robustness(folder: Path) -> Robustness | None:
    """What ``robustness.json`` in the folder of a run holds; None where there is none.

    Raises :class:`FileError` for a file that is no such thing.
    """
    path = folder / "robustness.json"
    try:
        stored = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"cannot read {path}: {error}", mend="Run `spikeloom evaluate RUN --noise` again.") from error
    return Robustness.from_json(stored)


def _line(stored: Mapping[str, Any]) -> Line:
    if "skipped" in stored:
        return Line(np.zeros((0, 0)), str(stored["skipped"]))
    accuracy = np.array(stored["accuracy"], float)
    if accuracy.ndim != 2 or not accuracy.size:
        raise ValueError(f"accuracy of shape {accuracy.shape}")
    return Line(accuracy)


def _twin(stored: Mapping[str, Any]) -> Line | None:
    return _line(stored["ann"]) if "ann" in stored else None
