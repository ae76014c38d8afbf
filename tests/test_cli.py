"""The command line, mostly from outside: what a person sees, and with which exit code."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.cli import main
from spikeloom.cli.app import COMMANDS
from spikeloom.cli.models import MODELS, find_model, find_preset
from spikeloom.cli.options import option_names, parse
from spikeloom.data.catalogue import DATA_SETS
from spikeloom.errors import ConfigError
from spikeloom.recipes import RECIPES, DigitsConfig, digits

HELPS = (
    ["--help"],
    ["train", "--help"],
    ["train", "digits", "--help"],
    ["neuron", "--help"],
    ["list", "--help"],
)

USER_MODEL = """
import spikeloom as sl

class Mine(sl.NeuronModel):
    tau = sl.param(20.0, sl.ms, low=0.0)
    v_threshold = sl.param(15.0, sl.mV)
    v = sl.state(0.0, sl.mV)
    i = sl.input(sl.mV)
    def derivative(self, s, x): return dict(v=(x.i - s.v) / self.tau)
    def threshold(self, s): return s.v - self.v_threshold
    def reset(self, s): return dict(v=0.0)

slow = Mine(tau=50.0)
number = 3
"""


def spikeloom(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spikeloom", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)


def refused(*arguments: str, cwd: Path | None = None) -> str:
    """The message of a request that cannot be carried out: one line, exit code 2, no traceback."""
    done = spikeloom(*arguments, cwd=cwd)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.startswith("spikeloom: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


# -- help


@pytest.mark.parametrize("arguments", HELPS, ids=" ".join)
def test_help_answers_at_once(arguments: list[str]) -> None:
    # Processor time, the best of several: what the wall clock says on a machine with nothing else to do.
    resource = pytest.importorskip("resource")
    best = 1.0
    for _ in range(10):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = spikeloom(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.returncode == 0
        assert "usage: spikeloom" in done.stdout
        if best < 0.3:
            break
    # Cores that share their caches and units with other work are slower.
    busy = os.getloadavg()[0] > 0.7 * (os.cpu_count() or 1)
    assert best < (0.6 if busy else 0.3)


@pytest.mark.parametrize("arguments", [*HELPS, ["list"], ["neuron", "lif", "--help"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
from spikeloom.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
heavy = {{"torch", "numba", "matplotlib", "bokeh", "sklearn", "scipy"}} & set(sys.modules)
print("HEAVY", sorted(heavy))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_help_names_every_command_and_exit_code() -> None:
    text = spikeloom("--help").stdout
    assert all(command.name in text for command in COMMANDS)
    assert re.findall(r"^  (\d+) ", text, re.M) == ["0", "2", "3", "130", "143"]
    assert spikeloom().stdout == text


def test_recipe_help_names_every_field() -> None:
    text = spikeloom("train", "digits", "--help").stdout
    assert all(f"--{name}" in text for name in option_names(digits()))


def test_list_names_everything() -> None:
    text = spikeloom("list").stdout
    for entry in (*RECIPES, *MODELS, *DATA_SETS):
        assert re.search(rf"^  {re.escape(entry.name)}  +{re.escape(entry.summary)}( \(\d+ presets?\))?$", text, re.M)
    for entry in MODELS:
        count = len(entry.load().presets)
        ending = f" ({count} preset{'s' * (count > 1)})" if count else ""
        assert re.search(rf"^  {entry.name} .*{re.escape(entry.summary + ending)}$", text, re.M)


def test_help_of_a_model_lists_its_presets() -> None:
    text = spikeloom("neuron", "izhikevich", "--help").stdout
    for name, preset in find_model("izhikevich")[0].presets.items():
        assert re.search(rf"^  {name} +{re.escape(preset.summary)}$", text, re.M)
    assert "spikeloom neuron izhikevich --preset NAME" in text
    assert "presets (" not in spikeloom("neuron", "lif", "--help").stdout


def test_version() -> None:
    import spikeloom as sl

    assert spikeloom("--version").stdout == f"spikeloom {sl.__version__}\n"


def test_a_closed_pipe_is_quiet() -> None:
    # The unbuffered flag makes the write fail in `print` itself; without it, it fails at exit.
    for flags in ([], ["-u"]):
        process = subprocess.Popen(
            [sys.executable, *flags, "-m", "spikeloom", "list"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait() == 141


# -- configuration


def test_every_field_can_be_overridden() -> None:
    changed = {
        "epochs": "3",
        "seeds": "2",
        "seed": "7",
        "threads": "2",
        "baseline": None,
        "choose": "accuracy",
        "out": "elsewhere",
        "name": "mine",
        "optimiser.kind": "sgd",
        "optimiser.learning-rate": "0.1",
        "optimiser.weight-decay": "0.2",
        "optimiser.momentum": "0.5",
        "optimiser.schedule": "constant",
        "optimiser.warmup": "0.25",
        "optimiser.batch-size": "8",
        "optimiser.clip": "2",
        "gradient.accumulate": "2",
        "gradient.precision": "bfloat16",
        "gradient.truncate": "5",
        "penalty.rate": "3",
        "penalty.target": "0.5",
        "penalty.least-rate": "0.25",
        "penalty.most": "4",
        "keep.every": "6",
        "keep.log-every": "20",
        "keep.tensorboard": None,
        "readout.tau": "5",
        "readout.loss": "softmax-then-mean",
        "readout.smoothing": "0.125",
        "readout.scale": "5",
        "readout.right": "0.75",
        "readout.wrong": "0.25",
        "readout.lead": "3",
        "data.train": "0.5",
        "data.validation": "0.25",
        "data.seed": "4",
        "augment.shift": "0.25",
        "encoding.kind": "rate",
        "encoding.steps": "9",
        "neuron.tau": "10",
        "neuron.learn-tau": None,
        "neuron.width": "11",
    }
    # Those that exclude others have tests of their own.
    excluded = {"gradient.kind", "gradient.recompute", "penalty.count", "penalty.silent"}
    assert list(changed) == [name for name in option_names(digits()) if name not in excluded]
    arguments = [part for name, value in changed.items() for part in (f"--{name}", *([] if value is None else [value]))]
    config = parse(digits(), arguments, prog="test", description="")
    for name, text in changed.items():
        value: object = config
        default: object = digits()
        for part in name.replace("-", "_").split("."):
            value, default = getattr(value, part), getattr(default, part)
        assert value != default
        assert str(value) in (text, f"{text}.0", "True")


def test_overriding_one_field_leaves_the_others() -> None:
    config = parse(digits(), ["--neuron.tau", "10"], prog="test", description="")
    expected = dataclasses.replace(digits(), neuron=dataclasses.replace(digits().neuron, tau=10.0))
    assert config == expected


_words = st.one_of(
    st.sampled_from([f"--{name}" for name in option_names(DigitsConfig())]),
    st.sampled_from(
        [
            "nan",
            "inf",
            "-1",
            "0",
            "1e400",
            "3",
            "0.5",
            "rate",
            "--",
            "-",
            "",
            "--tau",
            "=",
            "--epochs=4",
            "x" * 50,
        ]
    ),
    st.text(max_size=8),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_words, max_size=4).filter(lambda words: not {"-h", "--help"} & set(words)))
def test_any_arguments_give_a_config_or_one_message(arguments: list[str]) -> None:
    try:
        config = parse(digits(), arguments, prog="spikeloom train digits", description="")
    except ConfigError as error:
        config, message = None, str(error)
        assert message
    assert config is None or isinstance(config, DigitsConfig)


# -- what is refused: unknown names, unusable values, files


@pytest.mark.parametrize(
    ("arguments", "got", "near"),
    [
        (["trian", "digits"], "'trian'", "Did you mean train?"),
        (["train", "digit"], "'digit'", "Did you mean digits?"),
        (["train", "digits", "--epohcs", "3"], "--epohcs", "Did you mean --epochs?"),
        (["train", "digits", "--tau", "3"], "--tau", "Did you mean --neuron.tau or --readout.tau?"),
        (["train", "digits", "--neuron.tua=3"], "--neuron.tua", "Did you mean --neuron.tau? See"),
        (["train", "digits", "--optimizer.lr", "3"], "--optimizer.lr", "Did you mean --optimiser.learning-rate? See"),
        (["train", "digits", "--data.root", "x"], "--data.root", "There are --data.seed, --data.train and --data.val"),
        (["train", "digits", "--net", "3"], "--net", "got --net. See"),
        (["train", "digits", "mnist"], "'mnist'", "See `spikeloom train digits --help`."),
        (["neuron", "hodgkin-huxly"], "'hodgkin-huxly'", "Did you mean hodgkin-huxley?"),
        (["neuron", "lif", "--param.tua", "3"], "--param.tua", "Did you mean --param.tau"),
        (["neuron", "izhikevich", "--preset", "tonic-spikng"], "'tonic-spikng'", "Did you mean tonic-spiking"),
        (["neuron", "adex", "--preset=chattering"], "'chattering'", "It is one of izhikevich: spikeloom neuron izhi"),
        (["neuron", "lif", "--preset", "fast"], "'fast'", "lif has no such preset"),
        (["neuron", "galery"], "'galery'", "gallery"),
        (["neuron", "--current", "3"], "'--current'", "the neuron model comes first"),
        (["list", "models"], "'models'", "takes no arguments"),
    ],
)
def test_unknown_names(arguments: list[str], got: str, near: str) -> None:
    message = refused(*arguments)
    assert f"got {got}" in message
    assert near in message


def test_a_preset_without_a_name_is_refused() -> None:
    message = refused("neuron", "lif", "--preset")
    assert "--preset" in message
    assert "--preset: got no value" in message


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["train", "digits", "--epochs", "0"], ["epochs", "got 0", "at least 1"]),
        (["train", "digits", "--epochs", "many"], ["--epochs: got 'many', expected a whole number. See `spikeloom"]),
        (["train", "digits", "--epochs=1.5"], ["--epochs: got '1.5', expected a whole number"]),
        (["train", "digits", "--epochs", "3", "--epochs", "x"], ["--epochs: got 'x', expected a whole number"]),
        (["train", "digits", "--epochs"], ["--epochs: got no value, expected a whole number"]),
        (["train", "digits", "--neuron.tau", "x"], ["--neuron.tau: got 'x', expected a number"]),
        (["train", "mnist", "--net.hidden", "3", "x"], ["--net.hidden: got '3 x', expected whole numbers"]),
        (["train", "digits", "--neuron.tau", "nan"], ["tau", "got nan", "above 0"]),
        (["train", "digits", "--data.train", "0.9"], ["train + validation", "at most 0.99"]),
        (["train", "digits", "--encoding.kind", "morse"], ["--encoding.kind: got 'morse', expected direct or rate"]),
        (["train", "digits", "--data.seed", "9" * 30], ["seed", "at most"]),
        (["train", "digits", "--encoding.steps", "100000"], ["encoding.steps * neuron.width", "at most 1e+09"]),
        (["train", "digits", "--name", "../up"], ["'../up'", "plain folder name"]),
        (["neuron", "lif", "--seed", "-1"], ["seed", "at least 0"]),
        (["neuron", "lif", "--current", "none"], ["--current", "'none'"]),
        (["neuron", "lif", "--dt", "0"], ["dt", "got 0.0", "above 0"]),
        (["neuron", "lif", "--dt", "1e-9"], ["number of steps", "at most"]),
        (["neuron", "lif", "--param.tau", "-1"], ["LIF: tau", "got -1 ms", "> 0 ms"]),
    ],
)
def test_unusable_values(arguments: list[str], parts: list[str], tmp_path: Path) -> None:
    message = refused(*arguments, cwd=tmp_path)
    assert all(part in message for part in parts), message
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "summary.json").write_text("precious")
    for arguments in (("train", "digits"), ("neuron", "lif")):
        message = refused(*arguments, "--name", "mine", cwd=tmp_path)
        assert "runs/mine already exists and is not overwritten" in message
        assert "Choose another --name" in message
    assert (tmp_path / "runs" / "mine" / "summary.json").read_text() == "precious"


def test_an_unwritable_run_folder_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refused("train", "digits", "--out", "file/runs", "--epochs", "100000", cwd=tmp_path)
    assert "cannot write file/runs" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gone.py:Mine", "there is no file gone.py"),
        ("model.py:Mien", "Did you mean Mine?"),
        ("model.py:number", "is no neuron model: got int"),
        ("model.py", "path/to/file.py:ClassName"),
        ("broken.py:Mine", "broken.py failed when it was run (line 2): ZeroDivisionError"),
        ("syntax.py:Mine", "syntax.py failed when it was run (line 1): SyntaxError"),
    ],
)
def test_a_model_file_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "model.py").write_text(USER_MODEL)
    (tmp_path / "broken.py").write_text("x = 0\n1 / x\n")
    (tmp_path / "syntax.py").write_text("class:\n")
    assert message in refused("neuron", text, cwd=tmp_path)


# -- what works


def test_every_listed_model_exists_with_a_current_of_its_input() -> None:
    for entry in MODELS:
        model, found = find_model(entry.name)
        assert found is entry
        assert len(model.inputs) == 1


def test_neuron_writes_its_folder(tmp_path: Path) -> None:
    done = spikeloom("neuron", "lif", "--current", "2", "--param.tau", "10", "--name", "lif", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "lif"
    assert {p.name for p in folder.iterdir()} == {"summary.json", "report.html", "trace.png", "fi_curve.png"}
    assert (folder / "trace.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["parameters"]["tau"] == {"value": 10.0, "unit": "ms"}
    assert summary["config"]["param"]["tau"] == 10.0
    assert summary["kernels"]
    # Without noise the LIF at twice its rheobase fires every tau ln 2 = 6.93 ms, found on a grid of dt.
    assert summary["metrics"]["rate_hz"] == pytest.approx(1000 / (10 * 0.693147), rel=0.02)
    assert str(Path("runs") / "lif") in done.stdout


def run_neuron(folder: Path, *arguments: str) -> dict[str, Any]:
    """The summary of a run within this process, which has imported torch already."""
    assert main(["neuron", *arguments, "--out", str(folder), "--name", "run"]) == 0
    return json.loads((folder / "run" / "summary.json").read_text())


def test_neuron_runs_a_preset_with_its_stimulus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = run_neuron(tmp_path, "izhikevich", "--preset", "phasic_spiking")
    assert "Izhikevich (phasic-spiking) under its stimulus for 200 ms: 1 spike -> " in capsys.readouterr().out
    pictures = {"trace.png", "fi_curve.png", "phase_plane.png"}
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"summary.json", "report.html", *pictures}
    assert all((tmp_path / "run" / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    # Izhikevich 2004, figure 1B, in the author's scheme: one spike at 43.75 ms.
    assert summary["metrics"]["first_spike_ms"] == 43.75
    assert (summary["metrics"]["spikes"], summary["preset"]["name"]) == (1, "phasic-spiking")
    assert summary["config"]["current"] is None
    assert summary["initial_state"] == find_model("izhikevich")[0].presets["phasic-spiking"].state
    (rest,) = [point for point in summary["phase_plane"]["resting_points"] if point["kind"] == "stable focus"]
    # At rest u = b v and 0.04 v^2 + 5 v + 140 - b v + i = 0, with b = 0.25 and i = 0.5.
    v = rest["state"]["v"]
    assert abs(0.04 * v * v + 4.75 * v + 140.5) < 1e-6


def test_options_override_a_preset(tmp_path: Path) -> None:
    options = ["--preset", "phasic-spiking", "--current", "14", "--param.b", "0.2", "--duration", "50"]
    summary = run_neuron(tmp_path, "izhikevich", *options)
    assert summary["parameters"]["b"]["value"] == 0.2
    assert (summary["config"]["current"], summary["stimulus"]) == (14.0, "14.0")
    assert summary["config"]["duration"] == 50.0


@pytest.mark.parametrize(("name", "drawn"), [("fitzhugh-nagumo", True), ("hindmarsh-rose", False)])
def test_a_phase_plane_needs_two_states(name: str, drawn: bool, tmp_path: Path) -> None:
    summary = run_neuron(tmp_path, name, "--duration", "50", "--curve.duration", "50", "--curve.points", "3")
    assert (tmp_path / "run" / "phase_plane.png").exists() == drawn
    assert (summary["phase_plane"] is not None) == drawn


def test_a_noisy_neuron_is_the_same_at_each_run(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text("import spikeloom as sl\nnoisy = sl.Noisy(sl.LIF(tau=10.0), sigma_noise=0.3)\n")
    short = ["--current", "1.1", "--curve.duration", "50", "--curve.points", "3"]
    spikes = [
        run_neuron(tmp_path / str(k), f"{tmp_path}/noisy.py:noisy", *short, "--seed", seed)["metrics"]
        for k, seed in enumerate(("1", "1", "2"))
    ]
    assert spikes[0] == spikes[1] != spikes[2]


def test_the_rate_of_a_few_bursts_is_counted() -> None:
    from spikeloom.cli.neuron_run import steady_rates
    from spikeloom.simulation import Spikes, Trace

    times = np.arange(1001.0)
    fired = np.zeros((1001, 3), bool)
    fired[::50, 0] = True  # every 50 ms: 20 Hz
    fired[[700, 705], 1] = True  # a doublet in 500 ms: 4 Hz, although the interval is that of 200 Hz
    fired[[600], 2] = True
    curve = Trace(times, {}, Spikes.of(fired), {})
    assert steady_rates(curve, 1000.0).tolist() == pytest.approx([20.0, 4.0, 0.0])


def test_the_name_of_a_preset_is_found_however_it_is_joined() -> None:
    model, entry = find_model("izhikevich")
    for text in ("tonic-spiking", "tonic_spiking", "Tonic-Spiking"):
        assert find_preset(model, entry, text) == "tonic-spiking"
    assert find_preset(model, entry, "") == ""


def test_neuron_runs_a_model_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(USER_MODEL)
    model, _ = find_model(f"{tmp_path}/model.py:Mine")
    assert (type(model).__name__, model.tau) == ("Mine", 20.0)
    done = spikeloom(
        "neuron", "model.py:slow", "--current", "30", "--param.v-threshold", "10", "--name", "a", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "runs" / "a" / "summary.json").read_text())
    # A reset to 0 and a current of three thresholds: tau ln(3/2) between spikes, tau = 50 ms.
    assert summary["metrics"]["rate_hz"] == pytest.approx(1000 / (50 * 0.405465), rel=0.01)


def test_divergence_has_its_own_exit_code(tmp_path: Path) -> None:
    done = spikeloom(
        "train",
        "digits",
        "--optimiser.learning-rate",
        "1e6",
        "--optimiser.weight-decay",
        "1e6",
        "--epochs",
        "3",
        "--seeds",
        "1",
        "--name",
        "bad",
        cwd=tmp_path,
    )
    assert done.returncode == 3, done
    assert re.search(r"not finite.* in epoch \d+, step \d+", done.stderr)
    assert not (tmp_path / "runs" / "bad" / "summary.json").exists()


def test_main_returns_codes_without_leaving_python(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert main(["lits"]) == 2
    assert "Did you mean list?" in capsys.readouterr().err
