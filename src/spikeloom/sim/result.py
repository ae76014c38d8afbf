"""What a run of a network gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from .engine import Chunk, Engine
from .recorders import Recorder
from .spike_trains import SpikeTrains


@dataclasses.dataclass(frozen=True, eq=False)
class Recorded:
    """``values`` [T, K] of a state at ``times`` [T] in ms, of the neurons [K]."""

    times: np.ndarray
    neurons: np.ndarray
    values: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """Spikes by group and recorded states by population and state, between ``begin`` and ``end`` (ms).

    ``complete`` is False where the run was stopped; ``wall_time`` is in seconds; ``synapses`` counts all of them.
    """

    spikes: dict[str, SpikeTrains]
    states: dict[str, dict[str, Recorded]]
    begin: float
    end: float
    dt: float
    complete: bool
    wall_time: float
    synapses: int


def gathered(
    engine: Engine, chunks: Sequence[Chunk], recorders: Sequence[Recorder], span: tuple[int, int], complete: bool,
    wall_time: float,
) -> Result:  # fmt: skip
    """The result of some chunks, from the first to the last step of ``span``."""
    dt = engine.parts.dt
    begin, end = (step * dt for step in span)
    spikes: dict[str, SpikeTrains] = {}
    for group in engine.parts.groups:
        steps = [np.empty(0, np.int64), *(c.spikes[group.name][0] for c in chunks)]
        neurons = [np.empty(0, np.int32), *(c.spikes[group.name][1] for c in chunks)]
        joined = np.concatenate(steps), np.concatenate(neurons)
        spikes[group.name] = SpikeTrains.from_steps(*joined, dt, group.size, begin, end)
    states: dict[str, dict[str, Recorded]] = {}
    for k, r in enumerate(recorders):
        values = [np.empty((0, len(r.neurons)), engine.parts.dtype), *(c.samples[k] for c in chunks)]
        times = r.times(span[0], span[1] - span[0], dt)
        recorded = Recorded(times, r.neurons, np.concatenate(values))
        states.setdefault(r.population.name, {})[r.state] = recorded
    synapses = sum(len(w.targets) for w in engine.wires.values())
    return Result(spikes, states, begin, end, dt, complete, wall_time, synapses)


__all__ = ["Recorded", "Result", "gathered"]
