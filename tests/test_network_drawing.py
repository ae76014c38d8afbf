"""What the page of a network draws and says, against counts made by hand."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.networks import NetworkConfig
from spikeloom.networks.facts import Fact
from spikeloom.report.network import write_network_report
from spikeloom.report.network_charts import interval_histograms
from spikeloom.report.network_raster import raster
from spikeloom.report.network_spikes import pack, tick_of, unpack
from spikeloom.report.network_tables import inputs_table, populations_table, wiring, wiring_table
from spikeloom.sim.result import Result
from spikeloom.sim.spike_trains import SpikeTrains

JS = Path(sl.__file__).parent / "report" / "network_js"
DT = 0.1
LETTER = 6.5  # pixels
node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")

# A page without a browser: a context that notes down what is drawn.
STUB = """
const given = JSON.parse(require('fs').readFileSync(process.argv[2], 'utf8')), {data, views, width} = given
const span = data.end - data.begin, all = Math.round(span / data.tick), calls = []
const known = {
  createImageData: (width, height) => ({width, height, data: new Uint8ClampedArray(width * height * 4)}),
  measureText: (text) => ({width: LETTER * text.length}),
}
const note = (name) => (...values) => { calls.push([name, known.fillStyle, ...values]) }
const below = new Proxy(known, {get: (t, name) => name in t ? t[name] : note(name)})
const groups = data.groups.map((g) => unpack({...g, duration: all}))
const page = {
  ...data, groups, span, ticksInAll: all, bands: bandsOf(groups), ramps: groups.map((g) => ramp(g, data.look)),
  below, font: '', title: '', ratio: 1,
}
page.places = placesOf(page, width)
const found = views.map(([t0, t1]) => {
  calls.length = 0
  const {inView} = draw(page, {t0, t1, y0: 0, y1: 1}, false)
  const lanes = page.lanes.map((lane) => ({...lane, rates: [...lane.rates]}))
  const texts = page.lanes.map((lane) => [200, 100].map((room) => rateText(below, lane, -1, room)))
  return {inView, lanes, texts, overview: [...page.overview], calls: [...calls]}
})
console.log(JSON.stringify({found, places: page.places, ticks: groups.map((g) => [...g.ticks]), tick: data.tick}))
""".replace("LETTER", str(LETTER))


def trains(times, neurons, size, end):
    return SpikeTrains.of_arrays(np.asarray(times, float), np.asarray(neurons, int), size, 0.0, end)


def drawn(folder, spikes, end, views, width=1000):
    body = raster(spikes, DT, (0.0, end)).body
    data = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', body, re.S)[0])
    (folder / "given.json").write_text(json.dumps({"data": data, "views": views, "width": width}), encoding="utf-8")
    text = "".join((JS / name).read_text(encoding="utf-8") for name in ("data.js", "draw.js")) + STUB
    (folder / "page.js").write_text(text, encoding="utf-8")
    run = ["node", folder / "page.js", folder / "given.json"]
    return json.loads(subprocess.run(run, capture_output=True, text=True, check=True, timeout=60).stdout), data


def page_of(folder, result, facts=None, **more):
    write_network_report(folder, NetworkConfig(duration=100.0, discard=0.0), result, facts or {}, **more)
    return (folder / "report.html").read_text(encoding="utf-8")


def result_of(spikes, end, complete=True):
    return Result(spikes, {}, 0.0, end, DT, complete, 0.5, 0)


def test_a_population_off_the_grid_is_where_it_was_beside_one_on_it_and_a_silent_one():
    net = sl.sim.Network(dt=DT, seed=1, dtype="float64")
    cell = sl.LIF(tau=20.0, reset_mechanism="value")
    cells = net.population(cell, 10, name="exc", solver=sl.solvers.Located())
    net.population(cell, 2, name="silent")
    net.poisson(50.0, 10, name="source")
    net.inject(cells, 1.5)
    spikes = net.run(100.0, threads=1).spikes
    assert len(spikes["exc"]) == 40  # every 20 ln 3 = 22 ms
    assert len(spikes["source"]) > 20
    tick = tick_of(spikes.values(), DT)
    for name, group in spikes.items():
        ticks, neurons = unpack(pack(group, DT, tick=tick))
        assert np.abs(ticks * tick - group.times).max(initial=0.0) <= DT / 128 + 1e-9, name
        assert np.bincount(neurons, minlength=group.size).tolist() == group.counts().tolist()


@node
@pytest.mark.parametrize(
    ("times", "part"), [([1.0, 5e6 + 0.03], 32), ([1.0, 1.5e7 + 0.03], 8), ([1.0, 2e8 + 0.03], 1), ([1.0, 3e8], 0.5)]
)
def test_late_spikes_take_a_coarser_tick_that_fits_in_32_bits(tmp_path, times, part):
    end = times[-1] + 1000.0
    found, data = drawn(tmp_path, {"cells": trains(times, [0, 0], 1, end)}, end, [[0.0, end]])
    assert data["tick"] == pytest.approx(DT / part)
    np.testing.assert_allclose(np.array(found["ticks"][0]) * data["tick"], times, rtol=0.0, atol=0.51 * DT / part)


@node
def test_a_rate_in_view_is_of_the_time_in_view(tmp_path):
    # 10 ms of silence, then both neurons in each step of the last 5.3 ms; the last bin is cut short.
    times = np.repeat(np.arange(948, 1001) * DT, 2)
    spikes = {"cells": trains(times, [0, 1] * 53, 2, 100.0)}
    views = [[0.0, 100.0], [0.0, 97.3], [90.0, 96.05], [20.0, 40.0]]
    found, _ = drawn(tmp_path, spikes, 100.0, views, width=400)
    for (t0, t1), shown in zip(views, found["found"], strict=True):
        some = np.count_nonzero((times > t0 + 1e-6) & (times < t1 + 1e-6))
        assert shown["inView"] == some
        assert shown["lanes"][0]["inView"] == pytest.approx(some / 2 / (t1 - t0) * 1e3)


@node
def test_a_bin_cut_short_does_not_set_the_top_of_the_axis(tmp_path):
    # Of ten neurons one fires every 2 ms, and one in the last step, which is alone in its bin.
    times = [*(np.arange(500) * 2.0 + 1.0), 1000.1]
    found, data = drawn(tmp_path, {"cells": trains(times, [3] * 501, 10, 1000.1)}, 1000.1, [[0.0, 1000.1]])
    (lane,) = found["found"][0]["lanes"]
    width = lane["width"] * data["tick"]
    assert 1000.1 % width == pytest.approx(DT)  # else this tests nothing
    assert lane["rates"][-1] == pytest.approx(1e3 / (DT * 10))
    counts = np.bincount((np.rint(np.array(times) / DT).astype(int) - 1) // round(lane["width"]))
    assert lane["most"] == pytest.approx(counts.max() / (width * 10) * 1e3)
    assert lane["most"] < 100.0


@node
def test_in_the_strip_a_spike_belongs_to_the_part_that_it_ends(tmp_path):
    spikes = {"cells": trains([0.0, 0.1, 5.0, 9.9, 10.0], [0] * 5, 1, 10.0)}
    found, _ = drawn(tmp_path, spikes, 10.0, [[0.0, 10.0]])
    expected = np.zeros(100)  # of a step each
    expected[[0, 49, 98, 99]] = 2, 1, 1, 1
    assert found["found"][0]["overview"] == expected.tolist()


@node
def test_rates_have_three_digits_and_their_unit_and_fit_beside_the_lane(tmp_path):
    # 1 spike of 621 neurons in 1 s is 0.00161 Hz.
    spikes = {"cells": trains([500.0], [3], 621, 1000.0), "off": trains([], [], 4, 1000.0)}
    found, data = drawn(tmp_path, spikes, 1000.0, [[0.0, 1000.0]])
    (small, none) = found["found"][0]["texts"]
    assert small == ["in view 0.00161 Hz", "0.00161 Hz"]
    assert none == ["in view 0 Hz"] * 2
    assert LETTER * len(small[0]) <= data["look"]["right"] - 10  # what is left beside the page's edge


@node
def test_a_spike_at_the_beginning_lies_beside_the_axis(tmp_path):
    spikes = {"cells": trains([0.0, 100.0], [0, 1], 2, 100.0)}
    found, data = drawn(tmp_path, spikes, 100.0, [[0.0, 100.0]])
    calls, places = found["found"][0]["calls"], found["places"]
    (clip,) = [c[2:] for c in calls if c[0] == "rect" and c[3] == places["top"]]
    axes = [
        c[2:]
        for c in calls
        if c[:2] == ["fillRect", data["look"]["faint"]] and c[3] >= places["top"] and c[4] == 1 and c[5] > 10
    ]
    marks = [c[2:] for c in calls if c[:2] == ["fillRect", data["groups"][0]["colour"]]]
    assert len(marks) == 2
    assert len(axes) == 2  # of the raster and of the rates
    assert all(x + wide < marks[0][0] for x, _, wide, _ in axes)
    for x, _, wide, _ in marks:
        assert clip[0] < x < x + wide < clip[0] + clip[2]


@pytest.mark.parametrize("gaps", [[0.011, 0.043, 19.95], [0.3, 0.45, 0.02], [0.55, 0.6, 0.7], [1.0, 2.0, 2.5]])
def test_intervals_below_half_a_step_are_in_the_histogram(gaps):
    spikes = {"cells": trains(10.0 + np.cumsum([0.0, *gaps]), [0] * 4, 1, 100.0)}
    ((x, y),) = interval_histograms(spikes, 1.0).values()
    edges, heights = x[::2], y[1:-1:2]
    shares = heights * np.diff(np.log10(edges)) / 0.1
    assert shares.sum() == pytest.approx(100.0)
    counts = [((a <= np.array(gaps)) & (np.array(gaps) < b)).sum() for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(shares, 100.0 * np.array(counts) / 3)


def test_gap_junctions_are_connections(tmp_path):
    net = sl.sim.Network(dt=DT, seed=1)
    cell = sl.LIF(tau=10.0, reset_mechanism="value")
    cells, others = net.population(cell, 10, name="cells"), net.population(cell, 4, name="others")
    own = net.connect(
        cells, cells, sl.sim.from_pairs([0, 1], [1, 2], weights=[0.1, 0.3]), synapse=sl.GapJunction(), name="own"
    )
    net.connect(cells, others, sl.sim.all_to_all(), weight=0.5, synapse=sl.GapJunction())
    assert list(net.gap_junctions) == ["own", "cells to others"]
    assert net.gap_junctions["own"] is own
    table = wiring_table(wiring(net))
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)[1:]]
    # Two contacts have four ends, at ten cells; each of the four others has one with each of ten.
    assert rows == [
        ["own", "from pairs", "2", "0.4", "0.2 ± 0.1 nS (0.1 to 0.3)", "–", "gap junction"],
        ["cells to others", "all to all", "40", "10", "0.5 nS", "–", "gap junction"],
    ]
    assert table in page_of(tmp_path, net.run(10.0, threads=1), net=net)


def test_a_current_into_some_neurons_says_into_how_many():
    net = sl.sim.Network(dt=DT, seed=1)
    cells = net.population(sl.LIF(tau=10.0, reset_mechanism="value"), 279, name="cells")
    net.inject(cells, np.where(np.arange(279) < 5, 10.0, 0.0))
    net.inject(cells, np.full(279, 2.0))
    net.inject(cells, np.zeros(279))
    net.inject(cells, np.where(np.arange(279) < 5, np.arange(279), 0.0))
    inputs = re.findall(r"<td class=words>([^<]*)</td><td class=words>i</td>", inputs_table(net))
    assert inputs[:3] == ["10 pA into 5 of 279 neurons", "2 pA", "0 pA"]
    assert inputs[3].endswith("(0 to 4)")


def test_a_weight_of_no_size_has_no_sign():
    net = sl.sim.Network(dt=DT, seed=1)
    cells = net.population(sl.LIF(tau=10.0, reset_mechanism="value"), 3, name="cells")
    net.connect(cells, cells, sl.sim.all_to_all(), weight=-0.0, delay=1.0)
    assert wiring(net)[0].weight == "0 mV"


def test_the_table_says_which_cv_it_has(tmp_path):
    spikes = {"exc": trains([1.0, 2.0, 4.0, 5.0, 7.0, 8.0], [0] * 6, 1, 100.0)}
    assert "<th class=number>mean CV, unbiased</th>" in populations_table(spikes)
    # Intervals 1, 2, 1, 2, 1: mean 1.4, squares 1.2, so that the variance is 0.3, and 0.24 by n.
    assert f"<td class=number>{0.3**0.5 / 1.4:.3f}</td>" in populations_table(spikes)
    told = "A CV under Figures may differ: there the variance is divided by n"
    page = page_of(tmp_path, result_of(spikes, 100.0), {"CV of exc": Fact(0.24**0.5 / 1.4)})
    assert "the variance of their intervals divided by n − 1" in page
    assert told in page
    assert told not in page_of(tmp_path, result_of(spikes, 100.0), {"rate of exc": Fact(1.0, "Hz")})


@pytest.mark.parametrize("names", [("cells",), ()])
def test_a_run_stopped_at_once_has_a_page_that_says_so(tmp_path, names):
    silent = SpikeTrains(np.empty(0), np.empty(0, np.int32), 4, 0.0, 0.0)
    page = page_of(tmp_path, result_of(dict.fromkeys(names, silent), 0.0, complete=False))
    assert "There is nothing to show: the run ended where it began, at 0 ms." in page
    assert "Stopped at 0 of 100 ms." in page
    assert "no spikes in 0 ms." in page
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["Spikes and rates", "How it was made"]
