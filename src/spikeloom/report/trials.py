"""What a search for settings found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ParameterError


@dataclass(frozen=True)
class Trial:
    """A trial of a search: ``state`` is "complete", "pruned" or "failed"; ``value`` None if nothing was measured."""

    number: int
    state: str
    value: float | None
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class SearchReport:
    """What the page of a search shows.

    Args:
        title: name of the search.
        quantity: what was optimised, such as "validation loss"; an accuracy is between 0 and 1.
        lower: whether less of it is better.
        trials: all that ended.
        logarithmic: the settings that are drawn on a logarithmic axis.
        choices: the values of those that are drawn side by side, in order.
        command: the command line that trains the best settings.
        searched: what was varied and what was fixed, by name.

    Raises :class:`ParameterError` without a complete trial.
    """

    title: str
    quantity: str
    lower: bool
    trials: Sequence[Trial]
    logarithmic: frozenset[str]
    choices: Mapping[str, Sequence[Any]]
    command: str
    searched: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.ranked:
            raise ParameterError("a search without a complete trial has no page", got=len(self.trials))

    @property
    def ranked(self) -> list[Trial]:
        """The complete trials, the best first."""
        complete = [t for t in self.trials if t.state == "complete" and t.value is not None]
        return sorted(complete, key=lambda t: ((t.value or 0.0) if self.lower else -(t.value or 0.0), t.number))

    @property
    def best(self) -> Trial:
        """The best of the complete trials."""
        return self.ranked[0]

    def text(self, value: float | None) -> str:
        """A value as a person reads it."""
        if value is None:
            return "–"
        return f"{100 * value:.2f} %" if "accuracy" in self.quantity else f"{value:.4g}"
