"""What ``spikeloom train NAME`` runs; torch-free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """A configuration and the module that knows what to do with it.

    ``configure()`` returns the configuration, a :class:`TrainConfig`; ``module`` has ``load(config)`` and
    ``build(config, seed, parts)`` (see ``recipes/problem.py``).
    """

    name: str
    summary: str
    configure: Callable[[], Any]
    module: str
