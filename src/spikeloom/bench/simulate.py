"""``spikeloom bench simulate``: networks beside plain loops, NEST and Brian2."""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import BenchError
from .config import SimulateConfig
from .networks import WORKLOADS, Workload
from .process import Contender, has_module
from .rates import disagreements
from .rounds import Say, take_turns

OURS, PLAIN, PEERS = "spikeloom", "plain loop", ("NEST", "Brian2")
_MODULES = {"NEST": ("nest", "nest_networks"), "Brian2": ("brian2", "brian_networks")}


def interpreters(config: SimulateConfig) -> dict[str, str]:
    """The interpreter of each peer that is there. Raises :class:`BenchError` where one was given and has it not."""
    found: dict[str, str] = {}
    for peer, given in zip(PEERS, (config.nest, config.brian), strict=True):
        python, module = given or sys.executable, _MODULES[peer][0]
        if has_module(python, module):
            found[peer] = python
        elif given:
            raise BenchError(f"{given} has no {peer}", mend=f"Give an interpreter that can import {module}.")
    return found


def bench(workload: Workload, config: SimulateConfig, peers: Mapping[str, str], say: Say) -> dict[str, Any]:
    """Measure one network: for each contender its rounds, build and compile times, and memory.

    Contenders that fail, or whose rate differs by more than statistics allow, are among ``failed`` and ``refused``,
    without figures. Raises :class:`BenchError` where spikeloom itself fails.
    """
    failed: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        contenders = [stack.enter_context(c) for c in _contenders(workload, config, peers, failed, say, stack)]
        for contender in list(contenders):
            say(f"{workload.name}: {contender.label} settles")
            contender.ask("settle")
        turns, lost = take_turns(contenders, config.rounds, "run", lambda text: say(f"{workload.name}, {text}"))
        failed |= lost
        _ours_works(failed)
        rows = {c.label: _row(c, turns[c.label]) for c in contenders if c.label in turns}
    facts = {"neurons": config.neurons or workload.n, "failed": failed, "other_work_cores": _others(turns)}
    return {**facts, **judged(workload, rows)}


def judged(workload: Workload, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The rows whose rate is that of the first one, within what statistics allow; why the others are refused."""
    refused = disagreements({label: row["rate_hz"] for label, row in rows.items()}, workload.spread, workload.scheme)
    return {"contenders": {label: row for label, row in rows.items() if label not in refused}, "refused": refused}


def _contenders(
    workload: Workload, config: SimulateConfig, peers: Mapping[str, str], failed: dict[str, str], say: Say,
    stack: contextlib.ExitStack,
) -> Iterator[Contender]:  # fmt: skip
    """Ours first: its rate is what the others are held against."""
    wanted = [(OURS, "spikeloom_networks", "", n) for n in config.threads]
    wanted += [(f"{OURS}, GPU", "spikeloom_networks", "", 1)] if config.gpu else []
    wanted += [(PLAIN, "plain_networks", "", 1)] if workload.plain else []
    wanted += [(peer, _MODULES[peer][1], python, n) for peer, python in peers.items() for n in config.threads]
    for label, name, python, threads in wanted:
        gpu = label.endswith("GPU")
        label = label if gpu or label == PLAIN else f"{label}, {threads}"
        spec = {
            "network": workload.kind, "n": config.neurons or workload.n, "threads": threads, "span": config.span,
            "settle": config.settle, "gpu": gpu,
        }  # fmt: skip
        env = {"OMP_NUM_THREADS": str(threads)}
        if config.fresh_cache:  # one for each: compiling is what a first run pays
            env["SPIKELOOM_CACHE"] = stack.enter_context(tempfile.TemporaryDirectory())
        say(f"{workload.name}: {label} is built")
        try:
            yield Contender(label, name, spec, python=python, env=env)
        except BenchError as error:
            failed[label] = str(error)
            _ours_works(failed)


def _ours_works(failed: Mapping[str, str]) -> None:
    for label, why in failed.items():
        if label.startswith(OURS):
            raise BenchError(why)


def _row(contender: Contender, turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    facts, memory = contender.facts, contender.ask("memory")
    known = None not in (memory["peak"], memory["before"])
    return {
        "wall_s_per_simulated_s": [turn["wall"] for turn in turns],
        "rate_hz": [turn["rate"] for turn in turns],
        "build_s": facts["build"],
        "compile_s": facts["compile"],
        "import_s": facts["import"],
        "synapses": facts.get("synapses"),
        "memory_mib": memory["peak"] - memory["before"] if known else None,
        "process_peak_mib": memory["peak"],
        "versions": facts["versions"],
    }


def _others(turns: Mapping[str, Sequence[Mapping[str, Any]]]) -> float | None:
    """How many cores other processes kept busy, on average."""
    values = [turn["others"] for rows in turns.values() for turn in rows if turn["others"] is not None]
    return round(statistics.fmean(values), 2) if values else None


__all__ = ["OURS", "PEERS", "PLAIN", "WORKLOADS", "bench", "interpreters"]
