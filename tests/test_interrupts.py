"""Ctrl-C, also while torch is being imported."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spikeloom.cli import main
from spikeloom.cli.interrupts import interrupts_deferred


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("sign", ["long", "long/checkpoint/spiking-seed-0/last.json"], ids=["importing", "training"])
def test_ctrl_c_stops_with_a_message(tmp_path: Path, sign: str) -> None:
    command = [sys.executable, "-m", "spikeloom", "train", "digits", "--epochs", "100000", "--name", "long"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "runs" / sign).exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stdout == ""
    assert "Traceback" not in stderr
    if "stopped after epoch" in stderr:
        assert "Go on with `spikeloom train --resume runs/long`" in stderr
        assert (tmp_path / "runs" / "long" / "checkpoint" / "spiking-seed-0" / "last.json").exists()
    else:
        assert sign == "long"  # before there is anything to save
        assert "interrupted" in stderr
        assert not (tmp_path / "runs" / "long").exists()


def test_a_deferred_interrupt_waits_for_the_end_of_the_block() -> None:
    reached = []

    def block(presses: int) -> None:
        with interrupts_deferred():
            for _ in range(presses):
                signal.raise_signal(signal.SIGINT)
                reached.append(presses)

    before = signal.getsignal(signal.SIGINT)
    block(0)
    for presses in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            block(presses)
    assert reached == [1, 2]  # the second press of two is not deferred
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_in_disguise_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def disguised(arguments: list[str]) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("partially initialised module") from None

    monkeypatch.setattr("spikeloom.cli.listing.run", disguised)
    assert main(["list"]) == 130


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_loading_says_so_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert main(["simulate", "ring", "--duration", "5", "--out", str(tmp_path)]) == 0
    assert "loading" in terminal.getvalue()
