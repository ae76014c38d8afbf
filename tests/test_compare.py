"""Finished runs side by side: what is read, when an order is given, what is refused, and the page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from spikeloom.cli import main
from spikeloom.errors import FileError, ParameterError
from spikeloom.report.compare import read_results, terminal_table, write_comparison
from spikeloom.report.results import Result, read_result
from spikeloom.report.verdict import differences, notes, obstacles, relations, short_names, verdict

MLP = {"accuracy": 0.984, "sd": 0.0005, "spikes": 0.06, "joules": 2e-6}


def metrics(accuracy: float, sd: float, spikes: float, seeds: int, test: int) -> dict[str, Any]:
    return {
        "seeds": seeds, "test_samples": test, "test_accuracy": accuracy, "test_accuracy_sd": sd,
        "validation_accuracy": accuracy, "validation_accuracy_sd": sd,
        "spikes_per_neuron_step": spikes, "spikes_per_neuron_step_sd": 0.0,
    }  # fmt: skip


def summary(
    accuracy: float = 0.98, sd: float = 0.001, spikes: float = 0.05, seeds: int = 3, test: int = 10_000, **more: Any
) -> dict[str, Any]:
    """What a training of MNIST writes to summary.json."""
    joules, ann = more.pop("joules", None), more.pop("ann", None)
    facts = {
        "recipe": "mnist",
        "config": {
            "seeds": seeds, "epochs": 3, "out": "runs", "name": "x",
            "data": {"seed": 0, "root": "somewhere"}, "neuron": {"tau": 20.0},
        },
        "split": {"train": 54_000, "validation": 6_000, "test": test},
        "versions": {}, "machine": {"cpu_count": 2}, "kernels": [], "wall_time_s": 1.0, "parameters": 407_050,
        "metrics": metrics(accuracy, sd, spikes, seeds, test),
        "per_seed": [{"seed": k, "train_time_s": 100.0 + 10.0 * k} for k in range(seeds)],
    }  # fmt: skip
    if ann is not None:
        facts["baseline"] = {
            "metrics": metrics(ann[0], ann[1], 0.0, seeds, test),
            "per_seed": [],
            "parameters": 407_050,
        }
    if joules is not None:
        cost = {"compute": joules, "neurons": 0.0, "memory": 0.0, "unpriced": 0, "total": joules}
        twin = cost | {"total": 3 * joules} if ann is not None else None
        facts["energy"] = {"profiles": [{"name": "45nm-arithmetic", "spiking": cost, "ann": twin}]}
    return facts | more


def epochs(accuracies: Sequence[float]) -> list[dict[str, float]]:
    return [
        {"epoch": k, "loss": 1 - a, "accuracy": a, "validation_loss": 2 - a, "validation_accuracy": a, "time_s": 1.0}
        for k, a in enumerate(accuracies, 1)
    ]


Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def run(name: str, history: dict[str, Any] | None = None, **facts: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps(summary(**facts)))
        if history is not None:
            (folder / "history.json").write_text(json.dumps(history))
        return folder

    return run


def read(*paths: Path) -> list[Result]:
    return read_results(paths)


# -- reading


def test_a_run_is_read(make: Make) -> None:
    history = {"spiking-seed-0": epochs([0.9, 0.97]), "spiking-seed-1": epochs([0.8]), "ann-seed-0": epochs([0.5])}
    result = read_result(make("a", history, **MLP, ann=(0.985, 0.0004)))
    assert (result.name, result.recipe, result.data, result.test_samples) == ("a", "mnist", "mnist", 10_000)
    spiking, twin = result.spiking, result.baseline
    assert twin is not None
    assert (spiking.accuracy, spiking.accuracy_sd, spiking.seeds, spiking.spikes) == (0.984, 0.0005, 3, 0.06)
    assert (spiking.energy, spiking.train_time, spiking.parameters) == (2e-6, 110.0, 407_050)
    assert (twin.accuracy, twin.energy, twin.train_time) == (0.985, pytest.approx(6e-6), None)
    assert [[row["validation_accuracy"] for row in rows] for rows in spiking.curves] == [[0.9, 0.97], [0.8]]
    assert len(twin.curves) == 1


def test_energy_with_operations_that_have_no_price_is_no_energy(make: Make) -> None:
    folder = make("a", **MLP)
    facts = json.loads((folder / "summary.json").read_text())
    facts["energy"]["profiles"][0]["spiking"]["unpriced"] = 5
    (folder / "summary.json").write_text(json.dumps(facts))
    assert read_result(folder).spiking.energy is None


def test_the_energy_package_writes_what_is_read_here(tmp_path: Path) -> None:
    energy = pytest.importorskip("spikeloom.energy")
    import torch

    import spikeloom as sl

    net = sl.nn.Sequential(torch.nn.Linear(8, 4), sl.nn.Neuron(sl.LIF()), torch.nn.Linear(4, 2))
    twin = sl.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    x = torch.rand(1, 16, 8)
    report = energy.compare(energy.measure(net, [x.expand(5, 16, 8)]), energy.measure(twin, [x]))
    (tmp_path / "summary.json").write_text(json.dumps(summary(ann=(0.9, 0.1), energy=report.plain())))
    result = read_result(tmp_path)
    price = report.prices[0]
    assert result.profile == price.profile
    assert result.spiking.energy == pytest.approx(price.total.total)
    assert result.baseline is not None
    assert result.baseline.energy == pytest.approx(price.ann_total.total)


@pytest.mark.parametrize(
    ("recipe", "data"),
    [("mnist", "mnist"), ("mnist-cnn", "mnist"), ("fashion-mnist-cnn", "fashion-mnist"), ("mine", "mine")],
)
def test_the_data_set_of_a_recipe(make: Make, recipe: str, data: str) -> None:
    assert read_result(make("a", recipe=recipe)).data == data


def test_the_data_set_that_a_run_names_comes_first(make: Make) -> None:
    assert read_result(make("a", config={"data": {"set": "fashion-mnist"}})).data == "fashion-mnist"
    assert read_result(make("b", dataset={"name": "mine"})).data == "mine"


# -- comparable or not


def test_runs_on_the_same_data_are_comparable(make: Make) -> None:
    assert obstacles(read(make("a"), make("b", recipe="mnist-cnn"))) == []


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"recipe": "fashion-mnist"}, "different data sets: mnist (a), fashion-mnist (b)."),
        ({"test": 500}, "different numbers of images: 10,000 test images (a), 500 test images (b)."),
        ({"split": {"train": 1000, "validation": 6_000, "test": 10_000}}, "differ in size: 54,000 train"),
        ({"config": {"data": {"seed": 4}}}, "different seeds: split seed 0 (a), split seed 4 (b)."),
    ],
)
def test_what_makes_runs_not_comparable(make: Make, other: dict[str, Any], why: str) -> None:
    results = read(make("a", sd=0.0001), make("b", accuracy=0.5, sd=0.0001, **other))
    assert len(obstacles(results)) == 1
    assert why in obstacles(results)[0]
    assert verdict(results, ["a", "b"]) == "These runs are not comparable, so no order is given."
    assert relations(results) == ["", ""]
    assert why in terminal_table(results)


# -- an order, or none


def test_no_order_within_the_spread(make: Make) -> None:
    results = read(make("a", accuracy=0.980, sd=0.003), make("b", accuracy=0.985, sd=0.003))
    assert verdict(results, ["a", "b"]) == (
        "No order is given: the differences in accuracy are within the spread of seeds."
    )
    assert relations(results) == ["within the spread of seeds"] * 2


def test_an_order_beyond_the_spread(make: Make) -> None:
    results = read(make("a", accuracy=0.980, sd=0.003), make("b", accuracy=0.990, sd=0.003), make("c", accuracy=0.970))
    assert relations(results) == ["1.00 points below the highest", "highest", "2.00 points below the highest"]
    assert verdict(results, ["a", "b", "c"]) == (
        "b has the highest test accuracy, ahead of a and c by more than the spread of seeds."
    )


def test_two_that_lead_together(make: Make) -> None:
    results = read(make("a", accuracy=0.99), make("b", accuracy=0.95), make("c", accuracy=0.9905))
    assert relations(results) == [
        "within the spread of seeds",
        "4.05 points below the highest",
        "within the spread of seeds",
    ]
    assert verdict(results, ["a", "b", "c"]).startswith("a and c have the highest test accuracies, ahead of b by more")


def test_a_small_test_set_gives_no_order(make: Make) -> None:
    # 1 of 100 images is less than the standard error sqrt(2 * 0.9 * 0.1 / 100) = 4.2 %, whatever the seeds say.
    results = read(make("a", accuracy=0.90, sd=0.0, test=100), make("b", accuracy=0.91, sd=0.0, test=100))
    assert relations(results) == ["too close for this test set"] * 2
    assert verdict(results, ["a", "b"]).endswith("are too close for this test set.")


def test_one_seed_gives_no_order(make: Make) -> None:
    results = read(make("a", accuracy=0.99), make("b", accuracy=0.5, sd=0.0, seeds=1), make("c", accuracy=0.9))
    assert verdict(results, ["a", "b", "c"]).startswith("No order is given: b has one seed, which shows no spread.")
    assert relations(results)[1] == "one seed: spread unknown"
    assert "highest of those with several seeds" in relations(results)[0]


def test_the_fields_that_differ_are_named(make: Make) -> None:
    other = summary()["config"] | {"neuron": {"tau": 5.0, "width": 9}, "out": "else", "data": {"seed": 0, "root": "/"}}
    other["keep"] = {"every": 5}
    results = read(make("a"), make("b", config=other))
    assert differences(results) == {"neuron.tau": [20.0, 5.0], "neuron.width": [None, 9]}
    text = terminal_table(results)
    assert re.search(r"^neuron\.tau +20 +5$", text, re.M)
    assert re.search(r"^neuron\.width +– +9$", text, re.M)


def test_other_machines_and_profiles_are_noted(make: Make) -> None:
    results = read(make("a", joules=1e-6), make("b", joules=1e-6, machine={"cpu_count": 64}))
    assert len(notes(results)) == 1
    assert "different machines" in notes(results)[0]
    assert notes(results[:1] * 2) == []


# -- the table


def test_the_table(make: Make) -> None:
    results = read(make("a", **MLP, ann=(0.985, 0.0006)), make("b", accuracy=0.99, sd=0.0004, seeds=2, joules=1.5e-5))
    rows = [re.split(r"  +", line.strip()) for line in terminal_table(results).splitlines()[:4]]
    assert rows == [
        [
            "run",
            "network",
            "accuracy",
            "seeds",
            "spikes",
            "energy",
            "training time",
            "parameters",
            "difference in accuracy",
        ],
        ["a", "spiking", "98.40 ± 0.05 %", "3", "0.060", "2 µJ", "1.8 min", "407,050", "0.60 points below the highest"],
        ["ANN", "98.50 ± 0.06 %", "3", "–", "6 µJ", "–", "407,050", "within the spread of seeds"],
        ["b", "spiking", "99.00 ± 0.04 %", "2", "0.050", "15 µJ", "1.8 min", "407,050", "highest"],
    ]
    narrow = terminal_table(results, width=80).splitlines()
    assert all(len(line) <= 80 for line in narrow[:4])
    assert "difference" not in narrow[0]


def test_columns_without_a_value_are_left_out(make: Make) -> None:
    heads = terminal_table(read(make("a", parameters=None), make("b", parameters=None))).splitlines()[0]
    assert "energy" not in heads
    assert "parameters" not in heads


def test_folders_of_the_same_name_are_named_by_path(make: Make) -> None:
    results = read(make("x/run"), make("y/run"), make("z"))
    assert [name[-5:] for name in short_names(results)] == ["x/run", "y/run", "z"]


# -- the page


def test_the_page(make: Make, tmp_path: Path) -> None:
    history = {f"{net}-seed-{k}": epochs([0.8, 0.9, 0.95]) for net in ("spiking", "ann") for k in range(2)}
    results = read(make("mnist-mlp", history, **MLP, ann=(0.985, 0.001)), make("mnist-b", history, joules=1e-7))
    write_comparison(tmp_path / "compare.html", results)
    text = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert re.findall("<h2>(.*?)</h2>", text) == [
        "Results",
        "Learning curves",
        "Accuracy and energy",
        "What sets them apart",
    ]
    for part in (
        "2 runs on mnist",
        "98.40 ± 0.05 %",
        "within the spread of seeds",
        "validation accuracy",
        "45nm-arithmetic",
    ):
        assert part in text
    # Nothing is fetched: the only addresses are those in BokehJS, and the policy forbids even them.
    assert "default-src 'none'" in text
    assert not re.search(r"<(?:script|img|link)[^>]+(?:src|href)=\"http", text)


def test_without_histories_and_energies_the_page_has_the_table(make: Make, tmp_path: Path) -> None:
    write_comparison(tmp_path / "compare.html", read(make("a"), make("b")))
    text = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert re.findall("<h2>(.*?)</h2>", text) == ["Results", "What sets them apart"]
    assert "the configurations are equal" in text


def test_runs_that_are_not_comparable_say_so_on_the_page(make: Make, tmp_path: Path) -> None:
    results = read(make("a", joules=1e-6), make("b", joules=1e-6, recipe="digits"))
    write_comparison(tmp_path / "compare.html", results)
    text = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert "Not comparable." in text
    assert "Accuracy and energy" not in text


def test_a_name_that_looks_like_markup_stays_a_name(make: Make, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)> $$x$$"
    write_comparison(tmp_path / "c.html", read(make(name, {"spiking-seed-0": epochs([0.5])}), make("b")))
    assert "<img src=x" not in (tmp_path / "c.html").read_text(encoding="utf-8")


def test_curves_of_one_epoch_and_of_unequal_length(make: Make, tmp_path: Path) -> None:
    one, two = {"spiking-seed-0": epochs([0.5])}, {"spiking-seed-0": epochs([0.5, 0.6]), "spiking-seed-1": []}
    write_comparison(tmp_path / "c.html", read(make("a", one), make("b", two)))
    assert "Learning curves" in (tmp_path / "c.html").read_text(encoding="utf-8")


# -- the command, and what it refuses


def test_the_command(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["compare", str(make("a")), str(make("b")), "--out", str(page)]) == 0
    assert "within the spread of seeds" in capsys.readouterr().out
    assert page.exists()


def test_the_command_needs_no_torch(make: Make, tmp_path: Path) -> None:
    arguments = [
        "compare",
        str(make("a", {"spiking-seed-0": epochs([0.5, 0.6])})),
        str(make("b")),
        "--out",
        str(tmp_path / "c"),
    ]
    code = f"""
import sys
from spikeloom.cli import main
main({arguments!r})
print('HEAVY', {{'torch', 'numba'}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY set()"


def refused(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["compare", *arguments]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message


def test_bad_input_gives_one_message_each(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, broken, other, unfinished, foreign, worse = (make(name) for name in ("a", "broken", "other", "u", "f", "w"))
    (broken / "summary.json").write_text('{"recipe": ')
    (other / "summary.json").write_text('{"model": "lif"}')
    (foreign / "summary.json").write_text("[1]")
    (worse / "history.json").write_text('{"spiking-seed-0": 3}')
    (unfinished / "summary.json").rename(unfinished / "history.json")
    for arguments, parts in {
        (): ["got 0, expected at least 2"],
        (str(a),): ["got 1, expected at least 2"],
        (str(a), str(a) + "/."): ["the same run is named twice", "Name each run once"],
        (str(a), str(tmp_path / "nowhere")): ["nowhere is not the folder of a run: got nothing"],
        (str(a), str(a / "summary.json")): ["got a file", "Give the folder"],
        (str(a), str(tmp_path)): ["there is no summary.json"],
        (str(a), str(unfinished)): ["has not finished", "--resume"],
        (str(a), str(broken)): ["broken/summary.json is not JSON"],
        (str(a), str(other)): ["is not that of a training", "no "],
        (str(a), str(foreign)): ["holds no run: got list"],
        (str(a), str(worse)): ["history.json is not that of a training"],
        (str(a), str(make("g")), "--out", str(tmp_path / "no" / "page.html")): ["is not a folder"],
        (str(a), "--outt", "x"): ["no such option", "--out"],
    }.items():
        message = refused(*arguments, capsys=capsys)
        assert all(part in message for part in parts), message


@pytest.mark.parametrize("accuracy", [float("nan"), 1.5, -0.1])
def test_an_accuracy_that_is_none_is_refused(make: Make, accuracy: float) -> None:
    with pytest.raises(FileError, match="a test accuracy of"):
        read_result(make("a", accuracy=accuracy))


def test_the_same_run_through_a_link_is_the_same(make: Make, tmp_path: Path) -> None:
    folder = make("a")
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ParameterError, match="named twice"):
        read(folder, tmp_path / "link")
