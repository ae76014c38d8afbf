"""Refractory neurons that nobody asks: the same bits as where their membrane is recorded, and so is asked for."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.errors import ParameterError
from spikeloom.kernels.propagate.naps import Sleepers
from spikeloom.sim.state import arrays_of

SIZE = 203  # vectors of eight, and three one by one


class Parabolic(sl.NeuronModel):
    """Whose derivative of what is no number, or infinite, is neither."""

    tau, v_threshold = sl.param(10.0, sl.ms, low=0.0), sl.param(1.0)
    v, i = sl.state(0.0), sl.input()

    def derivative(self, s, x):
        m = sl.math
        return {"v": (m.maximum(s.v * s.v, 0.01) - 0.1 + x.i) / self.tau}

    def threshold(self, s):
        return s.v - self.v_threshold

    def reset(self, s):
        return {"v": 0.1 * s.v - 0.2}

    def scale(self):
        return self.v_threshold


def exponential(t_ref: Any = 2.0) -> Any:
    return sl.Refractory(sl.LIF(tau=20.0, v_threshold=1.0), t_ref=t_ref), {"synapse": sl.Exponential(tau=5.0)}, 0.08


CELLS = {
    "exponential": exponential,
    "delta": lambda: (sl.Refractory(sl.LIF(tau=20.0, reset_mechanism="subtract"), t_ref=1.0), {}, 0.3),
    "conductance": lambda: (
        sl.Refractory(sl.LIF(tau=20.0), t_ref=3.5),
        {"synapse": sl.Conductance(sl.Exponential(tau=4.0), e=2.0)},
        0.05,
    ),
    "adaptive": lambda: (sl.Refractory(sl.ALIF(tau=10.0), t_ref=2.0), {}, 0.3),
    "two states": lambda: (sl.GLIF5(t_ref=2.0), {}, 0.3),
    "parabolic": lambda: (sl.Refractory(Parabolic(), t_ref=2.0), {}, 0.3),
}


def network(cell: str, dtype: str = "float32", **given: Any) -> sl.sim.Network:
    remaining = given.pop("remaining", None)
    model, synapse, weight = CELLS[cell](**given)
    net = sl.sim.Network(dt=0.1, seed=4, dtype=dtype)
    cells = net.population(model, SIZE, "cells")
    if remaining is not None:
        cells.set(remaining=remaining)
    size = 2.0 if cell != "two states" else 300.0
    net.inject(cells, size * np.linspace(0.5, 1.5, SIZE))
    net.connect(cells, cells, sl.sim.fixed_in_degree(20), weight=weight * size / 2.0, delay=0.3, **synapse)
    return net


def states(net: sl.sim.Network) -> dict[str, np.ndarray]:
    return {name: values.copy() for name, values in arrays_of(net._built()).items()}


def ran(net: sl.sim.Network, *spans: float, threads: int = 1) -> tuple[dict[str, np.ndarray], bool]:
    sl.last_kernels()  # of whatever ran before
    results = [net.run(span, threads=threads) for span in spans]
    found = states(net)
    found |= {n: np.concatenate([getattr(r.spikes["cells"], n) for r in results]) for n in ("times", "neurons")}
    return found, "naps/cpu" in sl.last_kernels()


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_same_bits_as_where_every_neuron_is_asked(cell: str, dtype: str):
    asked = network(cell, dtype)
    asked.record(asked.groups["cells"], "v", neurons=[0])
    slow, slow_naps = ran(asked, 60.0)
    fast, fast_naps = ran(network(cell, dtype), 60.0)
    assert (slow_naps, fast_naps) == (False, True)
    assert len(fast["times"]) > 3 * SIZE
    assert np.count_nonzero(fast["population/cells/s.remaining"]) > 3  # some nap when it ends
    same(fast, slow)


@pytest.mark.parametrize("spans", [(60.0,), (0.1, 0.1, 59.8), (20.0, 1.3, 38.7)])
def test_same_bits_however_a_run_is_split_and_on_any_threads(spans: tuple[float, ...]):
    whole, _ = ran(network("exponential"), 60.0)
    for threads in (1, 2, 3):
        parts, naps = ran(network("exponential"), *spans, threads=threads)
        assert naps
        for name in ("times", "neurons", "population/cells/s.v", "population/cells/s.remaining"):
            np.testing.assert_array_equal(parts[name], whole[name])


def test_near_the_reference():
    fast, slow = network("exponential", "float64"), network("exponential", "float64")
    found = ran(fast, 30.0)[0]
    with sl.backend("reference"):
        expected = ran(slow, 30.0)[0]
    np.testing.assert_array_equal(found["neurons"], expected["neurons"])
    np.testing.assert_array_equal(found["times"], expected["times"])
    np.testing.assert_allclose(found["population/cells/s.v"], expected["population/cells/s.v"], rtol=1e-9)
    np.testing.assert_array_equal(found["population/cells/s.remaining"], expected["population/cells/s.remaining"])


@pytest.mark.parametrize(
    ("given", "naps"),
    [
        ({"remaining": 0.7}, True),
        ({"remaining": 0.75}, True),  # rounded up
        ({"remaining": 4.0}, False),  # longer than after a spike
        ({"t_ref": np.linspace(1.0, 3.0, SIZE)}, False),  # who falls asleep first may wake last
    ],
)
def test_only_where_neurons_wake_in_their_turn(given: dict[str, Any], naps: bool):
    fast, asked = network("exponential", **given), network("exponential", **given)
    asked.record(asked.groups["cells"], "remaining")
    (first, napped), (second, _) = ran(fast, 1.0), ran(fast, 40.0)
    assert napped is naps
    same(first, ran(asked, 1.0)[0])
    same(second, ran(asked, 40.0)[0])


def test_states_are_given_back_where_a_run_cannot_begin(monkeypatch: pytest.MonkeyPatch):
    net, whole = network("exponential"), network("exponential")
    net.run(30.0), whole.run(30.0)
    before = states(net)

    def full(*_: object, **__: object) -> None:
        raise MemoryError("no room")

    with monkeypatch.context() as patched:
        patched.setattr("spikeloom.sim.engine.deliver_task", full)
        with pytest.raises(MemoryError):
            net.run(30.0)
    same(before, states(net))
    same(ran(net, 30.0)[0], ran(whole, 30.0)[0])


@pytest.mark.parametrize("able", [0, 1])
def test_states_are_given_back_where_a_thread_cannot_start(able: int, monkeypatch: pytest.MonkeyPatch):
    net, whole = network("exponential"), network("exponential")
    net.run(30.0), whole.run(30.0)
    before, real, left = states(net), threading.Thread.start, iter([True] * able)

    def start(thread: threading.Thread) -> None:
        if not next(left, False):
            raise RuntimeError("can't start new thread")
        real(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start"):
            net.run(5.0, threads=3)
    same(before, states(net))
    same(ran(net, 30.0)[0], ran(whole, 30.0)[0])


def test_who_naps_is_no_number():
    states = {"s.v": np.arange(6.0), "s.remaining": np.array([0.0, 3, 1, 0, 2, 1])}
    net = network("exponential")
    nap = net._built().populations["cells"].nap((), True)
    assert nap is not None
    sleepers = Sleepers(nap, states, np.array([1, 2, 4, 5]), np.array([0, 4, 6]), 10)
    assert np.isnan(states["s.v"]).tolist() == [False, True, True, False, True, True]
    assert (sleepers.ring[:2].tolist(), sleepers.ring[4:].tolist()) == ([2, 1], [5, 4])
    assert sleepers.places[:, :2].tolist() == [[0, 2], [0, 2]]
    sleepers.wake(0)
    assert states["s.v"].tolist() == [0, 1, 2, 3, 4, 5]


def test_times_that_are_left_are_in_ms():
    net = network("exponential", remaining=0.75)
    net.record(net.groups["cells"], "remaining", neurons=[0])
    recorded = net.run(1.0).states["cells"]["remaining"]
    assert str(recorded.unit) == "ms"
    np.testing.assert_allclose(recorded.values[:, 0], np.maximum(0.7 - 0.1 * np.arange(10), 0.0), atol=1e-6)
    with pytest.raises(ParameterError, match="times that are left"):
        network("exponential", remaining=-0.1)
