"""What a run of a network gives."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import FileError
from ..storage.checkpoint import load_checkpoint, save_checkpoint
from ..storage.files import Opener, as_path, open_new
from .by_name import ByName
from .engine import Chunk, Engine
from .recorders import EdgeRecorder, Recorder
from .spike_trains import SpikeTrains
from .statistics import cv

_KIND = "result of a network"
_STREAMED = "Spikes of this run went into the file of spikes=: sl.sim.read_spikes(path) has them."


@dataclasses.dataclass(frozen=True, eq=False)
class Recorded:
    """``values`` [T, K] of a state, in ``unit``, at ``times`` [T] in ms, of the neurons [K]."""

    times: np.ndarray
    neurons: np.ndarray
    values: np.ndarray
    unit: str = ""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Spikes by group and recorded states by population and state, between ``begin`` and ``end`` (ms).

    Of a state that was recorded more than once, records at the same times are one with all neurons; another one, of
    every 10th step say, is called ``"v every 10"``.

    ``complete`` is False where the run was stopped; ``wall_time`` is in seconds; ``synapses`` counts all of them.
    Raises ParameterError for a name that there is not, in ``spikes`` and ``states``.

    >>> import tempfile, spikeloom as sl
    >>> net = sl.sim.Network(dt=0.1, seed=1)
    >>> _ = net.spikes([1.0, 3.0], [0, 1], 2, name="source")
    >>> result = net.run(10.0)
    >>> Result.load(result.save(tempfile.mkdtemp())).spikes["source"].times.tolist()
    [1.0, 3.0]
    """

    spikes: dict[str, SpikeTrains]
    states: dict[str, dict[str, Recorded]]
    begin: float
    end: float
    dt: float
    complete: bool
    wall_time: float
    synapses: int

    def __post_init__(self) -> None:
        states = {name: ByName(f"recorded state of {name}", found) for name, found in self.states.items()}
        object.__setattr__(self, "spikes", ByName("group", self.spikes, _STREAMED))
        object.__setattr__(self, "states", ByName("group with recorded states", states))

    def __repr__(self) -> str:
        names = ", ".join(f"{name} ({len(trains):,} spikes)" for name, trains in self.spikes.items())
        return f"<Result of {self.begin:g} to {self.end:g} ms: {names or 'no spikes kept'}>"

    def __str__(self) -> str:
        return self.summary()

    def summary(self) -> str:
        """A few lines: each group's size, spikes, mean rate, and the mean CV of its intervals."""
        spent = f"{self.wall_time:.2f} s" + ("" if self.complete else ", stopped before its end")
        lines = [f"{self.begin:g} to {self.end:g} ms in {spent}; {self.synapses:,} synapses"]
        for name, trains in self.spikes.items():
            line = f"  {name}: {trains.size:,} neurons, {len(trains):,} spikes"
            if trains.duration > 0.0:
                line += f", {trains.rate():.4g} Hz"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # nobody may have spikes enough
                regularity = float(np.nanmean(cv(trains)))
            lines.append(line + (f", CV {regularity:.3g}" if np.isfinite(regularity) else ""))
        return "\n".join(lines)

    def save(self, path: Path | str, *, open_file: Opener = open_new) -> Path:
        """Write all of it; return the path of the JSON file, beside which the arrays lie (safetensors, no pickle).

        ``path`` is a file that ends in ``.json``, or a folder, in which it becomes ``result.json``. What was there
        before is replaced in one step, and stays as it was where writing fails: FileError is raised then.
        """
        arrays: dict[str, np.ndarray] = {}
        groups: list[Any] = []
        for k, (name, trains) in enumerate(self.spikes.items()):
            arrays |= {f"spikes.{k}.times": trains.times, f"spikes.{k}.neurons": trains.neurons}
            groups.append([name, trains.size, trains.begin, trains.end])
        states: list[Any] = []
        recorded = [(name, state, r) for name, found in self.states.items() for state, r in found.items()]
        for k, (name, state, r) in enumerate(recorded):
            arrays |= {f"states.{k}.{part}": getattr(r, part) for part in ("times", "neurons", "values")}
            states.append([name, state, r.unit])
        facts = {name: getattr(self, name) for name in _FACTS}
        meta = {"kind": _KIND, "groups": groups, "states": states, "facts": facts}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in arrays.items()}
        return save_checkpoint(_json_path(path), tensors, meta, open_file=open_file)

    @classmethod
    def load(cls, path: Path | str) -> Result:
        """Read what :meth:`save` wrote. Raises FileError for a file that is missing, altered, or no result."""
        stored = load_checkpoint(_json_path(path))
        if stored.meta.get("kind") != _KIND:
            raise FileError(f"{path} holds no result of a network", got=stored.meta.get("kind"), expected=_KIND)
        arrays, meta = {name: tensor.numpy() for name, tensor in stored.tensors.items()}, stored.meta
        try:
            spikes = {name: SpikeTrains(arrays[f"spikes.{k}.times"], arrays[f"spikes.{k}.neurons"], size, begin, end)
                      for k, (name, size, begin, end) in enumerate(meta["groups"])}  # fmt: skip
            states: dict[str, dict[str, Recorded]] = {}
            for k, (name, state, unit) in enumerate(meta["states"]):
                parts = [arrays[f"states.{k}.{part}"] for part in ("times", "neurons", "values")]
                states.setdefault(name, {})[state] = Recorded(*parts, unit=unit)
            return cls(spikes, states, **{name: meta["facts"][name] for name in _FACTS})
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"{path} is not a complete result: {error}", mend="Save it again.") from error


_FACTS = ("begin", "end", "dt", "complete", "wall_time", "synapses")


def gathered(
    engine: Engine, chunks: Sequence[Chunk], recorders: Sequence[Recorder | EdgeRecorder], span: tuple[int, int],
    complete: bool, wall_time: float,
) -> Result:  # fmt: skip
    """The result of some chunks, from the first to the last step of ``span``."""
    dt = engine.parts.dt
    begin, end = (step * dt for step in span)
    spikes: dict[str, SpikeTrains] = {}
    for group in engine.parts.groups:
        ahead = [c.ahead[group.name] for c in chunks] if group.name in engine.ahead else None
        given = [c.spikes[group.name] for c in chunks], ahead, dt, group.size, begin, end
        spikes[group.name] = _trains(*given)
    states: dict[str, dict[str, Recorded]] = {}
    for k, r in enumerate(recorders):
        values = [np.empty((0, len(r.neurons)), engine.parts.dtype), *(c.samples[k] for c in chunks)]
        times = r.times(span[0], span[1] - span[0], dt)
        unit = str(r.unit)
        found_values = np.concatenate(values)
        if isinstance(r, Recorder) and engine.populations[r.population.name].counts(r.state):
            found_values *= dt  # ms
        recorded = Recorded(times, r.neurons, found_values, unit)
        found = states.setdefault(r.owner.name, {})
        first = next(o for o in recorders if (o.owner, o.state) == (r.owner, r.state))
        # What was asked for twice is kept twice where the times differ.
        name = r.state if r.every == first.every else f"{r.state} every {r.every}"
        found[name] = _together(found[name], recorded) if name in found else recorded
    synapses = sum(len(w.targets) for w in engine.wires.values())
    return Result(spikes, states, begin, end, dt, complete, wall_time, synapses)


def _trains(
    pieces: Sequence[tuple[np.ndarray, np.ndarray]], ahead: Sequence[np.ndarray] | None, dt: float, size: int,
    begin: float, end: float,
) -> SpikeTrains:  # fmt: skip
    """Steps and neurons of a group as they came; a piece after the other, as many of them need much new memory."""
    neurons = np.concatenate([np.empty(0, np.int32), *(neurons for _, neurons in pieces)])
    if ahead is not None:
        steps = np.concatenate([np.empty(0, np.int64), *(steps for steps, _ in pieces)])
        return SpikeTrains.from_steps(steps, neurons, dt, size, begin, end, np.concatenate([np.empty(0), *ahead]))
    times, at = np.empty(len(neurons)), 0
    for steps, _ in pieces:
        mine, at = times[at : at + len(steps)], at + len(steps)
        np.multiply(steps + 1, dt, out=mine)
    return SpikeTrains(times, neurons, size, begin, end)


def _together(one: Recorded, other: Recorded) -> Recorded:
    """Two records of a state at the same times as one, neurons ascending."""
    neurons, columns = np.unique(np.concatenate([one.neurons, other.neurons]), return_index=True)
    return Recorded(one.times, neurons, np.concatenate([one.values, other.values], axis=1)[:, columns], one.unit)


def _json_path(path: Path | str) -> Path:
    path = as_path(path)
    return path if path.suffix == ".json" else path / "result.json"


__all__ = ["Recorded", "Result", "gathered"]
