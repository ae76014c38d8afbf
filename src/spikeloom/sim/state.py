"""The whole state of a running network as named arrays, and what tells that it belongs to a network."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping

import numpy as np

from ..errors import StateError
from ..kernels.propagate.drive import LEAD
from .decaying import PREFIX
from .engine import Engine
from .groups import PoissonGroup, SpikeSource

Arrays = dict[str, np.ndarray]
_LAST_BITS = ("exact/", PREFIX)  # which a state may have or not


def arrays_of(engine: Engine) -> Arrays:
    """Everything that changes while the network runs: states, what is under way, what edges remember.

    No copies, but of states that are in units that decay with them.
    """
    engine.home()
    found: Arrays = dict(engine.exact)
    for name, built in engine.populations.items():
        found |= {f"population/{name}/{state}": values for state, values in built.states.items()}
        found |= {f"arriving/{name}/{port}": rows for port, rows in built.rings.items()}
    found |= engine.decaying.arrays(engine.step)
    for name, recent in engine.recent.items():
        found[f"recent/{name}/counts"] = np.array([len(neurons) for neurons in recent], np.int64)
        found[f"recent/{name}/neurons"] = np.concatenate(recent)
    for name, ahead in engine.ahead.items():
        found[f"recent/{name}/ahead"] = np.concatenate(ahead)
    for name, memory in engine.memories.items():
        found[f"memory/{name}/latest"] = memory.latest
        found |= {f"memory/{name}/{state}": values for state, values in memory.states.items()}
    for name, edges in engine.plastic.items():
        found |= {f"plastic/{name}/{what}": values for what, values in edges.arrays().items()}
    return found


def restore(engine: Engine, step: int, given: Mapping[str, np.ndarray]) -> None:
    """Put the arrays of :func:`arrays_of` back. Raises StateError, and changes nothing, where they do not fit."""
    mine = arrays_of(engine)
    changing = {n for n in mine if n.startswith("recent/")}
    exact = {n: values for n, values in given.items() if n.startswith(_LAST_BITS)}
    mine, given = ({n: v for n, v in found.items() if not n.startswith(_LAST_BITS)} for found in (mine, given))
    wrong = sorted(set(mine) ^ set(given))
    wrong += engine.decaying.misfits(exact)
    wrong += [n for n in mine if n in given and n not in changing and mine[n].shape != given[n].shape]
    wrong += [n for n in mine if n in given and mine[n].dtype != given[n].dtype]
    for name in engine.recent:
        counts, neurons = given.get(f"recent/{name}/counts"), given.get(f"recent/{name}/neurons")
        if counts is not None and neurons is not None and not _listed(counts, neurons, engine, name):
            wrong.append(f"recent/{name}")
        elif neurons is not None and given.get(f"recent/{name}/ahead", neurons).shape != neurons.shape:
            wrong.append(f"recent/{name}/ahead")
    if wrong:
        mend = "Build the network as it was built when the state was saved."
        raise StateError("the state of another network", got=", ".join(wrong[:5]), mend=mend)
    engine.decaying.keep(False, engine.step)
    for name, values in arrays_of(engine).items():
        if name in given and not name.startswith("recent/"):
            values[...] = given[name]
    for name in engine.recent:
        counts, neurons = given[f"recent/{name}/counts"], given[f"recent/{name}/neurons"]
        engine.recent[name] = _in_slots(neurons, counts, step, len(engine.recent[name]))
        if name in engine.ahead:
            engine.ahead[name] = _in_slots(given[f"recent/{name}/ahead"], counts, step, len(engine.ahead[name]))
    engine.step = step
    engine.come_home({n: values for n, values in exact.items() if not n.startswith(PREFIX)})
    engine.decaying.restore(exact)


def _listed(counts: np.ndarray, neurons: np.ndarray, engine: Engine, name: str) -> bool:
    """Whether ``neurons`` are ``counts`` of each of so many steps that none that is under way can be missing."""
    if counts.ndim != 1 or counts.min(initial=0) < 0 or counts.sum() != len(neurons):
        return False
    return len(counts) >= len(engine.recent[name]) - engine.window - LEAD  # which are kept for threads only


def _in_slots(values: np.ndarray, counts: np.ndarray, step: int, slots: int) -> list[np.ndarray]:
    """``values`` of the steps before ``step``, by step modulo ``slots``; given as ``counts``, by step modulo as many.

    A file may have another number of them: how far threads may be apart has changed, and may again.
    """
    pieces, found = np.split(values, np.cumsum(counts)[:-1]), [values[:0].copy()] * slots
    for t in range(step - min(slots, len(pieces)), step):
        found[t % slots] = pieces[t % len(pieces)].copy()
    return found


def fingerprint(engine: Engine) -> str:
    """A hash of what decides how the network runs: equations, parameters, edges, input, seed. Functions of time are
    known by their presence only."""
    parts, total = engine.parts, hashlib.sha256()

    def add(*items: object) -> None:
        for item in items:
            total.update(item.tobytes() if isinstance(item, np.ndarray) else f"{item}\n".encode())

    add(parts.dt, parts.seed, parts.dtype.name)
    for group in parts.groups:
        add(group.name, group.size, type(group).__name__)
        if group.name in engine.populations:
            built = engine.populations[group.name]
            add(built.text, *built.constants.values())
        elif isinstance(group, PoissonGroup):
            add(group.rate.function is not None, group.rate.numbers, group.correlation)
        elif isinstance(group, SpikeSource):
            add(*engine.given(group.name))
    for p in parts.projections:
        w = engine.wires[p.name]
        plastic = engine.plastic.get(p.name)
        arrays = (w.starts, w.targets, *([] if plastic else [w.weights]), *([] if w.lags is None else [w.lags]))
        sums = [zlib.crc32(np.ascontiguousarray(a).tobytes()) for a in arrays]
        if plastic is not None:
            add(plastic.initial, plastic.plastic.steps, plastic.plastic.parameters, plastic.plastic.back)
        add(p.name, p.pre.name, p.post.name, p.port, w.delay, *sums)
        if (memory := engine.memories.get(p.name)) is not None:
            add(memory.text, *(zlib.crc32(values.tobytes()) for values in memory.parameters.values()))
    for c, rows in engine.couplings:
        add(c.input, c.source.name, c.target.name, *rows)
    for d in parts.drives:
        add(d.name, d.port, d.rate.function is not None, d.rate.numbers, d.weights)
    for i in parts.injections:
        add(i.into, i.population.name, i.function is not None)
        if i.function is None:
            add(i.rows(parts.dt, 0, 1))
    for n in parts.noises:
        add(n.name, n.steps, n.sd)
    return total.hexdigest()


__all__ = ["arrays_of", "fingerprint", "restore"]
