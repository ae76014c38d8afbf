"""Synaptic states in units that decay with them: what every step and a file say of them, and that no bit is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.errors import NonFiniteError, StateError
from spikeloom.kernels.propagate.decays import EVERY
from spikeloom.sim.state import arrays_of, restore

SIZE = 83
STATES = ("i_exponential", "i_exponential_2")


def network(dtype: str = "float64", tau: float = 5.0, record: bool = False, every: int = 1) -> sl.sim.Network:
    """Two exponential currents, of which one has a weight for each edge and comes from two groups."""
    net = sl.sim.Network(dt=0.1, seed=4, dtype=dtype)
    cells = net.population(sl.Refractory(sl.LIF(tau=20.0), t_ref=2.0), SIZE, "cells")
    net.inject(cells, np.linspace(1.0, 4.0, SIZE))
    noise = net.poisson(20.0, 10, "noise")
    slow, fast = sl.Exponential(tau=2.0 * tau), sl.Exponential(tau=tau)
    net.connect(cells, cells, sl.sim.fixed_in_degree(20), weight=-0.05, delay=0.3, synapse=slow)
    spread = {"weight": sl.sim.uniform(0.02, 0.06), "delay": 0.1, "synapse": fast}
    net.connect(cells, cells, sl.sim.fixed_in_degree(10), **spread)
    net.connect(noise, cells, sl.sim.fixed_probability(0.2), **spread)
    for state in ("v", *STATES) if record else ():
        net.record(cells, state, every=every)
    return net


def conductances(dtype: str = "float64", **_: Any) -> sl.sim.Network:
    net = sl.sim.Network(dt=0.1, seed=4, dtype=dtype)
    cells = net.population(sl.Refractory(sl.LIF(tau=20.0), t_ref=2.0), SIZE, "cells")
    net.inject(cells, np.linspace(1.0, 4.0, SIZE))
    synapse = sl.Depression(sl.Conductance(sl.Exponential(tau=4.0), e=2.0), u_release=0.5, tau_recovery=100.0)
    net.connect(cells, cells, sl.sim.fixed_in_degree(20), weight=0.02, delay=0.3, synapse=synapse)
    net.record(cells, cells.model.membrane)
    return net


def scaled(net: sl.sim.Network) -> bool:
    return net._built().decaying.scaled


def states(net: sl.sim.Network) -> dict[str, np.ndarray]:
    return {name: values.copy() for name, values in arrays_of(net._built()).items()}


def spikes(*results: sl.sim.Result) -> tuple[list[float], list[int]]:
    trains = [r.spikes["cells"] for r in results]
    return np.concatenate([t.times for t in trains]).tolist(), np.concatenate([t.neurons for t in trains]).tolist()


@pytest.mark.parametrize("build", [network, conductances])
def test_equal_the_reference(build: Any):
    fast, slow = build(record=True), build(record=True)
    found = fast.run(40.0)
    with sl.backend("reference"):
        expected = slow.run(40.0)
    assert (scaled(fast), scaled(slow)) == (True, False)
    assert fast._built().populations["cells"].decays
    assert len(found.spikes["cells"]) > SIZE
    assert spikes(found) == spikes(expected)
    for state, recorded in expected.states["cells"].items():
        np.testing.assert_allclose(found.states["cells"][state].values, recorded.values, rtol=1e-10, atol=1e-12)
    for name, values in states(slow).items():
        np.testing.assert_allclose(states(fast)[name], values, rtol=1e-10, atol=1e-12)


def test_float32_is_near_float64():
    one, other = (network(dtype, record=True).run(30.0).states["cells"] for dtype in ("float32", "float64"))
    for state in STATES:
        expected = other[state].values[:150]  # spikes differ some time
        np.testing.assert_allclose(one[state].values[:150], expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())


def test_what_is_recorded_is_the_same_however_seldom():
    whole = network(record=True).run(30.0).states["cells"]
    some = network(record=True, every=7)
    pieces = [some.run(length).states["cells"] for length in (12.3, 0.1, 17.6)]
    for state in STATES:
        joined = np.concatenate([p[state].values for p in pieces])
        np.testing.assert_array_equal(joined, whole[state].values[6::7])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_bit_depends_on_splits_threads_files_and_recorders(dtype: str, tmp_path: Any):
    whole, net, watched = network(dtype), network(dtype), network(dtype, record=True)
    expected = whole.run(30.0, threads=1)
    pieces = [net.run(length, threads=threads) for length, threads in ((0.1, 1), (6.2, 2), (0.1, 1), (3.9, 3))]
    assert net._built().step % EVERY != 0
    net.save(tmp_path / "middle.json")
    net.run(2.0)
    other = network(dtype)
    other.run(1.0)
    other.restore(tmp_path / "middle.json")
    pieces.append(other.run(19.7, threads=2))
    assert spikes(*pieces) == spikes(expected) == spikes(watched.run(30.0))
    for name, values in states(whole).items():
        if not name.startswith("recent/"):
            np.testing.assert_array_equal(states(other)[name], values, err_msg=name)
            np.testing.assert_array_equal(states(watched)[name], values, err_msg=name)


def test_a_file_without_the_last_bits_is_read_as_well():
    net, other = network(), network()
    net.run(7.3)
    given = {n: v for n, v in states(net).items() if not n.startswith("decaying/")}
    restore(other._built(), net._built().step, given)
    assert not scaled(other)
    expected, found = net.run(10.0), other.run(10.0)
    assert scaled(other)
    assert spikes(expected) == spikes(found)
    for name, values in states(net).items():
        np.testing.assert_allclose(states(other)[name], values, rtol=1e-12)


@pytest.mark.parametrize("wrong", [{"decaying/cells/s.v": SIZE}, {"decaying/cells/s.i_exponential": SIZE - 1}])
def test_last_bits_of_another_network_change_nothing(wrong: dict[str, int]):
    net = network()
    net.run(7.3)
    before = states(net)
    given = before | {name: np.zeros(size) for name, size in wrong.items()}
    with pytest.raises(StateError, match="another network"):
        restore(net._built(), 0, given)
    for name, values in states(net).items():
        np.testing.assert_array_equal(values, before[name])


def test_backends_take_turns():
    whole, net = network(), network()
    expected, pieces = whole.run(21.0), list[sl.sim.Result]()
    for backend, strict, length in (
        ("cpu", False, 4.1),
        ("reference", False, 3.3),
        ("cpu", True, 3.6),
        ("cpu", False, 10.0),
    ):
        with sl.backend(backend, strict=strict) if backend == "cpu" else sl.backend(backend):
            pieces.append(net.run(length))
        assert scaled(net) is (backend == "cpu" and not strict)
    assert spikes(*pieces) == spikes(expected)
    for name, values in states(whole).items():
        np.testing.assert_allclose(states(net)[name], values, rtol=1e-10, atol=1e-13)


def test_states_after_a_failure_are_those_of_their_time():
    net = sl.sim.Network(dt=0.1, dtype="float32")
    source = net.spikes([0.5], [0], 1, "source")
    cells, bad = net.population(sl.LIF(tau=20.0), 1, "cells"), net.population(sl.LIF(tau=20.0), 1, "bad")
    net.connect(source, cells, sl.sim.one_to_one(), weight=0.5, delay=0.1, synapse=sl.Exponential(tau=5.0))
    net.inject(bad, lambda t: np.where(t > 2.0, 3e38, 0.0))
    net.connect(source, bad, sl.sim.one_to_one(), weight=3e38, delay=0.1)
    net.connect(source, bad, sl.sim.one_to_one(), weight=3e38, delay=0.1)
    with pytest.raises(NonFiniteError):
        net.run(3.1)
    left = states(net)["population/cells/s.i_exponential"][0]
    np.testing.assert_allclose(left, 0.5 * np.exp(-(net.time - 0.6) / 5.0), rtol=1e-4)


def test_only_what_decays_alike_in_all_neurons_and_slowly():
    def decays(net: sl.sim.Network) -> list[str]:
        return list(net._built().populations["cells"].decays)

    assert decays(network()) == ["s.i_exponential", "s.i_exponential_2"]
    assert decays(network(tau=0.2)) == ["s.i_exponential"]  # exp(-0.5) of the other is left
    driven = network()
    driven.drive(driven.groups["cells"], sl.sim.poisson(100.0), weight=0.1, into="exponential_2")
    assert decays(driven) == ["s.i_exponential"]
    various = sl.sim.Network(dt=0.1)
    cells = various.population(sl.LIF(tau=20.0), SIZE, "cells")
    each = sl.Exponential(tau=np.linspace(4.0, 6.0, SIZE))
    various.connect(cells, cells, sl.sim.fixed_in_degree(20), weight=0.1, delay=0.3, synapse=each)
    assert decays(various) == []


def test_a_state_that_nothing_reaches_for_long_is_zero_and_no_slower():
    """After 4 s a current of tau = 5 ms is below what float32 can hold."""
    net = sl.sim.Network(dt=0.1, dtype="float32")
    source = net.spikes([1.0, 4000.0], [0, 0], 1, "source")
    cells = net.population(sl.LIF(tau=20.0), 1, "cells")
    net.connect(source, cells, sl.sim.one_to_one(), weight=0.5, delay=0.1, synapse=sl.Exponential(tau=5.0))
    net.record(cells, "i_exponential")
    values = net.run(4010.0).states["cells"]["i_exponential"].values[:, 0]
    np.testing.assert_allclose(values[10:1000], 0.5 * np.exp(-np.arange(990) * 0.02), rtol=2e-5)
    assert values[39000] == 0.0
    np.testing.assert_allclose(values[40000:], 0.5 * np.exp(-np.arange(100) * 0.02), rtol=1e-5)
