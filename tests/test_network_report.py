"""The page of a simulated network: self-contained, small, and true to the spikes and the network given."""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.errors import FileError
from spikeloom.networks import NetworkConfig
from spikeloom.networks.facts import Fact
from spikeloom.report.network import headline, observed, write_network_report
from spikeloom.report.network_charts import (
    cv_histograms,
    interval_histograms,
    rate_histograms,
    spectra,
    statistics_charts,
)  # fmt: skip
from spikeloom.report.network_spikes import pack, thinning, unpack
from spikeloom.report.network_tables import facts_table, inputs_table, rule_text, synapse_text, wiring, wiring_table
from spikeloom.sim.result import Result
from spikeloom.sim.spike_trains import SpikeTrains

EVIL = "</script><script>alert('x')</script><img src=x onerror=alert(1)>$$x$$"
JS = Path(sl.__file__).parent / "report" / "network_js"
DT = 0.1


def poisson(size, rate, duration, seed):
    """Independent trains with at most one spike a step."""
    rng = np.random.default_rng(seed)
    steps, neurons = np.nonzero(rng.random((round(duration / DT), size)) < rate * DT * 1e-3)
    return SpikeTrains.from_steps(steps, neurons.astype(np.int32), DT, size, 0.0, duration)


def result_of(spikes, end, **changed):
    known = {"states": {}, "begin": 0.0, "end": end, "dt": DT, "complete": True, "wall_time": 1.5, "synapses": 1234}
    return Result(spikes=spikes, **(known | changed))


FACTS = {
    "rate of exc": Fact.near(20.1, "Hz", 20.0, 0.5, "the construction"),
    "rate of inh": Fact.near(7.0, "Hz", 8.0, 0.25, "another one"),
    "only here": Fact(3.25, "ms"),
}


@pytest.fixture(scope="module")
def result():
    return result_of({"exc": poisson(300, 20.0, 1000.0, 1), "inh": poisson(75, 8.0, 1000.0, 2)}, 1000.0)


@pytest.fixture(scope="module")
def page(result, tmp_path_factory):
    return written(
        result, tmp_path_factory.mktemp("page"), FACTS, summary={"network": "test net", "versions": {"a": "1"}}
    )


def written(result, folder, facts=None, **more):
    write_network_report(folder, NetworkConfig(duration=result.end, discard=200.0), result, facts or {}, **more)
    return (folder / "report.html").read_text(encoding="utf-8")


def stored(page):
    """The spikes of the page, as its script reads them."""
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', page, re.S)
    return json.loads(text)


def decoded(group):
    """By the description of the format alone: differences in LEB128, of tick * rows + row."""
    numbers, number, shift = [], 0, 0
    for byte in base64.b64decode(group["text"]):
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(number)
            number, shift = 0, 0
    whole = np.cumsum(np.array(numbers, np.int64))
    return whole // group["rows"], whole % group["rows"] * group["every"]


def test_the_page_holds_exactly_the_spikes_of_the_result(page, result):
    data = stored(page)
    assert [g["name"] for g in data["groups"]] == list(result.spikes)
    assert (data["tick"], data["begin"], data["end"]) == (DT, 0.0, 1000.0)
    for group in data["groups"]:
        trains = result.spikes[group["name"]]
        ticks, neurons = decoded(group)
        assert (group["size"], group["count"]) == (trains.size, len(trains))
        np.testing.assert_array_equal(ticks, np.rint(trains.times / DT))
        np.testing.assert_array_equal(neurons, trains.neurons)


@pytest.mark.parametrize("every", [1, 3])
def test_packing_and_its_inverse_keep_what_is_shown(every):
    trains = poisson(50, 100.0, 300.0, 3)
    ticks, neurons = unpack(pack(trains, DT, every))
    kept = trains.neurons % every == 0
    np.testing.assert_array_equal(ticks, np.rint(trains.times[kept] / DT))
    np.testing.assert_array_equal(neurons, trains.neurons[kept])


def test_long_silences_and_large_groups_are_packed():
    # A difference of 10^13 takes seven digits, and more than 32 bits.
    trains = SpikeTrains.of_arrays([0.1, 1e6, 1e6], [5, 0, 999_999], 1_000_000, 0.0, 2e6)
    ticks, neurons = unpack(pack(trains, DT))
    assert ticks.tolist() == [1, 10_000_000, 10_000_000]
    assert neurons.tolist() == [5, 0, 999_999]


def test_times_between_steps_are_kept_to_a_part_of_a_step():
    rng = np.random.default_rng(0)
    trains = SpikeTrains.of_arrays(rng.uniform(0.0, 100.0, 500), rng.integers(0, 9, 500), 9, 0.0, 100.0)
    packed = pack(trains, DT)
    ticks, neurons = unpack(packed)
    assert np.abs(np.sort(ticks * packed.tick) - trains.times).max() <= DT / 128 + 1e-9
    assert np.bincount(neurons).tolist() == trains.counts().tolist()


def test_a_group_off_the_grid_puts_all_on_the_finer_one(tmp_path):
    off = SpikeTrains.of_arrays([0.123, 500.0], [0, 1], 2, 0.0, 1000.0)
    spikes = {"on": poisson(9, 20.0, 1000.0, 1), "off": off}
    data = stored(written(result_of(spikes, 1000.0), tmp_path))
    for group, trains, near in zip(data["groups"], spikes.values(), (1e-9, DT / 128 + 1e-9), strict=True):
        ticks, neurons = decoded(group)
        np.testing.assert_allclose(ticks * data["tick"], trains.times, rtol=0.0, atol=near)
        np.testing.assert_array_equal(neurons, trains.neurons)


def test_nothing_fired(tmp_path):
    silent = SpikeTrains(np.empty(0), np.empty(0, np.int32), 4, 0.0, 500.0)
    page = written(result_of({"cells": silent}, 500.0), tmp_path)
    assert "no spikes in 500 ms; cells at 0 Hz after the first 200 ms." in page
    assert decoded(stored(page)["groups"][0])[0].size == 0


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_script_of_the_page_reads_the_same_spikes_and_rates(page, result, tmp_path):
    script = (JS / "data.js").read_text(encoding="utf-8")
    (tmp_path / "data.json").write_text(json.dumps(stored(page)), encoding="utf-8")
    code = (
        script
        + """
    const data = JSON.parse(require('fs').readFileSync(process.argv[2], 'utf8'))
    const found = data.groups.map((g) => {
      const group = unpack({...g, duration: 10000})
      const rates = ratesOf(group, data.tick, 300, 0, 10000)
      const part = ratesOf(group, data.tick, 50, 1234, 2345)
      const spikes = {ticks: [...group.ticks], rows: [...group.rowOf]}
      return {...spikes, rates: [...rates.rates], first: part.first, part: [...part.rates]}
    })
    console.log(JSON.stringify(found))
    """
    )
    (tmp_path / "run.js").write_text(code, encoding="utf-8")
    run = subprocess.run(
        ["node", tmp_path / "run.js", tmp_path / "data.json"], capture_output=True, text=True, check=True, timeout=60
    )
    for found, trains in zip(json.loads(run.stdout), result.spikes.values(), strict=True):
        ticks = np.rint(trains.times / DT).astype(int)
        assert found["ticks"] == ticks.tolist()
        assert found["rows"] == trains.neurons.tolist()
        # Bins of 30 ms; the 34th is cut short by the end, at 1000 ms.
        counts = np.bincount((ticks - 1) // 300, minlength=34)
        np.testing.assert_allclose(found["rates"], counts / (np.append([30.0] * 33, 10.0) * 1e-3 * trains.size))
        assert found["first"] == 24  # 1234 // 50
        some = np.bincount((ticks - 1) // 50, minlength=200)[24:47] / (5e-3 * trains.size)
        np.testing.assert_allclose(found["part"], some)


def test_a_page_loads_nothing_and_runs_only_its_own_scripts(page):
    assert not re.search(r"<(iframe|object|embed|base|form|link (?!rel=.icon))", page)
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.search(r"https?:|url\(|@import", markup)
    for name in ("data.js", "draw.js", "hands.js"):
        text = (JS / name).read_text(encoding="utf-8")
        assert text in page
        assert not re.search(r"https?:|fetch\(|XMLHttp|import\(|eval\(|innerHTML", text)
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0])
    run = re.findall(r"<script>(.*?)</script>", page, re.S)
    digests = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in run}
    assert "default-src 'none'" in policy
    assert digests == set(re.findall(r"'sha256-([^']+)'", policy))


def test_a_million_spikes_take_less_than_three_bytes_each_beside_the_charts(tmp_path):
    rng = np.random.default_rng(4)
    count, size, end = 1_000_000, 12_500, 8000.0
    times, neurons = (rng.integers(1, 80_001, count)) * DT, rng.integers(0, size, count)
    trains = SpikeTrains.of_arrays(times, neurons, size, 0.0, end)
    page = written(result_of({"cells": trains}, end), tmp_path)
    without = len(written(result_of({"cells": poisson(1, 50.0, end, 1)}, end), tmp_path))
    assert len(page) - without < 3.0 * count
    assert len(page) < 8 * count
    assert "The 1,000,000 spikes take 2." in page


def test_more_spikes_than_a_page_holds_are_thinned_by_neuron(monkeypatch, tmp_path):
    result = result_of({"cells": poisson(300, 20.0, 1000.0, 1)}, 1000.0)
    count = len(result.spikes["cells"])
    assert thinning(result.spikes, count) == 1
    assert thinning(result.spikes, count // 3 - 1) == 4
    monkeypatch.setattr("spikeloom.report.network_raster.thinning", lambda spikes: 4)
    page = written(result, tmp_path)
    assert "Only one neuron in 4 is drawn and counted here" in page
    (group,) = stored(page)["groups"]
    assert (group["rows"], group["size"], group["every"]) == (75, 300, 4)
    assert group["count"] == result.spikes["cells"].counts()[::4].sum()


def test_the_page_says_what_came_out(page, result):
    late = {name: trains.window(200.0, 1000.0) for name, trains in result.spikes.items()}
    count = sum(map(len, result.spikes.values()))
    rates = ", ".join(f"{name} at {trains.rate():.3g} Hz" for name, trains in late.items())
    words = f"375 neurons and 1,234 synapses: {count:,} spikes in 1,000 ms; {rates} after the first 200 ms."
    words += " 1 of 2 published figures met."
    assert f"<p class=headline>{words}</p>" in page
    assert "<h1>test net</h1>" in page
    for trains in late.values():
        assert f"<td class=number>{len(trains):,}</td>" in page
    assert "<td class=number>20.1 Hz</td><td class=number>20 Hz</td><td class=number>19.5 to 20.5</td>" in page
    assert page.count("✓ within") == page.count("✗ outside") == 1
    assert "<td>only here</td><td class=number>3.25 ms</td>" in page
    titles = ["Figures beside those published", "Spikes and rates", "Populations", "Statistics", "How it was made"]
    assert re.findall(r"<h2>(.*?)</h2>", page) == titles
    assert "versions" in page


def test_a_figure_without_a_verdict_says_so_in_the_table_and_in_words(result, tmp_path):
    facts = {
        "met": Fact.near(5.0, "Hz", 5.0, 0.5, "A"),
        "absent": Fact.near(math.nan, "Hz", 0.58, 0.06, "B"),
        "loose": Fact.near(1.67, "Hz", 2.4, 3.6, "C"),
    }
    table = facts_table(facts)
    assert [table.count(words) for words in ("within", "outside", "not judged")] == [1, 0, 2]
    assert "<td>absent</td><td class=number>none</td><td class=number>0.58 Hz</td>" in table
    page = written(result, tmp_path, facts)
    assert "1 of 1 published figure met; 2 more not judged.</p>" in page
    assert page.count("<p class=note>Not judged: ") == 1


def test_parts_of_the_summary_are_called_what_they_are(result, tmp_path):
    times = {"build": 0.25, "compile": 0.5, "run": 0.75}
    memory = {"network": 3.5, "process_peak": 400.5}
    page = written(result, tmp_path, summary={"times_s": times, "memory_mib": memory, "versions": {"run": "1"}})
    titles = re.findall(r"<summary>(.*?)</summary>", page)
    assert titles == ["configuration", "times (s)", "memory (MiB)", "versions"]
    rows = dict(re.findall(r"<tr><th>([^<]*)</th><td>([^<]*)</td></tr>", page))
    assert (rows["connecting"], rows["compiling and the first part"], rows["the other parts"]) == (
        "0.25",
        "0.5",
        "0.75",
    )
    assert (rows["the network"], rows["the process at its peak"], rows["run"]) == ("3.5", "400.5", "1")
    assert "_peak" not in page.partition("<script")[0]


def test_a_run_that_was_stopped_says_so(result):
    stopped = result_of(result.spikes, 1000.0, complete=False)
    assert headline(NetworkConfig(duration=5000.0), stopped, {}).startswith("Stopped at 1,000 of 5,000 ms. ")


def test_a_run_that_ends_before_the_transient_is_shown_whole(result):
    assert observed(NetworkConfig(duration=5000.0, discard=2000.0), result)["exc"].begin == 0.0


def test_names_that_look_like_markup_stay_names(tmp_path, result):
    spikes = dict(zip((EVIL, "inh"), result.spikes.values(), strict=True))
    facts = {EVIL: Fact(1.0, EVIL, 1.0, 0.0, 2.0, EVIL)}
    page = written(result_of(spikes, 1000.0), tmp_path, facts, summary={"network": EVIL, EVIL: {EVIL: EVIL}})
    plain = written(result_of(result.spikes, 1000.0), tmp_path)
    assert page.count("<script") == plain.count("<script")
    assert "<img" not in re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert stored(page)["groups"][0]["name"] == EVIL


def test_a_folder_that_is_not_there_is_refused(tmp_path, result):
    with pytest.raises(FileError, match="not a folder"):
        written(result, tmp_path / "missing")


def area(curve, log=False):
    x, y = (np.asarray(v) for v in curve)
    edges, heights = x[::2], y[1:-1:2]
    return float((heights * np.diff(np.log10(edges) / 0.1 if log else edges)).sum())


def test_histograms_hold_every_neuron_and_every_interval(result):
    for (x, y), trains in zip(rate_histograms(result.spikes).values(), result.spikes.values(), strict=True):
        assert y[1:-1:2].sum() == pytest.approx(100.0)
        middles = 0.5 * (x[::2][1:] + x[::2][:-1])
        width = x[4] - x[2]
        assert (middles * y[1:-1:2]).sum() / 100.0 == pytest.approx(trains.rate(), abs=width / 2)
    for curve in interval_histograms(result.spikes, DT).values():
        assert area(curve, log=True) == pytest.approx(100.0)
    for _, y in cv_histograms(result.spikes).values():
        assert y[1:-1:2].sum() == pytest.approx(100.0)


@pytest.mark.parametrize("span", [(200.0, 250.0), (200.0, 1000.0)], ids=["50 ms", "800 ms"])
def test_bars_of_rates_begin_at_zero_and_hold_each_rate_once(result, span):
    late = {name: trains.window(*span) for name, trains in result.spikes.items()}
    for (x, y), trains in zip(rate_histograms(late).values(), late.values(), strict=True):
        edges, shares = x[::2], y[1:-1:2]
        assert edges[0] == 0.0
        rates = trains.rates()
        assert np.abs(rates[:, None] - edges[1:]).min() > 0.1 * 1e3 / trains.duration  # none lies on an edge
        counts = [((a <= rates) & (rates < b)).sum() for a, b in itertools.pairwise(edges)]
        np.testing.assert_allclose(shares, 100.0 * np.array(counts) / trains.size)
    assert statistics_charts(late, DT)["rates"].x_range.start == 0.0


def test_intervals_of_a_clock_lie_in_one_bin():
    clock = SpikeTrains.of_arrays(np.arange(1, 40) * 25.0, np.zeros(39, int), 1, 0.0, 1000.0)
    ((x, y),) = interval_histograms({"clock": clock}, DT).values()
    (at,) = np.flatnonzero(y[1:-1:2])
    assert x[::2][at] < 25.0 < x[::2][at + 1]


def test_spectra_of_poisson_trains_are_flat_at_their_rate(result):
    for name, (frequencies, power) in spectra(result.spikes, DT).items():
        assert frequencies[-1] == pytest.approx(1000.0)  # bins of 0.5 ms
        assert power.mean() == pytest.approx(result.spikes[name].rate(), rel=0.1)


def test_connections_are_those_of_the_network(tmp_path):
    net = sl.sim.Network(dt=DT, seed=1)
    cell = sl.LIF(tau=10.0, reset_mechanism="value")
    cells, others = net.population(cell, 50, name="cells"), net.population(cell, 30, name="others")
    synapse = sl.Exponential(tau=5.0)
    net.connect(cells, others, sl.sim.fixed_in_degree(7), weight=0.25, delay=1.5, synapse=synapse)
    drawn = net.connect(
        cells, cells, sl.sim.fixed_probability(0.5, autapses=False), weight=sl.sim.normal(2.0, 0.5),
        delay=sl.sim.uniform(0.5, 3.0), synapse=synapse, name="recurrent",
    )  # fmt: skip
    first, second = wiring(net)
    assert (first.name, first.synapses, first.each) == ("cells to others", 210, 7.0)
    assert (first.rule, first.weight, first.delay) == ("fixed in degree: count 7", "0.25 pA", "1.5 ms")
    assert first.synapse == "Exponential tau 5 ms"
    assert second.rule == "fixed probability: p 0.5, no autapses"
    w, steps = drawn.weights, drawn.steps * DT
    assert second.weight == f"{w.mean():.4g} ± {w.std():.4g} pA ({w.min():.4g} to {w.max():.4g})".replace("-", "−")
    assert second.delay == f"{steps.mean():.4g} ± {steps.std():.4g} ms ({steps.min():.4g} to {steps.max():.4g})"
    page = written(net.run(300.0, threads=1), tmp_path, net=net)
    assert "<td>recurrent</td>" in page
    assert f"<td class=number>{drawn.size:,}</td>" in page


def test_synapses_are_said_in_words_down_to_the_innermost():
    course = sl.DoubleExponential(tau_rise=3.0, tau_decay=10.0)
    said = "DoubleExponential tau rise 3 ms, tau decay 10 ms"
    assert synapse_text(course) == said
    assert synapse_text(sl.Conductance(course, e=-80.0)) == f"Conductance e −80 mV: {said}"
    assert synapse_text(sl.NMDA(course, mg=1.2)) == f"NMDA e 0 mV, mg 1.2 mM: {said}"
    depressed = sl.TsodyksMarkram(sl.Conductance(sl.Exponential(tau=3.0)), u_release=0.25)
    assert synapse_text(depressed).endswith(": Conductance e 0 mV: Exponential tau 3 ms")
    assert synapse_text(depressed).startswith("TsodyksMarkram u release 0.25, tau recovery ")
    assert synapse_text(sl.Alpha(tau=0.325)) == "Alpha tau 0.325 ms"
    assert synapse_text(sl.Exponential(tau=np.array([1.0, 2.0]))) == "Exponential tau each its own"


def test_long_cells_of_the_connections_wrap():
    net = sl.sim.Network(dt=DT, seed=1)
    cells = net.population(sl.LIF(tau=10.0, reset_mechanism="value"), 10, name="cells")
    synapse = sl.Conductance(sl.DoubleExponential(tau_rise=3.0, tau_decay=10.0), e=-80.0)
    net.connect(cells, cells, sl.sim.fixed_in_degree(3), weight=sl.sim.normal(2.0, 0.5), synapse=synapse)
    (row,) = re.findall(r"<tbody><tr>(.*?)</tr>", wiring_table(wiring(net)))
    kinds = re.findall(r"<td( class=\w+)?>", row)
    assert kinds == ["", " class=words", " class=number", " class=number", *[" class=words"] * 3]
    assert "Conductance e −80 mV: DoubleExponential tau rise 3 ms" in row


def test_inputs_are_those_of_the_network(tmp_path):
    net = sl.sim.Network(dt=DT, seed=1)
    cells = net.population(sl.LIF(tau=10.0, reset_mechanism="value"), 4, name="cells")
    net.drive(cells, sl.sim.poisson(8000.0), weight=0.5)
    net.drive(cells, sl.sim.poisson(lambda t: 10.0 + t), weight=np.array([1.0, 2.0, 3.0, 4.0]))
    net.inject(cells, -1.5)
    net.inject(cells, lambda t: np.sin(t))
    net.inject(cells, sl.sim.noise(5.0, every=2.0))
    table = inputs_table(net)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)[1:]]
    assert rows == [
        ["cells", "Poisson spikes to each neuron, 8000 Hz", "v", "0.5 mV"],
        ["cells", "Poisson spikes to each neuron, a function of time", "v", "2.5 ± 1.118 mV (1 to 4)"],
        ["cells", "−1.5 pA", "i", "–"],
        ["cells", "a function of time", "i", "–"],
        ["cells", "noise of its own to each neuron, sd 5 pA, held for 2 ms", "i", "–"],
    ]
    assert table in written(net.run(300.0, threads=1), tmp_path, net=net)
    assert inputs_table(sl.sim.Network()) == ""


def test_rules_are_said_in_words():
    assert rule_text(sl.sim.all_to_all()) == "all to all"
    assert rule_text(sl.sim.fixed_total(1000, multapses=False)) == "fixed total: count 1,000, no multapses"
    assert rule_text(sl.sim.from_pairs([0, 1], [1, 0])) == "from pairs"
