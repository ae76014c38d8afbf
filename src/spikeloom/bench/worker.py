"""The process of one contender: ``python worker.py CONTENDER SPEC``, with answers to lines of input.

It runs by its path, under interpreters that need not have spikeloom; hence only the standard library, and contenders
are imported as a package of their own.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import sys
import time
from typing import Any

MARK = "@"


def main(name: str, spec: dict[str, Any]) -> None:
    """Say what was built, then answer the actions that standard input names."""
    # What a package prints must not be taken for an answer.
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(value: dict[str, Any]) -> None:
        channel.write(MARK + json.dumps(value) + "\n")

    try:
        begun = time.perf_counter()
        contender = _contender(name)
        versions = contender.load()
        loaded = time.perf_counter()
        warm = getattr(contender, "warm", None)
        if warm is not None:
            warm(spec)
        warmed = time.perf_counter()
        before = forget_peak()["resident"]
        facts, actions = contender.start(spec)
        facts["compile"] = facts.get("compile", 0.0) + warmed - loaded
        answer({"versions": versions, "import": loaded - begun, **facts})
        actions = {"memory": lambda: {"before": before, "peak": peak()}, "reset": forget_peak, **actions}
        for line in sys.stdin:
            answer(_measured(actions[line.strip()]))
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}"[:2000]})
        raise


def _contender(name: str) -> Any:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [here, *(p for p in sys.path if p != here)]
    contender = importlib.import_module(f"contenders.{name}")
    # Files here may be called like packages that a framework imports.
    sys.path.remove(here)
    return contender


def _measured(action: Any) -> dict[str, Any]:
    """What ``action`` returns, with how many cores other processes kept busy meanwhile."""
    begun, busy, own = time.perf_counter(), busy_seconds(), _own_seconds()
    found = action() or {}
    took = time.perf_counter() - begun
    others = None if busy is None else max(0.0, (busy_seconds() or 0.0) - busy - _own_seconds() + own)
    return {**found, "others": None if others is None or took < 0.05 else others / took}


def busy_seconds() -> float | None:
    """Seconds that the processors have worked so far, for anyone; None where the system does not say."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, *rest = map(int, file.readline().split()[1:9])
    except OSError:
        return None
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    return sum(os.times()[:4])


def resident() -> float | None:
    """Memory that this process holds, in MiB."""
    return status("VmRSS")


def peak() -> float | None:
    """The most memory that this process has held, in MiB, since the start or since it was forgotten."""
    return status("VmHWM")


def forget_peak() -> dict[str, Any]:
    """Count the peak from now on.

    What was freed before goes back to the system first, such as what compilers used: it would be used again, and not
    be counted.
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:  # then the peak is that of the whole life of the process
        pass
    return {"resident": resident()}


def status(field: str, process: object = "self") -> float | None:
    """A field of ``/proc/PID/status`` in MiB; None where there is none."""
    # Not getrusage: its peak includes what the process held before it ran another program.
    try:
        with open(f"/proc/{process}/status") as file:
            return next((int(line.split()[1]) / 1024 for line in file if line.startswith(field + ":")), None)
    except OSError:
        return None


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
