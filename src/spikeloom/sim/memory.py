"""How much memory a network needs, said before it is built."""

from __future__ import annotations

import os

import numpy as np

from ..errors import ParameterError
from .build import Parts
from .distributions import Distribution
from .groups import Population
from .projection import Projection

_START, _LATEST = 8, 4  # bytes of a row's beginning, of the step of an edge's latest spike
_INDEX = 4  # bytes of a place
_DRAWN = 16  # bytes of a number that is drawn, with one more on the way


def memory_needed(parts: Parts) -> float:
    """Bytes, about: synapses, and the rows that each group needs."""
    synapses = sum(_edges(p, parts.dtype.itemsize) for p in parts.projections)
    synapses += max((_while_built(p) for p in parts.projections), default=0.0)
    return synapses + sum(_neurons(g.size, g if isinstance(g, Population) else None, parts) for g in parts.groups)


def check_memory(parts: Parts) -> None:
    """Raise ParameterError where a network needs more memory than there is."""
    needed, there = memory_needed(parts), available()
    if needed > there:
        synapses = sum(p.expected for p in parts.projections)
        what = f"the network of {synapses:.3g} synapses needs {needed / 2**30:.2f} GiB"
        mend = "Make it smaller, or take one weight and one delay for all synapses of a connection."
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


def _edges(p: Projection, width: int) -> float:
    narrow = p.plasticity is None and p.post.size <= 1 << 16
    each = (2 if narrow else _INDEX) + (width if p.weighted else 0) + (1 if p.delayed else 0)
    if p.release is not None:
        varied = sum(isinstance(v, Distribution) or np.size(v) > 1 for v in p.release.parameters.values())
        each += width * (len(p.release.initial) + varied) + _LATEST
    if p.plasticity is not None:
        each += _INDEX * (3 if p.delayed else 2)  # where it is among its target's edges, its source, its place
        each += width * sum(p.plasticity.side_of(n) == "edge" for n in p.plasticity.states)
    return p.expected * each + _START * (p.pre.size + 1) * 2


def _while_built(p: Projection) -> float:
    """What is alive only while the edges get their own weights and delays, one connection after another."""
    return p.expected * (_DRAWN if p.weighted or p.delayed else _INDEX)


def _neurons(size: int, population: Population | None, parts: Parts) -> float:
    states = 0 if population is None else len(population.model.states) + len(population.synapses)
    many = 0 if population is None else sum(np.size(v) > 1 for v in population.model.values.values())
    return size * ((states + many) * parts.dtype.itemsize + 16)


__all__ = ["available", "check_memory", "memory_needed"]
