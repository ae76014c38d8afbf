"""Search for settings: what can be varied, that trials are shared and go on, and that the test set plays no part."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("optuna")

from spikeloom.cli import main
from spikeloom.cli.options import parse
from spikeloom.cli.search import split, train_command
from spikeloom.cli.search_run import study_folder
from spikeloom.errors import ConfigError, FileError, NonFiniteError, ParameterError
from spikeloom.recipes import RECIPES, digits, mnist
from spikeloom.recipes import search as module
from spikeloom.recipes.problem import problem_of
from spikeloom.recipes.search import JOURNAL, Plan, Tried, Watch, best, open_study, reporting, search
from spikeloom.recipes.space import Choice, Span, parse_space, with_values
from spikeloom.report.search import write_search_report
from spikeloom.report.trials import SearchReport, Trial
from spikeloom.train.history import Epoch
from spikeloom.train.loop import Fitted
from spikeloom.train.stop import StopRequest

DIGITS = next(recipe for recipe in RECIPES if recipe.name == "digits")
TINY = (
    "--epochs", "1", "--data.train", "0.1", "--data.validation", "0.1", "--encoding.steps", "2", "--neuron.width", "4",
)  # fmt: skip
VARY = ("--vary", "optimiser.learning_rate=log:1e-3:1e-1", "neuron.tau=2:50")


def near(name: str) -> str:
    return f"near {name}"


def space(*texts: str) -> dict[str, Span | Choice]:
    return parse_space(texts, digits(), near)


def tiny(trials: int, objective: Any = "loss", *, vary: Sequence[str] = VARY[1:], **changes: Any) -> Plan:
    config = parse(digits(), ["--seeds", "1", *TINY], prog="", description="")
    config = with_values(config, {name.replace("__", "."): value for name, value in changes.items()})
    return Plan(DIGITS, config, space(*vary), objective, trials)


def found(plan: Plan, folder: Path) -> list[Tried]:
    return search(plan, folder, StopRequest(), Watch())


# -- what can be varied


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("optimiser.learning-rate=log:1e-4:1e-1", Span(1e-4, 1e-1, log=True)),
        ("--neuron.tau=2:50", Span(2.0, 50.0)),
        ("neuron.width=16:250:16", Span(16, 240, step=16, whole=True)),
        ("encoding.steps=log:2:32", Span(2, 32, log=True, whole=True)),
        ("neuron.learn_tau=true,False", Choice((True, False))),
        ("optimiser.schedule=cosine,constant", Choice(("cosine", "constant"))),
        ("neuron.width=64,128,256", Choice((64, 128, 256))),
    ],
)
def test_the_forms_of_values(text: str, values: Span | Choice) -> None:
    assert list(space(text).values()) == [values]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["has the form NAME=VALUES", "got ''"]),
        ("neuron.tau", ["has the form NAME=VALUES"]),
        ("neuron.tau=", ["has the form NAME=VALUES"]),
        ("neuron.tua=1:2", ["no such field", "near neuron.tua"]),
        ("neuron=1:2", ["no such field"]),
        ("neuron.tau.x=1:2", ["no such field"]),
        ("neuron.tau=5", ["one value only"]),
        ("neuron.tau=5:2", ["wrong order"]),
        ("neuron.tau=-1:5", ["tau is out of range", "above 0"]),
        ("neuron.tau=log:0:5", ["starts above 0"]),
        ("neuron.width=1.5:9", ["'1.5'", "a whole number"]),
        ("neuron.tau=fast,slow", ["'fast'", "a number"]),
        ("neuron.tau=1:inf", ["finite"]),
        ("neuron.tau=1:2:3:4", ["LOW:HIGH:STEP"]),
        ("neuron.tau=log:1:2:1", ["log:LOW:HIGH"]),
        ("neuron.tau=1:2:3", ["the step of neuron.tau"]),
        ("encoding.kind=rate,morse", ["'morse'", "direct, rate"]),
        ("neuron.learn_tau=maybe,true", ["'maybe'", "true, false"]),
        ("neuron.width=64,64", ["a value twice"]),
        ("seed=1,2", ["part of how trials are measured"]),
        ("data.seed=1:9", ["part of how trials are measured"]),
        ("out=a,b", ["part of how trials are measured"]),
    ],
)
def test_unusable_values(text: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        space(text)
    assert all(part in str(error.value) for part in parts), str(error.value)


def test_a_field_of_several_values_cannot_be_varied() -> None:
    with pytest.raises(ConfigError, match=r"net.hidden cannot be varied"):
        parse_space(["net.hidden=1,2"], mnist(), near)


def test_nothing_or_the_same_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs something to vary"):
        space()
    with pytest.raises(ConfigError, match=r"neuron.tau is varied twice"):
        space("neuron.tau=1:2", "neuron.tau=3:4")


def test_fields_are_replaced_together() -> None:
    # One after the other, either of these would be refused: train + validation is at most 0.99.
    config = with_values(digits(), {"data.train": 0.1, "data.validation": 0.85, "epochs": 2})
    assert (config.data.train, config.data.validation, config.epochs) == (0.1, 0.85, 2)
    assert config.neuron == digits().neuron


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("digits", ["--neuron.learn-tau", "--neuron.tau", "17.36", "--optimiser.schedule", "constant"]),
        ("digits", ["--neuron.no-learn-tau", "--encoding.kind", "rate", "--optimiser.learning-rate", "1e-05"]),
        ("mnist", ["--data.root", "my files", "--net.hidden", "256", "128", "--augment.flip", "--net.dropout", "0.1"]),
        ("fashion-mnist", ["--data.validation", "0.2", "--penalty.rate", "3", "--choose", "accuracy"]),
    ],
)
def test_the_printed_command_trains_the_same(name: str, options: list[str]) -> None:
    recipe = next(recipe for recipe in RECIPES if recipe.name == name)
    config = parse(recipe.configure(), options, prog="", description="")
    words = shlex.split(train_command(recipe, config))
    assert words[:3] == ["spikeloom", "train", name]
    assert parse(recipe.configure(), words[3:], prog="", description="") == config


# -- real, tiny searches


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Tried]:
    """Four trials in one go."""
    return found(tiny(4), tmp_path_factory.mktemp("whole"))


def test_trials_are_trained_and_judged(whole: list[Tried]) -> None:
    assert [trial.number for trial in whole] == [0, 1, 2, 3]
    assert {trial.state for trial in whole} == {"complete"}
    for trial in whole:
        assert set(trial.settings) == {"optimiser.learning_rate", "neuron.tau"}
        assert 1e-3 <= trial.settings["optimiser.learning_rate"] <= 1e-1
        assert 2 <= trial.settings["neuron.tau"] <= 50
        assert all(float(f"{value:.4g}") == value for value in trial.settings.values())
        assert trial.value == trial.told["validation_loss"]
    assert len({trial.settings["neuron.tau"] for trial in whole}) == 4
    assert best(whole, "loss") == min(whole, key=lambda t: t.value or math.inf)


def test_a_trial_is_what_the_trainer_would_do(whole: list[Tried]) -> None:
    plan, trial = tiny(4), whole[0]
    config = with_values(plan.config, trial.settings)
    parts = problem_of(DIGITS).load(config)
    task = module.build(DIGITS, config, config.seed, parts)
    fitted = module.fit(task, module.fit_settings(config), parts.train, parts.validation, seed=config.seed)
    assert fitted.best.validation_loss == trial.value


def test_a_study_that_goes_on_is_the_same_study(whole: list[Tried], tmp_path: Path) -> None:
    assert found(tiny(2), tmp_path) == whole[:2]
    assert found(tiny(4), tmp_path) == whole
    assert found(tiny(3), tmp_path) == whole  # nothing left to do


def test_the_test_set_is_never_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, built = [], module.build

    def spy(recipe: Any, config: Any, seed: int, parts: Any) -> Any:
        sizes.append(parts.sizes)
        return built(recipe, config, seed, parts)

    monkeypatch.setattr(module, "build", spy)
    found(tiny(2), tmp_path)
    assert [size["test"] for size in sizes] == [0, 0]
    assert all(size["train"] > 100 and size["validation"] > 100 for size in sizes)
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert source.count("parts.test") == 1  # where it is dropped


# -- how trials end, with a training that takes no time


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[float], float]], list[tuple[float, int]]]:
    """Replace the training by one whose loss is a function of the learning rate; returns what was trained."""
    trained: list[tuple[float, int]] = []

    def install(loss: Callable[[float], float]) -> list[tuple[float, int]]:
        def fit(task: Any, settings: Any, *data: Any, observer: Any, **more: Any) -> Fitted:
            rows = []
            for epoch in range(1, settings.epochs + 1):
                value = loss(settings.learning_rate)
                rows.append(Epoch(epoch, value, 0.5, value + 1 / epoch, 1 / (1 + value), 0.1))
                trained.append((settings.learning_rate, epoch))
                observer.epoch(rows[-1])
            return Fitted({}, rows[-1], tuple(rows))

        monkeypatch.setattr(module, "fit", fit)
        return trained

    return install


def test_hopeless_trials_are_cut_short(tmp_path: Path, instant: Any) -> None:
    trained = instant(lambda rate: abs(math.log10(rate) + 2))
    trials = found(tiny(40, epochs=10), tmp_path)
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert len(trials) == 40
    assert 5 <= len(pruned) <= 35
    assert len(trained) < 350  # of 400 epochs
    winner = best(trials, "loss")
    assert winner is not None
    assert winner.settings["optimiser.learning_rate"] == pytest.approx(1e-2, rel=0.3)


def test_accuracy_is_maximised(tmp_path: Path, instant: Any) -> None:
    instant(lambda rate: abs(math.log10(rate) + 2))
    trials = found(tiny(15, "accuracy", epochs=3), tmp_path)
    winner = best(trials, "accuracy")
    assert winner is not None
    assert winner.value == max(trial.value for trial in trials if trial.state == "complete" and trial.value)
    assert winner.value == winner.told["validation_accuracy"]


def test_diverging_trials_count_and_the_search_goes_on(tmp_path: Path, instant: Any) -> None:
    def loss(rate: float) -> float:
        if rate > 1e-2:
            raise NonFiniteError("the loss is not finite in epoch 1, step 3")
        return rate

    instant(loss)
    trials = found(tiny(12), tmp_path)
    failed = [trial for trial in trials if trial.state == "failed"]
    assert len(trials) == 12
    assert 0 < len(failed) < 12
    assert all(trial.value is None and "not finite" in trial.told["reason"] for trial in failed)


def test_settings_that_exclude_each_other_fail_alone(tmp_path: Path, instant: Any) -> None:
    instant(lambda rate: rate)
    plan = tiny(10, vary=["optimiser.schedule=cosine,one-cycle"], optimiser__warmup=0.1, epochs=1)
    states = {trial.settings["optimiser.schedule"]: trial.state for trial in found(plan, tmp_path) if trial.settings}
    assert states["one-cycle"] == "failed"
    assert states["cosine"] in ("complete", "pruned")


def test_seeds_are_averaged(tmp_path: Path, instant: Any) -> None:
    trained = instant(lambda rate: rate)
    found(tiny(2, seeds=3), tmp_path)
    assert len(trained) == 6


def test_a_stop_keeps_what_there_is(tmp_path: Path, instant: Any) -> None:
    instant(lambda rate: rate)
    stop = StopRequest()

    class Third(Watch):
        def judged(self, tried: Sequence[Tried]) -> None:
            if len(tried) == 3:
                stop.number = signal.SIGTERM

    assert len(search(tiny(9), tmp_path, stop, Third())) == 3
    assert len(found(tiny(9), tmp_path)) == 9


def test_an_interrupted_trial_is_not_held_against_its_settings(tmp_path: Path, instant: Any) -> None:
    def loss(rate: float) -> float:
        raise KeyboardInterrupt

    instant(loss)
    with pytest.raises(KeyboardInterrupt):
        found(tiny(3), tmp_path)
    instant(lambda rate: rate)
    assert [trial.number for trial in found(tiny(3), tmp_path)] == [1, 2, 3]


# -- the journal


def test_another_plan_is_refused_by_field(tmp_path: Path, instant: Any) -> None:
    instant(lambda rate: rate)
    found(tiny(1), tmp_path)
    for plan, parts in (
        (tiny(1, neuron__width=9), ["neuron.width was 4 and is now 9"]),
        (tiny(1, "accuracy"), ["objective was loss and is now accuracy"]),
        (
            tiny(1, vary=["neuron.tau=3:50"]),
            ["--vary neuron.tau was 2:50 and is now 3:50", "--vary optimiser.learning"],
        ),
    ):
        with pytest.raises(ConfigError) as error:
            found(plan, tmp_path)
        assert all(part in str(error.value) for part in parts), str(error.value)
    found(tiny(2, threads=2, name="other"), tmp_path)  # these change nothing


def test_a_study_of_an_older_version_goes_on(tmp_path: Path, instant: Any) -> None:
    instant(lambda rate: rate)
    found(tiny(1), tmp_path)
    journal = (tmp_path / JOURNAL).read_text()
    older = re.sub(r'"readout.lead": ?1.0, ?', "", journal)
    assert older != journal
    (tmp_path / JOURNAL).write_text(older)
    with pytest.raises(ConfigError, match=r"readout.lead was 1.0 and is now 2.0"):
        found(tiny(2, readout__lead=2.0), tmp_path)
    assert len(found(tiny(2), tmp_path)) == 2


def test_a_line_cut_in_half_is_dropped(tmp_path: Path, instant: Any) -> None:
    instant(lambda rate: rate)
    found(tiny(2), tmp_path)
    with open(tmp_path / JOURNAL, "ab") as file:
        file.write(b'{"op_code":4,"worker_')
    assert len(found(tiny(3), tmp_path)) == 3
    assert len(found(tiny(4), tmp_path)) == 4


@pytest.mark.parametrize("text", ["hello\nworld\n", '{"a": 1}\n{"b": 2}\n', "[]\n[]\n"])
def test_another_file_in_the_place_of_the_journal(tmp_path: Path, text: str) -> None:
    (tmp_path / JOURNAL).write_text(text)
    with pytest.raises(FileError, match="no journal of a search, or was damaged"):
        found(tiny(1), tmp_path)
    assert (tmp_path / JOURNAL).read_text() == text


def test_a_trial_of_a_dead_process_is_made_up_for(tmp_path: Path, instant: Any) -> None:
    instant(lambda rate: rate)
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    with open_study(tmp_path, tiny(3)) as study:
        trial = study.ask()
        trial.set_user_attr("process", [module._process()[0], child.pid])
    trials = found(tiny(3), tmp_path)
    assert [trial.number for trial in trials] == [1, 2, 3]


def test_reports_are_written_one_after_the_other(tmp_path: Path, instant: Any) -> None:
    instant(lambda rate: rate)
    found(tiny(1), tmp_path)
    seen: list[int] = []

    def report() -> None:
        with reporting(tiny(2), tmp_path) as trials:
            seen.append(len(trials))

    other = threading.Thread(target=report)
    with reporting(tiny(2), tmp_path) as trials:
        other.start()
        other.join(0.3)
        assert other.is_alive()
        found(tiny(2), tmp_path)
    other.join(60)
    assert (len(trials), seen) == (1, [2])


def test_a_report_that_cannot_be_begun(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot write .*gone"), reporting(tiny(1), tmp_path / "gone"):
        pass


# -- the folder


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "summary.json").write_text("{}")
    with pytest.raises(FileError, match=r"something other than a study: got summary.json"):
        study_folder(tmp_path, "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write"):
        study_folder(tmp_path / "file", "x")
    with pytest.raises(ConfigError, match="plain folder name"):
        study_folder(tmp_path, "../x")
    assert study_folder(tmp_path, "new").path == study_folder(tmp_path, "new").path


# -- the command


def spikeloom(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "spikeloom", *arguments]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_words_are_told_apart() -> None:
    words = ["--vary=a=1:2", "b=3:4", "--epochs", "3", "--vary", "c=x,y", "--trials=9", "--objective", "loss"]
    assert split(words) == (["a=1:2", "b=3:4", "c=x,y"], ["--trials=9", "--objective", "loss"], ["--epochs", "3"])


def test_two_processes_share_the_trials(tmp_path: Path) -> None:
    command = ("search", "digits", "--trials", "4", *VARY, *TINY)
    both = [spikeloom(*command, cwd=tmp_path) for _ in range(2)]
    output = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], output
    for stdout, stderr in output:
        assert stdout.startswith("digits: ")
        assert stderr == ""
    folder = tmp_path / "runs" / "search-digits"
    with open_study(folder, _plan_of(folder)) as study:
        trials = module.tried(study)
    assert len(trials) == 4
    assert len({json.dumps(trial.settings) for trial in trials}) == 4
    # Whoever wrote last has seen all.
    written = json.loads((folder / "study.json").read_text())
    assert len(written["trials"]) == 4
    assert not list(folder.glob("*.lock"))
    text = (folder / "study.html").read_text(encoding="utf-8")
    assert shlex.join(shlex.split(written["best"]["command"])) in text.replace("&#x27;", "'")
    assert not any("test" in name for name in written["trials"][0]["told"])


def _plan_of(folder: Path) -> Plan:
    return dataclasses.replace(tiny(4), config=with_values(tiny(4).config, {"name": folder.name}))


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_leaves_the_study_usable(tmp_path: Path, number: signal.Signals) -> None:
    arguments = ("search", "digits", *VARY, *TINY, "--epochs", "100000")
    process = spikeloom(*arguments, cwd=tmp_path)
    folder = tmp_path / "runs" / "search-digits"
    deadline = time.monotonic() + 120
    while not ((folder / JOURNAL).exists() and b"neuron.tau" in (folder / JOURNAL).read_bytes()[600:]):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode != 0
    if number == signal.SIGINT:
        assert "Traceback" not in stderr
        assert "The same command goes on" in stderr
    plan = _plan_of(folder)
    plan = dataclasses.replace(plan, config=with_values(plan.config, {"epochs": 100_000}), trials=1)
    stop = StopRequest()
    stop.number = 1
    assert search(plan, folder, stop, Watch()) == []
    with open_study(folder, plan) as study:
        assert not [t for t in study.get_trials() if t.state == module.TrialState.RUNNING]


def refused(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["search", *arguments]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["digit", *VARY], ["no such recipe", "Did you mean digits?"]),
        (["digits"], ["needs something to vary", "--vary"]),
        (["digits", "--vary", "tau=1:2"], ["no such field", "Did you mean neuron.tau or readout.tau?"]),
        (["digits", "--vary", "neuron.tua=1:2"], ["Did you mean neuron.tau"]),
        (["digits", *VARY, "--epohcs", "3"], ["no such option", "--epochs"]),
        (["digits", *VARY, "--trials", "0"], ["trials is out of range"]),
        (["digits", *VARY, "--trials", "many"], ["--trials", "'many'"]),
        (["digits", *VARY, "--objective", "speed"], ["'speed'", "accuracy"]),
        (["digits", *VARY, "--baseline"], ["spiking network only"]),
        (["digits", "--vary", "readout.smoothing=0:0.2"], ["cannot be compared", "--objective accuracy"]),
        (["digits", *VARY, "--name", "../x"], ["plain folder name"]),
    ],
)
def test_refusals(arguments: list[str], parts: list[str], tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    message = refused(*arguments, capsys=capsys)
    assert all(part in message for part in parts), message
    assert not (tmp_path / "runs").exists()


def test_without_optuna_the_error_names_the_package(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'spikeloom[search]'" in refused("digits", *VARY, capsys=capsys)


def test_help_names_what_can_be_varied(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "digits", "--help"]) == 0
    text = capsys.readouterr().out
    assert "neuron.tau" in text
    assert "encoding.steps" in text
    assert "data.seed" not in text


# -- the page


def report(trials: Sequence[Trial], quantity: str = "validation loss") -> SearchReport:
    return SearchReport(
        "search", quantity, quantity.endswith("loss"), trials, frozenset({"rate"}), {"kind": ("a", "<b>")},
        "spikeloom train digits --x 1", {"epochs": 3},
    )  # fmt: skip


def trial(number: int, value: float | None, state: str = "complete") -> Trial:
    return Trial(number, state, value, {"rate": 10.0**-number, "kind": "a" if number % 2 else "<b>"})


@pytest.mark.parametrize("quantity", ["validation loss", "validation accuracy"])
def test_the_page(tmp_path: Path, quantity: str) -> None:
    trials = [trial(0, 0.9), trial(1, 0.5), trial(2, 0.7), trial(3, 0.99, "pruned"), trial(4, None, "failed")]
    page = report(trials, quantity)
    assert page.best.number == (1 if page.lower else 0)
    write_search_report(tmp_path / "study.html", page)
    text = (tmp_path / "study.html").read_text(encoding="utf-8")
    assert "spikeloom train digits --x 1" in text
    assert "<td><b></td>" not in text
    assert ("0.5, in trial 1" if page.lower else "90.00 %, in trial 0") in text
    assert "default-src 'none'" in text


def test_the_page_of_one_trial(tmp_path: Path) -> None:
    write_search_report(tmp_path / "study.html", report([trial(0, 0.5)]))
    with pytest.raises(ParameterError, match="without a complete trial"):
        report([trial(0, None, "failed")])


def test_the_state_of_torch_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    found(tiny(1), tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
