"""Pictures of a network's result: every spike in its place, whole bins, and what is left out is said."""

from __future__ import annotations

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.errors import ParameterError
from spikeloom.sim import Result, SpikeTrains


def result_of(*trains: tuple[str, SpikeTrains]) -> Result:
    end = trains[0][1].end
    return Result(dict(trains), {}, 0.0, end, 0.1, True, 1.0, 0)


def regular(size: int, steps: int, every: int) -> SpikeTrains:
    """All neurons fire in every ``every``-th step."""
    times = np.repeat(np.arange(0, steps, every), size)
    neurons = np.tile(np.arange(size, dtype=np.int32), len(times) // size)
    return SpikeTrains.from_steps(times, neurons, 0.1, size, 0.0, steps * 0.1)


def test_every_spike_is_a_dot_in_the_panel_of_its_group():
    a = SpikeTrains.of_arrays([1.0, 2.0, 2.0], [0, 1, 2], 3, 0.0, 10.0)
    b = SpikeTrains.of_arrays([5.0], [1], 2, 0.0, 10.0)
    figure = sl.plot.raster(result_of(("a", a), ("b $x", b)), title="two")
    top, bottom = figure.axes
    assert list(zip(*(np.asarray(v).tolist() for v in top.lines[0].get_data()), strict=True)) == [
        (1, 0),
        (2, 1),
        (2, 2),
    ]
    assert bottom.lines[0].get_xydata().tolist() == [[5.0, 1.0]]
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["a", "b $x"]
    assert bottom.get_xlabel() == "time (ms)"
    assert bottom.get_xlim() == (0.0, 10.0)
    assert figure.get_suptitle() == "two"


def test_what_is_left_out_is_said():
    figure = sl.plot.raster(result_of(("many", regular(5000, 10_000, 10))), title="big")
    (ax,) = figure.axes
    # 400 of 5,000 neurons, 100 of their 1,000 spikes each.
    assert len(ax.lines[0].get_xdata()) == 40_000
    shown = np.unique(ax.lines[0].get_ydata())  # under their own numbers
    assert (len(shown), shown[0], shown[-1]) == (400, 0, 4999)
    assert ax.get_title(loc="left") == "many (400 of 5,000)"
    assert figure.get_suptitle() == "big: the last 99.9 of 1,000 ms"


@pytest.mark.parametrize("bin", [0.3, 0.7, 1.0, 5.0])
def test_rates_have_no_wrong_bins(bin):
    # One spike a step and neuron is 10 kHz in any bin, however the edges round.
    figure = sl.plot.population_rates(result_of(("all", regular(3, 9_999, 1))), bin=bin)
    shown = figure.axes[0].patches[0].get_data()
    assert np.allclose(shown.values, 10_000.0)
    assert len(shown.values) == int(999.9 / bin + 1e-6)
    assert figure.axes[0].get_ylabel() == "rate (Hz)"


def test_a_run_that_was_stopped_at_once():
    short = result_of(("a", SpikeTrains.of_arrays([0.1], [0], 1, 0.0, 0.2)))
    assert not sl.plot.population_rates(short).axes[0].patches
    assert len(sl.plot.raster(short).axes[0].lines[0].get_xdata()) == 1


def test_parts_of_a_network_result_are_refused_with_what_to_draw_instead():
    net = sl.sim.Network()
    cells = net.population(sl.LIF(tau=10.0), 2, "cells")
    net.record(cells, "v")
    result = net.run(1.0)
    for part in (result, result.states["cells"], result.states["cells"]["v"]):
        with pytest.raises(ParameterError, match=r"trace: got a \w+, expected .* recorded.values"):
            sl.plot.trace(part)
    for part in (result.spikes["cells"], result.spikes):
        with pytest.raises(ParameterError, match=r"Give the whole result .*raster\(result\)"):
            sl.plot.raster(part)
