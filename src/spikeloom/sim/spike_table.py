"""Spikes from a text table or an archive that another program, or :func:`export`, wrote."""

from __future__ import annotations

import csv
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError, ParameterError, did_you_mean
from ..storage.files import file_error
from .spike_trains import SpikeTrains

_SORT = "Sort the file by time; a file is refused rather than guessed at."


def load_spikes(path: Path | str, group: str | None = None, size: int | None = None) -> SpikeTrains:
    """Spikes of one ``group`` in a file, to look at or to send: ``net.spikes(t.times, t.neurons, t.size, "in")``.

    ``.csv``: a header that names ``neuron`` and ``time_ms``, perhaps ``group``; a row for each spike, times ascending
    within a group. ``.npz``: arrays as :func:`export` writes them. ``group`` may be left out where there is one only;
    ``size`` (neurons) where the file has it, else it is one more than the highest number.

    Raises FileError, with the line, for a table that is truncated or out of order or holds anything but numbers;
    ParameterError for a group that there is not.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "in.csv"
    >>> _ = path.write_text("neuron,time_ms\\n0,1.5\\n2,2.0\\n")
    >>> load_spikes(path).times.tolist()
    [1.5, 2.0]
    """
    path = Path(path)
    readers = {".csv": _table, ".npz": _archive}
    if path.suffix not in readers:
        raise ParameterError("the ending of a file of spikes", got=repr(path.suffix), expected=" or ".join(readers))
    try:
        times, neurons, known, span = readers[path.suffix](path, group)
    except FileError:
        raise
    except OSError as error:
        raise file_error("read", path, error) from error
    least = int(neurons.max()) + 1 if neurons.size else 1
    begin, end = span or (0.0, float(times[-1]) if times.size else 0.0)
    chosen = size or known or least
    if chosen < least:
        raise ParameterError(f"size of the group in {path}", got=chosen, expected=f"at least {least}, its neurons")
    if end <= begin:
        raise FileError(f"{path} holds no spikes" + ("" if group is None else f" of {group}"))
    return SpikeTrains.of_arrays(times, neurons, chosen, begin, end)


Found = tuple[np.ndarray, np.ndarray, int | None, tuple[float, float] | None]


def _table(path: Path, group: str | None) -> Found:
    times: list[float] = []
    neurons: list[int] = []
    groups: set[str] = set()
    with open(path, encoding="utf-8", newline="") as file:
        for number, name, neuron, time in _rows(file, path):
            groups.add(name)
            if group is None and len(groups) > 1:
                expected = f"one of its groups, such as {min(groups)!r}"
                raise ParameterError(f"which group of {path} to read", got=None, expected=expected)
            if group is not None and name != group:
                continue
            if times and time < times[-1]:
                what = f"line {number} of {path} is out of order"
                raise FileError(what, got=f"{time:g} ms", expected=f"at least {times[-1]:g} ms", mend=_SORT)
            times.append(time)
            neurons.append(neuron)
    if group is not None and groups and group not in groups:
        raise ParameterError(f"{path} has no group {group!r}", mend=did_you_mean(group, groups))
    return np.array(times, np.float64), np.array(neurons, np.int64), None, None


def _rows(file: Any, path: Path) -> Iterator[tuple[int, str, int, float]]:
    """Line, group, neuron and time of each spike."""
    ended = True

    def lines() -> Iterator[str]:
        nonlocal ended
        for line in file:
            ended = line.endswith("\n")
            yield line

    rows = csv.reader(lines())
    try:
        header = next(rows, [])
        if not {"neuron", "time_ms"} <= set(header):
            raise FileError(f"{path} is no table of spikes", got=header[:5], expected="columns neuron and time_ms")
        where = header.index("neuron"), header.index("time_ms")
        named = header.index("group") if "group" in header else None
        for row in rows:
            if len(row) != len(header) or not ended:
                what = f"line {rows.line_num} of {path} is truncated"
                raise FileError(what, got=row, expected=f"{len(header)} columns and an end of line")
            neuron, time = int(row[where[0]]), float(row[where[1]])
            if neuron < 0 or not math.isfinite(time) or time < 0.0:
                raise ValueError(f"neuron {neuron} at {time:g} ms")
            yield rows.line_num, "" if named is None else row[named], neuron, time
    except (ValueError, csv.Error) as error:
        raise FileError(f"line {rows.line_num} of {path} is no spike", got=str(error)) from error


def _archive(path: Path, group: str | None) -> Found:
    try:
        with np.load(path, allow_pickle=False) as file:
            groups = [n.removeprefix("spikes/").removesuffix("/times") for n in file.files
                      if n.startswith("spikes/") and n.endswith("/times")]  # fmt: skip
            if not groups:
                raise FileError(f"{path} holds no spikes", got=file.files[:5], expected="spikes/GROUP/times")
            if group is None and len(groups) > 1:
                raise ParameterError(f"which group of {path} to read", got=None, expected=f"one of {groups}")
            if group is not None and group not in groups:
                raise ParameterError(f"{path} has no group {group!r}", mend=did_you_mean(group, groups))
            name = group or groups[0]
            about = json.loads(str(file["about"])) if "about" in file.files else None
            known = None if about is None else int(about["sizes"][name])
            span = None if about is None else (float(about["begin"]), float(about["end"]))
            return file[f"spikes/{name}/times"], file[f"spikes/{name}/neurons"], known, span
    except (FileError, ParameterError):
        raise
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise FileError(f"{path} is truncated or damaged: {error}", mend="Export it again.") from error


__all__ = ["load_spikes"]
