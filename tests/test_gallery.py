"""The gallery: every preset is an experiment, the page loads nothing, the pictures show the data given."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest

import spikeloom as sl
from spikeloom import models
from spikeloom.cli import main
from spikeloom.cli.models import MODELS
from spikeloom.cli.neuron_gallery_run import experiments
from spikeloom.cli.parts import parts
from spikeloom.cli.progress import steps_shown
from spikeloom.errors import FileError, ModelError, ParameterError, ShapeError
from spikeloom.experiments import Experiment, named_solver
from spikeloom.models import AdEx, Izhikevich
from spikeloom.models.declared import Declared
from spikeloom.plot.gallery import gallery, packed
from spikeloom.report.gallery import Exhibit, Room, write_gallery
from spikeloom.report.gallery_panel import Frame, panel_svg, round_ticks, shared_limits, sheet_svg, short_number
from spikeloom.report.spike_tops import with_spike_tops
from spikeloom.report.thinning import corner_points

EVIL = "</title><script>alert('x')</script><img src=x onerror=alert(1)>"


def an_exhibit(name="tonic-spiking", spikes=(20.0, 40.0), summary="as long as the current lasts"):
    times = np.arange(0.0, 100.5, 0.5)
    current = np.where(times >= 10.0, 14.0, 0.0)
    return Exhibit(name, summary, times, np.sin(times), current, np.array(spikes), "from a book")


def a_room(name="model", count=3, words="A model"):
    exhibits = [an_exhibit(f"{name}-{k}") for k in range(count)]
    return Room(name, words, "what it is", [r"\tau \frac{dv}{dt} = -v"], ("v", "mV"), "uA/cm2", exhibits, count > 1)


def numbers(path):
    return np.array([[float(x) for x in point.split()] for point in re.split("[ML]", path) if point])


# -- experiments


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry.name)
def test_every_preset_of_every_listed_model_is_an_experiment(entry):
    model = entry.load()
    found = experiments(entry)
    assert list(found) == (list(model.presets) or [""])
    for name, experiment in found.items():
        assert experiment.duration >= experiment.dt > 0
        assert np.isfinite(experiment.drive(np.arange(0.0, experiment.duration, 1.0))).all()
        assert set(experiment.state) <= set(experiment.model.states)
        if name:
            assert model.presets[name].summary
            assert model.presets[name].source


def test_a_preset_runs_as_it_was_published():
    # REFERENCE section 6, row A of the twenty patterns, in the author's own scheme.
    trace = Experiment.of(Izhikevich(), "tonic-spiking").run()
    assert trace.spike_times.tolist() == [13.0, 17.0, 31.5, 59.25, 86.75]


def test_an_experiment_keeps_what_the_preset_does_not_say():
    experiment = Experiment.of(sl.AdEx(e_l=-71.0), "adapting")
    assert experiment.model.replace().values == AdEx.preset("adapting").values
    with pytest.raises(ParameterError, match="Did you mean adapting"):
        Experiment.of(AdEx(), "adaptng")
    with pytest.raises(ParameterError, match="needs a neuron model"):
        Experiment(AdEx)  # type: ignore[arg-type]


def test_solvers_are_named_as_they_are_called():
    assert named_solver("") is None
    assert named_solver("RK4") == sl.solvers.RK4()
    for wrong in ("RK5", "default_solver"):
        with pytest.raises(ModelError, match=f"no solver '{wrong}'"):
            named_solver(wrong)


def test_a_constant_current_and_a_stimulus_are_drawn_alike():
    assert Experiment(sl.LIF(), 2.0).drive([0.0, 5.0]).tolist() == [2.0, 2.0]
    pulse = sl.stimuli.pulses((1.0, 2.0), amplitude=3.0)
    assert Experiment(sl.LIF(), pulse).drive([0.5, 1.5, 2.5]).tolist() == [0.0, 3.0, 0.0]


# -- spikes drawn to their tops


def test_a_membrane_that_is_reset_is_drawn_up_to_its_threshold():
    experiment = Experiment.of(AdEx(), "tonic")
    trace = experiment.run()
    shown = with_spike_tops(experiment.model, trace)
    assert shown["v"][trace.fired] == pytest.approx(experiment.model.v_peak)
    np.testing.assert_array_equal(shown["v"][~trace.fired], trace["v"][~trace.fired])
    np.testing.assert_array_equal(shown["w"], trace["w"])


def test_a_threshold_that_moves_is_drawn_where_it_was():
    alif = sl.ALIF(beta=0.5)
    trace = sl.simulate(alif, 3.0, 300.0)
    at = np.flatnonzero(trace.fired)
    assert len(at) > 5
    np.testing.assert_allclose(with_spike_tops(alif, trace)["v"][at], 1.0 + 0.5 * trace["a"][at - 1])


@pytest.mark.parametrize(
    "model", [sl.HodgkinHuxley(), sl.Peak(sl.LIF(), v_peak=3.0), sl.LIF(reset_mechanism="none"), sl.LI()], ids=repr
)
def test_other_membranes_are_drawn_as_they_are(model):
    trace = sl.simulate(model, 10.0, 30.0, 0.05)
    assert with_spike_tops(model, trace) is trace


# -- the page


def test_the_page_shows_every_exhibit_and_loads_nothing(tmp_path):
    rooms = [a_room("one", 1), a_room("many", 12)]
    write_gallery(tmp_path / "gallery.html", rooms)
    text = (tmp_path / "gallery.html").read_text(encoding="utf-8")
    assert "2 neuron models, in 13 experiments" in text
    for room in rooms:
        assert f'id="{room.name}"' in text
        assert f'href="#{room.name}"' in text
        for exhibit in room.exhibits:
            assert exhibit.title in text
    assert text.count("2 spikes") == 13
    assert "<script" not in text
    assert not re.search(r"(src|href)=[\"'](?!#|data:)", text)
    assert "url(" not in text
    assert "@import" not in text
    assert text.count('role="img"') == 13 + 2  # an exhibit each, an equation each


def test_hostile_names_stay_names(tmp_path):
    room = dataclasses.replace(a_room(EVIL, 2, EVIL), summary=EVIL, membrane=(EVIL, EVIL), current_unit=EVIL)
    exhibits = [dataclasses.replace(e, name=EVIL, summary=EVIL, details=EVIL) for e in room.exhibits]
    write_gallery(tmp_path / "gallery.html", [dataclasses.replace(room, exhibits=exhibits)])
    text = (tmp_path / "gallery.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<img" not in text
    assert "alert(&#x27;x&#x27;)" in text
    gallery([dataclasses.replace(room, exhibits=exhibits)]).savefig(io.BytesIO(), format="png", dpi=20)


def test_a_page_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(FileError, match="missing"):
        write_gallery(tmp_path / "missing" / "gallery.html", [a_room()])
    with pytest.raises(ParameterError, match="an empty gallery"):
        write_gallery(tmp_path / "gallery.html", [a_room(count=0)])


def test_exhibits_of_wrong_shapes_are_refused():
    with pytest.raises(ShapeError, match="current of x"):
        dataclasses.replace(an_exhibit("x"), current=np.zeros(3))
    with pytest.raises(ShapeError, match="times"):
        dataclasses.replace(an_exhibit(), times=np.zeros(1))


def test_the_panel_draws_the_membrane_the_spikes_and_the_corners_of_the_current():
    exhibit = an_exhibit()
    frame = Frame(width=300, height=100, stimulus=30)
    paths = re.findall(r'd="([^"]+)" stroke="(#\w+)" stroke-width="([\d.]+)"', panel_svg(exhibit, frame, (-1.0, 1.0)))
    ticks, membrane, current = (path for path, _, _ in paths)
    inner = 300 - 46 - 6
    assert re.findall(r"M([\d.]+) ", ticks) == [f"{46 + inner * t / 100:.1f}" for t in (20.0, 40.0)]
    x, y = numbers(membrane).T
    np.testing.assert_allclose(x, 46 + inner * exhibit.times / 100, atol=0.051)
    np.testing.assert_allclose(y, 100 - 81 * (np.sin(exhibit.times) + 1) / 2, atol=0.051)
    x, y = numbers(current).T
    np.testing.assert_allclose((x - 46) / inner * 100, [0.0, 10.0, 10.0, 100.0], atol=0.03)
    assert y[0] == y[1] > y[2] == y[3]


def test_a_long_train_is_shown_by_its_end():
    times = np.arange(0.0, 1000.0)
    spikes = np.arange(5.0, 1000.0, 5.0)
    crowded = Exhibit("fast", "", times, np.cos(times), np.ones(1000), spikes)
    assert len(crowded.drawn.spikes) == 40
    assert crowded.drawn.times[0] == crowded.drawn.spikes[0] == spikes[-40]
    assert an_exhibit().drawn.times[0] == 0.0


def test_axes_have_few_round_numbers():
    rng = np.random.default_rng(0)
    for low, width in zip(rng.normal(scale=80, size=300), 10 ** rng.uniform(-3, 4, size=300), strict=True):
        ticks = round_ticks(low, low + width)
        assert 1 <= len(ticks) <= 5
        assert low <= ticks[0] <= ticks[-1] <= low + width
        assert all(len(f"{abs(tick):.12g}") <= 9 for tick in ticks)
    assert shared_limits([np.full(4, np.nan)]) == (0.0, 1.0)
    assert short_number(-65.0) == "−65"


def test_the_corners_of_a_stimulus_are_those_of_its_steps():
    x, y = corner_points(np.arange(5.0), np.array([1.0, 1.0, 3.0, 3.0, 0.0]))
    assert (x.tolist(), y.tolist()) == ([0.0, 2.0, 2.0, 4.0, 4.0, 4.0], [1.0, 1.0, 3.0, 3.0, 0.0, 0.0])


def test_a_sheet_is_a_file_of_its_own():
    text = sheet_svg([an_exhibit("a-b"), an_exhibit("c"), an_exhibit(EVIL)], Frame(), columns=2)
    assert text.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert "<script" not in text
    assert "A b</text>" in text


# -- the still picture


def test_rooms_are_packed_into_rows_without_being_torn():
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 12, size=40).tolist()
    places, rows = packed(counts, 8)
    cells = [cell for group in places for cell in group]
    assert len(set(cells)) == len(cells) == sum(counts)
    assert cells == sorted(cells)
    assert max(row for row, _ in cells) == rows - 1
    for count, group in zip(counts, places, strict=True):
        assert len({row for row, _ in group}) == -(-count // 8) or group[0][1] + count > 8
        assert count > 8 or len({row for row, _ in group}) == 1


def test_the_still_picture_has_two_axes_for_each_exhibit():
    figure = gallery([a_room("one", 1), a_room("many", 9)])
    figure.savefig(io.BytesIO(), format="png", dpi=20)
    assert len(figure.axes) == 2 * 10
    top, below = figure.axes[:2]
    np.testing.assert_array_equal(top.lines[0].get_ydata(), an_exhibit().membrane)
    assert top.get_title(loc="left") == "One 0"
    assert top.get_title(loc="right") == "2 spikes"
    assert [label.get_text() for label in below.get_xticklabels()] == ["0", "100 ms"]


# -- the command


def test_the_command_writes_page_picture_and_summary(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["neuron", "gallery", "--models", "lif", "izhikevich", "--name", "g"]) == 0
    folder = tmp_path / "runs" / "g"
    assert {path.name for path in folder.iterdir()} == {"gallery.html", "gallery.png", "summary.json"}
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["rooms"]["izhikevich"]["phasic-spiking"] == {"spikes": 1, "spike_times_ms": [43.75]}
    page = (folder / "gallery.html").read_text(encoding="utf-8")
    for name in Izhikevich.presets:
        assert Exhibit(name, "", np.arange(2.0), *[np.zeros(2)] * 3).title in page
    assert "2 models, 28 experiments" in capsys.readouterr().out


@pytest.mark.slow
def test_the_whole_gallery_is_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    began = time.process_time()
    assert main(["neuron", "gallery", "--name", "all"]) == 0
    assert time.process_time() - began < 100.0
    summary = json.loads((tmp_path / "runs" / "all" / "summary.json").read_text())
    assert set(summary["rooms"]) >= {entry.name for entry in MODELS}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--models", "lf"], ["no such neuron model", "'lf'", "Did you mean", "lif"]),
        (["--model", "lif"], ["no such option", "--model", "Did you mean --models"]),
        (["--out", "file/runs"], ["cannot write file/runs"]),
        (["--name", "../up"], ["plain folder name"]),
    ],
)
def test_what_the_command_refuses(arguments, words, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(["neuron", "gallery", *arguments]) == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words), message


def test_progress_is_silent_where_nobody_looks_and_counts_where_somebody_does():
    class Screen(io.StringIO):
        def isatty(self):
            return True

    screen, file = Screen(), io.StringIO()
    for stream in (screen, file):
        with steps_shown(2, stream) as bar:
            bar.step("first [red]")
            bar.step("second")
    assert file.getvalue() == ""
    assert "second" in screen.getvalue()


# -- parts


def test_every_public_part_is_shown_once():
    shown = [part.kind for members in parts().values() for part in members]
    public = {value for name in models.__all__ if isinstance(value := getattr(models, name), type)}
    bases = {models.NeuronModel, models.Membrane, models.Channel}
    wanted = {k for k in public if issubclass(k, Declared)} - {type(entry.load()) for entry in MODELS} - bases
    assert set(shown) == wanted
    assert len(shown) == len(set(shown))


def test_parts_do_what_is_said_of_them():
    found = {part.name: part.experiment.run() for members in parts().values() for part in members}
    assert np.ptp(found["Delta"]["v"]) > 3.0
    # A spike of weight 150 pA through 100 Mohm: 15 mV tau_s/(tau - tau_s) (e^-t/tau - e^-t/tau_s), tau_s 5, tau 20.
    # The spike in the step from 10 to 10.1 ms has arrived at its end.
    t = found["Exponential"].times[101:201] - 10.1
    psp = 15.0 * 5.0 / 15.0 * (np.exp(-t / 20.0) - np.exp(-t / 5.0))
    np.testing.assert_allclose(found["Exponential"]["v"][101:201] + 70.0, psp, atol=1e-9)
    assert found["Conductance"]["v"].min() > -80.0
    assert found["Conductance"]["v"].max() <= -70.0
    first, last = (found["Depression"]["v"][k : k + 400].max() for k in (500, 4000))
    assert first - -70.0 > 3 * (last - -70.0)
    first, last = (found["TsodyksMarkram"]["v"][k : k + 400].max() for k in (500, 4000))
    assert last - -70.0 > 2 * (first - -70.0)
    gaps = np.diff(found["AfterSpikeCurrents"].spike_times)
    assert gaps[-1] > 1.2 * gaps[0]
    assert found["Peak"]["v"].max() == 20.0
    assert found["EscapeRate"].spike_times.tolist() == parts_run_again("EscapeRate")


def parts_run_again(name):
    return (
        next(p for members in parts().values() for p in members if p.name == name).experiment.run().spike_times.tolist()
    )
