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
