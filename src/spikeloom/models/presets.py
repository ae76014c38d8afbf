"""A preset: published parameters of a model under a name, with the experiment that shows what it is known for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..stimuli import Stimulus


@dataclasses.dataclass(frozen=True)
class Preset:
    """``values`` are parameters and options of the model; the rest describes one run of it.

    ``current`` (a number or a :class:`~spikeloom.stimuli.Stimulus`) is in the unit of the model's first input;
    ``state`` gives initial values where they differ from the model's; ``solver`` names a solver of
    :mod:`spikeloom.solvers` where the publication's integration scheme is part of the result ("" : the default).
    """

    summary: str
    values: Mapping[str, Any]
    source: str
    current: float | Stimulus = 0.0
    duration: float = 200.0
    dt: float = 0.1
    state: Mapping[str, float] = dataclasses.field(default_factory=dict[str, float])
    solver: str = ""


__all__ = ["Preset"]
