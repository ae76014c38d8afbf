"""Pages and pictures of a benchmark, made from the summary.json in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import FileError
from ..storage.files import file_error, write_atomic


def is_benchmark(folder: Path) -> bool:
    """Whether the folder is that of a benchmark.

    >>> is_benchmark(Path("/no/such/folder"))
    False
    """
    try:
        return "benchmark" in json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def draw(folder: Path) -> list[Path]:
    """Write report.html, and for ``scaling`` a picture of each axis; which files. Raises :class:`FileError`."""
    from ..bench.curves import sweeps  # matplotlib and bokeh take a second to import
    from ..plot.scaling import picture, svg
    from ..report.bench import write_bench_report

    summary = read_summary(folder)
    pictures: dict[str, str] = {}
    if summary["benchmark"] == "scaling":
        pictures = {sweep.axis: svg(picture(sweep)) for sweep in sweeps(summary)}
    page, drawn = folder / "report.html", {folder / f"{axis}.svg": text for axis, text in pictures.items()}
    for path, text in drawn.items():
        write_atomic(path, text.encode())
    write_bench_report(page, summary, pictures)
    return [*drawn, page]


def read_summary(folder: Path) -> dict[str, Any]:
    """What a benchmark measured. Raises :class:`FileError` where it cannot be read."""
    path = folder / "summary.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise file_error("read", path, error) from error
    except ValueError as error:
        raise FileError(f"cannot read {path}", got=str(error), expected="JSON") from error
    if not isinstance(found, dict) or found.get("benchmark") not in ("train", "simulate", "scaling"):
        raise FileError(f"{path} is not that of a benchmark", mend="Name the folder of `spikeloom bench ...`.")
    return found
