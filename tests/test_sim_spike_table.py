"""Spikes from files of other programs: read exactly, refused with the line where something is wrong."""

import random

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.errors import FileError, ParameterError
from spikeloom.sim import export, load_spikes


@pytest.fixture(scope="module")
def result():
    net = sl.sim.Network(dt=0.1, seed=1)
    net.poisson(200.0, 30, "source")
    net.poisson(20.0, 7, 'an "other", one')
    return net.run(200.0)


@pytest.mark.parametrize("ending", ["csv", "npz"])
def test_what_was_exported_is_read(result, tmp_path, ending):
    path = export(result, tmp_path / f"run.{ending}")
    for name, trains in result.spikes.items():
        found = load_spikes(path, name, trains.size)
        assert np.array_equal(found.times, trains.times)
        assert np.array_equal(found.neurons, trains.neurons)
        assert found.size == trains.size
    with pytest.raises(ParameterError, match="which group"):
        load_spikes(path)
    with pytest.raises(ParameterError, match=r"no group 'sourc'. Did you mean source"):
        load_spikes(path, "sourc")
    with pytest.raises(ParameterError, match="at least 30"):
        load_spikes(path, "source", 29)


def test_sent_again_they_are_the_same(result, tmp_path):
    found = load_spikes(export(result, tmp_path / "run.csv"), "source")
    net = sl.sim.Network(dt=0.1)
    net.spikes(found.times, found.neurons, found.size, "again")
    again = net.run(200.0).spikes["again"]
    assert np.allclose(again.times, result.spikes["source"].times, atol=1e-9)
    assert np.array_equal(again.neurons, result.spikes["source"].neurons)


HEAD = "neuron,time_ms\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "0,1.0\n1,0.5\n", "line 3 .* is out of order: got 0.5 ms, expected at least 1 ms.*Sort"),
        (HEAD + "0,1.0\n1,2.5", "line 3 .* is truncated"),
        (HEAD + "0,1.0\n1\n", "line 3 .* is truncated"),
        (HEAD + "0,1.0,7\n", "line 2 .* is truncated"),
        (HEAD + "0,1.0\n\n", "line 3 .* is truncated"),
        (HEAD + "0,early\n", "line 2 .* is no spike.*early"),
        (HEAD + "0.5,1.0\n", "line 2 .* is no spike"),
        (HEAD + "-1,1.0\n", "line 2 .* is no spike.*neuron -1"),
        (HEAD + "0,nan\n", "line 2 .* is no spike"),
        (HEAD + "0,inf\n", "line 2 .* is no spike"),
        (HEAD + "0,-1.0\n", "line 2 .* is no spike"),
        ("time,cell\n1,2\n", "no table of spikes.*columns neuron and time_ms"),
        ("", "no table of spikes"),
        (HEAD, "holds no spikes"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(tmp_path, text, words):
    path = tmp_path / "in.csv"
    path.write_text(text)
    with pytest.raises(FileError, match=words):
        load_spikes(path)


def test_columns_in_another_order_and_further_ones(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("time_ms,trial,neuron\r\n1.5,0,3\r\n1.5,0,1\r\n")
    found = load_spikes(path)
    assert (found.times.tolist(), found.neurons.tolist(), found.size) == ([1.5, 1.5], [1, 3], 4)


def test_no_text_and_no_archive(result, tmp_path):
    (tmp_path / "in.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(FileError, match="is no spike"):
        load_spikes(tmp_path / "in.csv")
    with pytest.raises(FileError, match="No such file"):
        load_spikes(tmp_path / "missing.npz")
    with pytest.raises(ParameterError, match=r"\.csv or \.npz"):
        load_spikes(tmp_path / "in.txt")
    np.savez(tmp_path / "other.npz", x=np.zeros(2))
    with pytest.raises(FileError, match="holds no spikes"):
        load_spikes(tmp_path / "other.npz")
    np.savez(tmp_path / "objects.npz", **{"spikes/a/times": np.array([{}]), "spikes/a/neurons": np.zeros(1)})
    with pytest.raises(FileError, match="damaged"):
        load_spikes(tmp_path / "objects.npz")


def test_a_truncated_archive_is_refused(result, tmp_path):
    path = export(result, tmp_path / "run.npz")
    whole = path.read_bytes()
    random.seed(1)
    for cut in (0, 1, *random.sample(range(len(whole)), 20), len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(FileError, match="truncated or damaged"):
            load_spikes(path, "source")


def test_what_a_table_does_not_say_can_be_given(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(HEAD + "0,100.0\n1,150.0\n0,200.0\n")
    found = load_spikes(path)
    assert (found.begin, found.end) == (0.0, 200.0)
    found = load_spikes(path, begin=100.0, end=1.1 * sl.units.second)
    assert (found.begin, found.end) == (100.0, pytest.approx(1100.0))
    assert found.rates() == pytest.approx([2.0, 1.0])
    assert found.rate() == pytest.approx(1.5)
    for bad in ({"end": 150.0}, {"begin": 120.0}):
        with pytest.raises(ParameterError, match="times of spikes"):
            load_spikes(path, **bad)
    for bad in ("1", None, [1.0], float("nan"), float("inf")):
        for name in ("begin", "end") if bad is not None else ():
            with pytest.raises(ParameterError, match=f"{name}: .* a finite time in ms"):
                load_spikes(path, **{name: bad})


def test_an_archive_says_how_long_it_was(result, tmp_path):
    path = export(result, tmp_path / "run.npz")
    found = load_spikes(path, "source")
    assert (found.begin, found.end, found.size) == (0.0, result.end, 30)
    longer = load_spikes(path, "source", begin=-200.0)
    assert longer.rate() == pytest.approx(len(found) / 30 / 0.4)


def test_spikes_at_the_beginning_are_spikes(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(HEAD + "0,0.0\n2,0.0\n")
    found = load_spikes(path)
    assert (found.times.tolist(), found.neurons.tolist(), found.end) == ([0.0, 0.0], [0, 2], 0.0)
    assert np.isnan(found.rate())
    assert load_spikes(path, end=1000.0).rates().tolist() == [1.0, 0.0, 1.0]
    path.write_text(HEAD)
    with pytest.raises(FileError, match=r"holds no spikes.* Give size and end"):
        load_spikes(path, end=10.0)
    assert load_spikes(path, size=3, end=10.0).rates().tolist() == [0.0, 0.0, 0.0]


def archive(tmp_path, times, neurons, about=None):
    path = tmp_path / "in.npz"
    extra = {} if about is None else {"about": np.array(about)}
    np.savez(path, **{"spikes/a/times": times, "spikes/a/neurons": neurons}, **extra)
    return path


def test_an_archive_in_another_order_is_sorted(tmp_path):
    found = load_spikes(archive(tmp_path, np.array([3.0, 1.0, 3.0, 2.0]), np.array([1, 0, 0, 2])))
    assert (found.times.tolist(), found.neurons.tolist()) == ([1.0, 2.0, 3.0, 3.0], [0, 2, 0, 1])
    assert (found.size, found.begin, found.end) == (3, 0.0, 3.0)


@pytest.mark.parametrize(
    ("times", "neurons"),
    [
        (["a"], [0]), ([1.0], ["0"]), ([[1.0]], [[0]]), ([[1.0]], [0]), (1.0, 0), ([1.0, 2.0], [0]), ([1j], [0]),
        ([1.0], [0.5]), ([1.0], [True]), ([float("nan")], [0]), ([float("inf")], [0]), ([1.0], [-1]), ([1.0], [2**31]),
        ([1.0], [2**40]), ([1.0], np.array([2**63], np.uint64)),
    ],
)  # fmt: skip
def test_an_archive_of_anything_else_is_refused(tmp_path, times, neurons):
    with pytest.raises(FileError, match=r"holds no spikes of a: got times .* expected finite times"):
        load_spikes(archive(tmp_path, np.array(times), np.array(neurons)))


@pytest.mark.parametrize(
    "about",
    [
        "", "{", "[]", "null", "{}",
        '{"sizes": {"a": null}, "begin": 0, "end": 9}', '{"sizes": [], "begin": 0, "end": 9}',
        '{"sizes": {"a": Infinity}, "begin": 0, "end": 9}', '{"sizes": {"a": 0}, "begin": 0, "end": 9}',
        '{"sizes": {"a": 1}, "begin": 0, "end": 9}', '{"sizes": {"a": 3000000000}, "begin": 0, "end": 9}',
        '{"sizes": {"a": 5}, "begin": NaN, "end": 9}', '{"sizes": {"a": 5}, "begin": 9, "end": 0}',
        '{"sizes": {"a": 5}, "begin": 0, "end": Infinity}', '{"sizes": {"a": 5}, "begin": 0}', "[" * 100_000,
    ],
)  # fmt: skip
def test_an_archive_with_other_facts_is_refused(tmp_path, about):
    with pytest.raises(FileError, match=r"in\.npz"):
        load_spikes(archive(tmp_path, np.array([1.0]), np.array([1]), about))


def test_a_damaged_archive_is_refused(result, tmp_path):
    path = export(result, tmp_path / "run.npz")
    whole, right = path.read_bytes(), load_spikes(path, "source")
    random.seed(2)
    for place in random.sample(range(8 * len(whole)), 300):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            found = load_spikes(path, "source")
        except (FileError, ParameterError):  # the latter: the name of the group was hit
            continue
        assert np.array_equal(found.times, right.times)
        assert np.array_equal(found.neurons, right.neurons)
    # Bit 0 of the flags of every member says that it is encrypted, and 99 is no method of compression.
    for mark, place, value in ((b"PK\x01\x02", 8, 1), (b"PK\x01\x02", 10, 99)):
        changed = bytearray(whole)
        at = changed.find(mark)
        while at >= 0:
            changed[at + place] = value
            at = changed.find(mark, at + 1)
        path.write_bytes(changed)
        with pytest.raises(FileError, match="truncated or damaged"):
            load_spikes(path, "source")
    np.save(tmp_path / "one.npy", np.zeros(3))
    path.write_bytes((tmp_path / "one.npy").read_bytes())
    with pytest.raises(FileError, match="truncated or damaged"):
        load_spikes(path)


def test_a_mark_of_the_order_of_bytes_is_read(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(HEAD + "1,2.5\n", encoding="utf-8-sig")
    assert load_spikes(path).times.tolist() == [2.5]


@pytest.mark.parametrize("neuron", [2**31 - 1, 2**31, 2**40, 2**63, 10**30])
def test_neurons_that_have_no_number(tmp_path, neuron):
    path = tmp_path / "in.csv"
    path.write_text(HEAD + f"{neuron},2.5\n")
    with pytest.raises(FileError, match=f"line 2 .* is no spike: got neuron {neuron}"):
        load_spikes(path)


def test_wrong_arguments(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(HEAD + "1,2.5\n")
    assert load_spikes(path, size=np.int64(4)).size == 4
    for bad in (None, 5, [path]):
        with pytest.raises(ParameterError, match="path"):
            load_spikes(bad)
    for bad in (5, ["a"], b"a"):
        with pytest.raises(ParameterError, match=r"group: .* a name"):
            load_spikes(path, bad)
    for bad in ("4", 4.0, [4], 0, -1, 2**31, True):
        with pytest.raises(ParameterError, match=r"size: .* a whole number from 1 to 2147483647"):
            load_spikes(path, size=bad)


@pytest.mark.parametrize("ending", ["csv", "npz"])
def test_names_with_ends_of_lines(tmp_path, ending):
    net = sl.sim.Network(dt=0.1, seed=1)
    names = ["one\ntwo", "one\rtwo", 'one\r\n"two",', "a", "a/times"]
    for k, name in enumerate(names):
        net.spikes([1.0, 2.0 + k], [0, k], k + 1, name)
    path = export(net.run(10.0), tmp_path / f"run.{ending}")
    for k, name in enumerate(names):
        found = load_spikes(path, name)
        assert np.allclose(found.times, [1.0, 2.0 + k])
        assert found.neurons.tolist() == [0, k]
