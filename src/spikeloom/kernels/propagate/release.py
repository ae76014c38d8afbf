"""Edges that each remember their past spikes: what they release, as lines of a delivery."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from ...lang.dialects.numba import function_imports, kernel_dialect
from ...lang.emit import identifier, statements
from ...lang.graph import Graph
from ...lang.idioms import fused


@dataclasses.dataclass(frozen=True, eq=False)
class Memory:
    """States of edges, ``states`` [E] by name and the step of the ``latest`` spike, int32 [E] (-1: the begin).

    ``text`` is the step of an edge at a spike: inputs ``s.NAME``, ``p.NAME`` and ``elapsed`` (ms), outputs ``fraction``
    and ``next.NAME``. ``parameters`` are [1] or [E]; ``dt`` is in ms.
    """

    text: str
    states: Mapping[str, np.ndarray]
    latest: np.ndarray
    parameters: Mapping[str, np.ndarray]
    dt: float

    @property
    def entries(self) -> list[int]:
        """What the table of a task needs."""
        arrays = [self.latest, *self.states.values(), *self.parameters.values()]
        return [int(np.array([self.dt]).view(np.int64)[0]), *(a.ctypes.data for a in arrays)]

    @property
    def single(self) -> tuple[str, ...]:
        """Parameters that are one number."""
        return tuple(n for n, p in self.parameters.items() if p.size == 1)


@dataclasses.dataclass(frozen=True)
class Lines:
    """Text of a kernel: ``imports``, what is ``unpacked`` from its table, and what happens ``inside`` for edge e."""

    imports: tuple[str, ...] = ()
    unpacked: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    fraction: str = ""


@functools.lru_cache(maxsize=64)
def release_lines(text: str, single: tuple[str, ...], precision: str, at: int) -> Lines:
    """Lines of a delivery in ``precision`` whose table has :attr:`Memory.entries` from entry ``at`` on."""
    short = {"float32": "f32", "float64": "f64"}[precision]
    graph = Graph.parse(text)
    outputs = dict(zip(graph.outputs, fused(list(graph.outputs.values())), strict=True))
    states = [n for n in graph.inputs if n.startswith("s.")]
    arrays = [*states, *(n for n in graph.inputs if n.startswith("p."))]
    body = statements({identifier(n) + "_new": e for n, e in outputs.items()}, kernel_dialect(short))
    unpacked = [f"dt, latest = bitcast(table[{at}]), pointer(table[{at + 1}], int32)"]
    unpacked += [f"{identifier(n)}_all = pointer(table[{at + 2 + k}], {precision})" for k, n in enumerate(arrays)]
    inside = [f"{identifier(n)} = {identifier(n)}_all[{'0' if n[2:] in single else 'e'}]" for n in arrays]
    inside += [f"elapsed = {short}(float64(step - latest[e]) * dt)", *body]
    inside += [f"{identifier(n)}_all[e] = {identifier('next.' + n[2:])}_new" for n in states]
    imports = ["import math", *function_imports(outputs.values(), short), f"{short} = {precision}"]
    return Lines(tuple(imports), tuple(unpacked), (*inside, "latest[e] = step"), " * fraction_new")


__all__ = ["Lines", "Memory", "release_lines"]
