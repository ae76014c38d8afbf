"""Plastic weights: pairs and triplets by hand, against walks over the spike histories, on any threads and splits."""

import math

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.errors import DimensionError, ModelError, NonFiniteError, ParameterError, StateError
from spikeloom.plasticity import STDP, AccumulatedSTDP, Plasticity, post_trace, pre_trace

ALL = sl.sim.all_to_all()
QUIET = sl.LIF(tau=1.0, v_threshold=1000.0, reset_mechanism="value")  # fires when, and only when, it is told to


def played(pre, post, rule, *, weight=0.5, delay=0.1, dt=0.1, edges=None, dtype="float64"):
    """A network in which spikes at given times, lists by neuron, meet at plastic connections."""
    net = sl.sim.Network(dt=dt, dtype=dtype)
    times, neurons = zip(*[(t, n) for n, train in enumerate(pre) for t in train], strict=True)
    source = net.spikes(times, neurons, len(pre), "source")
    cells = net.population(QUIET, len(post), "cells")
    told = [(t - dt, n) for n, train in enumerate(post) for t in train]
    tell = net.spikes([t for t, _ in told], [n for _, n in told], len(post), "tell")
    net.connect(tell, cells, sl.sim.one_to_one(), weight=2000.0, delay=dt)
    made = net.connect(source, cells, edges or ALL, weight=weight, delay=delay, plasticity=rule)
    return net, made


A, B = 0.01, 0.0105  # what a pair of spikes at the same time would add and take
LAGS = [(3.0, 0.0, 0.1), (3.0, 0.0, 2.0), (3.0, 1.0, 0.3), (-4.0, 0.0, 0.1), (-4.0, 2.0, 0.5), (-4.0, 0.0, 3.0)]


@pytest.mark.parametrize(("lag", "axonal", "dendritic"), LAGS)
@pytest.mark.parametrize("pairing", ["all-to-all", "nearest"])
def test_a_pair_changes_the_weight_by_its_lag_at_the_synapse(lag, axonal, dendritic, pairing):
    delay = sl.sim.Delay(axonal=axonal, dendritic=dendritic)
    net, made = played([[20.0]], [[20.0 + lag]], STDP(tau_plus=15.0, tau_minus=30.0, pairing=pairing), delay=delay)
    net.run(40.0)
    at_synapse = lag + dendritic - axonal
    expected = A * math.exp(-at_synapse / 15.0) if at_synapse >= 0.0 else -B * math.exp(at_synapse / 30.0)
    assert made.weights[0] == pytest.approx(0.5 + expected, rel=1e-13)


def test_at_the_same_time_the_presynaptic_spike_is_first():
    """As in a step, where spikes arrive before the threshold is looked at: one that makes the target fire did so."""
    net, made = played([[20.0]], [[21.0]], STDP(), delay=sl.sim.Delay(axonal=1.0))
    net.run(30.0)
    assert made.weights[0] == pytest.approx(0.5 + A, rel=1e-13)


def test_a_triplet_by_hand():
    """Pre at 10, post at 14, pre at 20 ms: potentiation, then depression; post at 30 ms pairs with both or one."""
    for pairing, last in (("all-to-all", math.exp(-10 / 20) + math.exp(-20 / 20)), ("nearest", math.exp(-10 / 20))):
        rule = STDP(pairing=pairing, w_max=2.0)
        net, made = played([[10.0, 20.0]], [[14.0, 30.0]], rule, delay=sl.sim.Delay(axonal=0.1))
        p, d = math.exp(-3.9 / 20), math.exp(-6.1 / 20)
        net.record(made, "w", every=10)
        w = net.run(40.0).states["source to cells"]["w"].values[:, 0]
        first = 0.5 + A * 2.0 * p
        second = first - B * 2.0 * d
        third = second + A * 2.0 * last * math.exp(0.1 / 20)
        np.testing.assert_allclose(w[[12, 15, 25, 35]], [0.5, first, second, third], rtol=1e-13)


def test_a_spike_is_delivered_with_the_weight_it_leaves():
    net, made = played([[10.0]], [[8.0]], STDP(a_minus=0.3, w_max=1.0), weight=0.9, delay=1.0)
    cells = net.groups["cells"]
    net.record(cells, "v")
    v = net.run(20.0).states["cells"]["v"].values[:, 0]
    w = 0.9 - 0.3 * math.exp(-(10.0 - 9.0) / 20.0)
    assert made.weights[0] == pytest.approx(w, rel=1e-13)
    assert v[109] == pytest.approx(w, rel=1e-3)  # beside what is left of the jump that made it fire
    assert v[119] == pytest.approx(v[109] * math.exp(-1.0), rel=1e-12)


def walked(pre, post, rule, weights, axonal, dendritic, dt):
    """The same by walking over the events of each edge; times in steps, [sources, targets] of everything."""
    w = weights.copy()
    nearest = rule.pairing == "nearest"
    for i in range(len(pre)):
        for j in range(len(post)):
            events = [(t + axonal[i, j], 0) for t in pre[i]] + [(t + dendritic, 1) for t in post[j]]
            before = [[], []]
            for t, kind in sorted(events):
                tau = (rule.tau_minus, rule.tau_plus)[kind]
                others = before[1 - kind][-1:] if nearest else before[1 - kind]
                trace = sum(math.exp(-(t - o) * dt / tau) for o in others)
                additive = rule.dependence == "additive"
                if kind == 0:
                    w[i, j] -= rule.a_minus * (rule.w_max if additive else w[i, j] - rule.w_min) * trace
                else:
                    w[i, j] += rule.a_plus * (rule.w_max if additive else rule.w_max - w[i, j]) * trace
                w[i, j] = min(max(w[i, j], rule.w_min), rule.w_max)
                before[kind].append(t)
    return w


def trains(rng, count, steps, chance):
    return [np.flatnonzero(rng.random(steps) < chance)[1:] + 1 for _ in range(count)]


@pytest.mark.parametrize(
    ("longest", "dendritic", "pairing", "dependence"),
    [
        (1, 7, "all-to-all", "additive"),
        (1, 0, "nearest", "multiplicative"),
        (40, 3, "nearest", "multiplicative"),
        (300, 1, "all-to-all", "additive"),
    ],
)
def test_weights_are_those_of_a_walk_over_the_histories(longest, dendritic, pairing, dependence):
    rng, dt = np.random.default_rng(longest + dendritic), 0.5
    pre, post = trains(rng, 7, 400, 0.05), trains(rng, 5, 400, 0.05)
    rule = STDP(a_plus=0.03, a_minus=0.04, tau_plus=17.0, tau_minus=34.0, w_min=0.1, w_max=1.5, pairing=pairing,
                dependence=dependence)  # fmt: skip
    weights, axonal = rng.uniform(0.1, 1.5, (7, 5)), rng.integers(1, longest + 1, (7, 5))
    delay = sl.sim.Delay(axonal=(axonal * dt).ravel(), dendritic=dendritic * dt)
    given = [[[t * dt for t in train] for train in side] for side in (pre, post)]
    net, made = played(*given, rule, weight=weights.ravel(), delay=delay, dt=dt)
    spikes = net.run(210.0).spikes["cells"]
    assert [(spikes.of(j) / dt).round().astype(int).tolist() for j in range(5)] == [p.tolist() for p in post]
    net.run(200.0)  # for what was still under way
    expected = walked(pre, post, rule, weights, axonal, dendritic, dt)
    np.testing.assert_allclose(made.weights.reshape(7, 5), expected, rtol=1e-12)
    assert np.ptp(made.weights) > 0.1


class Everything(Plasticity):
    """Traces of both kinds that move in all ways, an eligibility that decays, weights that relax."""

    tau = sl.param(10.0, sl.ms, low=0.0)
    step = sl.param(0.05, sl.units.synaptic_weight)
    period = sl.param(5.0, sl.ms, low=0.0)
    fast, slow = pre_trace(), pre_trace(0.5)
    y, count = post_trace(), post_trace()
    e = sl.state(0.2)

    def derivative(self, s):
        return {"fast": -s.fast / self.tau, "slow": (0.3 - s.slow) / (4.0 * self.tau), "y": -s.y / self.tau,
                "e": -s.e / (2.0 * self.tau), "w": (self.step - s.w) / (100.0 * self.tau)}  # fmt: skip

    def pre(self, s):
        return {"w": s.w - self.step * s.y * (1.0 + s.slow), "e": s.e + s.y, "fast": s.fast + 1.0, "slow": 1.0}

    def post(self, s):
        return {
            "w": s.w + self.step * s.fast * s.e,
            "e": s.e * 0.9 + s.slow,
            "y": s.y * 0.5 + 1.0,
            "count": s.count + 1.0,
        }

    def periodic(self, s):
        return {"w": s.w + self.step * 0.1 * s.e, "e": s.e * 0.8}

    def limits(self):
        return -2.0, 2.0


def recurrent(dtype="float64", **how):
    """A network in which weights change spikes and spikes weights, with every kind of plastic connection."""
    net = sl.sim.Network(dt=0.1, seed=how.get("seed", 5), dtype=dtype)
    cell = sl.Refractory(sl.LIF(tau=20.0, v_threshold=10.0, reset_mechanism="value"), t_ref=1.0)
    a, b = net.population(cell, how.get("size", 50), "a"), net.population(cell, 35, "b")
    a.set(v=sl.sim.uniform(0.0, 10.0))
    net.drive(a, sl.sim.poisson(3000.0), weight=0.9)
    some, delay = sl.sim.fixed_probability(0.3), sl.sim.Delay(axonal=sl.sim.uniform(0.2, 2.5), dendritic=0.2)
    weight, rule = sl.sim.uniform(0.2, 1.8), STDP(w_max=2.0, a_plus=how.get("a_plus", 0.05), a_minus=0.06)
    net.connect(a, a, some, weight=weight, delay=delay, plasticity=rule)
    nearest = rule.replace(pairing="nearest", w_max=8.0, a_plus=0.02)
    net.connect(a, b, some, weight=4.0, delay=0.3, synapse=sl.Exponential(tau=3.0), plasticity=nearest)
    net.connect(a, b, some, weight=weight, delay=delay, into="exponential", plasticity=Everything(), name="extra")
    return net


def state(net):
    return {name: p.weights for name, p in net.projections.items()} | {
        f"{name}/{n}": e.values(n) for name, p in net.projections.items() if (e := p.live) for n in e.plastic.states
    }


def same(one, two):
    return one.keys() == two.keys() and all(np.array_equal(one[n], two[n]) for n in one)


def spikes(*results):
    return {g: [np.concatenate([getattr(r.spikes[g], k) for r in results]).tolist() for k in ("times", "neurons")]
            for g in results[0].spikes}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_equals_the_reference(dtype):
    sl.last_kernels()
    with sl.backend("cpu", strict=True):
        net = recurrent(dtype, size=40)
        fast = net.run(7.0)
        assert {"propagate/cpu", "plastic/cpu"} <= set(sl.last_kernels())
    with sl.backend("reference"):
        other = recurrent(dtype, size=40)
        slow = other.run(7.0)
        assert {"propagate/reference", "plastic/reference"} <= set(sl.last_kernels())
    assert len(fast.spikes["a"]) > 20
    assert len(fast.spikes["b"]) > 5
    assert spikes(fast) == spikes(slow)
    one, two, tolerance = state(net), state(other), 1e-12 if dtype == "float64" else 2e-5
    for name, values in one.items():
        np.testing.assert_allclose(values, two[name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("threads", [2, 3])
def test_spikes_and_weights_are_the_same_on_any_threads(threads):
    nets = recurrent("float32"), recurrent("float32")
    one, many = nets[0].run(60.0, threads=1), nets[1].run(60.0, threads=threads)
    assert spikes(one) == spikes(many)
    assert same(state(nets[0]), state(nets[1]))
    assert max(np.abs(w - 4.0).max() for n, w in state(nets[0]).items() if n == "a to b") > 0.1


def test_any_splitting_and_a_file_between_change_nothing(tmp_path):
    nets = recurrent("float32"), recurrent("float32"), recurrent("float32")
    whole = nets[0].run(60.0, threads=1)
    first = [
        nets[1].run(length, threads=threads) for length, threads in (*[(0.1, 1)] * 30, (7.3, 3), (0.4, 2), (9.3, 1))
    ]
    nets[1].save(tmp_path)
    nets[2].restore(tmp_path)
    second = nets[2].run(40.0, threads=2)
    assert spikes(whole) == spikes(*first, second)
    assert same(state(nets[0]), state(nets[2]))
    assert not same(state(nets[0]), state(nets[1]))


@pytest.mark.parametrize("how", [{"seed": 6}, {"a_plus": 0.04}])
def test_the_state_of_another_network_is_refused(tmp_path, how):
    net, other = recurrent(), recurrent(**how)
    net.run(5.0)
    net.save(tmp_path)
    with pytest.raises(StateError, match="another network"):
        other.restore(tmp_path)


def test_recorded_weights_are_those_of_the_connection(tmp_path):
    net = recurrent("float32")
    made = net.projections["a to a"]
    net.record(made, "w", every=10)
    net.record(made, "w", edges=[5, 3, 400], every=1)
    result = net.run(20.0, threads=2)
    found = result.states["a to a"]
    assert np.array_equal(found["w"].values[-1], made.weights)
    few = found["w every 1"]
    assert few.neurons.tolist() == [3, 5, 400]
    assert few.unit == "mV"
    assert np.array_equal(few.values[-1], made.weights[few.neurons])
    assert np.array_equal(few.values[9::10], found["w"].values[:, few.neurons])
    assert np.ptp(found["w"].values, axis=0).max() > 0.05
    assert np.array_equal(sl.sim.Result.load(result.save(tmp_path)).states["a to a"]["w"].values, found["w"].values)


def test_weights_can_be_read_while_the_network_runs():
    net, seen = recurrent(), []
    made = net.projections["a to a"]
    before = made.weights
    net.run(30.0, threads=1, progress=lambda *_: seen.append(made.weights.copy()))
    assert len(seen) > 1
    assert before.min() >= 0.2
    assert not np.array_equal(before, seen[0])
    assert np.array_equal(seen[-1], made.weights)


def test_tendencies_move_weights_once_in_a_while():
    """Pairs 2 ms apart, one in the first period of 50 ms and two in the second."""
    rule = AccumulatedSTDP(period=50.0)
    net, made = played([[10.0, 60.0, 90.0]], [[12.0, 62.0, 92.0]], rule, weight=6.0, delay=sl.sim.Delay(axonal=1.0))
    net.record(made, "w", every=500)
    net.record(made, "c", every=499)
    found = net.run(200.0).states["source to cells"]
    up, down = 0.1 * math.exp(-1 / 20), 0.12 * math.exp(-(61 - 12) / 20)
    c1 = up
    c2 = 0.9 * c1 - down + up - 0.12 * math.exp(-(91 - 62) / 20) + up
    w = np.cumsum([6.0 + 0.01 + c1, 0.01 + c2, 0.01 + 0.9 * c2, 0.01 + 0.81 * c2])
    np.testing.assert_allclose(found["w"].values[:, 0], w, rtol=1e-13)
    np.testing.assert_allclose(found["c"].values[:2, 0], [c1, c2], rtol=1e-13)


def test_weights_stay_between_their_bounds():
    for rule, end in ((STDP(a_plus=0.4), 1.0), (STDP(a_minus=0.9, a_plus=0.0, w_min=0.2), 0.2)):
        net, made = played([np.arange(5.0, 100.0, 5.0)], [np.arange(7.0, 100.0, 5.0)], rule)
        net.run(120.0)
        assert made.weights[0] == end


def test_nonsense():
    net = sl.sim.Network()
    cells, source = net.population(QUIET, 5, "cells"), net.poisson(1.0, 3, "source")
    one = {"weight": 0.5, "plasticity": STDP()}
    with pytest.raises(ParameterError, match="a rule such as"):
        net.connect(source, cells, ALL, weight=0.5, plasticity=0.1)
    with pytest.raises(ParameterError, match="plasticity of a gap junction"):
        net.connect(cells, cells, ALL, synapse=sl.GapJunction(), **one)
    with pytest.raises(ModelError, match="short-term plasticity"):
        net.connect(source, cells, ALL, synapse=sl.TsodyksMarkram(sl.Exponential()), **one)
    with pytest.raises(DimensionError, match="w_max"):
        net.connect(source, cells, ALL, weight=0.5, plasticity=STDP(w_max=1.0 * sl.nS))
    with pytest.raises(DimensionError, match="w_max has the wrong dimension"):
        STDP(w_max=1.0 * sl.ms)
    with pytest.raises(ModelError, match="one number"):
        STDP(w_max=np.ones(3))
    with pytest.raises(ParameterError, match="never change"):
        net.record(net.connect(source, cells, ALL, weight=0.5), "w")
    made = net.connect(source, cells, ALL, name="cells", **one)
    with pytest.raises(ParameterError, match="group and a connection"):
        net.record(made, "w")
    made = net.connect(source, cells, ALL, name="third", **one)
    with pytest.raises(ModelError, match="no state 'v'"):
        net.record(made, "v")
    with pytest.raises(ParameterError, match="0 to 14"):
        net.record(made, "w", edges=[15])
    with pytest.raises(ParameterError, match="neurons="):
        net.record(cells, "v", edges=[1])
    made = net.connect(source, cells, ALL, weight=0.5, plasticity=Everything(), name="fourth")
    with pytest.raises(ModelError, match="moves between spikes"):
        net.record(made, "e")


def test_records_of_edges_have_the_unit_of_their_state():
    rule = type("Count", (Plasticity,), {
        "n": sl.state(0.0), "last": sl.state(0.0, sl.ms), "goal": sl.state(0.0, sl.units.synaptic_weight),
        "pre": lambda self, s: {"n": s.n + 1.0},
    })()  # fmt: skip
    net = sl.sim.Network()
    cells, source = net.population(QUIET, 2, "cells"), net.spikes([1.0], [0], 1, "source")
    made = net.connect(source, cells, ALL, weight=0.1, plasticity=rule, name="made")
    for state in ("n", "last", "goal", "w"):
        net.record(made, state)
    found = net.run(3.0).states["made"]
    assert {n: r.unit for n, r in found.items()} == {"n": "1", "last": "ms", "goal": "mV", "w": "mV"}
    assert found["n"].values[-1].tolist() == [1.0, 1.0]


def rule_with(**methods):
    base = {"x": pre_trace(), "y": post_trace(), "c": sl.state(0.0)}
    return type("Mine", (Plasticity,), {**base, **methods})()


@pytest.mark.parametrize(
    ("methods", "text"),
    [
        ({"pre": lambda self, s: {"y": s.y + 1.0}}, "gives 'y'"),
        ({"post": lambda self, s: {"u": 1.0}}, "gives 'u'"),
        ({"pre": lambda self, s: {"x": s.x + s.y}}, "depends on y"),
        ({"pre": lambda self, s: {"x": s.x + s.w}}, "depends on w"),
        ({"pre": lambda self, s: s.w}, "new values by name"),
        ({"pre": lambda self, s: {"w": s.z}}, "not declared"),
        ({"derivative": lambda self, s: {"x": -s.x * s.x}}, "linear in x"),
        ({"derivative": lambda self, s: {"x": -s.x + s.y}}, "linear in x"),
        ({"periodic": lambda self, s: {"w": s.w + 1.0}}, "no period"),
        ({"periodic": lambda self, s: {"w": s.w + s.x}, "period": sl.param(1.0, sl.ms)}, "depends on x"),
    ],
)
def test_rules_that_cannot_be(methods, text):
    net = sl.sim.Network()
    cells = net.population(QUIET, 5, "cells")
    with pytest.raises(ModelError, match=text):
        net.connect(cells, cells, ALL, weight=1.0, plasticity=rule_with(**methods))


def test_limits_the_wrong_way_round():
    net = sl.sim.Network()
    cells = net.population(QUIET, 5, "cells")
    with pytest.raises(ParameterError, match="limits of STDP: got 0 and -1, expected the lowest weight first"):
        net.connect(cells, cells, ALL, weight=0.0, plasticity=STDP(w_max=-1.0))
    assert not net.projections


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"weight": 1.5}, "weight: got 1.5, expected <= 1"),
        ({"weight": -0.5}, "weight: got -0.5, expected >= 0"),
        ({"delay": sl.sim.uniform(1.0, 2.0)}, "where along the way"),
        ({"delay": np.ones(25)}, "where along the way"),
        ({"delay": sl.sim.Delay(axonal=1.0, dendritic=sl.sim.uniform(1.0, 2.0))}, "where along the way"),
        ({"delay": sl.sim.Delay(axonal=1.0, dendritic=0.05)}, "multiple of dt"),
        ({"plasticity": AccumulatedSTDP(period=0.25)}, "multiple of dt"),
        ({"plasticity": rule_with(), "synapse": sl.Conductance(sl.Exponential())}, "could become negative"),
    ],
)
def test_connections_that_cannot_be(how, text):
    net = sl.sim.Network()
    cells = net.population(QUIET, 5, "cells")
    net.connect(cells, cells, ALL, **{"weight": 0.5, "plasticity": STDP(), **how})
    with pytest.raises(ParameterError, match=text):
        net.run(1.0)


def test_weights_that_grow_without_bound_are_found():
    growing = rule_with(pre=lambda self, s: {"w": s.w * 1e30})
    net, _ = played([[1.0, 2.0, 3.0]], [[]], growing, dtype="float32")
    with pytest.raises(NonFiniteError, match="w of edge 0"):
        net.run(10.0)


def test_memory_counts_what_plastic_edges_need():
    sizes = {}
    for plasticity in (None, STDP(), AccumulatedSTDP()):
        net = sl.sim.Network()
        cells = net.population(QUIET, 1000, "cells")
        net.connect(cells, cells, ALL, weight=1.0, plasticity=plasticity)
        sizes[type(plasticity).__name__] = net.memory()
    assert sizes["STDP"] - sizes["NoneType"] >= 12e6  # a weight, a place among its target's edges, a source
    assert sizes["AccumulatedSTDP"] - sizes["STDP"] == pytest.approx(4e6)
