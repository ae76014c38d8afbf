"""Tasks of the driver for edges that change: spikes are delivered, those of targets look back, and once in a while.

An edge belongs to the thread that owns its target. What happens to an edge happens in the order of the times at the
synapse, which is the dendritic part of the delay before the target: a spike that arrives in step t was at the synapse
``back / 2`` steps earlier, and a spike of the target gets there as much later. So both are looked at ``back / 2`` steps
late, when no thread needs to know what another one does in the same window.
"""

from __future__ import annotations

import functools

import numpy as np

from ..cache import load
from ..propagate.advance import Lists
from ..propagate.deliver import Wires
from .edges import History, Plastic
from .text import Form, module


def form_of(wires: Wires, plastic: Plastic) -> Form:
    """What decides on the kernels of these edges."""
    precision = {4: "float32", 8: "float64"}[wires.weights.itemsize]
    lag = "none" if wires.lags is None else {1: "uint8", 2: "uint16"}[wires.lags.itemsize]
    names = tuple(plastic.history.values), tuple(plastic.traces.values), tuple(plastic.states)
    return Form(precision, lag, *names, plastic.latest is not None)


def deliver_task(
    lists: Lists, bounds: np.ndarray, wires: Wires, plastic: Plastic, history: History, rows: np.ndarray,
    split: np.ndarray, strict: bool = False,
) -> tuple[int, np.ndarray]:  # fmt: skip
    """Presynaptic spikes of ``lists``, part p's from ``bounds`` [parts + 1] on, change their edges and are added with
    the weights they leave to the row ``step % slots`` of ``rows`` [slots, targets]. Every part has its ``history``."""
    found = {
        "delay": wires.delay, "rows": len(rows), "row_size": rows.shape[1], "bounds": bounds, "ring": rows,
        "split": split, "starts": wires.starts,
    }  # fmt: skip
    return _task("deliver", lists, wires, plastic, history, found, strict)


def look_back_task(
    lists: Lists, wires: Wires, plastic: Plastic, history: History, strict: bool = False
) -> tuple[int, np.ndarray]:
    """Spikes of the targets, which ``lists`` has, change the edges that end there."""
    return _task("look_back", lists, wires, plastic, history, {"delay": wires.delay, "back": plastic.back}, strict)


def periodic_task(wires: Wires, plastic: Plastic, strict: bool = False) -> tuple[int, np.ndarray]:
    """All edges change after every ``period`` steps."""
    return _task("periodic", None, wires, plastic, plastic.history, {"period": plastic.period}, strict)


def _task(
    name: str, lists: Lists | None, wires: Wires, plastic: Plastic, history: History,
    found: dict[str, int | np.ndarray], strict: bool,
) -> tuple[int, np.ndarray]:  # fmt: skip
    form, incoming = form_of(wires, plastic), plastic.incoming
    found |= {
        "dt": int(np.array([plastic.dt]).view(np.int64)[0]), "targets": wires.targets, "weights": wires.weights,
        "given": plastic.parameters, "heads": history.heads, "fired": history.steps, "room": history.room,
        "sources": len(plastic.history.heads), "traced": plastic.traces.latest, "in_starts": incoming.starts,
        "in_edges": incoming.edges, "in_sources": incoming.sources,
    }  # fmt: skip
    arrays = {**history.values, **plastic.traces.values, **plastic.states}
    found |= {f"all_{n}": values for n, values in arrays.items()}
    if wires.lags is not None:
        found["lags"] = wires.lags
    if plastic.latest is not None:
        found["latest"] = plastic.latest
    if lists is not None:
        found |= {"parts": lists.counts.shape[1], "slots": lists.slots, "width": lists.neurons.shape[1]}
        found |= {"listed": lists.neurons, "counts": lists.counts}
    entries = [found.get(n, 0) for n, _ in form.table(plastic.steps)]
    table = np.array([e if isinstance(e, int) else e.ctypes.data for e in entries], np.int64)
    return _address(module(plastic.steps, form, name).replace("STRICT", str(strict))), table


@functools.lru_cache(maxsize=64)
def _address(text: str) -> int:
    return load(text).task.address


__all__ = ["deliver_task", "form_of", "look_back_task", "periodic_task"]
