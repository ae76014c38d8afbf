"""``spikeloom bench``: tiny sizes and no peers; what contenders compute is compared before any figure is shown."""

import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from spikeloom.bench import simulate, train
from spikeloom.bench.config import SimulateConfig, TrainConfig
from spikeloom.bench.networks import WORKLOADS
from spikeloom.bench.process import Contender, has_module
from spikeloom.bench.rates import disagreements
from spikeloom.bench.rounds import fastest, take_turns
from spikeloom.bench.simulate import interpreters
from spikeloom.bench.tables import network_rows, verdict
from spikeloom.bench.workloads import TASKS
from spikeloom.cli import main
from spikeloom.cli.bench_simulate import raise_for
from spikeloom.errors import BenchError, ConfigError


class Here:
    """A contender without a process of its own, so that torch is imported once."""

    def __init__(
        self, label: str, name: str, spec: Mapping[str, Any], *, python: str = "", env: Mapping[str, str] = {}
    ) -> None:
        contender = importlib.import_module(f"spikeloom.bench.contenders.{name}")
        self.label, versions = label, contender.load()
        if hasattr(contender, "warm"):
            contender.warm(spec)
        facts, actions = contender.start(spec)
        self.facts = {"versions": versions, "import": 0.0, "compile": 0.0, **facts}
        known = {"memory": lambda: {"before": 1.0, "peak": 3.0}, "reset": lambda: {"resident": 2.0}}
        self.actions = {**known, **actions}

    def ask(self, action: str) -> dict[str, Any]:
        return {**(self.actions[action]() or {}), "others": None}

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def here() -> Iterator[None]:
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "Contender", Here)
        patch.setattr(simulate, "Contender", Here)
        for name in ("train", "simulate"):
            patch.setattr(f"spikeloom.cli.bench_{name}.interpreters", lambda config: {})
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(here: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run of ``spikeloom bench train``."""
    out = tmp_path_factory.mktemp("trained")
    tiny = ["--batch", "1", "--rounds", "2", "--seconds", "0", "--threads", "1", "--no-fresh-cache"]
    assert main(["bench", "train", "--tasks", "neurons-100", *tiny, "--out", str(out), "--name", "a"]) == 0
    return out / "a"


def test_bench_simulate_measures_and_writes(here: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["--neurons", "250", "--span", "20", "--settle", "5", "--rounds", "2", "--threads", "1", "--no-fresh-cache"]
    done = main(["bench", "simulate", "--networks", "cuba-20k", *tiny, "--out", str(tmp_path), "--name", "a"])
    shown = capsys.readouterr()
    assert done == 0, shown.err
    assert "spikeloom, 1" in shown.out
    assert "plain loop" in shown.out
    found = json.loads((tmp_path / "a/summary.json").read_text())
    rows = found["networks"]["cuba-20k"]["contenders"]
    assert set(rows) == {"spikeloom, 1", "plain loop"}
    assert all(len(row["wall_s_per_simulated_s"]) == 2 for row in rows.values())
    assert all(row["build_s"] > 0 for row in rows.values())
    assert "plain loop" in (tmp_path / "a/report.html").read_text()


def test_bench_train_measures_and_writes(trained: Path) -> None:
    found = json.loads((trained / "summary.json").read_text())
    rows = found["tasks"]["neurons-100"]["contenders"]
    assert set(rows) == {"floor, bytes", "spikeloom", "loop in torch"}
    assert all(len(row["wall_s"]) == 2 for row in rows.values())
    assert rows["spikeloom"]["memory_mib"] == 1.0
    (density,) = rows["spikeloom"]["densities"]
    assert 0.05 < density < 0.5


def test_a_page_is_made_again_from_its_summary(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = trained / "report.html"
    first = page.read_text()
    assert "default-src 'none'" in first
    page.unlink()
    assert main(["report", str(trained)]) == 0
    assert "report.html" in capsys.readouterr().out
    assert "loop in torch" in page.read_text()


def test_nothing_is_measured_where_spikes_or_gradients_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    why = {train.OURS: "computes something else: gradient 0 differs by 3 % of its norm"}
    monkeypatch.setattr(train, "compared", lambda *_: (why, {}))
    with pytest.raises(BenchError, match="gradient 0 differs"):
        train.bench(TASKS["mlp"], TrainConfig(), {}, lambda text: None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_a_card_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "train", "--gpu", "--tasks", "mlp", "--out", str(tmp_path)]) != 0
    assert "--gpu needs a CUDA device: got none that torch can use" in capsys.readouterr().err


def test_a_peer_that_cannot_be_recorded_is_no_fault() -> None:
    def found(label: str) -> dict[str, object]:
        return {"mlp": {"refused": {}, "failed": {label: "operation not permitted when stream is capturing"}}}

    raise_for(found("snnTorch" + train.RECORDED))
    for label in ("spikeloom" + train.RECORDED, "snnTorch"):
        with pytest.raises(BenchError, match=f"mlp: {label}"):
            raise_for(found(label))


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


def test_a_contender_has_a_process_of_its_own() -> None:
    spec = {"kind": "neurons", "mode": "both", "steps": 4, "batch": 2, "sizes": [50_000], "threads": 1, "seconds": 0.0}
    with Contender("floor", "floor_training", {**spec, "floor": "bytes"}) as contender:
        assert contender.facts["versions"]["torch"]
        before = contender.ask("reset")["resident"]
        assert contender.ask("first")["first"] > 0
        assert contender.ask("run")["wall"] > 0
        after = contender.ask("memory")
    if before is not None:  # 20 bytes for each of 400,000 values, half of which are read
        assert after["peak"] - before > 3
        assert after["peak"] > after["before"]


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


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "simulat"]) == 2
    assert "Did you mean simulate?" in capsys.readouterr().err
    assert main(["bench", "simulate", "--networks", "cubba"]) == 2
    assert "Did you mean cuba? See `spikeloom bench simulate --help`." in capsys.readouterr().err
    assert main(["bench", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: spikeloom bench")
