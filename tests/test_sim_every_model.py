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
def test_float32_is_near(case: Case):
    fast, slow = (ran(case, "float32", backend)[0] for backend in ("cpu", "reference"))
    assert fast.spikes["cells"].neurons.tolist() == slow.spikes["cells"].neurons.tolist()
    for state, recorded in fast.states["cells"].items():
        expected = slow.states["cells"][state].values
        np.testing.assert_allclose(recorded.values, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


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


class Calcium(sl.NeuronModel):
    """What enters at a spike goes through functions, which are constants where nobody fired."""

    tau = sl.param(5.0, sl.ms, low=0.0)
    v_threshold, gain = sl.param(1.0), sl.param(1.7)
    v, u, w, z, i = sl.state(0.0), sl.state(0.1), sl.state(0.0), sl.state(0.0), sl.input()

    def derivative(self, s, x):
        m, fired = sl.math, s.v >= self.v_threshold
        entered = m.where(fired, s.v, 0.0)
        power = abs(entered - 0.5) ** 1.5 + m.sqrt(entered) * m.ceil(entered) + 2.0 ** (-entered)
        return {
            "v": (x.i - s.v) / self.tau,
            "u": (m.where(fired, s.w, x.i) * self.gain - s.u) / self.tau,
            "w": (m.where(fired, 0.25, x.i) * self.gain - s.w) / self.tau,
            "z": (m.where(m.tanh(entered) > 0.3, 1.0, power) - s.z) / self.tau,
        }

    def threshold(self, s):
        return s.v - self.v_threshold

    def reset(self, s):
        return {"v": 0.1}

    def scale(self):
        return self.v_threshold


def calcium(neurons: np.ndarray, dtype: str, backend: str = "cpu") -> sl.sim.Result:
    net = sl.sim.Network(dt=0.5, dtype=dtype)
    cells = net.population(Calcium(), len(neurons), "cells", solver=sl.solvers.SequentialEuler())
    net.inject(cells, 1.5 + 0.05 * neurons)
    for state in ("v", "u", "w", "z"):
        net.record(cells, state)
    with sl.backend(backend):
        return net.run(40.0)


def test_functions_of_constants_where_nobody_fired():
    fast, slow = (calcium(np.arange(21), "float64", backend) for backend in ("cpu", "reference"))
    assert len(fast.spikes["cells"]) > 50
    assert fast.spikes["cells"].times.tolist() == slow.spikes["cells"].times.tolist()
    for state, recorded in fast.states["cells"].items():
        np.testing.assert_allclose(recorded.values, slow.states["cells"][state].values, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_bit_depends_on_neighbours(dtype: str):
    whole = calcium(np.arange(64), dtype).states["cells"]
    for neurons in (np.arange(13), *(np.arange(k, k + 1) for k in range(20))):
        own = calcium(neurons, dtype).states["cells"]
        for state, recorded in own.items():
            np.testing.assert_array_equal(recorded.values, whole[state].values[:, neurons])
