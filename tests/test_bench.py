"""``spikeloom bench``: tiny sizes and no peers; what contenders compute is compared before any figure is shown."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from spikeloom.bench import simulate, train
from spikeloom.bench.config import SimulateConfig, TrainConfig
from spikeloom.bench.networks import WORKLOADS
from spikeloom.bench.process import Contender, has_module
from spikeloom.bench.rates import disagreements
from spikeloom.bench.rounds import fastest, take_turns
from spikeloom.bench.simulate import interpreters
from spikeloom.bench.tables import network_rows, verdict
from spikeloom.bench.workloads import TASKS
from spikeloom.cli.bench_simulate import raise_for
from spikeloom.errors import BenchError, ConfigError

TINY = ("--neurons", "250", "--span", "20", "--settle", "5", "--rounds", "2", "--threads", "1", "--no-fresh-cache")


def bench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spikeloom", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)


def test_bench_simulate_measures_and_writes(tmp_path: Path) -> None:
    done = bench("simulate", "--networks", "cuba-20k", *TINY, "--name", "a", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "spikeloom, 1" in done.stdout
    assert "plain loop" in done.stdout
    found = json.loads((tmp_path / "runs/a/summary.json").read_text())
    rows = found["networks"]["cuba-20k"]["contenders"]
    assert set(rows) == {"spikeloom, 1", "plain loop"}
    assert all(len(row["wall_s_per_simulated_s"]) == 2 for row in rows.values())
    assert all(row["build_s"] > 0 for row in rows.values())


def test_bench_train_measures_and_writes(tmp_path: Path) -> None:
    tiny = ("--batch", "1", "--rounds", "2", "--seconds", "0", "--threads", "1", "--no-fresh-cache")
    done = bench("train", "--tasks", "neurons-100", *tiny, "--name", "a", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "runs/a/summary.json").read_text())
    rows = found["tasks"]["neurons-100"]["contenders"]
    assert set(rows) >= {"floor, bytes", "spikeloom", "loop in torch"}
    assert all(len(row["wall_s"]) == 2 for row in rows.values())


def test_nothing_is_measured_where_spikes_or_gradients_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    why = {train.OURS: "computes something else: gradient 0 differs by 3 % of its norm"}
    monkeypatch.setattr(train, "compared", lambda *_: (why, {}))
    with pytest.raises(BenchError, match="gradient 0 differs"):
        train.bench(TASKS["mlp"], TrainConfig(), {}, lambda text: None)


def test_rates_that_differ_by_more_than_statistics_allow_are_refused() -> None:
    # Two rounds each, equal within a contender: only the spread over networks counts, 4 * sqrt(2) * 1 % = 5.7 %.
    same = disagreements({"a": [10.0, 10.0], "b": [10.5, 10.5]}, spread=0.01, scheme=0.0)
    other = disagreements({"a": [10.0, 10.0], "b": [10.7, 10.7]}, spread=0.01, scheme=0.0)
    assert same == {}
    assert list(other) == ["b"]
    assert disagreements({"a": [10.0], "b": [10.7]}, spread=0.01, scheme=0.02) == {}
    assert list(disagreements({"a": [10.0], "b": [float("nan")]}, spread=0.01, scheme=0.0)) == ["b"]
    # A noisy contender may be further off: its mean of 4 rounds has a standard error of 1 Hz.
    noisy = [8.0, 8.0, 12.0, 12.0]
    assert disagreements({"a": [10.0] * 4, "b": [n + 3.0 for n in noisy]}, spread=0.0, scheme=0.0) == {}


def row(rate: float, *walls: float) -> dict[str, object]:
    known = {"rate_hz": [rate] * len(walls), "build_s": 1.0, "compile_s": 0.0, "memory_mib": None}
    return {"wall_s_per_simulated_s": list(walls), **known}


def test_a_contender_that_computes_something_else_has_no_figures() -> None:
    rows = {"spikeloom, 1": row(5.0, 1.0), "NEST, 1": row(5.1, 8.0), "Brian2, 1": row(9.0, 0.1)}
    found = simulate.judged(WORKLOADS["cuba-20k"], rows)
    assert list(found["contenders"]) == ["spikeloom, 1", "NEST, 1"]
    assert list(found["refused"]) == ["Brian2, 1"]
    assert [cells[0] for cells in network_rows(found)] == ["spikeloom, 1", "NEST, 1"]
    assert verdict(found) == "spikeloom, 1: 8.00 x the speed of the fastest peer (NEST, 1)"
    with pytest.raises(BenchError, match="cuba: Brian2, 1"):
        raise_for({"cuba": {**found, "failed": {}}})


class Fake:
    """A contender without a process."""

    def __init__(self, label: str, fails: bool = False) -> None:
        self.label, self.fails, self.asked = label, fails, 0

    def ask(self, action: str) -> dict[str, float]:
        self.asked += 1
        if self.fails and self.asked == 2:
            raise BenchError(f"{self.label} ended without an answer")
        return {"wall": 1.0}


def test_a_contender_that_ends_does_not_stop_the_others() -> None:
    good, bad = Fake("good"), Fake("bad", fails=True)
    turns, failed = take_turns([good, bad], 4, "run", lambda text: None)  # type: ignore[list-item]
    assert (list(turns), good.asked, bad.asked) == (["good"], 4, 2)
    assert failed == {"bad": "bad ended without an answer"}


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(BenchError, match=r"peer failed: got ModuleNotFoundError.*no_such_contender"):
        Contender("peer", "no_such_contender", {})


def test_peers_are_looked_for() -> None:
    assert has_module(sys.executable, "spikeloom")
    assert not has_module(sys.executable, "no_such_package")
    assert not has_module("/no/such/python", "json")
    with pytest.raises(BenchError, match="has no NEST"):
        interpreters(SimulateConfig(nest="/no/such/python"))


def test_ratios_are_to_the_fastest_peer() -> None:
    rows = {"spikeloom, 1": row(5.0, 1.0, 2.0), "plain loop": row(5.0, 0.5, 1.0), "NEST, 1": row(5.0, 8.0, 9.0),
            "Brian2, 2": row(5.0, 3.0, 6.0)}  # fmt: skip
    found = {"contenders": rows}
    shown = {cells[0]: cells[1:4] for cells in network_rows(found)}
    assert shown["spikeloom, 1"] == ["1.5 (1 to 2)", "2.00", "0.33"]
    assert shown["Brian2, 2"][2] == "1.00"
    assert verdict(found) == (
        "spikeloom, 1: 3.00 x the speed of the fastest peer (Brian2, 2); "
        "spikeloom, 1: 2.00 x the time of the plain loop"
    )
    assert fastest({}) == ""


@pytest.mark.parametrize(
    ("fields", "word"),
    [({"networks": ("cubba",)}, "cuba"), ({"networks": ()}, "empty"), ({"threads": (0,)}, "threads"),
     ({"rounds": 0}, "rounds"), ({"neurons": 10}, "250")],
)  # fmt: skip
def test_unusable_settings_are_refused(fields: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        SimulateConfig(**fields)  # type: ignore[arg-type]


def test_an_unknown_benchmark_is_refused(tmp_path: Path) -> None:
    done = bench("simulat", cwd=tmp_path)
    assert done.returncode == 2
    assert "Did you mean simulate?" in done.stderr
    done = bench("simulate", "--networks", "cubba", cwd=tmp_path)
    assert "Did you mean cuba? See `spikeloom bench simulate --help`." in done.stderr
    assert bench("--help", cwd=tmp_path).stdout.startswith("usage: spikeloom bench")
