"""Networks whose spikes arrive, cross and reset at their exact times, between the points of the grid."""

import heapq
from typing import Literal

import numpy as np
import pytest
from scipy.optimize import brentq

import spikeloom as sl
from spikeloom.errors import ModelError, ParameterError
from spikeloom.solvers import RK4, Interpolated, Located

from .test_sim_engine import spikes

ALL, ONE = sl.sim.all_to_all(), sl.sim.one_to_one()
SYNAPSE = sl.Exponential(tau=4.0)
LIF = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")
CELL = sl.Refractory(LIF, t_ref=2.0)


def exact_network(dt=0.1):
    return sl.sim.Network(dt=dt, seed=3, dtype="float64")


def everything(size=60):
    """Populations off and on the grid, all kinds of synapses that are linear, delays, sources and inputs."""
    net = exact_network(0.2)
    lif = sl.LIF(tau=np.linspace(8.0, 20.0, size), v_threshold=10.0, reset_mechanism="value")
    e = net.population(sl.Peak(sl.Refractory(lif, t_ref=2.0), v_peak=30.0), size, "e", solver=Located())
    i = net.population(sl.LIF(tau=5.0, v_threshold=5.0), size // 3, "i", solver=Located())
    plain = net.population(CELL, 17, "plain")
    between = net.population(LIF, 15, "between", solver=Interpolated())
    own = net.poisson(100.0, 30, "own")
    known = net.spikes([1.0, 1.0, 5.2, 7.6], [0, 2, 1, 0], 3, "known")
    e.set(v=sl.sim.uniform(0.0, 9.9))
    i.set(v=sl.sim.uniform(0.0, 4.9))
    some, few = sl.sim.fixed_probability(0.2), sl.sim.fixed_probability(0.1)
    delays = sl.sim.uniform(0.2, 1.5)
    net.connect(e, i, some, weight=sl.sim.uniform(0.5, 2.0), delay=delays, synapse=sl.Exponential(tau=5.0))
    net.connect(i, e, some, weight=-1.0, delay=0.4, synapse=sl.Alpha(tau=3.0))
    net.connect(e, e, few, weight=0.3, delay=delays)
    net.connect(i, i, few, weight=-0.5, delay=0.2)
    net.connect(own, e, some, weight=sl.sim.uniform(0.2, 1.0), delay=0.4, synapse=sl.Exponential(tau=5.0))
    net.connect(known, i, ALL, weight=1.0, delay=0.2)
    net.connect(between, i, few, weight=0.4, delay=0.8)
    net.connect(e, plain, some, weight=1.0, delay=0.6)
    net.connect(plain, e, some, weight=0.2, delay=0.6)
    net.drive(e, sl.sim.poisson(500.0), weight=0.1, into="v")
    net.inject(e, lambda t: 12.0 + np.sin(t))
    net.inject(i, np.linspace(4.0, 8.0, size // 3))
    net.inject(plain, 30.0)
    net.inject(between, 30.0)
    net.record(e, "v", every=3)
    net.record(e, "remaining")
    net.record(i, "v")
    return net


def test_equals_the_reference():
    sl.last_kernels()
    with sl.backend("cpu"):
        fast = everything(24).run(9.0)
        assert "propagate/cpu" in sl.last_kernels()
    with sl.backend("reference"):
        slow = everything(24).run(9.0)
        assert "propagate/reference" in sl.last_kernels()
    for name, found in fast.spikes.items():
        assert len(found) > 3
        np.testing.assert_array_equal(found.neurons, slow.spikes[name].neurons)
        np.testing.assert_allclose(found.times, slow.spikes[name].times, rtol=0.0, atol=1e-11)
    for name, states in fast.states.items():
        for state, recorded in states.items():
            np.testing.assert_allclose(recorded.values, slow.states[name][state].values, rtol=1e-11, atol=1e-11)
    assert fast.states["e"]["v"].values.max() == 30.0


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_no_bit(threads):
    assert spikes(everything().run(60.0, threads=1)) == spikes(everything().run(60.0, threads=threads))


def test_splits_and_a_restored_state_change_no_bit(tmp_path):
    whole, first, second = everything().run(60.0), everything(), everything()
    before = [first.run(14.0), first.run(0.2), first.run(6.0, threads=3)]
    second.restore(first.save(tmp_path))
    assert spikes(whole) == spikes(*before, second.run(39.8, threads=2))


def cells_with_currents(net, size, t_ref=2.0):
    """Cells with an exponential current, which nothing has started yet."""
    cells = net.population(sl.Refractory(LIF, t_ref=t_ref), size, "cells", solver=Located())
    net.connect(cells, cells, ONE, weight=0.0, delay=2.0, synapse=SYNAPSE, into="syn")
    return cells


@pytest.mark.parametrize("dt", [0.1, 0.5, 2.0])
def test_the_period_is_that_of_the_closed_form(dt):
    net, current = exact_network(dt), np.array([15.01, 16.0, 20.0, 25.0])
    net.inject(cells_with_currents(net, 4), current)
    found, first = net.run(400.0).spikes["cells"], 10.0 * np.log(current / (current - 15.0))
    for k in range(4):
        expected = np.arange(first[k], 400.0, first[k] + 2.0)
        np.testing.assert_allclose(found.of(k), expected, rtol=0.0, atol=1e-10)


class EventDriven:
    """LIF neurons with exponential currents, from event to event: no step, no grid, closed forms only."""

    def __init__(self, v, current, edges, tau=10.0, tau_syn=4.0, threshold=15.0, t_ref=2.0):
        self.v, self.current, self.edges = np.array(v), np.array(current), edges
        self.tau, self.tau_syn, self.threshold, self.t_ref = tau, tau_syn, threshold, t_ref
        self.i, self.at, self.free = np.zeros(len(v)), np.zeros(len(v)), np.zeros(len(v))

    def after(self, n, i, h):
        """Voltage of a neuron that is free for h ms with the current i at first, and its slope."""
        part = i * self.tau_syn / (self.tau_syn - self.tau)
        rest = self.v[n] - self.current[n] - part
        slow, fast = rest * np.exp(-h / self.tau), part * np.exp(-h / self.tau_syn)
        return self.current[n] + slow + fast, -slow / self.tau - fast / self.tau_syn

    def start(self, n):
        """When neuron n is free, and its current then."""
        begin = max(self.at[n], self.free[n])
        return begin, self.i[n] * np.exp(-(begin - self.at[n]) / self.tau_syn)

    def to(self, n, time):
        """Move neuron n on to ``time``."""
        begin, i = self.start(n)
        if time > begin:
            self.v[n] = self.after(n, i, time - begin)[0]
        self.i[n] *= np.exp(-(time - self.at[n]) / self.tau_syn)
        self.at[n] = time

    def crossing(self, n, until):
        """When neuron n fires before ``until`` if nothing arrives; infinity where it does not."""
        begin, i = self.start(n)
        ends = [until - begin] if until > begin else []
        if ends and self.after(n, i, 0.0)[1] > 0.0 > self.after(n, i, ends[0])[1]:  # two exponentials have one top
            ends.insert(0, brentq(lambda h: self.after(n, i, h)[1], 0.0, ends[0], xtol=1e-15))
        for end in ends:
            if self.after(n, i, end)[0] >= self.threshold:
                return begin + brentq(lambda h: self.after(n, i, h)[0] - self.threshold, 0.0, end, xtol=1e-15)
        return np.inf

    def run(self, duration):
        under_way, found = [], []
        while True:
            until = under_way[0][0] if under_way else duration
            times = [self.crossing(n, min(until, duration)) for n in range(len(self.v))]
            n = int(np.argmin(times))
            if times[n] < np.inf:
                found.append((times[n], n))
                self.to(n, times[n])
                self.v[n], self.free[n] = 0.0, times[n] + self.t_ref
                for target, weight, delay in self.edges[n]:
                    heapq.heappush(under_way, (times[n] + delay, target, weight))
            elif until < duration:
                time, target, weight = heapq.heappop(under_way)
                self.to(target, time)
                self.i[target] += weight
            else:
                return found


@pytest.mark.parametrize("dt", [0.1, 0.5])
def test_neurons_with_exponential_currents_are_those_of_an_event_driven_loop(dt):
    rng, size = np.random.default_rng(4), 4
    v, current = rng.uniform(0.0, 14.0, size), rng.uniform(15.5, 19.0, size)
    pre, post = np.nonzero(~np.eye(size, dtype=bool))
    weight, delay = np.where(pre == 0, -6.0, 8.0) * rng.uniform(0.5, 1.5, len(pre)), rng.integers(1, 8, len(pre)) * 0.5
    edges = [[(t, w, d) for s, t, w, d in zip(pre, post, weight, delay, strict=True) if s == n] for n in range(size)]
    expected = EventDriven(v, current, edges).run(200.0)
    net = exact_network(dt)
    cells = cells_with_currents(net, size)
    cells.set(v=v)
    net.inject(cells, current)
    net.connect(cells, cells, sl.sim.from_pairs(pre, post, weights=weight, delays=delay), into="syn")
    found = net.run(200.0).spikes["cells"]
    assert len(found) == len(expected) > 40
    for n in range(size):
        mine = [t for t, m in expected if m == n]
        np.testing.assert_allclose(found.of(n), mine, rtol=0.0, atol=1e-10)


def test_a_neuron_alone_is_that_of_simulate():
    alone = sl.simulate(sl.GLIF5(), 400.0, 150.0, dt=0.2, solver=Located())
    net = exact_network(0.2)
    cells = net.population(sl.GLIF5(), 2, "cells", solver=Located())
    net.inject(cells, 400.0)
    net.record(cells, "v")
    result = net.run(150.0)
    assert len(alone.spike_times) > 5
    np.testing.assert_allclose(result.spikes["cells"].of(1), alone.spike_times, rtol=0.0, atol=1e-10)
    np.testing.assert_allclose(result.states["cells"]["v"].values[:, 0], alone["v"][1:], rtol=0.0, atol=1e-9)


def pulses(weights, times):
    """Spikes and last voltage of a cell that others reach, which fire off the grid, once each at their ``times``."""
    net, size = exact_network(), len(times) + 1
    # v = 30 (1 - exp(-t/tau)) reaches 15 at tau ln 2: tau chooses when
    tau = np.append(np.array(times) / np.log(2.0), 10.0)
    lif = sl.LIF(tau=tau, v_threshold=15.0, reset_mechanism="value")
    cells = net.population(
        sl.Refractory(lif, t_ref=np.append(np.full(size - 1, 1e6), 2.0)), size, "cells", solver=Located()
    )
    net.inject(cells, np.append(np.full(size - 1, 30.0), 0.0))
    edges = sl.sim.from_pairs(np.arange(size - 1), np.full(size - 1, size - 1), weights=np.array(weights))
    net.connect(cells, cells, edges, delay=1.0)
    net.record(cells, "v", neurons=[size - 1])
    result = net.run(10.0)
    return result.spikes["cells"].of(size - 1), result.states["cells"]["v"].values[-1, 0]


def test_a_jump_comes_and_makes_a_spike_where_it_is():
    _, v = pulses([10.0], [1.234567])
    assert v == pytest.approx(10.0 * np.exp(-(10.0 - 2.234567) / 10.0), rel=1e-12)
    found, _ = pulses([15.0], [1.234567])
    assert found == pytest.approx([2.234567], abs=1e-12)


def test_spikes_of_one_time_arrive_together():
    assert len(pulses([20.0, -10.0], [1.234567, 1.234567])[0]) == 0
    assert len(pulses([20.0, -10.0], [1.234567, 1.234568])[0]) == 1


def test_what_arrives_in_a_refractory_time_is_lost():
    found, v = pulses([15.0, 5.0, 5.0], [1.23, 3.2299, 3.2301])
    assert found == pytest.approx([2.23], abs=1e-12)
    assert v == pytest.approx(5.0 * np.exp(-(10.0 - 4.2301) / 10.0), rel=1e-12)


def test_a_top_within_a_step_is_found():
    """After a spike of weight w, ``v = w (4/6) (exp(-t/10) - exp(-t/4))``, whose top is 1e-6 above the threshold."""
    top = np.log(10.0 / 4.0) / (1.0 / 4.0 - 1.0 / 10.0)
    weight = 15.000001 / (4.0 / 6.0 * (np.exp(-top / 10.0) - np.exp(-top / 4.0)))
    net = exact_network(10.0)
    cells = net.population(CELL, 1, "cells", solver=Located())
    net.connect(net.spikes([10.0], [0], 1, "source"), cells, ALL, weight=weight, synapse=SYNAPSE, into="syn")
    (time,) = net.run(40.0).spikes["cells"].times
    level = lambda t: weight * (4.0 / 6.0) * (np.exp(-t / 10.0) - np.exp(-t / 4.0)) - 15.0  # noqa: E731
    assert time == pytest.approx(
        20.0 + brentq(level, 0.0, top, xtol=1e-14), abs=1e-8
    )  # of a double root, half the digits


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_rise_and_fall_within_a_long_step_is_found(backend):
    # An alpha current that begins at the beginning of a step: v is 0 there, hardly anything at its end, above between.
    def fired(dt):
        net = exact_network(dt)
        cell = sl.Refractory(sl.LIF(tau=1.0, v_threshold=1.0, reset_mechanism="value"), t_ref=5.0)
        source, target = net.spikes([2.0], [0], 1, "source"), net.population(cell, 1, "target", solver=Located())
        net.connect(source, target, ONE, weight=4.5, delay=2.0, synapse=sl.Alpha(tau=0.2))
        with sl.backend(backend):
            return net.run(8.0).spikes["target"].times

    # v' = -v + 4.5 e s exp(-s) with s = t / 0.2, solved by hand
    def v(t):
        return 4.5 * np.e * 5.0 * (np.exp(-t) - (1.0 + 4.0 * t) * np.exp(-5.0 * t)) / 16.0

    expected = 4.0 + brentq(lambda t: v(t) - 1.0, 1e-3, 0.4, xtol=1e-14)
    for dt in (2.0, 0.5):
        np.testing.assert_allclose(fired(dt), [expected], atol=1e-10)


def test_a_neuron_that_never_fires_integrates_exactly():
    net = exact_network(0.5)
    source = cells_with_currents(net, 1)
    net.inject(source, 20.0)
    reader = net.population(sl.LI(tau=10.0), 1, "reader", solver=Located())
    net.connect(source, reader, ALL, weight=1.0, delay=0.5)
    net.record(reader, "v")
    result = net.run(20.0)
    arrived = 10.0 * np.log(4.0) + 0.5
    assert result.states["reader"]["v"].values[-1, 0] == pytest.approx(np.exp(-(20.0 - arrived) / 10.0), rel=1e-11)
    assert len(result.spikes["reader"]) == 0


def test_two_spikes_in_a_step_are_refused():
    net = exact_network(2.0)
    net.inject(cells_with_currents(net, 3, t_ref=0.0), np.array([0.0, 200.0, 0.0]))
    with pytest.raises(ParameterError, match="neuron 1 fires twice within a step of 2 ms"):
        net.run(20.0)


def connected(**how):
    return lambda net, cells: net.connect(cells, cells, ALL, weight=1.0, **how)


def refused(change, dtype: Literal["float32", "float64"] = "float64", model=LIF, solver=None):
    net = sl.sim.Network(dt=0.1, dtype=dtype)
    cells = net.population(model, 4, "cells", solver=solver or Located())
    change(net, cells)
    net.run(1.0)


@pytest.mark.parametrize(
    ("match", "error", "given"),
    [
        ("need float64", ParameterError, {"dtype": "float32"}),
        (
            "^Izhikevich: dv/dt is not linear in the states with constant coefficients: expected a linear model for "
            r"Located\(\) in a network\. Use sl\.solvers\.Interpolated\(\), or no solver\.$",
            ModelError,
            {"model": sl.Izhikevich()},
        ),
        ("exact solutions", ModelError, {"solver": Located(RK4())}),
        ("random", ModelError, {"model": sl.Noisy(LIF, sigma_noise=1.0)}),
        ("gap junctions", ModelError, {"change": connected(synapse=sl.GapJunction())}),
        ("counts in steps", ModelError, {"change": connected(plasticity=sl.STDP())}),
        (
            r"got TsodyksMarkram\(Exponential\(tau=3\.0\)",
            ModelError,
            {"change": connected(synapse=sl.TsodyksMarkram(sl.Exponential(tau=3.0)))},
        ),
        ("held for a step", ModelError, {"change": connected(into="i")}),
    ],
)  # fmt: skip
def test_what_has_no_exact_time_is_refused(match, error, given):
    with pytest.raises(error, match=match):
        refused(**{"change": lambda net, cells: None, **given})
