"""Spikes from a text table or an archive that another program, or :func:`export`, wrote."""

from __future__ import annotations

import contextlib
import csv
import json
import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError, ParameterError, did_you_mean
from ..storage.files import as_path, file_error
from ..units import Quantity
from .numbers import MOST, said, time_of, whole
from .spike_trains import SpikeTrains

_SORT = "Sort the file by time; a file is refused rather than guessed at."


def load_spikes(
    path: Path | str, group: str | None = None, size: int | None = None, *, begin: float | Quantity | None = None,
    end: float | Quantity | None = None,
) -> SpikeTrains:  # fmt: skip
    """Spikes of one ``group`` in a file, to look at or to send: ``net.spikes(t.times, t.neurons, t.size, "in")``.

    ``.csv``: a header that names ``neuron`` and ``time_ms``, perhaps ``group``; a row for each spike, times ascending
    within a group. ``.npz``: arrays as :func:`export` writes them, or in another order. ``group`` may be left out where
    there is one only; ``size`` (neurons) where the file has it, else it is one more than the highest number.

    The spikes are an observation from ``begin`` to ``end`` (ms). Left out, an archive says which it was; a table does
    not, and then it is from 0 to the last spike: give ``end``, or rates are too high.

    Raises FileError, with the line, for a table that is truncated or out of order or holds anything but numbers, and
    for an archive that is damaged; ParameterError for a group that there is not, and spikes outside of what was given.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "in.csv"
    >>> _ = path.write_text("neuron,time_ms\\n0,1.5\\n2,2.0\\n")
    >>> load_spikes(path).times.tolist()
    [1.5, 2.0]
    >>> load_spikes(path, end=1000.0).rates().tolist()
    [1.0, 0.0, 1.0]
    """
    path = as_path(path)
    if not (group is None or isinstance(group, str)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ParameterError("group", got=said(group), expected="a name")
    size = None if size is None else whole(size, "size", 1, MOST)
    given = tuple(None if t is None else time_of(t, what) for t, what in ((begin, "begin"), (end, "end")))
    readers = {".csv": _table, ".npz": _archive}
    if path.suffix not in readers:
        raise ParameterError("the ending of a file of spikes", got=repr(path.suffix), expected=" or ".join(readers))
    try:
        times, neurons, known, span = readers[path.suffix](path, group)
    except FileError:
        raise
    except OSError as error:
        raise file_error("read", path, error) from error
    chosen = known if size is None else size
    if not times.size and (chosen is None or (span is None and end is None)):
        mend = "Give size and end where they are silent neurons."
        raise FileError(f"{path} holds no spikes" + ("" if group is None else f" of {group}"), mend=mend)
    least = int(neurons.max()) + 1 if neurons.size else 1
    chosen = least if chosen is None else chosen
    if chosen < least:
        raise ParameterError(f"size of the group in {path}", got=chosen, expected=f"at least {least}, its neurons")
    said_by_file = span or (0.0, float(times.max(initial=0.0)))
    first, last = (own if mine is None else mine for mine, own in zip(given, said_by_file, strict=True))
    return SpikeTrains.of_arrays(times, neurons, chosen, first, last)


Found = tuple[np.ndarray, np.ndarray, int | None, tuple[float, float] | None]


def _table(path: Path, group: str | None) -> Found:
    times: list[float] = []
    neurons: list[int] = []
    groups: set[str] = set()
    with open(path, encoding="utf-8-sig", newline="") as file:
        for number, name, neuron, time in _rows(file, path):
            groups.add(name)
            if group is None:
                _one_of(path, groups, None)
            elif name != group:
                continue
            if times and time < times[-1]:
                what = f"line {number} of {path} is out of order"
                raise FileError(what, got=f"{time:g} ms", expected=f"at least {times[-1]:g} ms", mend=_SORT)
            times.append(time)
            neurons.append(neuron)
    if groups:
        _one_of(path, groups, group)
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
            if not 0 <= neuron < MOST or not math.isfinite(time) or time < 0.0:
                raise ValueError(f"neuron {neuron} at {time:g} ms")
            yield rows.line_num, "" if named is None else row[named], neuron, time
    except (ValueError, csv.Error) as error:
        raise FileError(f"line {rows.line_num} of {path} is no spike", got=str(error)) from error


def _archive(path: Path, group: str | None) -> Found:
    with _damage(path), np.load(path, allow_pickle=False) as file:
        groups = [n.removeprefix("spikes/").removesuffix("/times") for n in file.files
                  if n.startswith("spikes/") and n.endswith("/times")]  # fmt: skip
        if not groups:
            raise FileError(f"{path} holds no spikes", got=file.files[:5], expected="spikes/GROUP/times")
        name = _one_of(path, groups, group)
        times, neurons = file[f"spikes/{name}/times"], file[f"spikes/{name}/neurons"]
        known, span = None, None
        if "about" in file.files:
            about = json.loads(str(file["about"]))
            known, span = int(about["sizes"][name]), (float(about["begin"]), float(about["end"]))
            if not (1 <= known <= MOST and -math.inf < span[0] <= span[1] < math.inf):
                raise ValueError(f"{known} neurons from {span[0]:g} to {span[1]:g} ms")
        # What holds nothing may have any type.
        if times.ndim != 1 or times.shape != neurons.shape or (times.size and not _are_spikes(times, neurons, known)):
            got = f"times {times.dtype} {times.shape} and neurons {neurons.dtype} {neurons.shape}"
            expected = f"finite times [K], whole numbers [K] from 0 to {(known or MOST) - 1}"
            raise FileError(f"{path} holds no spikes of {name}", got=got, expected=expected)
        return times.astype(np.float64), neurons.astype(np.int64), known, span


def _are_spikes(times: np.ndarray, neurons: np.ndarray, size: int | None) -> bool:
    if times.dtype.kind not in "iuf" or neurons.dtype.kind not in "iu":
        return False
    return bool(np.isfinite(times).all() and neurons.min() >= 0 and neurons.max() < (size or MOST))


def _one_of(path: Path, groups: Collection[str], group: str | None) -> str:
    if group is None and len(groups) > 1:
        expected = f"one of its groups, such as {min(groups)!r}"
        raise ParameterError(f"which group of {path} to read", got=None, expected=expected)
    if group is not None and group not in groups:
        raise ParameterError(f"{path} has no group {group!r}", mend=did_you_mean(group, groups))
    return next(iter(groups)) if group is None else group


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Make a FileError of what goes wrong while an archive is read."""
    try:
        yield
    except (OSError, ParameterError):
        raise
    except Exception as error:  # zip, zlib, NumPy and JSON fail in more ways than they list
        raise FileError(f"{path} is truncated or damaged: {error}", mend="Export it again.") from error


__all__ = ["load_spikes"]
