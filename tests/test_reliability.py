"""What a training stands, in small numbers; ``benchmarks/reliability.py`` has the large ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spikeloom.storage.checkpoint import load_checkpoint

if os.name == "nt":
    pytest.skip("needs forked processes and POSIX signals", allow_module_level=True)

BENCHMARKS = str(Path(__file__).resolve().parent.parent / "benchmarks")
if BENCHMARKS not in sys.path:  # the forked processes look for their modules there too
    sys.path.insert(0, BENCHMARKS)

import reliability_configs  # noqa: E402
import reliability_files  # noqa: E402
import reliability_kills  # noqa: E402
import reliability_numbers  # noqa: E402


def test_killed_anywhere_the_result_is_the_same() -> None:
    finished, differ, where = reliability_kills.kills(20)
    assert sum(where.values()) == 20
    assert finished >= 5
    assert differ == 0
    assert sum(n for place, n in where.items() if place != "by the clock") >= 4


def test_sigterm_leaves_a_checkpoint_and_its_exit_code() -> None:
    good, late, finished, differ = reliability_kills.terminations(10)
    assert good >= 10
    assert late == 0
    assert finished >= 1
    assert differ == 0


def test_sigterm_to_the_command(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = ["--seeds", "1", "--epochs", "400", "--keep.every", "1", "--out", str(tmp_path), "--name", "run"]
    command = [sys.executable, "-m", "spikeloom", "train", "digits", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    last = folder / "checkpoint" / "spiking-seed-0" / "last.json"
    deadline = time.monotonic() + 60
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 143
    assert f"spikeloom train --resume {folder}" in message
    assert "Traceback" not in message
    assert load_checkpoint(last).meta["training"]["epoch"] >= 1


def test_failing_disks_keep_the_old_checkpoint() -> None:
    tried, survived, wrong = reliability_files.faults()
    assert wrong == []
    assert survived == tried >= 20


def test_flipped_bits_are_refused() -> None:
    assert reliability_files.flips(300) == (300, 0, [])


def test_crafted_files_run_no_code() -> None:
    tried, refused, other = reliability_files.crafted()
    assert other == []
    assert refused == tried >= 20


def test_equal_runs_are_equal() -> None:
    assert reliability_numbers.repeats(5) == 1


def test_threads_change_nothing_but_rounding() -> None:
    assert max(apart for apart, _ in reliability_numbers.threads().values()) <= 1e-5


def test_what_is_not_finite_is_named() -> None:
    tried, good, wrong = reliability_numbers.nonfinite()
    assert wrong == []
    assert good == tried == 30


def test_random_configurations_run_or_say_why() -> None:
    ran, refused, wrong = reliability_configs.fuzz(150)
    assert wrong == []
    assert ran >= 20
    assert refused >= 20
