"""A dialect says how each operation is spelled in one target language."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

Template = str | Callable[..., str]


@dataclasses.dataclass(frozen=True)
class Dialect:
    """``operations`` maps an operation to a format string over its arguments ``{0}``, ``{1}``, ...

    ``literal`` spells a constant. Arguments arrive as names or bracketed expressions.
    """

    name: str
    operations: Mapping[str, Template]
    literal: Callable[[float], str]

    def spell(self, op: str, args: list[str]) -> str:
        """The operation applied to spelled arguments."""
        template = self.operations[op]
        return template(*args) if callable(template) else template.format(*args)
