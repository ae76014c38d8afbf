"""Spikes streamed to a file: the same spikes, readable while running and after a crash; damage is refused."""

import errno
import io
import os
import random
import struct
import zlib

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.errors import FileError, ParameterError, StateError
from spikeloom.sim import SpikeWriter, read_spikes
from spikeloom.sim.spike_blocks import _BLOCK, _HEAD


def network(seed=1, size=50):
    net = sl.sim.Network(dt=0.1, seed=seed)
    net.poisson(200.0, size, "source")
    cells = net.population(sl.LIF(tau=10.0, reset_mechanism="value"), 20, "cells")
    net.connect(net.groups["source"], cells, sl.sim.fixed_probability(0.3), weight=0.2, delay=1.0)
    net.record(cells, "v", neurons=[0], every=10)
    return net


def pairs(result):
    return {name: (t.times.tolist(), t.neurons.tolist()) for name, t in result.spikes.items()}


@pytest.fixture(scope="module")
def plain():
    return network().run(300.0)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file of several blocks."""
    path = tmp_path_factory.mktemp("spikes") / "run.spikes"
    net = network()
    with SpikeWriter(path) as writer:
        for _ in range(3):
            net.run(100.0, spikes=writer)
    return path


def blocks(data):
    """Where the blocks of a file begin and end."""
    place = _HEAD.size + _HEAD.unpack_from(data)[2]
    found = []
    while place < len(data):
        size = _BLOCK.size + 4 + _BLOCK.unpack_from(data, place)[4]
        found.append((place, place + size))
        place += size
    return found


def test_a_file_holds_the_spikes_of_an_unbroken_run(plain, written):
    stored = read_spikes(written)
    assert len(plain.spikes["source"]) > 2000
    assert len(plain.spikes["cells"]) > 20
    assert pairs(stored) == pairs(plain)
    assert (stored.begin, stored.end, stored.dt, stored.complete) == (0.0, pytest.approx(300.0), 0.1, True)
    assert stored.synapses == plain.synapses
    assert {n: t.size for n, t in stored.spikes.items()} == {"source": 50, "cells": 20}
    assert stored.spikes["cells"].times.dtype == np.float64
    assert stored.spikes["cells"].neurons.dtype == np.int32


def test_a_streamed_run_keeps_states_and_no_spikes(tmp_path, plain):
    with SpikeWriter(tmp_path / "run.spikes") as writer:
        result = network().run(300.0, spikes=writer)
    assert result.spikes == {}
    assert np.array_equal(result.states["cells"]["v"].values, plain.states["cells"]["v"].values)
    assert result.complete


def test_a_part_is_read(plain, written):
    stored = read_spikes(written, 100.0, 150.0)
    assert pairs(stored) == {name: (t.times.tolist(), t.neurons.tolist())
                             for name, t in ((n, t.window(100.0, 150.0)) for n, t in plain.spikes.items())}  # fmt: skip
    pieces = [read_spikes(written, 30.0 * k, 30.0 * (k + 1)) for k in range(10)]
    times = [t for p in pieces for t in p.spikes["source"].times.tolist()]
    assert times == plain.spikes["source"].times.tolist()
    for bad in ((200.0, 301.0), (400.0, 500.0), (300.0, None)):
        with pytest.raises(ParameterError, match="within 0 to 300 ms"):
            read_spikes(written, *bad)
    for bad in ((-1.0, 5.0), (50.0, 50.0), (60.0, 50.0)):
        with pytest.raises(ParameterError, match="from 0 ms on"):
            read_spikes(written, *bad)
    late = read_spikes(written, begin=250.0)
    assert (late.begin, late.end, late.complete) == (250.0, 300.0, True)


def test_it_is_readable_at_any_moment(tmp_path, plain):
    path, net = tmp_path / "run.spikes", network()
    writer = SpikeWriter(path)
    with pytest.raises(FileError, match="no head yet"):
        read_spikes(path)
    for k in range(1, 4):
        net.run(100.0, spikes=writer)
        stored = read_spikes(path)  # the writer is still open
        assert not stored.complete
        assert stored.end == pytest.approx(100.0 * k)
        assert stored.spikes["source"].times.tolist() == plain.spikes["source"].window(0, stored.end).times.tolist()
    writer.close()
    writer.close()
    assert read_spikes(path).complete


def test_cut_anywhere_it_holds_whole_blocks(tmp_path, plain, written):
    data = written.read_bytes()
    ends = [end for _, end in blocks(data)]
    assert len(ends) > 3
    path = tmp_path / "cut.spikes"
    random.seed(1)
    for cut in [*random.sample(range(blocks(data)[0][0], len(data)), 60), *ends[:-1], ends[-2] + 1]:
        path.write_bytes(data[:cut])
        stored = read_spikes(path)
        assert not stored.complete
        whole = sum(end <= cut for end in ends)
        first, steps = _BLOCK.unpack_from(data, blocks(data)[whole - 1][0])[1:3] if whole else (0, 0)
        assert stored.end == (first + steps) * 0.1
        kept = plain.spikes["source"].times <= stored.end + 1e-6
        assert stored.spikes["source"].times.tolist() == plain.spikes["source"].times[kept].tolist()
    for cut in (0, 5, _HEAD.size, blocks(data)[0][0] - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(FileError, match="head"):
            read_spikes(path)


def test_zeros_at_the_end_are_what_a_crash_leaves(tmp_path, written):
    data = written.read_bytes()
    cut = blocks(data)[2][0]
    path = tmp_path / "zeros.spikes"
    path.write_bytes(data[:cut] + bytes(5000))
    assert not read_spikes(path).complete
    path.write_bytes(data[:cut] + bytes(5000) + b"x")
    with pytest.raises(FileError, match="damaged"):
        read_spikes(path)


def test_every_bit_flip_is_refused(tmp_path, plain, written):
    data = written.read_bytes()
    path = tmp_path / "flipped.spikes"
    random.seed(2)
    headers = [8 * b + k for b, _ in blocks(data) for k in random.sample(range(8 * (_BLOCK.size + 4)), 30)]
    for place in random.sample(range(8 * len(data)), 200) + headers + random.sample(range(8 * blocks(data)[0][0]), 100):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(FileError, match=r"damaged|not a file of spikes|unknown format version"):
            read_spikes(path)
    # What comes before the damage is still there.
    end = blocks(data)[2][1]
    flipped = bytearray(data)
    flipped[end - 1] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(FileError, match=r"read_spikes\(path, end=") as caught:
        read_spikes(path)
    good = float(str(caught.value).partition("end=")[2].partition(")")[0])
    stored = read_spikes(path, end=good)
    assert stored.complete
    assert stored.spikes["source"].times.tolist() == plain.spikes["source"].window(0, good).times.tolist()


def test_what_follows_the_end_is_refused(tmp_path, written):
    path = tmp_path / "more.spikes"
    for more in (b"x", bytes(200)):
        path.write_bytes(written.read_bytes() + more)
        with pytest.raises(FileError, match="damaged"):
            read_spikes(path)


def test_blocks_in_another_order_are_refused(tmp_path, written):
    data = written.read_bytes()
    (a, b), (c, d) = blocks(data)[1:3]
    path = tmp_path / "swapped.spikes"
    path.write_bytes(data[:a] + data[c:d] + data[a:b] + data[d:])
    with pytest.raises(FileError, match="damaged"):
        read_spikes(path)


def sealed(content, steps=10):
    import hashlib

    packed = _BLOCK.pack(b"SPKB", 0, steps, 0.0, len(content), hashlib.sha256(content).digest())
    return packed + struct.pack("<I", zlib.crc32(packed)) + content


@pytest.mark.parametrize(
    "content",
    [b"", b"x", struct.pack("<Q", 1 << 60), struct.pack("<QIi", 1, 10, 0), struct.pack("<QIi", 1, 0, 3),
     struct.pack("<QIi", 1, 0, -1), struct.pack("<QIIii", 2, 5, 4, 0, 1), struct.pack("<QQ", 0, 0)],
)  # fmt: skip
def test_crafted_blocks_are_refused(tmp_path, content):
    from spikeloom.sim.spike_blocks import head

    path = tmp_path / "crafted.spikes"
    path.write_bytes(head({"a": 3}, 0.1, 0, 0) + sealed(struct.pack("<QIi", 1, 9, 2)))
    assert read_spikes(path).spikes["a"].times.tolist() == [1.0]
    path.write_bytes(head({"a": 3}, 0.1, 0, 0) + sealed(content))
    with pytest.raises(FileError, match="damaged"):
        read_spikes(path)


@pytest.mark.parametrize("data", [b"population,neuron,time_ms\n", b"\x93NUMPY", bytes(100)])
def test_other_files_are_named(tmp_path, data):
    (tmp_path / "other").write_bytes(data)
    with pytest.raises(FileError, match="not a file of spikes"):
        read_spikes(tmp_path / "other")
    with pytest.raises(FileError, match="No such file"):
        read_spikes(tmp_path / "missing")


class SmallDisk(io.FileIO):
    """A file on a disk with room for so many bytes, which stores a part before it fails."""

    room = 0

    def write(self, data):
        fits = min(len(data), SmallDisk.room - self.tell())
        if fits <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(memoryview(data)[:fits])


def test_a_full_disk_loses_nothing(tmp_path, plain, monkeypatch):
    path, net = tmp_path / "run.spikes", network()
    monkeypatch.setattr(SmallDisk, "room", 9000)
    writer = SpikeWriter(path, open_file=lambda p: SmallDisk(p, "x"))
    with pytest.raises(FileError, match=r"cannot write .*No space left on device.*Free some space"):
        net.run(300.0, spikes=writer)
    stopped = net.time
    assert 0.0 < stopped < 300.0
    stored = read_spikes(path)
    assert not stored.complete
    assert 0.0 < stored.end < stopped
    assert stored.spikes["source"].times.tolist() == plain.spikes["source"].window(0, stored.end).times.tolist()
    for attempt in (lambda: net.run(1.0, spikes=writer), writer.close):  # still no room
        with pytest.raises(FileError, match="No space left"):
            attempt()
        assert net.time == stopped
        assert pairs(read_spikes(path)) == pairs(stored)
    monkeypatch.setattr(SmallDisk, "room", 1 << 30)
    with writer:
        net.run(300.0 - stopped, spikes=writer)
    assert pairs(read_spikes(path)) == pairs(plain)
    assert read_spikes(path).complete


def test_a_full_disk_within_with_is_what_is_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(SmallDisk, "room", 5000)
    with (
        pytest.raises(FileError, match="No space left"),
        SpikeWriter(tmp_path / "run.spikes", open_file=lambda p: SmallDisk(p, "x")) as writer,
    ):
        network().run(300.0, spikes=writer)
    assert read_spikes(tmp_path / "run.spikes").end > 0.0


def test_a_file_is_never_overwritten(tmp_path, written):
    before = written.read_bytes()
    with pytest.raises(FileError, match="is there already"):
        SpikeWriter(written)
    assert written.read_bytes() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write"):
        SpikeWriter(tmp_path / "file" / "run.spikes")


def test_runs_have_to_follow_each_other(tmp_path):
    net = network()
    with SpikeWriter(tmp_path / "run.spikes") as writer:
        net.run(10.0, spikes=writer)
        net.run(5.0)
        with pytest.raises(StateError, match="another time"):
            net.run(5.0, spikes=writer)
        with pytest.raises(StateError, match="other groups"):
            network(size=51).run(5.0, spikes=writer)
    assert read_spikes(tmp_path / "run.spikes").end == 10.0
    with pytest.raises(StateError, match="is closed"):
        net.run(5.0, spikes=writer)


def test_a_later_beginning_is_kept(tmp_path, plain):
    net = network()
    net.run(100.0)
    with SpikeWriter(tmp_path / "new" / "late.spikes") as writer:
        net.run(200.0, spikes=writer)
    stored = read_spikes(tmp_path / "new" / "late.spikes")
    assert stored.begin == 100.0
    assert pairs(stored)["source"][0] == plain.spikes["source"].window(100.0, plain.end).times.tolist()


def test_without_a_run_no_file_is_left(tmp_path):
    with SpikeWriter(tmp_path / "none.spikes"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments(written):
    for bad in (None, 5, [written], network()):
        with pytest.raises(ParameterError, match="path: "):
            SpikeWriter(bad)
        with pytest.raises(ParameterError, match="path: "):
            read_spikes(bad)
    for bad in ("1", [1.0], float("nan"), float("inf"), 10**400, {}):
        for name in ("begin", "end"):
            with pytest.raises(ParameterError, match=f"{name}: .* a finite time in ms"):
                read_spikes(written, **{name: bad})


def test_a_part_in_other_units(plain, written):
    stored = read_spikes(written, 0.1 * sl.units.second, 150 * sl.ms)
    assert stored.spikes["source"].times.tolist() == plain.spikes["source"].window(100.0, 150.0).times.tolist()
