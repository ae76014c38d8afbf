"""Recipes: a function that returns a configuration, and the module that turns one into a run.

Importing this package imports no torch; the module of a recipe is imported only when it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .digits import DigitsConfig, digits


@dataclass(frozen=True)
class Recipe:
    """What ``spikeloom train NAME`` runs.

    ``configure()`` returns the configuration, a frozen dataclass with at least the fields ``out`` and ``name`` of the
    run folder; ``module`` has ``run(config, folder)``, which takes it, with or without changes.
    """

    name: str
    summary: str
    configure: Callable[[], Any]
    module: str


RECIPES = (
    Recipe(
        "digits",
        "a spiking network on 1797 real handwritten digits, offline",
        digits,
        "spikeloom.recipes.digits_run",
    ),
)

__all__ = ["RECIPES", "DigitsConfig", "Recipe", "digits"]
