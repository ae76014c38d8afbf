"""A network that is saved and restored goes on to the last bit, with spikes under way, on other threads."""

import json

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.errors import FileError, StateError
from spikeloom.sim import build
from spikeloom.sim.state import arrays_of, restore
from spikeloom.solvers import Interpolated

from .test_sim_engine import CELL, everything, spikes


@pytest.mark.parametrize(("first", "second"), [(1, 2), (3, 1)])
def test_two_halves_with_a_file_between_are_one_run(tmp_path, first, second):
    whole = everything("float32").run(40.0, threads=1)
    net = everything("float32")
    one = net.run(17.3, threads=first)
    net.save(tmp_path / "middle.json")
    other = everything("float32")
    other.restore(tmp_path / "middle.json")
    assert other.time == pytest.approx(17.3)
    two = other.run(22.7, threads=second)
    assert spikes(whole) == spikes(one, two)
    joined = [r.states["e"]["i_alpha"].values for r in (one, two)]
    assert np.array_equal(whole.states["e"]["i_alpha"].values, np.concatenate(joined))


def test_saving_does_not_disturb(tmp_path):
    whole, net = everything().run(20.0), everything()
    pieces = []
    for _ in range(4):
        pieces.append(net.run(5.0))
        net.save(tmp_path / "state.json")
    assert spikes(whole) == spikes(*pieces)


def test_a_state_can_be_restored_again_and_again(tmp_path):
    net = everything()
    net.run(5.0)
    net.save(tmp_path / "state.json")
    first = net.run(10.0)
    net.restore(tmp_path / "state.json")
    assert spikes(first) == spikes(net.run(10.0))


def off_grid():
    """Spikes with times of their own that are long under way."""
    net = sl.sim.Network(dt=0.1, seed=3, dtype="float64")
    cells = net.population(CELL, 40, "cells", solver=Interpolated())
    net.inject(cells, np.linspace(12.0, 20.0, 40))
    net.connect(cells, cells, sl.sim.fixed_probability(0.2), weight=0.3, delay=sl.sim.uniform(0.5, 3.0))
    net.connect(cells, cells, sl.sim.fixed_probability(0.2), weight=0.3, delay=2.5)
    return net


@pytest.mark.parametrize("build_it", [everything, off_grid])
@pytest.mark.parametrize("lead", [0, 1, 9])
def test_how_far_threads_may_be_apart_is_no_part_of_the_state(tmp_path, monkeypatch, build_it, lead):
    # a file of another version keeps the spikes of more steps, or of fewer
    whole, net = build_it().run(40.0, threads=1), build_it()
    with monkeypatch.context() as patched:
        patched.setattr(build, "LEAD", lead)
        one = net.run(17.3, threads=1)
        net.save(tmp_path / "middle.json")
    other = build_it()
    other.restore(tmp_path / "middle.json")
    assert spikes(whole) == spikes(one, other.run(22.7, threads=2))


def test_a_state_with_spikes_of_too_few_steps_is_refused():
    net = changed(delay=3.0)
    net.run(15.0)
    arrays = {n: values.copy() for n, values in arrays_of(net._engine).items()}
    arrays["recent/cells/counts"] = np.full(29, 0)
    arrays["recent/cells/neurons"] = np.empty(0, np.int32)
    with pytest.raises(StateError, match="recent/cells"):
        restore(net._engine, 150, arrays)


def changed(**how):
    net = sl.sim.Network(dt=how.get("dt", 0.1), seed=how.get("seed", 1))
    cells = net.population(CELL.replace(tau=how.get("tau", 20.0)), how.get("size", 10), "cells")
    rule = sl.sim.fixed_probability(how.get("p", 0.5))
    net.connect(cells, cells, rule, weight=how.get("weight", 1.0), delay=how.get("delay", 1.0))
    net.inject(cells, how.get("current", 12.0))
    return net


@pytest.mark.parametrize(
    "how", [{"dt": 0.2}, {"seed": 2}, {"tau": 21.0}, {"size": 11}, {"p": 0.4}, {"weight": 1.1}, {"delay": 1.1},
            {"current": 12.5}],
)  # fmt: skip
def test_the_state_of_another_network_is_refused(tmp_path, how):
    net = changed()
    net.run(5.0)
    net.save(tmp_path / "state.json")
    other = changed(**how)
    with pytest.raises(StateError, match="another network"):
        other.restore(tmp_path / "state.json")
    assert other.time == 0.0


def test_a_damaged_file_is_refused_and_changes_nothing(tmp_path):
    net = changed()
    net.run(5.0)
    path = net.save(tmp_path / "state.json")
    tensors = tmp_path / json.loads(path.read_text())["body"]["tensors"]["file"]
    data = bytearray(tensors.read_bytes())
    data[len(data) // 2] ^= 1
    tensors.write_bytes(data)
    before = net.run(5.0)
    with pytest.raises(FileError, match="SHA-256"):
        net.restore(path)
    assert net.time == pytest.approx(10.0)
    assert before.end == pytest.approx(10.0)
