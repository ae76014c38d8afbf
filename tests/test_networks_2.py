"""Microcircuit, synfire chain, liquid state machine: against NEST, Brian2, closed forms and counts by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from spikeloom.cli.app import main
from spikeloom.networks.facts import Fact
from spikeloom.sim.network import Network
from spikeloom.sim.result import Result

from .test_networks import configured, simulated


def outside(facts: dict[str, Fact]) -> dict[str, Fact]:
    """Figures that are not in the published range."""
    return {what: fact for what, fact in facts.items() if fact.within is False}


def same_spikes(one: Result, two: Result) -> bool:
    return all(
        np.array_equal(one.spikes[g].times, two.spikes[g].times)
        and np.array_equal(one.spikes[g].neurons, two.spikes[g].neurons)
        for g in one.spikes
    )


# -- microcircuit


def test_the_full_microcircuit_has_the_published_numbers() -> None:
    module, config = configured("microcircuit", scale=1.0)
    assert sum(module.sizes(config)) == 77_169
    numbers = module.synapses(config)
    assert numbers.sum() == 298_880_968
    assert round(numbers.sum() / 77_169) == 3873
    assert module.psc() == pytest.approx(87.81, abs=0.005)
    currents = [561.97, 526.85, 737.59, 667.34, 702.47, 667.34, 1018.58, 737.59]
    assert module.constant_currents(config) == pytest.approx(currents, abs=0.01)
    # 7 bytes a synapse (a place of two, a weight, a delay), said before anything is drawn.
    assert 7 * 298_880_968 < module.build(config).memory() < 8 * 298_880_968


def test_the_postsynaptic_potential_peaks_at_the_given_height() -> None:
    module, _ = configured("microcircuit")
    t = np.linspace(0.0, 20.0, 200_001)
    potential = module.psc() / 250.0 / (1 / 0.5 - 1 / 10.0) * (np.exp(-t / 10.0) - np.exp(-t / 0.5))
    assert potential.max() == pytest.approx(0.15, rel=1e-7)


def test_a_tenth_of_the_microcircuit_fires_as_in_nest() -> None:
    net, _, facts = simulated("microcircuit")
    assert sum(p.size for p in net.projections.values()) == facts["synapses"].value
    assert facts["synapses"].value == pytest.approx(298_880_968 / 100, abs=32)
    assert sum(f.published is not None for f in facts.values()) == 8
    assert outside(facts) == {}
    first = net.projections["L4E to L23E"]
    assert first.weights.mean() == pytest.approx(2 * 87.81 / np.sqrt(0.1), rel=0.002)
    assert first.weights.std() == pytest.approx(0.1 * first.weights.mean(), rel=0.02)
    assert net.projections["L4I to L23E"].weights.mean() == pytest.approx(-4 * 87.81 / np.sqrt(0.1), rel=0.002)
    assert first.steps.min() == 1
    # Normal of mean 1.5 and deviation 0.75, cut at 0.1 ms: moments of the truncated distribution.
    assert 0.1 * first.steps.mean() == pytest.approx(1.5 + 0.75 * 0.0720, abs=0.01)


def test_less_of_the_microcircuit_keeps_the_mean_input() -> None:
    # Mean current at the published rates, by sums over synapses, is the same at any number of them.
    module, _ = configured("microcircuit")
    means = []
    for degrees in (1.0, 0.3, 0.1):
        _, config = configured("microcircuit", in_degree_scale=degrees, background="dc")
        synapses = module.full_synapses() * degrees / module.SIZES[:, None]
        recurrent = (module.weights() / np.sqrt(degrees) * synapses) @ module.RATES * 0.5e-3
        means.append(recurrent + module.constant_currents(config))
    np.testing.assert_allclose(means[1:], [means[0]] * 2, rtol=1e-12)


def test_threads_do_not_change_the_microcircuit() -> None:
    changes = {"scale": 0.03, "duration": 100.0, "discard": 0.0}
    one, two = (simulated("microcircuit", threads=n, **changes)[1] for n in (1, 2))
    assert sum(map(len, one.spikes.values())) > 100
    assert same_spikes(one, two)


# -- liquid state machine


def test_the_liquid_keeps_inputs_apart_in_their_order() -> None:
    net, result, facts = simulated("liquid-state-machine", pairs=12)
    assert outside(facts) == {}
    apart = [facts[f"state distance at input distance {d}"].value for d in ("0.4", "0.2", "0.1", "0")]
    assert apart[0] > apart[1] > apart[2] > 3 * apart[3] > 0.0
    # All copies are the same column: edge k of copy c is edge k of copy 0, moved.
    copies = 2 * 12 * 4
    for pre, post in (("exc", "inh"), ("inh", "exc")):
        p = net.projections[f"{pre} to {post}"]
        sizes = {"exc": 108, "inh": 27}
        sources, targets = (x.reshape(copies, -1) for x in (p.sources(), p.edges.targets))
        moved = np.arange(copies)[:, None]
        np.testing.assert_array_equal(sources, sources[0] + moved * sizes[pre])
        np.testing.assert_array_equal(targets, targets[0] + moved * sizes[post])
        assert np.ptp(p.weights.reshape(copies, -1), axis=0).max() == 0.0
        assert (np.sign(p.weights) == (1.0 if pre == "exc" else -1.0)).all()
    module, config = configured("liquid-state-machine", pairs=12)
    # States by the definition, for some neurons.
    times = np.array([5.0, 100.0, 333.0, 500.0])
    found = module.states(config, result, times)
    for copy, neuron in ((0, 3), (7, 50), (95, 107)):
        spikes = result.spikes["exc"].of(copy * 108 + neuron)
        plain = [np.exp(-(t - spikes[spikes <= t + 1e-9]) / 30.0).sum() for t in times]
        np.testing.assert_allclose(found[:, copy, neuron], plain, rtol=1e-12, atol=1e-12)


def test_the_column_is_connected_with_the_published_probabilities() -> None:
    module, config = configured("liquid-state-machine")
    counts, expected = np.zeros(4), np.zeros(4)
    for seed in range(40):
        seeded = dataclasses.replace(config, seed=seed)
        places = module.columns(seeded)
        assert [len(places[n]) for n in ("exc", "inh")] == [108, 27]
        for k, kind in enumerate(module.KINDS):
            pre, _ = module._wired(seeded, kind, places)
            counts[k] += len(pre)
            distance = np.linalg.norm(places[kind.pre][:, None] - places[kind.post][None], axis=-1)
            chance = kind.factor * np.exp(-((distance / 2.0) ** 2))
            expected[k] += chance[distance > 0].sum()
    np.testing.assert_array_less(np.abs(counts - expected), 4 * np.sqrt(expected))


def test_distance_of_input_trains_is_the_integral() -> None:
    module, config = configured("liquid-state-machine", pairs=3, distances=(0.3, 0.2))
    t = np.arange(-40.0, 540.0, 0.01)
    times, owners = module.stimuli(config)
    for pair, distance in ((0, 0.3), (4, 0.2)):
        trains = [times[owners == 2 * pair + k] for k in (0, 1)]
        curves = [np.exp(-(((t[:, None] - train) / 5.0) ** 2)).sum(axis=1) for train in trains]
        whole = ((curves[0] - curves[1]) ** 2).sum() * 0.01 / 500.0
        assert module.input_distance(*trains, 500.0) == pytest.approx(whole, rel=1e-6)
        assert whole == pytest.approx(distance, abs=0.01)


# -- synfire chain


@pytest.mark.parametrize(
    ("spreads", "spikes"),
    [
        ((0.0, 1.0), (40.0, 44.0, 50.0, 55.0, 65.0)),
        ((2.0, 3.0), (45.0, 57.0, 63.0, 70.0, 80.0)),
        ((4.0, 5.0), (60.0, 80.0, 90.0, 100.0, 110.0)),
    ],
)
def test_packets_survive_as_in_brian(spreads: tuple[float, ...], spikes: tuple[float, ...]) -> None:
    # REFERENCE section 9: a of which half survive (the grid of a was 5 wide there), up to which none, from which all.
    _, _, facts = simulated("synfire-chain", spikes=spikes, spread=spreads)
    known = {what for what, fact in facts.items() if fact.published is not None}
    assert {f"a of which half survive, σ = {spread:g} ms" for spread in spreads} <= known
    for spread in spreads:
        none, every = {0: (40, 55), 1: (40, 65), 2: (45, 70), 3: (50, 80), 4: (60, 100), 5: (70, 110)}[int(spread)]
        judged = [facts[f"survival of a = {a:g}, σ = {spread:g} ms"] for a in spikes if not none < a < every]
        assert {fact.published for fact in judged} == {0.0, 100.0}
        assert all(fact.unit == "%" and fact.value == round(fact.value) for fact in judged)
    assert "rate of the first group without packets" in known
    assert not outside(facts)


def test_a_synfire_chain_makes_packets_synchronous() -> None:
    module, config = configured("synfire-chain", trials=4, spikes=(100.0,), spread=(3.0,))
    result = module.build(config).run(config.length, threads=1)
    sizes, spreads = module.passages(config, result)
    assert sizes.shape == (1, 4, 10)
    assert (sizes[:, :, -3:] > 90.0).all()
    assert (spreads[:, :, -3:] < 0.7).all()
    assert (spreads[:, :, 0] > 0.8).all()
    assert same_spikes(result, module.build(config).run(config.length, threads=2))


def test_a_synfire_chain_is_built_as_it_is_described() -> None:
    module, config = configured("synfire-chain", trials=2, groups=3, members=4, spikes=(5.0, 0.0), spread=(0.0, 1.0),
                                discard=50.0, duration=250.0)  # fmt: skip
    net: Network = module.build(config)
    p = net.projections["chain"]
    pairs = set(zip(p.sources().tolist(), p.edges.targets.tolist(), strict=True))
    expected = {
        (12 * t + 4 * g + i, 12 * t + 4 * (g + 1) + j)
        for t in range(2)
        for g in range(2)
        for i in range(4)
        for j in range(4)
    }
    assert p.size == len(pairs)
    assert pairs == expected
    times, trials, numbers = module.packets(config)
    assert numbers.tolist() == 4 * list(range(5))
    assert trials.tolist() == [0] * 5 + [1] * 5 + [0] * 5 + [1] * 5
    assert times[:10].tolist() == [50.0] * 10
    assert 0.3 < times[10:].std() < 2.0
    assert times[10:].mean() == pytest.approx(150.0, abs=1.5)
    assert module.half_point((50.0, 40.0, 60.0), np.array([0.4, 0.0, 0.9])) == pytest.approx(52.0)
    assert module.half_point((50.0,), np.array([0.5])) is None


def test_the_survival_map_is_drawn_and_written(tmp_path: Path) -> None:
    from spikeloom.plot.synfire import pictures

    small = ["--groups", "3", "--trials", "4", "--spikes", "5", "15", "90", "--spread", "0", "1"]
    assert main(["simulate", "synfire-chain", *small, "--out", str(tmp_path), "--name", "run"]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    found = summary["details"]["survival"]
    assert (found["a"], found["sigma_ms"], found["trials"]) == ([5.0, 15.0, 90.0], [0.0, 1.0], 4)
    assert summary["simulated_ms"] == pytest.approx(60.0 + 6 * 36.0)
    shares = np.array(found["share"])
    assert shares[:, 0].max() < 0.5 < shares[:, 2].min()  # 5 spikes start nothing, 90 do
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert [page.count(f'alt="{name}"') for name in ("survival.png", "raster.png", "paths.png")] == [1, 1, 1]
    _, config = configured("synfire-chain", groups=3, trials=4, spikes=(5.0, 15.0, 90.0), spread=(0.0, 1.0))
    drawn = pictures(config, Result.load(tmp_path / "run" / "result.json"))
    assert list(drawn) == ["survival.png", "raster.png", "paths.png"]
    assert [t.get_text() for t in drawn["survival.png"].axes[0].texts] == [f"{100 * s:.0f}" for s in shares.reshape(-1)]
    (legend,) = drawn["paths.png"].legends
    words = ["came through", "died out", "the 100 neurons of a group"]
    assert [t.get_text() for t in legend.get_texts()] == words
    assert drawn["survival.png"].axes[0].get_title(loc="left") == "Packets that came through, in % of 4 trials"
    titles = [ax.get_title(loc="left") for ax in drawn["raster.png"].axes]
    assert [title.rpartition(": ")[2] for title in titles] == ["died out", "came through"]


def test_the_survival_map_is_what_a_chain_shows_of_itself() -> None:
    module, config = configured("synfire-chain")
    assert (len(config.spikes), len(config.spread), config.trials) == (16, 6, 30)
    assert module.comparable(config)
    assert set(config.spread) == set(module.SURVIVAL)
    # Of each row of the map: none survive up to where none does, half of them where half do, all from where all do.
    row = np.interp(config.spikes, [40.0, 54.0], [0.0, 1.0])
    found = module._shares(config, 0.0, row) | module._shares(config, 5.0, np.ones(16))
    assert [fact.within for fact in found.values()] == [True, True, False, True]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["microcircuit", "--scale", "0"], "scale is out of range"),
        (["microcircuit", "--scale", "2"], "scale is out of range"),
        (["microcircuit", "--in-degree-scale", "-1"], "--in-degree-scale is out of range"),
        (["microcircuit", "--background", "noise"], "poisson"),
        (["synfire-chain", "--spikes", "2.5"], "--spikes: got 2.5, expected whole numbers"),
        (["synfire-chain", "--spikes", "-1"], "spikes is out of range"),
        (["synfire-chain", "--groups", "1"], "groups is out of range"),
        (["synfire-chain", "--spikes", "50", "60", "--spread", "1", "2", "--duration", "200"], "Simulate 228 ms"),
        (["liquid-state-machine", "--pairs", "0"], "pairs is out of range"),
        (["liquid-state-machine", "--distances", "0.1", "0.1"], "different ones"),
        (["liquid-state-machine", "--distances", "5", "--pairs", "1"], "have this distance"),
        (["liquid-state-machine", "--shape", "1", "1", "2"], "at least 5"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options_are_refused(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", *arguments, "--out", str(tmp_path)]) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
