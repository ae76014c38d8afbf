"""The network engine: the same spikes as a plain loop, for any threads and any splitting; delays to the step."""

import itertools

import numpy as np
import pytest
import scipy.stats
import torch

import spikeloom as sl
from spikeloom.errors import ModelError, NonFiniteError, ParameterError, ShapeError

ALL = sl.sim.all_to_all()
CELL = sl.Refractory(sl.LIF(tau=20.0, v_threshold=10.0, reset_mechanism="value"), t_ref=2.0)


def everything(dtype="float64", extra=False):
    """A small network with every kind of group, synapse, delay and input there is."""
    net = sl.sim.Network(dt=0.1, seed=3, dtype=dtype)
    e = net.population(sl.Peak(CELL, v_peak=30.0), 60, "e")
    i = net.population(sl.Izhikevich(), 21, "i")
    n = net.population(sl.Noisy(sl.LIF(tau=10.0), sigma_noise=0.3), 15, "n")
    own = net.poisson(100.0, 30, "own")
    common = net.poisson(lambda t: 20.0 + 10.0 * np.sin(t), 11, "common", correlation=0.4)
    known = net.spikes([1.0, 1.0, 5.3, 7.7], [0, 2, 1, 0], 3, "known")
    e.set(v=sl.sim.uniform(0.0, 10.0))
    some, few, nearly_all = (sl.sim.fixed_probability(p) for p in (0.2, 0.1, 0.9))
    net.connect(e, i, some, weight=3.0, delay=0.5, synapse=sl.Exponential(tau=5.0))
    net.connect(own, e, some, weight=sl.sim.uniform(1.0, 4.0), delay=sl.sim.uniform(0.2, 1.5), into="v")
    plastic = sl.TsodyksMarkram(sl.Alpha(tau=2.0))
    net.connect(own, e, some, weight=1.0, delay=0.3, synapse=plastic, vary={"u_release": sl.sim.uniform(0.1, 0.9)})
    conductance = sl.Conductance(sl.Exponential(tau=3.0), e=60.0)
    net.connect(common, e, some, weight=0.5, delay=sl.sim.uniform(0.2, 1.5), synapse=conductance)
    net.connect(known, n, nearly_all, weight=0.4, delay=0.2)
    net.connect(
        common, i, sl.sim.all_to_all(), weight=sl.sim.uniform(0.1, 0.2), delay=0.3, synapse=sl.Exponential(tau=2.0)
    )
    net.connect(e, e, few, weight=0.2, synapse=sl.GapJunction())
    net.connect(e, n, few, weight=0.02, synapse=sl.GapJunction())
    net.drive(e, sl.sim.poisson(2000.0), weight=0.5, into="v")
    net.drive(n, sl.sim.poisson(lambda t: 1000.0 + t), weight=0.1)
    net.inject(i, lambda t: 10.0 + t)
    net.inject(i, 1.0)
    net.inject(e, np.linspace(0.0, 5.0, 60))
    net.inject(i, sl.sim.noise(sd=2.0, every=0.35))
    net.inject(i, sl.sim.noise(sd=1.0))
    net.inject(n, sl.sim.noise(sd=np.linspace(0.0, 0.5, 15)))
    net.record(e, "v", every=3)
    net.record(i, "v", neurons=[3, 4])
    net.record(e, "i_alpha")
    if extra:
        net.population(CELL, 40, "another")
    return net


def spikes(*results):
    """Times and neurons of each group, over several results."""
    names = results[0].spikes
    return {g: (np.concatenate([r.spikes[g].times for r in results]).tolist(),
                np.concatenate([r.spikes[g].neurons for r in results]).tolist()) for g in names}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_equals_the_reference(dtype):
    sl.last_kernels()
    with sl.backend("cpu", strict=True):
        fast = everything(dtype).run(14.0)
        assert "propagate/cpu" in sl.last_kernels()
    with sl.backend("reference"):
        slow = everything(dtype).run(14.0)
        assert "propagate/reference" in sl.last_kernels()
    assert all(len(s) > 3 for s in fast.spikes.values())
    assert spikes(fast) == spikes(slow)
    for name, states in fast.states.items():
        for state, recorded in states.items():
            tolerance = 1e-12 if dtype == "float64" else 2e-5
            np.testing.assert_allclose(recorded.values, slow.states[name][state].values, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_any_number_of_threads_gives_the_same_bits(threads):
    one, many = everything("float32").run(40.0, threads=1), everything("float32").run(40.0, threads=threads)
    assert spikes(one) == spikes(many)
    for name, state in (("e", "v"), ("i", "v"), ("e", "i_alpha")):
        assert np.array_equal(one.states[name][state].values, many.states[name][state].values)


def test_any_splitting_gives_the_same_bits():
    whole, net = everything("float32").run(40.0, threads=1), everything("float32")
    pieces = [net.run(length, threads=threads) for length, threads in (*[(0.1, 1)] * 40, (7.3, 3), (0.4, 2), (28.3, 1))]
    assert net.time == pytest.approx(40.0)
    assert spikes(whole) == spikes(*pieces)
    for name, state in (("e", "v"), ("i", "v"), ("e", "i_alpha")):
        joined = [p.states[name][state] for p in pieces]
        assert np.array_equal(whole.states[name][state].values, np.concatenate([p.values for p in joined]))
        np.testing.assert_allclose(whole.states[name][state].times, np.concatenate([p.times for p in joined]))


def test_a_new_population_changes_nobody_elses_spikes():
    with_it = spikes(everything(extra=True).run(20.0))
    del with_it["another"]
    assert with_it == spikes(everything().run(20.0))


def chain(delay, synapse=None, dt=0.1, dtype="float64", **how):
    """One source, spikes at 1.0 and 1.3 ms, into one integrator."""
    net = sl.sim.Network(dt=dt, dtype=dtype)
    source = net.spikes([1.0, 1.3], [0, 0], 1, "source")
    target = net.population(sl.LI(tau=10.0), 1, "target")
    net.connect(source, target, sl.sim.one_to_one(), weight=2.0, delay=delay, synapse=synapse, **how)
    net.record(target, "v")
    return net


@pytest.mark.parametrize(("delay", "threads"), list(itertools.product([0.1, 0.2, 1.5, 6.4, 30.0], [1, 2])))
def test_a_spike_arrives_after_its_delay(delay, threads):
    v = chain(delay).run(40.0, threads=threads).states["target"]["v"]
    both = (1.0 + delay, 1.3 + delay)
    expected = sum(2.0 * np.where(v.times > t - 1e-9, np.exp(-(v.times - t) / 10.0), 0.0) for t in both)
    np.testing.assert_allclose(v.values[:, 0], expected, rtol=1e-12, atol=1e-12)


def test_every_edge_has_its_own_delay():
    delays = np.array([0.1, 0.7, 25.5, 31.0])
    net = sl.sim.Network(dt=0.1, dtype="float64")
    source = net.spikes([1.0, 1.3], [0, 0], 1, "source")
    target = net.population(sl.LI(tau=10.0), 4, "target")
    net.connect(source, target, sl.sim.all_to_all(), weight=2.0, delay=delays)
    net.record(target, "v")
    v = net.run(40.0).states["target"]["v"]
    for k, delay in enumerate(delays):
        both = (1.0 + delay, 1.3 + delay)
        expected = sum(2.0 * np.where(v.times > t - 1e-9, np.exp(-(v.times - t) / 10.0), 0.0) for t in both)
        np.testing.assert_allclose(v.values[:, k], expected, rtol=1e-12, atol=1e-12)


def test_a_delay_may_be_in_two_parts():
    net = chain(sl.sim.Delay(axonal=1.0, dendritic=0.5))
    projection = next(iter(net.projections.values()))
    assert (projection.delay.axonal, projection.delay.dendritic) == (1.0, 0.5)
    assert np.array_equal(net.run(10.0).states["target"]["v"].values, chain(1.5).run(10.0).states["target"]["v"].values)


def test_a_synapse_of_a_connection_is_the_synapse_of_the_model():
    """Weights go straight into the state of an Exponential, and through a row of arrivals where delays differ."""
    net = chain(1.0, synapse=sl.Exponential(tau=3.0))
    v = net.run(30.0).states["target"]["v"]
    # tau dv/dt = -v + i with i = 2 exp(-s/3): v = 2 (3/(3 - 10)) (exp(-s/3) - exp(-s/10))
    response = lambda s: np.where(s > 0, 2.0 * 3.0 / (3.0 - 10.0) * (np.exp(-s / 3.0) - np.exp(-s / 10.0)), 0.0)  # noqa: E731
    np.testing.assert_allclose(v.values[:, 0], response(v.times - 2.0) + response(v.times - 2.3), atol=1e-12)


def plain_network(steps, weights, delays, v, current):
    """LIF neurons with exponential currents (tau 20 and 5 ms, t_ref 2 ms), written out with dense matrices."""
    dt, n = 0.1, len(v)
    decay, fall = np.exp(-dt / 20.0), np.exp(-dt / 5.0)
    transfer = 5.0 / (5.0 - 20.0) * (fall - decay)
    i, left, fired = np.zeros(n), np.zeros(n, int), np.zeros((steps, n), bool)
    for t in range(steps):
        free = v * decay + current * (1.0 - decay) + i * transfer
        i = i * fall
        for d in np.unique(delays):
            if t >= d:
                i = i + (weights * (delays == d))[fired[t - d]].sum(0)
        v = np.where(left > 0, v, free)
        fired[t] = (v >= 10.0) & (left == 0)
        left = np.where(fired[t], 20, np.maximum(left - 1, 0))
        v = np.where(fired[t], 0.0, v)
    return fired


def test_noise_is_normal_held_and_the_same_for_every_dt():
    def numbers(dt, every=0.5, span=50.0):
        net = sl.sim.Network(dt=dt, seed=3, dtype="float64")
        cells = net.population(sl.LI(tau=1e-6), 400, "cells")  # so fast that v is the current
        net.inject(cells, sl.sim.noise(sd=np.where(np.arange(400) < 300, 3.0, 0.0), every=every))
        net.inject(cells, 7.0)
        net.record(cells, "v")
        return net.run(span).states["cells"]["v"].values.reshape(-1, round(every / dt), 400)

    coarse, fine = numbers(0.1), numbers(0.25, every=np.float64(0.5))
    assert (coarse == coarse[:, :1]).all()
    assert (fine == fine[:, :1]).all()
    np.testing.assert_allclose(coarse[:, 0], fine[:, 0], rtol=1e-12)
    assert (np.abs(coarse[..., 300:] - 7.0) < 1e-12).all()
    drawn = (coarse[:, 0, :300].ravel() - 7.0) / 3.0  # 30,000 of them
    assert scipy.stats.kstest(drawn, "norm").pvalue > 1e-3
    between = [(drawn.reshape(100, 300)[:-1] * drawn.reshape(100, 300)[1:]).mean(), (drawn[:-1] * drawn[1:]).mean()]
    assert np.abs(between).max() < 4.0 / np.sqrt(29_700)


def test_the_spikes_of_a_plain_simulation():
    rng = np.random.default_rng(0)
    n = 50
    weights = np.where(rng.random((n, n)) < 0.3, rng.normal(0.0, 12.0, (n, n)), 0.0)
    delays = rng.integers(1, 30, (n, n))
    v, current = rng.uniform(0.0, 10.0, n), rng.uniform(8.0, 14.0, n)
    expected = plain_network(3000, weights, delays, v.copy(), current)
    net = sl.sim.Network(dt=0.1, dtype="float64")
    cells = net.population(CELL, n, "cells")
    cells.set(v=v)
    net.inject(cells, current)
    pre, post = np.nonzero(weights)
    rule = sl.sim.from_pairs(pre, post, weights=weights[pre, post], delays=delays[pre, post] * 0.1)
    net.connect(cells, cells, rule, synapse=sl.Exponential(tau=5.0))
    found = net.run(300.0).spikes["cells"]
    steps, neurons = np.nonzero(expected)
    assert len(steps) > 300
    np.testing.assert_allclose(found.times, (steps + 1) * 0.1, atol=1e-9)
    assert found.neurons.tolist() == neurons.tolist()


def test_short_term_plasticity_follows_its_recursion():
    """Two edges with different parameters from one source; amplitudes of Tsodyks, Pawelzik and Markram 1998."""
    times = np.array([10.0, 30.0, 35.0, 90.0, 91.0])
    net = sl.sim.Network(dt=0.1, dtype="float64")
    source = net.spikes(times, np.zeros(5, int), 1, "source")
    target = net.population(sl.LI(tau=1e9), 2, "target")
    big_u, recovery, facilitation = np.array([0.5, 0.05]), 800.0, np.array([1e-3, 1000.0])
    synapse = sl.TsodyksMarkram(sl.Delta(), tau_recovery=recovery)
    vary = {"u_release": big_u, "tau_facilitation": facilitation}
    net.connect(source, target, sl.sim.all_to_all(), weight=1.0, delay=1.0, synapse=synapse, vary=vary)
    net.record(target, "v")
    v = net.run(100.0).states["target"]["v"]
    u, x, before, total = np.zeros(2), np.ones(2), 0.0, np.zeros(2)
    for time in times:
        x = 1.0 - (1.0 - x) * np.exp(-(time - before) / recovery)
        u = u * np.exp(-(time - before) / facilitation)
        u = u + big_u * (1.0 - u)
        total, x, before = total + u * x, x - u * x, time
        at = np.argmin(np.abs(v.times - (time + 1.0)))
        np.testing.assert_allclose(v.values[at], total, rtol=1e-6)


def test_a_gap_junction_pulls_both_sides_together():
    """Two passive cells: v_other is held over a step, and the rest is exact."""
    net = sl.sim.Network(dt=0.1, dtype="float64")
    a, b = net.population(sl.LI(tau=20.0), 1, "a"), net.population(sl.LI(tau=20.0), 1, "b")
    a.set(v=10.0)
    net.connect(a, b, sl.sim.one_to_one(), weight=0.5, synapse=sl.GapJunction())
    net.record(a, "v")
    net.record(b, "v")
    result = net.run(50.0)
    u, w, rate = 10.0, 0.0, (1.0 + 0.5) / 20.0  # tau dv/dt = -v + g (v_other - v)
    decay = np.exp(-0.1 * rate)
    for step in range(500):
        u, w = u * decay + 0.5 * w / 1.5 * (1.0 - decay), w * decay + 0.5 * u / 1.5 * (1.0 - decay)
        np.testing.assert_allclose(result.states["a"]["v"].values[step], u, rtol=1e-12)
        np.testing.assert_allclose(result.states["b"]["v"].values[step], w, rtol=1e-12)
    difference = 10.0 * np.exp(-50.0 * (1.0 + 2 * 0.5) / 20.0)  # of the continuous equations
    assert u - w == pytest.approx(difference, rel=0.02)


def test_poisson_input_has_poisson_statistics():
    net = sl.sim.Network(dt=0.1, seed=5, dtype="float64")
    n = 2000
    counter = sl.LI(tau=1e12)
    constant, by_neuron, by_time = (net.population(counter, n, name) for name in ("constant", "by neuron", "by time"))
    net.drive(constant, sl.sim.poisson(20_000.0), weight=1.0)
    net.drive(by_neuron, sl.sim.poisson(np.linspace(0.0, 5000.0, n)), weight=1.0)
    net.drive(by_time, sl.sim.poisson(lambda t: 40.0 * t), weight=1.0)
    for group in (constant, by_neuron, by_time):
        net.record(group, "v", every=1000)
    result = net.run(100.0)
    counts = result.states["constant"]["v"].values[-1]
    assert counts.mean() == pytest.approx(2000.0, abs=4 * np.sqrt(2000.0 / n))
    assert counts.var() / 2000.0 == pytest.approx(1.0, abs=4 * np.sqrt(2.0 / n))
    expected = np.linspace(0.0, 500.0, n)
    z = (result.states["by neuron"]["v"].values[-1] - expected)[1:] / np.sqrt(expected[1:])
    assert abs(z.mean()) < 4 / np.sqrt(n)
    assert z.var() == pytest.approx(1.0, abs=4 * np.sqrt(2.0 / n))
    mean = 40.0 * 100.0 / 2.0 * 0.1 - 40.0 * 0.05 * 0.1  # rates are those at the beginnings of steps
    counts = result.states["by time"]["v"].values[-1]
    assert counts.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / n))


def test_correlated_sources_have_their_correlation():
    net = sl.sim.Network(dt=1.0, seed=2)
    net.poisson(20.0, 400, "sources", correlation=0.3)
    found = net.run(20_000.0).spikes["sources"]
    dense = np.zeros((20_000, 400), np.float32)
    dense[np.rint(found.times).astype(int) - 1, found.neurons] = 1.0
    assert dense.mean() == pytest.approx(0.02, rel=0.05)
    upper = np.corrcoef(dense.T)[np.triu_indices(400, 1)]
    # A common spike is kept with probability c, so that the correlation of two is (c - p) / (1 - p).
    assert upper.mean() == pytest.approx((0.3 - 0.02) / 0.98, abs=0.02)


def test_the_peak_is_shown_to_recorders():
    net = sl.sim.Network(dt=0.1)
    cells = net.population(sl.Peak(CELL, v_peak=30.0), 2, "cells")
    net.inject(cells, 20.0)
    net.record(cells, "v")
    result = net.run(50.0)
    shown = result.states["cells"]["v"].values[:, 0]
    assert (shown == 30.0).sum() == (result.spikes["cells"].neurons == 0).sum() > 1


def test_heterogeneous_parameters_and_states():
    net = sl.sim.Network(dt=0.1, dtype="float64")
    cells = net.population(sl.LI(tau=np.array([5.0, 10.0, 40.0])), 3, "cells")
    cells.set(v=np.array([1.0, 2.0, 3.0]))
    net.record(cells, "v")
    v = net.run(10.0).states["cells"]["v"].values[-1]
    np.testing.assert_allclose(v, np.array([1.0, 2.0, 3.0]) * np.exp(-10.0 / np.array([5.0, 10.0, 40.0])), rtol=1e-12)


def test_global_random_numbers_are_left_alone():
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    everything().run(1.0)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


def small():
    net = sl.sim.Network(dt=0.1)
    return net, net.population(CELL, 10, "cells")


@pytest.mark.parametrize(
    ("do", "error", "text"),
    [
        (lambda net, c: net.connect(c, c, ALL, weight=1.0, delay=0.0).steps, ParameterError, "at least one step"),
        (lambda net, c: net.connect(c, c, ALL, weight=1.0, delay=0.04).steps, ParameterError, "dt = 0.1"),
        (lambda net, c: net.connect(c, c, ALL, weight=float("nan")).weights, ParameterError, "NaN"),
        (lambda net, c: net.connect(c, c, ALL, weight=np.ones(7)).weights, ShapeError, "100"),
        (lambda net, c: net.connect(c, c, ALL, weight=1.0, into="w"), ModelError, "called 'w'"),
        (lambda net, c: net.connect(c, small()[1], ALL, weight=1.0), ParameterError, "not of this network"),
        (lambda net, c: net.population(CELL, 10, "cells"), ParameterError, "is taken"),
        (lambda net, c: net.population(CELL, 0, "none"), ParameterError, "a whole number from 1 to"),
        (lambda net, c: net.population(CELL, 3, ""), ParameterError, "not empty"),
        (lambda net, c: net.record(c, "u"), ModelError, "no state 'u'"),
        (lambda net, c: net.record(c, "v", neurons=[10]), ParameterError, "0 to 9"),
        (lambda net, c: net.spikes([1.0, 1.02], [0, 0], 1, "s").by_step(0.1), ParameterError, "twice in the step"),
        (lambda net, c: net.spikes([1.0], [1], 1, "s"), ParameterError, "0 to 0"),
        (lambda net, c: net.spikes([1.0, 2.0], [0], 1, "s"), ShapeError, r"\[K\]"),
        (lambda net, c: net.spikes([0.0], [0], 1, "s").by_step(0.1), ParameterError, "at least one step"),
        (lambda net, c: net.poisson(-1.0, 3, "p"), ParameterError, "at least 0 Hz"),
        (lambda net, c: net.inject(c, np.ones(3)), ShapeError, "10"),
        (lambda net, c: net.inject(c, sl.sim.noise(np.ones(3))), ShapeError, r"\[10\]"),
        (lambda net, c: net.inject(c, sl.sim.noise(-1.0)), ParameterError, "at least 0"),
        (lambda net, c: net.inject(c, sl.sim.noise(1.0, every=True)), ParameterError, "every of noise"),
        (lambda net, c: net.inject(c, sl.sim.noise(1.0, every=0.01)), ParameterError, "at least dt = 0.1 ms"),
        (lambda net, c: net.inject(c, 1.0, into="j"), ModelError, "no input 'j'"),
        (lambda net, c: c.set(w=1.0), ModelError, "no state 'w'"),
        (lambda net, c: c.set(v=np.ones(3)), ShapeError, "10"),
        (lambda net, c: net.run(0.0), ParameterError, "duration"),
        (lambda net, c: net.run(1.0, threads=0), ParameterError, "threads"),
        (lambda net, c: sl.sim.Network(dt=-1.0), ParameterError, "dt"),
        (lambda net, c: sl.sim.Network(dtype="float16"), ParameterError, "float32"),
        (lambda net, c: sl.sim.Network().run(1.0), ParameterError, "empty"),
        (lambda net, c: net.connect(c, c, ALL, weight=1.0, vary={"x": 1.0}), ParameterError, "vary"),
    ],
)  # fmt: skip
def test_bad_input(do, error, text):
    with pytest.raises(error, match=text):
        do(*small())


def test_a_conductance_is_not_negative():
    net, cells = small()
    synapse = sl.Conductance(sl.Exponential(tau=5.0), e=-80.0)
    net.connect(cells, cells, sl.sim.all_to_all(), weight=-1.0, synapse=synapse)
    with pytest.raises(ParameterError, match="weight of a conductance"):
        net.run(1.0)


def test_a_delay_between_steps_is_rounded_and_said():
    net, cells = small()
    projection = net.connect(cells, cells, sl.sim.all_to_all(), weight=1.0, delay=0.33)
    with pytest.warns(UserWarning, match=r"0\.33 ms is no multiple of dt = 0\.1 ms; it is rounded to 0\.3 ms"):
        assert projection.steps.tolist() == [3]


def test_a_network_that_ran_is_not_changed():
    net, cells = small()
    net.run(1.0)
    for change in (lambda: net.population(CELL, 1, "late"), lambda: net.record(cells, "v"),
                   lambda: net.connect(cells, cells, sl.sim.all_to_all(), weight=1.0)):  # fmt: skip
        with pytest.raises(ParameterError, match="has run"):
            change()


def test_too_much_memory_is_refused_before_it_is_taken():
    net = sl.sim.Network()
    cells = net.population(CELL, 2_000_000, "cells")
    net.connect(cells, cells, sl.sim.all_to_all(), weight=1.0)
    assert net.memory() > 4e12
    with pytest.raises(ParameterError, match=r"synapses needs \d+"):
        net.run(1.0)


def test_states_that_are_not_finite_are_found():
    net = sl.sim.Network(dt=0.1)
    cells = net.population(sl.LI(), 10, "cells")
    net.drive(cells, sl.sim.poisson(1e4), weight=3e38)
    with pytest.raises(NonFiniteError, match="population cells: state v of neuron"):
        net.run(20.0)
