"""Which figures of a network are held against the published ones: none of too short or too long a record."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.cli.app import main
from spikeloom.networks import NetworkConfig
from spikeloom.networks.facts import Fact
from spikeloom.networks.measures import activity
from spikeloom.report.network import headline
from spikeloom.sim.result import Result
from spikeloom.sim.spike_trains import SpikeTrains

from .test_networks import configured


def regular(config: NetworkConfig, interval: float) -> Result:
    """Two populations of ten neurons that fire like clocks."""
    times = np.arange(interval, config.duration + 1e-9, interval)
    trains = SpikeTrains.of_arrays(
        np.repeat(times, 10), np.tile(np.arange(10), len(times)), 10, 0.0, config.duration
    )  # fmt: skip
    known: dict[str, Any] = {"states": {}, "dt": 0.1, "complete": True, "wall_time": 1.0, "synapses": 0}
    return Result({"exc": trains, "inh": trains}, begin=0.0, end=config.duration, **known)


def test_a_value_that_is_not_there_has_no_verdict() -> None:
    fact = Fact.near(math.nan, "", 0.58, 0.06, "NEST")
    assert fact.within is None
    assert fact.plain()["within"] is None
    assert fact.plain()["value"] is None


@pytest.mark.parametrize(("duration", "judged"), [(400.0, False), (800.0, False), (1000.0, True), (1200.0, False)])
def test_a_cv_is_compared_where_the_record_is_as_long_as_the_published(duration: float, judged: bool) -> None:
    # 200 ms are discarded and 800 ms were published.
    for name in ("cuba", "coba"):
        module, config = configured(name, duration=duration)
        facts = module.facts(config, regular(config, 20.0))
        assert (facts["CV of exc"].within is False) == (facts["CV of exc"].published is not None) == judged
        assert facts["CV of exc"].value == pytest.approx(0.0, abs=1e-9)
        assert facts["rate of exc"].published is not None


@pytest.mark.parametrize(
    ("name", "changes", "judged"),
    [
        ("coba-hh", {"duration": 500.0}, True),
        ("coba-hh", {"duration": 1000.0}, False),
        ("brunel", {"state": "C", "duration": 350.0}, False),
        ("brunel", {"state": "C", "duration": 1000.0}, True),
        ("brunel", {"state": "D", "duration": 1000.0}, False),
        ("brunel", {"state": "D", "duration": 1200.0}, True),
    ],
)
def test_other_networks_have_records_of_their_own(name: str, changes: dict[str, Any], judged: bool) -> None:
    module, config = configured(name, **changes)
    facts = module.facts(config, regular(config, 20.0))
    assert (facts["CV of exc"].published is not None) == judged


def test_the_command_judges_no_cv_of_a_short_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--duration", "250", "--threads", "1", "--out", str(tmp_path), "--name", "run"]
    assert main(["simulate", "cuba", *options]) == 0
    assert "CV of exc: none\n" in capsys.readouterr().out
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<td>CV of exc</td><td class=number>none</td>" in page
    assert "of 2 published figures met." in page


def test_the_headline_counts_what_is_judged_and_says_what_is_not() -> None:
    config = NetworkConfig(duration=1000.0)
    result = regular(config, 20.0)
    met, missed = Fact.near(5.0, "Hz", 5.0, 0.5, "A"), Fact.near(7.0, "Hz", 5.0, 0.5, "A")
    absent, loose = Fact.near(math.nan, "", 0.58, 0.06, "A"), Fact.near(1.67, "Hz", 2.4, 3.6, "A")
    for facts, words in (
        ([met, missed], " 1 of 2 published figures met."),
        ([met, missed, absent], " 1 of 2 published figures met; 1 more not judged."),
        ([met, loose, absent], " 1 of 1 published figure met; 2 more not judged."),
        ([loose], " 1 published figure not judged."),
        ([Fact(1.0)], "after the first 200 ms."),
    ):
        assert headline(config, result, {str(k): fact for k, fact in enumerate(facts)}).endswith(words)


def test_the_rate_of_one_chain_is_not_judged() -> None:
    # 3 s of a neuron's time: 2.4 Hz allow 0 as well.
    module, config = configured("synfire-chain", trials=1, spikes=(85.0,), spread=(1.0,))
    silent = SpikeTrains(np.empty(0), np.empty(0, np.int32), 1000, 0.0, config.length)
    fact = module._quiet(config, Result({"chain": silent}, {}, 0.0, config.length, 0.1, True, 1.0, 0))
    assert (fact.published, fact.within) == (2.4, None)


def test_activity_without_published_figures_compares_nothing() -> None:
    config = NetworkConfig(duration=1000.0)
    assert all(fact.published is None for fact in activity(config, regular(config, 20.0)).values())
