"""The tasks of plastic edges in plain Python, on one thread: what the compiled ones must equal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...lang.evaluate import evaluate
from ...lang.graph import Graph
from ..propagate.advance import Lists
from ..propagate.deliver import Wires
from .edges import WEIGHT, Plastic

Step = Callable[[int], None]


class _Edges:
    """What the three tasks share."""

    def __init__(self, wires: Wires, plastic: Plastic) -> None:
        self.wires, self.plastic = wires, plastic
        self.parameters = {
            f"p.{n}": float(v) for n, v in zip(plastic.steps.parameters, plastic.parameters, strict=True)
        }
        self._graphs: dict[str, Graph] = {}

    def delay(self, e: int) -> int:
        return self.wires.delay + (0 if self.wires.lags is None else int(self.wires.lags[e]))

    def evaluated(self, text: str, values: dict[str, float]) -> dict[str, float]:
        """The outputs of ``text``."""
        graph = self._graphs.setdefault(text, Graph.parse(text))
        found = evaluate(list(graph.outputs.values()), {**self.parameters, **values})
        return {n.removeprefix("next."): v for n, v in zip(graph.outputs, found, strict=True)}

    def source(self, source: int, newest: int, now: int) -> dict[str, float]:
        """Traces after the last spike in a step up to ``newest``, and how long ago it is in step ``now``."""
        h = self.plastic.history
        at = int(h.heads[source])
        for _ in range(h.room - 1):
            if h.steps[source, at] <= newest:
                break
            at = (at - 1) % h.room
        values = {f"s.{n}": float(v[source, at]) for n, v in h.values.items()}
        return {**values, "elapsed.pre": max(now - int(h.steps[source, at]), 0) * self.plastic.dt}

    def target(self, target: int, step: int) -> dict[str, float]:
        t = self.plastic.traces
        values = {f"s.{n}": float(v[target]) for n, v in t.values.items()}
        return {**values, "elapsed.post": max(step - int(t.latest[target]), 0) * self.plastic.dt}

    def change(self, text: str, e: int, step: int, traces: dict[str, float]) -> None:
        """An event of edge ``e``."""
        p = self.plastic
        values = {f"s.{n}": float(v[e]) for n, v in p.states.items()} | {f"s.{WEIGHT}": float(self.wires.weights[e])}
        if p.latest is not None:
            values["elapsed.edge"] = (step - int(p.latest[e])) * p.dt
            p.latest[e] = step
        for name, value in self.evaluated(text, {**values, **traces}).items():
            (self.wires.weights if name == WEIGHT else p.states[name])[e] = value


def deliver(lists: Lists, wires: Wires, plastic: Plastic, rows: np.ndarray) -> Step:
    """Presynaptic spikes arrive: see :func:`~spikeloom.kernels.plastic.tasks.deliver_task`."""
    edges, history = _Edges(wires, plastic), plastic.history

    def run(step: int) -> None:
        for lag in reversed(range(history.room)):
            fired = step - wires.delay - lag
            for source in _listed(lists, fired):
                before = edges.source(source, fired - 1, fired)
                for e in range(wires.starts[source], wires.starts[source + 1]):
                    if edges.delay(e) == wires.delay + lag:
                        target = int(wires.targets[e])
                        edges.change(plastic.steps.pre, e, step, {**before, **edges.target(target, step)})
                        rows[step % len(rows), target] += wires.weights[e]
                if lag == 0:
                    changed = edges.evaluated(plastic.steps.pre_traces, before)
                    head = history.heads[source] = (history.heads[source] + 1) % history.room
                    history.steps[source, head] = fired
                    for name, value in changed.items():
                        history.values[name][source, head] = value

    return run


def look_back(lists: Lists, wires: Wires, plastic: Plastic) -> Step:
    """Postsynaptic spikes reach the edges: see :func:`~spikeloom.kernels.plastic.tasks.look_back_task`."""
    edges, traces, incoming = _Edges(wires, plastic), plastic.traces, plastic.incoming

    def run(step: int) -> None:
        for target in _listed(lists, step - plastic.back):
            before = edges.target(target, step)
            for k in range(incoming.starts[target], incoming.starts[target + 1]):
                e = int(incoming.edges[k])
                sent = step - edges.delay(e)
                source = edges.source(int(incoming.sources[k]), sent, sent)
                edges.change(plastic.steps.post, e, step, {**before, **source})
            for name, value in edges.evaluated(plastic.steps.post_traces, before).items():
                traces.values[name][target] = value
            traces.latest[target] = step

    return run


def periodic(wires: Wires, plastic: Plastic) -> Step:
    """What happens to all edges once in a while: see :func:`~spikeloom.kernels.plastic.tasks.periodic_task`."""
    edges = _Edges(wires, plastic)

    def run(step: int) -> None:
        if (step + 1) % plastic.period == 0:
            for e in range(len(wires.targets)):
                edges.change(plastic.steps.periodic, e, step, {})

    return run


def _listed(lists: Lists, step: int) -> list[int]:
    slot = step % lists.slots
    return lists.neurons[slot, : lists.counts[slot, 0]].tolist()


__all__ = ["deliver", "look_back", "periodic"]
