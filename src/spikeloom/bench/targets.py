"""What is asked of each workload, and whether it was reached."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .rounds import fastest
from .simulate import OURS, PEERS, PLAIN, WORKLOADS
from .workloads import TASKS


@dataclass(frozen=True)
class Result:
    """Something asked: the values of the rounds, and the limit of their median."""

    workload: str
    what: str
    values: tuple[float, ...]
    limit: float
    at_least: bool = False

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.values)

    @property
    def reached(self) -> bool:
        """Whether the median is within the limit."""
        return self._within(self.median)

    @property
    def always(self) -> bool:
        """Whether every round is."""
        return all(map(self._within, self.values))

    def _within(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    @property
    def text(self) -> str:
        """Median and range.

        >>> Result("mlp", "of the floor", (0.3, 0.4, 0.5), 0.75).text
        '0.40 (0.30 to 0.50)'
        """
        shown = [f"{v:.2f}" if v < 10 else f"{v:.0f}" for v in (self.median, min(self.values), max(self.values))]
        return f"{shown[0]} ({shown[1]} to {shown[2]})" if len(self.values) > 1 else shown[0]

    @property
    def limit_text(self) -> str:
        """The limit in words."""
        return f"at {'least' if self.at_least else 'most'} {self.limit:g}"


# Of the fastest floor, and MiB above net and input.
_TRAINING: Mapping[str, tuple[float, float | None]] = {
    "neurons-100": (2.0, None), "neurons-500": (2.0, None), "mlp": (0.75, 220.0), "recurrent": (0.75, None),
    "conv": (1.15, 320.0), "infer-1": (0.5, None), "infer-128": (0.6, None),
}  # fmt: skip
# Time over that of the plain loop on one thread, speed over the fastest peer's, over NEST's, and MiB above imports.
_NETWORKS: Mapping[str, tuple[float | None, float, float | None, float | None]] = {
    "cuba": (1.3, 2.5, 10.0, None), "cuba-20k": (1.3, 4.0, None, None), "cuba-100k": (1.3, 4.0, None, 120.0),
    "coba": (None, 3.0, None, None), "coba-hh": (None, 4.0, None, None), "brunel": (1.5, 6.0, None, None),
    "izhikevich": (None, 2.0, None, None),
}  # fmt: skip


def results(summary: Mapping[str, Any]) -> list[Result]:
    """Everything that is asked of what a ``summary.json`` holds and that was measured."""
    if summary["benchmark"] == "train":
        return [result for name, found in summary["tasks"].items() for result in training(name, found)]
    return [result for name, found in summary.get("networks", {}).items() for result in network(name, found)]


def training(name: str, found: Mapping[str, Any]) -> list[Result]:
    """What is asked of a workload of ``spikeloom bench train``: of one that has its full size, and on the CPU."""
    rows: Mapping[str, Mapping[str, Any]] = found["contenders"]
    walls = {label: row["wall_s"] for label, row in rows.items()}
    floor = fastest({label: wall for label, wall in walls.items() if label.startswith("floor")})
    limits = _TRAINING.get(name)
    whole = found["batch"] == TASKS[name].batch and not found.get("gpu")
    if limits is None or OURS not in walls or not floor or not whole:
        return []
    said = [Result(name, "time in floors", _over(walls, OURS, floor), limits[0])]
    memory = rows[OURS]["memory_mib"]
    if limits[1] is not None and memory is not None:
        said.append(Result(name, "peak memory (MiB)", (memory,), limits[1]))
    return said


def network(name: str, found: Mapping[str, Any]) -> list[Result]:
    """What is asked of a network of ``spikeloom bench simulate``: nothing of one that is smaller than it should be."""
    rows: Mapping[str, Mapping[str, Any]] = found["contenders"]
    walls = {label: row["wall_s_per_simulated_s"] for label, row in rows.items()}
    alone = f"{OURS}, 1"
    ours = fastest({label: wall for label, wall in _of(walls, OURS).items() if not label.endswith("GPU")})
    limits = _NETWORKS.get(name)
    if limits is None or not ours or found["neurons"] != WORKLOADS[name].n:
        return []
    said: list[Result] = []
    if limits[0] is not None and PLAIN in walls and alone in walls:
        said.append(Result(name, "time over the plain loop, one thread each", _over(walls, alone, PLAIN), limits[0]))
    for who, limit in ((PEERS, limits[1]), (PEERS[:1], limits[2])):
        peer = fastest(_of(walls, who))
        if peer and limit is not None:
            said.append(Result(name, f"speed over {thread_text(peer)}", _over(walls, peer, ours), limit, at_least=True))
    memory = rows[ours]["memory_mib"]
    if limits[3] is not None and memory is not None:
        said.append(Result(name, "memory above imports (MiB)", (memory,), limits[3]))
    return said


def thread_text(label: str) -> str:
    """The label of a contender with its number of threads in words.

    >>> thread_text("NEST, 2"), thread_text("Brian2, 1"), thread_text("plain loop")
    ('NEST (2 threads)', 'Brian2 (1 thread)', 'plain loop')
    """
    name, _, threads = label.rpartition(", ")
    return f"{name} ({threads} thread{'' if threads == '1' else 's'})" if threads.isdigit() else label


def _over(walls: Mapping[str, Sequence[float]], label: str, base: str) -> tuple[float, ...]:
    return tuple(a / b for a, b in zip(walls[label], walls[base], strict=True))


def _of(walls: Mapping[str, Sequence[float]], start: str | tuple[str, ...]) -> dict[str, Sequence[float]]:
    return {label: wall for label, wall in walls.items() if label.startswith(start)}


__all__ = ["Result", "network", "results", "thread_text", "training"]
