"""Writes docs/models: ``python -m spikeloom.cli.model_pages docs/models``, a page and a picture per model."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError, SpikeloomError
from ..report.gallery_panel import Frame, sheet_svg
from ..report.labels import pretty_unit
from ..report.model_page import ModelFacts, index_page, model_page
from ..storage.files import file_error, write_atomic
from .models import MODELS, ModelEntry
from .neuron_gallery_run import exhibit, experiments, model_exhibit, room
from .parts import Part, parts

_PICTURED = 4  # presets drawn on a page
# The test file of a module, where it is not test_<module>.py.
_GUARDS = {
    "adaptive": "test_models.py",
    "connor_stevens": "test_channels.py",
    "exponential": "test_adex.py",
    "integrate_and_fire": "test_lif.py",
    "membrane": "test_channels.py",
    "traub_miles": "test_channels.py",
    "wang_buzsaki": "test_channels.py",
    "wrappers": "test_lif.py",
}


def pages() -> list[ModelFacts]:
    """What is known of each public model: those of the command line, then what is put into or around them."""
    found = [_of_model(entry) for entry in MODELS]
    return found + [_of_part(part) for members in parts().values() for part in members]


def _of_model(entry: ModelEntry) -> ModelFacts:
    model = entry.load()
    names = ", ".join(name for name in list(experiments(entry))[:_PICTURED] if name)
    shown = f"Presets {names}" if names else f"A constant current of {entry.current:g} {pretty_unit(_unit(model))}"
    use = f"current={entry.current:g}, duration={entry.duration:g}, dt={entry.dt:g}"
    return ModelFacts(type(model), model, entry.name, entry.summary, _guard(type(model)), use, shown, entry.name)


def _of_part(part: Part) -> ModelFacts:
    experiment = part.experiment
    into = f", into={experiment.into!r}" if experiment.into else ""
    strongest = float(np.max(experiment.drive(np.arange(0.0, experiment.duration, experiment.dt))))
    spike = f"lambda t: {strongest:g} * (t == 10.0)"  # of this weight, at 10 ms
    current = spike if experiment.into in experiment.model.ports else f"{strongest:g}"
    use = f"current={current}, duration={experiment.duration:g}{into}"
    slug = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", part.name).lower()
    guard, shown = _guard(part.kind), part.summary[:1].upper() + part.summary[1:]
    return ModelFacts(part.kind, experiment.model, slug, part.summary, guard, use, shown)


def _unit(model: Any) -> object:
    return next(iter(model.inputs.values())).unit


def _guard(kind: type) -> str:
    module = kind.__module__.rpartition(".")[2]
    return _GUARDS.get(module, f"test_{module}.py")


def pictures() -> dict[str, str]:
    """The first experiments of each model, and the one of each part, as SVG text by the name of the page."""
    found = {}
    for entry in MODELS:
        shown = [model_exhibit(entry, n, e) for n, e in list(experiments(entry).items())[:_PICTURED]]
        drawn = room(entry, shown)
        found[entry.name] = sheet_svg(shown, _frame(len(shown), drawn.membrane, drawn.current_unit), columns=2)
    facts = {facts.kind: facts for facts in pages()}
    for part in (part for members in parts().values() for part in members):
        frame = _frame(1, ("v", "mV"), part.experiment.unit)
        found[facts[part.kind].slug] = sheet_svg([exhibit(part.name, part.experiment)], frame, columns=1)
    return found


def _frame(count: int, membrane: tuple[str, str], unit: str) -> Frame:
    return Frame(360 if count > 1 else 560, 112, 30, membrane, unit)


def write_pages(folder: Path) -> list[Path]:
    """Write all pages, their pictures and the index; returns the files written. Raises :class:`FileError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error("write", folder, error) from error
    found = pages()
    texts = {f"{facts.slug}.md": model_page(facts) for facts in found} | {"README.md": index_page(found)}
    texts |= {f"{slug}.svg": text for slug, text in pictures().items()}
    for name, text in texts.items():
        write_atomic(folder / name, text.encode())
    return [folder / name for name in texts]


def main(arguments: Sequence[str]) -> int:
    """Write the pages to the folder that is the one argument; the exit code."""
    try:
        if len(arguments) != 1:
            raise ConfigError("the folder to write to", got=f"{len(arguments)} arguments", expected="one")
        written = write_pages(Path(arguments[0]))
    except SpikeloomError as error:
        print(f"spikeloom: {error}", file=sys.stderr)
        return 2
    print(f"{len(written)} files -> {arguments[0]}")
    return 0


__all__ = ["main", "pages", "pictures", "write_pages"]

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
