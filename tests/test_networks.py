"""Named networks against REFERENCE section 9 (other simulators, the papers), closed forms and plain scripts."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import json
import os
import re
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.signal
import torch

import spikeloom as sl
from spikeloom.cli.app import main
from spikeloom.errors import ConfigError, FileError, ParameterError
from spikeloom.kernels.random import draw_by_key, key_of
from spikeloom.networks import NETWORKS, NetworkConfig
from spikeloom.networks.facts import Fact
from spikeloom.networks.measures import mean_cv, rhythm
from spikeloom.sim.network import Network
from spikeloom.sim.result import Result

DATA = Path(os.environ.get("SPIKELOOM_DATA", Path(__file__).parents[2] / "shared" / "data")) / "connectome_celegans"
with_wiring = pytest.mark.skipif(not DATA.is_dir(), reason="the wiring diagram is not on this machine")


def configured(name: str, **changes: Any) -> tuple[Any, Any]:
    """Module and configuration of a network."""
    entry = next(n for n in NETWORKS if n.name == name)
    return importlib.import_module(entry.module), dataclasses.replace(entry.configure(), **changes)


def simulated(name: str, threads: int = 1, **changes: Any) -> tuple[Network, Result, dict[str, Fact]]:
    """A network, what it did, and its figures."""
    module, config = configured(name, **changes)
    net: Network = module.build(config)
    result = net.run(config.length, threads=threads)
    return net, result, module.facts(config, result)


# -- rates and statistics at full size


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("cuba", {}),
        ("cuba", {"rule": "bernoulli"}),
        ("cuba", {"weights": "nest"}),
        ("cuba", {"weights": "delta", "dt": 0.125, "delay": 0.125}),
        ("coba", {"start": "kick"}),
        ("coba", {"rule": "bernoulli"}),
        ("coba-hh", {}),
        ("izhikevich-2003", {}),
        ("brunel", {"state": "A", "duration": 80.0, "discard": 20.0}),
        ("brunel", {"state": "B", "duration": 400.0, "discard": 100.0}),
        ("brunel", {"state": "C", "duration": 300.0, "discard": 100.0}),
        ("brunel", {"state": "D", "duration": 1200.0}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_published_figures(name: str, changes: dict[str, Any]) -> None:
    _, _, facts = simulated(name, **changes)
    known = {what: fact for what, fact in facts.items() if fact.published is not None}
    assert len(known) >= 2
    assert {what: fact for what, fact in known.items() if not fact.within} == {}
    if name == "brunel":  # both populations get the same input
        assert facts["rate of inh"].value == pytest.approx(facts["rate of exc"].value, rel=0.02)


def test_cuba_over_seeds() -> None:
    # NEST: excitatory 5.26 ± 0.13 Hz over seeds, CV 0.58; the mean of four seeds is surer than each.
    found = [simulated("cuba", seed=seed)[2] for seed in range(1, 5)]
    assert np.mean([f["rate of exc"].value for f in found]) == pytest.approx(5.26, abs=4 * 0.13 / 2)
    assert np.mean([f["rate of inh"].value for f in found]) == pytest.approx(5.17, abs=4 * 0.13 / 2)
    assert np.mean([f["CV of exc"].value for f in found]) == pytest.approx(0.58, abs=0.03)


def test_cuba_with_jumps_at_exact_times() -> None:
    # REFERENCE section 9: 9.67 ± 0.06 and 9.61 Hz with precise spike times (NEST); one seed, four standard deviations.
    solver = sl.solvers.Located()
    net = sl.sim.Network(dt=0.125, seed=1, dtype="float64")
    leak = sl.LIF(tau=20.0, v_rest=-49.0, v_threshold=-50.0, v_reset=-60.0, r=0.1, reset_mechanism="value")
    cell = sl.Refractory(leak, t_ref=5.0)
    both = [net.population(cell, size, name, solver=solver) for name, size in (("exc", 3200), ("inh", 800))]
    for pre, weight, degree in zip(both, (0.25, -2.25), (64, 16), strict=True):
        pre.set(v=sl.sim.uniform(-60.0, -50.0))
        for post in both:
            net.connect(pre, post, sl.sim.fixed_in_degree(degree), weight=weight, delay=0.125)
    spikes = net.run(1000.0, threads=1).spikes
    late = {name: trains.window(200.0, 1000.0) for name, trains in spikes.items()}
    assert late["exc"].rate() == pytest.approx(9.67, abs=4 * 0.06)
    assert late["inh"].rate() == pytest.approx(9.61, abs=4 * 0.06)
    assert mean_cv(late["exc"]) == pytest.approx(0.42, abs=0.06)
    assert np.mean(np.abs(spikes["exc"].times / 0.125 - np.rint(spikes["exc"].times / 0.125)) > 1e-3) > 0.9


def test_coba_is_silent_at_rest_and_its_rule_matters() -> None:
    # REFERENCE, trap 1: Bernoulli connections give 18 to 19 Hz, a fixed in-degree 14.4 Hz.
    fixed, random = (
        np.mean([simulated("coba", rule=rule, seed=seed)[2]["rate of exc"].value for seed in (1, 2)])
        for rule in ("fixed-in-degree", "bernoulli")
    )
    assert random - fixed == pytest.approx(18.1 - 14.39, abs=1.5)


# -- the same spikes on any number of threads


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("cuba", {"duration": 200.0, "discard": 0.0}),
        ("coba", {"duration": 100.0, "discard": 0.0, "start": "kick"}),
        ("coba-hh", {"duration": 30.0, "discard": 0.0, "solver": "midpoint"}),
        ("brunel", {"duration": 100.0, "discard": 0.0, "scale": 0.2}),
        ("izhikevich-2003", {"duration": 300.0}),
        ("ring", {"duration": 20.0}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_threads_change_nothing(name: str, changes: dict[str, Any]) -> None:
    one, two = (simulated(name, threads=threads, **changes)[1] for threads in (1, 2))
    assert sum(map(len, one.spikes.values())) > 10
    for group in one.spikes:
        np.testing.assert_array_equal(one.spikes[group].times, two.spikes[group].times)
        np.testing.assert_array_equal(one.spikes[group].neurons, two.spikes[group].neurons)
    module, config = configured(name, **changes)
    other = module.build(dataclasses.replace(config, seed=config.seed + 1)).run(config.duration, threads=1)
    if name != "ring":  # nothing in it is random
        assert any(len(other.spikes[g]) != len(one.spikes[g]) for g in one.spikes)


# -- each network against something else


def test_izhikevich_equals_the_plain_script() -> None:
    module, config = configured("izhikevich-2003", duration=200.0, precision="float64")
    net: Network = module.build(config)
    groups: Any = net.groups
    sizes = {"exc": 800, "inh": 200}
    model = {
        n: np.concatenate([np.broadcast_to(groups[g].given_model.values[n], sizes[g]) for g in sizes]) for n in "abcd"
    }
    weights = np.zeros((1000, 1000))
    first = {"exc": 0, "inh": 800}
    for p in net.projections.values():
        dense = np.zeros((p.pre.size, p.post.size))
        dense[p.sources(), p.edges.targets] = p.weights
        a, b = first[p.pre.name], first[p.post.name]
        weights[a : a + p.pre.size, b : b + p.post.size] = dense
    keys = {n.population.name: key_of(config.seed, n.name) for n in net._noises}
    like = torch.empty(0, dtype=torch.float64)
    drawn = [draw_by_key("normal", keys[g], 0, 200, sizes[g], like).numpy() for g in sizes]
    noise = np.concatenate([5.0 * drawn[0], 2.0 * drawn[1]], axis=1)
    assert noise[:, :800].std() == pytest.approx(5.0, rel=0.01)
    assert noise[:, 800:].std() == pytest.approx(2.0, rel=0.02)
    assert 0.0 < weights[:800].min() < weights[:800].max() < 0.5
    assert weights[:800].mean() == pytest.approx(0.25, abs=0.001)
    assert weights[800:].mean() == pytest.approx(-0.5, abs=0.003)
    # The script: detect, reset, gather the input, v twice by half a step, u by a whole one.
    a, b, c, d = (model[n] for n in "abcd")
    v, u = np.full(1000, -65.0), -65.0 * model["b"]
    raster = []
    for t in range(201):
        fired = v >= 30
        raster.append(fired)
        v[fired], u[fired] = c[fired], (u + d)[fired]
        current = (noise[t] if t < 200 else 0.0) + weights[fired].sum(axis=0)
        for _ in range(2):
            v = v + 0.5 * (0.04 * v**2 + 5 * v + 140 - u + current)
        u = u + a * (b * v - u)
    result = net.run(200.0)
    found = np.zeros((201, 1000), bool)
    for name in sizes:
        trains = result.spikes[name]
        found[np.rint(trains.times).astype(int), first[name] + trains.neurons] = True
    assert found.sum() > 1000
    np.testing.assert_array_equal(found, np.array(raster))


def test_rhythms_of_izhikevichs_network() -> None:
    # REFERENCE section 6: alpha peak at 8 Hz, 27 % of the power between 30 and 60 Hz (means over seeds).
    found = [simulated("izhikevich-2003", seed=seed)[2] for seed in range(1, 7)]
    assert np.median([f["slow peak of the spectrum"].value for f in found]) == pytest.approx(8.0, abs=1.0)
    assert np.mean([f["share of 30 to 60 Hz"].value for f in found]) == pytest.approx(0.27, abs=0.06)


def latency(weight: float, tau: float) -> float:
    """When a Hodgkin-Huxley cell at rest crosses -30 mV after one synaptic event, by scipy."""

    def slopes(t: float, y: np.ndarray) -> list[float]:
        v, m, h, n = y

        def linear(x: float, k: float) -> float:
            return x / (1.0 - np.exp(-x / k)) if abs(x) > 1e-9 else k

        am, bm = 0.1 * linear(v + 40, 10), 4.0 * np.exp(-(v + 65) / 18)
        ah, bh = 0.07 * np.exp(-(v + 65) / 20), 1.0 / (1.0 + np.exp(-(v + 35) / 10))
        an, bn = 0.01 * linear(v + 55, 10), 0.125 * np.exp(-(v + 65) / 80)
        current = weight * np.exp(-t / tau) * (0.0 - v)
        ionic = 120 * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.387)
        return [current - ionic, am * (1 - m) - bm * m, ah * (1 - h) - bh * h, an * (1 - n) - bn * n]

    def crossing(t: float, y: np.ndarray) -> float:
        return y[0] + 30.0

    crossing.terminal = True
    rest = [-65.0, 0.0529, 0.5961, 0.3177]
    found = scipy.integrate.solve_ivp(slopes, (0, 10), rest, events=crossing, rtol=1e-9, atol=1e-9, method="DOP853")
    return float(found.t_events[0][0])


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_ring_goes_round_at_the_speed_of_one_cell(weight: float) -> None:
    _, result, facts = simulated("ring", duration=60.0, weight=weight)
    times = result.spikes["ring"].times
    assert result.spikes["ring"].neurons[:20].tolist() == list(range(20))
    # Sources fire at 1 ms; every spike waits for the end of its step.
    exact = 1.0 + latency(weight, 2.0)
    assert np.diff(times[:20]) == pytest.approx(exact, abs=0.011)
    assert times[0] == pytest.approx(1.0 + exact, abs=0.011)
    assert facts["laps"].value == pytest.approx(60.0 / (20 * exact), abs=0.2)


def test_sources_of_spikes_are_no_neurons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "ring", "--duration", "20", "--out", str(tmp_path), "--name", "run"]) == 0
    assert "ring: 20 neurons, 21 synapses" in capsys.readouterr().out
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["neurons"], summary["sources"]) == ({"ring": 20}, {"start": 1})
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    words = r"20 neurons and 21 synapses: \d+ spikes in 20 ms \(and 1 of sources, which the raster shows too\); ring at"
    assert re.search(words + r" [\d.]+ Hz\.", page)
    assert page.count("<dt>spikes of neurons</dt>") == 1
    for card in ("wall time, compiling included (s)", "wall s per simulated s, once compiled"):
        assert f"<dt>{card}</dt>" in page
    times = summary["times_s"]
    rate = times["run"] / (summary["simulated_ms"] - summary["compiled_within_ms"]) * 1e3  # without what compiles
    assert summary["wall_s_per_simulated_s"] == pytest.approx(rate, abs=0.1)


def read(cells: set[str] | None = None) -> list[tuple[str, str, float, str]]:
    """The wiring once more, by a reader of its own."""
    with (DATA / "herm_full_edgelist.csv").open() as lines:
        rows = [[field.strip() for field in row] for row in csv.reader(lines)][1:]
    return [(a, b, float(n), k) for a, b, n, k in rows if cells is None or {a, b} <= cells]


@with_wiring
def test_the_worm_has_the_published_wiring() -> None:
    from spikeloom.networks.c_elegans import WiringConfig

    _, _, facts = simulated("c-elegans", data=WiringConfig(DATA, "all"), duration=5.0, discard=0.0)
    assert [facts[n].within for n in ("cells", "chemical connections", "electrical entries")] == [True] * 3
    _, _, facts = simulated("c-elegans", data=WiringConfig(DATA), duration=5.0, discard=0.0)
    assert facts["cells"].value == 300  # 302 but for the two that have no synapses (CANL, CANR)


@with_wiring
def test_gap_junctions_of_the_worm_spread_current_as_the_linear_system_says() -> None:
    from spikeloom.networks.c_elegans import WiringConfig

    changes = {"data": WiringConfig(DATA), "duration": 600.0, "precision": "float64", "stimulated": ("AVAL",)}
    module, config = configured("c-elegans", **changes, current=1.0, excitatory=0.0, inhibitory=0.0)
    net: Network = module.build(config)
    names = module.wiring(config).cells
    net.record(net.groups["cells"], "v", every=6000)  # type: ignore[arg-type]
    result = net.run(600.0)
    contacts: dict[frozenset[str], float] = {}
    for a, b, n, kind in read(set(names)):
        if kind == "electrical" and a != b:
            pair = frozenset((a, b))
            contacts[pair] = max(n, contacts.get(pair, 0.0))
    place = {name: k for k, name in enumerate(names)}
    matrix = 0.1 * np.eye(len(names))  # leak, nS
    for pair, n in contacts.items():
        a, b = (place[name] for name in pair)
        matrix[[a, b], [a, b]] += 0.01 * n
        matrix[[a, b], [b, a]] -= 0.01 * n
    current = np.zeros(len(names))
    current[place["AVAL"]] = 1.0
    assert not len(result.spikes["cells"])
    values = result.states["cells"]["v"].values[-1]
    np.testing.assert_allclose(values, -50.0 + np.linalg.solve(matrix, current), atol=2e-6)
    assert values.max() - np.sort(values)[-2] > 0.1  # the neuron itself, far above its partners


@with_wiring
def test_a_touch_of_the_worm_spreads_on_any_number_of_threads() -> None:
    from spikeloom.networks.c_elegans import WiringConfig

    changes = {"data": WiringConfig(DATA), "duration": 300.0, "discard": 100.0}
    one, two = (simulated("c-elegans", threads=threads, **changes)[1] for threads in (1, 2))
    np.testing.assert_array_equal(one.spikes["cells"].times, two.spikes["cells"].times)
    np.testing.assert_array_equal(one.spikes["cells"].neurons, two.spikes["cells"].neurons)
    assert len(np.unique(one.spikes["cells"].neurons)) > 50


# -- pictures


def test_pictures_of_a_result() -> None:
    _, result, _ = simulated("cuba", duration=300.0)
    figure = sl.plot.raster(result, title="cuba")
    rows = [axes.lines[0].get_ydata() for axes in figure.axes]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["exc (320 of 3,200)", "inh (80 of 800)"]
    chosen = np.linspace(0, 3199, 320).round().astype(int)
    assert len(rows[0]) == np.isin(result.spikes["exc"].neurons, chosen).sum()
    assert set(rows[0]) <= set(chosen)  # neurons keep their numbers
    figure = sl.plot.population_rates(result, bin=10.0)
    shown = figure.axes[1].patches[0].get_data()
    assert len(shown.values) == 30
    # Each bin of 10 ms and 800 neurons: 1 spike is 0.125 Hz.
    assert shown.values.sum() / 0.125 == pytest.approx(len(result.spikes["inh"]), abs=3)
    with pytest.raises(ParameterError, match="bin"):
        sl.plot.population_rates(result, bin=0.0)
    with pytest.raises(ParameterError, match="no population"):
        sl.plot.population_raster(dataclasses.replace(result, spikes={}))


# -- the command


def test_command_writes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--duration", "400", "--out", str(tmp_path), "--name", "run", "--threads", "1"]
    assert main(["simulate", "cuba", *options]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "4,000 neurons, 320,000 synapses, 400 ms" in said.out
    assert "rate of exc" in said.out
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["complete"] is True
    assert summary["config"]["duration"] == 400.0
    assert summary["seed"] == 1
    assert summary["facts"]["rate of exc"]["published"] == 5.26
    assert summary["facts"]["rate of exc"]["source"].startswith("NEST")
    assert sum(summary["synapses"].values()) == 320_000
    assert set(summary["times_s"]) == {"build", "compile", "run"}
    assert summary["memory_mib"]["network"] > 1.0
    assert "propagate/cpu" in summary["kernels"]
    spikes = Result.load(tmp_path / "run" / "result.json").spikes
    assert {name: len(trains) for name, trains in spikes.items()} == summary["spikes"]
    assert spikes["exc"].times[-1] <= 400.0
    for name in ("raster.png", "rates.png"):
        assert (tmp_path / "run" / name).read_bytes()[:4] == b"\x89PNG"
    assert main(["simulate", "cuba", *options]) == 2  # not overwritten
    assert "already exists" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_was_simulated(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from spikeloom.cli import simulate_run

    @contextmanager
    def pressed(text: str) -> Any:
        def progress(done: float, total: float, seconds: float) -> None:
            if done >= 300.0:
                signal.raise_signal(number)

        yield progress

    monkeypatch.setattr(simulate_run, "show_simulation", pressed)
    options = ["--duration", "100000", "--out", str(tmp_path), "--name", "run", "--threads", "1"]
    assert main(["simulate", "cuba", *options]) == 128 + number
    said = capsys.readouterr()
    assert "stopped at" in said.err
    assert "of 100000 ms" in said.err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["complete"] is False
    assert 300.0 <= summary["simulated_ms"] < 50_000.0
    assert summary["facts"]["rate of exc"]["value"] == pytest.approx(5.2, abs=1.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_pages_are_drawn_loses_nothing(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from spikeloom.cli import simulate_run

    drawn = simulate_run._draw

    def pressed(*given: Any) -> None:
        signal.raise_signal(number)
        drawn(*given)

    monkeypatch.setattr(simulate_run, "_draw", pressed)
    options = ["--duration", "250", "--out", str(tmp_path), "--name", "run", "--threads", "1"]
    assert main(["simulate", "cuba", *options]) == 128 + number
    assert f"interrupted while its pages were drawn; what was simulated is in {tmp_path}" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["complete"] is True
    assert sl.sim.Result.load(tmp_path / "run").end == 250.0
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize("dt", [0.05, 0.1, 0.45, 0.6, 1.0])
def test_independent_spikes_have_no_rhythm_for_any_step(dt: float) -> None:
    steps = int(1000.0 / dt)
    drawn = np.random.default_rng(0).random((steps, 500)) < 1e-2 * dt  # 10 Hz
    k, j = np.nonzero(drawn)
    trains = sl.sim.SpikeTrains.from_steps(k, j.astype(np.int32), dt, 500, 0.0, steps * dt)
    bins = drawn.sum(axis=1)[: steps - steps % (size := max(1, round(0.5 / dt)))].reshape(-1, size).sum(axis=1)
    frequencies, power = scipy.signal.welch(bins, 1e3 / (size * dt), nperseg=int(trains.duration / 2.0 / (size * dt)))
    seen = (frequencies >= 5.0) & (frequencies <= 400.0)
    assert power[seen].max() < 8.0 * power[seen].mean()  # no line in what the bins hold
    assert power[seen][np.abs(frequencies[seen] - rhythm(trains, dt)).argmin()] > 0.5 * power[seen].max()


def test_warnings_of_a_command_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--dt", "0.07", "--duration", "250", "--out", str(tmp_path)]
    assert main(["simulate", "cuba", *options]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    for line in lines:
        assert re.fullmatch(r"spikeloom: \w+ to \w+: a delay of 0.1 ms is no multiple .* rounded to 0.07 ms", line)


def test_too_little_memory_is_said_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from spikeloom.sim import memory

    def refused(*_: Any) -> None:
        raise AssertionError("edges were drawn")

    monkeypatch.setattr(memory, "available", lambda: 2.0**30)
    monkeypatch.setattr(type(sl.sim.fixed_in_degree(1)), "edges", refused)
    assert main(["simulate", "brunel", "--scale", "10", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "1.56e+09 synapses needs" in said
    assert "1.00 GiB that are free" in said
    assert list(tmp_path.iterdir()) == []


def test_help_and_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--help"]) == 0
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for network in NETWORKS:
        assert said.count(network.summary) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["brunle"], "Did you mean brunel?"),
        (["cuba", "--weigths", "nest"], "--weights"),
        (["cuba", "--weights", "heavy"], "nest"),
        (["cuba", "--duration", "0"], "--duration is out of range"),
        (["cuba", "--duration", "100"], "--discard leaves nothing"),
        (["cuba", "--duration", "1e12"], "number of steps"),
        (["cuba", "--delay", "0"], "--delay: got 0 ms, expected at least a step"),
        (["cuba", "--neurons", "3"], "neurons is out of range"),
        (["cuba", "--in-degree", "5000"], "--in-degree is out of range"),
        (["cuba", "--threads", "-1"], "threads is out of range"),
        (["cuba", "--seed", "-1"], "seed is out of range"),
        (["cuba", "--precision", "float16"], "float32"),
        (["brunel", "--state", "E"], "A"),
        (["brunel", "--scale", "0"], "scale is out of range"),
        (["brunel", "--eta", "-1"], "eta is out of range"),
        (["izhikevich-2003", "--dt", "0.5"], "dt of the scheme"),
        (["ring", "--neurons", "1"], "neurons is out of range"),
        (["c-elegans", "--delay", "0.01"], "--delay: got 0.01 ms, expected at least a step"),
        (["c-elegans", "--gap", "-1"], "--gap is out of range"),
        (["c-elegans", "--stimulated", "AVAL", "AVAL"], "twice"),
        (
            ["c-elegans", "--data.root", "nowhere"],
            "expected herm_full_edgelist.csv, Cook et al. 2019. Get this one file from",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options_are_refused(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", *arguments, "--out", str(tmp_path)]) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []  # nothing half-made is left


@with_wiring
def test_unknown_cells_of_the_worm() -> None:
    from spikeloom.networks.c_elegans import WiringConfig

    module, config = configured("c-elegans", data=WiringConfig(DATA), stimulated=("AVALL",))
    with pytest.raises(ConfigError, match="Did you mean AVAL"):
        module.build(config)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "first line"),
        ("Source;Target\n", "first line"),
        ("Source,Target,Weight,Type\nA,B,1\n", "line 2: got 3 fields"),
        ("Source,Target,Weight,Type\nA,B,1,chemical\nA,B,-1,chemical\n", "line 3: got '-1'"),
        ("Source,Target,Weight,Type\nA,B,nan,chemical\n", "line 2"),
        ("Source,Target,Weight,Type\nA,,1,chemical\n", "two names"),
        ("Source,Target,Weight,Type\nA,B,1,magnetic\n", "chemical or electrical"),
        ("Source,Target,Weight,Type\nA,\xff,1,chemical\n", "cannot read"),
    ],
)
def test_broken_wiring_files(text: str, says: str, tmp_path: Path) -> None:
    from spikeloom.data.connectome import load_c_elegans

    (tmp_path / "herm_full_edgelist.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(FileError, match=says):
        load_c_elegans(tmp_path)


def test_every_network_is_listed_once_and_configures() -> None:
    names = [network.name for network in NETWORKS]
    assert len(set(names)) == len(names)
    for network in NETWORKS:
        assert isinstance(network.configure(), NetworkConfig)
        module = importlib.import_module(network.module)
        assert callable(module.build)
        assert callable(module.facts)
