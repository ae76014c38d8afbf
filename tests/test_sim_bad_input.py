"""What the issue lists as bad input of a network: each is a clear error, after which the network is as it was."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.errors import ModelError, ParameterError, ShapeError
from spikeloom.sim.groups import Population
from spikeloom.sim.network import Network

CELL = sl.LIF(tau=10.0, v_threshold=10.0, reset_mechanism="value")
ALL = sl.sim.all_to_all()
GABA = sl.Conductance(sl.Exponential(tau=5.0), e=-80.0)
Do = Callable[[Network, Population], object]


def small(dt: float = 0.1) -> tuple[Network, Population]:
    net = sl.sim.Network(dt=dt, seed=3)
    cells = net.population(CELL, 10, "cells")
    net.drive(cells, sl.sim.poisson(3000.0), weight=1.0)
    net.connect(cells, cells, ALL, weight=0.2, name="own")
    return net, cells


def other() -> Population:
    return small()[1]


AT_ONCE: list[tuple[Do, type[Exception], str]] = [
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, delay=0.0), ParameterError,
     "cells to cells: delay: got 0 ms, expected >= dt = 0.1 ms. A spike takes at least one step"),
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, delay=0.04, synapse=GABA), ParameterError,
     "delay: got 0.04 ms, expected >= dt = 0.1 ms"),
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, delay=-1.0), ParameterError, "delay: got -1 ms, expected >= dt"),
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, delay=float("nan")), ParameterError, "delay: got nan ms"),
    (lambda n, c: n.population(CELL, 0, "none"), ParameterError,
     "size of none: got 0, expected a whole number from 1 to 2147483647"),
    (lambda n, c: n.poisson(3.0, 0, "none"), ParameterError, "size of none: got 0"),
    (lambda n, c: n.connect(c, c, ALL, weight=float("nan"), synapse=GABA), ParameterError,
     "cells to cells: weight: got NaN or infinity, expected a finite number"),
    (lambda n, c: n.drive(c, sl.sim.poisson(1.0), weight=float("nan")), ParameterError,
     "poisson into cells (2): weight: got NaN or infinity, expected finite numbers"),
    (lambda n, c: n.connect(c, other(), ALL, weight=1.0), ParameterError,
     "is not of this network. Connect groups that this network made; networks cannot be connected with each other"),
    (lambda n, c: n.drive(other(), sl.sim.poisson(1.0), weight=1.0), ParameterError, "is not of this network"),
    (lambda n, c: n.inject(other(), 1.0), ParameterError, "is not of this network"),
    (lambda n, c: n.record(other(), "v"), ParameterError, "is not of this network"),
    (lambda n, c: n.inject("cells", 1.0), ParameterError, "group: got 'cells', expected what net.population, "
     "net.poisson or net.spikes returned. Use net.groups['cells']."),
    (lambda n, c: n.inject([c], 1.0), ParameterError, "returned. Give the object itself."),
    (lambda n, c: n.inject(c, sl.sim.poisson(9000.0)), ParameterError,
     "current into i of cells: got poisson(rate=9000.0), expected a number, [N], a function of the times or "
     "sl.sim.noise(sd). Spikes come by net.drive(population, sl.sim.poisson(rate), weight=...)."),
    (lambda n, c: n.inject(c, sl.sim.poisson), ParameterError, "got the function sl.sim.poisson, expected a number"),
    (lambda n, c: n.inject(c, sl.sim.noise), ParameterError,
     "got the function sl.sim.noise, expected a number, [N], a function of the times or sl.sim.noise(sd). "
     "Call it: sl.sim.noise(sd=1.0)."),
    (lambda n, c: n.inject(c, "x"), ParameterError, "current into i of cells: got 'x', expected a number, [N], "),
    (lambda n, c: n.inject(c, "5"), ParameterError, "got '5', expected a number"),
    (lambda n, c: n.inject(c, None), ParameterError, "got None, expected a number"),
    (lambda n, c: n.inject(c, [[1.0], [1.0, 2.0]]), ParameterError, "got [[1.0], [1.0, 2.0]], expected a number"),
    (lambda n, c: n.inject(c, lambda: 1.0), ParameterError, "got a function: too many positional arguments, expected a "
     "number, [N], a function of the times or sl.sim.noise(sd). Write it as lambda t: ..."),
    (lambda n, c: n.inject(c, 1.0, into=3), ModelError, "population cells has no input 3. Known: i."),
    (lambda n, c: n.connect(c, c, ALL, weight="1"), ParameterError, "cells to cells: weight: got '1', expected a "
     "number, [E] or a distribution. Give plain numbers."),
    (lambda n, c: n.connect(c, c, ALL), ParameterError, "cells to cells: weight: got none, expected a number, [E] or a "
     "distribution. Give weight=0.5, say"),
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, delay=float("inf")), ParameterError, "dt = 0.1 ms, finite"),
    (lambda n, c: n.run(1e30), ParameterError, "duration: got 1e+30, expected a time from dt = 0.1 ms to 2.14748e+09 "),
    (lambda n, c: n.run(None), ParameterError, "duration: got None"),
    (lambda n, c: c.set(v="a"), ParameterError, "v of cells: got 'a', expected a number, [10] or a distribution"),
    (lambda n, c: c.set(v=None), ParameterError, "v of cells: got None"),
    (lambda n, c: c.set(v=sl.sim.uniform), ParameterError, "v of cells: got "),
    (lambda n, c: n.population(CELL, 1, "odd", positions=["a"]), ParameterError, "positions of odd: got ['a']"),
    (lambda n, c: n.spikes("a", [5], 1, "odd"), ParameterError, "times of odd: got 'a', expected numbers"),
    (lambda n, c: n.spikes([], [[1], [2, 3]], 1, "odd"), ShapeError, "times and neurons of odd: got (0,) and (1,)"),
    (lambda n, c: n.groups["cell"], ParameterError, "there is no group 'cell'. Did you mean cells?"),
    (lambda n, c: n.projections["on"], ParameterError, "there is no connection 'on'. Did you mean own?"),
    (lambda n, c: n.record(c, "v", neurons=[[1], [2, 3]]), ParameterError, "got [[1], [2, 3]], expected whole numbers"),
    (lambda n, c: n.record(c, "v", neurons="all"), ParameterError,
     "neurons of cells to record: got 'all', expected whole numbers from 0 to 9, or None for all"),
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, delay=[None]), ParameterError, "cells to cells: delay: got [None]"),
    (lambda n, c: n.inject(c, sl.sim.noise(sd="5")), ParameterError,
     "sd of noise into i of cells: got '5', expected numbers. Give plain numbers in pA."),
    (lambda n, c: n.drive(c, sl.sim.poisson("5"), weight=1.0), ParameterError, "got '5', expected numbers. Give plain "
     "numbers in Hz."),
    (lambda n, c: n.drive(c, sl.sim.poisson(5.0), weight="1"), ParameterError, "weight: got '1', expected numbers"),
    (lambda n, c: n.population(CELL, 3, "cells"), ParameterError,
     "the name 'cells' is taken. Names are unique: random numbers follow from them"),
    (lambda n, c: n.poisson(3.0, 3, "cells"), ParameterError, "the name 'cells' is taken"),
    (lambda n, c: n.spikes([1.0], [0], 1, "cells"), ParameterError, "the name 'cells' is taken"),
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, name="own"), ParameterError, "the name 'own' is taken"),
    (lambda n, c: n.record(c, ["v", "i"]), ModelError, "has no state ['v', 'i'] to record. Record one state at a time"),
    (lambda n, c: n.record(c, "v", every=10**30), ParameterError, "every: got 1000000000000000000000000000000, "),
    (lambda n, c: n.population(CELL, "5", "odd"), ParameterError, "size of odd: got '5', expected a whole number"),
    (lambda n, c: n.record(c, "vv"), ModelError, "population cells has no state 'vv' to record. Did you mean v?"),
    (lambda n, c: n.record(c, "v", neurons=[10]), ParameterError,
     "neurons of cells to record: got 10 to 10, expected whole numbers from 0 to 9"),
    (lambda n, c: n.record(n.projections["own"], "w"), ParameterError, "weights of own never change"),
]  # fmt: skip


@pytest.mark.parametrize(("do", "error", "text"), AT_ONCE, ids=[text[:30] for *_, text in AT_ONCE])
def test_it_is_refused_at_once_and_nothing_is_lost(do: Do, error: type[Exception], text: str) -> None:
    plain, (net, cells) = small()[0].run(20.0), small()
    with pytest.raises(error) as told:
        do(net, cells)
    assert text in str(told.value)
    assert (list(net.groups), list(net.projections), cells.synapses) == (["cells"], ["own"], {})
    found = net.run(20.0)
    assert len(plain.spikes["cells"]) > 10
    np.testing.assert_array_equal(found.spikes["cells"].times, plain.spikes["cells"].times)
    np.testing.assert_array_equal(found.spikes["cells"].neurons, plain.spikes["cells"].neurons)


def test_tensors_are_as_good_as_arrays() -> None:
    found = []
    for as_given in (torch.as_tensor, np.asarray, list):
        net = sl.sim.Network(dt=0.1, seed=3)
        a, b = net.spikes([1.0, 2.0], [0, 1], 2, "a"), net.population(CELL, 2, "b")
        net.connect(a, b, ALL, weight=as_given([1.0, 2.0, 3.0, 4.0]), delay=as_given([0.1, 0.2, 0.3, 0.4]))
        net.record(b, "v")
        found.append(net.run(4.0).states["b"]["v"].values)
    assert found[0].any()
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


BEFORE_IT_RUNS: list[tuple[Do, str]] = [
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, delay=sl.sim.uniform(0.0, 1.0)), "cells to cells: delay: got 0.0"),
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, delay=np.full(100, 0.02)), "got 0.02 ms, expected >= dt = 0.1 ms"),
    (lambda n, c: n.connect(c, c, ALL, weight=np.r_[np.ones(99), np.nan]), "weight: got NaN or infinity"),
    (lambda n, c: n.connect(c, c, ALL, weight=-1.0, synapse=GABA),
     "cells to cells: weight of a conductance: got -1.0, expected >= 0. An inhibitory synapse has a positive "),
    (lambda n, c: n.connect(c, c, ALL, weight=sl.sim.normal(0.1, 1.0), synapse=GABA), "weight of a conductance: got -"),
    (lambda n, c: n.connect(c, c, ALL, weight=-1.0, synapse=sl.GapJunction()), "weight of a gap junction: got -1.0"),
]  # fmt: skip


@pytest.mark.parametrize(("do", "text"), BEFORE_IT_RUNS, ids=[text[:30] for _, text in BEFORE_IT_RUNS])
def test_what_edges_bring_is_refused_before_a_step_is_made(do: Do, text: str) -> None:
    net, cells = small()
    do(net, cells)
    for attempt in (net.prepare, lambda: net.run(1.0)):
        with pytest.raises(ParameterError) as told:
            attempt()
        assert text in str(told.value)
    assert net.time == 0.0


@pytest.mark.parametrize("rubbish", ["x", None, sl.sim.noise(1.0)], ids=repr)
def test_functions_that_return_no_numbers_are_told_apart_from_currents(rubbish: object) -> None:
    net, cells = small()
    net.inject(cells, lambda times: rubbish)
    with pytest.raises(ParameterError) as told:
        net.run(1.0)
    text = f"current into i of cells, from its function: got {rubbish!r}, expected numbers: one, [T] or [T, N]. Give"
    assert text in str(told.value)


def test_sources_take_no_current() -> None:
    net, _ = small()
    with pytest.raises(ParameterError, match=r"expected a population[.] Sources only send"):
        net.inject(net.poisson(3.0, 2, "source"), 1.0)  # type: ignore[arg-type]


def test_a_delay_that_is_no_multiple_is_rounded_and_said() -> None:
    net, cells = small()
    rounded = net.connect(cells, cells, ALL, weight=1.0, delay=0.26, name="late")
    with pytest.warns(
        UserWarning, match="late: a delay of 0.26 ms is no multiple of dt = 0.1 ms; it is rounded to 0.3"
    ):
        net.prepare()
    assert rounded.steps.tolist() == [3]


AFTER_A_RUN: list[tuple[Callable[[sl.sim.Network, sl.sim.Result], object], str]] = [
    (lambda n, r: r.spikes["cels"], "there is no group 'cels'. Did you mean cells?"),
    (lambda n, r: r.states["cells"]["u"], "there is no recorded state of cells 'u'. Known: v."),
    (lambda n, r: r.states["exc"], "there is no group with recorded states 'exc'. Known: cells."),
    (lambda n, r: sl.sim.statistics.cv(5), "spike trains: got int, expected SpikeTrains. Take those of a group"),
    (lambda n, r: sl.sim.statistics.binned("a", 1.0), "spike trains: got str"),
    (lambda n, r: r.spikes["cells"].window("a", 1), "a stretch of time: got 'a' to 1, expected two numbers in ms"),
    (lambda n, r: n.save(5), "path: got 5, expected a text or a pathlib.Path"),
    (lambda n, r: r.save(None), "path: got None, expected a text or a pathlib.Path"),
    (lambda n, r: n.run(1.0, progress=5), "progress: got 5, expected a function of simulated ms"),
    (lambda n, r: n.run(1.0, spikes="x.h5"), "spikes: got 'x.h5', expected a sl.sim.SpikeWriter(path)"),
    (lambda n, r: sl.sim.from_frame(5), "from_frame: got int, expected a pandas or polars frame, or a dict of arrays"),
]


@pytest.mark.parametrize(("do", "text"), AFTER_A_RUN, ids=[text[:30] for _, text in AFTER_A_RUN])
def test_results_say_what_they_have(do: Callable[[sl.sim.Network, sl.sim.Result], object], text: str) -> None:
    net, cells = small()
    net.record(cells, "v")
    result = net.run(20.0)
    with pytest.raises(ParameterError) as told:
        do(net, result)
    assert text in str(told.value)
    assert net.time == 20.0


def test_what_is_printed_is_short() -> None:
    net, _ = small()
    result = net.run(20.0)
    assert repr(net) == "<Network of 10 neurons in 1 groups, 1 connections, dt 0.1 ms, at 20 ms>"
    count = len(result.spikes["cells"])
    assert repr(result) == f"<Result of 0 to 20 ms: cells ({count} spikes)>"
    assert repr(result.spikes["cells"]) == f"<SpikeTrains: {count} spikes of 10 neurons, 0 to 20 ms>"
    assert str(result) == result.summary()
    assert pickle.loads(pickle.dumps(result)).spikes["cells"].size == 10


TM = sl.TsodyksMarkram(sl.Exponential(tau=3.0))


def releasing(n: Network, c: Population, **vary: Any) -> None:
    n.connect(c, c, ALL, weight=1.0, synapse=TM, vary=vary)
    n.prepare()


def refractory(n):
    return n.population(sl.Refractory(CELL), 3, "refractory")


BROUGHT = sl.sim.from_pairs([0], [1], delays=[2.0])
WEIGHED = sl.sim.from_pairs([0], [1], weights=[2.0])
WRONG_NUMBERS: list[tuple[Do, str]] = [
    (
        lambda n, c: sl.TsodyksMarkram(sl.Exponential(), u_release=5.0),
        "u_release is out of range: got 5, expected <= 1",
    ),
    (
        lambda n, c: sl.Depression(sl.Exponential(), u_release=1.5),
        "u_release is out of range: got 1.5, expected <= 1",
    ),
    (lambda n, c: releasing(n, c, u_release=-0.5), "u_release is out of range: got -0.5, expected >= 0"),
    (lambda n, c: releasing(n, c, u_release=sl.sim.normal(0.5, 0.5)), "u_release is out of range: got"),
    (lambda n, c: releasing(n, c, tau_recovery=0.0), "tau_recovery is out of range: got 0 ms, expected > 0 ms"),
    (lambda n, c: releasing(n, c, tau_facilitation="a"), "tau_facilitation: got 'a', expected numbers"),
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, synapse=TM, vary=5), "vary: got 5, expected a dictionary"),
    (lambda n, c: n.inject(c, 1e300), "current into i of cells: got 1e+300, expected numbers between -3.40282e+38 and"),
    (lambda n, c: (n.connect(c, c, ALL, weight=-1e300), n.prepare()), "weight: got -1e+300, expected numbers between"),
    (lambda n, c: n.spikes([1e300], [0], 1, "s"), "times of s: got 1e+300, expected numbers between"),
    (
        lambda n, c: (n.inject(c, lambda t: 5 if t > 1 else 0), n.run(1.0)),
        "expected one of an array of times [T] in ms",
    ),
    (lambda n, c: (n.inject(c, lambda t: math.sin(t)), n.run(1.0)), "Write np.sin(x) for math.sin(x)"),
    (
        lambda n, c: (n.drive(c, sl.sim.poisson(lambda t: float(t)), weight=1.0), n.run(1.0)),
        "got a function that fails",
    ),
    (lambda n, c: n.run(1.0, threads=True), "threads: got True"),
    (lambda n, c: n.connect(c, c, BROUGHT, weight=1.0, delay=7.0), "delays are given twice. Leave out delay=, or"),
    (lambda n, c: n.connect(c, c, BROUGHT, weight=1.0, delay=sl.sim.Delay(1.0, 2.0)), "delays are given twice"),
    (lambda n, c: n.connect(c, c, WEIGHED, weight=1.0), "weights are given twice. Leave out weight=, or the weights"),
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, synapse=sl.GapJunction(g=0.5)), "conductances are given twice"),
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, synapse=sl.GapJunction(), into="v"), "into of a gap junction: got"),
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, synapse=sl.GapJunction(), vary={"g": 1}), "vary of a gap junction"),
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, synapse=sl.GapJunction(), delay=1.0), "delay of a gap junction"),
    (lambda n, c: n.connect(c, c, ALL, weight=1.0, name=3), "name of a connection: got 3, expected a text"),
    (lambda n, c: c.set(v=1e39), "v of cells: got 1e+39, expected numbers between"),
    (lambda n, c: (refractory(n).set(remaining=sl.sim.uniform(-2.0, -1.0)), n.run(1.0)), "at least 0 ms"),
    (lambda n, c: n.population(CELL, 2, "odd", positions=[1.0, 2.0] * sl.ms), "positions of odd: got numbers in ms"),
    (lambda n, c: n.population(CELL, 2, "odd", solver="exact"), "solver of population odd: got 'exact', expected one"),
    (lambda n, c: n.poisson(5.0, 2, "odd", correlation="x"), "correlation of odd: got 'x', expected a number from 0"),
    (lambda n, c: (n.spikes([1e18], [0], 1, "s"), n.run(1.0)), "times of s: got 1e+18 ms, expected at most"),
    (lambda n, c: sl.sim.Delay([1.0, "a"]), "axonal part of a delay: got [1.0, 'a'], expected finite times"),
    (lambda n, c: sl.sim.Delay(1.0, [[1.0], [2.0, 3.0]]), "dendritic part of a delay: got [[1.0], [2.0, 3.0]]"),
    (
        lambda n, c: (n.inject(c, lambda t: np.arange(10.0)), n.run(1.0)),
        "from its function: got [10], expected a number",
    ),
    (lambda n, c: n.run(True), "duration: got True"),
]


@pytest.mark.parametrize(("do", "text"), WRONG_NUMBERS, ids=[text[:30] for _, text in WRONG_NUMBERS])
def test_numbers_out_of_range_are_refused(do: Do, text: str) -> None:
    with pytest.raises((ParameterError, ShapeError)) as told:
        do(*small())
    assert text in str(told.value)


def test_numbers_of_numpy_and_torch_are_numbers() -> None:
    net = sl.sim.Network(dt=np.float64(0.1), seed=np.int64(3))
    cells = net.population(CELL, 10, "cells")
    net.record(cells, "v", every=np.int64(2))
    for duration in (np.int64(5), np.float32(5.0), torch.tensor(5.0)):
        net.run(duration, threads=np.int32(1))
    assert net.time == pytest.approx(15.0)
