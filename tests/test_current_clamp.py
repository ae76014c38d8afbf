"""Recordings: what is kept, converted and refused; ABF2 files against pyABF's arrays, and under damage."""

import contextlib
import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.data.abf import parse_abf, read_abf
from spikeloom.data.npz import read_npz
from spikeloom.errors import (
    DimensionError,
    FileError,
    NonFiniteError,
    ParameterError,
    ShapeError,
    SpikeloomError,
)

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("SPIKELOOM_DATA", ROOT.parent / "shared" / "data")) / "patch_clamp_abf"
# Sweeps, samples and upward crossings of 0 mV, from the README beside the files; the rate is 20 kHz throughout.
FILES = {
    "17o05028_ic_steps": (16, 60000, 375),
    "17o05027_ic_ramp": (2, 20000, 15),
    "171116sh_0018": (17, 60000, 117),
    "2019_07_24_0055_fsi": (17, 60000, 948),
}
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the recordings are not here (SPIKELOOM_DATA)")


# -- the value


def test_a_recording_is_frozen_and_copies():
    v, current = np.zeros((2, 5)), np.ones((2, 5))
    recording = sl.Recording(v, current, dt=0.1)
    v[:] = 7.0
    assert recording.v.max() == 0.0
    assert len(recording) == 2
    assert recording.duration == pytest.approx(0.5)
    with pytest.raises(ValueError, match="read-only"):
        recording.v[0, 0] = 1.0
    with pytest.raises(AttributeError):
        recording.dt = 1.0  # pyright: ignore[reportAttributeAccessIssue]


def test_one_sweep_may_come_without_its_axis():
    assert sl.Recording([0.0, 1.0], [0.0, 1.0], dt=0.1).v.shape == (1, 2)


def test_values_with_units_are_converted():
    recording = sl.Recording(
        np.array([-0.065, 0.02]) * sl.units.volt, np.array([0.0, 0.25]) * sl.nA, dt=5e-5 * sl.second
    )
    assert recording.v.tolist() == [[-65.0, 20.0]]
    assert recording.current.tolist() == [[0.0, 250.0]]
    assert recording.dt == pytest.approx(0.05, rel=1e-15)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"v": np.zeros(3) * sl.pA}, DimensionError, "v has the wrong dimension: got pA, expected mV"),
        ({"current": np.zeros(3) * sl.mV}, DimensionError, "current has the wrong dimension: got mV, expected pA"),
        ({"current": np.zeros(4)}, ShapeError, r"differ in shape: got \[1, 3\] and \[1, 4\]"),
        ({"v": [[0.0, 1.0], [0.0]]}, ShapeError, "no rectangle of numbers"),
        ({"v": np.zeros((1, 1, 3))}, ShapeError, "v: got shape"),
        ({"v": [], "current": []}, ShapeError, "not empty"),
        ({"v": [0.0, np.nan, np.nan]}, NonFiniteError, r"nan in sweep 0, sample 1 \(2 in all\)"),
        ({"current": [0.0, 0.0, np.inf]}, NonFiniteError, "current of a recording is not finite: got inf in sweep 0"),
        ({"dt": 0.0}, ParameterError, "dt of a recording"),
        ({"dt": np.nan}, ParameterError, "dt of a recording"),
        ({"dt": 1.0 * sl.mV}, DimensionError, "dt"),
        ({"spike_level": "high"}, ParameterError, "spike_level"),
    ],
)
def test_unusable_recordings_are_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        sl.Recording(**{"v": np.zeros(3), "current": np.zeros(3), "dt": 0.1, **arguments})


def test_spikes_are_upward_crossings_stamped_with_the_first_sample_above():
    v = np.array([[5.0, -60.0, 0.0, 30.0, -60.0, -1.0, 1.0, -1.0]])  # what starts above is no crossing
    recording = sl.Recording(v, np.zeros_like(v), dt=0.1)
    assert recording.spike_times[0] == pytest.approx([0.2, 0.6])
    assert sl.Recording(v, np.zeros_like(v), dt=0.1, spike_level=20.0).spike_times[0] == pytest.approx([0.3])


def test_sweeps_are_chosen_in_order():
    recording = sl.Recording(np.arange(6.0).reshape(3, 2), np.zeros((3, 2)), dt=0.1, spike_level=3.0)
    assert recording.sweeps([2, 0]).v.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert recording.sweeps(range(1, 3)).spike_level == 3.0


@pytest.mark.parametrize("chosen", [[], [3], [-1], [0, 0], [0.5], 1, [[0]], [True]])
def test_sweeps_that_are_none_are_refused(chosen):
    with pytest.raises(ParameterError, match="numbers of sweeps"):
        sl.Recording(np.zeros((3, 2)), np.zeros((3, 2)), dt=0.1).sweeps(chosen)


# -- resampling


def test_resampling_keeps_the_charge():
    current = np.random.default_rng(0).normal(size=(2, 40))
    coarse = sl.Recording(np.zeros((2, 40)), current, dt=0.025).resampled(0.1)
    assert coarse.current.shape == (2, 10)
    assert coarse.current.sum(1) * 0.1 == pytest.approx(current.sum(1) * 0.025, rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_resampling_filters_the_voltage_by_a_triangle_without_delay(n):
    k = np.arange(20 * n)
    inner = slice(1, -1)
    slope = sl.Recording(3.0 * k, 0.0 * k, dt=0.1).resampled(0.1 * n)
    assert slope.v[0, inner] == pytest.approx(3.0 * n * np.arange(20)[inner], abs=1e-9)  # no delay
    for harmonic in range(1, n):  # what would alias to a constant: a zero of the filter
        wave = np.cos(2 * np.pi * harmonic * k / n)
        assert sl.Recording(wave, 0.0 * k, dt=0.1).resampled(0.1 * n).v[0, inner] == pytest.approx(0.0, abs=1e-12)
    # The response of a triangle: the Dirichlet kernel squared, here at a tenth of the new sampling rate.
    x = np.pi * 0.1 / n
    gain = (np.sin(n * x) / (n * np.sin(x))) ** 2
    slow = sl.Recording(np.cos(2 * x * k), 0.0 * k, dt=0.1).resampled(0.1 * n)
    assert slow.v[0, inner] == pytest.approx(gain * np.cos(2 * x * k[::n])[inner], abs=1e-12)


def test_resampling_drops_an_incomplete_step_and_refuses_what_is_no_multiple():
    recording = sl.Recording(np.zeros(7), np.zeros(7), dt=0.05)
    assert recording.resampled(0.1).v.shape == (1, 3)
    assert recording.resampled(0.05) is recording
    for step in (0.12, 0.03, 0.0, -0.1, 1.0, True):
        with pytest.raises(ParameterError, match="dt"):
            recording.resampled(step)


# -- .npz


def npz(path: Path, **arrays) -> Path:
    np.savez(path, **arrays)
    return path


def arrays(**changes) -> dict:
    found = {"v_mV": np.zeros((2, 4), np.float32), "i_command_pA": np.ones((2, 4), np.float32), "rate_hz": 20000.0}
    return {
        **{n: a for n, a in found.items() if n not in changes},
        **{n: a for n, a in changes.items() if a is not None},
    }


def test_npz_units_are_converted(tmp_path):
    given = arrays(v_mV=None, i_command_pA=None, v_V=np.full((1, 3), -0.07), i_command_nA=np.full((1, 3), 0.2))
    recording = sl.load_recording(npz(tmp_path / "a.npz", **given), spike_level=-10.0)
    assert recording.v[0, 0] == pytest.approx(-70.0)
    assert recording.current[0, 0] == pytest.approx(200.0)
    assert recording.dt == pytest.approx(0.05)
    assert recording.spike_level == -10.0


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"v_mV": None}, FileError, "lacks a channel: got .*i_command_pA.*, expected one array called v_"),
        ({"i_command_pA": None}, FileError, "lacks a channel.*i_command_"),
        ({"rate_hz": None}, FileError, "lacks the sampling rate"),
        ({"rate_hz": np.nan}, FileError, "rate_hz"),
        ({"rate_hz": [1.0, 2.0]}, FileError, "rate_hz"),
        (
            {"v_mV": None, "v_pA": np.zeros((2, 4))},
            DimensionError,
            "v_pA has another unit: got pA, expected V or",
        ),
        ({"i_command_pA": None, "i_command_mV": np.zeros((2, 4))}, DimensionError, "i_command_mV has another unit"),
        ({"v_mV": np.zeros((2, 5))}, ShapeError, "differ in shape"),
        ({"v_mV": np.full((2, 4), np.nan)}, NonFiniteError, "v of a recording"),
        ({"v_mV": np.array([{}, {}])}, FileError, "object"),
        ({"v_mV": np.array(["a", "b"])}, FileError, "where numbers are expected"),
    ],
)
def test_npz_files_that_are_no_recording_are_refused(tmp_path, changes, error, says):
    with pytest.raises(error, match=says):
        sl.load_recording(npz(tmp_path / "a.npz", **arrays(**changes)))


def test_an_npz_array_that_claims_more_than_it_holds_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("v_mV.npy", header.getvalue())
    with pytest.raises(FileError, match="claims 1000000000000 numbers"):
        read_npz(tmp_path / "a.npz")


def test_damaged_npz_files_raise_only_our_errors(tmp_path):
    good = npz(tmp_path / "a.npz", **arrays()).read_bytes()
    random, path = np.random.default_rng(0), tmp_path / "b.npz"
    for trial in range(400):
        content = bytearray(good[: random.integers(len(good))] if trial % 4 == 0 else good)
        for place in random.integers(len(content), size=random.integers(1, 6)) if content else ():
            content[place] = random.integers(256)
        path.write_bytes(content)
        with contextlib.suppress(SpikeloomError):
            sl.load_recording(path)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(FileError, match="cannot tell the format"):
        sl.load_recording(tmp_path / "a.txt")
    for name in ("none.abf", "none.npz"):
        with pytest.raises(FileError, match="cannot read"):
            sl.load_recording(tmp_path / name)
    with pytest.raises(ParameterError, match="channel"):
        sl.load_recording(npz(tmp_path / "a.npz", **arrays()), channel=1)


# -- ABF2: files written here, field by field


def abf(
    raw=((0, 100, -200, 300, 0, 0, 0, 0),), *, units=("mV",), command_units=None, epochs=(), enabled=1, source=1,
    keeps_last=0, holding=0.0, mode=5, form=0, lengths=None, dacs=None,
) -> bytes:  # fmt: skip
    """An ABF2 file with the int16 samples ``raw`` [sweeps, samples x channels], 0.01 units a count, 20 kHz."""
    content = bytearray(8 * 512)

    def put(layout, offset, *values):
        struct.pack_into("<" + layout, content, offset, *values)

    def section(place, block, size, count):
        put("IIq", place, block, size, count)
        return block * 512

    commands = command_units or ["pA"] * len(units)
    texts = [f"IN {k}" for k in range(len(units))] + [*units] + [f"Cmd {k}" for k in range(len(commands))] + [*commands]
    strings = b"SSCH" + bytes(40) + b"".join(t.encode("latin-1") + b"\0" for t in texts)
    data = np.asarray(raw, "<i2" if form == 0 else "<f4")
    put("4s", 0, b"ABF2")
    put("I", 12, len(data))
    put("H", 30, form)
    protocol = section(76, 1, 512, 1)
    put("hf", protocol, mode, 50.0)
    put("f", protocol + 110, 10.0)
    put("i", protocol + 118, 32768)
    adc = section(92, 2, 128, len(units))
    for k in range(len(units)):
        start = adc + 128 * k
        put("fff", start + 28, 1.0, 0.0, 0.0)
        put("ff", start + 40, 1000.0 / 32768, 0.0)  # with a range of 10 V and unit gains: 0.01 units a count
        put("ff", start + 48, 1.0, 0.0)
        put("ii", start + 74, 1 + k, 1 + len(units) + k)
    dac = section(108, 3, 128, len(commands) if dacs is None else dacs)
    for k in range(len(commands)):
        start = dac + 128 * k
        put("f", start + 12, holding)
        put("ii", start + 24, 1 + 2 * len(units) + k, 1 + 2 * len(units) + len(commands) + k)
        put("hhh", start + 40, enabled if k == 0 else 0, source, keeps_last)
    table = section(156, 4, 48, len(epochs))
    for k, (kind, level, level_step, duration, duration_step) in enumerate(epochs):
        put("hhhffii", table + 48 * k, k, 0, kind, level, level_step, duration, duration_step)
    content[5 * 512 : 5 * 512 + len(strings)] = strings
    section(220, 5, 512, 1)
    sweeps = section(316, 6, 8, len(data))
    for k in range(len(data)):
        put("ii", sweeps + 8 * k, 0, (lengths or [data.shape[1]] * len(data))[k])
    section(236, 8, data.itemsize, data.size)
    return bytes(content) + data.tobytes()


def load(tmp_path: Path, content: bytes, **options):
    (tmp_path / "a.abf").write_bytes(content)
    return sl.load_recording(tmp_path / "a.abf", **options)


def test_abf_counts_become_millivolts(tmp_path):
    recording = load(tmp_path, abf())
    assert recording.v[0] == pytest.approx([0.0, 1.0, -2.0, 3.0, 0.0, 0.0, 0.0, 0.0], rel=1e-6)
    assert recording.dt == pytest.approx(0.05)
    assert not recording.current.any()


def test_abf_units_are_converted(tmp_path):
    recording = load(tmp_path, abf(units=("V",), command_units=("nA",), enabled=0, holding=0.25))
    assert recording.v[0, 1] == pytest.approx(1000.0, rel=1e-6)
    assert recording.current[0, 0] == pytest.approx(250.0)
    micro = load(tmp_path, abf(units=("µV",)))
    assert micro.v[0, 1] == pytest.approx(0.001, rel=1e-6)


def test_abf_float_samples_are_not_scaled(tmp_path):
    assert load(tmp_path, abf(raw=((1.5, -2.5),), form=1)).v.tolist() == [[1.5, -2.5]]


def test_abf_channels_are_interleaved_and_the_voltage_is_found(tmp_path):
    content = abf(raw=((100, 1, 200, 2, 300, 3, 400, 4),), units=("pA", "mV"), command_units=("pA", "pA"))
    assert load(tmp_path, content).v[0] == pytest.approx([0.01, 0.02, 0.03, 0.04], rel=1e-6)
    with pytest.raises(DimensionError, match="channel 0 has another unit: got pA"):
        load(tmp_path, content, channel=0)
    with pytest.raises(FileError, match="has no channel 2"):
        load(tmp_path, content, channel=2)


def test_abf_epochs_step_and_ramp(tmp_path):
    """Clampex holds for the first 1/64 of a sweep; then each epoch has its level and duration, changing by sweep."""
    epochs = [(1, 10.0, 5.0, 20, 0), (2, 40.0, 0.0, 31, 1), (0, 99.0, 0.0, 10, 0)]
    recording = load(tmp_path, abf(raw=np.zeros((2, 128)), epochs=epochs, holding=-3.0))
    for k, level in enumerate((10.0, 15.0)):
        expected = [-3.0] * 2 + [level] * 20 + np.linspace(level, 40.0, 31 + k).tolist()
        expected += [-3.0] * (128 - len(expected))
        assert recording.current[k] == pytest.approx(expected)


def test_abf_that_keeps_the_last_level_hands_it_to_the_next_sweep(tmp_path):
    recording = load(tmp_path, abf(raw=np.zeros((2, 128)), epochs=[(1, 10.0, 5.0, 20, 0)], keeps_last=1))
    assert recording.current[0, 127] == 10.0
    assert recording.current[1, [0, 1, 2, 127]].tolist() == [10.0, 10.0, 15.0, 15.0]


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (abf(units=("pA",)), FileError, "holds no voltage: got .*pA.*voltage clamp"),
        (abf(units=("",)), FileError, "holds no voltage"),
        (abf(command_units=("mV",)), DimensionError, "the command of output 0 has another unit: got mV, expected A or"),
        (abf(dacs=0), FileError, "no command: got 0 outputs"),
        (abf(source=2), FileError, "played from another file"),
        (abf(epochs=[(5, 1.0, 0.0, 2, 0)]), FileError, "type 5, expected 1"),
        (abf(epochs=[(1, 1.0, 0.0, 2000, 0)]), FileError, "ends: got at sample 2000, expected 0 to 8"),
        (abf(epochs=[(1, float("nan"), 0.0, 2, 0)]), FileError, "command: got NaN"),
        (abf(mode=2), FileError, "acquisition mode: got 2"),
        (abf(raw=np.zeros((2, 8)), lengths=[8, 4]), FileError, "sweeps differ in length"),
        (abf(raw=((np.nan, 1.0),), form=1), FileError, "channel 0 holds NaN"),
        (abf()[:4096], FileError, "does not fit"),
        (abf()[:80], FileError, "cut off"),
        (b"ABF " + bytes(6000), FileError, "no ABF2 file.*Save ABF1 files"),
        (b"", FileError, "no ABF2 file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_abf_files_that_are_no_recording_are_refused(tmp_path, content, error, says):
    with pytest.raises(error, match=says):
        load(tmp_path, content)


def test_damaged_abf_files_raise_only_our_errors():
    good = abf(raw=np.zeros((2, 128)), epochs=[(1, 10.0, 5.0, 20, 0), (2, 40.0, 0.0, 31, 1)])
    random, fields = np.random.default_rng(0), [0, 12, 30, *range(76, 332, 4), 512, 514, 622, 630]
    extremes = [0, 1, 255, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7F800000, 0x7FC00000]
    survived = 0
    for trial in range(3000):
        content = bytearray(good[: random.integers(len(good))] if trial % 5 == 0 else good)
        for _ in range(random.integers(1, 4)):
            if trial % 2 and len(content) > 700:
                struct.pack_into("<I", content, int(random.choice(fields)), int(random.choice(extremes)))
            elif content:
                content[random.integers(min(len(content), 3072))] = random.integers(256)
        try:
            file = parse_abf(bytes(content))
            survived += 1
            assert sum(signal.values.size for signal in file.channels) <= len(content)
            file.command(0)
        except FileError:
            pass
    assert survived > 100  # or nothing beyond the signature was ever read


# -- the real files


@needs_data
@pytest.mark.parametrize("name", FILES)
def test_real_abf_files_equal_what_pyabf_made_of_them(name):
    sweeps, samples, spikes = FILES[name]
    ours, theirs = sl.load_recording(DATA / f"{name}.abf"), sl.load_recording(DATA / f"{name}.npz")
    assert ours.v.shape == (sweeps, samples)
    assert ours.dt == theirs.dt == pytest.approx(0.05)
    # pyABF computes in float32: half a unit in the last place of the product and of the sum.
    assert np.abs(ours.v - theirs.v).max() <= 2**-24 * (np.abs(theirs.v).max() + np.abs(ours.v).max())
    assert np.abs(ours.current - theirs.current).max() <= 2**-24 * np.abs(theirs.current).max()
    assert int(ours.spikes.sum()) == int(theirs.spikes.sum()) == spikes
    assert int(ours.resampled(0.1).spikes.sum()) == spikes  # the filter does not bury a spike


@needs_data
def test_damaged_real_files_raise_only_our_errors():
    good = (DATA / "17o05027_ic_ramp.abf").read_bytes()
    random = np.random.default_rng(1)
    for _ in range(150):
        content = bytearray(good)
        for place in random.integers(6656, size=20):
            content[place] = random.integers(256)
        with contextlib.suppress(FileError):
            parse_abf(bytes(content)).command(0)


@needs_data
def test_what_is_read_has_names_and_units():
    file = read_abf(DATA / "171116sh_0018.abf")
    assert [(s.name, s.unit) for s in file.channels] == [("IN 0", "mV")]
    assert (file.command(0).name, file.command(0).unit) == ("Cmd 0", "pA")
