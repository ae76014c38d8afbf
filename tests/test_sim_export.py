"""Results in files of other programs, read back by those: the same numbers."""

import csv
import errno
import importlib.util
import json
import os

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.errors import FileError, ParameterError
from spikeloom.sim import export, to_neo

NAME = 'cells, "a"=1'


@pytest.fixture(scope="module")
def result():
    net = sl.sim.Network(dt=0.1, seed=1)
    source = net.poisson(200.0, 30, "source")
    cells = net.population(sl.Izhikevich(), 5, NAME)
    net.connect(source, cells, sl.sim.fixed_probability(0.5), weight=3.0, delay=1.0, into="v")
    net.record(cells, "v", neurons=[1, 4], every=7)
    net.record(cells, "u")
    return net.run(100.0)


def facts(about, result):
    assert about["sizes"] == {"source": 30, NAME: 5}
    assert about["units"] == {NAME: {"v": "mV", "u": "mV/ms"}}
    assert (about["begin"], about["end"], about["dt"], about["complete"]) == (0.0, result.end, 0.1, True)


def test_npz(result, tmp_path):
    path = export(result, tmp_path / "new" / "run.npz")
    with np.load(path, allow_pickle=False) as file:
        facts(json.loads(str(file["about"])), result)
        assert len(file.files) == 1 + 2 * 2 + 2 * 3
        for name, trains in result.spikes.items():
            assert np.array_equal(file[f"spikes/{name}/times"], trains.times)
            assert np.array_equal(file[f"spikes/{name}/neurons"], trains.neurons)
        assert np.array_equal(file[f"states/{NAME}/v/values"], result.states[NAME]["v"].values)
        assert file[f"states/{NAME}/v/neurons"].tolist() == [1, 4]


def test_csv(result, tmp_path):
    path = export(result, tmp_path / "run.csv")
    with open(path, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["group", "neuron", "time_ms"]
    for name, trains in result.spikes.items():
        mine = [row for row in rows if row[0] == name]
        assert len(mine) > 10
        assert [int(row[1]) for row in mine] == trains.neurons.tolist()
        assert [float(row[2]) for row in mine] == trains.times.tolist()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "run.cells_a_1.u.csv", "run.cells_a_1.v.csv", "run.csv",
    ]  # fmt: skip
    table = np.loadtxt(tmp_path / "run.cells_a_1.v.csv", delimiter=",", skiprows=1)
    recorded = result.states[NAME]["v"]
    assert np.array_equal(table[:, 0], recorded.times)
    assert np.array_equal(table[:, 1:].astype(np.float32), recorded.values)
    assert (tmp_path / "run.cells_a_1.v.csv").read_text().startswith("time_ms,neuron 1,neuron 4\n")


def test_names_that_become_alike_stay_apart(tmp_path):
    net = sl.sim.Network(dt=0.1, seed=1)
    for name in ("a b", "a_b"):
        net.record(net.population(sl.LIF(), 1, name), "v")
    export(net.run(1.0), tmp_path / "run.csv")
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="needs pyarrow")
def test_parquet(result, tmp_path):
    import pyarrow.parquet as parquet  # pyright: ignore[reportMissingImports]

    table = parquet.read_table(export(result, tmp_path / "run.parquet"))
    facts(json.loads(table.schema.metadata[b"about"]), result)
    groups = np.array(table["group"].to_pylist())
    for name, trains in result.spikes.items():
        assert np.array_equal(table["time_ms"].to_numpy()[groups == name], trains.times)
        assert np.array_equal(table["neuron"].to_numpy()[groups == name], trains.neurons)
    states = parquet.read_table(tmp_path / "run.cells_a_1.v.parquet")
    assert states.column_names == ["time_ms", "neuron 1", "neuron 4"]
    assert np.array_equal(states["neuron 4"].to_numpy(), result.states[NAME]["v"].values[:, 1])


@pytest.mark.skipif(importlib.util.find_spec("h5py") is None, reason="needs h5py")
def test_hdf5(result, tmp_path):
    import h5py  # pyright: ignore[reportMissingImports]

    with h5py.File(export(result, tmp_path / "run.h5")) as file:
        facts(json.loads(file.attrs["about"]), result)
        for name, trains in result.spikes.items():
            assert np.array_equal(file["spikes"][name]["times"], trains.times)
            assert np.array_equal(file["spikes"][name]["neurons"], trains.neurons)
        assert np.array_equal(file["states"][NAME]["u"]["values"], result.states[NAME]["u"].values)


@pytest.mark.skipif(importlib.util.find_spec("neo") is None, reason="needs neo")
def test_neo(result):
    (segment,) = to_neo(result).segments
    assert len(segment.spiketrains) == 35
    for made in segment.spiketrains:
        trains = result.spikes[made.annotations["group"]]
        assert np.array_equal(made.rescale("ms").magnitude, trains.of(made.annotations["neuron"]))
        assert float(made.t_stop.rescale("ms")) == pytest.approx(100.0)
    v, u = segment.analogsignals
    assert (v.shape, v.annotations["neurons"]) == ((142, 2), [1, 4])
    assert np.array_equal(v.rescale("mV").magnitude, result.states[NAME]["v"].values)
    assert np.allclose(v.times.rescale("ms").magnitude, result.states[NAME]["v"].times)
    assert str(u.units.dimensionality.string) == "(mV/ms)"


@pytest.mark.parametrize(("name", "package"), [("run.parquet", "pyarrow"), ("run.h5", "h5py"), ("neo", "neo")])
def test_without_the_library(result, tmp_path, monkeypatch, name, package):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ParameterError, match=f"needs {package}, which is not installed.*pip install {package}"):
        to_neo(result) if name == "neo" else export(result, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["run", "run.txt", "run.mat", "run.pkl"])
def test_other_endings_are_refused(result, tmp_path, name):
    with pytest.raises(ParameterError, match=r"\.npz or \.csv or \.parquet or \.h5"):
        export(result, tmp_path / name)


@pytest.mark.parametrize("ending", ["npz", "csv"])
def test_a_full_disk_keeps_what_was_there(result, tmp_path, monkeypatch, ending):
    path = tmp_path / f"run.{ending}"
    path.write_bytes(b"old")

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FileError, match=r"cannot write .*No space left on device.*Free some space"):
        export(result, path)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write"):
        export(result, tmp_path / "file" / "run.npz")


@pytest.mark.skipif(importlib.util.find_spec("neo") is None, reason="needs neo")
def test_samples_of_neo_lie_at_their_times():
    net = sl.sim.Network(dt=0.1, seed=1)
    cells = net.population(sl.LIF(), 3, "cells")
    net.record(cells, "v")
    net.record(cells, "v", every=40)
    (segment,) = to_neo(net.run(5.0)).segments
    v, rare = segment.analogsignals
    assert np.allclose(v.times.rescale("ms").magnitude, 0.1 * np.arange(1, 51), rtol=0, atol=1e-9)
    assert float(v.t_stop.rescale("ms")) == pytest.approx(5.1)  # t_start + 50 periods, as Neo counts
    assert rare.times.rescale("ms").magnitude == pytest.approx([4.0])
    assert float(rare.sampling_period.rescale("ms")) == pytest.approx(4.0)
    assert float(to_neo(net.run(5.0)).segments[0].analogsignals[1].sampling_period.rescale("ms")) == pytest.approx(4.0)


@pytest.mark.skipif(importlib.util.find_spec("neo") is None, reason="needs neo")
def test_the_period_of_a_single_sample():
    net = sl.sim.Network(dt=0.1, seed=1)
    cells = net.population(sl.LIF(), 3, "cells")
    net.record(cells, "v", every=30)
    first, second = (to_neo(net.run(3.0)).segments[0] for _ in range(2))
    assert float(first.analogsignals[0].sampling_period.rescale("ms")) == pytest.approx(3.0)
    # At 6 ms of 3 to 6 ms: every 30th step, or every 60th.
    assert list(second.analogsignals) == []
    (signal,) = second.irregularlysampledsignals
    assert signal.times.rescale("ms").magnitude == pytest.approx([6.0])
    assert (signal.shape, signal.name, signal.annotations["neurons"]) == ((1, 3), "v", [0, 1, 2])


def named(*names):
    net = sl.sim.Network(dt=0.1, seed=1)
    for name in names:
        net.spikes([1.0], [0], 1, name)
    return net.run(2.0)


@pytest.mark.skipif(importlib.util.find_spec("h5py") is None, reason="needs h5py")
@pytest.mark.parametrize("names", [("a", "a/times"), ("a/times", "a"), ("a", "a/neurons/b"), (".", "/")])
def test_names_that_hdf5_has_no_place_for(tmp_path, names):
    with pytest.raises(ParameterError, match=r"HDF5 has no place for 'spikes/.*export to \.npz"):
        export(named(*names), tmp_path / "run.h5")
    assert list(tmp_path.iterdir()) == []
    assert export(named("a", "b/c"), tmp_path / "run.h5").exists()


@pytest.mark.parametrize("ending", ["npz", "csv", "parquet", "h5"])
@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_names_that_no_file_has_a_place_for(tmp_path, ending, name):
    with pytest.raises(ParameterError, match=r"name of a group to export: .*NUL"):
        export(named(name), tmp_path / f"run.{ending}")
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments(result, tmp_path):
    for bad in (None, tmp_path / "run.csv", result.spikes, 5):
        with pytest.raises(ParameterError, match=r"result: .*export\(result, path\), to_neo\(result\)"):
            export(bad, result)
        with pytest.raises(ParameterError, match="result: "):
            to_neo(bad)
    for bad in (None, 5, [tmp_path]):
        with pytest.raises(ParameterError, match="path: "):
            export(result, bad)
