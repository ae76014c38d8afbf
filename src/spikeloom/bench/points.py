"""The points of ``spikeloom bench scaling``: an MLP that is varied in one respect at a time; torch-free."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..recipes.common import require

INPUTS, OUTPUTS = 784, 10
AXES = {
    "steps": "time steps T",
    "batch": "batch size",
    "width": "neurons of a hidden layer",
    "density": "spikes per neuron and step",
    "depth": "layers of weights",
    "threads": "threads",
}


@dataclass(frozen=True)
class Point:
    """An MLP of LIF neurons with 784 inputs and 10 outputs, and how it is trained."""

    steps: int = 100
    """Time steps T."""
    batch: int = 128
    """Samples that are trained with at once."""
    width: int = 512
    """Neurons of each hidden layer."""
    density: float = 0.05
    """Spikes per neuron and step, of the input and of every layer."""
    depth: int = 3
    """Layers of weights, each followed by neurons."""
    threads: int = 2
    """Threads of the computation."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "width", "threads"):
            require(name, getattr(self, name), low=1, high=1_000_000)
        require("depth", self.depth, low=2, high=1000)
        require("density", self.density, above=0.0, high=1.0)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Neurons of all layers, the input first."""
        return (INPUTS, *(self.width,) * (self.depth - 1), OUTPUTS)

    @property
    def products(self) -> int:
        """Multiplications of the forward pass, were they all made.

        >>> Point(steps=1, batch=1, width=100, depth=2).products
        79400
        """
        return self.steps * self.batch * sum(a * b for a, b in itertools.pairwise(self.sizes))


def named(point: Point, axis: str) -> str:
    """The value of one respect, in words.

    >>> named(Point(), "density"), named(Point(threads=1), "threads")
    ('density 5 %', '1 thread')
    """
    return {
        "steps": f"T = {point.steps}", "batch": f"batch {point.batch}", "width": f"width {point.width}",
        "density": f"density {100 * point.density:g} %", "depth": f"{point.depth} layers",
        "threads": f"{point.threads} thread{'' if point.threads == 1 else 's'}",
    }[axis]  # fmt: skip


def sweep(base: Point, values: Mapping[str, Sequence[float]]) -> list[Point]:
    """The base point with one respect after the other changed to each of its ``values``; no point twice.

    >>> [(p.steps, p.batch) for p in sweep(Point(), {"steps": (10, 100), "batch": (1, 128)})]
    [(10, 128), (100, 128), (100, 1)]
    """
    found = (dataclasses.replace(base, **{axis: value}) for axis, several in values.items() for value in several)
    return list(dict.fromkeys(found))


def thread_counts() -> tuple[int, ...]:
    """1, 2, 4, ... up to the cores that may be used."""
    return tuple(2**k for k in range(usable_cores().bit_length()))


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
