"""How much memory a network needs, said before it is built."""

from __future__ import annotations

import os

from ..errors import ParameterError
from . import footprint
from .build import Parts
from .coupling import Coupling
from .footprint import Bytes, Reach
from .groups import Population
from .projection import Projection


def memory_needed(parts: Parts) -> float:
    """Bytes, about, at the time when the most are needed: edges, states, what is under way, and what drawing takes.

    Without spikes of the result (12 bytes each), records of states, and arrays that the network was given.
    """
    width = parts.dtype.itemsize
    reaches = {p: Reach(p) for p in parts.projections}
    halves: dict[Projection, list[Coupling]] = {}
    for half in parts.couplings:
        halves.setdefault(half.projection, []).append(half)
    steps = [footprint.edges(p, reach, width) for p, reach in reaches.items()]
    steps += [footprint.plastic(p, reach, width) for p, reach in reaches.items()]
    steps += [_neurons(g, parts, reaches) for g in parts.groups if isinstance(g, Population)]
    steps += [footprint.memory(p, width) for p in parts.projections]
    steps += [part for p, own in halves.items() for part in footprint.couplings(p, own, width)]
    steps += [footprint.threads(p, reach, width) for p, reach in reaches.items()]
    steps += [footprint.lists(g, footprint.slots(g, reaches)) for g in parts.groups]
    return footprint.peak(steps)


def _neurons(population: Population, parts: Parts, reaches: dict[Projection, Reach]) -> Bytes:
    ports = dict.fromkeys((d.port for d in parts.drives if d.population is population), 0)
    for p in parts.into(population):
        ports[p.port] = max(ports.get(p.port, 0), reaches[p].lag if p.plasticity is None else 0)
    inputs = len(parts.currents(population)) + sum(c.target is population for c in parts.couplings)
    return footprint.neurons(population, ports, inputs, parts.dtype.itemsize)


def check_memory(parts: Parts) -> None:
    """Raise ParameterError where a network needs more memory than there is."""
    needed, there = memory_needed(parts), available()
    if needed > there:
        synapses = sum(p.expected for p in parts.projections)
        what = f"the network of {synapses:.3g} synapses needs {needed / 2**30:.2f} GiB"
        mend = "Make it smaller, shorten the longest delays, or take one weight and one delay for a whole connection."
        raise ParameterError(what, got=f"{there / 2**30:.2f} GiB that are free", mend=mend)


def available() -> float:
    """Bytes of memory that could be had; infinite where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return float(line.split()[1]) * 1024
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (OSError, AttributeError, ValueError):
        return float("inf")


__all__ = ["available", "check_memory", "memory_needed"]
