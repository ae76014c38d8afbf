"""What ``spikeloom simulate NAME`` runs; torch-free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .config import NetworkConfig


@dataclass(frozen=True)
class NamedNetwork:
    """A configuration and the module that knows what to do with it.

    ``configure()`` returns the configuration; ``module`` has ``build(config) -> Network`` and
    ``facts(config, result) -> dict[str, Fact]``: what came out, with what was published beside it; where it also has
    ``details(config, result) -> dict[str, JSON]``, the summary holds these. ``pictures`` is a module with
    ``pictures(config, result) -> dict[file name, Figure]``: what other networks do not have, or in place of theirs.
    """

    name: str
    summary: str
    configure: Callable[[], NetworkConfig]
    module: str
    pictures: str = ""
