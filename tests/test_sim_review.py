"""What a review of the network engine found, each as a test of its own; and small simulations written out in NumPy."""

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.errors import ModelError, ParameterError, StateError
from spikeloom.sim.footprint import memory

ALL = sl.sim.all_to_all()
CELL = sl.LIF(tau=10.0, v_threshold=10.0, reset_mechanism="value")
CHEMICAL = sl.Conductance(sl.Exponential(tau=3.0), e=60.0)


def test_initial_values_are_not_taken_too_late():
    """They were accepted after the first run, and had no effect."""
    net = sl.sim.Network(dt=0.1)
    cells = net.population(CELL, 3, "cells")
    cells.set(v=1.0)
    net.run(1.0)
    with pytest.raises(ParameterError, match="has its initial values already"):
        cells.set(v=9.0)


def test_synapses_beside_gap_junctions_get_a_name():
    """The default name was that of the gap junctions, which was then refused."""
    net = sl.sim.Network(dt=0.1)
    cells = net.population(CELL, 3, "cells")
    net.connect(cells, cells, ALL, weight=0.1, synapse=sl.GapJunction())
    net.connect(cells, cells, ALL, weight=0.1, synapse=sl.GapJunction())
    assert net.connect(cells, cells, ALL, weight=0.1).name == "cells to cells (3)"


@pytest.mark.parametrize("model", [sl.With(CELL, g=CHEMICAL), sl.Refractory(sl.With(CELL, g=CHEMICAL), t_ref=1.0)])
@pytest.mark.parametrize("way", ["connect", "drive"])
def test_conductances_of_a_model_are_not_negative_either(model, way):
    """Only those that a connection brought were looked at."""
    net = sl.sim.Network(dt=0.1)
    cells = net.population(model, 3, "cells")
    if way == "connect":
        net.connect(cells, cells, ALL, weight=-1.0, into="g")
    else:
        net.drive(cells, sl.sim.poisson(100.0), weight=np.array([1.0, -1.0, 0.0]), into="g")
    with pytest.raises(ParameterError, match="weight of a conductance"):
        net.run(1.0)


@pytest.mark.parametrize("changes", [{"tau_recovery": 100.0}, {"u_release": 0.1}])
def test_a_state_is_that_of_synapses_with_the_same_memory(tmp_path, changes):
    """Parameters of short-term plasticity were not compared."""

    def network(**values):
        net = sl.sim.Network(dt=0.1)
        cells, source = net.population(CELL, 3, "cells"), net.poisson(100.0, 3, "source")
        net.connect(source, cells, ALL, weight=1.0, synapse=sl.TsodyksMarkram(sl.Exponential(tau=3.0), **values))
        return net

    net = network()
    net.run(1.0)
    path = net.save(tmp_path)
    network().restore(path)
    with pytest.raises(StateError, match="another network"):
        network(**changes).restore(path)


def test_memory_counts_what_edges_remember():
    """Each edge of TsodyksMarkram keeps u, x, the step of its latest spike, and parameters that vary."""

    def needed(synapse, **vary):
        net = sl.sim.Network(dt=0.1)
        cells = net.population(CELL, 1000, "cells")
        return memory(net.connect(cells, cells, ALL, weight=1.0, synapse=synapse, vary=vary or None), 4).held

    plain, plastic = sl.Exponential(tau=3.0), sl.TsodyksMarkram(sl.Exponential(tau=3.0))
    assert needed(plain) == 0.0
    assert needed(plastic) == 1e6 * (4 + 4 + 4)
    assert needed(plastic, u_release=sl.sim.uniform(0.1, 0.9)) - needed(plastic) == 1e6 * 4


def test_who_never_fires_is_not_connected():
    """Such a connection did nothing, and nobody said so."""
    net = sl.sim.Network(dt=0.1)
    readout, cells = net.population(sl.LI(), 3, "readout"), net.population(CELL, 3, "cells")
    with pytest.raises(ModelError, match="never fires"):
        net.connect(readout, cells, ALL, weight=1.0)
    net.connect(readout, cells, ALL, weight=1.0, synapse=sl.GapJunction())


@pytest.mark.parametrize(
    ("delays", "threads", "chunk"),
    [((7.0,), 3, 1), ((6.3, (8.0, 40.0)), 2, 64), (((6.5, 30.0), 50.0, 90.0), 5, 33), (((0.1, 60.0), 0.1), 4, 7)],
)  # fmt: skip
def test_long_and_mixed_delays_equal_a_plain_loop(delays, threads, chunk, monkeypatch):
    """Several projections into one port, delays around the longest window (64 steps) and beyond the run."""
    monkeypatch.setattr("spikeloom.sim.engine.Engine.most_steps", lambda engine: chunk)
    net, n, steps = sl.sim.Network(dt=0.1, seed=2, dtype="float64"), 65, 700
    cells = net.population(CELL.replace(v_reset=1.0), n, "cells")
    v, current = np.linspace(0.0, 9.0, n), np.linspace(9.0, 12.0, n)
    cells.set(v=v)
    net.inject(cells, current)
    rule, weight = sl.sim.fixed_probability(0.3), sl.sim.uniform(-1.0, 2.0)
    made = []
    for k, given in enumerate(delays):
        delay = sl.sim.uniform(*given) if isinstance(given, tuple) else given
        made.append(net.connect(cells, cells, rule, weight=weight, delay=delay, into="v", name=f"p{k}"))
    trains = net.run(steps * 0.1, threads=threads).spikes["cells"]
    lags = [np.broadcast_to(p.steps, (p.size,)).astype(int) for p in made]
    arriving, fired = np.zeros((2 * steps + 300, n)), []
    for step in range(steps):
        v = current + (v - current) * np.exp(-0.1 / 10.0) + arriving[step]
        now = np.flatnonzero(v >= 10.0)
        v[now] = 1.0
        fired += [(step + 1, int(source)) for source in now]
        for p, lag, source in ((p, lag, source) for p, lag in zip(made, lags, strict=True) for source in now):
            row = slice(p.edges.starts[source], p.edges.starts[source + 1])
            np.add.at(arriving, (step + lag[row], p.edges.targets[row]), p.weights[row])
    assert len(fired) > 100
    assert list(zip(np.rint(trains.times / 0.1).astype(int).tolist(), trains.neurons.tolist(), strict=True)) == fired


def test_neurons_with_thresholds_of_their_own_may_send() -> None:
    """To connect them raised TypeError. A spike brings back 1/8: enough for a threshold of 1/8, not of 4/8."""
    found = []
    for backend in ("cpu", "reference"):
        net = sl.sim.Network(dt=1.0, seed=1, dtype="float64")
        cells = net.population(sl.IF(v_threshold=np.arange(1, 5) / 8, reset_mechanism="value"), 4, "cells")
        net.connect(cells, cells, sl.sim.one_to_one(), weight=1 / 8, delay=1.0)
        cells.set(v=np.array([1, 1, 2, 4]) / 8)
        with sl.backend(backend):
            spikes = net.run(3.0).spikes["cells"]
        found.append((spikes.times.tolist(), spikes.neurons.tolist()))
    assert found == [([1.0, 1.0, 2.0, 3.0], [0, 3, 0, 0])] * 2
