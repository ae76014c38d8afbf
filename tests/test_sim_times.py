"""Spikes with times between the points of the grid: interpolated ones."""

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.errors import FileError, ModelError
from spikeloom.solvers import RK4, DormandPrince, Interpolated

from .test_sim_engine import CELL, spikes

CURRENTS = np.linspace(18.0, 25.0, 40)


def network(solver, dtype="float64"):
    """Neurons of three kinds that excite each other, driven by noise, Poisson input and a current."""
    net = sl.sim.Network(dt=0.1, seed=5, dtype=dtype)
    e = net.population(sl.Peak(CELL, v_peak=30.0), 70, "e", solver=solver)
    i = net.population(sl.Izhikevich(), 21, "i", solver=solver)
    n = net.population(sl.Noisy(sl.LIF(tau=10.0), sigma_noise=0.3), 15, "n", solver=solver)
    plain = net.population(CELL, 30, "plain")
    e.set(v=sl.sim.uniform(0.0, 10.0))
    some = sl.sim.fixed_probability(0.2)
    net.connect(e, i, some, weight=3.0, delay=0.5, synapse=sl.Exponential(tau=5.0))
    net.connect(e, plain, some, weight=2.0, delay=sl.sim.uniform(0.2, 1.5))
    net.connect(plain, e, some, weight=0.05, delay=0.3)
    net.connect(e, n, some, weight=0.2, synapse=sl.GapJunction())
    net.drive(e, sl.sim.poisson(300.0), weight=0.1, into="v")
    net.inject(e, 18.0)
    net.inject(i, 10.0)
    net.record(e, "v")
    return net


def test_a_single_crossing_is_of_second_order():
    exact, errors = 10.0 * np.log(CURRENTS / (CURRENTS - 15.0)), []
    for dt in (1.0, 0.5, 0.25, 0.125):
        net = sl.sim.Network(dt=dt, dtype="float64")
        cells = net.population(sl.LIF(tau=10.0, v_threshold=15.0), 40, "cells", solver=Interpolated())
        net.inject(cells, CURRENTS)
        found = net.run(20.0).spikes["cells"]
        errors.append(np.abs([found.of(k)[0] - exact[k] for k in range(40)]).max())
    np.testing.assert_allclose(np.array(errors[:-1]) / errors[1:], 4.0, rtol=0.02)
    # of a line through exp(-t/tau) the error is at most h^2/8 v'' / v' = h^2 / (8 tau)
    assert errors[0] < 1.0 / 80.0


def test_a_model_without_a_reset_crosses_where_an_adaptive_solver_finds_it():
    exact, errors = sl.simulate(sl.HodgkinHuxley(), 10.0, 40.0, 0.05, solver=DormandPrince()).spike_times, []
    for dt in (0.02, 0.005):
        net = sl.sim.Network(dt=dt, dtype="float64")
        cells = net.population(sl.HodgkinHuxley(), 1, "cells", solver=Interpolated())
        net.inject(cells, 10.0)
        found = net.run(40.0).spikes["cells"].times
        assert len(found) == len(exact) == 3
        errors.append(np.abs(found - exact).max())
    assert errors[0] < 1e-3
    assert errors[1] < errors[0] / 8.0


def test_what_makes_a_neuron_cross_at_the_end_of_a_step_does_so_there():
    net = sl.sim.Network(dt=0.1, dtype="float64")
    source = net.spikes([1.0], [0], 1, "source")
    cells = net.population(CELL, 1, "cells", solver=Interpolated())
    net.connect(source, cells, sl.sim.one_to_one(), weight=12.0, delay=0.5)
    assert net.run(5.0).spikes["cells"].times == pytest.approx([1.5], abs=1e-12)


def test_a_neuron_that_is_above_from_the_start_fires_there():
    net = sl.sim.Network(dt=0.1, dtype="float64")
    net.population(CELL, 1, "cells", solver=Interpolated()).set(v=11.0)
    assert net.run(5.0).spikes["cells"].times.tolist() == [0.0]


def test_a_random_threshold_is_reached_where_its_hazard_is():
    """At a constant rate r a step's spike comes after s with the distribution (1 - exp(-r s)) / (1 - exp(-r dt))."""
    net = sl.sim.Network(dt=2.0, seed=2, dtype="float64")
    rate = 1.3
    net.population(
        sl.EscapeRate(sl.LIF(v_threshold=0.0, reset_mechanism="none"), rate=rate), 1000, "cells", solver=Interpolated()
    )
    times = net.run(2.0).spikes["cells"].times
    at = np.sort(times)
    expected = (1.0 - np.exp(-rate * at)) / (1.0 - np.exp(-rate * 2.0))
    assert len(at) > 850
    assert np.abs(expected - np.arange(1, len(at) + 1) / len(at)).max() < 1.63 / np.sqrt(len(at))  # Kolmogorov, 1 %


@pytest.mark.parametrize(("dtype", "strict"), [("float64", True), ("float32", False)])
def test_nothing_else_changes(dtype, strict):
    """Steps, neurons and states are those of the grid, to the last bit; times lie within their steps."""
    with sl.backend("cpu", strict=strict):
        grid, between = network(None, dtype).run(50.0), network(Interpolated(), dtype).run(50.0)
    for name, on in grid.spikes.items():
        off = between.spikes[name]
        order = np.lexsort((off.neurons, np.ceil(off.times / 0.1 - 1e-6)))
        ahead = on.times - off.times[order]
        assert len(on) > 20
        assert np.array_equal(on.neurons, off.neurons[order])
        assert ahead.min() > -1e-12
        assert ahead.max() < 0.1 + 1e-12
        assert (np.diff(off.times) >= 0.0).all()
        if name == "plain":
            assert np.array_equal(on.times, off.times)
        else:
            assert np.mean(ahead > 1e-6) > 0.3
    assert np.array_equal(grid.states["e"]["v"].values, between.states["e"]["v"].values)


def test_equals_the_reference():
    sl.last_kernels()
    with sl.backend("cpu", strict=True):
        fast = network(Interpolated()).run(20.0)
        assert "propagate/cpu" in sl.last_kernels()
    with sl.backend("reference"):
        slow = network(Interpolated()).run(20.0)
        assert "propagate/reference" in sl.last_kernels()
    for name, found in fast.spikes.items():
        assert found.neurons.tolist() == slow.spikes[name].neurons.tolist()
        assert len(found)
        np.testing.assert_allclose(found.times, slow.spikes[name].times, rtol=1e-12)


@pytest.mark.parametrize("threads", [2, 3])
def test_any_threads_and_any_splitting_give_the_same_bits(threads, tmp_path):
    whole, net = network(Interpolated(), "float32").run(40.0, threads=1), network(Interpolated(), "float32")
    pieces = [net.run(length, threads=n) for length, n in ((0.1, threads), (0.1, 1), (7.4, threads), (3.3, 1))]
    net.save(tmp_path / "state.json")
    other = network(Interpolated(), "float32")
    other.restore(tmp_path / "state.json")
    assert spikes(whole) == spikes(*pieces, other.run(29.1, threads=threads))


def test_files_of_spikes_keep_the_times(tmp_path):
    whole = network(Interpolated()).run(30.0)
    with sl.sim.SpikeWriter(tmp_path / "run.spikes") as writer:
        net = network(Interpolated())
        net.run(12.0, spikes=writer)
        assert not net.run(18.0, spikes=writer).spikes
    assert spikes(sl.sim.read_spikes(tmp_path / "run.spikes")) == spikes(whole)
    part = sl.sim.read_spikes(tmp_path / "run.spikes", begin=10.0, end=20.0)
    assert part.spikes["e"].times.tolist() == whole.spikes["e"].window(10.0, 20.0).times.tolist()
    data = bytearray((tmp_path / "run.spikes").read_bytes())
    data[-200] ^= 1
    (tmp_path / "bad.spikes").write_bytes(data)
    with pytest.raises(FileError, match="damaged"):
        sl.sim.read_spikes(tmp_path / "bad.spikes")


def test_what_does_not_fit():
    for base in (Interpolated(), DormandPrince(), RK4):
        with pytest.raises(ModelError, match="Interpolated goes around a solver on the grid"):
            Interpolated(base)
    with pytest.raises(ModelError, match="population cells cannot have this solver"):
        sl.sim.Network().population(CELL, 1, "cells", solver=DormandPrince())
