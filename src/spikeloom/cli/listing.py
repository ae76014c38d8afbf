"""``spikeloom list``: everything that can be named on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from ..data.catalogue import DATA_SETS
from ..errors import ConfigError
from ..networks import NETWORKS
from ..recipes import RECIPES
from .models import MODELS, ModelEntry


def run(arguments: Sequence[str]) -> None:
    """Print the table."""
    if arguments and arguments[0] in ("-h", "--help"):
        print("usage: spikeloom list\n\nPrints the recipes, networks, neuron models and data sets.")
        return
    if arguments:
        raise ConfigError("`spikeloom list` takes no arguments", got=repr(arguments[0]))
    print(table())


def table() -> str:
    """Sections of aligned names and summaries."""
    sections = {
        "recipes (spikeloom train NAME)": [(r.name, r.summary) for r in RECIPES],
        "networks (spikeloom simulate NAME)": [(n.name, n.summary) for n in NETWORKS],
        "neuron models (spikeloom neuron NAME)": [(m.name, _with_presets(m)) for m in MODELS],
        "data sets": [(d.name, d.summary) for d in DATA_SETS],
    }
    width = max(len(name) for rows in sections.values() for name, _ in rows)
    blocks = [
        "\n".join([title, *(f"  {name:<{width}}  {summary}" for name, summary in rows)])
        for title, rows in sections.items()
    ]
    return "\n\n".join(blocks)


def _with_presets(entry: ModelEntry) -> str:
    count = len(entry.load().presets)
    return f"{entry.summary} ({count} preset{'' if count == 1 else 's'})" if count else entry.summary
