"""Results for other programs: NumPy archives, CSV, Parquet, HDF5, and objects of Neo.

Layouts, the same names everywhere; ``POP`` is the name of a group, times are in ms:

* ``.npz`` and ``.h5``: ``spikes/POP/times`` float64 [K], ``spikes/POP/neurons`` int32 [K], and for recorded states
  ``states/POP/STATE/times`` [T], ``.../neurons`` [N], ``.../values`` [T, N]. ``about`` is a JSON text (an array without
  dimensions, an attribute in HDF5): begin, end, dt, complete, sizes of groups, units of states.
* ``.csv`` and ``.parquet``: columns ``group``, ``neuron``, ``time_ms``, a row for each spike, group by group; numbers
  read back are the same to the last bit. Parquet has the same JSON text as ``about`` in the metadata of its schema.
  Each recorded state is a file beside it, ``NAME.POP.STATE.csv``: ``time_ms`` and a column for each neuron.

:meth:`Result.save` is what keeps everything; these are copies for others.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError, ParameterError
from ..storage.files import as_path, file_error, replacing
from .numbers import said
from .result import Recorded, Result

_ROWS = 1 << 16  # of a CSV file that are written together


def export(result: Result, path: Path | str) -> Path:
    """Write ``result`` in the format that the end of ``path`` names: .npz, .csv, .parquet or .h5; return the path.

    A file of that name is replaced in one step, and stays as it was where writing fails. Parquet takes pyarrow, HDF5
    takes h5py. Raises ParameterError for another ending, where the library is not installed, and for names that a file
    has no place for; FileError where the file cannot be written.

    >>> import tempfile, spikeloom as sl
    >>> net = sl.sim.Network(dt=0.1, seed=1)
    >>> _ = net.spikes([1.0, 3.0], [0, 1], 2, name="source")
    >>> path = export(net.run(10.0), tempfile.mkdtemp() + "/run.csv")
    >>> print(path.read_text().strip())
    group,neuron,time_ms
    source,0,1.0
    source,1,3.0
    """
    _require_result(result)
    path = as_path(path)
    writer = _WRITERS.get(path.suffix)
    if writer is None:
        got = f"{path.suffix!r}"
        raise ParameterError("the ending of a file to export to", got=got, expected=" or ".join(_WRITERS))
    _check_names(result)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer(result, path)
    except OSError as error:
        raise error if isinstance(error, FileError) else file_error("write", path, error) from error
    return path


def to_neo(result: Result) -> Any:
    """``result`` as a ``neo.Block`` of one segment, for Elephant and other programs that read Neo.

    Each neuron's spikes are a ``neo.SpikeTrain`` (silent neurons too), annotated with ``group`` and ``neuron``; each
    recorded state is a ``neo.AnalogSignal`` [T, N], annotated with ``group`` and ``neurons``. Its samples lie at their
    times, the ends of steps; as Neo lets each sample last for a period, ``t_stop`` is one period after the last sample,
    which may be past the end of the run. A single sample whose period is not known is a
    ``neo.IrregularlySampledSignal``.

    Raises ParameterError for anything but a result and where neo is not installed.
    """
    _require_result(result)
    neo, quantities = _library("neo", "neo"), _library("quantities", "neo")
    about = _about(result)
    block = neo.Block(name="spikeloom", complete=result.complete, dt_ms=result.dt)
    segment = neo.Segment(name=f"{result.begin:g} to {result.end:g} ms")
    block.segments.append(segment)
    for group, trains in result.spikes.items():
        times, starts = trains.by_neuron()
        span = {"units": "ms", "t_start": trains.begin, "t_stop": _end(trains.times, trains.end)}
        for neuron in range(trains.size):
            mine = times[starts[neuron] : starts[neuron + 1]]
            made = neo.SpikeTrain(mine, **span, name=f"{group} {neuron}", group=group, neuron=neuron)
            segment.spiketrains.append(made)
    for group, state, recorded in _recorded(result):
        if not len(recorded.times):
            continue
        facts = {
            "units": _neo_unit(quantities, about["units"][group][state]), "name": state, "group": group,
            "neurons": recorded.neurons.tolist(),
        }  # fmt: skip
        period = _period(result, state, recorded.times)
        if period is None:
            times = recorded.times * quantities.ms
            segment.irregularlysampledsignals.append(neo.IrregularlySampledSignal(times, recorded.values, **facts))
        else:
            clock = {"t_start": recorded.times[0] * quantities.ms, "sampling_period": period * quantities.ms}
            segment.analogsignals.append(neo.AnalogSignal(recorded.values, **clock, **facts))
    return block


def _npz(result: Result, path: Path) -> None:
    about = np.array(json.dumps(_about(result)))
    with replacing(path) as temporary:
        np.savez(temporary, allow_pickle=False, about=about, **dict(_arrays(result)))


def _hdf5(result: Result, path: Path) -> None:
    h5py = _library("h5py", "h5py")
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["about"] = json.dumps(_about(result))
        for name, values in _arrays(result):
            try:
                file.create_dataset(name, data=values)
            except (TypeError, ValueError) as error:
                mend = "A / in a name begins a group of HDF5 within another: name groups otherwise, or export to .npz."
                raise ParameterError(f"HDF5 has no place for {name!r}", got=str(error), mend=mend) from error


def _parquet(result: Result, path: Path) -> None:
    arrow, parquet = _library("pyarrow", "pyarrow"), _library("pyarrow.parquet", "pyarrow")
    names = list(result.spikes)
    sizes = [len(trains) for trains in result.spikes.values()]
    numbers = np.repeat(np.arange(len(names), dtype=np.int32), sizes)
    columns = {
        "group": arrow.DictionaryArray.from_arrays(arrow.array(numbers), arrow.array(names, arrow.string())),
        "neuron": _joined([t.neurons for t in result.spikes.values()], np.int32),
        "time_ms": _joined([t.times for t in result.spikes.values()], np.float64),
    }
    table = arrow.table(columns).replace_schema_metadata({"about": json.dumps(_about(result))})
    with replacing(path) as temporary:
        parquet.write_table(table, temporary)
    for place, recorded in _beside(result, path):
        values = {f"neuron {n}": recorded.values[:, k] for k, n in enumerate(recorded.neurons)}
        with replacing(place) as temporary:
            parquet.write_table(arrow.table({"time_ms": recorded.times, **values}), temporary)


def _csv(result: Result, path: Path) -> None:
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write("group,neuron,time_ms\n")
        for name, trains in result.spikes.items():
            quoted = _quoted(name)
            for k in range(0, len(trains), _ROWS):
                rows = zip(trains.neurons[k : k + _ROWS].tolist(), trains.times[k : k + _ROWS].tolist(), strict=True)
                file.write("".join([f"{quoted},{neuron},{time!r}\n" for neuron, time in rows]))
    for place, recorded in _beside(result, path):
        with replacing(place) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["time_ms", *(f"neuron {n}" for n in recorded.neurons)])
            rows.writerows([t, *v] for t, v in zip(recorded.times.tolist(), recorded.values.tolist(), strict=True))


_WRITERS: Mapping[str, Callable[[Result, Path], None]] = {
    ".npz": _npz, ".csv": _csv, ".parquet": _parquet, ".h5": _hdf5,
}  # fmt: skip


def _require_result(result: Any) -> None:
    if not isinstance(result, Result):
        mend = "Give what net.run(...) returned: export(result, path), to_neo(result)."
        raise ParameterError("result", got=said(result), expected="a Result", mend=mend)


def _check_names(result: Result) -> None:
    for name in [*result.spikes, *result.states]:
        # Other programs end a text at NUL; half of a surrogate pair has no bytes in UTF-8.
        if "\0" in name or any("\ud800" <= c <= "\udfff" for c in name):
            raise ParameterError("name of a group to export", got=repr(name), expected="a text of Unicode without NUL")


def _period(result: Result, state: str, times: np.ndarray) -> float | None:
    """The time between samples in ms; None where it does not follow from a single one."""
    if len(times) > 1:
        return float(times[-1] - times[0]) / (len(times) - 1)
    if every := re.search(r" every (\d+)$", state):
        return int(every[1]) * result.dt
    # Samples are at multiples of their period, so the first after time 0 is at that.
    return float(times[0]) if result.begin == 0.0 else None


def _about(result: Result) -> dict[str, Any]:
    facts = {name: getattr(result, name) for name in ("begin", "end", "dt", "complete", "synapses")}
    sizes = {name: trains.size for name, trains in result.spikes.items()}
    units = {name: {state: r.unit for state, r in found.items()} for name, found in result.states.items()}
    return {**facts, "sizes": sizes, "units": units}


def _arrays(result: Result) -> Iterator[tuple[str, np.ndarray]]:
    for name, trains in result.spikes.items():
        yield f"spikes/{name}/times", trains.times
        yield f"spikes/{name}/neurons", trains.neurons
    for name, state, recorded in _recorded(result):
        for part in ("times", "neurons", "values"):
            yield f"states/{name}/{state}/{part}", getattr(recorded, part)


def _recorded(result: Result) -> Iterator[tuple[str, str, Recorded]]:
    for name, found in result.states.items():
        for state, recorded in found.items():
            yield name, state, recorded


def _beside(result: Result, path: Path) -> Iterator[tuple[Path, Recorded]]:
    """Files of recorded states. Names of groups may hold what names of files may not, and become alike by that."""
    taken: set[str] = set()
    for name, state, recorded in _recorded(result):
        plain = re.sub(r"[^\w\-]+", "_", name)
        while f"{plain}.{state}" in taken:
            plain += "_"
        taken.add(f"{plain}.{state}")
        yield path.with_name(f"{path.stem}.{plain}.{state}{path.suffix}"), recorded


def _joined(arrays: list[np.ndarray], dtype: Any) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *arrays])


def _quoted(name: str) -> str:
    text = io.StringIO()
    # What is in the end of a line is quoted, in all versions of Python.
    csv.writer(text, lineterminator="\r\n").writerow([name])
    return text.getvalue().removesuffix("\r\n")


def _end(times: np.ndarray, end: float) -> float:
    # Rounding may put a spike at the end a little behind it, which neo refuses.
    return max(end, float(times[-1])) if len(times) else end


def _neo_unit(quantities: Any, unit: str) -> Any:
    try:
        return quantities.CompoundUnit(unit) if "/" in unit else quantities.Quantity(1.0, unit)
    except LookupError:
        return quantities.dimensionless


def _library(name: str, package: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        mend = f"Run `pip install {package}`, or export to .npz or .csv."
        raise ParameterError(f"this needs {package}, which is not installed", mend=mend) from error


__all__ = ["export", "to_neo"]
