"""Every public model as a population: its kernel equals the reference, whole vectors of neurons and the rest alike."""

from __future__ import annotations

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.check import Case
from spikeloom.models.parts import Parts
from spikeloom.models.synapses import ReleasingSynapse

from .test_every_model import CASES, label

NEURONS = 21  # two vectors of eight, and five one by one


def part_of(case: Case, name: str) -> object:
    parts = getattr(case.model, "parts", None)
    return parts.parts[name].mechanism if isinstance(parts, Parts) and name in parts.parts else None


def ran(case: Case, dtype: str, backend: str) -> tuple[sl.sim.Result, list[str]]:
    net = sl.sim.Network(dt=case.dt, seed=3, dtype=dtype)
    cells = net.population(case.model, NEURONS, "cells", solver=case.solver)
    for name, size in case.drive.items():
        if name in case.model.inputs:
            net.inject(cells, size * np.linspace(0.2, 1.5, NEURONS), into=name)
        elif not isinstance(part_of(case, name), ReleasingSynapse):  # which remembers the spikes of one connection
            net.drive(cells, sl.sim.poisson(100.0 / case.dt), weight=size, into=name)
    for state in case.model.states:
        net.record(cells, state)
    with sl.backend(backend, strict=True) if backend == "cpu" else sl.backend(backend):
        result = net.run(60 * case.dt, threads=1)
    return result, [k for k in sl.last_kernels() if k.startswith("propagate")]


@pytest.mark.parametrize("case", CASES, ids=label)
def test_equals_the_reference(case: Case):
    fast, kernel = ran(case, "float64", "cpu")
    slow, plain = ran(case, "float64", "reference")
    assert (kernel[-1], plain[-1]) == ("propagate/cpu", "propagate/reference")
    assert len(fast.spikes["cells"]) > 20 or "Depression" in label(case) or isinstance(case.model, sl.LI)
    assert fast.spikes["cells"].neurons.tolist() == slow.spikes["cells"].neurons.tolist()
    assert fast.spikes["cells"].times.tolist() == slow.spikes["cells"].times.tolist()
    for state, recorded in fast.states["cells"].items():
        expected = slow.states["cells"][state].values
        np.testing.assert_allclose(recorded.values, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
