"""What ``spikeloom bench scaling`` does once its options are known."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import Any

from ..bench.config import ScalingConfig
from ..bench.curves import SCALING_HEAD, rows_of, sweeps
from ..bench.machine import described, machine_facts
from ..bench.points import AXES, Point, usable_cores
from ..bench.rounds import seconds_text
from ..bench.scaling import DENSE, OURS, bench, compare
from ..bench.scaling import described as point_text
from ..bench.tables import text_table
from ..errors import ConfigError
from ..storage.files import file_error, to_json, write_atomic
from ..train.provenance import versions
from ..train.run_folder import RunFolder, alone, plain_config
from .bench_bar import show_bench
from .bench_pages import draw, read_summary

# What makes figures of one run comparable with those of another.
_SAME = ("base", "rounds", "seconds", "keep_memory")


def measure(config: ScalingConfig, folder: RunFolder) -> None:
    """Measure the points that the folder has not yet, print the curves, and write summary, pictures and page.

    Raises :class:`ConfigError` where the run that goes on was made with other settings, elsewhere, or by other
    versions, and :class:`BenchError` where a net computes something else than a loop in torch.
    """
    with alone(folder.path):
        summary = _begun(config, folder)
        print(described(), *_thread_note(config), sep="\n", flush=True)
        known = {Point(**row["point"]) for row in summary["points"]}
        wanted = [point for point in config.points() if point not in known]
        with show_bench() as say:
            for number, point in enumerate(wanted, start=1):
                if point == config.base or point.density != config.base.density:  # where other kernels are chosen
                    compare(point, config, say)
                row = bench(point, config, lambda text, n=number: say(f"{n} of {len(wanted)}: {text}"))
                summary["points"].append({"point": dataclasses.asdict(point), **row})
                folder.write_json("summary.json", summary)  # after each, so that Ctrl-C keeps what was measured
                print(_line(point, row), flush=True)
        print(_tables(summary))
        draw(folder.path)
        if config.pictures is not None:
            _copy(summary, config.pictures)
    print(f"\n-> {folder.path}")


def _begun(config: ScalingConfig, folder: RunFolder) -> dict[str, Any]:
    fresh: dict[str, Any] = {
        "benchmark": "scaling",
        "base": dataclasses.asdict(config.base),
        "points": [],
        "config": plain_config(config),
        "versions": versions(),
        "machine": machine_facts(),
    }
    if config.resume is None:
        return fresh
    found = read_summary(folder.path)
    if found["benchmark"] != "scaling":
        raise ConfigError("the run is one of another benchmark", got=found["benchmark"], mend="Begin a new run.")
    for name in _SAME:
        if found["config"].get(name) != fresh["config"][name]:
            got, expected = found["config"].get(name), fresh["config"][name]
            raise ConfigError(f"the run was made with another {name}", got=got, expected=expected, mend=_MEND)
    for name, keys in (("versions", fresh["versions"]), ("machine", ("processor", "usable_cores"))):
        for key in keys:
            got, expected = found[name].get(key), fresh[name][key]
            if got != expected:
                raise ConfigError(f"the run was made with another {key}", got=got, expected=expected, mend=_MEND)
    axes = [axis for axis in AXES if axis in {*found["config"]["axes"], *fresh["config"]["axes"]}]
    return {**found, "config": {**fresh["config"], "axes": axes}}


_MEND = "Figures of different runs do not go into one picture: begin a new run."


def _thread_note(config: ScalingConfig) -> list[str]:
    most, cores = max(point.threads for point in config.points()), usable_cores()
    return [f"note: {most} threads share {cores} core{'' if cores == 1 else 's'}"] if most > cores else []


def _copy(summary: dict[str, Any], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error("write", folder, error) from error
    write_atomic(folder / "summary.json", to_json(summary))
    draw(folder)


def _line(point: Point, row: dict[str, Any]) -> str:
    ours, dense = (seconds_text(statistics.median(row["contenders"][label]["wall_s"])) for label in (OURS, DENSE))
    return f"{point_text(point)}: {ours}, {dense} dense"


def _tables(summary: dict[str, Any]) -> str:
    parts = (text_table((AXES[sweep.axis], *SCALING_HEAD), rows_of(sweep)) for sweep in sweeps(summary))
    return "\n".join(f"\n{part}" for part in parts)
