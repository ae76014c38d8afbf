"""A contender seen from outside: a process that does one thing when it is asked to."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

from ..errors import BenchError
from .worker import MARK

_WORKER = Path(__file__).with_name("worker.py")
_PATIENCE = 1200.0  # seconds for one answer


class Contender:
    """Starts ``name`` of :mod:`spikeloom.bench.contenders` under ``python``; :meth:`ask` runs one of its actions.

    ``facts`` is what it said once it was built. Raises :class:`BenchError` where it ends without an answer.
    """

    def __init__(
        self, label: str, name: str, spec: Mapping[str, Any], *, python: str = "", env: Mapping[str, str] = {}
    ) -> None:  # fmt: skip
        self.label: Final = label
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        surroundings = {**os.environ, **env}
        # The command line sets it for itself; a contender is to run as it comes.
        surroundings.pop("OMP_WAIT_POLICY", None)
        self._process = subprocess.Popen(
            [python or sys.executable, str(_WORKER), name, json.dumps(spec)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=surroundings,
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        assert self._process.stdout is not None
        threading.Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True).start()
        try:
            self.facts: Final = self._answer()
        except BaseException:
            self.close()
            raise

    def ask(self, action: str) -> dict[str, Any]:
        """What ``action`` returns, and under ``others`` how many cores other processes kept busy meanwhile."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # said by the answer
            self._process.stdin.write(action + "\n")
            self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()
        self.close()

    def _answer(self) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=_PATIENCE)
        except queue.Empty:
            self._process.kill()
            raise BenchError(f"{self.label} gave no answer in {_PATIENCE:g} s") from None
        if not line:
            self._log.seek(0)
            said = self._log.read().strip().splitlines()
            code = self._process.wait()
            raise BenchError(f"{self.label} ended without an answer", got=f"exit code {code}, {' | '.join(said[-2:])}")
        found = json.loads(line[len(MARK) :])
        if "error" in found:
            raise BenchError(f"{self.label} failed", got=found["error"])
        return found


def _read(stream: TextIO, lines: queue.Queue[str]) -> None:
    for line in stream:
        if line.startswith(MARK):
            lines.put(line)
    lines.put("")


def has_module(python: str, module: str) -> bool:
    """Whether the interpreter ``python`` finds the package ``module``."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
