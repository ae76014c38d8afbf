"""The machine that a benchmark ran on."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..train.provenance import machine, versions
from .points import usable_cores


def machine_facts() -> dict[str, object]:
    """Platform, processor, usable cores, and how busy the machine was over the last minute."""
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    return {**machine(), "processor": processor(), "usable_cores": usable_cores(), "load": load}


def processor() -> str:
    """The name of the processor, or what kind of machine it is."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return str(machine()["machine"])


def described() -> str:
    """Machine and versions in one line."""
    facts = machine_facts()
    load = "" if facts["load"] is None else f", load {facts['load']}"
    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{facts['processor']}, {facts['usable_cores']} cores{load}; {packages}"
