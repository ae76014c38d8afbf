"""Results are saved and loaded to the last bit; nothing altered is accepted; a full disk leaves what was there."""

import dataclasses
import errno
import io
import json
import os
import random

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.errors import FileError, ParameterError
from spikeloom.sim import Result, SpikeTrains
from spikeloom.storage.checkpoint import save_checkpoint
from spikeloom.storage.files import open_new


@pytest.fixture(scope="module")
def result():
    net = sl.sim.Network(dt=0.1, seed=1)
    source = net.poisson(100.0, 30, "source $x = 'ü'")
    cells = net.population(sl.Izhikevich(), 5, "cells")
    net.connect(source, cells, sl.sim.fixed_probability(0.5), weight=4.0, delay=1.0, into="v")
    net.record(cells, "v", neurons=[4, 1], every=7)
    net.record(cells, "u")
    return net.run(100.0)


def same(a, b):
    assert a.spikes.keys() == b.spikes.keys()
    assert a.states.keys() == b.states.keys()
    for name, trains in a.spikes.items():
        other = b.spikes[name]
        assert np.array_equal(trains.times, other.times)
        assert np.array_equal(trains.neurons, other.neurons)
        assert (trains.size, trains.begin, trains.end) == (other.size, other.begin, other.end)
        assert (trains.times.dtype, trains.neurons.dtype) == (other.times.dtype, other.neurons.dtype)
    for name, found in a.states.items():
        assert list(found) == list(b.states[name])
        for state, recorded in found.items():
            other = b.states[name][state]
            assert recorded.unit == other.unit
            for part in ("times", "neurons", "values"):
                mine, theirs = getattr(recorded, part), getattr(other, part)
                assert mine.dtype == theirs.dtype
                assert np.array_equal(mine, theirs)
    assert [getattr(a, n) for n in FACTS] == [getattr(b, n) for n in FACTS]


FACTS = ("begin", "end", "dt", "complete", "wall_time", "synapses")


def test_round_trip_is_exact(result, tmp_path):
    assert len(result.spikes["cells"]) > 10
    assert [result.states["cells"][s].unit for s in ("v", "u")] == ["mV", "mV/ms"]
    assert result.states["cells"]["v"].neurons.tolist() == [1, 4]
    path = result.save(tmp_path / "new" / "run")
    assert path == tmp_path / "new" / "run" / "result.json"
    same(result, Result.load(path))
    same(result, Result.load(path.parent))
    stopped = dataclasses.replace(result, complete=False, states={})
    same(stopped, Result.load(stopped.save(tmp_path / "stopped.json")))


def test_an_empty_result(tmp_path):
    net = sl.sim.Network(seed=1)
    net.spikes([], [], 3, "silent")
    same(result := net.run(1.0), Result.load(result.save(tmp_path)))
    assert "silent: 3 neurons, 0 spikes, 0 Hz" in result.summary()


@pytest.mark.parametrize("which", ["json", "safetensors"])
def test_every_flipped_bit_and_every_cut_is_refused(result, tmp_path, which):
    result.save(tmp_path)
    path = next(p for p in tmp_path.iterdir() if p.name.endswith(which))
    whole = path.read_bytes()
    random.seed(3)
    for place in random.sample(range(8 * len(whole)), 100):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(FileError):
            Result.load(tmp_path)
    for cut in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(FileError, match=r"truncated|damaged"):
            Result.load(tmp_path)
    path.write_bytes(whole)
    same(result, Result.load(tmp_path))


def test_other_files_are_refused(tmp_path):
    save_checkpoint(tmp_path / "net.json", {}, {"epoch": 3})
    with pytest.raises(FileError, match="holds no result"):
        Result.load(tmp_path / "net.json")
    save_checkpoint(tmp_path / "half.json", {}, {"kind": "result of a network", "groups": [["a", 1, 0.0, 1.0]]})
    with pytest.raises(FileError, match="not a complete result"):
        Result.load(tmp_path / "half.json")
    with pytest.raises(FileError, match="No such file"):
        Result.load(tmp_path / "missing.json")


class FullDisk(io.FileIO):
    def write(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("failing", ["json", "safetensors"])
def test_a_full_disk_keeps_what_was_there(result, tmp_path, failing):
    other = dataclasses.replace(result, complete=False)
    other.save(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    changed = dataclasses.replace(result, spikes={"a": SpikeTrains.of_arrays([1.0], [0], 1, 0.0, 2.0)})
    with pytest.raises(FileError, match=r"cannot write .*No space left on device.*Free some space"):
        changed.save(tmp_path, open_file=lambda p: FullDisk(p, "x") if p.name.endswith(failing) else open_new(p))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    same(other, Result.load(tmp_path))


def test_the_summary_says_what_happened():
    times = np.tile(np.arange(1.0, 101.0) * 10.0, 2)
    clock = SpikeTrains.of_arrays(times, np.repeat([0, 1], 100), 2, 0.0, 1000.0)
    text = Result({"clock": clock}, {}, 0.0, 1000.0, 0.1, False, 1.234, 5678).summary()
    assert text.splitlines() == [
        "0 to 1000 ms in 1.23 s, stopped before its end; 5,678 synapses",
        "  clock: 2 neurons, 200 spikes, 100 Hz, CV " + text.rsplit(" ", 1)[1],
    ]
    assert float(text.rsplit(" ", 1)[1]) < 1e-12


def test_nothing_in_the_files_runs_code(result, tmp_path):
    path = result.save(tmp_path)
    arrays = json.loads(path.read_text())["body"]["tensors"]["file"]
    data = (tmp_path / arrays).read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert "spikes.0.times" in header


def test_a_state_recorded_twice_is_kept_twice(tmp_path):
    net = sl.sim.Network(dt=0.1, seed=1)
    cells = net.population(sl.LIF(tau=10.0), 6, "cells")
    net.inject(cells, np.arange(6) * 0.1)
    for neurons, every in (([4, 1], 1), ([1, 3], 1), ([0], 10), ([5], 10)):
        net.record(cells, "v", neurons=neurons, every=every)
    found = Result.load(net.run(5.0).save(tmp_path)).states["cells"]
    # v = R I (1 - exp(-t / tau)), with R = 1 GOhm and I in pA
    for name, neurons, times in (("v", [1, 3, 4], 0.1 * np.arange(1, 51)), ("v every 10", [0, 5], np.arange(1.0, 6.0))):
        assert found[name].neurons.tolist() == neurons
        assert np.allclose(found[name].times, times)
        expected = -np.expm1(-times / 10.0)[:, None] * 0.1 * np.array(neurons)
        assert np.allclose(found[name].values, expected, atol=1e-5)


def test_a_streamed_result_says_where_its_spikes_are(tmp_path):
    net = sl.sim.Network()
    net.spikes([1.0], [0], 1, name="source")
    with sl.sim.SpikeWriter(tmp_path / "s.spikes") as writer:
        result = net.run(2.0, spikes=writer)
    with pytest.raises(ParameterError, match=r"no group 'source'\. Spikes of this run went into the file"):
        result.spikes["source"]


def test_edges_that_cannot_be_are_named_after_their_connection():
    net = sl.sim.Network()
    a, b = net.population(sl.LIF(), 3, "a"), net.population(sl.LIF(), 2, "b")
    net.connect(a, b, sl.sim.one_to_one(), weight=1.0, name="mine")
    with pytest.raises(ParameterError, match="mine: one_to_one: got groups of 3 and 2"):
        net.run(1.0)
